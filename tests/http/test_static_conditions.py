"""`evkit.http.static.conditions`: RFC 9110 §13 as a table."""

import pytest

from evkit.http.static.conditions import collect, evaluate, range_fits

NOW = 1_800_000_000.0
MODIFIED = 784_111_777
SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
ETAG = '"abc"'


def test_collect_joins_and_ignores() -> None:
    headers = [("IF-None-Match", '"a"'), ("Host", "x"), ("if-none-match", '"b"'), ("Range", "bytes=0-")]
    assert collect(headers) == {"if-none-match": '"a", "b"', "range": "bytes=0-"}


@pytest.mark.parametrize(
    ("value", "strong", "weak"),
    [
        ('"abc"', True, True),
        ("*", True, True),
        ('W/"abc"', False, True),
        ('"x", "abc"', True, True),
        ('"x",W/"abc" ,"y"', False, True),
        (', ,"abc",', True, True),
        ('"a,b", "abc"', True, True),
        ('"abc, abc"', False, False),
        ('"ABC"', False, False),
        ('"x"', False, False),
        ('w/"abc"', False, False),  # the W is upper case (§8.8.3)
        ("abc", False, False),
        ('"abc" "x"', False, False),
        ('"x", *', False, False),
        ("", False, False),
        ('"abc', False, False),
        ('"abc"x', False, False),
    ],
)
def test_entity_tags(value: str, strong: bool, weak: bool) -> None:
    assert evaluate({"if-match": value}, ETAG, MODIFIED, NOW) == (200 if strong else 412)
    assert evaluate({"if-none-match": value}, ETAG, MODIFIED, NOW) == (304 if weak else 200)


@pytest.mark.parametrize(
    ("date", "since", "unmodified"),
    [
        (SAME, 304, 200),
        (AFTER, 304, 200),
        (BEFORE, 200, 412),
        ("yesterday", 200, 200),
        ("", 200, 200),
        (f"{SAME}, {SAME}", 200, 200),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 304, 200),
    ],
)
def test_dates(date: str, since: int, unmodified: int) -> None:
    assert evaluate({"if-modified-since": date}, ETAG, MODIFIED, NOW) == since
    assert evaluate({"if-unmodified-since": date}, ETAG, MODIFIED, NOW) == unmodified


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"if-match": ETAG, "if-unmodified-since": BEFORE}, 200),  # step 1 leaves step 2 out
        ({"if-match": '"x"', "if-unmodified-since": SAME}, 412),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, 200),  # step 3 leaves step 4 out
        ({"if-none-match": ETAG, "if-modified-since": BEFORE}, 304),
        ({"if-match": ETAG, "if-none-match": ETAG}, 304),
        ({"if-match": '"x"', "if-none-match": ETAG}, 412),
        ({"if-unmodified-since": BEFORE, "if-none-match": ETAG}, 412),
        ({"if-unmodified-since": SAME, "if-modified-since": SAME}, 304),
        ({"if-range": '"x"', "range": "bytes=0-"}, 200),
    ],
)
def test_precedence(fields: dict[str, str], status: int) -> None:
    assert evaluate(fields, ETAG, MODIFIED, NOW) == status


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (ETAG, True),
        (f"W/{ETAG}", False),
        ('"x"', False),
        (f'{ETAG}, "x"', False),
        ("*", False),
        (SAME, True),
        (AFTER, False),
        (BEFORE, False),
        ("rubbish", False),
    ],
)
def test_if_range(value: str, fits: bool) -> None:
    assert range_fits({"if-range": value}, ETAG, MODIFIED, NOW) is fits


def test_no_if_range() -> None:
    assert range_fits({"range": "bytes=0-"}, ETAG, MODIFIED, NOW)
