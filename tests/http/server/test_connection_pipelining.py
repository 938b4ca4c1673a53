"""Requests that come before the reply to the one before them: order, and what has to wait."""

import pytest

from http_handlers import Later, echo
from http_server_aids import Site, both_engines, chunked, get, request


@both_engines
def test_pipelined_requests_are_answered_in_order(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.send(
            get("/0")
            + request("POST", "/1", body=b"one")
            + chunked("PUT", "/2", b"tw", b"o")
            + b"\r\n"
            + get("/3", "Connection: close")
            + get("/4")
        )
        bodies = [client.reply().body for _ in range(4)]
        assert bodies == [b"GET /0 ", b"POST /1 one", b"PUT /2 two", b"GET /3 "]
        assert client.rest() == b""
        assert len(site.completed) == 4


@both_engines
def test_a_reply_that_comes_late_holds_the_next_one_back(engine: str) -> None:
    with Site(engine) as site:
        later = Later()
        site.server.set_gencb(echo)
        site.server.set_cb("/later", later)
        client = site.client()
        client.send(get("/0") + get("/later") + get("/2") + get("/later") + get("/4"))
        assert client.reply().body == b"GET /0 "
        assert client.silence()
        later.requests[0].send_reply(200, b"first")
        assert [client.reply().body for _ in range(2)] == [b"first", b"GET /2 "]
        assert client.silence()
        later.requests[1].send_reply(200, b"second")
        assert [client.reply().body for _ in range(2)] == [b"second", b"GET /4 "]
        assert len(later.requests) == 2


@pytest.mark.parametrize("drain", [0.0, 5.0])
def test_a_server_that_stops_says_so_to_a_pipeline_that_waits_for_its_client_to_read(drain: float) -> None:
    with Site() as site:
        site.server.set_gencb(lambda asked: asked.send_reply(200, bytes(65536)))
        client = site.client(receive_buffer=4096)
        client.send(get() * 100)
        site.settle()
        answered = len(site.completed)
        assert answered < 100
        site.server.stop(grace=None, drain=drain)
        site.settle()
        replies = [client.reply() for _ in range(answered + 1)]
        assert [reply.get("connection") for reply in replies] == [None] * answered + ["close"]
        client.finish()
        assert client.rest() == b""
