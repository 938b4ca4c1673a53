"""Every way to put a user's own bytes into a buffer: copied, referred to, in files, or filled in place.

`Intake` decides what becomes a segment as it is, and what is copied. It knows nothing of taking bytes out, of other
buffers, or of sockets.
"""

from collections.abc import Callable, Iterable

from evkit.core.buffer.chain import as_bytes, as_size
from evkit.core.buffer.file_segment import FileSegment
from evkit.core.buffer.guard import BACK_GUARD, RESERVED, Guard
from evkit.core.buffer.segments import FileLike, FileStretch, Pin, Readable, Reference, Segment, SharedFile
from evkit.core.buffer.windows import Windows


class Intake(Guard):
    """A guarded flow that a user adds to."""

    __slots__ = ("_windows",)

    def __init__(self) -> None:
        super().__init__()
        self._windows: Windows | None = None

    def add(self, data: Readable) -> None:
        """Append ``data``.

        ``bytes`` become a segment as they are; what could change later is copied. Small pieces are joined.

        Raises:
            TypeError: ``data`` is not bytes, bytearray or memoryview.
            FrozenBufferError: the back of the buffer is frozen, and ``data`` is not empty.
            BufferError: the buffer would have more than `max_length` bytes.

        Source: ``evbuffer_add``.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        if not data:
            return
        if self._frozen & BACK_GUARD:
            self._change_back(len(data))
        if self._segments or self._callbacks is not None:
            self.feed(data)
            return
        self._segments.append(data)
        self.length = size = len(data)
        if self.owner is not None:
            self.owner.buffer_changed(self, size, 0)

    def add_reference(
        self, data: Readable, cleanup: Callable[[Readable], object] | None = None, *, offset: int = 0
    ) -> None:
        """Append memory without copying it; it must not change while it is in a buffer.

        Args:
            data: A contiguous object; a bytearray cannot change its size meanwhile.
            cleanup: Called as ``cleanup(data)`` exactly once, when the last byte is consumed or cleared,
                wherever it was moved to, or when the buffer is garbage. An exception in it goes to
                ``sys.unraisablehook``.
            offset: How many bytes of ``data`` to leave out, ``0 <= offset <= its size``.

        Raises:
            TypeError: ``data`` is not bytes, bytearray or memoryview, or not contiguous.
            ValueError: ``offset`` is out of range.
            FrozenBufferError: the back is frozen, and there is something to add.
            BufferError: the buffer would have more than `max_length` bytes.

        After one of these ``cleanup`` is not called: the memory is still the caller's.
        Source: ``evbuffer_add_reference_with_offset``.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"expected bytes, bytearray or memoryview, got {type(data).__name__}")
        view = memoryview(data)
        if not view.c_contiguous:
            raise TypeError("expected contiguous memory")
        size = view.nbytes - as_size(offset)
        if size < 0:
            raise ValueError(f"expected an offset up to {view.nbytes}, got {offset}")
        if size:
            self._change_back(size)
            view = view.cast("B")[offset:]
        segment: Segment = data if type(data) is bytes and not offset else view
        if cleanup is not None:
            segment = Reference(view, Pin(data, cleanup))
        if size:
            self._link([segment], size)
            self._changed(size, 0)

    def add_iovec(self, pieces: Iterable[Readable]) -> int:
        """Append several pieces as one change.

        Each is treated as `add` would.

        Returns:
            Bytes added: all of them.

        Raises:
            TypeError: a piece is not bytes, bytearray or memoryview.
            FrozenBufferError: the back of the buffer is frozen, and there is something to add.
            BufferError: the buffer would have more than `max_length` bytes.

        After one of these nothing was added.
        Source: ``evbuffer_add_iovec``, which adds as many as it can.
        """
        taken = [data for data in map(as_bytes, pieces) if data]
        size = sum(map(len, taken))
        if size:
            self._change_back(size)
            for data in taken:
                self._link([data], len(data))
            self._changed(size, 0)
        return size

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
            BufferError: the buffer would have more than `max_length` bytes.

        If the file is cut short later, sending or reading these bytes raises ``OSError`` (``EIO``).
        Source: ``evbuffer_add_file``, which leaks the descriptor on some failures.
        """
        shared = SharedFile(file)
        try:
            size = shared.measure(offset, length)
            if size:
                self._change_back(size)
        except BaseException:
            # Not left to the reference count: the traceback would keep the file open.
            shared.close()
            raise
        if size:
            self._link([FileStretch(shared, offset, size)], size)
            self._changed(size, 0)

    def add_file_segment(self, segment: FileSegment, offset: int = 0, length: int | None = None) -> None:
        """Append a part of a file segment, which stays the caller's, and good for more.

        Args:
            segment: What was made of the file.
            offset: Where the part begins, in bytes from the start of the segment.
            length: Its size in bytes; ``None`` goes to the end of the segment.

        Raises:
            ValueError: the part is not within the segment, or the segment was freed.
            FrozenBufferError: the back is frozen, and there is something to add.
            BufferError: the buffer would have more than `max_length` bytes.

        None of these lets go of the segment.
        Source: ``evbuffer_add_file_segment``, which drops a reference of the segment when it fails.
        """
        taken = segment.stretch(offset, length)
        if taken is not None:
            size = len(taken)
            self._change_back(size)
            self._link([taken], size)
            self._changed(size, 0)

    def prepend(self, data: Readable) -> None:
        """Put ``data`` before the front.

        Raises:
            TypeError: ``data`` is not bytes, bytearray or memoryview.
            FrozenBufferError: the front is frozen, and ``data`` is not empty.
            BufferError: the buffer would have more than `max_length` bytes.

        Source: ``evbuffer_prepend``.
        """
        data = as_bytes(data)
        if data:
            self._change_front()
            self._make_room(len(data))
            self._insert([data], len(data))
            self._changed(len(data), 0)

    # Memory to be filled

    def reserve(self, size: int) -> memoryview:
        """Give memory to be filled, of which `commit` then adds a part.

        For whatever fills memory: ``filled = stream.readinto(buffer.reserve(4096))``, then ``buffer.commit(filled)``.

        Args:
            size: Bytes wanted, ``>= 1``.

        Returns:
            A writable view of exactly ``size`` bytes. It replaces an earlier one.

        Raises:
            ValueError: ``size`` is not positive.
            FrozenBufferError: the back is frozen.
            MemoryError: a program's own function had no memory; see `set_mem_functions`.

        Source: ``evbuffer_reserve_space``.
        """
        return self.reserve_iovec([size])[0]

    def reserve_iovec(self, sizes: Iterable[int]) -> list[memoryview]:
        """Give several pieces of memory to be filled by one call, such as ``socket.recvmsg_into`` or ``os.preadv``.

        Args:
            sizes: Bytes wanted of each, ``>= 1``.

        Returns:
            Writable views of exactly these sizes. They replace earlier ones.

        Raises:
            ValueError: a size is not positive, or there is none.
            FrozenBufferError: the back is frozen.
            MemoryError: a program's own function had no memory; see `set_mem_functions`.

        Source: ``evbuffer_reserve_space``, which decides on the sizes itself.
        """
        windows = Windows(sizes)
        self._change_back(0)
        self._forget_windows()
        self._windows = windows
        self._frozen |= RESERVED
        return windows.views[:]

    def commit(self, *sizes: int) -> None:
        """Append the first bytes of the memory that `reserve` or `reserve_iovec` gave.

        They are copied, since the caller may still hold a slice of the memory, and a buffer's bytes never change. If
        `set_mem_functions` was called the memory itself becomes the segment, cut to what was filled; the views are
        released, and the caller must keep no slice of them.

        Args:
            sizes: Bytes that were filled of each piece, from 0 to the size reserved. A piece that is left out has
                none. If there are none at all the memory is given back.

        Raises:
            ValueError: nothing is reserved, something was added since, or a size is more than was reserved.
            FrozenBufferError: the back is frozen, and there is something to add.
            BufferError: the buffer would have more than `max_length` bytes; fewer may still be committed.

        Source: ``evbuffer_commit_space``.
        """
        windows, total = self._windows, sum(map(as_size, sizes))
        if windows is None or not self._frozen & RESERVED:
            raise ValueError("nothing is reserved, or the buffer was added to since")
        windows.check(sizes)
        if total:
            self._change_back(total)
            self._windows = None
            self._link(windows.take(sizes), total)
            self._changed(total, 0)
        else:
            self._frozen &= ~RESERVED
            self._forget_windows()

    def _forget_windows(self) -> None:
        windows, self._windows = self._windows, None
        if windows is not None:
            windows.close()
