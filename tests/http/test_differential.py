"""evkit's engine against h11: the same bytes, mutated at random, must give the same requests or a refusal by both.

Two comparisons. Engine against engine, where h11 stands behind evkit's guard, must agree in everything. evkit's engine
against bare h11, with nothing of evkit's in between, may differ where `EXPLAINED` says why; a difference that no row
explains fails.
"""

import re
from typing import NamedTuple

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evkit.core.buffer import Buffer
from evkit.http.errors import BadRequest
from evkit.http.parser import Limits, make_engine
from http_corpus import CASES
from http_feed import Feed, run

SEEDS = [case.raw for case in CASES if len(case.raw) < 300]
VALID = [case.raw for case in CASES if len(case.raw) < 300 and case.status is None and not case.waits]
BITS = [
    *(bytes([byte]) for byte in b'\0\x01\t\n\x0b\r !"#%*+,-./09:;=?@AZ[]_az{}~\x7f\x80\x85\xa0\xb2\xff'),
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n ",
    b"Host: a\r\n",
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"chunked",
    b"0\r\n\r\n",
    b"1\r\nx\r\n",
]


class Edit(NamedTuple):
    """Replace ``size`` bytes at ``at`` per mille of the length by ``bit``."""

    at: int
    size: int
    bit: bytes


# Not st.binary(): Hypothesis compares its bytes with ints when both are drawn, which `python -bb` forbids.
junk = st.lists(st.integers(0, 255), max_size=3).map(bytes)
edits = st.lists(
    st.builds(Edit, st.integers(0, 1000), st.integers(0, 3), st.sampled_from(BITS) | junk),
    min_size=1,
    max_size=3,
)


def mutate(raw: bytes, changes: list[Edit]) -> bytes:
    for edit in changes:
        at = len(raw) * edit.at // 1000
        raw = raw[:at] + edit.bit + raw[at + edit.size :]
    return raw


# -- Engine against engine ---------------------------------------------------------------------------------------------
# A refusal of h11's alone. Any other difference between the engines fails the test.
BWS_BEFORE_EXTENSION = re.compile(rb"[0-9A-Fa-f][ \t]+;")


@settings(derandomize=True, max_examples=500)
@given(raw=st.sampled_from(SEEDS), changes=edits)
def test_engines_agree(raw: bytes, changes: list[Edit]) -> None:
    data = mutate(raw, changes)
    native, other = run("native", [data]), run("h11", [data])
    if native != other:
        assert BWS_BEFORE_EXTENSION.search(data), (data, native, other)
        assert other.status == 400


@settings(derandomize=True, max_examples=200)
@given(raw=st.sampled_from(SEEDS), changes=edits, cut=st.integers(0, 1000))
def test_outcome_does_not_depend_on_the_cut(raw: bytes, changes: list[Edit], cut: int) -> None:
    data = mutate(raw, changes)
    at = len(data) * cut // 1000
    whole = run("native", [data])
    assert run("native", [data[:at], data[at:]]) == whole
    assert run("native", [data[i : i + 1] for i in range(len(data))]) == whole


@settings(derandomize=True, max_examples=200)
@given(data=st.binary(max_size=60))
def test_any_bytes_end_in_a_request_a_wait_or_a_refusal(data: bytes) -> None:
    assert run("native", [data]) == run("h11", [data])


# -- evkit's engine against bare h11 -----------------------------------------------------------------------------------
class Reading(NamedTuple):
    """What a reader made of the first request: its parts, or a refusal, or neither, which is a wait."""

    parts: tuple[str, str, list[tuple[str, str]], bytes] | None
    refusal: str = ""


def bare_h11(raw: bytes) -> Reading:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw.removeprefix(b"\r\n"))  # h11 knows no empty line before a request
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return Reading(None)
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
    except h11.RemoteProtocolError as refusal:
        return Reading(None, str(refusal))
    if not isinstance(event, h11.EndOfMessage):
        return Reading(None)
    fields = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw_items()
    ]
    return Reading((request.method.decode(), request.target.decode(), fields, body))


def native(raw: bytes) -> Reading:
    engine, source, sink = make_engine("native", Limits()), Buffer(raw), Buffer()
    try:
        head = engine.read_head(source)
        if head is None or not engine.read_body(source, sink):
            return Reading(None)
    except BadRequest as refusal:
        return Reading(None, str(refusal))
    return Reading((head.method, head.target, normal(list(head.headers)), bytes(sink)))


def normal(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """h11 gives the transfer coding in lower case."""
    return [(name, value.lower() if name.lower() == "transfer-encoding" else value) for name, value in fields]


BARE_LF = rb"(?<!\r)\n"
# What evkit says when it refuses; what must be in the bytes for that; why h11 lets it pass or goes on waiting.
EXPLAINED = [
    ("expected", BARE_LF, "h11 takes a bare LF for a line end in heads and trailers"),
    (
        "expected a field value",
        rb"[\x01-\x08\x0a-\x1f\x7f]|\r(?!\n)",
        "h11 lets controls and bare CRs stand in values",
    ),
    ("expected a field name", rb"\r\n[ \t]", "h11 joins folded lines"),
    ("expected a target", rb"#", "h11 does not look into the target"),
    ("expected a target that begins", rb" ", "h11 does not know the forms of a target"),
    ("expected a host after", rb"://", "h11 does not look into the target"),
    ("expected a host name", rb"", "h11 does not check Host nor the target's authority"),
    ("expected a port", rb":", "as above"),
    ("expected an IPv6 address", rb"\[", "as above"),
    ("CONNECT", rb"CONNECT", "h11 does not know what CONNECT asks for"),
    ("an HTTP/1.1 request needs a Host", rb"HTTP/1\.[2-9]", "h11 asks HTTP/1.1 alone for Host"),
    ("evkit serves HTTP/1.1", rb"HTTP/[02-9]\.[0-9]", "h11 serves any version"),
    ("expected Transfer-Encoding or Content-Length", rb"", "h11 lets Transfer-Encoding win"),
    ("HTTP/1.0 knows no Transfer-Encoding", rb"HTTP/1\.0", "h11 reads chunks in HTTP/1.0 too"),
    ("expected one content-length", rb"", "h11 folds equal Content-Lengths"),
    ("expected one decimal number", rb",", "as above, in one line"),
    ("evkit can meet the expectation", rb"(?i:expect)", "h11 leaves Expect to its user"),
    ("evkit knows no method of more", rb"[^ ]{33}", "h11 limits the head alone"),
    ("expected a chunk size", rb"[ \t]\r\n", "h11 drops blanks at the end of a chunk's line"),
    ("expected a chunk size", rb"[0-9A-Fa-f]{17}", "h11 takes up to 20 digits"),
    ("expected a chunk size", rb";[^\n]*[\x00-\x08\x0b-\x1f\x7f]", "h11 does not look into extensions"),
    ("no framing", rb"(?i:host|content-length|transfer-encoding|connection|expect)", "h11 takes any trailer"),
]


def explained(raw: bytes, refusal: str) -> bool:
    return any(refusal.startswith(says) and re.search(needs, raw) for says, needs, _ in EXPLAINED)


@settings(derandomize=True, max_examples=1000)
@given(raw=st.sampled_from(SEEDS), changes=edits)
@example(raw=b"GET / HTTP/1.1\nHost: a\n\n", changes=[])
def test_bare_h11_reads_the_same_or_the_table_says_why(raw: bytes, changes: list[Edit]) -> None:
    data = mutate(raw, changes)
    ours, theirs = native(data), bare_h11(data)
    if ours.parts is not None:
        assert theirs.parts == ours.parts or BWS_BEFORE_EXTENSION.search(data), (data, ours, theirs)
    elif theirs.parts is not None:
        assert explained(data, ours.refusal), (data, ours, theirs)


def test_every_row_of_the_table_is_needed() -> None:
    used = set()
    for case in CASES:
        ours = native(case.raw)
        if ours.refusal and bare_h11(case.raw).parts is not None:
            rows = [
                row for row in EXPLAINED if ours.refusal.startswith(row[0]) and re.search(row[1], case.raw)
            ]
            assert rows, (case.name, ours.refusal)
            used.add(rows[0])
    assert [row[2] for row in EXPLAINED if row not in used] == []


@settings(derandomize=True, max_examples=100)
@given(requests=st.lists(st.sampled_from(VALID), max_size=5), size=st.integers(1, 40))
def test_pipelined_requests_are_read_one_by_one(requests: list[bytes], size: int) -> None:
    stream = b"".join(requests)
    apart = []
    for raw in requests:
        feed = Feed(make_engine("native", Limits()))
        feed.feed(raw)
        apart += feed.seen
        if not feed.heads[-1].keep_alive:
            break
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert list(run("native", pieces).seen) == apart
