"""Where clients come in: listening, how many are let in, and what lies between a socket and HTTP.

A doer: it binds, accepts and turns away. What is said on a connection is `ServerConnection`'s business, and how many
of a place may come is decided by `Crowd`.
"""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from errno import EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from evkit.core import EV_READ, BufferEvent, EventBase, Listener, SocketBufferEvent
from evkit.core.listener import DEFAULT_BACKLOG
from evkit.core.net import Address, bound_socket, close_bound_socket, format_address, passive_addresses
from evkit.errors import RemoteProtocolError
from evkit.http.errors import BadRequest
from evkit.http.proxies.proxy_protocol import ProxyHeader
from evkit.http.server.arrival import Arrival
from evkit.http.server.crowd import Crowd
from evkit.http.server.reply import refusal
from evkit.http.server.request import as_body
from evkit.http.server.service import Service

if TYPE_CHECKING:
    import ssl

    from evkit.http.tls.certificates import Certificates

    TLS = ssl.SSLContext | Certificates

Admit = Callable[[BufferEvent, str, str], object]
"""``admit(bev, peer, proxy)`` serves HTTP to ``peer``, for which ``proxy`` may be speaking: who is connected here."""
MakeBufferEvent = Callable[[EventBase, socket.socket], BufferEvent]

_READ_WHEN_FULL: Final = 65536
_FULL: Final = "too many connections; try again later"
_TRIES: Final = 8
"""Ports of the system's choice that are tried where all addresses of a host are to have the same."""
_CROWDED: Final = "too many connections from this address; try again later"


class Entrance(NamedTuple):
    """How clients come in by a listener.

    Attributes:
        tls: For TLS; ``None``: none.
        proxied: Whether a PROXY header comes first.
    """

    tls: "TLS | None" = None
    proxied: bool = False

    @property
    def context(self) -> "ssl.SSLContext | None":
        """What the next connection gets; certificates may have been loaded anew."""
        tls: Any = self.tls
        context: ssl.SSLContext | None = getattr(
            tls, "context", tls
        )  # Certificates have one, a context is one
        return context


class Reception:
    """Listens for a server.

    Args:
        base: The event base to run on.
        service: What the connections share.
        admit: Called for each client that is let in.
        count: Tells how many there are.
        gone: Called when a client has gone before it was let in.
        most: Clients at once; ``None``: any number.
        crowd: Counts them by address; ``None``: they are not counted.

    Attributes:
        listeners: What it listens on.
        arrivals: Clients whose proxy has not said yet who they are, and where their connection comes in.
        most: As given; may be changed.
        make_bufferevent: Makes the buffered connection of a socket; ``None``: a `SocketBufferEvent` it is.
    """

    def __init__(
        self,
        base: EventBase,
        service: Service,
        admit: Admit,
        count: Callable[[], int],
        gone: Callable[[], object],
        *,
        most: int | None,
        crowd: Crowd | None,
    ) -> None:
        self._base = base
        self._service = service
        self._admit = admit
        self._count = count
        self._gone = gone
        self._crowd = crowd
        self.most = most
        self.make_bufferevent: MakeBufferEvent | None = None
        self.listeners: list[Listener] = []
        self.arrivals: dict[Arrival, tuple[Entrance, str]] = {}

    def bind(self, host: str, port: int, entrance: Entrance, *, reuseable_port: bool) -> Listener:
        """Listen on all addresses of a host, or on none; see `Server.bind`."""
        self._check(entrance)
        addresses = _look_up(host, port)
        tries = 1 if port else _TRIES
        while True:
            tries -= 1
            try:
                listeners = self._bind_all(addresses, port, entrance, reuseable_port=reuseable_port)
            except OSError as error:
                # Of a port that the system has chosen for one address, another address may be in use.
                if error.errno != EADDRINUSE or not tries:
                    raise
            else:
                self.listeners += listeners
                return listeners[0]

    def _bind_all(
        self, addresses: list[Address], port: int, entrance: Entrance, *, reuseable_port: bool
    ) -> list[Listener]:
        """Listen on each address that is this machine's; an error where none is."""
        listeners: list[Listener] = []
        missing: OSError | None = None
        with ExitStack() as undo:
            for address in addresses:
                try:
                    # On "::" IPv6 alone, as 0.0.0.0 is among the addresses of "all".
                    sock = bound_socket(
                        _with_port(address, port), ipv6_only=True, reuseable_port=reuseable_port
                    )
                except OSError as error:
                    if error.errno not in (EAFNOSUPPORT, EADDRNOTAVAIL):
                        raise
                    missing = error  # a machine without IPv6 still has a localhost
                    continue
                listeners.append(self._listen(sock, entrance))
                undo.callback(listeners[-1].close)
                port = listeners[-1].port  # where any would do, the first one's serves all
            if missing is not None and not listeners:
                raise missing
            undo.pop_all()
        return listeners

    def bind_unix(self, path: str, entrance: Entrance, *, mode: int | None) -> Listener:
        """Listen on a unix socket; see `Server.bind_unix`."""
        self._check(entrance)
        listener = self._listen(bound_socket(path, mode=mode), entrance)
        self.listeners.append(listener)
        return listener

    def accept(self, sock: socket.socket, entrance: Entrance, *, backlog: int | None) -> Listener:
        """Accept connections on a bound socket, which is the listener's from now on."""
        try:
            self._check(entrance)
            listener = self._make_listener(sock, entrance, backlog)
        except BaseException:
            sock.close()
            raise
        self.listeners.append(listener)
        return listener

    def _listen(self, sock: socket.socket, entrance: Entrance) -> Listener:
        """Accept connections on a socket that was made here; if that fails, nothing is left of it."""
        try:
            return self._make_listener(sock, entrance, DEFAULT_BACKLOG)
        except BaseException:
            close_bound_socket(sock)
            raise

    def _make_listener(self, sock: socket.socket, entrance: Entrance, backlog: int | None) -> Listener:
        return Listener(self._base, partial(self._on_accept, entrance), sock, backlog=backlog)

    def _check(self, entrance: Entrance) -> None:
        """Refuse what no connection could be made of, before one comes."""
        if entrance.proxied and self._service.proxies is None:
            raise ValueError("proxy_protocol=True needs Server(proxies=…): whom to believe")
        if entrance.context is not None:
            import ssl  # takes its time to load

            from evkit.core.bufferevent.tls_session import TLSSession

            if not isinstance(entrance.context, ssl.SSLContext):
                raise TypeError(
                    f"tls must be Certificates(…) or the ssl.SSLContext of a server, got {entrance.tls!r}"
                )
            TLSSession(entrance.context, server_side=True, server_hostname=None, resumed=None)

    def stop(self, drain: float) -> None:
        """Accept who waits, and nobody after that.

        Args:
            drain: Seconds to wait for PROXY headers that are due; 0: until the next poll.
        """
        for listener in tuple(self.listeners):
            listener.accept_waiting()
            listener.close()
        self.listeners.clear()
        for arrival in tuple(self.arrivals):
            arrival.hurry(drain)

    def close(self) -> None:
        """Wait for no PROXY header any more."""
        for arrival in tuple(self.arrivals):
            arrival.bev.close()

    def left(self, peer: str) -> None:
        """Hear that a client who was let in has gone."""
        if self._crowd is not None:
            self._crowd.leave(peer)

    def _on_accept(
        self, entrance: Entrance, _listener: Listener, sock: socket.socket, address: object
    ) -> None:
        peer = format_address(address)
        if self.most is not None and self._count() + len(self.arrivals) >= self.most:
            self._turn_away(sock, peer, _FULL, secure=entrance.tls is not None)
        elif entrance.proxied:
            self._await_header(sock, entrance, peer)
        elif self._crowd is not None and not self._crowd.enter(peer):
            self._turn_away(sock, peer, _CROWDED, secure=entrance.tls is not None)
        else:
            try:
                self._let_in(self._connect(sock), entrance.context, peer, peer)
            except BaseException:  # of a program's own ``make_bufferevent``, or of certificates loaded anew
                self.left(peer)
                raise

    def _connect(self, sock: socket.socket) -> BufferEvent:
        if self.make_bufferevent is not None:
            return self.make_bufferevent(self._base, sock)
        return SocketBufferEvent(self._base, sock)

    def _let_in(self, bev: BufferEvent, context: "ssl.SSLContext | None", peer: str, proxy: str) -> None:
        """Serve a client, over TLS where there is a ``context``; what has come already is read."""
        if context is not None:
            from evkit.core import TLSBufferEvent  # the module ssl takes its time to load

            handshake = self._service.timeouts.handshake
            bev = TLSBufferEvent(bev, context, server_side=True, handshake_timeout=handshake)
        self._admit(bev, peer, proxy)

    # Through a proxy

    def _await_header(self, sock: socket.socket, entrance: Entrance, proxy: str) -> None:
        proxies = self._service.proxies
        if proxies is None or not proxies.trusts(proxy):
            self._service.refused(proxy, BadRequest(403, "a PROXY header from who is no trusted proxy"))
            sock.close()
            return
        arrival = Arrival(
            self._connect(sock), self._service.timeouts.handshake, self._arrived, self._not_arrived
        )
        self.arrivals[arrival] = entrance, proxy

    def _arrived(self, arrival: Arrival, header: ProxyHeader) -> None:
        entrance, proxy = self.arrivals.pop(arrival)
        bev = arrival.bev
        peer = proxy if header.source is None else format_address(header.source)
        if self._crowd is not None and not self._crowd.enter(peer):
            self._service.refused(peer, BadRequest(503, _CROWDED))
            bev.close()
            self._gone()
            return
        try:
            self._let_in(bev, entrance.context, peer, proxy)
        except BaseException:
            self.left(peer)
            self._gone()
            raise
        if entrance.context is None and bev.input:
            bev.trigger(EV_READ)

    def _not_arrived(self, arrival: Arrival, error: RemoteProtocolError | None) -> None:
        _, proxy = self.arrivals.pop(arrival)
        if error is not None:
            self._service.refused(proxy, BadRequest(400, str(error)))
        self._gone()

    def _turn_away(self, sock: socket.socket, peer: str, why: str, *, secure: bool) -> None:
        """Say 503 and close; over TLS nothing can be said that costs nothing."""
        error = BadRequest(503, why)
        self._service.refused(peer, error)
        page, content_type = self._service.error_page(error.status, str(error))
        reply = refusal(error.status, self._service.date.get(), bytes(as_body(page)), content_type)
        try:
            if not secure:
                sock.send(reply)
                sock.shutdown(socket.SHUT_WR)
                # Bytes that nobody has read would reset the connection, and the 503 with it.
                sock.recv(_READ_WHEN_FULL)
        except OSError:
            pass  # it has gone, or has not said anything yet
        sock.close()


def _look_up(host: str, port: int) -> list[Address]:
    try:
        addresses = passive_addresses(host, port)
    except socket.gaierror as error:  # which does not say whose name it could not find
        raise socket.gaierror(error.errno, error.strerror, host) from error
    if not addresses:
        raise OSError(f"{host!r} has no addresses")
    return addresses


def _with_port(address: Address, port: int) -> Address:
    assert isinstance(address, tuple)  # hosts have no paths
    return (address[0], port, *address[2:])
