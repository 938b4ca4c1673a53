"""`connect`: a WebSocket to a server, by a `Client`, which knows of connections, TLS, proxies and credentials.

It joins the two: what to ask for and what to make of the answer is decided in `handshake`.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from evkit.core import BufferEvent, Future
from evkit.http.fields import Fields
from evkit.http.kinds import TEXT, Kinds, check_options
from evkit.http.websocket.client import open_client
from evkit.http.websocket.errors import HandshakeError
from evkit.http.websocket.handshake import ClientHandshake, Pairs, check_fields, check_names, refused
from evkit.http.websocket.options import CHOICES, DEFAULT_OPTIONS, WebSocketOptions
from evkit.http.websocket.websocket import CloseCallback, MessageCallback, WebSocket

if TYPE_CHECKING:
    from evkit.http.client.client import Client
    from evkit.http.client.response import Response

_KINDS: Final[Kinds] = {**CHOICES, "url": TEXT}
_SCHEMES: Final = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


def connect(
    client: "Client",
    url: str,
    on_message: MessageCallback | None = None,
    *,
    on_close: CloseCallback | None = None,
    subprotocols: Iterable[str] = (),
    headers: Fields = (),
    options: WebSocketOptions = DEFAULT_OPTIONS,
) -> Future[WebSocket]:
    """Open a WebSocket.

        ws = connect(client, "wss://example.org/chat", on_message).result()
        ws.send("hello")

    Args:
        client: Connects, by its rules for TLS, proxies, credentials and time. The connection does not go back to its
            pool, and outlives it.
        url: ``ws://host/path`` or ``wss://host/path``.
        on_message: See `WebSocket`. Nothing is delivered before the future's callbacks were called, so it may also be
            set in one of them, or on what ``result()`` returns.
        on_close: Likewise.
        subprotocols: Names to offer, the best first.
        headers: Pairs of ``str`` for the request, such as ``Origin``.
        options: Limits, time-outs and compression. They hold from the server's agreement on; until then those of the
            client do.

    Returns:
        A future of the `WebSocket`. It fails with a `HandshakeError` where the server does not agree, and else as
        those of `Client.request`. Redirects are not followed. To cancel it is to stop.

    Raises:
        ValueError: The URL is none of these, or a name can't be offered.
        TypeError: An argument is of a wrong type.
        LocalProtocolError: As `Client.request`; or a header is the handshake's own.

    Source: RFC 6455 §4.1; libevent has no client.
    """
    check_options(_KINDS, locals())
    opening = _Opening(client, check_names(subprotocols), tuple(check_fields(headers)), options)
    opening.on_message = on_message
    opening.on_close = on_close
    opening.begin(_as_http(url))
    return opening.future


class _Opening:
    """One `connect` under way."""

    __slots__ = (
        "_answer",
        "_client",
        "_extra",
        "_handshake",
        "_options",
        "_subprotocols",
        "future",
        "on_close",
        "on_message",
    )

    def __init__(
        self,
        client: "Client",
        subprotocols: Sequence[str],
        extra: Sequence[tuple[str, str]],
        options: WebSocketOptions,
    ) -> None:
        self.future: Future[WebSocket] = Future(client.base, self._on_cancel)
        self.on_message: MessageCallback | None = None
        self.on_close: CloseCallback | None = None
        self._client = client
        self._subprotocols = subprotocols
        self._extra = extra
        self._handshake: ClientHandshake | None = None  # of the request that is under way
        self._options = options
        self._answer: Future[WebSocket | HandshakeError | Response] | None = None

    def begin(self, url: str) -> None:
        answer = self._client.upgrade(url, self._fields, self._opened)
        answer.add_done_callback(self._answered)
        self._answer = answer

    def _fields(self) -> Pairs:
        """Return what goes with one try: each has a key of its own, as RFC 6455 §4.1 has it."""
        self._handshake = ClientHandshake(self._subprotocols, deflate=self._options.deflate)
        return [*self._extra, *self._handshake.fields]

    def _opened(self, response: "Response", bev: BufferEvent) -> WebSocket | HandshakeError:
        """Make what the server's 101 is worth."""
        assert self._handshake is not None  # the reply is to its fields
        try:
            ws = open_client(
                bev,
                self._handshake,
                response.status,
                response.headers,
                self.on_message,
                on_close=self.on_close,
                options=self._options,
            )
        except HandshakeError as error:
            bev.close()
            return error.with_traceback(None)  # whose frames would keep what keeps it
        ws.pause()  # who has asked hears of it first
        return ws

    def _answered(self, done: "Future[WebSocket | HandshakeError | Response]") -> None:
        if done.cancelled():
            return
        result = done.exception() or done.result()
        if isinstance(result, BaseException):
            self.future.set_exception(result)
        elif not isinstance(result, WebSocket):
            self.future.set_exception(refused(result.status))
        elif self.future.set_result(result):
            result.resume()
        else:  # cancelled in the very last moment
            result.on_close = None
            result.abort()

    def _on_cancel(self, future: Future[WebSocket]) -> None:  # noqa: ARG002 - a callback
        assert self._answer is not None  # before `begin` nobody has the future
        self._answer.cancel()


def _as_http(url: str) -> str:
    scheme, _, rest = url.partition("://")
    known = _SCHEMES.get(scheme.lower())
    if known is None:  # it is not shown, as it may have a password
        raise ValueError("expected a URL as ws://host/path or wss://host/path, got another")
    return f"{known}://{rest}"
