"""Ways into a Buffer that `test_buffer` leaves out: several pieces at once, memory from an offset on, windows."""

import io
import os
import socket
from collections.abc import Callable

import pytest

from evkit.core.buffer import Buffer, BufferInfo
from evkit.errors import FrozenBufferError

BIG = b"b" * 2000


# Several pieces


def test_pieces_are_added_as_one_change() -> None:
    buffer = Buffer(b"x")
    heard: list[BufferInfo] = []
    buffer.add_callback(lambda _, info: heard.append(info))
    assert buffer.add_iovec([b"ab", bytearray(b"cd"), b"", memoryview(BIG)]) == 2004
    assert bytes(buffer) == b"xabcd" + BIG
    assert heard == [BufferInfo(1, 2004, 0)]


def test_no_pieces_are_added_without_telling() -> None:
    buffer = Buffer()
    buffer.add_callback(lambda *_: pytest.fail("told of nothing"))
    assert buffer.add_iovec([]) == buffer.add_iovec(iter([b"", b""])) == 0


def test_a_large_piece_is_handed_on_and_small_ones_joined() -> None:
    buffer = Buffer()
    buffer.add_iovec([b"s"] * 500 + [BIG])
    first, second = buffer
    assert len(first) == 500
    assert second.obj is BIG


def test_pieces_are_all_added_or_none() -> None:
    buffer = Buffer()
    with pytest.raises(TypeError, match="got str"):
        buffer.add_iovec([b"abc", "def"])  # type: ignore[list-item]  # the point of the test
    buffer.freeze(back=True)
    with pytest.raises(FrozenBufferError):
        buffer.add_iovec([b"abc"])
    assert buffer.add_iovec([b""]) == 0
    assert not buffer


# Memory from an offset on


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_a_reference_may_leave_out_the_beginning(wrap: Callable[[bytes], bytes]) -> None:
    calls: list[object] = []
    memory = wrap(b"headbody")
    buffer = Buffer()
    buffer.add_reference(memory, calls.append, offset=4)
    assert bytes(buffer) == b"body"
    buffer.clear()
    assert len(calls) == 1
    assert calls[0] is memory


def test_a_reference_without_bytes_is_given_back_at_once() -> None:
    calls: list[object] = []
    Buffer().add_reference(b"abc", calls.append, offset=3)
    assert calls == [b"abc"]


@pytest.mark.parametrize("offset", [-1, 4])
def test_an_offset_outside_is_refused(offset: int) -> None:
    buffer = Buffer()
    with pytest.raises(ValueError, match=str(offset)):
        buffer.add_reference(b"abc", lambda data: pytest.fail("it is still the caller's"), offset=offset)
    assert not buffer


# Windows


def test_a_window_is_filled_by_readinto() -> None:
    buffer = Buffer()
    stream = io.BytesIO(b"abcdefg")
    while filled := stream.readinto(buffer.reserve(3)):
        buffer.commit(filled)
    assert bytes(buffer) == b"abcdefg"


def test_several_windows_are_filled_by_one_call() -> None:
    ours, theirs = socket.socketpair()
    buffer = Buffer()
    with ours, theirs:
        ours.send(b"HEADbody")
        head, body = buffer.reserve_iovec([4, 100])
        assert ours.fileno() >= 0
        assert theirs.recvmsg_into([head, body])[0] == 8
    heard: list[BufferInfo] = []
    buffer.add_callback(lambda _, info: heard.append(info))
    buffer.commit(3, 2)
    assert bytes(buffer) == b"HEAbo"
    assert heard == [BufferInfo(0, 5, 0)]


def test_windows_that_are_left_out_have_nothing() -> None:
    buffer = Buffer()
    for window in buffer.reserve_iovec(size for size in (2, 2, 2)):
        window[:] = b"ab"
    buffer.commit(0, 1)
    assert bytes(buffer) == b"a"


def test_nothing_committed_gives_the_windows_back() -> None:
    buffer = Buffer()
    buffer.reserve_iovec([1, 2])
    buffer.commit()
    with pytest.raises(ValueError, match="nothing is reserved"):
        buffer.commit(1)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3,), "cannot commit 3 bytes, 2"),
        ((1, 4), "cannot commit 4 bytes, 3"),
        ((0, 0, 0), "3 windows, 2 were"),
        ((0, -1), "-1"),
    ],
)
def test_a_commit_of_more_than_was_reserved_is_refused(sizes: tuple[int, ...], message: str) -> None:
    buffer = Buffer()
    windows = buffer.reserve_iovec([2, 3])
    with pytest.raises(ValueError, match=message):
        buffer.commit(*sizes)
    assert not buffer
    windows[0][:] = b"ok"
    buffer.commit(2)
    assert bytes(buffer) == b"ok"


@pytest.mark.parametrize("sizes", [[], [1, 0], [-1]])
def test_windows_need_sizes(sizes: list[int]) -> None:
    buffer = Buffer()
    with pytest.raises(ValueError, match="size"):
        buffer.reserve_iovec(sizes)


def test_a_window_is_filled_from_a_file(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "file")
    with open(path, "wb") as file:
        file.write(b"0123456789")
    buffer = Buffer()
    descriptor = os.open(path, os.O_RDONLY)
    size = os.preadv(descriptor, buffer.reserve_iovec([3, 3]), 2)
    os.close(descriptor)
    buffer.commit(3, size - 3)
    assert bytes(buffer) == b"234567"
