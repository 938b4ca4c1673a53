"""`ServerConnection`: one client's requests, one after the other, and their replies in the same order.

The doer between a buffered connection, a parser and a handler. What comes next is decided in
`evkit.http.server.exchange`; heads and bodies are understood by the engine, replies written by `Replier`. How long the
client may take, and how the connection ends, is `ConnectionLife`'s matter.
"""

from typing import Final

from evkit.core import EV_READ, Buffer, BufferEvent, Event
from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.server.body import BodyReader
from evkit.http.server.exchange import MAX_OUTPUT, Step
from evkit.http.server.life import ConnectionLife
from evkit.http.server.patience import Phase
from evkit.http.server.replier import Replier
from evkit.http.server.request import Request
from evkit.http.server.routes import Route, not_found
from evkit.http.server.service import Service

_EMPTY_LINE: Final = b"\r\n"
_MAX_INPUT: Final = 65536
"""Bytes of pipelined requests to hold while a reply is due; then nothing is read until it is sent."""
_REQUESTS_PER_TURN: Final = 32
"""Pipelined requests to serve before others get their turn."""

# Looking a member up in its enumeration costs as much as three calls.
_IDLE: Final = Phase.IDLE
_HEAD: Final = Phase.HEAD
_READ_HEAD: Final = Step.HEAD
_READ_BODY: Final = Step.BODY
_AWAIT_REQUEST: Final = Step.REQUEST
_AWAIT_ROOM: Final = Step.ROOM
_UNREAD: Final = Route(not_found, stream=True)
"""Of a request of which nobody has asked yet whose it is."""
_HANDLERS_TURN: Final = frozenset({Step.RECEIVER, Step.REPLY})


class ServerConnection(ConnectionLife):
    """One client of a `Server`; the `Reader` of its `Replier`.

    Args:
        service: What it shares with the others.
        bev: The buffered connection.
        peer: The client's address, as text.
        proxy: The address of who is connected here, where that is a proxy that has told ``peer``.

    Source: ``struct evhttp_connection``, the server's half.
    """

    __slots__ = ("_engine", "_last_at", "_proxies", "_reading", "_requests_left")

    def __init__(self, service: Service, bev: BufferEvent, peer: str, proxy: str = "") -> None:
        super().__init__(service, bev, peer)
        self._engine = service.make_engine()
        self._replier = Replier(bev, self._exchange, service, self)
        self._reading = False  # _on_read is at work further up: it goes on by itself
        self._last_at = service.last_request_at()
        self._requests_left = service.max_requests
        proxies = service.proxies
        self._proxies = proxies if proxies is not None and proxies.trusts(proxy or peer) else None
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.enable(EV_READ)

    def __repr__(self) -> str:
        exchange = self._exchange
        closing = " closing" if exchange.last else ""
        return f"<ServerConnection {self.peer} request={exchange.request!r}{closing}>"

    # Requests

    def _on_read(self, bev: BufferEvent) -> None:
        """Read and serve requests, until bytes are missing or a handler takes its time; then wait for that."""
        exchange, source, output = self._exchange, bev.input, bev.output
        turns = _REQUESTS_PER_TURN
        self._reading = True
        try:
            while True:
                step = exchange.next_step(source.length, output.length, turns)
                if step is _READ_HEAD:
                    read = self._next_request(source)
                elif step is _READ_BODY:
                    read = self._read_body(source)
                elif step is _AWAIT_ROOM and self._has_room():
                    continue
                else:
                    break
                if not read:
                    step = exchange.starve(0 if _is_empty_line(source) else source.length)
                    break
                turns -= 1
                if exchange.request is None and not (source.length or exchange.last or exchange.ended):
                    step = _AWAIT_REQUEST  # as `next_step` would say, which costs a call
                    break
        except BadRequest as error:
            self._refuse(error)
            return
        finally:
            self._reading = False
        if step is not _AWAIT_REQUEST:
            self._wait(step)
        elif self._patience.phase is not _IDLE:
            self._patience.enter(_IDLE)

    def _wait(self, step: Step) -> None:
        """Wait for what ``step`` says: with the time-outs that belong to it, and within bounds."""
        if self.bev.closed or self._farewell is not None:
            return
        if step is Step.CLOSE:
            self._drop_request()
            self._close_when_sent()
        elif step is Step.REST_OF_HEAD:
            if self._patience.phase is not _HEAD:
                self._patience.await_head(self._on_deadline)
        elif step is Step.REST_OF_BODY:
            self._patience.await_body(self._on_look)
        elif step is Step.TURN:
            self._let_others()
        elif step is _AWAIT_ROOM:
            self._bound_input()
            self.watch_output()
        elif step in _HANDLERS_TURN:
            self._bound_input()
            if self._exchange.ended:
                self._patience.await_reply(self._on_no_reply)

    def _bound_input(self) -> None:
        """Reading goes on, so that the client's end is noticed, but not beyond a bound."""
        if self._patience.phase is not Phase.REPLY:
            self._patience.enter(Phase.REPLY)
        if self.bev.input.length >= _MAX_INPUT:
            self.bev.disable(EV_READ)

    def _let_others(self) -> None:
        """Go on after the next poll, by which others are heard; to read in between would be one more turn."""
        self._patience.enter(Phase.REPLY)
        self.bev.disable(EV_READ)
        if self._turn is None:
            self._turn = self.bev.base.timer(self._on_turn)
        self._turn.add(0)

    def _on_turn(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._go_on()

    def _has_room(self) -> bool:
        """Send replies before the next request is read; return whether the client has taken enough of them."""
        self.bev.flush_output()
        return self.bev.output.length <= MAX_OUTPUT and not self.bev.closed

    def _next_request(self, source: Buffer) -> bool:
        """Take a head and do what it asks for; return whether there was one."""
        request: Request | None = self._engine.read_head(source)  # type: ignore[assignment]  # told to make these
        if request is None:
            return False
        if self._patience.phase is _HEAD:
            self._patience.enter(_IDLE)
        base = self.bev.base
        request.connection = self._replier
        request.peer = self.peer
        request.started_at = now = base.pass_time or base.now()
        exchange = self._exchange
        exchange.request = request
        if self._proxies is not None:
            request.proxied = self._proxies.client_of(self.peer, request.headers)
        self._requests_left -= 1
        if now >= self._last_at or not self._requests_left:
            exchange.persists = False
        route = self._service.plain.get(request.target)
        if route is None:
            route = self._find_route(request)
            if route is None:
                return True
        if request.body_length:
            self._begin_body(request, route)
            return True
        try:
            route.handler(request)
        except Exception as exception:
            self.handler_failed(request, exception)
        return True

    def _find_route(self, request: Request) -> Route | None:
        """Take a closer look at a request; ``None``: it is answered already."""
        service, exchange = self._service, self._exchange
        if service.on_request is None:
            return service.find(request)
        if request.body_length:  # an answer now leaves it unread, and ends the connection
            exchange.body = BodyReader(self._engine, request, _UNREAD)
        try:
            service.on_request(request)
        except Exception as exception:
            self.handler_failed(request, exception)
        if request.status or exchange.request is not request:
            return None
        exchange.body = None
        return service.find(request)

    def handler_failed(self, request: Request, exception: Exception) -> None:
        """Answer what a handler let escape: 500, or what a `BadRequest` says; half an answer can't be mended.

        Any other exception is a fault of the program's, and logged.
        """
        refusal = exception if isinstance(exception, BadRequest) else None
        if refusal is None:
            self.bev.base.escaped(exception, request)
        if request is not self._exchange.request:
            return
        if request.status:
            self.close()
        elif refusal is None:
            request.send_error(500)
        elif request.receiver is None:
            request.send_error(refusal.status, str(refusal))
        else:  # its handler has seen the beginning, and hears of the end by on_close
            self._refuse(refusal)

    # Bodies

    def _begin_body(self, request: Request, route: Route) -> None:
        self._exchange.body = BodyReader(self._engine, request, route)
        if not route.stream:
            self._await_body()
            return
        try:
            route.handler(request)
        except Exception as exception:
            self.handler_failed(request, exception)

    def invite_body(self) -> None:
        """See `ReplyDoor.invite_body`."""
        request = self._exchange.request
        if request is None:
            return
        if self._exchange.body is None:
            if request.body_length:
                raise LocalProtocolError("the body was read whole: register the handler with stream=True")
            self.bev.base.call_soon(self._end_empty_body, request)
            return
        self._await_body()
        self._read_on()

    def pause_body(self) -> None:
        """See `ReplyDoor.pause_body`; while requests are read, what comes next is asked all the same."""
        if self._exchange.body is not None and not self._reading:
            self._bound_input()

    def resume_body(self) -> None:
        """See `ReplyDoor.resume_body`."""
        if self._exchange.body is not None:
            self._patience.enter(Phase.BODY)
            self._read_on()

    def _read_on(self) -> None:
        if not self.bev.enabled & EV_READ:
            self.bev.enable(EV_READ)
        if not self._reading:
            self._on_read(self.bev)

    def _await_body(self) -> None:
        """Wait for a body that is wanted; a client may wait for a word that it is. Source: RFC 9110 §10.1.1."""
        request = self._exchange.request
        assert request is not None
        self._patience.enter(Phase.BODY)
        if request.expect_continue and not self.bev.input and not request.status:
            self._replier.say_continue()

    def _end_empty_body(self, request: Request) -> None:
        if self._exchange.request is request and request.receiver is not None:
            try:
                request.receiver.end(request)
            except Exception as exception:
                self.handler_failed(request, exception)

    def _read_body(self, source: Buffer) -> bool:
        """Take what has come of the body, and give it to the handler; return whether that was the end."""
        exchange = self._exchange
        request, body = exchange.request, exchange.body
        assert request is not None
        assert body is not None
        waiting = source.length
        complete = body.read(source)
        self._patience.body_came(waiting - source.length)
        if complete:
            exchange.body_complete()
            self._patience.enter(_IDLE)
        try:
            body.deliver(complete=complete)
        except Exception as exception:
            self.handler_failed(request, exception)
        return complete

    # Replies: see Reader

    def finished(self, request: Request) -> None:
        """The reply is complete: go on, or close when it is sent."""
        if self._service.on_complete is not None:
            self._service.report(request)
        request.connection = None
        if not self._reading:
            self._go_on()

    def taken_over(self, request: Request) -> None:
        """Let go of the connection, which is somebody else's now; see `Reader`."""
        self._free_events()
        self.bev.on_close = None
        self.bev.set_callbacks()
        self.bev.set_timeouts()
        self.bev.enable(EV_READ)
        self._replier.close()
        self._service.report(request)
        request.connection = None
        self._service.forget(self)

    def _go_on(self) -> None:
        """Serve what has come meanwhile, and read on; the time for the next request begins now."""
        if self._farewell is not None or self.bev.closed:
            return
        if not self._exchange.ended:
            self.bev.enable(EV_READ)
        self._on_read(self.bev)

    def watch_output(self) -> None:
        """See `Reader.watch_output`; what waits for room goes on then, too."""
        self.bev.set_callbacks(read=self._on_read, write=self._on_drained, event=self._on_event)

    def _on_drained(self, bev: BufferEvent) -> None:
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        self._replier.drained()
        if self._exchange.request is None and not self._reading and not self._exchange.last:
            self._go_on()


def _is_empty_line(source: Buffer) -> bool:
    """Return whether there is no more than an empty line, or the half of one: no head yet. Source: RFC 9112 §2.2."""
    return source.length <= len(_EMPTY_LINE) and _EMPTY_LINE.startswith(bytes(source))
