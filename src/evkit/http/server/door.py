"""The door between a request and its connection: what the one asks of the other, and doors before that door.

`ReplyDoor` is what `Request` knows of a connection. Who wants to change replies on their way puts a `DoorBefore` in the
place of ``request.connection``. Neither knows how a reply is sent.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from evkit.core import Buffer, BufferEvent, EventBase
from evkit.http.fields import Fields

if TYPE_CHECKING:
    import ssl

    from evkit.http.server.request import Request

Body = bytes | bytearray | memoryview | str | Buffer
"""What a reply's body may be: ``str`` goes out as UTF-8, a `Buffer` is emptied, with its files and references."""


class ReplyDoor(Protocol):
    """What a request needs of its connection."""

    @property
    def base(self) -> EventBase:
        """The event base that the connection runs on."""

    @property
    def ssl_object(self) -> "ssl.SSLObject | None":
        """What the connection has agreed on, under TLS."""

    @property
    def body_is_due(self) -> bool:
        """Whether the body of the request has not been read to its end."""

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """Send a whole reply."""

    def start_reply(self, status: int, fields: Fields) -> None:
        """Send the head of a reply that comes in pieces."""

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """Send a piece of it."""

    def inform(self, status: int, fields: Fields) -> None:
        """Send an interim reply."""

    def end_reply(self, trailers: Fields) -> None:
        """End it."""

    def take_over(self, status: int, fields: Fields) -> BufferEvent:
        """Send a head, and give the connection away."""

    def error_page(self, status: int, message: str) -> tuple[Body, str]:
        """Return the page for an error, and its content type."""

    def invite_body(self) -> None:
        """Say ``100 Continue`` to a client that waits for it."""

    def pause_body(self) -> None:
        """The receiver wants no more of the body for now."""

    def resume_body(self) -> None:
        """The receiver wants more of it."""

    def stream(self, pieces: Iterable[Body]) -> None:
        """Send the pieces of a reply that has begun, and its end."""

    def abort(self) -> None:
        """Close the connection."""

    def fail(self, request: "Request", exception: Exception) -> None:
        """Tell of an exception, and answer 500 where there is no answer yet."""


class DoorBefore:
    """A `ReplyDoor` that passes everything on to another; the base of those that change something.

    Args:
        door: The other.
    """

    __slots__ = ("_door",)

    def __init__(self, door: ReplyDoor) -> None:
        self._door = door

    @property
    def base(self) -> EventBase:
        """See `ReplyDoor.base`."""
        return self._door.base

    @property
    def ssl_object(self) -> "ssl.SSLObject | None":
        """See `ReplyDoor.ssl_object`."""
        return self._door.ssl_object

    @property
    def body_is_due(self) -> bool:
        """See `ReplyDoor.body_is_due`."""
        return self._door.body_is_due

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """See `ReplyDoor.reply`."""
        self._door.reply(status, body, fields)

    def start_reply(self, status: int, fields: Fields) -> None:
        """See `ReplyDoor.start_reply`."""
        self._door.start_reply(status, fields)

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """See `ReplyDoor.send_piece`."""
        self._door.send_piece(data, drained)

    def inform(self, status: int, fields: Fields) -> None:
        """See `ReplyDoor.inform`."""
        self._door.inform(status, fields)

    def end_reply(self, trailers: Fields) -> None:
        """See `ReplyDoor.end_reply`."""
        self._door.end_reply(trailers)

    def take_over(self, status: int, fields: Fields) -> BufferEvent:
        """See `ReplyDoor.take_over`."""
        return self._door.take_over(status, fields)

    def error_page(self, status: int, message: str) -> tuple[Body, str]:
        """See `ReplyDoor.error_page`."""
        return self._door.error_page(status, message)

    def invite_body(self) -> None:
        """See `ReplyDoor.invite_body`."""
        self._door.invite_body()

    def pause_body(self) -> None:
        """See `ReplyDoor.pause_body`."""
        self._door.pause_body()

    def resume_body(self) -> None:
        """See `ReplyDoor.resume_body`."""
        self._door.resume_body()

    def stream(self, pieces: Iterable[Body]) -> None:
        """See `ReplyDoor.stream`."""
        self._door.stream(pieces)

    def abort(self) -> None:
        """See `ReplyDoor.abort`."""
        self._door.abort()

    def fail(self, request: "Request", exception: Exception) -> None:
        """See `ReplyDoor.fail`."""
        self._door.fail(request, exception)
