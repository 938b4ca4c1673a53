"""`Registry`: what an event base has, and the doors by which events and connections come to it.

The backend, the maps of descriptors and signals, the timers and the queues, as one: opened, made anew in a child
process, and closed. What stands where is decided elsewhere (`evmap`, `timers`, `signals`), and what runs when by
`Loop`, of which it knows nothing.
"""

import os
import threading
from collections import deque
from collections.abc import Callable

from evkit.core.backends.contract import Backend
from evkit.core.clock import Clock, SystemClock
from evkit.core.config import EventConfig
from evkit.core.debug import EntryTypes, entry_types
from evkit.core.event import (
    INTERNAL,
    Deferred,
    Event,
    EventCallback,
    Finalizer,
    SignalEvent,
    check_callback,
)
from evkit.core.evmap import FdMap
from evkit.core.evthread import Waker
from evkit.core.flags import BASE_NO_CACHE_TIME, EV_PERSIST, EV_READ, EV_SIGNAL
from evkit.core.fork import reinit_after_fork
from evkit.core.locks import LOCKING
from evkit.core.log import log_exception
from evkit.core.net import Resolver
from evkit.core.queues import ActiveQueues
from evkit.core.setup import SETUP
from evkit.core.signals import HUB, SignalMap
from evkit.core.tally import Tally
from evkit.core.timers import CommonTimeout, Timers, check_seconds
from evkit.errors import LoopError

ExceptionHandler = Callable[[BaseException, object], object]
"""``handler(exception, source)``: what escaped, and from which event, buffered connection or callback.

Nearly always an ``Exception``; what is none, as asyncio's ``CancelledError``, is handled like one.
"""


class Registry:
    """What is waited for and what is due; made as an `EventBase`, which tells of what programs use.

    Attributes:
        pass_time: The monotonic time at which this pass's poll returned; 0 where none is cached. `now` is the way to
            ask; this is for code that runs once an event.
        queues: What is active.
        timers: All time-outs.
        tally: How much is waited for.
        finalizers: Those that have not run yet.
        event_type: The class of events; whoever makes an event asks for it here.
        signal_type: The class of events for signals.
        deferred_type: The class of callbacks without an event.
        threadsafe: Whether it has locks.
        waiting: What to set when the base is closed: threads wait for it.
    """

    def __init__(
        self,
        config: EventConfig | None = None,
        *,
        clock: Clock | None = None,
        backend: Backend | None = None,
    ) -> None:
        SETUP.use("EventBase")
        config = config or EventConfig()
        self.clock: Clock = clock or SystemClock()
        self._process = os.getpid()
        self._make_backend = config.choose_backend() if backend is None else None
        self._backend: Backend = self._wrap(backend or self._new_backend())
        self.method = self._backend.name
        self.features = self._backend.features
        self.exception_handler: ExceptionHandler = log_exception

        types = self._entry_types()
        self.event_type: type[Event] = types.event
        self.signal_type: type[SignalEvent] = types.signal
        self.deferred_type: type[Deferred] = types.deferred
        self.tally = Tally()
        self._fds = FdMap(self._backend, self.tally)
        self._signals = SignalMap(self, self.tally)
        self.timers = Timers(self.tally)
        self._monotonic = self.clock.monotonic
        self.queues = self._make_queues(config)
        self.finalizers: dict[Finalizer, None] = {}

        self.looping = False
        self.closed = False
        self.threadsafe = False
        self.waiting: set[threading.Event] = set()
        self.asyncio_loop: object | None = None
        self.resolver: Resolver | None = None
        self._identify = LOCKING.identify
        self._thread = self._identify()
        self._caches_time = not config.flags & BASE_NO_CACHE_TIME
        self.pass_time = 0.0  # the time of this pass; 0: not cached
        self._threadsafe: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._waker = Waker()
        self.add_internal(self._waker.fd, self._on_wake)
        if config.reinit_after_fork:
            reinit_after_fork(self)

    def _entry_types(self) -> EntryTypes:
        """Return the classes of what is queued."""
        return entry_types(self)

    def _wrap(self, backend: Backend) -> Backend:
        """Return what is to be used in place of a new backend."""
        return backend

    def _make_queues(self, config: EventConfig) -> ActiveQueues:
        return ActiveQueues(config, self._monotonic, self.escaped)

    # What events and connections ask for

    def escaped(self, exception: BaseException, source: object) -> None:
        """Hand an exception that a callback of ``source`` let escape to `exception_handler`."""
        try:
            self.exception_handler(exception, source)
        except Exception as second:
            log_exception(exception, source)
            log_exception(second, "the exception handler of the event base")

    def insert(self, event: Event) -> None:
        """Wait for the descriptor or signal of ``event``."""
        (self._signals if event.events & EV_SIGNAL else self._fds).add(event)

    def remove(self, event: Event) -> None:
        """Wait for it no longer."""
        if not self.closed:
            (self._signals if event.events & EV_SIGNAL else self._fds).remove(event)

    def forget(self, fd: int) -> None:
        """Delete all events of a descriptor that is closed under them: its number may come back tomorrow."""
        for event in self._fds.events_of(fd):
            event.delete()

    def waits_for(self, fd: int) -> bool:
        """Return whether any event waits for a descriptor."""
        return not self.closed and bool(self._fds.events_of(fd))

    def add_internal(self, fd: int, callback: EventCallback) -> Event:
        """Wait for reading on a descriptor of evkit's own: such an event keeps no loop alive and counts nowhere."""
        event = self.event_type(self, fd, EV_READ | EV_PERSIST, callback)
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
        return check_seconds(timeout)

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
        entry = self.deferred_type(self, callback, self.queues.npriorities // 2, args)
        entry.schedule()
        return entry

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        """Call ``callback(*args)`` from the loop, and wake the loop for it. Any thread may call this.

        Raises:
            LoopError: The base is closed.
        """
        if self.closed:
            raise LoopError("call_soon_threadsafe on a closed event base")
        self._threadsafe.append((check_callback(callback), args))
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
        return self._identify() == self._thread

    # The end

    def reinit(self) -> None:
        """In a child process: wait by means that the parent does not share, for all that is waited for.

        Until then the child must not run the loop, nor add or delete an event: that would change what the parent
        waits for. May be called in a callback.

        Raises:
            LoopError: The base is closed, or its backend was handed to it.
            OSError: A new backend can't be had, or it refuses the descriptor of an event, which was closed.

        Source: ``event_reinit``.
        """
        if self.closed:
            raise LoopError("reinit() on a closed event base")
        before, self._backend = self._backend, self._wrap(self._new_backend())
        before.close()  # of which the parent's hears nothing
        if self._process != os.getpid():
            self._process = os.getpid()
            if not self.in_thread():  # the thread that ran the loop is not in the child
                self.looping = False
                self.queues.running = None
        if not self.looping:
            self._thread = self._identify()
        self._waker.renew()
        self._fds.move_to(self._backend)
        HUB.rearm()

    def _new_backend(self) -> Backend:
        if self._make_backend is None:
            raise LoopError("reinit() on an event base that was handed its backend: it can't make another")
        return self._make_backend()

    def close(self, *, finalize: bool = True) -> None:
        """Give back what the base has from the system, and restore signal handlers. Events of it are dead then.

        Args:
            finalize: Call the finalizers that are still to run, those that they queue included.

        Raises:
            LoopError: The loop runs.

        Source: ``event_base_free``, ``event_base_free_nofinalize``.
        """
        if self.looping:
            raise LoopError("close() inside the loop: leave it first, by loopexit() or loopbreak()")
        if self.closed:
            return
        while finalize and self.finalizers:
            self._finalize(next(iter(self.finalizers)))
        self._signals.close()
        self.closed = True
        self._backend.close()
        self._waker.close()
        for event in tuple(self.waiting):
            event.set()

    def _finalize(self, finalizer: Finalizer) -> None:
        try:
            finalizer.run()
        except Exception as exception:
            self.escaped(exception, finalizer)
