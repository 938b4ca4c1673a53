"""Bodies in pieces: a request's as it is received, and a reply's as it is sent.

What holds between one piece and the next: how much is still owed, and to whom a piece goes. When a piece can be read or
sent is decided in `evkit.http.connection`.
"""

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.message import Request
from evkit.http.parser import CHUNKED, Engine
from evkit.http.reply import LAST_CHUNK, UNKNOWN_LENGTH, Framing, chunk_head
from evkit.http.routes import Route


class BodyReader:
    """Reads the body of one request, and gives it to the handler whole or piece by piece.

    Args:
        engine: Knows where the body ends.
        request: Whose body it is.
        route: Its handler, and what that accepts.
    """

    __slots__ = ("_engine", "_request", "_route", "_sink")

    def __init__(self, engine: Engine, request: Request, route: Route) -> None:
        engine.max_body = route.max_body
        self._engine = engine
        self._request = request
        self._route = route
        self._sink = Buffer()

    def check_length(self) -> None:
        """Refuse a body that the route does not accept, before a byte of it is read.

        Raises:
            BadRequest: 413.
        """
        limit, length = self._route.max_body, self._request.body_length
        if limit is not None and length > limit:
            raise BadRequest(413, f"expected a body of at most {limit} bytes, got Content-Length: {length}")

    @property
    def wanted(self) -> bool:
        """Whether there is somebody to give the body to; a streaming handler says so by ``request.receive``."""
        return not self._route.stream or self._request.receiver is not None

    def read(self, source: Buffer) -> bool:
        """Take what has come from ``source``; return whether that was all."""
        complete = self._engine.read_body(source, self._sink)
        if complete and self._request.body_length == CHUNKED:
            self._request.trailers = self._engine.trailers
        return complete

    def deliver(self, *, complete: bool) -> None:
        """Give the handler what is there: each piece to one that streams, all of it to one that does not."""
        request, receiver = self._request, self._request.receiver
        if receiver is None:
            if complete:
                request.body = self._sink.remove()
                self._route.handler(request)
            return
        if self._sink:
            receiver.data(request, self._sink.remove())
        if complete and not request.gone:
            receiver.end(request)


class PiecewiseReply:
    """A reply whose body comes in pieces.

    Attributes:
        framing: What the client was told.

    Args:
        framing: As `evkit.http.reply.frame` decided.
        output: Where it goes; the head goes there now.
    """

    __slots__ = ("_output", "framing")

    def __init__(self, framing: Framing, output: Buffer) -> None:
        self.framing = framing
        self._output = output
        output.add(framing.head)

    def send(self, data: bytes | Buffer) -> None:
        """Send a piece.

        Raises:
            LocalProtocolError: It passes the Content-Length that the client was told. Nothing of it was sent.
        """
        framing, size = self.framing, len(data)
        if framing.left != UNKNOWN_LENGTH:
            if size > framing.left:
                raise LocalProtocolError(
                    f"a piece of {size} bytes passes the Content-Length: {framing.left} are left"
                )
            framing.left -= size
        if framing.silent and isinstance(data, Buffer):
            data.clear()
        if framing.silent or not size:
            return
        if framing.chunked:
            self._output.add(chunk_head(size))
            add_body(self._output, data)
            self._output.add(b"\r\n")
        else:
            add_body(self._output, data)

    def end(self) -> None:
        """Send what stands at the end.

        Raises:
            LocalProtocolError: Less was sent than the client was told.
        """
        framing = self.framing
        if framing.chunked:
            self._output.add(LAST_CHUNK)
        elif framing.left > 0 and not framing.silent:
            raise LocalProtocolError(
                f"the reply ended {framing.left} bytes before its Content-Length; connection closed"
            )


def add_body(output: Buffer, body: bytes | Buffer) -> None:
    """Append a body, or a piece of one; a `Buffer` is emptied."""
    if isinstance(body, Buffer):
        output.add_buffer(body)
    else:
        output.add(body)
