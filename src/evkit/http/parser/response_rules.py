"""What a response means: whether it has a body, how long that is, and whether the connection goes on.

An engine gives it a head that is well-formed byte by byte, and the method that it answers. Whatever two readers could
read in two ways is refused, because a response that a proxy and evkit read differently lets a server put words into
the mouth of the next response. The rules that hold for requests, too, are those of `rules`.

It never sees a buffer, and knows nothing of limits, of the fields that do not rule, or of how the bytes came.
"""

from typing import Final

from evkit.http.errors import BadRequest, BadResponse
from evkit.http.parser import rules
from evkit.http.parser.response import UNTIL_CLOSE, ResponseHead

# Content-Length is the one ruling name of fourteen letters. A head with no other ruling field is decided at once.
_LENGTH_LENGTH: Final = 14


def decide(
    method: str, status: int, reason: str, minor: int, ruling: rules.Ruling, raw: bytes
) -> ResponseHead:
    """Apply every rule to a well-formed head.

    Args:
        method: That of the request.
        status: 100 to 999.
        reason: The reason phrase, for `ResponseHead.reason`.
        minor: 0 or 1.
        ruling: The fields Content-Length, Transfer-Encoding and Connection in order, names in any case, values with
            or without OWS around.
        raw: All field lines, for `ResponseHead.headers`.

    Raises:
        BadResponse: from `body_length`.
    """
    bodiless = has_no_body(status, method)
    if not bodiless and len(ruling) == 1 and len(ruling[0][0]) == _LENGTH_LENGTH:
        return ResponseHead(status, reason, minor, body_length(minor, ruling[0][1], None), minor > 0, raw)
    length = coding = connection = None
    for name, value in ruling:
        key = name.lower()
        if key == b"connection":
            connection = value if connection is None else connection + b"," + value
        elif key == b"content-length":
            # RFC 9112 §6.3 lets a recipient take equal lengths for one. evkit does not, in one line or in two, as two
            # hops may differ in what they call equal; joined they are no number.
            length = value if length is None else length + b", " + value
        else:
            coding = value if coding is None else coding + b"," + value
    size = 0 if bodiless else body_length(minor, length, coding)
    keep = minor > 0 if connection is None else rules.keep_alive(minor, connection)
    return ResponseHead(status, reason, minor, size, keep and size != UNTIL_CLOSE, raw)


def has_no_body(status: int, method: str) -> bool:
    """Decide whether the response ends with its head, whatever its fields say.

    They may be there (a 304 tells the length that a 200 would have) or be lies; what they would mean is not asked.

    Source: RFC 9112 §6.3, rules 1 and 2; RFC 9110 §9.3.6 (a client MUST ignore them in 2xx to CONNECT).
    """
    if status < 200 or method == "HEAD":
        return True
    if status < 300:
        return status == 204 or method == "CONNECT"
    return status == 304


def body_length(minor: int, length: bytes | None, coding: bytes | None) -> int:
    """Decide the length of the body from Content-Length and Transfer-Encoding; neither means `UNTIL_CLOSE`.

    Raises:
        BadResponse: both fields, a Transfer-Encoding in HTTP/1.0 or other than ``chunked`` alone, a length that is
            not one number in at most 19 ASCII digits.

    Source: RFC 9112 §6.1, §6.3. It would read until close what has another last coding than ``chunked``; evkit knows
    no other coding, so the body would be in none.
    """
    if length is None and coding is None:
        return UNTIL_CLOSE
    try:
        return rules.body_length(minor, length, coding)
    except BadRequest as refusal:
        raise BadResponse(str(refusal)) from None
