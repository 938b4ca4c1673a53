"""`ReverseProxy`: which requests are passed on and where, what is said of them, and what it can be told to do."""

import logging
from typing import Any
from urllib.parse import unquote

import pytest

from evkit.core import EventBase
from evkit.errors import LocalProtocolError
from evkit.http import Request, Response, ReverseProxy
from http_client_aids import reply
from http_relay_aids import chain, fields_of
from http_server_aids import get, request

Pairs = list[tuple[str, str]]


class TestWhere:
    @pytest.mark.parametrize(
        ("path", "target", "asked"),
        [
            ("", "/", "/"),
            ("", "/a%2fb?c=d&?e", "/a%2fb?c=d&?e"),
            ("/", "/a?", "/a?"),
            ("", "//elsewhere.invalid/", "//elsewhere.invalid/"),
            ("", "http://elsewhere.invalid/a?b", "/a?b"),
            ("", "http://elsewhere.invalid", "/"),
            ("", "/../a", "/../a"),
            ("/below/", "/a", "/below/a"),
            ("/below", "/", "/below/"),
            ("/below", "/a..b", "/below/a..b"),
        ],
    )
    def test_the_target_stays_and_the_server_is_ours(
        self, manual_base: EventBase, path: str, target: str, asked: str
    ) -> None:
        with chain(manual_base, path=path) as made:
            client, wire, head = made.ask(get(target))
            assert head.startswith(b"GET %b HTTP/1.1\r\n" % asked.encode())
            wire.send(reply(b"here"))
            assert client.reply().body == b"here"

    def test_whatever_stands_in_a_target(self, manual_base: EventBase) -> None:
        visible = "".join(map(chr, range(0x21, 0x7F))).replace("#", "").replace("?", "")
        target = f"/{visible}%zz%41%?{visible}?"
        with chain(manual_base) as made:
            client, wire, head = made.ask(get(target))
            asked = head.decode().split(" ")[1]
            assert unquote(asked) == unquote(target)
            assert "%zz" not in asked
            wire.send(reply(b"here"))
            assert client.reply().body == b"here"

    def test_a_field_of_the_programs_own_is_not_shown(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.on_request = lambda request, fields: fields.append(("X-Token", "secret\n"))
            client = made.site.client()
            client.send(get())
            came = client.reply()
            assert came.status == 400
            assert b"secret" not in came.body

    @pytest.mark.parametrize(
        ("path", "data", "status"),
        [
            ("", request("OPTIONS", "*"), 501),
            ("", request("TRACE", "/"), 501),
            ("", b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 501),
            ("/below", get("/../a"), 400),
            ("/below", get("/a/%2e%2e/%2E./b"), 400),
            ("/below", get("/..%5ca"), 400),
            ("", get("/", "Authorization: a", "Authorization: b"), 400),
            ("", get("/", "Via: 1.1 other, 1.1 me"), 508),
            ("", request("OPTIONS", "/", "Max-Forwards: 0"), 204),
        ],
    )
    def test_what_is_not_passed_on(self, manual_base: EventBase, path: str, data: bytes, status: int) -> None:
        with chain(manual_base, path=path, name="me") as made:
            client = made.site.client()
            assert client.ask(data).status == status
            assert not made.place.waiting()
            assert made.failures == []

    def test_a_circle_ends(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            with ReverseProxy(manual_base, f"http://{made.site.listener.address}") as circle:
                made.site.server.set_gencb(circle, stream=True)
                assert made.site.client().ask(get()).status == 508
            made.site.settle()

    def test_one_behind_another_is_no_circle(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            with ReverseProxy(manual_base, f"http://{made.site.listener.address}/next") as before:
                made.site.server.set_cb("/a", before, stream=True)
                client, wire, head = made.ask(get("/a"))
                assert head.startswith(b"GET /next/a ")
                assert head.count(b"\r\nVia: ") == 2
                wire.send(reply(b"here"))
                assert client.reply().body == b"here"
            made.site.settle()


class TestFields:
    def test_what_the_server_is_told(self, manual_base: EventBase) -> None:
        with chain(manual_base, name="me") as made:
            client, wire, head = made.ask(
                get(
                    "/",
                    "X-A: \xe4",
                    "Connection: x-b, close",
                    "X-B: 2",
                    "Upgrade: websocket",
                    "X-Forwarded-For: 203.0.113.1",
                    "Via: 1.0 other",
                    "Cookie: a=b",
                )
            )
            lines = head.decode("latin-1").split("\r\n")
            assert lines[1] == f"Host: 127.0.0.1:{made.place.port}"
            assert [line for line in lines if line.startswith("Via")] == ["Via: 1.0 other", "Via: 1.1 me"]
            told = fields_of(head.replace(b"Via: 1.0 other\r\n", b""))
            assert told["x-a"] == "\xe4"
            assert told["cookie"] == "a=b"
            assert told["x-forwarded-for"] == "127.0.0.1"
            assert told["x-forwarded-proto"] == "http"
            assert told["x-forwarded-host"] == "a"
            assert not told.keys() & {"x-b", "upgrade", "connection", "accept-encoding", "content-length"}
            wire.send(reply(b"", "X-C: 3", "Connection: x-c", "Keep-Alive: 5", "Server: s", "Date: then"))
            answer = client.reply()
            assert (answer.get("Server"), answer.get("Date")) == ("s", "then")
            assert (answer.get("X-C"), answer.get("Keep-Alive")) == (None, None)

    @pytest.mark.parametrize(
        ("options", "name", "value"),
        [
            ({"keep_host": True}, "host", "a"),
            ({"forwarded": "forwarded"}, "forwarded", 'for=127.0.0.1;host="a";proto=http'),
            ({"forwarded": None}, "x-forwarded-for", None),
            ({"headers": [("User-Agent", "p")]}, "user-agent", "p"),
        ],
    )
    def test_options(
        self, manual_base: EventBase, options: dict[str, Any], name: str, value: str | None
    ) -> None:
        with chain(manual_base, **options) as made:
            client, wire, head = made.ask(get())
            assert fields_of(head).get(name) == value
            wire.send(reply())
            assert client.reply().status == 200

    def test_a_client_that_names_no_host(self, manual_base: EventBase) -> None:
        with chain(manual_base, keep_host=True) as made:
            client, wire, head = made.ask(b"GET / HTTP/1.0\r\n\r\n")
            assert fields_of(head)["host"] == f"127.0.0.1:{made.place.port}"
            assert fields_of(head)["via"].startswith("1.0 evkit-")
            wire.send(reply(b"x"))
            assert client.rest().endswith(b"\r\n\r\nx")

    def test_one_hop_less(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, head = made.ask(request("OPTIONS", "/", "Max-Forwards: 2"))
            assert fields_of(head)["max-forwards"] == "1"
            wire.send(reply(status=204))
            assert client.reply().status == 204

    def test_credentials_of_the_url(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.close()
            url = made.place.url.replace("http://", "http://u:p@")
            with ReverseProxy(manual_base, url) as proxy:
                made.site.server.set_gencb(proxy, stream=True)
                client, wire, head = made.ask(get())
                assert fields_of(head)["authorization"] == "Basic dTpw"
                wire.send(reply())
                assert client.reply().status == 200
                assert "u:p" not in repr(proxy)
                made.site.settle()


class TestHooks:
    def test_a_request_is_changed_and_a_response(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.on_request = lambda request, fields: fields.append(("X-Asked", request.path))
            seen: list[tuple[Request, Response]] = []

            def on_response(request: Request, response: Response, fields: Pairs) -> None:
                seen.append((request, response))
                fields[:] = [("X-Answered", str(response.status))]

            made.proxy.on_response = on_response
            client, wire, head = made.ask(get("/a"))
            assert fields_of(head)["x-asked"] == "/a"
            wire.send(reply(b"body", "Server: s", status=201))
            answer = client.reply()
            assert (answer.get("X-Answered"), answer.get("Server"), answer.body) == ("201", None, b"body")
            ((asked, answered),) = seen
            assert (asked.target, answered.status) == ("/a", 201)

    def test_a_request_is_answered(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.on_request = lambda request, fields: request.send_reply(403)
            assert made.site.client().ask(request("PUT", "/", body=b"x")).status == 403
            made.proxy.on_request = lambda request, fields: request.send_reply_start(200)
            client = made.site.client()
            client.send(get())
            made.site.settle()
            assert (client.take() or b"").startswith(b"HTTP/1.1 200 OK\r\n")
            made.proxy.on_request = lambda request, fields: request.abort()
            client = made.site.client()
            client.send(get())
            assert client.rest() == b""
            assert not made.place.waiting()

    def test_a_request_is_answered_later(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            kept: list[Request] = []
            made.proxy.on_request = lambda request, fields: kept.append(request)
            client, wire, _ = made.ask(get())
            passage = getattr(kept[0].on_close, "__self__", None)
            assert repr(passage) == "<Passage <Request GET / unanswered> <Future pending callbacks=1>>"
            kept[0].send_reply(503)
            assert client.reply().status == 503
            wire.send(b"HTTP/1.1 103 E\r\nLink: </a>\r\n\r\n")
            wire.send(reply(b"too late"))
            assert client.silence()
            assert made.failures == []

    def test_a_hook_that_fails(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.on_request = lambda request, fields: 1 / 0
            assert made.site.client().ask(get()).status == 500
            assert isinstance(made.site.take_escaped()[0], ZeroDivisionError)
            made.proxy.on_request = None
            made.proxy.on_response = lambda request, response, fields: 1 / 0
            client, wire, _ = made.ask(get())
            wire.send(reply(b"x" * 100))
            assert client.reply().status == 500
            assert isinstance(made.site.take_escaped()[0], ZeroDivisionError)
            assert made.failures == []
            assert wire.closed()

    def test_the_hook_for_failures_fails(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.on_failed = lambda request, error: 1 / request.status * 0 / 0
            made.place.socket.close()
            assert made.site.client().ask(get()).status == 502
            assert isinstance(made.site.take_escaped()[0], ZeroDivisionError)

    @pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", reply(b"whole")])
    def test_a_response_is_answered_otherwise(self, manual_base: EventBase, data: bytes) -> None:
        with chain(manual_base) as made:
            made.proxy.on_response = lambda request, response, fields: request.send_reply(404)
            client, wire, _ = made.ask(get())
            wire.send(data)
            assert client.reply().status == 404
            made.proxy.on_response = lambda request, response, fields: request.abort()
            client.send(get())
            (made.place.accept() if wire.closed() else wire).send(data)
            assert client.rest() == b""
            assert made.failures == []

    def test_failures_are_logged_without_what_may_be_secret(
        self, manual_base: EventBase, caplog: pytest.LogCaptureFixture
    ) -> None:
        with chain(manual_base) as made:
            made.proxy.on_failed = None
            made.place.socket.close()
            answer = made.site.client().ask(get("/a?secret"))
            assert (answer.status, b"refused" in answer.body) == (502, False)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert record.getMessage().startswith("GET /a from 127.0.0.1:")
        assert f": {made.place.url}: connect: [Errno 111] " in record.getMessage()


class TestMaking:
    @pytest.mark.parametrize(
        ("url", "options", "error", "words"),
        [
            ("a", {}, ValueError, "expected a URL"),
            ("ftp://a/", {}, ValueError, "http or https"),
            ("http://a/?b", {}, ValueError, "more behind it"),
            ("http://a/#b", {}, ValueError, "more behind it"),
            ("http://a", {"forwarded": "x"}, ValueError, "expected forwarded="),
            ("http://a", {"name": "a b"}, LocalProtocolError, "token"),
            ("http://a", {"name": ""}, LocalProtocolError, "token"),
            ("http://a", {"decode": True}, TypeError, "decode"),
            ("http://a", {"cookies": None}, TypeError, "cookies"),
            ("http://a", {"typo": 1}, TypeError, "typo"),
            (b"http://a", {}, TypeError, "url as a str"),
            ("http://a", {"keep_host": "yes"}, TypeError, "keep_host as True or False"),
            ("http://a", {"name": 5}, TypeError, "name as a str"),
            ("http://a", {"forwarded": True}, TypeError, "forwarded as a str"),
            ("http://a", {"timeouts": 5}, TypeError, "timeouts"),
        ],
    )
    def test_mistakes(
        self, base: EventBase, url: Any, options: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            ReverseProxy(base, url, **options)

    def test_what_is_closed_refuses(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.close()
            made.proxy.close()
            assert made.site.client().ask(get()).status == 503
            assert made.failures == []

    def test_repr(self, base: EventBase) -> None:
        with ReverseProxy(base, "http://a:80/b") as proxy:
            assert repr(proxy).startswith("<ReverseProxy to http://a tunnels=0 <Client <Pool 0 connections")
