"""`TLSSession`: one TLS session in memory, encrypted bytes on one side and plain ones on the other.

It decides what OpenSSL's answers mean: done, more needed, the end, or a `TLSError` in plain words. It knows nothing of
connections, events and time.
"""

import ssl
from collections.abc import Iterable

from evkit.errors import During, TLSError


class TLSSession:
    """A wrapper of ``ssl.SSLObject`` and its two memory buffers.

    Args:
        context: As for `evkit.core.bufferevent.tls.TLSBufferEvent`, as all of these.
        server_side: Be the server.
        server_hostname: Whom the client wants to talk to.
        resumed: A session to resume.

    Attributes:
        ssl_object: What it wraps.
        over: Whether the peer's side is closed, in order or not.
        said_goodbye: Whether close_notify was sent, or an alert in its place.

    Raises:
        ValueError: No secure session can be made of these.
    """

    __slots__ = ("_incoming", "_outgoing", "over", "said_goodbye", "ssl_object")

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
            context = ssl.create_default_context()
        if context.check_hostname and not (server_side or server_hostname):
            # wrap_bio() lets this pass, and then checks no name at all.
            raise ValueError(
                "server_hostname is needed: the context checks the name in the peer's certificate"
            )
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self.ssl_object = context.wrap_bio(
                self._incoming, self._outgoing, server_side, server_hostname, resumed
            )
        except (ssl.SSLError, TypeError, UnicodeError) as error:
            raise ValueError(f"no TLS session can be made: {error}") from error
        self.over = False
        self.said_goodbye = False

    def feed(self, pieces: Iterable[memoryview]) -> None:
        """Take encrypted bytes that have come. After the peer's end they are nobody's."""
        if not self.over:
            for piece in pieces:
                self._incoming.write(piece)

    def feed_eof(self) -> None:
        """Hear that nothing more will come."""
        self._incoming.write_eof()

    @property
    def has_input(self) -> bool:
        """Whether there is something to read, or a part of it."""
        return self._incoming.pending > 0 or self.ssl_object.pending() > 0

    def take(self) -> bytes:
        """Return the encrypted bytes that are to be sent. Ask after every other call."""
        return self._outgoing.read() if self._outgoing.pending else b""

    # Errors are returned, not raised: a traceback would keep alive whoever keeps the error.

    def shake(self) -> bool | TLSError:
        """Go on with the handshake; return whether it is done, or why it has failed."""
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            return tls_error(error, "connect")
        return True

    def read(self, limit: int) -> bytes | TLSError | None:
        """Return plain bytes, of one record at most.

        Args:
            limit: Bytes to return at most, ``>= 1``.

        Returns:
            ``None``: not before more has come. ``b""``: the peer has ended its side by close_notify. An error: a record
            is wrong, or (with ``ssl.SSLEOFError`` as its cause) the stream was cut short.
        """
        try:
            data = self.ssl_object.read(limit)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            data = b""
        except ssl.SSLError as error:
            self.over = True
            return tls_error(error, "read")
        if not data:
            self.over = True
        return data

    def write(self, data: memoryview) -> int | TLSError | None:
        """Encrypt ``data``; return how much of it, or why not; ``None``: the same again, once more has come."""
        try:
            return self.ssl_object.write(data)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLError as error:
            return tls_error(error, "write")

    def say_goodbye(self) -> None:
        """Send close_notify, once. Read all there is before: OpenSSL gives up on a session where it finds data."""
        if not self.said_goodbye:
            self.said_goodbye = True
            try:
                self.ssl_object.unwrap()
            except ssl.SSLError:
                pass  # the peer's close_notify is still to come, or this session is broken anyway


def tls_error(error: ssl.SSLError, during: During) -> TLSError:
    """Tell of an error of OpenSSL in its own words; it becomes the cause, as in `TransportError.of`."""
    words = (getattr(error, "reason", None) or "").replace("_", " ").lower() or str(error.strerror or error)
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"certificate verify failed: {error.verify_message}"
    place = "the TLS handshake failed" if during == "connect" else "TLS"
    failure = TLSError(f"{place}: {words}", during=during)
    error.__context__ = None
    failure.__cause__ = error.with_traceback(None)
    return failure
