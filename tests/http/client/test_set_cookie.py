"""`evkit.http.client.set_cookie`: what browsers read in a ``Set-Cookie`` field, by RFC 6265 §5.1 and §5.2."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.client.set_cookie import SetCookie, parse_cookie_date, parse_set_cookie

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT
DAY = 86400.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b", SetCookie("a", "b")),
        (" a = b c ", SetCookie("a", "b c")),
        ("a=", SetCookie("a", "")),
        ("a=b=c", SetCookie("a", "b=c")),
        ('a="b"', SetCookie("a", '"b"')),
        ("a=b,c", SetCookie("a", "b,c")),
        ("a=\xe4", SetCookie("a", "\xe4")),
        ("a=b;", SetCookie("a", "b")),
        ("a=b; unknown=x; ;=;", SetCookie("a", "b")),
        ("a=b; Secure", SetCookie("a", "b", secure=True)),
        ("a=b;secure=no", SetCookie("a", "b", secure=True)),
        ("a=b; HttpOnly; SECURE", SetCookie("a", "b", secure=True, http_only=True)),
        ("a=b; Path=/c", SetCookie("a", "b", path="/c")),
        ("a=b; Path=c", SetCookie("a", "b")),
        ("a=b; Path=", SetCookie("a", "b")),
        ("a=b; Path=/c; path=/d", SetCookie("a", "b", path="/d")),
        ("a=b; Path=/c; path=", SetCookie("a", "b")),
        ("a=b; Domain=c.example", SetCookie("a", "b", domain="c.example")),
        ("a=b; domain = .C.Example ", SetCookie("a", "b", domain="c.example")),
        ("a=b; Domain=", SetCookie("a", "b")),
        ("a=b; Domain=.", SetCookie("a", "b")),
        ("a=b; Domain=..c", SetCookie("a", "b", domain=".c")),
        ("a=b; Domain=c; Domain=d", SetCookie("a", "b", domain="d")),
        ("a=b; Max-Age=10", SetCookie("a", "b", expires=NOW + 10)),
        ("a=b; max-age=0", SetCookie("a", "b", expires=NOW)),
        ("a=b; Max-Age=-5", SetCookie("a", "b", expires=NOW - 1)),
        ("a=b; Max-Age=+5", SetCookie("a", "b")),
        ("a=b; Max-Age=5x", SetCookie("a", "b")),
        ("a=b; Max-Age=", SetCookie("a", "b")),
        ("a=b; Max-Age=\xb2", SetCookie("a", "b")),
        ("a=b; Max-Age=5; Max-Age=x", SetCookie("a", "b", expires=NOW + 5)),
        ("a=b; Max-Age=" + "9" * 1000, SetCookie("a", "b", expires=NOW + 400 * DAY)),
        ("a=b; Max-Age=-" + "9" * 1000, SetCookie("a", "b", expires=NOW - 1)),
        ("a=b; Expires=Sun, 06 Nov 1994 08:49:40 GMT", SetCookie("a", "b", expires=NOW + 3)),
        ("a=b; Expires=Sun, 06 Nov 2094 08:49:40 GMT", SetCookie("a", "b", expires=NOW + 400 * DAY)),
        ("a=b; Expires=Sun, 06 Nov 1994 08:49:40 GMT; Expires=x", SetCookie("a", "b", expires=NOW + 3)),
        ("a=b; Expires=never", SetCookie("a", "b")),
        ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT", SetCookie("a", "b", expires=0.0)),
        ("a=b; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT", SetCookie("a", "b", expires=NOW + 5)),
        # RFC 6265bis §5.6: an attribute that is too long is none.
        ("a=b; Path=/" + "c" * 1023, SetCookie("a", "b", path="/" + "c" * 1023)),
        ("a=b; Path=/" + "c" * 1024, SetCookie("a", "b")),
        ("a=" + "b" * 4095, SetCookie("a", "b" * 4095)),
    ],
)
def test_a_field(text: str, expected: SetCookie) -> None:
    assert parse_set_cookie(text, NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "=b",
        " =b",
        "=",
        ";a=b",
        "a; b=c",
        "a=b\0",
        "a=b\nc",
        "a=b\r\nX: y",
        "a=b\x7f",
        "a\tb=c",
        "a=b; Path=/\x01",
        "a=" + "b" * 4096,
        "a" * 4097 + "=",
    ],
)
def test_a_field_that_is_ignored(text: str) -> None:
    assert parse_set_cookie(text, NOW) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", (1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", (1994, 11, 6, 8, 49, 37)),
        ("Wdy, 6-november-1994 8:9:7", (1994, 11, 6, 8, 9, 7)),
        ("1994 Nov 6th 08:49:37x", (1994, 11, 6, 8, 49, 37)),  # four digits are no day
        ("94 Nov 6 08:49:37", None),  # two are
        ("06 1994 Nov 08:49:37", (1994, 11, 6, 8, 49, 37)),
        ("08:49:37 6 NOV 70", (1970, 11, 6, 8, 49, 37)),
        ("08:49:37 6 NOV 69", (2069, 11, 6, 8, 49, 37)),
        ("08:49:37 6 NOV 99", (1999, 11, 6, 8, 49, 37)),
        ("08:49:37 6 NOV 100", None),
        ("08:49:37 6 NOV 1601", (1601, 11, 6, 8, 49, 37)),
        ("08:49:37 6 NOV 1600", None),
        ("08:49:37 6 NOV 19941", None),
        ("08:49:37 31 Apr 1994", None),
        ("08:49:37 0 Apr 1994", None),
        ("08:49:37 32 Mar 1994", None),
        ("24:00:00 1 Mar 1994", None),
        ("08:60:00 1 Mar 1994", None),
        ("08:00:60 1 Mar 1994", None),
        ("08:00 1 Mar 1994", None),
        ("1 Mar 1994", None),
        ("08:49:37 6 1994", None),
        ("08:49:37 Nov 1994", None),
        ("08:49:37 6 Nov", None),
        ("", None),
        ("08:49:37 \u0666 Nov 1994", None),
        ("Mon, 29 Feb 2000 00:00:00 GMT", (2000, 2, 29, 0, 0, 0)),
        ("29 Feb 1999 00:00:00", None),
    ],
)
def test_a_date(text: str, expected: tuple[int, int, int, int, int, int] | None) -> None:
    if expected is None:
        assert parse_cookie_date(text) is None
    else:
        assert parse_cookie_date(text) == datetime(*expected, tzinfo=UTC).timestamp()


@given(st.integers(-11_644_473_600, 253_402_300_799))
def test_any_date_in_httpts_form(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC) if seconds >= 0 else None
    if moment is not None:
        assert parse_cookie_date(moment.strftime("%a, %d %b %Y %H:%M:%S GMT")) == seconds


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_whatever_comes(text: str) -> None:
    said = parse_set_cookie(text, NOW)
    if said is not None:
        assert said.name
        assert "=" not in said.name
        assert ";" not in said.name + said.value
        assert said.path is None or said.path.startswith("/")
