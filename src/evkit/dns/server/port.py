"""`ServerPort`: where queries come in, over UDP and TCP, and which handler gets them.

It puts the parts together, and stops them. What a client may cost is told by `ServerLimits`, what happens to a query by
`Service`. Knows nothing of bytes.
"""

import socket
from collections.abc import Callable
from errno import EADDRINUSE
from math import isfinite
from typing import Final

from evkit.core import Event, EventBase, Listener
from evkit.core.datagram import DatagramEndpoint
from evkit.core.net import bound_datagram_socket
from evkit.dns.server.limits import ServerLimits
from evkit.dns.server.service import Handler, Service
from evkit.dns.server.statistics import ServerStatistics
from evkit.dns.server.tcp_door import TcpDoor
from evkit.dns.server.udp import UdpChannel

DEFAULT_GRACE: Final = 10.0
"""Seconds."""
_TRIES: Final = 16
"""How often a port is looked for that is free for both UDP and TCP."""


class ServerPort:
    """A name server on an event base, whose answers a handler makes.

        def handler(request):
            if request.question.type == "A":
                request.add_a_reply("192.0.2.1", ttl=60)
            request.respond()

        port = ServerPort(base, handler)
        port.listen("127.0.0.1", 5300)
        base.dispatch()

    A handler may also keep the request and answer later. If it raises, that goes to the base's exception handler, and
    the answer is SERVFAIL.

    Args:
        base: The event base to run on.
        handler: ``handler(request)`` gets each query as a `ServerRequest`.
        limits: What a client may cost.

    Attributes:
        base: The event base.
        statistics: What it has done so far.

    Raises:
        TypeError: ``handler`` can't be called, or ``limits`` is something else.

    Source: ``struct evdns_server_port``.
    """

    __slots__ = ("_channels", "_door", "_grace", "_service", "_state", "_stopped", "base", "statistics")

    def __init__(self, base: EventBase, handler: Handler, *, limits: ServerLimits | None = None) -> None:
        if not callable(handler):
            raise TypeError(f"expected a handler that can be called, got {handler!r}")
        if limits is not None and not isinstance(limits, ServerLimits):
            raise TypeError(f"limits must be ServerLimits(…) or None, got {limits!r}")
        self.base = base
        self.statistics = ServerStatistics()
        self._service = Service(base, handler, limits or ServerLimits(), self.statistics, self._on_idle)
        self._channels: list[UdpChannel] = []
        self._door = TcpDoor(self._service, self._on_idle)
        self._state = "open"
        self._stopped: list[Callable[[], object]] = []  # whom to tell
        self._grace = base.timer(self._on_grace_over)

    def __repr__(self) -> str:
        where = [f"udp {endpoint.address}" for endpoint in self.endpoints]
        where += [f"tcp {listener.address}" for listener in self.listeners]
        return (
            f"<ServerPort {self._state} on {', '.join(where) or 'nothing'} "
            f"waiting={self.waiting} tcp_connections={self.tcp_connections}>"
        )

    @property
    def endpoints(self) -> list[DatagramEndpoint]:
        """Where it hears UDP."""
        return [channel.endpoint for channel in self._channels]

    @property
    def listeners(self) -> list[Listener]:
        """Where it accepts TCP."""
        return self._door.listeners

    @property
    def limits(self) -> ServerLimits:
        """What a client may cost."""
        return self._service.limits

    @property
    def waiting(self) -> int:
        """How many queries wait for the handler."""
        return self._service.waiting

    @property
    def tcp_connections(self) -> int:
        """How many TCP connections there are."""
        return len(self._door)

    @property
    def closed(self) -> bool:
        """Whether it is closed, by `close` or at the end of `stop`."""
        return self._state == "closed"

    # Listening

    def listen(self, host: str, port: int = 53, *, reuseable_port: bool = False) -> int:
        """Listen on an address, with UDP and TCP, as every name server has to (RFC 7766 §5).

        Args:
            host: A numeric address. Replies to queries that came to ``0.0.0.0`` or ``::`` may leave from another
                address of this machine than the one that was asked, and such clients do not take: where there are
                several, listen on each.
            port: 0: any one that is free for both.
            reuseable_port: Share the port with other processes, among which the system deals out clients.

        Returns:
            The port.

        Raises:
            OSError: The address is in use, or not here, or not allowed. Nothing was bound.
            ValueError: The host is a name, the port is none, or this port is stopping or closed.
        """
        self._check_open()
        sock, listener = self._bind_both(host, port, reuseable_port)
        try:
            self.add_socket(sock)
        except BaseException:
            sock.close()
            listener.close()
            raise
        self.add_listener(listener)
        return listener.port

    def _bind_both(self, host: str, port: int, reuseable_port: bool) -> tuple[socket.socket, Listener]:
        tries = 1 if port else _TRIES
        while True:
            tries -= 1
            sock = bound_datagram_socket((host, port), reuseable_port=reuseable_port)
            address = (host, sock.getsockname()[1])
            try:
                return sock, Listener.bind(self.base, None, address, reuseable_port=reuseable_port)
            except BaseException as error:
                sock.close()
                if not (tries and isinstance(error, OSError) and error.errno == EADDRINUSE):
                    raise

    def add_socket(self, sock: socket.socket) -> DatagramEndpoint:
        """Hear queries on a bound datagram socket, which the port owns from now on.

        Raises:
            ValueError: It is of another kind, or connected, or this port is stopping or closed. The socket is still the
                caller's then.

        Source: ``evdns_add_server_port_with_base``.
        """
        self._check_open()
        self._channels.append(UdpChannel(self._service, sock))
        return self._channels[-1].endpoint

    def add_listener(self, listener: Listener) -> None:
        """Hear queries on the connections of a listener, whose callback is replaced, and which the port closes.

        Raises:
            ValueError: This port is stopping or closed.

        Source: ``evdns_add_server_port_with_listener``.
        """
        self._check_open()
        self._door.add(listener)

    def _check_open(self) -> None:
        if self._state != "open":
            raise ValueError(f"expected an open ServerPort, got {self!r}")

    # Stopping

    def stop(self, grace: float | None = DEFAULT_GRACE, stopped: Callable[[], object] | None = None) -> None:
        """Stop: take no more queries, have those answered that wait for the handler, then close.

        What the system holds, or is on its way, is not answered: clients ask again, or another server.

        Args:
            grace: Seconds that this may take; then it is closed. ``None``: no limit. Where this is called again, the
                shortest holds.
            stopped: Called without arguments when it is closed, never from inside this call.

        Raises:
            ValueError: ``grace`` is no time. Nothing was stopped.

        Source: ``evdns_close_server_port``, which has no limit.
        """
        if grace is not None and not (isfinite(grace) and grace >= 0):
            raise ValueError(f"grace must be a number of seconds >= 0 or None, got {grace!r}")
        if stopped is not None:
            self._stopped.append(stopped)
        if self._state == "open":
            self._state = "stopping"
            for endpoint in self.endpoints:
                endpoint.pause()
            self._door.stop()
        if self._state == "stopping" and grace is not None and self.base.now() + grace < self._grace.deadline:
            self._grace.add(grace)
        # Not at once: a handler that calls this may be about to answer.
        self.base.call_soon(self._look_whether_stopped)

    def close(self) -> None:
        """Close everything now. What waits is not answered, and `ServerRequest.on_close` tells so."""
        if self._state != "closed":
            self._state = "closed"
            self._grace.free()
            self._service.close()
            self._door.close()
            for endpoint in self.endpoints:
                endpoint.close()
            self._tell_stopped()

    def _on_grace_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.close()

    def _on_idle(self) -> None:
        # What is given up by `close` comes here, too, before all is closed.
        if self._state == "stopping" and not self.waiting and not self.tcp_connections:
            self.close()

    def _look_whether_stopped(self) -> None:
        if self._state == "closed":
            self._tell_stopped()
        else:
            self._on_idle()

    def _tell_stopped(self) -> None:
        waiting, self._stopped = self._stopped, []
        for stopped in waiting:
            try:
                stopped()
            except Exception as exception:
                self.base.escaped(exception, self)
