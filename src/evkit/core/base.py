"""`EventBase`: one pass of the loop after the other.

A pass asks the timers how long to wait, the backend what is ready, and puts the events concerned into the queue of
their priority; then it runs the most urgent queue that has any. What stands where is decided elsewhere (`evmap`,
`timers`); what an entry does when it is run is its own business (`event`).
"""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from evkit.core.backends.contract import Backend
from evkit.core.clock import Clock, SystemClock
from evkit.core.config import EventConfig
from evkit.core.event import (
    ACTIVE,
    ACTIVE_LATER,
    INTERNAL,
    STALE,
    Deferred,
    Event,
    EventCallback,
    QueueEntry,
    SignalEvent,
)
from evkit.core.evmap import FdMap
from evkit.core.evthread import Waker
from evkit.core.flags import (
    BASE_NO_CACHE_TIME,
    COUNT_ACTIVE,
    COUNT_ADDED,
    COUNT_VIRTUAL,
    EV_CLOSED,
    EV_ET,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NO_EXIT_ON_EMPTY,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
    FEATURE_ET,
    event_bits,
)
from evkit.core.log import LOG_ERR, fatal, log
from evkit.core.queues import ActiveQueues
from evkit.core.signals import InterruptShield, SignalMap
from evkit.core.timers import NEVER, CommonTimeout, Timers
from evkit.core.watch import Watcher, WatcherCallback
from evkit.errors import LoopError

LONGEST_POLL: Final = 35 * 60.0
"""Seconds. Some kernels take a longer wait for a negative one; libevent has the same cap."""
_MAX_PRIORITIES: Final = 255
"""libevent documents 256 and refuses it; 255 queues are what it allows."""


class HasFileno(Protocol):
    """A socket, a file, anything with a descriptor."""

    def fileno(self) -> int:
        """Return the descriptor."""


def _fileno(thing: HasFileno) -> int:
    try:
        return thing.fileno()
    except AttributeError:
        raise TypeError(f"expected a descriptor or something that has one, got {thing!r}") from None


ExceptionHandler = Callable[[Exception, object], object]
"""``handler(exception, source)``: what escaped, and from which event, buffered connection or callback."""


def log_exception(exception: Exception, source: object) -> None:
    """Log ``exception`` with its traceback: the default exception handler of a base."""
    try:
        import traceback  # some ms that a program whose callbacks don't fail does not pay
    except (ImportError, OSError):  # no descriptor is left to read it with
        lines = repr(exception)
    else:
        lines = "".join(traceback.format_exception(exception))
    log(LOG_ERR, f"exception in the callback of {source!r}\n{lines}")


class EventBase:
    """The loop: waits for events and calls back.

    Use it from one thread. Only `call_soon_threadsafe` may be called from others.

    Attributes:
        method: Name of the backend in use (``event_base_get_method``).
        features: ``FEATURE_…`` bits that it has (``event_base_get_features``).
        clock: Where its time comes from.
        closed: Whether `close` was called.
        pass_time: The monotonic time at which this pass's poll returned; 0 where none is cached. `now` is the way to
            ask; this is for code that runs once an event.
        queues: What is active.
        timers: All time-outs.
        exception_handler: Called with what escapes from a callback; the loop goes on. ``KeyboardInterrupt`` and
            ``SystemExit`` leave the loop instead, with the base in order.

    Args:
        config: Wishes for backend and loop.
        clock: Another clock, for tests.
        backend: A backend to use whatever ``config`` says, for tests; `close` closes it.

    Raises:
        NoBackendError: No backend fits ``config``.

    Source: ``event_base_new_with_config``.
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

    def __repr__(self) -> str:
        state = "closed" if self.closed else "looping" if self._looping else "idle"
        return (
            f"<EventBase {self.method} {state} added={self.num_events(COUNT_ADDED)} "
            f"active={self.num_events(COUNT_ACTIVE)}>"
        )

    # Making events

    def event(self, fd: "int | HasFileno", events: int, callback: EventCallback) -> Event:
        """Make an event; nothing is waited for until its ``add``.

        Args:
            fd: A descriptor, or something that has one; the signal's number with ``EV_SIGNAL``; -1 for none.
            events: ``EV_READ``, ``EV_WRITE``, ``EV_CLOSED`` or ``EV_SIGNAL``, with ``EV_PERSIST`` and ``EV_ET``.
            callback: ``callback(event, what)``.

        Raises:
            ValueError: The flags do not go together.

        Source: ``event_new``.
        """
        number = fd if isinstance(fd, int) else _fileno(fd)
        Event.check(number, events)
        if not self.features & FEATURE_ET:
            events &= ~EV_ET  # as in libevent, a wish that not every backend can fulfil
        return (SignalEvent if events & EV_SIGNAL else Event)(self, number, events, callback)

    def timer(self, callback: EventCallback, *, persist: bool = False) -> Event:
        """Make an event that only times out; ``add(seconds)`` starts it. Source: ``evtimer_new``."""
        return Event(self, -1, EV_PERSIST if persist else 0, callback)

    def signal(self, signum: int, callback: EventCallback) -> Event:
        """Make a persistent event for a signal. Source: ``evsignal_new``."""
        return self.event(signum, EV_SIGNAL | EV_PERSIST, callback)

    def once(
        self, fd: "int | HasFileno", events: int, callback: EventCallback, timeout: float | None = None
    ) -> Event:
        """Wait once, without an event to keep.

        A time-out alone of ``None`` or 0 goes straight to the queue, so such calls keep their order.

        Raises:
            ValueError: ``events`` has ``EV_SIGNAL`` or ``EV_PERSIST``.

        Source: ``event_base_once``, which returns no event; here it may be deleted early.
        """
        if events & (EV_SIGNAL | EV_PERSIST):
            raise ValueError(f"once takes no EV_SIGNAL and no EV_PERSIST, got {event_bits(events)}")
        event = self.event(fd, events, callback)
        if not timeout and not events & (EV_READ | EV_WRITE | EV_CLOSED):
            event.activate(EV_TIMEOUT)
        else:
            event.add(timeout)
        return event

    def deferred(self, callback: Callable[[], object], priority: int | None = None) -> Deferred:
        """Make a callback that ``schedule()`` puts into the queue. Source: ``event_deferred_cb_init_``."""
        if priority is None:
            priority = self.npriorities // 2
        elif not 0 <= priority < self.npriorities:
            raise ValueError(f"priority must be 0 to {self.npriorities - 1}, got {priority}")
        return Deferred(self, callback, priority)

    def call_soon(self, callback: Callable[..., object], *args: object) -> Deferred:
        """Call ``callback(*args)`` from the loop, after what is queued already.

        Raises:
            LoopError: The base is closed.
        """
        if self.closed:
            raise LoopError("call_soon on a closed event base")
        entry = Deferred(self, callback, self.npriorities // 2, args)
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

    def prepare(self, callback: WatcherCallback) -> Watcher:
        """Call ``callback(watcher, timeout)`` right before each poll. Source: ``evwatch_prepare_new``."""
        return Watcher(self._prepare_watchers, callback)

    def check(self, callback: WatcherCallback) -> Watcher:
        """Call ``callback(watcher, None)`` right after each poll. Source: ``evwatch_check_new``."""
        return Watcher(self._check_watchers, callback)

    def init_common_timeout(self, duration: float) -> CommonTimeout:
        """Return a time-out to pass to `Event.add` where many events wait for the same ``duration``.

        Raises:
            ValueError: ``duration`` is no time-out, or the base has 256 of them already.

        Source: ``event_base_init_common_timeout``.
        """
        self.check_timeout(duration)
        return self.timers.common(duration)

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
        self.once(-1, EV_TIMEOUT, self._on_exit_timer, after)

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

    def _on_wake(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._waker.clear()  # first, so that what is asked for from now on wakes anew
        for _ in range(
            len(self._threadsafe)
        ):  # not more than there are now: a busy thread must not keep us here
            callback, args = self._threadsafe.popleft()
            self.call_soon(callback, *args)
        if self._threadsafe:
            self._waker.wake()

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

    # Time

    def now(self) -> float:
        """Return the monotonic time of this pass: deadlines are counted from it.

        Outside the loop's callbacks, and with ``BASE_NO_CACHE_TIME``, it is the clock's. Source:
        ``event_gettime_monotonic`` with the cache of ``event_base_gettimeofday_cached``.
        """
        return self.pass_time or self._monotonic()

    def gettimeofday_cached(self) -> float:
        """Return the wall-clock time of this pass, in seconds since the epoch."""
        return self.clock.time() - (self._monotonic() - self.now())

    def update_cache_time(self) -> None:
        """Read the clock anew: for a callback that took long and now sets a timer.

        No effect outside the loop, as there is no cache. Source: ``event_base_update_cache_time``.
        """
        if self._looping and self._caches_time:
            self.pass_time = self._monotonic()

    # State

    def priority_init(self, count: int) -> None:
        """Have ``count`` queues; events made from now on get the middle one.

        Args:
            count: 1 to 255.

        Raises:
            ValueError: Out of range.
            LoopError: Something is active.

        Source: ``event_base_priority_init``.
        """
        if not 1 <= count <= _MAX_PRIORITIES:
            raise ValueError(f"priorities must be 1 to {_MAX_PRIORITIES}, got {count}")
        if self.queues:
            raise LoopError("the number of priorities can't change while events are active")
        self.queues.resize(count)

    @property
    def npriorities(self) -> int:
        """How many queues there are (``event_base_get_npriorities``)."""
        return self.queues.npriorities

    def in_thread(self) -> bool:
        """Return whether the caller's thread is the one that the loop runs in, or ran in last."""
        return threading.get_ident() == self._thread

    @property
    def running(self) -> QueueEntry | None:
        """What runs now: an `Event`, mostly. ``None`` between callbacks (``event_base_get_running_event``)."""
        return self.queues.running

    def num_events(self, mask: int) -> int:
        """Count events, evkit's own left out.

        Args:
            mask: ``COUNT_ADDED``, ``COUNT_ACTIVE`` and ``COUNT_VIRTUAL``, summed up. An event with a descriptor and a
                time-out counts twice as added, as in libevent.

        Source: ``event_base_get_num_events``.
        """
        count = 0
        if mask & COUNT_ADDED:
            count += self._fds.count + self.timers.count + self._signals.count
        if mask & COUNT_ACTIVE:
            count += self.queues.count()
        if mask & COUNT_VIRTUAL:
            count += self._virtual
        return count

    def add_virtual(self) -> None:
        """Keep the loop from ending for want of events, until `del_virtual`: something outside will still come.

        Source: ``event_base_add_virtual_``.
        """
        self._virtual += 1

    def del_virtual(self) -> None:
        """Undo one `add_virtual`. Source: ``event_base_del_virtual_``."""
        if not self._virtual:
            raise ValueError("del_virtual without add_virtual")
        self._virtual -= 1

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
