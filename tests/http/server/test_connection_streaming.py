"""Bodies that a handler receives piece by piece: when it likes to, all of it, or not to the end."""

import pytest

from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.server.request import Request
from http_handlers import MIB, Later, Uploads, echo, only
from http_server_aids import Site, both_engines, chunked, get, request


@both_engines
def test_a_streamed_body(engine: str) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_cb("/up", uploads, stream=True)
        client = site.client()
        client.send(request("POST", "/up", "Content-Length: 6"))
        assert uploads.told == ["head"]
        client.send(b"abc")
        assert uploads.told == ["head", b"abc"]
        assert client.silence()
        client.send(b"def" + chunked("POST", "/up", b"gh", b"i", trailers=b"T: v\r\n"))
        assert [client.reply().body for _ in range(2)] == [b"done", b"done"]
        assert uploads.told == ["head", b"abcdef", ("end", []), "head", b"ghi", ("end", [("T", "v")])]
        assert uploads.closed == []


@both_engines
@pytest.mark.parametrize("sent", [get("/up"), request("POST", "/up", body=b""), chunked("POST", "/up")])
def test_a_streamed_body_of_nothing_ends(engine: str, sent: bytes) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_cb("/up", uploads, stream=True)
        client = site.client()
        for _ in range(2):
            assert client.ask(sent).body == b"done"
        assert uploads.told == ["head", ("end", [])] * 2


@both_engines
def test_a_streaming_handler_may_answer_a_request_without_a_body_at_once(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo, stream=True)
        client = site.client()
        for _ in range(2):
            reply = client.ask(get())
            assert (reply.status, reply.get("connection")) == (200, None)


@both_engines
def test_a_large_streamed_body_is_never_held(engine: str) -> None:
    with Site(engine) as site:
        received = most = 0

        def on_data(request: Request, data: bytes) -> None:
            nonlocal received, most
            received += len(data)
            most = max(most, len(data), len(only(site).bev.input))

        site.server.set_gencb(
            lambda request: request.receive(on_data, lambda request: request.send_reply(200)), stream=True
        )
        client = site.client()
        client.send(request("POST", "/", body=bytes(5 * MIB)))
        assert client.reply().status == 200
        assert received == 5 * MIB
        assert most <= 2 * 65536


@both_engines
def test_receive_called_late_gets_everything(engine: str) -> None:
    with Site(engine) as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", body=b"abc") + chunked("POST", "/", b"def"))
        expected: list[list[object]] = [[b"abc", ("end", [])], [b"def", ("end", [])]]
        for told in expected:
            assert client.silence()
            uploads.told.clear()
            later.requests[-1].receive(uploads.on_data, uploads.on_end)
            assert client.reply().body == b"done"
            assert uploads.told == told


@both_engines
def test_a_body_that_nobody_receives_yet_waits_in_the_kernel_beyond_a_bound(engine: str) -> None:
    with Site(engine) as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        body = bytes(32 * MIB)
        sent = client.fill(request("POST", "/", body=body), len(body))
        assert sent < len(body)
        assert len(only(site).bev.input) <= 2 * 65536
        later.requests[0].receive(uploads.on_data, uploads.on_end)
        client.send(request("POST", "/", body=body)[sent:])
        assert client.reply().body == b"done"
        assert uploads.size == len(body)


def test_receive_twice_is_an_error() -> None:
    with Site() as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 2"))
        later.requests[0].receive(uploads.on_data, uploads.on_end)
        with pytest.raises(LocalProtocolError, match="called before"):
            later.requests[0].receive(uploads.on_data, uploads.on_end)
        assert client.ask(b"ab").body == b"done"


def test_receive_in_a_handler_of_whole_bodies_is_an_error() -> None:
    with Site() as site:
        uploads = Uploads()
        site.server.set_gencb(uploads)
        assert site.client().ask(request("POST", "/", body=b"abc")).status == 500
        assert [type(error) for error in site.take_escaped()] == [LocalProtocolError]


# Replies before the end of the body


@both_engines
@pytest.mark.parametrize("when", ["before receive", "in data"])
@pytest.mark.parametrize("at_once", [0, 3, 6])
def test_an_early_reply_ends_the_connection_after_the_client_has_read_it(
    engine: str, when: str, at_once: int
) -> None:
    with Site(engine) as site:
        calls = []

        def on_data(request: Request, data: bytes) -> None:
            calls.append(data)
            request.send_reply(403, b"no")

        def handler(request: Request) -> None:
            if when == "in data":
                request.receive(on_data, lambda request: calls.append(b"end"))
            else:
                request.send_reply(403, b"no")

        site.server.set_gencb(handler, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 100") + b"abcdef"[:at_once])
        client.send(b"abcdef"[at_once:])
        client.send(bytes(20))
        reply = client.reply()
        assert (reply.status, reply.body, reply.get("connection")) == (403, b"no", "close")
        assert client.rest() == b""  # not ECONNRESET
        client.send(bytes(74) + get())
        assert len(calls) <= 1
        assert site.completed == [("/", 403)]


@both_engines
def test_an_early_reply_that_fills_the_pipe(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: request.send_reply(403, bytes(8 * MIB)), stream=True)
        client = site.client(receive_buffer=4096)
        client.send(request("POST", "/", "Content-Length: 9000000"))
        client.fill(bytes(65536), 4 * MIB)
        assert len(only(site).bev.input) <= 2 * 65536
        assert len(client.reply().body) == 8 * MIB
        assert client.rest() == b""
        assert site.completed == [("/", 403)]


def test_a_body_that_is_whole_cannot_be_received_and_that_changes_nothing() -> None:
    def handler(asked: Request) -> None:
        with pytest.raises(LocalProtocolError, match="stream=True"):
            asked.receive(lambda *_: None, lambda *_: None)
        with pytest.raises(LocalProtocolError, match="comes before"):
            asked.pause()
        raise BadRequest(422, "no")

    with Site() as site:
        site.server.set_gencb(handler)
        client = site.client()
        for _ in range(2):
            assert client.ask(request("POST", "/", body=b"abc")).status == 422
