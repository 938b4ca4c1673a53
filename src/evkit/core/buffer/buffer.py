"""The buffer of libevent: a chain of segments that is added to at the back and consumed at the front.

`Buffer` decides how bytes are taken, moved to another buffer, read and written. What the chain looks like is `Chain`'s
business; how bytes flow through it and who is told is `Flow`'s; what is allowed is `Guard`'s; how bytes are added is
`Intake`'s. It knows nothing of events or of the loop, and has no lock: one thread at a time. `LockedBuffer` has
one.
"""

from contextlib import nullcontext
from types import TracebackType
from typing import Final, Protocol

from evkit.core.buffer.chain import as_positive, as_size
from evkit.core.buffer.descriptor import Descriptor
from evkit.core.buffer.eol import EOL, EOL_CRLF
from evkit.core.buffer.flow import NO_LIMIT
from evkit.core.buffer.guard import BACK, BACK_GUARD, FRONT
from evkit.core.buffer.intake import Intake
from evkit.core.buffer.segments import Readable, Sender

# As evbuffer's EVBUFFER_MAX_READ_DEFAULT.
DEFAULT_MAX_READ: Final = 4096


class Held(Protocol):
    """What is held during a ``with`` block: a lock, or nothing."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None, /
    ) -> object: ...


_NO_LOCK: Final[Held] = nullcontext()


class Socket(Sender, Protocol):
    """A socket: all that a buffer needs of it."""

    def recv(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""


class Buffer(Intake):
    """A queue of bytes that are handed on rather than copied.

    ``len(buffer)``, ``bytes(buffer)`` and ``what in buffer`` work as one expects; iteration gives views of
    its segments.

    Args:
        data: The first contents.

    Raises:
        TypeError: ``data`` is not bytes, bytearray or memoryview.

    Source: ``evbuffer_new``.
    """

    __slots__ = ("_max_read",)

    def __init__(self, data: Readable = b"") -> None:
        super().__init__()
        self._max_read = DEFAULT_MAX_READ
        self.add(data)

    def __repr__(self) -> str:
        ends = [name for bit, name in ((FRONT, "FRONT"), (BACK, "BACK")) if self._frozen & bit]
        frozen = " frozen=" + "|".join(ends) if ends else ""
        return f"<{type(self).__name__} {self.length} bytes in {len(self._segments)} segments{frozen}>"

    @property
    def lock(self) -> Held:
        """What a `LockedBuffer` holds during each call, so that ``with buffer.lock: …`` is right for both: nothing."""
        return _NO_LOCK

    # Taking

    def drain(self, size: int) -> int:
        """Discard up to ``size`` bytes from the front.

        Args:
            size: Bytes to drop, ``>= 0``. More than ``len(self)`` drops all.

        Returns:
            Bytes dropped: ``min(size, len(self))``.

        Raises:
            ValueError: ``size`` is negative.
            FrozenBufferError: the front is frozen, and there is something to drop.

        Cost: O(segments dropped); copies nothing.
        Source: ``evbuffer_drain``, which returns 0 or -1.
        """
        if (
            size == self.length
            and not self._frozen & FRONT
            and self._callbacks is None
            and self.owner is None
            and self._mark is None
        ):
            self._start = self.length = 0
            self._segments.clear()
            return size
        if size >= self.length:
            size = self.length
        elif type(size) is not int or size < 0:
            size = as_size(size)
        if size:
            if self._frozen & FRONT:
                self._change_front()
            self.spend(size)
        return size

    def clear(self) -> None:
        """Discard everything.

        Raises:
            FrozenBufferError: the front is frozen, and there is something to drop.

        Source: ``evbuffer_drain`` of the whole length.
        """
        self.drain(self.length)

    def remove(self, size: int | None = None) -> bytes:
        """Take up to ``size`` bytes off the front.

        Args:
            size: Bytes wanted, ``>= 0``; ``None`` for all.

        Returns:
            ``min(size, len(self))`` bytes.

        Raises:
            ValueError: ``size`` is negative.
            FrozenBufferError: the front is frozen, and there is something to take.
            OSError: a file among them cannot be read; nothing was taken.

        Cost: copies the bytes once; not even that for a whole segment.
        Source: ``evbuffer_remove``.
        """
        segments = self._segments
        if (
            size is None
            and len(segments) == 1
            and type(data := segments[0]) is bytes
            and not self._start
            and not self._frozen & FRONT
        ):
            self.spend(self.length)
            return data
        size = self._within(size, 0)
        if not size:
            return b""
        self._change_front()
        data = self._gather(0, size)
        self.spend(size)
        return data

    def remove_into(self, target: bytearray | memoryview) -> int:
        """Take bytes off the front into ``target``, as many as it has room for.

        Returns:
            Bytes written at the start of ``target``.

        Raises:
            TypeError: ``target`` is not a bytearray or memoryview, or not contiguous and writable.
            FrozenBufferError: the front is frozen, and there is something to take.
            OSError: a file among them cannot be read; nothing was taken, but ``target`` may have changed.

        Source: ``evbuffer_remove``.
        """
        if not isinstance(target, bytearray | memoryview):
            raise TypeError(f"expected bytearray or memoryview, got {type(target).__name__}")
        view = memoryview(target)
        size = min(view.nbytes, self.length)
        if not size:
            return 0
        self._change_front()
        view = view.cast("B")
        filled = 0
        for piece in self.peek(size):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        self.spend(size)
        return size

    def copyout(self, size: int | None = None, start: int = 0) -> bytes:
        """Copy up to ``size`` bytes without consuming them.

        Args:
            size: Bytes wanted, ``>= 0``; ``None`` for all.
            start: Position of the first of them, ``0 <= start <= len(self)``.

        Raises:
            ValueError: ``size`` is negative, or ``start`` is out of range.
            FrozenBufferError: the front is frozen, and there is something to copy. (`peek` and ``bytes()`` do
                not mind.)
            OSError: a file among them cannot be read.

        Source: ``evbuffer_copyout_from``.
        """
        size = self._within(size, start)
        if not size:
            return b""
        self._change_front()
        return self._gather(start, size)

    def readln(self, eol: EOL = EOL_CRLF) -> bytes | None:
        """Take one line, and its end, off the front.

        Args:
            eol: What ends a line.

        Returns:
            The line without its end, ``b""`` for an empty one, ``None`` if there is no end yet.

        Raises:
            FrozenBufferError: the front is frozen, and there is a line.
            OSError: a file in the buffer cannot be read; nothing was taken.

        Source: ``evbuffer_readln``.
        """
        found = self.search_eol(eol)
        if found is None:
            return None
        self._change_front()
        line = self._gather(0, found[0])
        self.spend(found[0] + found[1])
        return line

    # Moving to and from other buffers

    def add_buffer(self, source: "Buffer") -> None:
        """Move all of ``source`` to the back, without copying.

        The listeners of ``source`` are told first. Moving a buffer to itself, or an empty one, does nothing.

        Raises:
            TypeError: ``source`` is not a Buffer.
            FrozenBufferError: the front of ``source`` or the back of this buffer is frozen.
            BufferError: the buffer would have more than `max_length` bytes.

        Source: ``evbuffer_add_buffer``.
        """
        if type(source) is Buffer:
            self._add_all(source)
            return
        with lock_of(source):
            self._add_all(source)

    def _add_all(self, source: "Buffer") -> None:
        size = source.length
        if source is self or not size:
            return
        if source._frozen & FRONT:
            source._change_front()
        if self._frozen & BACK_GUARD:
            self._change_back(size)
        if self._segments:
            self._link(source._detach(size), size)
        else:
            self._swap(source)
        try:
            source._changed(0, size)
        finally:
            self._changed(size, 0)

    def add_buffer_reference(self, source: "Buffer") -> None:
        """Append all that is in ``source`` now, which keeps it: one content for many buffers, without copying.

        What is added to ``source`` later, or taken from it, changes nothing here. References and files are given
        back when the last of all buffers has let go of them. A reference may be referred to again.

        Raises:
            TypeError: ``source`` is not a Buffer.
            ValueError: it is this buffer, and has bytes.
            FrozenBufferError: the back of this buffer is frozen, and there is something to add.
            BufferError: the buffer would have more than `max_length` bytes.

        Source: ``evbuffer_add_buffer_reference``, which refuses files and references of references.
        """
        with lock_of(source):
            size = _to_move(self, source)
            if source is self and self.length:
                raise ValueError("a buffer cannot have a reference to itself")
            if size:
                self._change_back(size)
                self._link_shared(source)
                self._changed(size, 0)

    def prepend_buffer(self, source: "Buffer") -> None:
        """Move all of ``source`` before the front, without copying.

        The listeners of ``source`` are told first. Moving a buffer to itself, or an empty one, does nothing.

        Raises:
            TypeError: ``source`` is not a Buffer.
            FrozenBufferError: the front of either buffer is frozen.
            BufferError: the buffer would have more than `max_length` bytes.

        Source: ``evbuffer_prepend_buffer``.
        """
        with lock_of(source):
            size = _to_move(self, source)
            if size:
                source._change_front()
                self._change_front()
                self._make_room(size)
                self._insert(source._detach(size), size)
                try:
                    source._changed(0, size)
                finally:
                    self._changed(size, 0)

    def remove_buffer(self, target: "Buffer", size: int) -> int:
        """Move up to ``size`` bytes from the front to the back of ``target``, without copying.

        The listeners of ``target`` are told first. Moving to the buffer itself does nothing.

        Returns:
            Bytes moved: ``min(size, len(self))``, or 0 to itself.

        Raises:
            TypeError: ``target`` is not a Buffer.
            ValueError: ``size`` is negative.
            FrozenBufferError: the front of this buffer or the back of ``target`` is frozen, and there is
                something to move.
            BufferError: ``target`` would have more than its `max_length`.

        Source: ``evbuffer_remove_buffer``, which copies the part of a chunk.
        """
        with lock_of(target):
            size = min(as_size(size), _to_move(target, self))
            if size:
                self._change_front()
                target._change_back(size)
                target._link(self._detach(size), size)
                try:
                    target._changed(size, 0)
                finally:
                    self._changed(0, size)
            return size

    # Input and output

    @property
    def max_read(self) -> int:
        """Most bytes that one `read` takes, ``>= 1``. Source: ``evbuffer_set_max_read``."""
        return self._max_read

    @max_read.setter
    def max_read(self, size: int) -> None:
        self._max_read = as_positive(size)

    def read(self, source: Socket | int, size: int | None = None) -> int:
        """Append what one ``recv`` gives.

        Args:
            source: A socket, or a descriptor.
            size: Most bytes to read, ``>= 1``; never more than `max_read`, or than `max_length` leaves
                room for.

        Returns:
            Bytes read; 0 is the end of the stream.

        Raises:
            ValueError: ``size`` is not positive: reading nothing would look like the end.
            FrozenBufferError: the back is frozen.
            BufferError: the buffer has `max_length` bytes; nothing was read.
            OSError: the read failed; ``BlockingIOError`` if there is nothing yet.

        Source: ``evbuffer_read``.
        """
        limit = self._max_read if size is None else min(as_positive(size), self._max_read)
        self._change_back(1)
        if self.max_length is not None:
            limit = min(limit, self.max_length - self.length)
        data = (Descriptor(source) if isinstance(source, int) else source).recv(limit)
        if data:
            self.feed(data)
        return len(data)

    def write(self, target: Socket | int, size: int | None = None) -> int:
        """Send from the front, in one system call, and drain what was sent.

        Args:
            target: A plain socket, or a descriptor. Not an ``ssl.SSLSocket``: ``sendfile`` would go past its
                encryption.
            size: Most bytes to send, ``>= 0``; ``None`` for no limit. It holds for files, too.

        Returns:
            Bytes sent; 0 if there was nothing to send, for which libevent returns -1.

        Raises:
            ValueError: ``size`` is negative.
            FrozenBufferError: the front is frozen, and there is something to send.
            OSError: the write failed, or a file in the buffer; ``BlockingIOError`` if there is no room.

        Source: ``evbuffer_write_atmost``.
        """
        limit = NO_LIMIT if size is None else as_size(size)
        if not (limit and self.length):
            return 0
        self._change_front()
        return self.send_to(Descriptor(target) if isinstance(target, int) else target, limit)


def lock_of(buffer: Buffer) -> Held:
    """Give the lock of the other buffer of a move.

    Raises:
        TypeError: it is not a Buffer.
    """
    if not isinstance(buffer, Buffer):
        raise TypeError(f"expected a Buffer, got {type(buffer).__name__}")
    return buffer.lock


def _to_move(target: Buffer, source: Buffer) -> int:
    return 0 if target is source else source.length
