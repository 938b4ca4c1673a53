"""Handlers that fail: one request is the worse for it, or one connection, and somebody hears of it."""

import logging

import h11
import pytest

from evkit.core.base import log_exception
from evkit.http.server.request import Request
from http_handlers import echo
from http_server_aids import Site, both_engines, get, request


@both_engines
def test_a_handler_that_raises_is_a_500_and_the_connection_goes_on(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_cb("/bad", lambda request: 1 // 0)
        site.server.set_cb("/good", echo)
        other, client = site.client(), site.client()
        other.send(b"GET /good HTT")
        client.send(get("/good") + get("/bad") + get("/good"))
        assert [client.reply().status for _ in range(3)] == [200, 500, 200]
        assert [type(error) for error in site.take_escaped()] == [ZeroDivisionError]
        assert other.ask(b"P/1.1\r\nHost: a\r\n\r\n").status == 200
        assert site.completed == [("/good", 200), ("/bad", 500), ("/good", 200), ("/good", 200)]


def test_what_a_handler_raises_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with Site() as site, caplog.at_level(logging.ERROR, "evkit"):
        site.base.exception_handler = log_exception
        site.server.set_gencb(lambda request: 1 // 0)
        assert b"ZeroDivisionError" not in site.client().ask(get()).body
        (record,) = caplog.records
        assert "ZeroDivisionError" in record.message
        assert "Traceback" in record.message
        assert "GET /" in record.message


def test_the_exception_handler_gets_the_request() -> None:
    with Site() as site:
        seen: list[tuple[Exception, object]] = []
        site.base.exception_handler = lambda error, source: seen.append((error, source))
        site.server.set_gencb(lambda request: 1 // 0)
        site.client().ask(get("/x"))
        ((error, source),) = seen
        assert isinstance(error, ZeroDivisionError)
        assert isinstance(source, Request)
        assert source.target == "/x"


def test_a_handler_that_raises_after_the_start_closes_the_connection() -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            request.send_reply_start(200)
            request.send_reply_chunk(b"half")
            raise RuntimeError("broken")

        site.server.set_cb("/half", handler)
        site.server.set_cb("/", echo)
        other, client = site.client(), site.client()
        client.send(get("/half") + get())
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            client.reply()
        assert [str(error) for error in site.take_escaped()] == ["broken"]
        assert other.ask(get()).status == 200
        assert site.completed == [("/half", 200), ("/", 200)]


def test_a_handler_that_raises_after_its_reply_has_answered() -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            request.send_reply(200, b"fine")
            raise RuntimeError("too late")

        site.server.set_gencb(handler)
        client = site.client()
        assert client.ask(get()).body == b"fine"
        assert client.ask(get()).body == b"fine"
        assert [str(error) for error in site.take_escaped()] == ["too late"] * 2


@pytest.mark.parametrize("where", ["head", "data", "end"])
@both_engines
def test_a_streaming_handler_that_raises_is_a_500(engine: str, where: str) -> None:
    with Site(engine) as site:

        def fail(*_: object) -> None:
            raise RuntimeError("broken")

        def handler(request: Request) -> None:
            if where == "head":
                fail()
            request.receive(fail if where == "data" else lambda *_: None, fail)

        site.server.set_gencb(handler, stream=True)
        client = site.client()
        reply = client.ask(request("POST", "/", body=b"abc"))
        assert reply.status == 500
        assert [str(error) for error in site.take_escaped()] == ["broken"]
        client.finish()
        assert client.rest() == b""


def test_an_on_close_that_raises_hurts_nobody_else() -> None:
    with Site() as site:

        def fail(request: Request) -> None:
            raise RuntimeError("broken")

        def handler(request: Request) -> None:
            request.on_close = fail

        site.server.set_gencb(handler)
        for _ in range(3):
            site.client().send(get())
        site.connected(3)
        site.server.close()
        assert not site.server.connections
        assert [str(error) for error in site.take_escaped()] == ["broken"] * 3
