"""`evkit.rpc.client.keepalive`: a peer that says nothing while an answer is waited for is asked, and then given up."""

import msgpack
import pytest

from evkit.core import EventBase
from evkit.errors import TransportTimeout
from evkit.rpc import CallLost
from evkit.rpc.client.keepalive import Keepalive
from evkit.testing import ManualClock
from rpc_aids import Make, Town
from rpc_client_aids import greeted, hear

PING = frozenset({"ping"})


def later(clock: ManualClock, base: EventBase, seconds: float) -> None:
    clock.advance(seconds)
    for _ in range(4):
        base.loop(2)


def test_who_waits_for_nothing_asks_nothing(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    connection.features = PING
    watch = Keepalive(connection, 5.0)
    for _ in range(5):
        later(clock, connection.base, 5.0)
    assert peer.heard() == []
    watch.close()


def test_a_peer_that_knows_no_ping_is_not_asked(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    future = connection.call("one", timeout=None)
    watch = Keepalive(connection, 5.0)
    for _ in range(5):
        later(clock, connection.base, 5.0)
    assert peer.heard() == [[0, 1, "one", []]]
    future.cancel()
    watch.close()


def test_a_silent_peer_is_asked_and_given_up(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    connection.features = PING
    future = connection.call("one", timeout=None)
    watch = Keepalive(connection, 5.0)
    later(clock, connection.base, 5.0)
    assert peer.heard() == [[0, 1, "one", []], [0, 2, "$/ping", []]]
    later(clock, connection.base, 4.9)
    assert not connection.closed
    later(clock, connection.base, 0.2)
    assert connection.closed
    assert isinstance(connection.error, TransportTimeout)
    assert "no word within 10 s" in str(connection.error)
    error = future.exception()
    assert isinstance(error, CallLost)
    assert error.__cause__ is connection.error
    watch.close()


def test_a_peer_that_answers_is_asked_again(make: Make, clock: ManualClock) -> None:
    connection, peer = make()
    connection.features = PING
    future = connection.call("one", timeout=None)
    watch = Keepalive(connection, 5.0)
    peer.heard()
    for number in range(2, 6):
        later(clock, connection.base, 5.0)
        assert peer.heard() == [[0, number, "$/ping", []]]
        peer.send([1, number, None, None])
        later(clock, connection.base, 5.0)  # it has said something since
        assert peer.heard() == []
    assert not connection.closed
    future.cancel()
    watch.close()


@pytest.mark.parametrize("word", [msgpack.packb([2, "word", []]), b"\x93", msgpack.packb([1, 1, None, 5])])
def test_any_word_will_do(make: Make, clock: ManualClock, word: bytes) -> None:
    connection, peer = make(message_timeout=None)
    connection.features = PING
    first, second = (connection.call("one", timeout=None) for _ in range(2))
    watch = Keepalive(connection, 5.0)
    later(clock, connection.base, 5.0)
    later(clock, connection.base, 4.0)
    peer.send(raw=word)
    later(clock, connection.base, 1.5)  # the ping itself has no answer
    assert not connection.closed
    first.cancel()
    second.cancel()
    watch.close()


def test_a_client_watches_a_server_that_has_agreed(town: Town, clock: ManualClock) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True, keepalive=5.0, reconnect=None)
    pending = town.start(client, "one", timeout=None)
    peer = greeted(town, listener, ["ping"])
    assert hear(town, peer) == [[0, 2, "one", []]]
    clock.advance(5.1)  # since it was looked first, there was the answer to the hello
    town.settle()
    assert peer.heard() == []
    clock.advance(5.1)
    assert hear(town, peer) == [[0, 3, "$/ping", []]]
    clock.advance(5.1)
    error = town.outcome(pending)
    assert isinstance(error, CallLost)
    assert isinstance(error.__cause__, TransportTimeout)


@pytest.mark.parametrize(("features", "keepalive"), [([], 5.0), (["ping"], None)])
def test_a_client_that_is_not_to_watch(
    town: Town, clock: ManualClock, features: list[str], keepalive: float | None
) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True, keepalive=keepalive)
    pending = town.start(client, "one", timeout=None)
    peer = greeted(town, listener, features)
    assert hear(town, peer) == [[0, 2, "one", []]]
    for _ in range(5):
        clock.advance(5.1)
        town.settle()
    assert peer.heard() == []
    peer.send([1, 2, None, 7])
    assert town.outcome(pending) == 7
