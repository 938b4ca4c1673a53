"""`PiecewiseReply`: what goes out for each piece of a reply, and what is still owed."""

import pytest
from hypothesis import strategies as st

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.server.piecewise import PiecewiseReply, add_body
from evkit.http.server.reply import LAST_CHUNK, UNKNOWN_LENGTH, Framing

# Not st.binary(): Hypothesis compares its bytes with ints when both are drawn, which `python -bb` forbids.
PIECE = st.lists(st.integers(0, 255), min_size=1, max_size=9).map(bytes)


def buffer(data: bytes) -> Buffer:
    made = Buffer()
    made.add(data)
    return made


def reply(left: int = UNKNOWN_LENGTH, *, silent: bool = False) -> tuple[PiecewiseReply, Buffer]:
    output = Buffer()
    framing = Framing(
        b"HEAD|", left, chunked=left == UNKNOWN_LENGTH and not silent, silent=silent, keep_alive=True
    )
    return PiecewiseReply(framing, output), output


def test_the_head_goes_out_first() -> None:
    assert reply()[1].remove() == b"HEAD|"


@pytest.mark.parametrize("wrap", [bytes, buffer])
def test_pieces_go_out_in_chunks_and_empty_ones_not_at_all(wrap: type[bytes]) -> None:
    sending, output = reply()
    for piece in (b"ab", b"", b"c" * 26):
        sending.send(wrap(piece))
    sending.end(LAST_CHUNK)
    assert output.remove() == b"HEAD|2\r\nab\r\n1a\r\n" + b"c" * 26 + b"\r\n0\r\n\r\n"


def test_pieces_of_a_known_length_go_out_as_they_are() -> None:
    sending, output = reply(3)
    sending.send(b"ab")
    sending.send(buffer(b"c"))
    sending.end(LAST_CHUNK)
    assert output.remove() == b"HEAD|abc"


def test_pieces_that_end_with_the_connection_go_out_as_they_are() -> None:
    output = Buffer()
    sending = PiecewiseReply(Framing(b"HEAD|", UNKNOWN_LENGTH, keep_alive=False), output)
    sending.send(b"ab")
    sending.end(LAST_CHUNK)
    assert output.remove() == b"HEAD|ab"


@pytest.mark.parametrize("left", [UNKNOWN_LENGTH, 0, 3])
def test_a_silent_reply_is_its_head(left: int) -> None:
    sending, output = reply(left, silent=True)
    sending.send(b"abc"[: left % 4])
    sending.end(LAST_CHUNK)
    assert output.remove() == b"HEAD|"


def test_a_silent_reply_empties_buffers_as_any_other() -> None:
    sending, _ = reply(silent=True)
    piece = buffer(b"abc")
    sending.send(piece)
    assert not piece


@pytest.mark.parametrize("silent", [False, True])
def test_a_piece_beyond_the_length_is_an_error_and_nothing_of_it_is_sent(silent: bool) -> None:
    sending, output = reply(3, silent=silent)
    sending.send(b"ab")
    with pytest.raises(LocalProtocolError, match="1 are left"):
        sending.send(b"cd")
    sending.send(b"c")
    sending.end(LAST_CHUNK)
    assert output.remove() == (b"HEAD|" if silent else b"HEAD|abc")


def test_an_end_before_the_length_is_an_error() -> None:
    sending, _ = reply(3)
    sending.send(b"ab")
    with pytest.raises(LocalProtocolError, match="1 bytes before"):
        sending.end(LAST_CHUNK)


def test_a_silent_reply_may_leave_its_pieces_out() -> None:
    sending, output = reply(3, silent=True)
    sending.end(LAST_CHUNK)
    assert output.remove() == b"HEAD|"


def test_add_body_appends_bytes_and_empties_buffers() -> None:
    output, source = buffer(b"1"), buffer(b"3")
    add_body(output, b"2")
    add_body(output, source)
    assert (output.remove(), len(source)) == (b"123", 0)
