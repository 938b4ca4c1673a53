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
from evkit.http.fields import Fields
from evkit.http.message import Request
from evkit.http.pieces import BodyReader, PiecewiseReply, add_body
from evkit.http.reply import UNKNOWN_LENGTH, Framing, frame, plain_head, refusal
from evkit.http.routes import Route

if TYPE_CHECKING:
    from evkit.http.server import Server

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_JOIN_UP_TO: Final = 4096
"""Bytes of a body that are joined to its head: one copy is cheaper than one segment more in the system call."""
_MAX_INPUT: Final = 65536
"""Bytes of pipelined requests to hold while a reply is due; then nothing is read until it is sent."""
_MAX_OUTPUT: Final = 262144
"""Bytes of replies to hold for a client that does not read them; then its next request waits."""

# What the connection waits for, and so which time-outs hold. While a handler owes its reply none of them does, and
# the phase stays what it was: a reply that comes at once, as nearly all do, changes no phase at all.
_NEW: Final = 0
_IDLE: Final = 1
_HEAD: Final = 2
_BODY: Final = 3


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
        "_deadline",
        "_drained",
        "_ended",
        "_engine",
        "_farewell",
        "_phase",
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
        self._drained: list[Callable[[], object]] | None = None  # whom to tell when the output is empty
        self._deadline: Event | None = None  # for the head
        self._farewell: Farewell | None = None
        self._closing = False  # no request after this one
        self._ended = False  # the client sends nothing more, but not all that it sent is served
        self._reading = False  # _on_read is at work further up: it goes on by itself
        self._phase = _NEW
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.set_timeouts(read=server.timeouts.first_byte, write=server.timeouts.write)
        bev.enable(EV_READ)

    def __repr__(self) -> str:
        closing = " closing" if self._closing else ""
        return f"<ServerConnection {self.peer} request={self._request!r}{closing}>"

    # Requests

    def _on_read(self, bev: BufferEvent) -> None:
        """Read and serve requests, until bytes are missing or a handler takes its time."""
        self._reading = True
        source = bev.input
        try:
            while source.length:
                if self._body is not None:
                    if not self._read_body(self._body, source):
                        break
                elif self._request is not None or not self._next_request(source):
                    break
        except BadRequest as error:
            self._refuse(error)
        finally:
            self._reading = False
        if self._request is not None or self._closing or self._ended or source.length:
            self._pause(source)
        elif self._phase != _IDLE:
            self._enter(_IDLE)

    def _pause(self, source: Buffer) -> None:
        """Something has to come first: a reply, room for it, or the rest of a request."""
        if self._request is not None or self.bev.output.length > _MAX_OUTPUT:
            # Reading goes on, so that the client's end is noticed, within bounds.
            if self._body is None and source.length >= _MAX_INPUT:
                self.bev.disable(EV_READ)
        elif self._ended:
            self._close_when_sent()

    def _next_request(self, source: Buffer) -> bool:
        """Take a head and do what it asks for; return whether to go on."""
        if self._closing or (self.bev.output.length > _MAX_OUTPUT and not self._has_room()):
            return False
        request: Request | None = self._engine.read_head(source)  # type: ignore[assignment]  # told to make these
        if request is None:
            if self._phase != _HEAD and source.length:
                self._enter(_HEAD)
            return False
        if self._phase == _HEAD:
            self._enter(_IDLE)
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
        """Send replies before the next request is read; if the client takes none, wait until it does."""
        self.bev.flush_output()
        if self.bev.output.length <= _MAX_OUTPUT:
            return True
        self._watch_output()
        return False

    # Bodies

    def _begin_body(self, request: Request, route: Route) -> None:
        self._body = BodyReader(self._engine, request, route)
        self._body.check_length()
        self._enter(_BODY)
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
        if request.expect_continue and not self.bev.input:
            self.bev.output.add(_CONTINUE)
        if not self.bev.enabled & EV_READ:
            self.bev.enable(EV_READ)
            if not self._reading:
                self._on_read(self.bev)

    def _end_empty_body(self, request: Request) -> None:
        if self._request is request and request.receiver is not None:
            try:
                request.receiver.end(request)
            except Exception as exception:
                self._handler_failed(request, exception)

    def _read_body(self, body: BodyReader, source: Buffer) -> bool:
        """Take what has come of the body; return whether to go on with what follows."""
        request = self._request
        if request is None or not body.wanted:
            return False
        complete = body.read(source)
        if complete:
            self._body = None
            self._enter(_IDLE)
        try:
            body.deliver(complete=complete)
        except Exception as exception:
            self._handler_failed(request, exception)
        return complete

    # Replies: see ReplyDoor

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """Send a whole reply."""
        request = self._request
        assert request is not None
        size = len(body)
        if type(fields) is not list and type(fields) is not tuple:
            fields = list(fields)  # it may be a generator, and is read twice below
        if type(body) is bytes and not self._closing and self._body is None:
            head = plain_head(request, status, self._server.date.get(), fields, size)
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
        framing = self._frame(request, status, fields, size)
        self.bev.output.add(framing.head)
        if not framing.silent:
            add_body(self.bev.output, body)
            request.reply_size = size
        self._finish(request, keep_alive=framing.keep_alive)

    def _frame(self, request: Request, status: int, fields: Fields, size: int) -> Framing:
        keep_alive = request.keep_alive and not self._closing and self._body is None
        framing = frame(request, status, self._server.date.get(), fields, size, keep_alive=keep_alive)
        request.status = status
        return framing

    def start_reply(self, status: int, fields: Fields) -> None:
        """Send the head of a reply that comes in pieces."""
        request = self._request
        assert request is not None
        self._reply = PiecewiseReply(self._frame(request, status, fields, UNKNOWN_LENGTH), self.bev.output)

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """Send a piece of it."""
        request, reply = self._request, self._started()
        assert request is not None
        size = len(data)
        reply.send(data)
        request.reply_size += size
        if drained is not None:
            self._call_when_drained(drained)

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
        if not self._ended:
            self.bev.enable(EV_READ)
        self._on_read(self.bev)

    # The output

    def _call_when_drained(self, drained: Callable[[], object]) -> None:
        if not self.bev.output:
            self.bev.base.call_soon(self._tell_drained, drained)
            return
        if self._drained is None:
            self._drained = []
        self._drained.append(drained)
        self._watch_output()

    def _watch_output(self) -> None:
        self.bev.set_callbacks(read=self._on_read, write=self._on_drained, event=self._on_event)

    def _on_drained(self, bev: BufferEvent) -> None:
        """Everything is sent: tell who waits for it, and serve what had to wait."""
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        waiting, self._drained = self._drained, None
        for drained in waiting or ():
            self._tell_drained(drained)
        if self._request is None and not self._reading and not self._closing:
            self._go_on()

    def _tell_drained(self, drained: Callable[[], object]) -> None:
        if self.bev.closed:
            return
        request = self._request
        try:
            drained()
        except Exception as exception:
            if request is not None:
                self._handler_failed(request, exception)
            else:
                self.bev.base.escaped(exception, self)

    # The end

    def _refuse(self, error: BadRequest) -> None:
        """Answer a request that breaks the rules, and close: where the next one begins is in doubt."""
        request = self._request
        self._closing = True
        if request is None:
            self.bev.output.add(refusal(error, self._server.date.get()))
            self._server.refused(self, error)
            self._close_when_sent(sends=True)
        elif request.status:
            self.close()
        else:
            request.send_error(error.status, str(error))

    def _close_when_sent(self, *, sends: bool = False) -> None:
        """Serve nothing more, and close when the client has what is due to it.

        Args:
            sends: Whether the client is still sending, for all we know.
        """
        self._closing = True
        if self.bev.closed or self._farewell is not None:
            return
        sends = sends or self._body is not None
        self._body = None
        self._free_deadline()
        self._farewell = Farewell(self.bev, self.close, self._server.timeouts.linger, sends=sends)
        self._farewell.begin()

    def stop(self) -> None:
        """Take no further request: close when the reply that is due, if any, is sent."""
        self._closing = True
        if self._request is None:
            if self.bev.output:
                self._close_when_sent()
            else:
                self.close()

    def close(self) -> None:
        """Close now, whatever is under way."""
        if self.bev.closed:
            return
        self._closing = True
        self.bev.close()
        self._free_deadline()
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

    def _enter(self, phase: int) -> None:
        """Let the time-outs of ``phase`` hold."""
        if self._closing:
            return
        self._phase = phase
        timeouts = self._server.timeouts
        if phase != _HEAD:
            self._free_deadline()
        elif timeouts.header is not None:
            self._deadline = self.bev.base.timer(self._on_deadline)
            self._deadline.add(timeouts.header)
        read = timeouts.body if phase == _BODY else timeouts.keep_alive
        if self.bev.read_timeout != read:
            self.bev.set_timeouts(read=read, write=timeouts.write)

    def _free_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.free()
            self._deadline = None

    def _on_deadline(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._refuse(BadRequest(408, "the head of the request took too long"))

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
        elif self._request is not None or self._phase == _HEAD or self.bev.output:
            # It is our turn, or another time-out decides: that for the whole head, or that for writing.
            self.bev.enable(EV_READ)
            if self.bev.output:
                self._watch_output()  # the time for the next request begins when this is sent
        else:
            self.close()

    def _client_ended(self) -> None:
        """The client has said all it wants to; it may still read. Whether it does, writing will tell."""
        if self._body is not None:
            self._drop_request()
            self._close_when_sent()
        elif self.bev.input:
            self._ended = True
            if self._request is None:
                self._on_read(self.bev)
        else:
            self._closing = True
            if self._request is None:
                self._close_when_sent()
