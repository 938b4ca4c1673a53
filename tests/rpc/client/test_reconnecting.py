"""`evkit.rpc.client.reconnecting`: when a client connects, what it says first, and when it tries again."""

import gc
import socket
import struct

import pytest

from evkit.errors import ConnectError, ConnectionLost
from evkit.rpc import (
    Backoff,
    CallLost,
    Client,
    ClientClosed,
    Connection,
    RPCError,
    Service,
)
from evkit.rpc.client.reconnecting import Reconnector
from evkit.rpc.connection.extensions import FEATURES
from evkit.rpc.connection.pending import Pending
from evkit.testing import ManualClock
from rpc_aids import HOST, Town
from rpc_client_aids import AT_ONCE, STEADY, free_address, greeted, hear


def test_it_connects_when_something_is_called(town: Town) -> None:
    server, where = town.listening()
    client = town.client(where)
    town.settle()
    assert not server.connections
    assert repr(client) == f"<Client away of {HOST}:{where[1]} waiting=0>"
    assert town.outcome(town.start(client, "echo", 5)) == 5
    assert client.connection is not None
    assert repr(client).startswith("<Client connected of")
    assert town.outcome(town.start(client, "echo", 6)) == 6
    assert len(server.connections) == 1


@pytest.mark.parametrize("how", ["connect", "service"])
def test_it_keeps_a_connection_if_it_is_to(town: Town, how: str) -> None:
    server, where = town.listening()
    if how == "connect":
        client = town.client(where)
        client.connect()
        client.connect()
    else:
        client = town.client(where, service=Service())
    town.run(lambda: server.connections)
    next(iter(server.connections)).close()
    town.run(lambda: client.connection is None)
    assert len(server.connections) == 0


def test_a_client_may_be_there_before_its_server(town: Town, clock: ManualClock) -> None:
    where = free_address()
    client = town.client(where, reconnect=STEADY)
    failures: list[Exception | None] = []
    client.on_failure = failures.append
    pending = town.start(client, "echo", "early", timeout=100.0)
    town.run(lambda: failures)
    assert isinstance(client.error, OSError)
    server = town.server()
    server.bind(*where)
    town.settle()
    assert pending.owner is not None
    clock.advance(1.0)
    assert town.outcome(pending) == "early"
    assert client.error is None


def test_a_client_without_backoff_fails_at_once(town: Town) -> None:
    client = town.client(free_address(), reconnect=None)
    first, second = town.start(client), town.start(client)
    for pending in (first, second):
        error = town.outcome(pending)
        assert isinstance(error, CallLost)
        assert not error.sent
        assert isinstance(error.__cause__, ConnectError)
    assert [event for event in town.base.events() if not event.internal] == []  # nothing is tried again


def test_a_callback_that_calls_again_does_not_hang_the_client(town: Town) -> None:
    client = town.client(free_address(), reconnect=None)
    failures: list[RPCError | None] = []

    def again(pending: Pending) -> None:
        failures.append(pending.error)
        if len(failures) < 4:
            client.start_call("echo", [1], again)

    client.start_call("echo", [1], again)
    town.run(lambda: len(failures) == 4)


def test_it_waits_longer_after_each_failure(town: Town, clock: ManualClock) -> None:
    client = town.client(free_address(), reconnect=STEADY)
    failures: list[Exception | None] = []
    client.on_failure = failures.append
    client.connect()
    for number, pause in enumerate([1.0, 2.0, 4.0, 8.0, 8.0], 1):
        town.run(lambda number=number: len(failures) == number)
        clock.advance(pause - 0.01)
        town.settle()
        assert len(failures) == number
        clock.advance(0.02)
    town.run(lambda: len(failures) == 6)


def test_a_server_that_drops_each_connection_is_not_asked_without_a_pause(
    town: Town, clock: ManualClock
) -> None:
    server, where = town.listening()
    client = town.client(where, reconnect=STEADY)
    times: list[float] = []
    client.on_connect = lambda connection: times.append(clock.monotonic())
    client.connect()
    server.on_connect = lambda connection: connection.close()
    for _ in range(16):
        town.settle()
        clock.advance(0.5)
    town.settle()
    assert [time - times[0] for time in times] == [0.0, 1.0, 3.0, 7.0]


def test_after_a_steady_connection_it_connects_at_once(town: Town, clock: ManualClock) -> None:
    server, client = town.pair(reconnect=STEADY)
    there: list[Connection] = []
    client.on_connect = there.append
    for number in (1, 2):
        clock.advance(60.0)
        town.settle()
        for connection in tuple(server.connections):
            connection.close()
        town.run(lambda number=number: len(there) == number)


def test_nobody_waits_nothing_is_connected(town: Town) -> None:
    server, where = town.listening()
    client = town.client(where, reconnect=AT_ONCE)
    assert town.outcome(town.start(client, "echo", 1)) == 1
    for connection in tuple(server.connections):
        connection.close()
    town.settle()
    assert client.connection is None
    assert not server.connections
    assert town.outcome(town.start(client, "echo", 2)) == 2


def test_calls_fail_with_the_connection_and_it_is_made_anew(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), reconnect=AT_ONCE)
    gone: list[Connection] = []
    client.on_disconnect = gone.append
    pending = town.start(client)
    peer = town.accepted(listener)
    hear(town, peer)
    peer.close()
    error = town.outcome(pending)
    assert isinstance(error, CallLost)
    assert error.sent
    town.run(lambda: gone)
    assert gone[0].closed
    again = town.start(client)
    peer = town.accepted(listener)
    hear(town, peer)
    peer.send([1, 1, None, "new"])
    assert town.outcome(again) == "new"


def test_a_reset_in_the_middle(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), reconnect=None)
    pending = town.start(client)
    peer = town.accepted(listener)
    hear(town, peer)
    peer.send(raw=b"\x94\x01\x01")
    peer._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    error = town.outcome(pending)
    assert isinstance(error, CallLost)
    assert isinstance(error.__cause__, ConnectionLost)
    assert client.error is error.__cause__


@pytest.mark.parametrize("how", ["closes", "goes half"])
def test_who_calls_again_because_it_was_lost_gets_another_connection(town: Town, how: str) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), reconnect=AT_ONCE)
    again: list[Pending] = []

    def on_lost(pending: Pending) -> None:
        again.append(town.start(client, "echo", "again"))
        client.notify("note", "again")

    client.start_call("echo", ["first"], on_lost)
    peer = town.accepted(listener)
    hear(town, peer)
    (peer.close if how == "closes" else peer.shut)()
    town.run(lambda: again)
    other = town.accepted(listener)
    assert hear(town, other) == [[0, 1, "echo", ["again"]], [2, "note", ["again"]]]
    other.send([1, 1, None, "there"])
    assert town.outcome(again[0]) == "there"


def test_an_on_failure_that_fails_keeps_the_client_trying(
    town: Town, clock: ManualClock, escaped: list[BaseException]
) -> None:
    client = town.client(free_address(), reconnect=STEADY)
    client.on_failure = lambda error: 1 // 0
    client.connect()
    town.run(lambda: escaped)
    clock.advance(1.1)
    town.run(lambda: len(escaped) == 2)


def test_close_inside_on_connect(town: Town) -> None:
    server, where = town.listening()
    client = town.client(where)
    client.on_connect = lambda connection: client.close()
    pending = town.start(client, "echo", 1)
    assert isinstance(town.outcome(pending), ClientClosed)
    town.settle()
    assert not server.connections


def test_close_while_the_client_waits_to_try_again(town: Town, clock: ManualClock) -> None:
    client = town.client(free_address(), reconnect=STEADY)
    failures: list[Exception | None] = []
    client.on_failure = failures.append
    client.connect()
    town.run(lambda: failures)
    client.close()
    clock.advance(100.0)
    town.settle()
    assert len(failures) == 1


def test_a_hello_comes_first_and_once(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True)
    calls = [town.start(client, "echo", number, timeout=None) for number in range(3)]
    peer = town.accepted(listener)
    ((kind, number, name, (offer,)),) = hear(town, peer)
    assert (kind, number, name) == (0, 1, "$/hello")
    assert (offer["v"], offer["features"]) == (1, list(FEATURES))
    assert client.connection is None
    calls.append(town.start(client, "echo", 3, timeout=None))
    peer.send([1, 1, None, {"v": 1, "features": ["cancel", "later", 5]}])
    assert hear(town, peer) == [[0, 2 + number, "echo", [number]] for number in range(4)]
    assert client.connection is not None
    assert client.connection.features == {"cancel"}
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.parametrize(
    "answer", [[1, 1, "no method", None], [1, 1, None, None], [1, 1, None, {"features": 5}], None]
)
def test_a_server_that_knows_no_hello_is_called_all_the_same(
    town: Town, clock: ManualClock, answer: object
) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True, connect_timeout=5.0, timeout=60.0)
    pending = town.start(client, "echo", 1, metadata={"a": 1})
    peer = town.accepted(listener)
    hear(town, peer)
    if answer is None:
        clock.advance(5.1)
    else:
        peer.send(answer)
    assert hear(town, peer) == [[0, 2, "echo", [1]]]
    peer.send([1, 2, None, "yes"])
    assert town.outcome(pending) == "yes"
    assert client.connection is not None
    assert not client.connection.features


@pytest.mark.parametrize("how", ["closes", "goes half", "resets"])
def test_a_peer_that_ends_during_the_hello(town: Town, how: str) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True, reconnect=AT_ONCE)
    there: list[Connection] = []
    client.on_connect = there.append
    pending = town.start(client, "echo", 1, timeout=None)
    peer = town.accepted(listener)
    hear(town, peer)
    if how == "goes half":
        peer.shut()
    else:
        if how == "resets":
            peer._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    other = greeted(town, listener, [])
    assert len(there) == 1
    assert hear(town, other) == [[0, 2, "echo", [1]]]
    other.send([1, 2, None, "yes"])
    assert town.outcome(pending) == "yes"


def test_close_while_the_hello_is_not_answered(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True)
    pending = town.start(client, "echo", 1)
    peer = town.accepted(listener)
    hear(town, peer)
    client.close()
    assert isinstance(pending.error, ClientClosed)
    assert peer.at_end()


def test_attempts_without_a_pause_leave_time_for_others(town: Town) -> None:
    with town.listener() as gone:
        where = gone.getsockname()
    client = town.client(where, reconnect=Backoff(0.0))
    pending = town.start(client, "echo", 1)
    town.settle()  # comes to its end
    pending.cancel()


def test_a_hello_without_an_answer_is_not_waited_for_without_end(town: Town, clock: ManualClock) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True, connect_timeout=None)
    pending = town.start(client, "echo", 1, timeout=None)
    peer = town.accepted(listener)
    ((_, _, hello, _),) = hear(town, peer)
    assert hello == "$/hello"
    clock.advance(10.1)
    ((_, number, method, params),) = hear(town, peer)
    assert (method, params) == ("echo", [1])
    peer.send([1, number, None, 5])
    assert town.outcome(pending) == 5


@pytest.mark.parametrize("hello", [False, True])
def test_a_closed_client_is_not_left_to_the_collector(town: Town, hello: bool) -> None:
    def kept() -> int:
        return sum(type(what) in (Client, Reconnector) for what in gc.get_objects())

    _, where = town.listening()
    gc.collect()
    gc.disable()
    try:
        client = Client(town.base, where, hello=hello)
        assert town.outcome(town.start(client, "echo", 1)) == 1
        assert kept() == 2
        client.close()
        town.settle()
        del client
        assert kept() == 0
    finally:
        gc.enable()
