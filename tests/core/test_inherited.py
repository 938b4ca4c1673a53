"""`inherited_sockets`: what the variables say, descriptors that are no sockets, and a process that is activated."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.core import inherited as module
from evkit.core.inherited import InheritedSocket, inherited_sockets

ME = str(os.getpid())


@pytest.fixture
def descriptors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """Two listening sockets and a file between them, side by side; the number of the first."""
    first = 200
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        open(tmp_path / "file", "w") as file,
        socket.socket(type=socket.SOCK_DGRAM) as log,
    ):
        for number, fd in enumerate((web.fileno(), file.fileno(), log.fileno())):
            os.dup2(fd, first + number, inheritable=True)
    monkeypatch.setattr(module, "FIRST_DESCRIPTOR", first)
    yield first
    for number in range(3):
        try:
            os.close(first + number)
        except OSError:
            pass  # the socket of it was closed


def close(found: list[InheritedSocket]) -> None:
    for each in found:
        each.socket.close()


class TestFound:
    def test_names_types_and_order(self, descriptors: int) -> None:
        found = inherited_sockets(
            environ={"LISTEN_PID": ME, "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:file:log"}
        )
        assert [(each.name, each.socket.fileno(), each.socket.type) for each in found] == [
            ("web", descriptors, socket.SOCK_STREAM),
            ("log", descriptors + 2, socket.SOCK_DGRAM),
        ]
        close(found)

    def test_without_names(self, descriptors: int) -> None:
        found = inherited_sockets(environ={"LISTEN_PID": ME, "LISTEN_FDS": "1"})
        assert [each.name for each in found] == ["unknown"]
        close(found)

    def test_nothing_is_inherited_any_further(self, descriptors: int) -> None:
        close(inherited_sockets(environ={"LISTEN_PID": ME, "LISTEN_FDS": "3"}))
        assert not os.get_inheritable(descriptors + 1)  # the file, which is still open
        found = inherited_sockets(environ={"LISTEN_PID": ME, "LISTEN_FDS": "0"})
        assert found == []

    @pytest.mark.parametrize("remove", [True, False])
    def test_variables_are_removed_on_request(self, descriptors: int, remove: bool) -> None:
        environ = {"LISTEN_PID": ME, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "HOME": "/"}
        before = dict(environ)
        close(inherited_sockets(remove=remove, environ=environ))
        assert environ == ({"HOME": "/"} if remove else before)


class TestNotFound:
    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"LISTEN_FDS": "1"},
            {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
            {"LISTEN_PID": ME},
            {"LISTEN_PID": ME, "LISTEN_FDS": "0", "LISTEN_FDNAMES": ""},
            {"LISTEN_PID": "1", "LISTEN_FDS": "nonsense"},  # not for us
        ],
    )
    def test_none(self, environ: dict[str, str], descriptors: int) -> None:
        assert inherited_sockets(environ=environ) == []
        assert os.get_inheritable(descriptors)

    @pytest.mark.parametrize(
        ("fds", "names", "words"),
        [
            ("two", None, "LISTEN_FDS must be a number"),
            ("", None, "LISTEN_FDS must be a number"),
            ("0x1", None, "LISTEN_FDS must be a number"),
            ("-1", None, "LISTEN_FDS must be a number"),
            ("1 ", None, "LISTEN_FDS must be a number"),
            ("\u0661", None, "LISTEN_FDS must be a number"),
            ("9" * 5000, None, "LISTEN_FDS must be a number"),
            ("2", "one", "1 names, but LISTEN_FDS is 2"),
            ("1", "one:two", "2 names, but LISTEN_FDS is 1"),
        ],
    )
    def test_nonsense(self, fds: str, names: str | None, words: str) -> None:
        environ = {"LISTEN_PID": ME, "LISTEN_FDS": fds} | ({"LISTEN_FDNAMES": names} if names else {})
        with pytest.raises(ValueError, match=words):
            inherited_sockets(remove=True, environ=environ)
        assert environ == {}  # so that no child reads them either

    @pytest.mark.parametrize("pid", ["x", "", "0x10"])
    def test_nonsense_process(self, pid: str) -> None:
        with pytest.raises(ValueError, match="LISTEN_PID must be a number"):
            inherited_sockets(environ={"LISTEN_PID": pid, "LISTEN_FDS": "1"})

    def test_more_than_are_open(self, descriptors: int) -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            inherited_sockets(environ={"LISTEN_PID": ME, "LISTEN_FDS": "999999999"})
        os.fstat(descriptors)  # those that are open were left open


_PROGRAM = """
import os
from evkit.core.base import EventBase
from evkit.core.inherited import inherited_sockets
from evkit.core.listener import Listener

def on_accept(listener, sock, address):
    sock.sendall(b"hello")
    sock.close()
    listener.close()

with EventBase() as base:
    (web,) = inherited_sockets(remove=True)
    print(web.name, web.socket.fileno(), "LISTEN_FDS" in os.environ, flush=True)
    Listener(base, on_accept, web.socket, backlog=None)
    base.dispatch()
"""


# What a service manager does between fork and exec.
_MANAGER = """
import os, sys

fd, program = int(sys.argv[1]), sys.argv[2]
if fd == 3:
    os.set_inheritable(3, True)
else:
    os.dup2(fd, 3)
variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "web"}
os.execve(sys.executable, [sys.executable, "-X", "dev", "-c", program], os.environ | variables)
"""


def test_process_that_is_activated() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        fd = server.fileno()
        with subprocess.Popen(
            [sys.executable, "-c", _MANAGER, str(fd), _PROGRAM],
            pass_fds=[fd],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                with socket.create_connection(server.getsockname(), 30) as client:
                    assert client.recv(99) == b"hello"
                assert process.stdout is not None
                assert process.stdout.read() == "web 3 False\n"
                assert process.wait(30) == 0
            finally:
                process.kill()
