"""The greatest length of a Buffer: what would make it longer is refused, and nothing has changed."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from evkit.core.buffer import Buffer, FileSegment


def limited(data: bytes, limit: int) -> Buffer:
    buffer = Buffer(data)
    buffer.max_length = limit
    return buffer


WAYS: dict[str, Callable[[Buffer], object]] = {
    "add": lambda buffer: buffer.add(b"xyz"),
    "add_reference": lambda buffer: buffer.add_reference(b"xyz", lambda data: pytest.fail("not given")),
    "add_iovec": lambda buffer: buffer.add_iovec([b"x", b"yz"]),
    "add_buffer_reference": lambda buffer: buffer.add_buffer_reference(Buffer(b"xyz")),
    "prepend": lambda buffer: buffer.prepend(b"xyz"),
    "expand": lambda buffer: buffer.expand(3),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_would_be_too_much_is_refused(way: str) -> None:
    buffer = limited(b"ab", 4)
    buffer.add_callback(lambda *_: pytest.fail("nothing has changed"))
    with pytest.raises(BufferError, match=r"3 more bytes would make 5, more than max_length \(4\)"):
        WAYS[way](buffer)
    assert bytes(buffer) == b"ab"


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("expand", "add_reference")])
def test_what_just_fits_is_taken(way: str) -> None:
    buffer = limited(b"ab", 5)
    buffer.expand(3)
    WAYS[way](buffer)
    assert len(buffer) == 5
    with pytest.raises(BufferError):
        buffer.expand(1)
    buffer.expand(0)


@pytest.mark.parametrize("move", ["add_buffer", "prepend_buffer", "remove_buffer"])
def test_a_refused_move_leaves_both_as_they_were(move: str) -> None:
    source, target = Buffer(b"xyz"), limited(b"ab", 4)
    calls: dict[str, Callable[[], object]] = {
        "add_buffer": lambda: target.add_buffer(source),
        "prepend_buffer": lambda: target.prepend_buffer(source),
        "remove_buffer": lambda: source.remove_buffer(target, 3),
    }
    with pytest.raises(BufferError):
        calls[move]()
    assert (bytes(source), bytes(target)) == (b"xyz", b"ab")
    source.remove_buffer(target, 2)
    assert (bytes(source), bytes(target)) == (b"z", b"abxy")


def test_a_refused_file_is_closed_and_a_refused_segment_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"xyz")
    descriptor = os.open(path, os.O_RDONLY)
    buffer = limited(b"ab", 4)
    with pytest.raises(BufferError):
        buffer.add_file(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    with FileSegment(os.open(path, os.O_RDONLY)) as segment:
        with pytest.raises(BufferError):
            buffer.add_file_segment(segment)
        buffer.add_file_segment(segment, 1)
    assert bytes(buffer) == b"abyz"


def test_fewer_may_be_committed_than_were_too_many() -> None:
    buffer = limited(b"ab", 4)
    buffer.reserve(3)[:] = b"xyz"
    with pytest.raises(BufferError):
        buffer.commit(3)
    buffer.commit(2)
    assert bytes(buffer) == b"abxy"


def test_reading_takes_what_there_is_room_for() -> None:
    buffer = limited(b"ab", 4)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"xyz")
        assert buffer.read(theirs) == 2
        with pytest.raises(BufferError):
            buffer.read(theirs)
        buffer.drain(3)
        assert buffer.read(theirs) == 1
    assert bytes(buffer) == b"yz"


def test_there_is_no_limit_until_one_is_set() -> None:
    buffer = Buffer(b"abc")
    assert buffer.max_length is None
    buffer.max_length = 2  # what is there stays
    assert buffer.max_length == 2
    assert bytes(buffer) == b"abc"
    with pytest.raises(BufferError):
        buffer.add(b"d")
    buffer.add(b"")
    buffer.max_length = None
    buffer.add(b"d")
    assert buffer.max_length is None
    assert bytes(buffer) == b"abcd"


def test_none_at_all_may_be_allowed() -> None:
    buffer = limited(b"", 0)
    assert buffer.max_length == 0
    with pytest.raises(BufferError):
        buffer.add(b"a")


@pytest.mark.parametrize("wrong", [-1, "4"])
def test_a_limit_is_a_size(wrong: object) -> None:
    buffer = limited(b"ab", 4)
    with pytest.raises((ValueError, TypeError)):
        buffer.max_length = wrong  # type: ignore[assignment]  # the point of the test
    assert buffer.max_length == 4


def test_a_negative_size_cannot_be_expanded_by() -> None:
    with pytest.raises(ValueError, match="-1"):
        Buffer().expand(-1)


def test_expanding_minds_no_freeze() -> None:
    buffer = limited(b"ab", 4)
    buffer.freeze(front=True, back=True)
    buffer.expand(2)
    with pytest.raises(BufferError):
        buffer.expand(3)


def test_a_transport_is_not_bound() -> None:
    buffer = limited(b"ab", 2)
    buffer.feed(b"c")
    assert bytes(buffer) == b"abc"


def test_the_limit_and_the_freeze_do_not_disturb_each_other() -> None:
    buffer = limited(b"ab", 4)
    buffer.freeze(back=True)
    buffer.unfreeze(front=True, back=True)
    buffer.add(b"c")
    buffer.reserve(1)
    assert buffer.max_length == 4
    assert repr(buffer) == "<Buffer 3 bytes in 1 segments>"
