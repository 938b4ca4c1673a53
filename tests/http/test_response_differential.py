"""evkit's reader of responses against h11's client: the same bytes must give the same responses or a refusal by both.

The bytes are the corpus, mutated at random, and responses that Hypothesis makes of sound and unsound parts. Two
comparisons. Engine against engine, where h11 stands behind evkit's guard, must agree in everything. evkit's engine
against bare h11, with nothing of evkit's in between, may differ where `EXPLAINED` and `STRICTER` say why; a difference
that no row explains fails.
"""

import re
from typing import NamedTuple

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evkit.core.buffer import Buffer
from evkit.http.errors import BadResponse
from evkit.http.parser import CHUNKED, make_response_engine
from http_response_corpus import CASES, Case
from http_response_feed import run

SEEDS = [case for case in CASES if len(case.raw) < 300]
BITS = [
    *(bytes([byte]) for byte in b'\0\x01\t\n\x0b\r !"#%*+,-./09:;=?@AZ[]_az{}~\x7f\x80\x85\xa0\xb2\xff'),
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n ",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"HTTP/1.1",
    b"HTTP/1.0 ",
    b"204",
    b"100",
    b"chunked",
    b"0\r\n\r\n",
    b"1\r\nx\r\n",
]


class Edit(NamedTuple):
    """Replace ``size`` bytes at ``at`` per mille of the length by ``bit``."""

    at: int
    size: int
    bit: bytes


class Stream(NamedTuple):
    """What a server says, and to what."""

    raw: bytes
    method: str
    ends: bool


def mutate(raw: bytes, changes: list[Edit]) -> bytes:
    for edit in changes:
        at = len(raw) * edit.at // 1000
        raw = raw[:at] + edit.bit + raw[at + edit.size :]
    return raw


def mutant(case: Case, changes: list[Edit]) -> Stream:
    return Stream(mutate(case.raw, changes), case.methods[0], case.ends)


def built(
    line: bytes, fields: list[bytes], body: list[bytes], method: str, ends: bool, interim: bytes
) -> Stream:
    return Stream(interim + line + b"\r\n" + b"".join(fields) + b"\r\n" + b"".join(body), method, ends)


# Not st.binary(): Hypothesis compares its bytes with ints when both are drawn, which `python -bb` forbids.
junk = st.lists(st.integers(0, 255), max_size=3).map(bytes)
edits = st.lists(
    st.builds(Edit, st.integers(0, 1000), st.integers(0, 3), st.sampled_from(BITS) | junk),
    min_size=1,
    max_size=3,
)
mutants = st.builds(mutant, st.sampled_from(SEEDS), edits)
made = st.builds(
    built,
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1 200",
            b"HTTP/1.0 200 OK",
            b"HTTP/1.1 204 No",
            b"HTTP/1.1 304 ",
            b"HTTP/1.1 101 Up",
            b"HTTP/1.1 404 N\xe4h",
            b"HTTP/1.3 999 x\ty",
            b"HTTP/2.0 200 OK",
        ]
    ),
    st.lists(
        st.sampled_from(
            [
                b"Content-Length: 5\r\n",
                b"content-length:5\r\n",
                b"Content-Length: 05 \r\n",
                b"Content-Length: 6\r\n",
                b"Content-Length: 5, 5\r\n",
                b"Content-Length: +5\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"TRANSFER-ENCODING:CHUNKED\r\n",
                b"Transfer-Encoding: gzip\r\n",
                b"Transfer-Encoding: gzip, chunked\r\n",
                b"Connection: close\r\n",
                b"Connection: keep-alive\r\n",
                b"A: b\r\n",
                b"A:\r\n",
                b"A: b\r\n c\r\n",
                b"A: b\n",
                b"A : b\r\n",
                b"A: \x01\r\n",
            ]
        ),
        max_size=3,
    ),
    st.lists(
        st.sampled_from(
            [
                b"hello",
                b"5\r\nhello\r\n",
                b"5;x\r\nhello\r\n",
                b"5 ;x\r\nhello\r\n",
                b"05\r\nhello\r\n",
                b"5 \r\nhello\r\n",
                b"5\r\nhello",
                b"+5\r\nhello\r\n",
                b"0\r\n\r\n",
                b"0\r\nT: u\r\n\r\n",
                b"0\r\nContent-Length: 5\r\n\r\n",
            ]
        ),
        max_size=3,
    ),
    st.sampled_from(["GET", "HEAD", "CONNECT", "POST"]),
    st.booleans(),
    st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"]),
)
streams = mutants | made

# -- Engine against engine ---------------------------------------------------------------------------------------------
# Where h11 refuses alone: what is in the bytes then, and why that may stay. Any other difference fails.
BODILESS = rb"HTTP/1\.[0-9] (1[0-9][0-9]|2[0-9][0-9]|304)"
STRICTER = [
    (rb"[0-9A-Fa-f][ \t]+;", "h11 knows no blank before a chunk extension, which RFC 9112 §7.1.1 calls bad"),
    (
        rb"(?i:content-length|transfer-encoding)",
        "h11 looks at framing where there is no body (RFC 9112 §6.3)",
    ),
]


def bodiless(stream: Stream) -> bool:
    """Whether some response of the stream has no body whatever its fields say."""
    return stream.method == "HEAD" or re.search(BODILESS, stream.raw) is not None


def stricter(stream: Stream) -> bool:
    extension, framing = (re.search(pattern, stream.raw) is not None for pattern, _ in STRICTER)
    return extension or (framing and bodiless(stream))


@settings(derandomize=True, max_examples=700)
@given(stream=streams)
def test_engines_agree(stream: Stream) -> None:
    methods = [stream.method, "GET"]
    native = run("native", [stream.raw], methods, ends=stream.ends)
    other = run("h11", [stream.raw], methods, ends=stream.ends)
    if native != other:
        assert stricter(stream), (stream, native, other)
        assert other.refused


@settings(derandomize=True, max_examples=300)
@given(stream=streams, cut=st.integers(0, 1000))
def test_outcome_does_not_depend_on_the_cut(stream: Stream, cut: int) -> None:
    raw, methods, ends = stream.raw, [stream.method, "GET"], stream.ends
    at = len(raw) * cut // 1000
    whole = run("native", [raw], methods, ends=ends)
    assert run("native", [raw[:at], raw[at:]], methods, ends=ends) == whole
    assert run("native", [raw[i : i + 1] for i in range(len(raw))], methods, ends=ends) == whole


@settings(derandomize=True, max_examples=200)
@given(data=st.binary(max_size=60), ends=st.booleans())
def test_any_bytes_end_in_a_response_a_wait_or_a_refusal(data: bytes, ends: bool) -> None:
    assert run("native", [data], ends=ends) == run("h11", [data], ends=ends)
    assert run("native", [b"HTTP/1.1 200 " + data], ends=ends) == run(
        "h11", [b"HTTP/1.1 200 " + data], ends=ends
    )


# -- evkit's engine against bare h11 -----------------------------------------------------------------------------------
class Parts(NamedTuple):
    """The first final response, or 101, as a reader understands it."""

    interim: list[int]
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]]


class Reading(NamedTuple):
    """What a reader made of the first response: its parts, or a refusal, or neither, which is a wait."""

    parts: Parts | None
    refusal: str = ""


def pairs(headers: h11._headers.Headers) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw_items()]


def h11_reading(connection: h11.Connection, method: str) -> Parts | None:
    interim: list[int] = []
    while (
        isinstance(event := connection.next_event(), h11.InformationalResponse) and event.status_code != 101
    ):
        interim.append(event.status_code)
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        return None
    parts = Parts(interim, event.status_code, event.reason.decode("latin-1"), pairs(event.headers), b"", [])
    if event.status_code == 101 or (method == "CONNECT" and event.status_code < 300):
        return parts
    body = b""
    while isinstance(data := connection.next_event(), h11.Data):
        body += bytes(data.data)
    if not isinstance(data, h11.EndOfMessage):
        return None
    return parts._replace(body=body, trailers=pairs(data.headers))


def bare_h11(stream: Stream) -> Reading:
    connection = h11.Connection(h11.CLIENT)
    fields = [("Host", "a"), ("Connection", "upgrade"), ("Upgrade", "x")]
    connection.send(h11.Request(method=stream.method, target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    if stream.raw:
        connection.receive_data(stream.raw)
    if stream.ends:
        connection.receive_data(b"")
    try:
        return Reading(h11_reading(connection, stream.method))
    except h11.RemoteProtocolError as refusal:
        return Reading(None, str(refusal))


def native_reading(stream: Stream) -> Parts | None:
    engine, source, sink = make_response_engine("native"), Buffer(stream.raw), Buffer()
    interim: list[int] = []
    while (head := engine.read_head(source, stream.method)) is not None:
        if head.status >= 200 or head.status == 101:
            break
        interim.append(head.status)
    complete = head is not None and engine.read_body(source, sink)
    if stream.ends and not complete:
        engine.end()
        complete = head is not None and engine.read_body(source, sink)
    if head is None or not complete:
        return None
    trailers = engine.trailers if head.body_length == CHUNKED else []
    return Parts(interim, head.status, head.reason, normal(list(head.headers)), bytes(sink), trailers)


def native(stream: Stream) -> Reading:
    try:
        return Reading(native_reading(stream))
    except BadResponse as refusal:
        return Reading(None, str(refusal))


def normal(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """h11 gives the transfer coding in lower case, and folds equal Content-Lengths, needed or not."""
    result: list[tuple[str, str]] = []
    for name, value in fields:
        if name.lower() == "transfer-encoding":
            value = value.lower()
        elif name.lower() == "content-length":
            if any(name.lower() == "content-length" for name, _ in result):
                continue
            value = value.split(",")[0].strip(" \t")
        result.append((name, value))
    return result


BARE_LF = rb"(?<!\r)\n"
CONTROL = rb"[\x01-\x08\x0a-\x1f\x7f]"
# What evkit says when it refuses; what must be in the bytes for that; why h11 lets it pass or goes on waiting.
EXPLAINED = [
    ("expected", BARE_LF, "h11 takes a bare LF for a line end in heads and trailers"),
    ("expected a reason phrase", CONTROL, "h11 lets controls stand in the reason"),
    ("expected a field value", CONTROL, "h11 lets controls stand in values"),
    ("expected a field name", rb"\r\n[ \t]", "h11 joins folded lines"),
    ("expected a response that begins", rb"HTTP/[02-9]\.[0-9]", "h11 reads any version"),
    ("expected Transfer-Encoding or Content-Length", rb"", "h11 lets Transfer-Encoding win"),
    ("HTTP/1.0 knows no Transfer-Encoding", rb"HTTP/1\.0", "h11 reads chunks in HTTP/1.0 too"),
    ("expected one decimal number", rb"(?i:content-length)", "h11 folds equal Content-Lengths"),
    ("expected a chunk size", rb"[ \t]\r\n", "h11 drops blanks at the end of a chunk's line"),
    ("expected a chunk size", rb"[0-9A-Fa-f]{17}", "h11 takes up to 20 digits"),
    ("expected a chunk size", rb";[^\n]*[\x00-\x08\x0b-\x1f\x7f]", "h11 does not look into extensions"),
    ("no framing", rb"(?i:host|content-length|transfer-encoding|connection|expect)", "h11 takes any trailer"),
]


def explained(raw: bytes, refusal: str) -> bool:
    return any(refusal.startswith(says) and re.search(needs, raw) for says, needs, _ in EXPLAINED)


@settings(derandomize=True, max_examples=1500)
@given(stream=streams)
@example(stream=Stream(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "GET", False))
def test_bare_h11_reads_the_same_or_the_table_says_why(stream: Stream) -> None:
    ours, theirs = native(stream), bare_h11(stream)
    if ours.parts is not None:
        assert theirs.parts == ours.parts or (theirs.refusal and stricter(stream)), (stream, ours, theirs)
    elif theirs.parts is not None:
        assert explained(stream.raw, ours.refusal), (stream, ours, theirs)


def test_the_corpus_is_read_the_same_or_the_table_says_why() -> None:
    used, stricter_used = set(), set()
    for case in CASES:
        stream = Stream(case.raw, case.methods[0], case.ends)
        ours, theirs = native(stream), bare_h11(stream)
        if ours.parts is not None and theirs.parts != ours.parts:
            assert theirs.refusal, (case.name, ours, theirs)
            rows = [row for row in STRICTER if re.search(row[0], case.raw)]
            assert rows, case.name
            stricter_used.add(rows[0])
        elif ours.parts is None and theirs.parts is not None:
            reasons = [
                row for row in EXPLAINED if ours.refusal.startswith(row[0]) and re.search(row[1], case.raw)
            ]
            assert reasons, (case.name, ours.refusal)
            used.add(reasons[0])
    assert [row[2] for row in EXPLAINED if row not in used] == []
    assert [row[1] for row in STRICTER if row not in stricter_used] == []
