"""What the HTTP side of evkit reports on its own account.

    RemoteProtocolError
    └── BadRequest                .status: the answer that the peer deserves

The tree above it is in `evkit.errors`. This module knows nothing of how a request is read or answered.
"""

from typing import Final

from evkit.errors import RemoteProtocolError

# Enough to recognise what came, too little to flood a log (the cut of CPython's own http.client is 64).
_QUOTE: Final = 60


def quote(came: bytes | str) -> str:
    """Show what a peer sent in at most about 60 characters, with nothing unprintable left in it."""
    text = repr(came[: _QUOTE + 1])
    return text if len(text) <= _QUOTE else text[:_QUOTE] + "…"


class BadRequest(RemoteProtocolError):  # noqa: N818 - the reason phrase of RFC 9110 §15.5.1
    """The peer's request is refused. Where its framing is in doubt the connection ends after the answer.

    A handler may raise it, too: the client gets its status and its message.

    Attributes:
        status: The status code of the answer: 400, 408, 413, 414, 415, 417, 431, 501, 503, 505.

    Source: RFC 9110 §15.5 and §15.6; RFC 6585 §5 for 431.
    """

    def __init__(self, status: int, message: str, came: bytes | str | None = None) -> None:
        """Build the error.

        Args:
            status: The status code of the answer, 400 to 599.
            message: What was expected, or which limit was passed.
            came: What came instead; it is quoted and cut.
        """
        super().__init__(message if came is None else f"{message}, got {quote(came)}")
        self.status = status
