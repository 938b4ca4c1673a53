"""The budget of repeats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.rpc.pool.budget import RetryBudget

START = 1000.0


def test_without_calls_there_is_the_reserve() -> None:
    budget = RetryBudget(ratio=0.2, per_second=10, ttl=10)
    assert budget.balance(START) == 100
    assert [budget.withdraw(START) for _ in range(101)] == [True] * 100 + [False]
    assert budget.balance(START) == 0


def test_calls_fill_it() -> None:
    budget = RetryBudget(ratio=0.2, per_second=0)
    for _ in range(4):
        budget.called(START)
    assert not budget.withdraw(START)
    budget.called(START)
    assert budget.withdraw(START)
    assert not budget.withdraw(START)


def test_calls_and_repeats_are_forgotten_in_time() -> None:
    budget = RetryBudget(ratio=1, per_second=0.1, ttl=10)
    budget.called(START)
    assert budget.balance(START + 9.9) == 2
    assert budget.balance(START + 10) == 1
    assert budget.withdraw(START + 10)
    assert not budget.withdraw(START + 19.9)
    assert budget.withdraw(START + 20)


def test_a_long_silence_leaves_the_reserve() -> None:
    budget = RetryBudget(per_second=1, ttl=10)
    for _ in range(100):
        budget.called(START)
    assert budget.balance(START + 1e6) == 10


@pytest.mark.parametrize(
    "settings", [{"ratio": -1}, {"per_second": -1}, {"ttl": 0}, {"ttl": -1}, {"ratio": float("nan")}]
)
def test_numbers_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        RetryBudget(**settings)


def test_it_shows_what_is_left() -> None:
    budget = RetryBudget(ratio=0.5, per_second=1, ttl=2)
    budget.called(START)
    budget.withdraw(START)
    assert repr(budget) == "<RetryBudget 1.5 left after 1 calls and 1 repeats>"


@given(
    steps=st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=200),
    ratio=st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    per_second=st.sampled_from([0.0, 0.5, 3.0]),
)
def test_no_span_of_time_has_more_repeats_than_its_calls_and_the_reserve_allow(
    steps: list[tuple[float, bool]], ratio: float, per_second: float
) -> None:
    budget = RetryBudget(ratio, per_second, 10.0)
    now = START
    calls: list[float] = []
    repeats: list[float] = []
    for pause, is_call in steps:
        now += pause
        if is_call:
            calls.append(now)
            budget.called(now)
        elif budget.withdraw(now):
            repeats.append(now)
            # What it has in mind is 9 to 10 seconds long.
            recent = sum(one > now - 9 for one in repeats)
            assert recent <= 10 * per_second + ratio * sum(one >= now - 10.001 for one in calls) + 1e-9
