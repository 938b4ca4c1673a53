"""`evkit.http.client.timeouts`: the numbers; and that each phase ends in its own error, with a clock moved by hand."""

import math
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from evkit.core import Future
from evkit.http.client.response import Response
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.errors import Phase, RequestTimeout
from http_client_aids import CONTINUE, SMALL, TIMEOUTS, World, in_chunks, phase_of, reply

LARGE = bytes(8 << 20)
NAMES = [field.name for field in fields(ClientTimeouts)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, -0.001])
def test_what_is_no_time(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match="time-out"):
        ClientTimeouts(**{name: seconds})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "expect"])
def test_none_and_nought_are_times(name: str) -> None:
    assert getattr(ClientTimeouts(**{name: None}), name) is None
    assert getattr(ClientTimeouts(**{name: 0}), name) == 0


def test_all_are_on_by_default() -> None:
    assert all(getattr(ClientTimeouts(), name) for name in NAMES)


def ends_after(world: World, future: Future[Any], seconds: float, phase: Phase) -> None:
    """Assert that a request fails after so many seconds and not before, in that phase."""
    world.wait(seconds * 0.99)
    assert not future.done(), future
    world.wait(seconds * 0.02)
    assert phase_of(world.error(future)) == phase


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


def test_connect(world: World) -> None:
    """A server whose queue of connections is full: the system never answers."""
    place = world.place(backlog=0)
    others = [world.get(place.url) for _ in range(3)]
    world.settle()
    future = others[-1]
    if future.done():  # pragma: no cover - a system that refuses instead
        pytest.skip("the system does not let connections wait")
    ends_after(world, future, 10.0, "connect")
    error = world.error(future)
    assert isinstance(error, RequestTimeout)
    assert error.during == "connect"
    assert f"127.0.0.1:{place.port}" in str(error.__cause__)  # the addresses that were tried
    for other in others:
        other.cancel()


def test_connect_counts_the_look_up(world: World) -> None:
    """A resolver that never answers: the error says what was waited for, and nothing is left of the look-up."""
    world.names.slow = True
    future = world.get("http://silent.test:8080/")
    ends_after(world, future, 10.0, "connect")
    error = world.error(future)
    assert isinstance(error, RequestTimeout)
    assert error.during == "connect"
    assert "http://silent.test:8080 within 10 s" in str(error)
    assert "looked up" in str(error)
    assert [lookup.cancelled() for lookup in world.names.pending] == [True]
    assert world.pool == "0 connections, 0 free, 0 waiting"


def test_connect_has_what_the_look_up_leaves(world: World) -> None:
    place = world.place(backlog=0)
    others = [world.get(place.url) for _ in range(3)]
    world.settle()
    if others[-1].done():  # pragma: no cover - a system that refuses instead
        pytest.skip("the system does not let connections wait")
    world.names.slow = True
    future = world.get(place.named("a.test"))
    world.wait(7.0)
    world.names.pending[-1].set_result([("127.0.0.1", place.port)])
    ends_after(world, future, 3.0, "connect")
    error = world.error(future)
    assert "looked up" not in str(error)
    assert f"127.0.0.1:{place.port}" in str(error.__cause__)
    for other in others:
        other.cancel()


def test_a_look_up_in_the_very_last_moment(world: World) -> None:
    place = world.place()
    world.names.slow = True
    future = world.get(place.named("a.test"))
    world.wait(9.99)
    world.names.pending[-1].set_result([("127.0.0.1", place.port)])
    place.accept().answer()
    assert world.result(future).status == 200


def test_no_limit_for_the_look_up() -> None:
    with World(timeouts=replace(TIMEOUTS, connect=None, total=None)) as world:
        place = world.place()
        world.names.slow = True
        future = world.get(place.named("a.test"))
        world.wait(100_000.0)
        world.names.pending[-1].set_result([("127.0.0.1", place.port)])
        place.accept().answer()
        assert world.result(future).status == 200


def test_connect_of_a_unix_socket(tmp_path: Path) -> None:
    """The system never lets it wait; what does not answer is late with its head."""
    path = str(tmp_path / "socket")
    with World(unix=path) as world:
        world.place(path=path)
        future = world.get("http://anything.test/")
        ends_after(world, future, 40.0, "head")


def test_tls(world: World) -> None:
    place = world.place()
    future = world.get(place.named("a.test", "https"))
    wire = place.accept()
    ends_after(world, future, 20.0, "tls")
    assert f"https://a.test:{place.port} within 20 s" in str(world.error(future))
    assert wire.closed()
    assert world.pool == "0 connections, 0 free, 0 waiting"


def test_pool() -> None:
    with World(max_per_host=1) as world:
        place = world.place()
        first = world.get(place.url)
        wire = place.accept()
        second = world.get(place.url)
        ends_after(world, second, 5.0, "pool")
        assert world.pool == "1 connections, 0 free, 0 waiting"
        wire.answer(b"a")
        assert world.result(first).body == b"a"


def test_pool_does_not_count_connecting() -> None:
    """Who waits in line has the pool's time; as soon as a connection is being made for him, connecting's."""
    with World(max_connections=1) as world:
        place, other = world.place(), world.place()
        first = world.get(place.url)
        wire = place.accept()
        world.names.slow = True
        second = world.get(other.named("b.test"))
        world.wait(4.0)
        wire.answer()
        world.result(first)
        world.wait(8.0)  # longer than the pool's
        assert not second.done()
        assert world.names.asked == ["127.0.0.1", "b.test"]
        second.cancel()


def test_write(world: World) -> None:
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE)
    wire = place.accept()
    ends_after(world, future, 30.0, "write")
    assert future.exception(0).during == "write"  # type: ignore[union-attr]
    assert wire.drained_and_closed()


@pytest.mark.parametrize("other", [3.0, 30.0, 40.0])
def test_write_whatever_the_others(other: float) -> None:
    """To look how long the server is silent must not have writing begin anew."""
    with World(timeouts=replace(TIMEOUTS, head=other, body=other), idle=other) as world:
        test_write(world)


def test_write_while_the_response_comes() -> None:
    with World(timeouts=replace(TIMEOUTS, body=20.0), idle=15.0) as world:
        place = world.place(receive_buffer=SMALL)
        future = world.ask("POST", place.url, LARGE)
        wire = place.accept()
        wire.send(b"HTTP/1.1 200 R\r\nContent-Length: 9\r\n\r\n")
        world.wait(18.0)  # the look at 15 s finds that 5 are left
        wire.send(b"x")
        ends_after(world, future, 12.0, "write")


def test_write_begins_anew_with_every_byte(world: World) -> None:
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE)
    wire = place.accept()
    wire.head()
    for _ in range(4):
        world.wait(20.0)
        assert not future.done()
        wire.body(2 << 20)
    wire.send(reply())
    assert world.result(future).status == 200


@pytest.mark.parametrize("came", [b"", b"HTTP/1.1 200 R\r\n", CONTINUE])
def test_head(world: World, came: bytes) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(came)
    ends_after(world, future, 40.0, "head")
    assert wire.closed()
    assert world.pool == "0 connections, 0 free, 0 waiting"


def test_head_that_trickles(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    for byte in reply(b"", "X-Name: " + "x" * 99)[:39]:
        wire.send(bytes([byte]))
        world.wait(1.0)
        assert not future.done()
    wire.send(b"X")
    world.wait(1.01)
    wire.send(b"Y")
    assert phase_of(world.error(future)) == "head"


def test_head_that_trickles_and_stops(world: World) -> None:
    """Silence ends when the time is up, not when silence has lasted as long again."""
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    world.wait(39.0)
    wire.send(b"HTTP/1.1 200")
    ends_after(world, future, 1.0, "head")


def test_head_of_a_second_request(world: World) -> None:
    """It has all of its time, whatever the first has taken and however long the connection was idle."""
    place = world.place()
    first = world.get(place.url)
    wire = place.accept()
    world.wait(30.0)
    wire.answer()
    world.result(first)
    world.wait(50.0)
    ends_after(world, world.get(place.url), 40.0, "head")


def test_head_counts_from_the_end_of_the_request(world: World) -> None:
    place = world.place(receive_buffer=SMALL)
    future = world.ask("POST", place.url, LARGE)
    wire = place.accept()
    wire.head()
    for _ in range(4):
        world.wait(29.0)
        assert not future.done()
        wire.body(2 << 20)
    ends_after(world, future, 40.0, "head")


@pytest.mark.parametrize(
    "came",
    [reply(bytes(100))[:-1], in_chunks(b"abc")[:-1], in_chunks(b"abc")[:-9], b"HTTP/1.1 200 R\r\n\r\nabc"],
)
def test_body(world: World, came: bytes) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(came)
    ends_after(world, future, 50.0, "body")
    assert wire.closed()


def test_body_begins_anew_with_every_byte(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(reply(bytes(9))[:-9])
    for _ in range(8):
        world.wait(45.0)
        wire.send(b"\0")
        assert not future.done()
    ends_after(world, future, 50.0, "body")


def test_body_of_a_stream(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.head()
    wire.send(reply(bytes(9))[:-1])
    response = world.result(future)
    heard: list[Exception | None] = []
    response.receive(lambda _response, _data: None, lambda _response, error: heard.append(error))
    world.wait(49.0)
    assert heard == []
    world.wait(2.0)
    assert heard[0] is not None
    assert phase_of(heard[0]) == "body"
    assert wire.closed()


def test_a_pause_is_not_the_server_s_silence(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.answer(b"abc")
    response = world.result(future)
    heard: list[object] = []
    response.pause()
    response.receive(lambda _response, data: heard.append(data), lambda _response, error: heard.append(error))
    world.wait(900.0)
    response.resume()
    world.settle()
    assert heard == [b"abc", None]


def test_expect(world: World) -> None:
    """Nobody waits for ever for a server that does not know ``100-continue``."""
    place = world.place()
    future = world.ask("POST", place.url, b"abc", expect=True)
    wire = place.accept()
    wire.head()
    world.wait(0.9)
    assert wire.silent()
    world.wait(0.2)
    assert wire.body(3) == b"abc"
    ends_after(world, future, 40.0, "head")


Stall = Callable[[World, Any], Any]


def _in_look_up(world: World, place: Any) -> None:
    world.names.slow = True


def _in_head(world: World, place: Any) -> None:
    """Say nothing at all."""


@pytest.mark.parametrize("stall", [_in_look_up, _in_head])
def test_total(stall: Stall) -> None:
    with World(timeouts=replace(TIMEOUTS, total=7.0)) as world:
        place = world.place()
        stall(world, place)
        future = world.get(place.named("a.test"))
        ends_after(world, future, 7.0, "total")
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_total_of_one_request(world: World) -> None:
    place = world.place()
    future = world.get(place.url, timeout=3.0)
    other = world.get(place.url)
    ends_after(world, future, 3.0, "total")
    assert not other.done()
    other.cancel()


def test_total_counts_redirects_and_trickles() -> None:
    with World(timeouts=replace(TIMEOUTS, total=20.0)) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        world.wait(15.0)
        wire.answer(b"", "Location: /b", status=302)
        wire.head()
        wire.send(b"HTTP/1.1 200 R\r\nContent-Length: 3\r\n\r\na")
        ends_after(world, future, 5.0, "total")
        assert wire.closed()


def test_no_total_in_a_stream_that_is_received(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True, timeout=3.0)
    wire = place.accept()
    wire.head()
    wire.send(reply(bytes(9))[:-9])
    response = world.result(future)
    got = response.read()
    for _ in range(9):
        world.wait(3.0)
        wire.send(b"x")
    assert world.result(got) == b"x" * 9


def test_no_limits_at_all() -> None:
    """Without time-outs nothing is ever too late."""
    none = ClientTimeouts(pool=None, connect=None, tls=None, write=None, head=None, body=None, total=None)
    with World(timeouts=none, idle=None, max_per_host=1) as world:
        place = world.place()
        first, second = world.get(place.url), world.get(place.url)
        wire = place.accept()
        world.wait(100_000.0)
        wire.head()
        wire.send(reply(b"abc")[:-1])
        world.wait(100_000.0)
        wire.send(b"c")
        assert world.result(first).body == b"abc"
        world.wait(100_000.0)
        wire.answer(b"d")
        assert world.result(second).body == b"d"
        world.wait(100_000.0)
        assert world.pool == "1 connections, 1 free, 0 waiting"


def answered(world: World) -> Response:
    place = world.place()
    future = world.get(place.url)
    place.accept().answer()
    return world.result(future)


def test_idle() -> None:
    with World(idle=60.0) as world:
        answered(world)
        world.wait(59.0)
        assert world.pool == "1 connections, 1 free, 0 waiting"
        world.wait(2.0)
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_a_server_may_be_waited_for_for_ever() -> None:
    with World(timeouts=replace(TIMEOUTS, expect=None)) as world:
        place = world.place()
        future = world.ask("POST", place.url, b"abc", expect=True)
        wire = place.accept()
        wire.head()
        world.wait(900.0)
        assert wire.silent()
        wire.send(CONTINUE)
        assert wire.body(3) == b"abc"
        wire.send(reply())
        world.result(future)
