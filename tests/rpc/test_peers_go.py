"""evkit and Go's net/rpc with ugorji's codec: each as the client of the other."""

from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.rpc import CallLost, Client, MethodError, RemoteCallError, Server
from patience import PATIENCE
from rpc_peers import Start

pytestmark = pytest.mark.peer

RECORD = {
    "Name": "Ω",
    "Data": b"\0\xff",
    "Numbers": [0.5, -1e300],
    "Flag": True,
    "Count": 2**64 - 1,
    "Below": -(2**63),
    "Nested": {"a": [1, 2]},
}
CALLS = 300


class Asker:
    """Calls to it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def __call__(self, method: str, *params: object) -> Any:
        return self.client.call(method, *params).result(PATIENCE)


@pytest.fixture
def ask(base: EventBase, go_peer: Start) -> Iterator[Asker]:
    with go_peer("listen") as peer, Client(base, f"127.0.0.1:{peer.line()}") as client:
        yield Asker(client)


def test_we_call(ask: Asker) -> None:
    assert ask("Peer.Sum", [1, -2, 2**40]) == 2**40 - 1
    assert ask("Peer.Echo", RECORD) == RECORD


def test_its_errors(ask: Asker) -> None:
    for method, params, text in (
        ("Peer.Fail", ["bad luck"], "bad luck"),
        ("Peer.Absent", [], "can't find method Peer.Absent"),
        ("nothing", [], "ill-formed: nothing"),
    ):
        with pytest.raises(RemoteCallError) as caught:
            ask(method, *params)
        assert text in caught.value.message
        assert caught.value.method == method
    assert ask("Peer.Sum", [1, 2]) == 3
    with pytest.raises(RemoteCallError, match="msgpack decode error"):
        ask("Peer.Sum", "a string")  # in whose middle it goes on reading


def test_it_knows_no_hello(base: EventBase, go_peer: Start) -> None:
    with go_peer("listen") as peer, Client(base, f"127.0.0.1:{peer.line()}", hello=True) as client:
        assert client.call("Peer.Sum", [2, 3]).result(PATIENCE) == 5
        assert client.connection is not None
        assert not client.connection.features


def test_many_calls_in_flight(ask: Asker) -> None:
    """Each is served by a goroutine of its own, so that answers come out of order."""
    futures = [ask.client.call("Peer.Sum", [number, 1]) for number in range(CALLS)]
    assert [future.result(PATIENCE) for future in futures] == list(range(1, CALLS + 1))


def test_it_closes_on_a_notification(ask: Asker) -> None:
    """It knows none: the calls in flight are lost, and a later one gets a connection of its own."""
    assert ask("Peer.Sum", [1]) == 1
    ask.client.notify("Peer.Sum", [1])
    with pytest.raises(CallLost):
        ask("Peer.Sum", [2])
    assert ask("Peer.Sum", [3]) == 3


def test_it_calls(base: EventBase, go_peer: Start) -> None:
    server = Server(base)

    @server.method
    def add(a: int, b: int) -> int:
        return a + b

    @server.method
    def echo(record: dict[str, Any]) -> dict[str, Any]:
        assert record == RECORD
        return record

    @server.method
    def fail(text: str) -> None:
        raise MethodError(text)

    @server.method
    def square(number: int) -> int:
        return number * number

    port = server.bind("127.0.0.1", 0).port
    with go_peer("connect", str(port)) as peer:
        said = peer.said(base)
    server.close()
    assert said[:3] == ["sum 5", "same true", "error bad luck"]
    assert "absent" in said[3]
    assert said[4:] == ["right 500"]
