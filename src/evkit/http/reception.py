"""Where clients come in: listening, how many are let in, and what lies between a socket and HTTP.

A doer: it binds, accepts and turns away. What is said on a connection is `ServerConnection`'s business, and how many
of a place may come is decided by `Crowd`.
"""

import socket
from collections.abc import Callable
from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from functools import partial
from typing import TYPE_CHECKING, Final

from evkit.core import BufferEvent, EventBase, Listener, SocketBufferEvent
from evkit.core.net import Address, bound_socket, format_address, passive_addresses
from evkit.http.crowd import Crowd
from evkit.http.errors import BadRequest
from evkit.http.message import as_body
from evkit.http.reply import refusal
from evkit.http.service import Service

if TYPE_CHECKING:
    import ssl

Admit = Callable[[BufferEvent, str], object]
"""``admit(bev, peer)`` serves HTTP on a buffered connection."""
MakeBufferEvent = Callable[[EventBase, socket.socket], BufferEvent]

_READ_WHEN_FULL: Final = 65536
_FULL: Final = "too many connections; try again later"
_CROWDED: Final = "too many connections from this address; try again later"


class Reception:
    """Listens for a server.

    Args:
        base: The event base to run on.
        service: What the connections share.
        admit: Called for each client that is let in.
        count: Tells how many there are.
        most: Clients at once; ``None``: any number.
        crowd: Counts them by address; ``None``: they are not counted.

    Attributes:
        listeners: What it listens on.
        most: As given; may be changed.
        make_bufferevent: Makes the buffered connection of a socket; ``None``: what TLS or its absence asks for.
    """

    def __init__(
        self,
        base: EventBase,
        service: Service,
        admit: Admit,
        count: Callable[[], int],
        *,
        most: int | None,
        crowd: Crowd | None,
    ) -> None:
        self._base = base
        self._service = service
        self._admit = admit
        self._count = count
        self._crowd = crowd
        self.most = most
        self.make_bufferevent: MakeBufferEvent | None = None
        self.listeners: list[Listener] = []

    def bind(
        self, host: str, port: int, context: "ssl.SSLContext | None", *, reuseable_port: bool
    ) -> Listener:
        """Listen on all addresses of a host, or on none; see `Server.bind`."""
        first = len(self.listeners)
        try:
            missing = self._bind_all(host, port, context, reuseable_port=reuseable_port)
        except BaseException:
            for listener in self.listeners[first:]:
                listener.close()
            del self.listeners[first:]
            raise
        if len(self.listeners) == first:
            raise missing or OSError(f"{host!r} has no addresses")
        return self.listeners[first]

    def _bind_all(
        self, host: str, port: int, context: "ssl.SSLContext | None", *, reuseable_port: bool
    ) -> OSError | None:
        """Listen on each address that is this machine's; return why one of them is not."""
        missing: OSError | None = None
        for address in passive_addresses(host, port):
            try:
                # On "::" IPv6 alone, as 0.0.0.0 is among the addresses of "all".
                sock = bound_socket(_with_port(address, port), ipv6_only=True, reuseable_port=reuseable_port)
                listener = self.accept(sock, context)
            except OSError as error:
                if error.errno not in (EAFNOSUPPORT, EADDRNOTAVAIL):
                    raise
                missing = error  # a machine without IPv6 still has a localhost
            else:
                port = listener.port  # where any would do, the first one's serves all
        return missing

    def accept(self, sock: socket.socket, context: "ssl.SSLContext | None") -> Listener:
        """Accept connections on a bound socket, which is the listener's from now on."""
        try:
            if context is not None:
                _check_server_side(context)
            listener = Listener(self._base, partial(self._on_accept, context), sock)
        except BaseException:
            sock.close()
            raise
        self.listeners.append(listener)
        return listener

    def close(self) -> None:
        """Accept nothing more."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()

    def left(self, peer: str) -> None:
        """Hear that a client who was let in has gone."""
        if self._crowd is not None:
            self._crowd.leave(peer)

    def _on_accept(
        self, context: "ssl.SSLContext | None", _listener: Listener, sock: socket.socket, address: object
    ) -> None:
        peer = format_address(address)
        if self.most is not None and self._count() >= self.most:
            self._turn_away(sock, peer, _FULL, secure=context is not None)
        elif self._crowd is not None and not self._crowd.enter(peer):
            self._turn_away(sock, peer, _CROWDED, secure=context is not None)
        else:
            try:
                bev = self._connect(sock, context)
            except BaseException:  # of a program's own
                self.left(peer)
                raise
            self._admit(bev, peer)

    def _connect(self, sock: socket.socket, context: "ssl.SSLContext | None") -> BufferEvent:
        if self.make_bufferevent is not None:
            below = self.make_bufferevent(self._base, sock)
        else:
            below = SocketBufferEvent(self._base, sock)
        if context is None:
            return below
        from evkit.core import TLSBufferEvent  # the module ssl takes its time to load

        handshake = self._service.timeouts.handshake
        return TLSBufferEvent(below, context, server_side=True, handshake_timeout=handshake)

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


def _check_server_side(context: "ssl.SSLContext") -> None:
    """Refuse what no connection could be made of, before one comes."""
    from evkit.core.bufferevent.tls_session import TLSSession

    TLSSession(context, server_side=True, server_hostname=None, resumed=None)


def _with_port(address: Address, port: int) -> Address:
    assert isinstance(address, tuple)  # hosts have no paths
    return (address[0], port, *address[2:])
