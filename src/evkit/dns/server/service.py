"""What UDP and TCP share: from the bytes of a query to the handler, and the queries that wait for it.

It decides what happens to each message, and ends what takes too long. Knows nothing of sockets; a `Channel` sends.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from evkit.core import Event, EventBase
from evkit.core.net import Address
from evkit.dns.server.limits import ServerLimits, client_of
from evkit.dns.server.query import QueryReader
from evkit.dns.server.request import Channel, ServerRequest
from evkit.dns.server.waiting import Waiting

if TYPE_CHECKING:
    from evkit.dns.server.statistics import ServerStatistics

Handler = Callable[[ServerRequest], object]
"""``handler(request)``."""


class Service:
    """Has queries answered.

    Args:
        base: The event base.
        handler: Gets each request.
        limits: What a client may cost.
        statistics: Counts.
        idle: Called when no query waits any more.

    Attributes:
        base: The event base.
        limits: What a client may cost.
        statistics: Counts.
    """

    __slots__ = (
        "_closed",
        "_handler",
        "_idle",
        "_reader",
        "_timer",
        "_waiting",
        "base",
        "limits",
        "statistics",
    )

    def __init__(
        self,
        base: EventBase,
        handler: Handler,
        limits: ServerLimits,
        statistics: "ServerStatistics",
        idle: Callable[[], object],
    ) -> None:
        self.base = base
        self._handler = handler
        self.limits = limits
        self.statistics = statistics
        self._closed = False
        self._idle = idle
        self._reader = QueryReader(limits)
        self._waiting = Waiting(limits)
        self._timer = base.timer(self._on_late)

    @property
    def waiting(self) -> int:
        """How many queries wait for the handler."""
        return len(self._waiting)

    def receive(self, data: bytes, address: Address, channel: Channel) -> bytes | ServerRequest | None:
        """Have a message answered.

        Args:
            data: The message.
            address: Who has sent it.
            channel: Sends the reply.

        Returns:
            A request that waits for the handler; or a reply to send that no handler has made, which is empty for what
            can't be answered; ``None``: all is done.
        """
        query = self._reader.read(data)
        if query is None:
            self.statistics.ignored += 1
            return b""
        if isinstance(query, bytes):
            self.statistics.refused += 1
            return query
        self.statistics.queries += 1
        request = ServerRequest(query, channel, address, self.limits)
        if self._waiting and not self._waiting.has_room(_who(request)):
            self._turn_away(request)
            return None
        return self._handle(request)

    def _turn_away(self, request: ServerRequest) -> None:
        """Too many wait. A client that hears nothing over UDP asks again; over TCP it would wait for ever."""
        self.statistics.turned_away += 1
        if request.transport == "tcp":
            request.fail()

    def _handle(self, request: ServerRequest) -> ServerRequest | None:
        try:
            self._handler(request)
        except Exception as exception:
            self.statistics.failed += 1
            if not request.done:
                request.fail()
            self.base.escaped(exception, request)
        if request.done:
            return None
        if self._closed:
            self.abandon(request)
            return None
        self._waiting.enter(request, _who(request), self.base.now())
        if len(self._waiting) == 1:
            self._wait()
        return request

    def finished(self, request: ServerRequest) -> None:
        """Hear that a request is done; it need not have waited."""
        if self._waiting and self._waiting.leave(request) and not self._waiting:
            self._timer.delete()
            self._idle()

    def _wait(self) -> None:
        """Wake up when the oldest request has waited too long."""
        deadline = self._waiting.next_at()
        if deadline is not None:
            self._timer.add(max(0.0, deadline - self.base.now()))

    def _on_late(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        for request in self._waiting.due(self.base.now()):
            if not request.done:  # what another one's `on_close` may have seen to
                self.statistics.timed_out += 1
                request.fail()
                self._tell(request)
        self._wait()

    def _tell(self, request: ServerRequest) -> None:
        """Tell the handler of a request that was given up."""
        on_close, request.on_close = request.on_close, None
        if on_close is not None:
            try:
                on_close(request)
            except Exception as exception:
                self.base.escaped(exception, request)

    def close(self) -> None:
        """Give up all that waits, and whatever is kept from now on."""
        self._closed = True
        for request in self._waiting.all():
            self.abandon(request)
        self._timer.free()

    def abandon(self, request: ServerRequest) -> None:
        """Give one up whose client is gone."""
        if not request.done:
            request.give_up()
            self._tell(request)


def _who(request: ServerRequest) -> str | bytes:
    """Return for whom a request counts. Over TCP for nobody: that has limits of its own, and an address that is true.

    Who forges a sender over UDP can shut that client out there, and must not over TCP.
    """
    return client_of(request.address) if request.transport == "udp" else ""
