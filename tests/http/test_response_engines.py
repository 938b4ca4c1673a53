"""The contract of `evkit.http.parser.response`: every engine, the whole corpus, however the bytes are cut."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.buffer import Buffer
from evkit.http.errors import BadResponse
from evkit.http.parser import (
    CHUNKED,
    UNTIL_CLOSE,
    Limits,
    ResponseHead,
    make_response_engine,
    response_engines,
)
from evkit.testing import chunks, split_everywhere
from http_response_corpus import CASES, HELLO, SEEN_HELLO, Case, Seen
from http_response_feed import Outcome, feed, run
from http_response_feed import expected as said

SHORT = [case for case in CASES if len(case.raw) < 1000]
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=sorted(response_engines))
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


# Where h11 is stricter than the RFC and than evkit's own engine, and why that may stay.
H11_REFUSES = {
    "blank before a chunk extension": "h11 knows no blank there, which RFC 9112 §7.1.1 calls bad",
    **{
        f"{what} and {fields}": "h11 looks into fields that RFC 9112 §6.3 passes over"
        for what in ("HEAD", "204", "304", "100", "101", "CONNECT")
        for fields in ("two lengths", "no number", "another coding")
    },
}


def expected(case: Case, engine: str) -> Outcome:
    if engine == "h11" and case.name in H11_REFUSES:
        return Outcome((), refused=True)
    return said(case)


def outcome(engine: str, case: Case, pieces: list[bytes] | tuple[bytes, ...]) -> Outcome:
    return run(engine, pieces, case.methods, ends=case.ends)


def test_corpus_is_large_and_named_once() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 300
    assert len(set(names)) == len(names)
    assert set(H11_REFUSES) <= set(names)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus_whole(engine: str, case: Case) -> None:
    assert outcome(engine, case, [case.raw]) == expected(case, engine)


@pytest.mark.parametrize("case", SHORT, ids=lambda case: case.name)
def test_corpus_split_in_two_at_every_byte(engine: str, case: Case) -> None:
    for pieces in split_everywhere(case.raw):
        assert outcome(engine, case, pieces) == expected(case, engine), pieces


def test_corpus_byte_by_byte(engine: str) -> None:
    for case in CASES:
        assert outcome(engine, case, list(chunks(case.raw, 1))) == expected(case, engine), case.name


@given(case=st.sampled_from(SHORT), data=st.data())
def test_corpus_in_any_pieces(case: Case, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(case.raw)), max_size=8)))
    pieces = [case.raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(case.raw)], strict=True)]
    for name in response_engines:
        assert outcome(name, case, pieces) == expected(case, name)


# -- Refused at once, at the first byte that no valid response has there -----------------------------------------------
@pytest.mark.parametrize(
    "raw",
    [
        b"\x16",
        b"\r",
        b"S",
        b"HTTP/2",
        b"HTTP/1.1  ",
        b"HTTP/1.1 0",
        b"HTTP/1.1 20 ",
        b"HTTP/1.1 2000",
        b"HTTP/1.1 200 \0",
        b"HTTP/1.1 200\n",
        b"HTTP/1.1 200 OK\n",
        b"HTTP/1.1 200 OK\rX",
        b"HTTP/1.1 200 OK\r\n ",
        b"HTTP/1.1 200 OK\r\nA ",
        b"HTTP/1.1 200 OK\r\nA: \0",
        b"HTTP/1.1 200 OK\r\nA: b\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n\t",
        b"HTTP/1.1 200 OK\r\n\rX",
    ],
)
def test_hopeless_heads_do_not_wait_for_their_end(engine: str, raw: bytes) -> None:
    assert run(engine, [raw]) == Outcome((), refused=True)
    assert run(engine, [raw[:-1]]) == Outcome((), waits=True)


@pytest.mark.parametrize(
    "raw", [b"g", b"1" * 17, b"1\n", b"1;\x00", b"1 x", b"1\r\nxy", b"1\r\nx\rX", b"0\r\nA B", b"0\r\n\rX"]
)
def test_hopeless_chunks_do_not_wait_for_their_end(engine: str, raw: bytes) -> None:
    assert run(engine, [CHUNKED_HEAD + raw]) == Outcome((), refused=True)


# -- Limits, at n and n + 1 --------------------------------------------------------------------------------------------
LIMITS = Limits(max_head=200, max_fields=5, max_chunk_extensions=10, max_trailers=40)
LINE = b"HTTP/1.1 200 OK\r\n"
EMPTY = LINE + b"Content-Length: 0\r\n"


def head_of(size: int, start: bytes = EMPTY + b"X: ") -> bytes:
    return start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"


AT_LIMIT = [
    ("head", head_of(200), head_of(201)),
    ("head of a status line", head_of(200, b"HTTP/1.1 204 "), head_of(201, b"HTTP/1.1 204 ")),
    ("fields", EMPTY + b"X: y\r\n" * 4 + b"\r\n", EMPTY + b"X: y\r\n" * 5 + b"\r\n"),
    ("shortest fields", EMPTY + b"X:\r\n" * 4 + b"\r\n", EMPTY + b"X:\r\n" * 5 + b"\r\n"),
    ("extensions", b"0;" + b"e" * 9 + b"\r\n\r\n", b"0;" + b"e" * 10 + b"\r\n\r\n"),
    (
        "extensions of several chunks",
        b"1;eeee\r\nx\r\n" + b"0;eeee\r\n\r\n",
        b"1;eeee\r\nx\r\n" + b"0;eeeee\r\n\r\n",
    ),
    (
        "body",
        b"14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n",
        b"15\r\n" + b"x" * 21 + b"\r\n0\r\n\r\n",
    ),
    (
        "body of several chunks",
        b"a\r\n" + b"x" * 10 + b"\r\na\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n",
        b"a\r\n" + b"x" * 10 + b"\r\nb\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n",
    ),
    ("body until close", LINE + b"\r\n" + b"x" * 20, LINE + b"\r\n" + b"x" * 21),
    ("trailers", b"0\r\nX: " + b"y" * 33 + b"\r\n\r\n", b"0\r\nX: " + b"y" * 34 + b"\r\n\r\n"),
    ("trailer fields", b"0\r\n" + b"X:\r\n" * 5 + b"\r\n", b"0\r\n" + b"X:\r\n" * 6 + b"\r\n"),
]


@pytest.mark.parametrize(("fits", "over"), [row[1:] for row in AT_LIMIT], ids=[row[0] for row in AT_LIMIT])
def test_limits_hold_at_n_and_not_at_one_more(engine: str, fits: bytes, over: bytes) -> None:
    if not fits.startswith(b"HTTP"):
        fits, over = CHUNKED_HEAD + fits, CHUNKED_HEAD + over
    for cut in range(len(fits)):
        result = run(engine, [fits[:cut], fits[cut:]], ends=True, limits=LIMITS, max_body=20)
        assert (len(result.seen), result.refused) == (1, False), cut
    for cut in range(len(over)):
        result = run(engine, [over[:cut], over[cut:]], ends=False, limits=LIMITS, max_body=20)
        assert result == Outcome((), refused=True), cut


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 " + b"x" * 188,
        LINE + b"X: " + b"x" * 181,
        LINE + b"X" * 184,
        CHUNKED_HEAD + b"1;" + b"e" * 30,
        CHUNKED_HEAD + b"0\r\nX: " + b"x" * 38,
    ],
)
def test_a_line_over_its_limit_is_not_waited_for(engine: str, raw: bytes) -> None:
    assert run(engine, [raw], limits=LIMITS) == Outcome((), refused=True)
    assert run(engine, [raw[: len(raw) - 20]], limits=LIMITS).waits is True


@pytest.mark.parametrize("most", range(1, 20))
def test_a_limit_within_the_status_line_holds(engine: str, most: int) -> None:
    limits = Limits(max_head=most)
    assert run(engine, [HELLO], limits=limits) == Outcome((), refused=True)
    assert run(engine, chunks(HELLO, 1), limits=limits) == Outcome((), refused=True)
    assert run(engine, [HELLO[:most]], limits=limits) == Outcome((), waits=True)


def test_the_default_limits(engine: str) -> None:
    assert run(engine, [EMPTY + b"X: y\r\n" * 99 + b"\r\n"]).refused is False
    assert run(engine, [EMPTY + b"X: y\r\n" * 100 + b"\r\n"]).refused is True
    assert run(engine, [head_of(65536)]).refused is False
    assert run(engine, [head_of(65537)]).refused is True


def test_endless_heads_and_chunks_end(engine: str) -> None:
    """A server that never comes to an end is refused by the default limits; what it sent is not kept."""
    for start, more in (
        (b"HTTP/1.1 200 ", b"x"),
        (LINE + b"X: ", b"x"),
        (LINE + b"X", b"x"),
        (LINE, b"X: y\r\n"),
        (CHUNKED_HEAD + b"1;", b"x"),
        (CHUNKED_HEAD, b"1;x\r\n1\r\n"),
        (CHUNKED_HEAD + b"0\r\n", b"X: y\r\n"),
        (CHUNKED_HEAD + b"0\r\nX: ", b"x"),
    ):
        result = run(engine, [start, *[more * 1000] * 66])
        assert result == Outcome((), refused=True), (start, more)


def test_bodies_of_a_length_are_the_callers_to_limit(engine: str) -> None:
    assert run(engine, [HELLO], max_body=1).seen == (SEEN_HELLO,)


def test_each_body_is_counted_by_itself(engine: str) -> None:
    ten = b"a\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n"
    raw = HELLO + CHUNKED_HEAD + ten + CHUNKED_HEAD + ten + LINE + b"\r\n" + b"x" * 10
    result = run(engine, [raw], ["GET"] * 4, ends=True, max_body=10)
    assert [len(seen.body) for seen in result.seen] == [5, 10, 10, 10]


def test_the_largest_length_is_a_number(engine: str) -> None:
    source = Buffer(LINE + b"Content-Length: 9999999999999999999\r\n\r\n")
    head = make_response_engine(engine).read_head(source, "GET")
    assert head is not None
    assert head.body_length == 9_999_999_999_999_999_999


# -- What stays where --------------------------------------------------------------------------------------------------
def read(engine: str, raw: bytes, method: str = "GET") -> ResponseHead:
    head = make_response_engine(engine).read_head(Buffer(raw), method)
    assert head is not None
    return head


def test_read_head_drains_the_head_and_nothing_more(engine: str) -> None:
    source = Buffer(EMPTY + b"\r\n" + LINE)
    reader = make_response_engine(engine)
    assert reader.read_head(source, "GET") is not None
    assert bytes(source) == LINE
    assert reader.read_body(source, Buffer()) is True
    assert reader.read_head(source, "GET") is None
    assert bytes(source) == LINE


def test_read_head_of_nothing_waits(engine: str) -> None:
    assert make_response_engine(engine).read_head(Buffer(), "GET") is None


def test_read_body_gives_what_is_there(engine: str) -> None:
    source, sink = Buffer(LINE + b"Content-Length: 6\r\n\r\nabc"), Buffer()
    reader = make_response_engine(engine)
    assert reader.read_head(source, "GET") is not None
    assert reader.read_body(source, sink) is False
    assert (bytes(source), bytes(sink)) == (b"", b"abc")
    source.add(b"defHTTP")
    assert reader.read_body(source, sink) is True
    assert (bytes(source), bytes(sink)) == (b"HTTP", b"abcdef")


def test_a_body_until_close_comes_as_it_comes(engine: str) -> None:
    source, sink = Buffer(LINE + b"\r\nabc"), Buffer()
    reader = make_response_engine(engine)
    assert reader.read_head(source, "GET") is not None
    assert reader.read_body(source, sink) is False
    assert (bytes(source), bytes(sink)) == (b"", b"abc")
    source.add(b"def")
    reader.end()  # the last bytes may still be where they came
    assert reader.read_body(source, sink) is True
    assert (bytes(source), bytes(sink)) == (b"", b"abcdef")
    assert reader.read_body(source, sink) is True


def test_large_chunks_come_through_in_pieces(engine: str) -> None:
    data = bytes(range(256)) * 100
    parts = (data, data[:5000], b"x", data[:4097])
    raw = CHUNKED_HEAD + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    whole = run(engine, [raw])
    assert whole.seen == (Seen(200, body=b"".join(parts)),)
    for size in (1, 2, 1000, 1500, 4096, 30000):
        assert run(engine, [raw[i : i + size] for i in range(0, len(raw), size)]) == whole


def test_headers_are_the_fields_in_order(engine: str) -> None:
    head = read(engine, LINE + b"Server: a\r\nX-A:  1 \t\r\nx-a: \x802\xa0\r\nEmpty:\r\n\r\n")
    assert list(head.headers) == [("Server", "a"), ("X-A", "1"), ("x-a", "\x802\xa0"), ("Empty", "")]
    assert head.headers is head.headers
    assert head.headers.get("server") == "a"
    assert list(read(engine, LINE + b"\r\n").headers) == []


def test_body_lengths(engine: str) -> None:
    assert read(engine, HELLO).body_length == 5
    assert read(engine, CHUNKED_HEAD).body_length == CHUNKED
    assert read(engine, LINE + b"\r\n").body_length == UNTIL_CLOSE
    assert read(engine, LINE + b"\r\n", "HEAD").body_length == 0
    assert len({CHUNKED, UNTIL_CLOSE, 0}) == 3


def test_heads_say_what_they_are(engine: str) -> None:
    assert repr(read(engine, HELLO)) == "<ResponseHead 200 'OK' HTTP/1.1 body=5 keep-alive>"
    assert repr(read(engine, CHUNKED_HEAD)) == "<ResponseHead 200 'OK' HTTP/1.1 body=chunked keep-alive>"
    assert (
        repr(read(engine, b"HTTP/1.0 404 \r\n\r\n"))
        == "<ResponseHead 404 '' HTTP/1.0 body=until-close close>"
    )


def test_trailers_are_those_of_the_last_chunked_body(engine: str) -> None:
    last = b"0\r\nA: 1\r\n\r\n"
    stream = feed(engine, [CHUNKED_HEAD + last + CHUNKED_HEAD + b"0\r\n\r\n"], ["GET", "GET"])
    assert [seen.trailers for seen in stream.seen] == [(("A", "1"),), ()]


# -- What is said ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", r"begins with HTTP/1\.1 .* got b'SSH-2\.0-OpenSSH_9\.2"),
        (b"HTTP/2.0 200 OK\r\n", r"HTTP/1\.1 .* got b'HTTP/2\.0 200"),
        (b"HTTP/1.1 20 OK\r\n", r"status of three digits .* got b'HTTP/1\.1 20 OK"),
        (b"HTTP/1.1 200 O\0\r\n", r"reason phrase without controls.* got b'HTTP/1\.1 200 O\\x00"),
        (LINE + b"Set Cookie: a\r\n\r\n", r"field name and a colon, got b'Set '"),
        (LINE + b"Content-Length: 5x\r\n\r\n", r"one decimal number in Content-Length, got b'5x'"),
        (LINE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", r"Content-Length, got b'5, 6'"),
        (LINE + b"Transfer-Encoding: gzip\r\n\r\n", r"transfer coding chunked, .*got b'gzip'"),
        (LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", r"not both, got b'5'"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", r"HTTP/1\.0 knows no Transfer-Encoding"),
        (CHUNKED_HEAD + b"5x\r\n", r"chunk size in hex digits and CRLF, got b'5x'"),
        (b"HTTP/1.1 200 " + b"x" * 65536, "status line is longer than 65536 bytes"),
        (head_of(65537), "longer than 65536 bytes"),
    ],
)
def test_refusals_say_what_was_expected_and_what_came(engine: str, raw: bytes, says: str) -> None:
    stream = feed(engine, [raw])
    with pytest.raises(BadResponse, match=says) as refusal:
        raise stream.error or AssertionError("not refused")
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"HTTP", "ended within the head of a response"),
        (HELLO[:-3], "ended after 2 of 5 bytes of a body"),
        (CHUNKED_HEAD, "ended within the chunks of a body"),
        (CHUNKED_HEAD + b"5\r\nhel", "ended within the chunks of a body"),
        (CHUNKED_HEAD + b"0\r\nA: b\r\n", "ended within the chunks of a body"),
    ],
)
def test_an_early_end_says_where_it_came(engine: str, raw: bytes, says: str) -> None:
    assert says in str(feed(engine, [raw], ends=True).error)


def test_too_long_a_body_until_close_says_the_limit(engine: str) -> None:
    stream = feed(engine, [LINE + b"\r\nabc", b"def"], max_body=5)
    assert str(stream.error) == "the body is longer than 5 bytes"


# -- The engines -------------------------------------------------------------------------------------------------------
def test_make_response_engine_names_the_engines() -> None:
    assert make_response_engine("native").name == "native"
    assert make_response_engine("h11").name == "h11"
    with pytest.raises(ValueError, match="native, h11"):
        make_response_engine("llhttp")


def test_h11_is_imported_only_when_asked_for() -> None:
    program = """
import sys
from evkit.http.parser import make_response_engine
make_response_engine("native")
assert "h11" not in sys.modules, "too early"
make_response_engine("h11")
assert "h11" in sys.modules, "never"
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
