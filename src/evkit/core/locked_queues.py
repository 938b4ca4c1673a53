"""The queues of a base that locks: the lock is held while they change, and given up while somebody else's code runs.

It knows how a lock is given up (`released`), and whom to wake (`notify`); not whose lock it is.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from evkit.core.config import EventConfig
from evkit.core.event import ACTIVE, INTERNAL, STALE, QueueEntry
from evkit.core.locked_event import RELEASES
from evkit.core.locks import Condition, Lock
from evkit.core.queues import ActiveQueues

_NEVER_RUN: Final = 0


class Guard:
    """A lock that can be exchanged for a new one, and a condition of it.

    Attributes:
        lock: Held by whoever changes the base.
        finished: Notified when a callback has returned.
        released: Gives the lock up for the length of a ``with``; only for a thread that took it once.
    """

    __slots__ = ("finished", "lock", "released")

    def __init__(self, lock: Lock, finished: Condition) -> None:
        self.lock = lock
        self.finished = finished
        self.released = Released(self)


class Released:
    """The opposite of taking a lock."""

    __slots__ = ("_guard",)

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def __enter__(self) -> None:
        self._guard.lock.release()

    def __exit__(self, *error: object) -> None:
        try:
            self._guard.lock.acquire()
        except BaseException:  # of a signal handler, while this waited: a second Ctrl-C
            self._guard.lock.acquire()
            raise


class LockedQueues(ActiveQueues):
    """`ActiveQueues` that any thread may put something into.

    Attributes:
        turns: How many entries have run; tells one run of an entry from the next.

    Args:
        config: See `ActiveQueues`.
        monotonic: See `ActiveQueues`.
        escaped: See `ActiveQueues`.
        guard: The lock of the base.
        notify: Wakes the loop if it runs in another thread.
    """

    __slots__ = ("_guard", "_notify", "turns")

    def __init__(
        self,
        config: EventConfig,
        monotonic: Callable[[], float],
        escaped: Callable[[BaseException, object], None],
        guard: Guard,
        notify: Callable[[], None],
    ) -> None:
        super().__init__(config, monotonic, escaped)
        self._guard = guard
        self._notify = notify
        self.turns = _NEVER_RUN

    def enqueue(self, entry: QueueEntry) -> None:
        """See `ActiveQueues.enqueue`."""
        with self._guard.lock:
            super().enqueue(entry)
            self._notify()

    def schedule(self, entry: QueueEntry) -> bool:
        """See `ActiveQueues.schedule`."""
        with self._guard.lock:
            scheduled = super().schedule(entry)
            self._notify()
            return scheduled

    def send_outbox(self) -> None:
        """See `ActiveQueues.send_outbox`."""
        with self._guard.released:
            super().send_outbox()

    def _run(self, queue: deque[QueueEntry]) -> int:
        """See `ActiveQueues._run`; called with the lock held."""
        done = 0
        try:
            while queue:
                entry = queue.popleft()
                flags = entry.flags
                entry.flags = flags & ~(ACTIVE | STALE)
                if flags & STALE:
                    continue
                self._run_one(entry)
                if self.outbox:
                    self.send_outbox()
                if not flags & INTERNAL:
                    done += 1
                if self.interrupt:
                    break
        finally:
            self.running = entry = None  # type: ignore[assignment]  # as in `ActiveQueues._run`
        return done

    def _run_one(self, entry: QueueEntry) -> None:
        self.running = entry
        try:
            if isinstance(entry, RELEASES):
                entry.run()
            else:
                with self._guard.released:
                    entry.run()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exception:
            with self._guard.released:
                self._escaped(exception, entry)
        finally:
            self.running = None
            self.turns += 1
            self._guard.finished.notify_all()
            del entry  # as in `ActiveQueues._run`
