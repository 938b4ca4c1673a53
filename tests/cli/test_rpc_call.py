"""``evkit rpc call`` and ``evkit rpc methods`` against a server in a thread: what they write, and how they end."""

import json
import os
import pty
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from certificates import Certificates
from evkit.cli import main
from evkit.core import EventBaseThread
from evkit.core.log import LOG_WARN, log
from evkit.rpc import Call, Ext, MethodError, Server
from evkit.rpc.errors import DEADLINE_EXCEEDED
from patience import PATIENCE

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Service:
    def __init__(self) -> None:
        self.told: queue.Queue[object] = queue.Queue()
        self.called = threading.Event()

    def add(self, a: int, b: int) -> int:
        """Add two numbers.

        They may be negative.
        """
        return a + b

    def echo(self, value: object) -> object:
        return value

    def tell(self, value: object) -> None:
        self.told.put(value)

    def odd(self) -> object:
        return {"bytes": b"\0", "ext": Ext(1, b"a"), "time": NOON, "text": "\x1b[31m"}

    def count(self, number: int) -> Iterator[int]:
        """Count."""
        yield from range(number)

    def stumble(self) -> Iterator[object]:
        yield {"a": 1}
        raise MethodError("enough", 7)

    def refuse(self) -> None:
        raise MethodError("not\ntoday\x1b[31m", -5, {"why": b"\0"})

    def hang(self, call: Call) -> None:
        call.defer()
        self.called.set()

    def leave(self, call: Call) -> None:
        call.connection.close()

    def late(self) -> None:
        raise MethodError("too late", DEADLINE_EXCEEDED)

    def fail(self) -> None:
        raise ZeroDivisionError("division by zero")

    def big(self) -> bytes:
        return bytes(100_000)


class Served(NamedTuple):
    service: Service
    where: str
    path: str
    thread: EventBaseThread


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = str(tmp_path_factory.mktemp("rpc") / "s.sock")
    service = Service()
    with EventBaseThread() as thread:

        def set_up() -> Server:
            server = Server(thread.base)
            server.register_object(service)
            server.bind("127.0.0.1", 0)
            server.bind_unix(path)
            return server

        server = thread.call(set_up).result()
        yield Served(service, server.listeners[0].address, f"unix:{path}", thread)
        thread.call(server.close).result()


class Done(NamedTuple):
    status: int
    out: list[str]
    err: list[str]


class Shell:
    """Runs the command in this process."""

    def __init__(self, where: str, capfd: pytest.CaptureFixture[str]) -> None:
        self.where = where
        self._capfd = capfd

    def __call__(self, *words: str, command: str = "call", where: str | None = None) -> Done:
        status = main(["rpc", command, self.where if where is None else where, *words])
        out, err = self._capfd.readouterr()
        return Done(status, out.splitlines(), err.splitlines())

    def json(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self(*words, "--json").out]


@pytest.fixture
def shell(served: Served, capfd: pytest.CaptureFixture[str]) -> Shell:
    return Shell(served.where, capfd)


# What comes out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["add", "2", "-3"], "-1"),
        (["echo", "two words"], "two words"),
        (["echo", '"5"'], "5"),
        (["echo", '{"a": [1, null, true]}'], '{"a": [1, null, true]}'),
        (["echo", "null"], "null"),
        (["echo", "--", "--json"], "--json"),
        (["echo", "--plain", "x"], "x"),
    ],
)
def test_a_result(shell: Shell, words: list[str], text: str) -> None:
    assert shell(*words) == Done(0, [text], [])


def test_by_a_unix_socket(shell: Shell, served: Served) -> None:
    assert shell("add", "2", "3", where=served.path) == Done(0, ["5"], [])


def test_what_json_does_not_have(shell: Shell) -> None:
    assert shell("odd").out == [
        '{"bytes": b\'\\x00\', "ext": Ext(1, b\'a\'), "time": 2026-11-23T12:00:00Z, "text": "\\u001b[31m"}'
    ]
    assert shell.json("odd") == [
        {
            "result": {
                "bytes": {"$bytes": "AA=="},
                "ext": {"$ext": [1, "YQ=="]},
                "time": "2026-11-23T12:00:00Z",
                "text": "\x1b[31m",
            }
        }
    ]


def test_what_looks_like_json_is_sent_and_told_of(shell: Shell) -> None:
    done = shell("echo", '{"a": 1')
    assert (done.status, done.out) == (0, ['{"a": 1'])
    assert len(done.err) == 1
    assert done.err[0].startswith('evkit rpc call: {"a": 1 is sent as a string, for it is no JSON: Expecting')


def test_a_notification(shell: Shell, served: Served) -> None:
    assert shell("tell", "[1]", "--notify") == Done(0, [], [])
    assert served.service.told.get(timeout=PATIENCE) == [1]


def test_a_notification_that_nobody_takes(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        done = shell("tell", "x" * (1 << 24), "--notify", "-m", "0.2", where=where)
    assert (done.status, done.out) == (3, [])
    assert done.err == [f"evkit rpc call: error: {where}: the server has not taken it within 0.2 s"]


def test_a_notification_to_a_server_that_goes(shell: Shell) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{listener.getsockname()[1]}"

    def refuse() -> None:
        sock, _ = listener.accept()
        sock.recv(1)
        listener.close()
        sock.close()  # with bytes unread, which resets the connection

    thread = threading.Thread(target=refuse)
    thread.start()
    done = shell("tell", "x" * (1 << 24), "--notify", where=where)
    thread.join()
    assert (done.status, done.out) == (3, [])
    assert done.err[0].startswith(f"evkit rpc call: error: {where}: ")


# Streams


def test_items_and_then_nothing(shell: Shell) -> None:
    assert shell("count", "3") == Done(0, ["0", "1", "2"], [])
    assert shell.json("count", "2") == [{"item": 0}, {"item": 1}, {"result": None}]
    assert shell("count", "0") == Done(0, ["null"], [])


def test_many_items(shell: Shell) -> None:
    assert shell("count", "1000").out == [str(number) for number in range(1000)]


def test_a_server_that_is_told_nothing_sends_them_at_once(shell: Shell) -> None:
    assert shell("count", "3", "--plain") == Done(0, ["[0, 1, 2]"], [])


def test_items_and_then_an_error(shell: Shell) -> None:
    done = shell("stumble")
    assert (done.status, done.out) == (1, ['{"a": 1}'])
    assert done.err == ["evkit rpc call: error: stumble: [7] enough"]


# Errors


def test_an_error_with_all_that_belongs_to_it(shell: Shell) -> None:
    done = shell("refuse")
    assert done.status == 1
    assert done.out == []
    assert done.err == ["evkit rpc call: error: refuse: [-5] not", "today\\u001b[31m", "{\"why\": b'\\x00'}"]
    assert shell("refuse", "--plain").err == ["evkit rpc call: error: refuse: not", "today\\u001b[31m"]


def test_an_error_as_json(shell: Shell) -> None:
    done = shell("refuse", "--json")
    assert (done.status, done.err) == (1, [])
    assert [json.loads(line) for line in done.out] == [
        {
            "error": {
                "kind": "RemoteCallError",
                "message": "not\ntoday\x1b[31m",
                "code": -5,
                "data": {"why": {"$bytes": "AA=="}},
            }
        }
    ]


def test_no_such_method_and_wrong_parameters(shell: Shell) -> None:
    done = shell("nope\x1b[31m")
    assert done.status == 1
    (line,) = done.err
    assert line.isprintable()
    assert "[-32601]" in line
    done = shell("add", "2", "x")
    assert done.status == 1
    assert '[-32602] add(a: int, b: int): parameter "b": expected int' in done.err[0]


def test_no_answer_in_time(shell: Shell) -> None:
    assert shell("hang", "-m", "0.05") == Done(
        3, [], ["evkit rpc call: error: hang: no answer within 0.05 s"]
    )


def test_the_server_sees_first_that_it_is_late(shell: Shell) -> None:
    assert shell("late") == Done(3, [], ["evkit rpc call: error: late: no answer within 10 s"])
    assert shell("late", "-m", "none") == Done(3, [], ["evkit rpc call: error: late: no answer in time"])


def test_the_connection_is_lost(shell: Shell) -> None:
    done = shell("leave")
    assert done == Done(3, [], ["evkit rpc call: error: leave: the server has closed the connection"])


def test_an_answer_that_is_too_long(shell: Shell) -> None:
    done = shell("big", "--limit-message", "64K", "--plain")
    assert (done.status, done.out) == (3, [])
    (line,) = done.err  # the log's warning of the same is not told
    assert line.startswith("evkit rpc call: error: big: ")
    assert "65536 bytes" in line
    done = shell("big", "--limit-message", "64K")  # which the server is told, and heeds
    assert (done.status, done.out) == (1, [])
    assert any("takes messages of at most 65536 bytes" in line for line in done.err)
    assert shell("big").status == 0


def test_the_log_tells_of_errors_and_is_as_before_then(
    shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    done = shell("fail", "--plain")  # the server's log is this process's, too
    assert (done.status, done.out) == (1, [])
    assert done.err[0].startswith("evkit: exception in the callback of ")
    assert "ZeroDivisionError: division by zero" in done.err
    assert "evkit rpc call: error: fail: ZeroDivisionError: division by zero" in done.err
    assert caplog.messages == []
    log(LOG_WARN, "again")
    assert caplog.messages == ["again"]


def test_nobody_is_there(shell: Shell, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
    done = shell("add", where=where)
    assert (done.status, done.out) == (3, [])
    (line,) = done.err
    assert line.startswith(f"evkit rpc call: error: {where}: ")
    assert "Connection refused" in line
    assert "--plain" not in line
    done = shell(where=f"unix:{tmp_path}/none", command="methods")
    assert done.status == 3
    assert "No such file or directory" in done.err[0]


def test_somebody_is_there_who_never_answers(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        hint = "; if it is no server of evkit's, --plain may help"
        said = f"evkit rpc call: error: {where}: no answer within 0.05 s"
        assert shell("add", "-m", "0.05", where=where) == Done(3, [], [said + hint])
        assert shell("add", "-m", "0.05", "--plain", where=f"tls://{where}").err[0].endswith("within 0.05 s")
        said = "evkit rpc call: error: add: no answer within 0.05 s"
        assert shell("add", "-m", "0.05", "--plain", where=where) == Done(3, [], [said])


def test_somebody_is_there_who_closes_at_once(shell: Shell) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    where = f"127.0.0.1:{listener.getsockname()[1]}"

    def refuse() -> None:
        sock, _ = listener.accept()
        sock.recv(1 << 16)
        sock.close()
        listener.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    done = shell("add", where=where)
    thread.join()
    hint = "; if it is no server of evkit's, --plain may help"
    said = f"evkit rpc call: error: {where}: the server has closed the connection{hint}"
    assert done == Done(3, [], [said])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "add"], "expected host:port"),
        (["unix:", "add"], "expected the path of a unix socket"),
        (["a:0", "add"], "expected a port from 1 to 65535"),
        (["127.0.0.1:1"], "the following arguments are required: METHOD (see evkit rpc call --help)"),
        (["127.0.0.1:1", "add", "--timeout", "0"], "argument -m/--timeout: expected more than 0 seconds"),
        (["127.0.0.1:1", "add", "--loud"], "unrecognized arguments: --loud"),
        (["127.0.0.1:1", "add", "--concurrency", "5"], "--concurrency needs --repeat NUMBER"),
        (["127.0.0.1:1", "add", "--repeat", "0"], "argument --repeat: expected a number from 1 to 999999999"),
        (["127.0.0.1:1", "add", "--repeat", "2", "--notify"], "choose one"),
        (
            ["127.0.0.1:1", "add", "--repeat", "2", "--concurrency", "10001"],
            "expected a number from 1 to 10000",
        ),
        (["127.0.0.1:1", "add", "99999999999999999999"], "expected integers from"),
        (["127.0.0.1:1", "add", "--key", "x"], "--key needs --cert FILE"),
        (
            ["127.0.0.1:1", "add", "--insecure"],
            "tls is for addresses that begin with tls://, got 127.0.0.1:1",
        ),
    ],
)
def test_wrong_usage(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rpc", "call", *words]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("evkit rpc call: error: ")
    assert said in err
    assert err.count("\n") == 1


def test_what_is_no_text_can_not_be_sent(shell: Shell) -> None:
    for words in (
        ["echo", "\udcff"],
        ["\udcff"],
        ["tell", "\udcff", "--notify"],
        ["echo", "\udcff", "--repeat", "2"],
    ):
        done = shell(*words)
        assert (done.status, done.out) == (2, [])
        assert "the call can't be sent: " in done.err[0]


# TLS


def test_by_tls(served: Served, shell: Shell, certificates: Certificates) -> None:
    def set_up() -> Server:
        server = Server(served.thread.base)
        server.register_object(served.service)
        server.bind("127.0.0.1", 0, tls=certificates.server())
        return server

    server = served.thread.call(set_up).result()
    try:
        where = f"tls://localhost:{server.listeners[0].port}"
        assert shell("add", "2", "3", "--cacert", certificates.path("ca"), where=where) == Done(0, ["5"], [])
        assert shell("add", "2", "3", "--insecure", where=where) == Done(0, ["5"], [])
        done = shell("add", "2", "3", where=where)
        assert (done.status, done.out) == (3, [])
        assert "certificate verify failed" in done.err[0]
        long = "x" * (3 << 20)
        assert shell("tell", long, "--notify", "--insecure", where=where) == Done(0, [], [])
        assert served.service.told.get(timeout=PATIENCE) == long
    finally:
        served.thread.call(server.close).result()


# Methods


def test_the_methods(shell: Shell) -> None:
    done = shell(command="methods")
    assert (done.status, done.err) == (0, [])
    begin = done.out.index("add(a: int, b: int) -> int")
    assert done.out[begin : begin + 5] == [
        "add(a: int, b: int) -> int",
        "    Add two numbers.",
        "",
        "    They may be negative.",
        done.out[begin + 4],
    ]
    assert any(line.startswith("count(number: int)") and line.endswith("  (a stream)") for line in done.out)
    (facts,) = shell.json("$/methods")
    done = shell("--json", command="methods")
    assert json.loads(done.out[0]) == facts["result"]
    assert facts["result"]["add"]["doc"] == "Add two numbers.\n\nThey may be negative."


@pytest.mark.parametrize(
    "answer", [5, [1], {"a": 5}, {"a": {"signature": b"x"}}, {"a": {"signature": "a", "doc": 5}}]
)
def test_a_server_that_tells_something_else(
    shell: Shell, answer: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("evkit.rpc.service.service.Service.describe", lambda _self: answer)
        done = shell(command="methods")
    assert (done.status, done.out) == (1, [])
    assert "does not say what can be called, but " in done.err[0]


def test_a_server_that_does_not_know_how_to_tell(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("evkit.rpc.connection.extensions.Extensions.on_request", lambda *_: False)
        done = shell(command="methods")
    said = (
        f"evkit rpc methods: error: {shell.where} does not say what can be called, but no method '$/methods'"
    )
    assert done == Done(1, [], [said])


# Load


def test_a_load(shell: Shell) -> None:
    done = shell("add", "2", "3", "--repeat", "500", "--concurrency", "20")
    assert (done.status, done.err) == (0, [])
    assert done.out[0].startswith("500 done, 0 failed in 0:0")
    assert done.out[1].startswith("time of an answer: min ")
    assert len(done.out) == 2


def test_a_load_with_errors_as_json(shell: Shell) -> None:
    done = shell("refuse", "--repeat", "7", "--json")
    assert (done.status, done.err) == (1, [])
    (facts,) = map(json.loads, done.out)
    assert (facts["calls"], facts["failed"]) == (7, 7)
    assert list(facts["errors"].values()) == [7]
    assert 0 < facts["latency"]["min"] <= facts["latency"]["p50"] <= facts["latency"]["max"]


def test_a_load_that_nobody_answers(shell: Shell) -> None:
    done = shell("hang", "--repeat", "4", "--concurrency", "2", "--timeout", "0.02")
    assert done.status == 3
    assert done.out[1:] == ["4 failed: hang: no answer in 0.02 s"]


def test_a_load_whose_connection_is_lost(shell: Shell, served: Served) -> None:
    done = shell("leave", "--repeat", "1000")
    assert done.status == 3
    assert done.out[0].startswith("1 done, 1 failed in ")
    assert done.err == [
        f"evkit rpc call: error: {served.where}: the server has closed the connection; no more calls were made"
    ]


# As a process of its own


def start(where: str, *words: str, **streams: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-X", "dev", "-m", "evkit", "rpc", "call", where, *words]
    return subprocess.Popen(command, env=os.environ | {"TERM": "xterm"}, **streams)


def read_until(fd: int, ending: bytes) -> bytes:
    seen = b""
    while ending not in seen:
        data = os.read(fd, 4096)
        assert data, seen
        seen += data
    return seen


def read_rest(terminal: int) -> bytes:
    """Read until nobody has the other end any more."""
    seen = b""
    try:
        while data := os.read(terminal, 4096):
            seen += data
    except OSError:  # Linux's word for it
        pass
    return seen


def test_who_reads_a_line_and_goes_ends_it_without_a_word(served: Served) -> None:
    with start(served.where, "count", "1000000", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 1


def test_ctrl_c_ends_a_call_without_a_word(served: Served) -> None:
    served.service.called = threading.Event()
    with start(served.where, "hang", "--plain", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert served.service.called.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE) == (b"", b"")
        assert process.returncode == 130


def test_ctrl_c_while_it_connects_is_without_a_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.settimeout(PATIENCE)
        host, port = deaf.getsockname()
        with start(f"{host}:{port}", "add", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            accepted, _ = deaf.accept()
            with accepted:
                accepted.settimeout(PATIENCE)
                assert b"$/hello" in accepted.recv(4096)
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=PATIENCE) == (b"", b"")
                assert process.returncode == 130


def test_ctrl_c_ends_a_stream_without_a_word(served: Served) -> None:
    with start(
        served.where, "count", "1000000000", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read_until(process.stdout.fileno(), b"1\n")
        process.send_signal(signal.SIGINT)
        while process.stdout.read(1 << 16):
            pass
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 130


def test_a_terminal_shows_progress_and_ctrl_c_tells_what_was_done(served: Served) -> None:
    leader, follower = pty.openpty()
    words = ("add", "1", "1", "--repeat", "99999999", "--concurrency", "10")
    with start(served.where, *words, stdout=subprocess.PIPE, stderr=follower) as process:
        os.close(follower)
        assert process.stdout is not None
        seen = read_until(leader, b" left")  # the line is drawn
        assert b" done, 0 failed, " in seen
        process.send_signal(signal.SIGINT)
        out = process.stdout.read().decode().splitlines()
        assert process.wait(PATIENCE) == 130
    seen += read_rest(leader)
    os.close(leader)
    assert seen.endswith(b" \r")  # what was drawn is taken away
    assert b" in 0:" not in seen
    assert " done, 0 failed in 0:0" in out[0]
    assert out[1].startswith("time of an answer: ")
