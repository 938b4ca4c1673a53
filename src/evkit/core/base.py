"""`EventBase`: the face of the loop that programs see.

It decides how events are made, how many priorities there are, what is counted, and what time it is. What runs when is
`Loop`'s business, and what an entry does when it is run the entry's own (`event`): nothing here polls or calls back.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self

from evkit.core.event import Deferred, Event, EventCallback, QueueEntry, SignalEvent
from evkit.core.flags import (
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
    FEATURE_ET,
    event_bits,
)
from evkit.core.log import log_exception
from evkit.core.loop import Loop
from evkit.core.timers import CommonTimeout
from evkit.core.watch import Watcher, WatcherCallback
from evkit.errors import LoopError

__all__ = ["EventBase", "log_exception"]

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


class EventBase(Loop):
    """The loop: waits for events and calls back.

    Use it from one thread. Only `call_soon_threadsafe` may be called from others.

    Attributes:
        method: Name of the backend in use (``event_base_get_method``).
        features: ``FEATURE_…`` bits that it has (``event_base_get_features``).
        clock: Where its time comes from.
        closed: Whether `close` was called.
        exception_handler: Called with what escapes from a callback; the loop goes on. ``KeyboardInterrupt`` and
            ``SystemExit`` leave the loop instead, with the base in order. `log_exception` is the default.

    Args:
        config: Wishes for backend and loop.
        clock: Another clock, for tests.
        backend: A backend to use whatever ``config`` says, for tests; `close` closes it.

    Raises:
        NoBackendError: No backend fits ``config``.

    Source: ``event_base_new_with_config``.
    """

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

    # Time

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
