"""`ServerConnection` over real sockets: one request after the other, whether it stays, and what it says of itself."""

import h11
import pytest

from evkit.core import EventBase
from evkit.core.flags import EV_READ
from evkit.http.server.request import Request
from http_handlers import Later, echo, only
from http_server_aids import Site, both_engines, chunked, get, request

# One request after the other


@both_engines
def test_requests_on_one_connection(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        for number in range(3):
            assert client.ask(get(f"/{number}")).body == b"GET /%d " % number
        assert len(site.server.connections) == 1
        assert site.completed == [("/0", 200), ("/1", 200), ("/2", 200)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_reply_from_a_timer(base: EventBase, count: int) -> None:
    with Site(base=base) as site:

        def handler(request: Request) -> None:
            base.timer(lambda _event, _what: request.send_reply(200, request.target.encode())).add(0)

        site.server.set_gencb(handler)
        client = site.client()
        client.send(b"".join(get(f"/{number}") for number in range(count)))
        assert [client.reply().body for _ in range(count)] == [b"/%d" % number for number in range(count)]


def test_many_clients_on_every_backend(base: EventBase) -> None:
    with Site(base=base) as site:
        site.server.set_gencb(echo)
        clients = [site.client() for _ in range(30)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(get(f"/{turn}/{number}") * 2)
            for number, client in enumerate(clients):
                for _ in range(2):
                    assert client.reply().body == b"GET /%d/%d " % (turn, number)


@both_engines
def test_a_request_that_comes_byte_by_byte(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        for byte in request("POST", "/p", body=b"ab") + chunked("PUT", "/c", b"c", trailers=b"T: v\r\n"):
            client.send(bytes([byte]))
        assert client.reply().body == b"POST /p ab"
        assert client.reply().body == b"PUT /c c"


def test_reading_is_on_while_a_handler_takes_its_time() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        assert only(site).bev.enabled & EV_READ
        later.requests[0].send_reply(200)
        client.reply()


# Whether the connection stays


@pytest.mark.parametrize(
    ("version", "option", "stays", "says"),
    [
        ("1.1", None, True, None),
        ("1.1", "close", False, "close"),
        ("1.1", "x, Close", False, "close"),
        ("1.1", "keep-alive", True, None),
        ("1.0", None, False, "close"),
        ("1.0", "keep-alive", True, "keep-alive"),
        ("1.0", "keep-alive, close", False, "close"),
    ],
)
@both_engines
def test_whether_the_connection_stays(
    engine: str, version: str, option: str | None, stays: bool, says: str | None
) -> None:
    with Site(engine) as site:
        site.server.set_gencb(echo)
        client = site.client()
        fields = [] if option is None else [f"Connection: {option}"]
        reply = client.ask(get("/", *fields, version=version))
        assert reply.get("connection") == says
        assert reply.get("content-length") == "6"
        if stays:
            assert client.ask(get("/", *fields, version=version)).body == b"GET / "
        else:
            assert client.rest() == b""


def test_a_handler_that_closes_by_its_field() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200, b"x", [("Connection", "close")]))
        client = site.client()
        assert client.ask(get() * 2).body == b"x"
        assert client.rest() == b""


def test_pieces_for_http_1_0_end_with_the_connection() -> None:
    with Site() as site:

        def handler(request: Request) -> None:
            request.send_reply_start(200)
            request.send_reply_chunk(b"ab")
            request.send_reply_chunk(b"c")
            request.send_reply_end()

        site.server.set_gencb(handler)
        client = site.client()
        client.send(get(version="1.0"))
        head, _, body = client.rest().partition(b"\r\n\r\n")
        assert body == b"abc"
        assert b"chunked" not in head


def test_connect_ends_the_connection_as_there_is_no_tunnel() -> None:
    with Site() as site:
        site.server.set_gencb(lambda request: request.send_reply(200))
        client = site.client()
        reply = client.ask(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" + get(), "CONNECT")
        assert reply.get("content-length") is None
        assert client.rest() == b""
        assert len(site.completed) == 1


# The server is closed from inside a handler


@both_engines
def test_a_handler_that_closes_the_server(engine: str) -> None:
    with Site(engine) as site:
        asked = []

        def handler(request: Request) -> None:
            asked.append(request)
            site.server.close()
            request.send_reply(200)

        site.server.set_gencb(handler)
        client = site.client()
        client.send(get() * 3)
        assert len(asked) == 1
        assert asked[0].gone
        with pytest.raises((h11.RemoteProtocolError, ConnectionResetError)):
            client.reply()


@both_engines
def test_a_streaming_handler_that_closes_the_server(engine: str) -> None:
    with Site(engine) as site:
        site.server.set_gencb(lambda request: site.server.close(), stream=True)
        client = site.client()
        client.send(request("POST", "/", body=b"abc"))
        site.connected(0)


# Its state


def test_repr_tells_the_state() -> None:
    with Site() as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get("/x"))
        text = repr(only(site))
        assert "<Request GET /x unanswered>" in text
        assert only(site).peer in text
        host, port = client.socket.getsockname()
        assert f"{host}:{port}" == only(site).peer == later.requests[0].peer
