"""`connect`: a WebSocket to a server, by a `Client`, which knows of connections, TLS, proxies and credentials.

It joins the two: what to ask for and what to make of the answer is decided in `handshake`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from evkit.core import BufferEvent, Future
from evkit.http.fields import Fields, as_pairs
from evkit.http.websocket.client import open_client
from evkit.http.websocket.handshake import ClientHandshake
from evkit.http.websocket.options import DEFAULT_OPTIONS, WebSocketOptions
from evkit.http.websocket.websocket import CloseCallback, MessageCallback, WebSocket

if TYPE_CHECKING:
    from evkit.http.client.client import Client
    from evkit.http.client.response import Response

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
        on_message: See `WebSocket`.
        on_close: Likewise.
        subprotocols: Names to offer, the best first.
        headers: Pairs of ``str`` for the request, such as ``Origin``.
        options: Limits and time-outs.

    Returns:
        A future of the `WebSocket`. It fails with a `HandshakeError` where the server does not agree, and else as
        those of `Client.request`. To cancel it is to stop.

    Raises:
        ValueError: The URL is none of these, or a name can't be offered.
        LocalProtocolError: As `Client.request`.

    Source: RFC 6455 §4.1; libevent has no client.
    """
    handshake = ClientHandshake(subprotocols, deflate=options.deflate)

    def opened(response: "Response", bev: BufferEvent) -> WebSocket:
        return open_client(
            bev,
            handshake,
            response.status,
            response.headers,
            on_message,
            on_close=on_close,
            options=options,
        )

    answer = client.upgrade(_as_http(url), [*as_pairs(headers), *handshake.fields], opened)
    future: Future[WebSocket] = Future(client.base, lambda _future: answer.cancel())

    def answered(done: "Future[WebSocket | Response]") -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            future.set_exception(error)
            return
        result = done.result()
        if isinstance(result, WebSocket):
            if not future.set_result(result):
                result.abort()
            return
        try:
            handshake.check(result.status, result.headers)
        except Exception as refused:
            future.set_exception(refused)

    answer.add_done_callback(answered)
    return future


def _as_http(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    known = _SCHEMES.get(scheme.lower())
    if known is None or not separator:
        raise ValueError(f"expected a URL as ws://host/path or wss://host/path, got {url!r:.60}")
    return f"{known}://{rest}"
