"""Framing as a decider: the same frames for any split of the input, limits, and the cost of long frames."""

import re
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.buffer import EOL, EOL_ANY, EOL_CRLF, EOL_CRLF_STRICT, EOL_LF, EOL_NUL, Buffer
from evkit.core.framing import DEFAULT_MAX_LINE, DEFAULT_MAX_MESSAGE, Framing, LengthFraming, LineFraming
from evkit.errors import RemoteProtocolError
from evkit.testing import chunks, same_however_cut

ENDS = {
    EOL_ANY: rb"[\r\n]+",
    EOL_CRLF: rb"\r?\n",
    EOL_CRLF_STRICT: rb"\r\n",
    EOL_LF: rb"\n",
    EOL_NUL: rb"\0",
}
STYLES = st.sampled_from(list(ENDS))
TEXTS = st.lists(st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\0"]), max_size=30).map(b"".join)
# Not st.binary(): Hypothesis compares its bytes with ints when both are drawn, which `python -bb` forbids.
SHORT = st.lists(st.integers(0, 255), max_size=20).map(bytes)
MESSAGES = st.integers(0, 300).map(lambda size: (bytes(range(256)) * 2)[:size])
CUTS = st.lists(st.integers(0, 60), max_size=8)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(places)]


def run(framing: Framing, pieces: list[bytes]) -> tuple[list[bytes], str]:
    """Return the frames, and how it ended: ``""``, ``"frame"`` for a bad frame, ``"end"`` for one cut short."""
    buffer = Buffer()
    frames: list[bytes] = []
    try:
        for piece in pieces:
            buffer.add(piece)
            while (frame := framing.next_frame(buffer)) is not None:
                frames.append(frame)
    except RemoteProtocolError:
        return frames, "frame"
    try:
        framing.check_end(buffer)
    except RemoteProtocolError:
        return frames, "end"
    return frames, ""


class TestLines:
    @given(STYLES, TEXTS, CUTS)
    def test_any_split_gives_what_a_regular_expression_splits(
        self, eol: EOL, data: bytes, cuts: list[int]
    ) -> None:
        *lines, rest = re.split(ENDS[eol], data)
        assert run(LineFraming(eol), pieces_of(data, cuts)) == (lines, "end" if rest else "")

    @given(STYLES, TEXTS, CUTS, st.integers(0, 5))
    def test_any_split_stops_at_the_same_line_that_is_too_long(
        self, eol: EOL, data: bytes, cuts: list[int], most: int
    ) -> None:
        *lines, rest = re.split(ENDS[eol], data)
        good = [line for at, line in enumerate(lines) if all(len(each) <= most for each in lines[: at + 1])]
        frames, end = run(LineFraming(eol, most), pieces_of(data, cuts))
        assert frames == good
        if len(good) < len(lines):
            assert end == "frame"
        elif len(rest) <= most:
            assert end == ("end" if rest else "")
        else:
            assert end in ("frame", "end")  # of a line by one byte too long, the end may be to come

    @pytest.mark.parametrize("eol", list(ENDS))
    def test_longest_line_is_taken_and_one_byte_more_is_not(self, eol: EOL) -> None:
        end = b"\0" if eol is EOL_NUL else b"\r\n" if eol is EOL_CRLF_STRICT else b"\n"
        five, six = (
            same_however_cut(lambda pieces: run(LineFraming(eol, 5), pieces), line + end)
            for line in (b"12345", b"123456")
        )
        assert (five, six) == (([b"12345"], ""), ([], "frame"))

    @pytest.mark.parametrize("eol", list(ENDS))
    def test_line_without_end_is_refused_before_it_is_kept(self, eol: EOL) -> None:
        framing, buffer = LineFraming(eol, 10), Buffer(b"x" * 12)
        with pytest.raises(RemoteProtocolError, match="a line of at most 10 bytes"):
            framing.next_frame(buffer)
        with pytest.raises(RemoteProtocolError):
            framing.next_frame(buffer)  # and stays so

    def test_limit_is_on_by_default_and_can_be_taken_away(self) -> None:
        line = b"x" * (DEFAULT_MAX_LINE + 1)
        assert run(LineFraming(), [line + b"\n"]) == ([], "frame")
        assert run(LineFraming(max_length=None), [line + b"\n"]) == ([line], "")

    def test_run_of_line_ends_longer_than_one_look(self) -> None:
        data = b"a\n" + b"\r\n" * 200 + b"b\n"
        assert run(LineFraming(EOL_ANY), list(chunks(data, 1))) == ([b"a", b"b"], "")

    @given(STYLES, st.lists(SHORT, max_size=5), CUTS)
    def test_what_is_written_is_read(self, eol: EOL, lines: list[bytes], cuts: list[int]) -> None:
        written: list[bytes] = []
        accepted: list[bytes] = []
        for line in lines:
            try:
                written += map(bytes, LineFraming(eol).encode(line))
            except ValueError:
                assert re.search(ENDS[eol], line) or (eol is EOL_ANY and not line)
            else:
                accepted.append(line)
        data = b"".join(written)
        assert run(LineFraming(eol), pieces_of(data, cuts)) == (accepted, "")

    def test_limit_is_for_what_is_received(self) -> None:
        assert LineFraming(max_length=3).encode(b"1234") == (b"1234", b"\r\n")

    def test_nonsense_is_refused(self) -> None:
        with pytest.raises(TypeError, match="expected an EOL"):
            LineFraming("lf")  # type: ignore[arg-type]  # that is the point
        with pytest.raises(ValueError, match="max_length"):
            LineFraming(max_length=-1)

    def test_repr(self) -> None:
        assert repr(LineFraming(EOL_LF, 80)) == "LineFraming(LF, max_length=80)"


WIDTHS = st.sampled_from([1, 2, 4, 8])
ORDERS: st.SearchStrategy[Literal["big", "little"]] = st.sampled_from(["big", "little"])


class TestLengths:
    @given(WIDTHS, ORDERS, st.lists(MESSAGES, max_size=6), CUTS, st.integers(0, 20))
    def test_any_split_gives_what_was_encoded(
        self, width: int, order: Literal["big", "little"], messages: list[bytes], cuts: list[int], cut: int
    ) -> None:
        messages = [message[: 256**width - 1] for message in messages]
        framing = LengthFraming(width, order)
        data = b"".join(bytes(piece) for message in messages for piece in framing.encode(message))
        assert run(framing, pieces_of(data, cuts)) == (messages, "")
        left = max(len(data) - cut, 0)
        whole, end = run(LengthFraming(width, order), [data[:left]])
        assert whole == messages[: len(whole)]
        assert (end == "") == (left == sum(width + len(message) for message in whole))

    @pytest.mark.parametrize(
        ("width", "order", "data"),
        [
            (1, "big", b"\x03abc"),
            (2, "big", b"\x00\x03abc"),
            (2, "little", b"\x03\x00abc"),
            (4, "big", b"\x00\x00\x00\x03abc"),
            (8, "little", b"\x03\x00\x00\x00\x00\x00\x00\x00abc"),
        ],
    )
    def test_on_the_wire(self, width: int, order: Literal["big", "little"], data: bytes) -> None:
        seen = same_however_cut(lambda pieces: run(LengthFraming(width, order), pieces), data)
        assert seen == ([b"abc"], "")
        assert b"".join(map(bytes, LengthFraming(width, order).encode(b"abc"))) == data

    def test_payload_is_handed_on_as_it_is(self) -> None:
        payload = bytes(5000)
        assert LengthFraming().encode(payload)[1] is payload

    def test_message_that_is_too_long_is_refused_by_its_length(self) -> None:
        framing = LengthFraming(2, max_size=10)
        assert run(framing, [b"\x00\x0a0123456789\x00\x0b"]) == ([b"0123456789"], "frame")
        with pytest.raises(RemoteProtocolError, match="at most 10 bytes, got one of 11"):
            framing.next_frame(Buffer())  # and stays so

    def test_message_whose_length_does_not_fit_is_not_sent(self) -> None:
        with pytest.raises(ValueError, match="can tell 255 at most, got 256"):
            LengthFraming(1).encode(bytes(256))
        assert LengthFraming(1, max_size=3).encode(b"1234") == (
            b"\4",
            b"1234",
        )  # the limit is for what is received

    @pytest.mark.parametrize(("width", "most"), [(1, 255), (2, 65535), (4, DEFAULT_MAX_MESSAGE)])
    def test_limit_by_default(self, width: int, most: int) -> None:
        assert LengthFraming(width).max_size == most

    def test_no_limit_is_that_of_the_length(self) -> None:
        assert LengthFraming(8, max_size=None).max_size == 2**64 - 1

    @pytest.mark.parametrize(
        ("data", "words"),
        [(b"\x00\x00", "within a length, after 2 of 4"), (b"\0\0\0\5ab", "within a message, after 2 of 5")],
    )
    def test_stream_that_is_cut_short(self, data: bytes, words: str) -> None:
        framing, buffer = LengthFraming(), Buffer(data)
        assert framing.next_frame(buffer) is None
        with pytest.raises(RemoteProtocolError, match=words):
            framing.check_end(buffer)

    @pytest.mark.parametrize("arguments", [(3,), (4, "middle"), (4, "big", -1)])
    def test_nonsense_is_refused(self, arguments: tuple[int, Literal["big"], int]) -> None:
        with pytest.raises(ValueError, match=r"1, 2, 4 or 8|byteorder|max_size"):
            LengthFraming(*arguments)

    def test_repr(self) -> None:
        assert repr(LengthFraming(2, "little", 99)) == "LengthFraming(2, 'little', max_size=99)"


class Counting(Buffer):
    """A buffer that counts the bytes it was asked to look at."""

    __slots__ = ("looked_at",)

    def __init__(self) -> None:
        self.looked_at = 0
        super().__init__()

    def _find(self, needle: bytes, start: int, end: int) -> int:
        self.looked_at += end - start
        return super()._find(needle, start, end)

    def _gather(self, start: int, size: int) -> bytes:
        self.looked_at += size
        return super()._gather(start, size)


@pytest.mark.parametrize(
    ("framing", "head", "tail"),
    [
        (LineFraming(EOL_CRLF, None), b"", b"\r\n"),
        (LineFraming(EOL_ANY, None), b"", b"\n"),
        (LengthFraming(4, max_size=None), (1 << 18).to_bytes(4, "big"), b""),
    ],
)
def test_long_frame_in_small_pieces_costs_no_more_than_its_size(
    framing: Framing, head: bytes, tail: bytes
) -> None:
    size = 1 << 18
    buffer = Counting()
    frames = []
    for piece in chunks(head + bytes(size) + tail, 64):
        buffer.add(piece)
        frame = framing.next_frame(buffer)
        if frame is not None:
            frames.append(frame)
    assert frames == [bytes(size)]
    assert buffer.looked_at < 8 * size  # to begin anew with each piece would cost 2,000 times the size
