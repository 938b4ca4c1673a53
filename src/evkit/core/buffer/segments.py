"""What a chain is made of, and how a segment is cut and looked into without copying it.

A segment is never empty and never changes its size. Besides ``bytes`` and ``memoryview`` there is `Reference`
(memory that somebody wants back) and `FileStretch` (a stretch of an open file). Both share a holder between
all segments cut from them, and the holder lets go when the last of them does: by CPython's reference count,
so that dropping segments from a chain needs no case for them. This module knows nothing of chains.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

# A remainder this small is copied: a memoryview (184 bytes) that pins the whole original would cost more.
SMALL: Final = 1024
# How much is copied at once while a chain is searched, or a file sent where sendfile cannot.
CHUNK: Final = 256 * 1024
# A file system or an output without sendfile answers one of these.
_NO_SENDFILE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSOCK, errno.EOPNOTSUPP})

Readable: TypeAlias = bytes | bytearray | memoryview
Lent = TypeVar("Lent")
_NO_VIEW: Final = memoryview(b"")


class FileLike(Protocol):
    """An open file object: all that a buffer needs of it."""

    def fileno(self) -> int:
        """Give the descriptor."""

    def close(self) -> object:
        """Close it."""


class Sender(Protocol):
    """The half of a socket that takes bytes."""

    def send(self, data: bytes | memoryview, /) -> int:
        """Write some of ``data``; return how much."""

    def sendmsg(self, buffers: Iterable[bytes | memoryview], /) -> int:
        """Write some of ``buffers`` in one call; return how much."""

    def fileno(self) -> int:
        """Give the descriptor."""


class Pin(Generic[Lent]):
    """Gives a user's memory or file back: calls ``cleanup(what)`` once, when the last segment that needs it goes."""

    __slots__ = ("_cleanup", "_what")

    def __init__(self, what: Lent, cleanup: Callable[[Lent], object]) -> None:
        self._what = what
        self._cleanup = cleanup

    def __del__(self) -> None:
        self._cleanup(self._what)


class Reference:
    """A stretch of memory that is given back when nothing needs it.

    Attributes:
        view: The stretch.
    """

    __slots__ = ("_pin", "view")

    def __init__(self, view: memoryview, pin: object) -> None:
        self.view = view
        self._pin = pin

    def __len__(self) -> int:
        return len(self.view)

    def __del__(self) -> None:
        # Before the pin: who gets a bytearray back may want to change its size, which a view of it forbids.
        self.view = _NO_VIEW

    def cut(self, start: int, stop: int) -> "Reference":
        """Give the part from ``start`` to ``stop``, which keeps the same memory alive."""
        return Reference(self.view[start:stop], self._pin)


class SharedFile:
    """Holds a descriptor or a file object for all segments cut from it.

    Closes it once, if it is to: when told, or when the last segment goes.

    Attributes:
        fd: Its descriptor, once `measure` was called.
    """

    __slots__ = ("_closes", "_file", "_pins", "fd")

    def __init__(self, file: int | FileLike, *, closes: bool = True) -> None:
        self._file: int | FileLike | None = None
        self._closes = closes
        self._pins: list[Pin[int | FileLike]] = []
        if not isinstance(file, int) and not hasattr(file, "fileno"):
            raise TypeError(f"expected a file descriptor or an open file, got {type(file).__name__}")
        self._file = file
        self.fd = -1

    def keep_open(self) -> None:
        """Leave the file to its user, who never gave it away."""
        self._file = None

    def close(self) -> None:
        """Close the file; a second call does nothing. Errors are ignored: nothing was written."""
        file, self._file = self._file, None
        if not self._closes:
            return
        try:
            if isinstance(file, int):
                os.close(file)
            elif file is not None:
                file.close()
        except OSError:
            pass

    def __del__(self) -> None:
        self.close()
        while self._pins:
            self._pins.pop(0)

    def add_cleanup(self, cleanup: Callable[[int | FileLike], object]) -> None:
        """Have ``cleanup(file)`` called once, after the file was closed because the last segment went."""
        if self._file is not None:
            self._pins.append(Pin(self._file, cleanup))

    def measure(self, offset: int, length: int | None) -> int:
        """Check a range, and give its size; ``None`` goes to the end of the file.

        Raises:
            ValueError: the range is not within the file, or this is no regular file.
            OSError: the descriptor is not open.
        """
        if self._file is None:
            raise ValueError("the file is closed")
        self.fd = self._file if isinstance(self._file, int) else self._file.fileno()
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("only a regular file can be added to a buffer, not a pipe, device or directory")
        if length is None:
            length = status.st_size - offset
        if offset < 0 or length < 0 or offset + length > status.st_size:
            raise ValueError(
                f"{length} bytes from offset {offset} are not within a file of {status.st_size} bytes"
            )
        return length


class FileStretch:
    """A stretch of an open file, read when its bytes are asked for and otherwise sent by ``sendfile``."""

    __slots__ = ("_file", "_length", "_offset")

    def __init__(self, file: SharedFile, offset: int, length: int) -> None:
        self._file = file
        self._offset = offset
        self._length = length

    def __len__(self) -> int:
        return self._length

    def cut(self, start: int, stop: int) -> "FileStretch":
        """Give the part from ``start`` to ``stop``, which keeps the same file open."""
        return FileStretch(self._file, self._offset + start, stop - start)

    def read(self, start: int, stop: int) -> bytes:
        """Read a part.

        Raises:
            OSError: the file cannot be read, or has become shorter (``errno`` is ``EIO``).
        """
        parts: list[bytes] = []
        while start < stop:
            data = os.pread(self._file.fd, stop - start, self._offset + start)
            if not data:
                raise self._too_short(start)
            parts.append(data)
            start += len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_into(self, target: memoryview) -> None:
        """Fill ``target``, which has just the size of the stretch.

        Raises:
            OSError: the file cannot be read, or has become shorter (``errno`` is ``EIO``).
        """
        filled = 0
        while filled < self._length:
            size = os.preadv(self._file.fd, [target[filled:]], self._offset + filled)
            if not size:
                raise self._too_short(filled)
            filled += size

    def send(self, sock: Sender, start: int, limit: int) -> int:
        """Send at most ``limit`` bytes, ``> 0``, beginning at ``start``; return how many went.

        Raises:
            OSError: the socket or the file failed, or the file has become shorter (``errno`` is ``EIO``).
        """
        size = min(self._length - start, limit)
        try:
            sent = os.sendfile(sock.fileno(), self._file.fd, self._offset + start, size)
        except OSError as exc:
            if exc.errno not in _NO_SENDFILE:
                raise
            return sock.send(self.read(start, start + min(size, CHUNK)))
        if not sent:
            raise self._too_short(start)
        return sent

    def _too_short(self, start: int) -> OSError:
        end = self._offset + self._length
        return OSError(
            errno.EIO, f"the file was to have {end} bytes but ends at or before {self._offset + start}"
        )


Segment: TypeAlias = bytes | memoryview | Reference | FileStretch


def cut(segment: Segment, start: int, stop: int) -> Segment:
    """Give a part of ``segment`` as a segment of its own; only a small one is copied."""
    if isinstance(segment, Reference | FileStretch):
        return segment.cut(start, stop)
    if stop - start <= SMALL:
        return bytes(segment[start:stop])
    return memoryview(segment)[start:stop]


def part(segment: Segment, start: int, stop: int) -> bytes | memoryview:
    """Give the bytes of a part of ``segment``: the segment itself where that is all of it.

    Raises:
        OSError: they are in a file, which cannot be read or has become shorter.
    """
    if isinstance(segment, FileStretch):
        return segment.read(start, stop)
    data = segment.view if isinstance(segment, Reference) else segment
    return data if stop - start == len(data) else memoryview(data)[start:stop]


def chunks(segment: Segment, start: int, stop: int) -> Iterator[bytes | memoryview]:
    """Give the bytes of a part of ``segment`` piece by piece.

    A large file need not fit in memory. The first pieces are small, so that a search that soon finds something
    costs little, however large the segment.
    """
    size = SMALL
    while start < stop:
        end = min(start + size, stop)
        yield part(segment, start, end)
        start, size = end, min(2 * size, CHUNK)
