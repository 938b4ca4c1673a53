"""`ServerConnection`: one client's requests, one after the other, and their replies in the same order.

The doer between a buffered connection, a parser and a handler: it decides what comes next. Heads and bodies are
understood by the engine, replies framed by `evkit.http.reply`, bodies in pieces kept by `evkit.http.pieces`; the end is
`evkit.http.farewell`'s.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from evkit.core import (
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    EV_READ,
    Buffer,
    BufferEvent,
    Event,
    SocketBufferEvent,
)
from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.farewell import Farewell
from evkit.http.fields import Fields, as_pairs
from evkit.http.message import Request
from evkit.http.patience import Patience, Phase
from evkit.http.pieces import BodyReader, PiecewiseReply, add_body
from evkit.http.reply import UNKNOWN_LENGTH, Framing, Pairs, frame, plain_head, refusal
from evkit.http.routes import Route

if TYPE_CHECKING:
    from evkit.http.server import Server

Drained = tuple[Request, Callable[[], object]]
"""A callback that waits for the output to be empty, and the request that it was given with."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_JOIN_UP_TO: Final = 4096
"""Bytes of a body that are joined to its head: one copy is cheaper than one segment more in the system call."""
_MAX_INPUT: Final = 65536
"""Bytes of pipelined requests to hold while a reply is due; then nothing is read until it is sent."""
_MAX_OUTPUT: Final = 262144
"""Bytes of replies to hold for a client that does not read them; then its next request waits."""

_IDLE: Final = Phase.IDLE  # looking a member up in its enumeration costs as much as three calls
_HEAD: Final = Phase.HEAD
_REQUESTS_PER_TURN: Final = 32
"""Pipelined requests to serve before others get their turn."""


class ServerConnection:
    """One client of a `Server`.

    Attributes:
        bev: The buffered connection.
        peer: The client's address, as text.

    Source: ``struct evhttp_connection``, the server's half.
    """

    __slots__ = (
        "_body",
        "_closing",
        "_drained",
        "_ended",
        "_engine",
        "_farewell",
        "_patience",
        "_persists",
        "_reading",
        "_reply",
        "_request",
        "_server",
        "bev",
        "peer",
    )

    def __init__(self, server: "Server", bev: SocketBufferEvent, peer: str) -> None:
        self.bev = bev
        self.peer = peer
        self._server = server
        self._engine = server.make_engine()
        self._request: Request | None = None  # from its head until its reply is complete
        self._body: BodyReader | None = None  # while its body is not complete
        self._reply: PiecewiseReply | None = None  # while its reply is in pieces
        self._drained: list[Drained] | None = None  # whom to tell when the output is empty
        self._farewell: Farewell | None = None
        self._persists = server.timeouts.keep_alive != 0  # another request may follow the reply under way
        self._closing = False  # no request after this one
        self._ended = False  # the client sends nothing more
        self._reading = False  # _on_read is at work further up: it goes on by itself
        self._patience = Patience(bev, server.timeouts)
        bev.on_close = self._on_closed
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.enable(EV_READ)

    def __repr__(self) -> str:
        closing = " closing" if self._closing else ""
        return f"<ServerConnection {self.peer} request={self._request!r}{closing}>"

    # Requests

    def _on_read(self, bev: BufferEvent) -> None:
        """Read and serve requests, until bytes are missing or a handler takes its time."""
        self._reading = True
        source = bev.input
        turns = _REQUESTS_PER_TURN
        try:
            while source.length:
                if self._body is not None:
                    if not self._read_body(self._body, source):
                        break
                elif self._request is not None or not turns or not self._next_request(source):
                    break
                turns -= 1
        except BadRequest as error:
            self._refuse(error)
        finally:
            self._reading = False
        if self._request is not None or source.length or self._closing or self._ended:
            self._wait(source, more=not turns)
        elif self._patience.phase is not _IDLE:
            self._patience.enter(Phase.IDLE)

    def _wait(self, source: Buffer, *, more: bool) -> None:
        """Something has to come first: a reply, room for one, others' turns, or the rest of a request.

        Args:
            source: The input.
            more: Whether requests are there that only wait for others to have their turn.
        """
        if self.bev.closed or self._farewell is not None or self._body is not None:
            return
        if self._request is not None:
            self._bound_input(source)
        elif self._closing:
            self._close_when_sent()
        elif source.length and self.bev.output.length > _MAX_OUTPUT:
            self._bound_input(source)
            self._watch_output()
        elif more and source.length:
            self._bound_input(source)
            self.bev.base.call_soon(self._go_on)
        elif self._ended:
            self._close_when_sent()

    def _bound_input(self, source: Buffer) -> None:
        """It is our turn. Reading goes on, so that the client's end is noticed, but not beyond a bound."""
        if self._patience.phase is not Phase.REPLY:
            self._patience.enter(Phase.REPLY)
        if source.length >= _MAX_INPUT:
            self.bev.disable(EV_READ)

    def _next_request(self, source: Buffer) -> bool:
        """Take a head and do what it asks for; return whether to go on."""
        if self._closing or (self.bev.output.length > _MAX_OUTPUT and not self._has_room()):
            return False
        request: Request | None = self._engine.read_head(source)  # type: ignore[assignment]  # told to make these
        if request is None:
            if self._patience.phase is not _HEAD and source.length:
                self._patience.await_head(self._on_deadline)
            return False
        if self._patience.phase is _HEAD:
            self._patience.enter(Phase.IDLE)
        request.connection = self
        self._request = request
        routes = self._server.routes
        route = routes.plain.get(request.target) or routes.find(request)
        if request.body_length:
            self._begin_body(request, route)
            return True
        try:
            route.handler(request)
        except Exception as exception:
            self._handler_failed(request, exception)
        return True

    def _handler_failed(self, request: Request, exception: Exception) -> None:
        """Log what a handler let escape, and answer 500 if there is no answer yet; half an answer can't be mended."""
        self.bev.base.escaped(exception, request)
        if request is not self._request:
            return
        if request.status:
            self.close()
        else:
            request.send_error(500)

    def _has_room(self) -> bool:
        """Send replies before the next request is read; return whether the client has taken enough of them."""
        self.bev.flush_output()
        return self.bev.output.length <= _MAX_OUTPUT and not self.bev.closed

    # Bodies

    def _begin_body(self, request: Request, route: Route) -> None:
        self._body = BodyReader(self._engine, request, route)
        self._body.check_length()
        self._patience.enter(Phase.BODY)
        if not route.stream:
            self.invite_body()
            return
        try:
            route.handler(request)
        except Exception as exception:
            self._handler_failed(request, exception)
        self._pause_unwanted_body()

    def _pause_unwanted_body(self) -> None:
        """Read nothing until the handler calls ``receive``, unless it did, or has answered already."""
        if self._body is not None and not self._body.wanted:
            self.bev.disable(EV_READ)

    def invite_body(self) -> None:
        """See `ReplyDoor.invite_body`. Source: RFC 9110 §10.1.1."""
        request = self._request
        if request is None:
            return
        if self._body is None:
            if request.body_length:
                raise LocalProtocolError("the body was read whole: register the handler with stream=True")
            self.bev.base.call_soon(self._end_empty_body, request)
            return
        if request.expect_continue and not self.bev.input and not request.status:
            self.bev.output.add(_CONTINUE)
        if not self.bev.enabled & EV_READ:
            self.bev.enable(EV_READ)
            if not self._reading:
                self._on_read(self.bev)

    def _end_empty_body(self, request: Request) -> None:
        if self._request is request:
            self._deliver(
                BodyReader(self._engine, request, self._server.routes.general), request, complete=True
            )

    def _read_body(self, body: BodyReader, source: Buffer) -> bool:
        """Take what has come of the body; return whether to go on with what follows."""
        request = self._request
        if request is None or not body.wanted:
            return False
        complete = body.read(source)
        if complete:
            self._body = None
            self._patience.enter(Phase.IDLE)
        self._deliver(body, request, complete=complete)
        return complete

    def _deliver(self, body: BodyReader, request: Request, *, complete: bool) -> None:
        try:
            body.deliver(complete=complete)
        except Exception as exception:
            self._handler_failed(request, exception)

    # Replies: see ReplyDoor

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """Send a whole reply."""
        request = self._request
        assert request is not None
        size = len(body)
        pairs = fields if type(fields) is list else as_pairs(fields)
        if type(body) is bytes and self._persists and self._body is None:
            head = plain_head(request, status, self._server.date.get(), pairs, size)
            if head is not None:
                output = self.bev.output
                if size <= _JOIN_UP_TO:
                    output.add(head + body)
                else:
                    output.add(head)
                    output.add(body)
                request.status = status
                request.reply_size = size
                self._finish(request, keep_alive=True)
                return
        framing = self._frame(request, status, pairs, size)
        self.bev.output.add(framing.head)
        if not framing.silent:
            add_body(self.bev.output, body)
            request.reply_size = size
        elif isinstance(body, Buffer):
            body.clear()
        self._finish(request, keep_alive=framing.keep_alive)

    def _frame(self, request: Request, status: int, pairs: Pairs, size: int) -> Framing:
        keep_alive = request.keep_alive and self._persists and self._body is None
        framing = frame(request, status, self._server.date.get(), pairs, size, keep_alive=keep_alive)
        request.status = status
        return framing

    def start_reply(self, status: int, fields: Fields) -> None:
        """Send the head of a reply that comes in pieces."""
        request = self._request
        assert request is not None
        self._reply = PiecewiseReply(
            self._frame(request, status, as_pairs(fields), UNKNOWN_LENGTH), self.bev.output
        )

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """Send a piece of it."""
        request, reply = self._request, self._started()
        assert request is not None
        size = 0 if reply.framing.silent else len(data)
        reply.send(data)
        request.reply_size += size
        if drained is not None:
            self._call_when_drained(request, drained)

    def end_reply(self) -> None:
        """End it."""
        request, reply = self._request, self._started()
        assert request is not None
        self._reply = None
        try:
            reply.end()
        except LocalProtocolError:
            self.close()
            raise
        self._finish(request, keep_alive=reply.framing.keep_alive)

    def _started(self) -> PiecewiseReply:
        if self._reply is None:
            raise LocalProtocolError(
                "send_reply_start() comes before send_reply_chunk() and send_reply_end()"
            )
        return self._reply

    def _finish(self, request: Request, *, keep_alive: bool) -> None:
        """The reply is complete: go on, or close when it is sent."""
        self._request = None
        if self._server.on_complete is not None:
            self._server.report(request)
        request.connection = None
        if not keep_alive or self._closing:
            self._close_when_sent()
        elif not self._reading:
            self._go_on()

    def _go_on(self) -> None:
        """Serve what has come meanwhile, and read on; the time for the next request begins now."""
        if self._farewell is not None or self.bev.closed:
            return
        if not self._ended:
            self.bev.enable(EV_READ)
        self._on_read(self.bev)

    # The output

    def _call_when_drained(self, request: Request, drained: Callable[[], object]) -> None:
        if not self.bev.output:
            self.bev.base.call_soon(self._tell_drained, request, drained)
            return
        if self._drained is None:
            self._drained = []
        self._drained.append((request, drained))
        self._watch_output()

    def _watch_output(self) -> None:
        self.bev.set_callbacks(read=self._on_read, write=self._on_drained, event=self._on_event)

    def _on_drained(self, bev: BufferEvent) -> None:
        """Everything is sent: tell who waits for it, and serve what had to wait."""
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        self._tell_all_drained()
        if self._request is None and not self._reading and not self._closing:
            self._go_on()

    def _tell_all_drained(self) -> None:
        waiting, self._drained = self._drained, None
        for request, drained in waiting or ():
            self._tell_drained(request, drained)

    def _tell_drained(self, request: Request, drained: Callable[[], object]) -> None:
        if self.bev.closed:
            return
        try:
            drained()
        except Exception as exception:
            self._handler_failed(request, exception)

    # The end

    def _refuse(self, error: BadRequest) -> None:
        """Answer a request that breaks the rules, and close: where the next one begins is in doubt.

        A handler that has seen the beginning of the request hears of its end by ``on_close``.
        """
        request = self._request
        if request is not None and request.status:
            self.close()
            return
        self.bev.output.add(refusal(error, self._server.date.get()))
        if request is None:
            self._server.refused(self, error)
        else:
            request.status = error.status
            self._server.report(request)
            request.status = 0
            self._drop_request()
        self._close_when_sent()

    def _close_when_sent(self) -> None:
        """Serve nothing more, and close when the client has what is due to it."""
        self._closing = True
        self._persists = False
        if self.bev.closed or self._farewell is not None:
            return
        self._body = None
        self._patience.free()
        linger = self._server.timeouts.linger
        self._farewell = Farewell(
            self.bev, self.close, linger, sends=not self._ended, sent=self._tell_all_drained
        )
        self._farewell.begin()

    def stop(self) -> None:
        """Take no further request: close when the reply that is due, if any, is sent."""
        self._closing = True
        self._persists = False
        if self._request is None:
            if self.bev.output:
                self._close_when_sent()
            else:
                self.close()

    def close(self) -> None:
        """Close now, whatever is under way."""
        self.bev.close()

    def _on_closed(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """The buffered connection is closed, by us or because something failed in it."""
        self._closing = True
        self._persists = False
        self._patience.free()
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        self._drained = None
        self._drop_request()
        self._server.forget(self)

    def _drop_request(self) -> None:
        """Give the request up that is under way: the client will never hear its reply's end."""
        request, self._request = self._request, None
        self._body = self._reply = None
        if request is None:
            return
        request.connection = None
        if request.on_close is not None:
            try:
                request.on_close(request)
            except Exception as exception:
                self.bev.base.escaped(exception, request)

    # Time, and the client's end

    def _on_deadline(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._refuse(BadRequest(408, "the head of the request took too long"))

    def _on_no_reply(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.close()

    def _on_event(self, bev: BufferEvent, what: int) -> None:  # noqa: ARG002 - a callback
        if what & BEV_EVENT_TIMEOUT and what & BEV_EVENT_READING:
            self._silent()
        elif what & BEV_EVENT_EOF:
            self._client_ended()
        else:
            self.close()

    def _silent(self) -> None:
        """Nothing came for as long as may be."""
        if self._body is not None:
            self._refuse(BadRequest(408, "the body of the request took too long"))
        elif self.bev.output:
            # The client is still taking a reply: how long it may is the write time-out's matter, and the time for the
            # next request begins when this is sent.
            self._patience.enter(Phase.REPLY)
            self.bev.enable(EV_READ)
            self._watch_output()
        else:
            self.close()

    def _client_ended(self) -> None:
        """The client has said all it wants to; it may still read. Whether it does, writing will tell."""
        self._ended = True
        if self._body is not None:
            self._drop_request()
            self._close_when_sent()
        elif not self.bev.input:
            self._closing = True
            self._persists = False
            if self._request is None:
                self._close_when_sent()
            else:
                self._patience.await_reply(self._on_no_reply)
        elif self._request is None:
            self._on_read(self.bev)
