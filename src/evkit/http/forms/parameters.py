"""Values of fields that have parameters: ``form-data; name="a"``, ``text/plain; charset=utf-8``.

A decider over text that a client has sent: which values are well-formed, and what they say. What a parameter means is
asked elsewhere.
"""

import re
from typing import Final

from evkit.http.errors import BadRequest
from evkit.http.parser.grammar import TCHAR

_TOKEN: Final = TCHAR.decode("ascii") + "++"
_KIND: Final = re.compile(rf"[ \t]*+({_TOKEN}(?:/{_TOKEN})?+)[ \t]*+")
_PARAMETER: Final = re.compile(
    rf';[ \t]*+(?:({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]++|\\.)*+)"))?+[ \t]*+', re.DOTALL
)
_ESCAPED: Final = re.compile(r'\\(["\\])')


def split_value(value: str) -> tuple[str, dict[str, str]]:
    r"""Take ``form-data; name="a"`` or ``text/plain; charset=utf-8`` apart.

    Args:
        value: The value of a field.

    Returns:
        What stands before the parameters, in lower case, and the parameters by their names in lower case. Of quoted
        ones ``\"`` and ``\\`` are decoded, and no other backslash is one that escapes: browsers send names of
        files with backslashes as they are.

    Raises:
        BadRequest: 400: it is not formed like that, or a parameter comes twice, of which others may see the other.

    Source: RFC 9110 §5.6.6.
    """
    match = _KIND.match(value)
    if match is None:
        raise BadRequest(400, "expected a type, and parameters behind it", value)
    at = match.end()
    parameters: dict[str, str] = {}
    while at < len(value):
        found = _PARAMETER.match(value, at)
        if found is None:
            raise BadRequest(400, 'expected ; name="value"', value[at:])
        at = found.end()
        name, token, quoted = found.groups()
        if name is None:
            continue
        if name.lower() in parameters:
            raise BadRequest(400, "expected each parameter once", value)
        parameters[name.lower()] = token or _ESCAPED.sub(r"\1", quoted)
    return match[1].lower(), parameters
