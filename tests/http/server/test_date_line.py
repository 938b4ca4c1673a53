"""`evkit.http.server.date_line`: one line a second, and never a line of another second."""

from collections.abc import Iterator

import pytest

from evkit.core.base import EventBase
from evkit.http.server.date_line import DateLine
from evkit.testing import ManualClock

EXAMPLE = 784111777  # RFC 9110 §5.6.7: Sun, 06 Nov 1994 08:49:37 GMT


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=EXAMPLE + 0.25)


@pytest.fixture
def line(clock: ManualClock) -> Iterator[DateLine]:
    with EventBase(clock=clock) as base:
        yield DateLine(base)


def test_the_line_lasts_to_the_end_of_its_second(line: DateLine, clock: ManualClock) -> None:
    first = line.get()
    assert first == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    clock.advance(0.5)
    assert line.get() is first
    clock.advance(0.25)
    assert line.get() == b"Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
    clock.advance(59)
    assert line.get() == b"Date: Sun, 06 Nov 1994 08:50:37 GMT\r\n"


def test_a_clock_that_is_set_back_shows_within_a_second(line: DateLine, clock: ManualClock) -> None:
    line.get()
    clock.set_time(0.0)
    clock.advance(1.0)
    assert line.get() == b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n"
