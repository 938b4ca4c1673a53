"""`connect`: a client and servers that are evkit's own, wsproto, or played byte by byte, up to the first message."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, TextMessage
from wsproto.events import Request as Asked

from certificates import Certificates
from evkit.core import Future
from evkit.errors import ConnectError, ConnectionLost, LocalProtocolError, TLSError
from evkit.http.client.client import Client
from evkit.http.client.origin import Origin
from evkit.http.client.proxy_choice import Proxy, ProxyRules
from evkit.http.client.retries import Retries
from evkit.http.errors import BadResponse
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.websocket import (
    Deflate,
    HandshakeError,
    WebSocket,
    WebSocketOptions,
    connect,
    open_client,
    upgrade,
)
from evkit.http.websocket.connect import _Opening
from http_client_aids import TIMEOUTS, Place, Wire, World, phase_of, reply
from websocket_aids import BINARY, CLOSE, TEXT, Log, accept_for, close_frame, frame, frames

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
COMPRESSED = WebSocketOptions(deflate=Deflate(min_size=1))


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


def key_of(head: bytes) -> bytes:
    return head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]


def switching(head: bytes, *fields: str) -> bytes:
    """Spell the reply that agrees to a request."""
    key = key_of(head).decode()
    lines = ["HTTP/1.1 101 R", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {accept_for(key)}", *fields, "", ""]
    return "\r\n".join(lines).encode()


class Dialled:
    """A client's WebSocket that is on its way to a server that the test plays."""

    def __init__(self, world: World, url: str | None = None, **settings: Any) -> None:
        self.world = world
        self.place = world.place()
        self.log = Log()
        settings.setdefault("on_message", self.log.on_message)
        self.future: Future[WebSocket] = world.watched(
            connect(
                world.client,
                url or f"ws://a.test:{self.place.port}/chat?x",
                on_close=self.log.on_close,
                **settings,
            )
        )

    def accept(self) -> tuple[Wire, bytes]:
        """Take the request."""
        wire = self.place.accept()
        return wire, wire.head()

    def agreed(self, behind: bytes = b"") -> tuple[Wire, WebSocket]:
        wire, head = self.accept()
        wire.send(switching(head) + behind)
        return wire, self.world.result(self.future)

    def refused(self) -> BaseException:
        """Return why there is no WebSocket; nothing is left of its connection, and nobody else was told."""
        error = self.world.error(self.future)
        assert self.log.ends == self.log.messages == []
        return error


# To a server of evkit's


def serve(world: World, **settings: Any) -> tuple[Server, int]:
    """Have an echo on the world's base."""

    def echo(request: Request) -> None:
        upgrade(request, lambda ws, data: ws.send(data), **settings)

    tls = settings.pop("tls", None)
    server = Server(world.base)
    server.set_gencb(echo)
    return server, int(server.bind("127.0.0.1", 0, tls=tls).address.rpartition(":")[2])


def talk(world: World, url: str, **settings: Any) -> WebSocket:
    """Connect, say something, hear it, and part in peace."""
    log = Log()
    future = world.watched(connect(world.client, url, log.on_message, on_close=log.on_close, **settings))
    ws = world.result(future)
    assert ws.open
    assert not ws.paused
    said: list[str | bytes] = ["hello", b"\0" * 300_000, "\u20ac" * 1000]
    for message in said:
        ws.send(message)
    world.until(lambda: len(log.messages) == 3, "the answers")
    assert log.messages == said
    ws.close(4000, "done")
    world.until(lambda: log.ends, "the end")
    assert log.ends == [(4000, "")]
    assert ws.error is None
    world.until(lambda: ws.bev.closed, "the end of the connection below")
    return ws


@pytest.mark.parametrize("options", [WebSocketOptions(), COMPRESSED])
def test_to_a_server_of_ours(world: World, options: WebSocketOptions) -> None:
    server, port = serve(world, options=options, subprotocols=["chat"])
    ws = talk(world, f"ws://a.test:{port}/", options=options, subprotocols=["other", "chat"])
    assert ws.subprotocol == "chat"
    assert ws.options is options
    assert ws.request is None
    assert world.names.asked == ["a.test"]
    assert world.pool == "0 connections, 0 free, 0 waiting"
    server.close()


@pytest.mark.parametrize("scheme", ["wss", "https", "WSS"])
def test_over_tls(certificates: Certificates, scheme: str) -> None:
    with World(tls=certificates.client()) as world:
        server, port = serve(world, tls=certificates.server())
        talk(world, f"{scheme}://localhost:{port}/")
        server.close()


def test_over_tls_to_a_server_that_is_another(certificates: Certificates) -> None:
    with World(tls=certificates.client()) as world:
        server, port = serve(world, tls=certificates.server())
        error = world.error(connect(world.client, f"wss://elsewhere.test:{port}/"))
        assert isinstance(error, TLSError)
        assert "elsewhere.test" in str(error)
        server.close()


def test_over_tls_to_a_server_that_nobody_vouches_for(certificates: Certificates) -> None:
    with World() as world:
        server, port = serve(world, tls=certificates.server())
        assert isinstance(world.error(connect(world.client, f"wss://localhost:{port}/")), TLSError)
        server.close()


def test_a_page_of_another_origin_is_refused(world: World) -> None:
    server, port = serve(world)
    error = world.error(
        connect(world.client, f"ws://a.test:{port}/", headers=[("Origin", "http://elsewhere.test")])
    )
    assert isinstance(error, HandshakeError)
    assert error.status == 403
    server.close()


# To wsproto


def test_to_a_server_that_is_none_of_ours(world: World) -> None:
    dialled = Dialled(world, subprotocols=["chat"], headers={"X-Token": "t"})
    wire, head = dialled.accept()
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(head)
    (asked,) = server.events()
    assert isinstance(asked, Asked)
    assert (asked.host, asked.target) == (f"a.test:{dialled.place.port}", "/chat?x")
    assert (asked.subprotocols, dict(asked.extra_headers)[b"x-token"]) == (["chat"], b"t")
    wire.send(server.send(AcceptConnection(subprotocol="chat")))
    ws = world.result(dialled.future)
    assert ws.subprotocol == "chat"

    ws.send("question")
    server.receive_data(wire.receive(lambda data: len(data) >= 14, "a message"))
    assert [event.data for event in server.events() if isinstance(event, TextMessage)] == ["question"]
    wire.send(server.send(TextMessage("answer")))
    assert dialled.log.messages == ["answer"]
    wire.send(server.send(CloseConnection(4001, "bye")))
    assert dialled.log.ends == [(4001, "bye")]
    assert wire.silent() is False  # its close frame
    wire.close()
    assert ws.bev.closed


# What is asked


def test_the_request(world: World) -> None:
    _, head = (dialled := Dialled(world)).accept()
    assert head.startswith(b"GET /chat?x HTTP/1.1\r\nHost: a.test:%d\r\n" % dialled.place.port)
    for field in (b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13"):
        assert head.count(b"\r\n%b\r\n" % field) == 1
    assert b"Sec-WebSocket-Protocol" not in head
    assert b"Sec-WebSocket-Extensions" not in head
    dialled.future.cancel()


def test_compression_is_offered_where_it_is_wanted(world: World) -> None:
    dialled = Dialled(world, options=COMPRESSED)
    wire, head = dialled.accept()
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate" in head
    answer = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=10"
    wire.send(switching(head, f"Sec-WebSocket-Extensions: {answer}"))
    ws = world.result(dialled.future)
    ws.send("x" * 1000)
    (sent,) = frames(wire.receive(lambda data: len(data) > 5, "a message"))
    assert (sent.first, len(sent.payload) < 100) == (0xC1, True)
    ws.abort()


def test_the_user_and_password_of_the_url() -> None:
    with World() as world:
        place = world.place()
        future = world.watched(connect(world.client, f"ws://user:password@a.test:{place.port}"))
        assert b"\r\nAuthorization: Basic dXNlcjpwYXNzd29yZA==\r\n" in place.accept().head()
        future.cancel()


@pytest.mark.parametrize(
    "url", ["ftp://user:secret@a/", "//user:secret@a", "wss:secret", "ws", "", "ws://:secret@"]
)
def test_a_url_that_is_none_of_these(world: World, url: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        connect(world.client, url)
    assert "secret" not in str(caught.value)


def test_names_that_can_not_be_offered(world: World) -> None:
    with pytest.raises(ValueError, match="tokens"):
        connect(world.client, "ws://a.test", subprotocols=["a b"])
    with pytest.raises(TypeError, match="str"):
        connect(world.client, "ws://a.test", subprotocols="chat")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"on_message": "x"}, "expected on_message as a function"),
        ({"on_close": 5}, "expected on_close as a function"),
        ({"options": None}, "expected options as WebSocketOptions"),
        ({"options": Deflate()}, "expected options as WebSocketOptions"),
        ({"subprotocols": [5]}, "names of subprotocols as str"),
        ({"url": b"ws://a.test"}, "expected url as a str"),
    ],
)
def test_arguments_of_another_type(world: World, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        connect(world.client, **{"url": "ws://a.test", **settings})


@pytest.mark.parametrize("name", ["Upgrade", "connection", "Sec-WebSocket-Key", "sec-websocket-version"])
def test_fields_of_the_handshake_are_its_own(world: World, name: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"the handshake's own, got '{name}'"):
        connect(world.client, "ws://a.test", headers=[("Origin", "x"), (name, "x")])


def test_a_client_that_is_closed(world: World) -> None:
    world.client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        connect(world.client, "ws://a.test")


def test_each_try_has_a_key_of_its_own() -> None:
    with World(retries=Retries(4, statuses=[503], unanswered=True, backoff=0.0)) as world:
        dialled = Dialled(world, headers=[("Origin", "http://a.test")])
        wire, first = dialled.accept()
        wire.send(reply(status=503))
        second = wire.head()
        wire.reset()
        wire, third = dialled.accept()
        wire.send(switching(third))  # which proves the last key, and no other
        world.result(dialled.future).abort()
        assert len({key_of(head) for head in (first, second, third)}) == 3
        assert all(head.count(b"Sec-WebSocket-Key: ") == 1 for head in (first, second, third))
        assert all(b"Origin: http://a.test\r\n" in head for head in (first, second, third))


# What is refused


@pytest.mark.parametrize("status", [200, 204, 301, 401, 404, 426, 503])
def test_another_status(world: World, status: int) -> None:
    dialled = Dialled(world)
    wire, _ = dialled.accept()
    wire.send(reply(b"no" if status != 204 else b"", "Location: /elsewhere", status=status))
    error = dialled.refused()
    assert isinstance(error, HandshakeError)
    assert error.status == status
    assert str(status) in str(error)
    assert not dialled.place.waiting()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda answer: answer.replace(b"Accept: ", b"Accept: x"),
        lambda answer: answer.replace(b"Accept: ", b"Other: "),
        lambda answer: answer[:-2] + b"Sec-WebSocket-Protocol: chat\r\n\r\n",
        lambda answer: answer[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    ],
)
def test_an_agreement_to_something_else(world: World, spoil: Callable[[bytes], bytes]) -> None:
    dialled = Dialled(world)
    wire, head = dialled.accept()
    wire.send(spoil(switching(head)) + frame(TEXT, b"early", mask=None))
    error = dialled.refused()
    assert isinstance(error, HandshakeError)
    assert error.status == 101
    assert wire.closed()


def test_an_agreement_to_another_protocol(world: World) -> None:
    dialled = Dialled(world)
    wire, head = dialled.accept()
    wire.send(switching(head).replace(b"websocket", b"h2c"))
    assert isinstance(dialled.refused(), HandshakeError | BadResponse)
    assert wire.closed()


def test_a_server_that_leaves_before_it_answers(world: World) -> None:
    dialled = Dialled(world)
    wire, head = dialled.accept()
    wire.send(switching(head)[:-2])
    wire.close()
    assert isinstance(dialled.refused(), ConnectionLost | BadResponse)


def test_a_name_without_addresses(world: World) -> None:
    assert isinstance(Dialled(world, "ws://unknown.test/").refused(), ConnectError)


# Time-outs and cancelling, in each phase


def before_the_name(dialled: Dialled) -> Wire | None:
    return None


def before_the_request(dialled: Dialled) -> Wire:
    return dialled.place.accept()


def before_the_answer(dialled: Dialled) -> Wire:
    return dialled.accept()[0]


def within_the_answer(dialled: Dialled) -> Wire:
    wire, head = dialled.accept()
    wire.send(switching(head)[:-2])
    return wire


PHASES: list[Callable[[Dialled], Wire | None]] = [
    before_the_name,
    before_the_request,
    before_the_answer,
    within_the_answer,
]


def part_of_the_way(world: World, phase: Callable[[Dialled], Wire | None]) -> tuple[Dialled, Wire | None]:
    world.names.slow = phase is before_the_name
    dialled = Dialled(world)
    wire = phase(dialled)
    assert not dialled.future.done()
    return dialled, wire


@pytest.mark.parametrize("phase", PHASES)
def test_cancelled(world: World, phase: Callable[[Dialled], Wire | None]) -> None:
    dialled, wire = part_of_the_way(world, phase)
    assert dialled.future.cancel()
    assert wire is None or wire.closed()
    assert dialled.future.cancelled()
    assert dialled.log.ends == []
    assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("phase", PHASES)
def test_the_client_is_closed(world: World, phase: Callable[[Dialled], Wire | None]) -> None:
    dialled, wire = part_of_the_way(world, phase)
    world.client.close()
    assert isinstance(dialled.refused(), LocalProtocolError)
    assert wire is None or wire.closed()


@pytest.mark.parametrize(
    ("phase", "name", "limit"),
    [
        (before_the_answer, "head", TIMEOUTS.head),
        (within_the_answer, "head", TIMEOUTS.head),
    ],
)
def test_a_server_that_is_silent(
    world: World, phase: Callable[[Dialled], Wire], name: str, limit: float
) -> None:
    dialled, _ = part_of_the_way(world, phase)
    world.wait(0.9 * limit)
    assert not dialled.future.done()
    world.wait(0.2 * limit)
    assert phase_of(dialled.refused()) == name


def test_the_time_outs_of_requests_do_not_hold_for_what_they_become() -> None:
    with World(timeouts=TIMEOUTS) as world:
        dialled = Dialled(world, options=WebSocketOptions(ping_after=None))
        wire, ws = dialled.agreed()
        world.wait(2 * TIMEOUTS.total)  # type: ignore[operator]  # there is one
        assert ws.open
        assert wire.silent()
        ws.abort()


def test_those_of_a_websocket_do(world: World) -> None:
    dialled = Dialled(world, options=WebSocketOptions(ping_after=3.0))
    wire, ws = dialled.agreed()
    assert wire.silent()
    world.wait(3.5)
    assert not wire.silent()
    ws.abort()


def test_cancelled_in_the_very_last_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has agreed, and the future does not know yet."""
    made: list[WebSocket] = []

    def opened(*arguments: Any, **settings: Any) -> WebSocket:
        made.append(open_client(*arguments, **settings))
        world.base.call_soon(dialled.future.cancel)
        return made[0]

    monkeypatch.setattr(sys.modules[_Opening.__module__], "open_client", opened)
    dialled = Dialled(world)
    wire, head = dialled.accept()
    wire.send(switching(head) + EARLY)
    assert dialled.future.cancelled()
    assert made[0].bev.closed
    assert dialled.log.messages == dialled.log.ends == []
    assert wire.closed()


# The first words


EARLY = frame(TEXT, b"hello", mask=None) + frame(BINARY, b"\1\2", mask=None)


def test_a_server_that_speaks_first(world: World) -> None:
    dialled = Dialled(world)
    _, ws = dialled.agreed(EARLY)
    world.settle()
    assert dialled.log.messages == ["hello", b"\1\2"]
    ws.abort()
    assert dialled.log.ends == [(1006, "")]


def test_the_future_is_told_before_anything_is_delivered(world: World) -> None:
    dialled = Dialled(world)
    order: list[object] = []
    dialled.future.add_done_callback(
        lambda future: order.append((future.result().open, *dialled.log.messages))
    )
    wire, _ = dialled.agreed(EARLY + close_frame(1000, mask=None))
    wire.close()
    assert order == [(True,)]
    assert dialled.log.messages == ["hello", b"\1\2"]
    assert dialled.log.ends == [(1000, "")]


def test_who_has_waited_can_still_say_who_gets_the_messages(world: World) -> None:
    dialled = Dialled(world, on_message=None)
    wire, head = dialled.accept()
    wire.socket.send(switching(head) + EARLY)
    ws = dialled.future.result()
    ws.on_message = dialled.log.on_message
    world.settle()
    assert dialled.log.messages == ["hello", b"\1\2"]
    ws.abort()


def test_who_is_told_may_pause(world: World) -> None:
    dialled = Dialled(world)
    dialled.future.add_done_callback(lambda future: future.result().pause())
    _, ws = dialled.agreed(EARLY)
    world.settle()
    assert dialled.log.messages == []
    assert ws.paused
    ws.resume()
    world.settle()
    assert dialled.log.messages == ["hello", b"\1\2"]
    ws.abort()


def test_who_is_told_may_end_it(world: World) -> None:
    dialled = Dialled(world)
    dialled.future.add_done_callback(lambda future: future.result().abort())
    wire, _ = dialled.agreed(EARLY)
    assert wire.closed()
    assert dialled.log.messages == []
    assert dialled.log.ends == [(1006, "")]


def test_a_server_that_agrees_and_leaves(world: World) -> None:
    dialled = Dialled(world)
    wire, head = dialled.accept()
    wire.socket.send(switching(head))
    wire.close()
    ws = world.result(dialled.future)
    world.settle()
    assert dialled.log.ends == [(1006, "read: ended without a close frame")]
    assert isinstance(ws.error, ConnectionLost)
    assert ws.bev.closed


def test_it_outlives_its_client(world: World) -> None:
    dialled = Dialled(world)
    wire, ws = dialled.agreed()
    world.client.close()
    wire.send(frame(TEXT, b"still here", mask=None))
    assert dialled.log.messages == ["still here"]
    ws.close()
    (close,) = frames(wire.receive(lambda data: len(data) > 7, "a close frame"))
    assert (close.opcode, close.masked) == (CLOSE, True)
    wire.close()
    assert dialled.log.ends == [(1006, "read: ended without a close frame")]


# Proxies


@pytest.fixture
def proxied(world: World) -> Iterator[tuple[Client, Place]]:
    """A client with a proxy that the test plays."""
    place = world.place()
    proxy = Proxy(Origin("http", "127.0.0.1", place.port))
    with Client(
        world.base, proxies=ProxyRules(proxy, proxy), resolver=world.names, timeouts=TIMEOUTS
    ) as client:
        yield client, place


def test_through_a_proxy(world: World, proxied: tuple[Client, Place]) -> None:
    client, place = proxied
    future = world.watched(connect(client, "ws://origin.test/chat"))
    wire = place.accept()
    assert wire.head().startswith(b"CONNECT origin.test:80 HTTP/1.1\r\n")
    wire.send(ESTABLISHED)
    head = wire.head()
    assert head.startswith(b"GET /chat HTTP/1.1\r\nHost: origin.test\r\n")
    wire.send(switching(head))
    ws = world.result(future)
    ws.send(b"x")
    (sent,) = frames(wire.receive(lambda data: len(data) >= 7, "a message"))
    assert sent.payload == b"x"
    ws.abort()


def test_a_proxy_that_refuses(world: World, proxied: tuple[Client, Place]) -> None:
    client, place = proxied
    future = world.watched(connect(client, "ws://origin.test/chat"))
    wire = place.accept()
    wire.answer(status=407)
    assert isinstance(world.error(future), ConnectError)
    assert wire.closed()


# Nothing is left


def agreed(dialled: Dialled, wire: Wire, head: bytes) -> None:
    wire.send(switching(head) + EARLY + close_frame(1000, mask=None))
    dialled.world.settle()
    wire.close()


def lost(dialled: Dialled, wire: Wire, head: bytes) -> None:
    wire.send(switching(head))
    wire.reset()


def unproved(dialled: Dialled, wire: Wire, head: bytes) -> None:
    wire.send(switching(head).replace(b"Accept: ", b"Accept: x"))
    dialled.refused()


def missing(dialled: Dialled, wire: Wire, head: bytes) -> None:
    wire.send(reply(b"no", status=404))
    dialled.refused()


def cancelled(dialled: Dialled, wire: Wire, head: bytes) -> None:
    dialled.future.cancel()
    assert wire.closed()


@pytest.mark.parametrize("way", [agreed, lost, unproved, missing, cancelled])
def test_it_is_freed_without_the_collector(world: World, way: Callable[[Dialled, Wire, bytes], None]) -> None:
    gc.disable()
    try:
        dialled = Dialled(world)
        world.futures.clear()
        way(dialled, *dialled.accept())
        world.settle()
        kept = weakref.ref(dialled.log)
        del dialled
        assert kept() is None
    finally:
        gc.enable()
