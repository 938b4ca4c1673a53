"""What is active and in which order it runs: a queue a priority, and one for what waits until the next pass.

It runs the entries too, since who runs next depends on what the last one did. Knows nothing of descriptors, timers or
the clock's kind; what an entry does is the entry's business.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from evkit.core.config import EventConfig
from evkit.core.event import ACTIVE, DIRECT, INTERNAL, STALE, QueueEntry
from evkit.core.timers import NEVER

_MAX_DEFERRED: Final = 32
"""More deferred callbacks than this (libevent's number) wait for the next pass, so that they can't starve the poll."""

_TAKEN: Final = ~(ACTIVE | STALE)
"""What is left of an entry's flags when it is taken off its queue."""
_RARE: Final = STALE | INTERNAL
_BREAK: Final = 1
_CONTINUE: Final = 2


class Flushable(Protocol):
    """Something that gathers what callbacks write, and sends it when they return."""

    def flush_output(self) -> None:
        """Send now. Must not raise."""


class ActiveQueues:
    """The entries that are to run.

    Attributes:
        queues: By priority, the most urgent first.
        npriorities: How many of them there are to choose from.
        later: What waits for the next pass.
        running: The entry that runs now, or ``None``.
        interrupt: Not 0 when the loop is to stop running entries after the one that runs now.
        most_active: The most entries that were active at once when callbacks began to run, evkit's own left out.
        outbox: What to flush when the callback that runs now returns; whoever gathers output adds itself.

    Args:
        config: The limits on dispatch.
        monotonic: The clock that those limits are measured with.
        escaped: Gets what an entry lets escape, and the entry.
    """

    __slots__ = (
        "_deferred",
        "_escaped",
        "_max_callbacks",
        "_max_interval",
        "_min_priority",
        "_monotonic",
        "_run_queue",
        "_running_priority",
        "interrupt",
        "later",
        "most_active",
        "npriorities",
        "outbox",
        "queues",
        "running",
    )

    def __init__(
        self,
        config: EventConfig,
        monotonic: Callable[[], float],
        escaped: Callable[[BaseException, object], None],
    ) -> None:
        self.queues: list[deque[QueueEntry]] = [deque()]
        self.npriorities = 1
        self.running: QueueEntry | None = None
        self.interrupt = 0
        self.outbox: list[Flushable] = []
        self.later: deque[QueueEntry] = deque()
        self.most_active = 0
        self._deferred = 0  # scheduled in this pass
        self._running_priority = -1
        self._monotonic = monotonic
        self._escaped = escaped
        self._max_interval = NEVER if config.max_dispatch_interval is None else config.max_dispatch_interval
        self._max_callbacks = config.max_dispatch_callbacks
        self._min_priority = config.min_dispatch_priority
        self._run_queue = self._run_limited if config.limits_dispatch else self._run

    def __bool__(self) -> bool:
        """Whether anything is active."""
        later = self.later
        while later and later[0].flags & STALE:
            later.popleft().flags &= ~STALE
        if later:
            return True
        for queue in self.queues:
            while queue and queue[0].flags & STALE:
                queue.popleft().flags &= ~STALE
            if queue:
                return True
        return False

    def count(self) -> int:
        """Count the active entries, evkit's own left out."""
        live = {entry for queue in (*self.queues, self.later) for entry in queue}
        return sum(1 for entry in live if entry.flags & ACTIVE and not entry.flags & INTERNAL)

    def resize(self, count: int) -> None:
        """Have ``count`` priorities; nothing is active. Events of a priority that is gone keep a queue behind all."""
        self.npriorities = count
        self.queues = [deque() for _ in range(max(count, len(self.queues)))]

    def enqueue(self, entry: QueueEntry) -> None:
        """Make ``entry`` active. One that is more urgent than what runs now makes the loop poll first."""
        if entry.flags & STALE:
            self._take_out(entry)
        entry.flags |= ACTIVE
        priority = entry.level
        self.queues[priority].append(entry)
        if priority < self._running_priority:
            self.interrupt |= _CONTINUE

    def schedule(self, entry: QueueEntry) -> bool:
        """Make a deferred callback active, in the next pass if this one has had many; return whether it was not.

        Source: ``event_deferred_cb_schedule_``.
        """
        if entry.flags & ACTIVE:
            return False
        if self._deferred > _MAX_DEFERRED:
            if entry.flags & STALE:
                self._take_out(entry)
            entry.flags |= ACTIVE
            self.later.append(entry)
        else:
            self._deferred += 1
            self.enqueue(entry)
        return True

    def _take_out(self, entry: QueueEntry) -> None:
        """Remove the dead copy of an entry that is queued anew, for there is never more than one copy of any."""
        entry.flags &= ~STALE
        for queue in (*self.queues, self.later):
            try:
                queue.remove(entry)
            except ValueError:
                continue
            return

    def loopbreak(self) -> None:
        """Run nothing after the entry that runs now. Any thread may call this."""
        self.interrupt = (
            _BREAK  # which is more than _CONTINUE; no read, between which and the write one would be lost
        )

    def loopcontinue(self) -> None:
        """Poll after the entry that runs now."""
        self.interrupt |= _CONTINUE

    def note_most(self) -> int:
        """Return `most_active`, with what is active now in it."""
        self.most_active = max(self.most_active, self.count())
        return self.most_active

    def begin_pass(self) -> bool:
        """Forget what the last pass asked for, queue what it put off, and send what was written outside any callback.

        Returns:
            Whether nothing is active, nor to be sent: the poll may wait.
        """
        self.interrupt = 0
        self._deferred = 0
        if self.later:
            self._promote_later()  # first, so that nothing that is scheduled from now on runs before it
        if self.outbox:
            self.send_outbox()
        for queue in self.queues:
            if queue:  # though all that is in it may have been withdrawn
                return not (self or self.outbox)
        return not (self.later or self.outbox) or not (self or self.outbox)

    def send_outbox(self) -> None:
        """Send what was written; what write callbacks add to that waits for the next time, as it might never end."""
        for _ in range(len(self.outbox)):
            self.outbox.pop(0).flush_output()

    def _promote_later(self) -> None:
        """Queue what the pass before put off. Each counts as scheduled in this one."""
        later, self.later = self.later, deque()
        for entry in later:
            if entry.flags & STALE:
                entry.flags &= ~STALE
            else:
                self._deferred += 1
                self.enqueue(entry)

    def run_active(self) -> int | None:
        """Run the most urgent queue with anything in it.

        Returns:
            How many callbacks have run, evkit's own left out; ``None`` when nothing was active.

        Source: ``event_process_active``.
        """
        active = False
        try:
            for priority, queue in enumerate(self.queues):
                if queue:
                    active = True
                    if len(queue) > self.most_active:
                        self.note_most()
                    self._running_priority = priority
                    done = self._run_queue(queue)
                    if done or self.interrupt:
                        return done
        finally:
            self._running_priority = -1
        return 0 if active or self.later else None

    def _run(self, queue: deque[QueueEntry]) -> int:
        """Run what is queued, and send what each of them wrote.

        Source: ``event_process_active_single_queue``.
        """
        done = 0
        outbox = self.outbox
        entry: QueueEntry | None = None
        try:
            while queue:
                entry = queue.popleft()
                flags = entry.flags
                entry.flags = flags & _TAKEN
                if flags & _RARE:
                    if flags & STALE:
                        continue
                    done -= 1
                self.running = entry
                try:
                    if flags & DIRECT:
                        entry.callback(entry, entry.result)  # type: ignore[attr-defined]  # only an Event is DIRECT
                    else:
                        entry.run()
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as exception:  # asyncio's CancelledError is no Exception
                    self._escaped(exception, entry)
                if outbox:
                    outbox.pop().flush_output()
                    if outbox:
                        self.send_outbox()
                done += 1
                if self.interrupt:
                    break
        finally:
            # A traceback that somebody keeps holds this frame, which must not hold what has run.
            self.running = entry = None
        return done

    def _run_limited(self, queue: deque[QueueEntry]) -> int:
        """Run what is queued until a limit of `EventConfig` says to poll first."""
        if self._running_priority < self._min_priority:
            return self._run(queue)
        end = self._monotonic() + self._max_interval
        done = 0
        while queue and not self.interrupt:
            done += self._run(deque((queue.popleft(),)))
            if done == self._max_callbacks or self._monotonic() >= end:
                break
        return done
