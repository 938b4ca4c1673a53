"""`Passage`: one request on its way to another server, and the response on its way back.

Both go on as they come, and each side is read no faster than the other takes it. Which fields go along is decided in
`evkit.http.relay.fields`; what is not passed on at all never comes here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from evkit.core import BufferEvent, Future, pipe
from evkit.core.piping import Pipe
from evkit.errors import EvkitError, LocalProtocolError
from evkit.http.client.body_stream import BodyStream
from evkit.http.client.client import Client
from evkit.http.client.response import Response
from evkit.http.errors import RequestTimeout
from evkit.http.headers import Headers
from evkit.http.parser.contract import CHUNKED
from evkit.http.relay.fields import Pair, end_to_end, of_interim
from evkit.http.server.request import Request

_WRITE: Final = 30.0
"""Seconds in which an end of a tunnel must take something of what it was sent, as `Timeouts` and `ClientTimeouts`."""
_TOLD: Final = {
    502: "the server behind this one gave no proper answer",
    503: "the server behind this one is busy",
    504: "the server behind this one took too long",
}
"""What a client is told. Why it is so may tell more of what is behind than it should know."""


@dataclass(slots=True)
class Terms:
    """What all passages of a proxy have in common.

    Attributes:
        client: Asks.
        answered: ``answered(request, response)`` returns the fields of the reply; it may have answered by itself.
        failed: ``failed(request, error)`` hears of a server that has not answered, or not to the end.
        joined: ``joined(tunnel)`` hears of two connections that carry another protocol from now on.
    """

    client: Client
    answered: Callable[[Request, Response], list[Pair]]
    failed: Callable[[Request, Exception], object]
    joined: Callable[[Pipe], object]


class Passage:
    """One request, until its reply is complete.

    Args:
        terms: Of the proxy.
        request: What is asked.
        url: Where.
        fields: Those that go along.

    Raises:
        LocalProtocolError: It can't be asked elsewhere. Nothing was sent.
    """

    __slots__ = ("_body", "_future", "_request", "_response", "_terms")

    def __init__(self, terms: Terms, request: Request, url: str, fields: list[Pair]) -> None:
        self._terms = terms
        self._request = request
        self._response: Response | None = None
        self._body = _stream_of(request)
        if self._body is not None:  # the client is asked for its body when there is somebody who wants it
            self._body.send(b"", drained=partial(request.receive, self._on_data, self._on_end))
        self._future = terms.client.request(
            request.method,
            url,
            request.body or None if self._body is None else self._body,
            headers=fields,
            stream=True,
            follow=False,
            expect=request.expect_continue and self._body is not None,
            timeout=None,  # as long as something moves
            on_interim=self._on_interim,
        )
        self._future.add_done_callback(self._on_response)
        request.on_close = self._on_gone

    def __repr__(self) -> str:
        return f"<Passage {self._request!r} {self._response or self._future!r}>"

    # Up

    def _on_data(self, request: Request, data: bytes) -> None:
        assert self._body is not None
        request.pause()
        self._body.send(data, drained=request.resume)

    def _on_end(self, request: Request) -> None:  # noqa: ARG002 - a callback
        assert self._body is not None
        self._body.end()

    # Down

    def _on_interim(self, status: int, headers: Headers) -> None:
        if not self._request.status:
            self._request.send_informational(status, of_interim(headers))

    def _on_response(self, future: Future[Response]) -> None:
        if future.cancelled():
            return
        try:
            self._response = response = future.result()
            self._begin_reply(response)
        except Exception as error:
            self._fail(error)

    def _begin_reply(self, response: Response) -> None:
        fields = _fields_of_reply(self._terms, self._request, response)
        if fields is None:
            response.close()
            return
        self._request.send_reply_start(response.status, fields)
        response.receive(self._on_piece, self._on_done)

    def _on_piece(self, response: Response, data: bytes) -> None:
        response.pause()
        self._request.send_reply_chunk(data, drained=response.resume)

    def _on_done(self, response: Response, error: Exception | None) -> None:
        if error is not None:
            self._fail(error)
            return
        self._request.on_close = None
        try:
            self._request.send_reply_end(end_to_end(response.trailers))
        except LocalProtocolError:  # one that has no place behind a body; any may be left out
            self._request.send_reply_end()

    # The end

    def _fail(self, error: Exception) -> None:
        if self._response is not None:
            self._response.close()
        fail(self._terms, self._request, error)

    def _on_gone(self, request: Request) -> None:  # noqa: ARG002 - a callback
        """Ask for nothing that nobody waits for any more."""
        self._future.cancel()
        if self._response is not None:
            self._response.close()


def _fields_of_reply(terms: Terms, request: Request, response: Response) -> list[Pair] | None:
    """Return the fields of the reply; ``None``: there is none to be sent."""
    if request.gone:  # since the response has come
        return None
    fields = terms.answered(request, response)
    return None if request.status or request.gone else fields


def _stream_of(request: Request) -> BodyStream | None:
    """Return what the request's body goes into as it comes; ``None``: it has none, or is there already."""
    door = request.connection
    if not request.body_length or door is None or not door.body_is_due:
        return None
    return BodyStream(None if request.body_length == CHUNKED else request.body_length)


def pass_upgrade(terms: Terms, request: Request, url: str, fields: list[Pair], protocols: str) -> None:
    """Pass on a request for another protocol; if the server agrees, what follows goes both ways as it comes.

    Args:
        terms: As for `Passage`.
        request: Likewise; it has no body.
        url: Likewise.
        fields: Likewise.
        protocols: The value of ``Upgrade``.

    Raises:
        LocalProtocolError: It can't be asked elsewhere. Nothing was sent.

    Source: RFC 9110 §7.8.
    """
    opened = partial(_join, terms, request)
    asked = [*fields, ("Connection", "Upgrade"), ("Upgrade", protocols)]
    future = terms.client.upgrade(url, asked, opened, timeout=None)
    request.on_close = lambda _request: future.cancel()
    future.add_done_callback(partial(_on_answer, terms, request))


def _join(terms: Terms, request: Request, response: Response, bev: BufferEvent) -> Pipe | None:
    fields = _fields_of_reply(terms, request, response)
    if fields is None:
        bev.close()
        return None
    mine = request.take_over(101, [*fields, ("Upgrade", response.headers.get("Upgrade") or "")])
    for end in (mine, bev):
        end.set_timeouts(write=_WRITE)
    tunnel = pipe(mine, bev)
    terms.joined(tunnel)
    return tunnel


def _on_answer(terms: Terms, request: Request, future: "Future[Pipe | Response | None]") -> None:
    """Pass on what the server answers in place of a tunnel, which needs nothing more."""
    if future.cancelled():
        return
    try:
        response = future.result()
        fields = _fields_of_reply(terms, request, response) if isinstance(response, Response) else None
        if isinstance(response, Response) and fields is not None:
            request.send_reply(response.status, response.body, fields)
    except Exception as error:
        fail(terms, request, error)


def fail(terms: Terms, request: Request, error: Exception) -> None:
    """Tell the client that there is no answer, or by the end of its connection that there is no more of it."""
    request.on_close = None
    is_of_server = isinstance(error, EvkitError | OSError)
    if request.status:
        request.abort()
    elif is_of_server:
        status = status_for(error)
        request.send_error(status, _TOLD[status])
    else:
        request.send_error(500)
    if is_of_server:
        terms.failed(request, error)
    else:  # a fault of the program's
        terms.client.base.escaped(error, request)


def status_for(error: Exception) -> int:
    """Return what a client is answered if the server has failed. Source: RFC 9110 §15.6.3 to §15.6.5."""
    if isinstance(error, RequestTimeout) and error.phase == "pool":
        return 503
    return 504 if isinstance(error, TimeoutError) else 502
