"""`evkit.http.client.resting`: who pauses hears when it is over, once, and not if he was taken out before."""

from collections.abc import Iterator

import pytest

from evkit.core import EventBase
from evkit.core.flags import COUNT_ADDED, EVLOOP_NONBLOCK
from evkit.http.client.resting import Resting
from evkit.testing import FakeBackend, ManualClock


class Sleeper:
    def __init__(self, resting: "Resting[Sleeper]") -> None:
        self.resting = resting
        self.again: float | None = None
        self.woken = 0

    def on_rested(self) -> None:
        self.woken += 1
        if self.again is not None:
            self.resting.begin(self, self.again)


@pytest.fixture(name="base")
def make_base() -> Iterator[EventBase]:
    clock = ManualClock()
    with EventBase(clock=clock, backend=FakeBackend(clock)) as base:
        yield base


def test_each_has_its_own_time(base: EventBase) -> None:
    resting: Resting[Sleeper] = Resting(base)
    sleepers = [Sleeper(resting) for _ in range(3)]
    for sleeper, seconds in zip(sleepers, (3.0, 0.0, 1.0), strict=True):
        resting.begin(sleeper, seconds)
    assert repr(resting) == "<Resting 3>"
    base.loop(EVLOOP_NONBLOCK)
    assert [sleeper.woken for sleeper in sleepers] == [0, 1, 0]
    base.clock.advance(1.0)  # type: ignore[attr-defined]  # it is one that is moved by hand
    base.loop(EVLOOP_NONBLOCK)
    assert [sleeper.woken for sleeper in sleepers] == [0, 1, 1]
    resting.end(sleepers[0])
    resting.end(sleepers[0])
    assert base.num_events(COUNT_ADDED) == 0
    assert repr(resting) == "<Resting 0>"


def test_who_wakes_may_rest_again(base: EventBase) -> None:
    resting: Resting[Sleeper] = Resting(base)
    sleeper = Sleeper(resting)
    sleeper.again = 2.0
    resting.begin(sleeper, 1.0)
    for _ in range(5):
        base.clock.advance(1.0)  # type: ignore[attr-defined]  # as above
        base.loop(EVLOOP_NONBLOCK)
    assert sleeper.woken == 3
    resting.end(sleeper)


def test_all_are_taken_out(base: EventBase) -> None:
    resting: Resting[Sleeper] = Resting(base)
    sleepers = {Sleeper(resting) for _ in range(3)}
    for sleeper in sleepers:
        resting.begin(sleeper, 1.0)
    assert {resting.take() for _ in range(3)} == sleepers
    assert resting.take() is None
    assert base.num_events(COUNT_ADDED) == 0
