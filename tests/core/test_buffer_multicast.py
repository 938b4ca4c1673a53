"""One content in many buffers: what add_buffer_reference shares, and when it is given back."""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.buffer import Buffer, FileSegment
from evkit.errors import FrozenBufferError

BIG = b"b" * 5000


def test_the_source_is_kept_and_nothing_copied() -> None:
    source, target = Buffer(BIG), Buffer()
    target.add_buffer_reference(source)
    assert bytes(source) == BIG
    assert target.front()[0] is BIG


def test_what_happens_to_one_does_not_happen_to_the_other() -> None:
    source, target = Buffer(BIG), Buffer(b"head ")
    target.add_buffer_reference(source)
    source.add(b"later")
    source.drain(4999)
    source.prepend(b"x")
    assert bytes(source) == b"xblater"
    target.drain(10)
    target.add(b"!")
    assert bytes(target) == BIG[5:] + b"!"
    assert bytes(source) == b"xblater"


def test_what_was_consumed_of_the_source_is_not_shared() -> None:
    source, target = Buffer(b"abc" + BIG), Buffer()
    source.drain(2)
    target.add_buffer_reference(source)
    assert bytes(target) == b"c" + BIG == bytes(source)


def test_callbacks_of_the_source_hear_nothing() -> None:
    heard: list[tuple[str, int, int]] = []
    source, target = Buffer(BIG), Buffer()
    source.add_callback(lambda _, info: heard.append(("source", info.added, info.deleted)))
    target.add_callback(lambda _, info: heard.append(("target", info.added, info.deleted)))
    target.add_buffer_reference(source)
    assert heard == [("target", len(BIG), 0)]


def test_itself_is_refused_unless_there_is_nothing() -> None:
    buffer = Buffer()
    buffer.add_buffer_reference(buffer)
    buffer.add(b"abc")
    with pytest.raises(ValueError, match="itself"):
        buffer.add_buffer_reference(buffer)
    assert bytes(buffer) == b"abc"


def test_a_frozen_back_refuses_and_a_frozen_source_does_not_mind() -> None:
    source, target = Buffer(b"abc"), Buffer()
    source.freeze(front=True, back=True)
    target.add_buffer_reference(source)
    assert bytes(target) == b"abc"
    target.freeze(back=True)
    with pytest.raises(FrozenBufferError):
        target.add_buffer_reference(source)
    target.add_buffer_reference(Buffer())
    assert bytes(target) == b"abc"


def test_only_buffers_are_referred_to() -> None:
    with pytest.raises(TypeError, match="got bytes"):
        Buffer().add_buffer_reference(b"abc")  # type: ignore[arg-type]  # the point of the test


def test_files_and_references_of_references_are_shared(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(BIG)
    owned = os.open(path, os.O_RDONLY)
    source = Buffer(b"one ")
    with FileSegment(os.open(path, os.O_RDONLY)) as segment:
        source.add_file_segment(segment, 0, 3)
    source.add_file(owned, 0, 4)
    second, third = Buffer(), Buffer()
    second.add_buffer_reference(source)
    third.add_buffer_reference(second)
    source.clear()
    second.clear()
    assert bytes(third) == b"one " + b"b" * 7
    os.fstat(owned)
    third.clear()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(owned)


@given(st.permutations(range(4)), st.integers(0, 3000), st.booleans())
def test_cleanup_comes_once_when_the_last_has_let_go(order: list[int], start: int, chained: bool) -> None:
    calls: list[object] = []
    memory = bytearray(3000)
    buffers = [Buffer() for _ in range(4)]
    buffers[0].add_reference(memory, calls.append)
    buffers[0].drain(start)
    for before, buffer in itertools.pairwise(buffers):
        buffer.add_buffer_reference(before if chained else buffers[0])
    if start == 3000:
        assert calls == [memory]
        return
    for done, number in enumerate(order):
        assert calls == []
        if done % 2:
            buffers[number].clear()
        else:
            assert buffers[number].remove() == memory[start:]
    assert calls == [memory]
    memory.clear()  # nothing refers to it: else BufferError
