"""Which events wait for which descriptor: counts, so that the backend hears only of 0 ↔ 1.

A decider: it tells its backend what is wanted and never waits, calls back or reads a clock. Several events on one
descriptor are kept newest first, and are activated in that order, as in libevent.
"""

from collections.abc import Iterator
from typing import Final

from evkit.core.backends.contract import Backend
from evkit.core.event import INTERNAL, Event
from evkit.core.flags import EV_CLOSED, EV_ET, EV_READ, EV_WRITE, event_bits
from evkit.core.tally import Tally

_IO: Final = EV_READ | EV_WRITE | EV_CLOSED


class Slot:
    """The events of one descriptor that has several, or edge-triggered ones, and how many of them want what.

    Args:
        first: Whether this is edge-triggered decides for all.

    Attributes:
        events: Newest first.
        wanted: What the backend was told.
        edge: ``EV_ET``, or 0.
    """

    __slots__ = ("_closers", "_readers", "_writers", "edge", "events", "wanted")

    def __init__(self, first: Event) -> None:
        self.events: list[Event] = []
        self.wanted = 0
        self.edge = first.events & EV_ET
        self._readers = 0
        self._writers = 0
        self._closers = 0

    def join(self, event: Event) -> int:
        """Count an event in, and return the mask that is wanted then.

        Raises:
            ValueError: Edge- and level-triggered events would meet.
        """
        if self.edge != event.events & EV_ET:
            raise ValueError(
                f"descriptor {event.fd} has events with {event_bits(self.wanted)}: "
                "EV_ET and level-triggered events can't be mixed on one descriptor"
            )
        self.events.insert(0, event)
        return self._count(event.events, 1)

    def leave(self, event: Event) -> int:
        """Count an event out, and return the mask that is wanted then."""
        self.events.remove(event)
        return self._count(event.events, -1)

    def _count(self, bits: int, step: int) -> int:
        if bits & EV_READ:
            self._readers += step
        if bits & EV_WRITE:
            self._writers += step
        if bits & EV_CLOSED:
            self._closers += step
        wanted = EV_READ if self._readers else 0
        if self._writers:
            wanted |= EV_WRITE
        if self._closers:
            wanted |= EV_CLOSED
        return wanted and wanted | self.edge


class FdMap:
    """Descriptors to their events.

    Nearly every descriptor has one event, which is found in one step then, and without a `Slot` to make.

    Attributes:
        alone: The event of each descriptor that has one, unless that is edge-triggered.
        shared: Of all other descriptors.
        tally: Counts the events in the map, internal ones left out.
    """

    __slots__ = ("_backend", "alone", "shared", "tally")

    def __init__(self, backend: Backend, tally: Tally) -> None:
        self._backend = backend
        self.alone: dict[int, Event] = {}
        self.shared: dict[int, Slot] = {}
        self.tally = tally

    def add(self, event: Event) -> None:
        """Want what ``event`` wants.

        Raises:
            ValueError: Edge- and level-triggered events would meet on one descriptor; libevent notices that in debug
                mode only.
            OSError: The backend refuses the descriptor; nothing has changed. One that gathers changes learns it later,
                and reports the descriptor as ready instead.

        Source: ``evmap_io_add_``.
        """
        fd = event.fd
        if fd in self.alone or fd in self.shared or event.events & EV_ET:
            self._share(event)
        else:
            self._backend.change(fd, 0, event.events & _IO)
            self.alone[fd] = event
        if not event.flags & INTERNAL:
            self.tally.added += 1

    def _share(self, event: Event) -> None:
        """Add ``event`` to a descriptor that has others, or to one by itself that the loop can't take for alone."""
        fd = event.fd
        slot = self.shared.get(fd)
        if slot is None:
            other = self.alone.get(fd)
            slot = Slot(event if other is None else other)
            if other is not None:
                slot.wanted = slot.join(other)
        wanted = slot.join(event)
        if wanted != slot.wanted:
            try:
                self._backend.change(fd, slot.wanted, wanted)
            except BaseException:
                slot.leave(event)
                raise
            slot.wanted = wanted
        self.shared[fd] = slot
        self.alone.pop(fd, None)

    def remove(self, event: Event) -> None:
        """Forget ``event``, which is in the map. Source: ``evmap_io_del_``."""
        fd = event.fd
        if fd in self.alone:
            del self.alone[fd]
            self._tell(fd, event.events & _IO, 0)
        else:
            self._unshare(event)
        if not event.flags & INTERNAL:
            tally = self.tally
            if tally.added > tally.most_added:
                tally.most_added = tally.added
            tally.added -= 1

    def _unshare(self, event: Event) -> None:
        fd = event.fd
        slot = self.shared[fd]
        wanted = slot.leave(event)
        if wanted != slot.wanted:
            self._tell(fd, slot.wanted, wanted)
            slot.wanted = wanted
        if not slot.events:
            del self.shared[fd]
        elif len(slot.events) == 1 and not slot.edge:
            del self.shared[fd]
            self.alone[fd] = slot.events[0]

    def _tell(self, fd: int, old: int, new: int) -> None:
        try:
            self._backend.change(fd, old, new)
        except (OSError, ValueError):
            pass  # the descriptor, or the base, was closed under its events; they hear nothing any more

    def events_of(self, fd: int) -> list[Event]:
        """Return the events of a descriptor, newest first."""
        event = self.alone.get(fd)
        if event is not None:
            return [event]
        slot = self.shared.get(fd)
        return [] if slot is None else list(slot.events)

    def events(self) -> Iterator[Event]:
        """Walk through the events, by descriptor. Source: ``evmap_io_foreach_event_``."""
        for fd in sorted((*self.alone, *self.shared)):
            yield from self.events_of(fd)

    def move_to(self, backend: Backend) -> None:
        """Tell another backend, which knows nothing yet, all that is wanted; the one of before hears nothing.

        Raises:
            OSError: It refuses a descriptor, whose events hear nothing then; the others are told all the same.

        Source: ``evmap_reinit_``.
        """
        self._backend = backend
        refused = None
        wanted = {fd: event.events & _IO for fd, event in self.alone.items()}
        wanted.update((fd, slot.wanted) for fd, slot in self.shared.items())
        for fd, bits in wanted.items():
            try:
                backend.change(fd, 0, bits)
            except OSError as error:
                refused = error
        if refused is not None:
            raise refused
