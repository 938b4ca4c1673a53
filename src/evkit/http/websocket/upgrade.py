"""From a request to a `WebSocket`: the server's door.

It answers what is refused and takes over what is not; what is which is decided in `evkit.http.websocket.handshake` and
`evkit.http.websocket.origins`.
"""

from collections.abc import Iterable
from typing import Final

from evkit.http.fields import Fields
from evkit.http.kinds import Kind, Kinds, check_options
from evkit.http.server.request import Request
from evkit.http.websocket.group import WebSocketGroup
from evkit.http.websocket.handshake import Acceptance, Refusal, check_fields, check_names, judge
from evkit.http.websocket.options import CHOICES, DEFAULT_OPTIONS, WebSocketOptions
from evkit.http.websocket.origins import Origins
from evkit.http.websocket.websocket import CloseCallback, MessageCallback, WebSocket

_KINDS: Final[Kinds] = {**CHOICES, "group": Kind("a WebSocketGroup, or None", WebSocketGroup, type(None))}


def upgrade(
    request: Request,
    on_message: MessageCallback | None = None,
    *,
    on_close: CloseCallback | None = None,
    subprotocols: Iterable[str] = (),
    origins: Iterable[str] | None = (),
    options: WebSocketOptions = DEFAULT_OPTIONS,
    group: WebSocketGroup | None = None,
    headers: Fields = (),
) -> WebSocket | None:
    """Answer a request by becoming a WebSocket; call it in a handler, or later.

    Args:
        request: One that is not answered yet.
        on_message: See `WebSocket`.
        on_close: Likewise.
        subprotocols: Names that this server speaks, the best first. The first that the client named is agreed upon; a
            client that names none of them is accepted all the same: see `WebSocket.subprotocol`.
        origins: Whose pages may connect beside those of this host, as ``"https://example.org"``; ``None``: anybody's.
            Clients that are no browsers tell no origin, and may.
        options: Limits, time-outs and compression.
        group: Where it belongs; if that is closing, the answer is 503.
        headers: More fields for the reply.

    Returns:
        The connection; ``None`` if the request was refused, which is answered already, or the client has gone.

    Raises:
        LocalProtocolError: The request is answered already, or its body has not been read, or a field is not valid or
            the handshake's own.
        ValueError: A name or an origin is none.
        TypeError: An argument is of a wrong type.

    Source: ``evws_new_session``; RFC 6455 §4.2.
    """
    check_options(_KINDS, locals())
    extra = check_fields(headers)
    names, allowed = check_names(subprotocols), None if origins is None else Origins(origins)
    if request.gone and request.aborted:
        return None
    verdict = judge(
        request.method, request.minor, request.headers, subprotocols=names, deflate=options.deflate
    )
    if isinstance(verdict, Acceptance):
        verdict = _object(request, allowed, group) or verdict
    if isinstance(verdict, Refusal):
        request.send_error(verdict.status, verdict.message, verdict.fields)
        return None
    bev = request.take_over(101, [*verdict.fields, *extra])
    ws = WebSocket(bev, client=False, on_message=on_message, options=options, agreement=verdict.agreement)
    ws.request = request
    ws.on_close = on_close
    if group is not None:
        group.add(ws)
    return ws


def _object(request: Request, origins: Origins | None, group: WebSocketGroup | None) -> Refusal | None:
    """Return what speaks against a request that is right in itself."""
    if origins is not None and not _may(request, origins):
        return Refusal(403, "pages of this origin may not connect")
    if group is not None and group.closing:
        return Refusal(503, "this service is going away")
    return None


def _may(request: Request, origins: Origins) -> bool:
    told = request.headers.get_all("origin")
    proxied = request.proxied
    host = (proxied.host if proxied is not None else None) or request.host
    return not told or (len(told) == 1 and origins.allow(told[0], host))
