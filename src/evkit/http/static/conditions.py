"""Whether a request's conditions hold for what would be sent: 200, 304 or 412, and whether a range still fits.

A decider over field values: it knows nothing of files. A field that is repeated comes with its values joined by a
comma, which makes two dates no date, as RFC 9110 §13.1.3 wants it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from evkit.http.date import parse_http_date
from evkit.http.headers import finder

FIELDS: Final = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range", "range"}
)
"""The fields, in lower case, that say something here or in `evkit.http.static.ranges`."""

MENTIONED: Final = finder(FIELDS)
"""Finds any of them."""

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*+"'
_TAGS: Final = re.compile(rf"[ \t,]*+{_TAG}(?:[ \t]*+,[ \t,]*+{_TAG})*+[ \t,]*+")
_ONE_TAG: Final = re.compile(_TAG)


def collect(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Pick the fields in `FIELDS`, by lower-case name, the values of repeated ones joined by a comma."""
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key in FIELDS:
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def evaluate(fields: Mapping[str, str], etag: str, modified: int, now: float) -> int:
    """Decide what a GET or HEAD with these conditions gets.

    Args:
        fields: What `collect` found.
        etag: The strong entity tag of what would be sent, with its quotes.
        modified: When it was last modified, in whole seconds since the epoch.
        now: Seconds since the epoch.

    Returns:
        200: all conditions hold, or there are none; 304; 412.

    Source: RFC 9110 §13.2.2.
    """
    if "if-match" in fields:
        if not _matches(fields["if-match"], etag, weak=False):
            return 412
    elif "if-unmodified-since" in fields:
        since = parse_http_date(fields["if-unmodified-since"], now)
        if since is not None and modified > since:
            return 412
    if "if-none-match" in fields:
        if _matches(fields["if-none-match"], etag, weak=True):
            return 304
    elif "if-modified-since" in fields:
        since = parse_http_date(fields["if-modified-since"], now)
        if since is not None and modified <= since:
            return 304
    return 200


def range_fits(fields: Mapping[str, str], etag: str, modified: int, now: float) -> bool:
    """Return whether ``If-Range``, if there, allows the range: a strong tag or a date that is the very same.

    Source: RFC 9110 §13.1.5.
    """
    value = fields.get("if-range")
    if value is None or value == etag:
        return True
    return parse_http_date(value, now) == modified


def _matches(value: str, etag: str, *, weak: bool) -> bool:
    """Return whether a list of entity tags has ``etag``. What is no such list has nothing.

    Source: RFC 9110 §8.8.3.2.
    """
    if value == etag or value.strip(" \t") == "*":
        return True
    if _TAGS.fullmatch(value) is None:
        return False
    tags: list[str] = _ONE_TAG.findall(value)
    return etag in tags or (weak and f"W/{etag}" in tags)
