"""evkit and aio-msgpack-rpc: each as the client of the other."""

from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.rpc import Client, MethodError, RemoteCallError, Server
from patience import PATIENCE
from rpc_peers import Start

pytestmark = pytest.mark.peer

CALLS = 300


class Asker:
    """Calls to it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, method: str, *params: object) -> Any:
        return self.client.call(method, *params).result(PATIENCE)


@pytest.fixture
def ask(base: EventBase, aio_peer: Start) -> Iterator[Asker]:
    with aio_peer("listen") as peer, Client(base, f"127.0.0.1:{peer.line()}") as client:
        yield Asker(client)


def test_we_call(ask: Asker) -> None:
    assert ask("add", 2, 3) == 5
    value = {
        "list": [1, None, True, 2**64 - 1, -(2**63)],
        "Ω": -1.5,
        "bytes": b"\0\xff",
        "big": "x" * 100_000,
    }
    assert ask("echo", value) == value


def test_its_errors(ask: Asker) -> None:
    with pytest.raises(RemoteCallError, match="bad luck"):
        ask("fail", "bad luck")
    with pytest.raises(RemoteCallError, match="has no attribute 'absent'"):
        ask("absent")
    with pytest.raises(RemoteCallError, match="missing 1 required positional argument"):
        ask("add", 1)
    assert ask("add", 1, 1) == 2


def test_what_is_false_is_no_error(ask: Asker) -> None:
    for value in (False, 0, "", [], {}, None):
        assert ask("echo", value) == value


def test_we_notify_it(ask: Asker) -> None:
    for number in range(3):
        ask.client.notify("note", number)
    assert ask("notes") == [0, 1, 2]


def test_answers_come_out_of_order(ask: Asker) -> None:
    order: list[int] = []
    futures = [ask.client.call("late", turns) for turns in (90, 1, 60, 30)]
    for future in futures:
        future.add_done_callback(lambda future: order.append(future.result()))
    assert [future.result(PATIENCE) for future in futures] == [90, 1, 60, 30]
    assert order == [1, 30, 60, 90]


def test_it_knows_no_hello(base: EventBase, aio_peer: Start) -> None:
    with aio_peer("listen") as peer, Client(base, f"127.0.0.1:{peer.line()}", hello=True) as client:
        assert client.call("add", 2, 3).result(PATIENCE) == 5
        assert client.connection is not None
        assert not client.connection.features


def test_many_calls_in_flight(ask: Asker) -> None:
    futures = [ask.client.call("add", number, 1) for number in range(CALLS)]
    assert [future.result(PATIENCE) for future in futures] == list(range(1, CALLS + 1))


def test_it_calls(base: EventBase, aio_peer: Start) -> None:
    server = Server(base)
    notes: list[object] = []
    server.register(notes.append, "note")

    @server.method
    def add(a: int, b: int) -> int:
        return a + b

    @server.method
    def echo(value: Any) -> Any:
        return value

    @server.method
    def fail(text: str) -> None:
        raise MethodError(text)

    @server.method
    def square(number: int) -> int:
        return number * number

    port = server.bind("127.0.0.1", 0).port
    with aio_peer("connect", str(port)) as peer:
        said = peer.said(base)
    server.close()
    expected = ascii({"list": [1, None, True], "Ω": -1.5, "bytes": b"\0\xff"})
    assert said[:3] == ["sum 5", f"echo {expected}", "error bad luck"]
    assert "absent" in said[3]
    assert said[4:] == ["right 500"]
    assert notes == ["a note"]
