"""`evkit.http.parser.response_rules`: what each rule makes of values, one by one; the corpus covers them together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.errors import BadResponse
from evkit.http.parser import CHUNKED, UNTIL_CLOSE, response_rules
from evkit.http.parser.rules import Ruling

LENGTH = (b"Content-Length", b"7")
CODING = (b"Transfer-Encoding", b"chunked")
CLOSE = (b"Connection", b"close")
KEEP = (b"Connection", b"keep-alive")


def decided(
    ruling: Ruling, *, method: str = "GET", status: int = 200, minor: int = 1
) -> tuple[int, bool] | None:
    """The length and whether the connection goes on; None for a refusal."""
    try:
        head = response_rules.decide(method, status, "OK", minor, ruling, b"")
    except BadResponse:
        return None
    return head.body_length, head.keep_alive


def test_decide_makes_a_head() -> None:
    head = response_rules.decide(
        "GET", 404, "Not Found", 1, [LENGTH, CLOSE], b"\r\nContent-Length: 7\r\nX: y\r\n"
    )
    assert (head.status, head.reason, head.minor) == (404, "Not Found", 1)
    assert (head.body_length, head.keep_alive) == (7, False)
    assert list(head.headers) == [("Content-Length", "7"), ("X", "y")]


# -- The table of rules ------------------------------------------------------------------------------------------------
# Fields, minor version, what is decided, and the section that says so.
RULES: list[tuple[str, Ruling, int, tuple[int, bool] | None]] = [
    ("9112 §6.3, rule 8: neither", [], 1, (UNTIL_CLOSE, False)),
    ("9112 §6.3, rule 8: neither", [], 0, (UNTIL_CLOSE, False)),
    ("9112 §9.3: no framing, no next", [KEEP], 1, (UNTIL_CLOSE, False)),
    ("9112 §6.3, rule 6: a length", [LENGTH], 1, (7, True)),
    ("9112 §9.3: 1.0 does not persist", [LENGTH], 0, (7, False)),
    ("9112 §9.3: but if it says so", [LENGTH, KEEP], 0, (7, True)),
    ("9112 §9.3: close", [LENGTH, CLOSE], 1, (7, False)),
    ("9112 §9.3: close wins", [KEEP, LENGTH, CLOSE], 1, (7, False)),
    ("9112 §9.3: close wins", [CLOSE, LENGTH, KEEP], 1, (7, False)),
    ("9112 §6.3, rule 4: chunked", [CODING], 1, (CHUNKED, True)),
    ("9112 §6.3, rule 4: chunked", [CODING, CLOSE], 1, (CHUNKED, False)),
    ("9112 §6.1: no coding in 1.0", [CODING], 0, None),
    ("9112 §6.3, rule 3: both", [CODING, LENGTH], 1, None),
    ("9112 §6.3, rule 3: both", [LENGTH, CODING], 1, None),
    ("9112 §6.3, rule 5: two lengths", [LENGTH, LENGTH], 1, None),
    ("9112 §6.3, rule 5: two lengths", [LENGTH, (b"content-length", b"8")], 1, None),
    ("9112 §6.3, rule 5: one list", [(b"Content-Length", b"7, 7")], 1, None),
    ("9112 §6.3, rule 5: no number", [(b"Content-Length", b"seven")], 1, None),
    ("9112 §6.3, rule 5: nothing", [(b"Content-Length", b"")], 1, None),
    ("9112 §6.1: chunked twice", [CODING, CODING], 1, None),
    ("9112 §6.3, rule 4: another coding", [(b"Transfer-Encoding", b"gzip")], 1, None),
    ("9112 §6.3, rule 4: not last", [(b"Transfer-Encoding", b"chunked, gzip")], 1, None),
    ("evkit: no other coding", [(b"Transfer-Encoding", b"gzip, chunked")], 1, None),
]


@pytest.mark.parametrize(("section", "ruling", "minor", "wanted"), RULES)
def test_rules_of_framing(section: str, ruling: Ruling, minor: int, wanted: tuple[int, bool] | None) -> None:
    assert decided(ruling, minor=minor) == wanted, section


@pytest.mark.parametrize(("section", "ruling", "minor", "wanted"), RULES)
@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304), ("GET", 100), ("GET", 101), ("CONNECT", 200)],
)
def test_framing_is_not_looked_at_where_there_is_no_body(
    method: str, status: int, section: str, ruling: Ruling, minor: int, wanted: tuple[int, bool] | None
) -> None:
    options = [value for name, value in ruling if name == b"Connection"]
    keep = b"close" not in options and (minor == 1 or b"keep-alive" in options)
    assert decided(ruling, method=method, status=status, minor=minor) == (0, keep)


@given(st.integers(100, 999), st.sampled_from(["GET", "HEAD", "CONNECT", "head", "POST", "X"]))
def test_bodies_by_status_and_method(status: int, method: str) -> None:
    """RFC 9112 §6.3, rules 1 and 2."""
    none = (
        method == "HEAD"
        or status // 100 == 1
        or status in (204, 304)
        or (method, status // 100) == ("CONNECT", 2)
    )
    assert response_rules.has_no_body(status, method) is none


# -- Length ------------------------------------------------------------------------------------------------------------
@given(st.integers(0, 10**19 - 1), st.integers(0, 5))
def test_lengths_are_decimal(length: int, zeroes: int) -> None:
    digits = b"0" * zeroes + b"%d" % length
    wanted = (length, True) if len(digits) <= 19 else None
    assert decided([(b"Content-Length", b"%b\t " % digits)]) == wanted


@given(st.binary(max_size=8))
def test_lengths_are_nothing_but_ascii_digits(value: bytes) -> None:
    stripped = value.strip(b" \t")
    good = bool(stripped) and all(byte in b"0123456789" for byte in stripped)
    result = decided([(b"Content-Length", value)])
    assert result == ((int(stripped), True) if good else None)


def test_refusals_are_of_responses_and_say_what_came() -> None:
    with pytest.raises(BadResponse, match=r"one decimal number in Content-Length, got b'7, 8'"):
        response_rules.decide("GET", 200, "", 1, [LENGTH, (b"CONTENT-LENGTH", b"8")], b"")
    with pytest.raises(BadResponse, match=r"not both, got b'7'"):
        response_rules.body_length(1, b"7", b"chunked")


def test_no_length_and_no_coding_is_until_close() -> None:
    assert response_rules.body_length(1, None, None) == UNTIL_CLOSE
