"""The contract of `evkit.http.parser`: every engine, the whole corpus, however the bytes are cut."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser import Limits, engines, make_engine
from evkit.testing import chunks, split_everywhere
from http_corpus import CASES, Case, Seen
from http_feed import Outcome, run

SHORT = [case for case in CASES if len(case.raw) < 1000]


@pytest.fixture(params=sorted(engines))
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


# Where h11 is stricter than the RFC and than evkit's own engine, and why that may stay.
H11_REFUSES = {
    "extension, BWS": "h11 knows no whitespace before a chunk extension, which RFC 9112 §7.1.1 calls bad",
}


def expected(case: Case, engine: str) -> Outcome:
    if engine == "h11" and case.name in H11_REFUSES:
        return Outcome((), 400, waits=False)
    return Outcome(case.seen, case.status, case.waits)


def test_corpus_is_large_and_named_once() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus_whole(engine: str, case: Case) -> None:
    assert run(engine, [case.raw]) == expected(case, engine)


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_corpus_split_in_two_at_every_byte(engine: str, case: Case) -> None:
    for pieces in split_everywhere(case.raw):
        assert run(engine, pieces) == expected(case, engine), pieces


def test_corpus_byte_by_byte(engine: str) -> None:
    for case in CASES:
        assert run(engine, chunks(case.raw, 1)) == expected(case, engine), case.name


@given(case=st.sampled_from(SHORT), data=st.data())
def test_corpus_in_any_pieces(case: Case, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(case.raw)), max_size=8)))
    pieces = [case.raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(case.raw)], strict=True)]
    for name in engines:
        assert run(name, pieces) == expected(case, name)


# -- Refused at once, at the first byte that no valid request has there ------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\x16", 400),
        (b"\x00", 400),
        (b"GET /\x80", 400),
        (b"GET / X", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"GET x HTTP/1.1\r\n", 400),
        (b"GET / HTTP/1.1\r\nA ", 400),
        (b"GET / HTTP/1.1\r\nA: \x00", 400),
        (b"GET / HTTP/1.1\r\n\t", 400),
        (b"M" * 33, 501),
    ],
)
def test_hopeless_heads_do_not_wait_for_their_end(engine: str, raw: bytes, status: int) -> None:
    assert run(engine, [raw]).status == status
    assert run(engine, [raw[:-1]]) == Outcome((), None, waits=len(raw) > 1)


@pytest.mark.parametrize(
    "raw", [b"g", b"1" * 17, b"1\n", b"1;\x00", b"1 x", b"1\r\nxy", b"1\r\nx\rX", b"0\r\nA B", b"0\r\n\rX"]
)
def test_hopeless_chunks_do_not_wait_for_their_end(engine: str, raw: bytes) -> None:
    assert run(engine, [chunked(raw)]) == Outcome((), 400, waits=False)


# -- Limits, at n and n + 1 --------------------------------------------------------------------------------------------
def head_of(size: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


def chunked(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body


LIMITS = Limits(max_target=20, max_head=200, max_fields=5, max_chunk_extensions=10, max_trailers=40)
HOST = b" HTTP/1.1\r\nHost: a\r\n"
AT_LIMIT = [
    ("target", b"GET /" + b"t" * 19 + HOST + b"\r\n", b"GET /" + b"t" * 20 + HOST + b"\r\n", 414),
    ("head", head_of(200), head_of(201), 431),
    ("fields", b"GET /" + HOST + b"X: y\r\n" * 4 + b"\r\n", b"GET /" + HOST + b"X: y\r\n" * 5 + b"\r\n", 431),
    (
        "shortest fields",
        b"GET /" + HOST + b"X:\r\n" * 4 + b"\r\n",
        b"GET /" + HOST + b"X:\r\n" * 5 + b"\r\n",
        431,
    ),
    ("extensions", chunked(b"0;" + b"e" * 9 + b"\r\n\r\n"), chunked(b"0;" + b"e" * 10 + b"\r\n\r\n"), 413),
    (
        "extensions of several chunks",
        chunked(b"1;eeee\r\nx\r\n" + b"0;eeee\r\n\r\n"),
        chunked(b"1;eeee\r\nx\r\n" + b"0;eeeee\r\n\r\n"),
        413,
    ),
    (
        "body",
        chunked(b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n"),
        chunked(b"15\r\n" + b"x" * 21 + b"\r\n0\r\n\r\n"),
        413,
    ),
    (
        "body of several chunks",
        chunked(b"a\r\n" + b"x" * 10 + b"\r\na\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n"),
        chunked(b"a\r\n" + b"x" * 10 + b"\r\nb\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n"),
        413,
    ),
    (
        "trailers",
        chunked(b"0\r\nX: " + b"y" * 33 + b"\r\n\r\n"),
        chunked(b"0\r\nX: " + b"y" * 34 + b"\r\n\r\n"),
        431,
    ),
    (
        "trailer fields",
        chunked(b"0\r\n" + b"X:\r\n" * 5 + b"\r\n"),
        chunked(b"0\r\n" + b"X:\r\n" * 6 + b"\r\n"),
        431,
    ),
]


@pytest.mark.parametrize(
    ("fits", "over", "status"), [row[1:] for row in AT_LIMIT], ids=[row[0] for row in AT_LIMIT]
)
def test_limits_hold_at_n_and_not_at_one_more(engine: str, fits: bytes, over: bytes, status: int) -> None:
    for cut in range(len(fits)):
        outcome = run(engine, [fits[:cut], fits[cut:]], LIMITS, max_body=20)
        assert (len(outcome.seen), outcome.status) == (1, None), cut
    for cut in range(len(over)):
        assert run(engine, [over[:cut], over[cut:]], LIMITS, max_body=20) == Outcome(
            (), status, waits=False
        ), cut


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"t" * 20, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 182, 431),
        (b"GET / HTTP/1.1\r\n" + b"X" * 185, 431),
        (chunked(b"1;" + b"e" * 30), 413),
        (chunked(b"0\r\nX: " + b"x" * 38), 431),
    ],
)
def test_a_line_over_its_limit_is_not_waited_for(engine: str, raw: bytes, status: int) -> None:
    assert run(engine, [raw], LIMITS).status == status


def test_the_default_limits_hold_too(engine: str) -> None:
    fields = b"X: y\r\n" * 99
    assert run(engine, [b"GET /" + HOST + fields + b"\r\n"]).status is None
    assert run(engine, [b"GET /" + HOST + fields + b"X: y\r\n\r\n"]).status == 431
    assert run(engine, [b"GET /" + b"t" * 8191 + HOST + b"\r\n"]).status is None
    assert run(engine, [b"GET /" + b"t" * 8192 + HOST + b"\r\n"]).status == 414
    assert run(engine, [head_of(32768)]).status is None
    assert run(engine, [head_of(32769)]).status == 431


def test_a_request_line_over_max_head_is_414(engine: str) -> None:
    assert run(engine, [b"GET /" + b"t" * 100], Limits(max_head=50)).status == 414


def test_bodies_of_a_length_are_the_callers_to_limit(engine: str) -> None:
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    assert run(engine, [raw], max_body=1).seen == (Seen("POST", "/", b"hello"),)


def test_the_largest_length_is_a_number(engine: str) -> None:
    source = Buffer(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n")
    head = make_engine(engine, Limits()).read_head(source)
    assert head is not None
    assert head.body_length == 9_999_999_999_999_999_999


# -- What stays where --------------------------------------------------------------------------------------------------
def test_read_head_drains_the_head_and_nothing_more(engine: str) -> None:
    source = Buffer(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n")
    reader = make_engine(engine, Limits())
    assert reader.read_head(source) is not None
    assert bytes(source) == b"GET /2 HTTP/1.1\r\n"
    assert reader.read_body(source, Buffer()) is True
    assert reader.read_head(source) is None
    assert bytes(source) == b"GET /2 HTTP/1.1\r\n"


def test_read_head_of_nothing_waits(engine: str) -> None:
    source = Buffer()
    assert make_engine(engine, Limits()).read_head(source) is None


def test_read_body_gives_what_is_there(engine: str) -> None:
    source, sink = Buffer(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"), Buffer()
    reader = make_engine(engine, Limits())
    assert reader.read_head(source) is not None
    assert reader.read_body(source, sink) is False
    assert (bytes(source), bytes(sink)) == (b"", b"abc")
    source.add(b"defGET")
    assert reader.read_body(source, sink) is True
    assert (bytes(source), bytes(sink)) == (b"GET", b"abcdef")


def test_large_chunks_come_through_in_pieces(engine: str) -> None:
    data = bytes(range(256)) * 100
    body = (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data, data[:5000], b"x", data[:4097]))
        + b"0\r\n\r\n"
    )
    raw = chunked(body)
    whole = run(engine, [raw])
    assert whole.seen[0].body == data + data[:5000] + b"x" + data[:4097]
    for size in (1, 2, 1000, 1500, 4096, 30000):
        assert run(engine, [raw[i : i + size] for i in range(0, len(raw), size)]) == whole


def test_headers_are_the_fields_in_order(engine: str) -> None:
    source = Buffer(b"GET / HTTP/1.1\r\nHost: a\r\nX-A:  1 \t\r\nx-a: \x802\xa0\r\nEmpty:\r\n\r\n")
    head = make_engine(engine, Limits()).read_head(source)
    assert head is not None
    assert list(head.headers) == [("Host", "a"), ("X-A", "1"), ("x-a", "\x802\xa0"), ("Empty", "")]
    assert head.headers is head.headers


def test_refusals_say_what_came(engine: str) -> None:
    with pytest.raises(BadRequest, match=r"expected HTTP/1\.1") as refusal:
        make_engine(engine, Limits()).read_head(Buffer(b"GET / HTPP/1.1\r\n\r\n"))
    assert refusal.value.status == 400
    assert "HTPP" in str(refusal.value)


def test_make_engine_names_the_engines() -> None:
    assert make_engine("native", Limits()).name == "native"
    assert make_engine("h11", Limits()).name == "h11"
    with pytest.raises(ValueError, match="native, h11"):
        make_engine("llhttp", Limits())


def test_h11_is_imported_only_when_asked_for() -> None:
    program = """
import sys
from evkit.http.parser import Limits, make_engine
make_engine("native", Limits())
assert "h11" not in sys.modules, "too early"
make_engine("h11", Limits())
assert "h11" in sys.modules, "never"
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
