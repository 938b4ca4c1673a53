"""`SocketBufferEvent.setfd` and `replacefd`: another socket under the same connection."""

import socket
from collections.abc import Iterator

import pytest

from below import Ear, each, turn
from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.bufferevent.gate import SUSPEND_LOOKUP
from evkit.core.flags import COUNT_ADDED, EV_READ
from evkit.errors import FrozenBufferError

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def other() -> Iterator[Pair]:
    left, right = socket.socketpair()
    with left, right:
        yield left, right


@pytest.fixture
def bev(base: EventBase, pair: Pair) -> Iterator[SocketBufferEvent]:
    bev = SocketBufferEvent(base, pair[0])
    yield bev
    bev.close()


def test_goes_on_over_the_other(base: EventBase, bev: SocketBufferEvent, pair: Pair, other: Pair) -> None:
    ear = Ear(bev)
    bev.enable(EV_READ)
    pair[1].send(b"one")
    turn(base)
    assert bev.setfd(other[0]) is pair[0]
    pair[1].send(b"lost")
    other[1].send(b"two")
    bev.write(b"out")
    turn(base)
    assert ear.data == b"onetwo"
    assert other[1].recv(9) == b"out"
    assert pair[0].recv(9) == b"lost"  # it is open, and the caller's
    assert not other[0].getblocking()


def test_replace_closes_the_one_before(
    base: EventBase, bev: SocketBufferEvent, pair: Pair, other: Pair
) -> None:
    bev.replacefd(other[0])
    assert pair[0].fileno() == -1
    assert bev.socket is other[0]
    bev.replacefd(other[0])  # the same again: nothing to close
    assert other[0].fileno() >= 0
    bev.replacefd(None)
    assert other[0].fileno() == -1


def test_output_waits_for_the_next_one(base: EventBase, bev: SocketBufferEvent, other: Pair) -> None:
    bev.enable(EV_READ)
    former = bev.setfd(None)
    assert former is not None
    former.close()
    assert "new" in repr(bev)
    assert base.num_events(COUNT_ADDED) == 0
    bev.write(b"later")
    turn(base)
    assert bytes(bev.output) == b"later"
    assert bev.setfd(other[0]) is None
    turn(base)
    assert other[1].recv(9) == b"later"


def test_what_the_system_refused_goes_to_the_next_one(
    base: EventBase, bev: SocketBufferEvent, pair: Pair, other: Pair
) -> None:
    size = 4 << 20  # bytes: more than any socket here takes at once
    bev.write(bytes(size))
    turn(base)
    rest = len(bev.output)
    assert 0 < rest < size
    bev.setfd(other[0])
    got = 0
    while got < rest:
        turn(base)
        got += len(other[1].recv(1 << 20))
    assert got == rest


def test_forgets_an_attempt_to_connect(base: EventBase, other: Pair) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()
    bev = SocketBufferEvent(base)
    ear = Ear(bev)
    bev.connect(closed)
    bev.replacefd(other[0])
    bev.write(b"x")
    turn(base)
    assert ear.heard == ["write"]
    assert other[1].recv(9) == b"x"
    bev.close()


def test_forgets_an_attempt_that_failed_at_once(base: EventBase, other: Pair) -> None:
    bev = SocketBufferEvent(base)
    ear = Ear(bev)
    bev.connect("/nowhere/at/all")
    bev.replacefd(other[0])
    turn(base)
    assert ear.heard == []
    bev.close()


def test_in_the_read_callback(base: EventBase, bev: SocketBufferEvent, pair: Pair, other: Pair) -> None:
    got: list[bytes] = []
    bev.set_callbacks(read=each(lambda bev: got.append(bev.read()), lambda _bev: bev.replacefd(other[0])))
    bev.enable(EV_READ)
    pair[1].send(b"one")
    other[1].send(b"two")
    base.loop(1)
    base.loop(1)
    assert got == [b"one", b"two"]


def test_a_closed_one_takes_none(bev: SocketBufferEvent, other: Pair) -> None:
    bev.close()
    for call in (bev.setfd, bev.replacefd):
        with pytest.raises(ValueError, match="on a connection that is closed"):
            call(other[0])
    assert other[0].fileno() >= 0


def test_what_holds_reading_back_holds_over_the_next_one(
    base: EventBase, bev: SocketBufferEvent, other: Pair
) -> None:
    ear = Ear(bev)
    bev.enable(EV_READ)
    bev.suspend(EV_READ, SUSPEND_LOOKUP)
    bev.replacefd(other[0])
    other[1].send(b"two")
    turn(base)
    assert ear.data == b""
    bev.resume(EV_READ, SUSPEND_LOOKUP)
    turn(base)
    assert ear.data == b"two"


def test_buffers_stay_frozen(bev: SocketBufferEvent, other: Pair) -> None:
    """libevent unfreezes them until something is read or written."""
    bev.write(b"x")
    bev.replacefd(other[0])
    for forbidden in (lambda: bev.input.add(b"forged"), lambda: bev.output.drain(1)):
        with pytest.raises(FrozenBufferError):
            forbidden()
