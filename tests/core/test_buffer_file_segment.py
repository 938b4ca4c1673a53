"""A FileSegment is made once from a file, added many times, and gives the file back once."""

import errno
import gc
import itertools
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.buffer import Buffer, FileAccess, FileSegment
from evkit.errors import FrozenBufferError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "content"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture(params=FileAccess, ids=lambda access: access.value)
def access(request: pytest.FixtureRequest) -> FileAccess:
    assert isinstance(request.param, FileAccess)
    return request.param


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def opened(path: Path) -> int:
    return os.open(path, os.O_RDONLY)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_one_file_goes_into_many_buffers_many_times(path: Path, access: FileAccess) -> None:
    first, second = Buffer(), Buffer(b"head ")
    with FileSegment(opened(path), access=access) as segment:
        assert len(segment) == len(CONTENT)
        for _ in range(2):
            first.add_file_segment(segment)
        second.add_file_segment(segment, 100, 300)
        second.add_file_segment(segment, 10_000)
    assert bytes(first) == CONTENT * 2
    assert bytes(second) == b"head " + CONTENT[100:400] + CONTENT[10_000:]


def test_the_offset_of_the_segment_is_in_the_file_and_the_others_in_the_segment(
    path: Path, access: FileAccess
) -> None:
    buffer = Buffer()
    with FileSegment(opened(path), 5000, 1000, access=access) as segment:
        assert len(segment) == 1000
        buffer.add_file_segment(segment, 10, 20)
        buffer.add_file_segment(segment, 990)
    assert bytes(buffer) == CONTENT[5010:5030] + CONTENT[5990:6000]


def test_the_file_is_closed_when_the_last_byte_is_gone(path: Path, access: FileAccess) -> None:
    descriptor = opened(path)
    segment = FileSegment(descriptor, access=access)
    buffer, other = Buffer(), Buffer()
    buffer.add_file_segment(segment, 0, 2000)
    segment.free()
    segment.free()
    assert repr(segment) == f"<FileSegment {len(CONTENT)} bytes freed>"
    buffer.remove_buffer(other, 1500)
    buffer.drain(500)
    assert is_open(descriptor)
    assert bytes(other) == CONTENT[:1500]
    other.drain(1499)
    assert is_open(descriptor)
    other.drain(1)
    assert not is_open(descriptor)


def test_the_file_stays_open_until_the_segment_is_freed(path: Path, access: FileAccess) -> None:
    descriptor = opened(path)
    segment = FileSegment(descriptor, access=access)
    buffer = Buffer()
    buffer.add_file_segment(segment)
    buffer.clear()
    assert is_open(descriptor)
    buffer.add_file_segment(segment, 1, 2)
    assert bytes(buffer) == CONTENT[1:3]
    del segment
    assert is_open(descriptor)
    del buffer
    gc.collect()
    assert not is_open(descriptor)


def test_a_file_that_is_not_given_away_stays_open(path: Path, access: FileAccess) -> None:
    returned: list[object] = []
    with path.open("rb") as file:
        segment = FileSegment(file, access=access, close_on_free=False)
        segment.add_cleanup(returned.append)
        segment.free()
        assert returned == [file]
        assert not file.closed


def test_cleanups_run_once_after_the_file_is_closed_the_oldest_first(path: Path, access: FileAccess) -> None:
    calls: list[tuple[int, object, bool]] = []
    descriptor = opened(path)
    segment = FileSegment(descriptor, access=access)
    for number in (1, 2):
        segment.add_cleanup(lambda file, number=number: calls.append((number, file, is_open(descriptor))))
    buffer = Buffer()
    buffer.add_file_segment(segment)
    buffer.add_file_segment(segment)
    segment.free()
    assert calls == []
    buffer.clear()
    assert calls == [(1, descriptor, False), (2, descriptor, False)]


def test_a_failing_cleanup_does_not_stop_the_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_type))
    calls: list[object] = []
    segment = FileSegment(opened(path))
    segment.add_cleanup(lambda file: 1 // 0)
    segment.add_cleanup(calls.append)
    segment.free()
    assert reported == [ZeroDivisionError]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("offset", "length"),
    [(-1, None), (0, -1), (0, len(CONTENT) + 1), (len(CONTENT) + 1, None), (1, len(CONTENT))],
)
def test_a_part_outside_is_refused_and_drops_nothing(path: Path, offset: int, length: int | None) -> None:
    descriptor = opened(path)
    segment = FileSegment(descriptor)
    buffer = Buffer()
    with pytest.raises(ValueError, match="not within a file segment"):
        buffer.add_file_segment(segment, offset, length)
    assert not buffer
    buffer.add_file_segment(segment)
    assert bytes(buffer) == CONTENT
    segment.free()
    buffer.clear()
    assert not is_open(descriptor)


def test_a_frozen_back_refuses_it_and_the_segment_stays_good(path: Path) -> None:
    buffer = Buffer()
    with FileSegment(opened(path)) as segment:
        buffer.freeze(back=True)
        for _ in range(3):
            with pytest.raises(FrozenBufferError):
                buffer.add_file_segment(segment)
        buffer.add_file_segment(segment, 5, 0)
        buffer.unfreeze(back=True)
        buffer.add_file_segment(segment)
    assert bytes(buffer) == CONTENT


def test_a_freed_segment_is_refused(path: Path) -> None:
    segment = FileSegment(opened(path))
    segment.free()
    with pytest.raises(ValueError, match="was freed"):
        Buffer().add_file_segment(segment)
    with pytest.raises(ValueError, match="was freed"):
        segment.add_cleanup(print)


@pytest.mark.parametrize(
    ("offset", "length"), [(-1, None), (0, -1), (1, len(CONTENT)), (len(CONTENT) + 1, None)]
)
def test_a_segment_that_cannot_be_made_leaves_the_file_open(
    path: Path, access: FileAccess, offset: int, length: int | None
) -> None:
    with path.open("rb") as file:
        with pytest.raises(ValueError, match="not within a file of 10240 bytes"):
            FileSegment(file, offset, length, access=access)
        gc.collect()
        assert not file.closed


def test_what_is_no_regular_file_is_refused(access: FileAccess) -> None:
    ends = os.pipe()
    with pytest.raises(ValueError, match="only a regular file"):
        FileSegment(ends[0], 0, 1, access=access)
    with pytest.raises(TypeError, match="got str"):
        FileSegment("name")  # type: ignore[arg-type]  # the point of the test
    for end in ends:
        os.close(end)


def test_an_empty_segment_adds_nothing(path: Path, access: FileAccess) -> None:
    buffer = Buffer()
    descriptor = opened(path)
    with FileSegment(descriptor, len(CONTENT), access=access) as segment:
        buffer.add_file_segment(segment)
        assert not buffer
        assert len(segment) == 0
    assert not is_open(descriptor)


def test_a_file_cut_short_is_an_error_by_sendfile_and_none_once_read(path: Path) -> None:
    with FileSegment(opened(path)) as sent, FileSegment(opened(path), access=FileAccess.READ) as read:
        os.truncate(path, 10)
        buffer = Buffer()
        buffer.add_file_segment(read)
        assert bytes(buffer) == CONTENT
        buffer.add_file_segment(sent)
        with pytest.raises(OSError, match="ends at or before") as caught:
            bytes(buffer)
        assert caught.value.errno == errno.EIO


def test_writing_keeps_to_the_limit(
    path: Path, access: FileAccess, pair: tuple[socket.socket, socket.socket]
) -> None:
    buffer = Buffer()
    with FileSegment(opened(path), access=access) as segment:
        buffer.add_file_segment(segment)
    assert buffer.write(pair[0], 100) == 100
    assert pair[1].recv(9999) == CONTENT[:100]
    assert bytes(buffer) == CONTENT[100:]


@pytest.mark.parametrize("access", [FileAccess.MMAP, FileAccess.READ], ids=lambda access: access.value)
def test_what_is_in_memory_needs_no_file(
    path: Path, access: FileAccess, pair: tuple[socket.socket, socket.socket]
) -> None:
    file = path.open("rb")
    buffer = Buffer(b"head ")
    with FileSegment(file, access=access, close_on_free=False) as segment:
        buffer.add_file_segment(segment, 0, 5)
        file.close()
        assert buffer.write(pair[0]) == 10  # head and file go in one call
    assert pair[1].recv(9999) == b"head " + CONTENT[:5]


@given(
    st.permutations(range(4)),
    st.lists(st.integers(0, len(CONTENT)), min_size=3, max_size=3),
    st.sampled_from(FileAccess),
)
def test_any_order_of_letting_go_gives_the_file_back_once(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], sizes: list[int], access: FileAccess
) -> None:
    path = tmp_path_factory.getbasetemp() / "any_order"
    path.write_bytes(CONTENT)
    file = path.open("rb")
    calls: list[bool] = []
    segment = FileSegment(file, access=access)
    segment.add_cleanup(lambda given: calls.append(given is file and file.closed))
    buffers = [Buffer() for _ in sizes]
    for before, buffer, size in zip([None, *buffers], buffers, sizes, strict=False):
        buffer.add_file_segment(segment, 0, size)
        if before is not None:
            before.remove_buffer(buffer, size // 2)
    let_go = [segment.free, *(buffer.clear for buffer in buffers)]
    holds = [True, *(bool(buffer) for buffer in buffers)]
    for done in order:
        let_go[done]()
        holds[done] = False
        assert calls == ([] if any(holds) else [True])


def test_segments_in_cycles_are_given_back_too(path: Path) -> None:
    descriptor = opened(path)
    segment = FileSegment(descriptor)
    buffer = Buffer()
    buffer.add_file_segment(segment)
    buffer.add_callback(lambda *_, keep=(buffer, segment): None)
    del buffer, segment
    gc.collect()
    assert not is_open(descriptor)


def test_many_adds_cost_no_descriptors(path: Path) -> None:
    buffer = Buffer()
    with FileSegment(opened(path), 0, 10) as segment:
        for _ in itertools.repeat(None, 5000):
            buffer.add_file_segment(segment)
    assert len(buffer) == 50_000
    assert buffer.copyout(20, 25_000) == CONTENT[:10] * 2
