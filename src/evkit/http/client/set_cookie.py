"""What a ``Set-Cookie`` field says, in the words of browsers: they take much that no server should send.

A decider over one value. Whether the cookie may be kept is decided in `evkit.http.client.cookies`.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

MAX_SIZE: Final = 4096
"""Bytes of a name and its value together. Source: RFC 6265bis §5.6, as browsers have it."""
_MAX_ATTRIBUTE: Final = 1024
_MAX_AGE: Final = 400 * 86400.0
"""Seconds that a cookie is kept at most. Source: RFC 6265bis §5.5."""

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
"""What no cookie may hold: a tab, too, which parts the columns of cookie files."""

_SECONDS: Final = re.compile(r"(-?)([0-9]++)")
_DATE_TOKEN: Final = re.compile(r"[^\t\x20-/;-@\[-`{-~]++")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY: Final = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR: Final = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class SetCookie:
    """One cookie as a server would have it kept.

    Attributes:
        name: Not empty.
        value: With its quotes, if it has any.
        expires: Seconds since 1970; ``None``: when the program ends.
        domain: In lower case, without a dot before it; ``None``: for this host only.
        path: ``None``: that of the request's folder.
        secure: For https only.
        http_only: Not for scripts.
    """

    name: str
    value: str
    expires: float | None = None
    domain: str | None = None
    path: str | None = None
    secure: bool = False
    http_only: bool = False


def parse_set_cookie(text: str, now: float) -> SetCookie | None:
    """Read the value of a ``Set-Cookie`` field.

    Args:
        text: The value.
        now: Seconds since 1970.

    Returns:
        ``None`` for what browsers ignore, and for cookies without a name.

    Source: RFC 6265 §5.2, with the limits of RFC 6265bis §5.6. Of an attribute that is repeated the last counts.
    """
    if CONTROL.search(text):
        return None
    pair, *rest = text.split(";")
    name, equals, value = (part.strip(" ") for part in pair.partition("="))
    if not equals or not name or len(name) + len(value) > MAX_SIZE:
        return None
    said: dict[str, str] = {}
    for attribute in rest:
        key, _, word = attribute.partition("=")
        if len(word) <= _MAX_ATTRIBUTE:
            _note(said, key.strip(" ").lower(), word.strip(" "))
    path = said.get("path", "")
    return SetCookie(
        name,
        value,
        expires=_expiry(said, now),
        domain=said.get("domain", "").removeprefix(".").lower() or None,
        path=path if path.startswith("/") else None,
        secure="secure" in said,
        http_only="httponly" in said,
    )


def _note(said: dict[str, str], key: str, word: str) -> None:
    """Keep an attribute, unless it says nothing: then an earlier one still counts."""
    if key == "expires" and parse_cookie_date(word) is None:
        return
    if key == "max-age" and _SECONDS.fullmatch(word) is None:
        return
    said[key] = word


def _expiry(said: dict[str, str], now: float) -> float | None:
    """Return when a cookie expires: ``Max-Age`` counts more than ``Expires``."""
    if "max-age" in said:
        match = _SECONDS.fullmatch(said["max-age"])
        assert match is not None  # `_note` has seen to it
        return now - 1.0 if match[1] else now + min(_MAX_AGE, float(match[2]))
    date = parse_cookie_date(said["expires"]) if "expires" in said else None
    return None if date is None else min(date, now + _MAX_AGE)


def parse_cookie_date(text: str) -> float | None:
    """Read a date in any of the forms that servers have ever used.

    Returns:
        Seconds since 1970; ``None`` if it is no date.

    Source: RFC 6265 §5.1.1.
    """
    found: dict[str, tuple[int, ...]] = {}
    for token in _DATE_TOKEN.findall(text):
        _look(token, found)
    if len(found) < 4:
        return None
    year = found["year"][0]
    year += 1900 if 70 <= year <= 99 else 2000 if year <= 69 else 0
    if year < 1601:
        return None
    try:
        hour, minute, second = found["time"]
        return datetime(
            year, found["month"][0], found["day"][0], hour, minute, second, tzinfo=UTC
        ).timestamp()
    except ValueError:
        return None


def _look(token: str, found: dict[str, tuple[int, ...]]) -> None:
    """See what a part of a date is: the first thing that it can be, of those that are still missing."""
    for name, pattern in (("time", _TIME), ("day", _DAY), ("month", None), ("year", _YEAR)):
        if name in found:
            continue
        if pattern is None:
            month = token[:3].lower()
            if month in _MONTHS:
                found[name] = (_MONTHS.index(month) + 1,)
                return
        elif match := pattern.match(token):
            found[name] = tuple(map(int, match.groups()))
            return
