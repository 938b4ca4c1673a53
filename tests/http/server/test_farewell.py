"""`Farewell` on a real socket pair: the last reply arrives whole, and nobody keeps the connection for ever."""

import socket
from collections.abc import Iterator

import pytest

from evkit.core import (
    COUNT_ADDED,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    BufferEvent,
    EventBase,
    FilterBufferEvent,
    SocketBufferEvent,
)
from evkit.http.server.farewell import Farewell
from evkit.testing import ManualClock, MemoryPair

LAST = b"last reply"
LARGE = bytes(4 << 20)
"""More than any socket pair holds."""
LINGER = 2.0


class Ending:
    """A connection with a peer, and how it ends."""

    def __init__(
        self, base: EventBase, clock: ManualClock, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        self.base = base
        self.clock = clock
        self.bev: BufferEvent = SocketBufferEvent(base, pair[0])
        self.peer = pair[1]
        self.closes = 0
        self.sent: list[int] = []  # how much of the output was left when it was told that none is
        self.farewell: Farewell | None = None

    def on_sent(self) -> None:
        assert not self.closes
        self.sent.append(len(self.bev.output))

    def begin(self, output: bytes = b"", *, sends: bool = False, linger: float | None = LINGER) -> None:
        self.bev.write(output)
        self.farewell = Farewell(self.bev, self.close, linger, sends=sends, sent=self.on_sent)
        self.farewell.begin()
        self.turn()

    def close(self) -> None:
        self.closes += 1
        self.bev.close()
        if self.farewell is not None:
            self.farewell.cancel()

    def turn(self) -> None:
        self.base.loop(EVLOOP_NONBLOCK)

    def send(self, data: bytes) -> None:
        """Let the peer send."""
        assert self.peer.send(data) == len(data)
        self.turn()

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.turn()

    def take(self) -> bytes | None:
        """Read as the peer what is there; ``None``: nothing; ``b""``: the end."""
        try:
            return self.peer.recv(1 << 20)
        except BlockingIOError:
            return None

    def read_all(self) -> tuple[int, bytes | None]:
        """Read as the peer for as long as more comes; return how much, and what there is then."""
        size = 0
        while piece := self.take():
            size += len(piece)
            self.turn()
        return size, piece


@pytest.fixture
def ending(
    manual_base: EventBase, clock: ManualClock, pair: tuple[socket.socket, socket.socket]
) -> Iterator[Ending]:
    ending = Ending(manual_base, clock, pair)
    yield ending
    ending.bev.close()
    if ending.farewell is not None:
        ending.farewell.cancel()
    assert manual_base.num_events(COUNT_ADDED) == 0


def already_sent(ending: Ending, data: bytes) -> None:
    """Let ``data`` stand in the input, as requests do that nobody will serve."""
    ending.bev.enable(EV_READ)
    ending.send(data)
    assert len(ending.bev.input) == len(data)


# A client that has nothing more to send


def test_with_nothing_to_wait_for_it_closes_at_once(ending: Ending) -> None:
    ending.begin()
    assert (ending.closes, ending.take()) == (1, b"")


def test_what_is_due_is_sent_before(ending: Ending) -> None:
    ending.begin(LAST)
    assert ending.closes == 1
    assert (ending.take(), ending.take()) == (LAST, b"")


def test_a_large_reply_is_sent_to_its_end(ending: Ending) -> None:
    ending.begin(LARGE)
    ending.wait(10 * LINGER)
    assert (ending.closes, ending.sent) == (0, [])
    assert ending.read_all() == (len(LARGE), b"")
    assert ending.closes == 1


@pytest.mark.parametrize("output", [b"", LAST, LARGE])
@pytest.mark.parametrize("sends", [False, True])
def test_it_is_told_once_that_all_is_sent(ending: Ending, output: bytes, sends: bool) -> None:
    ending.begin(output, sends=sends)
    ending.read_all()
    ending.wait(LINGER)
    assert (ending.sent, ending.closes) == ([0], 1)


@pytest.mark.parametrize("sends", [False, True])
def test_who_is_told_may_close(ending: Ending, sends: bool) -> None:
    ending.farewell = Farewell(ending.bev, ending.close, LINGER, sends=sends, sent=ending.close)
    ending.farewell.begin()
    assert ending.closes == 1
    assert ending.base.num_events(COUNT_ADDED) == 0  # nothing is begun after the end


def test_nobody_need_be_told_that_all_is_sent(ending: Ending) -> None:
    Farewell(ending.bev, ending.close, LINGER, sends=False).begin()
    assert ending.closes == 1


@pytest.mark.parametrize("sends", [False, True])
def test_what_waits_in_the_connection_below_is_due_too(ending: Ending, sends: bool) -> None:
    """As under TLS: the output is empty then, and the reply not sent."""
    below = ending.bev
    ending.bev = FilterBufferEvent(below)
    ending.bev.write(bytes(250_000))
    ending.turn()
    assert (len(ending.bev.output), bool(below.output)) == (0, True)
    ending.begin(sends=sends)
    ending.wait(10 * LINGER)
    assert (ending.closes, ending.sent) == (0, [])
    assert ending.read_all() == (250_000, b"")
    assert ending.sent == [0]
    ending.wait(LINGER)
    assert ending.closes == 1


def test_one_that_ends_is_sent_what_waits_below(ending: Ending) -> None:
    ending.bev = FilterBufferEvent(ending.bev)
    ending.bev.write(bytes(250_000))
    ending.turn()
    ending.begin(sends=True)
    ending.peer.shutdown(socket.SHUT_WR)
    ending.turn()
    assert ending.closes == 0
    assert ending.read_all() == (250_000, b"")
    assert ending.closes == 1


# A client that still sends


def test_one_that_sends_gets_the_end_and_time_to_read(ending: Ending) -> None:
    ending.begin(LAST, sends=True)
    assert (ending.take(), ending.take()) == (LAST, b"")
    ending.wait(LINGER - 0.1)
    assert ending.closes == 0
    ending.wait(0.2)
    assert ending.closes == 1


def test_one_is_told_to_send_by_its_input(ending: Ending) -> None:
    already_sent(ending, b"next request")
    ending.begin(LAST)
    assert (ending.take(), ending.take()) == (LAST, b"")
    assert ending.closes == 0
    assert not ending.bev.input


def test_one_is_told_to_send_by_what_comes_before_the_reply_is_sent(ending: Ending) -> None:
    ending.begin(LARGE)
    ending.send(b"next request")
    assert ending.read_all() == (len(LARGE), b"")
    assert ending.closes == 0
    ending.wait(LINGER)
    assert ending.closes == 1


def test_its_time_begins_when_the_reply_is_sent_and_does_not_begin_anew(ending: Ending) -> None:
    ending.begin(LARGE, sends=True)
    ending.wait(10 * LINGER)
    assert ending.read_all() == (len(LARGE), b"")
    ending.wait(LINGER - 0.1)
    ending.send(b"more")
    assert ending.closes == 0
    ending.wait(0.2)
    assert ending.closes == 1


def test_what_it_sends_is_discarded(ending: Ending) -> None:
    ending.begin(LAST, sends=True)
    for _ in range(50):
        ending.send(bytes(10_000))
        assert not ending.bev.input
    assert ending.closes == 0


@pytest.mark.parametrize("before", [0, 3])
def test_it_may_send_so_much_and_no_more(
    ending: Ending, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr("evkit.http.server.farewell._MAX_DISCARDED", 10)
    if before:
        already_sent(ending, bytes(before))
    ending.begin(LAST, sends=True)
    ending.send(bytes(10 - before))
    assert ending.closes == 0
    ending.send(b"x")
    assert ending.closes == 1


def test_too_much_at_once_closes_once(ending: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evkit.http.server.farewell._MAX_DISCARDED", 10)
    already_sent(ending, bytes(11))
    ending.begin()
    assert ending.closes == 1
    assert ending.base.num_events(COUNT_ADDED) == 0  # nothing is begun after the end


def test_it_is_closed_when_it_ends(ending: Ending) -> None:
    ending.begin(LAST, sends=True)
    ending.peer.shutdown(socket.SHUT_WR)
    ending.turn()
    assert ending.closes == 1


def test_without_a_limit_it_may_take_for_ever(ending: Ending) -> None:
    ending.begin(LAST, sends=True, linger=None)
    ending.wait(1e6)
    assert ending.closes == 0
    ending.peer.close()
    ending.turn()
    assert ending.closes == 1


# A client that ends, leaves or falls silent while the reply is under way


@pytest.mark.parametrize("sends", [False, True])
def test_one_that_ends_may_still_read(ending: Ending, sends: bool) -> None:
    ending.begin(LARGE, sends=sends)
    ending.peer.shutdown(socket.SHUT_WR)
    ending.turn()
    assert ending.closes == 0
    assert ending.read_all() == (len(LARGE), b"")
    assert ending.closes == 1  # without lingering


def test_one_that_leaves_is_closed(ending: Ending) -> None:
    ending.begin(LARGE, sends=True)
    ending.peer.close()
    ending.turn()
    assert ending.closes == 1


def test_one_that_reads_no_more_is_closed_where_both_ends_come_as_one_event() -> None:
    """As with deferred callbacks: the end of what it sends, and that it takes nothing any more."""
    with MemoryPair() as pair:
        pair.near.write(LAST)
        pair._far.disable(EV_WRITE)
        Farewell(pair.near, pair.near.close, LINGER, sends=True).begin()
        pair._far.close()
        pair.run()
        assert pair.near.closed


def test_one_that_takes_nothing_is_closed_by_the_time_out_for_writing(ending: Ending) -> None:
    ending.bev.set_timeouts(read=5.0, write=7.0)
    ending.begin(LARGE)
    ending.wait(6.9)
    assert ending.closes == 0  # that for reading holds no more
    ending.wait(0.2)
    assert ending.closes == 1


def test_cancelled_it_does_nothing_more(ending: Ending) -> None:
    ending.begin(LAST, sends=True)
    assert ending.farewell is not None
    ending.farewell.cancel()
    ending.wait(10 * LINGER)
    assert ending.closes == 0
