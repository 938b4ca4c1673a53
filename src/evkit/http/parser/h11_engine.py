"""The engine that reads with h11, for those who trust a known parser more, and as the oracle that tests compare with.

h11 alone is lenient: it takes a bare LF for a line end, controls and folds in values, any amount of extensions, and
several equal Content-Lengths. So a guard goes before it, evkit's own engine with the rules, and h11 gets only bytes
that the guard has passed. What reaches the caller is what h11 read, and a request goes through only if both accept it.
Each request gets a new ``h11.Connection``, as evkit writes its replies itself and h11's state machine would wait for
them.

This is the only module that imports h11, and none of its classes or exceptions gets out.
"""

import h11

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser.contract import CHUNKED, Limits, RequestHead
from evkit.http.parser.native import NativeEngine

_Event = type[h11.NEED_DATA] | type[h11.PAUSED] | h11.Event


class H11Engine:
    """Reads requests with h11 behind a strict guard; see `Engine` for the contract.

    Source: h11, "Connection objects"; RFC 9112.
    """

    __slots__ = ("_chunked", "_guard", "_h11", "_head_type", "_scrap", "max_body", "name", "trailers")

    def __init__(self, limits: Limits, head_type: type[RequestHead] = RequestHead) -> None:
        self.name = "h11"
        self.max_body: int | None = None
        self.trailers: list[tuple[str, str]] = []
        self._head_type = head_type
        self._guard = NativeEngine(limits)
        self._h11: h11.Connection | None = None  # the one that reads the present request's body
        self._chunked = False
        self._scrap = Buffer()  # where the guard puts the body as it reads it

    def read_head(self, source: Buffer) -> RequestHead | None:
        """Take the next head from ``source``; see `Engine.read_head`."""
        data, start = source.front()
        before = len(source)
        head = self._guard.read_head(source)
        if head is None:
            return None
        raw = data[start : start + before - len(source)].removeprefix(b"\r\n")
        self._chunked = head.body_length == CHUNKED
        return self._read_again(head, raw)

    def _read_again(self, head: RequestHead, raw: bytes) -> RequestHead:
        """Let h11 read what the guard has passed; join what it reads with what the rules decided."""
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(raw)
        request = _next_event(connection)
        if not isinstance(request, h11.Request):
            raise BadRequest(400, "expected a complete request head", raw)
        self._h11 = connection if head.body_length else None
        return self._head_type(
            request.method.decode("ascii"),
            request.target.decode("ascii"),
            head.minor,
            head.host,
            head.body_length,
            head.keep_alive,
            head.expect_continue,
            b"".join([b"%b:%b\r\n" % pair for pair in request.headers.raw_items()]),
        )

    def read_body(self, source: Buffer, sink: Buffer) -> bool:
        """Move the body bytes that are there to ``sink``; see `Engine.read_body`."""
        connection = self._h11
        if connection is None:
            return True
        self._guard.max_body = self.max_body
        data, start = source.front()
        before = len(source)
        complete = self._guard.read_body(source, self._scrap)
        self._scrap.clear()
        if before > len(source):  # to h11, no bytes are the end of the connection
            connection.receive_data(data[start : start + before - len(source)])
        if self._drain_events(connection, sink) != complete:
            raise BadRequest(400, "the two readers of this body disagree about its end")
        if complete:
            self._h11 = None
        return complete

    def _drain_events(self, connection: h11.Connection, sink: Buffer) -> bool:
        """Move what h11 has read to ``sink``; True when it has seen the end of the message."""
        while True:
            event = _next_event(connection)
            if isinstance(event, h11.Data):
                sink.add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self._chunked:
                    self.trailers = [
                        (n.decode("latin-1"), v.decode("latin-1")) for n, v in event.headers.raw_items()
                    ]
                return True
            else:
                return False


def _next_event(connection: h11.Connection) -> _Event:
    """Ask h11 for its next event; the door through which its exceptions become `BadRequest`."""
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise BadRequest(exc.error_status_hint, str(exc)) from exc
