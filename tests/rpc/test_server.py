"""`evkit.rpc.server`: listening, who is let in, and stopping."""

import contextlib
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import msgpack
import pytest

from certificates import Certificates
from evkit.core import PairBufferEvent
from evkit.rpc import Call, CallLost, Connection, Server
from evkit.testing import ManualClock
from rpc_aids import HOST, Peer, Town


def waiting(server: Server) -> list[Call]:
    """Give a server a method ``wait`` that the test answers."""
    calls: list[Call] = []

    def wait(call: Call) -> None:
        call.defer()
        calls.append(call)

    server.register(wait)
    return calls


def ended(town: Town, where: Any) -> bool:
    """Tell whether nobody listens there."""
    try:
        town.connected(where)
    except OSError:
        return True
    return False


# Arguments


@pytest.mark.parametrize(
    "options",
    [
        {"max_connections": 0},
        {"max_connections": -1},
        {"max_connections": True},
        {"max_in_flight": 0},
        {"max_in_flight": 1.5},
        {"idle_timeout": -1.0},
        {"idle_timeout": float("nan")},
        {"timeout": float("inf")},
    ],
)
def test_a_limit_that_is_none(town: Town, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|seconds"):
        Server(town.base, **options)


@pytest.mark.parametrize("grace", [-1.0, float("nan"), float("inf")])
def test_a_grace_that_is_no_time_stops_nothing(town: Town, grace: float) -> None:
    server, where = town.listening()
    with pytest.raises(ValueError, match="number"):
        server.stop(grace)
    assert server.listeners
    assert not ended(town, where)


# Listening


def test_a_unix_socket_with_its_mode_goes_with_the_server(town: Town, tmp_path: Path) -> None:
    server, path = town.server(), tmp_path / "rpc"
    server.bind_unix(str(path), mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    client = town.client(f"unix:{path}")
    assert town.outcome(town.start(client, "echo", 7)) == 7
    with pytest.raises(OSError, match="in use"):
        server.bind_unix(str(path))
    server.close()
    assert not path.exists()


def test_a_socket_that_listens_already(town: Town) -> None:
    server = town.server()
    sock = socket.create_server((HOST, 0))
    listener = server.accept(sock, backlog=None)
    client = town.client((HOST, listener.port))
    assert town.outcome(town.start(client, "echo", 7)) == 7
    assert all(
        connection.bev.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # type: ignore[attr-defined]  # it has one
        for connection in server.connections
    )


def test_a_socket_of_another_kind_is_refused_and_closed(town: Town) -> None:
    server = town.server()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises(ValueError, match="accepts connections"):
        server.accept(sock)
    assert sock.fileno() == -1
    assert server.listeners == []


def test_a_connection_that_is_made_already(town: Town) -> None:
    server = town.server()
    ours, theirs = PairBufferEvent.pair(town.base)
    connection = server.admit(ours, "the other end")
    assert connection.peer == "the other end"
    theirs.write(bytes.fromhex("940001a46563686f9107"))
    theirs.enable(6)
    town.settle()
    assert theirs.input.remove() == bytes.fromhex("940101c007")


# Who is let in


def test_no_more_connections_than_may_be(town: Town) -> None:
    server, where = town.listening(max_connections=1)
    first = town.connected(where)
    town.run(lambda: server.connections)
    second = town.connected(where)
    town.settle()
    assert second.at_end()
    assert not first.at_end()
    first.close()
    third = town.connected(where)
    third.send([0, 1, "echo", [3]])
    town.settle()
    assert third.heard() == [[1, 1, None, 3]]


def test_a_client_that_says_nothing_goes_unless_it_waits_for_an_answer(
    town: Town, clock: ManualClock
) -> None:
    server, where = town.listening(idle_timeout=5.0)
    calls = waiting(server)
    idle, asking = town.connected(where), town.connected(where)
    asking.send([0, 1, "wait", []])
    town.run(lambda: calls)
    town.settle()
    clock.advance(5.1)
    town.settle()
    assert idle.at_end()
    calls[0].reply("late")
    assert asking.heard() == [[1, 1, None, "late"]]
    clock.advance(5.1)
    town.settle()
    assert asking.at_end()


def test_one_bound_for_all_clients(town: Town) -> None:
    server, where = town.listening(max_in_flight=1)
    calls = waiting(server)
    first, second = town.connected(where), town.connected(where)
    first.send([0, 1, "wait", []])
    town.run(lambda: calls)
    second.send([0, 1, "wait", []])
    town.settle()
    assert len(calls) == 1
    calls[0].reply(1)
    town.run(lambda: len(calls) == 2)
    calls[1].reply(2)
    assert (first.heard(), second.heard()) == ([[1, 1, None, 1]], [[1, 1, None, 2]])


def test_who_comes_and_goes_is_told(town: Town) -> None:
    server, where = town.listening()
    told: list[Any] = []
    server.on_connect = lambda connection: told.append(("came", connection))
    server.on_disconnect = lambda connection: told.append(("went", connection))
    peer = town.connected(where)
    town.run(lambda: told)
    (connection,) = server.connections
    peer.close()
    town.run(lambda: not server.connections)
    assert told == [("came", connection), ("went", connection)]


def test_a_client_may_be_turned_away_at_once(town: Town) -> None:
    server, where = town.listening()
    server.on_connect = Connection.close
    peer = town.connected(where)
    town.settle()
    assert peer.at_end()
    assert not server.connections


def test_a_callback_that_fails_does_not_keep_a_stop(town: Town, escaped: list[BaseException]) -> None:
    server, where = town.listening()
    told: list[str] = []

    def fail(*_: Any) -> None:
        raise ValueError("of the program")

    server.on_disconnect = fail
    town.connected(where)
    town.run(lambda: server.connections)
    server.stop(stopped=fail)
    server.stop(stopped=lambda: told.append("stopped"))
    server.close()
    town.settle()
    assert told == ["stopped"]
    assert [str(exception) for exception in escaped] == ["of the program"] * 2


# TLS


def test_tls_on_a_unix_socket_and_who_speaks_none(
    town: Town,
    certificates: Certificates,
    tmp_path: Path,
    clock: ManualClock,
) -> None:
    server = town.server()
    server.bind_unix(str(tmp_path / "rpc"), tls=certificates.server())
    peers = []
    for said in (bytes.fromhex("940001a46563686f9107"), b""):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(tmp_path / "rpc"))
        peers.append(Peer(town.base, sock))
        sock.send(said)
    town.settle()
    clock.advance(10.1)
    town.settle()
    for peer in peers:
        assert peer.at_end()
        peer.close()
    assert not server.connections
    with pytest.raises(ValueError, match="server"):
        server.bind(HOST, 0, tls=certificates.client())


class Greeting:
    """A TLS client on a unix socket, whose greeting the test carries to the server bit by bit."""

    def __init__(self, town: Town, path: Path, context: ssl.SSLContext) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self.over = False  # the server has said that nothing more comes
        self.peer = Peer(town.base, self.sock)
        self._come, self._go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._come, self._go, server_hostname="localhost")

    def begin(self) -> None:
        """Say hello, and take the server's."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.carry()
        self.peer.settle()
        self._come.write(self.peer.read())
        self.tls.do_handshake()

    def carry(self) -> None:
        self.sock.send(self._go.read())

    def heard(self) -> list[Any]:
        """Return the messages that came."""
        self.peer.settle()
        self._come.write(self.peer.read())
        unpacker = msgpack.Unpacker()
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self.tls.read(65536):
                unpacker.feed(data)
            self.over = True
        return list(unpacker)


def test_who_is_being_greeted_at_a_stop_is_served(
    town: Town, certificates: Certificates, tmp_path: Path, clock: ManualClock
) -> None:
    server, told = town.server(), []
    server.bind_unix(str(tmp_path / "rpc"), tls=certificates.server())
    greeting, silent = (Greeting(town, tmp_path / "rpc", certificates.client()) for _ in range(2))
    greeting.begin()
    server.stop(5.0, lambda: told.append("stopped"))
    town.settle()
    greeting.tls.write(bytes.fromhex("940001a46563686f9107"))
    greeting.carry()
    assert greeting.heard() == [[1, 1, None, 7]]
    assert greeting.over
    greeting.peer.close()
    assert told == []
    clock.advance(5.1)
    town.settle()
    assert silent.peer.at_end()
    assert told == ["stopped"]
    silent.peer.close()


# Stopping


def test_a_stop_waits_for_answers_within_its_grace(town: Town, clock: ManualClock) -> None:
    server, where = town.listening()
    calls, told = waiting(server), []
    quick, slow = town.connected(where), town.connected(where)
    quick.send([0, 1, "wait", []])
    town.run(lambda: len(calls) == 1)
    slow.send([0, 1, "wait", []])
    town.run(lambda: len(calls) == 2)
    server.stop(5.0, lambda: told.append("stopped"))
    town.settle()
    assert ended(town, where)
    calls[0].reply("in time")
    assert quick.heard() == [[1, 1, None, "in time"]]
    assert quick.at_end()
    quick.close()
    clock.advance(4.9)
    town.settle()
    assert not slow.at_end()
    assert told == []
    clock.advance(0.2)
    town.settle()
    assert slow.at_end()
    assert told == ["stopped"]
    assert calls[1].cancelled


def test_a_stop_without_an_end_waits_for_all(town: Town, clock: ManualClock) -> None:
    server, where = town.listening()
    calls = waiting(server)
    peer = town.connected(where)
    peer.send([0, 1, "wait", []])
    town.run(lambda: calls)
    server.stop(None)
    clock.advance(1000.0)
    town.settle()
    calls[0].reply("at last")
    assert peer.heard() == [[1, 1, None, "at last"]]


def test_what_the_system_has_at_a_stop_is_served(town: Town) -> None:
    server, where = town.listening()
    known, new = town.connected(where), town.connected(where)
    town.run(lambda: len(server.connections) == 2)
    newest = town.connected(where)
    for peer in (known, new, newest):
        peer._sock.send(bytes.fromhex("940001a46563686f9107"))
    server.stop()
    town.settle()
    for peer in (known, new, newest):
        assert peer.heard() == [[1, 1, None, 7]]


def test_what_the_system_has_at_a_stop_in_the_loop_is_served(town: Town) -> None:
    server, where = town.listening()
    peer = town.connected(where)
    town.run(lambda: server.connections)
    town.settle()

    def stop(*_: Any) -> None:
        peer._sock.send(bytes.fromhex("940001a46563686f9107"))
        server.stop()

    town.base.once(-1, 0, stop, 0.0)
    town.settle()
    assert peer.heard() == [[1, 1, None, 7]]
    assert peer.at_end()


def test_close_answers_nothing_more(town: Town) -> None:
    server, where = town.listening()
    calls = waiting(server)
    client = town.client(where, reconnect=None)
    pending = town.start(client, "wait")
    town.run(lambda: calls)
    server.close()
    assert isinstance(town.outcome(pending), CallLost)
    assert calls[0].cancelled
    calls[0].reply("too late")  # harmless
    server.close()


def test_a_handler_may_stop_its_server(town: Town) -> None:
    server, where = town.listening()
    told: list[str] = []

    @server.method
    def leave() -> str:
        server.stop(stopped=lambda: told.append("stopped"))
        return "bye"

    peer = town.connected(where)
    peer.send([0, 1, "leave", []])
    town.settle()
    assert peer.heard() == [[1, 1, None, "bye"]]
    peer.close()
    town.run(lambda: told)


def test_of_two_graces_the_shorter_holds(town: Town, clock: ManualClock) -> None:
    server, where = town.listening()
    calls = waiting(server)
    peer = town.connected(where)
    peer.send([0, 1, "wait", []])
    town.run(lambda: calls)
    server.stop(2.0)
    server.stop(50.0)
    clock.advance(2.1)
    town.settle()
    assert peer.at_end()


def test_once_it_has_stopped_it_may_be_bound_again(town: Town) -> None:
    server, where = town.listening()
    town.connected(where)
    town.run(lambda: server.connections)
    server.close()
    where = HOST, server.bind(HOST, 0).port
    peer = town.connected(where)
    for number in range(3):
        peer.send([0, number, "echo", [7]])
        town.settle()
        assert peer.heard() == [[1, number, None, 7]]
    assert not peer.at_end()


def test_who_comes_during_a_stop_is_served_once(town: Town) -> None:
    server, where = town.listening()
    calls = waiting(server)
    first = town.connected(where)
    first.send([0, 1, "wait", []])
    town.run(lambda: calls)
    server.stop(None)
    town.settle()
    late = town.connected((HOST, server.bind(HOST, 0).port))
    late.send([0, 1, "echo", [7]])
    town.settle()
    assert late.heard() == [[1, 1, None, 7]]
    assert late.at_end()
    calls[0].reply(1)
    assert first.heard() == [[1, 1, None, 1]]
