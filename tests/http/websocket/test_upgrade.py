"""`upgrade` on a real server, by raw clients: refusals, the reply, what came early, and the end of the server."""

from collections.abc import Iterator
from typing import Any

import pytest

from every_backend import EVERY_BACKEND
from evkit import EventBase, LocalProtocolError
from evkit.http import Proxies, Request
from evkit.http.websocket.deflate import Deflate
from evkit.http.websocket.group import WebSocketGroup
from evkit.http.websocket.options import WebSocketOptions
from evkit.http.websocket.upgrade import upgrade
from evkit.http.websocket.websocket import WebSocket
from http_server_aids import Client, Site, both_engines, get, request
from websocket_aids import CLOSE, KEY, TEXT, Frame, accept_for, close_frame, frame, frames

FIELDS = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
)


class Served:
    """A site whose every request is to become a WebSocket, and what became of them."""

    def __init__(self, site: Site, **options: Any) -> None:
        self.site = site
        self.options = options
        self.made: list[WebSocket | None] = []
        self.messages: list[str | bytes] = []
        self.ends: list[int] = []
        site.server.set_gencb(self.on_request)

    def on_request(self, request: Request) -> None:
        self.made.append(upgrade(request, self.on_message, on_close=self.on_close, **self.options))

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        self.messages.append(data)
        ws.send(data)

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        self.ends.append(code)

    @property
    def ws(self) -> WebSocket:
        (ws,) = self.made
        assert ws is not None
        return ws


def opened(client: Client, *fields: str, data: bytes = b"") -> dict[str, str]:
    """Ask, read the head of a 101, and return its fields; what follows is left to `Client.rest`."""
    client.send(get("/", *FIELDS, *fields) + data)
    reply = b""
    while b"\r\n\r\n" not in reply:
        reply += client._more()
    head, _, client._reader.rest = reply.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "HTTP/1.1 101 Switching Protocols"
    return dict(line.split(": ", 1) for line in lines)


def received(client: Client, count: int) -> list[Frame]:
    data, client._reader.rest = client._reader.rest, b""
    while True:
        try:
            if len(frames(data)) >= count:
                return frames(data)
        except (AssertionError, IndexError):
            pass
        data += client._more()


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@both_engines
def test_a_request_becomes_a_websocket(engine: str) -> None:
    with Site(engine) as site:
        served = Served(site)
        client = site.client()
        assert opened(client) == {
            "Upgrade": "websocket",
            "Connection": "upgrade",
            "Sec-WebSocket-Accept": accept_for(KEY),
        }
        assert served.ws.request is not None
        assert served.ws.request.target == "/"
        assert served.ws.subprotocol is None
        assert not site.server.connections
        client.send(frame(TEXT, b"hello"))
        assert received(client, 1) == [Frame(0x81, False, b"hello")]
        client.send(close_frame(1000))
        assert frames(client.rest()) == [Frame(0x88, False, b"\x03\xe8")]
        assert served.ends == [1000]
        client.close()
        site.settle()
        assert served.ws.bev.closed


def test_frames_that_came_with_the_request(site: Site) -> None:
    served = Served(site)
    client = site.client()
    opened(client, data=frame(TEXT, b"early") + frame(TEXT, b"too")[:4])
    assert received(client, 1) == [Frame(0x81, False, b"early")]
    client.send(frame(TEXT, b"too")[4:])
    assert received(client, 1) == [Frame(0x81, False, b"too")]
    served.ws.abort()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (get("/"), 426),
        (get("/", *FIELDS[:3], "Sec-WebSocket-Version: 8"), 426),
        (get("/", FIELDS[0], FIELDS[1], FIELDS[3]), 400),
        (get("/", *FIELDS, version="1.0"), 400),
        (request("POST", "/", *FIELDS, body=b"x"), 405),
        (get("/", *FIELDS, "Origin: http://evil.net"), 403),
        (get("/", *FIELDS, "Origin: http://a", "Origin: http://a"), 403),
        (get("/", *FIELDS, "Sec-WebSocket-Protocol: a, a"), 400),
    ],
)
def test_requests_that_are_refused(site: Site, data: bytes, status: int) -> None:
    served = Served(site)
    reply = site.client().ask(data)
    assert reply.status == status
    assert served.made == [None]
    assert reply.get("Sec-WebSocket-Version") == ("13" if status == 426 else None)
    assert reply.get("Upgrade") == ("websocket" if status == 426 else None)
    assert reply.get("Allow") == ("GET" if status == 405 else None)


def test_after_a_refusal_the_connection_goes_on(site: Site) -> None:
    served = Served(site)
    client = site.client()
    assert client.ask(get("/", *FIELDS[:3], "Sec-WebSocket-Version: 8")).status == 426
    opened(client)
    assert len(served.made) == 2
    assert served.made[1] is not None
    served.made[1].abort()


@pytest.mark.parametrize(
    ("origins", "origin", "may"),
    [
        ((), "http://a", True),
        ((), "https://a", True),
        ((), "http://b", False),
        (["http://b"], "http://b", True),
        (["http://b"], "http://a", True),
        (["http://b"], "http://c", False),
        (None, "http://anybody", True),
        (None, "null", True),
    ],
)
def test_origins(site: Site, origins: list[str] | None, origin: str, may: bool) -> None:
    served = Served(site, origins=origins)
    client = site.client()
    if may:
        opened(client, f"Origin: {origin}")
        served.ws.abort()
    else:
        assert client.ask(get("/", *FIELDS, f"Origin: {origin}")).status == 403


def test_behind_a_proxy_the_host_is_what_the_client_asked() -> None:
    with Site(proxies=Proxies(["127.0.0.1"], fields="forwarded", host=True)) as site:
        served = Served(site)
        told = "Forwarded: host=example.org;proto=https;for=192.0.2.1"
        assert site.client().ask(get("/", *FIELDS, told, "Origin: https://a")).status == 403
        opened(site.client(), told, "Origin: https://example.org")
        assert served.made[1] is not None
        served.made[1].abort()


def test_what_is_agreed_upon(site: Site) -> None:
    served = Served(
        site,
        subprotocols=["chat"],
        options=WebSocketOptions(deflate=Deflate()),
        headers=[("Set-Cookie", "a=b")],
    )
    client = site.client()
    fields = opened(
        client,
        "Sec-WebSocket-Protocol: other, chat",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    )
    assert fields["Sec-WebSocket-Protocol"] == served.ws.subprotocol == "chat"
    assert fields["Set-Cookie"] == "a=b"
    assert fields["Sec-WebSocket-Extensions"] == (
        "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
    )
    client.send(frame(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=4))
    assert received(client, 1) == [Frame(0x81, False, b"Hello")]
    served.ws.abort()


@pytest.mark.parametrize(
    "options", [{"subprotocols": ["a b"]}, {"origins": ["example.org"]}, {"subprotocols": ["a", "a"]}]
)
def test_options_that_make_no_sense(site: Site, options: dict[str, Any]) -> None:
    Served(site, **options)
    assert site.client().ask(get("/", *FIELDS)).status == 500
    assert [type(exception) for exception in site.take_escaped()] == [ValueError]


WRONG = [
    ({"on_message": "x"}, "expected on_message as a function"),
    ({"on_close": 5}, "expected on_close as a function"),
    ({"options": None}, "expected options as WebSocketOptions"),
    ({"options": Deflate()}, "expected options as WebSocketOptions"),
    ({"subprotocols": [5]}, "names of subprotocols as str"),
    ({"subprotocols": "chat"}, "got the str 'chat'"),
]


@pytest.mark.parametrize(
    ("settings", "told"), [*WRONG, ({"group": [1]}, "expected group as a WebSocketGroup, or None")]
)
def test_arguments_of_another_type(site: Site, settings: dict[str, Any], told: str) -> None:
    def on_request(request: Request) -> None:
        with pytest.raises(TypeError, match=told):
            upgrade(request, **settings)
        request.send_reply(204)  # nothing was said so far

    site.server.set_gencb(on_request)
    assert site.client().ask(get("/", *FIELDS)).status == 204


@pytest.mark.parametrize("name", ["Upgrade", "connection", "Sec-WebSocket-Accept", "sec-websocket-protocol"])
def test_fields_of_the_handshake_are_its_own(site: Site, name: str) -> None:
    def on_request(request: Request) -> None:
        with pytest.raises(LocalProtocolError, match=f"the handshake's own, got '{name}'"):
            upgrade(request, headers={name: "x"})
        request.send_reply(204)

    site.server.set_gencb(on_request)
    assert site.client().ask(get("/", *FIELDS)).status == 204


def test_a_request_that_is_answered(site: Site) -> None:
    def on_request(request: Request) -> None:
        request.send_reply(204)
        with pytest.raises(LocalProtocolError, match="answered"):
            upgrade(request)

    site.server.set_gencb(on_request)
    assert site.client().ask(get("/", *FIELDS)).status == 204


def test_a_client_that_has_gone(site: Site) -> None:
    waiting: list[Request] = []
    site.server.set_gencb(waiting.append)
    client = site.client()
    client.send(get("/", *FIELDS))
    site.until(lambda: waiting, "the request")
    client.reset()
    waiting[0].abort()
    assert upgrade(waiting[0]) is None


def test_later_than_the_handler(site: Site) -> None:
    waiting: list[Request] = []
    site.server.set_gencb(waiting.append)
    client = site.client()
    client.send(get("/", *FIELDS) + frame(TEXT, b"early"))
    site.until(lambda: waiting, "the request")
    ws = upgrade(waiting[0], lambda ws, data: ws.send(data))
    assert ws is not None
    assert b"101" in client._more()
    site.until(lambda: not ws.bev.input, "what came early")
    ws.abort()


# --- the end of the server


def test_a_group_closes_what_the_server_has_forgotten(site: Site) -> None:
    group = WebSocketGroup()
    served = Served(site, group=group)
    clients = [site.client(), site.client()]
    for client in clients:
        opened(client)
    assert len(group) == 2
    done: list[str] = []
    site.server.stop(stopped=lambda: done.append("server"))
    group.close(closed=lambda: done.append("group"))
    assert done == ["server"]
    for client in clients:
        site.settle()
        assert received(client, 1) == [Frame(0x88, False, b"\x03\xe9")]
        client.send(close_frame(1001))
        client.close()
    site.until(lambda: len(done) == 2, "the end of all")
    assert served.ends == [1001, 1001]


def test_a_group_that_is_closing_takes_nobody(site: Site) -> None:
    group = WebSocketGroup()
    group.close()
    Served(site, group=group)
    assert site.client().ask(get("/", *FIELDS)).status == 503
    assert len(group) == 0


# --- hostile bytes on real sockets, and every way to wait


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05hello", 1002),
        (b"\xff" * 100, 1002),
        (frame(TEXT, b"\xff"), 1007),
        (b"\x82\xff" + bytes(7) + b"\x20\x00\x00", 1002),
        (b"\x82\xff\0\0\0\0\x7f\xff\xff\xff", 1009),
        (frame(TEXT, b"a", fin=False) * 2, 1002),
    ],
)
def test_hostile_bytes_end_in_a_close_frame(site: Site, data: bytes, code: int) -> None:
    served = Served(site)
    client = site.client()
    opened(client, data=data)
    client.send(bytes(100_000))  # nobody waits for it to stop
    last = frames(client.rest())[-1]
    assert (last.opcode, last.payload[:2]) == (CLOSE, code.to_bytes(2, "big"))
    assert served.ends == [code]
    client.close()
    site.until(lambda: served.ws.bev.closed, "the end")


def test_an_endless_message_is_cut_off(site: Site) -> None:
    served = Served(site, options=WebSocketOptions(max_message=50_000))
    client = site.client()
    opened(client)
    client.send(frame(TEXT, b"x", fin=False))
    for _ in range(60):
        client.send(frame(0, b"x" * 1000, fin=False))
    assert frames(client.rest())[-1].payload[:2] == b"\x03\xf1"
    assert served.ends == [1009]
    client.close()
    site.until(lambda: served.ws.bev.closed, "the end")


def test_a_client_that_resets(site: Site) -> None:
    served = Served(site)
    client = site.client()
    opened(client)
    client.reset()
    site.until(lambda: served.ends, "the end")
    assert served.ends == [1006]
    assert served.ws.bev.closed


def test_what_a_client_said_before_it_went_is_heard_though_writing_fails(site: Site) -> None:
    served = Served(site)
    client = site.client()
    opened(client)
    served.ws.pause()
    client.send(close_frame(1001))
    client.close()
    for _ in range(2):  # the first makes the client's system refuse, the second hears of that
        served.ws.send("news")
        site.settle()
    assert served.ends == []
    served.ws.resume()
    site.until(lambda: served.ends, "the end")
    assert served.ends == [1001]
    site.until(lambda: served.ws.bev.closed, "the end of the connection below")


@pytest.mark.parametrize("name", EVERY_BACKEND)
def test_every_way_to_wait(name: str) -> None:
    with EventBase(backend=EVERY_BACKEND[name]()) as base, Site(base=base) as site:
        served = Served(site)
        client = site.client()
        opened(client)
        for size in (10, 1000, 300_000):
            client.send(frame(TEXT, b"x" * size))
            assert received(client, 1) == [Frame(0x81, False, b"x" * size)]
        client.send(close_frame(1000))
        assert frames(client.rest()) == [Frame(0x88, False, b"\x03\xe8")]
        client.close()
        site.until(lambda: served.ws.bev.closed, "the end")
