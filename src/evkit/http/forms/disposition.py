"""What the ``Content-Disposition`` of a part of a form says: its name, and what the client calls the file in it.

A decider. The file's name has no folders, but may be anything else: what of it is safe to use is decided in
`evkit.http.forms.filename`.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from evkit.http.errors import BadRequest
from evkit.http.forms.parameters import split_value

_SEPARATOR: Final = re.compile(r"[/\\]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# RFC 8187 §3.2.1; of the characters that it wants encoded some senders leave a few as they are.
_EXTENDED: Final = re.compile(
    r"utf-8'[A-Za-z0-9\-]*+'((?:[ -$&-~]|%[0-9A-Fa-f]{2})*+)", re.IGNORECASE | re.ASCII
)


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
    match = _EXTENDED.fullmatch(value)
    try:
        text = "\0" if match is None else unquote_to_bytes(match[1]).decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if _CONTROL.search(text):
        raise BadRequest(400, "expected UTF-8'' and a percent-encoded name without control characters", value)
    return text
