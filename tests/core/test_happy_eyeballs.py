"""The order of addresses, and every way in which a race can go, by values only."""

import itertools
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.happy_eyeballs import (
    CONNECTION_ATTEMPT_DELAY,
    MAX_ADDRESSES,
    HappyEyeballs,
    Outcome,
    Step,
    interleave,
)
from evkit.core.net import Address, family_of

A1, A2, A3 = ("192.0.2.1", 80), ("192.0.2.2", 80), ("192.0.2.3", 80)
B1, B2, B3 = ("2001:db8::1", 80, 0, 0), ("2001:db8::2", 80, 0, 0), ("2001:db8::3", 80, 0, 0)
UNIX = "/run/x.sock"
T0 = 1000.0  # when each race begins
DELAY = 0.25

ADDRESSES = st.lists(st.sampled_from([A1, A2, A3, B1, B2, B3, UNIX]))


def race(count: int, timeout: float | None = None, delay: float = DELAY) -> HappyEyeballs:
    return HappyEyeballs([(f"192.0.2.{n}", 80) for n in range(count)], timeout=timeout, delay=delay)


class TestInterleave:
    @pytest.mark.parametrize(
        ("given_", "expected"),
        [
            ([], []),
            ([A1], [A1]),
            ([A2, A1], [A2, A1]),
            ([B1, B2, A1, A2], [B1, A1, B2, A2]),
            ([A1, A2, B1, B2], [A1, B1, A2, B2]),
            ([B1, B2, B3, A1], [B1, A1, B2, B3]),
            ([B1, A1, A2, A3], [B1, A1, A2, A3]),
            ([A1, B1, A2], [A1, B1, A2]),
            ([A1, A2, UNIX, B1], [A1, UNIX, B1, A2]),
        ],
    )
    def test_families_take_turns(self, given_: list[Address], expected: list[Address]) -> None:
        assert interleave(given_) == expected

    def test_what_comes_twice_is_tried_once(self) -> None:
        assert interleave([A1, A1, B1, A1, B1, A2]) == [A1, B1, A2]

    @given(ADDRESSES)
    def test_any_list_keeps_its_addresses_and_the_order_within_a_family(self, given_: list[Address]) -> None:
        ordered = interleave(given_)
        once = list(dict.fromkeys(given_))
        assert sorted(map(str, ordered)) == sorted(map(str, once))
        assert ordered[:1] == once[:1]
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
            assert [a for a in ordered if family_of(a) == family] == [
                a for a in once if family_of(a) == family
            ]

    @given(ADDRESSES)
    def test_a_family_has_two_turns_running_only_when_no_other_is_left(self, given_: list[Address]) -> None:
        ordered = interleave(given_)
        families = [family_of(address) for address in ordered]
        for place, (family, following) in enumerate(itertools.pairwise(families)):
            if family == following:
                assert set(families[place:]) == {family}

    @pytest.mark.parametrize("given_", [None, 5, "127.0.0.1", b"/run/x"])
    def test_what_is_no_list_is_refused(self, given_: Any) -> None:
        with pytest.raises(ValueError, match="expected a list of addresses, got"):
            interleave(given_)

    @pytest.mark.parametrize("item", [None, ["127.0.0.1", 80], {}, ("::1", 80, 0, [])])
    def test_what_is_no_address_is_refused(self, item: Any) -> None:
        with pytest.raises(ValueError, match="expected"):
            interleave([A1, item])

    def test_host_name_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"got 'example\.org'"):
            interleave([A1, ("example.org", 80)])


class TestMaking:
    def test_no_more_addresses_than_are_good_for_the_descriptors(self) -> None:
        other = ("2001:db8::1", 80)
        many: list[Address] = [(f"192.0.2.{n}", 80) for n in range(100)]
        assert HappyEyeballs([*many, other]).addresses == (many[0], other, *many[1 : MAX_ADDRESSES - 1])

    def test_no_address(self) -> None:
        with pytest.raises(ValueError, match="expected an address at least"):
            HappyEyeballs([])

    @pytest.mark.parametrize("delay", [0.0, 0.099, 2.001, -1.0, float("nan"), float("inf")])
    def test_delay_out_of_the_rfc_s_range(self, delay: float) -> None:
        with pytest.raises(ValueError, match=r"0\.1 to 2\.0 seconds"):
            race(1, delay=delay)

    def test_delay_is_the_recommended_one_unless_told(self) -> None:
        assert HappyEyeballs([A1, A2]).begin(T0).wake_at == T0 + 0.25
        assert CONNECTION_ATTEMPT_DELAY == 0.25

    @pytest.mark.parametrize("delay", [0.1, 2.0])
    def test_ends_of_the_range(self, delay: float) -> None:
        assert race(2, delay=delay).begin(T0).wake_at == T0 + delay

    def test_addresses_are_those_of_interleave(self) -> None:
        assert HappyEyeballs([A1, A2, B1, A1]).addresses == (A1, B1, A2)

    def test_repr_shows_the_state(self) -> None:
        plan = race(3)
        assert repr(plan) == "<HappyEyeballs racing under_way=[] tried=0/3>"
        plan.begin(T0)
        plan.failed(0, T0)
        assert repr(plan) == "<HappyEyeballs racing under_way=[1] tried=2/3>"
        plan.succeeded(1)
        assert repr(plan) == "<HappyEyeballs won under_way=[] tried=2/3>"


def racing(start: int | None, wake_at: float | None) -> Step:
    return Step(Outcome.RACING, (), start, wake_at)


class TestSchedule:
    def test_one_after_the_other_while_none_answers(self) -> None:
        plan = race(3)
        assert plan.begin(T0) == racing(0, T0 + 0.25)
        assert plan.tick(T0 + 0.25) == racing(1, T0 + 0.5)
        assert plan.tick(T0 + 0.5) == racing(2, None)
        assert plan.tick(T0 + 100) == racing(None, None)

    def test_too_early_changes_nothing(self) -> None:
        plan = race(2)
        plan.begin(T0)
        assert plan.tick(T0 + 0.249) == racing(None, T0 + 0.25)

    def test_a_late_tick_starts_one_and_counts_from_then(self) -> None:
        plan = race(4)
        plan.begin(T0)
        assert plan.tick(T0 + 10) == racing(1, T0 + 10.25)
        assert plan.tick(T0 + 10) == racing(None, T0 + 10.25)

    def test_failure_of_the_latest_starts_the_next_at_once(self) -> None:
        plan = race(3)
        plan.begin(T0)
        assert plan.failed(0, T0 + 0.01) == racing(1, T0 + 0.26)
        assert plan.failed(1, T0 + 0.01) == racing(2, None)

    def test_failure_of_an_earlier_one_starts_none(self) -> None:
        plan = race(3)
        plan.begin(T0)
        plan.tick(T0 + 0.25)
        assert plan.failed(0, T0 + 0.3) == racing(None, T0 + 0.5)

    def test_failure_of_an_earlier_one_after_the_delay_has_passed(self) -> None:
        plan = race(3)
        plan.begin(T0)
        plan.tick(T0 + 0.25)
        assert plan.failed(0, T0 + 0.5) == racing(2, None)

    def test_all_failed(self) -> None:
        plan = race(2)
        plan.begin(T0)
        plan.tick(T0 + 0.25)
        assert plan.failed(1, T0 + 0.3) == racing(None, None)
        assert plan.failed(0, T0 + 0.4) == Step(Outcome.FAILED)
        assert plan.outcome is Outcome.FAILED

    def test_success_abandons_the_others_and_tries_no_more(self) -> None:
        plan = race(4)
        plan.begin(T0)
        plan.tick(T0 + 0.25)
        plan.tick(T0 + 0.5)
        assert plan.succeeded(1) == Step(Outcome.WON, abandon=(0, 2))
        assert plan.tick(T0 + 100) == Step(Outcome.WON)

    def test_time_out_abandons_all_and_tries_no_more(self) -> None:
        plan = race(4, timeout=0.4)
        assert plan.begin(T0) == racing(0, T0 + 0.25)
        assert plan.tick(T0 + 0.25) == racing(1, T0 + 0.4)
        assert plan.tick(T0 + 0.4) == Step(Outcome.TIMED_OUT, abandon=(0, 1))
        assert plan.tick(T0 + 100) == Step(Outcome.TIMED_OUT)

    def test_time_out_goes_before_the_next_attempt(self) -> None:
        plan = race(2, timeout=0.25)
        plan.begin(T0)
        assert plan.tick(T0 + 0.25) == Step(Outcome.TIMED_OUT, abandon=(0,))

    def test_failure_when_the_time_is_up_starts_none(self) -> None:
        plan = race(2, timeout=1.0)
        plan.begin(T0)
        assert plan.failed(0, T0 + 1) == Step(Outcome.TIMED_OUT)

    def test_last_failure_when_the_time_is_up_is_a_failure(self) -> None:
        plan = race(1, timeout=1.0)
        plan.begin(T0)
        assert plan.failed(0, T0 + 1) == Step(Outcome.FAILED)

    def test_time_out_of_zero_lets_the_first_one_begin(self) -> None:
        plan = race(2, timeout=0.0)
        assert plan.begin(T0) == racing(0, T0)
        assert plan.succeeded(0) == Step(Outcome.WON)


class TestMisuse:
    def test_begun_twice(self) -> None:
        plan = race(2)
        plan.begin(T0)
        with pytest.raises(ValueError, match="has begun"):
            plan.begin(T0)

    def test_attempt_that_is_not_under_way(self) -> None:
        plan = race(2)
        plan.begin(T0)
        for attempt in (-1, 1, 2):
            with pytest.raises(ValueError, match=f"attempt {attempt} is not under way"):
                plan.failed(attempt, T0)
            with pytest.raises(ValueError, match=f"attempt {attempt} is not under way"):
                plan.succeeded(attempt)

    def test_attempt_that_was_abandoned(self) -> None:
        plan = race(2)
        plan.begin(T0)
        plan.tick(T0 + 0.25)
        plan.succeeded(0)
        with pytest.raises(ValueError, match="attempt 1 is not under way"):
            plan.failed(1, T0)


class Referee:
    """Follows a race and protests when it breaks a rule."""

    def __init__(self, count: int, timeout: float | None) -> None:
        self.plan = race(count, timeout)
        self.count = count
        self.deadline = None if timeout is None else T0 + timeout
        self.now = T0
        self.started: list[float] = []  # when, by attempt
        self.under_way: set[int] = set()
        self.latest_failed = True
        self.step = self.plan.begin(T0)
        self.judge(self.step)

    def judge(self, step: Step) -> None:
        self.step = step
        assert step.outcome is self.plan.outcome
        if step.start is not None:
            self.judge_start(step.start)
        assert set(step.abandon) <= self.under_way
        if step.outcome is Outcome.RACING:
            assert not step.abandon
            assert self.under_way, "it waits for nothing"
            if len(self.started) < self.count:
                assert step.wake_at is not None
                assert step.wake_at <= self.started[-1] + DELAY, "the next one would be late"
        else:
            assert set(step.abandon) == self.under_way, "something is left behind"
            assert step.start is None
            assert step.wake_at is None
            self.under_way.clear()

    def judge_start(self, attempt: int) -> None:
        assert attempt == len(self.started) < self.count, "out of order, or twice"
        assert self.latest_failed or self.now >= self.started[-1] + DELAY, "too early"
        assert self.deadline is None or self.now < self.deadline or not self.started, "too late"
        self.started.append(self.now)
        self.under_way.add(attempt)
        self.latest_failed = False

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.judge(self.plan.tick(self.now))

    def fail(self, attempt: int) -> None:
        self.under_way.remove(attempt)
        self.latest_failed = self.latest_failed or attempt == len(self.started) - 1
        self.judge(self.plan.failed(attempt, self.now))

    def succeed(self, attempt: int) -> None:
        self.under_way.remove(attempt)
        self.judge(self.plan.succeeded(attempt))
        assert self.plan.outcome is Outcome.WON

    @property
    def over(self) -> bool:
        return self.plan.outcome is not Outcome.RACING


Move = tuple[str, int]


def moves(referee: Referee) -> Iterator[Move]:
    """Yield what may happen next: an attempt ends, or it is time to wake up."""
    for attempt in sorted(referee.under_way):
        yield "fail", attempt
        yield "succeed", attempt
    if referee.step.wake_at is not None:
        yield "wake", 0


def play(count: int, timeout: float | None, history: list[Move]) -> Referee:
    referee = Referee(count, timeout)
    for kind, attempt in history:
        if kind == "fail":
            referee.fail(attempt)
        elif kind == "succeed":
            referee.succeed(attempt)
        else:
            assert referee.step.wake_at is not None
            referee.tick(referee.step.wake_at - referee.now)
    return referee


@pytest.mark.parametrize("timeout", [None, 0.0, 0.25, 0.6])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_way_in_which_it_can_go_ends_by_the_rules(count: int, timeout: float | None) -> None:
    ends: set[Outcome] = set()
    open_: list[list[Move]] = [[]]
    while open_:
        history = open_.pop()
        referee = play(count, timeout, history)
        if referee.over:
            ends.add(referee.plan.outcome)
            continue
        assert len(history) < 2 * count + 2, "it does not end"
        following = [[*history, move] for move in moves(referee)]
        if not following:
            raise AssertionError(f"nothing can happen any more: {referee.plan!r}")
        open_.extend(following)
    expected = {Outcome.WON, Outcome.FAILED}
    if timeout is not None:
        expected.add(Outcome.TIMED_OUT)
    if timeout == 0 and count > 1:
        expected.remove(Outcome.FAILED)
    assert ends == expected


@given(
    st.integers(1, 6),
    st.none() | st.floats(0, 3),
    st.lists(
        st.tuples(st.sampled_from(["tick", "fail", "succeed"]), st.integers(0, 5), st.floats(0, 1)),
        max_size=30,
    ),
)
def test_any_order_of_failures_and_time_keeps_the_rules(
    count: int, timeout: float | None, happenings: list[tuple[str, int, float]]
) -> None:
    referee = Referee(count, timeout)
    for kind, attempt, seconds in happenings:
        if referee.over:
            break
        if kind == "tick":
            referee.tick(seconds)
        elif attempt in referee.under_way:
            referee.now += seconds
            referee.fail(attempt) if kind == "fail" else referee.succeed(attempt)
    while not referee.over:  # and it ends when all that is left fails
        referee.fail(min(referee.under_way))
    assert len(referee.started) <= count
