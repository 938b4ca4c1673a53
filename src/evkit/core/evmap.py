"""Which events wait for which descriptor: counts, so that the backend hears only of 0 ↔ 1.

A decider: it tells its backend what is wanted and never waits, calls back or reads a clock. Several events on one
descriptor are kept newest first, and are activated in that order, as in libevent.
"""

from collections.abc import Iterator

from evkit.core.backends.contract import Backend
from evkit.core.event import Event
from evkit.core.flags import EV_CLOSED, EV_ET, EV_READ, EV_WRITE, event_bits
from evkit.core.tally import Tally


class Slot:
    """All events of one descriptor, and how many of them want what."""

    __slots__ = ("closers", "edge", "events", "readers", "wanted", "writers")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.readers = 0
        self.writers = 0
        self.closers = 0
        self.wanted = 0  # what the backend was told
        self.edge = 0  # EV_ET, or 0

    def count(self, bits: int, step: int) -> int:
        """Count an event in or out, and return the mask that is wanted then."""
        if bits & EV_READ:
            self.readers += step
        if bits & EV_WRITE:
            self.writers += step
        if bits & EV_CLOSED:
            self.closers += step
        wanted = EV_READ if self.readers else 0
        if self.writers:
            wanted |= EV_WRITE
        if self.closers:
            wanted |= EV_CLOSED
        return wanted and wanted | self.edge


class FdMap:
    """Descriptors to their events.

    Attributes:
        slots: The loop looks readiness up here.
        tally: Counts the events in the map, internal ones left out.
    """

    __slots__ = ("_backend", "slots", "tally")

    def __init__(self, backend: Backend, tally: Tally) -> None:
        self._backend = backend
        self.slots: dict[int, Slot] = {}
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
        slot = self.slots.get(event.fd)
        if slot is None:
            slot = Slot()
            slot.edge = event.events & EV_ET
        elif slot.edge != event.events & EV_ET:
            raise ValueError(
                f"descriptor {event.fd} has events with {event_bits(slot.wanted)}: "
                "EV_ET and level-triggered events can't be mixed on one descriptor"
            )
        wanted = slot.count(event.events, 1)
        if wanted != slot.wanted:
            try:
                self._backend.change(event.fd, slot.wanted, wanted)
            except BaseException:
                slot.count(event.events, -1)
                raise
            slot.wanted = wanted
        slot.events.insert(0, event)
        self.slots[event.fd] = slot
        if not event.internal:
            self.tally.added += 1

    def remove(self, event: Event) -> None:
        """Forget ``event``, which is in the map. Source: ``evmap_io_del_``."""
        slot = self.slots[event.fd]
        slot.events.remove(event)
        wanted = slot.count(event.events, -1)
        if wanted != slot.wanted:
            try:
                self._backend.change(event.fd, slot.wanted, wanted)
            except (OSError, ValueError):
                pass  # the descriptor, or the base, was closed under its events; they hear nothing any more
            slot.wanted = wanted
        if not slot.events:
            del self.slots[event.fd]
        if not event.internal:
            tally = self.tally
            if tally.added > tally.most_added:
                tally.most_added = tally.added
            tally.added -= 1

    def events(self) -> Iterator[Event]:
        """Walk through the events, by descriptor. Source: ``evmap_io_foreach_event_``."""
        for _, slot in sorted(self.slots.items()):
            yield from slot.events

    def move_to(self, backend: Backend) -> None:
        """Tell another backend, which knows nothing yet, all that is wanted; the one of before hears nothing.

        Raises:
            OSError: It refuses a descriptor, whose events hear nothing then; the others are told all the same.

        Source: ``evmap_reinit_``.
        """
        self._backend = backend
        refused = None
        for fd, slot in self.slots.items():
            try:
                backend.change(fd, 0, slot.wanted)
            except OSError as error:
                refused = error
        if refused is not None:
            raise refused
