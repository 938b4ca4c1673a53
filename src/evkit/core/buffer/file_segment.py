"""A file that is opened once and added many times, to any number of buffers.

`FileSegment` decides how a file's bytes are got at, and when the file is given back: when its maker has freed the
segment and the last of its bytes is gone from the last buffer. It knows nothing of buffers.
"""

import enum
import mmap
from collections.abc import Callable
from typing import Final, Self

from evkit.core.buffer.segments import FileLike, FileStretch, Reference, Segment, SharedFile
from evkit.core.memory import Allocation


class FileAccess(enum.Enum):
    """How the bytes of a file are got at.

    Source: ``EVBUF_FS_DISABLE_SENDFILE`` and ``EVBUF_FS_DISABLE_MMAP``, which leave the choice to the system.
    """

    SENDFILE = "sendfile"
    """Sent by ``sendfile``, and read when its bytes are asked for. A file that is cut short later gives an error."""
    MMAP = "mmap"
    """Mapped into memory. Only for files that nobody cuts short: touching what is gone then kills the process."""
    READ = "read"
    """Read into memory at once. What happens to the file later does not matter."""


class FileSegment:
    """A stretch of a file, to be added by `Buffer.add_file_segment` as often as one likes.

    ``len(segment)`` is its size. As a context manager it is freed at the end of the block; what is in a buffer then
    stays good.

    Args:
        file: A descriptor or an open file object of a regular file.
        offset: Where the stretch begins, in bytes from the start of the file.
        length: Its size in bytes; ``None`` goes to the end that the file has now.
        access: How its bytes are got at.
        close_on_free: Whether the segment owns the file, and closes it when it is needed no more. If not, the file
            must stay open until then: `add_cleanup` tells when that is.

    Raises:
        TypeError: ``file`` is neither of the two.
        ValueError: the file does not have these bytes, or is not a regular file.
        OSError: the file is not open, cannot be read, or cannot be mapped.

    After one of these the file is still the caller's, and open.
    Source: ``evbuffer_file_segment_new``, ``EVBUF_FS_CLOSE_ON_FREE``.
    """

    __slots__ = ("_holder", "_length", "_whole")

    def __init__(
        self,
        file: int | FileLike,
        offset: int = 0,
        length: int | None = None,
        *,
        access: FileAccess = FileAccess.SENDFILE,
        close_on_free: bool = True,
    ) -> None:
        holder = SharedFile(file, closes=close_on_free)
        try:
            self._length = size = holder.measure(offset, length)
            self._whole: Reference | FileStretch | None = _OPENERS[access](holder, offset, size)
        except BaseException:
            holder.keep_open()
            raise
        self._holder: SharedFile | None = holder

    def __len__(self) -> int:
        return self._length

    def __repr__(self) -> str:
        return f"<FileSegment {self._length} bytes{' freed' if self._holder is None else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.free()

    def add_cleanup(self, cleanup: Callable[[int | FileLike], object]) -> None:
        """Have ``cleanup(file)`` called once, when the segment is freed and no buffer has a byte of it.

        The file is closed by then, if the segment owns it. There may be several; the oldest is called first. An
        exception in one goes to ``sys.unraisablehook``.

        Raises:
            ValueError: the segment was freed.

        Source: ``evbuffer_file_segment_add_cleanup_cb``, which has room for one.
        """
        if self._holder is None:
            raise ValueError("the file segment was freed")
        self._holder.add_cleanup(cleanup)

    def free(self) -> None:
        """Let go of the file: the last buffer that has some of it gives it back. A second call does nothing.

        A segment that is dropped is freed, too.

        Source: ``evbuffer_file_segment_free``.
        """
        self._holder = self._whole = None

    def stretch(self, offset: int, length: int | None) -> Segment | None:
        """Give a part for a chain; ``None`` if it is empty. `Buffer.add_file_segment` is the way to ask for it.

        Raises:
            ValueError: the part is not within the segment, or the segment was freed.
        """
        whole = self._whole
        if whole is None:
            raise ValueError("the file segment was freed")
        if length is None:
            length = self._length - offset
        if offset < 0 or length < 0 or offset + length > self._length:
            raise ValueError(
                f"{length} bytes from offset {offset} are not within a file segment of {self._length} bytes"
            )
        return whole.cut(offset, offset + length) if length else None


def _sent(holder: SharedFile, offset: int, length: int) -> FileStretch:
    return FileStretch(holder, offset, length)


def _mapped(holder: SharedFile, offset: int, length: int) -> Reference:
    if not length:  # the system maps nothing less than a byte
        return Reference(memoryview(b""), holder)
    skipped = offset % mmap.ALLOCATIONGRANULARITY
    pages = mmap.mmap(holder.fd, skipped + length, access=mmap.ACCESS_READ, offset=offset - skipped)
    return Reference(memoryview(pages)[skipped:], holder)


def _read(holder: SharedFile, offset: int, length: int) -> Reference:
    memory = Allocation(length)
    with memory.view(length) as view:
        FileStretch(holder, offset, length).read_into(view)
    return Reference(memory.view(length).toreadonly(), (memory, holder))


_OPENERS: Final[dict[FileAccess, Callable[[SharedFile, int, int], Reference | FileStretch]]] = {
    FileAccess.SENDFILE: _sent,
    FileAccess.MMAP: _mapped,
    FileAccess.READ: _read,
}
