"""`HookOwner`: hooks of servers and clients, and which class of connection they make."""

from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.rpc.client.client import Client
from evkit.rpc.connection.connection import Connection
from evkit.rpc.errors import HookAborted, RemoteCallError
from evkit.rpc.hooks.connection import HookedConnection
from evkit.rpc.hooks.hooks import INPUT, OUTPUT, TERMINATE, Hooks
from evkit.rpc.server import Server


@pytest.fixture
def server(base: EventBase) -> Iterator[Server]:
    server = Server(base)
    server.register(lambda a, b: a + b, "add")
    server.bind("127.0.0.1", 0)
    yield server
    server.close()


def client_of(server: Server, **how: Any) -> Client:
    return Client(server.base, ("127.0.0.1", server.listeners[0].port), **how)


@pytest.mark.parametrize("most", [None, 1])
class TestClient:
    def test_without_hooks(self, server: Server, most: int | None) -> None:
        with client_of(server, max_in_flight=most) as client:
            assert client.call("add", 1, 2).result() == 3
            assert not isinstance(client.connection, HookedConnection)
            assert [isinstance(other, HookedConnection) for other in server.connections] == [False]

    @pytest.mark.parametrize("frames", [False, True])
    def test_with_hooks(self, server: Server, most: int | None, frames: bool) -> None:
        passed: list[object] = []
        with client_of(server, max_in_flight=most) as client:
            client.add_hook(OUTPUT, passed.append, frames=frames)
            futures = [client.call("add", number, 0) for number in range(4)]
            assert [future.result() for future in futures] == list(range(4))
            assert isinstance(client.connection, HookedConnection)
            assert len(passed) == 4

    def test_calls_that_are_stopped_make_room(self, server: Server, most: int | None) -> None:
        with client_of(server, max_in_flight=most) as client:
            hook = client.add_hook(INPUT, lambda context: TERMINATE)
            futures = [client.call("add", number, 0) for number in range(4)]
            assert [type(future.exception()) for future in futures] == [HookAborted] * 4
            assert client.remove_hook(hook) is True
            assert client.remove_hook(hook) is False
            assert client.call("add", 1, 2).result() == 3

    def test_calls_that_are_stopped_before_they_go(self, server: Server, most: int | None) -> None:
        with client_of(server, max_in_flight=most) as client:
            client.add_hook(OUTPUT, lambda context: TERMINATE)
            futures = [client.call("add", number, 0) for number in range(4)]
            assert [type(future.exception()) for future in futures] == [HookAborted] * 4


class TestShared:
    def test_hooks_of_somebody_else(self, server: Server) -> None:
        hooks = Hooks()
        seen: list[object] = []
        hooks.add(OUTPUT, seen.append)
        with client_of(server, hooks=hooks) as one, client_of(server, hooks=hooks) as other:
            assert (one.call("add", 1, 2).result(), other.call("add", 3, 4).result()) == (3, 7)
        assert len(seen) == 2


class TestServer:
    def test_every_connection(self, server: Server) -> None:
        seen: list[Connection] = []
        hook = server.add_hook(INPUT, lambda context: seen.append(context.connection))
        with client_of(server) as one, client_of(server) as other:
            assert (one.call("add", 1, 2).result(), other.call("add", 3, 4).result()) == (3, 7)
            assert server.remove_hook(hook)
            assert one.call("add", 1, 2).result() == 3
            assert set(seen) == server.connections
            assert len(seen) == 2

    def test_a_refusal(self, server: Server) -> None:
        server.add_hook(INPUT, lambda context: TERMINATE)
        with client_of(server, hello=True) as client:
            error = client.call("add", 1, 2).exception()
            assert isinstance(error, RemoteCallError)
            assert "a hook ended the call" in str(error)

    @pytest.mark.parametrize("kind", [None, 2, "INPUT"])
    def test_no_such_kind(self, server: Server, kind: Any) -> None:
        with pytest.raises(ValueError, match="expected INPUT or OUTPUT"):
            server.add_hook(kind, lambda context: None)
