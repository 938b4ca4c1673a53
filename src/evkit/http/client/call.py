"""`Call`: one request of a program, with all the requests on the wire that it takes, and the one result.

Which connection it goes out on is the pool's business; whether another request follows, after a redirect, a failure or
a busy server, is decided in `redirects` and `retries`. What becomes of the body is `Incoming`'s.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from evkit.core import Buffer, BufferEvent, Event, EventBase, Future
from evkit.errors import During, LocalProtocolError, TransportError
from evkit.http.client.connection import ClientConnection
from evkit.http.client.cookies import CookieJar
from evkit.http.client.decoding import decoder_for
from evkit.http.client.incoming import Incoming
from evkit.http.client.origin import Origin
from evkit.http.client.pool import Pool
from evkit.http.client.proxy_choice import ProxyRules, Route
from evkit.http.client.redirects import Redirects, Step, Trail
from evkit.http.client.request_fields import RequestFields
from evkit.http.client.response import Response
from evkit.http.client.retries import Attempts, Progress, Retries, RetryBudget
from evkit.http.client.upload import Upload
from evkit.http.errors import ContentTooLarge, RequestTimeout
from evkit.http.headers import Headers
from evkit.http.parser import ResponseHead

if TYPE_CHECKING:
    from evkit.core.timers import CommonTimeout

_MAX_SKIPPED: Final = 65536
"""Bytes of a body that nobody wants to read in order to use its connection again; for more a new one is cheaper."""

_DICE: Final = random.Random()  # noqa: S311 - it spreads retries in time, and guards no secret
origin_of: Final = lru_cache(256)(Origin.of)
"""Of a URL; the same few are asked for over and over."""
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
        proxies: Which way a request goes.
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
    proxies: ProxyRules
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
        clock: These seconds as `Event.add` takes them.
        on_interim: ``on_interim(status, headers)`` hears of interim responses, 103 for example.
        opened: See `Opened`; the request asks for another protocol.
    """

    stream: bool = False
    follow: bool = True
    waits: bool = False
    total: float | None = None
    clock: "float | CommonTimeout | None" = None
    on_interim: Callable[[int, Headers], object] | None = None
    opened: Opened | None = None


class Call:
    """One request of a program; a `Customer` of the pool.

    Args:
        terms: The client's.
        step: What to ask for first.
        upload: The body, if there is one.
        wishes: The call's own.

    Attributes:
        future: Of the `Response`, or of what `Wishes.opened` returns.
    """

    __slots__ = (
        "_attempts",
        "_connection",
        "_history",
        "_incoming",
        "_next",
        "_pause",
        "_response",
        "_route",
        "_skipped",
        "_step",
        "_terms",
        "_timer",
        "_trail",
        "_tried",
        "_wishes",
        "future",
        "head",
        "method",
        "paused",
        "sink",
        "upload",
        "waits",
    )

    def __init__(self, terms: Terms, step: Step, upload: Upload | None, wishes: Wishes) -> None:
        self.future: Future[Response] = Future(terms.base, self._on_cancel)
        self._terms = terms
        self._step = step
        self._wishes = wishes
        self._trail: Trail | None = None  # once there is a redirect
        self._attempts: Attempts | None = None  # once there is a failure
        self._history: list[Response] = []
        self._tried = 0
        self._route: Route | None = None  # where it waits for a connection
        self._connection: ClientConnection | None = None
        self._pause: Event | None = None  # before the next attempt
        self._timer: Event | None = None
        # What the response asks for next, once its body is read or given up.
        self._next: Callable[[], object] | None = None
        self._skipped = 0
        self._response: Response | None = None
        self._incoming: Incoming | None = None
        self.upload = upload
        self.method = step.method
        self.head = b""
        self.waits = wishes.waits
        self.sink = Buffer()
        self.paused = False

    def __repr__(self) -> str:
        return f"<Call {self._step.method} {self._place()} attempt={self._tried}>"

    def _place(self) -> str:
        return f"{origin_of(self._step.url)}{self._step.url.path or '/'}"

    # Asking

    def start(self) -> None:
        """Begin; what is wrong with the request is raised, what goes wrong on the way becomes the future's.

        Raises:
            LocalProtocolError: The request can't be sent as one.
            ValueError: There can't be such a host.
        """
        self._prepare()
        if self._wishes.clock is not None:
            self._timer = self._terms.base.timer(self._on_total)
            self._timer.add(self._wishes.clock)
        self._guarded(self._send)

    def _prepare(self) -> None:
        """Encode the head of the request that is next."""
        terms, step = self._terms, self._step
        origin = origin_of(step.url)
        self._route = route = terms.proxies.route(origin, tunnel=self._wishes.opened is not None)
        fields = step.fields if terms.cookies is None else self._with_cookies(terms.cookies)
        upload = self.upload if step.body else None
        self.method = step.method
        self.head = terms.fields.head(
            step.method,
            route.target(step.url),
            origin.authority,
            fields,
            length=None if upload is None else upload.length,
            proxy=route.fields,
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
                self.upload = None
        assert self._route is not None
        self._terms.pool.take(self._route, self, fresh=self._attempts is not None)

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

    def on_head(self, head: ResponseHead) -> int | None:
        """See `Asker.on_head`."""
        terms = self._terms
        response = Response(head, self._step, self._history)
        if terms.cookies is not None:
            terms.cookies.store(self._step.url, head.headers.get_all("Set-Cookie"), terms.base.clock.time())
        self._next = self._what_follows(response)
        if self._next is not None:
            self._skipped = 0
            return None
        self._response = response
        self._incoming = self._receive(response, head)
        return None if self._wishes.stream else terms.max_body

    def _what_follows(self, response: Response) -> Callable[[], object] | None:
        """Return how to go on where the response is not the answer."""
        if response.status < 300 and not self._terms.retries.statuses:
            return None
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

    def _receive(self, response: Response, head: ResponseHead) -> Incoming:
        """Make what takes the body."""
        terms, stream = self._terms, self._wishes.stream
        limit = None if stream else terms.max_body
        decoder = decoder_for(head.headers, max_size=limit) if terms.decodes and head.body_length else None
        if limit is not None and head.body_length > limit:
            raise ContentTooLarge(f"expected a body of at most {limit} bytes, got {head.body_length}")
        incoming = Incoming(response, self, self.sink, decoder, terms.base, terms.max_body)
        if stream:
            response.comes_from(incoming)  # the clock goes on until that is asked for
            self.paused = True
            assert self._connection is not None
            self._connection.pause()
            self.future.set_result(response)
        return incoming

    def on_body(self) -> None:
        """See `Asker.on_body`."""
        if self._next is not None:
            self._skipped += self.sink.length
            self.sink.clear()
            if self._skipped > _MAX_SKIPPED:
                self._go_on(cut=True)
        elif self._incoming is not None:
            self._incoming.came()

    def on_end(self, trailers: list[tuple[str, str]]) -> None:
        """See `Asker.on_end`."""
        self._connection = None
        if self._next is not None:
            self._go_on(cut=False)
            return
        response, incoming = self._response, self._incoming
        assert response is not None
        assert incoming is not None
        response.trailers = trailers
        self._let_go_of_body()
        if self._attempts is None and self._terms.budget is not None:
            self._terms.budget.succeeded()
        if self._wishes.stream:
            incoming.ended(None)
            return
        try:
            response.body = incoming.whole()
        except Exception as error:
            self._finish(error)
            return
        self._stop_clock()
        self.future.set_result(response)

    def on_switched(self, bev: BufferEvent) -> None:
        """See `Asker.on_switched`."""
        self._connection = None
        response = self._response
        assert response is not None
        if self._wishes.opened is None:
            bev.close()
            self._finish(
                LocalProtocolError(f"the server has switched to another protocol unasked: {response!r}")
            )
            return
        try:
            result = self._wishes.opened(response, bev)
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
        self._pause = self._terms.base.timer(self._on_pause_over)
        self._pause.add(seconds)

    def _on_pause_over(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._again()

    def _again(self) -> None:
        self._pause = None
        self._guarded(self._send)

    def _redirected(self, response: Response, step: Step) -> None:
        self._history.append(response)
        self._step = step
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

    def _on_total(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        during: During = "connect" if self._connection is None else "read"
        self._stop()
        told = f"no response within {self._wishes.total:g} s in all"
        error = RequestTimeout(told, during=during, phase="total")
        if self.future.done() and self._incoming is not None:  # nobody has asked for its body
            self._incoming.ended(error)
        self._finish(error)

    def _on_cancel(self, future: Future[Response]) -> None:  # noqa: ARG002 - a callback
        self._stop()

    def _stop(self) -> None:
        """Let go of everything; nothing is called any more."""
        self._stop_clock()
        self._next = None
        if self._pause is not None:
            self._pause.free()
            self._pause = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cancel(self)
        elif self._route is not None:
            self._terms.pool.leave(self._route, self)

    def _stop_clock(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()

    def _finish(self, error: Exception) -> None:
        """Fail, and say what was tried."""
        self._stop_clock()
        self._let_go_of_body()
        if not self.future.done():
            self._explain(error)
            self.future.set_exception(error)

    def _explain(self, error: Exception) -> None:
        """Note with an error what was tried."""
        attempts = "" if self._tried == 1 else f", attempt {self._tried}"
        redirects = f", after {len(self._history)} redirects" if self._history else ""
        error.add_note(f"{self._step.method} {self._place()}{attempts}{redirects}")

    def _let_go_of_body(self) -> None:
        if self.upload is not None:
            self.upload.close()

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
