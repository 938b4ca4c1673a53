"""evkit's own engine: one strict pattern over the whole head, and chunks taken apart without copies.

A head that has come whole, as nearly all do, costs one match, one search for the fields that rule, and the rules.
Only when that match fails is the head read byte by byte (`Scanner`), which says what is wrong or that it must wait.
It decides nothing about what a request means (`rules`), and knows nothing of sockets, time or replies.
"""

import re
from typing import Final

from evkit.core.buffer import Buffer
from evkit.http.parser.chunked import ChunkedReader
from evkit.http.parser.contract import CHUNKED, Limits, RequestHead
from evkit.http.parser.grammar import HEAD, METHOD_AND_TARGET, RULING
from evkit.http.parser.rules import Ruled, decide, heed
from evkit.http.parser.scan import Scanner

# Bytes of a head up to which what it says is kept for the next one: what most browsers send, cookies included. Idle
# connections keep it too, and their clients must not choose how much that is.
_KEPT: Final = 2048
# The shortest field line is "a:" CRLF, so a head of four times max_fields bytes cannot have too many.
_SHORTEST_FIELD: Final = 4


class NativeEngine:
    """Reads requests with evkit's own parser; see `Engine` for the contract.

    Source: ``evhttp_parse_firstline_`` and ``evhttp_parse_headers_``, without their laxness; RFC 9112.
    """

    __slots__ = (
        "_body_left",
        "_chunks",
        "_fields",
        "_head_type",
        "_limits",
        "_ruled",
        "_scanner",
        "_short",
        "_tail",
        "_version",
        "max_body",
        "name",
        "trailers",
    )

    def __init__(self, limits: Limits, head_type: type[RequestHead] = RequestHead) -> None:
        self.name = "native"
        self.max_body: int | None = None
        self.trailers: list[tuple[str, str]] = []
        self._limits = limits
        self._head_type = head_type
        # A head up to here cannot pass any limit, so that one comparison stands for all of them.
        self._short = min(limits.max_target, limits.max_head, limits.max_fields * _SHORTEST_FIELD)
        self._scanner: Scanner | None = None
        # What the last head had behind its target: all of it, and in it the version and the fields; and what these say.
        # A client repeats itself (which is what HPACK lives on), so that as a rule only the beginning is news.
        self._tail = self._version = self._fields = b""
        self._ruled: Ruled = (None, 0, False, False)
        self._body_left = 0
        self._chunks: ChunkedReader | None = None

    def read_head(self, source: Buffer) -> RequestHead | None:
        """Take the next head from ``source``; see `Engine.read_head`."""
        data, start = source.front()
        if self._scanner is not None and not self._scan(data, start):
            return None
        tail = self._tail
        line = None
        if tail and data.endswith(tail, start):
            line = METHOD_AND_TARGET.fullmatch(data, start, len(data) - len(tail))
        if line is not None:
            size = len(data) - start
            if size > self._short:
                self._check_limits(data, start, size)
            method, target = line.groups()
        else:
            line = HEAD.match(data, start)
            if line is None:
                # Nothing there yet, an unfinished head, or a bad one: the scanner returns only for the former two.
                self._scan(data, start)
                return None
            size = line.end() - start
            if size > self._short:
                self._check_limits(data, start, size)
            self._heed(line)
            method, target = line.group(1, 2)
        self._scanner = None
        head = decide(
            method.decode(),
            target.decode(),
            0 if self._version == b"0" else 1,
            self._ruled,
            self._fields,
            self._head_type,
        )
        if size > _KEPT:
            self._tail = self._fields = b""
        source.drain(size)
        if head.body_length:
            self._expect_body(head.body_length)
        return head

    def _heed(self, head: re.Match[bytes]) -> None:
        """Understand what stands behind the target, unless it is what stood there before."""
        version, fields = head.group(3, 4)
        if fields != self._fields or version != self._version:
            self._ruled = heed(0 if version == b"0" else 1, RULING.findall(fields))
            self._fields, self._version = fields, version
            self._tail = head.string[head.end(2) : head.end()]

    def _scan(self, data: bytes, start: int) -> bool:
        """Return whether the head is complete; raise `BadRequest` if it cannot become so."""
        if self._scanner is None:
            if len(data) == start:
                return False
            self._scanner = Scanner(self._limits)
        return self._scanner.scan(data, start) is not None

    def _check_limits(self, data: bytes, start: int, size: int) -> None:
        """Read a long head, known to be well-formed, once more for its limits if it can pass one."""
        limits = self._limits
        if (
            size > min(limits.max_target, limits.max_head)
            or data.count(b"\n", start, start + size) > limits.max_fields
        ):
            Scanner(limits).scan(data, start)

    def _expect_body(self, length: int) -> None:
        if length == CHUNKED:
            self._chunks = ChunkedReader(self._limits)
        else:
            self._body_left = length

    def read_body(self, source: Buffer, sink: Buffer) -> bool:
        """Move the body bytes that are there to ``sink``; see `Engine.read_body`."""
        if self._chunks is not None:
            return self._read_chunks(self._chunks, source, sink)
        if self._body_left:
            self._body_left -= source.remove_buffer(sink, self._body_left)
        return not self._body_left

    def _read_chunks(self, chunks: ChunkedReader, source: Buffer, sink: Buffer) -> bool:
        if not chunks.read(source, sink, self.max_body):
            return False
        self.trailers = chunks.trailers
        self._chunks = None
        return True
