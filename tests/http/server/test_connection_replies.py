"""What of a reply goes out: whole, in pieces, without a body, and nothing of one that is wrong."""

from collections.abc import Callable

import h11
import pytest

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.server.request import Request
from http_handlers import Later, echo, only
from http_server_aids import Site, both_engines, get, request

# Replies without a body


@both_engines
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("pieces", [False, True])
def test_a_reply_without_a_body_sends_none_and_the_next_one_follows(
    engine: str, method: str, status: int, pieces: bool
) -> None:
    with Site(engine) as site:

        def handler(request: Request) -> None:
            if pieces:
                request.send_reply_start(status)
                request.send_reply_chunk(b"never seen")
                request.send_reply_end()
            else:
                request.send_reply(status, b"never seen")

        site.server.set_gencb(handler)
        client = site.client()
        client.send(request(method, "/") * 2)
        for _ in range(2):
            reply = client.reply(method)
            assert (reply.status, reply.body) == (status, b"")
            if method == "HEAD" and not pieces:
                assert reply.get("content-length") == "10"
        assert client.silence()


# Replies in pieces


@both_engines
def test_a_reply_in_pieces(engine: str) -> None:
    with Site(engine) as site:

        def handler(request: Request) -> None:
            request.send_reply_start(200, [("A", "b")])
            request.send_reply_chunk(b"one ")
            request.send_reply_chunk(b"")
            buffer = Buffer()
            buffer.add(b"two ")
            request.send_reply_chunk(buffer)
            request.send_reply_chunk("three")
            request.send_reply_end()

        site.server.set_gencb(handler)
        client = site.client()
        for _ in range(2):
            reply = client.ask(get())
            assert reply.body == b"one two three"
            assert reply.get("a") == "b"
            assert reply.get("transfer-encoding") == "chunked"


def test_pieces_of_a_reply_that_leave_one_at_a_time() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200, [("Content-Length", "4")])
        came = []
        for piece in (b"ab", b"cd"):
            site.settle()
            came.append(client.take())
            asked.send_reply_chunk(piece)
        assert site.completed == []
        asked.send_reply_end()
        site.settle()
        assert came[0] is not None
        assert b"Content-Length: 4\r\n" in came[0]
        assert (came[1], client.take()) == (b"ab", b"cd")
        assert site.completed == [("/", 200)]
        assert asked.reply_size == 4


def test_pieces_before_the_start_are_an_error() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get() * 2)
        later.requests[0].send_reply_start(200)
        later.requests[0].send_reply_end()
        client.reply()
        asked = later.requests[1]
        with pytest.raises(LocalProtocolError, match="send_reply_start"):
            asked.send_reply_chunk(b"x")
        with pytest.raises(LocalProtocolError, match="send_reply_start"):
            asked.send_reply_end()
        asked.send_reply(200, b"fine")
        assert client.reply().body == b"fine"


def test_an_end_before_the_content_length_closes() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        asked.send_reply_start(200, [("Content-Length", "3")])
        asked.send_reply_chunk(b"ab")
        with pytest.raises(LocalProtocolError, match="1 bytes before"):
            asked.send_reply_end()
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            client.reply()


@pytest.mark.parametrize(
    ("method", "status", "size"), [("GET", 200, 6), ("HEAD", 200, 0), ("GET", 204, 0), ("GET", 304, 0)]
)
@pytest.mark.parametrize("how", ["whole", "chunks", "sized"])
def test_reply_size_counts_the_bytes_of_the_body_that_are_sent(
    method: str, status: int, size: int, how: str
) -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            asked.append(request)
            if how == "whole":
                request.send_reply(status, b"abcdef")
                return
            request.send_reply_start(status, [("Content-Length", "6")] if how == "sized" else [])
            buffer = Buffer()
            buffer.add(b"def")
            request.send_reply_chunk(b"abc")
            request.send_reply_chunk(buffer)
            if how == "sized":
                with pytest.raises(LocalProtocolError, match="0 are left"):
                    request.send_reply_chunk(b"never sent")
            request.send_reply_end()

        asked: list[Request] = []
        site.server.set_gencb(handler)
        client = site.client()
        assert len(client.ask(request(method, "/"), method).body) == size
        assert asked[0].reply_size == size


@both_engines
def test_two_replies_to_one_request_send_one(engine: str) -> None:
    with Site(engine) as site:
        errors = []

        def handler(request: Request) -> None:
            request.send_reply(200, b"first")
            try:
                request.send_reply(500, b"second")
            except LocalProtocolError as error:
                errors.append(error)

        site.server.set_gencb(handler)
        client = site.client()
        assert client.ask(get()).body == b"first"
        assert client.silence()
        assert len(errors) == 1


# Fields


BAD_FIELDS = [
    ("X", "a\r\nSet-Cookie: b"),
    ("X", "a\nb"),
    ("X", "a\rb"),
    ("X", "a\0b"),
    ("X", "€"),
    ("X\r\nY", "v"),
    ("X:Y", "v"),
    ("X: a", "v"),
    ("", "v"),
    ("Date", "a\r\nb"),
    ("Connection", "close\r\nX: y"),
    ("Content-Length", "5"),
    ("Content-Length", "x"),
    ("Transfer-Encoding", "chunked"),
]


@pytest.mark.parametrize(
    ("field", "pieces"),
    [
        (field, pieces)
        for field in BAD_FIELDS
        for pieces in (False, True)
        if not pieces or field != ("Content-Length", "5")  # right for a reply in pieces
    ],
)
def test_of_a_reply_with_a_bad_field_nothing_is_sent(field: tuple[str, str], pieces: bool) -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        (asked,) = later.requests
        send: Callable[..., None] = asked.send_reply_start if pieces else asked.send_reply
        with pytest.raises(LocalProtocolError):
            send(200, headers=[("A", "b"), field])
        assert not only(site).bev.output
        assert asked.status == 0
        asked.send_reply(200, b"after all")
        assert client.reply().body == b"after all"


@pytest.mark.parametrize("field", [("X", 1), (b"X", "v"), ("X", None)])
def test_a_field_that_is_no_text_is_a_500(field: tuple[str, str]) -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, b"", [field]))
        assert site.client().ask(get()).status == 500
        assert [type(error) for error in site.take_escaped()] == [TypeError]


def test_fields_may_come_from_a_generator() -> None:
    with Site() as site:
        pairs = [("A", "1"), ("Date", "today"), ("B", "2")]
        site.server.set_gencb(lambda request: request.send_reply(200, b"x", (pair for pair in pairs)))
        reply = site.client().ask(get())
        assert [reply.get("a"), reply.get("date"), reply.get("b")] == ["1", "today", "2"]


def test_every_reply_has_a_date() -> None:
    with Site() as site:
        site.server.set_gencb(echo)
        client = site.client()
        for sent in (get(), b"bad\r\n\r\n"):
            assert str(client.ask(sent).get("date")).endswith(" GMT")
