"""The body of a request: how long it is, whether it can be sent once more, and its bytes as there is room for them.

It knows buffers and files, and nothing of connections or of what the server answers.
"""

import io
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, runtime_checkable

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.client.request_fields import CHUNKED

Piece = bytes | bytearray | memoryview | str
ROOM: Final = 65536
"""Bytes of a body in pieces to hold for a server that takes them slowly, as Linux's pipes."""


@runtime_checkable
class _Readable(Protocol):
    """What is read in blocks."""

    def read(self, size: int, /) -> Piece: ...


RequestBody = Piece | _Readable | Iterable[Piece]
"""What a body may be given as; `as_upload` says what becomes of each."""


class Upload(Protocol):
    """A body.

    Attributes:
        length: In bytes, or `CHUNKED`.
        repeatable: Whether `begin` may be called again.
    """

    length: int
    repeatable: bool

    def begin(self) -> None:
        """Be at the first byte, for an attempt that begins now."""

    def write(self, output: Buffer) -> bool:
        """Append what there is room for, framing included; return whether that was the end.

        Raises:
            LocalProtocolError: It is longer or shorter than was said.
            Exception: What an iterator raises, or a file that can't be read.
        """

    def close(self) -> None:
        """Let go of what was begun."""


class WholeUpload:
    """A body that is there."""

    __slots__ = ("_data", "length", "repeatable")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)
        self.repeatable = True

    def begin(self) -> None:
        """See `Upload.begin`."""

    def write(self, output: Buffer) -> bool:
        """See `Upload.write`."""
        output.add(self._data)
        return True

    def close(self) -> None:
        """See `Upload.close`."""


class FileUpload:
    """The rest of a regular file, from its position on; the file stays its owner's, and where it was."""

    __slots__ = ("_file", "_start", "length", "repeatable")

    def __init__(self, file: io.FileIO, start: int, length: int) -> None:
        self._file = file
        self._start = start
        self.length = length
        self.repeatable = True

    def begin(self) -> None:
        """See `Upload.begin`."""

    def write(self, output: Buffer) -> bool:
        """See `Upload.write`."""
        if self.length:
            output.add_file(os.dup(self._file.fileno()), self._start, self.length)
        return True

    def close(self) -> None:
        """See `Upload.close`."""


class PiecewiseUpload:
    """A body that an iterable gives.

    Args:
        pieces: Asked for the next piece when there is room for it, in the loop's thread: it must not block.
        length: What the caller says that they come to; `CHUNKED`: nobody knows.
    """

    __slots__ = ("_left", "_pieces", "_under_way", "length", "repeatable")

    def __init__(self, pieces: Iterable[Piece], length: int) -> None:
        self._pieces = pieces
        self._under_way: Iterator[Piece] | None = None
        self._left = length
        self.length = length
        self.repeatable = iter(pieces) is not pieces

    def begin(self) -> None:
        """See `Upload.begin`."""
        self._under_way = iter(self._pieces)
        self._left = self.length

    def write(self, output: Buffer) -> bool:
        """See `Upload.write`."""
        assert self._under_way is not None
        while output.length < ROOM:
            piece = next(self._under_way, None)
            if piece is None:
                self._end(output)
                return True
            self._add(output, as_bytes(piece))
        return False

    def _add(self, output: Buffer, piece: bytes) -> None:
        if not piece:
            return  # an empty chunk would be the last one
        if self.length == CHUNKED:
            output.add(b"%x\r\n" % len(piece))
            output.add(piece)
            output.add(b"\r\n")
            return
        if len(piece) > self._left:
            raise LocalProtocolError(f"the body is longer than its Content-Length of {self.length} bytes")
        self._left -= len(piece)
        output.add(piece)

    def _end(self, output: Buffer) -> None:
        if self.length == CHUNKED:
            output.add(b"0\r\n\r\n")
        elif self._left:
            raise LocalProtocolError(
                f"the body ended {self._left} bytes before its Content-Length of {self.length}"
            )

    def close(self) -> None:
        """See `Upload.close`. A generator is closed, as `Request.send_stream` does."""
        pieces, self._under_way = self._under_way, None
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def as_bytes(piece: object) -> bytes:
    """Return bytes, or text as UTF-8.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"expected a piece of a body as bytes or str, got {type(piece).__name__}")


def as_upload(body: RequestBody, length: int | None = None) -> Upload:
    """Make a body of what the caller gives.

    Args:
        body: Bytes; text, which is sent as UTF-8; a file that is open for reading bytes; an iterable of pieces. Sent
            again, after a redirect or a failure, is all but an iterator, a generator for example, and a file that is
            none of the system's.
        length: The ``Content-Length`` that the caller gives; ``None``: none.

    Raises:
        TypeError: It is none of these.
        LocalProtocolError: ``length`` is not that of the body.
    """
    if isinstance(body, str | bytes | bytearray | memoryview):
        return _of_length(WholeUpload(as_bytes(body)), length)
    found = _regular(body)
    if found is not None:
        return _of_length(found, length)
    pieces = _blocks(body) if isinstance(body, _Readable) else body
    if not isinstance(pieces, Iterable):
        raise TypeError(f"expected a body as bytes, str, a file or an iterable, got {type(body).__name__}")
    return PiecewiseUpload(pieces, CHUNKED if length is None else length)


def _of_length(upload: Upload, length: int | None) -> Upload:
    if length is not None and length != upload.length:
        raise LocalProtocolError(f"the body has {upload.length} bytes, and a Content-Length of {length}")
    return upload


def _regular(file: object) -> FileUpload | None:
    """Return what the system can send by itself; ``None`` for what has to be read.

    Others than the standard library's own may have a descriptor, too, and show something else than is behind it, as
    ``GzipFile`` does.
    """
    raw = getattr(file, "raw", file)
    if not isinstance(raw, io.FileIO) or not isinstance(
        file, io.FileIO | io.BufferedReader | io.BufferedRandom
    ):
        return None
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    start = file.tell()
    return FileUpload(raw, start, max(0, status.st_size - start))


def _blocks(file: _Readable) -> Iterator[Piece]:
    while block := file.read(ROOM):
        yield block
