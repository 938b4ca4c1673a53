"""The life of a connection but for what is said on it: how long it waits, what it does when time is up, and its end.

The base of `ServerConnection`, which reads requests. Knows when a request is under way, and nothing of how it is read
or answered; in which order things end is decided in `evkit.http.server.exchange` and `evkit.http.server.farewell`.
"""

from evkit.core import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_READ,
    BufferEvent,
    Event,
)
from evkit.http.errors import BadRequest
from evkit.http.server.exchange import Exchange
from evkit.http.server.farewell import Farewell
from evkit.http.server.patience import Patience, Phase
from evkit.http.server.replier import Replier
from evkit.http.server.service import Service
from evkit.http.server.uptake import unsent


class ConnectionLife:
    """What every connection has and does, whatever is said on it.

    Args:
        service: What it shares with the others.
        bev: The buffered connection.
        peer: The client's address, as text.

    Attributes:
        bev: The buffered connection.
        peer: The client's address.
    """

    __slots__ = (
        "_exchange",
        "_farewell",
        "_last_look",
        "_patience",
        "_replier",
        "_service",
        "_turn",
        "bev",
        "peer",
    )

    _replier: Replier
    """Made by who reads: it is the other half."""

    def __init__(self, service: Service, bev: BufferEvent, peer: str) -> None:
        self.bev = bev
        self.peer = peer
        self._service = service
        self._exchange = Exchange(persists=service.timeouts.keep_alive != 0)
        self._farewell: Farewell | None = None
        self._turn: Event | None = None  # goes on when others had theirs
        self._last_look: Event | None = None  # for a request, when the server stops
        self._patience = Patience(bev, service.timeouts)
        bev.on_close = self._on_closed

    def _on_read(self, bev: BufferEvent) -> None:
        """Read what has come, and take the next step."""
        raise NotImplementedError

    def watch_output(self) -> None:
        """Hear when the output is empty, and go on then."""
        raise NotImplementedError

    # The end

    def _refuse(self, error: BadRequest) -> None:
        """Answer a request that breaks the rules, and close: where the next one begins is in doubt.

        A handler that has seen the beginning of the request hears of its end by ``on_close``.
        """
        request = self._exchange.request
        if request is not None and request.status:
            self.close()
            return
        size = self._replier.refuse(error)
        if request is None:
            self._service.refused(self.peer, error)
        else:
            request.status = error.status
            request.reply_size = size
            self._drop_request()
        self._close_when_sent()

    def _close_when_sent(self) -> None:
        """Serve nothing more, and close when the client has what is due to it."""
        exchange = self._exchange
        exchange.end()
        if self.bev.closed or self._farewell is not None:
            return
        self._patience.await_end()
        linger = self._service.timeouts.linger
        self._farewell = Farewell(
            self.bev, self.close, linger, sends=not exchange.ended, sent=self._replier.drained
        )
        self._farewell.begin()

    def stop(self, drain: float = 0.0) -> None:
        """Let the next reply say that it is the last: to the request under way, or to one that is on its way.

        A reply whose head is out has not said so. Its client may send one request more, as one that waits for none.

        Args:
            drain: Seconds that such a request may take to come; 0: it is there by the next poll.
        """
        exchange = self._exchange
        if exchange.last:
            return  # it ends by itself
        exchange.persists = False
        self._patience.await_last(drain)
        if not drain and exchange.request is None:
            self._last_look = self.bev.base.timer(self._on_last_look)
            self._last_look.add(0)

    def _on_last_look(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        """What the system had of a request was read by now, unless requests wait for their turn or for room."""
        waits = self._patience.phase is Phase.REPLY and self.bev.input.length
        if self._exchange.request is None and not waits:
            self._close_when_sent()

    def close(self) -> None:
        """Close now, whatever is under way."""
        self.bev.close()

    def _on_closed(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """The buffered connection is closed, by us or because something failed in it."""
        self._free_events()
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        self._drop_request()
        self._replier.close()
        self._service.forget(self)

    def _free_events(self) -> None:
        """Wait for nothing any more."""
        self._patience.free()
        for event in (self._turn, self._last_look):
            if event is not None:
                event.free()
        self._turn = self._last_look = None

    def _drop_request(self) -> None:
        """Give the request up that is under way: the client will never hear its reply's end."""
        request = self._exchange.drop()
        if request is None:
            return
        request.aborted = True
        self._service.report(request)
        request.connection = None
        self._replier.abandon()  # an iterator that is closed now finds its client gone
        if request.on_close is not None:
            try:
                request.on_close(request)
            except Exception as exception:
                self.bev.base.escaped(exception, request)

    # Time, and the client's end

    def _on_deadline(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._refuse(BadRequest(408, "the head of the request took too long"))

    def _on_look(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if self._patience.body_is_slow():
            self._refuse(BadRequest(408, "the body of the request came too slowly"))

    def _on_no_reply(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        request = self._exchange.request
        # Once it has begun, sending tells whether the client is there, unless nothing of it is sent.
        if request is None or not request.status or self._replier.silent:
            self.close()

    def _on_event(self, bev: BufferEvent, what: int) -> None:  # noqa: ARG002 - a callback
        if (
            what & BEV_EVENT_WRITING
        ):  # whatever else it tells: where callbacks are deferred, it may be of both sides
            self.close()
        elif what & BEV_EVENT_TIMEOUT:
            self._silent()
        elif what & BEV_EVENT_EOF:
            self._client_ended()
        elif not what & BEV_EVENT_CONNECTED:  # the end of a TLS handshake
            self.close()

    def _silent(self) -> None:
        """Nothing came for as long as may be."""
        if self._exchange.body is not None:
            self._refuse(BadRequest(408, "the body of the request took too long"))
        elif unsent(self.bev):
            # The client is still taking a reply: how long it may is the write time-out's matter, and the time for the
            # next request begins when this is sent.
            self._patience.enter(Phase.REPLY)
            self.bev.enable(EV_READ)
            self.watch_output()
        elif self._patience.ending:
            self._close_when_sent()  # a request that has come too late must not cost the reply before it
        else:
            self.close()

    def _client_ended(self) -> None:
        """The client has said all it wants to; it may still read. Whether it does, writing will tell."""
        self._exchange.client_ended(self.bev.input.length)
        self._on_read(self.bev)
