"""`evkit.http.parser.response_scan`: each byte is looked at once, wherever the head lies.

What it refuses is the business of test_response_engines.py.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.errors import BadResponse
from evkit.http.parser import Limits
from evkit.http.parser.response_scan import ResponseScanner


@given(st.integers(1, 30), st.integers(1, 30))
def test_the_scanner_never_looks_twice(step: int, size: int) -> None:
    head = (
        b"HTTP/1.1 200 "
        + b"r" * 5 * size
        + b"\r\n"
        + (b"N" * size + b": " + b"v" * 3 * size + b"\r\n") * 5
        + b"\r\n"
    )
    scanner, at = ResponseScanner(Limits()), 12
    result = scanner.scan(head[:at], 0)
    assert result is None
    for end in range(at + step, len(head) + step, step):
        # What was looked at before is gone; a NUL would be refused. A CR waits for its LF, and may be read again.
        seen = at - 1 if head[at - 1 : at] == b"\r" else at
        result = scanner.scan(b"\0" * seen + head[seen:end], 0)
        at = min(end, len(head))
    assert result == len(head)


@pytest.mark.parametrize("cut", range(1, 19))
def test_the_scanner_goes_on_at_another_offset(cut: int) -> None:
    # Buffer.front may join segments between two calls, which moves the start.
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    scanner = ResponseScanner(Limits())
    assert scanner.scan(b"junk " + head[:cut], 5) is None
    assert scanner.scan(head + b"more", 0) == 19


def test_bytes_behind_the_head_are_not_looked_at() -> None:
    assert ResponseScanner(Limits()).scan(b"HTTP/1.1 200 OK\r\n\r\n\0\0", 0) == 19


@pytest.mark.parametrize("size", [1, 12, 13, 15, 16, 17, 18])
def test_the_limit_counts_from_the_heads_start(size: int) -> None:
    with pytest.raises(BadResponse, match=f"longer than {size} bytes"):
        ResponseScanner(Limits(max_head=size)).scan(b"\0\0HTTP/1.1 200 OK\r\n\r\n", 2)
    assert ResponseScanner(Limits(max_head=19)).scan(b"\0\0HTTP/1.1 200 OK\r\n\r\n", 2) == 21


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"HTTP/1.1 099 x", "status of three digits"),
        (b"HTTP/1.x 200 x", "begins with HTTP/1.1"),
        (b"HTTP/1.1_200 x", "begins with HTTP/1.1 or HTTP/1.0 and one space"),
        (b"HTTP/1.1 2x", "status of three digits"),
        (b"\xff" * 300, "begins with"),
    ],
)
def test_a_start_that_is_wrong_is_quoted_whole_and_cut(raw: bytes, says: str) -> None:
    with pytest.raises(BadResponse, match=says) as refusal:
        ResponseScanner(Limits()).scan(raw, 0)
    assert repr(raw)[:30] in str(refusal.value)
    assert len(str(refusal.value)) < 200
