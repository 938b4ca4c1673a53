"""`Server`: where requests come in, which handler each gets, and what a client may cost.

It binds, accepts and counts connections; what happens on one is `ServerConnection`'s. Knows nothing of bytes.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from errno import EADDRNOTAVAIL, EAFNOSUPPORT
from functools import partial
from typing import Final

from evkit.core import Event, EventBase, Listener, SocketBufferEvent
from evkit.core.net import bound_socket, format_address, passive_addresses
from evkit.http.connection import ServerConnection
from evkit.http.date import DateLine
from evkit.http.errors import BadRequest
from evkit.http.message import Request
from evkit.http.parser import Engine, Limits, make_engine
from evkit.http.routes import Handler, Route, Routes, not_found

DEFAULT_MAX_BODY: Final = 1 << 20
"""Bytes; nginx's default."""
DEFAULT_MAX_CONNECTIONS: Final = 16384
"""More than a process may usually open, few enough for 100 MiB of memory."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 34\r\nConnection: close\r\nRetry-After: 1\r\n\r\n503 Too many connections, sorry.\r\n"
)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a client may take, in seconds; ``None``: for ever.

    Attributes:
        first_byte: From the connection to the first byte; then it is closed without a word.
        header: From the first byte of a head to its end, however it trickles; then 408.
        body: Without a byte of a body that is due; then 408.
        write: Without the client taking a byte of a reply.
        keep_alive: Between two requests. Longer than the 60 s after which proxies drop idle connections themselves:
            the side that sends requests should be the one that closes.
        linger: For a client that still sends after it was refused, to read why.
    """

    first_byte: float | None = 10.0
    header: float | None = 20.0
    body: float | None = 30.0
    write: float | None = 30.0
    keep_alive: float | None = 75.0
    linger: float | None = 2.0


class Server:
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
        routes: Its handlers, by path.
        on_complete: ``on_complete(request)`` after each reply: for an access log.
        on_refused: ``on_refused(peer, error)`` for each request that broke the rules before it became one.

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
        self.base = base
        self.timeouts = timeouts or Timeouts()
        self.max_body = max_body
        self.max_connections = max_connections
        self.listeners: list[Listener] = []
        self.connections: set[ServerConnection] = set()
        self.date = DateLine(base)
        self.on_complete: Callable[[Request], object] | None = None
        self.on_refused: Callable[[str, BadRequest], object] | None = None
        self.make_engine: Callable[[], Engine] = partial(make_engine, engine, limits or Limits(), Request)
        self.make_engine()  # a wrong name is an error now and not with the first client
        self.routes = Routes(Route(not_found, max_body=max_body))
        self._stopped: Callable[[], object] | None = None
        self._grace: Event | None = None

    def __repr__(self) -> str:
        where = ", ".join(listener.address for listener in self.listeners) or "nothing"
        return f"<Server on {where} connections={len(self.connections)} routes={len(self.routes)}>"

    # Handlers

    def set_cb(
        self, path: str, handler: Handler, *, stream: bool = False, max_body: int | None = None
    ) -> None:
        """Call ``handler(request)`` for requests whose path, percent-decoded, is ``path``.

        Args:
            path: Begins with ``/``; nothing is matched but this very path.
            handler: Answers by ``request.send_reply`` and its kin, now or later.
            stream: Call it as soon as the head is there, for it to ``request.receive`` the body.
            max_body: Bytes that a body may have; the server's where ``None`` is given, any with ``stream``.

        Raises:
            ValueError: The path has a handler already, or is none.

        Source: ``evhttp_set_cb``.
        """
        self.routes.add(path, self._make_route(handler, stream, max_body))

    def del_cb(self, path: str) -> None:
        """Forget the handler of ``path``. Source: ``evhttp_del_cb``.

        Raises:
            KeyError: It has none.
        """
        self.routes.remove(path)

    def set_gencb(
        self, handler: Handler | None, *, stream: bool = False, max_body: int | None = None
    ) -> None:
        """Call ``handler(request)`` for requests that no path was set for; ``None``: 404.

        Source: ``evhttp_set_gencb``.
        """
        self.routes.general = self._make_route(handler or not_found, stream, max_body)

    def route(
        self, path: str, *, stream: bool = False, max_body: int | None = None
    ) -> Callable[[Handler], Handler]:
        """Make a decorator that does `set_cb`."""

        def register(handler: Handler) -> Handler:
            self.set_cb(path, handler, stream=stream, max_body=max_body)
            return handler

        return register

    def _make_route(self, handler: Handler, stream: bool, max_body: int | None) -> Route:
        if max_body is None and not stream:
            max_body = self.max_body
        return Route(handler, stream=stream, max_body=max_body)

    # Listening

    def bind(self, host: str, port: int) -> Listener:
        """Listen on a host and a port.

        Args:
            host: An address, or a name that is looked up now; all its addresses are bound. Empty: all addresses.
            port: 0: any free one; see ``listener.address``.

        Returns:
            The first listener.

        Raises:
            OSError: The address is in use, not here, or not allowed.

        Source: ``evhttp_bind_socket_with_handle``.
        """
        first = len(self.listeners)
        missing: OSError | None = None
        for address in passive_addresses(host, port):
            try:
                # On "::" IPv6 alone, as 0.0.0.0 is among the addresses of "all".
                listener = self.accept(bound_socket(address, ipv6_only=True))
            except OSError as error:
                if error.errno not in (EAFNOSUPPORT, EADDRNOTAVAIL):
                    raise
                missing = error  # a machine without IPv6 still has a localhost
            else:
                port = port or listener.port
        if len(self.listeners) == first:
            raise missing or OSError(f"{host!r} has no addresses")
        return self.listeners[first]

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
        if self.max_connections is not None and len(self.connections) >= self.max_connections:
            self._turn_away(sock)
            return
        peer = format_address(address)
        self.connections.add(ServerConnection(self, SocketBufferEvent(self.base, sock), peer))

    def _turn_away(self, sock: socket.socket) -> None:
        try:
            sock.send(_FULL)
        except OSError:
            pass  # it has gone, or does not listen
        sock.close()

    # What connections tell

    def forget(self, connection: ServerConnection) -> None:
        """Hear that a connection has ended."""
        self.connections.discard(connection)
        if self._stopped is not None and not self.connections:
            self._finish_stop()

    def report(self, request: Request) -> None:
        """Hear that a request was answered."""
        if self.on_complete is not None:
            try:
                self.on_complete(request)
            except Exception as exception:
                self.base.escaped(exception, self)

    def refused(self, connection: ServerConnection, error: BadRequest) -> None:
        """Hear that a client broke the rules."""
        if self.on_refused is not None:
            try:
                self.on_refused(connection.peer, error)
            except Exception as exception:
                self.base.escaped(exception, self)

    # Stopping

    def stop(self, grace: float = 10.0, stopped: Callable[[], object] | None = None) -> None:
        """Stop: accept nothing more, finish what is in flight, then close.

        Args:
            grace: Seconds that replies may still take; then their connections are closed.
            stopped: Called without arguments when the last connection is gone.
        """
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        self._stopped = stopped or self._stopped or _nothing
        for connection in tuple(self.connections):
            connection.stop()
        if not self.connections:
            self._finish_stop()
        elif self._grace is None and self._stopped is not None:
            self._grace = self.base.timer(self._on_grace_over)
            self._grace.add(grace)

    def close(self) -> None:
        """Close everything now."""
        self.stop()
        for connection in tuple(self.connections):
            connection.close()

    def _on_grace_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        for connection in tuple(self.connections):
            connection.close()

    def _finish_stop(self) -> None:
        if self._grace is not None:
            self._grace.delete()
            self._grace = None
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            stopped()


def _nothing() -> None:
    """Stand in for a callback that is not given."""
