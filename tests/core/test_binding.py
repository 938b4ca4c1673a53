"""Listening on all addresses of a host, or not at all; and what a server takes for TLS."""

import errno
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evkit.core.base import EventBase
from evkit.core.binding import bind_all, bind_one, check_server_tls, context_of
from evkit.core.listener import Listener
from evkit.core.net import Address, bound_socket

NOT_HERE = "192.0.2.1"  # for documentation (RFC 5737)


@pytest.fixture
def make(base: EventBase) -> Callable[[socket.socket], Listener]:
    """Make a listener that closes what it accepts."""
    return lambda sock: Listener(base, lambda _listener, accepted, _address: accepted.close(), sock)


Make = Callable[[socket.socket], Listener]


def has_addresses(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let every name have these addresses."""
    monkeypatch.setattr(
        "evkit.core.binding.passive_addresses", lambda _host, port: [(host, port) for host in hosts]
    )


class TestBindAll:
    def test_an_address(self, make: Make) -> None:
        (listener,) = bind_all("127.0.0.1", 0, make)
        assert listener.address == f"127.0.0.1:{listener.port}"
        socket.create_connection(("127.0.0.1", listener.port)).close()
        listener.close()

    def test_all_addresses_have_one_port(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        has_addresses(monkeypatch, "127.0.0.1", "127.0.0.2", "127.0.0.3")
        listeners = bind_all("name", 0, make)
        port = listeners[0].port
        assert port
        assert [one.address for one in listeners] == [f"127.0.0.{number}:{port}" for number in (1, 2, 3)]
        for listener in listeners:
            listener.close()

    def test_addresses_of_other_machines_are_left_out(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_addresses(monkeypatch, NOT_HERE, "127.0.0.1", NOT_HERE)
        (listener,) = bind_all("name", 0, make)
        assert listener.address.startswith("127.0.0.1:")
        listener.close()

    @pytest.mark.parametrize(("hosts", "number"), [((), None), ((NOT_HERE, NOT_HERE), errno.EADDRNOTAVAIL)])
    def test_none_of_its_addresses_is_here(
        self, make: Make, monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], number: int | None
    ) -> None:
        has_addresses(monkeypatch, *hosts)
        with pytest.raises(OSError, match=r"'name' has no addresses|assign requested address") as caught:
            bind_all("name", 0, make)
        assert caught.value.errno == number

    def test_one_that_is_in_use_undoes_the_others(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        has_addresses(monkeypatch, "127.0.0.2", "127.0.0.1")
        given: list[socket.socket] = []

        def recorded(sock: socket.socket) -> Listener:
            given.append(sock)
            return make(sock)

        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=rf"in use: '127.0.0.1:{port}'"):
                bind_all("name", port, recorded)
        assert [sock.fileno() for sock in given] == [-1]

    @pytest.mark.parametrize("others", [1, 7, 8])
    def test_a_port_of_the_systems_choice_that_another_address_has_not(
        self, make: Make, monkeypatch: pytest.MonkeyPatch, others: int
    ) -> None:
        """The port of the first address is taken on the second one, so many times; eight ports are tried."""
        has_addresses(monkeypatch, "127.0.0.1", "127.0.0.2")
        firsts: list[socket.socket] = []

        def bound(address: Address, **options: bool) -> socket.socket:
            if address[0] == "127.0.0.1":
                firsts.append(bound_socket(address, **options))
                return firsts[-1]
            if len(firsts) <= others:
                raise OSError(errno.EADDRINUSE, "taken")
            return bound_socket(("127.0.0.2", 0))  # for the real one may be taken, too

        monkeypatch.setattr("evkit.core.binding.bound_socket", bound)
        if others < 8:
            listeners = bind_all("name", 0, make)
            assert len(firsts) == others + 1
            assert [one.address.rpartition(":")[0] for one in listeners] == ["127.0.0.1", "127.0.0.2"]
            for listener in listeners:
                listener.close()
        else:
            with pytest.raises(OSError, match="taken"):
                bind_all("name", 0, make)
            assert len(firsts) == 8
        assert [sock.fileno() for sock in firsts] == [-1] * len(firsts)

    def test_what_is_not_allowed_is_tried_once(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Address] = []

        def refuse(address: Address, **_options: bool) -> socket.socket:
            asked.append(address)
            raise PermissionError(errno.EACCES, "not allowed")

        monkeypatch.setattr("evkit.core.binding.bound_socket", refuse)
        with pytest.raises(PermissionError):
            bind_all("127.0.0.1", 0, make)
        assert asked == [("127.0.0.1", 0)]

    def test_a_listener_that_can_not_be_made_leaves_nothing(
        self, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_addresses(monkeypatch, "127.0.0.1", "127.0.0.2")
        made: list[Listener] = []
        given: list[socket.socket] = []

        def once(sock: socket.socket) -> Listener:
            given.append(sock)
            if made:
                raise RuntimeError("no more")
            made.append(make(sock))
            return made[0]

        with pytest.raises(RuntimeError, match="no more"):
            bind_all("name", 0, once)
        assert [sock.fileno() for sock in given] == [-1, -1]

    def test_a_name_that_nobody_has_is_told(self, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr("socket.getaddrinfo", fail)
        with pytest.raises(socket.gaierror, match=r"not known: 'nobody\.test'") as caught:
            bind_all("nobody.test", 80, make)
        assert caught.value.errno == socket.EAI_NONAME

    @pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="the system has no SO_REUSEPORT")
    def test_a_port_that_is_shared(self, make: Make) -> None:
        (first,) = bind_all("127.0.0.1", 0, make, reuseable_port=True)
        (second,) = bind_all("127.0.0.1", first.port, make, reuseable_port=True)
        assert second.port == first.port
        with pytest.raises(OSError, match="in use"):
            bind_all("127.0.0.1", first.port, make)
        first.close()
        second.close()

    def test_no_such_port(self, make: Make) -> None:
        with pytest.raises(ValueError, match="65536"):
            bind_all("127.0.0.1", 65536, make)


def test_one_socket_of_which_no_listener_is_made(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sock = bound_socket(str(path))

    def fail(_sock: socket.socket) -> Listener:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        bind_one(sock, fail)
    assert sock.fileno() == -1
    assert not path.exists()


class Loaded:
    """Gives another context each time."""

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


class TestTLS:
    def test_context(self) -> None:
        context, loaded = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Loaded()
        assert context_of(None) is None
        assert context_of(context) is context
        first, second = context_of(loaded), context_of(loaded)
        assert isinstance(first, ssl.SSLContext)
        assert first is not second

    def test_what_a_server_may_be_given(self) -> None:
        for tls in (None, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Loaded()):
            check_server_tls(tls)

    @pytest.mark.parametrize("wrong", ["server.pem", 5, True])
    def test_what_has_no_context(self, wrong: Any) -> None:
        told = rf"tls must be Certificates\(…\) or the ssl.SSLContext of a server, got {wrong!r}"
        with pytest.raises(TypeError, match=told):
            check_server_tls(wrong)

    def test_the_context_of_a_client(self) -> None:
        with pytest.raises(ValueError, match=r"PROTOCOL_TLS_CLIENT|client"):
            check_server_tls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
