"""`Loop`: one pass after the other.

A pass asks the timers how long to wait, the backend what is ready, and puts the events concerned into the queue of
their priority; then it runs the most urgent queue that has any. What it works on is the `Registry`; who runs next is
decided by `queues`, and what an entry does when it is run is its own business (`event`). It knows nothing of buffers
and connections, nor of what programs do with an event.
"""

from typing import Final

from evkit.core.backends.contract import Backend
from evkit.core.clock import Clock
from evkit.core.config import EventConfig
from evkit.core.event import ACTIVE, STALE, Event
from evkit.core.flags import EV_TIMEOUT, EVLOOP_NO_EXIT_ON_EMPTY, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.log import fatal
from evkit.core.registry import Registry
from evkit.core.signals import InterruptShield
from evkit.core.timers import NEVER
from evkit.core.watch import Watcher
from evkit.errors import LoopError

_LOOP_FLAGS: Final = EVLOOP_ONCE | EVLOOP_NONBLOCK | EVLOOP_NO_EXIT_ON_EMPTY
_QUEUED: Final = ACTIVE | STALE
LONGEST_POLL: Final = 35 * 60.0
"""Seconds. Some kernels take a longer wait for a negative one; libevent has the same cap."""


class Loop(Registry):
    """What runs; made as an `EventBase`, which tells of the arguments."""

    def __init__(
        self,
        config: EventConfig | None = None,
        *,
        clock: Clock | None = None,
        backend: Backend | None = None,
    ) -> None:
        super().__init__(config, clock=clock, backend=backend)
        self._leaving = False  # for any of the three reasons that follow
        self._got_exit = False
        self._got_break = False
        self._stopping = False
        self._prepare_watchers: list[Watcher] = []
        self._check_watchers: list[Watcher] = []

    # The loop

    def dispatch(self) -> bool:
        """Run until nothing is left to wait for, or somebody stops it; see `loop`."""
        return self.loop(0)

    def loop(self, flags: int = 0) -> bool:
        """Wait for events and call back.

        Args:
            flags: ``EVLOOP_ONCE``: until some callbacks have run. ``EVLOOP_NONBLOCK``: without waiting, until a poll
                finds nothing; both: one pass. ``EVLOOP_NO_EXIT_ON_EMPTY``: wait even with nothing to wait for.

        Returns:
            Whether it was stopped or the flags ended it (libevent's 0); ``False`` when nothing was left to wait for
            (libevent's 1).

        Raises:
            LoopError: The base runs already, is closed, or its backend failed.
            ValueError: There is no such flag.

        Source: ``event_base_loop``.
        """
        self._check_enterable(flags)
        queues = self.queues
        tally = self.tally
        timers = self.timers.heap.entries
        self._enter()
        shield = InterruptShield(self._interrupt, None if flags & EVLOOP_NONBLOCK else self._waker)
        try:
            while True:
                idle = queues.begin_pass()
                if self._leaving:
                    return True
                if idle and not (
                    tally.added or tally.virtual or self._threadsafe or flags & EVLOOP_NO_EXIT_ON_EMPTY
                ):
                    return False
                self._poll(wait=idle and not flags & EVLOOP_NONBLOCK)
                if timers and timers[0][0] <= (self.pass_time or self._monotonic()):
                    self._expire()
                done = queues.run_active()
                if done is None:
                    if flags & EVLOOP_NONBLOCK:
                        queues.send_outbox()
                        return True
                elif done and flags & EVLOOP_ONCE and not queues:
                    queues.send_outbox()
                    return True
        finally:
            self.looping = self._stopping = False
            self.pass_time = 0.0
            shield.close()

    def loopexit(self, after: float | None = None) -> None:
        """Leave the loop after the callbacks of its priority that are active now, or of the pass in ``after`` seconds.

        Source: ``event_base_loopexit``.
        """
        event = self.event_type(self, -1, 0, self._on_exit_timer)
        if after:
            event.add(after)
        else:
            event.activate(EV_TIMEOUT)

    def loopbreak(self) -> None:
        """Leave the loop after the callback that runs now; what else is active runs when the loop is entered again.

        Source: ``event_base_loopbreak``. As there, one that was asked for outside the loop is forgotten on entry.
        """
        self._got_break = self._leaving = True
        self.queues.loopbreak()
        if self.queues.running is None:
            self._waker.wake()  # called by a watcher, a signal handler, a write callback: the poll must not wait

    def stop(self) -> None:
        """Leave the loop after the callback that runs now; asked for while no loop runs, the next one ends at once.

        Any thread and any signal handler may call this. The loop that ends by it returns ``True`` and forgets it, so
        that the one after it runs. What else is active runs then, as after `loopbreak`.

        libevent has no such function, and its users lose the `loopbreak` that comes a moment too early.
        """
        self._stopping = True  # first: `_enter` asks for it after it has cleared what follows
        self._leaving = True
        self.queues.loopbreak()
        self._waker.wake()

    def loopcontinue(self) -> None:
        """Poll again after the callback that runs now. Source: ``event_base_loopcontinue``."""
        self.queues.loopcontinue()

    @property
    def got_exit(self) -> bool:
        """Whether the loop was left by `loopexit`, until it is entered again."""
        return self._got_exit

    @property
    def got_break(self) -> bool:
        """Whether the loop was left by `loopbreak`, until it is entered again."""
        return self._got_break

    @property
    def breaking(self) -> bool:
        """Whether the loop is to be left before anything else is called."""
        return self._got_break or self._stopping

    def _on_exit_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._got_exit = self._leaving = True

    # One pass

    def _check_enterable(self, flags: int) -> None:
        if self.looping:
            raise LoopError("loop() was called from inside itself: one EventBase runs one loop at a time")
        if self.closed:
            raise LoopError("loop() on a closed event base")
        if flags & ~_LOOP_FLAGS:
            raise ValueError(f"loop() takes EVLOOP_… flags, got {flags:#x}")

    def _enter(self) -> None:
        self._thread = self._identify()
        self._got_exit = self._got_break = self._leaving = False
        if self._stopping:
            self._leaving = True
        self.pass_time = 0.0
        self.looping = True

    def _interrupt(self) -> None:
        """Leave the loop for the first Ctrl-C, after what runs now."""
        self._got_break = self._leaving = True
        self.queues.loopbreak()
        self._waker.wake()

    def _poll_timeout(self) -> float | None:
        deadline = self.timers.heap.first_deadline()
        if deadline == NEVER:
            return None
        seconds = deadline - self._monotonic()
        if seconds > LONGEST_POLL:
            return LONGEST_POLL
        return seconds if seconds > 0.0 else 0.0

    def _poll(self, *, wait: bool) -> None:
        """Look what is ready, and wait for it if ``wait``; queue the events concerned."""
        timeout = self._poll_timeout() if wait else 0.0
        if self._prepare_watchers:
            self._run_watchers(self._prepare_watchers, timeout)
            timeout = self._timeout_after_watchers(wait)
        self.pass_time = 0.0
        try:
            ready = self._backend.wait(timeout)
        except OSError as error:
            fatal(f"the {self.method} backend failed: {error}", error)
        alone = self._fds.alone
        masks = self._backend.masks
        queues = self.queues.queues
        for fd, native in ready:
            try:
                event = alone[fd]
            except KeyError:
                self._activate_shared(fd, masks[native])
                continue
            hit = event.events & masks[native]
            if hit:
                flags = event.flags
                if flags & _QUEUED:
                    event.activate(hit)
                else:
                    event.flags = flags | ACTIVE
                    event.result = hit
                    queues[event.level].append(event)
        if self._caches_time:
            self.pass_time = self._monotonic()
        if self._check_watchers:
            self._run_watchers(self._check_watchers, None)

    def _activate_shared(self, fd: int, what: int) -> None:
        """Queue those events of ``fd`` that ``what`` concerns; it may be reported once more after it was forgotten."""
        slot = self._fds.shared.get(fd)
        if slot is not None:
            for event in slot.events:
                hit = event.events & what
                if hit:
                    event.activate(hit | slot.edge)

    def _timeout_after_watchers(self, wait: bool) -> float | None:
        """Return how long to wait, now that watchers may have written, activated, or added something."""
        self.queues.send_outbox()
        if not wait or self.queues or self.queues.outbox or self.breaking:
            return 0.0
        return self._poll_timeout()

    def _run_watchers(self, watchers: list[Watcher], timeout: float | None) -> None:
        for watcher in tuple(watchers):
            try:
                watcher.run(timeout)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exception:
                self.escaped(exception, watcher)

    def _expire(self) -> None:
        """Queue the events whose deadline has passed."""
        for event in self.timers.expire(self.now()):
            event.activate(EV_TIMEOUT)
