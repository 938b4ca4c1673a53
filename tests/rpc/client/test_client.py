"""`evkit.rpc.client.client`: when it connects, what waits meanwhile, and what becomes of it."""

from collections.abc import Callable
from typing import Any

import pytest

from evkit.core import Future
from evkit.rpc import (
    CONTINUE,
    OUTPUT,
    PAUSE,
    TERMINATE,
    Call,
    CallTimeout,
    Client,
    ClientClosed,
    HookAborted,
    HookContext,
    Limits,
    RemoteCallError,
    Service,
)
from evkit.rpc.connection.pending import Pending
from evkit.testing import ManualClock
from rpc_aids import HOST, Town
from rpc_client_aids import AT_ONCE, free_address, greeted, hear

# How many at once


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


# Losing it


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


# What goes beside a call


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


# Messages that are too large for the other side


def test_what_is_larger_than_the_server_takes_is_not_sent(town: Town) -> None:
    server, where = town.listening(limits=Limits(max_message=20_000))
    client = town.client(where, hello=True)
    assert town.outcome(town.start(client, "echo", bytes(19_000))) == bytes(19_000)
    with pytest.raises(ValueError, match=r"takes messages of at most 20000 bytes, got one of 2\d\d\d\d"):
        client.call("echo", bytes(20_000))
    with pytest.raises(ValueError, match="at most 20000 bytes"):
        client.notify("echo", bytes(20_000))
    assert town.outcome(town.start(client, "echo", 1)) == 1
    assert len(server.connections) == 1


def test_an_answer_that_is_larger_than_the_client_takes_is_an_error(town: Town) -> None:
    server, where = town.listening()
    escaped: list[BaseException] = []
    town.base.exception_handler = lambda exception, _source: escaped.append(exception)
    server.register(bytes, "make")
    client = town.client(where, hello=True, limits=Limits(max_message=20_000))
    assert town.outcome(town.start(client, "make", 19_000)) == bytes(19_000)
    error = town.outcome(town.start(client, "make", 20_000))
    assert isinstance(error, RemoteCallError)
    assert "takes messages of at most 20000 bytes" in error.message
    assert len(escaped) == 1
    assert town.outcome(town.start(client, "echo", 1)) == 1


@pytest.mark.parametrize("most", [-1, 0, True, None, "1", 1.5, [1]])
def test_a_server_that_says_nonsense_of_what_it_takes_is_called_all_the_same(
    town: Town, most: object
) -> None:
    listener = town.listener()
    client = town.client(listener.getsockname(), hello=True)
    pending = town.start(client, "echo", "x" * 900)
    peer = town.accepted(listener)
    ((_, number, _, _),) = hear(town, peer)
    peer.send([1, number, None, {"v": 1, "features": ["cancel"], "max_message": most}])
    assert hear(town, peer)[-1][2:] == ["echo", ["x" * 900]]
    pending.cancel()


# Bounds


def test_calls_that_hooks_keep_back_count_as_in_flight(town: Town) -> None:
    _server, where = town.listening()
    client = town.client(where, max_in_flight=1)
    kept: list[HookContext] = []

    def keep(context: HookContext) -> int:
        kept.append(context)
        return PAUSE

    client.add_hook(OUTPUT, keep)
    pendings = [town.start(client, "echo", number) for number in range(3)]
    for number in range(3):
        town.run(lambda: kept)
        town.settle()
        assert [context.params for context in kept] == [[number]]
        kept.pop().resume(CONTINUE)
        assert town.outcome(pendings[number]) == number


def test_a_call_that_a_hook_has_ended_lets_the_next_one_go(town: Town) -> None:
    _server, where = town.listening()
    client = town.client(where, max_in_flight=1)
    kept: list[HookContext] = []

    def keep(context: HookContext) -> int:
        kept.append(context)
        return PAUSE

    client.add_hook(OUTPUT, keep)
    first, second = (town.start(client, "echo", number) for number in range(2))
    town.run(lambda: kept)
    kept.pop().resume(TERMINATE)
    assert isinstance(town.outcome(first), HookAborted)
    town.run(lambda: kept)
    kept.pop().resume(CONTINUE)
    assert town.outcome(second) == 1
