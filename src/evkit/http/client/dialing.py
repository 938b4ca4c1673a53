"""`Dial`: a connection to whom a route begins with, and through a proxy's tunnel to its end.

The doer: it looks a name up and connects, greets by TLS, asks a proxy for a tunnel and greets once more, each step with
its own time-out. What the connection is used for is somebody else's business.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from evkit.core import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_TIMEOUT,
    BufferEvent,
    Event,
    EventBase,
    Future,
    SocketBufferEvent,
)
from evkit.core.net import Address, Resolver, family_of
from evkit.errors import ConnectError, ConnectionLost, TransportError
from evkit.http.client.origin import Origin
from evkit.http.client.proxy_choice import Route
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.client.tunnel import Tunnel
from evkit.http.errors import RequestTimeout
from evkit.http.parser import ResponseEngine

if TYPE_CHECKING:
    import ssl

_FAMILIES: Final = (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6)

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

    Raises:
        ValueError: There is no such family, ``local`` is no IP address or not of that family, ``unix`` can be no path,
            or ``context`` is for servers.
    """

    timeouts: ClientTimeouts
    make_engine: Callable[[], ResponseEngine] = field(repr=False)
    resolver: Resolver | None = None
    family: int = socket.AF_UNSPEC
    local: Address | None = None
    unix: str | None = None
    context: "ssl.SSLContext | None" = None
    make_bufferevent: Callable[[EventBase], SocketBufferEvent] = field(default=SocketBufferEvent, repr=False)

    def __post_init__(self) -> None:
        if self.family not in _FAMILIES:
            raise ValueError(f"expected family as AF_UNSPEC, AF_INET or AF_INET6, got {self.family!r}")
        if self.unix is not None and not self.unix.strip("\0"):
            raise ValueError("expected the path of a unix socket, got an empty one")
        if self.local is not None:
            object.__setattr__(self, "family", self._family_from(self.local))
        if self.context is not None and self.context.protocol.name == "PROTOCOL_TLS_SERVER":
            raise ValueError("expected a TLS context for clients, got one for servers (PROTOCOL_TLS_SERVER)")

    def _family_from(self, local: Address) -> int:
        """Return the one family whose addresses can be reached from there."""
        found = family_of(local)
        if found not in _FAMILIES or self.family not in (socket.AF_UNSPEC, found) or self.unix is not None:
            raise ValueError(
                f"expected an IP address to connect from, of the family asked for, got {local!r}"
            )
        return found


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

    __slots__ = ("_base", "_bev", "_done", "_due", "_how", "_lookup", "_timer", "route")

    def __init__(self, base: EventBase, route: Route, how: Dialling, done: Done) -> None:
        self._base = base
        self.route = route
        self._how = how
        self._done: Done | None = done
        self._bev: BufferEvent | None = None
        self._lookup: Future[list[Address]] | None = None  # that is under way
        self._timer: Event | None = None  # for it
        self._due = 0.0  # when the time for connecting is over, where it has begun with a look-up

    def __repr__(self) -> str:
        return f"<Dial to {self.route.hop} {self._bev!r}>"

    def start(self) -> None:
        """Begin.

        Raises:
            TypeError: What was made is no bufferevent for a socket.
            ValueError: There can't be such a host, or such a path of a unix socket.
            OSError: No socket could be made.
            Exception: What the resolver raises.
        """
        bev = self._how.make_bufferevent(self._base)
        if not isinstance(bev, SocketBufferEvent):  # the program makes it
            raise TypeError(f"expected a SocketBufferEvent of make_bufferevent, got {type(bev).__name__}")
        self._bev = bev
        bev.on_close = self._on_closed
        bev.set_callbacks(event=self._on_connected)
        try:
            if self._how.unix is not None:
                bev.set_timeouts(write=self._how.timeouts.connect)
                bev.connect(self._how.unix)
            else:
                self._look_up(bev)
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Give up, without a word."""
        self._done = None
        self._end_lookup()
        bev, self._bev = self._bev, None
        if bev is not None:
            bev.close()

    # To whom the route begins with

    def _look_up(self, bev: SocketBufferEvent) -> None:
        limit = self._how.timeouts.connect
        host, port = self.route.hop.address
        lookup = _resolver(self._base, self._how.resolver).getaddrinfo(host, port, self._how.family)
        if lookup.done():  # a numeric address, for one
            self._connect(bev, lookup, limit)
            return
        self._lookup = lookup
        if limit is not None:
            self._due = self._base.now() + limit
            self._timer = self._base.timer(self._on_no_addresses)
            self._timer.add(limit)
        lookup.add_done_callback(partial(self._on_addresses, bev))

    def _on_no_addresses(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._failed(self._late("its name is still being looked up"))

    def _on_addresses(self, bev: SocketBufferEvent, lookup: "Future[list[Address]]") -> None:
        if self._lookup is not lookup:
            return  # it was given up
        limited = self._end_lookup()
        try:
            self._connect(bev, lookup, max(0.0, self._due - self._base.now()) if limited else None)
        except Exception as error:
            self._failed(error)

    def _end_lookup(self) -> bool:
        """Let go of the look-up; return whether it had a limit."""
        lookup, self._lookup = self._lookup, None
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()
        if lookup is not None:
            lookup.cancel()  # harmless where it is done
        return timer is not None

    def _connect(self, bev: SocketBufferEvent, lookup: "Future[list[Address]]", limit: float | None) -> None:
        host, port = self.route.hop.address
        bev.set_timeouts(write=limit)
        bev.connect_host(host, port, resolver=_Found(lookup), family=self._how.family, local=self._how.local)

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
            late = self._late("no answer")
            late.__cause__ = bev.error  # it tells which addresses were tried
            return late
        return bev.error or ConnectError("the connection was lost")

    def _late(self, why: str) -> RequestTimeout:
        where, limit = self._how.unix or self.route.hop, self._how.timeouts.connect
        told = f"no connection to {where} within {limit:g} s: {why}"
        return RequestTimeout(told, during="connect", phase="connect")

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
            # The name is one that no certificate can be checked against.
            self._failed(error)
            return
        self._bev = tls
        tls.on_close = self._on_closed
        tls.set_callbacks(event=then)

    def _on_hop_greeted(self, bev: BufferEvent, what: int) -> None:
        if what == BEV_EVENT_CONNECTED:
            self._at_hop(bev)
        else:
            self._not_greeted(bev, what, self.route.hop)

    def _on_end_greeted(self, bev: BufferEvent, what: int) -> None:
        if what == BEV_EVENT_CONNECTED:
            self._succeeded(bev)
        else:
            self._not_greeted(bev, what, self.route.tunnel)

    def _not_greeted(self, bev: BufferEvent, what: int, whom: Origin | None) -> None:
        if what & BEV_EVENT_TIMEOUT:
            told = f"no TLS handshake with {whom} within {self._how.timeouts.tls:g} s"
            self._failed(RequestTimeout(told, during="connect", phase="tls"))
        else:
            self._failed(bev.error or ConnectionLost("the TLS handshake was cut off", during="connect"))

    def _at_hop(self, bev: BufferEvent) -> None:
        if self.route.tunnel is None:
            self._succeeded(bev)
            return
        try:
            tunnel = Tunnel(self.route, self._on_tunnel)
        except Exception as error:  # of a field for the proxy, or of the program's own credentials
            self._failed(error)
        else:
            tunnel.ask(bev, self._how.make_engine(), self._how.timeouts.connect)

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


class _Found:
    """A `Resolver` that has its answer: for a connection whose name was looked up before, within its time."""

    __slots__ = ("_lookup",)

    def __init__(self, lookup: "Future[list[Address]]") -> None:
        self._lookup = lookup

    def getaddrinfo(self, host: str, port: int, family: int = 0) -> "Future[list[Address]]":  # noqa: ARG002 - the contract's
        """See `Resolver.getaddrinfo`."""
        return self._lookup


def _resolver(base: EventBase, given: Resolver | None) -> Resolver:
    """Return who looks names up, as `SocketBufferEvent.connect_host` chooses."""
    found = given or base.resolver
    if found is None:
        from evkit.core import SystemResolver  # for programs that have no other

        found = base.resolver = SystemResolver(base)
    return found
