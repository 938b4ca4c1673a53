"""Cookies as a file in Netscape's form, which curl, wget, Python and browsers' extensions read and write.

A decider over text; it knows nothing of files. A cookie holds nothing that could part a column or a line.

Source: curl, "HTTP Cookies", "Cookie file format".
"""

import re
from collections.abc import Iterable
from typing import Final

from evkit.http.client.cookie import Cookie
from evkit.http.errors import quote

_HEAD: Final = "# Netscape HTTP Cookie File\n"
_HTTP_ONLY: Final = "#HttpOnly_"
_EXPIRES: Final = re.compile(r"[0-9]{0,12}(?:\.[0-9]*)?")


def write_cookies(cookies: Iterable[Cookie]) -> str:
    """Return the text of a file."""
    return "".join([_HEAD, *map(_line_of, cookies)])


def read_cookies(text: str) -> list[Cookie]:
    """Return the cookies of a file.

    Raises:
        ValueError: A line is none of such a file; the message has its number.
    """
    return [
        _cookie_of(line, number)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip() and (line[0] != "#" or line.startswith(_HTTP_ONLY))
    ]


def _line_of(cookie: Cookie) -> str:
    """Return a cookie's line in a file."""
    columns = (
        ("" if cookie.host_only else ".") + cookie.domain,
        "FALSE" if cookie.host_only else "TRUE",
        cookie.path,
        "TRUE" if cookie.secure else "FALSE",
        "0" if cookie.expires is None else str(int(cookie.expires)),
        cookie.name,
        cookie.value,
    )
    return (_HTTP_ONLY if cookie.http_only else "") + "\t".join(columns) + "\n"


def _cookie_of(line: str, number: int) -> Cookie:
    columns = line.removeprefix(_HTTP_ONLY).rstrip("\r").split("\t")
    try:
        domain, below, path, secure, expires, name, value = columns
        if _EXPIRES.fullmatch(expires) is None:
            raise ValueError(f"expected seconds since 1970, got {quote(expires)}")
        return Cookie(
            name,
            value,
            domain.removeprefix("."),
            path,
            float(expires or "0") or None,
            secure=secure == "TRUE",
            http_only=line.startswith(_HTTP_ONLY),
            host_only=below != "TRUE",
        )
    except ValueError as error:
        raise ValueError(f"line {number} is none of a cookie file: {error}") from None
