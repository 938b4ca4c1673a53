"""`FilterBufferEvent`: how filters are called, what their answers do, and that no split changes the result."""

import socket
import zlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from below import Below, Ear, turn
from evkit.core.base import EventBase
from evkit.core.buffer import Buffer
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.flags import (
    BEV_ERROR,
    BEV_FINISHED,
    BEV_FLUSH,
    BEV_NEED_MORE,
    BEV_NORMAL,
    BEV_OK,
    EV_READ,
    EV_WRITE,
)
from evkit.errors import TransportError
from evkit.testing import FakeBase, base_with_fakes, split_everywhere


class Deflate:
    """An output filter that compresses."""

    def __init__(self) -> None:
        self.codec = zlib.compressobj()

    def __call__(self, source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
        data = self.codec.compress(source.remove(limit))
        if mode == BEV_FLUSH:
            data += self.codec.flush(zlib.Z_SYNC_FLUSH)
        elif mode == BEV_FINISHED:
            data += self.codec.flush()
        sink.add(data)
        return BEV_OK


class Inflate:
    """An input filter that never adds more than it may, however much comes out of however little."""

    def __init__(self) -> None:
        self.codec = zlib.decompressobj()

    def __call__(self, source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
        data = self.codec.unconsumed_tail + source.remove()
        try:
            sink.add(self.codec.decompress(data, limit))
        except zlib.error:
            return BEV_ERROR
        if mode == BEV_FINISHED and not self.codec.eof and not len(sink) >= limit:
            return BEV_ERROR
        return BEV_OK


class Words:
    """An input filter that notes how it is called, and passes on whole words alone."""

    def __init__(self) -> None:
        self.calls: list[tuple[bytes, int, int]] = []

    def __call__(self, source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
        self.calls.append((bytes(source), limit, mode))
        if mode == BEV_FINISHED:
            sink.add_buffer(source)
            return BEV_OK
        at = source.search(b" ")
        if at < 0:
            return BEV_NEED_MORE
        sink.add(source.remove(at + 1))
        return BEV_OK


@pytest.fixture
def below(fakes: FakeBase) -> Iterator[Below]:
    below = Below(fakes.base)
    yield below
    below.close()


NO_LIMIT = 1 << 60  # bytes: at least


class TestInput:
    def test_is_called_again_until_it_needs_more(self, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, words)
        ear = Ear(bev)
        bev.enable(EV_READ)
        below.arrive(b"a bc d")
        assert [data for data, _, _ in words.calls] == [b"a bc d", b"bc d", b"d"]
        assert all(limit > NO_LIMIT and mode == BEV_NORMAL for _, limit, mode in words.calls)
        assert (ear.heard, ear.data) == (["read 5"], b"a bc ")
        words.calls.clear()
        below.arrive(b"e ")
        assert words.calls[0][0] == b"de "
        assert ear.data == b"a bc de "

    def test_is_not_called_for_nothing(self, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, words)
        bev.enable(EV_READ)
        below.arrive(b"a ")
        assert [data for data, _, _ in words.calls] == [b"a "]

    def test_gets_the_room_as_its_limit(self, fakes: FakeBase, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, words)
        bev.set_watermark(EV_READ, high=4)
        bev.enable(EV_READ)
        below.arrive(b"a bcdef g ")
        assert [limit for _, limit, _ in words.calls] == [4, 2]
        assert bytes(bev.input) == b"a bcdef "  # it went past its limit; so be it
        assert not below.reads()
        bev.input.clear()
        turn(fakes.base)
        assert [limit for _, limit, _ in words.calls] == [4, 2, 4]
        assert bytes(bev.input) == b"g "

    def test_one_that_does_nothing_is_no_endless_loop(self, below: Below) -> None:
        calls: list[int] = []

        def idle(source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
            calls.append(1)
            return BEV_OK

        bev = FilterBufferEvent(below, idle)
        bev.enable(EV_READ)
        below.arrive(b"x")
        assert len(calls) == 1

    def test_the_end(self, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, words)
        ear = Ear(bev)
        bev.enable(EV_READ)
        below.arrive(b"a b")
        below.arrive_end()
        assert [(data, mode) for data, _, mode in words.calls[2:]] == [(b"b", BEV_FINISHED)]
        assert ear.data == b"a b"
        assert ear.heard == ["read 2", "read 1", "READING|EOF"]

    def test_the_end_with_nothing_left(self, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, words)
        ear = Ear(bev)
        bev.enable(EV_READ)
        below.arrive_end()
        assert [(data, mode) for data, _, mode in words.calls] == [(b"", BEV_FINISHED)]
        assert ear.heard == ["READING|EOF"]

    @pytest.mark.parametrize("end", [False, True])
    def test_an_error(self, fakes: FakeBase, below: Below, *, end: bool) -> None:
        bev = FilterBufferEvent(below, lambda source, sink, limit, mode: BEV_ERROR)
        ear = Ear(bev)
        bev.enable(EV_READ)
        if end:
            below.arrive_end()
        else:
            below.arrive(b"x")
        turn(fakes.base)
        assert ear.heard == ["READING|ERROR read: the input filter failed"]
        assert isinstance(bev.error, TransportError)
        assert bev.error.during == "read"
        assert bev.enabled == EV_WRITE
        assert not below.reads()
        bev.enable(EV_READ)
        assert below.reads()

    def test_an_error_comes_after_what_was_good(self, below: Below) -> None:
        def good_then_bad(source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
            if bytes(source).startswith(b"bad"):
                return BEV_ERROR
            sink.add(source.remove(4))
            return BEV_OK

        bev = FilterBufferEvent(below, good_then_bad)
        ear = Ear(bev)
        bev.enable(EV_READ)
        below.arrive(b"goodbad!")
        assert ear.heard == ["read 4", "READING|ERROR read: the input filter failed"]

    @pytest.mark.parametrize("mode", [BEV_FLUSH, BEV_FINISHED])
    def test_flush(self, fakes: FakeBase, below: Below, mode: int) -> None:
        words = Words()
        bev = FilterBufferEvent(below, words)
        ear = Ear(bev)
        bev.enable(EV_READ)
        for _ in range(2):
            assert bev.flush(EV_READ, mode) is False
            assert words.calls.pop()[0] == b""
        below.arrive(b"ab")
        assert bev.flush(EV_READ, mode) is (mode == BEV_FINISHED)
        assert [(data, how) for data, _, how in words.calls] == [
            (b"ab", BEV_NORMAL),
            (b"ab", mode),
        ]
        assert ear.heard == []
        turn(fakes.base)
        assert ear.data == (b"ab" if mode == BEV_FINISHED else b"")

    def test_flush_of_an_error_tells_it_later(self, fakes: FakeBase, below: Below) -> None:
        bev = FilterBufferEvent(below, lambda source, sink, limit, mode: BEV_ERROR)
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.flush(EV_READ, BEV_FLUSH)
        assert ear.heard == []
        assert bev.enabled == EV_WRITE
        turn(fakes.base)
        assert ear.heard == ["READING|ERROR read: the input filter failed"]


class TestOutput:
    def test_an_error(self, fakes: FakeBase, below: Below) -> None:
        bev = FilterBufferEvent(below, None, lambda source, sink, limit, mode: BEV_ERROR)
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.write(b"x")
        turn(fakes.base)
        assert ear.heard == ["WRITING|ERROR write: the output filter failed"]
        assert bev.error is not None
        assert bev.error.during == "write"
        assert bev.enabled == EV_READ

    def test_needs_more(self, fakes: FakeBase, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, None, words)
        ear = Ear(bev)
        bev.write(b"a b")
        turn(fakes.base)
        assert (below.sent, ear.heard) == (b"a ", [])  # one byte is not sent yet
        bev.write(b"c ")
        turn(fakes.base)
        assert (below.sent, ear.heard) == (b"a bc ", ["write"])

    @pytest.mark.parametrize("how", ["shutdown_write", "close_when_drained", "flush"])
    def test_the_end(self, fakes: FakeBase, below: Below, how: str) -> None:
        words = Words()
        bev = FilterBufferEvent(below, None, words)
        bev.write(b"a b")
        if how == "flush":
            assert bev.flush(EV_WRITE, BEV_FINISHED) is True
        else:
            getattr(bev, how)()
        turn(fakes.base)
        assert [(data, mode) for data, _, mode in words.calls][2:] == [(b"b", BEV_FINISHED)]
        assert below.sent == b"a b"
        assert bev.closed is (how == "close_when_drained")
        assert below.shut is (how != "close_when_drained")

    def test_the_end_of_one_that_keeps_all(self, fakes: FakeBase, below: Below) -> None:
        bev = FilterBufferEvent(below, None, Deflate())
        ear = Ear(bev)
        bev.write(b"x" * 100)
        turn(fakes.base)
        assert ear.heard == ["write"]
        bev.close_when_drained()
        assert bev.closed
        assert zlib.decompress(below.sent) == b"x" * 100

    def test_one_that_never_takes_the_last_bytes(self, fakes: FakeBase, below: Below) -> None:
        bev = FilterBufferEvent(below, None, lambda source, sink, limit, mode: BEV_NEED_MORE)
        ear = Ear(bev)
        bev.write(b"xyz")
        turn(fakes.base)
        bev.shutdown_write()
        turn(fakes.base)
        assert ear.heard == ["WRITING|ERROR write: the codec leaves 3 bytes at the end"]
        assert not below.shut

    def test_flush(self, fakes: FakeBase, below: Below) -> None:
        bev = FilterBufferEvent(below, None, Deflate())
        bev.write(b"hello")
        turn(fakes.base)
        inflate = zlib.decompressobj()
        assert inflate.decompress(below.sent) == b""
        assert bev.flush(EV_WRITE, BEV_FLUSH) is True
        turn(fakes.base)
        assert zlib.decompressobj().decompress(below.sent) == b"hello"

    @pytest.mark.parametrize("how", ["flush", "finished", "shutdown_write"])
    def test_an_error_is_never_told_from_inside_a_call(self, fakes: FakeBase, below: Below, how: str) -> None:
        bev = FilterBufferEvent(below, None, lambda source, sink, limit, mode: BEV_ERROR)
        ear = Ear(bev)
        bev.write(b"x")
        if how == "shutdown_write":
            bev.shutdown_write()
        else:
            bev.flush(EV_WRITE, BEV_FINISHED if how == "finished" else BEV_FLUSH)
        assert ear.heard == []
        assert not bev.enabled & EV_WRITE
        turn(fakes.base)
        assert ear.heard == ["WRITING|ERROR write: the output filter failed"]
        assert not below.shut

    def test_flush_goes_down(self, fakes: FakeBase, below: Below) -> None:
        bev = FilterBufferEvent(FilterBufferEvent(below, None, Deflate()))
        bev.write(b"hello")
        turn(fakes.base)
        assert bev.flush(EV_WRITE, BEV_FLUSH) is True
        turn(fakes.base)
        assert zlib.decompressobj().decompress(below.sent) == b"hello"
        bev.flush(EV_WRITE, BEV_FINISHED)
        turn(fakes.base)
        bev.shutdown_write()
        bev.flush(EV_WRITE, BEV_FLUSH)
        bev.close_when_drained()
        turn(fakes.base)
        assert zlib.decompress(below.sent) == b"hello"  # it has heard of the end once
        assert (below.shut, bev.closed) == (True, True)

    def test_nothing_is_asked_of_it_while_the_one_below_is_full(self, fakes: FakeBase, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, None, words)
        below.set_watermark(EV_WRITE, high=2)
        below.room = 0
        bev.write(b"a b c ")
        turn(fakes.base)
        assert [(data, limit) for data, limit, _ in words.calls] == [(b"a b c ", 2)]

    def test_one_that_swallowed_something_is_still_sent(self, fakes: FakeBase, below: Below) -> None:
        def hoard(source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
            hoarded.append(source.remove())
            if mode == BEV_FLUSH:
                sink.add(b"".join(hoarded))
            return BEV_OK

        hoarded: list[bytes] = []
        bev = FilterBufferEvent(below, None, hoard)
        bev.write(b"x")
        turn(fakes.base)
        bev.flush(EV_WRITE, BEV_FLUSH)
        turn(fakes.base)
        assert below.sent == b"x"

    def test_a_held_output_is_not_flushed(self, below: Below) -> None:
        words = Words()
        bev = FilterBufferEvent(below, None, words)
        bev.disable(EV_WRITE)
        bev.write(b"a ")
        assert bev.flush(EV_WRITE, BEV_FLUSH) is False
        assert words.calls == []


@pytest.mark.parametrize("which", ["input", "output"])
@pytest.mark.parametrize("how", ["raises", "answers nonsense"])
@pytest.mark.parametrize("when", ["flowing", "flushing"])
def test_a_broken_filter(fakes: FakeBase, below: Below, which: str, how: str, when: str) -> None:
    escaped: list[tuple[str, object]] = []
    fakes.base.exception_handler = lambda exception, source: escaped.append((str(exception), source))

    def broken(source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
        if how == "raises":
            raise ValueError("broken")
        return 7

    filters = (broken, None) if which == "input" else (None, broken)
    bev = FilterBufferEvent(below, *filters)
    bev.enable(EV_READ)
    if when == "flushing":
        bev.flush(EV_READ | EV_WRITE, BEV_FLUSH)
    elif which == "input":
        below.arrive(b"x")
    else:
        bev.write(b"x")
        turn(fakes.base)
    message = (
        "broken" if how == "raises" else "a filter must return BEV_OK, BEV_NEED_MORE or BEV_ERROR, got 7"
    )
    assert escaped == [(message, bev)]
    assert below.closed


def test_nothing_given_changes_nothing(fakes: FakeBase, below: Below) -> None:
    bev = FilterBufferEvent(below)
    ear = Ear(bev)
    bev.enable(EV_READ)
    below.arrive(b"in")
    bev.write(b"out")
    turn(fakes.base)
    assert (ear.data, below.sent) == (b"in", b"out")


class TestZlib:
    def test_both_ways_over_sockets(self, base: EventBase, pair: tuple[socket.socket, socket.socket]) -> None:
        text = bytes(range(256)) * 4000
        left, right = (
            FilterBufferEvent(SocketBufferEvent(base, sock), Inflate(), Deflate()) for sock in pair
        )
        ears = Ear(left), Ear(right)
        for bev in (left, right):
            bev.set_watermark(EV_READ, high=5000)
            bev.enable(EV_READ)
        right.write(text[::-1])
        right.shutdown_write()
        left.write(text)
        left.shutdown_write()
        base.loop()
        assert (ears[0].data, ears[1].data) == (text[::-1], text)
        assert ears[0].heard[-1] == ears[1].heard[-1] == "READING|EOF"
        for bev in (left, right):
            bev.close()

    def test_a_bomb_fills_no_more_than_the_mark(self, fakes: FakeBase, below: Below) -> None:
        bev = FilterBufferEvent(below, Inflate())
        bev.set_watermark(EV_READ, high=1000)
        got: list[int] = []
        bev.set_callbacks(read=lambda bev: got.append(len(bev.read())))
        bev.enable(EV_READ)
        below.arrive(zlib.compress(bytes(1_000_000)))
        below.arrive_end()
        turn(fakes.base)
        assert sum(got) == 1_000_000
        assert max(got) == 1000

    @pytest.mark.parametrize("cut", [1, 5, 11])
    def test_a_stream_that_is_cut_short(self, below: Below, cut: int) -> None:
        bev = FilterBufferEvent(below, Inflate())
        ear = Ear(bev)
        bev.enable(EV_READ)
        below.arrive(zlib.compress(b"hello")[:cut])
        below.arrive_end()
        assert ear.heard[-1] == "READING|ERROR read: the input filter failed"

    def test_garbage(self, below: Below) -> None:
        bev = FilterBufferEvent(below, Inflate())
        ear = Ear(bev)
        bev.enable(EV_READ)
        below.arrive(b"GET / HTTP/1.1\r\n\r\n")
        assert ear.heard == ["READING|ERROR read: the input filter failed"]

    def test_cut_in_two_everywhere(self) -> None:
        text = b"the quick brown fox jumps over the lazy dog"
        for first, second in split_everywhere(zlib.compress(text)):
            assert through(Inflate(), [piece for piece in (first, second) if piece], None) == (
                text,
                ["READING|EOF"],
            )


def through(codec: Inflate, pieces: list[bytes], high: int | None) -> tuple[bytes, list[str]]:
    """Let ``pieces`` arrive under an input filter; return what came out, and the events."""
    with base_with_fakes().base as base:
        below = Below(base)
        bev = FilterBufferEvent(below, codec)
        ear = Ear(bev)
        bev.set_watermark(EV_READ, high=high)
        bev.enable(EV_READ)
        for piece in pieces:
            below.arrive(piece)
            turn(base)
        below.arrive_end()
        turn(base)
        bev.close()
    return ear.data, [what for what in ear.heard if not what.startswith("read ")]


@given(
    text=st.binary(max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    high=st.one_of(st.none(), st.integers(1, 50)),
)
def test_no_split_changes_what_comes_out(*, text: bytes, cuts: list[int], high: int | None) -> None:
    packed = zlib.compress(text)
    bounds = sorted({min(cut, len(packed)) for cut in cuts} | {0, len(packed)})
    pieces = [packed[start:end] for start, end in pairwise(bounds)]
    assert through(Inflate(), pieces, high) == (text, ["READING|EOF"])


@given(writes=st.lists(st.binary(max_size=60), max_size=10), high=st.integers(1, 40), step=st.integers(1, 30))
def test_no_split_changes_what_goes_out(*, writes: list[bytes], high: int, step: int) -> None:
    with base_with_fakes().base as base:
        below = Below(base)
        bev = FilterBufferEvent(below, None, Deflate())
        below.set_watermark(EV_WRITE, high=high)
        for data in writes:
            bev.write(data)
            below.take(step)
            turn(base)
        bev.close_when_drained()
        while not bev.closed:
            below.take(step)
            turn(base)
    assert zlib.decompress(below.sent) == b"".join(writes)


def test_most_that_is_read_at_once_holds_for_what_is_below(
    base: EventBase, pair: tuple[socket.socket, socket.socket]
) -> None:
    sizes: list[int] = []

    def note(source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
        sizes.append(len(source))
        sink.add_buffer(source)
        return BEV_OK

    below = SocketBufferEvent(base, pair[0])
    below.max_single_read = 10
    bev = FilterBufferEvent(below, note)
    bev.enable(EV_READ)
    pair[1].send(b"x" * 25)
    turn(base)
    assert sizes == [10, 10, 5]
    assert len(bev.input) == 25
    bev.close()
