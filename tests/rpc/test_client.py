"""`evkit.rpc.client`: when it connects, what waits meanwhile, and what becomes of it."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from certificates import Certificates
from certificates import make_certificates as certificates  # noqa: F401 - a fixture
from evkit.core import EventBase, Future
from evkit.core.log import set_log_callback
from evkit.core.net import Address
from evkit.errors import ConnectError, ConnectionLost, TransportTimeout
from evkit.rpc import (
    Backoff,
    Call,
    CallLost,
    CallTimeout,
    Client,
    ClientClosed,
    Connection,
    Overloaded,
    RemoteCallError,
    RPCError,
    Server,
    Service,
)
from evkit.rpc.extensions import FEATURES
from evkit.rpc.pending import Pending
from evkit.testing import ManualClock
from rpc_aids import HOST, Peer, Town

AT_ONCE = Backoff(0.0, most=0.0)
STEADY = Backoff(1.0, most=8.0, jitter=0.0)


@pytest.fixture
def town(manual_base: EventBase, open_descriptors: None) -> Iterator[Town]:
    town = Town(manual_base)
    yield town
    town.close()
    assert [event for event in manual_base.events() if not event.internal] == []


@pytest.fixture
def escaped(manual_base: EventBase) -> list[BaseException]:
    """What escapes from callbacks, which is not to fail the test."""
    found: list[BaseException] = []
    manual_base.exception_handler = lambda exception, _source: found.append(exception)
    return found


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    set_log_callback(lambda _severity, line: lines.append(line))
    yield lines
    set_log_callback(None)


def free_address() -> tuple[str, int]:
    """Return where nobody listens."""
    with socket.create_server((HOST, 0)) as sock:
        address: tuple[str, int] = sock.getsockname()
    return address


def greeted(town: Town, listener: socket.socket, features: list[str]) -> Peer:
    """Play a server that understands the hello."""
    peer = town.accepted(listener)
    messages: list[Any] = []
    town.run(lambda: messages.extend(peer.heard()) or messages)
    assert messages[0][:3] == [0, 1, "$/hello"]
    peer.send([1, 1, None, {"v": 1, "features": features}])
    return peer


def hear(town: Town, peer: Peer) -> list[Any]:
    """Return what a peer gets, once there is something."""
    messages: list[Any] = []
    town.run(lambda: messages.extend(peer.heard()) or messages)
    return messages


class Names:
    """A resolver whose answers the test gives."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.asked: list[Future[list[Address]]] = []
        self.error: Exception | None = None

    def getaddrinfo(self, host: str, port: int, family: int = 0) -> Future[list[Address]]:
        if self.error is not None:
            raise self.error
        self.asked.append(Future(self.base))
        return self.asked[-1]


# Connecting


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


def test_the_sockets_have_no_delay(town: Town) -> None:
    server, client = town.pair()
    for connection in (client.connection, *server.connections):
        assert connection is not None
        bev: Any = connection.bev
        assert bev.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_system_asks_whether_the_server_is_there(town: Town) -> None:
    _, client = town.pair(keepalive=7.0)
    bev: Any = client.connection and client.connection.bev
    assert bev.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert bev.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7


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
    assert not client._retry.pending()


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


def test_a_connection_that_is_not_made_in_time(town: Town, clock: ManualClock) -> None:
    names = Names(town.base)
    client = town.client("nowhere.test:7", resolver=names, connect_timeout=3.0, reconnect=None)
    pending = town.start(client, timeout=100.0)
    town.settle()
    clock.advance(2.9)
    town.settle()
    assert pending.owner is not None
    clock.advance(0.2)
    error = town.outcome(pending)
    assert isinstance(error.__cause__, TransportTimeout)
    assert str(error.__cause__) == "connect: no connection to nowhere.test:7 within 3 s"
    assert names.asked[0].cancelled()


def test_a_resolver_that_fails_now_or_later(town: Town) -> None:
    names = Names(town.base)
    names.error = ValueError("no such thing")
    client = town.client("nowhere.test:7", resolver=names, reconnect=None)
    pending = town.start(client)
    assert pending.owner is not None  # ``done`` is called from the loop
    assert town.outcome(pending).__cause__ is names.error
    names.error = None
    pending = town.start(client)
    town.settle()
    names.asked[0].set_exception(OSError("not today"))
    assert "not today" in str(town.outcome(pending).__cause__)


def test_a_resolver_that_fails_at_once_and_a_callback_that_tries_again(town: Town) -> None:
    names = Names(town.base)
    names.error = OSError("no")
    client = town.client("nowhere.test:7", resolver=names, reconnect=None)
    left = 3000

    def again(pending: Pending) -> None:
        nonlocal left
        left -= 1
        if left:
            client.start_call("echo", [], again)

    client.start_call("echo", [], again)
    town.run(lambda: not left)


def test_a_name_that_the_resolver_finds(town: Town) -> None:
    server, where = town.listening()
    names = Names(town.base)
    client = town.client(f"somewhere.test:{where[1]}", resolver=names)
    pending = town.start(client, "echo", 1)
    town.run(lambda: names.asked)
    names.asked[0].set_result([where])
    assert town.outcome(pending) == 1
    assert server.connections


# What waits


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


def test_one_call_after_the_other(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), max_in_flight=1)
    calls = [town.start(client, "echo", number) for number in range(4)]
    peer = town.accepted(listener)
    assert hear(town, peer) == [[0, 1, "echo", [0]]]
    assert peer.heard() == []
    peer.send([1, 1, None, "a"])
    assert hear(town, peer) == [[0, 2, "echo", [1]]]
    calls[2].cancel()
    calls[1].cancel()  # which frees its place: its answer is dropped when it comes
    assert hear(town, peer) == [[0, 3, "echo", [3]]]
    peer.send([1, 2, None, "late"], [1, 3, None, "d"])
    assert town.outcome(calls[3]) == "d"
    assert calls[0].value == "a"


def test_two_in_flight_are_never_three(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), max_in_flight=2)
    calls = [town.start(client, "echo", number) for number in range(9)]
    peer = town.accepted(listener)
    numbers = [message[1] for message in hear(town, peer)]
    answered = 0
    while numbers:
        assert len(numbers) <= 2
        peer.send([1, numbers.pop(0), None, None])
        answered += 1
        numbers += [message[1] for message in peer.heard()]
    assert answered == 9
    town.run(lambda: all(call.owner is None for call in calls))
    assert [call.error for call in calls] == [None] * 9


def test_many_calls_at_once(town: Town) -> None:
    _, client = town.pair()
    done: list[object] = []
    for number in range(10_000):
        client.start_call("echo", [number], lambda pending: done.append(pending.value))
    town.run(lambda: len(done) == 10_000)
    assert done == list(range(10_000))


def test_many_calls_that_wait(town: Town) -> None:
    _, where = town.listening()
    client = town.client(where)
    done: list[object] = []
    for number in range(10_000):
        client.start_call("echo", [number], lambda pending: done.append(pending.value))
    town.run(lambda: len(done) == 10_000)
    assert done == list(range(10_000))


# Losing it


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


def test_a_callback_that_cancels_another_call_as_both_fail(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), reconnect=None)
    told: list[str] = []
    second: list[Pending] = []

    def first(pending: Pending) -> None:
        told.append("first")
        second[0].cancel()
        future.cancel()

    client.start_call("echo", [], first)
    second.append(client.start_call("echo", [], lambda pending: told.append("second")))
    future = client.call("echo")
    peer = town.accepted(listener)
    hear(town, peer)
    peer.close()
    town.run(lambda: told)
    town.settle()
    assert told == ["first"]
    assert future.cancelled()


def test_a_callback_that_cancels_another_call_as_both_never_got_out(town: Town) -> None:
    client = town.client(free_address(), reconnect=None)
    told: list[str] = []
    second: list[Pending] = []

    def first(pending: Pending) -> None:
        told.append("first")
        second[0].cancel()

    client.start_call("echo", [], first)
    second.append(client.start_call("echo", [], lambda pending: told.append("second")))
    town.run(lambda: told)
    town.settle()
    assert told == ["first"]


# What the program does


def test_callbacks_that_fail_keep_nothing_from_going_on(town: Town, escaped: list[BaseException]) -> None:
    server, where = town.listening()
    client = town.client(where, reconnect=AT_ONCE)
    errors = [ValueError("connect"), ValueError("disconnect"), ValueError("failure")]

    def fail(number: int) -> Callable[[Any], object]:
        def callback(_: object) -> None:
            raise errors[number]

        return callback

    client.on_connect, client.on_disconnect, client.on_failure = fail(0), fail(1), fail(2)
    assert town.outcome(town.start(client, "echo", 1)) == 1
    assert escaped == [errors[0]]
    client.connect()
    for connection in tuple(server.connections):
        connection.close()
    town.run(lambda: len(escaped) >= 3)
    assert escaped == [errors[0], errors[1], errors[0]]
    assert town.outcome(town.start(client, "echo", 2)) == 2


def test_an_on_failure_that_fails_keeps_the_client_trying(
    town: Town, clock: ManualClock, escaped: list[BaseException]
) -> None:
    client = town.client(free_address(), reconnect=STEADY)
    client.on_failure = lambda error: 1 // 0
    client.connect()
    town.run(lambda: escaped)
    clock.advance(1.1)
    town.run(lambda: len(escaped) == 2)


def test_tls_that_would_not_be_used_is_refused(town: Town) -> None:
    with pytest.raises(ValueError, match="tls://"):
        town.client((HOST, 1), tls=ssl.create_default_context())


def test_a_server_that_listens_again_after_stop_can_be_stopped_again(town: Town) -> None:
    server, _ = town.listening()
    server.stop()
    listener = server.bind(HOST, 0)
    server.close()
    assert listener.closed
    assert server.listeners == []


def test_close_ends_all_there_is(town: Town) -> None:
    server, where = town.listening()
    server.register(lambda call: call.defer(), "wait")
    client = town.client(where)
    waiting = town.start(client, "echo", 1)
    client.close()
    client.close()
    assert isinstance(waiting.error, ClientClosed)
    assert repr(client).startswith("<Client closed of")
    for refused in (lambda: client.call("echo"), lambda: client.notify("echo")):
        with pytest.raises(ClientClosed):
            refused()
    town.settle()
    assert not server.connections


def test_close_while_a_call_is_served(town: Town) -> None:
    server, client = town.pair()
    calls: list[Call] = []

    @server.method
    def wait(call: Call) -> None:
        call.defer()
        calls.append(call)

    with client:
        future = client.call("wait")
        town.run(lambda: calls)
    assert isinstance(future.exception(), ClientClosed)
    assert client.connection is None
    town.settle()
    calls[0].reply("nobody reads this")  # the client may have closed its half only, for all the server knows
    town.run(lambda: not server.connections)


def test_a_callback_of_close_that_calls_again(town: Town) -> None:
    client = town.client(free_address())
    errors: list[Exception] = []

    def again(pending: Pending) -> None:
        try:
            client.call("echo")
        except ClientClosed as error:
            errors.append(error)

    client.start_call("echo", [], again)
    client.close()
    assert len(errors) == 1


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


def test_another_time_out_is_for_calls_to_come(town: Town, clock: ManualClock) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), timeout=10.0, hello=True)
    client.connect()
    peer = town.accepted(listener)
    hear(town, peer)
    client.timeout = 7.0  # between the hello and its answer
    peer.send([1, 1, None, {}])
    first = town.start(client)
    client.timeout = 2.0
    second = town.start(client)
    clock.advance(2.1)
    assert isinstance(town.outcome(second), CallTimeout)
    assert first.owner is not None
    clock.advance(5.0)
    assert isinstance(town.outcome(first), CallTimeout)
    with pytest.raises(ValueError, match="-1"):
        client.timeout = -1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": -1.0}, "-1"),
        ({"connect_timeout": float("nan")}, "nan"),
        ({"keepalive": -1.0}, "-1"),
        ({"max_in_flight": 0}, "max_in_flight as a number >= 1"),
        ({"max_queue": -1}, "max_queue as a number >= 0"),
        ({"max_queue": 1.5}, "max_queue"),
    ],
)
def test_options_that_are_none(town: Town, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client(town.base, "127.0.0.1:1", **options)


# Both ways


def test_the_server_calls_the_client(town: Town) -> None:
    service = Service()
    service.register(lambda name: f"hello {name}", "greet")
    server, _ = town.pair(service=service)
    (connection,) = server.connections
    assert town.outcome(town.start(connection, "greet", "you")) == "hello you"


def test_the_server_calls_back_while_it_serves(town: Town) -> None:
    service = Service()
    service.register(lambda name: f"hello {name}", "greet")
    server, client = town.pair(service=service)

    @server.method
    def ask(call: Call, name: str) -> Future[Any]:
        return call.connection.call("greet", name)

    assert town.outcome(town.start(client, "ask", "you")) == "hello you"


def test_a_client_without_a_service_has_no_methods(town: Town) -> None:
    server, _ = town.pair()
    (connection,) = server.connections
    error = town.outcome(town.start(connection, "greet"))
    assert isinstance(error, RemoteCallError)
    assert error.message == "no method 'greet'"


# The hello


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


def test_metadata_and_the_deadline_go_ahead(town: Town, clock: ManualClock) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True)
    client.connect()
    peer = greeted(town, listener, ["meta"])
    town.start(client, "a", timeout=2.0, metadata={"trace": "x"})
    town.start(client, "b", timeout=None)
    town.start(client, "c")
    assert hear(town, peer) == [
        [2, "$/meta", [2, {"trace": "x", "deadline_ms": 2000}]],
        [0, 2, "a", []],
        [0, 3, "b", []],
        [2, "$/meta", [4, {"deadline_ms": 10_000}]],
        [0, 4, "c", []],
    ]


def test_metadata_that_can_not_be_sent(town: Town) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True)
    client.connect()
    peer = greeted(town, listener, ["meta"])
    for timeout in (None, 5.0):
        with pytest.raises(TypeError):
            client.call("a", timeout=timeout, metadata={"x": object()})
    assert client.connection is not None
    assert not client.connection.session.calls
    assert peer.heard() == []


def test_the_server_hears_metadata_and_deadline(town: Town, clock: ManualClock) -> None:
    server, client = town.pair(hello=True)
    calls: list[Call] = []

    @server.method
    def wait(call: Call) -> None:
        call.defer()
        calls.append(call)

    pending = town.start(client, "wait", timeout=3.0, metadata={"trace": "x"})
    town.run(lambda: calls)
    assert calls[0].metadata["trace"] == "x"
    assert calls[0].deadline == clock.monotonic() + 3.0
    clock.advance(3.1)
    assert isinstance(town.outcome(pending), CallTimeout)
    town.run(lambda: calls[0].cancelled)
    calls[0].reply("nobody waits for this")
    assert town.outcome(town.start(client, "echo", 1)) == 1
    assert client.connection is not None
    assert client.connection.session.stray == 0


def test_a_call_that_is_given_up_is_given_up_there(town: Town) -> None:
    server, client = town.pair(hello=True)
    calls: list[Call] = []

    @server.method
    def wait(call: Call) -> None:
        call.defer()
        calls.append(call)

    client.call("wait")
    given_up = client.call("wait")
    town.run(lambda: len(calls) == 2)
    given_up.cancel()
    town.run(lambda: calls[1].cancelled)
    assert not calls[0].cancelled
    assert town.outcome(town.start(client, "echo", 1)) == 1
    assert client.connection is not None
    assert client.connection.session.stray == 0


def test_calls_of_unknown_methods_leave_nothing_behind(town: Town) -> None:
    server, client = town.pair(hello=True)
    seen: list[object] = []
    server.register(lambda call: seen.append(call.metadata.get("a")), "seen")

    @server.method
    def look(call: Call) -> object:
        return call.metadata.get("a")

    for name in ["nix"] * 100 + ["$/ping"] * 100:
        town.outcome(town.start(client, name, metadata={"a": 1}))
    (connection,) = server.connections
    assert connection.metadata_ahead == {}
    assert town.outcome(town.start(client, "look", metadata={"a": 5})) == 5
    assert connection.session.stray == 0


# TLS


@pytest.fixture
def secure(town: Town, certificates: Certificates) -> tuple[Server, int]:  # noqa: F811 - the fixture
    server = town.server()
    return server, server.bind(HOST, 0, tls=certificates.server()).port


def test_calls_over_tls(
    town: Town,
    secure: tuple[Server, int],
    certificates: Certificates,  # noqa: F811 - as above
) -> None:
    client = town.client(f"tls://{HOST}:{secure[1]}", tls=certificates.client())
    data = bytes(300_000)
    assert town.outcome(town.start(client, "echo", data, timeout=None)) == data
    client.close()
    town.run(lambda: not secure[0].connections)


def test_a_certificate_that_is_not_trusted(town: Town, secure: tuple[Server, int]) -> None:
    client = town.client(f"tls://{HOST}:{secure[1]}", reconnect=None)
    error = town.outcome(town.start(client, "echo", 1, timeout=None))
    assert isinstance(error, CallLost)
    assert "certificate" in str(error.__cause__)
    town.settle()
    assert not secure[0].connections


def test_a_server_that_says_nothing_to_tls(town: Town, clock: ManualClock) -> None:
    listener = town.listener()
    client = town.client(f"tls://{HOST}:{listener.getsockname()[1]}", connect_timeout=2.0, reconnect=None)
    pending = town.start(client, timeout=None)
    town.accepted(listener)
    town.settle()
    clock.advance(2.1)
    assert isinstance(town.outcome(pending).__cause__, TransportTimeout)
