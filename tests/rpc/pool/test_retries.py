"""Whether there may be one more attempt."""

import pytest

from evkit.rpc import Backoff, RetryBudget
from evkit.rpc.pool.retries import MAX_RETRIES, RetryRule

NOW = 1000.0
PAUSE = Backoff(1.0, 2.0, 60.0, 0.5)


def budget(number: int) -> RetryBudget:
    """Return one of so many repeats, and no more for a long time."""
    return RetryBudget(0.0, number / 1000, 1000.0)


def test_each_repeat_waits_longer() -> None:
    rule = RetryRule(3, PAUSE, budget(100))
    assert [rule.pause(repeats, NOW, 0.0) for repeats in range(4)] == [1.0, 2.0, 4.0, None]


def test_chance_makes_it_shorter() -> None:
    assert RetryRule(3, PAUSE, budget(1)).pause(0, NOW, 0.5) == 0.75


def test_what_is_not_repeated_costs_nothing() -> None:
    few = budget(2)
    rule = RetryRule(1, PAUSE, few)
    assert rule.pause(1, NOW, 0.0) is None
    assert few.balance(NOW) == 2
    assert rule.pause(0, NOW, 0.0) == 1.0
    assert few.balance(NOW) == 1


def test_repeats_and_copies_come_out_of_one_budget() -> None:
    rule = RetryRule(4, PAUSE, budget(2))
    assert rule.may_copy(NOW)
    assert rule.pause(0, NOW, 0.0) == 1.0
    assert rule.pause(0, NOW, 0.0) is None
    assert not rule.may_copy(NOW)


def test_several_rules_may_share_a_budget() -> None:
    few = budget(1)
    rules = [RetryRule(2, PAUSE, few) for _ in range(2)]
    assert [rule.may_copy(NOW) for rule in rules] == [True, False]


@pytest.mark.parametrize("most", [0, MAX_RETRIES])
def test_the_range_has_its_ends(most: int) -> None:
    assert (RetryRule(most, PAUSE, budget(1)).pause(0, NOW, 0.0) is None) is (most == 0)


@pytest.mark.parametrize("most", [-1, MAX_RETRIES + 1, 1.5])
def test_what_is_out_of_range_is_refused(most: int) -> None:
    with pytest.raises(ValueError, match="expected retries as a number from 0 to 4"):
        RetryRule(most, PAUSE, budget(1))


def test_it_shows_its_settings() -> None:
    shown = repr(RetryRule(2, PAUSE, budget(3)))
    assert shown == "<RetryRule most=2 <Backoff 1 s x2, most 60 s, jitter 0.5> " + repr(budget(3)) + ">"
