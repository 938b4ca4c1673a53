"""evkit and Neovim call each other on one connection, over TCP and a unix socket, whoever has opened it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from evkit.core import EventBase, Future
from evkit.rpc import Call, CallLost, Client, Connection, Ext, MethodError, RemoteCallError, Server, Service
from patience import PATIENCE
from rpc_peers import Neovim

pytestmark = pytest.mark.peer

BUFFER = 0
"""Code of the extension type for a buffer; what is in it is an integer of MessagePack."""
EXCEPTION, VALIDATION = 0, 1
"""Codes of Neovim's errors; 0.7.2 says the former for nearly all."""
CALLS = 500
"""How many are in flight together."""
DEEP = 20
TWICE = """
function! Twice(channel, number)
    return 2 * rpcrequest(a:channel, 'hold', a:number)
endfunction
"""


class Ours:
    """What Neovim may call, and what it has told."""

    def __init__(self) -> None:
        self.notes: list[list[object]] = []
        self.held: list[tuple[Call, int]] = []
        self.all_held: Future[None] | None = None

    def add(self, a: int, b: int) -> int:
        return a + b

    def echo(self, value: object) -> object:
        return value

    def fail(self, text: str) -> None:
        raise MethodError(text)

    def note(self, *values: object) -> None:
        self.notes.append(list(values))

    def hold(self, call: Call, number: int) -> None:
        """Answer later."""
        call.defer()
        self.held.append((call, number))
        if len(self.held) == DEEP:
            assert self.all_held is not None
            self.all_held.set_result(None)

    def evaluate(self, call: Call, text: str) -> Future[Any]:
        """Ask the one that asks."""
        return call.connection.call("nvim_eval", text)


class Talk:
    """Calls to Neovim over one connection, which has a number there: its channel."""

    def __init__(self, speaker: Client | Connection, ours: Ours) -> None:
        self.speaker = speaker
        self.ours = ours
        self.channel, self.about = self("nvim_get_api_info")

    def __call__(self, method: str, *params: object) -> Any:
        return self.speaker.call(method, *params).result(PATIENCE)

    def back(self, method: str, *params: object) -> Any:
        """Have it call us; what it gets is the result of our call."""
        return self("nvim_call_function", "rpcrequest", [self.channel, method, *params])


class Doors:
    """The ways to get a connection with Neovim."""

    def __init__(self, base: EventBase, neovim: Neovim, folder: Path) -> None:
        self._base = base
        self._neovim = neovim
        self._folder = folder
        self._open = ExitStack()
        self.ours = Ours()
        self._service = Service()
        self._service.register_object(self.ours)

    def close(self) -> None:
        self._open.close()

    def _client(self, address: str) -> Client:
        return self._open.enter_context(Client(self._base, address, service=self._service))

    def tcp(self) -> Client | Connection:
        return self._client(self._neovim.address)

    def unix(self) -> Client | Connection:
        return self._client(f"unix:{self._neovim.path}")

    def tcp_from_there(self) -> Client | Connection:
        server, accepted = self._server()
        return self._connected("tcp", server.bind("127.0.0.1", 0).address, accepted)

    def unix_from_there(self) -> Client | Connection:
        server, accepted = self._server()
        path = str(self._folder / "socket")
        server.bind_unix(path)
        return self._connected("pipe", path, accepted)

    def _server(self) -> tuple[Server, list[Connection]]:
        accepted: list[Connection] = []
        server = Server(self._base)
        server.register_object(self.ours)
        server.on_connect = accepted.append
        self._open.callback(server.close)
        return server, accepted

    def _connected(self, kind: str, address: str, accepted: list[Connection]) -> Connection:
        """Have Neovim connect to us, which it is told over another connection."""
        asked = self._client(self._neovim.address).call(
            "nvim_call_function", "sockconnect", [kind, address, {"rpc": True}]
        )
        assert asked.result(PATIENCE) > 0
        assert len(accepted) == 1
        return accepted[0]


@pytest.fixture
def doors(base: EventBase, neovim: Neovim, tmp_path: Path) -> Iterator[Doors]:
    doors = Doors(base, neovim, tmp_path)
    yield doors
    doors.close()


@pytest.fixture(params=[Doors.tcp, Doors.unix, Doors.tcp_from_there, Doors.unix_from_there])
def talk(doors: Doors, request: pytest.FixtureRequest) -> Talk:
    """Over each kind of connection in turn, on every backend."""
    way: Callable[[Doors], Client | Connection] = request.param
    return Talk(way(doors), doors.ours)


@pytest.fixture
def client(doors: Doors) -> Talk:
    """For what is the same whoever has connected, and over what."""
    return Talk(doors.tcp(), doors.ours)


# --- each calls the other


def test_we_call(talk: Talk) -> None:
    assert talk("nvim_eval", "[1 + 1, 'a' . 'b', {'k': v:null}, 1.5, v:true]") == [
        2,
        "ab",
        {"k": None},
        1.5,
        True,
    ]
    assert talk.about["version"]["major"] == 0


def test_it_calls_while_we_wait(talk: Talk) -> None:
    assert talk.back("add", 2, 3) == 5
    assert talk.back("add", -1, 1) == 0


def test_each_waits_for_the_other(talk: Talk) -> None:
    """Four deep: our call, its call, our call meanwhile, and one that its answer needs."""
    assert talk.back("evaluate", "6 * 7") == 42
    inner = f"rpcrequest({talk.channel}, 'add', 20, 22)"
    assert talk.back("evaluate", inner) == 42


def test_it_notifies_us_before_it_answers(talk: Talk) -> None:
    for number in range(3):
        assert talk("nvim_call_function", "rpcnotify", [talk.channel, "note", number, "text"]) == 1
    assert talk.ours.notes == [[0, "text"], [1, "text"], [2, "text"]]


def test_we_notify_it(talk: Talk) -> None:
    for number in range(3):
        talk.speaker.notify("nvim_set_var", f"noted{number}", [number])
    assert talk("nvim_eval", "[g:noted0, g:noted1, g:noted2]") == [[0], [1], [2]]


def test_it_broadcasts_to_who_has_subscribed(talk: Talk) -> None:
    talk("nvim_subscribe", "note")
    talk("nvim_call_function", "rpcnotify", [0, "note", "to all"])
    talk("nvim_unsubscribe", "note")
    talk("nvim_call_function", "rpcnotify", [0, "note", "to nobody"])
    assert talk.ours.notes == [["to all"]]


# --- errors


def test_its_errors(client: Talk) -> None:
    with pytest.raises(RemoteCallError, match="E117: Unknown function: nothing") as caught:
        client("nvim_eval", "nothing()")
    assert (caught.value.code, caught.value.method) == (EXCEPTION, "nvim_eval")
    assert caught.value.raw[0] == EXCEPTION
    assert caught.value.raw[1] == caught.value.message
    with pytest.raises(RemoteCallError, match="Invalid method: nvim_nothing"):
        client("nvim_nothing")
    with pytest.raises(RemoteCallError, match="Wrong number of arguments: expecting 1 but got 0"):
        client("nvim_eval")
    with pytest.raises(RemoteCallError) as caught:
        client("nvim_set_current_buf", Ext(BUFFER, b"\xcd\xff\xff"))
    assert caught.value.code == VALIDATION
    assert client("nvim_eval", "1") == 1


def test_our_errors(client: Talk) -> None:
    """They come back inside an error of its own."""
    for method, params, text in (
        ("fail", ["bad luck"], "bad luck"),
        ("absent", [], "absent"),
        ("add", [1, "x"], 'parameter "b": expected int'),
    ):
        with pytest.raises(RemoteCallError) as caught:
            client.back(method, *params)
        assert text in caught.value.message
        assert f"Error invoking '{method}' on channel {client.channel}" in caught.value.message
    assert client.back("add", 1, 2) == 3


# --- values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        127,
        128,
        2**31,
        2**63 - 1,
        -1,
        -(2**31) - 1,
        -(2**63),
        0.1,
        -1e300,
        "",
        "é" * 200,
        "x" * 100_000,
        [],
        {},
        [[[[[["deep"]]]]]],
        {"map": {"list": [1, {"a": None}]}},
        list(range(70_000)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_values_come_back_as_they_went(client: Talk, value: object) -> None:
    """There, to us, back there and back."""
    got = client.back("echo", value)
    assert got == value
    assert type(got) is type(value)


def test_its_own_types(client: Talk) -> None:
    buffer = client("nvim_create_buf", False, True)
    assert type(buffer) is Ext
    assert buffer.code == BUFFER
    lines = [f"line {number}" for number in range(10_000)]
    client("nvim_buf_set_lines", buffer, 0, -1, True, lines)
    assert client("nvim_buf_line_count", buffer) == 10_000
    assert client("nvim_buf_get_lines", buffer, 0, -1, True) == lines
    client("nvim_buf_delete", buffer, {"force": True})


def test_it_knows_no_hello(base: EventBase, neovim: Neovim) -> None:
    """Which is an error to it, and no harm."""
    with Client(base, neovim.address, hello=True) as client:
        assert client.call("nvim_eval", "6 * 7").result(PATIENCE) == 42
        assert client.connection is not None
        assert not client.connection.features


# --- many, and the end


def test_many_calls_in_flight(talk: Talk) -> None:
    futures = [talk.speaker.call("nvim_eval", f"{number} * {number}") for number in range(CALLS)]
    assert [future.result(PATIENCE) for future in futures] == [number * number for number in range(CALLS)]


def test_calls_in_flight_both_ways(client: Talk) -> None:
    """Its calls to us are inside each other: while it waits for an answer it serves the next of ours.

    Neovim 0.7 wants the answer to its last call before any other, and closes the connection otherwise.
    """
    client("nvim_exec", TWICE, False)
    client.ours.all_held = all_held = Future(client.speaker.base)
    futures = [
        client.speaker.call("nvim_call_function", "Twice", [client.channel, number]) for number in range(DEEP)
    ]
    all_held.result(PATIENCE)
    held = client.ours.held
    while held:
        call, number = held.pop()
        call.reply(number)
        assert futures.pop().result(PATIENCE) == 2 * number
    assert futures == []


def test_it_closes_the_connection(talk: Talk) -> None:
    with pytest.raises(CallLost) as caught:
        talk("nvim_call_function", "chanclose", [talk.channel])
    assert caught.value.method == "nvim_call_function"
    assert caught.value.sent
