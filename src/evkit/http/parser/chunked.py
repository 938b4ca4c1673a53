"""Takes a chunked body out of its framing, strictly and without copying large chunks.

Decides where each chunk begins and ends and what may stand between (RFC 9112 §7.1). One engine keeps one reader per
chunked body. It knows nothing of heads, and of trailer fields only that none may rule the framing.
"""

from typing import Final

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.headers import Headers
from evkit.http.parser.contract import Limits
from evkit.http.parser.grammar import CHUNK_LINE, CHUNK_LINE_START, RULING
from evkit.http.parser.scan import Scanner

# Whole chunks up to here are copied, and all that came together become one segment; a segment of its own would cost a
# one-byte chunk some hundred times its size. 4,096: from there on a view costs less than the copy.
_SMALL: Final = 4096
# Size digits and CRLF of a chunk's line; what is longer is extensions.
_BARE_LINE: Final = 18
_CRLF: Final = b"\r\n"


class ChunkedReader:
    """The state of one chunked body.

    Attributes:
        trailers: The trailer fields, complete when `read` has returned True.

    Source: RFC 9112 §7.1 (``evhttp_handle_chunked_read`` refuses extensions and checks no CRLF after the data).
    """

    __slots__ = ("_data_left", "_extensions", "_in_trailers", "_limits", "_scanner", "_total", "trailers")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._data_left = 0  # bytes of the chunk that are to come, its CRLF included; 0: at a chunk's line
        self._extensions = limits.max_chunk_extensions  # bytes of them that may still come
        self._in_trailers = False
        self._scanner: Scanner | None = None
        self._total = 0
        self.trailers: list[tuple[str, str]] = []

    def read(self, source: Buffer, sink: Buffer, max_body: int | None) -> bool:
        """Move what came of the body from ``source`` to ``sink``; True when the last trailer line was read.

        Raises:
            BadRequest: 400 for wrong framing, 413 for a body above ``max_body`` or for too many extensions, 431 for
                too many trailers.
        """
        while not self._in_trailers:
            if self._data_left > 2:
                self._data_left -= source.remove_buffer(sink, self._data_left - 2)
            if not source or not self._read_lines(source, sink, max_body):
                return False
        return self._read_trailers(source)

    def _read_lines(self, source: Buffer, sink: Buffer, max_body: int | None) -> bool:
        """Read lines and small chunks until something else is due; False if more bytes are needed for that."""
        data, start = source.front()
        at = self._end_of_data(data, start)
        small: list[bytes] = []
        while not self._data_left and not self._in_trailers:
            line = CHUNK_LINE.match(data, at, at + _BARE_LINE + self._extensions)
            if line is None:
                self._check_partial(data, at)
                break
            size = self._open_chunk(line[1], line[2], max_body)
            at = line.end()
            if not size or at + size > len(data):
                continue  # the last chunk, or one that read() has to move: either way this loop ends
            self._take_chunk(data, at, size, small, sink)
            at = self._end_of_data(data, at + size)
        _flush(small, sink)
        source.drain(at - start)
        return self._in_trailers or self._data_left > 2

    def _take_chunk(self, data: bytes, at: int, size: int, small: list[bytes], sink: Buffer) -> None:
        """Take a chunk that lies whole in ``data``.

        `Buffer.remove_buffer` would split the segment at each chunk and the next `front` join the rest again, which is
        quadratic; a view of ``data`` is neither a split nor a copy.
        """
        if size <= _SMALL:
            small.append(data[at : at + size])
        else:
            _flush(small, sink)
            sink.add_reference(memoryview(data)[at : at + size])
        self._data_left = 2

    def _end_of_data(self, data: bytes, at: int) -> int:
        """Take the CRLF after a chunk's data, or the part of it that is there (RFC 9112 §7.1; CVE-2025-43859)."""
        wanted = _CRLF[2 - self._data_left :]
        came = data[at : at + self._data_left]
        if not wanted.startswith(came):
            raise BadRequest(400, "expected CRLF after a chunk's data", came)
        self._data_left -= len(came)
        return at + len(came)

    def _open_chunk(self, digits: bytes, extensions: bytes | None, max_body: int | None) -> int:
        size = int(digits, 16)
        if extensions is not None:
            self._extensions -= len(extensions)
            if self._extensions < 0:
                self._refuse_extensions()
        self._total += size
        if max_body is not None and self._total > max_body:
            raise BadRequest(413, f"the body is longer than {max_body} bytes")
        self._data_left = size + 2 if size else 0
        self._in_trailers = not size
        return size

    def _check_partial(self, data: bytes, at: int) -> None:
        """Return if the bytes at hand can still become a chunk's line within the limits."""
        stop = at + _BARE_LINE + self._extensions
        match = CHUNK_LINE_START.match(data, at, stop)
        end = at if match is None else match.end()
        if end == len(data):
            return
        if end == stop:
            self._refuse_extensions()
        raise BadRequest(400, "expected a chunk size in hex digits and CRLF", data[at : end + 1])

    def _refuse_extensions(self) -> None:
        # RFC 9112 §7.1.1: "generate an appropriate 4xx response if that amount is exceeded".
        raise BadRequest(413, f"more than {self._limits.max_chunk_extensions} bytes of chunk extensions")

    def _read_trailers(self, source: Buffer) -> bool:
        data, start = source.front()
        if data.startswith(_CRLF, start):
            source.drain(2)
            return True
        if self._scanner is None:
            self._scanner = Scanner(self._limits, trailers=True)
        end = self._scanner.scan(data, start)
        if end is None:
            return False
        raw = data[start:end]
        self.trailers = parse_trailers(raw)
        source.drain(len(raw))
        return True


def _flush(small: list[bytes], sink: Buffer) -> None:
    if small:
        sink.add(b"".join(small))
        small.clear()


def parse_trailers(raw: bytes) -> list[tuple[str, str]]:
    """Turn a validated trailer section into pairs.

    Raises:
        BadRequest: 400: a field that rules framing, routing or the connection stands among them.

    Source: RFC 9110 §6.5.1.
    """
    ruling = RULING.search(b"\n" + raw)
    if ruling is not None:
        raise BadRequest(400, "no framing, routing or connection field may be a trailer", ruling[1])
    return list(Headers.from_raw(raw))
