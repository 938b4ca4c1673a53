"""`Loop`: one pass after the other, and the doors by which events and connections come to it.

A pass asks the timers how long to wait, the backend what is ready, and puts the events concerned into the queue of
their priority; then it runs the most urgent queue that has any. What stands where is decided elsewhere (`evmap`,
`timers`, `signals`), who runs next by `queues`, and what an entry does when it is run is its own business (`event`). It
knows nothing of buffers and connections, nor of what programs do with an event.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from evkit.core.backends.contract import Backend
from evkit.core.clock import Clock, SystemClock
from evkit.core.config import EventConfig
from evkit.core.event import ACTIVE, ACTIVE_LATER, INTERNAL, STALE, Deferred, Event, EventCallback
from evkit.core.evmap import FdMap
from evkit.core.evthread import Waker
from evkit.core.flags import (
    BASE_NO_CACHE_TIME,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EVLOOP_NO_EXIT_ON_EMPTY,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.log import fatal, log_exception
from evkit.core.queues import ActiveQueues
from evkit.core.signals import InterruptShield, SignalMap
from evkit.core.timers import NEVER, CommonTimeout, Timers
from evkit.core.watch import Watcher
from evkit.errors import LoopError

LONGEST_POLL: Final = 35 * 60.0
"""Seconds. Some kernels take a longer wait for a negative one; libevent has the same cap."""

ExceptionHandler = Callable[[Exception, object], object]
"""``handler(exception, source)``: what escaped, and from which event, buffered connection or callback."""


class Loop:
    """What runs; made as an `EventBase`, which tells of the arguments and of the attributes that programs use.

    Attributes:
        pass_time: The monotonic time at which this pass's poll returned; 0 where none is cached. `now` is the way to
            ask; this is for code that runs once an event.
        queues: What is active.
        timers: All time-outs.
    """

    def __init__(
        self,
        config: EventConfig | None = None,
        *,
        clock: Clock | None = None,
        backend: Backend | None = None,
    ) -> None:
        config = config or EventConfig()
        self.clock: Clock = clock or SystemClock()
        self._backend: Backend = backend or config.choose_backend()()
        self.method = self._backend.name
        self.features = self._backend.features
        self.exception_handler: ExceptionHandler = log_exception

        self._fds = FdMap(self._backend)
        self._signals = SignalMap(self)
        self.timers = Timers()
        self._monotonic = self.clock.monotonic
        self.queues = ActiveQueues(config, self._monotonic, self.escaped)
        self._virtual = 0
        self._looping = False
        self.closed = False
        self._got_exit = False
        self._got_break = False
        self._thread = threading.get_ident()

        self._caches_time = not config.flags & BASE_NO_CACHE_TIME
        self.pass_time = 0.0  # the time of this pass; 0: not cached
        self._prepare_watchers: list[Watcher] = []
        self._check_watchers: list[Watcher] = []
        self._threadsafe: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._waker = Waker()
        self.add_internal(self._waker.fd, self._on_wake)

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

        Source: ``event_base_loop``.
        """
        self._check_enterable()
        queues = self.queues
        fds = self._fds
        timers = self.timers.heap.entries
        shield = InterruptShield(self._interrupt, self._waker)
        try:
            self._enter()
            while True:
                idle = queues.begin_pass()
                if self._got_exit or self._got_break:
                    return True
                if idle and not (fds.count or flags & EVLOOP_NO_EXIT_ON_EMPTY or self._has_added()):
                    return False
                self._poll(wait=idle and not flags & EVLOOP_NONBLOCK)
                if timers and timers[0][0] <= (self.pass_time or self._monotonic()):
                    self._expire()
                done = queues.run_active()
                if done is None:
                    if flags & EVLOOP_NONBLOCK:
                        return True
                elif done and flags & EVLOOP_ONCE and not queues:
                    return True
        finally:
            self._looping = False
            self.pass_time = 0.0
            shield.close()

    def loopexit(self, after: float | None = None) -> None:
        """Leave the loop after the callbacks that are active now, or after those of the pass in ``after`` seconds.

        Source: ``event_base_loopexit``.
        """
        event = Event(self, -1, 0, self._on_exit_timer)
        if after:
            event.add(after)
        else:
            event.activate(EV_TIMEOUT)

    def loopbreak(self) -> None:
        """Leave the loop after the callback that runs now; what else is active runs when the loop is entered again.

        Source: ``event_base_loopbreak``. As there, one that was asked for outside the loop is forgotten on entry.
        """
        self._got_break = True
        self.queues.loopbreak()
        if self.queues.running is None:
            self._waker.wake()  # called by a watcher, a signal handler, a write callback: the poll must not wait

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

    def _on_exit_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._got_exit = True

    # One pass

    def _check_enterable(self) -> None:
        if self._looping:
            raise LoopError("loop() was called from inside itself: one EventBase runs one loop at a time")
        if self.closed:
            raise LoopError("loop() on a closed event base")

    def _enter(self) -> None:
        self._thread = threading.get_ident()
        self._got_exit = self._got_break = False
        self.pass_time = 0.0
        self._looping = True

    def _interrupt(self) -> None:
        """Leave the loop for the first Ctrl-C, after what runs now."""
        self.queues.loopbreak()
        self._got_break = True
        self._waker.wake()

    def _has_added(self) -> bool:
        """Return whether anything but a descriptor is waited for."""
        return bool(self.timers.count or self._signals.count or self._virtual or self._threadsafe)

    def _poll_timeout(self) -> float | None:
        deadline = self.timers.heap.first_deadline()
        if deadline == NEVER:
            return None
        return min(max(0.0, deadline - self._monotonic()), LONGEST_POLL)

    def _poll(self, *, wait: bool) -> None:
        """Look what is ready, and wait for it if ``wait``; queue the events concerned."""
        if self.queues.later:
            self.queues.promote_later()
        timeout = self._poll_timeout() if wait else 0.0
        if self._prepare_watchers:
            self._run_watchers(self._prepare_watchers, timeout)
            timeout = self._timeout_after_watchers(wait)
        self.pass_time = 0.0
        try:
            ready = self._backend.wait(timeout)
        except OSError as error:
            fatal(f"the {self.method} backend failed: {error}", error)
        slots = self._fds.slots
        masks = self._backend.masks
        queues = self.queues.queues
        for fd, native in ready:
            slot = slots.get(fd)
            if slot is None:
                continue  # reported once more after it was forgotten
            what = masks[native]
            for event in slot.events:
                hit = event.events & what
                if hit:
                    if event.flags & (ACTIVE | ACTIVE_LATER | STALE):
                        event.activate(hit | slot.edge)
                    else:
                        event.flags |= ACTIVE
                        event.result = hit | slot.edge
                        queues[event.level].append(event)
        if self._caches_time:
            self.pass_time = self._monotonic()
        if self._check_watchers:
            self._run_watchers(self._check_watchers, None)

    def _timeout_after_watchers(self, wait: bool) -> float | None:
        """Return how long to wait, now that watchers may have written, activated, or added something."""
        self.queues.send_outbox()
        if not wait or self.queues or self.queues.outbox or self._got_break:
            return 0.0
        return self._poll_timeout()

    def _run_watchers(self, watchers: list[Watcher], timeout: float | None) -> None:
        for watcher in tuple(watchers):
            try:
                watcher.run(timeout)
            except Exception as exception:
                self.escaped(exception, watcher)

    def _expire(self) -> None:
        """Queue the events whose deadline has passed."""
        for event in self.timers.expire(self.now()):
            event.activate(EV_TIMEOUT)

    # What events and connections ask for

    def escaped(self, exception: Exception, source: object) -> None:
        """Hand an exception that a callback of ``source`` let escape to `exception_handler`."""
        try:
            self.exception_handler(exception, source)
        except Exception as second:
            log_exception(exception, source)
            log_exception(second, "the exception handler of the event base")

    def insert(self, event: Event) -> None:
        """Wait for the descriptor or signal of ``event``."""
        if self.closed:
            raise LoopError(f"{event!r} can't be added: its event base is closed")
        (self._signals if event.events & EV_SIGNAL else self._fds).add(event)

    def remove(self, event: Event) -> None:
        """Wait for it no longer."""
        if not self.closed:
            (self._signals if event.events & EV_SIGNAL else self._fds).remove(event)

    def forget(self, fd: int) -> None:
        """Delete all events of a descriptor that is closed under them: its number may come back tomorrow."""
        slot = self._fds.slots.get(fd)
        for event in tuple(slot.events) if slot is not None else ():
            event.delete()

    def add_internal(self, fd: int, callback: EventCallback) -> Event:
        """Wait for reading on a descriptor of evkit's own: such an event keeps no loop alive and counts nowhere."""
        event = Event(self, fd, EV_READ | EV_PERSIST, callback)
        event.flags |= INTERNAL
        event.add()
        return event

    def check_timeout(self, timeout: float | CommonTimeout) -> float:
        """Return ``timeout`` in seconds.

        Raises:
            ValueError: It is negative, infinite, not a number, or another base's.
        """
        if isinstance(timeout, CommonTimeout):
            if not self.timers.owns(timeout):
                raise ValueError(f"{timeout!r} is not of this event base")
            return timeout.duration
        if not 0 <= timeout < NEVER:
            raise ValueError(f"a time-out is a number of seconds >= 0, got {timeout!r}")
        return timeout

    def now(self) -> float:
        """Return the monotonic time of this pass: deadlines are counted from it.

        Outside the loop's callbacks, and with ``BASE_NO_CACHE_TIME``, it is the clock's. Source:
        ``event_gettime_monotonic`` with the cache of ``event_base_gettimeofday_cached``.
        """
        return self.pass_time or self._monotonic()

    # Calls, of other threads too

    def call_soon(self, callback: Callable[..., object], *args: object) -> Deferred:
        """Call ``callback(*args)`` from the loop, after what is queued already.

        Raises:
            LoopError: The base is closed.
        """
        if self.closed:
            raise LoopError("call_soon on a closed event base")
        entry = Deferred(self, callback, self.queues.npriorities // 2, args)
        entry.schedule()
        return entry

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        """Call ``callback(*args)`` from the loop, and wake the loop for it. Any thread may call this.

        Raises:
            LoopError: The base is closed.
        """
        if self.closed:
            raise LoopError("call_soon_threadsafe on a closed event base")
        self._threadsafe.append((callback, args))
        self._waker.wake()

    def _on_wake(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._waker.clear()  # first, so that what is asked for from now on wakes anew
        for _ in range(len(self._threadsafe)):  # no more than there are: a busy thread must not keep us here
            callback, args = self._threadsafe.popleft()
            self.call_soon(callback, *args)
        if self._threadsafe:
            self._waker.wake()

    def in_thread(self) -> bool:
        """Return whether the caller's thread is the one that the loop runs in, or ran in last."""
        return threading.get_ident() == self._thread

    # The end

    def close(self) -> None:
        """Give back what the base has from the system, and restore signal handlers. Events of it are dead then.

        Source: ``event_base_free``.

        Raises:
            LoopError: The loop runs.
        """
        if self._looping:
            raise LoopError("close() inside the loop: leave it first, by loopexit() or loopbreak()")
        if self.closed:
            return
        self._signals.close()
        self.closed = True
        self._backend.close()
        self._waker.close()
