"""Requests that come before the reply to the one before them: order, and what has to wait."""

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
