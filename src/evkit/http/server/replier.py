"""`Replier`: all that a connection sends, from a handler's reply to bytes in the output.

How a reply is framed is decided in `evkit.http.server.reply`, what a reply in pieces still owes in `PiecewiseReply`.
Knows nothing of reading.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from evkit.core import Buffer, BufferEvent, EventBase
from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.fields import Fields, as_pairs
from evkit.http.server.door import Body
from evkit.http.server.exchange import Exchange
from evkit.http.server.piecewise import PiecewiseReply, add_body
from evkit.http.server.reply import (
    UNKNOWN_LENGTH,
    Framing,
    Pairs,
    frame,
    has_body,
    interim,
    last_chunk,
    plain_head,
    refusal,
    switch,
)
from evkit.http.server.request import Request, as_body
from evkit.http.server.service import Service
from evkit.http.server.stream import Stream

if TYPE_CHECKING:
    import ssl

Drained = tuple[Request, Callable[[], object]]
"""A callback that waits for the output to be empty, and the request that it was given with."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_OVER: Final = "the request is over: nothing can be sent any more"
_JOIN_UP_TO: Final = 4096
"""Bytes of a body that are joined to its head: one copy is cheaper than one segment more in the system call."""


class Reader(Protocol):
    """The other half of the connection, which hears what becomes of its requests."""

    def finished(self, request: Request) -> None:
        """The reply to ``request`` is complete, and it is under way no more."""

    def handler_failed(self, request: Request, exception: Exception) -> None:
        """A callback that ``request`` belongs to let an exception escape."""

    def invite_body(self) -> None:
        """See `ReplyDoor.invite_body`."""

    def pause_body(self) -> None:
        """See `ReplyDoor.pause_body`."""

    def resume_body(self) -> None:
        """See `ReplyDoor.resume_body`."""

    def watch_output(self) -> None:
        """Call `Replier.drained` when the output is empty."""

    def taken_over(self, request: Request) -> None:
        """The reply to ``request`` was the last that HTTP has to do with the connection."""

    def close(self) -> None:
        """Close the connection."""


class _Nobody:
    """The other half of a connection that is closed."""

    def finished(self, request: Request) -> None:
        """See `Reader.finished`."""

    def handler_failed(self, request: Request, exception: Exception) -> None:
        """See `Reader.handler_failed`."""

    def invite_body(self) -> None:
        """See `Reader.invite_body`."""

    def pause_body(self) -> None:
        """See `Reader.pause_body`."""

    def resume_body(self) -> None:
        """See `Reader.resume_body`."""

    def watch_output(self) -> None:
        """See `Reader.watch_output`."""

    def taken_over(self, request: Request) -> None:
        """See `Reader.taken_over`."""

    def close(self) -> None:
        """See `Reader.close`."""


_NOBODY: Final = _Nobody()


class Replier:
    """Answers the request that is under way; a `ReplyDoor`.

    Args:
        bev: The buffered connection.
        exchange: What is under way.
        service: Has the ``Date`` line, and the pages for errors.
        reader: The other half.
    """

    __slots__ = ("_bev", "_date", "_drained", "_exchange", "_pieces", "_reader", "_service", "_stream")

    def __init__(self, bev: BufferEvent, exchange: Exchange, service: Service, reader: Reader) -> None:
        self._bev = bev
        self._exchange = exchange
        self._service = service
        self._date = service.date
        self._reader: Reader = reader
        self._pieces: PiecewiseReply | None = None  # while the reply is in pieces
        self._stream: Stream | None = None  # where they come from, if from an iterator
        self._drained: list[Drained] | None = None  # whom to tell when the output is empty

    @property
    def silent(self) -> bool:
        """Whether the reply under way is one in pieces of which none is sent, as to HEAD."""
        return self._pieces is not None and self._pieces.framing.silent

    # See ReplyDoor

    @property
    def base(self) -> EventBase:
        """The event base that the connection runs on."""
        return self._bev.base

    @property
    def ssl_object(self) -> "ssl.SSLObject | None":
        """What the connection has agreed on, under TLS."""
        return getattr(self._bev, "ssl_object", None)

    @property
    def body_is_due(self) -> bool:
        """Whether the body of the request has not been read to its end."""
        return self._exchange.body is not None

    def reply(self, status: int, body: bytes | Buffer, fields: Fields) -> None:
        """Send a whole reply."""
        exchange = self._exchange
        request = exchange.request
        if request is None:
            raise LocalProtocolError(_OVER)
        size = len(body)
        pairs = fields if type(fields) is list else as_pairs(fields)
        default = self._service.default_content_type
        if size and default is not None:
            pairs = _typed(pairs, default)
        if type(body) is bytes and exchange.persists and exchange.body is None:
            head = plain_head(request, status, self._date.get(), pairs, size)
            if head is not None:
                output = self._bev.output
                if size <= _JOIN_UP_TO:
                    output.add(head + body)
                else:
                    output.add(head)
                    output.add(body)
                request.status = status
                request.reply_size = size
                exchange.request = None  # what `Exchange.finish` does for a connection that goes on
                self._reader.finished(request)
                return
        framing = self._frame(request, status, pairs, size)
        self._bev.output.add(framing.head)
        if not framing.silent:
            add_body(self._bev.output, body)
            request.reply_size = size
        elif isinstance(body, Buffer):
            body.clear()
        exchange.finish(keep_alive=framing.keep_alive)
        self._reader.finished(request)

    def _frame(self, request: Request, status: int, pairs: Pairs, size: int) -> Framing:
        exchange = self._exchange
        keep_alive = request.keep_alive and exchange.persists and exchange.body is None
        framing = frame(request, status, self._date.get(), pairs, size, keep_alive=keep_alive)
        request.status = status
        return framing

    def start_reply(self, status: int, fields: Fields) -> None:
        """Send the head of a reply that comes in pieces."""
        request = self._under_way()
        pairs = as_pairs(fields)
        default = self._service.default_content_type
        if default is not None and has_body("GET", status):
            pairs = _typed(pairs, default)
        framing = self._frame(request, status, pairs, UNKNOWN_LENGTH)
        self._pieces = PiecewiseReply(framing, self._bev.output)

    def send_piece(self, data: bytes | Buffer, drained: Callable[[], object] | None) -> None:
        """Send a piece of it."""
        request, pieces = self._under_way(), self._started()
        size = 0 if pieces.framing.silent else len(data)
        pieces.send(data)
        request.reply_size += size
        if drained is not None:
            self._call_when_drained(request, drained)

    def end_reply(self, trailers: Fields) -> None:
        """End it."""
        request, pieces = self._under_way(), self._started()
        last = last_chunk(as_pairs(trailers))
        self._pieces = None
        try:
            pieces.end(last)
        except LocalProtocolError:
            self._bev.close()
            raise
        self._exchange.finish(keep_alive=pieces.framing.keep_alive)
        stream, self._stream = self._stream, None  # before the next request, which may have one of its own
        self._reader.finished(request)
        if stream is not None:
            stream.close()

    def stream(self, pieces: Iterable[Body]) -> None:
        """Send the pieces of a reply that has begun, and its end."""
        self._stream = stream = Stream(self._under_way(), self, pieces)
        if self._started().framing.silent:  # nobody is to see what it gives
            stream.end()
        else:
            stream.go_on()

    def inform(self, status: int, fields: Fields) -> None:
        """Send an interim reply."""
        self._bev.output.add(interim(status, as_pairs(fields)))

    def take_over(self, status: int, fields: Fields) -> BufferEvent:
        """Send a head, and give the connection away."""
        request = self._under_way()
        if self._exchange.body is not None:
            raise LocalProtocolError("take_over() comes after the body of the request")
        head = switch(request, status, self._date.get(), as_pairs(fields))
        bev = self._bev
        bev.output.add(head)
        request.status = status
        self._exchange.take_over()
        self._reader.taken_over(request)
        return bev

    def error_page(self, status: int, message: str) -> tuple[Body, str]:
        """Return the page for an error, and its content type."""
        return self._service.error_page(status, message)

    def invite_body(self) -> None:
        """Let the body of the request come."""
        self._reader.invite_body()

    def pause_body(self) -> None:
        """Let it wait."""
        self._reader.pause_body()

    def resume_body(self) -> None:
        """Let it come again."""
        self._reader.resume_body()

    def abort(self) -> None:
        """Close the connection."""
        self._reader.close()

    def fail(self, request: Request, exception: Exception) -> None:
        """Tell of an exception, and answer 500 where there is no answer yet."""
        self._reader.handler_failed(request, exception)

    def _under_way(self) -> Request:
        """Return the request to answer; there is none any more for who hears that it is over."""
        request = self._exchange.request
        if request is None:
            raise LocalProtocolError(_OVER)
        return request

    def _started(self) -> PiecewiseReply:
        if self._pieces is None:
            raise LocalProtocolError(
                "send_reply_start() comes before send_reply_chunk() and send_reply_end()"
            )
        return self._pieces

    # What the other half sends

    def say_continue(self) -> None:
        """Tell the client that its body is welcome. Source: RFC 9110 §15.2.1."""
        self._bev.output.add(_CONTINUE)

    def refuse(self, error: BadRequest) -> int:
        """Answer what breaks the rules; return the size of the body."""
        page, content_type = self._service.error_page(error.status, str(error))
        body = bytes(as_body(page))
        self._bev.output.add(refusal(error.status, self._date.get(), body, content_type))
        return len(body)

    def abandon(self) -> None:
        """The reply under way does not go on."""
        self._pieces = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def close(self) -> None:
        """The connection is closed. No cycle is left, so that both halves are freed when they are let go."""
        self._drained = None
        self._reader = _NOBODY

    # Callbacks that wait for the output to be empty

    def _call_when_drained(self, request: Request, drained: Callable[[], object]) -> None:
        if not self._bev.output:
            self._bev.base.call_soon(self._tell, request, drained)
            return
        if self._drained is None:
            self._drained = []
        self._drained.append((request, drained))
        self._reader.watch_output()

    def drained(self) -> None:
        """The output is empty: tell who waits for it."""
        waiting, self._drained = self._drained, None
        for request, drained in waiting or ():
            self._tell(request, drained)

    def _tell(self, request: Request, drained: Callable[[], object]) -> None:
        if self._bev.closed:
            return
        try:
            drained()
        except Exception as exception:
            self._reader.handler_failed(request, exception)


def _typed(pairs: Pairs, default: str) -> Pairs:
    """Return fields with a ``Content-Type``: ``default`` where there is none."""
    if any(name.lower() == "content-type" for name, _ in pairs):
        return pairs
    return [*pairs, ("Content-Type", default)]
