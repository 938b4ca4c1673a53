"""How a reply is framed: which fields it gets, whether it has a body, how its end is told, whether the connection ends.

A decider: it turns a status, fields and a length into bytes and says how the body goes out. It knows nothing of
connections or time.
"""

from collections.abc import Sequence
from typing import Final

from evkit.errors import LocalProtocolError
from evkit.http.fields import LINES, STATUS_LINES, check_pair, encode_line, reason
from evkit.http.parser.contract import RequestHead

_MAX_LENGTH_DIGITS: Final = 19  # as in requests: more than any file has, fewer than int() refuses
UNKNOWN_LENGTH: Final = -1
"""The length of a body of which the handler sends one piece after the other."""


_BODILESS: Final = frozenset({204, 205, 304})
_NOT_BEHIND: Final = frozenset(
    {
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "expect",
        "expires",
        "host",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "set-cookie",
        "te",
        "trailer",
        "upgrade",
        "vary",
        "warning",
        "www-authenticate",
    }
)
"""Fields that rule framing, routing, modifiers or how the content is read: never in a trailer (RFC 9110 §6.5.1)."""
_SILENT: Final = frozenset({"HEAD", "CONNECT"})


class Framing:
    """What a reply has told its client, and so owes it.

    Attributes:
        head: The first line and the fields, as bytes.
        left: Bytes of the body that are still to come; `UNKNOWN_LENGTH`: as many as the handler likes.
        chunked: Whether the body goes out in chunks.
        silent: Whether the body is not sent: a reply to HEAD, or a status that has none.
        keep_alive: Whether another request may follow.
    """

    __slots__ = ("chunked", "head", "keep_alive", "left", "silent")

    def __init__(
        self, head: bytes, left: int, *, chunked: bool = False, silent: bool = False, keep_alive: bool = True
    ) -> None:
        self.head = head
        self.left = left
        self.chunked = chunked
        self.silent = silent
        self.keep_alive = keep_alive


def has_body(method: str, status: int) -> bool:
    """Return whether a reply carries a body. Source: RFC 9110 §6.4.1."""
    return not (method == "HEAD" or status in _BODILESS or _connects(method, status))


def _connects(method: str, status: int) -> bool:
    """Return whether what follows is a tunnel and no body. Source: RFC 9110 §9.3.6."""
    return method == "CONNECT" and status < 300


Pairs = Sequence[tuple[str, str]]


def plain_head(request: RequestHead, status: int, date: bytes, fields: Pairs, length: int) -> bytes | None:
    """Return the head of the reply that is most common: HTTP/1.1, whole, kept alive.

    Returns:
        ``None`` where the reply is none of these, or its fields say something of the framing: `frame` decides then.
    """
    if not request.keep_alive or not request.minor or status in _BODILESS or request.method in _SILENT:
        return None
    block = b""
    try:
        for pair in fields:
            line = LINES[pair]
            if line is None:
                return None
            block += line
    except TypeError:  # a list can't even be looked up, and Python would say no more than that
        for pair in fields:
            check_pair(pair)
        raise
    return b"%b%b%bContent-Length: %d\r\n\r\n" % (STATUS_LINES[status], date, block, length)


def frame(
    request: RequestHead, status: int, date: bytes, fields: Pairs, length: int, *, keep_alive: bool
) -> Framing:
    """Decide how a reply goes out.

    Args:
        request: What is answered.
        status: Three digits, not 1xx.
        date: The ``Date`` line, left out where ``fields`` have one.
        fields: The handler's.
        length: Of the body; `UNKNOWN_LENGTH` where it comes in pieces.
        keep_alive: Whether the connection may go on; the fields may say no.

    Raises:
        LocalProtocolError: The fields contradict the body, or each other.

    Source: RFC 9112 §6; ``evhttp_make_header_response``.
    """
    plain, said = _sort(fields)
    silent = not has_body(request.method, status)
    if "transfer-encoding" in said:
        raise LocalProtocolError(
            "Transfer-Encoding is evkit's to set: leave Content-Length out to send chunks"
        )
    length = _agree(length, said.get("content-length"), silent=silent)
    if status == 205:
        length = 0  # RFC 9110 §15.3.6: it has no content, and says so
    if _says_close(said.get("connection", "")) or _connects(request.method, status):
        keep_alive = False
    chunked = length == UNKNOWN_LENGTH and not silent and request.minor > 0
    if length == UNKNOWN_LENGTH and not silent and not chunked:
        keep_alive = False  # an HTTP/1.0 client knows the end by the end of the connection
    lines = [STATUS_LINES[status], encode_line("Date", said["date"]) if "date" in said else date, *plain]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    elif length != UNKNOWN_LENGTH and _tells_length(request.method, status, given="content-length" in said):
        lines.append(b"Content-Length: %d\r\n" % length)
    lines.append(_connection_line(request.minor, said.get("connection"), keep_alive=keep_alive))
    lines.append(b"\r\n")
    left = UNKNOWN_LENGTH if status == 205 else length  # whatever its handler gives is dropped, as for 204
    return Framing(b"".join(lines), left, chunked=chunked, silent=silent, keep_alive=keep_alive)


def _tells_length(method: str, status: int, *, given: bool) -> bool:
    """Return whether a known length is told. Source: RFC 9110 §8.6."""
    if status == 204 or _connects(method, status):
        return False
    return status != 304 or given  # the length that a 200 would have had, which only the handler knows


def plain_page(status: int, message: str) -> tuple[str, str]:
    """Return the page for an error, a line of text, and its content type."""
    text = f"{status} {reason(status)}"
    return f"{text}: {message}\n" if message else f"{text}\n", "text/plain; charset=utf-8"


def refusal(status: int, date: bytes, body: bytes, content_type: str) -> bytes:
    """Return the last reply, to what is not served."""
    return b"%b%b%bContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
        STATUS_LINES[status],
        date,
        encode_line("Content-Type", content_type),
        len(body),
        body,
    )


def interim(status: int, fields: Pairs) -> bytes:
    """Return an interim reply.

    Raises:
        LocalProtocolError: A field is none, or would frame a body.

    Source: RFC 9110 §15.2.
    """
    plain, said = _sort(fields)
    if said:
        raise LocalProtocolError(f"an interim reply has no {', '.join(sorted(said))}")
    return b"%b%b\r\n" % (STATUS_LINES[status], b"".join(plain))


def last_chunk(trailers: Pairs) -> bytes:
    """Return the end of a body in chunks.

    Raises:
        LocalProtocolError: A trailer is no valid field, or one that has to be known before the body.

    Source: RFC 9112 §7.1.2, RFC 9110 §6.5.1.
    """
    if not trailers:
        return LAST_CHUNK
    plain, said = _sort(trailers)
    refused = said.keys() | (_NOT_BEHIND & {name.lower() for name, _ in trailers})
    if refused:
        raise LocalProtocolError(f"{', '.join(sorted(refused))} can't stand behind the body")
    return b"0\r\n%b\r\n" % b"".join(plain)


def switch(request: RequestHead, status: int, date: bytes, fields: Pairs) -> bytes:
    """Return the head after which the connection carries something else.

    Raises:
        LocalProtocolError: The request has not asked for that, or a field is wrong.

    Source: RFC 9110 §7.8, §15.2.2 for 101; §9.3.6 for ``CONNECT``.
    """
    plain, said = _sort(fields)
    if said.keys() - {"date"}:
        raise LocalProtocolError(f"{', '.join(sorted(said))} can't stand in a reply that ends HTTP")
    if request.method == "CONNECT" and 200 <= status <= 299:
        return b"%b%b%b\r\n" % (STATUS_LINES[status], date, b"".join(plain))
    asked = request.minor and "upgrade" in _options(", ".join(request.headers.get_all("connection")))
    if status != 101 or not asked:
        raise LocalProtocolError(
            f"expected 101 to a request for an upgrade, or 2xx to CONNECT; got {status} to {request.method}"
        )
    _check_protocols(request, fields)
    return b"%b%bConnection: upgrade\r\n\r\n" % (STATUS_LINES[101], b"".join(plain))


def _check_protocols(request: RequestHead, fields: Pairs) -> None:
    chosen = _protocols([value for name, value in fields if name.lower() == "upgrade"])
    if not chosen:
        raise LocalProtocolError("101 needs an Upgrade field that names the protocol")
    alien = chosen - _protocols(request.headers.get_all("upgrade"))
    if alien:
        raise LocalProtocolError(f"the request has not asked for {', '.join(sorted(alien))}")


def _protocols(values: Sequence[str]) -> set[str]:
    """Return the names of the protocols in Upgrade fields, without their versions. Source: RFC 9110 §7.8."""
    return {name for option in _options(", ".join(values)) if (name := option.partition("/")[0])}


def _sort(fields: Pairs) -> tuple[list[bytes], dict[str, str]]:
    """Return the lines of the fields that mean nothing to the framing, and the others by name."""
    plain: list[bytes] = []
    said: dict[str, str] = {}
    for pair in fields:
        check_pair(pair)
        line = LINES[pair]
        if line is not None:
            plain.append(line)
            continue
        name, value = pair[0].lower(), pair[1]
        if name in said and name != "connection":
            raise LocalProtocolError(f"expected one {pair[0]} field, got {said[name]!r} and {value!r}")
        said[name] = f"{said[name]}, {value}" if name in said else value
    return plain, said


def _agree(length: int, said: str | None, *, silent: bool) -> int:
    """Return the length of the body, of which the handler's Content-Length may say the same thing, or say it first."""
    if said is None:
        return length
    if not (said.isascii() and said.isdigit() and len(said) <= _MAX_LENGTH_DIGITS):
        raise LocalProtocolError(f"expected a number of bytes in Content-Length, got {said!r}")
    if length not in (UNKNOWN_LENGTH, int(said)) and not (silent and not length):
        raise LocalProtocolError(f"Content-Length says {said}, but the body has {length} bytes")
    return int(said)


def _says_close(connection: str) -> bool:
    return "close" in _options(connection)


def _options(connection: str) -> list[str]:
    return [option.strip(" \t").lower() for option in connection.split(",")]


def _connection_line(minor: int, said: str | None, *, keep_alive: bool) -> bytes:
    """Say what an HTTP/1.1 or HTTP/1.0 client would not assume. Source: RFC 9112 §9.3."""
    if said is not None:
        said = said if keep_alive or _says_close(said) else f"{said}, close"
        return encode_line("Connection", said)
    if not keep_alive:
        return b"Connection: close\r\n"
    return b"" if minor else b"Connection: keep-alive\r\n"


def chunk_head(size: int) -> bytes:
    """Return what stands before a chunk. Source: RFC 9112 §7.1."""
    return b"%x\r\n" % size


LAST_CHUNK: Final = b"0\r\n\r\n"
