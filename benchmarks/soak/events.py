"""The events of a soak: descriptors, timers, signals, users, each with a model of what it waits for.

A `Subject` decides whether its event may fire, what it waits for, and until when. What there is to wait on, and what
may happen to it, is the cast's business: `evkit` must agree with the subjects after any sequence of that.
"""

import math
from collections.abc import Callable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Final

from evkit.core import (
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
    CommonTimeout,
    Deferred,
    Event,
    Watcher,
)
from evkit.core.event import ACTIVE, INSERTED
from soak.world import Operation, World, check

if TYPE_CHECKING:
    from soak.descriptors import Descriptors

_IO: Final = EV_READ | EV_WRITE | EV_CLOSED
_BITS: Final = (EV_READ, EV_WRITE, EV_READ | EV_WRITE, EV_CLOSED, EV_READ | EV_CLOSED, EV_READ | EV_ET)
_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 7.5)
_MOST: Final = 40


class Subject:
    """An event and what its model says of it.

    Attributes:
        event: The event; set right after this was made.
        inserted: Whether it waits for a descriptor or a signal.
        deadline: When it times out; ``None``: never.
        may_fire: Whether its callback may come.
        gone: Freed or finalized: the callback must never come again.
    """

    event: Event

    def __init__(self, world: World, persistent: bool) -> None:
        self.world = world
        self.persistent = persistent
        self.inserted = False
        self.deadline: float | None = None
        self.may_fire = False
        self.gone = False

    def add(self, timeout: float | CommonTimeout | None) -> None:
        """Add the event; when that raises, nothing has changed."""
        event = self.event
        goes = event.flags & ACTIVE and not self.persistent
        if timeout is not None and event.result & EV_TIMEOUT:
            goes = False  # it takes back the time-out that it was to be called for
        event.add(timeout)
        if event.events & (_IO | EV_SIGNAL) and not goes:
            self.inserted = True
        if timeout is not None:
            seconds = timeout.duration if isinstance(timeout, CommonTimeout) else timeout
            self.deadline = self.world.base.now() + seconds
        self.may_fire = self.may_fire or self.inserted or self.deadline is not None

    def forget(self) -> None:
        """Note that the event was deleted."""
        self.inserted = self.may_fire = False
        self.deadline = None

    def remove_timer(self) -> None:
        """Take the time-out away."""
        self.event.remove_timer()
        self.deadline = None

    def activate(self, what: int, calls: int) -> None:
        """Let it be called."""
        self.event.activate(what, calls)
        self.may_fire = True

    def fire(self, event: Event, what: int) -> None:
        """Be called back."""
        check(event is self.event and not self.gone, "called after the end:", event)
        check(self.may_fire, "called though nothing was waited for:", event, what)
        if event.events & EV_SIGNAL and not self.persistent:
            # One of a series of calls, of which the first may have added it again: only evkit can know.
            self.inserted = bool(event.flags & INSERTED)
            self.deadline = None if event.deadline == math.inf else event.deadline
        elif not self.persistent:
            self.forget()
            check(not event.pending(), "called, but not yet deleted:", event)
        self.world.react()

    def verify(self) -> None:
        """Compare event and model."""
        event = self.event
        if self.gone:
            return  # it may be added again, and says nothing when it fires
        check(bool(event.flags & INSERTED) == self.inserted, "inserted is not", self.inserted, event)
        if event.deadline == math.inf:
            expired = self.deadline is None or (
                not self.persistent and self.deadline <= self.world.clock.monotonic()
            )
            check(expired, "the time-out is lost:", event)
        else:
            check(self.deadline is not None, "has a time-out:", event)
            # A common queue may put it later, and so does whatever fires before.
            check(event.deadline >= (self.deadline or 0), "times out too early:", event)


class Events:
    """All of them on one base.

    Args:
        world: Where they live.
        descriptors: What they wait on.
    """

    def __init__(self, world: World, descriptors: "Descriptors") -> None:
        self.world = world
        self.subjects: list[Subject] = []
        self._descriptors = descriptors
        self._deferred: list[Deferred] = []
        self._watchers: list[Watcher] = []
        self._finalizing = 0
        self._common = [world.base.init_common_timeout(seconds) for seconds in _SECONDS]
        descriptors.on_close = self.forget_descriptor

    def operations(self) -> Sequence[Operation]:
        """See `Cast.operations`."""
        return (
            Operation(12, "make an event", self._make),
            Operation(3, "once", self._once),
            Operation(20, "add", self._with(self._add)),
            Operation(8, "delete", self._with(self._delete)),
            Operation(3, "free", self._with(self._free)),
            Operation(3, "finalize", self._with(self._finalize)),
            Operation(8, "activate", self._with(self._activate)),
            Operation(3, "remove_timer", self._with(Subject.remove_timer)),
            Operation(3, "event priority", self._with(self._set_priority)),
            Operation(1, "priority_init", self._priority_init),
            Operation(4, "deferred", self._defer),
            Operation(3, "watcher", self._watch),
            Operation(2, "virtual", self._virtual),
            Operation(2, "call_soon", self._call_soon),
            Operation(2, "active_by_fd", self._active_by_fd),
            Operation(1, "list events", self._look),
        )

    # Making

    def _make(self) -> None:
        kind = self.world.random.choice((self._io, self._io, self._timer, self._user, self._signal))
        self._keep(kind)

    def _keep(self, make: Callable[[Subject], Event]) -> Subject:
        if len(self.subjects) >= _MOST:
            self._free(self.subjects.pop(self.world.random.randrange(_MOST)))
        subject = Subject(self.world, self.world.random.random() < 0.5)
        subject.event = make(subject)
        self.subjects.append(subject)
        return subject

    def _io(self, subject: Subject) -> Event:
        events = self.world.random.choice(_BITS) | (EV_PERSIST if subject.persistent else 0)
        return self.world.base.event(self._descriptors.any(), events, subject.fire)

    def _timer(self, subject: Subject) -> Event:
        return self.world.base.timer(subject.fire, persist=subject.persistent)

    def _user(self, subject: Subject) -> Event:
        subject.persistent = False
        return self.world.base.user(subject.fire)

    def _signal(self, subject: Subject) -> Event:
        number = self.world.random.choice(self._descriptors.signals)
        if subject.persistent:
            return self.world.base.signal(number, subject.fire)
        return self.world.base.event(number, EV_SIGNAL, subject.fire)

    def _once(self) -> None:
        self._keep(self._make_once)

    def _make_once(self, subject: Subject) -> Event:
        subject.persistent = False
        timeout = self.world.random.choice((None, *_SECONDS))
        io = self.world.random.random() < 0.5
        number, events = (self._descriptors.any(), EV_READ) if io else (-1, 0)
        event = self.world.base.once(number, events, subject.fire, timeout)
        subject.may_fire = True
        subject.inserted = io
        if timeout is not None and (timeout or io):
            subject.deadline = self.world.base.now() + timeout
        return event

    # To one of them

    def _with(self, act: Callable[[Subject], object]) -> Callable[[], None]:
        def run() -> None:
            if self.subjects:
                number = self.world.random.randrange(len(self.subjects))
                subject = self.subjects[number]
                self.world.note(repr(subject.event))
                act(subject)

        return run

    def _add(self, subject: Subject) -> None:
        chance = self.world.random.random()
        seconds = self.world.random.choice(_SECONDS)
        if chance < 0.4:
            subject.add(None)
        elif chance < 0.7:
            subject.add(seconds)
        elif chance < 0.98:
            subject.add(self.world.random.choice(self._common))
        else:
            subject.add(-1.0)

    def _delete(self, subject: Subject) -> None:
        subject.forget()
        self.world.random.choice(
            (subject.event.delete, subject.event.delete_block, subject.event.delete_noblock)
        )()

    def _free(self, subject: Subject) -> None:
        """Free it; some are used all the same, and must stay mute."""
        subject.forget()
        subject.gone = True
        subject.event.free()
        if subject in self.subjects and self.world.random.random() < 0.8:
            self.subjects.remove(subject)

    def _finalize(self, subject: Subject) -> None:
        subject.event.finalize(self._finalized)
        subject.forget()
        subject.gone = True
        self._finalizing += 1
        if self.world.random.random() < 0.8:
            self.subjects.remove(subject)

    def _finalized(self, event: Event) -> None:
        self._finalizing -= 1
        check(not event.pending(), "finalized, but pending:", event)
        self.world.react()

    def _activate(self, subject: Subject) -> None:
        if self.world.random.random() < 0.3:
            subject.event.trigger()
            subject.may_fire = True
            if not subject.event.events & EV_SIGNAL:
                return
        what = self.world.random.choice((EV_READ, EV_WRITE, EV_TIMEOUT, EV_SIGNAL))
        subject.activate(what, self.world.random.randint(1, 3))

    def _set_priority(self, subject: Subject) -> None:
        subject.event.set_priority(self.world.random.randrange(4))

    def forget_descriptor(self, fd: int) -> None:
        """Free all events of a descriptor, whose number will be another's."""
        for subject in tuple(self.subjects):
            if subject.event.fd == fd and not subject.event.events & EV_SIGNAL:
                subject.forget()
                subject.event.free()
                self.subjects.remove(subject)

    # To the base

    def _priority_init(self) -> None:
        self.world.base.priority_init(self.world.random.choice((3, 3, 3, 1, 2, 4)))

    def _defer(self) -> None:
        deferred = self._deferred
        if len(deferred) < 5:
            deferred.append(self.world.base.deferred(self.world.react))
        chosen = self.world.random.choice(deferred)
        if self.world.random.random() < 0.6:
            chosen.schedule()
        elif self.world.random.random() < 0.5:
            chosen.cancel()
        else:
            chosen.cancel()
            deferred.remove(chosen)

    def _watch(self) -> None:
        make = self.world.random.choice((self.world.base.prepare, self.world.base.check))
        if len(self._watchers) < 4:
            self._watchers.append(make(self._watched))
        else:
            self._watchers.pop(self.world.random.randrange(4)).close()

    def _watched(self, watcher: Watcher, timeout: float | None) -> None:
        check(watcher in self._watchers, "a watcher was called after its end")
        check(not timeout, "the loop was going to wait", timeout)
        self.world.react()

    def _virtual(self) -> None:
        if self.world.random.random() < 0.5:
            self.world.base.add_virtual()
            self.world.virtual += 1
        else:
            self.world.base.del_virtual()
            self.world.virtual -= 1

    def _call_soon(self) -> None:
        call = self.world.random.choice((self.world.base.call_soon, self.world.base.call_soon_threadsafe))
        call(self.world.react)

    def _active_by_fd(self) -> None:
        fd = self._descriptors.any()
        bits = self.world.random.choice((EV_READ, EV_WRITE | EV_TIMEOUT, EV_TIMEOUT))
        self.world.base.active_by_fd(fd, bits)

    def _look(self) -> None:
        self.world.base.dump_events(StringIO())
        check(self.world.base.foreach_event(lambda event: not event.internal) in (True, False, None))
        self.world.base.max_events(COUNT_ADDED | COUNT_ACTIVE, clear=True)

    # What must hold

    def verify(self) -> None:
        """See `Cast.verify`."""
        for subject in self.subjects:
            subject.verify()
        listed = [event for event in self.world.base.events() if not event.internal]
        check(len({id(event) for event in listed}) == len(listed), "an event is listed twice")
        held = {id(event) for event in listed}
        for subject in self.subjects:
            listed_too = id(subject.event) in held
            check(
                listed_too == bool(subject.event.pending() or _is_active(subject.event)),
                "listed?",
                subject.event,
            )
        added = sum(bool(event.flags & INSERTED) + (event.deadline != math.inf) for event in listed)
        check(self.world.base.num_events(COUNT_ADDED) == added, "added is not", added)
        active = self.world.base.num_events(COUNT_ACTIVE)
        check(active >= sum(map(_is_active, listed)), "too few are active:", active)
        virtual = self.world.base.num_events(COUNT_VIRTUAL)
        check(virtual == self.world.virtual, "virtual is not", self.world.virtual)

    def rehearse(self) -> None:
        """See `Cast.rehearse`: the models have said enough."""

    def let_go(self) -> None:
        """See `Cast.let_go`."""
        for subject in self.subjects:
            subject.event.delete()
            subject.event.free()
        self.subjects.clear()
        for deferred in self._deferred:
            deferred.cancel()
        self._deferred.clear()
        for watcher in self._watchers:
            watcher.close()
        self._watchers.clear()
        while self.world.virtual:
            self.world.base.del_virtual()
            self.world.virtual -= 1

    def verify_gone(self) -> None:
        """See `Cast.verify_gone`."""
        everything = COUNT_ADDED | COUNT_ACTIVE | COUNT_VIRTUAL
        check(not self._finalizing, self._finalizing, "finalizers did not run")
        left = [event for event in self.world.base.events() if not event.internal]
        check(
            not left and not self.world.base.num_events(everything),
            "left behind:",
            left,
            [event.callback for event in left],
        )


def _is_active(event: Event) -> bool:
    return bool(event.flags & ACTIVE)
