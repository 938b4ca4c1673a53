"""One request on its way through a reverse proxy, byte by byte: bodies, ends, failures, tunnels."""

import socket

import pytest

from evkit.core import EventBase
from evkit.errors import ConnectError, ConnectionLost, ResolveTimeout, TLSError
from evkit.http import BadResponse, RequestTimeout, ReverseProxy, Server
from evkit.http.client.response import Response
from evkit.http.relay.fields import Pair
from evkit.http.relay.passage import status_for
from evkit.http.server.request import Request
from evkit.http.websocket import connect, upgrade
from http_client_aids import CONTINUE, TIMEOUTS, reply
from http_relay_aids import chain, fields_of
from http_server_aids import chunked, get, request

SIZE = 64 << 20
"""Bytes that no system's buffers hold."""
UPGRADE = ("Connection: Upgrade", "Upgrade: shouting")
AGREED = reply(b"", "Connection: upgrade", "Upgrade: shouting", status=101)


class TestUp:
    def test_bodies_keep_their_framing(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, head = made.ask(request("PUT", "/", body=b"hello"))
            assert fields_of(head)["content-length"] == "5"
            assert wire.body(5) == b"hello"
            wire.send(reply(b"1"))
            assert client.reply().body == b"1"
            client.send(chunked("PUT", "/", b"ab", b"cde", trailers=b"X-Sum: 1\r\n"))
            assert fields_of(wire.head())["transfer-encoding"] == "chunked"
            data = wire.receive(lambda data: data.endswith(b"0\r\n\r\n"), "a body in chunks")
            assert data in (b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n", b"5\r\nabcde\r\n0\r\n\r\n")
            wire.send(reply(b"2"))
            assert client.reply().body == b"2"
            client.send(request("POST", "/", body=b""))
            assert fields_of(wire.head())["content-length"] == "0"
            wire.send(reply(b"3"))
            assert client.reply().body == b"3"

    def test_a_body_that_was_read_whole(self, manual_base: EventBase) -> None:
        with chain(manual_base, stream=False) as made:
            client, wire, head = made.ask(chunked("PUT", "/", b"ab", b"cde"))
            assert fields_of(head)["content-length"] == "5"
            assert wire.body(5) == b"abcde"
            wire.send(reply(b"1"))
            assert client.reply().body == b"1"

    def test_the_server_is_asked_whether_a_body_is_welcome(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, head = made.ask(request("PUT", "/", "Content-Length: 5", "Expect: 100-continue"))
            assert fields_of(head)["expect"] == "100-continue"
            assert client.silence()
            wire.send(CONTINUE)
            assert client._more() == CONTINUE
            client.send(b"hello")
            assert wire.body(5) == b"hello"
            wire.send(reply(b"1"))
            assert client.reply().body == b"1"

    def test_a_server_that_refuses_a_body_is_heard_before_it_comes(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("PUT", "/", "Content-Length: 5", "Expect: 100-continue"))
            wire.send(reply(b"no", status=413))
            answer = client.reply()
            assert (answer.status, answer.interim, answer.get("Connection")) == (413, (), "close")

    def test_a_server_that_says_nothing_gets_the_body_all_the_same(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("PUT", "/", "Content-Length: 1", "Expect: 100-continue"))
            assert TIMEOUTS.expect is not None
            made.world.wait(TIMEOUTS.expect)
            client.send(b"x")
            assert wire.body(1) == b"x"
            wire.send(reply())
            assert client.reply().interim == (100,)

    def test_no_body_is_taken_before_there_is_a_connection(self, manual_base: EventBase) -> None:
        with chain(manual_base, max_connections=1) as made:
            _, first, _ = made.ask(get())
            client = made.site.client()
            client.send(request("PUT", "/", f"Content-Length: {SIZE}"))
            assert client.fill(bytes(65536), SIZE) < SIZE
            first.send(reply())
            assert first.head().startswith(b"PUT / ")
            assert first.body(100_000) == bytes(100_000)

    @pytest.mark.parametrize("size", [5, 300_000])
    def test_a_client_that_ends_its_side_early(self, manual_base: EventBase, size: int) -> None:
        with chain(manual_base, max_connections=1) as made:
            _, wire, _ = made.ask(get())
            client = made.site.client()
            client.send(request("PUT", "/", body=bytes(size)))
            client.finish()
            made.site.settle()
            wire.send(reply())
            wire.head()
            assert wire.body(size) == bytes(size)
            wire.send(reply(b"1"))
            assert client.reply().body == b"1"

    def test_who_sends_waits_for_who_reads(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("PUT", "/", f"Content-Length: {SIZE}"))
            sent = client.fill(bytes(65536), SIZE)
            assert 0 < sent < SIZE
            assert wire.body(sent) == bytes(sent)

    def test_a_body_that_breaks_the_rules_ends_the_request(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("PUT", "/", "Transfer-Encoding: chunked") + b"1\r\nxZ")
            assert client.reply().status == 400
            assert wire.closed()
            assert made.failures == []


class TestDown:
    @pytest.mark.parametrize(
        ("verb", "answer", "status", "length", "body"),
        [
            ("GET", reply(b"hello"), 200, "5", b"hello"),
            (
                "GET",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                200,
                None,
                b"a",
            ),
            ("GET", reply(status=204), 204, None, b""),
            ("GET", b"HTTP/1.1 304 N\r\nContent-Length: 7\r\nETag: x\r\n\r\n", 304, "7", b""),
            ("GET", b"HTTP/1.1 205 R\r\nContent-Length: 0\r\n\r\n", 205, "0", b""),
            ("GET", reply(b"", "Location: /b", status=302), 302, "0", b""),
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, "7", b""),
            ("HEAD", b"HTTP/1.1 200 OK\r\n\r\n", 200, None, b""),
        ],
    )
    def test_responses(
        self, manual_base: EventBase, verb: str, answer: bytes, status: int, length: str | None, body: bytes
    ) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request(verb, "/"))
            wire.send(answer)
            came = client.reply(verb)
            assert (came.status, came.get("Content-Length"), came.body) == (status, length, body)
            client.send(get("/next"))  # on the same connections
            assert wire.answer(b"2").startswith(b"GET /next ")
            assert client.reply().body == b"2"

    def test_what_ends_with_its_connection_goes_on_in_chunks(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            wire.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
            wire.close()
            came = client.reply()
            assert (came.get("Transfer-Encoding"), came.body) == ("chunked", b"hello")

    def test_pieces_go_on_as_they_come(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            made.site.settle()
            assert (client.take() or b"").endswith(b"\r\n\r\n1\r\na\r\n")
            wire.send(b"2\r\nbc\r\n")
            made.site.settle()
            assert client.take() == b"2\r\nbc\r\n"
            wire.send(b"0\r\n\r\n")
            made.site.settle()
            assert client.take() == b"0\r\n\r\n"

    def test_trailers_pass_where_they_may_stand(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n0\r\n"
            wire.send(head + b"X-Sum: 1\r\nKeep-Alive: 2\r\n\r\n")
            made.site.settle()
            came = client.take() or b""
            assert b"\r\nTrailer: X-Sum\r\n" in came
            assert came.endswith(b"\r\n\r\n0\r\nX-Sum: 1\r\n\r\n")
            client.send(get())
            wire.head()
            wire.send(head + b"Set-Cookie: a=b\r\n\r\n")
            made.site.settle()
            assert (client.take() or b"").endswith(b"\r\n\r\n0\r\n\r\n")

    def test_interim_responses_pass(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            wire.send(b"HTTP/1.1 103 E\r\nLink: </a>\r\nDate: then\r\nContent-Length: 0\r\n\r\n")
            made.site.settle()
            assert client.take() == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            wire.send(reply(b"x"))
            assert client.reply().body == b"x"

    def test_who_sends_waits_for_who_reads(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            sent = idle = 0
            while sent < SIZE and idle < 50:
                try:
                    sent += wire.socket.send(bytes(65536))
                    idle = 0
                except BlockingIOError:
                    idle += 1
                made.site.turn()
            assert 0 < sent < SIZE
            came = b""
            while len(came.partition(b"\r\n\r\n")[2]) < sent:
                came += client._more()


class TestHooks:
    """`ReverseProxy.on_response` may answer by itself: whole, or beginning a reply that it ends later."""

    CASES = pytest.mark.parametrize(
        ("fields", "answer"),
        [((), reply(b"x")), (UPGRADE, reply(b"x", status=426)), (UPGRADE, AGREED)],
        ids=["response", "no other protocol", "another protocol"],
    )

    @CASES
    def test_one_that_answers(self, manual_base: EventBase, fields: tuple[str, ...], answer: bytes) -> None:
        with chain(manual_base) as made:
            made.proxy.on_response = lambda request, response, fields: request.send_reply(403, b"no")
            client, wire, _ = made.ask(get("/", *fields))
            wire.send(answer)
            came = client.reply()
            assert (came.status, came.body) == (403, b"no")
            assert made.failures == []

    @CASES
    def test_one_that_begins_to(self, manual_base: EventBase, fields: tuple[str, ...], answer: bytes) -> None:
        with chain(manual_base) as made:
            begun: list[Request] = []

            def on_response(request: Request, response: Response, fields: list[Pair]) -> None:
                request.send_reply_start(403)
                begun.append(request)

            made.proxy.on_response = on_response
            client, wire, _ = made.ask(get("/", *fields))
            wire.send(answer)
            begun[0].send_reply_chunk(b"no")
            begun[0].send_reply_end()
            came = client.reply()
            assert (came.status, came.body) == (403, b"no")
            assert made.failures == []


class TestFailures:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (ConnectError("x"), 502),
            (TLSError("x", during="connect"), 502),
            (BadResponse("x"), 502),
            (OSError("no such name"), 502),
            (RequestTimeout("x", during="read", phase="head"), 504),
            (ResolveTimeout("a", "A"), 504),
            (RequestTimeout("x", during="connect", phase="pool"), 503),
        ],
    )
    def test_what_they_are_answered_with(self, error: Exception, status: int) -> None:
        assert status_for(error) == status

    @pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", b"nonsense\r\n\r\n", reply(status=101)])
    def test_no_response(self, manual_base: EventBase, data: bytes) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("POST", "/"))  # which is not tried again
            wire.send(data)
            wire.close()
            assert client.reply().status == 502
            assert isinstance(made.failures[0], ConnectionLost | BadResponse)

    def test_a_response_that_cannot_be_written(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            wire.send(reply(b"x", "Date: a", "Date: b"))
            assert client.reply().status == 502
            assert len(made.failures) == 1

    def test_a_server_that_is_silent(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            assert TIMEOUTS.head is not None
            made.world.wait(TIMEOUTS.head + 1)
            assert client.reply().status == 504
            assert wire.closed()

    def test_a_request_may_take_as_long_as_something_moves(self, manual_base: EventBase) -> None:
        piece, pieces = bytes(20_000), 60
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("PUT", "/", f"Content-Length: {len(piece) * pieces}"))
            for _ in range(pieces):  # 1,200 s in all, and `total` is less
                client.send(piece)
                assert wire.body(len(piece)) == piece
                made.world.wait(20)
            wire.send(reply(b"1"))
            assert client.reply().body == b"1"

    @pytest.mark.parametrize(
        ("framing", "half"),
        [("Content-Length: 9", b"half"), ("Transfer-Encoding: chunked", b"4\r\nhalf\r\n")],
    )
    def test_half_a_response(self, manual_base: EventBase, framing: str, half: bytes) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            wire.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (framing.encode(), half))
            wire.close()
            assert client.rest().endswith(b"\r\n\r\n" + half)
            assert len(made.failures) == 1

    def test_a_client_that_goes_before_the_response(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            client.reset()
            assert wire.closed()
            assert made.failures == []

    def test_a_client_that_goes_while_it_sends(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("PUT", "/", "Content-Length: 9") + b"half")
            assert wire.body(4) == b"half"
            client.reset()
            assert wire.closed()

    def test_a_client_that_goes_while_the_server_is_asked_for_its_body(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(request("PUT", "/", "Content-Length: 9", "Expect: 100-continue"))
            client.reset()
            assert wire.closed()

    def test_a_client_that_goes_while_it_reads(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            client.reset()
            assert wire.closed()
            assert made.failures == []

    def test_a_client_that_goes_as_the_response_comes(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get())
            made.site.settle()
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            wire.socket.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            client.socket.close()  # both are there by the next poll
            assert wire.closed()
            assert made.failures == []

    def test_the_proxy_is_closed_meanwhile(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            waiting, _, _ = made.ask(get())
            reading, wire, _ = made.ask(get())
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
            made.site.settle()
            made.proxy.close()
            assert waiting.reply().status == 502
            assert reading.rest().endswith(b"\r\n\r\nhalf")


class TestTunnels:
    def test_another_protocol_passes_both_ways(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, head = made.ask(get("/", *UPGRADE, "X-A: 1") + b"early")
            told = fields_of(head)
            assert (told["connection"], told["upgrade"], told["x-a"]) == ("Upgrade", "shouting", "1")
            wire.send(reply(b"", "Connection: upgrade", "Upgrade: shouting", "X-B: 2", status=101) + b"hello")
            made.site.settle()
            came = client.take() or b""
            assert came.startswith(b"HTTP/1.1 101 ")
            assert b"\r\nUpgrade: shouting\r\n" in came
            assert b"\r\nX-B: 2\r\n" in came
            assert came.endswith(b"\r\n\r\nhello")
            assert wire.body(5) == b"early"
            client.send(b"more")
            assert wire.body(4) == b"more"
            assert "tunnels=1" in repr(made.proxy)
            wire.close()
            assert client.rest() == b""
            client.finish()
            made.site.settle()
            assert "tunnels=0" in repr(made.proxy)

    def test_websockets_pass(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            heard: list[str | bytes] = []
            behind = Server(manual_base)
            behind.set_gencb(lambda request: upgrade(request, lambda ws, data: ws.send(data)))
            with ReverseProxy(
                manual_base, f"http://{behind.bind('127.0.0.1', 0).address}", keep_host=True
            ) as proxy:
                made.site.server.set_gencb(proxy, stream=True)
                opening = connect(
                    made.world.client,
                    f"ws://{made.site.listener.address}/",
                    lambda ws, data: heard.append(data),
                )
                ws = made.world.result(opening)
                ws.send("hello")
                ws.send(bytes(100_000))
                made.site.until(lambda: len(heard) == 2, "the echo")
                assert heard == ["hello", bytes(100_000)]
                ws.close()
                made.site.until(lambda: "tunnels=0" in repr(proxy), "the end")
            behind.close()

    def test_a_server_that_answers_otherwise(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get("/", *UPGRADE))
            wire.send(reply(b"no", "X-B: 2", status=426))
            came = client.reply()
            assert (came.status, came.get("X-B"), came.body) == (426, "2", b"no")

    def test_a_hook_that_fails(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.on_response = lambda request, response, fields: 1 / 0
            for answer in (AGREED, reply(status=426)):
                client, wire, _ = made.ask(get("/", *UPGRADE))
                wire.send(answer)
                assert client.reply().status == 500
                assert isinstance(made.site.take_escaped()[0], ZeroDivisionError)
                wire.close()
            assert made.failures == []

    @pytest.mark.parametrize(
        "answer",
        [b"", reply(status=101), reply(b"", "Connection: upgrade", "Upgrade: whispering", status=101)],
        ids=["none", "no protocol", "another protocol"],
    )
    def test_a_server_that_breaks_the_rules(self, manual_base: EventBase, answer: bytes) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get("/", *UPGRADE))
            wire.send(answer)
            wire.close()
            if not answer:  # a GET may be asked for again: nobody answers it either
                for again in iter(made.place.try_accept, None):
                    again.close()
            assert client.reply().status == 502
            assert len(made.failures) == 1

    def test_a_client_that_goes(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get("/", *UPGRADE))
            client.reset()
            assert wire.closed()
            assert made.failures == []

    def test_the_proxy_is_closed(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get("/", *UPGRADE))
            wire.send(AGREED)
            made.site.settle()
            assert (client.take() or b"").startswith(b"HTTP/1.1 101 ")
            made.proxy.close()
            assert wire.closed()
            assert client.rest() == b""

    def test_a_hook_closes_the_proxy(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            made.proxy.on_response = lambda request, response, fields: made.proxy.close()
            _, wire, _ = made.ask(get("/", *UPGRADE))
            wire.send(AGREED)
            assert wire.closed()
            assert "tunnels=0" in repr(made.proxy)

    def test_an_end_that_takes_nothing_is_let_go(self, manual_base: EventBase) -> None:
        with chain(manual_base) as made:
            client, wire, _ = made.ask(get("/", *UPGRADE))
            wire.send(AGREED)
            made.site.settle()
            assert client.fill(bytes(65536), SIZE) < SIZE
            made.world.wait(31)
            assert "tunnels=0" in repr(made.proxy)
