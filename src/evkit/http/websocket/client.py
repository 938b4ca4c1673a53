"""From a server's reply to a `WebSocket`: the client's door.

It knows nothing of how the request was sent.
"""

from evkit.core import BufferEvent
from evkit.http.headers import Headers
from evkit.http.kinds import check_options
from evkit.http.websocket.handshake import ClientHandshake
from evkit.http.websocket.options import CHOICES, DEFAULT_OPTIONS, WebSocketOptions
from evkit.http.websocket.websocket import CloseCallback, MessageCallback, WebSocket


def open_client(
    bev: BufferEvent,
    handshake: ClientHandshake,
    status: int,
    headers: Headers,
    on_message: MessageCallback | None = None,
    *,
    on_close: CloseCallback | None = None,
    options: WebSocketOptions = DEFAULT_OPTIONS,
) -> WebSocket:
    """Make the client's end of a WebSocket of a connection whose server has replied.

    Args:
        bev: The connection; what stands behind the reply's head is in its input.
        handshake: Whose fields the request had.
        status: Of the reply.
        headers: Of the reply.
        on_message: See `WebSocket`.
        on_close: Likewise.
        options: Limits and time-outs; its ``deflate`` is the handshake's.

    Raises:
        HandshakeError: The reply is no agreement to what was asked. The connection is still the caller's, to close.
        ValueError: ``bev`` is closed.
        TypeError: A callback can't be called, or ``options`` are others.

    Source: RFC 6455 §4.1; libevent has no client.
    """
    check_options(CHOICES, locals())
    agreement = handshake.check(status, headers)
    ws = WebSocket(bev, client=True, on_message=on_message, options=options, agreement=agreement)
    ws.on_close = on_close
    return ws
