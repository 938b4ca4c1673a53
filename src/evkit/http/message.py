"""`Request`: what a handler gets, and the door through which it answers.

It knows its head, its body and its reply's progress; how bytes travel is its connection's business. A request whose
client has gone still takes a reply and drops it, so that a handler that answers late need not ask first.
"""

from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import unquote

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.fields import Fields, reason
from evkit.http.parser.contract import RequestHead

Body = bytes | bytearray | memoryview | str | Buffer
"""What a reply's body may be: ``str`` goes out as UTF-8, a `Buffer` is emptied, with its files and references."""

_PLAIN_TEXT = ("Content-Type", "text/plain; charset=utf-8")


class ReplyDoor(Protocol):
    """What a request needs of its connection."""

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """Send a whole reply."""

    def start_reply(self, status: int, fields: Fields) -> None:
        """Send the head of a reply that comes in pieces."""

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """Send a piece of it."""

    def end_reply(self) -> None:
        """End it."""

    def invite_body(self) -> None:
        """Say ``100 Continue`` to a client that waits for it."""


class BodyReceiver:
    """The two callbacks of a streamed request."""

    __slots__ = ("data", "end")

    def __init__(
        self, data: "Callable[[Request, bytes], object]", end: "Callable[[Request], object]"
    ) -> None:
        self.data = data
        self.end = end


class Request(RequestHead):
    """One request and its reply.

    Besides what follows it has ``method``, ``target``, ``host`` and ``headers``: see `RequestHead`.

    Attributes:
        connection: Where it came from; ``None`` when there is no client to answer any more.
        peer: The client's address, ``"192.0.2.1:51234"``, ``"[::1]:51234"``, ``"unix:"``.
        started_at: When its head was read, on the base's monotonic clock: see `EventBase.now`.
        body: The body, whole; empty where the handler was registered with ``stream=True``.
        trailers: The trailer fields of a chunked body, never merged into `headers`.
        status: Of the reply; 0 before there is one.
        reply_size: Bytes of the reply's body that were handed to the connection so far; 0 where none is, as to HEAD.
        aborted: Whether the connection ended, or the rest of the request broke the rules, before the reply was
            complete.
        on_close: Called as ``on_close(request)`` if the connection ends before the reply does, or the rest of the
            request breaks the rules. A client that only stops sending may still read, and is not gone.

    Source: ``struct evhttp_request``.
    """

    __slots__ = (
        "aborted",
        "body",
        "connection",
        "on_close",
        "peer",
        "receiver",
        "reply_size",
        "started_at",
        "status",
        "trailers",
    )

    def __init__(
        self,
        method: str,
        target: str,
        minor: int,
        host: str | None,
        body_length: int,
        keep_alive: bool,
        expect_continue: bool,
        raw: bytes,
    ) -> None:
        """Build a request as `RequestHead` is built; what that does is done here, since a call more is felt."""
        self.method = method
        self.target = target
        self.minor = minor
        self.host = host
        self.body_length = body_length
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self._fields = raw
        self.connection: ReplyDoor | None = None
        self.peer = ""
        self.started_at = 0.0
        self.body = b""
        self.trailers: Sequence[tuple[str, str]] = ()
        self.receiver: BodyReceiver | None = None
        self.on_close: Callable[[Request], object] | None = None
        self.reply_size = 0
        self.status = 0
        self.aborted = False

    def __repr__(self) -> str:
        state = f"status={self.status}" if self.status else "unanswered"
        return f"<Request {self.method} {self.target} {state}{' gone' if self.gone else ''}>"

    # What was asked

    @property
    def version(self) -> tuple[int, int]:
        """``(1, 0)`` or ``(1, 1)``."""
        return 1, self.minor

    @property
    def raw_path(self) -> str:
        """The path of the target, as sent: without scheme, authority and query."""
        path = self.target.partition("?")[0]
        if path[0] != "/":
            _, _, rest = path.partition("://")
            slash = rest.find("/")
            path = rest[slash:] if slash >= 0 else "/" if rest else path
        return path

    @property
    def path(self) -> str:
        """The path of the target, with its percent-encoding undone.

        Bytes that are not UTF-8 become surrogates, as in file names, so that nothing is lost.
        """
        path = self.raw_path
        return unquote(path, errors="surrogateescape") if "%" in path else path

    @property
    def query(self) -> str:
        """The query of the target, as sent and without ``?``; empty for none. Source: ``evhttp_uri_get_query``."""
        return self.target.partition("?")[2]

    @property
    def gone(self) -> bool:
        """Whether there is no client to answer any more: the reply was sent, or the connection ended."""
        return self.connection is None

    # The body as it comes

    def receive(
        self, on_data: "Callable[[Request, bytes], object]", on_end: "Callable[[Request], object]"
    ) -> None:
        """Take the body piece by piece; for handlers registered with ``stream=True``, which call this at once.

        A client that waits for ``100 Continue`` hears it now. If the connection ends early, `on_close` is called and
        ``on_end`` is not.

        Args:
            on_data: ``on_data(request, data)`` for each piece, without framing.
            on_end: ``on_end(request)`` when the body is complete; `trailers` are there then.

        Raises:
            LocalProtocolError: The body is received already, or the handler was not registered for this.
        """
        if self.receiver is not None:
            raise LocalProtocolError("receive() was called before for this request")
        self.receiver = BodyReceiver(on_data, on_end)
        if self.connection is not None:
            self.connection.invite_body()

    # The reply

    def send_reply(self, status: int, body: Body = b"", headers: Fields = ()) -> None:
        """Answer. ``Date``, ``Content-Length`` and ``Connection`` are set by themselves.

        Args:
            status: 200 to 999.
            body: Left out for HEAD and the statuses that have none, but its length is told.
            headers: Pairs of ``str``.

        Raises:
            LocalProtocolError: The request was answered before, or a field is no valid one. Nothing was sent.

        Source: ``evhttp_send_reply``.
        """
        if self.status or not 200 <= status <= 999:
            self._check_reply(status)
        if self.connection is not None:
            self.connection.reply(status, body if type(body) is bytes else _as_body(body), headers)
        elif isinstance(body, Buffer):
            body.clear()

    def send_error(self, status: int, message: str = "") -> None:
        """Answer with a line of text: the reason phrase, and ``message`` where given.

        Source: ``evhttp_send_error``, which also ends the connection.
        """
        text = f"{status} {reason(status)}"
        self.send_reply(status, f"{text}: {message}\n" if message else f"{text}\n", [_PLAIN_TEXT])

    def send_reply_start(self, status: int, headers: Fields = ()) -> None:
        """Begin an answer that comes in pieces: in chunks, unless ``headers`` tell a ``Content-Length``.

        Raises:
            LocalProtocolError: As `send_reply`.

        Source: ``evhttp_send_reply_start``.
        """
        self._check_reply(status)
        if self.connection is not None:
            self.connection.start_reply(status, headers)

    def send_reply_chunk(self, data: Body, drained: Callable[[], object] | None = None) -> None:
        """Send a piece of the answer; an empty one is nothing.

        Args:
            data: The piece.
            drained: Called once when all that was sent so far is on its way: the time to send more.

        Raises:
            LocalProtocolError: There was no `send_reply_start`, or the piece passes the Content-Length.

        Source: ``evhttp_send_reply_chunk_with_cb``.
        """
        if self.connection is not None:
            self.connection.send_piece(_as_body(data), drained)
        elif isinstance(data, Buffer):
            data.clear()

    def send_reply_end(self) -> None:
        """End the answer.

        Raises:
            LocalProtocolError: There was no `send_reply_start`, or less was sent than the Content-Length said; the
                connection is closed then, since the client can't know.

        Source: ``evhttp_send_reply_end``.
        """
        if self.connection is not None:
            self.connection.end_reply()

    def _check_reply(self, status: int) -> None:
        if self.status and not self.aborted:
            raise LocalProtocolError(f"the request was answered before, with {self.status}")
        if not 200 <= status <= 999:
            raise ValueError(f"expected a final status, 200 to 999, got {status}")


def _as_body(body: Body) -> bytes | Buffer:
    if isinstance(body, Buffer):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")  # as `Request.path` decodes
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"a body is bytes, str or a Buffer, got {type(body).__name__}")
