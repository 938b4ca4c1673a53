"""`evkit.http.fields`: nothing but one line comes out of a pair, or an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import LocalProtocolError
from evkit.http.fields import LINES, STATUS_LINES, LineCache, as_pairs, check_pair, encode_line, reason

# RFC 9110 §5.6.2, written anew.
TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_value(text: str) -> bool:
    """RFC 9110 §5.5: HTAB, SP, visible ASCII, obs-text."""
    return all(char == "\t" or " " <= char <= "~" or "\x80" <= char <= "\xff" for char in text)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("Content-Type", "text/plain", b"Content-Type: text/plain\r\n"),
        ("X", "", b"X: \r\n"),
        ("x-y", "a\tb", b"x-y: a\tb\r\n"),
        ("X", "caf\xe9", b"X: caf\xe9\r\n"),
        ("X", "a: b", b"X: a: b\r\n"),
        (TOKEN, "v", TOKEN.encode() + b": v\r\n"),
    ],
)
def test_a_pair_becomes_its_line(name: str, value: str, line: bytes) -> None:
    assert encode_line(name, value) == line


INJECTIONS = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    "a\r\nSet-Cookie: b",
    "\r\n\r\n<html>",
    "a\rb",
    "a\nb",
    "\x0b",
    "\x7f",
    "\x1b",
]


@pytest.mark.parametrize("value", [*INJECTIONS, "€", "\ud800", "\u010d\u010a", "\u560a\u560d"])
def test_a_value_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(LocalProtocolError, match="token and a value"):
        encode_line("X", value)


@pytest.mark.parametrize(
    "name",
    [
        *INJECTIONS,
        "",
        " ",
        "a b",
        "a:",
        ":",
        "a\t",
        " a",
        "a ",
        "(a)",
        "a,b",
        '"a"',
        "é",
        "€",
        "\ud800",
        "a/b",
    ],
)
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="token and a value"):
        encode_line(name, "v")


@pytest.mark.parametrize(
    ("name", "value"), [(b"X", "v"), ("X", b"v"), ("X", 1), (None, "v"), ("X", None), ("X", ["v"])]
)
def test_what_is_no_text_is_a_type_error(name: str, value: str) -> None:
    with pytest.raises(TypeError, match="pair of str"):
        encode_line(name, value)


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_gives_exactly_one_line_or_an_error(name: str, value: str) -> None:
    valid = bool(name) and all(char in TOKEN for char in name) and is_value(value)
    try:
        line = encode_line(name, value)
    except LocalProtocolError:
        assert not valid
    else:
        assert valid
        assert line.decode("latin-1") == f"{name}: {value}\r\n"


@given(
    st.text(st.sampled_from(TOKEN), min_size=1, max_size=20),
    st.text(st.characters(max_codepoint=0xFF).filter(is_value), max_size=20),
)
def test_any_field_of_the_grammar_passes(name: str, value: str) -> None:
    assert encode_line(name, value) == f"{name}: {value}\r\n".encode("latin-1")


@pytest.mark.parametrize("name", ["Connection", "content-length", "DATE", "Transfer-Encoding"])
def test_a_field_that_rules_the_framing_is_told_apart_each_time(name: str) -> None:
    cache = LineCache()
    for _ in range(2):
        assert cache[name, "x"] is None
    assert not cache


def test_a_ruling_field_is_checked_before_it_is_told_apart() -> None:
    with pytest.raises(LocalProtocolError):
        LineCache()["Connection", "a\r\nb"]


def test_a_bad_pair_is_refused_each_time() -> None:
    cache = LineCache()
    for _ in range(2):
        with pytest.raises(LocalProtocolError):
            cache["X", "a\r\nb"]
    assert not cache


@pytest.mark.parametrize("pair", ["ab", ["X", "1"], ("X",), ("X", "1", "2"), None])
def test_what_is_no_pair_is_told(pair: object) -> None:
    with pytest.raises(TypeError, match="headers are pairs"):
        check_pair(pair)


@pytest.mark.parametrize("pair", ["ab", ("X",), ("X", "1", "2"), None])
def test_the_cache_takes_pairs_only(pair: tuple[str, str]) -> None:
    with pytest.raises(TypeError, match="headers are pairs"):
        LineCache()[pair]


def test_fields_are_pairs_that_can_be_read_twice() -> None:
    pairs = [("X", "1"), ("X", "2")]
    assert as_pairs(pairs) is pairs
    assert as_pairs(tuple(pairs)) == tuple(pairs)
    assert as_pairs(iter(pairs)) == pairs
    assert as_pairs({"X": "1", "Y": "2"}) == [("X", "1"), ("Y", "2")]


def test_the_cache_gives_the_same_line_again_and_stays_small() -> None:
    cache = LineCache()
    assert cache["X", "1"] is cache["X", "1"]
    for number in range(5000):
        assert cache["X", str(number)] == b"X: %d\r\n" % number
        assert len(cache) <= 1024
    assert isinstance(LINES, LineCache)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (200, b"HTTP/1.1 200 OK\r\n"),
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (299, b"HTTP/1.1 299 Unknown\r\n"),
        (999, b"HTTP/1.1 999 Unknown\r\n"),
    ],
)
def test_the_first_line_of_a_reply(status: int, line: bytes) -> None:
    assert STATUS_LINES[status] == line


@pytest.mark.parametrize("status", [0, 99, 1000, -200])
def test_a_status_has_three_digits(status: int) -> None:
    with pytest.raises(ValueError, match="three digits"):
        STATUS_LINES[status]


def test_the_reason_of_a_status() -> None:
    assert reason(503) == "Service Unavailable"
    assert reason(599) == "Unknown"


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Proxy-Authorization", "SET-COOKIE"])
def test_secrets_are_not_shown(name: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode_line(name, "s3cret\n")
    assert "s3cret" not in str(caught.value)
    assert name in str(caught.value)


def test_what_is_wrong_is_shown_but_not_all_of_it() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        encode_line("X", "begins\n" + "x" * 1000)
    assert "begins" in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "pair", [["Authorization", "s3cret"], ("Cookie", "s3cret", "x"), [b"cookie", "s3cret"]]
)
def test_secrets_in_what_is_no_pair_are_not_shown(pair: object) -> None:
    with pytest.raises(TypeError) as caught:
        check_pair(pair)
    assert "s3cret" not in str(caught.value)


def test_secrets_that_are_no_text_are_not_shown() -> None:
    with pytest.raises(TypeError) as caught:
        encode_line("Authorization", b"s3cret")  # type: ignore[arg-type]  # as a program may
    assert "s3cret" not in str(caught.value)
