"""`evkit.http.client.dialing`: connections straight and through proxies, and how each step of them fails."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evkit.core import BufferEvent, EventBase, SocketBufferEvent
from evkit.errors import ConnectError, ConnectionLost, EvkitError, LocalProtocolError, TLSError
from evkit.http.client.credentials import Basic
from evkit.http.client.dialing import Dial, Dialling
from evkit.http.client.origin import Origin
from evkit.http.client.proxy_choice import Proxy, ProxyRules, Route
from evkit.http.errors import BadResponse
from evkit.http.parser import make_response_engine
from http_client_aids import CONTINUE, TIMEOUTS, Place, Wire, World, phase_of, reply

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


# Straight


def test_a_name_is_looked_up_by_the_resolver(world: World) -> None:
    place = world.place()
    future = world.get(place.named("a.test"))
    place.accept().answer()
    world.result(future)
    assert world.names.asked == ["a.test"]


def test_a_name_without_addresses(world: World) -> None:
    error = world.error(world.get("http://unknown.test/path"))
    assert isinstance(error, ConnectError)
    assert "unknown.test" in str(error)
    assert "no such name" in str(error)
    assert error.__notes__ == ["GET http://unknown.test/path"]


def test_a_port_where_nobody_listens(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        error = world.error(world.get(f"http://127.0.0.1:{port}/"))
    assert isinstance(error, ConnectError)
    assert error.during == "connect"
    assert f"127.0.0.1:{port}" in str(error)


def test_a_family() -> None:
    asked: list[int] = []

    class Families:
        def getaddrinfo(self, host: str, port: int, family: int = 0) -> Any:
            asked.append(family)
            return world.names.getaddrinfo(host, port, family)

    with World(resolver=Families(), family=socket.AF_INET6) as world:
        world.error(world.get("http://unknown.test/"))
    assert asked == [socket.AF_INET6]


def test_an_address_to_connect_from() -> None:
    with World(local=("127.0.0.5", 0)) as world:
        place = world.place()
        future = world.get(place.named("a.test"))
        wire = place.accept()
        assert wire.socket.getpeername()[0] == "127.0.0.5"
        wire.answer()
        world.result(future)


def test_an_address_that_is_not_this_machine_s() -> None:
    with World(local=("192.0.2.1", 0)) as world:
        assert isinstance(world.error(world.get("http://a.test/")), ConnectError)
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_a_resolver_that_fails_at_once() -> None:
    class Broken:
        def getaddrinfo(self, host: str, port: int, family: int = 0) -> Any:
            raise ZeroDivisionError

    with World(resolver=Broken()) as world:
        assert isinstance(world.error(world.get("http://a.test/")), ZeroDivisionError)
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with World(unix=path) as world:
        place = world.place(path=path)
        future = world.get("http://whatever.test/a")
        wire = place.accept()
        head = wire.head()
        assert b"Host: whatever.test\r\n" in head
        wire.send(reply(b"over a path"))
        assert world.result(future).body == b"over a path"
        assert world.names.asked == []


def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    with World(unix=str(tmp_path / "nothing")) as world:
        error = world.error(world.get("http://a.test/"))
        assert isinstance(error, ConnectError)


def test_a_path_that_is_too_long() -> None:
    with World(unix="/" + "x" * 500) as world:
        assert isinstance(world.error(world.get("http://a.test/")), OSError)
        assert world.pool == "0 connections, 0 free, 0 waiting"


# Whoever makes the connection may keep it


def test_a_connection_of_one_s_own() -> None:
    made: list[SocketBufferEvent] = []

    def make(base: EventBase) -> SocketBufferEvent:
        made.append(SocketBufferEvent(base))
        return made[-1]

    with World(make_bufferevent=make) as world:
        place = world.place()
        future = world.get(place.url)
        place.accept().answer()
        world.result(future)
        assert len(made) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("when", ["connecting", "connected"])
def test_somebody_else_closes_it(scheme: str, when: str) -> None:
    """The request fails; nobody waits for what will never come."""
    made: list[SocketBufferEvent] = []

    def make(base: EventBase) -> SocketBufferEvent:
        made.append(SocketBufferEvent(base))
        return made[-1]

    with World(make_bufferevent=make) as world:
        place = world.place()
        world.names.slow = True
        future = world.get(place.named("a.test", scheme))
        world.settle()
        if when == "connected":
            world.names.pending[0].set_result([("127.0.0.1", place.port)])
            place.accept()
        made[0].close()
        error = world.error(future)
        assert isinstance(error, ConnectionLost)
        assert world.pool == "0 connections, 0 free, 0 waiting"


# Plain proxies


class Proxied:
    """A client with a proxy that the test plays."""

    def __init__(self, scheme: str = "http") -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.world = World(proxies=f"{scheme}://127.0.0.1:{self.port}")
        self.proxy = Place(self.world)
        self.proxy.socket.close()
        self.listening.setblocking(False)
        self.proxy.socket, self.proxy.port = self.listening, self.port
        self.world.places.append(self.proxy)

    def __enter__(self) -> World:
        return self.world.__enter__()

    def __exit__(self, *arguments: Any) -> None:
        self.world.__exit__(*arguments)

    @property
    def wire(self) -> Wire:
        return self.proxy.accept()


def test_plain_requests_go_to_the_proxy_with_the_whole_url() -> None:
    setting = Proxied()
    with setting as world:
        future = world.get("http://origin.test/path?query")
        wire = setting.wire
        head = wire.head()
        assert head.startswith(b"GET http://origin.test/path?query HTTP/1.1\r\nHost: origin.test\r\n")
        wire.send(reply(b"from the proxy"))
        assert world.result(future).body == b"from the proxy"
        assert world.names.asked == ["127.0.0.1"]  # only the proxy looks the origin up
        second = world.get("http://other.test/")
        assert wire.answer() == b"GET http://other.test/ HTTP/1.1"  # over the same connection
        world.result(second)


def test_a_plain_proxy_that_wants_credentials() -> None:
    """407 is an answer like any other."""
    setting = Proxied()
    with setting as world:
        future = world.get("http://origin.test/")
        setting.wire.answer(b"who are you?", "Proxy-Authenticate: Basic", status=407)
        assert world.result(future).status == 407


def test_credentials_for_the_proxy_go_to_the_proxy_alone() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    listening.close()
    proxy = Proxy(Origin("http", "127.0.0.1", port), Basic("user", "password"))
    with World(proxies=ProxyRules(proxy, proxy)) as world:
        place = world.place()
        place.socket.close()
        place.socket = socket.create_server(("127.0.0.1", port))
        place.socket.setblocking(False)
        plain = world.get("http://origin.test/")
        wire = place.accept()
        head = wire.head()
        assert b"Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n" in head
        wire.send(reply())
        world.result(plain)
        tunnelled = world.get("https://origin.test/")
        wire = place.accept()
        assert b"Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n" in wire.head()
        tunnelled.cancel()


# Tunnels


def tunnel(
    setting: Proxied, world: World, answer: bytes = ESTABLISHED, url: str = "http://origin.test/"
) -> Any:
    """Ask for an upgrade, which takes a tunnel though there is no TLS; return the future and the proxy's wire."""
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "other")]
    future = world.watched(world.client.upgrade(url, upgrade, lambda response, bev: bev))
    wire = setting.wire
    head = wire.head()
    assert head == b"CONNECT origin.test:80 HTTP/1.1\r\nHost: origin.test:80\r\n\r\n"
    wire.send(answer)
    return future, wire


@pytest.mark.parametrize(
    "answer", [ESTABLISHED, CONTINUE + ESTABLISHED, b"HTTP/1.0 299 Yes\r\nContent-Length: 9\r\n\r\n"]
)
def test_a_tunnel(answer: bytes) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, answer)
        assert wire.head().startswith(b"GET / HTTP/1.1\r\nHost: origin.test\r\n")
        wire.send(b"HTTP/1.1 101 R\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nhello")
        bev: BufferEvent = world.result(future)
        assert bev.read() == b"hello"
        bev.close()


class NoCredentials:
    @property
    def authorization(self) -> str:
        raise KeyError("token")


@pytest.mark.parametrize(
    ("options", "error"),
    [({"credentials": NoCredentials()}, KeyError), ({"fields": (("Host", "x"),)}, LocalProtocolError)],
)
def test_a_proxy_that_can_t_be_asked_for_a_tunnel(options: dict[str, Any], error: type[Exception]) -> None:
    with World() as world:
        place = world.place()
        proxy = Proxy(Origin("http", "127.0.0.1", place.port), **options)
        route = Route(proxy.origin, proxy, Origin("https", "a.test", 443))
        ends: list[Exception | None] = []
        how = Dialling(TIMEOUTS, lambda: make_response_engine("native"))
        Dial(world.base, route, how, lambda dial, bev, failure: ends.append(failure)).start()
        assert place.accept().closed()
        (failure,) = ends
        assert isinstance(failure, error)


def test_a_tunnel_whose_answer_comes_byte_by_byte() -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, b"")
        for byte in ESTABLISHED:
            assert wire.silent()
            wire.send(bytes([byte]))
        assert wire.head().startswith(b"GET / ")
        future.cancel()
        assert wire.closed()


@pytest.mark.parametrize("status", [300, 302, 400, 403, 407, 500, 502, 503])
def test_a_proxy_that_refuses(status: int) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, reply(b"go away", status=status, reason="No\tWay"))
        error = world.error(future)
        assert isinstance(error, ConnectError)
        assert f"gives no tunnel to http://origin.test: {status}" in str(error)
        assert "\t" not in str(error)
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_the_reason_of_a_refusal_is_cut() -> None:
    setting = Proxied()
    with setting as world:
        future, _ = tunnel(setting, world, reply(status=502, reason="x" * 50_000))
        assert len(str(world.error(future))) < 300


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        CONTINUE * 30,
        b"HTTP/1.1 200 R\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    ],
)
def test_a_proxy_that_talks_nonsense(answer: bytes) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, answer)
        assert isinstance(world.error(future), BadResponse)
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_junk_behind_the_head_that_makes_a_tunnel() -> None:
    """It would be taken for the origin's words."""
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED + b"HTTP/1.1 200 R\r\n")
        error = world.error(future)
        assert isinstance(error, BadResponse)
        assert "b'HTTP/1.1 200 R" in str(error)
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("cut", range(len(ESTABLISHED)))
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_proxy_that_leaves_in_the_middle(cut: int, end: str) -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED[:cut])
        wire.close() if end == "close" else wire.reset()
        error = world.error(future)
        assert isinstance(error, ConnectionLost | BadResponse)
        assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("came", [b"", ESTABLISHED[:-1]])
def test_a_proxy_that_is_silent(came: bytes) -> None:
    """Its word is a part of connecting."""
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, came)
        world.wait(TIMEOUTS.connect * 0.9)  # type: ignore[operator]  # there is one
        assert not future.done()
        world.wait(TIMEOUTS.connect * 0.2)  # type: ignore[operator]  # as above
        error = world.error(future)
        assert phase_of(error) == "connect"
        assert error.during == "connect"
        assert wire.closed()


def test_cancelled_while_the_tunnel_is_made() -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED[:-1])
        future.cancel()
        assert wire.closed()
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_the_client_is_closed_while_the_tunnel_is_made() -> None:
    setting = Proxied()
    with setting as world:
        future, wire = tunnel(setting, world, ESTABLISHED[:-1])
        world.client.close()
        assert isinstance(world.error(future), EvkitError)
        assert wire.closed()


def test_no_tls_behind_the_tunnel() -> None:
    setting = Proxied()
    with setting as world:
        future = world.get("https://origin.test/")
        wire = setting.wire
        assert wire.head().startswith(b"CONNECT origin.test:443 HTTP/1.1\r\n")
        wire.send(ESTABLISHED)
        wire.receive(lambda data: len(data) > 5, "a handshake")
        wire.send(b"HTTP/1.1 400 Speak plainly\r\n\r\n")
        assert isinstance(world.error(future), TLSError)
        assert wire.closed()


def test_silence_behind_the_tunnel() -> None:
    setting = Proxied()
    with setting as world:
        future = world.get("https://origin.test/")
        wire = setting.wire
        wire.head()
        wire.send(ESTABLISHED)
        world.wait(21.0)
        assert phase_of(world.error(future)) == "tls"
        assert wire.closed()


def test_a_proxy_over_tls_that_speaks_none() -> None:
    setting = Proxied("https")
    with setting as world:
        future = world.get("http://origin.test/")
        wire = setting.wire
        wire.send(b"HTTP/1.1 400 R\r\n\r\n")
        assert isinstance(world.error(future), TLSError)
        assert world.pool == "0 connections, 0 free, 0 waiting"


# One by itself


def test_a_dial_that_is_cancelled_says_nothing(world: World) -> None:
    place = world.place()
    told: list[Any] = []
    how = Dialling(TIMEOUTS, lambda: make_response_engine("native"), world.names)
    dial = Dial(
        world.base, Route(Origin("http", "a.test", place.port)), how, lambda *heard: told.append(heard)
    )
    dial.start()
    assert "a.test" in repr(dial)
    dial.cancel()
    dial.cancel()
    world.settle()
    assert told == []


def test_a_dial_gives_its_connection_away(world: World) -> None:
    """No callback, no time-out and no care of it is left on it."""
    place = world.place()
    told: list[Any] = []
    how = Dialling(TIMEOUTS, lambda: make_response_engine("native"), world.names)
    dial = Dial(
        world.base, Route(Origin("http", "a.test", place.port)), how, lambda *heard: told.append(heard)
    )
    dial.start()
    place.accept()
    (heard,) = told
    assert heard[0] is dial
    assert heard[2] is None
    bev: BufferEvent = heard[1]
    assert bev.callbacks == (None, None, None)
    assert (bev.read_timeout, bev.write_timeout, bev.on_close) == (None, None, None)
    bev.close()
    dial.cancel()
    assert len(told) == 1
