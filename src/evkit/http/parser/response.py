"""What a response parser is: the head it returns, the limits it obeys, and the four calls of an engine.

Decides names and meanings only, as `contract` does for requests. It knows neither how bytes are read (the engines)
nor when a response is refused (`response_rules`), and nothing of sockets, time, retries or how many interim responses
are too many.
"""

from typing import Final, Protocol

from evkit.core.buffer import Buffer
from evkit.http.headers import Headers
from evkit.http.parser.contract import CHUNKED, Limits

UNTIL_CLOSE: Final = -2
"""``ResponseHead.body_length`` of a body that ends where the connection does (RFC 9112 §6.3, rule 8)."""

# 65,536: what Python's http.client takes of one line, and twice what evkit takes of a request: servers say more than
# browsers (policies, cookies). Node takes 16 KiB, curl 300 KiB, Go 10 MiB.
RESPONSE_LIMITS: Final = Limits(max_head=65536)
"""The limits of a response unless the caller has others.

``max_head`` counts the status line, too, however long its reason is; ``max_target`` is for requests and bounds nothing
here; ``max_fields``, ``max_chunk_extensions`` and ``max_trailers`` are those of a request.
"""


class ResponseHead:
    """A status line and its header section, validated and understood.

    Attributes:
        status: 100 to 999. 1xx but 101 is interim: the final response is still to come.
        reason: The reason phrase as sent, bytes from 0x80 as ISO-8859-1; often ``""``. It means nothing.
        minor: 0 for HTTP/1.0; 1 for HTTP/1.1 and for the minor versions above, which are treated as 1.1.
        body_length: Bytes of the body; 0: none, which is so for 1xx, 204 and 304, for what answers HEAD, and for
            2xx to CONNECT, whatever the fields say; `CHUNKED`: until the last chunk; `UNTIL_CLOSE`: until the end.
        keep_alive: Whether another response may follow on this connection. Never after `UNTIL_CLOSE`. It is the
            final response's word that counts; 101 and 2xx to CONNECT hand the connection over, whatever it says.

    Source: ``struct evhttp_request``; RFC 9112 §4 and §6.3.
    """

    __slots__ = ("_fields", "body_length", "keep_alive", "minor", "reason", "status")

    def __init__(
        self, status: int, reason: str, minor: int, body_length: int, keep_alive: bool, raw: bytes
    ) -> None:
        """Build a head; ``raw`` holds its validated field lines, from which `headers` is made when asked for."""
        self.status = status
        self.reason = reason
        self.minor = minor
        self.body_length = body_length
        self.keep_alive = keep_alive
        self._fields: bytes | Headers = raw

    @property
    def headers(self) -> Headers:
        """All header fields in order; parsed on first use."""
        fields = self._fields
        if isinstance(fields, bytes):
            fields = self._fields = Headers.from_raw(fields)
        return fields

    def __repr__(self) -> str:
        body = {CHUNKED: "chunked", UNTIL_CLOSE: "until-close"}.get(self.body_length, str(self.body_length))
        keep = "keep-alive" if self.keep_alive else "close"
        return f"<ResponseHead {self.status} {self.reason!r} HTTP/1.{self.minor} body={body} {keep}>"


class ResponseEngine(Protocol):
    """Reads one connection's responses: a head, its body, the next head, and so on.

    The caller calls `read_head` until it returns a head, then `read_body` until it returns True, then `read_head`
    again if another response is due: the final one after an interim one, or that of the next request. After 101, and
    after 2xx to CONNECT, what is in ``source`` belongs to the other protocol, and the engine has done its work.

    The outcome never depends on how the bytes were cut into pieces. After a `BadResponse` the engine, the connection
    and the bytes in ``source`` are good for nothing.

    The engine does not know what was asked: bytes that come when no response is due are the caller's to refuse.

    Attributes:
        name: The name that `make_response_engine` knows it by.
        trailers: The trailer fields of the last chunked body, never merged into the header fields.
        max_body: How long a body may become that is chunked or `UNTIL_CLOSE`, set by the caller before `read_body`;
            None: no limit. (The length of any other body is known from its head.)
    """

    name: str
    trailers: list[tuple[str, str]]
    max_body: int | None

    def read_head(self, source: Buffer, method: str) -> ResponseHead | None:
        """Take the next head from the front of ``source``.

        Args:
            source: What has come.
            method: That of the request which this answers, as it was sent: it decides whether there is a body. The
                same for all calls until a head is returned.

        Returns:
            The head, drained from ``source``, interim ones like any other; None if more bytes are needed, which stay
            where they are.

        Raises:
            BadResponse: the bytes cannot become a response, or not one that is within the limits.
        """

    def read_body(self, source: Buffer, sink: Buffer) -> bool:
        """Move the body bytes that have come from ``source`` to ``sink``, without their framing.

        Returns:
            True when the message is complete (at once if it has no body), False if more bytes are needed, or `end`.

        Raises:
            BadResponse: the framing is broken, or a limit was passed.
        """

    def take_body(self, source: Buffer) -> bytes | None:
        """Take the whole body from ``source``, if all of it has come and it stands there as it is.

        To be called before `read_body`, which else has nothing to read any more.

        Returns:
            The body; ``None``: it comes in pieces, so call `read_body`.
        """

    def end(self) -> None:
        """Hear that nothing more will come: the server has closed its side.

        Call it when `read_head` or `read_body` has seen all that came. It completes an `UNTIL_CLOSE` body: the next
        `read_body` returns True. Between two messages there is nothing to say; whether a response was still due, the
        caller knows.

        Do not call it for an end that nobody meant, such as a reset, or TLS without its close_notify: a body until
        close is cut off then, and nothing would tell (RFC 9112 §9.8).

        Raises:
            BadResponse: the end came within a head, or within a body whose length or last chunk was still due.
        """
