"""The body of a request as it comes: read by the engine, and given to the handler whole or piece by piece.

When there is something to read is decided in `evkit.http.server.exchange`.
"""

from evkit.core import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser import CHUNKED, Engine
from evkit.http.server.request import Request
from evkit.http.server.routes import Route


class BodyReader:
    """Reads the body of one request, and gives it to the handler whole or piece by piece.

    Args:
        engine: Knows where the body ends.
        request: Whose body it is.
        route: Its handler, and what that accepts.

    Raises:
        BadRequest: 413, before a byte of the body is read: it is longer than the route accepts.
    """

    __slots__ = ("_engine", "_request", "_route", "_sink")

    def __init__(self, engine: Engine, request: Request, route: Route) -> None:
        limit, length = route.max_body, request.body_length
        if limit is not None and length > limit:
            raise BadRequest(413, f"expected a body of at most {limit} bytes, got Content-Length: {length}")
        engine.max_body = limit
        self._engine = engine
        self._request = request
        self._route = route
        self._sink = Buffer()

    @property
    def wanted(self) -> bool:
        """Whether there is somebody to give the body to; a streaming handler says so by ``request.receive``."""
        receiver = self._request.receiver
        return not self._route.stream if receiver is None else not receiver.paused

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
