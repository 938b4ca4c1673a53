"""Handlers and a connection that write down what they are told, for whatever tests the server or parts of it."""

from collections.abc import Callable, Iterable

from evkit.core import Buffer, BufferEvent, EventBase
from evkit.http.fields import Fields
from evkit.http.server.connection import ServerConnection
from evkit.http.server.door import Body
from evkit.http.server.reply import plain_page
from evkit.http.server.request import Request
from http_server_aids import Site

MIB = 1 << 20


def echo(request: Request) -> None:
    request.send_reply(200, f"{request.method} {request.target} ".encode() + request.body)


class Later:
    """A handler that leaves its requests unanswered, for the test to answer."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.closed: list[Request] = []

    def __call__(self, request: Request) -> None:
        request.on_close = self.closed.append
        self.requests.append(request)


class Uploads:
    """A streaming handler that writes down what it is told, and answers at the end."""

    def __init__(self) -> None:
        self.told: list[object] = []  # without large pieces
        self.size = 0
        self.closed: list[Request] = []

    def __call__(self, request: Request) -> None:
        self.told.append("head")
        request.on_close = self.closed.append
        request.receive(self.on_data, self.on_end)

    def on_data(self, request: Request, data: bytes) -> None:
        assert data
        self.size += len(data)
        if len(data) > 1000:
            return
        if self.told[-1:] and isinstance(self.told[-1], bytes):
            self.told[-1] += data
        else:
            self.told.append(data)

    def on_end(self, request: Request) -> None:
        self.told.append(("end", list(request.trailers)))
        request.send_reply(200, b"done")


def only(site: Site) -> ServerConnection:
    (connection,) = site.server.connections
    return connection


class Door:
    """A `ReplyDoor` that remembers."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.request: Request | None = None
        self.ssl_object = None
        self.body_is_due = False

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        self.calls.append(("reply", status, body, list(fields)))
        assert self.request is not None
        self.request.status = status

    def start_reply(self, status: int, fields: Fields) -> None:
        self.calls.append(("start", status, list(fields)))

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        self.calls.append(("piece", data))

    def end_reply(self, trailers: Fields) -> None:
        self.calls.append(("end", list(trailers)))

    def inform(self, status: int, fields: Fields) -> None:
        self.calls.append(("inform", status, list(fields)))

    def take_over(self, status: int, fields: Fields) -> BufferEvent:
        raise NotImplementedError

    def error_page(self, status: int, message: str) -> tuple[Body, str]:
        return plain_page(status, message)

    def invite_body(self) -> None:
        self.calls.append(("invite",))

    def pause_body(self) -> None:
        self.calls.append(("pause",))

    def resume_body(self) -> None:
        self.calls.append(("resume",))

    def stream(self, pieces: Iterable[Body]) -> None:
        self.calls.append(("stream", list(pieces)))

    def abort(self) -> None:
        self.calls.append(("abort",))

    def fail(self, request: Request, exception: Exception) -> None:
        self.calls.append(("fail", request, exception))

    @property
    def base(self) -> EventBase:
        raise NotImplementedError
