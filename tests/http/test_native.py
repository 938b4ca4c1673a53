"""`evkit.http.parser.native` and its parts: what they cost, whatever comes, and what they copy.

What they accept is the business of test_engines.py and test_differential.py.
"""

import re
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser import Limits, NativeEngine, grammar, rules, scan
from evkit.http.parser.chunked import ChunkedReader, parse_trailers
from evkit.http.parser.scan import Scanner

POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


# -- Patterns are linear by construction -------------------------------------------------------------------------------
def patterns() -> Iterator[tuple[str, re.Pattern[bytes] | re.Pattern[str]]]:
    for module in (grammar, rules, scan):
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__}.{name}", value
    for stage in scan._STAGES:
        yield "a stage", stage.run


def parse(pattern: bytes | str, flags: int = 0) -> Any:
    return re._parser.parse(pattern, flags)  # type: ignore[attr-defined]  # private, and there is no other


def repeats(tree: Any) -> Iterator[tuple[str, int, int]]:
    """Each repetition of a parsed pattern: its kind, and how often it must and may repeat."""
    if isinstance(tree, tuple) and len(tree) == 2 and str(tree[0]).endswith("REPEAT"):
        yield str(tree[0]), int(tree[1][0]), int(tree[1][1])
    if isinstance(tree, list | tuple) or type(tree).__name__ == "SubPattern":
        for part in tree:
            yield from repeats(part)


def test_no_pattern_can_backtrack_into_a_repetition() -> None:
    seen = 0
    for name, pattern in patterns():
        for kind, least, most in repeats(parse(pattern.pattern, pattern.flags & ~re.UNICODE)):
            seen += 1
            assert kind == "POSSESSIVE_REPEAT" or most <= max(1, least), name
    assert seen > 20


def test_the_check_above_sees_a_greedy_repetition() -> None:
    greedy = [kind for kind, least, most in repeats(parse(rb"(?:a|b*)c{2}d?")) if most > max(1, least)]
    assert greedy == ["MAX_REPEAT"]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\n" + b"a:" * 16000 + b"\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\0",
        b"GET /" + b"a " * 16000,
        b"GET / HTTP/1.1\r\nHost: a\r\nX:" + b" \t" * 16000 + b"\n",
        b"GET / HTTP/1.1\r\nHost: " + b"%20" * 10000 + b"%2\r\n\r\n",
        b"\r\n" * 16000,
    ],
)
def test_the_worst_heads_are_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        NativeEngine(Limits(max_fields=10_000)).read_head(Buffer(raw))


# -- Waiting is cheap --------------------------------------------------------------------------------------------------
@given(st.integers(1, 30), st.integers(1, 30))
def test_the_scanner_never_looks_twice(step: int, size: int) -> None:
    head = b"GET / HTTP/1.1\r\n" + (b"N" * size + b": " + b"v" * 3 * size + b"\r\n") * 5 + b"\r\n"
    scanner, at = Scanner(Limits()), 16
    result = scanner.scan(head[:at], 0)
    assert result is None
    for end in range(at + step, len(head) + step, step):
        # What was looked at before is gone; a NUL anywhere would be refused.
        result = scanner.scan(b"\0" * at + head[at:end], 0)
        at = min(end, len(head))
    assert result == len(head)


def test_the_scanner_goes_on_at_another_offset() -> None:
    # Buffer.front may join segments between two calls, which moves the start.
    scanner = Scanner(Limits())
    assert scanner.scan(b"junk GET / HT", 5) is None
    assert scanner.scan(b"GET / HTTP/1.1\r\n\r\nmore", 0) == 18


def test_the_scanner_reads_trailers_without_a_request_line() -> None:
    assert Scanner(Limits(), trailers=True).scan(b"A: b\r\n\r\nGET", 0) == 8
    with pytest.raises(BadRequest, match="GET "):
        Scanner(Limits(), trailers=True).scan(b"GET / HTTP/1.1\r\n\r\n", 0)


def test_a_long_head_within_its_limits_is_a_head() -> None:
    fields = b"".join(b"Field-%d: %b\r\n" % (number, b"v" * 250) for number in range(98))
    engine, source = (
        NativeEngine(Limits()),
        Buffer(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + b"\n" * 200),
    )
    head = engine.read_head(source)
    assert head is not None
    assert len(head.headers) == 99
    assert bytes(source) == b"\n" * 200


# -- Bodies are moved --------------------------------------------------------------------------------------------------
def segments(sink: Buffer) -> list[memoryview]:
    return list(sink)


def test_a_body_is_not_copied() -> None:
    piece = b"x" * 50_000
    engine, source, sink = NativeEngine(Limits()), Buffer(), Buffer()
    source.add(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    assert engine.read_head(source) is not None
    for done in (False, True):
        source.add(piece)
        assert engine.read_body(source, sink) is done
    assert [view.obj is piece for view in segments(sink)] == [True, True]


def test_a_large_chunk_is_not_copied() -> None:
    raw = POST + b"2710\r\n" + b"x" * 10_000 + b"\r\n0\r\n\r\n"
    engine, source, sink = NativeEngine(Limits()), Buffer(raw), Buffer()
    assert engine.read_head(source) is not None
    assert engine.read_body(source, sink) is True
    (view,) = segments(sink)
    assert view.obj is raw
    assert bytes(view) == b"x" * 10_000


def test_tiny_chunks_become_one_segment() -> None:
    engine, source, sink = NativeEngine(Limits()), Buffer(POST + b"1\r\nx\r\n" * 5000), Buffer()
    assert engine.read_head(source) is not None
    assert engine.read_body(source, sink) is False
    assert len(segments(sink)) == 1
    assert bytes(sink) == b"x" * 5000


def test_dribbled_chunks_become_few_segments() -> None:
    engine, source, sink = NativeEngine(Limits()), Buffer(POST), Buffer()
    assert engine.read_head(source) is not None
    for _ in range(2000):
        for piece in (b"1\r\nx", b"\r\n"):
            source.add(piece)
            assert engine.read_body(source, sink) is False
    assert len(sink) == 2000
    assert len(segments(sink)) < 10


@given(
    chunks=st.lists(st.integers(1, 9000), max_size=5),
    cuts=st.lists(st.integers(0, 50_000), max_size=5),
)
def test_chunks_are_what_was_put_into_them(chunks: list[int], cuts: list[int]) -> None:
    parts = [bytes([65 + number]) * size for number, size in enumerate(chunks)]
    raw = b"".join(b"%x;n=v\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    reader, source, sink = ChunkedReader(Limits()), Buffer(), Buffer()
    complete = False
    edges = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    for start, end in pairwise(edges):
        if end > start:
            source.add(raw[start:end])
            complete = reader.read(source, sink, None)
    assert complete is True
    assert bytes(sink) == b"".join(parts)
    assert not source


# -- Trailers ----------------------------------------------------------------------------------------------------------
def test_trailers_are_those_of_the_last_chunked_body() -> None:
    engine, sink = NativeEngine(Limits()), Buffer()
    source = Buffer(POST + b"0\r\nA: 1\r\n\r\n" + POST + b"0\r\n\r\n")
    assert engine.read_head(source) is not None
    assert engine.read_body(source, sink) is True
    assert engine.trailers == [("A", "1")]
    head = engine.read_head(source)
    assert head is not None
    assert "A" not in head.headers
    assert engine.read_body(source, sink) is True
    assert engine.trailers == []


def test_trailers_do_not_rule() -> None:
    assert parse_trailers(b"Host-X: a\r\nX: content-length: 5\r\n\r\n") == [
        ("Host-X", "a"),
        ("X", "content-length: 5"),
    ]
    with pytest.raises(BadRequest, match="Connection"):
        parse_trailers(b"Connection: close\r\n\r\n")


_LINES = (
    b"GET /",
    b"GET http://a/",
    b"OPTIONS *",
    b"CONNECT b:1",
    b"\r\nGET /",
    b"GET /" + b"long" * 20,
    b"GET  /",
    b"GET /a b",
    b"GET /\r\nX: y",
    b"G(T /",
    b"GET",
    b"",
)
_SHORT = Limits(max_target=64)
_VERSIONS = (b"1.0", b"1.1", b"1.2")
_FIELDS = (
    b"Host: a\r\n",
    b"Host: c\r\n",
    b"Host: b\r\nConnection: close\r\n",
    b"Host: a\r\nContent-Length: 2\r\n",
    b"Host: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n",
    b"Connection: keep-alive\r\n",
    b"",
)


def _reads(engine: NativeEngine, head: bytes) -> str:
    """Tell what an engine makes of a head, and let it read the body that is announced."""
    source = Buffer(head)
    try:
        request = engine.read_head(source)
    except BadRequest as refusal:
        return f"{refusal.status} {refusal}"
    if request is None:
        return f"waits with {len(source)} bytes"
    assert engine.read_body(Buffer(b"x" * request.body_length), Buffer())
    return f"{request!r} host={request.host} {list(request.headers)} {len(source)} bytes left"


@given(
    st.lists(
        st.tuples(st.sampled_from(_LINES), st.sampled_from(_VERSIONS), st.sampled_from(_FIELDS)), max_size=8
    )
)
def test_a_head_is_read_as_if_it_were_the_first(heads: list[tuple[bytes, bytes, bytes]]) -> None:
    """What is remembered of the fields before is good for the same fields alone."""
    engine = NativeEngine(_SHORT)
    for line, version, fields in heads:
        head = b"%b HTTP/%b\r\n%b\r\n" % (line, version, fields)
        alone = _reads(NativeEngine(_SHORT), head)
        assert _reads(engine, head) == alone
        if not alone.startswith("<"):
            return  # after a refusal the engine is good for nothing


def test_a_connection_keeps_no_long_head() -> None:
    """Or ten thousand idle clients could make a server keep twice as many times 32 KiB."""
    heads = [
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %b%03d\r\n\r\n" % (b"x" * 30_000, number)
        for number in range(100)
    ]
    tracemalloc.start()
    try:
        engines = []
        for head in heads:
            engine = NativeEngine(Limits())
            assert engine.read_head(Buffer(head)) is not None
            engines.append(engine)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < len(engines) * 4096


def test_heads_that_come_together_are_taken_one_by_one() -> None:
    engine = NativeEngine(Limits())
    source = Buffer(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5)))
    heads = [engine.read_head(source) for _ in range(6)]
    assert [head and head.target for head in heads] == ["/0", "/1", "/2", "/3", "/4", None]
