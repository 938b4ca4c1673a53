"""`evkit.http.date`: dates are written in one form, read in three, and nothing else is a date."""

from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.date import http_date, parse_http_date

NOW = 1_800_000_000  # January 2027
EXAMPLE = 784_111_777  # 6 November 1994, 08:49:37, the example of RFC 9110 §5.6.7


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", EXAMPLE),
        ("Sunday, 06-Nov-94 08:49:37 GMT", EXAMPLE),
        ("Sun Nov  6 08:49:37 1994", EXAMPLE),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),  # a leap second: the next day has begun
        ("Mon Nov 16 08:49:37 1998", 911_206_177),
        ("Thursday, 01-Jan-70 00:00:00 GMT", 3_155_760_000),  # 2070: 43 years after now
        ("Sunday, 01-Jan-78 00:00:00 GMT", 252_460_800),  # 1978, for 2078 is too far
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
    ],
)
def test_dates(text: str, seconds: int) -> None:
    assert parse_http_date(text, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ", "sun, 06 nov 1994 08:49:37 gmt", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "1994-11-06T08:49:37Z",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ],
)  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    assert parse_http_date(text, NOW) is None


@given(st.integers(0, 253_402_300_799))
def test_reads_what_evkit_writes(seconds: int) -> None:
    assert parse_http_date(http_date(seconds), NOW) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (EXAMPLE + 0.999, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951782400, "Tue, 29 Feb 2000 00:00:00 GMT"),
    ],
)
def test_the_form_of_a_date(seconds: float, text: str) -> None:
    assert http_date(seconds) == text


@given(st.integers(0, 253_402_300_799) | st.floats(0, 4e9))
def test_a_date_is_what_the_standard_library_reads(seconds: float) -> None:
    assert parsedate_to_datetime(http_date(seconds)).timestamp() == int(seconds)
