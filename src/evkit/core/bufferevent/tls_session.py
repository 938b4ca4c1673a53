"""`TLSSession`: one TLS session in memory, encrypted bytes on one side and plain ones on the other.

It decides how far the session is, what OpenSSL's answers mean (done, more needed, the end, or a `TLSError` in plain
words), and that nothing is lost where OpenSSL would lose it. It knows nothing of connections, events and time.
"""

import functools
import ssl
from typing import Final

from evkit.errors import During, TLSError

MAX_RECORD: Final = 16 * 1024
"""Plain bytes in one record, at most (RFC 8446 §5.1)."""
MAX_RECORD_SENT: Final = 5 + MAX_RECORD + 2048
"""Bytes of a record on its way, at most: with its head, and as RFC 5246 §6.2.3 lets it grow; TLS 1.3 is thriftier."""

# How far a session is.
HANDSHAKE: Final = 0
OPEN: Final = 1
FAILED: Final = 2
"""The handshake has failed. What fails later ends a direction only, for each has its own end."""


class TLSSession:
    """A wrapper of ``ssl.SSLObject`` and its two memory buffers.

    Those never shrink, so whoever uses this takes out what it puts in, a record or so at a time.

    Args:
        context: As for `evkit.core.bufferevent.tls.TLSBufferEvent`, as all of these.
        server_side: Be the server.
        server_hostname: Whom the client wants to talk to.
        resumed: A session to resume.

    Attributes:
        ssl_object: What it wraps.
        stage: ``HANDSHAKE``, ``OPEN`` or ``FAILED``.
        incoming: Where the encrypted bytes go that have come: no more than ``MAX_RECORD_SENT`` at once, or it keeps
            the memory.
        outgoing: Where the encrypted bytes are that are to be sent. Look after every call.
        more: Whether `read` may give something again, after it has given plain bytes and without more coming.
        over: Whether the peer's side has ended, in order or not; `read` may still have something from before.
        cut: Whether that was by `feed_eof`, without a close_notify.

    Raises:
        ValueError: No secure session can be made of these.
    """

    __slots__ = (
        "_ahead",
        "_end",
        "_eof",
        "_mute",
        "cut",
        "incoming",
        "more",
        "outgoing",
        "over",
        "ssl_object",
        "stage",
    )

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *,
        server_side: bool,
        server_hostname: str | None,
        resumed: ssl.SSLSession | None,
    ) -> None:
        if context is None:
            if server_side:
                raise ValueError("a TLS server needs a context with its certificate")
            context = _default_context()
        if context.check_hostname and not (server_side or server_hostname):
            # wrap_bio() lets this pass, and then checks no name at all.
            raise ValueError(
                "server_hostname is needed: the context checks the name in the peer's certificate"
            )
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        try:
            self.ssl_object = context.wrap_bio(
                self.incoming, self.outgoing, server_side, server_hostname, resumed
            )
        except (ssl.SSLError, TypeError, UnicodeError) as error:
            raise ValueError(f"no TLS session can be made: {error}") from error
        self.stage = HANDSHAKE
        self.more = False
        self.over = False
        self.cut = False
        self._eof = False
        self._mute = False  # no close_notify is to be sent
        self._ahead: list[bytes] = []  # what `read` gives before it asks OpenSSL
        self._end: bytes | TLSError | None = None  # what `read` gives from the end on

    # Encrypted bytes

    def feed_eof(self) -> None:
        """Hear that nothing more will come. OpenSSL does not: it would refuse to write from then on, too."""
        self._eof = True

    def take_rest(self) -> bytes:
        """Return what was fed and came after the peer's close_notify: it belongs to no session."""
        return self.incoming.read() if self._end == b"" else b""

    # Errors are returned, not raised: a traceback would keep alive whoever keeps the error.

    def shake(self) -> bool | TLSError:
        """Go on with the handshake; return whether it is done, or why it has failed."""
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            return tls_error(error, "connect")
        self.stage = OPEN
        return True

    def fail(self) -> None:
        """Give up a handshake."""
        self.stage = FAILED

    # Plain bytes

    @property
    def has_input(self) -> bool:
        """Whether there is something to read, or a part of it, or the end."""
        ended = self.over or self._eof
        return ended or self.incoming.pending > 0 or bool(self._ahead) or self.ssl_object.pending() > 0

    def read(self, limit: int) -> bytes | TLSError | None:
        """Return plain bytes, of one record at most.

        Args:
            limit: Bytes to return at most, ``>= 1``.

        Returns:
            ``None``: not before more has come. ``b""``: the peer has ended its side by close_notify. An error: a record
            is wrong, or the stream was cut short (`cut`). The end is told as often as it is asked for.
        """
        data: bytes | TLSError
        if self._ahead:
            return self._read_ahead(limit)
        if self._end is not None:
            return self._end
        try:
            data = self.ssl_object.read(limit)
            if data:
                # Less than was asked for is all that is left of a record.
                self.more = len(data) == limit or self.incoming.pending > 0
                return data
        except ssl.SSLWantReadError:
            if not self._eof:
                return None
            self.cut = True
            data = TLSError("the stream ended without the peer's close_notify", during="read")
        except ssl.SSLZeroReturnError:
            data = b""  # as read() says it, too, unless this side has ended before
        except ssl.SSLError as error:
            data = tls_error(error, "read")
        self.over = True
        self._end = data
        return data

    def _read_ahead(self, limit: int) -> bytes:
        piece = self._ahead.pop(0)
        if len(piece) > limit:
            self._ahead.insert(0, piece[limit:])
        self.more = True
        return piece[:limit]

    def write(self, data: bytes | memoryview) -> int | TLSError | None:
        """Encrypt ``data``; return how much of it, or why not; ``None``: the same again, once more has come."""
        try:
            return self.ssl_object.write(data)
        except ssl.SSLWantReadError:
            if not (self.over or self._eof):
                return None
            return TLSError("the peer has ended the stream in a renegotiation", during="write")
        except ssl.SSLError as error:
            return tls_error(error, "write")

    def say_goodbye(self) -> None:
        """Send close_notify, once, if there is a session to end. What has come and is not read yet can still be."""
        if self._mute or self.stage != OPEN:
            return
        self._read_all()
        try:
            self.ssl_object.unwrap()
        except ssl.SSLError:
            pass  # the peer's close_notify is still to come, or this session is broken anyway

    def forgo_goodbye(self) -> None:
        """Never send close_notify: it would say that all was sent."""
        self._mute = True

    def _read_all(self) -> None:
        """Read ahead: OpenSSL gives up on a session where it finds data when it says goodbye."""
        ahead: list[bytes] = []
        while (self._ahead or not self.over) and isinstance(data := self.read(MAX_RECORD), bytes):
            ahead.append(data)
        self._ahead = ahead
        self.more = bool(ahead)


@functools.cache
def _default_context() -> ssl.SSLContext:
    """Return a client's context, one for all: the system's certificates take 25 ms and 800 KB each time."""
    return ssl.create_default_context()


def tls_error(error: ssl.SSLError, during: During) -> TLSError:
    """Tell of an error of OpenSSL in its own words; it becomes the cause, as in `TransportError.of`."""
    words = (getattr(error, "reason", None) or "").replace("_", " ").lower() or str(error.strerror)
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"certificate verify failed: {error.verify_message}"
    place = "the TLS handshake failed" if during == "connect" else "TLS"
    failure = TLSError(f"{place}: {words}", during=during)
    error.__context__ = None
    failure.__cause__ = error.with_traceback(None)
    return failure
