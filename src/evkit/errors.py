"""Every exception that evkit raises on its own account, as one tree.

    EvkitError
    ├── LoopError                 the loop was entered twice, used after close, or from the wrong thread
    ├── NoBackendError            no backend has the features asked for
    ├── FrozenBufferError         the end of a buffer that the call would change is frozen
    ├── TransportError            .during: what the connection was doing (also an OSError)
    │   ├── ConnectError          the connection never came to be
    │   ├── ConnectionLost        it ended before the work was done (also a ConnectionError)
    │   ├── TransportTimeout      nothing moved for too long (also a TimeoutError)
    │   └── TLSError
    ├── ProtocolError             never raised itself
    │   ├── LocalProtocolError    you broke the protocol's rules
    │   └── RemoteProtocolError   the peer did
    └── ResolveError              .code, .name, .attempts: a name could not be resolved
        ├── NameNotFound          there is no such name
        ├── NoData                the name is there, and has nothing of the type asked for
        ├── ServerFailure         no server gave an answer that could be used
        ├── ResolveTimeout        none answered in time (also a TimeoutError)
        └── ResolveCancelled      the resolver was closed meanwhile

Misuse of a function is a plain ``ValueError`` or ``TypeError``. This module knows nothing of the rest of evkit.
"""

import functools
from typing import Any, ClassVar, Literal, Self

During = Literal["connect", "read", "write"]
"""What a connection was doing when it failed; a TLS handshake is a part of connecting."""


class EvkitError(Exception):
    """The root: ``except EvkitError`` catches whatever evkit itself reports."""


class LoopError(EvkitError):
    """The event base was used in a way that its state does not allow."""


class NoBackendError(EvkitError):
    """No backend of this platform has all the features that the configuration requires."""


class FrozenBufferError(EvkitError):
    """The end of the buffer that the call would change is frozen."""


class TransportError(EvkitError, OSError):
    """A connection failed.

    Its text is good for a log line: ``connect: [Errno 111] Connection refused``, ``read: timed out after 30 s``. What
    the system said is its ``__cause__``.

    Attributes:
        during: What the connection was doing: ``"connect"``, ``"read"`` or ``"write"``.
        errno: The system's number for what went wrong; ``None`` where no call of the system has failed.
        strerror: What went wrong, in words.
    """

    def __init__(self, strerror: str, *, during: During, errno: int | None = None) -> None:
        super().__init__(errno, strerror)
        self.during: During = during

    def __str__(self) -> str:
        number = "" if self.errno is None else f"[Errno {self.errno}] "
        return f"{self.during}: {number}{self.strerror}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strerror!r}, during={self.during!r}, errno={self.errno})"

    def __reduce__(self) -> tuple[object, ...]:
        # An OSError would be made anew from errno and strerror alone.
        make = functools.partial(type(self), during=self.during, errno=self.errno)
        return make, (self.strerror,), self.__dict__

    @classmethod
    def of(cls, error: OSError, *, during: During) -> Self:
        """Tell of a call of the system that failed.

        ``error`` becomes the cause and loses its traceback and its context: whoever keeps the new exception would keep
        alive what those refer to, and a connection keeps its own.
        """
        failure = cls(error.strerror or str(error) or type(error).__name__, during=during, errno=error.errno)
        error.__context__ = None
        failure.__cause__ = error.with_traceback(None)
        return failure


class ConnectError(TransportError):
    """The connection could not be made."""

    def __init__(self, strerror: str, *, during: During = "connect", errno: int | None = None) -> None:
        super().__init__(strerror, during=during, errno=errno)


class ConnectionLost(TransportError, ConnectionError):  # noqa: N818 - the event's own name, as in Twisted
    """A read or a write failed: the peer or the network has ended the connection, or the system has."""


class TransportTimeout(TransportError, TimeoutError):  # noqa: N818 - as above
    """Nothing was read or written for longer than the time-out allows."""


class TLSError(TransportError):
    """The TLS handshake or a record failed."""


class ProtocolError(EvkitError):
    """Somebody broke a protocol's rules; the two subclasses say who."""


class LocalProtocolError(ProtocolError):
    """This program asked for something that the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that the protocol forbids."""


class ResolveError(EvkitError):
    """A name could not be resolved.

    Its text is good for a log line: ``example.org AAAA: no such name (192.0.2.1:53 over udp: NXDOMAIN after 12 ms)``.

    Attributes:
        name: What was asked for.
        type: Of which record type, as ``"AAAA"``.
        reason: What went wrong, in words.
        code: The same as a number, evdns' ``DNS_ERR_…``: up to 23 it is the server's response code (RFC 6895 §2.3).
        attempts: What was tried, in order: `evkit.dns.Attempt`.
        answer: What the server said that there is no such thing, an `evkit.dns.Answer` without records; else ``None``.

    Source: ``evdns_err_to_string``; the codes of libevent's ``event2/dns.h``.
    """

    default_code: ClassVar[int] = 66
    default_reason: ClassVar[str] = "could not be resolved"

    def __init__(
        self,
        name: str,
        type: str,  # noqa: A002 - the field's term
        reason: str | None = None,
        *,
        code: int | None = None,
        attempts: tuple[Any, ...] = (),
        answer: Any = None,
    ) -> None:
        super().__init__(name)  # not more, which an OSError would take for its errno
        self.name = name
        self.type = type
        self.reason = self.default_reason if reason is None else reason
        self.code = self.default_code if code is None else code
        self.attempts = attempts
        self.answer = answer

    def __str__(self) -> str:
        trail = "; ".join(str(attempt) for attempt in self.attempts)
        return f"{self.name} {self.type}: {self.reason}" + (f" ({trail})" if trail else "")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.name, self.type, self.reason), self.__dict__


class NameNotFound(ResolveError):  # noqa: N818 - the field's term, as are those below
    """There is no such name (NXDOMAIN)."""

    default_code = 3
    default_reason = "no such name"


class NoData(ResolveError):  # noqa: N818 - as above
    """The name exists, and has no record of the type asked for."""

    default_code = 70
    default_reason = "no record of this type"


class ServerFailure(ResolveError):  # noqa: N818 - as above
    """Servers were asked, or could not be, and none gave an answer that could be used."""


class ResolveTimeout(ResolveError, TimeoutError):  # noqa: N818 - as above
    """No server answered in time."""

    default_code = 67
    default_reason = "no answer in time"


class ResolveCancelled(ResolveError):  # noqa: N818 - as above
    """The resolver was closed before the answer came."""

    default_code = 68
    default_reason = "the resolver was closed"
