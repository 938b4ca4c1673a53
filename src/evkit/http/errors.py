"""What the HTTP side of evkit reports on its own account.

    RemoteProtocolError
    ├── BadRequest                .status: the answer that the peer deserves
    ├── BadResponse               the server's response breaks the rules, passes a limit, or ends too soon
    ├── RedirectError             .status, .url, .location: a redirect that can't or mustn't be followed
    └── ContentError              the content of a response is not what its Content-Encoding says
        └── ContentTooLarge       it expands beyond a limit
    TransportTimeout
    └── RequestTimeout            .phase: what a request waited for in vain
    EvkitError
    └── StatusError               .response: its status is one of an error, and the program has asked to be told

The tree above it is in `evkit.errors`. This module knows nothing of how a message is read or answered.
"""

from typing import Any, Final, Literal

from evkit.errors import During, EvkitError, RemoteProtocolError, TransportTimeout

Phase = Literal["pool", "connect", "tls", "write", "head", "body", "total"]
"""What a request waits for: see `ClientTimeouts`."""

# Enough to recognise what came, too little to flood a log (the cut of CPython's own http.client is 64).
_QUOTE: Final = 60
_ERRORS: Final = range(400, 600)


def quote(came: bytes | str) -> str:
    """Show what a peer sent in at most about 60 characters, with nothing unprintable left in it."""
    text = repr(came[: _QUOTE + 1])
    return text if len(text) <= _QUOTE else text[:_QUOTE] + "…"


class BadRequest(RemoteProtocolError):  # noqa: N818 - the reason phrase of RFC 9110 §15.5.1
    """The peer's request is refused. Where its framing is in doubt the connection ends after the answer.

    A handler may raise it, too: the client gets its status and its message.

    Attributes:
        status: The status code of the answer. evkit's own are 400, 403, 408, 413, 414, 415, 417, 431, 501, 503, 505.

    Source: RFC 9110 §15.5 and §15.6; RFC 6585 §5 for 431.
    """

    def __init__(self, status: int, message: str, came: bytes | str | None = None) -> None:
        """Build the error.

        Args:
            status: The status code of the answer, 400 to 599.
            message: What was expected, or which limit was passed.
            came: What came instead; it is quoted and cut.

        Raises:
            ValueError: ``status`` is another.
        """
        if status not in _ERRORS:
            raise ValueError(f"expected a status from 400 to 599, got {status!r}")
        super().__init__(message if came is None else f"{message}, got {quote(came)}")
        self.status = status


class BadResponse(RemoteProtocolError):  # noqa: N818 - the twin of BadRequest
    """The server's response is refused: nothing that follows on its connection can be trusted.

    Source: RFC 9112 §6.3 ("the user agent MUST close the connection to the server and discard the received response").
    """

    def __init__(self, message: str, came: bytes | str | None = None) -> None:
        """Build the error.

        Args:
            message: What was expected, or which limit was passed.
            came: What came instead; it is quoted and cut.
        """
        super().__init__(message if came is None else f"{message}, got {quote(came)}")


class RedirectError(RemoteProtocolError):
    """A redirect is not followed: there were too many, they go round, or it leads where the client must not go.

    Attributes:
        status: Of the response.
        url: What had been asked for.
        location: Where the response points.
    """

    def __init__(self, message: str, *, status: int, url: str, location: str) -> None:
        super().__init__(f"{message}: {status} from {quote(url)} to {quote(location)}")
        self.status = status
        self.url = url
        self.location = location


class ContentError(RemoteProtocolError):
    """The content of a response can't be decoded: it is malformed, cut short, followed by something else, or coded in a
    way that evkit does not know.

    Source: RFC 9110 §8.4.
    """


class ContentTooLarge(ContentError):  # noqa: N818 - the reason phrase of RFC 9110 §15.5.14
    """The content of a response becomes longer than the client allows when it is decoded."""


class RequestTimeout(TransportTimeout):
    """A request has taken too long in one of its phases; its connection is closed.

    Attributes:
        phase: Which one, by the name that its limit has in `ClientTimeouts`.
    """

    def __init__(self, strerror: str, *, during: During, phase: Phase, errno: int | None = None) -> None:
        super().__init__(strerror, during=during, errno=errno)
        self.phase: Phase = phase

    def __reduce__(self) -> tuple[object, ...]:
        # As `TransportError`: an OSError would be made anew from errno and strerror alone.
        return _request_timeout, (self.strerror, self.during, self.phase, self.errno), self.__dict__


def _request_timeout(strerror: str, during: During, phase: Phase, errno: int | None) -> RequestTimeout:
    return RequestTimeout(strerror, during=during, phase=phase, errno=errno)


class StatusError(EvkitError):
    """A response tells of an error; raised by `Response.raise_for_status`.

    Attributes:
        response: The `Response`.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(f"{response.status} {response.reason} for {response.method} {response.url}")
        self.response = response
