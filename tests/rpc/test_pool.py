"""`evkit.rpc.pool`: which server gets a call, what is repeated, and what becomes of calls that nobody can get."""

import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from certificates import Certificates, make_certificates  # noqa: F401 - a fixture
from evkit.core import EVLOOP_NONBLOCK, EVLOOP_ONCE, EventBase, Future
from evkit.core.net import Address
from evkit.dns import Resolver
from evkit.dns.server import ANSWER, ServerPort, ServerRequest
from evkit.errors import ConnectError, TLSError
from evkit.rpc import (
    Backoff,
    Call,
    CallLost,
    CallTimeout,
    ClientClosed,
    MethodError,
    Overloaded,
    Pending,
    Server,
)
from evkit.rpc.budget import RetryBudget
from evkit.rpc.errors import OVERLOADED, HookAborted
from evkit.rpc.hook_context import HookContext
from evkit.rpc.hooks import CONTINUE, OUTPUT, PAUSE, TERMINATE
from evkit.rpc.pool import Pool
from evkit.testing import ManualClock
from running import PATIENCE

HOST = "127.0.0.1"
TURNS = 300
"""Passes of the loop after which what has not come will not come."""
AT_ONCE = Backoff(0.0, most=0.0)


class Site:
    """A server, whose method ``keep`` is answered when the test says so."""

    def __init__(self, base: EventBase, address: str = f"{HOST}:0") -> None:
        self.server = Server(base)
        self.kept: list[Call] = []
        self.told: list[Any] = []
        self.gave_up: list[str] = []
        self.refused = 0
        self.order: list[object] = []  # the parameters of kept calls
        self.server.register(self._keep, "keep")
        self.server.register(lambda: self.where, "where")
        self.server.register(self.told.append, "tell")
        self.server.register(self._refuse, "refuse")
        host, port = address.rsplit(":", 1)
        self.listener = self.server.bind(host, int(port))
        self.where = str(self.listener.address)

    def _keep(self, call: Call, *params: object) -> None:
        self.kept.append(call)
        self.order += params
        call.on_cancel = lambda call: self.gave_up.append(call.method.name)
        call.defer()

    def _refuse(self) -> None:
        self.refused += 1
        raise MethodError("busy", OVERLOADED)

    def drop(self) -> None:
        """Lose all connections, and be there still."""
        for connection in tuple(self.server.connections):
            connection.close()

    def go(self) -> None:
        """Be gone, connections and all."""
        self.listener.close()
        self.server.close()


class World:
    """Servers, a pool, and the loop that the test runs by hand."""

    def __init__(self, base: EventBase, clock: ManualClock) -> None:
        self.base = base
        self.clock = clock
        self.sites: list[Site] = []
        self._pools: list[Pool] = []

    def site(self, address: str = f"{HOST}:0") -> Site:
        self.sites.append(Site(self.base, address))
        return self.sites[-1]

    def pool(self, targets: list[Any] | None = None, *, connected: bool = True, **options: Any) -> Pool:
        pool = Pool(self.base, [site.where for site in self.sites] if targets is None else targets, **options)
        self._pools.append(pool)
        if connected:
            self.run(lambda: pool.clients and all(client.connection for client in pool.clients))
        return pool

    def run(self, until: Callable[[], object]) -> None:
        for _ in range(TURNS):
            if until():
                return
            self.base.loop(EVLOOP_NONBLOCK)
        raise AssertionError(f"it never came to be: {self._pools!r}")

    def settle(self) -> None:
        for _ in range(12):
            self.base.loop(EVLOOP_NONBLOCK)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def call(self, pool: Pool, method: str = "keep", *params: object, **options: Any) -> Pending:
        return pool.start_call(method, list(params), lambda pending: None, **options)

    def outcome(self, pending: Pending) -> Any:
        """Run until it is over, and return its value or error."""
        self.run(lambda: pending.owner is None)
        return pending.error or pending.value

    def kept(self, number: int = 1) -> list[tuple[Site, Call]]:
        """Return the calls that are kept, once there are so many."""
        self.run(lambda: sum(len(site.kept) for site in self.sites) >= number)
        return [(site, call) for site in self.sites for call in site.kept]

    def close(self) -> None:
        for pool in self._pools:
            pool.close()
        for site in self.sites:
            site.go()
        self.settle()


@pytest.fixture(name="world")
def make_world(manual_base: EventBase, clock: ManualClock) -> Iterator[World]:
    world = World(manual_base, clock)
    yield world
    world.close()


def unused() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return f"{HOST}:{sock.getsockname()[1]}"


# Who gets a call


def test_calls_are_spread_over_all_servers(world: World) -> None:
    for _ in range(3):
        world.site()
    pool = world.pool()
    for _ in range(60):
        world.call(pool)
    world.kept(60)
    assert all(
        12 <= len(site.kept) <= 28 for site in world.sites
    )  # two are drawn, and the less busy one gets it


def test_one_server_may_have_several_connections(world: World) -> None:
    site = world.site()
    pool = world.pool(size=3)
    for _ in range(30):
        world.call(pool)
    world.kept(30)
    loads = [len(connection.session.serving) for connection in site.server.connections]
    assert len(loads) == 3
    assert all(5 <= load <= 15 for load in loads)


def test_the_ways_to_call(world: World) -> None:
    site = world.site()
    pool = world.pool()
    future = pool.call("where")
    world.run(future.done)
    assert future.result() == site.where
    proxied = pool.proxy.where()
    world.run(proxied.done)
    assert proxied.result() == site.where
    pool.notify("tell", "news")
    world.run(lambda: site.told)
    assert site.told == ["news"]


def test_a_server_that_can_not_be_reached_is_passed_over(world: World) -> None:
    site = world.site()
    pool = world.pool([unused(), site.where], connected=False)
    assert [world.outcome(world.call(pool, "where")) for _ in range(10)] == [site.where] * 10


def test_with_one_call_a_connection_the_others_wait_in_order(world: World) -> None:
    world.site()
    pool = world.pool(max_in_flight=1)
    calls = [world.call(pool, "keep", number) for number in range(3)]
    for number in range(3):
        (kept,) = [call for _, call in world.kept(number + 1)][number:]
        world.settle()
        assert len(world.sites[0].kept) == number + 1
        assert pool.waiting == 2 - number
        kept.reply(number)
        assert world.outcome(calls[number]) == number


def test_a_call_does_not_overtake_those_that_wait(world: World) -> None:
    site = world.site()
    pool = world.pool(max_in_flight=1)
    pool.start_call("keep", ["first"], lambda pending: world.call(pool, "keep", "third"))
    world.call(pool, "keep", "second")
    for number in range(3):
        world.kept(number + 1)
        site.kept[number].reply(None)
    assert site.order == ["first", "second", "third"]


# What waits


def test_the_pool_may_be_there_before_its_server(world: World) -> None:
    where = unused()
    pool = world.pool([where], connected=False)
    call = world.call(pool, "where")
    pool.notify("tell", 1)
    world.settle()
    assert pool.waiting == 2
    site = world.site(where)
    world.advance(1.0)
    assert world.outcome(call) == where
    world.run(lambda: site.told)


def test_the_time_in_the_queue_counts(world: World) -> None:
    pool = world.pool([unused()], connected=False, timeout=10.0)
    one = world.call(pool)
    two = world.call(pool, timeout=3.0)
    world.advance(2.9)
    assert two.error is None
    world.advance(0.2)
    assert isinstance(two.error, CallTimeout)
    assert two.error.timeout == 3.0
    world.advance(7.0)
    assert isinstance(one.error, CallTimeout)
    assert (one.error.timeout, pool.waiting) == (10.0, 0)
    assert isinstance(one.error.__cause__, ConnectError)  # nobody listens there


def test_the_time_in_the_queue_and_on_the_wire_is_one(world: World) -> None:
    where = unused()
    pool = world.pool(
        [where], connected=False, timeout=10.0, failures=1, reconnect=Backoff(0.1, 1.0, 0.1, 0.0)
    )
    call = world.call(pool)
    world.advance(6.0)
    world.site(where)
    for _ in range(50):
        world.advance(0.05)
    world.kept(1)
    world.advance(1.4)
    assert call.error is None
    world.advance(0.2)
    assert isinstance(call.error, CallTimeout)
    assert call.error.timeout == 10.0
    world.call(pool, "where")
    world.settle()
    assert pool.waiting == 1  # the server is to blame, and left out for a while


def test_the_queue_has_an_end(world: World) -> None:
    pool = world.pool([unused()], connected=False, max_queue=2)
    first = world.call(pool)
    world.call(pool)
    with pytest.raises(Overloaded, match="2 calls wait"):
        world.call(pool)
    first.cancel()
    world.call(pool)
    assert pool.waiting == 2


def test_what_can_not_be_sent_is_refused_at_once_though_nobody_is_there(world: World) -> None:
    pool = world.pool([unused()], connected=False)
    with pytest.raises(TypeError):
        world.call(pool, "keep", object())
    assert pool.waiting == 0


def test_what_can_not_be_sent_leaves_nothing_behind(world: World) -> None:
    site = world.site()
    pool = world.pool(max_in_flight=1)
    with pytest.raises(TypeError):
        world.call(pool, "keep", object())
    assert world.outcome(world.call(pool, "where")) == site.where


def test_set_timeout_is_for_calls_to_come(world: World) -> None:
    world.site()
    pool = world.pool(timeout=10.0)
    old = world.call(pool)
    pool.set_timeout(2.0)
    new = world.call(pool)
    world.kept(2)
    world.advance(2.1)
    assert isinstance(new.error, CallTimeout)
    assert old.error is None
    with pytest.raises(ValueError, match="time-out"):
        pool.set_timeout(-1)


# What is repeated


def test_a_call_that_may_have_been_served_is_not_repeated(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool()
    call = world.call(pool)
    ((site, _),) = world.kept()
    site.drop()
    error = world.outcome(call)
    assert isinstance(error, CallLost)
    assert error.sent
    assert [len(one.kept) for one in world.sites if one is not site] == [0]


def test_one_that_may_be_served_twice_goes_to_another_server(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(retry_pause=AT_ONCE)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    (other,) = [one for one in world.sites if one is not site]
    world.run(lambda: other.kept)
    other.kept[0].reply("here")
    assert world.outcome(call) == "here"


def test_it_is_repeated_after_a_pause_and_within_its_time(world: World) -> None:
    world.site()
    pool = world.pool(retry_pause=Backoff(5.0, jitter=0.0), timeout=7.0)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    world.settle()
    assert pool.waiting == 1
    world.advance(4.9)
    assert len(site.kept) == 1
    world.advance(0.2)
    world.kept(2)
    world.advance(2.0)
    assert isinstance(call.error, CallTimeout)
    assert call.error.timeout == 7.0


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_it_is_repeated_so_often_and_no_more(world: World, retries: int) -> None:
    site = world.site()
    pool = world.pool(retries=retries, retry_pause=AT_ONCE, failures=100)
    call = world.call(pool, idempotent=True)
    for number in range(retries + 1):
        world.kept(number + 1)
        assert call.error is None
        site.drop()
        world.settle()
        world.advance(1.0)  # the client waits a little before it comes back
    assert isinstance(call.error, CallLost)
    assert len(site.kept) == retries + 1


def test_the_time_may_be_over_before_the_pause(world: World) -> None:
    world.site()
    pool = world.pool(retry_pause=Backoff(5.0, jitter=0.0), timeout=3.0)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    world.settle()
    world.advance(3.1)
    assert isinstance(call.error, CallTimeout)
    assert isinstance(call.error.__cause__, CallLost)


def test_calls_fill_the_budget(world: World) -> None:
    site = world.site()
    pool = world.pool(budget=RetryBudget(ratio=1, per_second=0), retry_pause=AT_ONCE)
    call = world.call(pool, idempotent=True)
    world.kept()
    site.drop()
    world.settle()
    world.advance(1.0)
    world.kept(2)
    site.kept[1].reply("again")
    assert world.outcome(call) == "again"


def test_without_budget_nothing_is_repeated(world: World) -> None:
    world.site()
    pool = world.pool(budget=RetryBudget(ratio=0, per_second=0), retry_pause=AT_ONCE)
    call = world.call(pool, idempotent=True)
    ((site, _),) = world.kept()
    site.drop()
    assert isinstance(world.outcome(call), CallLost)


@pytest.mark.parametrize(("idempotent", "asked"), [(False, 1), (True, 2)])
def test_a_call_that_an_overloaded_server_refuses_goes_to_another(
    world: World, idempotent: bool, asked: int
) -> None:
    world.site()
    world.site()
    pool = world.pool(retry_pause=AT_ONCE, retries=1, hello=True)
    error = world.outcome(world.call(pool, "refuse", idempotent=idempotent))
    assert (error.code, error.message) == (OVERLOADED, "busy")
    assert sum(site.refused for site in world.sites) == asked
    assert max(site.refused for site in world.sites) == 1


# Copies


def test_a_slow_call_is_copied_and_the_loser_given_up(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5, hello=True)
    call = world.call(pool, idempotent=True)
    ((slow, _),) = world.kept()
    world.advance(0.4)
    assert sum(len(site.kept) for site in world.sites) == 1
    world.advance(0.2)
    (quick,) = [site for site in world.sites if site is not slow]
    world.run(lambda: quick.kept)
    quick.kept[0].reply("quick")
    assert world.outcome(call) == "quick"
    world.run(lambda: slow.gave_up)
    assert (slow.gave_up, quick.gave_up) == (["keep"], [])


def test_a_copy_that_fails_leaves_the_first_alone(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool()
    call = world.call(pool, idempotent=True, hedge_after=0.5)
    ((slow, kept),) = world.kept()
    world.advance(0.6)
    (other,) = [site for site in world.sites if site is not slow]
    world.run(lambda: other.kept)
    other.drop()
    world.settle()
    assert call.error is None
    kept.reply("late, but here")
    assert world.outcome(call) == "late, but here"


def test_a_copy_has_no_time_of_its_own(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(timeout=10.0)
    call = world.call(pool, idempotent=True, hedge_after=0.5)
    ((first, _),) = world.kept()
    world.advance(0.6)
    world.kept(2)
    first.drop()
    world.advance(9.3)
    assert call.error is None
    world.advance(0.2)
    assert isinstance(call.error, CallTimeout)
    assert call.error.timeout == 10.0


def test_there_is_no_copy_where_there_is_no_other_server(world: World) -> None:
    site = world.site()
    pool = world.pool(hedge_after=0.5)
    call = world.call(pool, idempotent=True)
    world.kept()
    world.advance(2.0)
    assert len(site.kept) == 1
    site.kept[0].reply(1)
    assert world.outcome(call) == 1


def test_copies_are_for_calls_that_may_be_served_twice(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5)
    world.call(pool)
    world.kept()
    world.advance(2.0)
    assert sum(len(site.kept) for site in world.sites) == 1
    with pytest.raises(ValueError, match="idempotent=True"):
        world.call(pool, hedge_after=0.5)


def test_copies_take_from_the_budget(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(hedge_after=0.5, budget=RetryBudget(ratio=0, per_second=0))
    world.call(pool, idempotent=True)
    world.kept()
    world.advance(2.0)
    assert sum(len(site.kept) for site in world.sites) == 1


# Health


def test_a_server_that_lets_calls_time_out_is_left_out_for_a_while(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(failures=2, timeout=1.0, reconnect=Backoff(5.0, jitter=0.0))
    dead, alive = world.sites
    while len(dead.kept) < 2:
        world.call(pool)
        world.settle()
        while alive.kept:
            alive.kept.pop().reply(1)
        world.settle()
        world.advance(1.1)
    for _ in range(20):
        assert world.outcome(world.call(pool, "where")) == alive.where
    world.advance(5.0)
    places = {world.outcome(world.call(pool, "where")) for _ in range(20)}
    assert places == {site.where for site in world.sites}


def test_while_all_are_left_out_calls_wait(world: World) -> None:
    site = world.site()
    pool = world.pool(failures=1, reconnect=Backoff(5.0, jitter=0.0))
    slow = world.call(pool, timeout=1.0)
    world.advance(1.1)
    assert isinstance(slow.error, CallTimeout)
    call = world.call(pool, "where")
    world.advance(4.5)
    assert pool.waiting == 1
    world.advance(0.6)
    assert world.outcome(call) == site.where


def test_an_answer_between_breaks_the_row(world: World) -> None:
    site = world.site()
    pool = world.pool(failures=2, timeout=1.0)
    for _ in range(4):
        slow = world.call(pool)
        world.advance(1.1)
        assert isinstance(slow.error, CallTimeout)
        assert world.outcome(world.call(pool, "where")) == site.where


def test_a_call_that_tries_a_server_and_is_given_up_lets_another_try(world: World) -> None:
    site = world.site()
    pool = world.pool(failures=1, reconnect=Backoff(5.0, jitter=0.0))
    world.call(pool, timeout=1.0)
    world.advance(1.1)
    world.advance(5.1)
    trying = world.call(pool)
    other = world.call(pool, "where")
    world.settle()
    assert pool.waiting == 1
    trying.cancel()
    assert world.outcome(other) == site.where


def test_a_server_that_is_lost_while_it_is_tried_gets_another_try(world: World) -> None:
    site = world.site()
    pool = world.pool(failures=1, reconnect=Backoff(5.0, jitter=0.0))
    world.call(pool, timeout=1.0)
    world.advance(1.1)
    world.advance(5.1)
    trying = world.call(pool)
    world.kept(2)
    site.drop()
    assert isinstance(world.outcome(trying), CallLost)
    world.advance(6.0)
    world.advance(6.0)
    assert world.outcome(world.call(pool, "where")) == site.where


def test_a_connection_that_takes_nothing_more_is_passed_over(world: World) -> None:
    """Its server has said that it is done, and does not read what was sent before."""
    with socket.create_server((HOST, 0)) as listener:
        pool = world.pool([listener.getsockname()], connected=False, timeout=None)
        world.run(lambda: pool.clients[0].connection)
        peer, _ = listener.accept()
        with peer:
            large = world.call(pool, "keep", b"x" * (32 << 20))
            world.settle()
            peer.shutdown(socket.SHUT_WR)
            assert isinstance(world.outcome(large), CallLost)
            assert pool.clients[0].connection is not None
            call = world.call(pool, "where")
            pool.notify("tell", 1)
            assert (pool.waiting, repr(pool)) == (2, "<Pool open <Crew up=0 of 1> waiting=2>")
            site = world.site()
            pool.add_connection(site.where)
            assert world.outcome(call) == site.where
            world.run(lambda: site.told)


# Servers that come and go


def test_a_connection_can_be_added_and_taken_away_under_way(world: World) -> None:
    one, two = world.site(), world.site()
    pool = world.pool([one.where])
    client = pool.add_connection(two.where)
    world.run(lambda: client.connection)
    calls = [world.call(pool) for _ in range(10)]
    world.kept(10)
    assert len(two.kept) == 5
    assert pool.remove_connection(client)
    assert not pool.remove_connection(client)
    assert len(pool.clients) == 1
    assert client not in pool.clients
    assert {world.outcome(world.call(pool, "where")) for _ in range(10)} == {one.where}
    for site in world.sites:
        for kept in site.kept:
            kept.reply(site.where)
    assert {world.outcome(call) for call in calls} == {one.where, two.where}
    world.run(lambda: not two.server.connections)


def test_a_connection_that_is_taken_away_with_nothing_to_do_is_closed(world: World) -> None:
    site = world.site()
    pool = world.pool()
    pool.remove_connection(pool.clients[0])
    world.run(lambda: not site.server.connections)
    assert pool.clients == []


# The end


def test_closing_fails_every_call(world: World) -> None:
    site = world.site()
    pool = world.pool(retry_pause=Backoff(5.0))
    pausing = world.call(pool, idempotent=True)
    world.kept()
    site.drop()
    world.settle()
    world.advance(0.2)
    world.run(lambda: pool.clients[0].connection)
    sent = world.call(pool)
    hedged = world.call(pool, idempotent=True, hedge_after=1.0)
    world.kept(3)
    site.drop()
    site.listener.close()
    lost = world.outcome(sent)
    assert isinstance(lost, CallLost)
    waiting = [world.call(pool), world.call(pool, timeout=None)]
    pool.close()
    for call in (pausing, hedged, *waiting):
        assert isinstance(call.error, ClientClosed)
        assert str(call.error) == "the pool was closed"
    assert pool.waiting == 0


def test_closing_fails_calls_that_servers_have(world: World) -> None:
    world.site()
    pool = world.pool()
    futures = [pool.call("keep") for _ in range(5)]
    world.kept(5)
    pool.close()
    pool.close()
    world.run(lambda: all(future.done() for future in futures))
    assert {type(future.exception()) for future in futures} == {ClientClosed}


def test_a_closed_pool_takes_nothing_more(world: World) -> None:
    pool = world.pool([unused()], connected=False)
    pool.close()
    for use in (
        lambda: pool.call("where"),
        lambda: world.call(pool),
        lambda: pool.notify("tell", 1),
        lambda: pool.add_connection(unused()),
    ):
        with pytest.raises(ClientClosed, match="the pool was closed"):
            use()


def test_a_callback_may_close_the_pool(world: World) -> None:
    world.site()
    pool = world.pool()
    ended: list[Pending] = []

    def on_end(pending: Pending) -> None:
        ended.append(pending)
        pool.close()

    for _ in range(5):
        pool.start_call("keep", [], on_end)
    for _, call in world.kept(5):
        call.reply(1)
    world.run(lambda: len(ended) == 5)
    assert sum(isinstance(pending.error, ClientClosed) for pending in ended) == 4


@pytest.mark.parametrize("where", ["queue", "server", "pause", "copies"])
def test_a_call_can_be_cancelled_wherever_it_is(world: World, where: str) -> None:
    world.site()
    world.site()
    pool = world.pool(retry_pause=Backoff(5.0), max_in_flight=1 if where == "queue" else None)
    told: list[Pending] = []
    if where == "queue":
        for _ in range(2):
            world.call(pool)
        world.kept(2)
    call = pool.start_call(
        "keep", [], told.append, idempotent=True, hedge_after=0.5 if where == "copies" else None
    )
    if where != "queue":
        ((site, _),) = world.kept()
    if where == "pause":
        site.drop()
        world.run(lambda: pool.waiting)
    if where == "copies":
        world.advance(0.6)
        world.kept(2)
    call.cancel()
    call.cancel()
    world.advance(20.0)
    assert told == []
    assert pool.waiting == 0
    assert sum(len(site.kept) for site in world.sites) <= 2


def test_cancelling_the_future_cancels_the_call(world: World) -> None:
    site = world.site()
    pool = world.pool(hello=True)
    future = pool.call("keep")
    world.kept()
    assert future.cancel()
    world.run(lambda: site.gave_up)
    assert site.gave_up == ["keep"]


# What is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "size as a number >= 1, got 0"),
        ({"retries": 5}, "retries as a number from 0 to 4, got 5"),
        ({"failures": 0}, "failures as a number >= 1"),
        ({"max_in_flight": 0}, "max_in_flight as a number >= 1"),
        ({"max_queue": -1}, "max_queue as a number >= 0"),
        ({"timeout": -1.0}, "time-out"),
        ({"hedge_after": -1.0}, "time-out"),
    ],
)
def test_numbers_out_of_range_are_refused(base: EventBase, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Pool(base, [], **options)


def test_one_text_is_no_list_of_targets(base: EventBase) -> None:
    with pytest.raises(TypeError, match="expected a list of targets"):
        Pool(base, "127.0.0.1:7000")


def test_a_time_that_is_none_is_refused(world: World) -> None:
    pool = world.pool([unused()], connected=False)
    for wrong in ({"timeout": -1.0}, {"idempotent": True, "hedge_after": -1.0}):
        with pytest.raises(ValueError, match="time-out"):
            world.call(pool, **wrong)  # type: ignore[arg-type]  # on purpose
    assert pool.waiting == 0


def test_it_shows_its_state(world: World) -> None:
    world.site()
    pool = world.pool()
    assert repr(pool) == "<Pool open <Crew up=1 of 1> waiting=0>"
    pool.close()
    assert repr(pool) == "<Pool closed <Crew up=0 of 0> waiting=0>"


# Names


class FakeResolver:
    """Answers what the test has entered."""

    def __init__(self, base: EventBase) -> None:
        self._base = base
        self.hosts: dict[str, list[Address]] = {}

    def getaddrinfo(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> Future[list[Address]]:
        future: Future[list[Address]] = Future(self._base)
        if host in self.hosts:
            future.set_result(self.hosts[host])
        else:
            future.set_exception(socket.gaierror(socket.EAI_NONAME, f"no {host}"))
        return future


class FakeRecordResolver(FakeResolver):
    """As above, with SRV records."""

    def __init__(self, base: EventBase) -> None:
        super().__init__(base)
        self.services: dict[Site, int] = {}  # and their priorities

    def resolve(self, name: str, type: str = "A") -> Future[Any]:  # noqa: A002 - the protocol's
        records = []
        for site, priority in self.services.items():
            host, port = site.where.split(":")
            self.hosts[f"host-{port}"] = [(host, int(port))]
            records.append(SimpleNamespace(data=(priority, 1, int(port), f"host-{port}")))
        future: Future[Any] = Future(self._base)
        future.set_result(Records(records))
        return future


class Records(list[Any]):
    """An answer."""

    ttl = 60


def address_of(site: Site) -> Address:
    host, port = site.where.split(":")
    return host, int(port)


def test_servers_come_and_go_with_their_name_while_calls_are_under_way(world: World) -> None:
    one, two = world.site(), world.site()
    resolver = FakeResolver(world.base)
    resolver.hosts["rpc.test"] = [address_of(one)]
    pool = world.pool(["rpc.test:1"], resolver=resolver, timeout=None)
    world.advance(2.0)  # so that a connection that was just made is no reason to look again
    under_way = world.call(pool)
    world.kept()
    resolver.hosts["rpc.test"] = [address_of(two)]
    world.advance(31.0)
    world.run(lambda: two.server.connections)
    assert {world.outcome(world.call(pool, "where")) for _ in range(10)} == {two.where}
    assert len(one.server.connections) == 1  # it has a call of the pool's
    one.kept[0].reply("finished")
    assert world.outcome(under_way) == "finished"
    world.run(lambda: not one.server.connections)


def test_each_address_of_a_name_is_a_server(world: World) -> None:
    one, two = world.site(), world.site()
    resolver = FakeResolver(world.base)
    resolver.hosts["rpc.test"] = [address_of(one), address_of(two)]
    pool = world.pool(["rpc.test:1"], resolver=resolver)
    assert {world.outcome(world.call(pool, "where")) for _ in range(40)} == {one.where, two.where}


def test_priorities_may_change(world: World) -> None:
    one, two = world.site(), world.site()
    resolver = FakeRecordResolver(world.base)
    resolver.services = {one: 10, two: 20}
    pool = world.pool(["_rpc._tcp.rpc.test"], resolver=resolver)
    world.advance(2.0)
    assert {world.outcome(world.call(pool, "where")) for _ in range(10)} == {one.where}
    resolver.services = {one: 20, two: 10}
    world.advance(61.0)
    assert {world.outcome(world.call(pool, "where")) for _ in range(10)} == {two.where}
    assert [len(site.server.connections) for site in (one, two)] == [1, 1]


def test_a_server_that_has_its_fill_is_no_reason_to_go_to_a_spare_one(world: World) -> None:
    one, two = world.site(), world.site()
    resolver = FakeRecordResolver(world.base)
    resolver.services = {one: 10, two: 20}
    pool = world.pool(["_rpc._tcp.rpc.test"], resolver=resolver, max_in_flight=1)
    for _ in range(2):
        world.call(pool)
    world.kept()
    world.settle()
    assert (len(one.kept), len(two.kept), pool.waiting) == (1, 0, 1)


def test_a_loss_has_the_name_looked_up_again(world: World) -> None:
    one, two = world.site(), world.site()
    resolver = FakeResolver(world.base)
    resolver.hosts["rpc.test"] = [address_of(one)]
    pool = world.pool(["rpc.test:1"], resolver=resolver)
    world.advance(2.0)
    resolver.hosts["rpc.test"] = [address_of(two)]
    one.go()
    world.settle()
    call = world.call(pool, "where")
    world.advance(1.1)
    assert world.outcome(call) == two.where


def test_a_name_that_is_not_found_says_so(world: World) -> None:
    pool = world.pool(["rpc.test:1"], resolver=FakeResolver(world.base), connected=False)
    call = world.call(pool)
    world.advance(10.1)
    assert isinstance(call.error, CallTimeout)
    assert isinstance(call.error.__cause__, socket.gaierror)


def test_servers_are_found_by_their_srv_records(base: EventBase) -> None:
    """With evkit's resolver and evkit's name server; nothing is faked, the clock neither."""
    preferred, spare = Site(base), Site(base)
    priorities = {preferred: 10, spare: 20}

    def answer(request: ServerRequest) -> None:
        if request.question.type == "SRV":
            for site, priority in priorities.items():
                port = address_of(site)[1]
                request.add_reply(ANSWER, None, "SRV", 60, f"{priority} 5 {port} host.rpc.test.")
        elif request.question.type == "A":
            request.add_a_reply(HOST, 60)
        request.respond()

    name_server = ServerPort(base, answer)
    number = name_server.listen(HOST, 0)
    with (
        Resolver(base, [f"{HOST}:{number}"], conf=None, hosts=None) as resolver,
        Pool(base, ["_rpc._tcp.rpc.test"], resolver=resolver) as pool,
    ):
        deadline = base.timer(lambda event, what: base.stop())
        deadline.add(PATIENCE)
        while sum(client.connection is not None for client in pool.clients) < 2:
            assert deadline.pending(), f"not connected within {PATIENCE} s: {pool!r}"
            base.loop(EVLOOP_ONCE)
        deadline.free()
        assert {pool.call("where").result(timeout=PATIENCE) for _ in range(20)} == {preferred.where}
        preferred.go()
        assert pool.call("where", idempotent=True).result(timeout=PATIENCE) == spare.where
    name_server.close()
    spare.go()


def test_tls_is_for_the_name_and_not_for_the_address(base: EventBase, certificates: Certificates) -> None:
    server = Server(base)
    server.register(lambda: "safe", "how")
    listener = server.bind(HOST, 0, tls=certificates.server())
    resolver = FakeResolver(base)
    host, port = str(listener.address).split(":")
    resolver.hosts["localhost.test"] = [(host, int(port))]
    resolver.hosts["localhost"] = [(host, int(port))]
    with Pool(base, [f"tls://localhost:{port}"], resolver=resolver, tls=certificates.client()) as pool:
        assert pool.call("how").result(timeout=PATIENCE) == "safe"
    with Pool(base, [f"tls://localhost.test:{port}"], resolver=resolver, tls=certificates.client()) as pool:
        future = pool.call("how", timeout=0.5)
        error = future.exception(timeout=PATIENCE)
    assert isinstance(error, CallTimeout)
    assert isinstance(error.__cause__, TLSError)
    server.close()


# Streams


def test_a_stream_goes_to_one_server(world: World) -> None:
    def count(number: int) -> Iterator[int]:
        yield from range(number)

    site = world.site()
    site.server.register(count)
    pool = world.pool(hello=True)
    stream = pool.stream("count", 5)
    world.run(stream.result.done)
    assert list(stream) == list(range(5))


def test_a_stream_waits_for_a_server_and_keeps_its_connection(world: World) -> None:
    where = unused()
    pool = world.pool([where], connected=False, hello=True)
    stream = pool.stream("keep")
    world.settle()
    assert pool.waiting == 1
    site = world.site(where)
    world.advance(1.0)
    world.kept()
    pool.remove_connection(pool.clients[0])
    world.settle()
    assert len(site.server.connections) == 1
    site.kept[0].reply("end")
    world.run(stream.result.done)
    assert stream.result.result() == "end"
    world.run(lambda: not site.server.connections)


# Hooks


def test_hooks_see_the_calls_of_all_connections_and_the_time_counts(world: World) -> None:
    world.site()
    world.site()
    seen: list[HookContext] = []

    def hook(context: HookContext) -> int:
        seen.append(context)
        return PAUSE if context.method == "keep" else CONTINUE

    pool = world.pool(connected=False, timeout=2.0)
    pool.add_hook(OUTPUT, hook)
    world.run(lambda: all(client.connection for client in pool.clients))
    places = {world.outcome(world.call(pool, "where")) for _ in range(20)}
    assert places == {site.where for site in world.sites}
    assert len(seen) == 20
    paused = world.call(pool)
    world.advance(1.9)
    assert paused.error is None
    world.advance(0.2)
    assert isinstance(paused.error, CallTimeout)
    assert sum(len(site.kept) for site in world.sites) == 0


def test_a_call_that_a_hook_ends_goes_nowhere_else(world: World) -> None:
    world.site()
    world.site()
    pool = world.pool(connected=False)
    pool.add_hook(OUTPUT, lambda context: TERMINATE)
    world.run(lambda: all(client.connection for client in pool.clients))
    assert isinstance(world.outcome(world.call(pool, "where", idempotent=True)), HookAborted)
