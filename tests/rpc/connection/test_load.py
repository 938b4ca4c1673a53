"""`evkit.rpc.connection.load`: counting, and who is told that there is room."""

import socket
from collections.abc import Iterator

import pytest

from evkit.core import EventBase
from evkit.rpc import Call, Service
from evkit.rpc.connection.load import Load
from rpc_aids import Peer, connection_to


def test_it_counts_up_to_the_most() -> None:
    load = Load(2)
    assert not load.full
    load.enter()
    assert not load.full
    load.enter()
    assert load.full
    assert repr(load) == "<Load 2 of 2 waiting=0>"
    load.leave()
    assert (load.count, load.full) == (1, False)


def test_without_a_most_it_is_never_full() -> None:
    load = Load()
    for _ in range(1000):
        load.enter()
    assert not load.full


def test_who_has_waited_longest_is_told_once_and_passes_on() -> None:
    load = Load(1)
    load.enter()
    told: list[str] = []

    def first() -> None:
        told.append("first")

    def second() -> None:
        told.append("second")

    for waiter in (first, second, first):
        load.wait(waiter)
    load.leave()
    assert told == ["first"]
    load.pass_on()
    assert told == ["first", "second"]
    load.pass_on()
    assert told == ["first", "second"]


def test_who_is_forgotten_is_not_told_nor_anybody_while_it_is_full() -> None:
    load = Load(1)
    told: list[str] = []

    def waiter() -> None:
        told.append("told")

    load.wait(waiter)
    load.forget(waiter)
    load.forget(waiter)
    load.enter()
    load.leave()
    assert told == []
    load.enter()
    load.wait(waiter)
    load.pass_on()
    assert told == []


@pytest.fixture
def peers(base: EventBase) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    pairs = [socket.socketpair() for _ in range(10)]
    yield pairs
    for _, theirs in pairs:
        theirs.close()


@pytest.mark.parametrize("most", [1, 3])
def test_many_connections_together_never_pass_the_most(
    base: EventBase, peers: list[tuple[socket.socket, socket.socket]], most: int
) -> None:
    service, load, calls = Service(), Load(most), list[Call]()

    @service.method
    def wait(call: Call) -> None:
        call.defer()
        calls.append(call)

    connections = [connection_to(base, ours, service, load=load) for ours, _ in peers]
    others = [Peer(base, theirs) for _, theirs in peers]
    for peer in others:
        peer.send(*[[0, number, "wait", []] for number in range(3)])
    for served in range(30):
        assert load.count <= most
        assert len(calls) == min(30, served + most)
        calls[served].reply()
        others[0].settle()
    assert all(len(peer.heard()) == 3 for peer in others)
    for connection in connections:
        connection.close()
