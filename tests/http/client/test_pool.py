"""`evkit.http.client.pool`: which connection a request gets, how many there are, and who waits for which."""

import gc
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core import EventBase, SocketBufferEvent
from evkit.errors import ConnectError, LocalProtocolError
from evkit.http.client.client import Client
from evkit.http.client.connection import ClientConnection
from evkit.http.client.dialing import Dialling
from evkit.http.client.origin import Origin
from evkit.http.client.pool import Pool
from evkit.http.client.proxy_choice import Route
from evkit.http.client.retries import BUSY, Retries
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.errors import RequestTimeout
from evkit.http.parser import make_response_engine
from http_client_aids import Place, Wire, World, phase_of, reply


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.mark.parametrize("limit", ["max_connections", "max_per_host"])
@pytest.mark.parametrize("number", [0, -1])
def test_a_limit_that_is_none(base: EventBase, limit: str, number: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Client(base, **{limit: number})  # type: ignore[arg-type]  # both are int


# Which connection


def test_a_free_connection_is_used_again(world: World) -> None:
    place = world.place()
    first = world.get(place.url)
    wire = place.accept()
    for number in range(5):
        wire.answer(b"%d" % number)
        assert world.result(first).body == b"%d" % number
        assert world.pool == "1 connections, 1 free, 0 waiting"
        first = world.get(place.url)
        assert world.pool == "1 connections, 0 free, 0 waiting"
    wire.answer()
    world.result(first)
    assert not place.waiting()


def test_the_one_used_last_is_used_first(world: World) -> None:
    """So that those that nobody needs grow old."""
    place = world.place()
    futures = [world.get(place.url) for _ in range(3)]
    wires = [place.accept() for _ in range(3)]
    for number in (1, 0, 2):
        wires[number].answer()
    for future in futures:
        world.result(future)
    again = world.get(place.url)
    assert wires[2].answer()
    world.result(again)
    assert wires[0].silent()
    assert wires[1].silent()


@pytest.mark.parametrize("other", ["http://127.0.0.2:{}", "http://b.test:{}"])
def test_another_origin_gets_another_connection(world: World, other: str) -> None:
    place = world.place()
    first = world.get(place.url)
    place.accept().answer()
    world.result(first)
    second = world.get(other.format(place.port))
    place.accept().answer()
    world.result(second)
    assert world.pool == "2 connections, 2 free, 0 waiting"


@pytest.mark.parametrize("spelling", ["http://A.TEST:{}", "HTTP://a.test:{}", "http://u:p@a.test:{}"])
def test_one_origin_in_another_spelling(world: World, spelling: str) -> None:
    place = world.place()
    first = world.get(place.named("a.test"))
    wire = place.accept()
    wire.answer()
    world.result(first)
    second = world.get(spelling.format(place.port))
    wire.answer()
    world.result(second)


def test_what_the_server_closes_is_not_used_again(world: World) -> None:
    place = world.place()
    first = world.get(place.url)
    wire = place.accept()
    wire.answer()
    world.result(first)
    wire.close()
    assert world.pool == "0 connections, 0 free, 0 waiting"
    second = world.get(place.url)
    place.accept().answer()
    world.result(second)


@pytest.mark.parametrize(
    "unasked", [b"HTTP/1.1 200 R\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 408 R\r\n", b"x"]
)
def test_what_speaks_unasked_is_closed(world: World, unasked: bytes) -> None:
    """Else the next request would get the answer to nothing."""
    place = world.place()
    first = world.get(place.url)
    wire = place.accept()
    wire.answer()
    world.result(first)
    wire.send(unasked)
    assert wire.closed()
    assert world.pool == "0 connections, 0 free, 0 waiting"


def test_what_comes_behind_a_response_is_never_the_next_one(world: World) -> None:
    place = world.place()
    first = world.get(place.url)
    second = None
    wire = place.accept()
    wire.head()
    wire.send(reply(b"a") + reply(b"evil"))
    assert world.result(first).body == b"a"
    assert wire.closed()
    second = world.get(place.url)
    place.accept().answer(b"good")
    assert world.result(second).body == b"good"


# How many


def test_no_more_to_one_host(world: World) -> None:
    with World(max_per_host=2) as world:
        place = world.place()
        futures = [world.get(f"{place.url}/{number}") for number in range(5)]
        wires = [place.accept(), place.accept()]
        assert not place.waiting()
        assert world.pool == "2 connections, 0 free, 3 waiting"
        lines = [
            wires[0].answer(),
            wires[1].answer(),
            wires[0].answer(),
            wires[1].answer(),
            wires[0].answer(),
        ]
        assert lines == [b"GET /%d HTTP/1.1" % number for number in range(5)]  # first come, first served
        for future in futures:
            world.result(future)


def test_no_more_in_all() -> None:
    """A free connection to somewhere else gives way at once."""
    with World(max_connections=1) as world:
        one, two = world.place(), world.place()
        first, second = world.get(one.url), world.get(two.url)
        wire = one.accept()
        assert not two.waiting()
        wire.answer()
        world.result(first)
        assert wire.closed()
        two.accept().answer()
        world.result(second)
        third = world.get(one.url)
        one.accept().answer()
        world.result(third)


def test_a_place_without_any_gets_one_of_many() -> None:
    """However much is asked of one host, another is not forgotten."""
    with World(max_connections=2) as world:
        one, two = world.place(), world.place()
        firsts = [world.get(one.url) for _ in range(6)]
        wires = [one.accept(), one.accept()]
        other = world.get(two.url)
        wires[0].answer()
        assert wires[0].closed()
        two.accept().answer()
        assert world.result(other).status == 200
        for _ in range(10):
            for wire in [*wires]:
                if wire.take():
                    wire.send(reply())
            fresh = one.try_accept()
            if fresh is not None:
                wires.append(fresh)
            world.settle()
            wires = [wire for wire in wires if wire.socket.fileno() >= 0]
            if all(future.done() for future in firsts):
                break
        for future in firsts:
            assert world.result(future).status == 200


def test_a_failure_makes_room() -> None:
    with World(max_connections=1) as world:
        one, two = world.place(), world.place()
        first, second = world.get(one.url), world.get(two.url)
        one.accept().reset()
        world.error(first)
        two.accept().answer()
        world.result(second)


def test_cancelling_makes_room() -> None:
    """Of a request on its way, and of one whose connection is still being made."""
    with World(max_connections=1) as world:
        one, two = world.place(), world.place()
        world.names.slow = True
        first = world.get(one.named("a.test"))
        world.settle()
        world.names.slow = False
        second = world.get(two.url)
        assert not two.waiting()
        first.cancel()
        wire = two.accept()
        third = world.get(one.url)
        second.cancel()
        assert wire.closed()
        one.accept().answer()
        world.result(third)


def test_a_name_without_addresses_makes_room() -> None:
    with World(max_connections=1) as world:
        place = world.place()
        first, second = world.get("http://unknown.test/"), world.get(place.url)
        assert isinstance(world.error(first), ConnectError)
        place.accept().answer()
        world.result(second)


def test_one_that_leaves_the_line() -> None:
    with World(max_per_host=1) as world:
        place = world.place()
        futures = [world.get(f"{place.url}/{number}") for number in range(4)]
        wire = place.accept()
        futures[1].cancel()
        assert world.pool == "1 connections, 0 free, 2 waiting"
        assert [wire.answer() for _ in range(3)] == [b"GET /%d HTTP/1.1" % number for number in (0, 2, 3)]


def test_what_is_dialled_for_nobody_is_given_up(world: World) -> None:
    place = world.place()
    world.names.slow = True
    first, second = world.get(place.named("a.test")), world.get(place.named("a.test"))
    world.settle()
    assert world.pool == "2 connections, 0 free, 2 waiting"
    first.cancel()
    assert world.pool == "1 connections, 0 free, 1 waiting"
    second.cancel()
    assert world.pool == "0 connections, 0 free, 0 waiting"
    assert all(look_up.cancelled() for look_up in world.names.pending)


def test_what_is_dialled_for_one_may_serve_another(world: World) -> None:
    """A connection that becomes free first is taken; the one that comes later is kept."""
    place = world.place()
    first = world.get(place.named("a.test"))
    wire = place.accept()
    wire.head()
    world.names.slow = True
    second = world.get(place.named("a.test"))
    world.settle()
    wire.send(reply())
    world.result(first)
    wire.answer(b"second")
    assert world.result(second).body == b"second"
    world.names.pending[0].set_result([("127.0.0.1", place.port)])
    place.accept()
    assert world.pool == "2 connections, 2 free, 0 waiting"


def test_who_waits_in_vain_is_forgotten() -> None:
    with World(max_connections=1) as world:
        one, two = world.place(), world.place()
        first, second = world.get(one.url), world.get(two.url)
        wire = one.accept()
        world.wait(6.0)
        assert phase_of(world.error(second)) == "pool"
        wire.answer()
        world.result(first)
        assert wire.silent()  # nobody waits: it is kept
        assert world.pool == "1 connections, 1 free, 0 waiting"


def test_a_failed_dial_fails_one_and_the_others_go_on() -> None:
    with World(max_per_host=1) as world:
        place = world.place()
        world.names.slow = True
        futures = [world.get(place.named("a.test")) for _ in range(3)]
        world.settle()
        world.names.pending.pop().set_exception(OSError("no such name"))
        assert isinstance(world.error(futures[0]), ConnectError)
        world.until(lambda: world.names.pending, "another look-up")
        world.names.pending.pop().set_result([("127.0.0.1", place.port)])
        wire = place.accept()
        wire.answer()
        wire.answer()
        assert world.result(futures[1]).status == world.result(futures[2]).status == 200


# New ones only


def test_a_new_connection_though_the_only_one_is_free(world: World) -> None:
    """It gives way, at once."""
    pool = pool_of(world, max_per_host=1)
    used = given(world, pool, Customer())
    pool.released(used)
    new = given(world, pool, Customer(), fresh=True)
    assert used.bev.closed
    assert new is not used
    assert repr(pool) == "<Pool 1 connections, 0 free, 0 waiting>"
    pool.close()


def test_a_used_connection_goes_to_who_does_not_mind(world: World) -> None:
    """Who wants a new one keeps his place in line."""
    pool = pool_of(world, max_per_host=2)
    one, two = given(world, pool, Customer()), given(world, pool, Customer())
    picky, third, fourth = Customer(), Customer(), Customer()
    pool.take(way("a"), picky, fresh=True)  # type: ignore[arg-type]  # it has what is called
    pool.take(way("a"), third)  # type: ignore[arg-type]  # as above
    pool.take(way("a"), fourth)  # type: ignore[arg-type]  # as above
    assert repr(pool) == "<Pool 2 connections, 0 free, 3 waiting>"
    pool.released(one)
    assert third.heard == [one]
    pool.released(two)
    assert fourth.heard == [two]
    assert picky.heard == []
    pool.released(one)  # nobody wants it: it gives way
    assert one.bev.closed
    look_up(world)
    world.until(lambda: picky.heard, "a connection")
    assert picky.heard[0] not in (one, two)
    pool.close()


# Closing


def test_close_ends_everything() -> None:
    """What is on the wire, in line, being dialled, and resting: each hears that the client was closed, once."""
    with World(max_per_host=1, retries=Retries(3, statuses=BUSY)) as world:
        one, two = world.place(), world.place()
        wire = [world.get(one.url), world.get(one.url)]
        first = one.accept()
        resting = world.get(two.url)
        two.accept().answer(b"", "Retry-After: 5", status=503)
        world.names.slow = True
        dialled = world.get("http://c.test/")
        world.settle()
        world.client.close()
        errors = [world.error(future) for future in (*wire, resting, dialled)]
        assert [type(error) for error in errors] == [LocalProtocolError] * 4
        assert len({id(error) for error in errors}) == 4  # each has its own story
        assert first.closed()
        assert world.names.pending[0].cancelled()
        assert repr(world.client) == "<Client closed>"


def test_close_while_everybody_asks_again(world: World) -> None:
    place = world.place()
    futures = [world.get(place.url) for _ in range(5)]

    def again(_future: Any) -> None:
        with pytest.raises(LocalProtocolError, match="closed"):
            world.client.get(place.url)

    for future in futures:
        future.add_done_callback(again)
    world.settle()
    world.client.close()
    world.client.close()
    assert all(type(world.error(future)) is LocalProtocolError for future in futures)


# Failing at once


class Unmakeable:
    """Makes no connections; as a system without descriptors."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls = 0
        self.error = error or OSError(24, "Too many open files")

    def __call__(self, base: EventBase) -> SocketBufferEvent:
        self.calls += 1
        raise self.error


def test_when_no_socket_can_be_made() -> None:
    unmakeable = Unmakeable()
    with World(make_bufferevent=unmakeable) as world:
        futures = [world.get("http://a.test/") for _ in range(3)]
        assert [type(world.error(future)) for future in futures] == [OSError] * 3
        assert unmakeable.calls == 3
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_when_no_socket_can_be_made_any_more_for_very_many() -> None:
    """Thousands that wait fail one after the other, not one inside the other."""
    makers: list[Any] = [SocketBufferEvent]

    def make(base: EventBase) -> SocketBufferEvent:
        made: SocketBufferEvent = makers[0](base)
        return made

    with World(max_per_host=1, make_bufferevent=make) as world:
        place = world.place()
        futures = [world.get(place.url) for _ in range(3000)]
        wire = place.accept()
        makers[0] = Unmakeable()
        wire.reset()
        assert all(isinstance(world.error(future), OSError) for future in futures)
        assert world.pool == "0 connections, 0 free, 0 waiting"


def test_who_fails_may_ask_again_from_inside() -> None:
    unmakeable = Unmakeable(ConnectError("there is no such thing"))
    with World(make_bufferevent=unmakeable, retries=Retries(4, backoff=0.0)) as world:
        future = world.get("http://a.test/")
        assert isinstance(world.error(future), ConnectError)
        assert unmakeable.calls == 4
        assert world.pool == "0 connections, 0 free, 0 waiting"


# The whole of it, against a model


class Customer:
    """Asks for connections, and keeps count of what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.seen = False

    def on_connection(self, connection: ClientConnection) -> None:
        self.heard.append(connection)

    def on_failed(self, error: Exception, _progress: object) -> None:
        self.heard.append(error)


class Model:
    """A pool without requests: who gets a connection gives it back or loses it when the test says so."""

    def __init__(self, world: World, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = world
        world.names.slow = True
        self.place = world.place(backlog=1000)
        self.most, self.most_per_host = self.dice.randint(1, 4), self.dice.randint(1, 3)
        timeouts = ClientTimeouts(pool=50.0, connect=None)
        how = Dialling(timeouts, lambda: make_response_engine("native"), world.names)
        self.pool = Pool(
            world.base, how, max_connections=self.most, max_per_host=self.most_per_host, idle=None
        )
        self.routes = [Route(Origin("http", f"{name}.test", self.place.port)) for name in "abc"]
        self.customers: list[tuple[Route, Customer]] = []
        self.in_use: list[ClientConnection] = []

    def step(self) -> None:
        """Let something happen."""
        steps = [
            self.take,
            self.take,
            self.leave,
            self.look_up,
            self.release,
            self.release,
            self.lose,
            self.time,
        ]
        self.dice.choice(steps)()
        self.world.settle()
        self.look()

    def take(self) -> None:
        route, customer = self.dice.choice(self.routes), Customer()
        self.customers.append((route, customer))
        fresh = self.dice.random() < 0.3
        self.pool.take(route, customer, fresh=fresh)  # type: ignore[arg-type]  # it has what is called
        if customer.heard and isinstance(customer.heard[0], ClientConnection):
            assert not fresh

    def leave(self) -> None:
        waiting = [pair for pair in self.customers if not pair[1].heard]
        if waiting:
            pair = self.dice.choice(waiting)
            self.customers.remove(pair)
            self.pool.leave(*pair)  # type: ignore[arg-type]  # as above

    def look_up(self) -> None:
        pending = [look_up for look_up in self.world.names.pending if not look_up.done()]
        if not pending:
            return
        if self.dice.random() < 0.7:
            self.dice.choice(pending).set_result([("127.0.0.1", self.place.port)])
        else:
            self.dice.choice(pending).set_exception(OSError("no such name"))

    def release(self) -> None:
        if self.in_use:
            self.pool.released(self.in_use.pop(self.dice.randrange(len(self.in_use))))

    def lose(self) -> None:
        if self.in_use:
            self.in_use.pop(self.dice.randrange(len(self.in_use))).close()

    def time(self) -> None:
        self.world.clock.advance(self.dice.choice([1.0, 20.0]))

    def look(self) -> None:
        """Check what must hold at any time."""
        for _, customer in self.customers:
            assert len(customer.heard) <= 1
            if customer.heard and isinstance(customer.heard[0], ClientConnection) and not customer.seen:
                customer.seen = True
                self.in_use.append(customer.heard[0])
        assert len({id(connection) for connection in self.in_use}) == len(self.in_use)
        assert not any(connection.bev.closed for connection in self.in_use)
        assert self.pool._count <= self.most
        per_host = Counter(self.pool._routes.values())
        for route, place in self.pool._places.items():
            assert per_host[route] + len(place.dials) == place.count <= self.most_per_host
            assert (route in self.pool._hungry) == (len(place.waiting) > len(place.dials))

    def serve_all(self) -> None:
        """Let everybody be served."""
        for _ in range(1000):
            if all(customer.heard for _, customer in self.customers):
                return
            for look_up in self.world.names.pending:
                if not look_up.done():
                    look_up.set_result([("127.0.0.1", self.place.port)])
            while self.in_use:
                self.release()
            self.world.settle()
            self.look()
        raise AssertionError(f"somebody waits for ever: {self.pool!r}")


@pytest.mark.parametrize("seed", range(20))
def test_in_any_order_each_hears_once_and_no_limit_is_passed(seed: int) -> None:
    """Look-ups that succeed and fail in any order, connections that are given back or lost, customers that leave."""
    with World() as world:
        model = Model(world, seed)
        for _ in range(200):
            model.step()
        model.serve_all()
        for _, customer in model.customers:
            heard = customer.heard[0]
            if isinstance(heard, RequestTimeout):
                assert heard.phase == "pool"
            else:
                assert isinstance(heard, ClientConnection | ConnectError)
        model.pool.close()
        assert repr(model.pool) == "<Pool 0 connections, 0 free, 0 waiting>"
        assert (model.pool._places, model.pool._routes, model.pool._hungry, model.pool._timers) == (
            {},
            {},
            {},
            {},
        )
        while model.place.try_accept():
            pass


def test_a_place_that_nobody_uses_is_forgotten(world: World) -> None:
    place = world.place()
    for number in range(20):
        future = world.get(place.named(f"n{number}.test"))
        wire = place.accept()
        wire.answer(b"", "Connection: close")
        world.result(future)
    gc.collect()
    assert not world.client._terms.pool._places


def kept(world: World, place: Place) -> Wire:
    future = world.get(place.url)
    wire = place.accept()
    wire.answer()
    world.result(future)
    return wire


def test_the_oldest_free_one_gives_way() -> None:
    with World(max_connections=3) as world:
        places = [world.place() for _ in range(4)]
        wires = [kept(world, place) for place in places[:3]]
        kept(world, places[3])
        assert wires[0].closed()
        assert wires[1].silent()
        assert wires[2].silent()


def pool_of(world: World, *, max_per_host: int = 9, **options: Any) -> Pool:
    """Make a pool of its own, whose look-ups take as long as the test says."""
    world.names.slow = True
    how = Dialling(ClientTimeouts(pool=5.0), lambda: make_response_engine("native"), world.names, **options)
    return Pool(world.base, how, max_connections=2, max_per_host=max_per_host)


def look_up(world: World) -> None:
    """Find the address of what is looked up."""
    world.names.pending.pop(0).set_result([("127.0.0.1", world.place().port)])


def given(world: World, pool: Pool, customer: Customer, *, fresh: bool = False) -> ClientConnection:
    """Return the connection that a customer gets, a new one."""
    pool.take(way("a"), customer, fresh=fresh)  # type: ignore[arg-type]  # it has what is called
    look_up(world)
    world.until(lambda: customer.heard, "a connection")
    connection = customer.heard[0]
    assert isinstance(connection, ClientConnection)
    return connection


def way(name: str) -> Route:
    return Route(Origin("http", f"{name}.test", 80))


def test_who_does_not_wait_may_leave(world: World) -> None:
    pool = pool_of(world)
    pool.leave(way("a"), Customer())  # type: ignore[arg-type]  # nothing of it is called
    first, second = Customer(), Customer()
    pool.take(way("a"), first)  # type: ignore[arg-type]  # it has what is called
    pool.leave(way("a"), second)  # type: ignore[arg-type]  # as above
    assert repr(pool) == "<Pool 1 connections, 0 free, 1 waiting>"
    pool.close()


def test_a_closed_pool_gives_nothing(world: World) -> None:
    pool, customer = pool_of(world), Customer()
    pool.close()
    pool.take(way("a"), customer)  # type: ignore[arg-type]  # it has what is called
    assert [type(heard) for heard in customer.heard] == [LocalProtocolError]
    assert repr(pool) == "<Pool 0 connections, 0 free, 0 waiting>"


@pytest.mark.parametrize("late", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_who_fails_at_once_lets_others_go_first(world: World, again: bool, late: bool) -> None:
    """One fails inside of its own call, asks for another place and its own again: each waits once, and is told once."""

    class Insistent(Customer):
        def on_failed(self, error: Exception, progress: object) -> None:
            super().on_failed(error, progress)
            if len(self.heard) == 1:
                pool.take(way("c"), other)  # type: ignore[arg-type]  # it has what is called
                pool.take(way("a"), self if again else third)  # type: ignore[arg-type]  # as above

    makers: list[Any] = [SocketBufferEvent, Unmakeable(), SocketBufferEvent]

    def make(base: EventBase) -> SocketBufferEvent:
        made: SocketBufferEvent = makers.pop(0)(base)
        return made

    pool = pool_of(world, make_bufferevent=make)
    before, first, other, third = Customer(), Insistent(), Customer(), Customer()
    given(world, pool, before)
    pool.take(way("a"), first)  # type: ignore[arg-type]  # it has what is called
    assert [type(heard) for heard in first.heard] == [OSError]
    last = first if again else third
    if late:
        world.wait(8.0)
        assert isinstance(last.heard[-1], RequestTimeout)
    assert other.heard == []  # its name is still looked up
    pool.close()  # and leaves no timer behind
    assert isinstance(last.heard[-1], RequestTimeout if late else LocalProtocolError)
    assert len(first.heard) == (2 if again else 1)
    assert [type(heard) for heard in other.heard] == [LocalProtocolError]
