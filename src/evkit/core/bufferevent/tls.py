"""`TLSBufferEvent`: a buffered connection that is encrypted, over any other.

It decides when the handshake begins, how long it may take, how a session ends, and who hears of what. Bytes are
`TLSRecords`' business, and the session itself is `TLSSession`'s. Nothing in evkit imports this before somebody asks for
TLS, as it imports ``ssl``.
"""

import socket
import ssl
from typing import TYPE_CHECKING, Final, Self, TypedDict, Unpack

from evkit.core.bufferevent.common import BufferEvent, time_out
from evkit.core.bufferevent.gate import HELD_CONNECTING, HELD_NEW
from evkit.core.bufferevent.layer_output import FINISH
from evkit.core.bufferevent.socket import SocketBufferEvent
from evkit.core.bufferevent.tls_records import TLSRecords
from evkit.core.bufferevent.tls_session import FAILED, HANDSHAKE, OPEN, TLSSession
from evkit.core.event import Event, QueueEntry
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    EV_READ,
    EV_WRITE,
)
from evkit.core.net import Address, Resolver
from evkit.errors import TLSError, TransportError

if TYPE_CHECKING:
    from evkit.core.base import EventBase

DEFAULT_HANDSHAKE_TIMEOUT: Final = 60.0
"""Seconds, as nginx's ``ssl_handshake_timeout``. libevent has none."""
DEFAULT_SHUTDOWN_TIMEOUT: Final = 5.0
"""Seconds to wait for the peer's close_notify; most peers never send one."""


class TLSOptions(TypedDict, total=False):
    """The keyword arguments of `TLSBufferEvent`."""

    server_side: bool
    server_hostname: str | None
    session: ssl.SSLSession | None
    handshake_timeout: float | None
    allow_dirty_shutdown: bool
    close_underlying: bool
    defer_callbacks: bool


class TLSBufferEvent(TLSRecords):
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
            clients alone: ``ssl.create_default_context()``, which verifies the peer against the system's certificates;
            it is made once, for all of them.
        server_side: Be the server.
        server_hostname: Whom the client wants to talk to: sent to the server (SNI), checked against its certificate.
        session: A session to resume, from the ``ssl_object.session`` of an earlier connection.
        handshake_timeout: Seconds from the time when the connection below is there; ``None``: no limit.
        allow_dirty_shutdown: Take an end without close_notify for an end.
        close_underlying: See `LayeredBufferEvent`. Without it, closing this gives the plain connection back; what came
            after the peer's close_notify is in its input.
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

    __slots__ = ("_handshake_timeout", "_leaving", "_timer")

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
        self._leaving = False  # shutdown() waits for the peer
        self._handshake_timeout = handshake_timeout
        self._timer: Event | None = None  # of the handshake, or of shutdown()
        super().__init__(
            underlying,
            TLSSession(context, server_side=server_side, server_hostname=server_hostname, resumed=session),
            allow_dirty_shutdown=allow_dirty_shutdown,
            close_underlying=close_underlying,
            defer_callbacks=defer_callbacks,
        )
        self._write_held |= HELD_CONNECTING
        self._tend_underlying()
        self._pump_later()  # which begins the handshake: its failure must not be told from in here
        if _is_there(underlying):
            self._set_timer(handshake_timeout)

    @classmethod
    def over_socket(
        cls,
        base: "EventBase",
        sock: socket.socket | None = None,
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
            ValueError: There is no socket below, or what `SocketBufferEvent.connect` says.
            OSError: Likewise.
        """
        self._over_socket().connect(address)

    def connect_host(
        self,
        host: str,
        port: int,
        *,
        resolver: Resolver | None = None,
        family: int = socket.AF_UNSPEC,
        local: Address | None = None,
    ) -> None:
        """Look a host up and connect the socket below; see `SocketBufferEvent.connect_host`. The handshake follows.

        The certificate is checked for ``server_hostname``, not for ``host``.

        Raises:
            ValueError: There is no socket below, or what `SocketBufferEvent.connect_host` says.
        """
        self._over_socket().connect_host(host, port, resolver=resolver, family=family, local=local)

    def _over_socket(self) -> SocketBufferEvent:
        below = self._underlying
        if not isinstance(below, SocketBufferEvent):
            raise ValueError(f"only a connection over a socket can connect, this one is over {below!r}")
        return below

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """See above. Source: ``bufferevent_openssl_get_ssl``."""
        return self._session.ssl_object

    def _state(self) -> str:
        if self.closed or self._session.stage == OPEN:
            return super()._state()
        return "failed" if self._session.stage == FAILED else "handshaking"

    # The handshake

    def _pump_input(self) -> None:
        """See `TLSRecords._pump_input`; the handshake comes first."""
        if self._session.stage == HANDSHAKE:
            try:
                self._shake()
            except Exception as exception:
                self.escaped(exception)
        super()._pump_input()  # reads nothing before it is done

    def _shake(self) -> None:
        """Go on with the handshake."""
        self._feed()
        done = self._session.shake()
        self._push()  # the alert, perhaps
        if isinstance(done, TLSError):
            self._fail_in_handshake(done, BEV_EVENT_ERROR)
        elif done:
            self._open()
        elif self._end:
            self._fail_in_handshake(self._end_error or _cut_short(), BEV_EVENT_ERROR)

    def _open(self) -> None:
        if not self._leaving:
            self._set_timer(None)
        self.error = None
        self._write_held &= ~HELD_CONNECTING
        self._start(self.enabled & ~self._suspended())
        self._call_event(BEV_EVENT_CONNECTED)

    def _fail_in_handshake(self, error: TransportError, what: int) -> None:
        self._session.fail()
        self._set_timer(None)
        self.error = error
        self.disable(EV_READ | EV_WRITE)
        self._call_event(what)

    def _on_timer_of_session(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if self._leaving:
            self.close()
        else:
            self._fail_in_handshake(time_out("connect", self._handshake_timeout), BEV_EVENT_TIMEOUT)

    def _set_timer(self, timeout: float | None) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()
        if timeout is not None:
            self._timer = self.base.timer(self._on_timer_of_session)
            self._timer.level = self._priority
            self._timer.add(timeout)

    def _on_underlying_connected(self) -> None:
        """See `LayeredBufferEvent`: the user hears of the handshake's end instead."""
        if self._session.stage == HANDSHAKE and not self._leaving:
            self._set_timer(self._handshake_timeout)

    def _on_underlying_event(self, bev: BufferEvent, what: int) -> None:
        """See `LayeredBufferEvent._on_underlying_event`. Nothing more is told after a handshake that failed."""
        stage = self._session.stage
        if stage == FAILED:
            return
        # What has come before an end or an error of reading may say why.
        at_once = what & BEV_EVENT_TIMEOUT or not what & (BEV_EVENT_CONNECTED | BEV_EVENT_READING)
        if stage == HANDSHAKE and at_once:
            self._fail_in_handshake(bev.error or _cut_short(), what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
        else:
            super()._on_underlying_event(bev, what)

    # The end

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
        self._leaving = True
        self._set_timer(timeout)
        if self._session.over or self._session.stage == FAILED:
            self.close_when_drained()
            return
        if self._deferred is not None:
            self._deferred.forget()
        self.set_callbacks(read=_drop, event=_leave)
        self.set_watermark(EV_READ)
        self.input.clear()
        self._ending |= FINISH
        self.enable(EV_READ | EV_WRITE)

    def close_when_drained(self) -> None:
        """See `LayeredBufferEvent.close_when_drained`; what a handshake that failed has not let out is lost."""
        if self._session.stage == FAILED:
            self.close()
        super().close_when_drained()

    def close(self) -> None:
        """See `BufferEvent.close`; close_notify is sent, unless output is lost, which it would deny."""
        if self.output:
            self._session.forgo_goodbye()
        super().close()

    def _queue_entries(self) -> list[QueueEntry]:
        """See `BufferEvent._queue_entries`."""
        timer = [] if self._timer is None else [self._timer]
        return [*super()._queue_entries(), *timer]

    def _close_transport(self) -> None:
        """See `BufferEvent._close_transport`."""
        self._set_timer(None)
        try:
            if not self._underlying.closed:
                self._part()
        except Exception as exception:  # of a callback on a buffer below: the connection ends all the same
            self.base.escaped(exception, self)
        finally:
            super()._close_transport()

    def _part(self) -> None:
        """Say goodbye, and give back what was said after the peer's."""
        self._session.say_goodbye()
        self._push()
        self._underlying.flush_output()  # also an alert of before
        self._underlying.input.prepend(self._session.take_rest())


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
