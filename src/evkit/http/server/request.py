"""`Request`: what a handler gets, and the door through which it answers.

It knows its head, its body and its reply's progress; how bytes travel is its connection's business. A request whose
client has gone still takes a reply and drops it, so that a handler that answers late need not ask first.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

from evkit.core import Buffer, BufferEvent
from evkit.errors import LocalProtocolError
from evkit.http.fields import Fields, as_pairs
from evkit.http.parser.contract import RequestHead
from evkit.http.proxies.forwarded import ProxiedClient
from evkit.http.server.door import Body, ReplyDoor
from evkit.http.server.stream import close_pieces

if TYPE_CHECKING:
    import ssl


class BodyReceiver:
    """The two callbacks of a streamed request, and whether they want to be called now."""

    __slots__ = ("data", "end", "paused")

    def __init__(
        self, data: "Callable[[Request, bytes], object]", end: "Callable[[Request], object]"
    ) -> None:
        self.data = data
        self.end = end
        self.paused = False


class Request(RequestHead):
    """One request and its reply.

    Besides what follows it has ``method``, ``target``, ``host`` and ``headers``: see `RequestHead`.

    Attributes:
        connection: Where it came from; ``None`` when there is no client to answer any more.
        peer: Who is connected, ``"192.0.2.1:51234"``, ``"[::1]:51234"``, ``"unix:"``; where the connection began with a
            PROXY header, whom that names.
        proxied: What trusted proxies say of the client in header fields; ``None``: there are none. See `client`,
            `scheme` and `url`, which heed it.
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
        "proxied",
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
        self.proxied: ProxiedClient | None = None
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
    def client(self) -> str:
        """The client's address: `peer`, or whom that names, if it is a trusted proxy; see `ProxiedClient.address`."""
        return self.peer if self.proxied is None else self.proxied.address

    @property
    def scheme(self) -> str:
        """How the client asked: ``"https"`` or ``"http"``; good until the reply is complete."""
        if self.proxied is not None and self.proxied.scheme is not None:
            return self.proxied.scheme
        return "http" if self.ssl_object is None else "https"

    @property
    def url(self) -> str:
        """What the client asked for, whole, as ``http://host/path``; good until the reply is complete.

        The host is empty where an HTTP/1.0 client names none. For ``CONNECT`` it is the target alone.

        Source: RFC 9112 §3.3.
        """
        target = self.target
        if target[0] not in "/*":
            return target
        told = None if self.proxied is None else self.proxied.host
        return f"{self.scheme}://{told or self.host or ''}{'' if target == '*' else target}"

    @property
    def ssl_object(self) -> "ssl.SSLObject | None":
        """What the connection has agreed on: ``getpeercert()`` and the like. ``None`` without TLS, or a client."""
        door = self.connection
        return None if door is None else door.ssl_object

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
        door = self.connection
        try:
            if door is not None:
                door.invite_body()
        except LocalProtocolError:
            self.receiver = None
            raise

    def pause(self) -> None:
        """Take no more of the body for now; `receive` came before.

        What has come already may still be delivered by the call that is under way. The client can send no more than
        fits into the system's buffers and 64 KiB of ours.

        Raises:
            LocalProtocolError: The body is not received piece by piece.
        """
        receiver = self._receiver("pause()")
        if not receiver.paused:
            receiver.paused = True
            door = self.connection
            if door is not None:
                door.pause_body()

    def resume(self) -> None:
        """Take the body again after `pause`; pieces may be delivered before this returns.

        Raises:
            LocalProtocolError: The body is not received piece by piece.
        """
        receiver = self._receiver("resume()")
        if receiver.paused:
            receiver.paused = False
            door = self.connection
            if door is not None:
                door.resume_body()

    def _receiver(self, call: str) -> BodyReceiver:
        if self.receiver is None:
            raise LocalProtocolError(f"receive() comes before {call}")
        return self.receiver

    # The reply

    def send_informational(self, status: int, headers: Fields) -> None:
        """Send an interim reply, such as 103 with ``Link`` fields; the reply itself follows.

        HTTP/1.0 clients know no such replies, and get none.

        Args:
            status: 102 to 199. (100 is sent by itself, 101 by `take_over`.)
            headers: Pairs of ``str``.

        Raises:
            ValueError: ``status`` is another.
            LocalProtocolError: The reply has begun, or a field is no valid one.

        Source: RFC 8297, RFC 9110 §15.2; evhttp has none.
        """
        if not 102 <= status <= 199:
            raise ValueError(f"expected an interim status, 102 to 199, got {status}")
        if self.status:
            raise LocalProtocolError(f"an interim reply comes before the reply, which was {self.status}")
        door = self.connection
        if door is not None and self.minor:
            door.inform(status, headers)

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
        door = self.connection
        if door is not None:
            door.reply(status, body if type(body) is bytes else as_body(body), headers)
        elif isinstance(body, Buffer):
            body.clear()

    def send_error(self, status: int, message: str = "", headers: Fields = ()) -> None:
        """Answer with the page that the server has for errors: a line of text, unless `Server.error_page` says else.

        Args:
            status: 400 to 599, as a rule.
            message: What more there is to say; part of the page, so no secret.
            headers: Pairs of ``str``, beside those of the page.

        Raises:
            LocalProtocolError: As `send_reply`.

        Source: ``evhttp_send_error``, which also ends the connection.
        """
        door = self.connection
        if door is not None:
            body, content_type = door.error_page(status, message)
            self.send_reply(status, body, [("Content-Type", content_type), *as_pairs(headers)])
        else:
            self.send_reply(status)

    def send_reply_start(self, status: int, headers: Fields = ()) -> None:
        """Begin an answer that comes in pieces: in chunks, unless ``headers`` tell a ``Content-Length``.

        Raises:
            LocalProtocolError: As `send_reply`.

        Source: ``evhttp_send_reply_start``.
        """
        self._check_reply(status)
        door = self.connection
        if door is not None:
            door.start_reply(status, headers)

    def send_reply_chunk(self, data: Body, drained: Callable[[], object] | None = None) -> None:
        """Send a piece of the answer; an empty one is nothing.

        Args:
            data: The piece.
            drained: Called once when all that was sent so far is on its way: the time to send more.

        Raises:
            LocalProtocolError: There was no `send_reply_start`, or the piece passes the Content-Length.

        Source: ``evhttp_send_reply_chunk_with_cb``.
        """
        door = self.connection
        if door is not None:
            door.send_piece(as_body(data), drained)
        elif isinstance(data, Buffer):
            data.clear()

    def send_stream(self, status: int, pieces: Iterable[Body], headers: Fields = ()) -> None:
        """Answer with what an iterator gives, piece by piece, no faster than the client takes it.

        Args:
            status: 200 to 999.
            pieces: Asked for the next piece when there is room for it; in the loop's thread, so it must not block. A
                generator, or whatever else has a ``close()``, is closed at the end, and when the client goes. What it
                raises goes to the base's exception handler and cuts the reply off.
            headers: Pairs of ``str``; a ``Content-Length`` that they tell must be right.

        Raises:
            LocalProtocolError: As `send_reply`.

        evhttp has none.
        """
        iterator = iter(pieces)
        self.send_reply_start(status, headers)
        door = self.connection
        if door is not None:
            door.stream(iterator)
        else:
            close_pieces(iterator)

    def send_reply_end(self, trailers: Fields = ()) -> None:
        """End the answer.

        Args:
            trailers: Pairs of ``str`` that stand behind the body where it went out in chunks; otherwise they are
                dropped, as any proxy may drop them. Announce them by a ``Trailer`` field.

        Raises:
            LocalProtocolError: There was no `send_reply_start`, or a trailer is no valid one: nothing was sent. Or
                less was sent than the Content-Length said; the connection is closed then, since the client can't know.

        Source: ``evhttp_send_reply_end``.
        """
        door = self.connection
        if door is not None:
            door.end_reply(trailers)

    def take_over(self, status: int = 101, headers: Fields = ()) -> BufferEvent:
        """Answer, and take the connection over: what follows is no HTTP.

        The buffered connection is the caller's then, with the bytes that have come already in its input, without
        callbacks and time-outs, and enabled for reading. The server forgets it: it neither counts nor stops it.

        Args:
            status: 101 for ``Upgrade``; ``Connection: upgrade`` is set by itself. 2xx for ``CONNECT``.
            headers: Pairs of ``str``; with 101 an ``Upgrade`` field that names the protocol.

        Raises:
            LocalProtocolError: The request is answered, or its client has gone, or its body has not been read; or the
                status is another, or ``Upgrade`` is missing, or was not asked for. Nothing was sent.

        Source: RFC 9110 §7.8, §9.3.6. evhttp has none.
        """
        door = self.connection
        if self.status or door is None:
            raise LocalProtocolError("take_over() on a request that was answered, or whose client has gone")
        return door.take_over(status, headers)

    def abort(self) -> None:
        """Close the connection without the reply, or the rest of it. `on_close` is called."""
        door = self.connection
        if door is not None:
            door.abort()

    def _check_reply(self, status: int) -> None:
        if self.status and not self.aborted:
            raise LocalProtocolError(f"the request was answered before, with {self.status}")
        if not 200 <= status <= 999:
            raise ValueError(f"expected a final status, 200 to 999, got {status}")


def as_body(body: Body) -> bytes | Buffer:
    """Return a body as bytes, or as the `Buffer` that it is.

    Raises:
        TypeError: It is none.
    """
    if isinstance(body, Buffer):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")  # as `Request.path` decodes
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    raise TypeError(f"a body is bytes, str or a Buffer, got {type(body).__name__}")
