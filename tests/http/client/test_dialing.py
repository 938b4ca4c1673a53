"""`evkit.http.client.dialing`: connections straight and through proxies, and how each step of them fails."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evkit.core import BufferEvent, EventBase, SocketBufferEvent
from evkit.errors import ConnectError, ConnectionLost
from evkit.http.client.credentials import Basic
from evkit.http.client.dialing import Dial, Dialling
from evkit.http.client.origin import Origin
from evkit.http.client.proxy_choice import Proxy, ProxyRules, Route
from evkit.http.parser import make_response_engine
from http_client_aids import TIMEOUTS, Proxied, World, reply


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
    with World(
        resolver=Families(), local=("127.0.0.5", 0)
    ) as world:  # from there nothing else can be reached
        world.error(world.get("http://unknown.test/"))
    assert asked == [socket.AF_INET6, socket.AF_INET]


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
