"""Dates: written in the one form that HTTP wants, read in the three that it has had. A decider."""

import re
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_DAY_NAME: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_NAME: Final = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_TIME: Final = "(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_FORMS: Final = (
    re.compile(f"{_DAY_NAME}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(f"{_LONG_NAME}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),
    re.compile(f"{_DAY_NAME} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)


def parse_http_date(text: str, now: float) -> int | None:
    """Read an IMF-fixdate, an RFC 850 date or asctime's format.

    Args:
        text: The field's value.
        now: Seconds since the epoch: a year of two digits is at most 50 years after it.

    Returns:
        Seconds since the epoch; None for anything else. Whether the day of the week is right is not looked at.

    Source: RFC 9110 §5.6.7.
    """
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is not None:
            return _to_seconds(found, now)
    return None


def _to_seconds(found: re.Match[str], now: float) -> int | None:
    year = int(found["year"])
    if len(found["year"]) == 2:
        year = _full_year(year, now)
    try:
        minute = datetime(
            year,
            _MONTHS.index(found["month"]) + 1,
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return int(minute.timestamp()) + int(found["second"])  # added last, for a leap second is no datetime


def _full_year(year: int, now: float) -> int:
    this_year = datetime.fromtimestamp(now, UTC).year
    year += this_year - this_year % 100
    if year > this_year + 50:
        return year - 100
    return year if year > this_year - 50 else year + 100


def http_date(seconds: float) -> str:
    """Write a time as HTTP does: ``Sun, 06 Nov 1994 08:49:37 GMT``. Source: RFC 9110 §5.6.7."""
    return formatdate(int(seconds), usegmt=True)
