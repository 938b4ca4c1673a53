"""`ClientConnection`: one request after the other over one connection, and their responses.

The doer between a buffered connection and whoever asks (`Asker`). Heads and bodies are understood by the engine, and a
request's body is sent by `Sending`; what to ask, and what an answer is good for, is the asker's business, and which
connection is used for what the pool's.
"""

from typing import Final, Protocol

from evkit.core import (
    BEV_EVENT_EOF,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_READ,
    Buffer,
    BufferEvent,
)
from evkit.errors import ConnectionLost, EvkitError, TransportError
from evkit.http.client.asker import Asker
from evkit.http.client.frames import without_frames
from evkit.http.client.patience import Patience
from evkit.http.client.retries import Progress
from evkit.http.client.sending import Sending
from evkit.http.client.timeouts import ClientTimeouts, late
from evkit.http.client.upload import Upload
from evkit.http.errors import BadResponse, RequestTimeout
from evkit.http.parser import CHUNKED, ResponseEngine, ResponseHead

_MAX_INTERIM: Final = 20
"""Interim responses to one request; a server that sends more never means to answer."""
_CONTINUE: Final = 100
_SWITCHING: Final = 101


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
        "_engine",
        "_failure",
        "_head",
        "_heard",
        "_idle",
        "_interim",
        "_owner",
        "_patience",
        "_requests",
        "_sending",
        "_timeouts",
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
        self._asker: Asker | None = None
        self._head: ResponseHead | None = None
        self._patience = Patience(bev, timeouts, idle)
        self._patience.wait(idle)  # nobody may come for it
        self._failure: TransportError | None = None  # of sending, while there may be a response all the same
        self._heard = False  # a byte of the response has come
        self._interim = 0
        self._requests = 0
        self._sending: Sending | None = None  # the body of the request, if it has one
        bev.on_close = self._on_closed
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
        self.bev.output.add(asker.head)
        if asker.upload is None:
            self._patience.wait(self._timeouts.head)
        else:
            self._send_body(asker, asker.upload)

    def _send_body(self, asker: Asker, upload: Upload) -> None:
        sending = self._sending = Sending(self.bev, upload, self)
        self._patience.wait(None)  # the server has nothing to say before it has all of it
        self.bev.set_callbacks(read=self._on_read, write=sending.on_drained, event=self._on_event)
        if asker.waits:
            sending.await_word(self._timeouts.expect)
        else:
            sending.go_on()

    def sent(self) -> None:
        """See `Sender.sent`: it is the server's turn."""
        self._end_sending()
        if self._head is None and self._asker is not None:
            self._patience.wait(self._timeouts.head)

    def unsendable(self, error: Exception) -> None:
        """See `Sender.unsendable`."""
        self._fail(error, Progress.BROKEN)

    def _end_sending(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.stop()
            self.bev.set_callbacks(read=self._on_read, event=self._on_event)

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
                self._fail(without_frames(error))

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
            self._patience.wait(self._timeouts.body)

    def _read_head(self, asker: Asker, source: Buffer) -> bool:
        """Take a head; return whether there was one."""
        head = self._engine.read_head(source, asker.method)
        if head is None:
            if self._patience.is_over():  # a trickle must not take longer than silence may
                raise late("head", self._timeouts.head)
            return False
        if head.status < 200 and head.status != _SWITCHING:
            self._hear_interim(asker, head)
            return True
        if head.status == _SWITCHING and not asker.switches:
            raise BadResponse("expected a response, as the request asks for no other protocol", "101")
        self._head = head
        if self._sending is not None:
            self._sending.answered()
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
        elif self._sending is not None:
            self._sending.welcome()

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
            self._patience.wait(self._timeouts.body)
            self.bev.enable(EV_READ)
            self._on_read(self.bev)

    def _finish(self, asker: Asker, head: ResponseHead, body: bytes | None = None) -> None:
        """The response is complete: the connection is free, unless something of either side is left over."""
        reusable = head.keep_alive and self._sent_all and not self.bev.input.length
        trailers = self._engine.trailers if head.body_length == CHUNKED else []
        self._asker = None
        if self._sending is not None:
            self._end_sending()
        if reusable:
            if not self.bev.enabled & EV_READ:  # who has got the last piece has paused then
                self.bev.enable(EV_READ)
            self._patience.wait(self._idle)
            self._owner.released(self)
        else:
            self.close()
        asker.on_end(trailers, body)

    @property
    def _sent_all(self) -> bool:
        sending = self._sending
        if sending is not None and not sending.complete:
            return False
        return self._failure is None and not self.bev.output.length

    # The end

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        asker = self._asker
        if what & BEV_EVENT_TIMEOUT and not what & BEV_EVENT_WRITING and not self._patience.is_over():
            bev.error = None  # it was time to look, and nothing has failed
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
                if self._sending is not None:
                    self._sending.stop()
                if self._head is None:
                    self._patience.wait(self._timeouts.head)
            else:
                self._fail(self._failure or error)

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
                self._fail(without_frames(error))

    def _too_late(self, what: int) -> RequestTimeout:
        if what & BEV_EVENT_WRITING:
            return late("write", self._timeouts.write)
        if self._head is None:
            return late("head", self._timeouts.head)
        return late("body", self._timeouts.body)

    def abort(self, error: Exception) -> None:
        """Close, and tell who has asked why."""
        self._fail(error, Progress.BROKEN)

    def _fail(self, error: Exception, progress: Progress | None = None) -> None:
        """End the connection, and tell who has asked; how far his request had come, unless it is said."""
        asker, self._asker = self._asker, None
        if asker is None:
            self.close()
            return
        progress = progress or self._progress(asker)
        self.close()
        asker.on_failed(error, progress)

    def _progress(self, asker: Asker) -> Progress:
        if self._heard:
            return Progress.BROKEN
        if self._requests > 1:
            return Progress.STALE
        return Progress.NOTHING_SENT if self._is_untouched(asker) else Progress.UNANSWERED

    def _is_untouched(self, asker: Asker) -> bool:
        """Return whether nothing of the request has gone out."""
        if self._sending is not None:
            return self._sending.untouched
        return self.bev.output.length >= len(asker.head)

    def cancel(self, asker: Asker) -> None:
        """Stop what is done for ``asker``, who hears nothing more: the connection is closed, as the server goes on."""
        if self._asker is asker:
            self._asker = None
            self.close()

    def close(self) -> None:
        """Close now. Who has asked hears of it."""
        self.bev.close()

    def _on_closed(self, bev: BufferEvent) -> None:
        asker, self._asker = self._asker, None
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.stop()
        self._owner.lost(self)
        if asker is not None:  # a callback has failed, or the program has closed the connection
            error = bev.error or ConnectionLost("the connection was closed", during="read")
            asker.on_failed(error, Progress.BROKEN)
