"""`TLSBufferEvent`: a buffered connection that is encrypted, over any other.

It decides when the handshake begins, how long it may take, how a session ends, and who hears of what. The session
itself is `TLSSession`'s business. Nothing in evkit imports this before somebody asks for TLS, as it imports ``ssl``.
"""

import ssl
from typing import TYPE_CHECKING, Final, Self, TypedDict, Unpack

from evkit.core.bufferevent.common import (
    HELD_CONNECTING,
    HELD_NEW,
    HELD_WAITING,
    BufferEvent,
    time_out,
)
from evkit.core.bufferevent.layer_output import DEFAULT_WRITE_HIGH, FINISH
from evkit.core.bufferevent.layered import LayeredBufferEvent
from evkit.core.bufferevent.socket import SocketBufferEvent
from evkit.core.bufferevent.tls_session import TLSSession
from evkit.core.event import Event, QueueEntry
from evkit.core.flags import (
    BEV_ERROR,
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_FINISHED,
    BEV_NEED_MORE,
    BEV_OK,
    BEV_TRIG_DEFER_CALLBACKS,
    EV_READ,
    EV_WRITE,
)
from evkit.core.net import Address
from evkit.errors import ConnectionLost, TLSError, TransportError

if TYPE_CHECKING:
    import socket

    from evkit.core.base import EventBase

DEFAULT_HANDSHAKE_TIMEOUT: Final = 60.0
"""Seconds, as nginx's ``ssl_handshake_timeout``. libevent has none."""
DEFAULT_SHUTDOWN_TIMEOUT: Final = 5.0
"""Seconds to wait for the peer's close_notify; most peers never send one."""
_RECORD: Final = 16 * 1024  # plaintext bytes in one record (RFC 8446 §5.1)
# Bytes below that make us deaf: nobody who reads us leaves so many, and each thing that we read may call for an answer.
_DEAF: Final = 2 * DEFAULT_WRITE_HIGH

# Stages of a session.
_HANDSHAKE: Final = 0
_OPEN: Final = 1
_FAILED: Final = 2


class TLSOptions(TypedDict, total=False):
    """The keyword arguments of `TLSBufferEvent`."""

    server_side: bool
    server_hostname: str | None
    session: ssl.SSLSession | None
    handshake_timeout: float | None
    allow_dirty_shutdown: bool
    close_underlying: bool
    defer_callbacks: bool


class TLSBufferEvent(LayeredBufferEvent):
    """An encrypted connection over another connection.

    The handshake begins by itself, as soon as the connection below is there. The event callback hears
    ``BEV_EVENT_CONNECTED`` once, when it is done; ``BEV_EVENT_ERROR`` alone if it fails, with a `TLSError` that says
    why; ``BEV_EVENT_TIMEOUT`` alone if it takes too long. What is written before goes out after it.

    The peer's close_notify is ``BEV_EVENT_EOF``. An end without it means that somebody may have cut the stream: that is
    ``BEV_EVENT_ERROR``. Of this end's own side, `close_when_drained`, `shutdown` and `shutdown_write` send close_notify
    after the output, and `close` sends it unless there is output that is lost.

    Args:
        underlying: See `LayeredBufferEvent`; `over_socket` makes one of a socket.
        context: What to trust, to show and to offer: certificates, protocols, ALPN, client certificates. ``None``, for
            clients alone: ``ssl.create_default_context()``, which verifies the peer against the system's certificates.
        server_side: Be the server.
        server_hostname: Whom the client wants to talk to: sent to the server (SNI), checked against its certificate.
        session: A session to resume, from the ``ssl_object.session`` of an earlier connection.
        handshake_timeout: Seconds from the time when the connection below is there; ``None``: no limit.
        allow_dirty_shutdown: Take an end without close_notify for an end.
        close_underlying: See `LayeredBufferEvent`. Without it, closing this gives the plain connection back.
        defer_callbacks: As for `SocketBufferEvent`.

    Attributes:
        ssl_object: The ``ssl.SSLObject``: its ``version()``, ``cipher()``, ``getpeercert()`` and
            ``selected_alpn_protocol()`` tell what was agreed. Never read, write or unwrap it.
        allow_dirty_shutdown: See above; may be changed.

    Raises:
        ValueError: A server without a context, a client that is to check a host name but has none, a context for the
            other side, or ``underlying`` is closed.

    Source: ``bufferevent_openssl_filter_new``. There, a session is never ended in order.
    """

    __slots__ = (
        "_cut",
        "_handshake_timeout",
        "_leaving",
        "_retry",
        "_session",
        "_session_timer",
        "_stage",
        "allow_dirty_shutdown",
    )

    def __init__(
        self,
        underlying: BufferEvent,
        context: ssl.SSLContext | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
        handshake_timeout: float | None = DEFAULT_HANDSHAKE_TIMEOUT,
        allow_dirty_shutdown: bool = False,
        close_underlying: bool = True,
        defer_callbacks: bool = False,
    ) -> None:
        if handshake_timeout is not None:
            underlying.base.check_timeout(handshake_timeout)
        self._session = TLSSession(
            context, server_side=server_side, server_hostname=server_hostname, resumed=session
        )
        self._stage = _HANDSHAKE
        self._leaving = False  # shutdown() waits for the peer
        self._cut = False  # output was lost
        self._retry = 0  # size of the write that is to be repeated; OpenSSL wants the same again
        self._handshake_timeout = handshake_timeout
        self._session_timer: Event | None = None
        self.allow_dirty_shutdown = allow_dirty_shutdown
        super().__init__(underlying, close_underlying=close_underlying, defer_callbacks=defer_callbacks)
        self._write_held |= HELD_CONNECTING
        self._tend_underlying()
        self._pump_later()  # which begins the handshake: its failure must not be told from in here
        if _is_there(underlying):
            self._set_session_timer(handshake_timeout)

    @classmethod
    def over_socket(
        cls,
        base: "EventBase",
        sock: "socket.socket | None" = None,
        context: ssl.SSLContext | None = None,
        **options: Unpack[TLSOptions],
    ) -> Self:
        """Make one over a `SocketBufferEvent`, which it makes, too.

        Args:
            base: The event base to run on.
            sock: A connected stream socket; ``None``: `connect` will make one.
            context: See `TLSBufferEvent`, as all ``options``.

        Source: ``bufferevent_openssl_socket_new``.
        """
        return cls(SocketBufferEvent(base, sock), context, **options)

    def connect(self, address: Address | None) -> None:
        """Connect the socket below; see `SocketBufferEvent.connect`. The handshake follows.

        Raises:
            ValueError: There is no socket below.
        """
        below = self._underlying
        if not isinstance(below, SocketBufferEvent):
            raise ValueError(f"only a connection over a socket can connect, this one is over {below!r}")
        below.connect(address)

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """See above. Source: ``bufferevent_openssl_get_ssl``."""
        return self._session.ssl_object

    def _state(self) -> str:
        if self.closed or self._stage == _OPEN:
            return super()._state()
        return "failed" if self._stage == _FAILED else "handshaking"

    # The handshake

    def _pump_input(self) -> None:
        """See `LayeredBufferEvent._pump_input`; the handshake comes first."""
        try:
            if self._stage == _HANDSHAKE:
                self._shake()
            if self._write_held & HELD_WAITING:
                self._write_again()
        except Exception as exception:
            self.escaped(exception)
        if self._stage == _OPEN and not self.closed:
            super()._pump_input()

    def _shake(self) -> None:
        """Go on with the handshake."""
        self._feed()
        done = self._session.shake()
        self._push()  # the alert, perhaps
        if isinstance(done, TLSError):
            self._fail_in_handshake(done, BEV_EVENT_ERROR)
        elif done:
            self._stage = _OPEN
            if not self._leaving:
                self._set_session_timer(None)
            self.error = None
            self._write_held &= ~HELD_CONNECTING
            self._start(self.enabled & ~self._suspended())
            self._call_event(BEV_EVENT_CONNECTED)
        elif self._end:
            self._fail_in_handshake(self._end_error or _cut_short(), BEV_EVENT_ERROR)

    def _fail_in_handshake(self, error: TransportError, what: int) -> None:
        self._stage = _FAILED
        self._set_session_timer(None)
        self._flush_below()
        self.error = error
        self.disable(EV_READ | EV_WRITE)
        self._call_event(what)

    def _on_session_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if self._leaving:
            self.close()
        else:
            self._fail_in_handshake(time_out("connect", self._handshake_timeout), BEV_EVENT_TIMEOUT)

    def _set_session_timer(self, timeout: float | None) -> None:
        timer, self._session_timer = self._session_timer, None
        if timer is not None:
            timer.free()
        if timeout is not None:
            self._session_timer = self.base.timer(self._on_session_timer)
            self._session_timer.level = self._priority
            self._session_timer.add(timeout)

    def _on_underlying_connected(self) -> None:
        """See `LayeredBufferEvent`: the user hears of the handshake's end instead."""
        if self._stage == _HANDSHAKE and not self._leaving:
            self._set_session_timer(self._handshake_timeout)

    def _on_underlying_event(self, bev: BufferEvent, what: int) -> None:
        """See `LayeredBufferEvent._on_underlying_event`. Nothing more is told after a handshake that failed."""
        if self.closed or self._stage == _FAILED:
            return
        fatal = self._stage == _HANDSHAKE and not what & (BEV_EVENT_CONNECTED | BEV_EVENT_READING)
        if fatal and bev.error is not None:
            self._fail_in_handshake(bev.error, what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        else:
            super()._on_underlying_event(bev, what)

    # The codec

    def _feed(self) -> None:
        """Give the session what has come."""
        source = self._underlying.input
        if source.length:
            self._session.feed(source.peek())
            source.spend(source.length)
        if self._end & BEV_EVENT_EOF and self._stage == _OPEN:
            self._session.feed_eof()

    def _push(self) -> None:
        """Hand down what the session wants to send."""
        data = self._session.take()
        if data:
            below = self._underlying
            below.output.add(data)
            if below.output.length > _DEAF:
                self._tend_underlying()

    def _flush_below(self) -> None:
        """Send what is below now: whoever hears what comes next may close."""
        below = self._underlying
        if below.output and not below.closed:
            below.flush_output()

    def _decode(self, limit: int, mode: int) -> int:  # noqa: ARG002 - nothing is ever kept back
        """See `LayeredBufferEvent._decode`: one record."""
        self._feed()
        data = self._session.read(min(limit, _RECORD))
        if isinstance(data, TLSError):
            return self._broken(data)
        self._push()
        if data is None:
            return BEV_NEED_MORE
        if data:
            self.input.feed(data)
            return BEV_OK
        if not self._end:
            self._end, self._end_error = BEV_EVENT_READING | BEV_EVENT_EOF, None
        return BEV_NEED_MORE

    def _broken(self, error: TLSError) -> int:
        """Judge an error of reading."""
        if isinstance(error.__cause__, ssl.SSLEOFError) and self._end & BEV_EVENT_EOF:
            if self.allow_dirty_shutdown:
                return BEV_NEED_MORE
            error = TLSError("the stream ended without the peer's close_notify", during="read")
        else:
            self._session.said_goodbye = True  # by the alert, if at all
            self._push()
            self._flush_below()
        self.error = error
        return BEV_ERROR

    def _has_input(self) -> bool:
        """See `LayeredBufferEvent._has_input`. Where the stream ends, OpenSSL is to say how."""
        return (
            self._underlying.input.length > 0
            or self._session.has_input
            or (bool(self._end & BEV_EVENT_EOF) and not self._session.over)
        )

    def _wants_input(self) -> bool:
        """See `LayeredBufferEvent._wants_input`: the handshake must go on whether the user reads or not."""
        if self.closed or self._stage == _FAILED or self._underlying.output.length > _DEAF:
            return False
        return self._stage == _HANDSHAKE or bool(self._write_held & HELD_WAITING) or self._reads()

    def _encode(self, limit: int, mode: int) -> int:
        """See `LayeredBufferEvent._encode`: small pieces are joined to a record, large ones go as they are."""
        output = self.output
        if mode == BEV_FINISHED and not output.length:
            self._say_goodbye()
            return BEV_OK
        size = self._retry or min(output.length, limit, max(output.first_size, _RECORD))
        if not size:
            return BEV_OK
        try:
            with output.pullup(size) as data:
                sent = self._session.write(data)
        except OSError as error:  # of a file in the output
            self.error = ConnectionLost.of(error, during="write")
            return BEV_ERROR
        self._push()
        if isinstance(sent, TLSError):
            self.error = sent
            return BEV_ERROR
        if sent is None:
            self._retry = size
            self._write_held |= HELD_WAITING
            self._tend_underlying()
            return BEV_NEED_MORE
        self._retry = 0
        output.spend(sent)
        return BEV_OK

    def _write_again(self) -> None:
        """Repeat a write that had to wait for something to read."""
        self._feed()
        self._write_held &= ~HELD_WAITING
        self._tend_underlying()
        self._pump_output()
        self._tend_timers(EV_WRITE)

    def _on_underlying_write(self, bev: BufferEvent) -> None:
        """See `LayeredBufferEvent._on_underlying_write`."""
        self._tend_underlying()  # it may have been deaf
        super()._on_underlying_write(bev)

    # The end

    def _end_below(self) -> None:
        """See `LayeredBufferEvent._end_below`: close_notify is the end of the stream; TCP needs none of its own."""

    def _say_goodbye(self) -> None:
        """Send close_notify; the peer may go on sending."""
        if self._session.said_goodbye or self._stage != _OPEN:
            return
        had = self.input.length
        while self._has_input() and self._decode(_RECORD, BEV_FINISHED) == BEV_OK:
            pass  # what is left to read would be lost
        if self.input.length > had:
            self.trigger(EV_READ, BEV_TRIG_DEFER_CALLBACKS)
        self._session.say_goodbye()
        self._push()
        if self._end:
            self._pump_later()

    def shutdown(self, timeout: float | None = DEFAULT_SHUTDOWN_TIMEOUT) -> None:
        """End the session as TLS wants it, then close.

        Sends what is in the output, then close_notify, and waits for the peer's; what still arrives is dropped. The
        callbacks are replaced; `on_close` tells when all is done.

        Args:
            timeout: Seconds for all of this, after which it closes all the same; ``None``: no limit.

        Source: ``SSL_shutdown``, which libevent leaves to its users.
        """
        if self.closed:
            return
        if timeout is not None:
            self.base.check_timeout(timeout)
        if self._session.over or self._stage == _FAILED:
            self.close_when_drained()
            return
        self._leaving = True
        self._set_session_timer(timeout)
        if self._deferred is not None:
            self._deferred.forget()
        self.set_callbacks(read=_drop, event=_leave)
        self.set_watermark(EV_READ)
        self.input.clear()
        self._ending |= FINISH
        self.enable(EV_READ | EV_WRITE)

    def close_when_drained(self) -> None:
        """See `LayeredBufferEvent.close_when_drained`; what a handshake that failed has not let out is lost."""
        if self._stage == _FAILED:
            self.close()
        super().close_when_drained()

    def close(self) -> None:
        """See `BufferEvent.close`; close_notify is sent, unless output is lost, which it would deny."""
        self._cut = self._cut or bool(self.output)
        super().close()

    def _queue_entries(self) -> list[QueueEntry]:
        """See `BufferEvent._queue_entries`."""
        timer = [] if self._session_timer is None else [self._session_timer]
        return [*super()._queue_entries(), *timer]

    def _close_transport(self) -> None:
        """See `BufferEvent._close_transport`."""
        self._set_session_timer(None)
        if self._stage == _OPEN and not (self._cut or self._session.said_goodbye or self._underlying.closed):
            self._session.say_goodbye()
            self._push()
            self._flush_below()
        super()._close_transport()


def _is_there(bev: BufferEvent | None) -> bool:
    """Return whether a connection, and all that carry it, have been made."""
    while bev is not None:
        if bev._write_held & (HELD_NEW | HELD_CONNECTING):
            return False
        bev = bev.underlying
    return True


def _drop(bev: BufferEvent) -> None:
    bev.input.clear()


def _leave(bev: BufferEvent, what: int) -> None:
    if what & BEV_EVENT_EOF:
        bev.close_when_drained()
    elif what != BEV_EVENT_CONNECTED:
        bev.close()


def _cut_short() -> TLSError:
    return TLSError("the peer ended the connection in the TLS handshake", during="connect")
