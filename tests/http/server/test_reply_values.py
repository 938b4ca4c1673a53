"""What a handler may say in a reply, on the wire: text from the path, fields of any kind, bodies that are not sent."""

from collections.abc import Callable
from typing import Any

import pytest

from evkit.core import Buffer
from evkit.http.server.request import Request
from http_handlers import echo
from http_server_aids import Site, both_engines, get, request


def test_bytes_of_the_path_that_are_no_utf8_come_back_as_they_were() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, f"hi {request.path}"))
        client = site.client()
        assert client.ask(get("/%ff")).body == b"hi /\xff"
        assert client.ask(get("/%c3%a9")).body == "hi /é".encode()


def whole(request: Request, body: Buffer) -> None:
    request.send_reply(200, body)


def in_pieces(request: Request, body: Buffer) -> None:
    request.send_reply_start(200)
    request.send_reply_chunk(body)
    request.send_reply_end()


@pytest.mark.parametrize("answer", [whole, in_pieces])
@pytest.mark.parametrize(("method", "sent"), [("GET", 5), ("HEAD", 0)])
def test_a_buffer_is_emptied_and_counted_only_if_it_is_sent(
    answer: Callable[[Request, Buffer], None], method: str, sent: int
) -> None:
    with Site() as site:
        body = Buffer()
        body.add(b"hello")
        sizes: list[int] = []
        site.server.on_complete = lambda request: sizes.append(request.reply_size)
        site.server.set_gencb(lambda request: answer(request, body))
        reply = site.client().ask(request(method, "/"), method)
        assert len(reply.body) == sent
        assert len(body) == 0
        assert sizes == [sent]


@both_engines
def test_205_says_that_it_has_no_body_and_has_none(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_cb("/reset", lambda request: request.send_reply(205, b"never seen"))
        site.server.set_gencb(echo)
        client = site.client()
        reply = client.ask(get("/reset"))
        assert (reply.status, reply.get("content-length"), reply.body) == (205, "0", b"")
        assert client.ask(get("/next")).body == b"GET /next "


def test_205_in_pieces_says_so_too() -> None:
    def pieces(request: Request) -> None:
        request.send_reply_start(205)
        request.send_reply_chunk(b"never seen")
        request.send_reply_end()

    with Site() as site:
        site.server.set_cb("/reset", pieces)
        site.server.set_gencb(echo)
        client = site.client()
        reply = client.ask(get("/reset"))
        assert (reply.get("content-length"), reply.get("transfer-encoding"), reply.body) == ("0", None, b"")
        assert client.ask(get("/next")).body == b"GET /next "


@pytest.mark.parametrize("pieces", [False, True])
def test_fields_may_be_a_dict(pieces: bool) -> None:
    fields = {"Content-Type": "text/plain", "Connection": "close"}

    def handler(request: Request) -> None:
        if pieces:
            request.send_reply_start(200, fields)
            request.send_reply_end()
        else:
            request.send_reply(200, b"", fields)

    with Site() as site:
        site.server.set_gencb(handler)
        client = site.client()
        reply = client.ask(get())
        assert (reply.get("content-type"), reply.get("connection")) == ("text/plain", "close")
        assert client.rest() == b""


@pytest.mark.parametrize(
    "fields",
    [
        "A: b",
        "ab",
        {"A": 1},
        {1: "b"},
        {b"X-Bytes": b"x"},
        [("A",)],
        [["A", "b"]],
        [("A", "b", "c")],
        ["ab"],
        [1],
        7,
    ],
)
@pytest.mark.parametrize("pieces", [False, True])
def test_fields_that_are_none_are_a_mistake_and_the_client_gets_500(fields: Any, pieces: bool) -> None:
    def handler(request: Request) -> None:
        if pieces:
            request.send_reply_start(200, fields)
        else:
            request.send_reply(200, b"", fields)

    with Site() as site:
        site.server.set_gencb(handler)
        assert site.client().ask(get()).status == 500
        assert [type(error) for error in site.take_escaped()] == [TypeError]
