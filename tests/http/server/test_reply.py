"""`evkit.http.server.reply` as its client sees it: h11, in the client's role, reads each head that is made."""

import string
from functools import partial
from typing import Any, NamedTuple

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import LocalProtocolError
from evkit.http.parser.contract import RequestHead
from evkit.http.server.reply import UNKNOWN_LENGTH, Framing, chunk_head, frame, has_body, plain_head

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
Pairs = list[tuple[str, str]]


def head(method: str = "GET", minor: int = 1, *, keep_alive: bool = True) -> RequestHead:
    return RequestHead(method, "/", minor, "a", 0, keep_alive, False, b"")


def framed(
    fields: Pairs | None = None,
    *,
    method: str = "GET",
    minor: int = 1,
    status: int = 200,
    length: int = 0,
    keep_alive: bool = True,
) -> Framing:
    return frame(head(method, minor), status, DATE, fields or [], length, keep_alive=keep_alive)


def parsed(raw: bytes, method: str = "GET") -> tuple[h11.Response, h11.Connection]:
    """Read a reply's head as a client that has sent one request, and keep the client to read on."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(raw)
    event = client.next_event()
    assert isinstance(event, h11.Response)
    return event, client


def fields_of(framing: Framing, method: str = "GET") -> dict[str, str]:
    """The fields of a head by lower-case name, each of which stands there once."""
    event, _ = parsed(framing.head, method)
    pairs = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


@pytest.mark.parametrize(
    ("method", "status", "has"),
    [
        ("GET", 200, True),
        ("GET", 404, True),
        ("GET", 205, False),
        ("GET", 204, False),
        ("GET", 304, False),
        ("HEAD", 200, False),
        ("HEAD", 404, False),
        ("CONNECT", 200, False),
        ("CONNECT", 299, False),
        ("CONNECT", 300, True),
        ("CONNECT", 407, True),
    ],
)
def test_which_replies_have_a_body(method: str, status: int, has: bool) -> None:
    assert has_body(method, status) is has


def test_the_common_reply() -> None:
    raw = plain_head(head(), 200, DATE, [("A", "b"), ("C", "d")], 5)
    assert raw == (
        b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nA: b\r\nC: d\r\nContent-Length: 5\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("request_head", "status", "fields"),
    [
        (head(), 200, [("Connection", "x")]),
        (head(), 200, [("A", "b"), ("CONTENT-LENGTH", "1")]),
        (head(), 200, [("Date", "x")]),
        (head(), 200, [("Transfer-Encoding", "chunked")]),
        (head(), 204, []),
        (head(), 304, []),
        (head("HEAD"), 200, []),
        (head("CONNECT"), 200, []),
        (head(minor=0), 200, []),
        (head(keep_alive=False), 200, []),
    ],
)
def test_any_other_reply_is_not_the_common_one(request_head: RequestHead, status: int, fields: Pairs) -> None:
    assert plain_head(request_head, status, DATE, fields, 1) is None


@pytest.mark.parametrize("field", [("X", "a\r\nb"), ("X:Y", "v"), ("", "v"), ("Date", "a\nb")])
def test_the_common_reply_has_no_bad_fields(field: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        plain_head(head(), 200, DATE, [("A", "b"), field], 1)


def test_a_whole_reply_tells_its_length() -> None:
    framing = framed(length=5)
    assert fields_of(framing) == {"date": "Sun, 06 Nov 1994 08:49:37 GMT", "content-length": "5"}
    assert (framing.left, framing.chunked, framing.silent, framing.keep_alive) == (5, False, False, True)


def test_pieces_go_out_in_chunks() -> None:
    framing = framed(length=UNKNOWN_LENGTH)
    assert fields_of(framing)["transfer-encoding"] == "chunked"
    assert "content-length" not in fields_of(framing)
    assert (framing.left, framing.chunked, framing.keep_alive) == (UNKNOWN_LENGTH, True, True)


def test_pieces_for_http_1_0_end_with_the_connection() -> None:
    framing = framed(length=UNKNOWN_LENGTH, minor=0)
    found = fields_of(framing)
    assert "transfer-encoding" not in found
    assert "content-length" not in found
    assert found["connection"] == "close"
    assert (framing.chunked, framing.keep_alive) == (False, False)


def test_pieces_of_a_known_length_are_not_chunked() -> None:
    for minor in (0, 1):
        framing = framed([("Content-Length", "5")], length=UNKNOWN_LENGTH, minor=minor)
        found = fields_of(framing)
        assert found["content-length"] == "5"
        assert "transfer-encoding" not in found
        assert (framing.left, framing.chunked, framing.keep_alive) == (5, False, True)


def test_http_1_0_is_told_that_the_connection_stays() -> None:
    assert fields_of(framed(minor=0, length=1))["connection"] == "keep-alive"
    assert fields_of(framed(minor=0, length=1, keep_alive=False))["connection"] == "close"
    assert "connection" not in fields_of(framed(minor=1, length=1))
    assert fields_of(framed(minor=1, length=1, keep_alive=False))["connection"] == "close"


@pytest.mark.parametrize("value", ["close", "Close", "x, close", "close,x"])
def test_a_handler_closes_by_its_connection_field(value: str) -> None:
    framing = framed([("Connection", value)])
    assert not framing.keep_alive
    assert fields_of(framing)["connection"] == value


@pytest.mark.parametrize("value", ["keep-alive", "x", "upgrade", "closed", "not-close"])
def test_another_connection_field_closes_nothing(value: str) -> None:
    framing = framed([("Connection", value)])
    assert framing.keep_alive
    assert fields_of(framing)["connection"] == value


@pytest.mark.parametrize("value", ["keep-alive", "x", "closed", "not-close"])
def test_a_connection_that_ends_says_so_beside_the_handlers_words(value: str) -> None:
    framing = framed([("Connection", value)], keep_alive=False)
    assert not framing.keep_alive
    _, client = parsed(framing.head)
    client.next_event()
    assert client.their_state is h11.MUST_CLOSE
    assert value in fields_of(framing)["connection"]


def test_two_connection_fields_become_one_list() -> None:
    framing = framed([("Connection", "x"), ("connection", "close")])
    assert not framing.keep_alive
    assert fields_of(framing)["connection"] == "x, close"


def test_the_handlers_date_replaces_evkits() -> None:
    assert (
        fields_of(framed([("date", "Thu, 01 Jan 1970 00:00:00 GMT")]))["date"]
        == "Thu, 01 Jan 1970 00:00:00 GMT"
    )


@pytest.mark.parametrize("name", ["Date", "Content-Length"])
def test_a_field_that_stands_once_is_not_given_twice(name: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"one {name} field"):
        framed([(name, "0"), (name, "0")])


@pytest.mark.parametrize("value", ["chunked", "gzip, chunked", "identity", ""])
@pytest.mark.parametrize("length", [0, 5, UNKNOWN_LENGTH])
def test_transfer_encoding_is_not_the_handlers(value: str, length: int) -> None:
    with pytest.raises(LocalProtocolError, match="Transfer-Encoding"):
        framed([("Transfer-Encoding", value)], length=length)


@pytest.mark.parametrize(
    "value", ["", "x", "-1", "+5", "5 ", " 5", "5,5", "0x5", "5.0", "1_0", "²", "\uff15"]
)
def test_a_content_length_that_is_no_number(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        framed([("Content-Length", value)], length=5)


def test_a_content_length_of_too_many_digits_is_refused_as_such() -> None:
    with pytest.raises(LocalProtocolError):
        framed([("Content-Length", "1" * 5000)], length=UNKNOWN_LENGTH)


@pytest.mark.parametrize(("said", "length"), [("4", 5), ("6", 5), ("0", 5), ("5", 0)])
def test_a_content_length_that_contradicts_the_body(said: str, length: int) -> None:
    with pytest.raises(LocalProtocolError, match="Content-Length says"):
        framed([("Content-Length", said)], length=length)


def test_a_content_length_that_agrees_is_said_once() -> None:
    assert fields_of(framed([("content-length", "005")], length=5))["content-length"] == "5"


@pytest.mark.parametrize("status", [200, 404])
def test_head_tells_the_length_that_get_would_have(status: int) -> None:
    framing = framed(method="HEAD", status=status, length=5)
    assert fields_of(framing, "HEAD")["content-length"] == "5"
    assert framing.silent


def test_head_without_a_body_may_tell_any_length() -> None:
    framing = framed([("Content-Length", "123")], method="HEAD", length=0)
    assert fields_of(framing, "HEAD")["content-length"] == "123"


def test_head_of_a_reply_in_pieces_keeps_the_connection() -> None:
    for minor in (0, 1):
        framing = framed(method="HEAD", length=UNKNOWN_LENGTH, minor=minor)
        assert framing.silent
        assert framing.keep_alive
        assert "content-length" not in fields_of(framing, "HEAD")


@pytest.mark.parametrize("length", [0, 5, UNKNOWN_LENGTH])
def test_204_has_no_length_and_no_coding(length: int) -> None:
    framing = framed(status=204, length=length)
    assert framing.silent
    assert framing.keep_alive
    assert not fields_of(framing).keys() & {"content-length", "transfer-encoding"}


def test_304_tells_a_length_only_if_the_handler_does() -> None:
    assert "content-length" not in fields_of(framed(status=304))
    framing = framed([("Content-Length", "5")], status=304)
    assert fields_of(framing)["content-length"] == "5"
    assert framing.silent


@pytest.mark.parametrize("length", [0, UNKNOWN_LENGTH])
def test_connect_that_succeeds_has_no_length_and_no_coding(length: int) -> None:
    # RFC 9110 §8.6 and RFC 9112 §6.1: MUST NOT.
    framing = framed(method="CONNECT", length=length)
    assert framing.silent
    assert not fields_of(framing, "CONNECT").keys() & {"content-length", "transfer-encoding"}


def test_connect_that_fails_is_like_any_other_reply() -> None:
    framing = framed(method="CONNECT", status=407, length=5)
    assert not framing.silent
    assert fields_of(framing, "CONNECT")["content-length"] == "5"


def test_a_bad_field_is_an_error_wherever_it_stands() -> None:
    for fields in (
        [("X", "a\r\nb")],
        [("Date", "a\nb")],
        [("Connection", "\0")],
        [("Content-Length", "5\r\n")],
    ):
        with pytest.raises(LocalProtocolError):
            framed(fields, length=5)


def test_the_size_of_a_chunk() -> None:
    assert chunk_head(1) == b"1\r\n"
    assert chunk_head(65536) == b"10000\r\n"


# Any reply: what the handler asked for arrives, or it is told.

NAMES = st.sampled_from(
    [
        "A",
        "Content-Type",
        "Set-Cookie",
        "X",
        "Connection",
        "Content-Length",
        "Date",
        "Transfer-Encoding",
        "",
        "a b",
        "a:",
    ]
) | st.text(string.ascii_letters + "-_\r\n: \0é", max_size=8)
VALUES = st.sampled_from(
    ["", "v", "5", "0", "close", "keep-alive", "chunked", "a\r\nB: c", "é", "€", "Thu"]
) | st.text(max_size=8)


@given(
    fields=st.lists(st.tuples(NAMES, VALUES), max_size=5),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    minor=st.integers(0, 1),
    status=st.sampled_from([200, 204, 206, 304, 404, 500]),
    length=st.sampled_from([UNKNOWN_LENGTH, 0, 5]),
    keep_alive=st.booleans(),
)
def test_any_fields_arrive_or_are_refused(
    fields: Pairs, method: str, minor: int, status: int, length: int, keep_alive: bool
) -> None:
    try:
        framing = framed(
            fields, method=method, minor=minor, status=status, length=length, keep_alive=keep_alive
        )
    except LocalProtocolError:
        return
    event, client = parsed(framing.head, method)
    came = [(name.decode().lower(), value.decode("latin-1")) for name, value in event.headers]
    plain = {"connection", "content-length", "date"}
    assert [pair for pair in came if pair[0] not in plain | {"transfer-encoding"}] == [
        (name.lower(), value.strip(" \t")) for name, value in fields if name.lower() not in plain
    ]
    body = b"" if framing.silent else b"v" * (framing.left if framing.left > 0 else 5 if length else 0)
    if body and framing.chunked:
        client.receive_data(chunk_head(len(body)) + body + b"\r\n")
    elif body:
        client.receive_data(body)
    if framing.chunked:
        client.receive_data(b"0\r\n\r\n")
    elif not framing.keep_alive:
        client.receive_data(b"")
    received = bytearray()
    while isinstance(piece := client.next_event(), h11.Data):
        received += piece.data
    assert isinstance(piece, h11.EndOfMessage)
    assert received == body
    assert (client.their_state is h11.DONE) == framing.keep_alive


@pytest.mark.parametrize("bad", [["A", "b"], "Ab", ("A", "b", "c"), 5, ("A",)])
@pytest.mark.parametrize("method", ["GET", "HEAD"])  # by the short way, and by the long one
def test_what_is_no_pair_is_named(bad: object, method: str) -> None:
    fields: list[Any] = [("X", "y"), bad]
    make = framed if method == "HEAD" else partial(plain_head, head(method), 200, DATE, length=0)
    with pytest.raises(TypeError, match=r"pairs \(name, value\) of str, got") as caught:
        make(fields=fields)
    assert repr(bad) in str(caught.value)


def test_a_named_tuple_is_a_pair() -> None:
    class Field(NamedTuple):
        name: str
        value: str

    assert b"X-Named: v\r\n" in framed([Field("X-Named", "v")]).head
