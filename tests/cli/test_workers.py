"""``evkit serve --workers`` as processes: they share the load, come back, are replaced and end, and lose no request."""

import contextlib
import http.client
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from evkit.cli.listening import SharedSockets
from evkit.cli.supervision import Supervision
from evkit.cli.workers import Channel, Supervisor
from evkit.core import EVLOOP_NONBLOCK, EventBase
from patience import PATIENCE
from running import Program, port_in

APP = """
import os, signal

VERSION = "one"

def pid(request):
    request.send_reply(200, f"{os.getpid()} {VERSION}")

def hang(request):
    print(os.getpid(), flush=True)
    while True:
        pass

def hang_for_good(request):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGQUIT])
    hang(request)

class slow:
    def __init__(self, request):
        self.request, self.left = request, 512
        request.send_reply_start(200, [("Content-Length", str(512 * 65536)), ("Worker", str(os.getpid()))])
        self.send()

    def send(self):
        if self.left:
            self.left -= 1
            self.request.send_reply_chunk(bytes(65536), self.send)
        else:
            self.request.send_reply_end()
"""
SLOW_SIZE = 512 * 65536
"""Bytes: more than the sockets of a connection hold, so the reply lasts until the client has read it."""
READY = "evkit: all 2 workers are ready"
STOPPING = "evkit: stopping; replies under way have 10 s (once more stops at once)"
RELOADING = "evkit: reloading: each worker goes on until its successor is ready"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def serve(here: Path, *arguments: str, command: tuple[str, ...] = ("-m", "evkit")) -> Program:
    return Program(*command, "serve", *arguments, cwd=here, PYTHONDONTWRITEBYTECODE="1")


@contextlib.contextmanager
def two_workers(here: Path, *arguments: str, **options: tuple[str, ...]) -> Iterator[tuple[Program, int]]:
    """Run two workers; yield the supervisor and the port, once all are ready."""
    with serve(here, "--bind=127.0.0.1:0", "--workers=2", *arguments, **options) as program:
        port = port_in(program.err.next())
        assert program.err.next() == READY
        yield program, port


def ask(port: int, target: str = "/") -> list[str]:
    """Ask on a new connection; return the words of the reply."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
        client.request("GET", target)
        return client.getresponse().read().decode().split()


def pids(port: int, count: int = 32) -> set[int]:
    return {int(ask(port)[0]) for _ in range(count)}


def serves(port: int, version: str) -> bool:
    """Ask until all answer with ``version``: who was told to go accepts connections until he has heard it."""
    deadline = time.monotonic() + PATIENCE
    while {ask(port)[1] for _ in range(24)} != {version}:
        assert time.monotonic() < deadline, f"not all serve {version!r}"
    return True


def lines_until(program: Program, last: str) -> list[str]:
    lines = [program.err.next()]
    while lines[-1] != last:
        lines.append(program.err.next())
    return lines


def end(program: Program, number: int = signal.SIGTERM) -> None:
    program.signal(number)
    assert program.err.next() == STOPPING
    assert program.wait() == 0
    assert program.err.seen[-1] == STOPPING, "nothing went wrong on the way out"


class Load:
    """Clients in threads, of which every other one keeps its connection; a context manager that ends them.

    Attributes:
        served: Requests that were answered rightly.
        lost: Of each that was not: who had served that connection before (``None``: nobody), and what was wrong.
    """

    def __init__(self, port: int, clients: int = 6) -> None:
        self.served = 0
        self.lost: list[tuple[int | None, Exception]] = []
        self._port = port
        self._changed = threading.Condition()
        self._ending = False
        acts = [self._keep, self._come_anew] * (clients // 2)
        self._threads = [threading.Thread(target=act) for act in acts]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending = True
        for thread in self._threads:
            thread.join()

    def go_on(self, requests: int = 30) -> None:
        """Wait until so many more are served."""
        with self._changed:
            goal = self.served + requests
            assert self._changed.wait_for(lambda: self.served >= goal, PATIENCE)

    def _keep(self) -> None:
        client = self._connect()
        server: int | None = None
        while not self._ending:
            if client.sock is None:
                server = None  # the reply said that it was the last
            server = self._ask(client, server)
        client.close()

    def _come_anew(self) -> None:
        while not self._ending:
            with contextlib.closing(self._connect()) as client:
                self._ask(client, None)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)

    def _ask(self, client: http.client.HTTPConnection, server: int | None) -> int | None:
        """Ask once; return who has answered."""
        try:
            client.request("GET", "/")
            reply = client.getresponse()
            server = int(reply.read().split()[0])
            assert reply.status == 200
        except (OSError, http.client.HTTPException) as error:
            with self._changed:
                self.lost.append((server, error))
            client.close()
            return None
        with self._changed:
            self.served += 1
            self._changed.notify_all()
        return server


# Who serves


def test_workers_share_the_load(here: Path) -> None:
    with two_workers(here, "app:pid") as (program, port):
        served_by = pids(port)
        assert len(served_by) == 2
        assert program.process.pid not in served_by
        end(program, signal.SIGINT)


def test_one_worker_is_the_process_itself(here: Path) -> None:
    with serve(here, "--bind=127.0.0.1:0", "--workers=1", "app:pid") as program:
        port = port_in(program.err.next())
        assert pids(port, 1) == {program.process.pid}
        end(program)


def test_a_folder_is_served_too(here: Path) -> None:
    with serve(here, "--bind=127.0.0.1:0", "--workers=2") as program:
        line = program.err.next()
        assert f" serving {here} on " in line
        assert "def" in ask(port_in(line), "/app.py")
        assert program.err.next() == READY
        end(program)


def test_a_unix_socket_is_shared(here: Path) -> None:
    path = here / "s.sock"
    with serve(here, f"--bind=unix:{path}", "--workers=2", "app:pid") as program:
        assert f" on unix:{path} " in program.err.next()
        assert program.err.next() == READY
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"".join(iter(lambda: sock.recv(65536), b"")).endswith(b" one")
        end(program)
    assert not path.exists()


def test_the_file_of_a_unix_socket_is_removed_even_if_workers_die(here: Path) -> None:
    path = here / "s.sock"
    with serve(here, f"--bind=unix:{path}", "--workers=2", "app:hang") as program:
        lines_until(program, READY)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            pid = int(program.out.next())
            program.signal(signal.SIGTERM)
            program.err.next()
            os.kill(pid, signal.SIGKILL)
            assert program.wait() == 0
    assert (
        program.err.seen[-1]
        == f"evkit: worker {pid} was killed by SIGKILL before it had finished its replies"
    )
    assert not path.exists()


def test_a_port_in_use(here: Path) -> None:
    with two_workers(here, "app:pid") as (program, port):
        with serve(here, f"--bind=127.0.0.1:{port}", "--workers=2", "app:pid") as other:
            assert other.wait() == 1
            assert other.err.seen[0].startswith(f"evkit serve: error: 127.0.0.1:{port} is in use; ")
        end(program)


def test_what_can_not_be_served_is_told_once(here: Path) -> None:
    (here / "broken.py").write_text("1 / 0")
    with serve(here, "--bind=127.0.0.1:0", "--workers=3", "broken:x") as program:
        assert program.wait() == 1
        first, second = program.err.seen
        assert first.startswith("evkit serve: error: importing broken failed: ZeroDivisionError")
        assert re.fullmatch(
            r"evkit: no worker came up: worker \d+ ended with status 1 before it was ready", second
        )


@pytest.mark.parametrize(("option", "words"), [("nowhere/", "no folder"), ("app:typo", "no attribute")])
def test_a_mistake_is_told_as_without_workers(here: Path, option: str, words: str) -> None:
    with serve(here, "--bind=127.0.0.1:0", "--workers=2", option) as program:
        assert program.wait() == 1
        assert words in program.err.seen[0]


# Who dies


def test_a_worker_that_is_killed_loses_only_its_own(here: Path) -> None:
    with two_workers(here, "app:pid") as (program, port):
        victim, survivor = sorted(pids(port))
        with Load(port) as load:
            os.kill(victim, signal.SIGKILL)
            said = f"evkit: worker {victim} was killed by SIGKILL; another one is started"
            assert program.err.next().startswith(said)
            assert program.err.next() == READY
            load.go_on()
        assert len(load.lost) <= 6, "one for each client"
        assert survivor not in [server for server, _ in load.lost]
        after = pids(port)
        assert len(after) == 2
        assert victim not in after
        end(program)


def test_connections_that_wait_for_a_dead_worker_are_served_by_the_next(here: Path) -> None:
    with serve(here, "--bind=127.0.0.1:0", "--max-worker-age=1000", "app:hang") as program:
        port = port_in(program.err.next())
        assert program.err.next() == "evkit: the worker is ready"
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as first:
            first.sendall(b"GET / HTTP/1.0\r\n\r\n")
            pid = int(program.out.next())
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as second:
                second.sendall(b"GET / HTTP/1.0\r\n\r\n")
                (here / "app.py").write_text(
                    APP.replace("def hang(", "def hung(").replace("def pid(", "def hang(")
                )
                os.kill(pid, signal.SIGKILL)
                assert second.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert first.recv(65536) == b""
        program.err.next()
        assert program.err.next() == "evkit: the worker is ready"
        end(program)


def test_workers_whose_supervisor_is_killed_finish_and_end(here: Path) -> None:
    with two_workers(here, "app:slow") as (program, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/")
        reply = client.getresponse()
        program.signal(signal.SIGKILL)
        program.process.wait(PATIENCE)
        first, second = program.err.next(), program.err.next()
        for line in (first, second):
            assert re.fullmatch(r"evkit: worker \d+ stops, as nobody supervises it any more", line)
        assert len(reply.read()) == SLOW_SIZE
        client.close()
        assert program.err.rest() == [], "the pipe ends with the last worker"


def test_the_supervisor_hears_all_workers(here: Path) -> None:
    with two_workers(here, "app:pid") as (program, port):
        for pid in sorted(pids(port)):
            os.kill(pid, signal.SIGTERM)
            assert program.err.next() == f"evkit: worker {pid} was told to stop; another one is started"
            assert program.err.next() == READY
        end(program)


def test_a_worker_that_somebody_stops_finishes_and_another_one_comes(here: Path) -> None:
    with two_workers(here, "app:slow") as (program, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/")
        reply = client.getresponse()
        pid = int(reply.headers["Worker"])
        os.kill(pid, signal.SIGTERM)
        assert program.err.next() == f"evkit: worker {pid} was told to stop; another one is started"
        assert program.err.next() == READY
        assert len(reply.read()) == SLOW_SIZE
        client.close()
        end(program)


# Who is replaced


def test_a_reload_serves_changed_code_and_loses_nothing(here: Path) -> None:
    with two_workers(here, "app:pid") as (program, port):
        before = pids(port)
        with Load(port) as load:
            for version in ("two", "three"):
                (here / "app.py").write_text(APP.replace('"one"', f'"{version}"'))
                program.signal(signal.SIGHUP)
                assert program.err.next() == RELOADING
                for _ in range(2):
                    assert re.fullmatch(r"evkit: worker \d+ takes over from \d+", program.err.next())
                assert program.err.next() == READY
                assert serves(port, version)
                load.go_on()
        assert load.lost == []
        assert not before & pids(port)
        end(program)


def test_a_reload_of_broken_code_leaves_the_old_workers(here: Path) -> None:
    with two_workers(here, "app:pid") as (program, port):
        before = pids(port)
        with Load(port) as load:
            (here / "app.py").write_text("1 / 0")
            program.signal(signal.SIGHUP)
            lines = [program.err.next() for _ in range(3)]
            load.go_on()
        assert lines[1].startswith("evkit serve: error: importing app failed: ZeroDivisionError")
        assert lines[2].startswith("evkit: reload given up, the old workers go on: worker ")
        assert load.lost == []
        assert pids(port) == before
        (here / "app.py").write_text(APP.replace('"one"', '"mended"'))
        program.signal(signal.SIGHUP)
        lines_until(program, READY)
        assert serves(port, "mended")
        end(program)


def test_a_reload_that_hangs_can_be_begun_again(here: Path) -> None:
    with two_workers(here, "app:pid") as (program, port):
        (here / "app.py").write_text("print('in', flush=True)\nwhile True: pass")
        program.signal(signal.SIGHUP)
        assert program.out.next() == "in"
        (here / "app.py").write_text(APP.replace('"one"', '"mended"'))
        program.signal(signal.SIGHUP)
        lines_until(program, READY)
        assert serves(port, "mended")
        end(program)


def test_after_so_many_requests_a_worker_is_replaced(here: Path) -> None:
    options = ("--max-requests=40", "--max-requests-jitter=5")
    with two_workers(here, *options, "app:pid") as (program, port):
        before = pids(port, 8)
        with Load(port) as load:
            for _ in range(4):
                assert re.fullmatch(r"evkit: worker \d+ takes over from \d+", program.err.next())
        assert load.lost == []
        program.signal(signal.SIGTERM)
        lines_until(program, STOPPING)
        assert program.wait() == 0
        assert before


def test_after_so_many_seconds_a_worker_is_replaced(here: Path) -> None:
    with serve(here, "--bind=127.0.0.1:0", "--max-worker-age=0.05", "app:pid") as program:
        lines_until(program, "evkit: the worker is ready")
        for _ in range(3):
            assert re.fullmatch(r"evkit: worker \d+ takes over from \d+", program.err.next())
        program.signal(signal.SIGTERM)
        lines_until(program, STOPPING)
        assert program.wait() == 0


# How it ends


def test_the_first_signal_lets_replies_finish(here: Path) -> None:
    with two_workers(here, "app:slow") as (program, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/")
        reply = client.getresponse()
        # A terminal, or a service manager, sends its signal to all processes.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(int(reply.headers["Worker"]), number)
        program.signal(signal.SIGTERM)
        lines_until(program, STOPPING)
        assert len(reply.read()) == SLOW_SIZE
        client.close()
        assert program.wait() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_stops_at_once(here: Path, number: int, status: int) -> None:
    with (
        two_workers(here, "app:hang") as (program, port),
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
    ):
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        program.out.next()
        program.signal(signal.SIGTERM)
        assert program.err.next() == STOPPING
        program.signal(number)
        assert program.wait() == status
        assert program.err.seen[-1] == STOPPING


HASTY = """
import sys
from evkit.cli import main, supervision
supervision.LAST_WORDS = 0.1
sys.exit(main())
"""
"""The command, which waits less long for last words."""


def test_who_does_not_hear_is_killed(here: Path) -> None:
    with (
        two_workers(here, "app:hang_for_good", command=("-c", HASTY)) as (program, port),
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
    ):
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        pid = int(program.out.next())
        program.signal(signal.SIGTERM)
        assert program.err.next() == STOPPING
        program.signal(signal.SIGTERM)
        assert program.err.next() == f"evkit: worker {pid} does not stop; it is killed"
        assert program.wait() == 143


def test_who_comes_when_it_ends_is_refused(here: Path) -> None:
    with two_workers(here, "app:slow") as (program, port):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        client.request("GET", "/")
        reply = client.getresponse()
        program.signal(signal.SIGTERM)
        assert program.err.next() == STOPPING
        assert refused(port), "and not left to wait for the end"
        assert len(reply.read()) == SLOW_SIZE
        client.close()
        assert program.wait() == 0


def refused(port: int) -> bool:
    """Ask until nobody listens any more; who comes before that may be left without a reply."""
    while True:
        try:
            ask(port)
        except ConnectionRefusedError:
            return True
        except ConnectionError:
            pass


def test_ctrl_c_while_the_module_is_imported(here: Path) -> None:
    (here / "slow_import.py").write_text("print('in', flush=True)\nwhile True: pass\n")
    with serve(here, "--bind=127.0.0.1:0", "--workers=2", "slow_import:x") as program:
        assert program.out.next() == "in"
        program.signal(signal.SIGINT)
        assert program.wait() == 0
        assert program.err.seen == [STOPPING]


# The access log


def test_lines_of_several_workers_are_whole(here: Path) -> None:
    with two_workers(here, "--access-log=access.log", "app:pid") as (program, port):
        with Load(port) as load:
            load.go_on(200)
        end(program)
    lines = (here / "access.log").read_text().splitlines()
    assert len(lines) == load.served
    assert all(
        re.fullmatch(r'127\.0\.0\.1 - - \[.*\] "GET / HTTP/1\.1" 200 \d+ \d+\.\d+', line) for line in lines
    )


def test_a_reload_opens_the_log_anew(here: Path) -> None:
    log = here / "access.log"
    with two_workers(here, "--access-log=access.log", "app:pid") as (program, port):
        ask(port, "/before")
        log.rename(here / "old.log")
        program.signal(signal.SIGHUP)
        lines_until(program, READY)
        guard = time.monotonic() + PATIENCE
        while not (
            log.exists() and "/after" in log.read_text()
        ):  # the last of the old ones may still take a few
            assert time.monotonic() < guard
            ask(port, "/after")
        end(program)
    assert "/before" not in log.read_text()
    assert "/before" in (here / "old.log").read_text()


# The line to a worker


@pytest.fixture
def line(base: EventBase) -> Iterator[tuple[Channel, socket.socket, list[bytes]]]:
    """A channel, its other end, and what the channel has heard."""
    ours, theirs = socket.socketpair()
    heard: list[bytes] = []
    channel = Channel(base, ours, 7, lambda pid, word: heard.append(word))
    with theirs:
        yield channel, theirs, heard
    channel.close()


def test_each_word_is_heard(base: EventBase, line: tuple[Channel, socket.socket, list[bytes]]) -> None:
    channel, theirs, heard = line
    theirs.send(b"rw")
    theirs.send(b"l")
    base.loop(EVLOOP_NONBLOCK)
    assert heard == [b"r", b"w", b"l"]
    channel.send(b"d")
    assert theirs.recv(2) == b"d"
    assert repr(channel) == "<Channel to 7>"


def test_a_worker_that_dies_before_it_has_heard_is_no_error(
    base: EventBase, line: tuple[Channel, socket.socket, list[bytes]]
) -> None:
    channel, theirs, heard = line
    channel.send(b"d")
    theirs.close()
    assert base.loop() is False, "nothing is left to wait for"
    channel.send(b"d")
    assert heard == []


# What the system refuses


@pytest.mark.parametrize("what", ["fork", "socketpair"])
def test_what_the_system_refuses_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], open_descriptors: None, what: str
) -> None:
    def refuse() -> None:
        raise OSError(11, "Resource temporarily unavailable")

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with EventBase() as base:
        monkeypatch.setattr(os if what == "fork" else socket, what, refuse)
        rules = Supervision(2, grace=1)
        supervisor = Supervisor(base, rules, SharedSockets([], 2), lambda: None)
        assert repr(supervisor) == "<Supervisor <Supervision running workers=[]>>"
        assert supervisor.run() is None
        monkeypatch.undo()
    assert rules.status == 1
    assert capfd.readouterr().err == (
        "evkit: no worker came up: a worker can't be started (Resource temporarily unavailable)\n"
    )
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
