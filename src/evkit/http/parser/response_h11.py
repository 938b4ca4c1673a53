"""The reader of responses that reads with h11, for those who trust a known parser more, and as a second opinion.

It is made as `h11_engine` is, and for the same reasons: evkit's own engine is the guard, h11 gets only bytes that the
guard has passed, a response goes through only if both accept it, and what reaches the caller is what h11 read. Each
response gets a new ``h11.Connection``.

With `h11_engine` it is all that imports h11, and none of its classes or exceptions gets out.
"""

from typing import Final

import h11

from evkit.core.buffer import Buffer
from evkit.http.errors import BadResponse
from evkit.http.parser.contract import CHUNKED, Limits
from evkit.http.parser.response import RESPONSE_LIMITS, UNTIL_CLOSE, ResponseHead
from evkit.http.parser.response_native import NativeResponseEngine

_Event = type[h11.NEED_DATA] | type[h11.PAUSED] | h11.Event

# h11 reads no response before it has sent a request, and no 101 unless that would upgrade. Where the method matters
# there is no body for h11 to read.
_ASKED: Final = h11.Request(
    method="GET", target="/", headers=[("Host", "a"), ("Connection", "Upgrade"), ("Upgrade", "any")]
)


class H11ResponseEngine:
    """Reads responses with h11 behind a strict guard; see `ResponseEngine` for the contract.

    Source: h11, "Connection objects"; RFC 9112.
    """

    __slots__ = ("_guard", "_h11", "_length", "_scrap", "max_body", "name", "trailers")

    def __init__(self, limits: Limits = RESPONSE_LIMITS) -> None:
        self.name = "h11"
        self.max_body: int | None = None
        self.trailers: list[tuple[str, str]] = []
        self._guard = NativeResponseEngine(limits)
        self._h11: h11.Connection | None = None  # the one that reads the present response's body
        self._length = 0  # body_length of the present response
        self._scrap = Buffer()  # where the guard puts the body as it reads it

    def read_head(self, source: Buffer, method: str) -> ResponseHead | None:
        """Take the next head from ``source``; see `ResponseEngine.read_head`."""
        data, start = source.front()
        before = len(source)
        head = self._guard.read_head(source, method)
        if head is None:
            return None
        self._length = head.body_length
        return self._read_again(head, data[start : start + before - len(source)])

    def _read_again(self, head: ResponseHead, raw: bytes) -> ResponseHead:
        """Let h11 read what the guard has passed; join what it reads with what the rules decided."""
        connection = h11.Connection(h11.CLIENT)
        connection.send(_ASKED)
        connection.send(h11.EndOfMessage())
        connection.receive_data(raw)
        response = _next_event(connection)
        if not isinstance(response, h11.Response | h11.InformationalResponse):
            raise BadResponse("expected a complete response head", raw)
        self._h11 = connection if head.body_length else None
        return ResponseHead(
            response.status_code,
            response.reason.decode("latin-1"),
            head.minor,
            head.body_length,
            head.keep_alive,
            b"".join([b"%b:%b\r\n" % pair for pair in response.headers.raw_items()]),
        )

    def take_body(self, source: Buffer) -> bytes | None:  # noqa: ARG002 - the contract's
        """See `ResponseEngine.take_body`: h11 reads every body piece by piece."""
        return None

    def read_body(self, source: Buffer, sink: Buffer) -> bool:
        """Move the body bytes that are there to ``sink``; see `ResponseEngine.read_body`."""
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
        if complete and self._length == UNTIL_CLOSE:
            connection.receive_data(b"")
        if self._drain_events(connection, sink) != complete:
            raise BadResponse("the two readers of this body disagree about its end")
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
                if self._length == CHUNKED:
                    self.trailers = [
                        (n.decode("latin-1"), v.decode("latin-1")) for n, v in event.headers.raw_items()
                    ]
                return True
            else:
                return False

    def end(self) -> None:
        """Hear that nothing more will come; see `ResponseEngine.end`."""
        self._guard.end()


def _next_event(connection: h11.Connection) -> _Event:
    """Ask h11 for its next event; the door through which its exceptions become `BadResponse`."""
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as exc:
        raise BadResponse(str(exc)) from exc
