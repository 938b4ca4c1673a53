"""`compressed`: a handler whose replies go out through gzip where that pays.

The doer: it puts a door of its own before the one through which the handler answers. Which replies are worth it is
decided in `evkit.http.content_coding`. It knows nothing of how replies are framed.
"""

import re
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.content_coding import (
    TYPES,
    MediaTypes,
    Pair,
    acceptable,
    codable,
    coded,
    revalidated,
    said,
    varying,
    whole,
)
from evkit.http.fields import Fields, as_pairs
from evkit.http.server.door import DoorBefore, ReplyDoor
from evkit.http.server.piecewise import add_body
from evkit.http.server.reply import last_chunk
from evkit.http.server.request import Request
from evkit.http.server.routes import Handler, check_handler
from evkit.http.server.threaded import ThreadDoor

_CODING: Final = "gzip"
_GZIP_FORMAT: Final = 31  # zlib's word for a window of 32 KiB and gzip's frame round it
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_AT_ONCE: Final = 65536
"""Bytes to compress in one go. At level 6 text of that size takes 1 to 2 ms (hexadecimal noise, the worst case: 5 ms),
in which the loop does nothing else; the next stretch waits until this one was taken, so a slow client costs no memory.
"""

Drained = Callable[[], object] | None


def compressed(
    handler: Handler, *, level: int = 6, min_size: int = 1024, types: Iterable[str] = TYPES
) -> Handler:
    """Return a handler that answers as ``handler`` does, with gzip for clients that accept it where it pays.

        server.set_cb("/report", compressed(report))

    Compressed are replies with status 200 to 203 of a type that compresses well, unless they have a
    ``Content-Encoding``, a digest of their bytes, or ``Cache-Control: no-transform``. They lose ``Accept-Ranges``, and
    a strong ``ETag`` becomes a weak one, so compare ``If-None-Match`` weakly. Whatever might have been compressed, for
    this client or for another, gets ``Vary: Accept-Encoding``.

    A reply in pieces is compressed piece by piece, and each piece reaches the client at once; this takes up to
    256 KiB of memory while it lasts. A body of more than 64 KiB goes out in pieces, too, as fast as the client reads:
    until its end the request is not over, and `Request.on_close` tells if the client leaves. But a `Buffer` of more
    than that, as files come in, goes out as it is.

    Where a reply over TLS has both a secret and something that the client's page, or another site, can choose, its
    length tells the secret bit by bit (BREACH, CVE-2013-3587). Do not compress such replies.

    Args:
        handler: Any handler, also one for ``stream=True``. One for threads is wrapped before:
            ``compressed(in_threads(handler))``; the other way round it fails when it is called.
        level: 1 (fast) to 9 (short).
        min_size: Bytes below which a whole body is left alone, ``>= 0``; less than some 150 become longer.
        types: Media types to compress: ``"type/subtype"``, ``"text/*"``, ``"*+json"``.

    Raises:
        TypeError: ``handler`` can't be called, or ``types`` is one ``str``.
        ValueError: ``level`` or ``min_size`` is out of range, or a type is none.

    Source: RFC 9110 §8.4.1.3, §12.5.3. evhttp has none; nginx's ``gzip`` weakens tags in the same manner.
    """
    check_handler(handler)
    if level not in range(1, 10):
        raise ValueError(f"expected a level from 1 to 9, got {level!r}")
    if min_size < 0:
        raise ValueError(f"expected a size of 0 or more bytes, got {min_size!r}")
    return _Compressed(handler, _Rules(level, min_size, MediaTypes(types)))


class _Rules:
    """What all replies of one handler have in common."""

    __slots__ = ("level", "min_size", "types")

    def __init__(self, level: int, min_size: int, types: MediaTypes) -> None:
        self.level = level
        self.min_size = min_size
        self.types = types


class _Compressed:
    """The handler round a handler."""

    __slots__ = ("_handler", "_rules")

    def __init__(self, handler: Handler, rules: _Rules) -> None:
        self._handler = handler
        self._rules = rules

    def __repr__(self) -> str:
        return f"<compressed {self._handler!r}>"

    def __call__(self, request: Request) -> None:
        """Have the request answered."""
        door = request.connection
        if isinstance(door, ThreadDoor):
            raise LocalProtocolError(
                "compressed() works in the loop's thread: compressed(in_threads(handler))"
            )
        if door is not None:
            request.connection = _Door(request, door, self._rules)
        self._handler(request)


class _Door(DoorBefore):
    """A `ReplyDoor` before another: what goes through it is compressed where it pays.

    Args:
        request: What is answered.
        door: The other.
        rules: Which replies to compress, and how.
    """

    __slots__ = ("_request", "_rules", "_stream")

    def __init__(self, request: Request, door: ReplyDoor, rules: _Rules) -> None:
        super().__init__(door)
        self._request = request
        self._rules = rules
        self._stream: _Stream | None = None  # while a reply in pieces is compressed

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """Send a whole reply."""
        pairs, length, codes = self._look(status, fields)
        size = len(body)
        if not size and length is not None and self._request.method == "HEAD":
            size = length  # the handler has spared itself the body
        if not codes or length not in (None, size) or not self._pays(size, body):
            self._door.reply(status, body, pairs)
        elif size == len(body) <= _AT_ONCE:
            data = body.remove() if isinstance(body, Buffer) else body
            packed = zlib.compress(data, self._rules.level, _GZIP_FORMAT)
            self._door.reply(status, packed, coded(pairs, _CODING))
        else:
            self._start(status, pairs, None)
            self.send_piece(body, None)
            self.end_reply(())

    def _pays(self, size: int, body: bytes | Buffer) -> bool:
        return size >= self._rules.min_size and (size <= _AT_ONCE or not isinstance(body, Buffer))

    def start_reply(self, status: int, fields: Fields) -> None:
        """Send the head of a reply that comes in pieces."""
        pairs, length, codes = self._look(status, fields)
        if codes and (length is None or length >= self._rules.min_size):
            self._start(status, pairs, length)
        else:
            self._door.start_reply(status, pairs)

    def _look(self, status: int, fields: Fields) -> tuple[Sequence[Pair], int | None, bool]:
        """Return the fields of a reply as it is, the length that they tell, and whether to compress it if it is long.

        What is no length is told as -1, which is too short; who sends it says what is wrong.
        """
        pairs, request = as_pairs(fields), self._request
        found = said(pairs)
        told = found.get("content-length")
        length = None if told is None else int(told) if _NUMBER.fullmatch(told) else -1
        if status == 304:
            return revalidated(pairs, request.headers.get_all("if-none-match")), length, False
        if not codable(request.method, status, found, self._rules.types):
            return pairs, length, False
        accepted = acceptable(request.headers.get_all("accept-encoding"), (_CODING,))
        return varying(pairs), length, bool(accepted) and whole(status, found)

    def _start(self, status: int, pairs: Sequence[Pair], length: int | None) -> None:
        self._door.start_reply(status, coded(pairs, _CODING))
        if self._request.method != "HEAD":
            self._stream = _Stream(self._request, self._door, self._rules.level, length)

    def send_piece(self, data: bytes | Buffer, drained: Drained) -> None:
        """Send a piece of it."""
        if self._stream is not None:
            self._stream.send(data, drained)
        else:
            self._door.send_piece(data, drained)

    def end_reply(self, trailers: Fields) -> None:
        """End it."""
        if self._stream is not None:
            self._stream.end(trailers)
        else:
            self._door.end_reply(trailers)


class _Stream:
    """The body of a reply in pieces on its way through gzip, never more than a stretch at a time.

    Args:
        request: What is answered.
        door: Where it goes; the head has gone there.
        level: Of compression.
        length: That the handler told for the body as it is; ``None``: none.
    """

    __slots__ = ("_door", "_gzip", "_left", "_request", "_trailers", "_waiting")

    def __init__(self, request: Request, door: ReplyDoor, level: int, length: int | None) -> None:
        self._request = request
        self._door = door
        self._gzip = zlib.compressobj(level, zlib.DEFLATED, _GZIP_FORMAT)
        self._left = length
        self._waiting: deque[tuple[Buffer, Drained]] = deque()  # while it has any, _pump is called again
        self._trailers: Sequence[Pair] | None = None  # once the handler has ended the reply

    def send(self, data: bytes | Buffer, drained: Drained) -> None:
        """Send a piece; one after the end is dropped, as by a request that was answered."""
        if self._trailers is not None:
            if isinstance(data, Buffer):
                data.clear()
            return
        size = len(data)
        if self._left is not None:
            if size > self._left:
                raise LocalProtocolError(
                    f"a piece of {size} bytes passes the Content-Length: {self._left} are left"
                )
            self._left -= size
        piece = Buffer()
        add_body(piece, data)
        self._waiting.append((piece, drained))
        if len(self._waiting) == 1:
            self._pump()

    def end(self, trailers: Fields) -> None:
        """End the body."""
        if self._trailers is not None:
            return
        pairs = as_pairs(trailers)
        last_chunk(pairs)  # what is wrong with them is said now, whenever they are sent
        if self._left:
            self._door.abort()
            raise LocalProtocolError(
                f"the reply ended {self._left} bytes before its Content-Length; connection closed"
            )
        self._trailers = pairs
        if not self._waiting:
            self._finish(pairs)

    def _pump(self) -> None:
        """Compress the next stretch of what waits; go on when it was taken."""
        if self._request.gone:
            return
        room = _AT_ONCE
        while self._waiting:
            if not room:
                self._door.send_piece(b"", self._pump)
                return
            room -= self._compress(room)
        if self._trailers is not None:
            self._finish(self._trailers)

    def _compress(self, room: int) -> int:
        """Compress and send ``room`` bytes of the first piece at most; return how many."""
        piece, drained = self._waiting[0]
        try:
            stretch = piece.remove(room)
        except OSError:  # a file among it can't be read, and what is missing can't be told any more
            self._door.abort()
            raise
        if piece:
            drained = None
        else:
            self._waiting.popleft()
        packed = b""
        if stretch:
            # zlib might say nothing for a while; what is not sent can't be drained, and others would not get their turn
            packed = self._gzip.compress(stretch) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        self._door.send_piece(packed, drained)
        return len(stretch)

    def _finish(self, trailers: Sequence[Pair]) -> None:
        self._door.send_piece(self._gzip.flush(), None)
        self._door.end_reply(trailers)
