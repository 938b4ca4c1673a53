"""``evkit rpc serve`` as a process: what it says, serves and refuses, and how it ends."""

import resource
import signal
import socket
import sys
from pathlib import Path

import msgpack
import pytest

from certificates import Certificates
from evkit import __version__
from evkit.cli import main
from patience import PATIENCE
from running import Program, port_in, run_evkit

APP = """
import sys
from evkit.rpc import Call

def add(a: int, b: int) -> int:
    return a + b

def fail():
    raise ValueError("on purpose")

def hang(call: Call):
    call.defer()
    print("in", flush=True)

def spin():
    print("in", flush=True)
    while True:
        pass

def leave():
    sys.exit(3)

class Counter:
    count = 0
    def next(self):
        self.count += 1
        return self.count

counter = Counter()
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def serve(here: Path, *arguments: str) -> Program:
    return Program("-m", "evkit", "rpc", "serve", *arguments, cwd=here, PYTHONDONTWRITEBYTECODE="1")


def serve_anywhere(here: Path, *arguments: str) -> Program:
    return serve(here, "--bind", "127.0.0.1:0", *arguments)


class Caller:
    """A client without any code of evkit's."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self._sock = sock
        self._unpacker = msgpack.Unpacker()

    def send(self, method: str, *params: object) -> None:
        self._sock.sendall(msgpack.packb([0, 7, method, params]))

    def receive(self) -> object:
        """Return an error or a result; ``None`` at the end."""
        while True:
            for message in self._unpacker:
                assert message[:2] == [1, 7]
                return message[2] or message[3]
            data = self._sock.recv(65536)
            if not data:
                return None
            self._unpacker.feed(data)

    def call(self, method: str, *params: object) -> object:
        self.send(method, *params)
        return self.receive()

    def close(self) -> None:
        self._sock.close()


def caller_of(program: Program) -> Caller:
    return Caller(socket.create_connection(("127.0.0.1", port_in(program.err.next())), PATIENCE))


def end(program: Program, number: int = signal.SIGINT) -> None:
    program.signal(number)
    assert program.err.next() == "evkit: stopping; replies under way have 10 s (once more stops at once)"
    assert program.wait() == 0


def test_the_functions_of_a_module(here: Path) -> None:
    with serve_anywhere(here, "app") as program:
        caller = caller_of(program)
        port = port_in(program.err.seen[0])
        assert program.err.seen == [
            f"evkit {__version__} serving app on tcp://127.0.0.1:{port} (Ctrl-C stops)"
        ]
        assert caller.call("add", 2, 3) == 5
        assert caller.call("add", 2, "3") == "add(a: int, b: int): parameter \"b\": expected int, got str '3'"
        assert caller.call("Counter") == "no method 'Counter'"
        assert caller.call("leave") == "SystemExit: 3"
        caller.close()
        program.signal(signal.SIGTERM)
        assert program.err.rest()  # the traceback of what wanted to leave
        assert program.process.wait(PATIENCE) == 0


def test_the_methods_of_an_object_at_several_addresses(here: Path) -> None:
    path = here / "s.sock"
    arguments = (f"--bind=unix:{path}", "--unix-mode=600", "app:counter")
    with serve_anywhere(here, *arguments) as program:
        caller = caller_of(program)
        assert program.err.next().endswith(f" serving app:counter on unix:{path} (Ctrl-C stops)")
        assert path.stat().st_mode & 0o777 == 0o600
        assert caller.call("next") == 1
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            assert Caller(sock).call("next") == 2
        caller.close()
        end(program)
    assert not path.exists()


def test_limits_reach_the_server(here: Path) -> None:
    with serve_anywhere(here, "app", "--limit-message=1K", "--limit-connections=1") as program:
        caller = caller_of(program)
        assert caller.call("add", 2, 3) == 5
        with socket.create_connection(("127.0.0.1", port_in(program.err.seen[0])), PATIENCE) as sock:
            assert sock.recv(1) == b""
        caller.send("add", bytes(2000), 1)
        assert caller.receive() is None
        caller.close()
        assert "; the connection was closed" in program.err.next()
        end(program)


def test_who_says_nothing_has_to_go(here: Path) -> None:
    with serve_anywhere(here, "app", "--timeout-idle=0.05") as program:
        with socket.create_connection(("127.0.0.1", port_in(program.err.next())), PATIENCE) as sock:
            assert sock.recv(1) == b""
        end(program)


def test_it_may_have_as_many_clients_as_the_system_allows(here: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    (here / "files.py").write_text(
        "import resource\n\ndef limits():\n    return resource.getrlimit(resource.RLIMIT_NOFILE)\n"
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft // 2, hard))
    try:
        with serve_anywhere(here, "files") as program:
            caller = caller_of(program)
            assert caller.call("limits") == [hard, hard]
            caller.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_socket_that_was_passed_on(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        number = sock.fileno()
        arguments = ("-m", "evkit", "rpc", "serve", f"--bind=fd://{number}", "app")
        with Program(*arguments, cwd=here, pass_fds=(number,), PYTHONDONTWRITEBYTECODE="1") as program:
            caller = caller_of(program)
            assert port_in(program.err.seen[0]) == sock.getsockname()[1]
            assert caller.call("add", 2, 3) == 5
            caller.close()
            end(program)


@pytest.mark.parametrize("debug", [True, False])
def test_tracebacks_are_for_those_who_ask_for_them(here: Path, debug: bool) -> None:
    with serve_anywhere(here, "app", *(["--debug"] if debug else [])) as program:
        caller = caller_of(program)
        told = caller.call("fail")
        assert isinstance(told, str)
        assert told.startswith("ValueError: on purpose")
        assert ("app.py" in told) is debug
        caller.close()


def test_by_tls(here: Path, certificates: Certificates) -> None:
    with serve_anywhere(here, "app", "--tls-cert", certificates.path("server")) as program:
        line = program.err.next()
        assert " on tls://127.0.0.1:" in line
        with (
            socket.create_connection(("127.0.0.1", port_in(line)), PATIENCE) as sock,
            certificates.client().wrap_socket(sock, server_hostname="localhost") as secure,
        ):
            assert Caller(secure).call("add", 2, 3) == 5
        program.signal(signal.SIGHUP)  # reads the certificate anew, and goes on
        with (
            socket.create_connection(("127.0.0.1", port_in(line)), PATIENCE) as sock,
            certificates.client().wrap_socket(sock, server_hostname="localhost") as secure,
        ):
            assert Caller(secure).call("add", 2, 3) == 5
        end(program)


def test_a_call_under_way_has_some_time(here: Path) -> None:
    with serve_anywhere(here, "app", "--timeout-grace", "0") as program:
        caller = caller_of(program)
        caller.send("hang")
        assert program.out.next() == "in"
        program.signal(signal.SIGTERM)
        assert program.err.next() == "evkit: stopping; replies under way have 0 s (once more stops at once)"
        assert caller.receive() is None
        assert program.wait() == 0
        caller.close()


@pytest.mark.parametrize(
    ("method", "number", "status"), [("hang", signal.SIGINT, 130), ("spin", signal.SIGTERM, 143)]
)
def test_the_second_signal_stops_at_once(here: Path, method: str, number: int, status: int) -> None:
    with serve_anywhere(here, "app") as program:
        caller = caller_of(program)
        caller.send(method)
        assert program.out.next() == "in"
        program.signal(number)
        assert program.err.next().startswith("evkit: stopping; ")
        program.signal(number)
        assert program.wait() == status
        caller.close()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "the following arguments are required: MODULE[:OBJECT] (see evkit rpc serve --help)"),
        (["app", "--bind", "7000"], 2, "argument --bind: expected host:port"),
        (["app", "--limit-depth", "1"], 2, "--limit-depth must be from 2 to "),
        (["app", "--timeout-grace", "-1"], 2, "argument --timeout-grace: expected a number of seconds"),
        (["app", "--tls-key", "x"], 2, "the options of TLS need --tls-cert FILE"),
        (["app", "--tls-cert", "x"], 1, "TLS: "),
        (["app", "--unix-mode", "600"], 2, "--unix-mode needs --bind unix:PATH"),
        (["app", "--unix-mode", "600", "--bind", "systemd"], 2, "--unix-mode needs --bind unix:PATH"),
        (["nowhere"], 1, "there is no module 'nowhere' in "),
        (["app.py"], 1, "expected a module and not a file: write app"),
        (["a b"], 1, "expected MODULE or MODULE:OBJECT, such as app or app:calculator, got 'a b'"),
        (
            ["broken"],
            1,
            "importing broken failed: ZeroDivisionError: division by zero; --traceback shows where",
        ),
        (["app:ad"], 1, "has no attribute 'ad'; did you mean add?"),
        (["app:Counter"], 1, "app:Counter can't be served: expected an object, got the class Counter"),
        (["app", "--bind", "192.0.2.1:0"], 1, "'192.0.2.1' is no address of this machine"),
        (["app", "--bind", "unix:no/where"], 1, "there is no folder for the socket 'no/where'"),
    ],
)
def test_errors_take_one_line(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    said: str,
) -> None:
    (here / "broken.py").write_text("1 / 0")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    try:
        assert main(["rpc", "serve", *words]) == status
    finally:
        sys.modules.pop("app", None)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("evkit rpc serve: error: ")
    assert said in err
    assert err.count("\n") == 1


def test_a_port_in_use_is_told_with_another(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_evkit(["rpc", "serve", "--bind", f"127.0.0.1:{port}", "app"], cwd=here)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"evkit rpc serve: error: 127.0.0.1:{port} is in use; ")


def test_the_traceback_on_demand(here: Path) -> None:
    (here / "broken.py").write_text("1 / 0")
    done = run_evkit(["rpc", "serve", "broken", "--traceback"], cwd=here)
    assert done.returncode == 1
    assert 'broken.py", line 1' in done.stderr
