"""When things are due: a heap of deadlines, and first-in-first-out queues for time-outs that many events share.

A decider: it is told the time and answers what is due; it reads no clock and calls nobody. Two ideas carry it:

- The time in a heap entry is a lower bound. Moving a deadline *later* only stores it in the timed thing; the entry
  is corrected when it surfaces. So an idle time-out that restarts with every read costs no heap work at all, and
  neither does deleting and adding again.
- Entries that nobody waits for any more are swept when they outnumber the live ones: the heap stays in proportion.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Final, Protocol, cast

from evkit.core.tally import Tally

if TYPE_CHECKING:
    from evkit.core.event import Event

NEVER: Final = float("inf")
_SWEEP_FROM: Final = 64
"""Dead entries below this number are not worth a sweep."""
_MAX_COMMON: Final = 256


def check_seconds(seconds: float) -> float:
    """Return ``seconds``.

    Raises:
        ValueError: They are negative, infinite, or not a number.
    """
    if not 0 <= seconds < NEVER:
        raise ValueError(f"a time-out is a number of seconds >= 0, got {seconds!r}")
    return seconds


class Timed(Protocol):
    """What can stand in the heap: an event, or a queue of events."""

    deadline: float
    """On the monotonic clock; `NEVER` while nothing is waited for. A holder may move it later by itself."""
    heap_entry: "Entry | None"
    """The heap's own note."""

    def collect_due(self, now: float, due: "list[tuple[Event, float]]") -> None:
        """Add what is due, with its deadline, to ``due``, and wait for it no longer."""


Entry = tuple[float, int, Timed]


class TimerHeap:
    """Timed things in the order of their deadlines; equal ones in the order in which they were set.

    Attributes:
        entries: For reading: nothing is due before the time in the first one.
    """

    __slots__ = ("_dead", "_sequence", "entries")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._sequence = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self.entries)

    def set(self, timed: Timed, deadline: float) -> None:
        """Let ``timed`` be due at ``deadline``, whatever it was before."""
        entry = timed.heap_entry
        if entry is not None and timed.deadline == NEVER:
            self._dead -= 1  # its old entry is of use again
        timed.deadline = deadline
        if entry is None:
            self._push(timed)
        elif deadline < entry[0]:
            self._push(timed)
            self._bury()

    def clear(self, timed: Timed) -> None:
        """Let ``timed`` never be due. Its entry stays behind, to be used again or swept."""
        if timed.deadline == NEVER:
            return
        timed.deadline = NEVER
        self._bury()

    def _bury(self) -> None:
        """Count one more dead entry."""
        self._dead += 1
        if self._dead > _SWEEP_FROM and self._dead * 2 > len(self.entries):
            self._sweep()

    def first_deadline(self) -> float:
        """Return a time before which nothing is due: `NEVER` when nothing is waited for.

        Where the first entry's deadline has moved later, this is the time that it moved from. To look closer would
        cost the heap work that is saved by moving it; so the loop wakes early once per idle time-out instead.
        """
        heap = self.entries
        while heap:
            entry = heap[0]
            timed = entry[2]
            if timed.heap_entry is entry and timed.deadline != NEVER:
                return entry[0]
            self._drop_dead(entry, timed)
        return NEVER

    def pop_due(self, now: float) -> Timed | None:
        """Take the first thing that is due at ``now``."""
        while self.first_deadline() <= now:
            timed = heapq.heappop(self.entries)[2]
            timed.heap_entry = None
            if timed.deadline <= now:
                return timed
            self._push(timed)  # it has moved later
        return None

    def live(self) -> list[Timed]:
        """Return what is waited for, in no order."""
        return [
            timed
            for entry in self.entries
            if (timed := entry[2]).heap_entry is entry and timed.deadline != NEVER
        ]

    def _push(self, timed: Timed) -> None:
        self._sequence += 1
        entry = timed.heap_entry = (timed.deadline, self._sequence, timed)
        heapq.heappush(self.entries, entry)

    def _drop_dead(self, entry: Entry, timed: Timed) -> None:
        heapq.heappop(self.entries)
        self._dead -= 1
        if timed.heap_entry is entry:
            timed.heap_entry = None

    def _sweep(self) -> None:
        live = []
        for entry in self.entries:
            timed = entry[2]
            if timed.heap_entry is not entry:
                continue
            if timed.deadline == NEVER:
                timed.heap_entry = None
            else:
                live.append(entry)
        heapq.heapify(live)
        self.entries[:] = live  # the loop holds the list
        self._dead = 0


class CommonTimeout:
    """One duration that many events wait for: a queue in which setting, restarting and clearing are O(1).

    Pass it to ``Event.add`` in place of seconds. Get one from ``EventBase.init_common_timeout``.

    Attributes:
        duration: Seconds.
        deadline: Of the event that has waited longest; infinite when none waits.

    Source: ``event_base_init_common_timeout``, which hides the queue's number in the bits of a ``timeval``.
    """

    __slots__ = ("_waiting", "deadline", "duration", "heap_entry")

    def __init__(self, duration: float) -> None:
        self.duration = duration
        self.deadline = NEVER
        self.heap_entry: Entry | None = None
        self._waiting: OrderedDict[Event, None] = OrderedDict()

    def __repr__(self) -> str:
        return f"<CommonTimeout {self.duration:g}s events={len(self._waiting)}>"

    def events(self) -> "list[Event]":
        """Return the events that wait, the longest-waiting one first."""
        return list(self._waiting)

    def append(self, event: "Event", deadline: float) -> None:
        """Put ``event`` at the end of the queue, from wherever it was in it.

        The queue is in order, so an event that is late itself (a persistent one, after a callback that took long)
        waits for the one before it.
        """
        self._waiting.pop(event, None)
        last = next(reversed(self._waiting), None)
        event.deadline = deadline if last is None else max(deadline, last.deadline)
        # An entry left over in the heap is dead, and must not rise with the new deadline.
        event.heap_entry = None
        self._waiting[event] = None

    def discard(self, event: "Event") -> None:
        """Take ``event`` out."""
        event.deadline = NEVER
        self._waiting.pop(event, None)

    def first_deadline(self) -> float:
        """Return the deadline of the longest-waiting event: `NEVER` when the queue is empty."""
        return next(iter(self._waiting)).deadline if self._waiting else NEVER

    def collect_due(self, now: float, due: "list[tuple[Event, float]]") -> None:
        """See `Timed.collect_due`."""
        while self.first_deadline() <= now:
            event = self._waiting.popitem(last=False)[0]
            event.collect_due(now, due)
        self.deadline = NEVER


class Timers:
    """All time-outs of one event base.

    Attributes:
        tally: Counts the events that wait for a deadline.
        heap: Where the loop asks for the first deadline.
    """

    __slots__ = ("_common", "heap", "tally")

    def __init__(self, tally: Tally) -> None:
        self.heap = TimerHeap()
        self._common: dict[float, CommonTimeout] = {}
        self.tally = tally

    def common(self, duration: float) -> CommonTimeout:
        """Return the queue for ``duration`` seconds, made on first use.

        Raises:
            ValueError: There are 256 queues already, libevent's limit: the durations are hardly common.
        """
        queue = self._common.get(duration)
        if queue is None:
            if len(self._common) == _MAX_COMMON:
                raise ValueError(
                    f"a base has at most {_MAX_COMMON} common time-outs; pass seconds to add() instead"
                )
            queue = self._common[duration] = CommonTimeout(duration)
        return queue

    def owns(self, queue: CommonTimeout) -> bool:
        """Return whether ``queue`` came from here."""
        return self._common.get(queue.duration) is queue

    def set(self, event: "Event", deadline: float, queue: CommonTimeout | None) -> None:
        """Let ``event`` be due at ``deadline``, kept in ``queue`` or, without one, in the heap."""
        if event.deadline == NEVER:
            self.tally.added += 1
        elif event.common is not queue:
            self._take_out(event)
        event.common = queue
        if queue is None:
            self.heap.set(event, deadline)
        else:
            queue.append(event, deadline)
            self._follow(queue)

    def clear(self, event: "Event") -> None:
        """Let ``event`` never be due."""
        if event.deadline != NEVER:
            tally = self.tally
            if tally.added > tally.most_added:
                tally.most_added = tally.added
            tally.added -= 1
            self._take_out(event)

    def events(self) -> "Iterator[Event]":
        """Walk through the events by deadline, and then through each common time-out's.

        Source: ``event_base_foreach_event_nolock_``, which takes the heap's as they stand there.
        """
        for timed in sorted(self.heap.live(), key=attrgetter("deadline")):
            if not isinstance(timed, CommonTimeout):
                yield cast("Event", timed)  # nothing else stands in the heap
        for queue in self._common.values():
            yield from queue.events()

    def expire(self, now: float) -> "list[Event]":
        """Take all events that are due at ``now``, the longest overdue first.

        A persistent one waits again at once: an interval after its last deadline, so that it does not drift, or after
        ``now`` when that has passed too (missed ticks are one tick).

        Source: ``timeout_process`` and ``event_persist_closure``.
        """
        due: list[tuple[Event, float]] = []
        while (timed := self.heap.pop_due(now)) is not None:
            timed.collect_due(now, due)
            if isinstance(timed, CommonTimeout):
                self._follow(timed)
        if due:
            self.tally.note_most()
            self.tally.added -= len(due)
        due.sort(key=itemgetter(1))  # what came from a common queue stands behind the rest of the heap
        for event, deadline in due:
            interval = event.interval
            if interval is not None:
                following = deadline + interval
                self.set(event, following if following >= now else now + interval, event.common)
        return [event for event, _ in due]

    def _follow(self, queue: CommonTimeout) -> None:
        """Let the queue's place in the heap be that of its first event."""
        first = queue.first_deadline()
        if first == NEVER:
            self.heap.clear(queue)
        else:
            self.heap.set(queue, first)

    def _take_out(self, event: "Event") -> None:
        queue = event.common
        if queue is None:
            self.heap.clear(event)
        else:
            queue.discard(event)
            self._follow(queue)
