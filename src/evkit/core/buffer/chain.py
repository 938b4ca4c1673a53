"""A chain of segments, and every way to look at it: positions, searches, views, copies.

No public method here changes the bytes that the chain stands for (`Chain.front` and `Chain.pullup` only
arrange them anew), so this module knows nothing of freezing, of listeners, or of sockets.

Four things always hold: no segment is empty; ``_start``, the bytes already consumed of the first segment, is
less than its length, and 0 if there is none; ``length`` is the sum of the lengths less ``_start``; a ``_mark`` of a
style and a position says that no whole line end of that style lies before the position, so whoever takes from the
front or puts something before it drops the mark.
"""

from collections.abc import Iterator
from operator import index
from typing import Final

from evkit.core.buffer.eol import EOL, EOL_ANY, EOL_CRLF, FIXED_ENDS
from evkit.core.buffer.segments import FileStretch, Readable, Segment, chunks, cut, part

# Small pieces are joined up to this size, libevent's smallest chunk.
COALESCE: Final = 1024
# A search for a line end that looked in vain at more bytes than this leaves a mark; fewer are soon searched again.
_MARK_FROM: Final = 4096


def as_bytes(data: Readable) -> bytes:
    """Give ``data`` as bytes: itself, or a copy of what could change.

    Raises:
        TypeError: it is something else; ``bytes(5)`` would be five zeroes.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}")
    return bytes(data)


def as_size(size: int) -> int:
    """Check a number of bytes.

    Raises:
        ValueError: it is negative.
        TypeError: it is no integer.
    """
    size = index(size)
    if size < 0:
        raise ValueError(f"expected a size of 0 or more bytes, got {size}")
    return size


def as_positive(size: int) -> int:
    """Check a number of bytes that must not be 0."""
    size = as_size(size)
    if not size:
        raise ValueError("expected a size of 1 or more bytes, got 0")
    return size


class Chain:
    """Bytes in segments that are never copied unless they are asked for in one piece.

    Attributes:
        length: How many bytes there are, for reading only: what ``len()`` gives, without the cost of a call.
    """

    __slots__ = ("_mark", "_segments", "_start", "length")

    def __init__(self) -> None:
        self._segments: list[Segment] = []
        self._start = 0
        self._mark: tuple[EOL, int] | None = None
        self.length = 0

    def __len__(self) -> int:
        return self.length

    def __bool__(self) -> bool:
        return self.length > 0

    def __bytes__(self) -> bytes:
        return self._gather(0, self.length)

    def __iter__(self) -> Iterator[memoryview]:
        return iter(self.peek())

    def __contains__(self, what: Readable) -> bool:
        return self.search(what) >= 0

    @property
    def first_size(self) -> int:
        """Bytes in the first segment, which `pullup` gives without copying.

        Source: ``evbuffer_get_contiguous_space``.
        """
        return len(self._segments[0]) - self._start if self._segments else 0

    def front(self) -> tuple[bytes, int]:
        """Give the whole contents in one bytes object, and the offset in it where they begin.

        What is before the offset was consumed already. The object never changes, so it may be kept.

        Returns:
            ``(data, offset)``: the contents are ``data[offset:]``, and ``(b"", 0)`` if there are none.

        Raises:
            OSError: a file in the chain cannot be read.

        Cost: nothing for a single segment; otherwise the segments are joined once and stay joined.
        Source: ``evbuffer_pullup(buf, -1)``, for a parser that works on a bytes object.
        """
        segments = self._segments
        if len(segments) == 1:
            head = segments[0]
            if type(head) is bytes:
                return head, self._start
        return (self._join(self.length) if segments else b""), 0

    def pullup(self, size: int | None = None) -> memoryview:
        """Make the first bytes contiguous.

        Args:
            size: How many, ``0 <= size <= len(self)``; ``None`` for all.

        Returns:
            A read-only view of exactly that many bytes; an empty one for 0.

        Raises:
            ValueError: ``size`` is negative, or more than there is.
            OSError: a file among them cannot be read.

        Cost: nothing if the first segment has them; otherwise these bytes are copied once.
        Source: ``evbuffer_pullup``, which gives NULL for 0 and for too much.
        """
        size = self.length if size is None else as_size(size)
        if size > self.length:
            raise ValueError(f"cannot pull up {size} bytes, the buffer has {self.length}")
        if not size:
            return memoryview(b"")
        if size > self.first_size or isinstance(self._segments[0], FileStretch):
            self._join(size)
        return self.peek(size)[0]

    def peek(self, size: int | None = None, start: int = 0) -> list[memoryview]:
        """Look at the contents without copying or consuming them.

        Args:
            size: Bytes to look at, ``>= 0``; more than there is gives what there is, ``None`` gives all.
            start: Position of the first of them, ``0 <= start <= len(self)``.

        Returns:
            Read-only views, in order. They hold exactly these bytes, and are good until the buffer changes.

        Raises:
            ValueError: ``size`` is negative, or ``start`` is out of range.
            OSError: a file among them cannot be read.

        Source: ``evbuffer_peek``, which does not trim the last extent.
        """
        size = self._within(size, start)
        return [memoryview(part(*span)).toreadonly() for span in self._spans(start, size)]

    def search(self, what: Readable, start: int = 0, end: int | None = None) -> int:
        """Find the first occurrence of ``what``.

        Args:
            what: The bytes to look for; none at all are found at ``start``.
            start: Position where the match may begin, ``0 <= start <= len(self)``.
            end: Position where the match must have ended, ``<= len(self)``; ``None`` is the end of all.

        Returns:
            The position of the match, counted from the front of the buffer, or -1. It is a plain integer
            where libevent has a ``struct evbuffer_ptr``: after a drain it means another byte.

        Raises:
            ValueError: ``start`` or ``end`` is out of range.
            OSError: a file in the range cannot be read.

        Cost: looks at every byte of the range, each time. Who waits for ``what`` while a buffer grows passes a
        ``start`` that leaves out what was searched, ``max(0, size_then - len(what) + 1)``, and goes back to 0 when
        something was taken. For line ends `search_eol` does so by itself.
        Source: ``evbuffer_search_range``.
        """
        needle = as_bytes(what)
        self._within(None, start)
        if end is None:
            end = self.length
        else:
            self._within(None, end)
        return self._find(needle, start, end) if needle else start

    def search_eol(self, eol: EOL = EOL_CRLF, start: int = 0) -> tuple[int, int] | None:
        """Find the first end of a line.

        Args:
            eol: What ends a line.
            start: Position where to begin, ``0 <= start <= len(self)``; a CR before it does not count.

        Returns:
            ``(position, size)`` of the terminator, or ``None``.

        Raises:
            TypeError: ``eol`` is not one of the styles.
            ValueError: ``start`` is out of range.
            OSError: a file in the range cannot be read.

        Cost: from the front, bytes that were searched for the same end in vain are not searched again, as long as
        nothing is taken or prepended.
        Source: ``evbuffer_search_eol``.
        """
        self._within(None, start)
        begin, mark = start, self._mark
        if mark is not None and not start and mark[0] is eol:
            begin = mark[1] - 1  # the last byte searched may be the first of an end of two
        if eol is EOL_CRLF:
            found = self._crlf(begin)
        elif eol is EOL_ANY:
            found = self._any_eol(begin)
        else:
            found = self._fixed_eol(eol, begin)
        if found is None and not start and self.length > _MARK_FROM:
            self._mark = (eol, self.length)
        return found

    def _fixed_eol(self, eol: EOL, start: int) -> tuple[int, int] | None:
        fixed = FIXED_ENDS.get(eol)
        if fixed is None:
            raise TypeError(f"expected an EOL, got {eol!r}")
        at = self._find(fixed, start, self.length)
        return (at, len(fixed)) if at >= 0 else None

    def _crlf(self, start: int) -> tuple[int, int] | None:
        at = self._find(b"\n", start, self.length)
        if at < 0:
            return None
        if at > start and self._gather(at - 1, 1) == b"\r":
            return at - 1, 2
        return at, 1

    def _any_eol(self, start: int) -> tuple[int, int] | None:
        at = self._find(b"\n", start, self.length)
        first = self._find(b"\r", start, self.length if at < 0 else at)
        if first < 0:
            first = at
        return (first, self._run_length(first)) if first >= 0 else None

    def _run_length(self, at: int) -> int:
        size = 0
        for span in self._spans(at, self.length - at):
            for chunk in chunks(*span):
                run = len(chunk) - len(bytes(chunk).lstrip(b"\r\n"))
                size += run
                if run < len(chunk):
                    return size
        return size

    def _find(self, needle: bytes, start: int, end: int) -> int:
        """Search like ``bytes.find``; the needle is not empty, the range is valid."""
        segments = self._segments
        if len(segments) == 1:
            head = segments[0]
            if type(head) is bytes:
                at = head.find(needle, self._start + start, self._start + end)
                return at - self._start if at >= 0 else -1
        window = b""
        for span in self._spans(start, end - start):
            for chunk in chunks(*span):
                window += chunk
                at = window.find(needle)
                if at >= 0:
                    return start + at
                # A match may have begun in the last bytes: they go before the next chunk.
                done = max(len(window) - len(needle) + 1, 0)
                window = window[done:]
                start += done
        return -1

    def _spans(self, start: int, size: int) -> Iterator[tuple[Segment, int, int]]:
        """Give ``(segment, from, to)`` for each segment with some of the ``size`` bytes from ``start`` on."""
        segments = self._segments
        index, start = self._seek(start) if start else (0, self._start)
        while size > 0 and index < len(segments):
            segment = segments[index]
            stop = min(len(segment), start + size)
            yield segment, start, stop
            size -= stop - start
            start = 0
            index += 1

    def _seek(self, position: int) -> tuple[int, int]:
        """Find the segment that ``position`` lies in, from the nearer end; give its index and the place in it."""
        segments = self._segments
        if 2 * position < self.length:
            index, place = 0, self._start + position
            while place >= len(segments[index]):
                place -= len(segments[index])
                index += 1
            return index, place
        index, behind = len(segments), self.length - position
        while behind > 0:
            index -= 1
            behind -= len(segments[index])
        return index, -behind

    def _gather(self, start: int, size: int) -> bytes:
        """Copy a range that is known to exist; a whole bytes segment is given as it is."""
        segments = self._segments
        if len(segments) == 1:
            head = segments[0]
            if type(head) is bytes:
                start += self._start
                return head[start : start + size]
        return b"".join([part(*span) for span in self._spans(start, size)])

    def _join(self, size: int) -> bytes:
        """Make the first ``size`` bytes, ``> 0``, one segment of bytes."""
        joined = self._gather(0, size)
        # Kept until the chain is whole again: letting go of a Reference runs a callback of the user.
        replaced = self._detach(size)
        self._settle()
        self._segments.insert(0, joined)
        self.length += size
        del replaced
        return joined

    def _within(self, size: int | None, start: int) -> int:
        """Check a position, and give how many of ``size`` bytes there are behind it."""
        rest = self.length - as_size(start)
        if rest < 0:
            raise ValueError(f"expected a position up to {self.length}, got {start}")
        return rest if size is None else min(as_size(size), rest)

    # Surgery, for Flow and Buffer

    def _detach(self, size: int) -> list[Segment]:
        """Take the first ``size`` bytes, ``0 < size <= len(self)``, off the chain, as segments."""
        self._mark = None
        self._settle()
        segments = self._segments
        count = used = 0
        while used < size and used + len(segments[count]) <= size:
            used += len(segments[count])
            count += 1
        taken = segments[:count]
        if used < size:
            self._start = size - used
            taken.append(cut(segments[count], 0, self._start))
        self.length -= size
        del segments[:count]
        return taken

    def _settle(self) -> None:
        """Cut off what was consumed of the first segment."""
        if self._start:
            head = self._segments[0]
            self._segments[0] = cut(head, self._start, len(head))
            self._start = 0

    def _drop(self, start: int) -> None:
        """Drop whole segments until ``start`` lies in the first."""
        segments = self._segments
        count = 0
        while start >= len(segments[count]):
            start -= len(segments[count])
            count += 1
        self._start = start
        del segments[:count]

    def _link(self, taken: list[Segment], size: int) -> None:
        """Append segments with ``size`` bytes in all, and tell nobody."""
        segments = self._segments
        first = taken[0]
        if segments and type(first) is bytes:
            last = segments[-1]
            if type(last) is bytes and len(last) + len(first) <= COALESCE:
                segments[-1] = last + first
                del taken[0]
        segments.extend(taken)
        self.length += size

    def _swap(self, source: "Chain") -> None:
        """Take over all of ``source``, which gets this chain's nothing, and tell nobody."""
        source._mark = None
        self._segments, source._segments = source._segments, self._segments
        self._start, source._start = source._start, 0
        self.length, source.length = source.length, 0

    def _link_shared(self, source: "Chain") -> None:
        """Append all segments of ``source``, which keeps them, and tell nobody: a segment never changes."""
        shared = source._segments[:]
        if source._start:
            shared[0] = cut(shared[0], source._start, len(shared[0]))
        self._link(shared, source.length)

    def _insert(self, taken: list[Segment], size: int) -> None:
        """Put segments with ``size`` bytes in all before the front, and tell nobody."""
        self._mark = None
        self._settle()
        segments = self._segments
        last = taken[-1]
        if segments and type(last) is bytes:
            first = segments[0]
            if type(first) is bytes and len(last) + len(first) <= COALESCE:
                segments[0] = last + first
                del taken[-1]
        segments[:0] = taken
        self.length += size
