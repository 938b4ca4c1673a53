"""What is said of an address that can't be had, and what is done about descriptors."""

import errno
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from evkit.cli import listening
from evkit.cli.errors import Failure
from evkit.cli.listening import SharedSockets, explain, listen, raise_file_limit, url
from evkit.cli.values import Bind
from evkit.core import EventBase
from evkit.core.net import bound_socket
from evkit.http import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with EventBase() as base:
        server = Server(base)
        yield server
        server.close()


def system_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("bind", "error", "said"),
    [
        (
            ("127.0.0.1", 8080),
            system_error(errno.EADDRINUSE),
            "127.0.0.1:8080 is in use; * --bind 127.0.0.1:8081",
        ),
        (("::1", 8080), system_error(errno.EADDRINUSE), "[::1]:8080 is in use; * --bind [::1]:8081"),
        (("", 65535), system_error(errno.EADDRINUSE), ":65535 is in use; * --bind :0"),
        (("127.0.0.1", 80), system_error(errno.EACCES), "no permission for port 80; * --bind 127.0.0.1:8080"),
        (("", 443), system_error(errno.EACCES), "no permission for port 443; * --bind :8443"),
        (("", 25), system_error(errno.EACCES), "no permission for port 25; * --bind :8080"),
        (
            ("192.0.2.1", 1),
            system_error(errno.EADDRNOTAVAIL),
            "'192.0.2.1' is no address of this machine; :1 *",
        ),
        (
            ("x.invalid", 1),
            socket.gaierror(-2, "unknown"),
            "expected an address of * got 'x.invalid': unknown",
        ),
        (("a..b", 1), UnicodeError("label\nempty"), "expected an address * got 'a..b': label empty"),
        (("1.2.3.4", 5), system_error(errno.ENOBUFS), "can't listen on 1.2.3.4:5: No buffer space available"),
        ("/run/x", system_error(errno.EADDRINUSE), "'/run/x' is in use by a server, or no socket; *"),
        ("/no/x", system_error(errno.ENOENT), "there is no folder for the socket '/no/x'"),
        ("/x", system_error(errno.EACCES), "can't listen on the socket '/x': Permission denied"),
        ("/x", OSError("AF_UNIX path too long"), "can't listen on the socket '/x': AF_UNIX path too long"),
    ],
)
def test_explanations(bind: Bind, error: OSError | ValueError, said: str) -> None:
    text = explain(bind, error)
    begin, _, end = said.partition("*")
    assert text.startswith(begin.rstrip())
    assert text.endswith(end)
    assert "\n" not in text


def test_several_addresses_of_both_kinds(server: Server, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    listen(server, [("127.0.0.1", 0), path, ("127.0.0.1", 0)])
    first, unix, second = (listener.address for listener in server.listeners)
    assert first != second
    assert unix == f"unix:{path}"


def test_a_port_in_use(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"127.0.0.1:{port} is in use"):
            listen(server, [("127.0.0.1", port)])


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "\udcff"])
def test_what_can_be_no_name_is_an_error_and_no_traceback(server: Server, host: str) -> None:
    with pytest.raises(Failure, match="expected an address of this machine or its name"):
        listen(server, [(host, 0)])


def test_a_path_that_is_too_long(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="path too long"):
        listen(server, [str(tmp_path / ("x" * 200))])


# Sockets for several processes


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def test_each_process_has_sockets_of_its_own(open_descriptors: None) -> None:
    shared = SharedSockets([("127.0.0.1", 0), ("127.0.0.1", 0)], 3)
    with closing(shared):
        sets = shared._sets
        assert len({sock.fileno() for sockets in sets for sock in sockets}) == 6
        ports = [[port_of(sock) for sock in sockets] for sockets in sets]
        assert ports[0] == ports[1] == ports[2]
        assert shared.addresses == [f"127.0.0.1:{port}" for port in ports[0]]


def test_the_system_spreads_connections_over_them(open_descriptors: None) -> None:
    shared = SharedSockets([("127.0.0.1", 0)], 2)
    with closing(shared), ExitStack() as stack:
        sockets = [sockets[0] for sockets in shared._sets]
        for sock in sockets:
            sock.listen(100)
        for _ in range(64):
            stack.enter_context(socket.create_connection(sockets[0].getsockname()))
        counts = [0, 0]
        for number, sock in enumerate(sockets):
            with suppress(BlockingIOError):
                while True:
                    sock.accept()[0].close()
                    counts[number] += 1
        assert sum(counts) == 64
        assert min(counts) > 0


def test_a_host_with_several_addresses_has_one_port(open_descriptors: None) -> None:
    shared = SharedSockets([("", 0)], 2)
    with closing(shared):
        assert len({port_of(sock) for sockets in shared._sets for sock in sockets}) == 1


class Addresses:
    """A host of two addresses, of which the second one has ports in use; stands in for two functions of `listening`.

    Attributes:
        taken: How many ports of those that will be asked for.
        asked: The ports that were asked for, 0 for any.
    """

    def __init__(self, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = taken
        self.asked: list[int] = []
        monkeypatch.setattr(listening, "passive_addresses", self.passive_addresses)
        monkeypatch.setattr(listening, "bound_socket", self.bound_socket)

    def passive_addresses(self, host: str, port: int) -> list[tuple[str, int]]:
        return [("127.0.0.1", port), ("127.0.0.2", port)]

    def bound_socket(self, address: tuple[str, int], **options: bool) -> socket.socket:
        self.asked.append(address[1])
        if address[0] == "127.0.0.2" and self.taken:
            self.taken -= 1
            raise system_error(errno.EADDRINUSE)
        return bound_socket(address, **options)


def test_a_port_of_the_systems_choice_that_is_in_use_elsewhere_is_another_one(
    monkeypatch: pytest.MonkeyPatch, open_descriptors: None
) -> None:
    addresses = Addresses(7, monkeypatch)
    with closing(SharedSockets([("localhost", 0)], 1)) as shared:
        first, second = (port_of(sock) for sock in shared._sets[0])
        assert first == second
    assert addresses.asked.count(0) == 8


@pytest.mark.parametrize(("port", "tries"), [(0, 8), (1, 1)])
def test_it_is_an_error_in_the_end_and_nothing_is_bound(
    monkeypatch: pytest.MonkeyPatch, open_descriptors: None, port: int, tries: int
) -> None:
    addresses = Addresses(100, monkeypatch)
    if port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = port_of(free)
    with pytest.raises(Failure, match=r"localhost:[0-9]+ is in use"):
        SharedSockets([("localhost", port)], 1)
    assert 100 - addresses.taken == tries


def test_a_unix_socket_is_one_for_all(tmp_path: Path, open_descriptors: None) -> None:
    path = tmp_path / "s"
    shared = SharedSockets([str(path)], 2)
    assert shared.addresses == [f"unix:{path}"]
    (first,), (second,) = shared._sets
    assert first is second
    shared.stop_listening()
    assert path.exists()
    shared.close()
    assert not path.exists()


def test_a_process_does_not_care_for_the_files(tmp_path: Path) -> None:
    """To try whether somebody listens would be a connection that nobody wants."""
    path = tmp_path / "s"
    shared = SharedSockets([str(path)], 2)
    with shared.take(1)[0] as sock:
        shared.close()
        assert path.exists()
        with pytest.raises(BlockingIOError):
            sock.accept()


def test_a_process_takes_its_sockets_and_no_others(open_descriptors: None) -> None:
    shared = SharedSockets([("127.0.0.1", 0)], 3)
    others = [shared._sets[0][0], shared._sets[2][0]]
    (sock,) = shared.take(1)
    assert [other.fileno() for other in others] == [-1, -1]
    shared.close()
    assert sock.fileno() != -1
    sock.close()


def test_a_port_that_somebody_else_shares_is_in_use() -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, True)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = port_of(taken)
        with pytest.raises(Failure, match=f"127.0.0.1:{port} is in use"):
            SharedSockets([("127.0.0.1", port)], 2)


def test_if_one_can_not_be_had_none_is_bound(tmp_path: Path, open_descriptors: None) -> None:
    path = tmp_path / "s"
    with pytest.raises(Failure, match="is no address of this machine"):
        SharedSockets([str(path), ("127.0.0.1", 0), ("192.0.2.1", 0)], 2)
    assert not path.exists()


def test_where_the_system_does_not_spread_connections_a_port_has_one_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "_BALANCES", False)
    with closing(SharedSockets([("127.0.0.1", 0)], 2)) as shared:
        assert shared._sets[0] == shared._sets[1]


def test_urls() -> None:
    assert url("127.0.0.1:80") == "http://127.0.0.1:80"
    assert url("[::1]:80") == "http://[::1]:80"
    assert url("unix:/run/x") == "unix:/run/x"


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [
        ("epoll", (1024, 4096), (4096, 4096)),
        ("epoll", (4096, 4096), None),
        ("select", (256, 4096), (1024, 4096)),
        ("select", (4096, 4096), (1024, 4096)),
        ("select", (256, 512), (512, 512)),
        ("poll", (1024, resource.RLIM_INFINITY), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)),
        ("select", (1024, resource.RLIM_INFINITY), None),
    ],
)
def test_the_limit_of_descriptors(
    monkeypatch: pytest.MonkeyPatch, method: str, before: tuple[int, int], after: tuple[int, int] | None
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda what: before)
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: calls.append(limits))
    raise_file_limit(method)
    assert calls == ([] if after is None else [after])


def test_a_limit_that_the_system_refuses_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(what: int, limits: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1, 2))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    raise_file_limit("epoll")
    monkeypatch.undo()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
