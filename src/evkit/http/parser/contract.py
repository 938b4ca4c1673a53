"""What a request parser is: the head it returns, the limits it obeys, and the three calls of an engine.

Decides names and meanings only. It knows neither how bytes are read (the engines) nor when a request is refused
(`rules`), and nothing of sockets, time or replies.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from evkit.core.buffer import Buffer
from evkit.http.headers import Headers

CHUNKED: Final = -1
"""``RequestHead.body_length`` of a body in chunks, whose length nobody knows yet."""


class RequestHead:
    """A request line and its header section, validated and understood.

    Attributes:
        method: A token, at most 32 characters, as sent (methods are case-sensitive).
        target: The request target as sent; its form fits the method. A ``%`` in it may stand before
            anything: decoding is the business of who takes the target apart.
        minor: 0 for HTTP/1.0; 1 for HTTP/1.1 and for the minor versions above, which are treated as 1.1.
        host: The authority that the request is for, as sent: the ``Host`` field's value, or the target's
            authority in absolute-form and authority-form. ``""`` if the client has none to name; None only in an
            HTTP/1.0 request without ``Host``.
        body_length: Bytes of the body; 0: none; `CHUNKED`: until the last chunk.
        keep_alive: Whether the client wants to go on with this connection.
        expect_continue: Whether the client waits for ``100 Continue`` before it sends its body.

    Source: ``struct evhttp_request``; RFC 9112 §3 and §5.
    """

    __slots__ = (
        "_fields",
        "body_length",
        "expect_continue",
        "host",
        "keep_alive",
        "method",
        "minor",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        minor: int,
        host: str | None,
        body_length: int,
        keep_alive: bool,
        expect_continue: bool,
        raw: bytes,
    ) -> None:
        """Build a head; all by position, because keywords cost 0.1 µs a request.

        ``raw`` holds its validated field lines, from which `headers` is made when asked for.
        """
        self.method = method
        self.target = target
        self.minor = minor
        self.host = host
        self.body_length = body_length
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self._fields: bytes | Headers = raw

    @property
    def headers(self) -> Headers:
        """All header fields in order; parsed on first use, for most handlers look at none."""
        fields = self._fields
        if isinstance(fields, bytes):
            fields = self._fields = Headers.from_raw(fields)
        return fields

    def __repr__(self) -> str:
        body = "chunked" if self.body_length == CHUNKED else str(self.body_length)
        keep = "keep-alive" if self.keep_alive else "close"
        expect = " expect-continue" if self.expect_continue else ""
        return f"<RequestHead {self.method} {self.target} HTTP/1.{self.minor} body={body} {keep}{expect}>"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a request an engine takes before it refuses the rest; all in bytes but ``max_fields``.

    Attributes:
        max_target: The request target; more is 414. 8,192: Apache's LimitRequestLine and what RFC 9112 §3 asks
            for at least (8,000).
        max_head: Request line, header fields and the empty line; more is 431 (414 within the request line).
            32,768: nginx's four buffers of 8 KiB.
        max_fields: Header fields, and trailer fields; more is 431. 100: Apache's LimitRequestFields.
        max_chunk_extensions: All chunk extensions of one message together; more is 413. They mean nothing to
            evkit (CVE-2023-39326 was a server without this limit).
        max_trailers: The trailer section of a chunked body; more is 431.

    Raises:
        ValueError: One is no number, or below 1; the last two may be 0.
    """

    max_target: int = 8192
    max_head: int = 32768
    max_fields: int = 100
    max_chunk_extensions: int = 4096
    max_trailers: int = 8192

    def __post_init__(self) -> None:
        for name in ("max_target", "max_head", "max_fields", "max_chunk_extensions", "max_trailers"):
            limit: object = getattr(self, name)
            least = 0 if name in ("max_chunk_extensions", "max_trailers") else 1
            if type(limit) is not int or limit < least:
                raise ValueError(f"{name} must be an int >= {least}, got {limit!r}")


class Engine(Protocol):
    """Reads one connection's requests: a head, its body, the next head, and so on.

    The caller calls `read_head` until it returns a head, then `read_body` until it returns True, then `read_head`
    again. The outcome never depends on how the bytes were cut into pieces. After a `BadRequest` the engine and the
    bytes in ``source`` are good for nothing: answer and close.

    Attributes:
        name: The name that `make_engine` knows it by.
        trailers: The trailer fields of the last chunked body, never merged into the header fields.
        max_body: How long a chunked body may become, set by the caller before `read_body`; None: no limit. (The
            length of any other body is known from its head.)
    """

    name: str
    trailers: list[tuple[str, str]]
    max_body: int | None

    def read_head(self, source: Buffer) -> RequestHead | None:
        """Take the next head from the front of ``source``.

        Returns:
            The head, drained from ``source``; None if more bytes are needed, which stay where they are.

        Raises:
            BadRequest: the bytes cannot become a request that evkit serves.
        """

    def read_body(self, source: Buffer, sink: Buffer) -> bool:
        """Move the body bytes that have come from ``source`` to ``sink``, without their framing.

        Returns:
            True when the message is complete (at once if it has no body), False if more bytes are needed.

        Raises:
            BadRequest: the framing is broken, or a limit was passed.
        """
