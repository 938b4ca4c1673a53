"""`Server`: accepts connections, and serves what was registered on each.

It puts the parts together, and stops them. What happens on a connection is `Connection`'s business, what can be called
`Service`'s, and listening the core's. It knows nothing of messages.
"""

import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from evkit.core.base import EventBase
from evkit.core.binding import bind_all, bind_one, check_server_tls, context_of
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.socket import SocketBufferEvent
from evkit.core.event import Event
from evkit.core.flags import BEV_EVENT_CONNECTED
from evkit.core.listener import DEFAULT_BACKLOG, Listener
from evkit.core.net import bound_socket, format_address
from evkit.core.timers import check_seconds
from evkit.rpc.connection.connection import Connection
from evkit.rpc.connection.load import Load
from evkit.rpc.hooks.hooks import Hooks
from evkit.rpc.hooks.owner import HookOwner
from evkit.rpc.limits import DEFAULT_TIMEOUT, Limits
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.intake import LARGEST_READ
from evkit.rpc.service.service import Service

if TYPE_CHECKING:
    import ssl

    from evkit.core.binding import TLS

DEFAULT_MAX_CONNECTIONS: Final = 16384
DEFAULT_GRACE: Final = 10.0
"""Seconds."""
_HANDSHAKE: Final = 10.0
"""Seconds for that of TLS."""

ConnectionCallback = Callable[[Connection], object]


class Server(Service, HookOwner):
    """A MessagePack-RPC server on an event base.

        base = EventBase()
        server = Server(base)

        @server.method
        def add(a: int, b: int) -> int:
            return a + b

        server.bind("127.0.0.1", 7000)
        base.dispatch()

    What can be called is told by `Service`, which it is.

    Args:
        base: The event base to run on.
        limits: What a client may cost.
        max_connections: Clients at once; one more is closed at once. ``None``: as many as there are descriptors.
        max_in_flight: Requests at once, of all clients, whose answers are still to come; no more are begun before one
            is answered. ``None``: no limit but that of each connection.
        idle_timeout: Seconds without a word after which a client that waits for nothing is closed; ``None``: never.
        timeout: Seconds that a call to a client may take; ``None``: no limit.
        debug: Send the traceback of what escapes a handler to the client.
        unicode_errors: What to do with text that is not UTF-8, as ``bytes.decode`` has it.

    Attributes:
        base: As given.
        connections: Its clients.
        listeners: What it listens on.
        max_connections: As given; may be changed.
        on_connect: ``on_connect(connection)`` for each client, before anything that it says is heard.
        on_disconnect: ``on_disconnect(connection)`` when it has gone.

    Raises:
        ValueError: A limit or a time is none.

    Source: ``evrpc_init``, ``EVRPC_REGISTER``.
    """

    def __init__(
        self,
        base: EventBase,
        *,
        limits: Limits | None = None,
        max_connections: int | None = DEFAULT_MAX_CONNECTIONS,
        max_in_flight: int | None = None,
        idle_timeout: float | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        debug: bool = False,
        unicode_errors: str = "strict",
    ) -> None:
        limits = limits or Limits()
        super().__init__(max_method=limits.max_method)
        for seconds in (idle_timeout, timeout):
            if seconds is not None:
                check_seconds(seconds)
        for name, most in (("max_connections", max_connections), ("max_in_flight", max_in_flight)):
            if most is not None and (type(most) is not int or most < 1):
                raise ValueError(f"expected {name} as a number >= 1 or None, got {most!r}")
        self.base = base
        self.hooks = Hooks()
        self.connections: set[Connection] = set()
        self.listeners: list[Listener] = []
        self.max_connections = max_connections
        self.on_connect: ConnectionCallback | None = None
        self.on_disconnect: ConnectionCallback | None = None
        self._coders = Coders(limits, unicode_errors=unicode_errors)
        self._load = Load(max_in_flight)
        self._idle_timeout = idle_timeout
        self._timeout = timeout
        self._debug = debug
        self._greeting: set[BufferEvent] = set()  # clients in the middle of a TLS handshake
        self._stopping = False
        self._stopped: list[Callable[[], object]] = []
        self._grace = base.timer(self._on_grace_over)

    def __repr__(self) -> str:
        where = ", ".join(listener.address for listener in self.listeners) or "nothing"
        return f"<Server on {where} connections={len(self.connections)} methods={len(self.methods)}>"

    # Listening

    def bind(
        self, host: str, port: int, *, tls: "TLS | None" = None, reuseable_port: bool = False
    ) -> Listener:
        """Listen on a host and a port.

        Args:
            host: An address, or a name that is looked up now; all its addresses are bound. Empty: all addresses.
            port: 0: any free one, the same for all addresses; see ``listener.port``.
            tls: The ``ssl.SSLContext`` of a server, or what has one as its ``context``.
            reuseable_port: Share the port with other processes.

        Returns:
            The first listener.

        Raises:
            OSError: An address is in use, or not allowed, or none is here; ``socket.gaierror``: there is no such host.
            ValueError: ``tls`` is for clients.
            TypeError: ``tls`` is something else.

        Source: ``evhttp_bind_socket``, which an ``evrpc_base`` stands on.
        """
        check_server_tls(tls)
        listeners = bind_all(host, port, partial(self._listen, tls), reuseable_port=reuseable_port)
        self.listeners += listeners
        return listeners[0]

    def bind_unix(self, path: str, *, mode: int | None = None, tls: "TLS | None" = None) -> Listener:
        """Listen on a unix socket; its file is removed with the listener.

        Args:
            path: Of the socket.
            mode: Its file's permissions, as ``0o660``; ``None``: what the umask leaves.
            tls: As for `bind`.

        Raises:
            OSError: The path is taken, or not allowed.
            ValueError: As `bind`, or ``mode`` is none.
            TypeError: As `bind`.
        """
        check_server_tls(tls)
        listener = bind_one(bound_socket(path, mode=mode), partial(self._listen, tls))
        self.listeners.append(listener)
        return listener

    def accept(
        self, sock: socket.socket, *, backlog: int | None = DEFAULT_BACKLOG, tls: "TLS | None" = None
    ) -> Listener:
        """Accept connections on a bound stream socket, which the server owns from now on, even if this fails.

        Args:
            sock: The socket.
            backlog: How many connections may wait to be accepted. ``None``: the socket listens already.
            tls: As for `bind`.

        Raises:
            ValueError: As `bind`, or the socket is of another kind, or ``backlog`` does not go with it.
            TypeError: As `bind`.
            OSError: The system does not let it listen.
        """
        try:
            check_server_tls(tls)
            if sock.family != socket.AF_UNIX and sock.type == socket.SOCK_STREAM:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)  # accepted ones inherit it
            listener = Listener(self.base, partial(self._on_accept, tls), sock, backlog=backlog)
        except BaseException:
            sock.close()
            raise
        self.listeners.append(listener)
        return listener

    def _listen(self, tls: "TLS | None", sock: socket.socket) -> Listener:
        return Listener(self.base, partial(self._on_accept, tls), sock)

    def _on_accept(
        self, tls: "TLS | None", _listener: Listener, sock: socket.socket, address: object
    ) -> None:
        present = len(self.connections) + len(self._greeting)
        if self.max_connections is not None and present >= self.max_connections:
            sock.close()
            return
        bev = SocketBufferEvent(self.base, sock)
        bev.max_single_read = LARGEST_READ
        peer = format_address(address)
        context = context_of(tls)
        if context is None:
            self.admit(bev, peer)
        else:
            self._greet(bev, peer, context)

    def _greet(self, bev: BufferEvent, peer: str, context: "ssl.SSLContext") -> None:
        from evkit.core import TLSBufferEvent  # the module ssl takes its time to load

        secure = TLSBufferEvent(bev, context, server_side=True, handshake_timeout=_HANDSHAKE)
        self._greeting.add(secure)
        secure.on_close = self._not_greeted
        secure.set_callbacks(event=partial(self._on_greeted, peer))

    def _on_greeted(self, peer: str, bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_CONNECTED:
            self._greeting.discard(bev)
            bev.on_close = None
            self.admit(bev, peer)
        else:
            bev.close()

    def _not_greeted(self, bev: BufferEvent) -> None:
        self._greeting.discard(bev)
        self._look_whether_stopped()

    def admit(self, bev: BufferEvent, peer: str) -> Connection:
        """Serve a client on a connection that is made already, whatever carries it.

        During a stop, what it has said is served, as of the others.

        Args:
            bev: It is the server's from now on.
            peer: Who that is, for a line of a log.
        """
        bev.set_timeouts(read=self._idle_timeout)
        connection = self.connection_type(
            bev, self._coders, peer, self, self._load, timeout=self._timeout, debug=self._debug
        )
        self.connections.add(connection)
        connection.on_close = self._on_gone
        if self._stopping:  # its greeting has taken its time
            connection.stop()
        if self.on_connect is not None:
            self.on_connect(connection)
        return connection

    def _on_gone(self, connection: Connection) -> None:
        self.connections.discard(connection)
        try:
            if self.on_disconnect is not None:
                self.on_disconnect(connection)
        finally:
            self._look_whether_stopped()

    # Stopping

    def stop(self, grace: float | None = DEFAULT_GRACE, stopped: Callable[[], object] | None = None) -> None:
        """Stop: accept nothing more, serve what has come, then close. It may be bound again once it has stopped.

        Args:
            grace: Seconds that answers may still take; then their connections are closed. ``None``: no limit. Where
                this is called again, the shortest holds.
            stopped: Called without arguments when the last connection is gone.

        Raises:
            ValueError: ``grace`` is no time. Nothing was stopped.
        """
        if grace is not None:
            check_seconds(grace)
        if stopped is not None:
            self._stopped.append(stopped)
        self._stopping = True
        for listener in self.listeners:
            listener.accept_waiting()
            listener.close()
        self.listeners.clear()
        if grace is not None and self.base.now() + grace < self._grace.deadline:
            self._grace.add(grace)
        for connection in tuple(self.connections):
            connection.stop()
        self._look_whether_stopped()

    def close(self) -> None:
        """Stop at once: what is being served is not answered."""
        self.stop(0.0)
        self._on_grace_over(self._grace, 0)

    def _on_grace_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        for connection in tuple(self.connections):
            connection.close()
        for bev in tuple(self._greeting):
            bev.close()
        self._look_whether_stopped()

    def _look_whether_stopped(self) -> None:
        if self._stopping and not self.connections and not self._greeting:
            self._stopping = False
            self._grace.delete()
            stopped, self._stopped = self._stopped, []
            for tell in stopped:
                try:
                    tell()
                except Exception as exception:  # the others are to hear it, too
                    self.base.escaped(exception, tell)
