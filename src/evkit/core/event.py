"""`Event`: one thing to wait for, its callback, and the state machine between the two.

Also `QueueEntry`, the one kind of thing that the loop's queues hold, `Deferred`, a callback without an event, and
`Finalizer`, the last callback of one.
Everything that needs other events (the maps, the timers, the queues) is the base's.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from evkit.core.flags import (
    EV_CLOSED,
    EV_ET,
    EV_FINALIZE,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    event_bits,
)
from evkit.core.timers import NEVER, CommonTimeout, Entry
from evkit.errors import LoopError

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.registry import Registry

# States of a queue entry, of which several hold at once (EVLIST_… in libevent). Whether a deadline is waited for is
# told by the deadline itself.
INSERTED: Final = 0x02
ACTIVE: Final = 0x08
INTERNAL: Final = 0x10
STALE: Final = 0x40  # it stands in a queue without meaning it any more
DIRECT: Final = 0x20  # it persists without a time-out: to run it is to call its callback
FINALIZING: Final = 0x80  # freed or finalized: it is never waited for again

_IO: Final = EV_READ | EV_WRITE | EV_CLOSED
_WAITED_FOR: Final = _IO | EV_SIGNAL
_KNOWN: Final = _WAITED_FOR | EV_TIMEOUT | EV_PERSIST | EV_ET | EV_FINALIZE

EventCallback = Callable[["Event", int], object]
FinalizeCallback = Callable[["Event"], object]


def check_callback(callback: Callable[..., object]) -> Callable[..., object]:
    """Return ``callback``.

    Raises:
        TypeError: It can't be called; better said now than when it is due.
    """
    if not callable(callback):
        raise TypeError(f"a callback must be callable, got {callback!r}")
    return callback


class QueueEntry:
    """What stands in a queue of the loop: it has a place there and can be run.

    Attributes:
        base: The `EventBase` it belongs to.
        level: Its priority: the index of its queue, 0 the most urgent.
        flags: ``INSERTED`` … ``STALE``.
    """

    __slots__ = ("base", "flags", "level")

    def __init__(self, base: "Registry", priority: int) -> None:
        self.base = base
        self.flags = 0
        self.level = priority

    def run(self) -> None:
        """Do what was queued. The loop has taken the entry off its queue and cleared ``ACTIVE``."""
        raise NotImplementedError

    def withdraw(self) -> None:
        """Leave the queue, if in one. To take it out of the middle would cost a search; the loop drops it instead."""
        if self.flags & ACTIVE:
            self.flags = self.flags & ~ACTIVE | STALE


class Deferred(QueueEntry):
    """A callback that runs from the loop soon, once, however often it was scheduled before that.

    Source: ``event_deferred_cb_init_``.
    """

    __slots__ = ("_args", "_callback")

    def __init__(
        self,
        base: "Registry",
        callback: Callable[..., object],
        priority: int,
        args: tuple[object, ...] = (),
    ) -> None:
        self.base = base  # not by way of the class above, which costs a tenth of a `call_soon`
        self.flags = 0
        self.level = priority
        self._callback = check_callback(callback)
        self._args = args

    def __repr__(self) -> str:
        state = "active" if self.flags & ACTIVE else "idle"
        return f"<Deferred {self._callback!r} {state}>"

    def schedule(self) -> bool:
        """Run soon; return whether it was not scheduled already."""
        return self.base.queues.schedule(self)

    def cancel(self) -> None:
        """Don't run."""
        self.withdraw()

    def run(self) -> None:
        """See `QueueEntry.run`."""
        try:
            self._callback(*self._args)
        finally:
            del self  # a traceback that somebody keeps holds this frame, which must not hold the arguments


class Finalizer(QueueEntry):
    """The last callback of an event; made by `Event.finalize`.

    An entry of its own: no call of the event's reaches it, and nobody who deletes the event waits for it.
    """

    __slots__ = ("_callback", "_event")

    def __init__(self, event: "Event", callback: "FinalizeCallback") -> None:
        super().__init__(event.base, event.level)
        self._event = event
        self._callback = check_callback(callback)

    def __repr__(self) -> str:
        return f"<Finalizer of {self._event!r}>"

    def run(self) -> None:
        """See `QueueEntry.run`."""
        self.base.finalizers.pop(self, None)
        self._callback(self._event)


class Event(QueueEntry):
    """A descriptor, a time-out, or both, to wait for; made by `EventBase.event` and `EventBase.timer`.

    The event is waited for from `add` until it fires, or until `delete` where ``EV_PERSIST`` is among its flags. Its
    callback may add, delete or activate anything, the event itself included.

    Attributes:
        fd: The descriptor, the signal's number, or -1.
        events: The ``EV_…`` flags that it was made with.
        callback: ``callback(event, what)``, where ``what`` tells what happened.
        interval: Seconds after which a persistent event times out again; ``None``: it has no time-out.
        deadline: When it times out, on the base's monotonic clock; infinite when it does not.
        result: While it is active: what happened.
    """

    __slots__ = ("callback", "common", "deadline", "events", "fd", "heap_entry", "interval", "result")

    base: "EventBase"  # every loop is one, and callbacks find all of it here

    def __init__(self, base: "Registry", fd: int, events: int, callback: EventCallback) -> None:
        self.base = base  # type: ignore[assignment]  # not by way of the class above: see `Deferred`
        self.flags = DIRECT if events & EV_PERSIST else 0
        self.level = base.queues.npriorities // 2
        self.fd = fd
        self.events = events
        self.callback: EventCallback = check_callback(callback)
        self.interval: float | None = None
        self.deadline = NEVER
        self.heap_entry: Entry | None = None
        self.common: CommonTimeout | None = None
        self.result = 0

    @staticmethod
    def check(fd: int, events: int) -> None:
        """Refuse what no event can be.

        Raises:
            ValueError: Says which flags do not go together.
        """
        if events & ~_KNOWN:
            raise ValueError(f"events has unknown bits: {events:#x}; expected EV_READ, EV_WRITE, …")
        if events & EV_SIGNAL and events & _IO:
            raise ValueError(f"an event waits for a signal or for a descriptor, got {event_bits(events)}")
        if events & _IO and fd < 0:
            raise ValueError(f"{event_bits(events)} needs an open descriptor, got {fd}")

    @property
    def priority(self) -> int:
        """Its queue, 0 the most urgent; see `set_priority`. Source: ``event_get_priority``."""
        return self.level

    @property
    def internal(self) -> bool:
        """Whether the event is evkit's own: it keeps no loop alive and counts nowhere."""
        return bool(self.flags & INTERNAL)

    def __repr__(self) -> str:
        where = f"signal={self.fd}" if self.events & EV_SIGNAL else f"fd={self.fd}"
        parts = [f"<Event {where} {event_bits(self.events)}"]
        if self.flags & INSERTED:
            parts.append("added")
        if self.flags & ACTIVE:
            parts.append(f"active={event_bits(self.result)}")
        if self.deadline != NEVER:
            parts.append(f"deadline={self.deadline - self.base.now():+.3g}s")
        return " ".join(parts) + ">"

    def add(self, timeout: float | CommonTimeout | None = None) -> None:
        """Wait for the event, and at most ``timeout`` seconds for it.

        An event that is added already keeps what it waits for; a time-out given replaces its time-out, and ``None``
        leaves that alone (`remove_timer` takes it away). All or nothing: when this raises, nothing has changed.

        Args:
            timeout: Seconds >= 0, or what `EventBase.init_common_timeout` returned.

        Raises:
            ValueError: The time-out is negative, not a number, or another base's.
            OSError: The backend refuses the descriptor.
            LoopError: The base is closed, or the event was freed or finalized.

        Source: ``event_add``.
        """
        base = self.base
        flags = self.flags
        if flags & FINALIZING or base.closed:
            raise self.dead("add()")
        queue = None
        if isinstance(timeout, CommonTimeout):
            queue, timeout = timeout, base.check_timeout(timeout)
        elif timeout is not None and not 0 <= timeout < NEVER:
            base.check_timeout(timeout)  # raises
        if (
            self.events & _WAITED_FOR
            and not flags & INSERTED
            and not (flags & ACTIVE and self._goes(timeout))
        ):
            base.insert(self)
            self.flags |= INSERTED
        if timeout is not None:
            self._set_timer(timeout, queue)

    def _goes(self, timeout: float | None) -> bool:
        """Return whether the event, which is active, is deleted when it is called.

        Not one that takes back the time-out that it is active for. libevent leaves that one out of its map all the
        same, and a persistent one too; both are deaf then.
        """
        return not self.events & EV_PERSIST and (timeout is None or not self.result & EV_TIMEOUT)

    def dead(self, call: str) -> LoopError:
        """Make what is raised where nothing can come of ``call`` any more."""
        why = "that was freed or finalized" if self.flags & FINALIZING else "of a closed event base"
        return LoopError(f"{call} on an event {why}: {self!r}")

    def _set_timer(self, seconds: float, queue: CommonTimeout | None) -> None:
        if self.flags & ACTIVE and self.result & EV_TIMEOUT:
            self.withdraw()  # it is about to be called for a time-out that no longer holds
        if self.events & EV_PERSIST:
            self.interval = seconds
            self.flags &= ~DIRECT
        base = self.base
        base.timers.set(self, (base.pass_time or base.now()) + seconds, queue)

    def delete(self) -> None:
        """Stop waiting; if the event is active, its callback is not called. Harmless when nothing was added.

        Source: ``event_del``.
        """
        if self.flags & INSERTED:
            self.flags &= ~INSERTED
            self.base.remove(self)
        self.interval = None
        if self.deadline != NEVER:
            self.base.timers.clear(self)
        if self.flags & ACTIVE:
            self.withdraw()

    def delete_block(self) -> None:
        """Delete, and wait for a callback that runs in another thread, even for one of an ``EV_FINALIZE`` event.

        Only a base that locks (`use_threads`) lets other threads in; on others this is `delete`, as is
        `delete_noblock`. The loop's own thread never waits. Hold no lock that the callback needs.

        Source: ``event_del_block``.
        """
        self.delete()

    def delete_noblock(self) -> None:
        """Delete, and wait for nobody. Source: ``event_del_noblock``."""
        self.delete()

    def free(self) -> None:
        """Delete the event for good and let go of its callback, whose owner is then free to go.

        The heap of timers may know the event a while yet. It can be neither added nor activated any more.

        Source: ``event_free``.
        """
        self.delete()
        self.callback = _freed
        self.flags |= FINALIZING

    def finalize(self, callback: "FinalizeCallback") -> None:
        """Delete the event for good, and call ``callback(event)`` when its own callback can no longer be running.

        The loop calls it, once; `EventBase.close` does if the loop does not get to it. The event can be neither added
        nor activated any more, and letting go of it is free to anyone: what libevent's second function, which frees
        the event after the callback, is for.

        Raises:
            LoopError: It was freed or finalized before, or its base is closed.

        Source: ``event_finalize``, ``event_free_finalize``.
        """
        if self.flags & FINALIZING or self.base.closed:
            raise self.dead("finalize()")
        finalizer = Finalizer(self, callback)
        self.delete_noblock()
        self.callback = _freed
        self.flags |= FINALIZING
        self.base.finalizers[finalizer] = None
        self.base.queues.enqueue(finalizer)

    def remove_timer(self) -> None:
        """Take the time-out away and keep waiting for the rest. Source: ``event_remove_timer``."""
        self.interval = None
        if self.deadline != NEVER:
            self.base.timers.clear(self)

    def activate(self, what: int, ncalls: int = 1) -> None:
        """Let the callback be called from the loop with ``what``, whether the event is added or not.

        Args:
            what: ``EV_…`` bits; on an event that is active already they join those that are there.
            ncalls: How often to call; only events for signals are called more than once.

        Raises:
            LoopError: The event was freed or finalized, or its base is closed.

        Source: ``event_active``.
        """
        if self.flags & (ACTIVE | FINALIZING) or self.base.closed:
            self._activate_again(what, ncalls)
            return
        self.result = what
        self._add_calls(ncalls)
        self.base.queues.enqueue(self)

    def _activate_again(self, what: int, ncalls: int) -> None:
        if self.flags & FINALIZING or self.base.closed:
            raise self.dead("activate()")
        self.result |= what
        self._add_calls(ncalls)

    def trigger(self) -> None:
        """Let the callback be called from the loop with 0: for an event of `EventBase.user`.

        Source: ``evuser_trigger``.
        """
        self.activate(0)

    def pending(self, mask: int = _WAITED_FOR | EV_TIMEOUT) -> int:
        """Return the bits of ``mask`` that are waited for or active now. Source: ``event_pending``."""
        bits = self.events & _WAITED_FOR if self.flags & INSERTED else 0
        if self.flags & ACTIVE:
            bits |= self.result
        if self.deadline != NEVER:
            bits |= EV_TIMEOUT
        return bits & mask & (_WAITED_FOR | EV_TIMEOUT)

    def set_priority(self, priority: int) -> None:
        """Choose the queue, 0 the most urgent.

        Raises:
            ValueError: The event is active, or the base has no such queue.

        Source: ``event_priority_set``.
        """
        if self.flags & ACTIVE:
            raise ValueError(f"the priority of an active event can't be changed: {self!r}")
        if not 0 <= priority < self.base.npriorities:
            raise ValueError(f"priority must be 0 to {self.base.npriorities - 1}, got {priority}")
        self.level = priority

    def collect_due(self, now: float, due: "list[tuple[Event, float]]") -> None:  # noqa: ARG002 - the heap has looked
        """See `evkit.core.timers.Timed.collect_due`."""
        due.append((self, self.deadline))
        self.deadline = NEVER

    def run(self) -> None:
        """See `QueueEntry.run`. Source: ``event_persist_closure``, ``event_process_active_single_queue``."""
        what = self.result
        if not self.events & EV_PERSIST:
            self.delete()
        elif self.interval is not None and not what & EV_TIMEOUT:
            # Something happened in time: the time-out starts anew.
            deadline = (self.base.pass_time or self.base.now()) + self.interval
            if self.common is None:
                self.deadline = deadline  # only ever later than it was, so the heap need not hear of it
            else:
                self.base.timers.set(self, deadline, self.common)
        self.callback(self, what)

    def _add_calls(self, ncalls: int) -> None:
        """Only a signal's event is called several times."""


def _freed(event: Event, what: int) -> None:
    """Stand in for the callback of an event that is freed."""


class SignalEvent(Event):
    """An `Event` for a signal: called once for each delivery. Made by `EventBase.signal`."""

    __slots__ = ("_deleted", "_ncalls")

    def __init__(self, base: "Registry", signum: int, events: int, callback: EventCallback) -> None:
        super().__init__(base, signum, events, callback)
        self.flags &= ~DIRECT  # a callback may be due several times
        self._ncalls = 0
        self._deleted = False  # since the series of calls that runs now began

    def _add_calls(self, ncalls: int) -> None:
        self._ncalls += ncalls

    def delete(self) -> None:
        """See `Event.delete`; ends a series of calls, also from within one of them."""
        super().delete()
        self.withdraw()

    def withdraw(self) -> None:
        """See `QueueEntry.withdraw`; the calls that are left of a series go, too."""
        self._ncalls = 0
        self._deleted = True
        super().withdraw()

    def run(self) -> None:
        """See `QueueEntry.run`. Source: ``event_signal_closure``."""
        what, ncalls = self.result, self._ncalls
        self._ncalls = 0
        if not self.events & EV_PERSIST:
            self.delete()
        elif self.interval is not None and not what & EV_TIMEOUT:
            self.base.timers.set(self, self.base.now() + self.interval, self.common)
        self._deleted = False
        for left in reversed(range(ncalls)):
            self._call(what)
            if self._deleted:
                return
            if left and self.base.breaking:
                self.activate(what, left)  # for the loop after this one
                return

    def _call(self, what: int) -> None:
        try:
            self.callback(self, what)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exception:
            self.base.escaped(exception, self)  # the deliveries after it count all the same
