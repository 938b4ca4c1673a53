"""Deadlines against a list that is sorted, and one by one."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evkit.dns.deadlines import Deadlines

T0 = 1000.0


@pytest.fixture
def deadlines() -> Deadlines[str]:
    return Deadlines()


class TestOrder:
    def test_nothing_is_due_when_nothing_waits(self, deadlines: Deadlines[str]) -> None:
        assert deadlines.next_at() is None
        assert deadlines.pop_due(T0) == []
        assert len(deadlines) == 0

    def test_adding_tells_the_deadline(self, deadlines: Deadlines[str]) -> None:
        assert deadlines.add("a", 0.5, T0) == T0 + 0.5
        assert deadlines.next_at() == T0 + 0.5

    def test_what_is_due_comes_once_the_earliest_first_whatever_its_duration(
        self, deadlines: Deadlines[str]
    ) -> None:
        deadlines.add("late", 3.0, T0)
        deadlines.add("early", 0.25, T0)
        deadlines.add("between", 0.25, T0 + 1)
        deadlines.add("never", 3.0, T0 + 1)
        assert deadlines.pop_due(T0 + 3) == ["early", "between", "late"]
        assert deadlines.pop_due(T0 + 3) == []
        assert deadlines.next_at() == T0 + 4

    @pytest.mark.parametrize(("after", "due"), [(0.9999, []), (1.0, ["a"]), (1.5, ["a"])])
    def test_a_deadline_is_due_when_it_is_reached(
        self, deadlines: Deadlines[str], after: float, due: list[str]
    ) -> None:
        deadlines.add("a", 1.0, T0)
        assert deadlines.pop_due(T0 + after) == due

    def test_one_that_is_added_again_waits_from_then_on(self, deadlines: Deadlines[str]) -> None:
        deadlines.add("a", 1.0, T0)
        deadlines.add("b", 1.0, T0 + 0.25)
        deadlines.add("a", 1.0, T0 + 0.5)
        assert len(deadlines) == 2
        assert deadlines.pop_due(T0 + 1.25) == ["b"]
        assert deadlines.pop_due(T0 + 1.5) == ["a"]

    def test_an_infinite_one_is_never_due(self, deadlines: Deadlines[str]) -> None:
        deadlines.add("ever", float("inf"), T0)
        assert deadlines.next_at() is None
        deadlines.add("a", 1.0, T0)
        assert deadlines.next_at() == T0 + 1
        assert deadlines.pop_due(T0 + 1e9) == ["a"]
        assert len(deadlines) == 1
        assert deadlines.discard("ever", float("inf"))

    def test_a_key_may_wait_for_several_durations(self, deadlines: Deadlines[str]) -> None:
        deadlines.add("a", 1.0, T0)
        deadlines.add("a", 2.0, T0)
        deadlines.discard("a", 1.0)
        assert deadlines.pop_due(T0 + 2) == ["a"]


class TestDiscard:
    def test_what_is_discarded_is_not_due(self, deadlines: Deadlines[str]) -> None:
        deadlines.add("a", 1.0, T0)
        deadlines.add("b", 1.0, T0)
        deadlines.discard("a", 1.0)
        assert deadlines.next_at() == T0 + 1
        assert deadlines.pop_due(T0 + 1) == ["b"]

    def test_it_tells_whether_there_was_one(self, deadlines: Deadlines[str]) -> None:
        deadlines.add("a", 1.0, T0)
        assert deadlines.discard("b", 1.0) is False
        assert deadlines.discard("a", 7.0) is False
        assert len(deadlines) == 1
        assert deadlines.discard("a", 1.0) is True
        assert deadlines.discard("a", 1.0) is False

    def test_clear(self, deadlines: Deadlines[str]) -> None:
        deadlines.add("a", 1.0, T0)
        assert deadlines.clear() == ["a"]
        assert deadlines.clear() == []
        assert deadlines.next_at() is None
        assert len(deadlines) == 0


class Heard(Deadlines[str]):
    """Notes what whoever acts on deadlines hears."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[object] = []

    def on_first(self, seconds: float) -> None:
        self.heard.append(seconds)

    def on_last(self) -> None:
        self.heard.append("last")

    def on_unknown(self, key: str) -> None:
        self.heard.append(key)


class TestWhoActsOnThem:
    def test_hears_of_what_is_due_before_all_else(self) -> None:
        deadlines = Heard()
        deadlines.add("a", 2.0, T0)
        deadlines.add("b", 2.0, T0)
        deadlines.add("c", 3.0, T0)
        deadlines.add("d", 1.0, T0 + 0.5)
        assert deadlines.heard == [2.0, 1.0]
        assert deadlines.first == T0 + 1.5

    def test_hears_when_the_last_one_is_discarded_and_of_the_next_one_anew(self) -> None:
        deadlines = Heard()
        deadlines.add("a", 2.0, T0)
        deadlines.add("b", 3.0, T0)
        deadlines.discard("a", 2.0)
        assert deadlines.heard == [2.0]
        deadlines.discard("b", 3.0)
        assert deadlines.heard == [2.0, "last"]
        deadlines.add("c", 9.0, T0)
        assert deadlines.heard == [2.0, "last", 9.0]

    def test_hears_of_who_does_not_wait(self) -> None:
        deadlines = Heard()
        deadlines.add("a", 2.0, T0)
        deadlines.discard("b", 2.0)
        deadlines.discard("a", 1.0)
        assert deadlines.heard == [2.0, "b", "a"]


class TestBounds:
    def test_durations_that_nobody_waits_for_are_dropped(self, deadlines: Deadlines[str]) -> None:
        deadlines.add("stays", 9.0, T0)
        for step in range(1000):
            deadlines.add("a", 1 + step / 1000, T0)
            deadlines.discard("a", 1 + step / 1000)
            assert durations(deadlines) <= 64
        assert deadlines.pop_due(T0 + 9) == ["stays"]

    def test_those_that_somebody_waits_for_are_kept_however_many(self, deadlines: Deadlines[str]) -> None:
        for step in range(200):
            deadlines.add(f"{step:03}", 1 + step, T0)
        assert deadlines.pop_due(T0 + 200) == [f"{step:03}" for step in range(200)]


def durations(deadlines: Deadlines[str]) -> int:
    return int(repr(deadlines).split("durations=")[1].split()[0])


def test_repr_tells_what_waits(deadlines: Deadlines[str]) -> None:
    deadlines.add("a", 1.0, T0)
    deadlines.add("b", 2.0, T0)
    assert repr(deadlines) == "<Deadlines waiting=2 durations=2 next_at=1001.0>"


class Model(RuleBasedStateMachine):
    """Any calls, against a dict of all deadlines; the time never goes back."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: Deadlines[int] = Deadlines()
        self.model: dict[tuple[int, float], float] = {}
        self.now = T0

    @rule(key=st.integers(0, 9), duration=st.sampled_from([0.0, 0.25, 0.5, 4.0]))
    def add(self, key: int, duration: float) -> None:
        self.deadlines.add(key, duration, self.now)
        self.model[key, duration] = self.now + duration

    @rule(key=st.integers(0, 9), duration=st.sampled_from([0.0, 0.25, 0.5, 4.0, 8.0]))
    def discard(self, key: int, duration: float) -> None:
        self.deadlines.discard(key, duration)
        self.model.pop((key, duration), None)

    @rule(seconds=st.sampled_from([0.0, 0.125, 0.25, 1.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def pop_due(self) -> None:
        due = {pair: at for pair, at in self.model.items() if at <= self.now}
        popped = self.deadlines.pop_due(self.now)
        assert sorted(popped) == sorted(key for key, _ in due)
        for pair in due:
            del self.model[pair]
        # Where two are due at the same time their order is open: so compare the times.
        times = {key: sorted(at for (other, _), at in due.items() if other == key) for key in popped}
        assert [times[key].pop(0) for key in popped] == sorted(due.values())

    @invariant()
    def the_first_deadline_is_the_least(self) -> None:
        assert self.deadlines.next_at() == min(self.model.values(), default=None)
        assert len(self.deadlines) == len(self.model)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, deadline=None)
