"""`Call`: one request of a program, with all the requests on the wire that it takes, and the one result.

Which connection it goes out on is the pool's business; whether another request follows, after a redirect, a failure or
a busy server, is decided by its `Course`. What comes back is taken by `Receiving`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from evkit.core import BufferEvent, Future
from evkit.errors import During, RemoteProtocolError, TransportError
from evkit.http.client.connection import ClientConnection
from evkit.http.client.course import Course
from evkit.http.client.destinations import Destination
from evkit.http.client.frames import without_frames
from evkit.http.client.origin import Origin
from evkit.http.client.receiving import Receiving
from evkit.http.client.redirects import Step
from evkit.http.client.request_fields import Pair
from evkit.http.client.response import Response
from evkit.http.client.retries import Progress
from evkit.http.client.terms import Terms, Wishes
from evkit.http.client.upload import Upload
from evkit.http.client.wording import names_of
from evkit.http.errors import RequestTimeout
from evkit.http.fields import as_pairs
from evkit.http.parser import ResponseHead

_MAX_SKIPPED: Final = 65536
"""Bytes of a body that nobody wants to read in order to use its connection again; for more a new one is cheaper."""


class Call(Receiving):
    """One request of a program; a `Customer` of the pool.

    Args:
        terms: The client's.
        step: What to ask for first.
        upload: The body, if there is one.
        wishes: The call's own.
        destination: Where the first request goes.
        target: What it asks for there.

    Attributes: See `Asker`.
    """

    __slots__ = (
        "_course",
        "_destination",
        "_future",
        "_next",
        "_response",
        "_skipped",
        "_step",
        "_target",
        "head",
        "method",
        "switches",
        "upload",
        "waits",
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
        Receiving.__init__(self, terms, wishes)  # quicker than super(), for each request
        # Until it is done: the frames of an error's traceback refer to this, which must not refer to the error.
        self._future: Future[Response] | None = None
        self._step = step
        self._course: Course | None = None  # once something else has come than the answer
        self._destination = destination
        self._target = target
        # What follows the response, once its body is read or given up: another step, or a pause before the same.
        self._next: Step | float | None = None
        self._skipped = 0
        self._response: Response | None = None
        self.upload = upload
        self.method = step.method
        self.head = b""
        self.waits = wishes.waits
        self.switches = wishes.opened is not None

    def __repr__(self) -> str:
        return f"<Call {self._told()}>"

    def _told(self) -> str:
        """Tell what is asked for, and what was before; for errors and logs, so without a query and a user."""
        url = self._step.url
        return f"{self._step.method} {Origin.of(url)}{url.path or '/'}{self._course or ''}"

    # Asking

    def start(self) -> Future[Response]:
        """Begin; what is wrong with the request is raised, what goes wrong on the way becomes the future's.

        Returns:
            A future of the `Response`, or of what `Wishes.opened` returns.

        Raises:
            LocalProtocolError: The request can't be sent as one.
            ValueError: There can't be such a host.
        """
        self._prepare()
        future = self._future = Future(self._terms.base, self._on_cancel)
        limit = self._wishes.limit
        if limit is not None:
            limit.begin(self)
        try:
            self._send()
        except Exception as error:
            self._fail(error)
        return future

    def _prepare(self) -> None:
        """Encode the head of the request that is next."""
        terms, step, destination = self._terms, self._step, self._destination
        upload = self.upload if step.body else None
        self.method = step.method
        self.head = terms.fields.head(
            step.method,
            destination.prefix + self._target,
            destination.authority,
            step.fields if terms.cookies is None and self._wishes.anew is None else self._fields_anew(),
            length=None if upload is None else upload.length,
            proxy=destination.route.fields if destination.proxied else (),
        )

    def _fields_anew(self) -> Sequence[Pair]:
        """Return the fields with what is asked for anew each time: those of the program's function, and cookies."""
        terms, fields, anew = self._terms, self._step.fields, self._wishes.anew
        if anew is not None:
            said = as_pairs(anew())
            names = names_of(said)
            fields = (*(pair for pair in fields if pair[0].lower() not in names), *said)
        if terms.cookies is not None:
            fields = terms.cookies.added(fields, self._step.url, terms.base.clock.time())
        return fields

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
        if self._begin_body(response, head):
            self._deliver(response)

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

    def _deliver(self, result: Any) -> None:
        """End with a result, of a type that who has asked knows."""
        future, self._future = self._future, None
        if future is not None:
            future.set_result(result)

    def on_body(self) -> None:
        """See `Asker.on_body`."""
        if self._next is not None:
            self._skipped += self.sink.length
            self.sink.clear()
            if self._skipped > _MAX_SKIPPED:
                self._go_on(cut=True)
        elif self._response is not None:
            self._take_body(self._response)

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
            self._incoming_for(response).ended(None)
            return
        try:
            response.body = self._whole_body(response, body)
        except Exception as error:
            self._fail(error)
            return
        self._deliver(response)

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
        self._deliver(result)

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
        self._terms.pool.resting.begin(self, seconds)

    def on_rested(self) -> None:
        """See `Customer.on_rested`."""
        self._course_so_far().attempt += 1
        self._guarded(self._try_again)

    def _try_again(self) -> None:
        self._prepare()  # a cookie may have come, or a credential for a proxy have expired
        self._send()

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

    def on_total(self) -> None:
        """See `Timed.on_total`."""
        assert self._wishes.limit is not None  # or there were no end of it
        during: During = "connect" if self._connection is None else "read"
        told = f"no response within {self._wishes.limit.seconds:g} s in all"
        self._fail(RequestTimeout(told, during=during, phase="total"))

    def _on_cancel(self, future: Future[Response]) -> None:  # noqa: ARG002 - a callback
        self._future = None
        self._stop()

    def _stop(self) -> None:
        """Let go of everything; nothing is called any more."""
        self._stop_clock()
        self._terms.pool.resting.end(self)
        self._end_upload()
        self._next = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.cancel(self)
        else:
            self._terms.pool.leave(self._destination.route, self)

    def _fail(self, error: Exception) -> None:
        """End with an error that says what was tried; who receives the body hears it if the future has its result."""
        self._stop()
        error.add_note(self._told())
        future, self._future = self._future, None
        if future is not None:
            future.set_exception(without_frames(error))
        elif self._delivers():
            assert self._incoming is not None
            self._incoming.ended(without_frames(error))

    def _end_upload(self) -> None:
        """Let go of the body: a generator may have something to tidy up, whose failure is no failure of the request."""
        upload, self.upload = self.upload, None
        if upload is not None:
            try:
                upload.close()
            except Exception as error:
                self._terms.base.escaped(error, self)

    def drop(self) -> None:
        """See `Tap.drop`."""
        self._stop()
