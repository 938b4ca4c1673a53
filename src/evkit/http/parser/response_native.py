"""evkit's own reader of responses: one strict pattern over the whole head, and bodies moved without copies.

A head that has come whole, as nearly all do, costs one match, one search for the fields that rule, and the rules.
Only when that match fails is the head read byte by byte (`ResponseScanner`), which says what is wrong or that it must
wait. It decides nothing about what a response means (`response_rules`), and knows nothing of sockets, time or requests
but their method.
"""

from typing import Final

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest, BadResponse
from evkit.http.parser.chunked import ChunkedReader
from evkit.http.parser.contract import CHUNKED, Limits
from evkit.http.parser.grammar import RESPONSE_HEAD, RESPONSE_RULING
from evkit.http.parser.response import RESPONSE_LIMITS, UNTIL_CLOSE, ResponseHead
from evkit.http.parser.response_rules import decide
from evkit.http.parser.response_scan import ResponseScanner

# The shortest field line is "a:" CRLF, so a head of four times max_fields bytes cannot have too many.
_SHORTEST_FIELD: Final = 4


class NativeResponseEngine:
    """Reads responses with evkit's own parser; see `ResponseEngine` for the contract.

    Source: ``evhttp_parse_response_line`` and ``evhttp_get_body``, without their laxness; RFC 9112.
    """

    __slots__ = (
        "_body_left",
        "_body_size",
        "_chunks",
        "_ended",
        "_limits",
        "_scanner",
        "_short",
        "_until_close",
        "max_body",
        "name",
        "trailers",
    )

    def __init__(self, limits: Limits = RESPONSE_LIMITS) -> None:
        self.name = "native"
        self.max_body: int | None = None
        self.trailers: list[tuple[str, str]] = []
        self._limits = limits
        # A head up to here cannot pass any limit, so that one comparison stands for all of them.
        self._short = min(limits.max_head, limits.max_fields * _SHORTEST_FIELD)
        self._scanner: ResponseScanner | None = None  # while a part of a head waits for the rest
        self._body_size = 0  # what Content-Length said; of a body until close, what came of it
        self._body_left = 0
        self._chunks: ChunkedReader | None = None
        self._until_close = False
        self._ended = False

    def read_head(self, source: Buffer, method: str) -> ResponseHead | None:
        """Take the next head from ``source``; see `ResponseEngine.read_head`."""
        data, start = source.front()
        if self._scanner is not None and not self._scan(data, start):
            return None
        match = RESPONSE_HEAD.match(data, start)
        if match is None:
            # Nothing there yet, an unfinished head, or a bad one: the scanner tells, and returns only for the former.
            self._scan(data, start)
            return None
        size = match.end() - start
        if size > self._short:
            self._check_limits(data, start, size)
        self._scanner = None
        minor, status, reason, fields = match.groups()
        head = decide(
            method,
            int(status),
            reason.decode("latin-1"),
            0 if minor == b"0" else 1,
            RESPONSE_RULING.findall(fields),
            fields,
        )
        source.drain(size)
        if head.body_length:
            self._expect_body(head.body_length)
        return head

    def _scan(self, data: bytes, start: int) -> bool:
        """Return whether the head is complete; raise `BadResponse` if it cannot become so."""
        if self._scanner is None:
            if len(data) == start:
                return False
            self._scanner = ResponseScanner(self._limits)
        return self._scanner.scan(data, start) is not None

    def _check_limits(self, data: bytes, start: int, size: int) -> None:
        """Read a long head, known to be well-formed, once more for its limits if it can pass one."""
        limits = self._limits
        if size > limits.max_head or data.count(b"\n", start, start + size) > limits.max_fields:
            ResponseScanner(limits).scan(data, start)

    def _expect_body(self, length: int) -> None:
        if length == CHUNKED:
            self._chunks = ChunkedReader(self._limits)
        elif length == UNTIL_CLOSE:
            self._until_close = True
            self._body_size = 0
        else:
            self._body_size = self._body_left = length

    def take_body(self, source: Buffer) -> bytes | None:
        """Take the whole body, if it is there; see `ResponseEngine.take_body`."""
        size = self._body_left
        if self._chunks is not None or self._until_close or source.length < size:
            return None
        self._body_left = 0
        return source.remove(size) if size else b""

    def read_body(self, source: Buffer, sink: Buffer) -> bool:
        """Move the body bytes that are there to ``sink``; see `ResponseEngine.read_body`."""
        if self._chunks is not None:
            return self._read_chunks(self._chunks, source, sink)
        if self._until_close:
            return self._read_rest(source, sink)
        if self._body_left:
            self._body_left -= source.remove_buffer(sink, self._body_left)
        return not self._body_left

    def _read_chunks(self, chunks: ChunkedReader, source: Buffer, sink: Buffer) -> bool:
        try:
            if not chunks.read(source, sink, self.max_body):
                return False
        except BadRequest as refusal:
            raise BadResponse(str(refusal)) from None
        self.trailers = chunks.trailers
        self._chunks = None
        return True

    def _read_rest(self, source: Buffer, sink: Buffer) -> bool:
        self._body_size += len(source)
        if self.max_body is not None and self._body_size > self.max_body:
            raise BadResponse(f"the body is longer than {self.max_body} bytes")
        sink.add_buffer(source)
        return self._ended

    def end(self) -> None:
        """Hear that nothing more will come; see `ResponseEngine.end`."""
        self._ended = True
        if self._scanner is not None:
            raise BadResponse("the connection ended within the head of a response")
        if self._chunks is not None:
            raise BadResponse("the connection ended within the chunks of a body")
        if self._body_left:
            came = self._body_size - self._body_left
            raise BadResponse(f"the connection ended after {came} of {self._body_size} bytes of a body")
