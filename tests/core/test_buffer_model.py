"""A Buffer is a bytearray that is consumed at the front: any sequence of calls gives what the bytearray gives."""

import os
import re
import tempfile
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evkit.core.buffer import EOL, Buffer, BufferInfo, FileAccess, FileSegment
from evkit.core.buffer.locked import LockedBuffer
from evkit.errors import FrozenBufferError

LINE_ENDS = {
    EOL.ANY: rb"[\r\n]+",
    EOL.CRLF: rb"\r?\n",
    EOL.CRLF_STRICT: rb"\r\n",
    EOL.LF: rb"\n",
    EOL.NUL: rb"\0",
}
FILE = b"one\r\ntwo\n\0three\r\r\n" * 300

# Few different bytes, so that searches find something; repeated, so that segments pass the size for joining.
data = st.builds(
    lambda chunk, times: chunk * times, st.text("ab\r\n\0", max_size=12).map(str.encode), st.integers(0, 200)
)
sides = st.integers(0, 1)
sizes = st.integers(0, 4000)
needles = st.text("ab\r\n\0", max_size=4).map(str.encode)


class Modelled:
    """A buffer, the bytearray that it must equal, and what its callback heard."""

    def __init__(self, make: type[Buffer]) -> None:
        self.buffer = make()
        self.model = bytearray()
        self.front = self.back = False
        self.heard = 0
        self.buffer.add_callback(self.on_change)

    def on_change(self, buffer: Buffer, info: BufferInfo) -> None:
        assert buffer is self.buffer
        assert info.orig_size == self.heard
        assert info.added or info.deleted
        self.heard += info.added - info.deleted

    def take(self, size: int) -> bytes:
        taken = bytes(self.model[:size])
        del self.model[:size]
        return taken


class BufferMachine(RuleBasedStateMachine):
    make: tuple[type[Buffer], type[Buffer]] = (Buffer, Buffer)

    def __init__(self) -> None:
        super().__init__()
        self.sides = tuple(map(Modelled, self.make))
        self.cleanups: list[int] = []
        self.descriptors: list[int] = []

    @initialize()
    def open_file(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by teardown
        self.file.write(FILE)
        self.file.flush()
        self.pipe = os.pipe()
        self.segment: FileSegment | None = None

    def teardown(self) -> None:
        self.free_segment()
        for side in self.sides:
            side.buffer.unfreeze(front=True, back=True)
            side.buffer.clear()
            assert side.heard == 0
        assert self.cleanups == [1] * len(self.cleanups)
        for descriptor in self.descriptors:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)
        self.file.close()
        for end in self.pipe:
            os.close(end)

    def unless(self, blocked: bool, call: Callable[[], object]) -> object:
        """Call, and expect the freeze to stop it if ``blocked``."""
        if not blocked:
            return call()
        with pytest.raises(FrozenBufferError):
            call()
        return None

    @invariant()
    def same_bytes(self) -> None:
        for side in self.sides:
            assert bytes(side.buffer) == side.model
            assert len(side.buffer) == len(side.model) == side.heard
            assert bool(side.buffer) == bool(side.model)

    @invariant()
    def chain_in_order(self) -> None:
        for side in self.sides:
            lengths = [len(segment) for segment in side.buffer._segments]
            assert all(lengths)
            assert 0 <= side.buffer._start < (lengths or [1])[0]
            assert sum(lengths) - side.buffer._start == len(side.model)

    # Adding

    @rule(side=sides, data=data, kind=st.sampled_from([bytes, bytearray, memoryview]))
    def add(self, side: int, data: bytes, kind: Callable[[bytes], bytes]) -> None:
        it = self.sides[side]
        self.unless(it.back and bool(data), lambda: it.buffer.add(kind(data)))
        if not it.back:
            it.model += data

    @rule(side=sides, data=data, mutable=st.booleans())
    def add_reference(self, side: int, data: bytes, mutable: bool) -> None:
        it = self.sides[side]
        original = bytearray(data) if mutable else data
        if it.back and data:
            with pytest.raises(FrozenBufferError):
                it.buffer.add_reference(original, print)
            return
        number = len(self.cleanups)
        self.cleanups.append(0)

        def cleanup(given: object) -> None:
            assert given is original
            self.cleanups[number] += 1

        it.buffer.add_reference(original, cleanup)
        it.model += data

    @rule(side=sides, offset=st.integers(0, len(FILE)), length=st.none() | st.integers(0, len(FILE)))
    def add_file(self, side: int, offset: int, length: int | None) -> None:
        it = self.sides[side]
        if length is not None:
            length = min(length, len(FILE) - offset)
        stretch = FILE[offset:] if length is None else FILE[offset : offset + length]
        high = self.descriptor()
        self.unless(it.back and bool(stretch), lambda: it.buffer.add_file(high, offset, length))
        if not it.back:
            it.model += stretch

    def descriptor(self) -> int:
        """Open the file under a high number, so that nothing else gets it after it is closed."""
        high = 500 + len(self.descriptors)
        os.dup2(self.file.fileno(), high)
        self.descriptors.append(high)
        return high

    @rule(access=st.sampled_from(FileAccess), offset=st.integers(0, len(FILE)))
    def make_segment(self, access: FileAccess, offset: int) -> None:
        self.free_segment()
        self.segment = FileSegment(self.descriptor(), offset, access=access)
        self.stretch = FILE[offset:]
        number = len(self.cleanups)
        self.cleanups.append(0)

        def cleanup(given: object) -> None:
            self.cleanups[number] += 1

        self.segment.add_cleanup(cleanup)

    @rule()
    def free_segment(self) -> None:
        if self.segment is not None:
            self.segment.free()
            self.segment = None

    @precondition(lambda self: self.segment is not None)
    @rule(side=sides, offset=st.integers(0, len(FILE)), length=st.none() | sizes)
    def add_file_segment(self, side: int, offset: int, length: int | None) -> None:
        it, segment = self.sides[side], self.segment
        assert segment is not None
        offset = min(offset, len(self.stretch))
        if length is not None:
            length = min(length, len(self.stretch) - offset)
        part = self.stretch[offset:] if length is None else self.stretch[offset : offset + length]
        self.unless(it.back and bool(part), lambda: it.buffer.add_file_segment(segment, offset, length))
        if not it.back:
            it.model += part

    @rule(side=sides, pieces=st.lists(data, max_size=4))
    def add_iovec(self, side: int, pieces: list[bytes]) -> None:
        it = self.sides[side]
        added = self.unless(it.back and any(pieces), lambda: it.buffer.add_iovec(pieces))
        if not it.back:
            assert added == sum(map(len, pieces))
            it.model += b"".join(pieces)

    @rule(side=sides, data=data)
    def prepend(self, side: int, data: bytes) -> None:
        it = self.sides[side]
        self.unless(it.front and bool(data), lambda: it.buffer.prepend(data))
        if not it.front:
            it.model[:0] = data

    @rule(
        side=sides,
        wanted=st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 3000)), min_size=1, max_size=3),
    )
    def reserve_and_commit(self, side: int, wanted: list[tuple[int, int]]) -> None:
        it = self.sides[side]
        windows = self.unless(it.back, lambda: it.buffer.reserve_iovec([size for size, _ in wanted]))
        if isinstance(windows, list):
            filled = [min(size, filled) for size, filled in wanted]
            for window, count, mark in zip(windows, filled, (b"\n", b"a", b"b"), strict=False):
                window[:count] = mark * count
                it.model += mark * count
            it.buffer.commit(*filled)

    # Moving

    @rule(into=sides, source=sides)
    def add_buffer(self, into: int, source: int) -> None:
        to, of = self.sides[into], self.sides[source]
        moves = to is not of and bool(of.model)
        blocked = moves and (to.back or of.front)
        self.unless(blocked, lambda: to.buffer.add_buffer(of.buffer))
        if moves and not blocked:
            to.model += of.take(len(of.model))

    @rule(into=sides, source=sides)
    def add_buffer_reference(self, into: int, source: int) -> None:
        to, of = self.sides[into], self.sides[source]
        if to is of and of.model:
            with pytest.raises(ValueError, match="itself"):
                to.buffer.add_buffer_reference(of.buffer)
            return
        self.unless(to.back and bool(of.model), lambda: to.buffer.add_buffer_reference(of.buffer))
        # Twice as much each time they refer to each other.
        if not to.back:
            to.model += of.model

    @precondition(lambda self: any(len(side.model) > 100_000 for side in self.sides))
    @rule()
    def shrink(self) -> None:
        for it in self.sides:
            if not it.front:
                it.buffer.drain(len(it.take(len(it.model) - 1000)) if len(it.model) > 1000 else 0)

    @rule(into=sides, source=sides)
    def prepend_buffer(self, into: int, source: int) -> None:
        to, of = self.sides[into], self.sides[source]
        moves = to is not of and bool(of.model)
        blocked = moves and (to.front or of.front)
        self.unless(blocked, lambda: to.buffer.prepend_buffer(of.buffer))
        if moves and not blocked:
            to.model[:0] = of.take(len(of.model))

    @rule(into=sides, source=sides, size=sizes)
    def remove_buffer(self, into: int, source: int, size: int) -> None:
        to, of = self.sides[into], self.sides[source]
        moved = min(size, len(of.model)) if to is not of else 0
        blocked = moved > 0 and (to.back or of.front)
        result = self.unless(blocked, lambda: of.buffer.remove_buffer(to.buffer, size))
        if not blocked:
            assert result == moved
            to.model += of.take(moved)

    # Taking

    @rule(side=sides, size=sizes)
    def drain(self, side: int, size: int) -> None:
        it = self.sides[side]
        blocked = it.front and min(size, len(it.model)) > 0
        result = self.unless(blocked, lambda: it.buffer.drain(size))
        if not blocked:
            assert result == len(it.take(size))

    @rule(side=sides, size=st.none() | sizes)
    def remove(self, side: int, size: int | None) -> None:
        it = self.sides[side]
        size_ = len(it.model) if size is None else size
        blocked = it.front and min(size_, len(it.model)) > 0
        result = self.unless(blocked, lambda: it.buffer.remove(size))
        if not blocked:
            assert result == it.take(size_)

    @rule(side=sides, size=sizes)
    def remove_into(self, side: int, size: int) -> None:
        it = self.sides[side]
        target = bytearray(size)
        blocked = it.front and min(size, len(it.model)) > 0
        result = self.unless(blocked, lambda: it.buffer.remove_into(target))
        if not blocked:
            taken = it.take(size)
            assert result == len(taken)
            assert target == taken + bytes(size - len(taken))

    @rule(side=sides, eol=st.sampled_from(EOL))
    def readln(self, side: int, eol: EOL) -> None:
        it = self.sides[side]
        found = re.search(LINE_ENDS[eol], it.model)
        span = found.span() if found else None
        del found  # it holds on to the bytearray
        blocked = it.front and span is not None
        line = self.unless(blocked, lambda: it.buffer.readln(eol))
        if span is None:
            assert line is None
        elif not blocked:
            assert line == it.take(span[1])[: span[0]]

    # Looking

    @rule(side=sides, size=st.none() | sizes, start=sizes)
    def copyout_and_peek(self, side: int, size: int | None, start: int) -> None:
        it = self.sides[side]
        start = min(start, len(it.model))
        expected = bytes(it.model[start:] if size is None else it.model[start : start + size])
        assert b"".join(it.buffer.peek(size, start)) == expected
        copied = self.unless(it.front and bool(expected), lambda: it.buffer.copyout(size, start))
        if not (it.front and expected):
            assert copied == expected

    @rule(side=sides, size=st.none() | sizes)
    def pullup(self, side: int, size: int | None) -> None:
        it = self.sides[side]
        if size is not None:
            size = min(size, len(it.model))
        assert bytes(it.buffer.pullup(size)) == it.model[:size]
        assert it.buffer.first_size >= (len(it.model) if size is None else size)

    @rule(side=sides)
    def front(self, side: int) -> None:
        it = self.sides[side]
        whole, offset = it.buffer.front()
        assert whole[offset:] == it.model

    @rule(side=sides, what=needles, start=sizes, end=st.none() | sizes)
    def search(self, side: int, what: bytes, start: int, end: int | None) -> None:
        it = self.sides[side]
        start = min(start, len(it.model))
        if end is not None:
            end = min(end, len(it.model))
        expected = it.model.find(what, start, end) if what else start
        assert it.buffer.search(what, start, end) == expected

    @rule(side=sides, eol=st.sampled_from(EOL), start=sizes)
    def search_eol(self, side: int, eol: EOL, start: int) -> None:
        it = self.sides[side]
        start = min(start, len(it.model))
        found = re.compile(LINE_ENDS[eol]).search(bytes(it.model), start)
        expected = (found.start(), found.end() - found.start()) if found else None
        assert it.buffer.search_eol(eol, start) == expected

    # Freezing

    @rule(side=sides, front=st.booleans(), back=st.booleans())
    def freeze(self, side: int, front: bool, back: bool) -> None:
        it = self.sides[side]
        if front or back:
            it.buffer.freeze(front=front, back=back)
        it.front, it.back = it.front or front, it.back or back

    @precondition(lambda self: any(side.front or side.back for side in self.sides))
    @rule()
    def thaw(self) -> None:
        for it in self.sides:
            it.buffer.unfreeze(front=it.front, back=it.back)
            it.front = it.back = False

    # Through a descriptor

    @rule(side=sides, size=st.integers(1, 4000))
    def write(self, side: int, size: int) -> None:
        it = self.sides[side]
        blocked = it.front and bool(it.model)
        sent = self.unless(blocked, lambda: it.buffer.write(self.pipe[1], size))
        if it.model and not blocked:
            assert isinstance(sent, int)
            assert 0 < sent <= size
            assert os.read(self.pipe[0], 8000) == it.take(sent)

    @rule(side=sides, data=data.filter(bool))
    def read(self, side: int, data: bytes) -> None:
        it = self.sides[side]
        os.write(self.pipe[1], data)
        self.unless(it.back, lambda: it.buffer.read(self.pipe[0]))
        if not it.back:
            it.model += data[:4096]
        if it.back or len(data) > 4096:
            os.read(self.pipe[0], 8000)


BufferMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestBufferMachine = BufferMachine.TestCase


class LockedMachine(BufferMachine):
    make = (LockedBuffer, LockedBuffer)


class MixedMachine(BufferMachine):
    make = (LockedBuffer, Buffer)


LockedMachine.TestCase.settings = MixedMachine.TestCase.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLockedMachine = LockedMachine.TestCase
TestMixedMachine = MixedMachine.TestCase
