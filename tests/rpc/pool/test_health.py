"""The health of a server."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.rpc.client.backoff import Backoff
from evkit.rpc.pool.health import Health

PAUSE = Backoff(1.0, 2.0, 60.0, 0.0)
NOW = 1000.0


def sick(times: int = 1) -> Health:
    """Return one that was left out so many times in a row."""
    health = Health(1, PAUSE)
    health.failed(NOW, 0.0, probe=False)
    for _ in range(times - 1):
        assert health.begin()
        health.failed(NOW, 0.0, probe=True)
    return health


def test_a_server_is_well_at_first() -> None:
    health = Health(5, PAUSE)
    assert health.fit(NOW)
    assert not health.begin()
    assert health.wakes_at == inf


def test_failures_in_a_row_leave_it_out() -> None:
    health = Health(3, PAUSE)
    assert [health.failed(NOW, 0.0, probe=False) for _ in range(3)] == [False, False, True]
    assert not health.fit(NOW + 0.9)
    assert health.fit(NOW + 1.0)
    assert health.wakes_at == NOW + 1.0


def test_an_answer_breaks_the_row() -> None:
    health = Health(2, PAUSE)
    for _ in range(3):
        assert not health.failed(NOW, 0.0, probe=False)
        health.succeeded()
    assert health.fit(NOW)


def test_old_news_does_not_leave_it_out_for_longer() -> None:
    health = sick()
    assert not any(health.failed(NOW + n / 10, 0.0, probe=False) for n in range(20))
    assert health.until == NOW + 1.0


def test_one_call_at_a_time_tries_it() -> None:
    health = sick()
    assert health.begin()
    assert not health.fit(NOW + 1.0)
    assert health.wakes_at == inf
    health.gave_up()
    assert health.fit(NOW + 1.0)


def test_the_call_that_tries_it_decides() -> None:
    health = sick()
    assert health.begin()
    health.succeeded()
    assert health.until == 0.0
    assert health.fit(NOW)


@pytest.mark.parametrize(("times", "pause"), [(1, 1), (2, 2), (3, 4), (7, 60)])
def test_each_time_it_is_left_out_for_longer(times: int, pause: float) -> None:
    assert sick(times).until == NOW + pause


def test_once_well_the_pauses_are_short_again() -> None:
    health = sick(5)
    health.succeeded()
    assert health.failed(NOW, 0.0, probe=False)
    assert health.until == NOW + 1


def test_the_dice_shorten_the_pause() -> None:
    health = Health(1, Backoff(1.0, jitter=0.5))
    health.failed(NOW, 0.5, probe=False)
    assert health.until == NOW + 0.75


def test_no_failures_at_all_are_no_rule() -> None:
    with pytest.raises(ValueError, match="expected 1 or more failures, got 0"):
        Health(0, PAUSE)


def test_it_shows_its_state() -> None:
    assert repr(Health(1, PAUSE)) == "<Health well failures=0>"
    health = sick()
    assert repr(health) == "<Health left out until=1001>"
    health.begin()
    assert repr(health) == "<Health tried until=1001>"


@given(st.lists(st.sampled_from(["call", "ok", "fail", "drop", "wait"]), max_size=60))
def test_there_is_never_more_than_one_call_that_tries_it_and_always_a_way_back(steps: list[str]) -> None:
    health = Health(2, PAUSE)
    now = NOW
    under_way: list[bool] = []
    for step in steps:
        if step == "wait":
            now += 100
        elif step == "call":
            if health.fit(now):
                under_way.append(health.begin())
        elif under_way:
            probe = under_way.pop(0)
            if step == "ok":
                health.succeeded()
                under_way = [False for _ in under_way]
            elif step == "fail":
                health.failed(now, 0.0, probe=probe)
            elif probe:
                health.gave_up()
        assert sum(under_way) <= 1
    for probe in under_way:
        if probe:
            health.gave_up()
    assert health.fit(now + 100)
