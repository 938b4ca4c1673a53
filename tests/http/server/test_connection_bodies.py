"""Bodies that are read whole, how long one may be, and who is invited to send one."""

import pytest

from evkit.http.server.request import Request
from http_handlers import MIB, Later, Uploads, echo
from http_server_aids import Site, both_engines, chunked, get, request


@both_engines
@pytest.mark.parametrize("size", [0, 1, 65536, 300_000])
def test_a_whole_body(engine: str, size: int) -> None:
    with Site(engine) as site:
        bodies = []

        def handler(request: Request) -> None:
            bodies.append(request.body)
            request.send_reply(200, str(len(request.body)))

        site.server.set_gencb(handler)
        client = site.client()
        body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert client.ask(request("POST", "/", body=body)).body == b"%d" % size
        pieces = [body[at : at + 5000] for at in range(0, size, 5000)]
        assert client.ask(chunked("POST", "/", *pieces)).body == b"%d" % size
        assert bodies == [body, body]


@both_engines
def test_trailers_are_apart_and_of_their_request_alone(engine: str) -> None:
    with Site(engine) as site:
        seen: list[tuple[list[tuple[str, str]], bool]] = []

        def handler(request: Request) -> None:
            seen.append((list(request.trailers), "T" in request.headers))
            request.send_reply(200)

        site.server.set_gencb(handler)
        client = site.client()
        client.ask(chunked("POST", "/", b"x", trailers=b"T: v\r\nT: w\r\n"))
        client.ask(request("POST", "/", body=b"x"))
        client.ask(get())
        client.ask(chunked("POST", "/", b"x"))
        assert seen == [([("T", "v"), ("T", "w")], False), ([], False), ([], False), ([], False)]


# Limits


@both_engines
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_beyond_its_limit_is_413(engine: str, stream: bool) -> None:
    with Site(engine) as site:
        uploads = Uploads()
        site.server.set_cb("/", uploads if stream else echo, stream=stream, max_body=10)
        for sent in (request("POST", "/", "Content-Length: 11"), chunked("POST", "/", b"123456", b"78901")):
            client = site.client()
            reply = client.ask(sent)
            assert (reply.status, reply.get("connection")) == (413, "close")
            client.finish()
            assert client.rest() == b""
        for sent in (request("POST", "/", body=b"1234567890"), chunked("POST", "/", b"123456", b"7890")):
            assert site.client().ask(sent).status == 200
        assert not [told for told in uploads.told if isinstance(told, bytes) and len(told) > 10]


@both_engines
def test_the_servers_limit_and_that_of_a_route(engine: str) -> None:
    with Site(engine, max_body=2) as site:
        site.server.set_cb("/small", echo)
        site.server.set_cb("/large", echo, max_body=4)
        site.server.set_cb("/stream", Uploads(), stream=True)
        statuses = [
            site.client().ask(request("POST", target, body=b"123")).status
            for target in ("/small", "/large", "/stream", "/nowhere")
        ]
        assert statuses == [413, 200, 200, 413]


@both_engines
@pytest.mark.parametrize("coding", ["sized", "chunked"])
def test_a_client_that_sends_it_all_gets_to_read_the_413(engine: str, coding: str) -> None:
    with Site(engine) as site:
        site.server.set_cb("/", echo, max_body=MIB)
        client = site.client()
        body = bytes(5 * MIB)
        if coding == "sized":
            client.send(request("POST", "/", body=body))
        else:
            client.send(chunked("POST", "/", *[body[:65536]] * 80))
        assert client.reply().status == 413
        assert client.rest() == b""
        assert site.completed == [("/", 413)]
        client.close()
        site.connected(0)


def test_the_413_comes_before_the_body_is_sent() -> None:
    with Site() as site:
        client = site.client()
        assert client.ask(request("POST", "/", f"Content-Length: {5 * MIB}")).status == 413
        client.send(bytes(5 * MIB))  # a client that does not look
        assert client.rest() == b""


# Expect: 100-continue


@both_engines
def test_a_client_that_waits_is_invited_to_send_its_body(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.send(request("POST", "/", "Expect: 100-continue", "Content-Length: 3"))
        site.settle()
        assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(b"abc").body == b"POST / abc"


@both_engines
def test_a_client_that_does_not_wait_is_not_invited(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        reply = client.ask(request("POST", "/", "Expect: 100-continue", body=b"abc"))
        assert (reply.body, reply.interim) == (b"POST / abc", ())


@both_engines
def test_a_streaming_handler_invites_by_receive(engine: str) -> None:
    with Site(engine) as site:
        later, uploads = Later(), Uploads()
        site.server.set_gencb(later, stream=True)
        client = site.client()
        client.send(request("POST", "/", "Expect: 100-continue", "Transfer-Encoding: chunked"))
        assert client.silence()
        assert later.requests[0].expect_continue
        later.requests[0].receive(uploads.on_data, uploads.on_end)
        site.settle()
        assert client.take() == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(b"1\r\nx\r\n0\r\n\r\n").body == b"done"


@both_engines
def test_a_streaming_handler_refuses_without_inviting(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: request.send_error(403), stream=True)
        client = site.client()
        reply = client.ask(request("POST", "/", "Expect: 100-continue", "Content-Length: 3"))
        assert (reply.status, reply.interim, reply.get("connection")) == (403, (), "close")
        assert client.rest() == b""


@both_engines
def test_a_body_that_is_too_long_is_refused_without_inviting(engine: str) -> None:
    with Site(engine) as site:
        client = site.client()
        reply = client.ask(request("POST", "/", "Expect: 100-continue", f"Content-Length: {2 * MIB}"))
        assert (reply.status, reply.interim) == (413, ())


@both_engines
def test_an_unknown_expectation_is_417(engine: str) -> None:
    with Site(engine) as site:
        client = site.client()
        assert client.ask(request("POST", "/", "Expect: x", "Content-Length: 3")).status == 417
        assert site.refused == [417]
