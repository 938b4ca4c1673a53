"""`ServerConnection`: one client's requests, one after the other, and their replies in the same order.

The doer between a buffered connection, a parser and a handler. Heads and bodies are understood by the engine, replies
framed by `evkit.http.reply`; here is decided what comes next: read a head, read a body, wait for a handler, close.
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
from evkit.http.fields import STATUS_LINES, Fields
from evkit.http.message import Request
from evkit.http.parser.contract import CHUNKED
from evkit.http.reply import LAST_CHUNK, UNKNOWN_LENGTH, Framing, chunk_head, frame, plain_head

if TYPE_CHECKING:
    from evkit.http.server import Route, Server

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_JOIN_UP_TO: Final = 4096
"""Bytes of a body that are joined to its head: one copy is cheaper than one segment more in the system call."""
_MAX_INPUT: Final = 65536
"""Bytes of pipelined requests to hold while a handler owes its reply; then nothing is read until it comes."""
_MAX_OUTPUT: Final = 262144
"""Bytes of replies to hold for a client that does not read them; then its next request waits."""
_MAX_LINGER: Final = 1 << 24
"""Bytes that a client may still send after its request was refused, so that it gets to read why."""

# What the connection waits for, and so which time-outs hold. While a handler owes its reply none of them does, and
# the phase stays what it was: a reply that comes at once, as nearly all do, changes no phase at all.
_NEW: Final = 0
_IDLE: Final = 1
_HEAD: Final = 2
_BODY: Final = 3
_LINGER: Final = 4


class ServerConnection:
    """One client of a `Server`.

    Attributes:
        bev: The buffered connection.
        peer: The client's address, as text.

    Source: ``struct evhttp_connection``, the server's half.
    """

    __slots__ = (
        "_advancing",
        "_body",
        "_closing",
        "_deadline",
        "_drained",
        "_ended",
        "_engine",
        "_framing",
        "_lingered",
        "_lingers",
        "_phase",
        "_request",
        "_route",
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
        self._route: Route | None = None  # of the request whose body is being read
        self._body: Buffer | None = None  # of that request
        self._framing: Framing | None = None  # of a reply that comes in pieces
        self._drained: list[Callable[[], object]] = []
        self._deadline: Event | None = None
        self._closing = False  # no request after this one
        self._ended = False  # the client sends nothing more, but not all that it sent is served
        self._lingers = False  # the client may still send: closing at once would keep it from reading
        self._advancing = False
        self._lingered = 0
        self._phase = _NEW
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.set_timeouts(read=server.timeouts.first_byte, write=server.timeouts.write)
        bev.enable(EV_READ)

    def __repr__(self) -> str:
        return (
            f"<ServerConnection {self.peer} request={self._request!r}{' closing' if self._closing else ''}>"
        )

    # Requests

    def _on_read(self, bev: BufferEvent) -> None:
        """Read and serve requests, until bytes are missing or a handler takes its time."""
        if self._closing and self._request is None:
            self._discard(bev)  # the last reply is still to be sent
            return
        self._advancing = True
        source = bev.input
        try:
            while source.length:
                if self._body is not None:
                    if not self._read_body(source, self._body):
                        break
                elif self._request is not None or not self._next_request(source):
                    break
        except BadRequest as error:
            self._refuse(error)
        finally:
            self._advancing = False
        if self._request is not None:
            if self._body is None and source.length >= _MAX_INPUT:
                # A handler owes its reply. Reading goes on so that the client's end is noticed, within bounds.
                bev.disable(EV_READ)
        elif self._ended:
            if self.bev.output.length <= _MAX_OUTPUT:
                self._close_when_sent()
        elif self._phase != _IDLE and not source.length and not self._closing:
            self._enter(_IDLE)

    def _next_request(self, source: Buffer) -> bool:
        """Take a head and do what it asks for; return whether to go on."""
        if self._closing or (self.bev.output.length > _MAX_OUTPUT and not self._has_room()):
            return False
        request: Request | None = self._engine.read_head(source)  # type: ignore[assignment]  # it was told to make these
        if request is None:
            if self._phase != _HEAD and source:
                self._enter(_HEAD)
            return False
        if self._phase == _HEAD:
            self._enter(_IDLE)
        request.connection = self
        self._request = request
        route = self._server.plain.get(request.target) or self._server.find(request)
        if request.body_length:
            self._begin_body(request, route)
            return True
        try:
            route.handler(request)
        except Exception as exception:
            self._handler_failed(request, exception)
        return True

    def _handle(self, request: Request, route: "Route") -> None:
        try:
            route.handler(request)
        except Exception as exception:
            self._handler_failed(request, exception)

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
        if len(self.bev.output) <= _MAX_OUTPUT:
            return True
        if len(self.bev.input) >= _MAX_INPUT:
            self.bev.disable(EV_READ)
        self._watch_output()
        return False

    # Bodies

    def _begin_body(self, request: Request, route: "Route") -> None:
        limit = route.max_body
        if limit is not None and request.body_length > limit:
            raise BadRequest(
                413, f"expected a body of at most {limit} bytes, got Content-Length: {request.body_length}"
            )
        self._engine.max_body = limit
        self._body = Buffer()
        self._route = route
        self._enter(_BODY)
        if route.stream:
            self._handle(request, route)
            if self._request is request and request.receiver is None:
                self.bev.disable(EV_READ)
        else:
            self.invite_body()

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
            if not self._advancing:
                self._on_read(self.bev)

    def _end_empty_body(self, request: Request) -> None:
        self._hand_over(request, Buffer(), complete=True)

    def _read_body(self, source: Buffer, body: Buffer) -> bool:
        """Take what has come of the body; return whether to go on with what follows."""
        request, route = self._request, self._route
        assert request is not None
        assert route is not None
        if route.stream and request.receiver is None:
            return False
        complete = self._engine.read_body(source, body)
        if complete:
            self._body = self._route = None
            if request.body_length == CHUNKED:
                request.trailers = self._engine.trailers
            if self._phase == _BODY:
                self._enter(_IDLE)
        if request.receiver is not None:
            self._hand_over(request, body, complete=complete)
        elif complete:
            request.body = body.remove()
            self._handle(request, route)
        return complete

    def _hand_over(self, request: Request, body: Buffer, *, complete: bool) -> None:
        """Give a streamed body's handler what has come."""
        receiver = request.receiver
        assert receiver is not None
        try:
            if body:
                receiver.data(request, body.remove())
            if complete and self._request is request:
                receiver.end(request)
        except Exception as exception:
            self._handler_failed(request, exception)

    # Replies: see ReplyDoor

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """Send a whole reply."""
        request = self._request
        assert request is not None
        size = len(body)
        if type(fields) is not list and type(fields) is not tuple:
            fields = list(fields)  # it may be a generator, and is read twice below
        if type(body) is bytes and not self._closing and self._body is None:
            block = plain_head(request, status, self._server.date.get(), fields, size)
            if block is not None:
                output = self.bev.output
                if size <= _JOIN_UP_TO:
                    output.add(block + body)
                else:
                    output.add(block)
                    output.add(body)
                request.status = status
                request.reply_size = size
                self._finish(request, keep_alive=True)
                return
        framing = self._frame(request, status, fields, size)
        self.bev.output.add(framing.head)
        if not framing.silent:
            self._add(body)
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
        self._framing = self._frame(request, status, fields, UNKNOWN_LENGTH)
        self.bev.output.add(self._framing.head)

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """Send a piece of it."""
        request, framing = self._request, self._started()
        assert request is not None
        size = len(data)
        if framing.left != UNKNOWN_LENGTH:
            if size > framing.left:
                raise LocalProtocolError(
                    f"a piece of {size} bytes passes the Content-Length: {framing.left} are left"
                )
            framing.left -= size
        request.reply_size += size
        if framing.silent or not size:
            pass
        elif framing.chunked:
            self.bev.output.add(chunk_head(size))
            self._add(data)
            self.bev.output.add(b"\r\n")
        else:
            self._add(data)
        if drained is not None:
            self._call_when_drained(drained)

    def end_reply(self) -> None:
        """End it."""
        request, framing = self._request, self._started()
        assert request is not None
        self._framing = None
        if framing.chunked:
            self.bev.output.add(LAST_CHUNK)
        elif framing.left > 0 and not framing.silent:
            self.close()
            raise LocalProtocolError(
                f"the reply ended {framing.left} bytes before its Content-Length; connection closed"
            )
        self._finish(request, keep_alive=framing.keep_alive)

    def _started(self) -> Framing:
        if self._framing is None:
            raise LocalProtocolError(
                "send_reply_start() comes before send_reply_chunk() and send_reply_end()"
            )
        return self._framing

    def _add(self, body: bytes | Buffer) -> None:
        if isinstance(body, Buffer):
            self.bev.output.add_buffer(body)
        else:
            self.bev.output.add(body)

    def _finish(self, request: Request, *, keep_alive: bool) -> None:
        """The reply is complete: go on, or close when it is sent."""
        self._request = None
        if self._server.on_complete is not None:
            self._server.report(request)
        request.connection = None
        if self._body is not None:
            self._lingers = True
            self._body = self._route = None
        if not keep_alive or self._closing:
            self._close_when_sent()
        elif not self._advancing:
            self.bev.enable(EV_READ)  # if it was not; and the time for the next request begins now
            self._on_read(self.bev)

    def _call_when_drained(self, drained: Callable[[], object]) -> None:
        if self.bev.output:
            self._drained.append(drained)
            self._watch_output()
        else:
            self.bev.base.call_soon(self._tell_drained, drained)

    def _tell_drained(self, drained: Callable[[], object]) -> None:
        request = self._request
        try:
            if not self.bev.closed:
                drained()
        except Exception as exception:
            if request is not None:
                self._handler_failed(request, exception)
            else:
                self.bev.base.escaped(exception, self)

    # The end

    def _watch_output(self) -> None:
        if self.bev.closed:
            return
        self.bev.set_callbacks(read=self._on_read, write=self._on_drained, event=self._on_event)

    def _on_drained(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """Everything is sent: tell who waits for it, close if that was the last, or serve what had to wait."""
        self.bev.set_callbacks(read=self._on_read, event=self._on_event)
        waiting, self._drained = self._drained, []
        for drained in waiting:
            self._tell_drained(drained)
        if self._request is None and self._closing:
            self._close_when_sent()
        elif self._request is None and not self._advancing:
            if not self._ended:
                self.bev.enable(EV_READ)  # see _finish
            self._on_read(self.bev)

    def _close_when_sent(self) -> None:
        """Close after the output; first let the client read it if it still sends, since closing would cut it off."""
        self._closing = True
        if self._phase == _HEAD:
            self._enter(_IDLE)  # what is left of a head is not waited for
        if self.bev.output:
            self._watch_output()
        elif self._phase != _LINGER and (self._lingers or self.bev.input):
            self._linger()
        else:
            self.close()

    def _linger(self) -> None:
        """Send the end, and discard what comes until the client's end, for a while. Source: RFC 9112 §9.6."""
        self._enter(_LINGER)
        self.bev.shutdown_write()
        self.bev.input.clear()
        self.bev.set_callbacks(read=self._discard, event=self._on_linger_event)
        self.bev.enable(EV_READ)

    def _discard(self, bev: BufferEvent) -> None:
        self._lingers = True
        self._lingered += bev.input.drain(len(bev.input))
        if self._lingered > _MAX_LINGER:
            self.close()

    def _on_linger_event(self, bev: BufferEvent, what: int) -> None:  # noqa: ARG002 - a callback
        self.close()

    def _refuse(self, error: BadRequest) -> None:
        """Answer a request that breaks the rules, and close: where the next one begins is in doubt."""
        self._closing = self._lingers = True
        request = self._request
        if request is not None and request.status:
            self.close()
        elif request is not None:
            request.send_error(error.status, str(error))
        else:
            text = f"{error.status} {error}\n".encode()
            self.bev.output.add(
                b"%b%bContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                % (STATUS_LINES[error.status], self._server.date.get(), len(text), text)
            )
            self._server.refused(self, error)
            self._close_when_sent()

    def stop(self) -> None:
        """Take no further request: close at once when idle, else after the reply that is due."""
        self._closing = True
        if self._request is None:
            if self.bev.output:
                self._watch_output()
            else:
                self.close()

    def close(self) -> None:
        """Close now, whatever is under way."""
        if self.bev.closed:
            return
        self._closing = True
        self.bev.close()
        if self._deadline is not None:
            self._deadline.delete()
            self._deadline.callback = (
                _nothing  # the heap of timers may know it a while yet; we are not to be kept
            )
            self._deadline = None
        self._drained.clear()
        self._drop_request()
        self._server.forget(self)

    def _drop_request(self) -> None:
        """Give the request up that is under way: the client will never hear its reply's end."""
        request, self._request = self._request, None
        self._body = self._route = self._framing = None
        if request is not None:
            request.connection = None
            if request.on_close is not None:
                try:
                    request.on_close(request)
                except Exception as exception:
                    self.bev.base.escaped(exception, request)

    # Time

    def _enter(self, phase: int) -> None:
        """Let the time-outs of ``phase`` hold."""
        self._phase = phase
        timeouts = self._server.timeouts
        if phase in (_HEAD, _LINGER):
            if self._deadline is None:
                self._deadline = self.bev.base.timer(self._on_deadline)
            self._deadline.add(timeouts.header if phase == _HEAD else timeouts.linger)
        elif self._deadline is not None:
            self._deadline.delete()
        read = timeouts.body if phase == _BODY else timeouts.keep_alive
        if self.bev.read_timeout != read:
            self.bev.set_timeouts(read=read, write=timeouts.write)

    def _on_deadline(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if self._phase == _LINGER:
            self.close()
        else:
            self._refuse(BadRequest(408, "the head of the request took too long"))

    def _on_event(self, bev: BufferEvent, what: int) -> None:  # noqa: ARG002 - a callback
        if what & BEV_EVENT_TIMEOUT and what & BEV_EVENT_READING:
            self._silent()
        elif what & BEV_EVENT_EOF:
            self._client_ended()
        else:
            self.close()

    def _client_ended(self) -> None:
        """The client has said all it wants to; it may still read. Whether it does, writing will tell."""
        if self._body is not None:
            self._drop_request()
            self._close_when_sent()
        elif not self.bev.input:
            self._closing = True
            if self._request is None:
                self._close_when_sent()
        else:
            self._ended = True
            if self._request is None:
                self._on_read(self.bev)

    def _silent(self) -> None:
        """Nothing came for as long as may be."""
        if self._body is not None:
            self._refuse(BadRequest(408, "the body of the request took too long"))
        elif self._request is not None:
            self.bev.enable(EV_READ)  # it is our turn
        elif self.bev.output:
            self.bev.enable(EV_READ)  # the time-out for writing decides
            self._watch_output()
        else:
            self.close()


def _nothing(event: Event, what: int) -> None:
    """Stand in for the callback of a timer that is over."""
