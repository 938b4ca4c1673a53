"""Every exception that evkit raises on its own account, as one tree.

    EvkitError
    ├── LoopError                 the loop was entered twice, used after close, or from the wrong thread
    ├── NoBackendError            no backend has the features asked for
    ├── FrozenBufferError         the end of a buffer that the call would change is frozen
    ├── TransportError            .during: what the connection was doing
    │   ├── ConnectError          the connection never came to be
    │   ├── ConnectionLost        it ended before the work was done (also a ConnectionError)
    │   ├── TransportTimeout      nothing moved for too long (also a TimeoutError)
    │   └── TLSError
    └── ProtocolError             never raised itself
        ├── LocalProtocolError    you broke the protocol's rules
        └── RemoteProtocolError   the peer did

Misuse of a function is a plain ``ValueError`` or ``TypeError``. This module knows nothing of the rest of evkit.
"""


class EvkitError(Exception):
    """The root: ``except EvkitError`` catches whatever evkit itself reports."""


class LoopError(EvkitError):
    """The event base was used in a way that its state does not allow."""


class NoBackendError(EvkitError):
    """No backend of this platform has all the features that the configuration requires."""


class FrozenBufferError(EvkitError):
    """The end of the buffer that the call would change is frozen."""


class TransportError(EvkitError):
    """A connection failed.

    Attributes:
        during: What it was doing: ``"connect"``, ``"read"`` or ``"write"``.
    """

    def __init__(self, message: str, *, during: str) -> None:
        super().__init__(message)
        self.during = during


class ConnectError(TransportError):
    """The connection could not be made."""

    def __init__(self, message: str, *, during: str = "connect") -> None:
        super().__init__(message, during=during)


class ConnectionLost(TransportError, ConnectionError):  # noqa: N818 - the event's own name, as in Twisted
    """The peer or the network ended the connection."""


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
