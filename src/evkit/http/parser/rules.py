"""What a request means and whether it is served: the rules of RFC 9110 and 9112 that stand above every engine.

An engine gives it a head that is well-formed byte by byte; it decides the host, the form of the target, the length of
the body, and whether the connection goes on, or raises `BadRequest`. Whatever two readers could read in two ways is
refused, because a request that a proxy and evkit read differently is how requests are smuggled.

It never sees a buffer, and knows nothing of limits, of the fields that do not rule, or of how the bytes came.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from evkit.http.errors import BadRequest
from evkit.http.parser.contract import CHUNKED, RequestHead

Ruling = list[tuple[bytes, bytes]]
"""The ruling fields of a head, in order: Host, Content-Length, Transfer-Encoding, Connection, Expect."""

Ruled = tuple[str | None, int, bool, bool]
"""What they say: see `heed`."""

# RFC 3986 §3.2.2 without the comma in reg-name: two Host lines that a proxy folded into one look like that.
_AUTHORITY: Final = re.compile(rb"(?:\[([0-9A-Fa-f:.]++)\]|[0-9A-Za-z\-._~!$&'()*+;=%]++)(?::([0-9]*+))?")
_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f][0-9A-Fa-f])")
_ABSOLUTE: Final = re.compile(r"https?://([^/?]*+)(?:[/?].*+)?", re.IGNORECASE)
_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])")
_DIGITS: Final = re.compile(rb"[0-9]++")

# Host is the one ruling name of four letters. A head with no other ruling field is the commonest and decided at once.
_HOST_LENGTH: Final = 4
_MAX_PORT: Final = 65535
# 2^63 has 19 digits; a longer number is no body that could ever end, and int() is quadratic in the digits.
_MAX_LENGTH_DIGITS: Final = 19
# Many clients of one site name one host; 256 covers a server of many sites and is no memory to speak of.
_HOST_CACHE: Final = 256
# What nearly all clients say, so that it need not be taken apart; it says the same in both minor versions.
_CONNECTION: Final = {b"keep-alive": True, b"Keep-Alive": True, b"close": False}
# RFC 3986 §3.2.2: names "should be limited to no more than 255 characters"; ":65535" comes on top. The limit
# bounds the cache too.
_MAX_HOST: Final = 261


def decide(
    method: str,
    target: str,
    minor: int,
    ruled: Ruled,
    raw: bytes,
    head_type: type[RequestHead] = RequestHead,
) -> RequestHead:
    """Apply what depends on the request line to a well-formed head, and make it.

    Args:
        method: A token.
        target: Visible ASCII without ``#``.
        minor: 0 or 1, as `minor_version` gives it.
        ruled: What `heed` says of its fields.
        raw: All field lines, for `RequestHead.headers`.
        head_type: What to make of them.

    Raises:
        BadRequest: 400; the docstring of each rule below says why.
    """
    host, length, persists, waits = ruled
    if target[0] != "/" or method == "CONNECT":
        # RFC 9112 §3.2.2, §3.3: the target's authority wins over Host, which must be there and right nevertheless.
        authority = target_authority(method, target)
        if authority is not None:
            host = authority
        if length and method == "CONNECT":
            raise BadRequest(400, "CONNECT has no body: what follows is the tunnel's")  # RFC 9110 §9.3.6
    return head_type(method, target, minor, host, length, persists, waits, raw)


def heed(minor: int, ruling: Ruling) -> Ruled:
    """Apply every rule that depends on the ruling fields and the version alone.

    A client says the same with each of its requests, as a rule, so that an answer is good for more than one.

    Args:
        minor: 0 or 1, as `minor_version` gives it.
        ruling: The ruling fields in order, names in any case, values with or without OWS around.

    Returns:
        The ``host``, ``body_length``, ``keep_alive`` and ``expect_continue`` of a `RequestHead`.

    Raises:
        BadRequest: 400, 413, 417 or 501; the docstring of each rule below says why.
    """
    if minor and len(ruling) == 1 and len(ruling[0][0]) == _HOST_LENGTH:
        return check_host(ruling[0][1]), 0, True, False
    host = length = coding = connection = expect = None
    for name, value in ruling:
        key = name.lower()
        if key == b"host":
            if host is not None:
                raise _twice(key, host, value)
            host = value
        elif key == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif key == b"content-length":
            if length is not None:
                raise _twice(key, length, value)
            length = value
        elif key == b"transfer-encoding":
            coding = value if coding is None else coding + b"," + value
        else:
            expect = value if expect is None else expect + b"," + value
    if host is None and minor:
        raise BadRequest(400, "an HTTP/1.1 request needs a Host field")  # RFC 9112 §3.2
    size = 0 if length is None and coding is None else body_length(minor, length, coding)
    return (
        None if host is None else check_host(host),
        size,
        minor > 0 if connection is None else keep_alive(minor, connection),
        expect is not None and expects_continue(minor, expect) and size != 0,
    )


def _twice(key: bytes, first: bytes, second: bytes) -> BadRequest:
    """Refuse a second Host (RFC 9112 §3.2) or Content-Length (§6.3); lines of a list field make one list.

    A recipient may take identical Content-Lengths for one (RFC 9110 §8.6); evkit does not, as two hops may differ in
    what they call identical.
    """
    return BadRequest(400, f"expected one {key.decode()} field", first + b", " + second)


def request_line(method: str, target: str, version: bytes) -> int:
    """Apply the rules that need no more than a complete, well-formed request line.

    Returns:
        0 or 1: the minor version.

    Raises:
        BadRequest: 505 or 400, from `minor_version` and `target_authority`.
    """
    minor = minor_version(version)
    if target[0] != "/" or method == "CONNECT":
        target_authority(method, target)
    return minor


def minor_version(version: bytes) -> int:
    """Return 0 for ``HTTP/1.0``, 1 for ``HTTP/1.1`` and what may come after it.

    Raises:
        BadRequest: 505 for another major version, 400 for what is no version (its letters are case-sensitive).

    Source: RFC 9110 §2.5, RFC 9112 §2.3.
    """
    match = _VERSION.fullmatch(version)
    if match is None:
        raise BadRequest(400, "expected HTTP/1.1 or HTTP/1.0 at the end of the request line", version)
    if match[1] != b"1":
        raise BadRequest(505, "evkit serves HTTP/1.1 and HTTP/1.0", version)
    return 0 if match[2] == b"0" else 1


def target_authority(method: str, target: str) -> str | None:
    """Check that the target's form fits the method, and return the authority that it names, None for none.

    origin-form (``/path?query``) goes with every method but CONNECT, absolute-form (``http://host/path``) too,
    authority-form (``host:port``) with CONNECT alone, ``*`` with OPTIONS alone. A server must accept absolute-form.

    Raises:
        BadRequest: 400.

    Source: RFC 9112 §3.2.1 to §3.2.4; RFC 9110 §4.2.4 (userinfo is refused), §9.3.6 (CONNECT needs a port).
    """
    if method == "CONNECT":
        return _connect_authority(target)
    if target[0] == "/" or (target == "*" and method == "OPTIONS"):
        return None
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadRequest(400, "expected a target that begins with / or http://", target)
    if not match[1]:
        raise BadRequest(400, "expected a host after http://", target)  # RFC 9110 §4.2.1: MUST reject
    return check_host(match[1].encode("ascii"))


def _connect_authority(target: str) -> str:
    authority = check_host(target.encode("ascii"))
    _, colon, port = authority.rpartition(":")
    if not (colon and port.isdigit() and int(port)):
        raise BadRequest(400, "CONNECT expects host:port with a port from 1 to 65535", target)
    return authority


@lru_cache(_HOST_CACHE)
def check_host(value: bytes) -> str:
    """Return a Host field's value or an authority as text, if it is ``uri-host [":" port]``.

    An empty value is how a client says that its target has no authority; a port alone says nothing. Ports above
    65535 do not exist. Userinfo does not belong here.

    Raises:
        BadRequest: 400.

    Source: RFC 9110 §7.2, RFC 9112 §3.2, RFC 3986 §3.2.2 (an address in brackets must be one).
    """
    value = value.strip(b" \t")
    match = _AUTHORITY.fullmatch(value)
    if match is None or _BAD_PERCENT.search(value) or len(value) > _MAX_HOST:
        if value:
            raise BadRequest(400, "expected a host name or address, with or without a port", value)
        return ""
    if match[2] and int(match[2]) > _MAX_PORT:
        raise BadRequest(400, "expected a port up to 65535", value)
    if match[1] is not None:
        _check_ipv6(match[1].decode("ascii"))
    return value.decode("ascii")


def _check_ipv6(address: str) -> None:
    try:
        IPv6Address(address)
    except AddressValueError as exc:
        raise BadRequest(400, "expected an IPv6 address in brackets", address) from exc


def body_length(minor: int, length: bytes | None, coding: bytes | None) -> int:
    """Decide the length of the body from Content-Length and Transfer-Encoding; neither means no body.

    Raises:
        BadRequest: 400: both fields (a known way to smuggle), a Transfer-Encoding in HTTP/1.0, a length that is not
            one number in ASCII digits, a coding after ``chunked``. 413: a length of more than 19 digits. 501: a
            coding before ``chunked``.

    Source: RFC 9112 §6.1, §6.3; RFC 9110 §8.6.
    """
    if coding is not None:
        _check_coding(minor, coding)
        if length is not None:
            raise BadRequest(400, "expected Transfer-Encoding or Content-Length, not both", length)
        return CHUNKED
    if length is None:
        return 0
    length = length.strip(b" \t")
    if _DIGITS.fullmatch(length) is None:
        raise BadRequest(400, "expected one decimal number in Content-Length", length)
    if len(length) > _MAX_LENGTH_DIGITS:
        raise BadRequest(413, f"a Content-Length has at most {_MAX_LENGTH_DIGITS} digits", length)
    return int(length)


def _check_coding(minor: int, value: bytes) -> None:
    """Accept ``chunked`` alone. An empty list element is refused too: it has no honest use in this field."""
    if not minor:
        raise BadRequest(400, "HTTP/1.0 knows no Transfer-Encoding", value)
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if codings == [b"chunked"]:
        return
    if codings[-1] == b"chunked" and b"chunked" not in codings[:-1] and b"" not in codings:
        raise BadRequest(501, "evkit knows the transfer coding chunked alone", value)
    raise BadRequest(400, "expected the transfer coding chunked, once and last", value)


def keep_alive(minor: int, connection: bytes) -> bool:
    """Decide what Connection says of persistence; ``close`` beats ``keep-alive`` in any order.

    Without the field, HTTP/1.1 persists and HTTP/1.0 does not.

    Source: RFC 9112 §9.3; RFC 9110 §7.6.1 (a case-insensitive list, empty elements ignored).
    """
    known = _CONNECTION.get(connection)
    if known is not None:
        return known
    options = [option.strip(b" \t") for option in connection.lower().split(b",")]
    if b"close" in options:
        return False
    return minor > 0 or b"keep-alive" in options


def expects_continue(minor: int, expect: bytes) -> bool:
    """Decide whether the client waits for ``100 Continue``; HTTP/1.0 clients never do, whatever they say.

    Raises:
        BadRequest: 417 for any other expectation.

    Source: RFC 9110 §10.1.1.
    """
    if not minor:
        return False
    members = [member for part in expect.lower().split(b",") if (member := part.strip(b" \t"))]
    if any(member != b"100-continue" for member in members):
        raise BadRequest(417, "evkit can meet the expectation 100-continue alone", expect)
    return bool(members)
