"""`evkit.http.parser.response_native`: what it costs, whatever comes, and what it copies.

What it accepts is the business of test_response_engines.py and test_response_differential.py.
"""

import re
from typing import Any

import pytest

from evkit.core.buffer import Buffer
from evkit.http.errors import BadResponse
from evkit.http.parser import Limits, NativeResponseEngine, grammar
from evkit.http.parser.response_scan import ResponseScanner

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNTIL_CLOSE_HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
PATTERNS = ("RESPONSE_HEAD", "RESPONSE_RULING", "STATUS_LINE", "REASON", "REASON_GOES_ON")


def repeats(tree: Any) -> list[tuple[str, int, int]]:
    """Each repetition of a parsed pattern: its kind, and how often it must and may repeat."""
    found = []
    if isinstance(tree, tuple) and len(tree) == 2 and str(tree[0]).endswith("REPEAT"):
        found.append((str(tree[0]), int(tree[1][0]), int(tree[1][1])))
    if isinstance(tree, list | tuple) or type(tree).__name__ == "SubPattern":
        for part in tree:
            found += repeats(part)
    return found


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_can_backtrack_into_a_repetition(name: str) -> None:
    pattern: re.Pattern[bytes] = getattr(grammar, name)
    tree = re._parser.parse(pattern.pattern)  # type: ignore[attr-defined]  # private, and there is no other
    for kind, least, most in repeats(tree):
        assert kind == "POSSESSIVE_REPEAT" or most <= max(1, least)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 " + b" \t" * 16000 + b"\n",
        b"HTTP/1.1 200 OK\r\n" + b"a:" * 16000 + b"\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\0",
        b"HTTP/1.1 200 OK\r\nX:" + b" \t" * 16000 + b"\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + b"," * 30000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"Content-Length: 1\r\n" * 2000 + b"\r\n",
    ],
)
def test_the_worst_heads_are_refused(raw: bytes) -> None:
    with pytest.raises(BadResponse):
        NativeResponseEngine(Limits(max_head=65536, max_fields=10_000)).read_head(Buffer(raw), "GET")


# -- Bodies are moved --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("head", [HEAD, UNTIL_CLOSE_HEAD])
def test_a_body_is_not_copied(head: bytes) -> None:
    piece = b"x" * 50_000
    engine, source, sink = NativeResponseEngine(), Buffer(), Buffer()
    source.add(head)
    assert engine.read_head(source, "GET") is not None
    for done in (False, head is HEAD):
        source.add(piece)
        assert engine.read_body(source, sink) is done
    assert [view.obj is piece for view in sink] == [True, True]


def test_a_large_chunk_is_not_copied() -> None:
    raw = CHUNKED_HEAD + b"2710\r\n" + b"x" * 10_000 + b"\r\n0\r\n\r\n"
    engine, source, sink = NativeResponseEngine(), Buffer(raw), Buffer()
    assert engine.read_head(source, "GET") is not None
    assert engine.read_body(source, sink) is True
    (view,) = list(sink)
    assert view.obj is raw
    assert bytes(view) == b"x" * 10_000


def test_a_body_until_close_is_counted_whoever_empties_the_sink() -> None:
    engine, source, sink = NativeResponseEngine(), Buffer(UNTIL_CLOSE_HEAD), Buffer()
    engine.max_body = 10
    assert engine.read_head(source, "GET") is not None
    for _ in range(10):
        source.add(b"x")
        assert engine.read_body(source, sink) is False
        sink.clear()
    source.add(b"x")
    with pytest.raises(BadResponse, match="10 bytes"):
        engine.read_body(source, sink)


# -- Waiting is cheap --------------------------------------------------------------------------------------------------
def test_a_long_head_within_its_limits_is_a_head() -> None:
    fields = b"".join(b"Field-%d: %b\r\n" % (number, b"v" * 500) for number in range(99))
    source = Buffer(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n" + fields + b"\r\n" + b"\n" * 200)
    head = NativeResponseEngine().read_head(source, "GET")
    assert head is not None
    assert len(head.headers) == 100
    assert bytes(source) == b"\n" * 200


def test_a_head_that_came_whole_is_not_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(self: ResponseScanner, data: bytes, start: int) -> int | None:
        raise AssertionError("scanned")

    monkeypatch.setattr(ResponseScanner, "scan", scan)
    source = Buffer(HEAD + HEAD)
    engine = NativeResponseEngine()
    assert engine.read_head(source, "HEAD") is not None
    assert engine.read_head(source, "HEAD") is not None
    assert engine.read_head(source, "HEAD") is None


class Counting:
    """Stands in for the pattern of a head, and counts how often it is tried."""

    def __init__(self) -> None:
        self.tries = 0

    def match(self, data: bytes, start: int) -> re.Match[bytes] | None:
        self.tries += 1
        return grammar.RESPONSE_HEAD.match(data, start)


def test_a_head_that_comes_in_bytes_is_matched_when_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr("evkit.http.parser.response_native.RESPONSE_HEAD", counting)
    engine, source = NativeResponseEngine(), Buffer()
    for byte in HEAD[:-1]:
        source.add(bytes([byte]))
        assert engine.read_head(source, "GET") is None
    assert counting.tries == 1
    source.add(HEAD[-1:])
    assert engine.read_head(source, "GET") is not None
    assert counting.tries == 2
