"""`ClientConnection`: one request after the other over one connection, and their responses.

The doer between a buffered connection and whoever asks (`Asker`). Heads and bodies are understood by the engine; what
to ask, and what an answer is good for, is the asker's business, and which connection is used for what the pool's.
"""

from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from evkit.core import (
    BEV_EVENT_EOF,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_READ,
    Buffer,
    BufferEvent,
    Event,
)
from evkit.errors import ConnectionLost, EvkitError, TransportError
from evkit.http.client.retries import Progress
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.client.upload import Upload
from evkit.http.errors import BadResponse, Phase, RequestTimeout
from evkit.http.parser import CHUNKED, ResponseEngine, ResponseHead

if TYPE_CHECKING:
    from evkit.core import EventBase

_MAX_INTERIM: Final = 20
"""Interim responses to one request; a server that sends more never means to answer."""
_CONTINUE: Final = 100
_SWITCHING: Final = 101


class Asker(Protocol):
    """Who has a request, and gets its response. Each call may cancel everything.

    Attributes:
        method: Of the request.
        head: Its head, with the empty line.
        upload: Its body, which has begun; ``None``: it has none.
        waits: Whether the body waits for the server's word.
        switches: Whether it asks for another protocol.
        whole: Whether it takes the body in one piece, if that has come with the head: set by `on_head`.
        sink: Gets the bytes of the response's body otherwise, without framing.
        paused: Whether it takes no more of them for now.
    """

    method: str
    head: bytes
    upload: Upload | None
    waits: bool
    switches: bool
    whole: bool
    paused: bool

    @property
    def sink(self) -> Buffer:
        """See above."""

    def on_interim(self, head: ResponseHead) -> None:
        """An interim response has come, other than 100 and 101."""

    def on_head(self, head: ResponseHead) -> None:
        """The response has begun.

        Raises:
            EvkitError: It is not wanted.
        """

    def on_body(self) -> None:
        """There is something in `sink`.

        Raises:
            EvkitError: It is not wanted.
        """

    def on_end(self, trailers: list[tuple[str, str]], body: bytes | None) -> None:
        """The response is complete, and the connection somebody else's.

        Args:
            trailers: Behind a body in chunks.
            body: All of it, if it came at once and that is how it is wanted.
        """

    def on_switched(self, bev: BufferEvent) -> None:
        """The connection is the asker's own from now on, and what is in its input no HTTP."""

    def on_failed(self, error: Exception, progress: Progress) -> None:
        """There will be no response, or no more of it."""


class Owner(Protocol):
    """Who keeps connections."""

    def released(self, connection: "ClientConnection") -> None:
        """It is free for another request."""

    def lost(self, connection: "ClientConnection") -> None:
        """It is closed, or has become somebody else's."""


class ClientConnection:
    """One connection to a server or a proxy.

    Args:
        owner: Who keeps it.
        bev: Connected, and after the TLS handshake if there is one.
        engine: Reads its responses.
        timeouts: How long to wait for what.
        idle: Seconds to keep it without a request; ``None``: for ever.

    Source: ``struct evhttp_connection``, the client's half.
    """

    __slots__ = (
        "_asker",
        "_due",
        "_engine",
        "_expect_timer",
        "_failure",
        "_head",
        "_heard",
        "_idle",
        "_interim",
        "_look_after",
        "_owner",
        "_requests",
        "_timeouts",
        "_unsent",
        "_uploading",
        "bev",
    )

    def __init__(
        self,
        owner: Owner,
        bev: BufferEvent,
        engine: ResponseEngine,
        timeouts: ClientTimeouts,
        idle: float | None,
    ) -> None:
        self.bev = bev
        self._owner = owner
        self._engine = engine
        self._timeouts = timeouts
        self._idle = idle
        limits = [limit for limit in (timeouts.head, timeouts.body, idle) if limit is not None]
        self._look_after = min(limits, default=None)
        self._asker: Asker | None = None
        self._head: ResponseHead | None = None
        # When the present wait is over. The bufferevent's time-out, which each read restarts, is as short as the
        # shortest wait; it only looks whether this time has come, so that to wait for something else is to store a
        # number.
        self._wait(idle)  # nobody may come for it
        self._expect_timer: Event | None = None
        self._failure: TransportError | None = None  # of sending, while there may be a response all the same
        self._heard = False  # a byte of the response has come
        self._interim = 0
        self._requests = 0
        self._unsent = 0  # bytes of the request that were due so far; 0: some have gone out
        self._uploading: Upload | None = None
        bev.on_close = self._on_closed
        bev.set_timeouts(read=self._look_after, write=timeouts.write)
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.enable(EV_READ)

    def __repr__(self) -> str:
        state = "closed" if self.bev.closed else "idle" if self._asker is None else f"{self._asker!r}"
        return f"<ClientConnection requests={self._requests} {state}>"

    @property
    def usable(self) -> bool:
        """Whether it is open and idle, and nothing has come that nobody has asked for."""
        return not self.bev.closed and self._asker is None and not self.bev.input.length

    # The request

    def ask(self, asker: Asker) -> None:
        """Send a request; `usable` says that there is none under way."""
        self._asker = asker
        self._head = self._failure = None
        self._heard = False
        self._interim = 0
        self._requests += 1
        output = self.bev.output
        output.add(asker.head)
        self._unsent = output.length
        upload = asker.upload
        if upload is None:
            self._await_head()
            return
        self._uploading = upload
        self._due = inf
        self.bev.set_callbacks(read=self._on_read, write=self._on_sent, event=self._on_event)
        if asker.waits:
            self._expect_timer = self._base.timer(self._on_not_told)
            self._expect_timer.add(self._timeouts.expect)
        else:
            self._send_more()

    @property
    def _base(self) -> "EventBase":
        return self.bev.base

    def _on_not_told(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._stop_expecting()
        self._send_more()

    def _stop_expecting(self) -> None:
        timer, self._expect_timer = self._expect_timer, None
        if timer is not None:
            timer.free()

    def _send_more(self) -> None:
        """Send of the body what there is room for; what goes wrong in it ends the request."""
        uploading, output = self._uploading, self.bev.output
        if uploading is None or self._failure is not None:
            return
        untouched = self._is_untouched()
        try:
            complete = uploading.write(output, self._send_more)
        except Exception as error:
            self._fail(error, Progress.BROKEN)  # the program's own fault
            return
        if self._uploading is not uploading:
            return  # it was cancelled meanwhile
        # What can't be asked for twice is as good as sent.
        self._unsent = output.length if untouched and uploading.repeatable else 0
        if complete:
            self._uploading = None
            if not self.bev.output.length:
                self._sent()

    def _on_sent(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """The output is empty."""
        if self._expect_timer is not None:
            return
        if self._uploading is not None:
            self._send_more()
        else:
            self._sent()

    def _sent(self) -> None:
        """All of the request is on its way: it is the server's turn."""
        self.bev.set_callbacks(read=self._on_read, event=self._on_event)
        if self._head is None and self._asker is not None:
            self._await_head()

    def _await_head(self) -> None:
        self._wait(self._timeouts.head)

    def _wait(self, limit: float | None) -> None:
        base = self.bev.base
        self._due = inf if limit is None else (base.pass_time or base.now()) + limit

    # The response

    def _on_read(self, bev: BufferEvent) -> None:
        asker = self._asker
        if asker is None:
            self.close()  # nobody has asked for anything
            return
        self._heard = True
        try:
            self._read(asker, bev.input)
        except (EvkitError, OSError) as error:
            if self._asker is asker:
                self._fail(error.with_traceback(None))  # it would hold all of us

    def _read(self, asker: Asker, source: Buffer) -> None:
        """Take of a response what has come."""
        while self._head is None:
            if not self._read_head(asker, source) or self._asker is not asker:
                return
        if asker.paused:
            return
        if asker.whole:
            body = self._engine.take_body(source)
            if body is not None:
                self._finish(asker, self._head, body)
                return
            asker.whole = False
        complete = self._engine.read_body(source, asker.sink)
        if asker.sink.length:
            asker.on_body()
        if self._asker is not asker:
            return
        if complete:
            self._finish(asker, self._head)
        else:
            self._wait(self._timeouts.body)

    def _read_head(self, asker: Asker, source: Buffer) -> bool:
        """Take a head; return whether there was one."""
        head = self._engine.read_head(source, asker.method)
        if head is None:
            if not self._is_early():  # a trickle must not take longer than silence may
                raise self._late("head", self._timeouts.head)
            return False
        if head.status < 200 and head.status != _SWITCHING:
            self._hear_interim(asker, head)
            return True
        if head.status == _SWITCHING and not asker.switches:
            raise BadResponse("expected a response, as the request asks for no other protocol", "101")
        self._head = head
        self._stop_expecting()
        if head.status == _SWITCHING or (asker.method == "CONNECT" and head.status < 300):
            self._switch(asker, head)
            return True
        asker.on_head(head)
        return True

    def _hear_interim(self, asker: Asker, head: ResponseHead) -> None:
        self._interim += 1
        if self._interim > _MAX_INTERIM:
            raise BadResponse(f"expected a response after at most {_MAX_INTERIM} interim ones")
        if head.status != _CONTINUE:
            asker.on_interim(head)
        elif self._expect_timer is not None:
            self._stop_expecting()
            self._send_more()

    def _switch(self, asker: Asker, head: ResponseHead) -> None:
        """Give the connection away, which carries no HTTP from now on."""
        asker.on_head(head)
        if self._asker is not asker:
            return
        self._asker = None
        bev = self.bev
        bev.on_close = None
        bev.set_callbacks()
        bev.set_timeouts()
        self._owner.lost(self)
        asker.on_switched(bev)

    def pause(self) -> None:
        """Take no more of a response for now; the system's buffers hold what comes."""
        self.bev.disable(EV_READ)

    def resume(self) -> None:
        """Go on with a response that was paused."""
        if self._asker is not None and not self.bev.closed:
            self._wait(self._timeouts.body)
            self.bev.enable(EV_READ)
            self._on_read(self.bev)

    def _finish(self, asker: Asker, head: ResponseHead, body: bytes | None = None) -> None:
        """The response is complete: the connection is free, unless something of either side is left over."""
        reusable = head.keep_alive and self._sent_all and not self.bev.input.length
        trailers = self._engine.trailers if head.body_length == CHUNKED else []
        self._asker = None
        self._uploading = None
        if reusable:
            if not self.bev.enabled & EV_READ:  # who has got the last piece has paused then
                self.bev.enable(EV_READ)
            self._wait(self._idle)
            self._owner.released(self)
        else:
            self.close()
        asker.on_end(trailers, body)

    @property
    def _sent_all(self) -> bool:
        return self._uploading is None and self._failure is None and not self.bev.output.length

    # The end

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        asker = self._asker
        if what & BEV_EVENT_TIMEOUT and not what & BEV_EVENT_WRITING and self._is_early():
            return
        if asker is None:
            self.close()
        elif what & BEV_EVENT_EOF:
            self._server_ended(asker)
        elif what & BEV_EVENT_TIMEOUT:
            self._fail(self._too_late(what))
        else:
            error = bev.error or ConnectionLost("the connection has ended", during="read")
            if what & BEV_EVENT_WRITING and self._failure is None:
                # The server may have answered before it closed: what has come is read first.
                self._failure = error
                self._stop_expecting()
                if self._head is None:
                    self._await_head()
            else:
                self._fail(self._failure or error)

    def _is_early(self) -> bool:
        """Return whether the present wait is not over, and look again when it may be."""
        left = self._due - self._base.now()
        if left <= 0:
            return False
        if self._look_after is not None:
            self.bev.set_timeouts(read=min(left, self._look_after), write=self._timeouts.write)
        self.bev.enable(EV_READ)
        return True

    def _server_ended(self, asker: Asker) -> None:
        """The server sends nothing more: the end of a body that has no other, or of all hope."""
        try:
            self._engine.end()
            if self._head is None:
                raise self._failure or ConnectionLost(
                    "the server has closed the connection before its response", during="read"
                )
            self._read(asker, self.bev.input)
        except (EvkitError, OSError) as error:
            if self._asker is asker:
                self._fail(error.with_traceback(None))  # it would hold all of us

    def _too_late(self, what: int) -> RequestTimeout:
        if what & BEV_EVENT_WRITING:
            return self._late("write", self._timeouts.write)
        if self._head is None:
            return self._late("head", self._timeouts.head)
        return self._late("body", self._timeouts.body)

    def _late(self, phase: Phase, limit: float | None) -> RequestTimeout:
        told = {
            "write": "the server took nothing of the request for",
            "head": "the head of the response did not come within",
            "body": "nothing of the response's body came for",
        }[phase]
        seconds = "too long" if limit is None else f"{limit:g} s"
        return RequestTimeout(
            f"{told} {seconds}", during="write" if phase == "write" else "read", phase=phase
        )

    def abort(self, error: Exception) -> None:
        """Close, and tell who has asked why."""
        self._fail(error, Progress.BROKEN)

    def _fail(self, error: Exception, progress: Progress | None = None) -> None:
        """End the connection, and tell who has asked; how far his request had come, unless it is said."""
        asker, self._asker = self._asker, None
        progress = progress or self._progress()
        self.close()
        if asker is not None:
            asker.on_failed(error, progress)

    def _progress(self) -> Progress:
        if self._heard:
            return Progress.BROKEN
        if self._requests > 1:
            return Progress.STALE
        return Progress.NOTHING_SENT if self._is_untouched() else Progress.UNANSWERED

    def _is_untouched(self) -> bool:
        """Return whether nothing of the request has gone out."""
        return 0 < self._unsent <= self.bev.output.length

    def cancel(self, asker: Asker) -> None:
        """Stop what is done for ``asker``, who hears nothing more: the connection is closed, as the server goes on."""
        if self._asker is asker:
            self._asker = None
            self.close()

    def close(self) -> None:
        """Close now. Who has asked hears of it."""
        self.bev.close()

    def _on_closed(self, bev: BufferEvent) -> None:
        self._stop_expecting()
        asker, self._asker = self._asker, None
        self._uploading = None
        self._owner.lost(self)
        if asker is not None:  # a callback has failed, or the program has closed the connection
            error = bev.error or ConnectionLost("the connection was closed", during="read")
            asker.on_failed(error, Progress.BROKEN)
