"""`TcpChannel`: a connection on which queries come in, one after the other, and replies in any order.

It decides when it reads, and when the connection ends: a client that is slow to ask or to take its replies, or asks
more than it takes, costs its own connection alone. What a query means is the `Service`'s business.

Source: RFC 1035 §4.2.2, RFC 7766.
"""

from collections.abc import Callable
from typing import Final, Literal

from evkit.core import BufferEvent, Event
from evkit.core.framed import Framed
from evkit.core.framing import LengthFraming
from evkit.core.net import Address
from evkit.dns.server.request import ServerRequest
from evkit.dns.server.service import Service
from evkit.errors import RemoteProtocolError, TransportError

_LINGER: Final = 2.0
"""Seconds that a client has to end its side after we have ended ours."""
_HIGH: Final = 65536
"""Bytes of replies that the client has not taken: with more, no query is read."""


class TcpChannel:
    """A TCP connection of a client.

    Args:
        service: Has queries answered.
        bev: The connection.
        address: Who it is.
        used: ``used(channel)`` is called when a query has come.
        left: ``left(channel)`` is called once the connection is closed.

    Attributes:
        address: Who it is.
    """

    __slots__ = (
        "_bev",
        "_ending",
        "_framed",
        "_left",
        "_queries",
        "_service",
        "_timer",
        "_used",
        "_waiting",
        "address",
    )

    transport: Literal["tcp"] = "tcp"

    def __init__(
        self,
        service: Service,
        bev: BufferEvent,
        address: Address,
        used: "Callable[[TcpChannel], object]",
        left: "Callable[[TcpChannel], object]",
    ) -> None:
        self.address = address
        self._service = service
        self._used = used
        self._left = left
        self._queries = 0
        self._ending = False  # nothing more is read
        self._waiting: set[ServerRequest] = set()
        self._timer = service.base.timer(self._on_time_up)
        self._bev = bev
        self._framed = Framed(bev, LengthFraming(2), self._on_frame, self._on_end)
        read, _, event = bev.callbacks
        bev.set_callbacks(read, self._on_drained, event)  # `Framed` asks for no callback of writing
        bev.on_close = self._on_closed
        self._restart_timer()

    def __repr__(self) -> str:
        return f"<TcpChannel waiting={len(self._waiting)} ending={self._ending} {self._bev!r}>"

    @property
    def idle(self) -> bool:
        """Whether nothing is due to the client: neither a reply, nor the rest of one."""
        return not self._waiting and not self._bev.output.length

    # Queries

    def _on_frame(self, framed: Framed, frame: bytes) -> None:
        if self._ending:
            return
        self._queries += 1
        self._restart_timer()
        self._used(self)
        outcome = self._service.receive(frame, self.address, self)
        if isinstance(outcome, ServerRequest):
            self._waiting.add(outcome)
        elif outcome:
            self._send(outcome)
        elif outcome is not None:
            framed.bev.close()  # it says what no client says
        self._pace()

    def _pace(self) -> None:
        """Read on, or not, or never again."""
        limits = self._service.limits
        if self._bev.closed or self._ending:
            return
        if limits.max_tcp_queries is not None and self._queries >= limits.max_tcp_queries:
            self.end()
        elif len(self._waiting) >= limits.max_tcp_waiting or self._bev.output.length > _HIGH:
            self._framed.pause()
        elif self._framed.paused:
            self._framed.resume()

    # Replies

    def finish(self, request: ServerRequest, reply: bytes | None) -> bool:
        """See `Channel.finish`."""
        waited = request in self._waiting
        self._waiting.discard(request)
        sent = reply is not None and self._send(reply)
        self._service.finished(request)
        if waited:
            self._pace()
            self._say_goodbye()
        return sent

    def _send(self, reply: bytes) -> bool:
        if self._bev.closed:
            return False
        self._framed.send(reply)
        self._service.statistics.replies += 1
        self._restart_timer()
        return True

    def _on_drained(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        self._restart_timer()
        self._pace()

    # The end

    def end(self) -> None:
        """Take no more queries, and close when what waits was answered and the client has it."""
        if not self._ending:
            self._ending = True
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """If nothing more is due to the client, end our side, and close when it has ended its own.

        To close with queries unread would reset the connection, and cost the client replies that are on their way.
        """
        bev = self._bev
        if not self._ending or self._waiting or bev.closed:
            return
        if self._framed.ended:
            bev.close_when_drained()
        else:
            bev.shutdown_write()
            self._framed.resume()  # what comes is dropped
            self._restart_timer()

    def _on_end(self, framed: Framed, error: TransportError | RemoteProtocolError | None) -> None:
        if isinstance(error, TransportError):
            framed.bev.close()
            return
        # Also if it has ended within a query: it may wait for the replies to those before.
        self._ending = True
        self._say_goodbye()

    def close(self) -> None:
        """Close now."""
        self._bev.close()

    def _on_closed(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        self._timer.free()
        for request in tuple(self._waiting):
            self._service.abandon(request)
        self._left(self)
        del self._framed  # it knows us: no cycle is left

    def _restart_timer(self) -> None:
        if not self._bev.closed:
            timeout = self._service.limits.tcp_idle_timeout
            self._timer.add(min(timeout, _LINGER) if self._ending and self.idle else timeout)

    def _on_time_up(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if self._waiting:  # it is the handler's turn, whose time has a limit, too
            self._timer.add(self._service.limits.tcp_idle_timeout)
        else:
            self.close()
