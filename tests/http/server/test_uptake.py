"""`Uptake`: who is slow to take what is sent to him, and who is not. Over a pair, which takes what it is told to."""

import socket
from collections.abc import Iterator

import pytest

from evkit.core import (
    COUNT_ADDED,
    EV_READ,
    EVLOOP_NONBLOCK,
    BufferEvent,
    EventBase,
    FilterBufferEvent,
    PairBufferEvent,
    RateLimit,
    RateLimitGroup,
    SocketBufferEvent,
)
from evkit.http.server.uptake import Uptake, carrier, unsent
from evkit.testing import ManualClock

GRACE, RATE = 10.0, 1000.0
ROOM = 100
LARGE = bytes(1 << 20)


class Reader:
    """A client that reads as it is told to, and the server's end of the connection."""

    def __init__(self, base: EventBase, clock: ManualClock) -> None:
        self.base = base
        self.clock = clock
        self.bev, self.client = PairBufferEvent.pair(base)
        self.client.set_watermark(EV_READ, high=ROOM)
        self.client.enable(EV_READ)
        self.uptake = Uptake(self.bev, GRACE, RATE)

    def take(self, size: int) -> None:
        while took := self.client.input.drain(min(size, ROOM)):
            size -= took
            self.turn()

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.turn()

    def turn(self) -> None:
        self.base.loop(EVLOOP_NONBLOCK)

    def write(self, data: bytes) -> None:
        self.bev.write(data)
        self.turn()

    def read_for(self, seconds: int, rate: int) -> int:
        """Read steadily; return after how many seconds it was closed."""
        for second in range(seconds):
            self.wait(1)
            if self.bev.closed:
                return second + 1
            self.take(rate)
        return 0


@pytest.fixture
def reader(manual_base: EventBase, clock: ManualClock) -> Iterator[Reader]:
    reader = Reader(manual_base, clock)
    yield reader
    reader.uptake.free()
    reader.bev.close()
    reader.client.close()
    reader.turn()
    assert manual_base.num_events(COUNT_ADDED) == 0


def test_who_reads_nothing(reader: Reader) -> None:
    reader.write(LARGE)
    reader.uptake.watch()
    reader.wait(GRACE)
    reader.wait(GRACE - 0.1)
    assert not reader.bev.closed
    reader.wait(0.2)
    assert reader.bev.closed


def test_who_reads_steadily_but_slowly(reader: Reader) -> None:
    """Half as fast as he must: each second is half paid for, so what he has lasts twice as long."""
    reader.write(LARGE)
    reader.uptake.watch()
    # Looked at after 10 s, from when on 10 s are left, and half a second more for each.
    assert 29 <= reader.read_for(100, int(RATE) // 2) <= 31


def test_who_reads_fast_enough(reader: Reader) -> None:
    reader.write(LARGE)
    reader.uptake.watch()
    assert reader.read_for(500, int(RATE)) == 0
    assert reader.bev.output


def test_more_that_is_sent_buys_nothing(reader: Reader) -> None:
    reader.write(LARGE)
    reader.uptake.watch()
    reader.wait(GRACE)
    for _ in range(9):
        reader.write(LARGE)
        reader.wait(1.0)
    assert not reader.bev.closed
    reader.wait(1.1)
    assert reader.bev.closed


def test_who_has_all_is_not_waited_for(reader: Reader) -> None:
    """What comes when it comes, as events do, is no reply that he is slow with."""
    reader.uptake.watch()
    for _ in range(10 * int(GRACE)):
        reader.wait(0.5)
        reader.write(bytes(ROOM + 1))  # and it may be this moment that somebody looks
        reader.wait(0.5)
        reader.take(ROOM + 1)
        assert not reader.bev.output
    assert not reader.bev.closed


@pytest.mark.parametrize("at_first", [False, True])
def test_who_is_slow_with_one_piece_after_the_other(reader: Reader, at_first: bool) -> None:
    """As a generator makes them: there is a moment without any after each, and perhaps when somebody looks first."""
    reader.uptake.watch()
    seconds = 0
    while not reader.bev.closed:
        if (at_first or seconds > GRACE) and not reader.bev.output:
            reader.write(bytes(1000))
        reader.wait(1)
        seconds += 1
        reader.take(100)
        assert seconds < 100
    assert 2 * GRACE <= seconds <= 4 * GRACE


def test_it_looks_as_long_as_there_may_be_more(reader: Reader) -> None:
    reader.uptake.watch()
    reader.uptake.watch()
    before = reader.base.num_events(COUNT_ADDED)
    for _ in range(3):
        reader.wait(GRACE)
        assert reader.base.num_events(COUNT_ADDED) == before
    reader.uptake.more = False
    reader.wait(GRACE)
    assert reader.base.num_events(COUNT_ADDED) == before - 1
    reader.write(LARGE)
    reader.wait(10 * GRACE)
    assert not reader.bev.closed
    reader.uptake.watch()
    reader.uptake.more = False
    reader.wait(GRACE)
    reader.wait(GRACE)
    assert reader.bev.closed


@pytest.mark.parametrize("looked", [False, True])
def test_it_can_be_ended(reader: Reader, looked: bool) -> None:
    reader.write(LARGE)
    reader.uptake.watch()
    if looked:
        reader.wait(GRACE)
    reader.uptake.free()
    reader.wait(10 * GRACE)
    reader.take(1000)
    assert not reader.bev.closed


@pytest.mark.parametrize("by", ["limit", "group"])
def test_who_is_held_back_by_us_is_not_slow(
    manual_base: EventBase, clock: ManualClock, pair: tuple[socket.socket, socket.socket], by: str
) -> None:
    limit = RateLimit(write_rate=1, write_burst=1)
    group = RateLimitGroup(manual_base, limit)
    bev = SocketBufferEvent(manual_base, pair[0])
    if by == "limit":
        bev.set_rate_limit(limit)
    else:
        group.add(bev)
    bev.write(LARGE)
    uptake = Uptake(bev, GRACE, RATE)
    uptake.watch()
    for _ in range(10):
        clock.advance(GRACE)
        manual_base.loop(EVLOOP_NONBLOCK)
    assert not bev.closed
    uptake.free()
    bev.close()


class TestLayers:
    """What is above of all counts as unsent until it has left below of all, and is counted there."""

    @pytest.fixture
    def above(self, reader: Reader) -> Iterator[BufferEvent]:
        above = FilterBufferEvent(reader.bev)
        yield above
        above.close()

    def test_one_look_after_the_other(self, reader: Reader, above: BufferEvent) -> None:
        """Written, and not passed on yet, when somebody looks."""
        reader.uptake.free()
        reader.uptake = Uptake(above, GRACE, RATE)
        reader.uptake.watch()
        looks = [reader.base.timer(lambda _event, _what: above.write(bytes(ROOM + 1))) for _ in range(5)]
        for number, look in enumerate(looks):
            look.add(GRACE * (number + 1) - 0.001)
        for _ in looks:
            reader.wait(GRACE)
            reader.take(ROOM + 1)
        assert not above.closed
        reader.uptake.free()
        assert reader.bev.output._callbacks is None, "nobody is told who has let go"

    def test_where_bytes_wait(self, reader: Reader, above: BufferEvent) -> None:
        assert carrier(above) is carrier(reader.bev) is reader.bev
        above.write(LARGE)
        reader.turn()
        assert above.output
        assert reader.bev.output
        assert unsent(above) == len(LARGE) - ROOM
        reader.take(len(LARGE) - 2 * ROOM)
        assert not above.output
        assert unsent(above) == unsent(reader.bev) == ROOM
        reader.take(2 * ROOM)
        assert unsent(above) == 0

    @pytest.mark.parametrize(("rate", "slow"), [(RATE / 2, True), (RATE, False)])
    def test_how_fast(self, reader: Reader, above: BufferEvent, rate: float, slow: bool) -> None:
        reader.uptake.free()
        reader.uptake = Uptake(above, GRACE, RATE)
        above.write(LARGE)
        reader.uptake.watch()
        assert bool(reader.read_for(100, int(rate))) is slow
        assert above.closed is slow
