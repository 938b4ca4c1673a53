"""The engine that reads with h11, for those who trust a known parser more, and as the oracle that tests compare with.

h11 alone is lenient: it takes a bare LF for a line end, controls and folds in values, any amount of extensions. So a
guard goes before it, `Scanner` for heads and `ChunkedReader` for framing, and h11 gets only bytes that the guard has
passed; what reaches the caller is what h11 read, and a request goes through only if both accept it. Each request gets a
new ``h11.Connection``, since evkit writes its replies itself and h11's state machine would wait for them.

This is the only module that imports h11, and none of its classes or exceptions gets out.
"""

from typing import Final

import h11

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser.chunked import ChunkedReader
from evkit.http.parser.contract import CHUNKED, Limits, RequestHead
from evkit.http.parser.grammar import RULING
from evkit.http.parser.rules import decide, minor_version
from evkit.http.parser.scan import Scanner

# h11 copies what it is fed; pieces of this size keep that cheap while a large body comes. 65,536: one recv.
_PIECE: Final = 65536

_Event = type[h11.NEED_DATA] | type[h11.PAUSED] | h11.Event


class H11Engine:
    """Reads requests with h11 behind a strict guard; see `Engine` for the contract.

    Source: h11, "Connection objects"; RFC 9112.
    """

    __slots__ = (
        "_body_left",
        "_guard",
        "_h11",
        "_head_type",
        "_limits",
        "_scanner",
        "_scrap",
        "max_body",
        "name",
        "trailers",
    )

    def __init__(self, limits: Limits, head_type: type[RequestHead] = RequestHead) -> None:
        self.name = "h11"
        self.max_body: int | None = None
        self.trailers: list[tuple[str, str]] = []
        self._limits = limits
        self._head_type = head_type
        self._scanner = Scanner(limits)
        self._h11: h11.Connection | None = None  # the one that reads the present request's body
        self._body_left = 0
        self._guard: ChunkedReader | None = None
        self._scrap = Buffer()  # where the guard's own reading of a chunked body ends

    def read_head(self, source: Buffer) -> RequestHead | None:
        """Take the next head from ``source``; see `Engine.read_head`."""
        data, start = source.front()
        end = self._scanner.scan(data, start)
        if end is None:
            return None
        head = self._parse(data[start:end].removeprefix(b"\r\n"))
        source.drain(end - start)
        self._scanner = Scanner(self._limits)
        self._body_left = max(head.body_length, 0)
        self._guard = ChunkedReader(self._limits) if head.body_length == CHUNKED else None
        return head

    def _parse(self, raw: bytes) -> RequestHead:
        """Let the rules judge the bytes, then h11, and join what the rules decided with what h11 read."""
        line, _, fields = raw.partition(b"\r\n")
        method, target, version = line.split(b" ")
        # The rules come first: h11 folds equal Content-Lengths into one, and its statuses are coarser.
        head = decide(
            method.decode("ascii"),
            target.decode("ascii"),
            minor_version(version),
            RULING.findall(b"\n" + fields),
            fields,
        )
        self._h11 = h11.Connection(h11.SERVER)
        self._h11.receive_data(raw)
        request = _next_event(self._h11)
        if not isinstance(request, h11.Request):
            raise BadRequest(400, "expected a complete request head", raw)
        return self._head_type(
            request.method.decode("ascii"),
            request.target.decode("ascii"),
            head.minor,
            head.host,
            head.body_length,
            head.keep_alive,
            head.expect_continue,
            b"".join(b"%b:%b\r\n" % pair for pair in request.headers.raw_items()),
        )

    def read_body(self, source: Buffer, sink: Buffer) -> bool:
        """Move the body bytes that are there to ``sink``; see `Engine.read_body`."""
        if self._h11 is None:
            return True
        if self._guard is not None:
            complete = self._feed_chunks(self._h11, self._guard, source)
        else:
            complete = self._feed_counted(self._h11, source)
        if self._drain_events(self._h11, sink) != complete:
            raise BadRequest(400, "the two readers of this body disagree about its end")
        if complete:
            self._h11 = None
        return complete

    def _feed_chunks(self, connection: h11.Connection, guard: ChunkedReader, source: Buffer) -> bool:
        data, start = source.front()
        before = len(source)
        complete = guard.read(source, self._scrap, self.max_body)
        self._scrap.clear()
        _feed(connection, data[start : start + before - len(source)])
        return complete

    def _feed_counted(self, connection: h11.Connection, source: Buffer) -> bool:
        while source and self._body_left:
            piece = source.remove(min(self._body_left, _PIECE))
            self._body_left -= len(piece)
            _feed(connection, piece)
        return not self._body_left

    def _drain_events(self, connection: h11.Connection, sink: Buffer) -> bool:
        """Move what h11 has read to ``sink``; True when it has seen the end of the message."""
        while True:
            event = _next_event(connection)
            if isinstance(event, h11.Data):
                sink.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self._guard is not None:
                    self.trailers = [
                        (n.decode("latin-1"), v.decode("latin-1")) for n, v in event.headers.raw_items()
                    ]
                return True
            else:
                return False


def _feed(connection: h11.Connection, data: bytes) -> None:
    if data:  # to h11, no bytes are the end of the connection
        connection.receive_data(data)


def _next_event(connection: h11.Connection) -> _Event:
    """Ask h11 for its next event; the door through which its exceptions become `BadRequest`."""
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise BadRequest(exc.error_status_hint, str(exc)) from exc
