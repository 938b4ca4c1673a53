"""``--bind systemd`` and ``--bind fd://N``: which sockets are found, what is said of others, and that they are served.

A stand-in starts evkit as systemd does: with sockets from descriptor 3 on, and variables that speak of them.
"""

import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from evkit.cli.errors import Failure
from evkit.cli.inheriting import Place, places
from evkit.cli.values import Activated, Descriptor
from evkit.core import inherited
from patience import PATIENCE
from running import Program, port_in

APP = """
import os

def pid(request):
    request.send_reply(200, str(os.getpid()))

def variables(request):
    request.send_reply(200, " ".join(name for name in os.environ if name.startswith("LISTEN_")))
"""
SYSTEMD = """
import fcntl, os, sys

fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",") if fd]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(fds))}
os.execv(sys.executable, [sys.executable, "-X", "dev", *sys.argv[2:]])
"""
FIRST = 200
"""The number of the first socket in this process, whose 3 is something else."""
ALL = Activated(None)


class Activation:
    """What systemd has passed on to this very process.

    Attributes:
        sockets: The same sockets, as systemd keeps them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self.sockets: list[socket.socket] = []
        self._monkeypatch = monkeypatch
        self._stack = stack
        monkeypatch.setattr(inherited, "FIRST_DESCRIPTOR", FIRST)

    def of(self, **sockets: socket.socket) -> None:
        for fd, sock in enumerate(sockets.values(), FIRST):
            os.dup2(sock.fileno(), fd)
            self.sockets.append(self._stack.enter_context(sock))
        self._monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        self._monkeypatch.setenv("LISTEN_FDS", str(len(sockets)))
        self._monkeypatch.setenv("LISTEN_FDNAMES", ":".join(sockets))


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, open_descriptors: None) -> Iterator[Activation]:
    with ExitStack() as stack:
        yield Activation(monkeypatch, stack)


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def numbers(found: list[Place]) -> list[int]:
    """Return the descriptors, and close them."""
    sockets = [place for place in found if isinstance(place, socket.socket)]
    taken = [sock.fileno() for sock in sockets]
    for sock in sockets:
        sock.close()
    return taken


class TestFound:
    def test_all(self, systemd: Activation) -> None:
        systemd.of(web=listening(), admin=listening())
        with places([ALL]) as found:
            assert numbers(found) == [FIRST, FIRST + 1]

    def test_by_name_which_several_may_have(self, systemd: Activation) -> None:
        systemd.of(web=listening(), admin=listening())
        os.environ["LISTEN_FDNAMES"] = "web:web"
        with places([Activated("web")]) as found:
            assert numbers(found) == [FIRST, FIRST + 1]

    def test_what_nobody_asks_for_is_closed(self, systemd: Activation) -> None:
        systemd.of(web=listening(), admin=listening())
        with places([Activated("admin")]) as found:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(FIRST)
            assert numbers(found) == [FIRST + 1]

    def test_all_after_a_name_are_the_others(self, systemd: Activation) -> None:
        systemd.of(web=listening(), admin=listening())
        with places([Activated("admin"), ("127.0.0.1", 1), ALL, "/s"]) as found:
            assert found[1] == ("127.0.0.1", 1)
            assert found[3] == "/s"
            assert numbers(found) == [FIRST + 1, FIRST]

    def test_programs_that_a_handler_starts_are_not_told(self, systemd: Activation) -> None:
        systemd.of(web=listening())
        with places([ALL]) as found:
            assert "LISTEN_FDS" not in os.environ
            assert not os.get_inheritable(FIRST)
            numbers(found)

    def test_who_does_not_ask_changes_nothing(self, systemd: Activation) -> None:
        systemd.of(web=listening())
        with places([("127.0.0.1", 0), "/s"]) as found:
            assert found == [("127.0.0.1", 0), "/s"]
        assert os.environ["LISTEN_FDS"] == "1"
        os.close(FIRST)

    def test_a_descriptor(self, systemd: Activation) -> None:
        systemd.of(web=listening())
        with places([Descriptor(FIRST)]) as found:
            assert not os.get_inheritable(FIRST)
            assert numbers(found) == [FIRST]

    def test_a_failure_later_closes_them(self, systemd: Activation) -> None:
        systemd.of(web=listening())
        with pytest.raises(ZeroDivisionError), places([ALL]):
            raise ZeroDivisionError


class TestRefused:
    """Nothing stays open: see `open_descriptors`."""

    def refuse(self, *binds: Activated | Descriptor, said: str) -> None:
        with pytest.raises(Failure) as failure, places(binds):
            pass
        assert said in str(failure.value)
        assert "\n" not in str(failure.value)

    def test_no_systemd(self) -> None:
        self.refuse(ALL, said="--bind systemd: systemd has passed on no socket")

    def test_an_unknown_name(self, systemd: Activation) -> None:
        systemd.of(web=listening(), admin=listening())
        self.refuse(Activated("wbe"), said="--bind systemd:wbe: systemd has passed on no socket of that name")

    def test_the_names_that_there_are(self, systemd: Activation) -> None:
        systemd.of(web=listening(), admin=listening())
        self.refuse(Activated("wbe"), said="is web, admin")

    def test_twice(self, systemd: Activation) -> None:
        systemd.of(web=listening())
        self.refuse(
            Activated("web"), ALL, said="--bind systemd: systemd has passed on no socket, or none is left"
        )

    def test_variables_that_make_no_sense(self, systemd: Activation) -> None:
        systemd.of(web=listening())
        os.environ["LISTEN_FDS"] = "many"
        self.refuse(ALL, said="LISTEN_FDS must be a number, got 'many'")
        os.close(FIRST)

    def test_a_script_that_does_not_exec(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        self.refuse(
            ALL,
            said=f"passed on sockets to the process {os.getppid()} and not to this one; let it exec evkit",
        )

    def test_a_connection(self, systemd: Activation) -> None:
        ours, theirs = socket.socketpair()
        systemd.of(web=ours)
        self.refuse(ALL, said="--bind systemd: expected a stream socket that listens")
        theirs.close()

    def test_datagrams(self, systemd: Activation) -> None:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        systemd.of(web=sock)
        self.refuse(Activated("web"), said="--bind systemd:web: expected a stream socket that listens")

    def test_a_listening_socket_of_another_kind(self, systemd: Activation, tmp_path: Path) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        systemd.of(web=sock)
        self.refuse(ALL, said="--bind systemd: expected a stream socket that listens")

    def test_one_that_does_not_listen(self, systemd: Activation) -> None:
        systemd.of(web=socket.socket())
        self.refuse(Descriptor(FIRST), said=f"--bind fd://{FIRST}: expected a stream socket that listens")

    def test_a_descriptor_that_is_not_open(self) -> None:
        self.refuse(
            Descriptor(999_999_999), said="fd://999999999: the descriptor is no socket that was passed on"
        )

    def test_a_descriptor_that_is_no_socket(self) -> None:
        with open(os.devnull) as file:
            self.refuse(Descriptor(file.fileno()), said="the descriptor is no socket that was passed on")

    def test_one_descriptor_twice(self, systemd: Activation) -> None:
        systemd.of(web=listening())
        self.refuse(ALL, Descriptor(FIRST), said=f"--bind fd://{FIRST}: the descriptor was asked for twice")


# Served


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def activate(here: Path, sockets: list[socket.socket], *arguments: str, names: str = "") -> Program:
    fds = [sock.fileno() for sock in sockets]
    environment = {"LISTEN_FDNAMES": names} if names else {}
    words = ("-c", SYSTEMD, ",".join(map(str, fds)), "-m", "evkit", "serve", *arguments)
    return Program(*words, cwd=here, pass_fds=fds, PYTHONDONTWRITEBYTECODE="1", **environment)


def ask(sock: socket.socket) -> str:
    """Ask on a new connection; return the body."""
    with socket.socket(sock.family) as client:
        client.settimeout(PATIENCE)
        client.connect(sock.getsockname())
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        reply = b"".join(iter(lambda: client.recv(65536), b""))
    return reply.partition(b"\r\n\r\n")[2].decode()


def end(program: Program) -> None:
    program.signal(signal.SIGTERM)
    assert program.wait() == 0


CREWS = pytest.mark.parametrize("crew", [(), ("--workers=2",)], ids=["alone", "workers"])


@CREWS
def test_a_port(here: Path, crew: tuple[str, ...]) -> None:
    with listening() as sock, activate(here, [sock], "--bind=systemd", *crew, "app:pid") as program:
        assert port_in(program.err.next()) == sock.getsockname()[1]
        assert ask(sock).isdigit()
        end(program)


@CREWS
def test_a_unix_socket_stays_with_its_file_and_its_clients(here: Path, crew: tuple[str, ...]) -> None:
    """Who connects between two runs waits for the second; nobody tries whether the first is at its end."""
    path = here / "s.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen(5)
        with activate(here, [sock], "--bind=systemd", *crew, "app:pid") as program:
            assert f" on unix:{path} " in program.err.next()
            first = ask(sock)
            end(program)
        assert path.exists()
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.accept()
        with activate(here, [sock], "--bind=systemd", *crew, "app:pid") as program:
            assert ask(sock) != first
            end(program)


def test_workers_share_it_and_are_replaced(here: Path) -> None:
    with listening() as sock, activate(here, [sock], "--bind=systemd", "--workers=2", "app:pid") as program:
        program.err.next()
        assert program.err.next() == "evkit: all 2 workers are ready"
        before = {ask(sock) for _ in range(8)}
        program.signal(signal.SIGHUP)
        while program.err.next() != "evkit: all 2 workers are ready":
            pass
        after = {ask(sock) for _ in range(8)}
        assert after
        assert str(program.process.pid) not in before | after
        end(program)


def test_names(here: Path) -> None:
    with listening() as web, listening() as admin:
        options = ("--bind=systemd:admin", "--bind=127.0.0.1:0")
        with activate(here, [web, admin], *options, "app:pid", names="web:admin") as program:
            assert port_in(program.err.next()) == admin.getsockname()[1]
            assert port_in(program.err.next()) not in (web.getsockname()[1], admin.getsockname()[1])
            end(program)


def test_a_handler_does_not_see_the_variables(here: Path) -> None:
    with listening() as sock, activate(here, [sock], "--bind=systemd", "app:variables") as program:
        program.err.next()
        assert ask(sock) == ""
        end(program)


def test_a_descriptor_of_another_parent(here: Path) -> None:
    with (
        listening() as sock,
        Program(
            "-m",
            "evkit",
            "serve",
            f"--bind=fd://{sock.fileno()}",
            "app:pid",
            cwd=here,
            pass_fds=[sock.fileno()],
        ) as program,
    ):
        assert port_in(program.err.next()) == sock.getsockname()[1]
        assert ask(sock) == str(program.process.pid)
        end(program)


@pytest.mark.peer
@pytest.mark.skipif(
    shutil.which("systemd-socket-activate") is None, reason="systemd-socket-activate is not installed"
)
@CREWS
def test_by_a_part_of_systemd(here: Path, crew: tuple[str, ...]) -> None:
    path = here / "s.sock"
    evkit = [sys.executable, "-X", "dev", "-m", "evkit", "serve", "--bind=systemd:web", *crew, "app:pid"]
    command = ["systemd-socket-activate", f"--listen={path}", "--fdname=web", *evkit]
    # It becomes evkit at the first connection, which is this one.
    with Program("-c", f"import os; os.execvp({command[0]!r}, {command!r})", cwd=here) as program:
        assert program.err.next().startswith(f"Listening on {path} ")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            reply = b"".join(iter(lambda: client.recv(65536), b""))
        assert reply.startswith(b"HTTP/1.1 200 ")
        end(program)
    assert path.exists()


@CREWS
@pytest.mark.parametrize(
    ("bind", "said"),
    [
        ("systemd", "--bind systemd: systemd has passed on no socket, "),
        ("systemd:x", "--bind systemd:x: systemd has passed on no socket, "),
        ("fd://77", "--bind fd://77: the descriptor is no socket that was passed on: "),
    ],
)
def test_what_is_not_there_is_one_line(here: Path, crew: tuple[str, ...], bind: str, said: str) -> None:
    with Program("-m", "evkit", "serve", f"--bind={bind}", *crew, "app:pid", cwd=here) as program:
        assert program.wait() == 1
        (line,) = program.err.seen
        assert re.match(rf"evkit serve: error: {re.escape(said)}", line)
