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
    └── ProtocolError             never raised itself
        ├── LocalProtocolError    you broke the protocol's rules
        └── RemoteProtocolError   the peer did

Misuse of a function is a plain ``ValueError`` or ``TypeError``. This module knows nothing of the rest of evkit.
"""

import functools
from typing import Literal, Self

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
