"""`evkit.rpc.pool.pool`: the ways to call, who gets a call, what waits, and the end."""

import socket
import ssl
from collections.abc import Iterator
from inspect import signature
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.errors import ConnectError
from evkit.rpc import (
    CONTINUE,
    DEFAULT,
    OUTPUT,
    PAUSE,
    TERMINATE,
    Backoff,
    CallLost,
    CallTimeout,
    Client,
    ClientClosed,
    HookAborted,
    HookContext,
    Overloaded,
    Pending,
    Pool,
    RetryBudget,
)
from rpc_pool_aids import HOST, FakeResolver, World, unused

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


def test_who_waits_for_a_busy_server_is_told_of_no_other(world: World) -> None:
    site = world.site()
    pool = world.pool([unused(), site.where], connected=False, max_in_flight=1, timeout=10.0)
    world.run(lambda: any(client.connection for client in pool.clients))
    world.settle()
    world.call(pool, timeout=None)
    call = world.call(pool)
    world.advance(10.1)
    assert isinstance(call.error, CallTimeout)
    assert call.error.__cause__ is None


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


def test_metadata_that_can_not_be_sent_is_refused_as_early(world: World) -> None:
    pool = world.pool([unused()], connected=False)
    with pytest.raises(TypeError):
        world.call(pool, "keep", metadata={"tenant": object()})
    assert pool.waiting == 0


def test_what_can_not_be_sent_leaves_nothing_behind(world: World) -> None:
    site = world.site()
    pool = world.pool(max_in_flight=1)
    with pytest.raises(TypeError):
        world.call(pool, "keep", object())
    assert world.outcome(world.call(pool, "where")) == site.where


def test_a_call_that_no_server_takes_is_refused_at_once(world: World) -> None:
    """As a client refuses it: nobody is called back before it is known which call that would be."""
    with socket.create_server((HOST, 0)) as listener:
        pool = world.pool([listener.getsockname()], connected=False)
        world.run(lambda: pool.clients[0].connection)
        world.call(pool, "keep", b"x" * (32 << 20))
        world.settle()
        told: list[Pending] = []
        with pytest.raises(Overloaded, match="does not read"):
            pool.start_call("where", [], told.append)
        with pytest.raises(Overloaded, match="does not read"):
            pool.notify("tell", 1)
        assert told == []
        assert pool.waiting == 0


def test_calls_that_are_refused_bring_no_credit(world: World) -> None:
    pool = world.pool([unused()], connected=False, max_queue=1, budget=RetryBudget(1.0, 0.0))
    world.call(pool)
    for _ in range(5):
        with pytest.raises(Overloaded):
            world.call(pool)
    assert pool.budget.balance(world.base.now()) == 1


def test_a_new_timeout_is_for_calls_to_come(world: World) -> None:
    world.site()
    pool = world.pool(timeout=10.0)
    old = world.call(pool)
    pool.timeout = 2.0
    new = world.call(pool)
    world.kept(2)
    world.advance(2.1)
    assert isinstance(new.error, CallTimeout)
    assert old.error is None
    for one in (pool, world.pool([], connected=False)):
        with pytest.raises(ValueError, match="time-out"):
            one.timeout = -1


def test_a_new_timeout_is_for_streams_that_ask_for_it_and_for_new_connections(world: World) -> None:
    world.site()
    pool = world.pool(timeout=10.0, hello=True)
    pool.timeout = 2.0
    assert pool.timeout == 2.0
    streams = [pool.stream("keep", timeout=DEFAULT)]
    pool.remove_connection(pool.clients[0])
    client = pool.add_connection(world.sites[0].where)
    world.run(lambda: client.connection)
    streams.append(pool.stream("keep", timeout=DEFAULT))
    world.kept(2)
    world.advance(1.9)
    assert not any(stream.result.done() for stream in streams)
    world.advance(0.2)
    for stream in streams:
        assert stream.result.done()
        error = stream.result.exception()
        assert isinstance(error, CallTimeout)
        assert error.timeout == 2.0


def test_a_new_timeout_is_for_notifications_that_wait(world: World, caplog: pytest.LogCaptureFixture) -> None:
    pool = world.pool([unused()], connected=False, timeout=10.0)
    pool.timeout = 2.0
    pool.notify("tell", 1)
    world.advance(1.9)
    assert pool.waiting == 1
    world.advance(0.2)
    assert pool.waiting == 0
    assert "a notification was not sent: tell: no answer in 2 s" in caplog.text


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


def test_a_hook_may_close_the_pool(world: World) -> None:
    world.site()
    pool = world.pool(connected=False)
    pool.add_hook(OUTPUT, lambda context: pool.close())
    world.run(lambda: pool.clients[0].connection)
    told: list[Pending] = []
    with pytest.raises(ClientClosed, match="the pool was closed"):
        pool.start_call("keep", [], told.append)
    assert told == []


def test_a_hook_may_close_the_pool_under_calls_that_waited(world: World) -> None:
    where = unused()
    pool = world.pool([where], connected=False)
    pool.add_hook(OUTPUT, lambda context: pool.close())
    calls = [world.call(pool, "where") for _ in range(3)]
    world.settle()
    world.site(where)
    world.advance(1.0)
    assert [str(world.outcome(call)) for call in calls] == ["the pool was closed"] * 3
    assert pool.waiting == 0


def test_who_hears_that_the_pool_is_closed_may_cancel_the_others(world: World) -> None:
    pool = world.pool([unused()], connected=False)
    told: list[str] = []

    def on_end(pending: Pending) -> None:
        told.append(pending.method)
        for call in calls:
            call.cancel()

    calls = [pool.start_call(name, [], on_end) for name in ("one", "two", "three")]
    pool.close()
    assert told == ["one"]


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


def test_what_it_has_in_common_with_a_client_is_the_same_by_default() -> None:
    pool = signature(Pool).parameters
    client = signature(Client).parameters
    common = set(pool) & set(client) - {"reconnect", "max_in_flight"}  # which mean something else
    assert {"timeout", "hello", "debug", "keepalive", "tls"} <= common
    for name in common:
        assert pool[name].default == client[name].default, name


def test_one_text_is_no_list_of_targets(base: EventBase) -> None:
    with pytest.raises(TypeError, match="expected a list of targets"):
        Pool(base, "127.0.0.1:7000")


@pytest.mark.parametrize("options", [{"keepalive": -1.0}, {"connect_timeout": -1.0}])
def test_what_no_client_would_take_is_refused_before_there_is_one(
    base: EventBase, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="time-out"):
        Pool(base, ["rpc.test:1"], resolver=FakeResolver(base), **options)


def test_tls_for_targets_without_is_refused_before_anything_is_begun(base: EventBase) -> None:
    before = base.events()
    with pytest.raises(ValueError, match="tls is for targets that begin with tls://, got rpc"):
        Pool(
            base,
            ["tls://127.0.0.1:1", "rpc.test:1"],
            resolver=FakeResolver(base),
            tls=ssl.create_default_context(),
        )
    assert base.events() == before


def test_a_time_that_is_none_is_refused(world: World) -> None:
    pool = world.pool([unused()], connected=False)
    for wrong in ({"timeout": -1.0}, {"idempotent": True, "hedge_after": -1.0}):
        with pytest.raises(ValueError, match="time-out"):
            world.call(pool, **wrong)  # type: ignore[arg-type]  # on purpose
    assert pool.waiting == 0


def test_it_shows_its_state(world: World) -> None:
    world.site()
    pool = world.pool()
    assert repr(pool) == "<Pool open <Members up=1 of 1> waiting=0>"
    pool.close()
    assert repr(pool) == "<Pool closed <Members up=0 of 0> waiting=0>"


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
