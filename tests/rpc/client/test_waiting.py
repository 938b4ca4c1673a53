"""`evkit.rpc.client.waiting`: calls that are made before there is a connection."""

from typing import Any

import pytest

from evkit.rpc import (
    CallLost,
    CallTimeout,
    Overloaded,
)
from evkit.testing import ManualClock
from rpc_aids import Town
from rpc_client_aids import free_address, hear


def test_calls_wait_within_their_time(town: Town, clock: ManualClock) -> None:
    client = town.client(free_address(), timeout=5.0)
    usual, short, none = town.start(client), town.start(client, timeout=1.0), town.start(client, timeout=None)
    clock.advance(1.1)
    error = town.outcome(short)
    assert isinstance(error, CallTimeout)
    assert error.timeout == 1.0
    assert usual.owner is not None
    clock.advance(4.0)
    assert isinstance(town.outcome(usual), CallTimeout)
    clock.advance(1000.0)
    town.settle()
    assert none.owner is not None
    none.cancel()
    assert none.owner is None
    assert repr(client).endswith("waiting=0>")


def test_the_time_in_the_queue_counts(town: Town, clock: ManualClock) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), timeout=5.0)
    names = town.start(client)
    clock.advance(3.0)
    peer = town.accepted(listener)
    assert hear(town, peer) == [[0, 1, "echo", []]]
    clock.advance(1.9)
    town.settle()
    assert names.owner is not None
    clock.advance(0.2)
    assert isinstance(town.outcome(names), CallTimeout)


def test_the_queue_has_a_limit(town: Town) -> None:
    client = town.client(free_address(), max_queue=2)
    town.start(client)
    client.notify("echo", 1)
    for refused in (
        lambda: town.start(client),
        lambda: client.notify("echo", 1),
        lambda: client.call("echo"),
    ):
        with pytest.raises(Overloaded, match="2 calls wait"):
            refused()


def test_a_queue_of_none_is_no_matter_where_there_is_room(town: Town) -> None:
    _, client = town.pair(max_queue=0, max_in_flight=1)
    assert town.outcome(town.start(client, "echo", 1)) == 1
    town.start(client, "echo", 2)
    with pytest.raises(Overloaded):
        town.start(client, "echo", 3)


def test_what_can_not_be_sent_is_said_before_there_is_a_connection(town: Town) -> None:
    client = town.client(free_address())
    for refused in (
        lambda: client.call("echo", object()),
        lambda: client.call("echo", metadata={"x": object()}),
        lambda: client.notify("echo", object()),
    ):
        with pytest.raises(TypeError):
            refused()
    assert repr(client).endswith("waiting=0>")


def test_what_was_changed_while_it_waited_fails_alone(town: Town) -> None:
    _, where = town.listening()
    client = town.client(where)
    params: list[Any] = [1]
    bad = client.start_call("echo", params, lambda pending: None)
    good = town.start(client, "echo", 2)
    params[0] = object()
    assert town.outcome(good) == 2
    assert isinstance(town.outcome(bad), CallLost)
    assert isinstance(bad.error.__cause__ if bad.error else None, TypeError)


def test_notifications_wait_too_and_all_go_in_order(town: Town) -> None:
    server, where = town.listening()
    heard: list[object] = []
    server.register(heard.append, "note")
    client = town.client(where)
    client.notify("note", 1)
    pending = town.start(client, "note", 2)
    client.notify("note", 3)
    town.outcome(pending)
    client.notify("note", 4)
    town.run(lambda: len(heard) == 4)
    assert heard == [1, 2, 3, 4]


def test_a_notification_that_is_never_sent_is_logged(town: Town, log: list[str]) -> None:
    client = town.client(free_address())
    client.notify("note", 1)
    client.close()
    assert len(log) == 1
    assert log[0].startswith("rpc: a notification was not sent: the client of 127.0.0.1:")


def test_many_calls_that_wait(town: Town) -> None:
    _, where = town.listening()
    client = town.client(where)
    done: list[object] = []
    for number in range(10_000):
        client.start_call("echo", [number], lambda pending: done.append(pending.value))
    town.run(lambda: len(done) == 10_000)
    assert done == list(range(10_000))
