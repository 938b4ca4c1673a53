"""The heap and the common time-outs against a sorted model, and the promises that keep the heap small."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evkit.core.base import EventBase
from evkit.core.event import Event
from evkit.core.flags import EV_PERSIST
from evkit.core.tally import Tally
from evkit.core.timers import NEVER, CommonTimeout, TimerHeap, Timers
from evkit.testing import base_with_fakes


@pytest.fixture
def owner() -> Iterator[EventBase]:
    """Whom the events belong to; their timers are the test's own."""
    with base_with_fakes().base as base:
        yield base


def timer(owner: EventBase, interval: float | None = None) -> Event:
    event = Event(owner, -1, 0 if interval is None else EV_PERSIST, lambda _event, _what: None)
    event.interval = interval
    return event


def bound(live: int) -> int:
    """How many entries a heap of so many live ones may have: twice as many, or 64 dead ones."""
    return max(2 * live, live + 64) + 1


class TestExpire:
    def test_takes_what_is_due_in_order(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        events = [timer(owner) for _ in range(5)]
        for event, deadline in zip(events, (3.0, 1.0, 5.0, 2.0, 4.0), strict=True):
            timers.set(event, deadline, None)
        assert timers.expire(0.9) == []
        assert timers.expire(3.0) == [events[1], events[3], events[0]]
        assert timers.expire(3.0) == []
        assert timers.tally.added == 2
        assert timers.expire(100) == [events[4], events[2]]
        assert timers.tally.added == 0

    def test_equal_deadlines_in_the_order_of_their_setting(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        events = [timer(owner) for _ in range(20)]
        for event in events:
            timers.set(event, 1.0, None)
        assert timers.expire(1.0) == events

    def test_deadline_may_move_both_ways(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner)
        for deadline in (5.0, 2.0, 8.0):
            timers.set(event, deadline, None)
        assert timers.tally.added == 1
        assert timers.expire(7.9) == []
        assert timers.expire(8.0) == [event]

    def test_deadline_moved_later_by_its_holder(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner)
        timers.set(event, 5.0, None)
        event.deadline = 9.0
        assert timers.expire(5.0) == []
        assert timers.expire(9.0) == [event]

    def test_cleared_is_never_due(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner)
        timers.set(event, 1.0, None)
        timers.clear(event)
        timers.clear(event)
        assert timers.tally.added == 0
        assert event.deadline == NEVER
        assert timers.expire(5.0) == []
        timers.set(event, 0.5, None)
        assert timers.expire(5.0) == [event]

    def test_persistent_ones_wait_again(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner, interval=2.0)
        timers.set(event, 2.0, None)
        assert timers.expire(2.5) == [event]
        assert event.deadline == 4.0  # from the deadline, not from now
        assert timers.expire(9.0) == [event]
        assert event.deadline == 11.0  # from now: two ticks were missed
        assert timers.tally.added == 1

    def test_persistent_without_interval_to_speak_of_is_due_once_a_call(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner, interval=0.0)
        timers.set(event, 1.0, None)
        assert timers.expire(1.0) == [event]
        assert timers.expire(1.0) == [event]


class TestFirstDeadline:
    def test_is_never_when_nothing_waits(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner)
        assert timers.heap.first_deadline() == NEVER
        timers.set(event, 5.0, None)
        timers.clear(event)
        assert timers.heap.first_deadline() == NEVER

    def test_passes_over_what_was_cleared(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        first, second = timer(owner), timer(owner)
        timers.set(first, 1.0, None)
        timers.set(second, 2.0, None)
        timers.clear(first)
        assert timers.heap.first_deadline() == 2.0

    def test_of_a_common_queue_is_that_of_its_first_event(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        queue = timers.common(5.0)
        first, second = timer(owner), timer(owner)
        timers.set(first, 5.0, queue)
        timers.set(second, 6.0, queue)
        assert timers.heap.first_deadline() == queue.first_deadline() == 5.0
        timers.clear(first)
        timers.clear(second)
        assert timers.heap.first_deadline() == queue.first_deadline() == NEVER


class TestSize:
    def test_of_the_heap_is_in_proportion_after_many_deletions(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        for number in range(2000):
            event = timer(owner)
            timers.set(event, float(number), None)
            timers.clear(event)
            assert len(timers.heap) <= bound(0)

    def test_of_the_heap_is_in_proportion_when_deadlines_come_nearer(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner)
        for deadline in range(2000, 0, -1):
            timers.set(event, float(deadline), None)
            assert len(timers.heap) <= bound(1)
        assert timers.expire(0.9) == []
        assert timers.expire(1.0) == [event]

    def test_restarting_and_deleting_cost_one_entry(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        event = timer(owner)
        for second in range(500):
            timers.set(event, second + 10.0, None)
            timers.clear(event)
            timers.set(event, second + 10.0, None)
        assert len(timers.heap) == 1

    def test_common_queue_costs_one_entry_whatever_waits_in_it(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        queue = timers.common(5.0)
        for number in range(500):
            timers.set(timer(owner), number + 5.0, queue)
        assert len(timers.heap) == 1
        assert timers.tally.added == 500
        assert repr(queue) == "<CommonTimeout 5s events=500>"

    def test_sweep_keeps_what_lives(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        events = [timer(owner) for _ in range(300)]
        for number, event in enumerate(events):
            timers.set(event, float(number), None)
        for event in events[::3] + events[1::3]:
            timers.clear(event)
        assert len(timers.heap) <= bound(100)
        assert timers.expire(1000.0) == events[2::3]


class TestCommon:
    def test_same_duration_same_queue(self) -> None:
        timers = Timers(Tally())
        assert timers.common(5.0) is timers.common(5.0)
        assert timers.common(5.0) is not timers.common(6.0)
        assert timers.owns(timers.common(6.0))
        assert not Timers(Tally()).owns(timers.common(6.0))
        assert not timers.owns(CommonTimeout(5.0))

    def test_at_most_256(self) -> None:
        timers = Timers(Tally())
        for number in range(256):
            timers.common(float(number))
        assert timers.common(3.0).duration == 3.0
        with pytest.raises(ValueError, match="at most 256 common time-outs"):
            timers.common(256.0)

    def test_in_the_order_of_setting(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        queue = timers.common(5.0)
        events = [timer(owner) for _ in range(4)]
        for event in events:
            timers.set(event, 5.0, queue)
        timers.set(events[0], 6.0, queue)
        assert timers.expire(5.0) == events[1:]
        assert timers.expire(6.0) == events[:1]

    def test_event_moves_from_the_heap_into_a_queue_and_back(self, owner: EventBase) -> None:
        timers = Timers(Tally())
        queue = timers.common(5.0)
        event = timer(owner)
        timers.set(event, 1.0, None)
        timers.set(event, 5.0, queue)
        assert timers.expire(4.9) == []
        timers.set(event, 6.0, None)
        assert timers.expire(5.9) == []
        assert timers.tally.added == 1
        assert timers.expire(6.0) == [event]
        assert timers.expire(100.0) == []

    @pytest.mark.parametrize("cleared", [False, True])
    def test_what_an_event_left_in_the_heap_holds_no_queue_up(self, owner: EventBase, cleared: bool) -> None:
        """Its old entry surfaces at 1.5; taken for its new deadline, it would leave a dead head in the queue."""
        timers = Timers(Tally())
        queue = timers.common(5.0)
        head, mover, last = timer(owner), timer(owner), timer(owner)
        timers.set(head, 5.0, queue)
        timers.set(mover, 1.5, None)
        if cleared:
            timers.clear(mover)
        timers.set(mover, 5.5, queue)
        timers.set(last, 5.75, queue)
        assert timers.expire(1.5) == []
        timers.clear(head)
        assert timers.expire(5.5) == [mover]
        assert timers.expire(5.75) == [last]
        assert timers.tally.added == 0

    def test_persistent_event_that_was_late_waits_for_the_one_before_it(self, owner: EventBase) -> None:
        """Its next deadline, 20, would be before that of an event which was added while it was late."""
        timers = Timers(Tally())
        queue = timers.common(10.0)
        ticker, other = timer(owner, interval=10.0), timer(owner)
        timers.set(ticker, 10.0, queue)
        timers.set(other, 21.0, queue)
        assert timers.expire(12.0) == [ticker]
        assert timers.expire(20.0) == []
        assert timers.expire(21.0) == [other, ticker]


def test_heap_alone_pops_in_order(owner: EventBase) -> None:
    heap = TimerHeap()
    first, second = timer(owner), timer(owner)
    heap.set(second, 2.0)
    heap.set(first, 1.0)
    assert heap.pop_due(0.5) is None
    assert heap.pop_due(2.0) is first
    assert heap.pop_due(2.0) is second
    assert heap.pop_due(2.0) is None
    assert len(heap) == 0


_COUNT = 8
_INDEX = st.integers(0, _COUNT - 1)
_DELAY = st.integers(0, 12).map(
    lambda quarters: quarters / 4
)  # exact in binary, so the model needs no tolerance
_DURATION = st.sampled_from([1.0, 2.0])


class Schedule(RuleBasedStateMachine):
    """Whatever is set, moved, cleared and let pass: what is due is what a plain dictionary says."""

    @initialize()
    def start(self) -> None:
        self.owner = base_with_fakes().base
        self.timers = Timers(Tally())
        self.now = 1000.0
        self.events = [timer(self.owner, 1.0 if number % 4 == 3 else None) for number in range(_COUNT)]
        self.deadlines: dict[int, float] = {}

    def teardown(self) -> None:
        if hasattr(self, "owner"):
            self.owner.close()

    @rule(number=_INDEX, delay=_DELAY)
    def set(self, number: int, delay: float) -> None:
        self.timers.set(self.events[number], self.now + delay, None)
        self.deadlines[number] = self.now + delay

    @rule(number=_INDEX, duration=_DURATION)
    def set_common(self, number: int, duration: float) -> None:
        self.timers.set(self.events[number], self.now + duration, self.timers.common(duration))
        self.deadlines[number] = self.now + duration

    @rule(number=_INDEX, delay=_DELAY)
    def move_later(self, number: int, delay: float) -> None:
        """As an event does that restarts its idle time-out."""
        event = self.events[number]
        if number in self.deadlines and event.common is None:
            event.deadline = self.deadlines[number] = self.deadlines[number] + delay

    @rule(number=_INDEX)
    def clear(self, number: int) -> None:
        self.timers.clear(self.events[number])
        self.deadlines.pop(number, None)

    @rule(delay=_DELAY, look=st.booleans())
    def advance(self, delay: float, look: bool) -> None:
        self.now += delay
        if look:
            self._expire()

    def _expire(self) -> None:
        due = {number: deadline for number, deadline in self.deadlines.items() if deadline <= self.now}
        got = [self.events.index(event) for event in self.timers.expire(self.now)]
        assert sorted(got) == sorted(due)
        if all(self.events[number].common is None for number in due):
            assert [due[number] for number in got] == sorted(due.values())
        for number in due:
            del self.deadlines[number]
        for number in got:
            self._repeat(number, due[number])

    def _repeat(self, number: int, deadline: float) -> None:
        event = self.events[number]
        if event.interval is None:
            return
        following = deadline + event.interval
        self.deadlines[number] = following if following >= self.now else self.now + event.interval
        if event.common is not None:  # a common queue is in order: who comes late waits for the last
            mates = [other for other in self.deadlines if self.events[other].common is event.common]
            self.deadlines[number] = max(self.deadlines[mate] for mate in mates)

    @invariant()
    def state_agrees(self) -> None:
        if not hasattr(self, "timers"):
            return
        assert self.timers.tally.added == len(self.deadlines)
        for number, event in enumerate(self.events):
            assert event.deadline == self.deadlines.get(number, math.inf)
        assert self.timers.heap.first_deadline() <= min(self.deadlines.values(), default=math.inf)
        if not self.deadlines:
            assert self.timers.heap.first_deadline() == NEVER
        assert len(self.timers.heap) <= bound(_COUNT)


TestAnySchedule = Schedule.TestCase
TestAnySchedule.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
