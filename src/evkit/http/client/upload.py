"""The body of a request: how long it is, whether it can be sent once more, and its bytes as there is room for them.

It knows buffers and files, and nothing of connections or of what the server answers.
"""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol, runtime_checkable

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.client.body_stream import BodyStream
from evkit.http.client.pieces import Framing, Piece, as_bytes
from evkit.http.client.request_fields import CHUNKED

ROOM: Final = 65536
"""Bytes of a body in pieces to hold for a server that takes them slowly, as Linux's pipes."""
_NO_MORE: Final = object()
_MAX_EMPTY: Final = 10_000
"""Pieces in a row that may be empty: who gives nothing but these would keep the loop for ever."""


@runtime_checkable
class _Readable(Protocol):
    """What is read in blocks."""

    def read(self, size: int, /) -> Piece | None: ...


RequestBody = Piece | _Readable | Iterable[Piece] | BodyStream
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

    def write(self, output: Buffer, more: Callable[[], object]) -> bool:
        """Append what there is room for, framing included; return whether that was the end.

        Args:
            output: Where to. When it is empty again, this is called again.
            more: To be called when there is something, if nothing was appended.

        Raises:
            LocalProtocolError: It is longer or shorter than was said.
            Exception: What an iterator raises, or a file that can't be read.
        """

    def close(self) -> None:
        """Let go of what was begun; `write` asks for nothing any more.

        Raises:
            Exception: What a generator raises that is closed.
        """


class WholeUpload:
    """A body that is there."""

    __slots__ = ("_data", "length", "repeatable")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.length = len(data)
        self.repeatable = True

    def begin(self) -> None:
        """See `Upload.begin`."""

    def write(self, output: Buffer, more: Callable[[], object]) -> bool:  # noqa: ARG002 - the contract's
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

    def write(self, output: Buffer, more: Callable[[], object]) -> bool:  # noqa: ARG002 - the contract's
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

    __slots__ = ("_asking", "_framing", "_pieces", "_under_way", "length", "repeatable")

    def __init__(self, pieces: Iterable[Piece], length: int) -> None:
        self._pieces = pieces
        self._under_way: Iterator[Piece] | None = None
        self._framing = Framing(length)
        self._asking = False  # the iterator runs, further up
        self.length = length
        self.repeatable = not isinstance(pieces, Iterator)

    def begin(self) -> None:
        """See `Upload.begin`."""
        self._under_way = iter(self._pieces)
        self._framing = Framing(self.length)

    def write(self, output: Buffer, more: Callable[[], object]) -> bool:  # noqa: ARG002 - the contract's
        """See `Upload.write`."""
        empty = 0
        while output.length < ROOM and self._is_open():
            piece = self._next()
            if not self._is_open():  # it has ended the request by itself
                break
            if piece is _NO_MORE:
                self._framing.end(output)
                return True
            data = as_bytes(piece)
            empty = 0 if data else empty + 1
            if empty > _MAX_EMPTY:
                raise LocalProtocolError(f"the body gives more than {_MAX_EMPTY} empty pieces in a row")
            self._framing.add(output, data)
        return False

    def _is_open(self) -> bool:
        return self._under_way is not None

    def _next(self) -> object:
        pieces = self._under_way
        assert pieces is not None
        self._asking = True
        try:
            return next(pieces, _NO_MORE)
        finally:
            self._asking = False
            if not self._is_open():
                _close(pieces)

    def close(self) -> None:
        """See `Upload.close`. A generator is closed; one that does this itself, when it has given its piece."""
        pieces, self._under_way = self._under_way, None
        if pieces is not None and not self._asking:
            _close(pieces)


def _close(pieces: Iterator[Piece]) -> None:
    close = getattr(pieces, "close", None)
    if close is not None:
        close()


class StreamUpload:
    """The body that a `BodyStream` is."""

    __slots__ = ("_framing", "_stream", "length", "repeatable")

    def __init__(self, stream: BodyStream) -> None:
        stream.claim()
        self._stream = stream
        self.length = CHUNKED if stream.length is None else stream.length
        self._framing = Framing(self.length)
        self.repeatable = False

    def begin(self) -> None:
        """See `Upload.begin`."""

    def write(self, output: Buffer, more: Callable[[], object]) -> bool:
        """See `Upload.write`."""
        stream = self._stream
        while not output.length and stream.tell_drained():
            pass  # until there is something to send: empty pieces are none
        for piece in stream.take(more):
            self._framing.add(output, piece)
        if stream.ended:
            self._framing.end(output)
        return stream.ended

    def close(self) -> None:
        """See `Upload.close`."""
        self._stream.leave()


def as_upload(body: RequestBody, length: int | None = None) -> Upload:
    """Make a body of what the caller gives.

    Args:
        body: Bytes; text, which is sent as UTF-8; a file that is open for reading bytes; an iterable of pieces; a
            `BodyStream`. Sent again, after a redirect or a failure, is all but the last, an iterator, a generator for
            example, and a file that is none of the system's.
        length: The ``Content-Length`` that the caller gives; ``None``: none.

    Raises:
        TypeError: It is none of these: a mapping, for example, which is for ``form`` or ``json``.
        ValueError: The file is closed, or not open for reading.
        LocalProtocolError: ``length`` is not that of the body, or it is a `BodyStream` that another request has.
    """
    if isinstance(body, str | bytes | bytearray | memoryview):
        return _of_length(WholeUpload(as_bytes(body)), length)
    if isinstance(body, BodyStream):
        return _of_length(StreamUpload(body), length)
    found = _regular(body)
    if found is not None:
        return _of_length(found, length)
    pieces = _blocks(body) if isinstance(body, _Readable) else body
    if isinstance(pieces, Mapping) or not isinstance(pieces, Iterable):
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

    Raises:
        ValueError: It is closed, or not open for reading.
    """
    if isinstance(file, io.IOBase) and not file.readable():
        raise ValueError(f"expected a file that is open for reading, got {file!r}")
    raw = getattr(file, "raw", file)
    if not isinstance(raw, io.FileIO) or not isinstance(
        file, io.FileIO | io.BufferedReader | io.BufferedRandom
    ):
        return None
    if isinstance(file, io.BufferedRandom):
        file.flush()  # what was written is a part of it, too
    status = os.fstat(raw.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    start = file.tell()
    return FileUpload(raw, start, max(0, status.st_size - start))


def _blocks(file: _Readable) -> Iterator[Piece]:
    while block := file.read(ROOM):
        yield block
    if block is None:  # not the end: what does not block would be cut short in silence
        raise BlockingIOError(errno.EAGAIN, "the file has nothing yet, and does not wait for more")
