"""`Call`: one request of a program, with all the requests on the wire that it takes, and the one result.

Which connection it goes out on is the pool's business; whether another request follows, after a redirect, a failure or
a busy server, is decided in `redirects` and `retries`. What becomes of the body is `Incoming`'s.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from evkit.core import Buffer, BufferEvent, Event, EventBase, Future
from evkit.errors import During, TransportError
from evkit.http.client.connection import ClientConnection
from evkit.http.client.cookies import CookieJar
from evkit.http.client.deadlines import Deadlines
from evkit.http.client.decoding import Decoder, decoder_for
from evkit.http.client.destinations import Destination, Destinations
from evkit.http.client.incoming import Incoming
from evkit.http.client.origin import Origin
from evkit.http.client.pool import Pool
from evkit.http.client.redirects import Redirects, Step, Trail
from evkit.http.client.request_fields import RequestFields
from evkit.http.client.response import Response
from evkit.http.client.retries import Attempts, Progress, Retries, RetryBudget
from evkit.http.client.upload import Upload
from evkit.http.errors import ContentTooLarge, RequestTimeout
from evkit.http.headers import Headers
from evkit.http.parser import ResponseHead

if TYPE_CHECKING:
    pass

_MAX_SKIPPED: Final = 65536
"""Bytes of a body that nobody wants to read in order to use its connection again; for more a new one is cheaper."""

_DICE: Final = random.Random()  # noqa: S311 - it spreads retries in time, and guards no secret
Opened = Callable[[Response, BufferEvent], object]
"""``opened(response, bev)`` makes the result of a connection that has become something else."""


@dataclass(slots=True)
class Terms:
    """What all calls of a client have in common.

    Attributes:
        base: The event base.
        pool: Connections.
        fields: Of every request.
        redirects: Which are followed.
        retries: Which failures are tried again.
        budget: How many retries there may be in all.
        destinations: Where requests go.
        cookies: What servers want to be told again; ``None``: nobody keeps them.
        max_body: Bytes of a body that is received whole, decoded.
        decodes: Whether bodies are decoded.
    """

    base: EventBase
    pool: Pool
    fields: RequestFields
    redirects: Redirects
    retries: Retries
    budget: RetryBudget | None
    destinations: Destinations
    cookies: CookieJar | None
    max_body: int | None
    decodes: bool


@dataclass(slots=True)
class Wishes:
    """What one call has of its own.

    Attributes:
        stream: The result is there with the head, and the body is received piece by piece.
        follow: Follow redirects.
        waits: The body waits for the server's word.
        total: Seconds that it may take; ``None``: any number.
        deadlines: Watches these seconds; ``None``: the call does.
        on_interim: ``on_interim(status, headers)`` hears of interim responses, 103 for example.
        opened: See `Opened`; the request asks for another protocol.
    """

    stream: bool = False
    follow: bool = True
    waits: bool = False
    total: float | None = None
    deadlines: Deadlines | None = None
    on_interim: Callable[[int, Headers], object] | None = None
    opened: Opened | None = None


class Call:
    """One request of a program; a `Customer` of the pool.

    Args:
        terms: The client's.
        step: What to ask for first.
        upload: The body, if there is one.
        wishes: The call's own.
        destination: Where the first request goes.
        target: What it asks for there.

    Attributes:
        future: Of the `Response`, or of what `Wishes.opened` returns.
    """

    __slots__ = (
        "_attempts",
        "_connection",
        "_decoder",
        "_destination",
        "_history",
        "_incoming",
        "_next",
        "_pause",
        "_response",
        "_sink",
        "_skipped",
        "_step",
        "_target",
        "_terms",
        "_timer",
        "_trail",
        "_tried",
        "_wishes",
        "future",
        "head",
        "method",
        "paused",
        "switches",
        "upload",
        "waits",
        "whole",
    )

    def __init__(
        self,
        terms: Terms,
        step: Step,
        upload: Upload | None,
        wishes: Wishes,
        destination: Destination,
        target: str,
    ) -> None:
        self.future: Future[Response] = Future(terms.base, self._on_cancel)
        self._terms = terms
        self._step = step
        self._wishes = wishes
        self._trail: Trail | None = None  # once there is a redirect
        self._attempts: Attempts | None = None  # once there is a failure
        self._history: list[Response] = []
        self._tried = 0
        self._destination = destination
        self._target = target
        self._connection: ClientConnection | None = None
        self._pause: Event | None = None  # before the next attempt
        self._timer: Event | None = None
        # What the response asks for next, once its body is read or given up.
        self._next: Callable[[], object] | None = None
        self._skipped = 0
        self._response: Response | None = None
        self._incoming: Incoming | None = None
        self._decoder: Decoder | None = None
        self.upload = upload
        self.method = step.method
        self.head = b""
        self.waits = wishes.waits
        self.switches = wishes.opened is not None
        self.whole = False
        self.paused = False
        self._sink: Buffer | None = None

    def __repr__(self) -> str:
        return f"<Call {self._step.method} {self._place()} attempt={self._tried}>"

    def _place(self) -> str:
        return f"{Origin.of(self._step.url)}{self._step.url.path or '/'}"

    @property
    def sink(self) -> Buffer:
        """See `Asker.sink`; most responses need none."""
        if self._sink is None:
            self._sink = Buffer()
        return self._sink

    # Asking

    def start(self) -> None:
        """Begin; what is wrong with the request is raised, what goes wrong on the way becomes the future's.

        Raises:
            LocalProtocolError: The request can't be sent as one.
            ValueError: There can't be such a host.
        """
        self._prepare()
        wishes = self._wishes
        if wishes.deadlines is not None:
            wishes.deadlines.begin(self)
        elif wishes.total is not None:
            self._timer = self._terms.base.timer(self._on_timer)
            self._timer.add(wishes.total)
        try:
            self._send()
        except Exception as error:
            self._stop()
            self._finish(error)

    def _prepare(self) -> None:
        """Encode the head of the request that is next."""
        terms, step, destination = self._terms, self._step, self._destination
        upload = self.upload if step.body else None
        self.method = step.method
        self.head = terms.fields.head(
            step.method,
            destination.prefix + self._target,
            destination.authority,
            step.fields if terms.cookies is None else self._with_cookies(terms.cookies),
            length=None if upload is None else upload.length,
            proxy=destination.proxy_fields,
        )

    def _with_cookies(self, jar: CookieJar) -> Sequence[tuple[str, str]]:
        """Return the fields with those cookies that the jar has for the URL, unless the program has brought its own."""
        fields = self._step.fields
        cookie = jar.field(self._step.url, self._terms.base.clock.time())
        if cookie is None or any(name.lower() == "cookie" for name, _ in fields):
            return fields
        return [*fields, ("Cookie", cookie)]

    def _send(self) -> None:
        """Go for a connection."""
        self._tried += 1
        self._response = self._incoming = None
        if self.upload is not None:
            if self._step.body:
                self.upload.begin()
            else:
                self._end_upload()
        self._terms.pool.take(self._destination.route, self, fresh=self._attempts is not None)

    def on_connection(self, connection: ClientConnection) -> None:
        """See `Customer.on_connection`."""
        self._connection = connection
        connection.ask(self)

    # See Asker

    def on_interim(self, head: ResponseHead) -> None:
        """See `Asker.on_interim`."""
        on_interim = self._wishes.on_interim
        if on_interim is not None:
            self._guarded(lambda: on_interim(head.status, head.headers))

    def on_head(self, head: ResponseHead) -> None:
        """See `Asker.on_head`."""
        terms = self._terms
        response = Response(head, self._step, tuple(self._history))
        if terms.cookies is not None:
            terms.cookies.store(self._step.url, head.headers.get_all("Set-Cookie"), terms.base.clock.time())
        if head.status >= 300 or terms.retries.statuses:
            self._next = self._what_follows(response)
            if self._next is not None:
                self._skipped = 0
                return
        self._response = response
        self._begin_body(response, head)

    def _what_follows(self, response: Response) -> Callable[[], object] | None:
        """Return how to go on where the response is not the answer."""
        pause = self._answered(response)
        if pause is not None:
            return lambda: self._again_after(pause)
        if not self._wishes.follow or not 300 <= response.status < 400:
            return None
        if self._trail is None:
            self._trail = Trail(self._terms.redirects, self._step)
        step = self._trail.follow(response.status, response.headers, repeatable=self._repeatable)
        if step is None:
            return None
        return lambda: self._redirected(response, step)

    def _answered(self, response: Response) -> float | None:
        if response.status not in self._terms.retries.statuses:
            return None
        now = self._terms.base.clock.time()
        retry_after = response.headers.get("Retry-After")
        return self._count().answered(response.status, retry_after, now, _DICE.random())

    @property
    def _repeatable(self) -> bool:
        return self.upload is None or self.upload.repeatable

    def _begin_body(self, response: Response, head: ResponseHead) -> None:
        """Decide how the body is taken."""
        terms, stream = self._terms, self._wishes.stream
        limit = None if stream else terms.max_body
        self._decoder = (
            decoder_for(head.headers, max_size=limit) if terms.decodes and head.body_length else None
        )
        if limit is not None and head.body_length > limit and self._decoder is None:
            raise ContentTooLarge(f"expected a body of at most {limit} bytes, got {head.body_length}")
        if not stream:
            self.whole = True
            return
        response.comes_from(self._make_incoming(response))  # the clock goes on until that is asked for
        if head.body_length:
            self.hold()
        self.future.set_result(response)

    def _make_incoming(self, response: Response) -> Incoming:
        terms = self._terms
        incoming = Incoming(response, self, self.sink, self._decoder, terms.base, terms.max_body)
        self._incoming = incoming
        return incoming

    def on_body(self) -> None:
        """See `Asker.on_body`."""
        if self._next is not None:
            self._skipped += self.sink.length
            self.sink.clear()
            if self._skipped > _MAX_SKIPPED:
                self._go_on(cut=True)
        elif self._response is not None:
            (self._incoming or self._make_incoming(self._response)).came()
            limit = self._terms.max_body
            if limit is not None and self.sink.length > limit and not self._wishes.stream:
                raise ContentTooLarge(f"expected a body of at most {limit} bytes")

    def on_end(self, trailers: list[tuple[str, str]], body: bytes | None) -> None:
        """See `Asker.on_end`."""
        self._connection = None
        if self._next is not None:
            self._go_on(cut=False)
            return
        response = self._response
        assert response is not None
        response.trailers = trailers
        self._end_upload()
        self._stop_clock()
        if self._attempts is None and self._terms.budget is not None:
            self._terms.budget.succeeded()
        if self._wishes.stream:
            (self._incoming or self._make_incoming(response)).ended(None)
            return
        try:
            response.body = self._whole_body(response, body)
        except Exception as error:
            self._finish(error)
            return
        self.future.set_result(response)

    def _whole_body(self, response: Response, body: bytes | None) -> bytes:
        if body is None:
            return (self._incoming or self._make_incoming(response)).whole()
        decoder = self._decoder
        if decoder is None:
            return body
        pieces = list(decoder.decode(body))
        decoder.finish()
        return b"".join(pieces)

    def on_switched(self, bev: BufferEvent) -> None:
        """See `Asker.on_switched`."""
        self._connection = None
        response, opened = self._response, self._wishes.opened
        assert response is not None
        assert opened is not None
        try:
            result = opened(response, bev)
        except Exception as error:
            bev.close()
            self._finish(error)
            return
        self._stop_clock()
        self.future.set_result(result)  # type: ignore[arg-type]  # who asks with `opened` knows the result's type

    def on_failed(self, error: Exception, progress: Progress) -> None:
        """See `Asker.on_failed`."""
        self._connection = None
        if self._incoming is not None and self._wishes.stream:
            self._end_upload()
            self._explain(error)
            self._incoming.ended(error)
            return
        pause = None
        if isinstance(error, TransportError) and not isinstance(error, RequestTimeout):
            pause = self._count().failed(progress, _DICE.random())
        if pause is None:
            self._finish(error)
        elif pause:
            self._again_after(pause)
        else:
            self._again()

    # What comes next

    def _count(self) -> Attempts:
        if self._attempts is None:
            terms = self._terms
            self._attempts = Attempts(
                terms.retries, self._step.method, repeatable=self._repeatable, budget=terms.budget
            )
        return self._attempts

    def _go_on(self, *, cut: bool) -> None:
        """Do what the response asks for; if ``cut``, without the rest of it."""
        following, self._next = self._next, None
        connection, self._connection = self._connection, None
        if cut and connection is not None:
            connection.cancel(self)
        if following is not None:
            following()

    def _again_after(self, seconds: float) -> None:
        self._terms.pool.resting.add(self)
        self._pause = self._terms.base.timer(self._on_pause_over)
        self._pause.add(seconds)

    def _on_pause_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._again()

    def _again(self) -> None:
        self._stop_resting()
        self._guarded(self._send)

    def _stop_resting(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.free()
            self._terms.pool.resting.discard(self)

    def _redirected(self, response: Response, step: Step) -> None:
        self._history.append(response)
        self._step = step
        self._destination = self._terms.destinations.of(step.url)
        self._target = step.url.target
        self._attempts = None
        self._guarded(self._ask_next)

    def _ask_next(self) -> None:
        self._prepare()
        self._send()

    def _guarded(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:
            self._stop()
            self._finish(error)

    # The end

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.on_total()

    def on_total(self) -> None:
        """See `Timed.on_total`."""
        during: During = "connect" if self._connection is None else "read"
        self._stop()
        told = f"no response within {self._wishes.total:g} s in all"
        error = RequestTimeout(told, during=during, phase="total")
        if self._incoming is not None and self._wishes.stream:  # nobody has asked for its body
            self._explain(error)
            self._incoming.ended(error)
        else:
            self._finish(error)

    def _on_cancel(self, future: Future[Response]) -> None:  # noqa: ARG002 - a callback
        self._stop()

    def _stop(self) -> None:
        """Let go of everything; nothing is called any more."""
        self._stop_clock()
        self._stop_resting()
        self._end_upload()
        self._next = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cancel(self)
        else:
            self._terms.pool.leave(self._destination.route, self)

    def _stop_clock(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()
        elif self._wishes.deadlines is not None:
            self._wishes.deadlines.end(self)

    def _finish(self, error: Exception) -> None:
        """Fail, and say what was tried."""
        self._stop_clock()
        self._stop_resting()
        self._end_upload()
        if not self.future.done():
            self._explain(error)
            self.future.set_exception(error)

    def _explain(self, error: Exception) -> None:
        """Note with an error what was tried."""
        attempts = "" if self._tried == 1 else f", attempt {self._tried}"
        redirects = f", after {len(self._history)} redirects" if self._history else ""
        error.add_note(f"{self._step.method} {self._place()}{attempts}{redirects}")

    def _end_upload(self) -> None:
        """Let go of the body: a generator may have something to tidy up, whose failure is no failure of the request."""
        upload, self.upload = self.upload, None
        if upload is not None:
            try:
                upload.close()
            except Exception as error:
                self._terms.base.escaped(error, self)

    # For Incoming

    def go_on(self) -> None:
        """Take the body, from the beginning or again."""
        self._stop_clock()
        self.paused = False
        if self._connection is not None:
            self._connection.resume()

    def hold(self) -> None:
        """Take no more of it for now."""
        self.paused = True
        if self._connection is not None:
            self._connection.pause()

    def drop(self) -> None:
        """Give it up."""
        self._stop()
