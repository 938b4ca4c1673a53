"""`Server`: where requests come in, which handler each gets, and what a client may cost.

It binds, accepts and counts connections; what happens on one is `ServerConnection`'s. Knows nothing of bytes.
"""

import socket
from collections.abc import Callable, Iterable
from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from typing import Final

from evkit.core import Event, EventBase, Listener, SocketBufferEvent
from evkit.core.net import Address, bound_socket, format_address, passive_addresses
from evkit.http.connection import ServerConnection
from evkit.http.errors import BadRequest
from evkit.http.message import Body, Request, as_body
from evkit.http.parser import Limits
from evkit.http.patience import Timeouts
from evkit.http.reply import refusal
from evkit.http.routes import NotAllowed, Route, as_methods
from evkit.http.service import Service
from evkit.http.site import Site

DEFAULT_MAX_BODY: Final = 1 << 20
"""Bytes; nginx's default."""
DEFAULT_MAX_CONNECTIONS: Final = 16384
"""More than a process may usually open, few enough for 100 MiB of memory."""
DEFAULT_GRACE: Final = 10.0
"""Seconds."""
_READ_WHEN_FULL: Final = 65536
_FULL: Final = "too many connections; try again later"


class Server(Site):
    """An HTTP/1.1 server on an event base.

        base = EventBase()
        server = Server(base)

        @server.route("/")
        def hello(request):
            request.send_reply(200, b"Hello, world!", [("Content-Type", "text/plain")])

        server.bind("127.0.0.1", 8080)
        base.dispatch()

    Args:
        base: The event base to run on.
        engine: ``"native"``, evkit's own parser, or ``"h11"``.
        limits: What a head may measure.
        timeouts: How long a client may take.
        max_body: Bytes that a request's body may have where its route says nothing else.
        max_connections: Clients at once; one more gets 503. ``None``: as many as there are descriptors.

    Attributes:
        listeners: What it listens on.
        connections: Its clients.
        timeouts: How long a client may take.
        max_connections: As given; may be changed.

    How it chooses the handler of a request is told by `Site`, which it is.

    Source: ``struct evhttp``.
    """

    def __init__(
        self,
        base: EventBase,
        *,
        engine: str = "native",
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
        max_body: int | None = DEFAULT_MAX_BODY,
        max_connections: int | None = DEFAULT_MAX_CONNECTIONS,
    ) -> None:
        if max_connections is not None and max_connections < 0:
            raise ValueError(f"max_connections must be >= 0 or None, got {max_connections!r}")
        super().__init__(max_body)
        self.base = base
        self.timeouts = timeouts or Timeouts()
        self.max_connections = max_connections
        self.listeners: list[Listener] = []
        self.connections: set[ServerConnection] = set()
        self._service = Service(base, self.find, engine, limits or Limits(), self.timeouts, self._forget)
        self._allowed: frozenset[str] | None = None
        self._changed()
        self._stopping = False
        self._stopped: list[Callable[[], object]] = []  # whom to tell
        self._grace = base.timer(self._on_grace_over)

    def __repr__(self) -> str:
        where = ", ".join(listener.address for listener in self.listeners) or "nothing"
        return f"<Server on {where} connections={len(self.connections)} routes={len(self.routes)}>"

    # Choosing handlers

    @property
    def allowed_methods(self) -> frozenset[str] | None:
        """The methods that any handler gets; others are answered with 405. ``None``, the default: any.

        ``GET`` brings ``HEAD`` with it. Source: ``evhttp_set_allowed_methods``, by default five, with 501 for others.
        """
        return self._allowed

    @allowed_methods.setter
    def allowed_methods(self, methods: Iterable[str] | None) -> None:
        self._allowed = None if methods is None else as_methods(methods)
        self._changed()

    def find(self, request: Request) -> Route:
        """See `Site.find`."""
        if self._allowed is not None and request.method not in self._allowed:
            return Route(NotAllowed(self._allowed), max_body=self.max_body)
        return super().find(request)

    def _changed(self) -> None:
        """Look closer at each request where something but its path counts."""
        super()._changed()
        closer = self.virtual_hosts or self._allowed is not None or self._service.on_request is not None
        self._service.plain = {} if closer else self.routes.plain

    # Hooks

    @property
    def on_request(self) -> Callable[[Request], object] | None:
        """``on_request(request)`` when a head was read, before a handler is chosen.

        It may answer: then no handler is called, and the connection ends if the request has a body. It may do so only
        before it returns. Source: ``evhttp_set_newreqcb``.
        """
        return self._service.on_request

    @on_request.setter
    def on_request(self, hook: Callable[[Request], object] | None) -> None:
        self._service.on_request = hook
        self._changed()

    @property
    def error_page(self) -> Callable[[int, str], tuple[Body, str]] | None:
        """``error_page(status, message)`` makes the page for an error: its body, and its content type.

        For `Request.send_error` and for what is refused. The message may quote what a client has sent: escape it.
        ``None``, the default: a line of text. Source: ``evhttp_set_errorcb``.
        """
        return self._service.make_error_page

    @error_page.setter
    def error_page(self, hook: Callable[[int, str], tuple[Body, str]] | None) -> None:
        self._service.make_error_page = hook

    @property
    def on_complete(self) -> Callable[[Request], object] | None:
        """``on_complete(request)`` after each reply, also one that its client has cut off: for an access log."""
        return self._service.on_complete

    @on_complete.setter
    def on_complete(self, hook: Callable[[Request], object] | None) -> None:
        self._service.on_complete = hook

    @property
    def on_refused(self) -> Callable[[str, BadRequest], object] | None:
        """``on_refused(peer, error)`` for what was refused before it became a request."""
        return self._service.on_refused

    @on_refused.setter
    def on_refused(self, hook: Callable[[str, BadRequest], object] | None) -> None:
        self._service.on_refused = hook

    # Listening

    def bind(self, host: str, port: int) -> Listener:
        """Listen on a host and a port.

        Args:
            host: An address, or a name that is looked up now; all its addresses are bound. Empty: all addresses.
            port: 0: any free one, the same for all addresses; see ``listener.address``.

        Returns:
            The first listener.

        Raises:
            OSError: An address is in use, or not allowed, or none is here. Nothing was bound.

        Source: ``evhttp_bind_socket_with_handle``.
        """
        first = len(self.listeners)
        try:
            missing = self._bind_all(host, port)
        except BaseException:
            for listener in self.listeners[first:]:
                listener.close()
            del self.listeners[first:]
            raise
        if len(self.listeners) == first:
            raise missing or OSError(f"{host!r} has no addresses")
        return self.listeners[first]

    def _bind_all(self, host: str, port: int) -> OSError | None:
        """Listen on each address that is this machine's; return why one of them is not."""
        missing: OSError | None = None
        for address in passive_addresses(host, port):
            try:
                # On "::" IPv6 alone, as 0.0.0.0 is among the addresses of "all".
                listener = self.accept(bound_socket(_with_port(address, port), ipv6_only=True))
            except OSError as error:
                if error.errno not in (EAFNOSUPPORT, EADDRNOTAVAIL):
                    raise
                missing = error  # a machine without IPv6 still has a localhost
            else:
                port = listener.port  # where any would do, the first one's serves all
        return missing

    def bind_unix(self, path: str) -> Listener:
        """Listen on a unix socket; its file is removed with the listener.

        Raises:
            OSError: The path is taken, or not allowed.
        """
        return self.accept(bound_socket(path))

    def accept(self, sock: socket.socket) -> Listener:
        """Accept connections on a bound socket, which the server owns from now on.

        Source: ``evhttp_accept_socket_with_handle``.
        """
        try:
            listener = Listener(self.base, self._on_accept, sock)
        except BaseException:
            sock.close()
            raise
        self.listeners.append(listener)
        return listener

    def _on_accept(self, listener: Listener, sock: socket.socket, address: object) -> None:  # noqa: ARG002
        peer = format_address(address)
        if self.max_connections is not None and len(self.connections) >= self.max_connections:
            self._turn_away(sock, peer)
            return
        self.connections.add(ServerConnection(self._service, SocketBufferEvent(self.base, sock), peer))

    def _turn_away(self, sock: socket.socket, peer: str) -> None:
        error = BadRequest(503, _FULL)
        self._service.refused(peer, error)
        try:
            page, content_type = self._service.error_page(error.status, str(error))
            sock.send(refusal(error.status, self._service.date.get(), bytes(as_body(page)), content_type))
            sock.shutdown(socket.SHUT_WR)
            sock.recv(
                _READ_WHEN_FULL
            )  # bytes that nobody has read would reset the connection, and the 503 with it
        except OSError:
            pass  # it has gone, or has not said anything yet
        sock.close()

    # Stopping

    def stop(self, grace: float | None = DEFAULT_GRACE, stopped: Callable[[], object] | None = None) -> None:
        """Stop: accept nothing more, finish what is in flight, then close.

        Args:
            grace: Seconds that replies may still take; then their connections are closed. ``None``: no limit. Where
                this is called again, the shortest holds.
            stopped: Called without arguments when the last connection is gone.

        Raises:
            ValueError: ``grace`` is no time. Nothing was stopped.
        """
        if grace is not None and not 0 <= grace < float("inf"):
            raise ValueError(f"grace must be a number of seconds >= 0 or None, got {grace!r}")
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        if stopped is not None:
            self._stopped.append(stopped)
        self._stopping = True
        for connection in tuple(self.connections):
            connection.stop()
        if not self.connections:
            self._finish_stop()
        elif grace is not None and self.base.now() + grace < self._grace.deadline:
            self._grace.add(grace)

    def close(self) -> None:
        """Close everything now."""
        self.stop()
        for connection in tuple(self.connections):
            connection.close()

    def _forget(self, connection: ServerConnection) -> None:
        """Hear that a connection has ended."""
        self.connections.discard(connection)
        if self._stopping and not self.connections:
            self._finish_stop()

    def _on_grace_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        for connection in tuple(self.connections):
            connection.close()

    def _finish_stop(self) -> None:
        self._grace.delete()
        self._stopping = False
        waiting, self._stopped = self._stopped, []
        for stopped in waiting:
            try:
                stopped()
            except Exception as exception:
                self.base.escaped(exception, self)


def _with_port(address: Address, port: int) -> Address:
    assert isinstance(address, tuple)  # hosts have no paths
    return (address[0], port, *address[2:])
