"""Where clients come in: listening, how many are let in, and what lies between a socket and HTTP.

A doer: it binds, accepts and turns away. What is said on a connection is `ServerConnection`'s business, and how many
of a place may come is decided by `Crowd`.
"""

import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from evkit.core import EV_READ, BufferEvent, EventBase, Listener, SocketBufferEvent
from evkit.core.binding import bind_all, bind_one, check_server_tls, context_of
from evkit.core.listener import DEFAULT_BACKLOG
from evkit.core.net import bound_socket, format_address
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
        return context_of(self.tls)


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
        listeners = bind_all(host, port, partial(self._listen, entrance), reuseable_port=reuseable_port)
        self.listeners += listeners
        return listeners[0]

    def bind_unix(self, path: str, entrance: Entrance, *, mode: int | None) -> Listener:
        """Listen on a unix socket; see `Server.bind_unix`."""
        self._check(entrance)
        listener = bind_one(bound_socket(path, mode=mode), partial(self._listen, entrance))
        self.listeners.append(listener)
        return listener

    def accept(self, sock: socket.socket, entrance: Entrance, *, backlog: int | None) -> Listener:
        """Accept connections on a bound socket, which is the listener's from now on."""
        try:
            self._check(entrance)
            listener = self._listen(entrance, sock, backlog)
        except BaseException:
            sock.close()
            raise
        self.listeners.append(listener)
        return listener

    def _listen(
        self, entrance: Entrance, sock: socket.socket, backlog: int | None = DEFAULT_BACKLOG
    ) -> Listener:
        return Listener(self._base, partial(self._on_accept, entrance), sock, backlog=backlog)

    def _check(self, entrance: Entrance) -> None:
        """Refuse what no connection could be made of, before one comes."""
        if entrance.proxied and self._service.proxies is None:
            raise ValueError("proxy_protocol=True needs Server(proxies=…): whom to believe")
        check_server_tls(entrance.tls)

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
