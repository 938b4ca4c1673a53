"""The machine's clocks behind the protocol."""

import time

from evkit.core.base import EventBase
from evkit.core.clock import Clock, SystemClock


def test_system_clock_is_the_machines() -> None:
    clock: Clock = SystemClock()
    before = (time.monotonic(), time.time())
    now = (clock.monotonic(), clock.time())
    after = (time.monotonic(), time.time())
    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]


def test_a_base_uses_it_by_default() -> None:
    with EventBase() as base:
        assert isinstance(base.clock, SystemClock)
        assert base.now() <= time.monotonic()
