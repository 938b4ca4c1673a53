"""`ReverseProxy`: a handler that has another server answer.

It decides which requests are passed on, and where; how they go is the `Passage`'s business.
"""

import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, get_args

from evkit.core import EventBase
from evkit.core.log import LOG_WARN, log
from evkit.core.piping import Pipe
from evkit.errors import LocalProtocolError
from evkit.http.client.client import Client
from evkit.http.client.origin import Origin, parse_url
from evkit.http.client.response import Response
from evkit.http.fields import encode_line
from evkit.http.kinds import FLAG, TEXT, Kind, Kinds, check_options
from evkit.http.proxies.forwarded import Kind as Forwarded
from evkit.http.relay.fields import (
    Pair,
    asks_for_upgrade,
    end_to_end,
    hops_left,
    leads_out,
    of_request,
    origin_of,
    via,
    was_here,
)
from evkit.http.relay.passage import Passage, Terms, pass_upgrade
from evkit.http.server.request import Request

_OPTIONS: Final[Kinds] = {
    "url": TEXT,
    "keep_host": FLAG,
    "forwarded": Kind("a str, or None", str, type(None)),
    "name": Kind("a str, or None", str, type(None)),
}
_REFUSED: Final = frozenset({"CONNECT", "TRACE"})
"""A tunnel to anywhere, and an echo of all fields, credentials of others among them."""


class ReverseProxy:
    """A handler that passes requests on to another server, and its responses back.

        with ReverseProxy(base, "http://127.0.0.1:8000") as proxy:
            server.set_gencb(proxy, stream=True)

    Bodies go both ways as they come, and no faster than they are taken, if the handler is registered with
    ``stream=True``; else requests have theirs whole. ``100 Continue``, early hints, trailers of responses and protocols
    such as WebSocket pass. A client that goes ends what is asked for it.

    The server is told who asks, by ``X-Forwarded-For``, ``-Proto`` and ``-Host``; what the client itself says there is
    left out. A request that comes a second time is answered with 508.

    Args:
        base: The event base.
        url: The server, ``"http://127.0.0.1:8000"``; a path in it is put before that of each request. A user and a
            password in it are sent with each that has no ``Authorization``.
        keep_host: Send the client's ``Host`` in place of the server's own.
        forwarded: How it is told who asks: ``"x-forwarded"``; ``"forwarded"``, by RFC 7239's field; ``None``: it is
            not.
        name: By which the proxy is known in ``Via``, a token; ``None``: a new one. Give each another.
        options: For the `Client` that asks, such as ``timeouts``, ``tls``, ``unix`` and ``max_per_host``; not
            ``decode`` and ``cookies``.

    Attributes:
        on_request: ``on_request(request, fields)`` is called before a request is passed on. It may change the list of
            pairs, or answer the request: then it is not.
        on_response: ``on_response(request, response, fields)`` is called before the reply begins. It may do the same.
        on_failed: ``on_failed(request, error)`` hears why a client got 502 to 504, or half a reply. ``None``: that is
            logged.

    Raises:
        ValueError: The URL is none of http or https, or has a query; or there is no such kind of fields.
        LocalProtocolError: The name is no token.
        TypeError: There is no such option, or one is of a wrong type.

    Source: RFC 9110 §3.7, §7.6. evhttp has none.
    """

    __slots__ = (
        "_closed",
        "_forwarded",
        "_keep_host",
        "_name",
        "_origin",
        "_start",
        "_terms",
        "_tunnels",
        "_with_path",
        "on_failed",
        "on_request",
        "on_response",
    )

    def __init__(
        self,
        base: EventBase,
        url: str,
        *,
        keep_host: bool = False,
        forwarded: Forwarded | None = "x-forwarded",
        name: str | None = None,
        **options: Any,
    ) -> None:
        check_options(_OPTIONS, locals())
        uri = parse_url(url)
        self._origin = Origin.of(uri)
        if uri.query is not None or uri.fragment is not None:
            raise ValueError("expected the URL of a server as http://host/path, got one with more behind it")
        if forwarded not in (*get_args(Forwarded), None):
            raise ValueError(f'expected forwarded="x-forwarded", "forwarded" or None, got {forwarded!r}')
        self._start = str(uri).rstrip("/")
        self._with_path = uri.path.strip("/") != ""
        self._name = f"evkit-{secrets.token_hex(4)}" if name is None else name
        encode_line(self._name, "")  # a token is what can be a name
        self._keep_host = keep_host
        self._forwarded: Forwarded | None = forwarded
        self._tunnels: set[Pipe] = set()
        self._closed = False
        self.on_request: Callable[[Request, list[Pair]], object] | None = None
        self.on_response: Callable[[Request, Response, list[Pair]], object] | None = None
        self.on_failed: Callable[[Request, Exception], object] | None = None
        client = Client(base, decode=False, cookies=None, **options)
        self._terms = Terms(client, self._answered, self._failed, self._joined)

    def __repr__(self) -> str:
        return f"<ReverseProxy to {self._origin} tunnels={len(self._tunnels)} {self._terms.client!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections to the server, and what they have become. Harmless when it is closed."""
        self._closed = True
        self._terms.client.close()
        for tunnel in list(self._tunnels):
            tunnel.close()

    def __call__(self, request: Request) -> None:
        """Pass a request on, or refuse it. From now on `Request.on_close` is the proxy's."""
        refusal = self._refusal(request)
        if refusal is not None:
            request.send_error(*refusal)
            return
        if hops_left(request.method, request.headers) == 0:
            request.send_reply(204)  # it was for us
            return
        fields = self._fields_for(request)
        if self.on_request is not None:
            self.on_request(request, fields)
        if not (request.status or request.gone):
            self._pass_on(request, fields)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        if self._closed:
            return 503, "this server is stopping"
        if request.method in _REFUSED or request.raw_path[0] != "/":
            return 501, f"{request.method} {request.target} is not passed on"
        if self._with_path and leads_out(request.path):
            return 400, "the path leads out of what is there"
        if was_here(request.headers, self._name):
            return 508, "the request has gone in a circle"
        return None

    def _fields_for(self, request: Request) -> list[Pair]:
        """Return the fields of a request to the server."""
        fields = of_request(request.headers)
        if self._keep_host and request.host:
            fields.append(("Host", request.host))
        fields += origin_of(request, self._forwarded)
        fields.append(via(request.minor, self._name))
        hops = hops_left(request.method, request.headers)
        if hops is not None:
            fields.append(("Max-Forwards", str(hops - 1)))
        return fields

    def _pass_on(self, request: Request, fields: list[Pair]) -> None:
        query = f"?{request.query}" if "?" in request.target else ""
        url = f"{self._start}{request.raw_path}{query}"
        protocols = asks_for_upgrade(request)
        try:
            if protocols is None:
                Passage(self._terms, request, url, fields)
            else:
                pass_upgrade(self._terms, request, url, fields, protocols)
        except LocalProtocolError:  # what it says quotes fields, and `on_request` may have added secret ones
            request.send_error(400, "the request has fields that can't be passed on")

    def _answered(self, request: Request, response: Response) -> list[Pair]:
        fields = end_to_end(response.headers)
        if self.on_response is not None:
            self.on_response(request, response, fields)
        return fields

    def _failed(self, request: Request, error: Exception) -> None:
        if self.on_failed is not None:
            self.on_failed(request, error)
        else:  # without its query, which may be secret
            log(
                LOG_WARN,
                f"{request.method} {request.raw_path} from {request.client}: {self._origin}: {error}",
            )

    def _joined(self, tunnel: Pipe) -> None:
        self._tunnels.add(tunnel)
        tunnel.on_close = self._tunnels.discard
        if self._closed:  # by `on_response`
            tunnel.close()
