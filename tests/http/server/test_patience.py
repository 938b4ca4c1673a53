"""How long a connection waits, by what it waits for."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core import COUNT_ADDED, EV_READ, EVLOOP_NONBLOCK, EventBase, SocketBufferEvent
from evkit.core.event import EventCallback
from evkit.http.server.patience import Patience, Phase, Timeouts
from evkit.testing import ManualClock

TIMEOUTS = Timeouts(first_byte=1.0, header=2.0, body=3.0, write=4.0, keep_alive=5.0)
NAMES = ("first_byte", "header", "body", "write", "keep_alive", "linger", "body_rate", "write_rate")
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def bev(manual_base: EventBase, pair: Pair) -> Iterator[SocketBufferEvent]:
    bev = SocketBufferEvent(manual_base, pair[0])
    bev.enable(EV_READ)
    yield bev
    bev.close()
    assert manual_base.num_events(COUNT_ADDED) == 0


def never(*_: object) -> None:
    raise AssertionError("called though it is not too late")  # which the fixture of the base tells


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [-1.0, -0.001, float("nan"), float("inf"), "5", (5,)])
def test_what_is_no_time_is_refused(name: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be"):
        Timeouts(**{name: seconds})


@pytest.mark.parametrize("name", NAMES)
def test_zero_means_something_for_two_of_them(name: str) -> None:
    if name in ("keep_alive", "linger"):
        assert getattr(Timeouts(**{name: 0.0}), name) == 0
    else:
        with pytest.raises(ValueError, match="positive"):
            Timeouts(**{name: 0.0})


@pytest.mark.parametrize("name", NAMES)
def test_none_and_short_times_are_fine(name: str) -> None:
    assert getattr(Timeouts(**{name: None}), name) is None
    assert getattr(Timeouts(**{name: 0.001}), name) == 0.001


def test_it_begins_with_the_first_byte(bev: SocketBufferEvent) -> None:
    patience = Patience(bev, TIMEOUTS)
    assert patience.phase is Phase.FIRST_BYTE
    assert (bev.read_timeout, bev.write_timeout) == (1.0, 4.0)


@pytest.mark.parametrize(("phase", "read"), [(Phase.IDLE, 5.0), (Phase.BODY, 3.0), (Phase.REPLY, None)])
@pytest.mark.parametrize("before", list(Phase))
def test_each_phase_has_its_limit_for_reading(
    bev: SocketBufferEvent, before: Phase, phase: Phase, read: float | None
) -> None:
    patience = Patience(bev, TIMEOUTS)
    patience.enter(before)
    patience.enter(phase)
    assert patience.phase is phase
    assert (bev.read_timeout, bev.write_timeout) == (read, 4.0)
    patience.free()


def begin(patience: Patience, phase: Phase, too_late: EventCallback) -> None:
    """Begin one of the two phases that have an end of their own."""
    (patience.await_head if phase is Phase.HEAD else patience.await_reply)(too_late)
    assert patience.phase is phase


@pytest.mark.parametrize(("phase", "limit"), [(Phase.HEAD, 2.0), (Phase.REPLY, 4.0)])
def test_bytes_that_trickle_do_not_move_the_end(
    manual_base: EventBase,
    clock: ManualClock,
    bev: SocketBufferEvent,
    pair: Pair,
    phase: Phase,
    limit: float,
) -> None:
    too_late: list[int] = []
    patience = Patience(bev, TIMEOUTS)
    begin(patience, phase, lambda _event, _what: too_late.append(1))
    for _ in range(19):
        clock.advance(limit / 20)
        pair[1].send(b"x")
        manual_base.loop(EVLOOP_NONBLOCK)
    assert too_late == []
    clock.advance(limit / 10)
    manual_base.loop(EVLOOP_NONBLOCK)
    assert too_late == [1]
    patience.free()


@pytest.mark.parametrize("phase", [Phase.HEAD, Phase.REPLY])
@pytest.mark.parametrize("end", ["next phase", "free"])
def test_what_came_in_time_is_not_too_late(
    manual_base: EventBase, clock: ManualClock, bev: SocketBufferEvent, phase: Phase, end: str
) -> None:
    patience = Patience(bev, TIMEOUTS)
    begin(patience, phase, never)
    if end == "free":
        patience.free()
    else:
        patience.enter(Phase.IDLE)
    clock.advance(100.0)
    manual_base.loop(EVLOOP_NONBLOCK)


@pytest.mark.parametrize("phase", [Phase.HEAD, Phase.REPLY])
def test_without_a_limit_it_may_take_for_ever(
    manual_base: EventBase, clock: ManualClock, bev: SocketBufferEvent, phase: Phase
) -> None:
    patience = Patience(bev, Timeouts(header=None, write=None))
    begin(patience, phase, never)
    clock.advance(1e6)
    manual_base.loop(EVLOOP_NONBLOCK)
    assert patience.phase is phase
    patience.free()
