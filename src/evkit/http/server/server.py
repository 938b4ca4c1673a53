"""`Server`: where requests come in, which handler each gets, and what a client may cost.

It puts the parts together, and stops them. What happens on a connection is `ServerConnection`'s business, how clients
come in `Reception`'s, which handler a request gets `Site`'s. Knows nothing of bytes.
"""

import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from evkit.core import BufferEvent, Event, EventBase, Listener
from evkit.core.listener import DEFAULT_BACKLOG
from evkit.http.errors import BadRequest
from evkit.http.fields import encode_line
from evkit.http.parser import Limits
from evkit.http.proxies.forwarded import Proxies
from evkit.http.server.connection import ServerConnection
from evkit.http.server.crowd import Crowd
from evkit.http.server.door import Body
from evkit.http.server.life import ConnectionLife
from evkit.http.server.patience import Timeouts
from evkit.http.server.reception import Entrance, MakeBufferEvent, Reception
from evkit.http.server.request import Request
from evkit.http.server.routes import NotAllowed, Route, as_methods, refusing
from evkit.http.server.service import Service
from evkit.http.server.site import Site

if TYPE_CHECKING:
    from evkit.http.server.reception import TLS

DEFAULT_MAX_BODY: Final = 1 << 20
"""Bytes; nginx's default."""
DEFAULT_MAX_CONNECTIONS: Final = 16384
"""More than a process may usually open, few enough for 100 MiB of memory."""
DEFAULT_MAX_REQUESTS: Final = 10_000
"""Ten times nginx's ``keepalive_requests``: accepting costs a client next to nothing then."""
DEFAULT_GRACE: Final = 10.0
"""Seconds."""


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
        max_connections_per_address: Clients at once from one address, or from one IPv6 network of 64 bits, as one
            customer has; one more gets 503. ``None``: no limit, for there may be a proxy. Clients on unix sockets have
            no address.
        max_requests: Requests on one connection; the reply to the last ends it. ``None``: any number.
        proxies: Whom to believe who the client is: see `Request.client`. ``None``: nobody.

    Attributes:
        connections: Its clients.

    Raises:
        ValueError: There is no such engine, or a number is out of range.
        TypeError: ``limits``, ``timeouts`` or ``proxies`` is something else.
        ImportError: The engine is not installed.

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
        max_connections_per_address: int | None = None,
        max_requests: int | None = DEFAULT_MAX_REQUESTS,
        proxies: Proxies | None = None,
    ) -> None:
        _check_type("limits", limits, Limits)
        _check_type("timeouts", timeouts, Timeouts)
        _check_type("proxies", proxies, Proxies)
        _check_count("max_connections", max_connections, 0)
        _check_count("max_connections_per_address", max_connections_per_address, 1)
        _check_count("max_requests", max_requests, 1)
        super().__init__(max_body)
        self.base = base
        self.connections: set[ServerConnection] = set()
        self._service = Service(
            base,
            self.find,
            engine,
            limits or Limits(),
            timeouts or Timeouts(),
            max_requests,
            proxies,
            self._forget,
        )
        self._reception = Reception(
            base,
            self._service,
            self._admit,
            self.connections.__len__,
            self._look_whether_stopped,
            most=max_connections,
            crowd=None if max_connections_per_address is None else Crowd(max_connections_per_address),
        )
        self._allowed: frozenset[str] | None = None
        self._changed()
        self._stopping = False
        self._drain = 0.0
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
            return refusing(NotAllowed(self._allowed), self.max_body)
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
        """``on_complete(request)`` when a request is over: answered, cut off, or left without an answer (status 0)."""
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

    @property
    def listeners(self) -> list[Listener]:
        """What it listens on."""
        return self._reception.listeners

    @property
    def max_connections(self) -> int | None:
        """Clients at once; may be changed."""
        return self._reception.most

    @max_connections.setter
    def max_connections(self, most: int | None) -> None:
        _check_count("max_connections", most, 0)
        self._reception.most = most

    @property
    def timeouts(self) -> Timeouts:
        """How long a client may take; may be replaced, for clients that come later. ``None``: by the defaults."""
        return self._service.timeouts

    @timeouts.setter
    def timeouts(self, timeouts: Timeouts | None) -> None:
        _check_type("timeouts", timeouts, Timeouts)
        self._service.timeouts = timeouts or Timeouts()

    @property
    def default_content_type(self) -> str | None:
        """The ``Content-Type`` of replies with a body that tell none; ``None``, the default: they go without.

        Source: ``evhttp_set_default_content_type``, whose default, HTML in ISO-8859-1, is what no page is any more.
        """
        return self._service.default_content_type

    @default_content_type.setter
    def default_content_type(self, content_type: str | None) -> None:
        if content_type is not None:
            encode_line("Content-Type", content_type)
        self._service.default_content_type = content_type

    @property
    def make_bufferevent(self) -> MakeBufferEvent | None:
        """``make_bufferevent(base, sock)`` makes the buffered connection of an accepted socket, which it owns then.

        Under TLS it makes the one below. ``None``, the default: a `SocketBufferEvent`. Rate limits, for one, are set
        here. Source: ``evhttp_set_bevcb``, ``evhttp_bound_set_bevcb``.
        """
        return self._reception.make_bufferevent

    @make_bufferevent.setter
    def make_bufferevent(self, make: MakeBufferEvent | None) -> None:
        self._reception.make_bufferevent = make

    def bind(
        self,
        host: str,
        port: int,
        *,
        tls: "TLS | None" = None,
        proxy_protocol: bool = False,
        reuseable_port: bool = False,
    ) -> Listener:
        """Listen on a host and a port.

        Args:
            host: An address, or a name that is looked up now; all its addresses are bound. Empty: all addresses.
            port: 0: any free one, the same for all addresses; see ``listener.address``.
            tls: For HTTPS: `Certificates`, which may be loaded anew, or the ``ssl.SSLContext`` of a server.
            proxy_protocol: Connections begin with a PROXY header, of version 1 or 2, from one of the server's
                ``proxies``; others are closed.
            reuseable_port: Share the port with other processes, among which the system deals out clients.

        Returns:
            The first listener.

        Raises:
            OSError: An address is in use, or not allowed, or none is here; ``socket.gaierror``: there is no such host.
                Nothing was bound.
            ValueError: ``tls`` is for clients, or the server has no ``proxies`` for ``proxy_protocol``.
            TypeError: ``tls`` is something else.

        Source: ``evhttp_bind_socket_with_handle``.
        """
        return self._reception.bind(host, port, Entrance(tls, proxy_protocol), reuseable_port=reuseable_port)

    def bind_unix(
        self,
        path: str,
        *,
        mode: int | None = None,
        tls: "TLS | None" = None,
        proxy_protocol: bool = False,
    ) -> Listener:
        """Listen on a unix socket; its file is removed with the listener.

        Args:
            path: Of the socket.
            mode: Its file's permissions, as ``0o660``; ``None``: what the umask leaves.
            tls: As for `bind`.
            proxy_protocol: Likewise.

        Raises:
            OSError: The path is taken, or not allowed.
            ValueError: As `bind`, or ``mode`` is none.
            TypeError: As `bind`.
        """
        return self._reception.bind_unix(path, Entrance(tls, proxy_protocol), mode=mode)

    def accept(
        self,
        sock: socket.socket,
        *,
        backlog: int | None = DEFAULT_BACKLOG,
        tls: "TLS | None" = None,
        proxy_protocol: bool = False,
    ) -> Listener:
        """Accept connections on a bound stream socket, which the server owns from now on, even if this fails.

        Args:
            sock: The socket.
            backlog: How many connections may wait to be accepted. ``None``: the socket listens already, and others may
                have it, too, as a parent process or systemd (see `inherited_sockets`): that of a unix socket keeps its
                file then, which is theirs.
            tls: As for `bind`.
            proxy_protocol: Likewise.

        Raises:
            ValueError: As `bind`, or the socket is of another kind, or ``backlog`` does not go with it.
            TypeError: As `bind`.
            OSError: The system does not let it listen.

        Source: ``evhttp_accept_socket_with_handle``.
        """
        return self._reception.accept(sock, Entrance(tls, proxy_protocol), backlog=backlog)

    def _admit(self, bev: BufferEvent, peer: str, proxy: str) -> None:
        connection = ServerConnection(self._service, bev, peer, proxy)
        self.connections.add(connection)
        if self._stopping:  # its proxy has taken its time to say who it is
            connection.stop(self._drain)

    # Stopping

    def stop(
        self,
        grace: float | None = DEFAULT_GRACE,
        stopped: Callable[[], object] | None = None,
        *,
        drain: float = 0.0,
    ) -> None:
        """Stop: accept nothing more, answer what has come, finish what is in flight, then close.

        The next reply on each connection says ``Connection: close``, and is the last.

        Args:
            grace: Seconds that replies may still take; then their connections are closed. ``None``: no limit. Where
                this is called again, the shortest holds.
            stopped: Called without arguments when the last connection is gone.
            drain: Seconds in which each client may send one request more if it waits for no reply, or if the head of
                its reply is out, which has not said that it is the last. Otherwise a request is answered that the
                system has when this is called, or when that reply ends, and one that is still on its way is lost. For
                servers behind a proxy, and those that others take over from.

        Raises:
            ValueError: ``grace`` or ``drain`` is no time. Nothing was stopped.
        """
        if grace is not None and not _is_time(grace):
            raise ValueError(f"grace must be a number of seconds >= 0 or None, got {grace!r}")
        if not _is_time(drain):
            raise ValueError(f"drain must be a number of seconds >= 0, got {drain!r}")
        self._reception.stop(drain)
        if stopped is not None:
            self._stopped.append(stopped)
        self._stopping = True
        self._drain = drain
        for connection in tuple(self.connections):
            connection.stop(drain)
        self._look_whether_stopped()
        if self._stopping and grace is not None and self.base.now() + grace < self._grace.deadline:
            self._grace.add(grace)

    def close(self) -> None:
        """Close everything now."""
        for listener in self.listeners:
            listener.close()  # nobody more is let in
        self.stop()
        self._close_all()

    def _close_all(self) -> None:
        self._reception.close()
        for connection in tuple(self.connections):
            connection.close()

    def _forget(self, connection: ConnectionLife) -> None:
        """Hear that a connection has ended."""
        self.connections.discard(connection)
        self._reception.left(connection.peer)
        self._look_whether_stopped()

    def _on_grace_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._close_all()

    def _look_whether_stopped(self) -> None:
        if self._stopping and not self.connections and not self._reception.arrivals:
            self._finish_stop()

    def _finish_stop(self) -> None:
        self._grace.delete()
        self._stopping = False
        waiting, self._stopped = self._stopped, []
        for stopped in waiting:
            try:
                stopped()
            except Exception as exception:
                self.base.escaped(exception, self)


def _check_count(name: str, count: int | None, least: int) -> None:
    if count is not None and (type(count) is not int or count < least):
        raise ValueError(f"{name} must be >= {least} or None, got {count!r}")


def _is_time(given: object) -> bool:
    return isinstance(given, int | float) and 0 <= given < float("inf")


def _check_type(name: str, given: object, wanted: type) -> None:
    if given is not None and not isinstance(given, wanted):
        raise TypeError(f"{name} must be {wanted.__name__}(…) or None, got {given!r}")
