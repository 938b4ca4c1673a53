"""Time that moves when it is told to."""

import pytest

from evkit.core.clock import Clock
from evkit.testing import ManualClock


def test_stands_still_until_advanced() -> None:
    clock: Clock = ManualClock(start=5.0, wall=100.0)
    assert [clock.monotonic(), clock.monotonic(), clock.time()] == [5.0, 5.0, 100.0]


def test_advances_both_clocks() -> None:
    clock = ManualClock(start=5.0, wall=100.0)
    clock.advance(2.5)
    clock.advance(0)
    assert (clock.monotonic(), clock.time()) == (7.5, 102.5)


def test_wall_clock_may_jump() -> None:
    clock = ManualClock(start=5.0, wall=100.0)
    clock.set_time(3.0)
    assert (clock.monotonic(), clock.time()) == (5.0, 3.0)


@pytest.mark.parametrize("seconds", [-0.1, float("nan")])
def test_never_goes_back(seconds: float) -> None:
    clock = ManualClock(start=5.0)
    with pytest.raises(ValueError, match="goes forward only"):
        clock.advance(seconds)
    assert clock.monotonic() == 5.0


@pytest.mark.parametrize("start", [0.0, -1.0])
def test_starts_above_zero(start: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ManualClock(start=start)


def test_state_in_words() -> None:
    assert repr(ManualClock(start=5.5, wall=100.0)) == "<ManualClock monotonic=5.5 time=100>"
