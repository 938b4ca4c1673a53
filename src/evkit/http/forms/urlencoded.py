"""Forms in one line: ``a=1&b=2``, taken out of the body of a request.

Decides whether a request is such a form. Pairs are taken apart in `evkit.http.uri`.
"""

from evkit.http.errors import BadRequest
from evkit.http.forms.content_type import content_type, parameters_of
from evkit.http.forms.whole_body import whole_body
from evkit.http.server.request import Request
from evkit.http.uri import parse_query


def parse_form(request: Request, *, strict: bool = True, max_pairs: int = 1000) -> list[tuple[str, str]]:
    """Take apart the body of a form that was sent as ``application/x-www-form-urlencoded``.

    Args:
        request: It has its body, whole.
        strict: See `parse_query`.
        max_pairs: Most pairs; empty ones count.

    Raises:
        BadRequest: 415: it is no such form, or compressed. 413: more pairs. 400: it is malformed, or has two types.
        LocalProtocolError: The handler was registered with ``stream=True``.

    Source: WHATWG URL, "application/x-www-form-urlencoded parsing".
    """
    parameters_of(content_type(request), "application/x-www-form-urlencoded")
    body = whole_body(request, "parse_form()")
    if body.count(b"&") >= max_pairs:
        raise BadRequest(413, f"expected at most {max_pairs} fields in a form")
    try:
        return parse_query(body.decode("utf-8"), strict=strict, max_pairs=max_pairs)
    except ValueError as error:
        raise BadRequest(400, str(error)) from error
