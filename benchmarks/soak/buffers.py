"""The buffers of a soak: each with the bytearray that it must equal, its freeze, and its limit.

A `Modelled` decides what its buffer must hold and which call must be refused. The cast draws the calls: everything that
a user may do to a buffer, descriptors and other buffers included. It knows nothing of connections.
"""

import os
import re
import tempfile
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from evkit.core import EOL, Buffer, BufferCallback, BufferInfo, FileAccess, FileSegment, LockedBuffer
from evkit.errors import FrozenBufferError
from soak.world import Operation, World, check

T = TypeVar("T")

_FILE: Final = b"one\r\ntwo\n\0three\r\r\n" * 300
_LINE_ENDS: Final = {
    EOL.ANY: rb"[\r\n]+",
    EOL.CRLF: rb"\r?\n",
    EOL.CRLF_STRICT: rb"\r\n",
    EOL.LF: rb"\n",
    EOL.NUL: rb"\0",
}
_PIECES: Final = (b"", b"a", b"ab\r\n", b"\n\r\0", b"b" * 700, b"a\r\n" * 900)
_LONGEST: Final = 60_000


class Modelled:
    """A buffer and what must be in it.

    Attributes:
        buffer: The buffer.
        model: Its contents.
        front: Whether its front is frozen.
        back: Whether its back is.
        heard: How many bytes its first callback knows of.
    """

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.model = bytearray()
        self.front = self.back = False
        self.heard = 0
        self.entries: list[BufferCallback] = [buffer.add_callback(self._on_change)]

    def _on_change(self, buffer: Buffer, info: BufferInfo) -> None:
        check(buffer is self.buffer and (info.added or info.deleted), "told of nothing:", info)
        check(info.orig_size == self.heard, "heard of", self.heard, "bytes, not of", info)
        self.heard += info.added - info.deleted

    def take(self, size: int) -> bytes:
        """Take up to ``size`` bytes off the model."""
        taken = bytes(self.model[:size])
        del self.model[:size]
        return taken

    def fits(self, size: int) -> bool:
        """Return whether its limit lets ``size`` bytes in."""
        limit = self.buffer.max_length
        return limit is None or len(self.model) + size <= limit

    def end(self) -> None:
        """Let everything go."""
        for entry in self.entries:
            entry.remove()
        self.buffer.unfreeze(front=True, back=True)
        self.buffer.clear()
        self.entries.clear()


class Buffers:
    """All of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._file.write(_FILE)
        self._file.flush()
        self._pipe = os.pipe()
        self._lent = 0
        self._all: list[Modelled] = []
        self._segment: FileSegment | None = None

    def operations(self) -> Sequence[Operation]:
        """See `Cast.operations`."""
        acts = (
            (1, "replace", self._replace),
            (6, "add", self._add),
            (4, "add_reference", self._add_reference),
            (2, "add_file", self._add_file),
            (2, "add_file_segment", self._add_file_segment),
            (3, "add_iovec", self._add_iovec),
            (3, "prepend", self._prepend),
            (3, "reserve", self._reserve),
            (3, "drain", self._drain),
            (3, "remove", self._remove),
            (2, "remove_into", self._remove_into),
            (3, "readln", self._readln),
            (3, "look", self._look),
            (3, "search", self._search),
            (1, "freeze", self._freeze),
            (1, "limit", self._limit),
            (2, "buffer callbacks", self._callbacks),
            (3, "read and write", self._read_and_write),
        )
        moves = (
            (3, "add_buffer", self._add_buffer),
            (3, "prepend_buffer", self._prepend_buffer),
            (3, "remove_buffer", self._remove_buffer),
            (2, "add_buffer_reference", self._add_buffer_reference),
        )
        alone = tuple(Operation(weight, name, self._to_one(act)) for weight, name, act in acts)
        return alone + tuple(Operation(weight, name, self._to_two(move)) for weight, name, move in moves)

    def _any(self) -> Modelled:
        if len(self._all) < 5:
            kind = self.world.random.choice((Buffer, Buffer, LockedBuffer))
            self._all.append(Modelled(kind()))
        chosen = self.world.random.choice(self._all)
        if len(chosen.model) > _LONGEST:
            self._thaw(chosen)
            chosen.buffer.drain(len(chosen.take(_LONGEST)))
        return chosen

    def _to_one(self, act: Callable[[Modelled], object]) -> Callable[[], object]:
        return lambda: act(self._any())

    def _to_two(self, move: Callable[[Modelled, Modelled], object]) -> Callable[[], object]:
        return lambda: move(self._any(), self._any())

    def _size(self) -> int:
        return self.world.random.choice((0, 1, 5, 900, 4000))

    def _piece(self) -> bytes:
        return self.world.random.choice(_PIECES)

    # What must be refused

    def _frozen(self, blocked: bool, call: Callable[[], T]) -> T | None:
        """Call; if ``blocked``, that must raise."""
        if not blocked:
            return call()
        try:
            call()
        except FrozenBufferError:
            return None
        check(False, "a frozen end was changed")
        return None

    def _grows(
        self, side: Modelled, end: bool, data: bytes, call: Callable[[], object], *, front: bool = False
    ) -> None:
        """Call what adds ``data``, to the back or the front, and change the model as it should be."""
        if not data:
            call()
        elif end:
            self._frozen(True, call)
        elif not side.fits(len(data)):
            try:
                call()
            except BufferError:
                return
            check(False, "a limit was passed")
        else:
            side.model[0 if front else len(side.model) : 0 if front else len(side.model)] = data
            call()

    # Adding

    def _replace(self, side: Modelled) -> None:
        self._all.remove(side)
        side.end()

    def _add(self, side: Modelled) -> None:
        data = self._piece()
        kind = self.world.random.choice((bytes, bytearray, memoryview))
        self._grows(side, side.back, data, lambda: side.buffer.add(kind(data)))

    def _add_reference(self, side: Modelled) -> None:
        data = self._piece()
        original = bytearray(data) if self.world.random.random() < 0.5 else data
        lent = bool(data) and not side.back and side.fits(len(data))
        self._lent += lent or not data
        offset = self.world.random.choice((0, len(data), len(data) // 2))
        part = data[offset:]
        if not part and data:
            self._lent += not lent  # nothing was to be added: it is given back at once
        elif part and not lent and not side.back and side.fits(len(part)):
            self._lent += 1
        self._grows(
            side, side.back, part, lambda: side.buffer.add_reference(original, self._give_back, offset=offset)
        )

    def _give_back(self, data: object) -> None:  # noqa: ARG002 - a callback
        self._lent -= 1

    def _stretch(self, size: int) -> tuple[int, int | None]:
        offset = self.world.random.choice((0, 1, size // 2, size))
        length = self.world.random.choice((None, 0, size - offset, (size - offset) // 3))
        return offset, length

    def _add_file(self, side: Modelled) -> None:
        offset, length = self._stretch(len(_FILE))
        part = _FILE[offset:] if length is None else _FILE[offset : offset + length]
        copy = os.dup(self._file.fileno())
        self._grows(side, side.back, part, lambda: side.buffer.add_file(copy, offset, length))

    def _add_file_segment(self, side: Modelled) -> None:
        segment = self._segment
        if segment is None or self.world.random.random() < 0.1:
            access = self.world.random.choice(list(FileAccess))
            segment = self._segment = FileSegment(os.dup(self._file.fileno()), access=access)
            self._lent += 1
            segment.add_cleanup(self._give_back)
        offset, length = self._stretch(len(_FILE))
        part = _FILE[offset:] if length is None else _FILE[offset : offset + length]
        self._grows(side, side.back, part, lambda: side.buffer.add_file_segment(segment, offset, length))

    def _add_iovec(self, side: Modelled) -> None:
        pieces = [self._piece() for _ in range(self.world.random.randint(0, 3))]
        self._grows(side, side.back, b"".join(pieces), lambda: side.buffer.add_iovec(pieces))

    def _prepend(self, side: Modelled) -> None:
        data = self._piece()
        self._grows(side, side.front, data, lambda: side.buffer.prepend(data), front=True)

    def _reserve(self, side: Modelled) -> None:
        sizes = [self.world.random.choice((1, 100, 3000)) for _ in range(self.world.random.randint(1, 3))]
        windows = self._frozen(side.back, lambda: side.buffer.reserve_iovec(sizes))
        if windows is None:
            return
        filled = [self.world.random.randint(0, size) for size in sizes]
        for window, count in zip(windows, filled, strict=True):
            window[:count] = b"a" * count
        self._grows(side, False, b"a" * sum(filled), lambda: side.buffer.commit(*filled))

    # Moving

    def _moves(
        self, source: Modelled, target: Modelled, size: int, *, front: bool, call: Callable[[], object]
    ) -> None:
        if target is source or not size:
            call()
        elif source.front:
            self._frozen(True, call)
        else:
            data = bytes(source.model[:size])
            taken = not (target.front if front else target.back) and target.fits(size)
            if taken:
                source.take(size)
            self._grows(target, target.front if front else target.back, data, call, front=front)

    def _add_buffer(self, source: Modelled, target: Modelled) -> None:
        size = len(source.model)
        self._moves(source, target, size, front=False, call=lambda: target.buffer.add_buffer(source.buffer))

    def _prepend_buffer(self, source: Modelled, target: Modelled) -> None:
        size = len(source.model)
        self._moves(
            source, target, size, front=True, call=lambda: target.buffer.prepend_buffer(source.buffer)
        )

    def _remove_buffer(self, source: Modelled, target: Modelled) -> None:
        wanted = self._size()
        size = min(wanted, len(source.model))
        self._moves(
            source, target, size, front=False, call=lambda: source.buffer.remove_buffer(target.buffer, wanted)
        )

    def _add_buffer_reference(self, source: Modelled, target: Modelled) -> None:
        if source is target:
            return
        data = bytes(source.model)
        self._grows(target, target.back, data, lambda: target.buffer.add_buffer_reference(source.buffer))

    # Taking

    def _shrinks(self, side: Modelled, size: int, call: Callable[[], object], *expected: object) -> None:
        """Call what takes ``size`` bytes off the front, and compare what it says."""
        if side.front and size:
            self._frozen(True, call)
            return
        side.take(size)
        result = call()
        check(not expected or result == expected[0], "got", result, "in place of", expected)

    def _drain(self, side: Modelled) -> None:
        wanted = self._size()
        size = min(wanted, len(side.model))
        self._shrinks(side, size, lambda: side.buffer.drain(wanted), size)

    def _remove(self, side: Modelled) -> None:
        wanted = self.world.random.choice((None, self._size()))
        expected = bytes(side.model[:wanted])
        self._shrinks(side, len(expected), lambda: side.buffer.remove(wanted), expected)

    def _remove_into(self, side: Modelled) -> None:
        target = bytearray(self._size())
        expected = bytes(side.model[: len(target)])
        self._shrinks(side, len(expected), lambda: side.buffer.remove_into(target), len(expected))
        check(side.front or target.startswith(expected), "other bytes were taken")

    def _readln(self, side: Modelled) -> None:
        eol = self.world.random.choice(list(EOL))
        found = re.search(_LINE_ENDS[eol], bytes(side.model))
        if found is None:
            check(side.buffer.readln(eol) is None, "a line where there is none")
            return
        line = bytes(side.model[: found.start()])
        self._shrinks(side, found.end(), lambda: side.buffer.readln(eol), line)

    # Looking

    def _look(self, side: Modelled) -> None:
        start = min(self._size(), len(side.model))
        check(b"".join(side.buffer.peek(None, start)) == side.model[start:], "other bytes at", start)
        if not side.front:
            check(side.buffer.copyout(7, start) == side.model[start : start + 7], "other bytes are copied")
        size = min(self._size(), len(side.model))
        check(side.buffer.pullup(size) == side.model[:size], "other bytes are pulled up")
        check(side.buffer.first_size >= size, "not pulled up")
        whole, offset = side.buffer.front()
        check(whole[offset:] == side.model, "other bytes at the front")

    def _search(self, side: Modelled) -> None:
        needle = self.world.random.choice((b"", b"a", b"\r\n", b"ab", b"three"))
        start = min(self._size(), len(side.model))
        expected = side.model.find(needle, start)
        check(side.buffer.search(needle, start) == expected, "found elsewhere than", expected)
        eol = self.world.random.choice(list(EOL))
        found = re.compile(_LINE_ENDS[eol]).search(bytes(side.model), start)
        span = (found.start(), found.end() - found.start()) if found else None
        check(side.buffer.search_eol(eol, start) == span, "an end of line elsewhere than", span)

    # What is allowed, and who hears

    def _freeze(self, side: Modelled) -> None:
        if side.front or side.back:
            self._thaw(side)
            return
        side.front, side.back = self.world.random.choice(((True, False), (False, True), (True, True)))
        side.buffer.freeze(front=side.front, back=side.back)

    def _thaw(self, side: Modelled) -> None:
        side.buffer.unfreeze(front=True, back=True)
        side.front = side.back = False

    def _limit(self, side: Modelled) -> None:
        side.buffer.max_length = self.world.random.choice((None, None, 0, 5000, 50_000))

    def _callbacks(self, side: Modelled) -> None:
        chance = self.world.random.random()
        if chance < 0.1:
            side.buffer.defer_callbacks(self.world.base)
        elif len(side.entries) < 3:
            side.entries.append(side.buffer.add_callback(_listen))
        elif chance < 0.5:
            side.entries.pop().remove()
        else:
            side.entries[-1].enabled = not side.entries[-1].enabled

    # Through a descriptor

    def _read_and_write(self, side: Modelled) -> None:
        size = self.world.random.choice((1, 100, 4096))
        if self.world.random.random() < 0.5 and side.model:
            sent = self._frozen(side.front, lambda: side.buffer.write(self._pipe[1], size))
            if sent is not None:
                check(os.read(self._pipe[0], 8192) == side.take(sent), "other bytes were written")
            return
        if side.back or not side.fits(size):
            return
        os.write(self._pipe[1], b"\n" * size)
        side.model += b"\n" * size
        check(side.buffer.read(self._pipe[0]) == size, "not all was read")

    # What must hold

    def verify(self) -> None:
        """See `Cast.verify`."""
        for side in self._all:
            check(
                bytes(side.buffer) == side.model and len(side.buffer) == len(side.model),
                "other bytes",
                side.buffer,
            )

    def rehearse(self) -> None:
        """See `Cast.rehearse`: what is deferred has been told by the end of it."""
        self.world.settle()
        for side in self._all:
            check(side.heard == len(side.model), "heard of", side.heard, "bytes:", side.buffer)

    def let_go(self) -> None:
        """See `Cast.let_go`."""
        for side in self._all:
            side.end()
        self._all.clear()
        self._segment = None

    def verify_gone(self) -> None:
        """See `Cast.verify_gone`."""
        check(not self._lent, self._lent, "pieces of memory were not given back")

    def close(self) -> None:
        """Give back what is left: at the end of the world."""
        self._file.close()
        for end in self._pipe:
            os.close(end)


def _listen(buffer: Buffer, info: BufferInfo) -> None:
    """Hear of a change; another callback compares."""
