"""`EventBase`: the face of the loop that programs see.

It decides how events are made, how many priorities there are, what is counted, and what time it is. What runs when is
`Loop`'s business, and what an entry does when it is run the entry's own (`event`): nothing here polls or calls back.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self, TextIO, cast

from evkit.core.backends.contract import Backend
from evkit.core.census import all_events, dump
from evkit.core.clock import Clock
from evkit.core.config import EventConfig
from evkit.core.event import INSERTED, Deferred, Event, EventCallback, QueueEntry
from evkit.core.flags import (
    BASE_NOLOCK,
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
from evkit.core.locks import LOCKING
from evkit.core.log import log_exception
from evkit.core.loop import Loop
from evkit.core.timers import NEVER, CommonTimeout, check_seconds
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

    Use it from one thread. Only `call_soon_threadsafe` and `stop` may be called from others, unless `use_threads` was
    called before the first base was made: such a base locks.

    Attributes:
        method: Name of the backend in use (``event_base_get_method``).
        features: ``FEATURE_…`` bits that it has (``event_base_get_features``).
        signal_method: How it hears of signals (``event_base_get_signal_method``).
        clock: Where its time comes from.
        closed: Whether `close` was called.
        looping: Whether the loop runs.
        asyncio_loop: The asyncio loop that runs on the base; ``None``: none does.
        resolver: Finds the addresses of host names, where a connection is handed no other; ``None``: a
            `SystemResolver` is made by the first that asks.
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

    signal_method: Final = "signal"

    def __new__(
        cls,
        config: EventConfig | None = None,
        *,
        clock: Clock | None = None,  # noqa: ARG004 - what `__init__` gets
        backend: Backend | None = None,  # noqa: ARG004 - as above
    ) -> Self:
        """Make one that locks, if `use_threads` was called and ``config`` has no ``BASE_NOLOCK``."""
        unlocked = config is not None and config.flags & BASE_NOLOCK
        locked = None if unlocked or cls is not EventBase else LOCKING.base_type
        return super().__new__(cls if locked is None else cast(type[Self], locked))

    def __repr__(self) -> str:
        state = "closed" if self.closed else "looping" if self.looping else "idle"
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
        return (self.signal_type if events & EV_SIGNAL else self.event_type)(self, number, events, callback)

    def timer(self, callback: EventCallback, *, persist: bool = False) -> Event:
        """Make an event that only times out; ``add(seconds)`` starts it. Source: ``evtimer_new``."""
        return self.event_type(self, -1, EV_PERSIST if persist else 0, callback)

    def user(self, callback: EventCallback) -> Event:
        """Make an event that waits for nothing; ``trigger()`` lets it be called. Source: ``evuser_new``."""
        return self.event_type(self, -1, 0, callback)

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
        return self.deferred_type(self, callback, priority)

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
        check_seconds(duration)
        return self.timers.common(duration)

    # Time

    def gettimeofday_cached(self) -> float:
        """Return the wall-clock time of this pass, in seconds since the epoch."""
        return self.clock.time() - (self._monotonic() - self.now())

    def update_cache_time(self) -> None:
        """Read the clock anew: for a callback that took long and now sets a timer.

        No effect outside the loop, as there is no cache. Source: ``event_base_update_cache_time``.
        """
        if self.looping and self._caches_time:
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
            count += self.tally.added
        if mask & COUNT_ACTIVE:
            count += self.queues.count()
        if mask & COUNT_VIRTUAL:
            count += self.tally.virtual
        return count

    def max_events(self, mask: int, *, clear: bool = False) -> int:
        """Return how many events there were at most, evkit's own left out.

        Active ones are counted when callbacks begin to run and when this is called, so what a callback activates and
        the same pass runs may be missed.

        Args:
            mask: As for `num_events`. For several bits it is the sum of their maxima.
            clear: Begin anew for the bits of ``mask``.

        Source: ``event_base_get_max_events``.
        """
        tally = self.tally
        tally.note_most()
        count = 0
        if mask & COUNT_ADDED:
            count += tally.most_added
            tally.most_added *= not clear
        if mask & COUNT_ACTIVE:
            count += self.queues.note_most()
            self.queues.most_active *= not clear
        if mask & COUNT_VIRTUAL:
            count += tally.most_virtual
            tally.most_virtual *= not clear
        return count

    def events(self) -> list[Event]:
        """Return the events that wait for anything or are active, evkit's own (`Event.internal`) included.

        In libevent's order: by descriptor, by signal, other timers by deadline, those of common time-outs, others that
        are active.
        """
        return list(all_events(self._fds, self._signals, self.timers, self.queues))

    def foreach_event(self, fn: Callable[[Event], object]) -> object:
        """Call ``fn(event)`` for each of `events`, until it returns something true.

        Returns:
            What ``fn`` returned last; ``None`` if there are no events.

        Source: ``event_base_foreach_event``; ``fn`` may add and delete events here.
        """
        result: object = None
        for event in self.events():
            result = fn(event)
            if result:
                break
        return result

    def dump_events(self, file: TextIO) -> None:
        """Write a table of all events into a text file, for people. Source: ``event_base_dump_events``."""
        dump(self.events(), self.clock.time() - self._monotonic(), file)

    def active_by_fd(self, fd: int, events: int) -> None:
        """Activate the events of a descriptor that wait for any of ``events``, with those bits of it.

        Args:
            fd: The descriptor.
            events: ``EV_READ``, ``EV_WRITE``, ``EV_CLOSED``; with ``EV_TIMEOUT`` those that have a time-out.

        Source: ``event_base_active_by_fd``, which forgets the other bits where ``EV_TIMEOUT`` is among them.
        """
        for event in self.events():
            if event.fd != fd or event.events & EV_SIGNAL:
                continue
            hit = event.pending(events & (EV_READ | EV_WRITE | EV_CLOSED)) if event.flags & INSERTED else 0
            if events & EV_TIMEOUT and event.deadline != NEVER:
                hit |= EV_TIMEOUT
            if hit:
                event.activate(hit)

    def active_by_signal(self, signum: int) -> None:
        """Activate the events of a signal, as one delivery does. Source: ``event_base_active_by_signal``."""
        self._signals.activate(signum, 1)

    def add_virtual(self) -> None:
        """Keep the loop from ending for want of events, until `del_virtual`: something outside will still come.

        Source: ``event_base_add_virtual_``.
        """
        self.tally.virtual += 1

    def del_virtual(self) -> None:
        """Undo one `add_virtual`. Source: ``event_base_del_virtual_``."""
        if not self.tally.virtual:
            raise ValueError("del_virtual without add_virtual")
        self.tally.note_most()
        self.tally.virtual -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
