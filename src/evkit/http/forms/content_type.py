"""What the ``Content-Type`` of a form says: which kind of form it is, and the boundary between its parts.

A decider: a form that cannot be told, or that is another, is the client's error. It knows nothing of bodies.
"""

import re
from typing import Final

from evkit.http.errors import BadRequest
from evkit.http.forms.parameters import split_value
from evkit.http.server.request import Request

# RFC 2046 §5.1.1. Without CR and LF in it, no boundary can begin within another.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")


def content_type(request: Request) -> str:
    """Return the ``Content-Type`` of a request; empty for none.

    Raises:
        BadRequest: 400: there are two. 415: the body is compressed.

    Source: RFC 9110 §8.3; §15.5.16 for the body's coding.
    """
    values = request.headers.get_all("Content-Type")
    if len(values) > 1:
        raise BadRequest(400, "expected one Content-Type", ", ".join(values))
    for coding in request.headers.get_all("Content-Encoding"):
        if coding.lower() != "identity":
            raise BadRequest(415, "expected a form without Content-Encoding", coding)
    return values[0] if values else ""


def parameters_of(value: str, wanted: str) -> dict[str, str]:
    """Return the parameters of a content type that has to be ``wanted``.

    Raises:
        BadRequest: 415: it is another, or none. 400: it is malformed.
    """
    kind, parameters = split_value(value) if value else ("", {})
    if kind != wanted:
        raise BadRequest(415, f"expected the Content-Type {wanted}", value)
    return parameters


def boundary_of(value: str) -> bytes:
    """Return the boundary that the content type of a multipart form tells.

    Raises:
        BadRequest: 415: it is another type. 400: the boundary is missing, or none by RFC 2046: 1 to 70 letters, digits
            and some others.

    Source: RFC 7578 §4.1, RFC 2046 §5.1.1.
    """
    boundary = parameters_of(value, "multipart/form-data").get("boundary")
    if boundary is None:
        raise BadRequest(400, "expected a boundary in the Content-Type", value)
    if not _BOUNDARY.fullmatch(boundary):
        raise BadRequest(400, "expected a boundary of 1 to 70 letters, digits and '()+_,-./:=?", boundary)
    return boundary.encode("ascii")
