"""`PartSplitter`: where parts begin and end, however the body is cut, and what no client may send."""

import gc
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.errors import BadRequest
from evkit.http.forms.part_splitter import MAX_PART_FIELDS, Event, PartSplitter
from evkit.testing import chunks, same_however_cut

Outcome = tuple[list[Event], bool, str]

# What multipart bodies are made of, and what nearly looks like it.
PIECES = [
    *(
        b"--b",
        b"\r\n--b",
        b"\r\n--b\r\n",
        b"--b--",
        b"\r\n--b--",
        b"\r\n--bb",
        b"\r\n--b \t\r\n",
        b"-",
        b"--",
        b"b",
    ),
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"X: y\r\n",
        b"X:",
        b"Y",
        b" ",
        b"\t",
        b"\0",
        b"\xff",
        b":",
        b"a" * 40,
    ),
]


def split(pieces: list[bytes], max_parts: int = 5, max_header: int = 60) -> Outcome:
    """Return the events of a body, with bytes that follow each other joined, whether it was refused, and why."""
    splitter = PartSplitter(b"b", max_parts=max_parts, max_header=max_header)
    events: list[Event] = []
    try:
        for piece in pieces:
            for event in splitter.feed(piece):
                if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
                    event = events.pop() + event  # type: ignore[operator]  # it is bytes
                events.append(event)
        splitter.close()
    except BadRequest as error:
        return events, True, f"{error.status} {error}"
    return events, False, ""


def parts(*bodies: bytes) -> bytes:
    """Spell a body; each part has the field ``X: y``."""
    return b"".join(b"--b\r\nX: y\r\n\r\n%b\r\n" % body for body in bodies) + b"--b--\r\n"


BODIES: dict[bytes, list[Event]] = {
    b"--b--": [],
    b"\r\n--b--\r\n": [],
    b"--b\r\n\r\n\r\n--b--": [[], None],
    b"--b\r\nX: y\r\nZ:\r\n\r\n1\r\n--b\r\nx:\t y z \r\n\r\n2\r\n--b--\r\n": [
        [(b"X", b"y"), (b"Z", b"")],
        b"1",
        None,
        [(b"x", b"y z")],
        b"2",
        None,
    ],
    # What is nearly a boundary is none: at a line's beginning, and followed by a line's end or "--".
    parts(b"--b--"): [[(b"X", b"y")], b"--b--", None],
    parts(b"\n--b--"): [[(b"X", b"y")], b"\n--b--", None],
    parts(b"\r\r\n\r\n-\r\n--\r\n--c\r\n--bb\r\n--b\r\r\n--b-\r\n"): [
        [(b"X", b"y")],
        b"\r\r\n\r\n-\r\n--\r\n--c\r\n--bb\r\n--b\r\r\n--b-\r\n",
        None,
    ],
    # RFC 2046: transport padding, a preamble and an epilogue, which is ignored whatever it is.
    b"--b\r\n\r\n1\r\n--b \t \r\n\r\n2\r\n--b--": [[], b"1", None, [], b"2", None],
    b"preamble --b--\n--b\r\n--b\r\n\r\n1\r\n--b--": [[], b"1", None],
    b"--b--epilogue\r\n--b\r\n\r\n1\r\n--b--": [],
    # One form in another is one part of it.
    parts(b"--c\r\nX: z\r\n\r\n1\r\n--c--"): [[(b"X", b"y")], b"--c\r\nX: z\r\n\r\n1\r\n--c--", None],
    b"--b\r\nX: \xc3\xa9\xff\t;\r\n\r\n\r\n--b--": [[(b"X", b"\xc3\xa9\xff\t;")], None],
}


@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_taken_apart_however_it_is_cut(body: bytes) -> None:
    assert same_however_cut(split, body) == (BODIES[body], False, "")


MALFORMED = {
    b"": "expected a last boundary",
    b"--b": "expected a last boundary",
    b"--b\r\nX: y\r\n\r\n1\r\n--b": "expected a last boundary",
    b"--b\r\nX: y\r\n\r\n1\r\n--b-": "expected a last boundary",
    b"--b\r\n\r\n1\r\n--c--\r\n": "expected a last boundary",
    b"no form at all": "expected a last boundary",
    b"\n--b--": "expected a last boundary",
    b"--bb\r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b \r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b\n\n\n--b--": "expected a form by RFC 7578: ",
    b"--b-\r\n": "expected a form by RFC 7578: ",
    b"--b\r\n : y\r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b\r\n: y\r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b\r\nX : y\r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b\r\nX\r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b\r\nX: y\r\n z\r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b\r\nX: y\rZ: z\r\n\r\n\r\n--b--": "expected a form by RFC 7578: ",
    b"--b\r\nX: y\nZ: z\r\n\r\n\r\n--b--": "without control characters",
    b"--b\r\nX: y\0\r\n\r\n\r\n--b--": "without control characters",
    b"--b\r\nX: y\x7f\r\n\r\n\r\n--b--": "without control characters",
    b"--b\r\n\r\n1\r\n--b \n": "expected a form by RFC 7578: ",
}


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_body_is_refused_however_it_is_cut(body: bytes) -> None:
    _, refused, why = same_however_cut(split, body)
    assert refused
    assert why.startswith("400 ")
    assert MALFORMED[body] in why


@given(
    st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join),
    st.sampled_from([b"", b"--b\r\n", b"--b\r\nX: y\r\n\r\n"]),
    st.sampled_from([b"", b"\r\n--b--"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_any_body_cut_anyhow_gives_the_same(
    begin: bytes, middle: bytes, end: bytes, sizes: list[int]
) -> None:
    body = middle + begin + end
    whole = split([body])
    pieces, at = [], 0
    while at < len(body):
        pieces.append(body[at : at + sizes[len(pieces) % len(sizes)]])
        at += len(pieces[-1])
    # Of two faults another one may be told.
    assert split(pieces)[:2] == split(list(chunks(body, 1)))[:2] == whole[:2]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join), max_size=4), st.integers(1, 20))
def test_what_was_put_together_comes_apart(bodies: list[bytes], size: int) -> None:
    bodies = [body for body in bodies if b"\r\n--b" not in b"\r\n" + body]
    events, refused, _ = split(list(chunks(parts(*bodies), size)))
    assert not refused
    wanted: list[Event] = []
    for body in bodies:
        wanted += [[(b"X", b"y")], *([body] if body else []), None]
    assert events == wanted


# Limits


@pytest.mark.parametrize("count", [4, 5, 6])
def test_parts_are_counted(count: int) -> None:
    events, refused, why = same_however_cut(split, parts(*[b""] * count))
    assert events == [[(b"X", b"y")], None] * min(count, 5)
    assert refused == (count > 5)
    assert not refused or why == "413 expected at most 5 parts in a form"


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        (b"X: " + b"y" * 57 + b"\r\n", True),
        (b"X: " + b"y" * 58 + b"\r\n", False),
        (b"X" * 29 + b": y\r\n" + b"y: z" + b"z" * 24 + b"\r\n", True),
        (b"X" * 29 + b": y\r\n" + b"y: z" + b"z" * 25 + b"\r\n", False),
        (b"X" * 61, False),
        (b"X: " + b"y" * 61, False),
        (b"X:" + b" " * 61, False),
        (b"x:\r\n" * MAX_PART_FIELDS, True),
        (b"x:\r\n" * (MAX_PART_FIELDS + 1), False),
    ],
)
def test_fields_are_bounded(header: bytes, fits: bool) -> None:
    _, refused, why = same_however_cut(split, b"--b\r\n" + header + b"\r\n\r\n--b--")
    assert refused == (not fits)
    assert fits or why.startswith("413 expected at most ")


@pytest.mark.parametrize(("size", "fits"), [(58, True), (59, False)])
def test_what_stands_before_the_first_boundary_is_bounded(size: int, fits: bool) -> None:
    """With the line end that is thought to stand before a body, of 60 bytes."""
    body = b"p" * size + b"\r\n--b--"
    _, refused, why = same_however_cut(split, body)
    assert refused == (not fits)
    assert fits or why.startswith("400 expected a form to begin with its boundary, got b'ppp")


def test_an_endless_preamble_is_refused_on_the_way() -> None:
    splitter = PartSplitter(b"b", max_parts=1, max_header=100)
    for _ in range(5):
        assert list(splitter.feed(b"\r\n" * 10)) == []
    with pytest.raises(BadRequest):
        list(splitter.feed(b"\r\n" * 10))


@pytest.mark.parametrize(
    "endless",
    [
        b"\r\n--b\r\n\r\n" + b"\r" * 200_000,
        b"--b\r\n\r\n" + b"\r\n--bX" * 40_000,
        b"--b\r\n\r\n" + b"\r\n--b\r" * 40_000,
        b"--b\r\n\r\n" + b"\r\n--b-" * 40_000,
        b"--b\r\n\r\n\r\n--b" + b" " * 200_000,
        b"--b--" + b"\r\n--b\r\n" * 40_000,
    ],
)
def test_hostile_bodies_take_linear_time(endless: bytes) -> None:
    """What is quadratic takes minutes here, and the guard of the test run ends it."""
    for size in (1000, len(endless)):
        events, refused, why = split(list(chunks(endless, size)))
        assert not refused or "last boundary" in why
        assert sum(len(event) for event in events if isinstance(event, bytes)) <= len(endless)


def test_what_came_before_an_error_is_told() -> None:
    splitter = PartSplitter(b"b", max_parts=2, max_header=60)
    told = splitter.feed(b"--b\r\n\r\n1\r\n--b\r\n(: x\r\n\r\n")
    assert [next(told) for _ in range(3)] == [[], b"1", None]
    with pytest.raises(BadRequest):
        next(told)


def test_clients_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for body in (*MALFORMED, *BODIES):
            split([body])
    assert caplog.records == []


def test_nothing_of_the_parser_gets_out() -> None:
    splitter = PartSplitter(b"b", max_parts=2, max_header=60)
    with pytest.raises(BadRequest) as told:
        list(splitter.feed(b"--b\r\n(: x\r\n"))
    assert type(told.value) is BadRequest
    assert type(told.value.__cause__).__module__.startswith("python_multipart")


def test_it_is_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for body in (parts(b"1"), *MALFORMED):
            split([body])
        assert gc.collect() == 0
    finally:
        gc.enable()
