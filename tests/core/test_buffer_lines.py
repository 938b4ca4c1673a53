"""Lines that arrive in pieces: what was searched in vain is not searched again, and never at the price of a line."""

import gc
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.core.buffer import EOL, EOL_CRLF, EOL_CRLF_STRICT, EOL_LF, Buffer, chain

LINE_ENDS = {
    EOL.ANY: rb"[\r\n]+",
    EOL.CRLF: rb"\r?\n",
    EOL.CRLF_STRICT: rb"\r\n",
    EOL.LF: rb"\n",
    EOL.NUL: rb"\0",
}
LONG = b"x" * 6000  # so many bytes searched in vain are remembered


def first_end(data: bytearray, eol: EOL) -> tuple[int, int] | None:
    found = re.search(LINE_ENDS[eol], bytes(data))
    return found.span() if found else None


class Pair:
    """A buffer and the bytearray that it must equal, with another of each to move bytes to."""

    def __init__(self) -> None:
        self.buffer, self.other = Buffer(), Buffer()
        self.model, self.other_model = bytearray(), bytearray()

    def take(self, size: int) -> bytes:
        taken = bytes(self.model[:size])
        del self.model[:size]
        return taken

    def add(self, data: bytes) -> None:
        self.buffer.add(data)
        self.model += data

    def feed(self, data: bytes) -> None:
        self.buffer.feed(data)
        self.model += data

    def add_reference(self, data: bytes) -> None:
        self.buffer.add_reference(bytearray(data))
        self.model += data

    def prepend(self, data: bytes) -> None:
        self.buffer.prepend(data)
        self.model[:0] = data

    def drain(self, size: int) -> None:
        self.buffer.drain(size)
        self.take(size)

    def remove(self, size: int) -> None:
        assert self.buffer.remove(size) == self.take(size)

    def send(self, size: int) -> None:
        self.take(self.buffer.send_to(Sink(), size))

    def front(self, _size: int) -> None:
        data, offset = self.buffer.front()
        assert data[offset:] == self.model

    def move_away(self, size: int) -> None:
        self.buffer.remove_buffer(self.other, size)
        self.other_model += self.take(size)

    def move_back(self, front: int) -> None:
        if front % 2:
            self.buffer.prepend_buffer(self.other)
            self.model[:0] = self.other_model
        else:
            self.buffer.add_buffer(self.other)
            self.model += self.other_model
        self.other_model.clear()

    def readln(self, eol: EOL) -> None:
        span = first_end(self.model, eol)
        assert self.buffer.readln(eol) == (self.take(span[1])[: span[0]] if span else None)

    def search_eol(self, eol: EOL) -> None:
        span = first_end(self.model, eol)
        assert self.buffer.search_eol(eol) == ((span[0], span[1] - span[0]) if span else None)

    def search_eol_from(self, start: int) -> None:
        """Look for a line feed, but not from the front."""
        start = min(start, len(self.model))
        at = self.model.find(b"\n", start)
        assert self.buffer.search_eol(EOL_LF, start) == ((at, 1) if at >= 0 else None)


class Sink:
    """A socket that takes everything."""

    def fileno(self) -> int:
        return -1

    def send(self, data: bytes | memoryview) -> int:
        return len(data)

    def sendmsg(self, buffers: list[bytes | memoryview]) -> int:
        return sum(map(len, buffers))


# The same objects again and again, so that a segment that comes back is no proof that it has been there all along.
pieces = st.sampled_from([b"\r", b"\n", b"\r\n", b"\n\r", b"\0", b"a", b"ab", b"a\r", b"y" * 1100, LONG])
sizes = st.integers(0, 3) | st.integers(1000, 8000)
steps = st.one_of(
    st.tuples(st.sampled_from(["add", "feed", "add_reference", "prepend"]), pieces),
    st.tuples(st.sampled_from(["readln", "search_eol"]), st.sampled_from(EOL)),
    st.tuples(st.just("readln"), st.just(EOL_CRLF_STRICT)),  # twice in a row the same, often
    st.tuples(
        st.sampled_from(["drain", "remove", "send", "front", "move_away", "move_back", "search_eol_from"]),
        sizes,
    ),
)


@pytest.mark.parametrize("remember_from", [0, None], ids=["remembers all", "remembers long ones"])
@settings(max_examples=400)
@given(st.lists(steps, max_size=40))
def test_any_sequence_of_calls_gives_the_lines_of_the_bytearray(
    remember_from: int | None, sequence: list[tuple[str, Any]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if remember_from is not None:
            patch.setattr(chain, "_MARK_FROM", remember_from)
        pair = Pair()
        for name, argument in sequence:
            getattr(pair, name)(argument)
            assert bytes(pair.buffer) == pair.model


@given(st.sampled_from(EOL), st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"a"]), min_size=1, max_size=6))
def test_an_end_after_a_long_line_is_found_wherever_the_pieces_are_cut(eol: EOL, tail: list[bytes]) -> None:
    pair = Pair()
    pair.add(LONG)
    for piece in tail:
        pair.readln(eol)
        pair.add(piece)
    pair.readln(eol)


class Counted(Buffer):
    """Counts the bytes that it searches."""

    __slots__ = ("searched",)

    def __init__(self) -> None:
        self.searched = 0
        super().__init__()

    def _find(self, needle: bytes, start: int, end: int) -> int:
        self.searched += end - start
        return super()._find(needle, start, end)


def executed_lines(call: Callable[[], object]) -> int:
    """Count the lines of Python that ``call`` executes, and none that the collector calls meanwhile."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    gc.disable()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def feed(buffer: Buffer, eol: EOL, times: int) -> None:
    piece = b"x" * 1500
    for _ in range(times):
        buffer.add(piece)
        assert buffer.readln(eol) is None


@pytest.mark.parametrize("eol", EOL)
class TestWork:
    def test_no_byte_of_a_long_line_is_searched_again(self, eol: EOL) -> None:
        buffer = Counted()
        feed(buffer, eol, 10)
        before = buffer.searched
        feed(buffer, eol, 100)
        kinds = 2 if eol is EOL.ANY else 1  # LF, and CR
        assert buffer.searched - before <= kinds * 100 * (1500 + 1)
        end = b"\0" if eol is EOL.NUL else b"\r\n"
        buffer.add(end)
        line = buffer.readln(eol)
        assert line is not None
        assert line.rstrip(b"\r") == b"x" * 1500 * 110

    def test_no_segment_is_walked_over_again(self, eol: EOL) -> None:
        def work(times: int) -> int:
            return executed_lines(lambda: feed(Buffer(), eol, times))

        few, many = work(100), work(200)
        assert many < 2.1 * few


@pytest.mark.parametrize("from_end", [False, True], ids=["front", "back"])
def test_looking_near_an_end_walks_over_few_segments(*, from_end: bool) -> None:
    def work(segments: int) -> int:
        buffer = Buffer()
        for _ in range(segments):
            buffer.add_reference(bytearray(10))
        start = len(buffer) - 15 if from_end else 15
        return executed_lines(lambda: buffer.peek(3, start))

    assert work(1000) == work(10)


class TestForgetting:
    """What was searched is no longer where it was, or not alone."""

    def searched(self, *pieces: bytes) -> Buffer:
        buffer = Buffer()
        for piece in pieces:
            buffer.add(piece)
        assert buffer.readln(EOL_LF) is None
        return buffer

    @pytest.mark.parametrize(
        "take",
        [
            lambda buffer: buffer.drain(len(buffer)),
            lambda buffer: buffer.remove(),
            lambda buffer: buffer.send_to(Sink()),
            lambda buffer: buffer.spend(len(buffer)),
            lambda buffer: Buffer().add_buffer(buffer),
        ],
        ids=["drain", "remove", "send", "spend", "add_buffer"],
    )
    @pytest.mark.parametrize("before", [(LONG,), (LONG, LONG)], ids=["one segment", "two"])
    @pytest.mark.parametrize("again", [b"", LONG], ids=["something else", "the same object"])
    def test_all_is_taken_and_then_comes(
        self, before: tuple[bytes, ...], take: Callable[[Buffer], object], again: bytes
    ) -> None:
        buffer = self.searched(*before)
        take(buffer)
        buffer.add(again)
        buffer.add(b"a\n" + b"b" * 9000)
        assert buffer.readln(EOL_LF) == again + b"a"

    def test_something_is_put_before_it(self) -> None:
        buffer = self.searched(LONG)
        buffer.prepend(b"line\n")
        assert buffer.readln(EOL_LF) == b"line"

    def test_a_buffer_is_put_before_it(self) -> None:
        buffer = self.searched(LONG)
        buffer.prepend_buffer(Buffer(b"line\n"))
        assert buffer.readln(EOL_LF) == b"line"

    def test_another_style_is_asked_for(self) -> None:
        buffer = Buffer(b"one\nrest" + LONG)
        assert buffer.readln(EOL_CRLF_STRICT) is None
        assert buffer.readln(EOL_CRLF) == b"one"

    def test_what_is_before_the_start_of_a_search_was_not_searched(self) -> None:
        buffer = Buffer(b"one\n" + LONG)
        assert buffer.search_eol(EOL_LF, 4) is None
        assert buffer.search_eol(EOL_LF) == (3, 1)

    def test_a_search_may_begin_behind_what_was_searched(self) -> None:
        buffer = self.searched(LONG)
        buffer.add(b"\n" + LONG + b"\n")
        assert buffer.search_eol(EOL_LF, len(LONG) + 1) == (2 * len(LONG) + 1, 1)

    @pytest.mark.parametrize("take", [Buffer.clear, lambda buffer: buffer.spend(len(buffer))])
    def test_the_owner_of_a_segment_asks_while_it_gets_it_back(
        self, take: Callable[[Buffer], object]
    ) -> None:
        lines: list[bytes | None] = []

        def cleanup(_data: object) -> None:
            buffer.add(b"new\n")
            lines.append(buffer.readln(EOL_LF))

        buffer = Buffer()
        buffer.add_reference(bytearray(LONG), cleanup)
        assert buffer.readln(EOL_LF) is None
        take(buffer)
        assert lines == [b"new"]
