"""`Dial`: a connection to whom a route begins with, and through a proxy's tunnel to its end.

The doer: it connects, greets by TLS, asks a proxy for a tunnel and greets once more, each step with its own time-out.
What the connection is used for is somebody else's business.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evkit.core import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_TIMEOUT,
    Buffer,
    BufferEvent,
    EventBase,
    SocketBufferEvent,
)
from evkit.core.net import Address, Resolver
from evkit.errors import ConnectError, ConnectionLost, TransportError
from evkit.http.client.connection import ClientConnection
from evkit.http.client.origin import Origin
from evkit.http.client.proxy_choice import Route
from evkit.http.client.request_fields import connect_head
from evkit.http.client.retries import Progress
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.client.upload import Upload
from evkit.http.errors import BadResponse, RequestTimeout, quote
from evkit.http.parser import ResponseEngine, ResponseHead

if TYPE_CHECKING:
    import ssl

Done = Callable[["Dial", BufferEvent | None, Exception | None], object]
"""``done(dial, bev, error)``: one of the last two is there."""


@dataclass(frozen=True, slots=True)
class Dialling:
    """How a client connects.

    Attributes:
        timeouts: How long each step may take.
        make_engine: Makes the parser of a proxy's answer.
        resolver: Finds addresses; ``None``: that of the base.
        family: ``AF_INET`` or ``AF_INET6`` for addresses of one family only.
        local: The address to connect from; ``None``: the system chooses.
        unix: The path of a unix socket to connect to, whatever the host of a URL is.
        context: What to trust and to show under TLS; ``None``: the system's certificates.
        make_bufferevent: Makes a connection's plain bufferevent, which is not connected yet.
    """

    timeouts: ClientTimeouts
    make_engine: Callable[[], ResponseEngine] = field(repr=False)
    resolver: Resolver | None = None
    family: int = socket.AF_UNSPEC
    local: Address | None = None
    unix: str | None = None
    context: "ssl.SSLContext | None" = None
    make_bufferevent: Callable[[EventBase], SocketBufferEvent] = field(default=SocketBufferEvent, repr=False)


class Dial:
    """One connection in the making.

    Args:
        base: The event base.
        route: Where to.
        how: How.
        done: Called once, from the loop, unless `cancel` was called before.

    Attributes:
        route: Where to.
    """

    __slots__ = ("_base", "_bev", "_done", "_how", "route")

    def __init__(self, base: EventBase, route: Route, how: Dialling, done: Done) -> None:
        self._base = base
        self.route = route
        self._how = how
        self._done: Done | None = done
        self._bev: BufferEvent | None = None

    def __repr__(self) -> str:
        return f"<Dial to {self.route.hop} {self._bev!r}>"

    def start(self) -> None:
        """Begin.

        Raises:
            ValueError: There can't be such a host, or such a path of a unix socket.
            OSError: No socket could be made.
        """
        bev = self._how.make_bufferevent(self._base)
        self._bev = bev
        bev.on_close = self._on_closed
        bev.set_timeouts(write=self._how.timeouts.connect)
        bev.set_callbacks(event=self._on_connected)
        try:
            if self._how.unix is not None:
                bev.connect(self._how.unix)
            else:
                host, port = self.route.hop.address
                bev.connect_host(
                    host, port, resolver=self._how.resolver, family=self._how.family, local=self._how.local
                )
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Give up, without a word."""
        self._done = None
        bev, self._bev = self._bev, None
        if bev is not None:
            bev.close()

    def _on_closed(self, bev: BufferEvent) -> None:
        """Hear that somebody else has closed it: who has made it, or what has failed in a callback."""
        if bev is self._bev:
            self._failed(bev.error or ConnectionLost("the connection was closed", during="connect"))

    def _on_connected(self, bev: BufferEvent, what: int) -> None:
        if what != BEV_EVENT_CONNECTED:
            self._failed(self._not_connected(bev, what))
        elif self.route.hop.secure:
            self._greet(bev, self.route.hop, self._on_hop_greeted)
        else:
            self._at_hop(bev)

    def _not_connected(self, bev: BufferEvent, what: int) -> TransportError:
        if what & BEV_EVENT_TIMEOUT:
            where, limit = self._how.unix or self.route.hop, self._how.timeouts.connect
            told = f"no connection to {where} within {limit:g} s"
            late = RequestTimeout(told, during="connect", phase="connect")
            late.__cause__ = bev.error  # it tells which addresses were tried
            return late
        return bev.error or ConnectError("the connection was lost")

    def _greet(self, bev: BufferEvent, origin: Origin, then: Callable[[BufferEvent, int], object]) -> None:
        """Begin the TLS handshake with ``origin`` over ``bev``."""
        from evkit.core import TLSBufferEvent  # for those who need it: it takes its time to load

        bev.set_timeouts()
        bev.on_close = None
        try:
            tls = TLSBufferEvent(
                bev,
                self._how.context,
                server_hostname=origin.server_name,
                handshake_timeout=self._how.timeouts.tls,
            )
        except ValueError as error:
            # It is a context for servers, or the name one that no certificate can be checked against.
            self._failed(error)
            return
        self._bev = tls
        tls.on_close = self._on_closed
        tls.set_callbacks(event=then)

    def _on_hop_greeted(self, bev: BufferEvent, what: int) -> None:
        if self._is_greeted(bev, what):
            self._at_hop(bev)

    def _on_end_greeted(self, bev: BufferEvent, what: int) -> None:
        if self._is_greeted(bev, what):
            self._succeeded(bev)

    def _is_greeted(self, bev: BufferEvent, what: int) -> bool:
        if what == BEV_EVENT_CONNECTED:
            return True
        if what & BEV_EVENT_TIMEOUT:
            limit = self._how.timeouts.tls
            self._failed(
                RequestTimeout(f"no TLS handshake within {limit:g} s", during="connect", phase="tls")
            )
        else:
            self._failed(bev.error or ConnectionLost("the TLS handshake was cut off", during="connect"))
        return False

    def _at_hop(self, bev: BufferEvent) -> None:
        if self.route.tunnel is None:
            self._succeeded(bev)
            return
        try:
            tunnel = _Tunnel(self.route, self._on_tunnel, self._how)
        except Exception as error:  # of a field for the proxy, or of the program's own credentials
            self._failed(error)
        else:
            tunnel.ask(bev)

    def _on_tunnel(self, bev: BufferEvent | None, error: Exception | None) -> None:
        end = self.route.tunnel
        if bev is None:
            self._failed(error or ConnectionLost("the proxy gave no tunnel", during="connect"))
        elif end is not None and end.secure:
            self._greet(bev, end, self._on_end_greeted)
        else:
            self._succeeded(bev)

    def _succeeded(self, bev: BufferEvent) -> None:
        done, self._done, self._bev = self._done, None, None
        bev.on_close = None
        bev.set_callbacks()
        bev.set_timeouts()
        if done is not None:
            done(self, bev, None)

    def _failed(self, error: Exception) -> None:
        done = self._done
        self.cancel()
        if done is not None:
            done(self, None, error)


TunnelDone = Callable[[BufferEvent | None, Exception | None], object]


class _Tunnel:
    """The request for a tunnel, an `Asker`; its own connection's owner as long as it is HTTP."""

    __slots__ = (
        "_done",
        "_how",
        "_route",
        "head",
        "method",
        "paused",
        "sink",
        "switches",
        "upload",
        "waits",
        "whole",
    )

    def __init__(self, route: Route, done: TunnelDone, how: Dialling) -> None:
        self._route = route
        self._done = done
        self._how = how
        self.method = "CONNECT"
        told = () if route.proxy is None else route.proxy.told
        self.head = connect_head(route.connect_authority, told)
        self.upload: Upload | None = None
        self.waits = self.switches = self.whole = False
        self.sink = Buffer()
        self.paused = False

    def ask(self, bev: BufferEvent) -> None:
        """Ask the proxy at the other end of ``bev``, as long as connecting may take."""
        limit = self._how.timeouts.connect
        timeouts = ClientTimeouts(write=limit, head=limit, body=limit)
        ClientConnection(self, bev, self._how.make_engine(), timeouts, None).ask(self)

    def on_interim(self, head: ResponseHead) -> None:
        """See `Asker.on_interim`."""

    def on_head(self, head: ResponseHead) -> None:
        """See `Asker.on_head`."""
        if not 200 <= head.status < 300:
            said = f"{head.status} {quote(head.reason)}"
            raise ConnectError(f"the proxy {self._route.hop} gives no tunnel to {self._route.tunnel}: {said}")

    def on_body(self) -> None:
        """See `Asker.on_body`."""

    def on_end(self, trailers: list[tuple[str, str]], body: bytes | None) -> None:  # noqa: ARG002 - the contract's
        """See `Asker.on_end`."""
        self._done(None, BadResponse("expected a tunnel of the proxy"))

    def on_switched(self, bev: BufferEvent) -> None:
        """See `Asker.on_switched`."""
        if bev.input.length:
            bev.close()  # nobody has spoken to the other end yet
            self._done(
                None, BadResponse("expected nothing behind the head that makes a tunnel", bytes(bev.input))
            )
        else:
            self._done(bev, None)

    def on_failed(self, error: Exception, progress: Progress) -> None:  # noqa: ARG002 - the contract's
        """See `Asker.on_failed`."""
        if isinstance(error, RequestTimeout):
            error = RequestTimeout(str(error.strerror), during="connect", phase="connect")
        self._done(None, error)

    def released(self, connection: ClientConnection) -> None:
        """See `Owner.released`."""
        connection.close()

    def lost(self, connection: ClientConnection) -> None:
        """See `Owner.lost`."""
