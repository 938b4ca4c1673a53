"""What the fields of a form say: content types, dispositions, names of files; and forms in one line, ``a=1&b=2``.

A decider over text that a client has sent: what it gives back is safe to use, or the client gets an error that says
what was expected. Of where a part of a form begins and ends it knows nothing: that is `evkit.http.forms.multipart`'s
matter.
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote_to_bytes

from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.parser.grammar import TCHAR
from evkit.http.server.request import Request
from evkit.http.uri import parse_query

_TOKEN: Final = TCHAR.decode("ascii") + "++"
_KIND: Final = re.compile(rf"[ \t]*+({_TOKEN}(?:/{_TOKEN})?+)[ \t]*+")
_PARAMETER: Final = re.compile(
    rf';[ \t]*+(?:({_TOKEN})=(?:({_TOKEN})|"((?:[^"\\]++|\\.)*+)"))?+[ \t]*+', re.DOTALL
)
# RFC 2046 §5.1.1. Without CR and LF in it, no boundary can begin within another.
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_ESCAPED: Final = re.compile(r'\\(["\\])')
_SEPARATOR: Final = re.compile(r"[/\\]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

MAX_FILENAME: Final = 255
"""Bytes of a name that ext4, XFS, APFS and NTFS take (the last counts characters)."""
_MAX_SUFFIX: Final = 20
_NO_NAME: Final = "unnamed"
_FORBIDDEN: Final = frozenset('<>:"/\\|?*')  # in a name on Windows
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})  # and what turns the direction of writing
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(?:\.|$)", re.I)


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


def names_of(disposition: str) -> tuple[str, str | None]:
    """Return the name of a part of a form, and its filename, from its ``Content-Disposition``.

    ``%22`` is the quotation mark, as all browsers write it. Of ``filename="a/b"`` remains ``b``. ``filename*`` and
    ``name*`` are for senders that use them in place of the plain ones, which RFC 7578 forbids. Beside a plain one they
    are ignored, as whoever has looked at the form on its way may not know them.

    Raises:
        BadRequest: 400: the disposition is another or malformed, or there is no name.

    Source: RFC 7578 §4.2; WHATWG HTML, "multipart/form-data encoding algorithm"; RFC 8187 §3.2.
    """
    kind, parameters = split_value(disposition)
    if kind != "form-data":
        raise BadRequest(400, "expected Content-Disposition: form-data in each part", disposition)
    name, filename = _named(parameters, "name"), _named(parameters, "filename")
    if name is None:
        raise BadRequest(400, "expected a name in each Content-Disposition", disposition)
    if filename is not None:
        filename = _SEPARATOR.split(filename)[-1]
        filename = "" if filename in (".", "..") else filename
    return name, filename


def _named(parameters: dict[str, str], key: str) -> str | None:
    plain = parameters.get(key)
    if plain is not None:
        return plain.replace("%22", '"')
    extended = parameters.get(f"{key}*")
    return None if extended is None else _decode_extended(extended)


def _decode_extended(value: str) -> str:
    charset, _, rest = value.partition("'")
    _, quote, encoded = rest.partition("'")
    try:
        text = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if not quote or charset.lower() != "utf-8" or _CONTROL.search(text):
        raise BadRequest(400, "expected UTF-8'' and a percent-encoded name without control characters", value)
    return text


def safe_filename(filename: str) -> str:
    """Make of what a client calls a file a name that one may have, anywhere.

    Separators, characters that Windows forbids and those that nobody sees become ``_``. Leading dots, dashes and
    spaces go, and trailing dots and spaces; devices of Windows get a ``_`` before them. What is longer than
    `MAX_FILENAME` is cut before its suffix. It may be the name of a file that exists: that is for you to look after.

    Returns:
        The name, never empty: ``"unnamed"`` if nothing is left.

    Source: RFC 7578 §4.2 (what not to do with it); RFC 6266 §4.3.
    """
    name = "".join(map(_visible, unicodedata.normalize("NFC", filename))).lstrip(" .-").rstrip(" .")
    if _DEVICE.match(name):
        name = f"_{name}"
    return _shorten(name) or _NO_NAME


def _shorten(name: str) -> str:
    excess = len(name.encode()) - MAX_FILENAME
    if excess <= 0:
        return name
    stem, dot, suffix = name.rpartition(".")
    if len(suffix.encode()) > _MAX_SUFFIX:
        stem, dot, suffix = name, "", ""
    return stem.encode()[:-excess].decode("utf-8", "ignore").rstrip(" .") + dot + suffix


def _visible(character: str) -> str:
    hidden = character in _FORBIDDEN or unicodedata.category(character) in _INVISIBLE
    return "_" if hidden else character


def parse_form(request: Request, *, strict: bool = True, max_pairs: int = 1000) -> list[tuple[str, str]]:
    """Take apart the body of a form that was sent as ``application/x-www-form-urlencoded``.

    Args:
        request: It has its body, whole.
        strict: See `parse_query`.
        max_pairs: Most pairs; empty ones count.

    Raises:
        BadRequest: 415: it is no such form. 413: more pairs. 400: it is malformed.
        LocalProtocolError: The handler was registered with ``stream=True``.

    Source: WHATWG URL, "application/x-www-form-urlencoded parsing".
    """
    parameters_of(content_type(request), "application/x-www-form-urlencoded")
    body = request.body
    if not body and request.body_length > 0:
        raise LocalProtocolError(
            "parse_form() wants the whole body: register the handler without stream=True"
        )
    if body.count(b"&") >= max_pairs:
        raise BadRequest(413, f"expected at most {max_pairs} fields in a form")
    try:
        return parse_query(body.decode("utf-8"), strict=strict, max_pairs=max_pairs)
    except ValueError as error:
        raise BadRequest(400, str(error)) from error
