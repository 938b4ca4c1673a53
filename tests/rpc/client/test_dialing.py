"""`evkit.rpc.client.dialing`: looking up, connecting and greeting by TLS, within one time, as a client has it done."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from certificates import Certificates
from evkit.errors import TransportTimeout
from evkit.rpc import (
    CallLost,
    Server,
)
from evkit.rpc.connection.pending import Pending
from evkit.testing import ManualClock
from rpc_aids import HOST, Town
from rpc_client_aids import Names


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


@pytest.fixture
def secure(town: Town, certificates: Certificates) -> tuple[Server, int]:
    server = town.server()
    return server, server.bind(HOST, 0, tls=certificates.server()).port


def test_calls_over_tls(
    town: Town,
    secure: tuple[Server, int],
    certificates: Certificates,
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


def test_tls_that_would_not_be_used_is_refused(town: Town) -> None:
    with pytest.raises(ValueError, match="tls://"):
        town.client((HOST, 1), tls=ssl.create_default_context())


def test_calls_over_tls_on_a_unix_socket(town: Town, certificates: Certificates, tmp_path: Path) -> None:
    server, where = town.server(), f"unix:{tmp_path / 'rpc'}"
    server.bind_unix(str(tmp_path / "rpc"), tls=certificates.server())
    client = town.client(where, tls=certificates.client(), server_hostname="localhost")
    assert town.outcome(town.start(client, "echo", 7, timeout=None)) == 7
    other = town.client(where, tls=certificates.client(), server_hostname="elsewhere.test", reconnect=None)
    error = town.outcome(town.start(other, "echo", 7, timeout=None))
    assert isinstance(error, CallLost)
    assert "elsewhere.test" in str(error.__cause__)
    client.close()
    town.run(lambda: not server.connections)


def test_the_certificate_may_be_for_another_name(
    town: Town, secure: tuple[Server, int], certificates: Certificates
) -> None:
    where = f"tls://{HOST}:{secure[1]}"
    client = town.client(where, tls=certificates.client(), server_hostname="localhost")
    assert town.outcome(town.start(client, "echo", 7, timeout=None)) == 7
    other = town.client(where, tls=certificates.client(), server_hostname="elsewhere.test", reconnect=None)
    assert isinstance(town.outcome(town.start(other, "echo", 7, timeout=None)), CallLost)
    client.close()
    town.run(lambda: not secure[0].connections)


@pytest.mark.parametrize(
    ("where", "options", "message"),
    [
        ("unix:/nowhere", {"tls": ssl.create_default_context()}, "needs server_hostname"),
        (
            "unix:/nowhere",
            {"tls": ssl.create_default_context(), "server_hostname": ""},
            "needs server_hostname",
        ),
        (
            "unix:/nowhere",
            {"server_hostname": "localhost"},
            "server_hostname is for addresses that begin with tls://",
        ),
        (
            "localhost:1",
            {"server_hostname": "localhost"},
            "server_hostname is for addresses that begin with tls://",
        ),
    ],
)
def test_a_name_of_a_certificate_that_makes_no_sense(
    town: Town, where: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        town.client(where, **options)
