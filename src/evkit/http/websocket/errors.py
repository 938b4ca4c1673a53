"""What the WebSocket side reports on its own account.

    RemoteProtocolError
    ├── WebSocketError            .code: what the peer is told in the close frame
    └── HandshakeError            .status: of the reply that is no agreement

The tree above it is in `evkit.errors`. This module knows nothing of frames or of requests.
"""

from evkit.errors import RemoteProtocolError
from evkit.http.websocket.codes import may_be_sent


class WebSocketError(RemoteProtocolError):
    """The peer broke the rules, or the limits, of WebSocket; the connection ends with a close frame.

    A callback may raise it, too, to end the connection with a code and a reason of its own.

    Attributes:
        code: What the peer is told: 1002 for the protocol, 1007 for text that is no UTF-8, 1009 for too much.

    Source: RFC 6455 §7.1.7.
    """

    def __init__(self, code: int, message: str) -> None:
        """Build the error.

        Args:
            code: A close code that may be sent: one that RFC 6455 assigns, or 3000 to 4999.
            message: What was expected and what came. The peer gets it as the reason, cut to 123 bytes.

        Raises:
            ValueError: The code may not be sent.
        """
        if not may_be_sent(code):
            raise ValueError(f"expected a close code that may be sent, got {code}")
        super().__init__(message)
        self.code = code


class HandshakeError(RemoteProtocolError):
    """A server did not agree to talk WebSocket, or to what was offered.

    Attributes:
        status: Of its reply. 101 where it agreed to something else than was asked.

    Source: RFC 6455 §4.1.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
