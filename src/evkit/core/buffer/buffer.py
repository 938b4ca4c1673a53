"""The buffer of libevent: a chain of segments that is added to at the back and consumed at the front.

`Buffer` decides what a user may do: freezing, and every way to add, move, take, read and write. What the chain looks
like is `Chain`'s business; how bytes flow through it and who is told is `Flow`'s. It knows nothing of events or of the
loop, and has no lock: one thread at a time.
"""

from collections.abc import Callable
from typing import Final, Protocol

from evkit.core.buffer.chain import as_bytes, as_size
from evkit.core.buffer.descriptor import Descriptor
from evkit.core.buffer.eol import EOL, EOL_CRLF
from evkit.core.buffer.flow import NO_LIMIT, Flow
from evkit.core.buffer.segments import FileLike, Pin, Readable, Reference, Segment, Sender, SharedFile
from evkit.errors import FrozenBufferError

FRONT: Final = 1
BACK: Final = 2
# Set while a reserved window is good; whatever changes the back clears it. It shares the mask with the freeze
# so that add() needs one test for both.
_RESERVED: Final = 4
_BACK_GUARD: Final = BACK | _RESERVED

# As evbuffer's EVBUFFER_MAX_READ_DEFAULT.
DEFAULT_MAX_READ: Final = 4096


class Socket(Sender, Protocol):
    """A socket: all that a buffer needs of it."""

    def recv(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""


class Buffer(Flow):
    """A queue of bytes that are handed on rather than copied.

    ``len(buffer)``, ``bytes(buffer)`` and ``what in buffer`` work as one expects; iteration gives views of
    its segments.

    Args:
        data: The first contents.

    Raises:
        TypeError: ``data`` is not bytes, bytearray or memoryview.

    Source: ``evbuffer_new``.
    """

    __slots__ = ("_frozen", "_max_read", "_window")

    def __init__(self, data: Readable = b"") -> None:
        super().__init__()
        self._frozen = 0
        self._max_read = DEFAULT_MAX_READ
        self._window: memoryview | None = None
        self.add(data)

    def __repr__(self) -> str:
        ends = [name for bit, name in ((FRONT, "FRONT"), (BACK, "BACK")) if self._frozen & bit]
        frozen = " frozen=" + "|".join(ends) if ends else ""
        return f"<Buffer {self.length} bytes in {len(self._segments)} segments{frozen}>"

    # Adding

    def add(self, data: Readable) -> None:
        """Append ``data``.

        ``bytes`` become a segment as they are; what could change later is copied. Small pieces are joined.

        Raises:
            TypeError: ``data`` is not bytes, bytearray or memoryview.
            FrozenBufferError: the back of the buffer is frozen, and ``data`` is not empty.

        Source: ``evbuffer_add``.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        if not data:
            return
        if self._frozen & _BACK_GUARD:
            self._change_back()
        if self._segments or self._callbacks is not None:
            self.append(data)
            return
        self._segments.append(data)
        self.length = size = len(data)
        if self.owner is not None:
            self.owner.buffer_changed(self, size, 0)

    def add_reference(self, data: Readable, cleanup: Callable[[Readable], object] | None = None) -> None:
        """Append memory without copying it; it must not change while it is in a buffer.

        Args:
            data: A contiguous object; a bytearray cannot change its size meanwhile.
            cleanup: Called as ``cleanup(data)`` exactly once, when the last byte is consumed or cleared,
                wherever it was moved to, or when the buffer is garbage. An exception in it goes to
                ``sys.unraisablehook``.

        Raises:
            TypeError: ``data`` is not bytes, bytearray or memoryview, or not contiguous.
            FrozenBufferError: the back is frozen, and ``data`` is not empty.

        After one of these ``cleanup`` is not called: the memory is still the caller's.
        Source: ``evbuffer_add_reference``.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}")
        view = memoryview(data)
        size = view.nbytes
        if not view.c_contiguous:
            raise TypeError("expected contiguous memory")
        if size:
            self._change_back()
            view = view.cast("B")
        segment: Segment = data if type(data) is bytes else view
        if cleanup is not None:
            segment = Reference(view, Pin(data, cleanup))
        if size:
            self._link([segment], size)
            self._changed(size, 0)

    def add_file(self, file: int | FileLike, offset: int = 0, length: int | None = None) -> None:
        """Append a stretch of an open file.

        It is sent by ``sendfile``, and read only when its bytes are asked for. The buffer owns the file from
        the call on, even one that fails, and closes it when its last byte is gone.

        Args:
            file: A descriptor or an open file object of a regular file.
            offset: Where the stretch begins, in bytes from the start of the file, whatever its position.
            length: Its size in bytes; ``None`` goes to the end that the file has now.

        Raises:
            TypeError: ``file`` is neither of the two; only then it is not closed.
            ValueError: the file does not have these bytes, or is not a regular file.
            OSError: the descriptor is not open.
            FrozenBufferError: the back is frozen, and there is something to add.

        If the file is cut short later, sending or reading these bytes raises ``OSError`` (``EIO``).
        Source: ``evbuffer_add_file``, which leaks the descriptor on some failures.
        """
        shared = SharedFile(file)
        try:
            segment = shared.segment(offset, length)
            if segment:
                self._change_back()
        except BaseException:
            # Not left to the reference count: the traceback would keep the file open.
            shared.close()
            raise
        if segment:
            self._link([segment], len(segment))
            self._changed(len(segment), 0)

    def add_buffer(self, source: "Buffer") -> None:
        """Move all of ``source`` to the back, without copying.

        The listeners of ``source`` are told first. Moving a buffer to itself, or an empty one, does nothing.

        Raises:
            TypeError: ``source`` is not a Buffer.
            FrozenBufferError: the front of ``source`` or the back of this buffer is frozen.

        Source: ``evbuffer_add_buffer``.
        """
        size = _other(self, source)
        if size:
            source._change_front()
            self._change_back()
            self._link(source._detach(size), size)
            try:
                source._changed(0, size)
            finally:
                self._changed(size, 0)

    def prepend(self, data: Readable) -> None:
        """Put ``data`` before the front.

        Raises:
            TypeError: ``data`` is not bytes, bytearray or memoryview.
            FrozenBufferError: the front is frozen, and ``data`` is not empty.

        Source: ``evbuffer_prepend``.
        """
        data = as_bytes(data)
        if data:
            self._change_front()
            self._insert([data], len(data))
            self._changed(len(data), 0)

    def prepend_buffer(self, source: "Buffer") -> None:
        """Move all of ``source`` before the front, without copying.

        The listeners of ``source`` are told first. Moving a buffer to itself, or an empty one, does nothing.

        Raises:
            TypeError: ``source`` is not a Buffer.
            FrozenBufferError: the front of either buffer is frozen.

        Source: ``evbuffer_prepend_buffer``.
        """
        size = _other(self, source)
        if size:
            source._change_front()
            self._change_front()
            self._insert(source._detach(size), size)
            try:
                source._changed(0, size)
            finally:
                self._changed(size, 0)

    def reserve(self, size: int) -> memoryview:
        """Give memory to be filled, of which `commit` then adds a part.

        Args:
            size: Bytes wanted, ``>= 1``.

        Returns:
            A writable view of exactly ``size`` bytes. It replaces an earlier one.

        Raises:
            ValueError: ``size`` is not positive.
            FrozenBufferError: the back is frozen.

        Source: ``evbuffer_reserve_space``.
        """
        self._change_back()
        self._window = window = memoryview(bytearray(_positive(size)))
        self._frozen |= _RESERVED
        return window

    def commit(self, size: int) -> None:
        """Append the first ``size`` bytes of the memory that `reserve` gave.

        They are copied: the caller may still hold a slice of the memory, and a buffer's bytes never change.

        Args:
            size: Bytes that were filled, from 0 to the size reserved. 0 gives the memory back.

        Raises:
            ValueError: nothing is reserved, something was added since, or ``size`` is more than was reserved.
            FrozenBufferError: the back is frozen, and ``size`` is not 0.

        Source: ``evbuffer_commit_space``.
        """
        window, size = self._window, as_size(size)
        if window is None or not self._frozen & _RESERVED:
            raise ValueError("nothing is reserved, or the buffer was added to since")
        if size > len(window):
            raise ValueError(f"cannot commit {size} bytes, {len(window)} were reserved")
        if size:
            self._change_back()
        self._frozen &= ~_RESERVED
        self._window = None
        if size:
            self.append(bytes(window[:size]))

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
            self.consume(size)
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
        size = self._within(size, 0)
        if not size:
            return b""
        self._change_front()
        data = self._gather(0, size)
        self.consume(size)
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
        self.consume(size)
        return size

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

        Source: ``evbuffer_remove_buffer``, which copies the part of a chunk.
        """
        size = min(as_size(size), _other(target, self))
        if size:
            self._change_front()
            target._change_back()
            target._link(self._detach(size), size)
            try:
                target._changed(size, 0)
            finally:
                self._changed(0, size)
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
        self.consume(found[0] + found[1])
        return line

    # Freezing

    def freeze(self, *, front: bool = False, back: bool = False) -> None:
        """Let nothing be taken from the front, or added to the back, until it is unfrozen.

        A frozen front stops draining, removing, copying out, prepending, writing, and moving to another
        buffer. A frozen back stops adding, reserving, committing, reading, and moving from another buffer. A
        call that has nothing to do succeeds all the same.

        Raises:
            ValueError: Neither end is named.

        Source: ``evbuffer_freeze``.
        """
        if not (front or back):
            raise ValueError("freeze() needs front=True, back=True or both")
        self._frozen |= FRONT * front | BACK * back

    def unfreeze(self, *, front: bool = False, back: bool = False) -> None:
        """Undo `freeze`. Source: ``evbuffer_unfreeze``."""
        self._frozen &= ~(FRONT * front | BACK * back)

    def _change_front(self) -> None:
        if self._frozen & FRONT:
            raise FrozenBufferError("the front of the buffer is frozen: its owner alone takes from it")

    def _change_back(self) -> None:
        if self._frozen & BACK:
            raise FrozenBufferError("the back of the buffer is frozen: its owner alone adds to it")
        self._frozen &= ~_RESERVED

    # Input and output

    @property
    def max_read(self) -> int:
        """Most bytes that one `read` takes, ``>= 1``. Source: ``evbuffer_set_max_read``."""
        return self._max_read

    @max_read.setter
    def max_read(self, size: int) -> None:
        self._max_read = _positive(size)

    def read(self, source: Socket | int, size: int | None = None) -> int:
        """Append what one ``recv`` gives.

        Args:
            source: A socket, or a descriptor.
            size: Most bytes to read, ``>= 1``; never more than `max_read`.

        Returns:
            Bytes read; 0 is the end of the stream.

        Raises:
            ValueError: ``size`` is not positive: reading nothing would look like the end.
            FrozenBufferError: the back is frozen.
            OSError: the read failed; ``BlockingIOError`` if there is nothing yet.

        Source: ``evbuffer_read``.
        """
        limit = self._max_read if size is None else min(_positive(size), self._max_read)
        self._change_back()
        data = (Descriptor(source) if isinstance(source, int) else source).recv(limit)
        if data:
            self.append(data)
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
        return self.send(Descriptor(target) if isinstance(target, int) else target, limit)


def _positive(size: int) -> int:
    size = as_size(size)
    if not size:
        raise ValueError("expected a size of 1 or more bytes, got 0")
    return size


def _other(target: Buffer, source: Buffer) -> int:
    """Check the two ends of a move, and give how many bytes there are to move."""
    for end in (target, source):
        if not isinstance(end, Buffer):
            raise TypeError(f"expected a Buffer, got {type(end).__name__}")
    return 0 if target is source else len(source)
