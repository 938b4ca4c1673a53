"""`Call`: one request of a program, with all the requests on the wire that it takes, and the one result.

Which connection it goes out on is the pool's business; whether another request follows, after a redirect, a failure or
a busy server, is decided by its `Course`. What becomes of the body is `Incoming`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from evkit.core import Buffer, BufferEvent, Event, EventBase, Future
from evkit.errors import During, RemoteProtocolError, TransportError
from evkit.http.client.connection import ClientConnection
from evkit.http.client.cookies import CookieJar
from evkit.http.client.course import Course
from evkit.http.client.deadlines import Deadlines
from evkit.http.client.decoding import Decoder, decoder_for
from evkit.http.client.destinations import Destination, Destinations
from evkit.http.client.incoming import Incoming
from evkit.http.client.origin import Origin
from evkit.http.client.pool import Pool
from evkit.http.client.redirects import Redirects, Step
from evkit.http.client.request_fields import RequestFields
from evkit.http.client.response import Response
from evkit.http.client.retries import Progress, Retries, RetryBudget
from evkit.http.client.upload import Upload
from evkit.http.errors import ContentTooLarge, RequestTimeout
from evkit.http.headers import Headers
from evkit.http.parser import ResponseHead

_MAX_SKIPPED: Final = 65536
"""Bytes of a body that nobody wants to read in order to use its connection again; for more a new one is cheaper."""

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
        "_connection",
        "_course",
        "_decoder",
        "_destination",
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
        self._course: Course | None = None  # once something else has come than the answer
        self._destination = destination
        self._target = target
        self._connection: ClientConnection | None = None
        self._pause: Event | None = None  # before the next attempt
        self._timer: Event | None = None
        # What follows the response, once its body is read or given up: another step, or a pause before the same.
        self._next: Step | float | None = None
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
        return f"<Call {self._told()}>"

    def _told(self) -> str:
        """Tell what is asked for, and what was before; for errors and logs, so without a query and a user."""
        url = self._step.url
        return f"{self._step.method} {Origin.of(url)}{url.path or '/'}{self._course or ''}"

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
            self._fail(error)

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
            proxy=destination.route.fields if destination.proxied else (),
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
        self._response = self._incoming = None
        if self.upload is not None:
            if self._step.body:
                self.upload.begin()
            else:
                self._end_upload()
        course = self._course
        self._terms.pool.take(self._destination.route, self, fresh=course is not None and course.fresh)

    def on_connection(self, connection: ClientConnection) -> None:
        """See `Customer.on_connection`."""
        self._connection = connection
        connection.ask(self)

    # See Asker

    def on_interim(self, head: ResponseHead) -> None:
        """See `Asker.on_interim`."""
        on_interim = self._wishes.on_interim
        if on_interim is not None:
            self._guarded(partial(on_interim, head.status, head.headers))

    def on_head(self, head: ResponseHead) -> None:
        """See `Asker.on_head`."""
        terms = self._terms
        course = self._course
        response = Response(head, self._step, () if course is None else tuple(course.history))
        self._response = response
        if terms.cookies is not None:
            terms.cookies.store(self._step.url, head.headers.get_all("Set-Cookie"), terms.base.clock.time())
        if head.status >= 300 or head.status in terms.retries.statuses:
            self._next = self._what_follows(response)
            if self._next is not None:
                self._skipped = 0
                if not head.keep_alive or head.body_length > _MAX_SKIPPED:
                    self._go_on(cut=True)
                return
        self._begin_body(response, head)

    def _what_follows(self, response: Response) -> Step | float | None:
        return self._course_so_far().answered(
            response,
            self._step,
            follow=self._wishes.follow,
            repeatable=self._repeatable,
            now=self._terms.base.clock.time(),
        )

    def _course_so_far(self) -> Course:
        if self._course is None:
            self._course = Course(self._terms.redirects, self._terms.retries, self._terms.budget)
        return self._course

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
        terms = self._terms
        if terms.budget is not None and (
            self._course is None or response.status not in terms.retries.statuses
        ):
            terms.budget.succeeded()
        if self._wishes.stream:
            (self._incoming or self._make_incoming(response)).ended(None)
            return
        try:
            response.body = self._whole_body(response, body)
        except Exception as error:
            self._fail(error)
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
            self._fail(error)
            return
        self._stop_clock()
        self.future.set_result(result)  # type: ignore[arg-type]  # who asks with `opened` knows the result's type

    def on_failed(self, error: Exception, progress: Progress) -> None:
        """See `Asker.on_failed`."""
        self._connection = None
        if self._next is not None and isinstance(error, TransportError | RemoteProtocolError):
            self._go_on(cut=False)  # what is missing of this body, nobody wanted
            return
        pause = None
        if self._is_worth_another(error):
            pause = self._course_so_far().failed(progress, self._step, repeatable=self._repeatable)
        if pause is None:
            self._fail(error)
        else:
            self._again_after(pause)

    def _is_worth_another(self, error: Exception) -> bool:
        """Return whether another attempt makes sense after an error: it is the connection's, and took no time-out."""
        return (
            isinstance(error, TransportError)
            and not isinstance(error, RequestTimeout)
            and not self._delivers()
        )

    # What comes next

    def _go_on(self, *, cut: bool) -> None:
        """Do what the response asks for; if ``cut``, without the rest of it."""
        following, self._next = self._next, None
        connection, self._connection = self._connection, None
        if cut and connection is not None:
            connection.cancel(self)
        if isinstance(following, Step):
            self._guarded(partial(self._redirected, following))
        elif following is not None:
            self._again_after(following)

    def _again_after(self, seconds: float) -> None:
        self._terms.pool.resting.add(self)
        self._pause = self._terms.base.timer(self._on_pause_over)
        self._pause.add(seconds)

    def _on_pause_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._stop_resting()
        self._course_so_far().attempt += 1
        self._guarded(self._send)

    def _stop_resting(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.free()
            self._terms.pool.resting.discard(self)

    def _redirected(self, step: Step) -> None:
        assert self._response is not None
        self._course_so_far().follow(self._response)
        self._step = step
        self._destination = self._terms.destinations.of(step.url)
        self._target = step.url.target
        self._prepare()
        self._send()

    def _guarded(self, function: Callable[[], object]) -> None:
        try:
            function()
        except Exception as error:
            self._fail(error)

    # The end

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.on_total()

    def on_total(self) -> None:
        """See `Timed.on_total`."""
        during: During = "connect" if self._connection is None else "read"
        told = f"no response within {self._wishes.total:g} s in all"
        self._fail(RequestTimeout(told, during=during, phase="total"))

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

    def _fail(self, error: Exception) -> None:
        """End with an error that says what was tried; who receives the body hears it if the future has its result."""
        self._stop()
        if self._delivers():
            assert self._incoming is not None
            error.add_note(self._told())
            self._incoming.ended(error)
        elif not self.future.done():
            error.add_note(self._told())
            self.future.set_exception(error)

    def _delivers(self) -> bool:
        """Return whether the future has its response already, whose body is received piece by piece."""
        return self._incoming is not None and self._wishes.stream

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
