"""The servers of a pool: how they fare, how they come and go, and how they are found."""

import socket
from typing import Any

from certificates import Certificates, make_certificates  # noqa: F401 - a fixture
from evkit.core import EVLOOP_ONCE, EventBase
from evkit.dns import Resolver
from evkit.dns.server import ANSWER, ServerPort, ServerRequest
from evkit.errors import TLSError
from evkit.rpc import Backoff, CallLost, CallTimeout, ClientClosed, Pending, Pool, Server
from patience import PATIENCE
from rpc_pool_aids import AT_ONCE, HOST, FakeRecordResolver, FakeResolver, Site, World, address_of

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
            assert (pool.waiting, repr(pool)) == (2, "<Pool open <Members up=0 of 1> waiting=2>")
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


def test_what_was_told_to_a_server_is_sent_before_its_connection_ends(world: World) -> None:
    site = world.site()
    pool = world.pool()
    pool.notify("tell", "the last")
    pool.remove_connection(pool.clients[0])
    world.run(lambda: not site.server.connections)
    assert site.told == ["the last"]


def test_a_connection_that_is_lost_while_it_is_leaving_is_not_made_again(world: World) -> None:
    site = world.site()
    pool = world.pool()
    call = world.call(pool)
    world.kept()
    pool.remove_connection(pool.clients[0])
    site.drop()
    assert isinstance(world.outcome(call), CallLost)
    world.advance(20.0)
    assert not site.server.connections
    assert repr(pool) == "<Pool open <Members up=0 of 0> waiting=0>"


def test_all_servers_may_go_and_come_back(world: World) -> None:
    places = [world.site().where for _ in range(2)]
    pool = world.pool(retry_pause=AT_ONCE, failures=100, timeout=None)
    sent = [world.call(pool, "keep", number, idempotent=True) for number in range(4)]
    world.kept(4)
    for site in world.sites:
        site.go()
    world.settle()
    waiting = [world.call(pool, "keep", number) for number in range(4, 8)]
    world.advance(5.0)
    assert pool.waiting == 8
    world.sites.clear()
    for where in places:
        world.site(where)
    world.advance(10.0)
    for _, kept in world.kept(8):
        kept.reply("back")
    assert [world.outcome(call) for call in sent + waiting] == ["back"] * 8
    assert sorted(number for site in world.sites for number in site.order) == list(range(8))


def test_who_is_called_back_may_take_the_connection_away(world: World) -> None:
    site = world.site()
    pool = world.pool()
    told: list[Any] = []

    def on_end(pending: Pending) -> None:
        told.append(pending.value)
        if pool.clients:
            pool.remove_connection(pool.clients[0])

    for _ in range(3):
        pool.start_call("keep", [], on_end)
    for number, (_, kept) in enumerate(world.kept(3)):
        kept.reply(number)
    world.run(lambda: len(told) == 3)
    assert told == [0, 1, 2]
    world.run(lambda: not site.server.connections)
    assert repr(pool) == "<Pool open <Members up=0 of 0> waiting=0>"


def test_closing_does_not_wait_for_connections_that_are_leaving(world: World) -> None:
    site = world.site()
    pool = world.pool()
    call = world.call(pool)
    world.kept()
    pool.remove_connection(pool.clients[0])
    pool.close()
    assert isinstance(call.error, ClientClosed)
    site.kept[0].reply("too late")
    world.run(lambda: not site.server.connections)


def test_calls_that_wait_hear_that_a_busy_server_of_a_better_priority_leaves(world: World) -> None:
    one, two = world.site(), world.site()
    resolver = FakeRecordResolver(world.base)
    resolver.services = {one: 10, two: 20}
    pool = world.pool(["_rpc._tcp.rpc.test"], resolver=resolver, max_in_flight=1)
    world.call(pool)
    world.run(lambda: one.kept)
    call = world.call(pool, "where")
    world.settle()
    assert pool.waiting == 1
    pool.remove_connection(pool.clients[0])
    assert world.outcome(call) == two.where


def test_calls_that_wait_hear_that_priorities_have_changed(world: World) -> None:
    one, two = world.site(), world.site()
    resolver = FakeRecordResolver(world.base)
    resolver.services = {one: 10, two: 20}
    pool = world.pool(["_rpc._tcp.rpc.test"], resolver=resolver, max_in_flight=1, timeout=None)
    world.advance(2.0)
    world.call(pool)
    world.run(lambda: one.kept)
    call = world.call(pool, "where")
    resolver.services = {one: 20, two: 10}
    world.advance(61.0)
    assert world.outcome(call) == two.where


def test_a_stream_that_was_answered_shows_that_its_server_is_well(world: World) -> None:
    site = world.site()
    pool = world.pool(failures=2, timeout=1.0, hello=True, reconnect=Backoff(5.0, jitter=0.0))
    for _ in range(4):
        slow = world.call(pool)
        world.advance(1.1)
        assert isinstance(slow.error, CallTimeout)
        stream = pool.stream("where")
        world.run(stream.result.done)
        world.settle()
    assert world.outcome(world.call(pool, "where")) == site.where


# Names


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
