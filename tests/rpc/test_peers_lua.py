"""evkit and lua-mpack's Session call each other on one connection, whoever has opened it."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from evkit.core import EventBase, Future
from evkit.rpc import Call, CallLost, Client, Connection, MethodError, RemoteCallError, Server, Service
from patience import PATIENCE
from rpc_peers import Peer, Start

pytestmark = pytest.mark.peer

CALLS = 300
"""How many are in flight together."""


class Ours:
    """What it may call, and what it has told."""

    def __init__(self) -> None:
        self.notes: list[object] = []

    def square(self, number: int) -> int:
        return number * number

    def fail(self, text: str) -> None:
        raise MethodError(text)

    def note(self, value: object) -> None:
        self.notes.append(value)


class Talk:
    """Calls to a program over one connection."""

    def __init__(self, speaker: Client | Connection, service: Service, ours: Ours, peer: Peer) -> None:
        self.speaker = speaker
        self.service = service
        self.ours = ours
        self.peer = peer

    def __call__(self, method: str, *params: object) -> Any:
        return self.speaker.call(method, *params).result(PATIENCE)


@pytest.fixture(params=["we connect", "it connects"])
def talk(base: EventBase, lua_peer: Start, request: pytest.FixtureRequest) -> Iterator[Talk]:
    ours = Ours()
    service = Service()
    service.register_object(ours)
    with ExitStack() as stack:
        if request.param == "we connect":
            peer = stack.enter_context(lua_peer("listen"))
            address = f"127.0.0.1:{peer.line()}"
            client = stack.enter_context(Client(base, address, service=service))
            client.call("add", 0, 0).result(PATIENCE)  # a client that is away can't notify
            yield Talk(client, service, ours, peer)
            return
        server = Server(base)
        server.register_object(ours)
        connected: Future[Connection] = Future(base)
        server.on_connect = connected.set_result
        stack.callback(server.close)
        listener = server.bind("127.0.0.1", 0)
        peer = stack.enter_context(lua_peer("connect", str(listener.port)))
        yield Talk(connected.result(PATIENCE), server, ours, peer)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -32,
        -33,
        127,
        128,
        65536,
        2**32,
        2**53,
        -(2**53),
        0.1,
        1e300,
        "",
        "Ω" * 40,
        "x" * 70_000,
        [],
        [1, [2, [3]]],
        {"a": {"b": [None, False]}},
    ],
    ids=lambda value: repr(value)[:20],
)
def test_values_come_back_as_they_went(talk: Talk, value: object) -> None:
    got = talk("echo", value)
    assert got == value
    assert type(got) is type(value)


def test_errors(talk: Talk) -> None:
    with pytest.raises(RemoteCallError, match="bad luck") as caught:
        talk("fail", "bad luck")
    assert (caught.value.method, caught.value.raw) == ("fail", "bad luck")
    with pytest.raises(RemoteCallError, match="no method absent"):
        talk("absent")
    assert talk("add", 1, 2) == 3


def test_notifications(talk: Talk) -> None:
    for number in range(3):
        talk.speaker.notify("note", f"note {number}")
    assert talk("notes") == ["note 0", "note 1", "note 2"]
    assert talk("notify", "note", ["a note"]) is None
    assert talk.ours.notes == ["a note"]


def test_it_calls_while_we_wait(talk: Talk) -> None:
    assert talk("call_back", "square", [12]) == 144
    with pytest.raises(RemoteCallError, match="bad luck"):
        talk("call_back", "fail", ["bad luck"])
    with pytest.raises(RemoteCallError, match="absent"):
        talk("call_back", "absent", [])


def test_it_knows_no_hello(base: EventBase, lua_peer: Start) -> None:
    with lua_peer("listen") as peer, Client(base, f"127.0.0.1:{peer.line()}", hello=True) as client:
        assert client.call("add", 2, 3).result(PATIENCE) == 5
        assert client.connection is not None
        assert not client.connection.features


def test_many_of_our_calls_in_flight(talk: Talk) -> None:
    futures = [talk.speaker.call("add", number, 1) for number in range(CALLS)]
    assert [future.result(PATIENCE) for future in futures] == list(range(1, CALLS + 1))


def test_many_of_its_calls_in_flight(talk: Talk) -> None:
    """All of them arrive in one or two reads; the numbers of its calls are those of ours."""
    futures = [talk.speaker.call("burst", "square", CALLS) for _ in range(2)]
    for future in futures:
        assert future.result(PATIENCE) == [number * number for number in range(1, CALLS + 1)]


def test_it_dies_in_the_middle_of_a_call(talk: Talk) -> None:
    def kill(call: Call) -> None:
        call.defer()
        talk.peer.process.kill()

    talk.service.register(kill)
    with pytest.raises(CallLost) as caught:
        talk("call_back", "kill", [])
    assert (caught.value.method, caught.value.sent) == ("call_back", True)
