"""`Stream`: a TCP or TLS connection to one server, over which questions follow each other without waiting.

The doer: it connects when there is something to ask, cuts what comes into messages, and closes when nothing was asked
for a while. It knows nothing of what a message means.

Source: RFC 7766 for DNS over TCP, RFC 7858 and RFC 8310 for TLS.
"""

import socket
from errno import ENOBUFS
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.socket import SocketBufferEvent
from evkit.core.framed import Framed
from evkit.core.framing import LengthFraming
from evkit.core.net import Address, bind_local, family_of, stream_socket
from evkit.errors import RemoteProtocolError, TransportError

if TYPE_CHECKING:
    import ssl

    from evkit.core.base import EventBase
    from evkit.core.bufferevent.tls import TLSBufferEvent
    from evkit.core.event import Event
    from evkit.dns.options import ResolverOptions
    from evkit.dns.server_address import ServerAddress
    from evkit.dns.tries import Try

MAX_UNDER_WAY: Final = 4096
"""Questions on one connection: more of them would leave too few numbers to guess from."""
MAX_UNSENT: Final = 1 << 20
"""Bytes that wait for a server which does not read; those of questions that were given up are among them."""


class StreamUser(Protocol):
    """Who asks over connections."""

    def on_message(self, stream: "Stream", data: bytes) -> None:
        """Take what has come over a connection."""

    def on_lost(self, attempt: "Try", why: str) -> None:
        """Hear that the connection by which a try went has ended."""


class Stream:
    """The connection to one server, or the will to make one.

    Args:
        base: The event base.
        server: Whom to connect to.
        options: See `evkit.dns.options.ResolverOptions`.
        context: What to trust, for TLS; ``None``: the system's certificates.
        user: Hears of each message that comes, and of each try that is left without a reply.

    Attributes:
        tries: What is under way, by the number of the message.
    """

    __slots__ = (
        "_base",
        "_context",
        "_framed",
        "_heard_at",
        "_idle",
        "_options",
        "_retired",
        "_server",
        "_user",
        "tries",
    )

    def __init__(
        self,
        base: "EventBase",
        server: "ServerAddress",
        options: "ResolverOptions",
        context: "ssl.SSLContext | None",
        user: StreamUser,
    ) -> None:
        self._base = base
        self._server = server
        self._options = options
        self._context = context
        self._user = user
        self._framed: Framed | None = None
        self._idle: Event | None = None
        self.tries: dict[int, Try] = {}
        self._heard_at = 0.0  # or when the connection began
        self._retired = False

    def __repr__(self) -> str:
        state = "closed" if self._framed is None else repr(self._framed)
        return f"<Stream to {self._server} {state} under_way={len(self.tries)}>"

    def configure(self, options: "ResolverOptions") -> None:
        """Take other options, for the next connection."""
        self._options = options

    def send(self, attempt: "Try", message: bytes) -> None:
        """Send a question, and expect its reply; connect first, if need be.

        Raises:
            OSError: No socket could be made, or there is no way to the server, or too much is under way or unsent.
            ValueError: The server's name can't be checked against a certificate.
        """
        if len(self.tries) >= MAX_UNDER_WAY:
            raise OSError(ENOBUFS, f"{MAX_UNDER_WAY} questions are under way on one connection")
        if self._framed is not None and self._framed.bev.output.length > MAX_UNSENT:
            raise OSError(f"the server does not read, and {MAX_UNSENT} bytes wait for it")
        if self._framed is None:
            self._framed = self._open()
            self._heard_at = self._base.now()
        if self._idle is not None:
            self._idle.delete()
        self._framed.send(message)
        self.tries[attempt.id] = attempt
        attempt.carrier = self

    def withdraw(self, attempt: "Try") -> None:
        """See `Carrier.withdraw`."""
        if self.tries.get(attempt.id) is attempt:
            del self.tries[attempt.id]
            if not self.tries:
                self._rest()

    def retire(self) -> None:
        """Keep no connection for questions to come, as the server will be asked no more."""
        self._retired = True
        if not self.tries:
            self.close()

    def _rest(self) -> None:
        """Wait a while for more questions, as none is under way."""
        if self._retired:
            self.close()
        elif self._framed is not None:
            if self._idle is None:
                self._idle = self._base.timer(self._on_idle)
            self._idle.add(self._options.tcp_idle_timeout)

    def doubt(self, attempt: "Try") -> None:
        """Hear that the reply to a try is late: if nothing has come since it was sent, nobody is there any more.

        The user is told of all other tries that are lost by that.
        """
        if self._heard_at <= attempt.began and self.tries.get(attempt.id) is attempt:
            del self.tries[attempt.id]
            attempt.carrier = None
            self.break_off("no word from the server")

    def break_off(self, why: str) -> None:
        """Close the connection, as nobody seems to be at the other end; what is under way is lost."""
        self.close()
        lost, self.tries = list(self.tries.values()), {}
        for attempt in lost:
            attempt.carrier = None
        for attempt in lost:
            self._user.on_lost(attempt, why)

    def close(self) -> None:
        """Close the connection, if there is one. The next question makes another."""
        framed, self._framed = self._framed, None
        if self._idle is not None:
            self._idle.free()
            self._idle = None
        if framed is not None:
            framed.bev.close()

    def _open(self) -> Framed:
        bev = self._connect()
        try:
            framing = LengthFraming(2, max_size=None)
            return Framed(bev, framing, self._on_frame, self._on_end)
        except BaseException:
            bev.close()
            raise

    def _connect(self) -> BufferEvent:
        address = self._server.address
        sock = None if self._options.bind_to is None else _bound(self._options.bind_to, address)
        if self._server.transport == "tls":
            bev: SocketBufferEvent | TLSBufferEvent = self._greeting(sock)
        else:
            bev = SocketBufferEvent(self._base, sock)
        try:
            bev.connect(address)
        except BaseException:
            bev.close()
            raise
        return bev

    def _greeting(self, sock: socket.socket | None) -> "TLSBufferEvent":
        from evkit.core.bufferevent.tls import TLSBufferEvent  # takes its time to load

        name = self._server.server_name or self._server.address[0]
        context = self._context or default_context()
        return TLSBufferEvent.over_socket(self._base, sock, context, server_hostname=name)

    def _on_frame(self, framed: Framed, data: bytes) -> None:  # noqa: ARG002 - a callback
        self._heard_at = self._base.now()
        self._user.on_message(self, data)

    def _on_end(self, framed: Framed, error: TransportError | RemoteProtocolError | None) -> None:  # noqa: ARG002 - a callback
        self.break_off("connection closed" if error is None else str(error))

    def _on_idle(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        self.close()


def _bound(local: str, address: Address) -> socket.socket:
    sock = stream_socket(family_of(address))
    try:
        bind_local(sock, (local, 0))
    except BaseException:
        sock.close()
        raise
    return sock


@cache
def default_context() -> "ssl.SSLContext":
    """Return what is trusted unless the program says otherwise: the system's certificates."""
    import ssl  # takes its time to load

    context = ssl.create_default_context()
    context.set_alpn_protocols(["dot"])
    return context
