"""``evkit serve`` as a process: what it prints, serves and logs, and how it ends."""

import http.client
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit import __version__, supported_methods
from evkit.http.parser import engines
from patience import PATIENCE
from running import Program, port_in

APP = """
import sys

PIECE = bytes(65536)

def hello(request):
    request.send_reply(200, f"{request.method} {request.target}")

def echo(request):
    request.send_reply(200, request.body)

def fail(request):
    raise ValueError("on purpose")

def hang(request):
    print("in", flush=True)
    while True:
        pass

class Stream:
    def __init__(self, request, pieces):
        self.request, self.left = request, pieces
        request.send_reply_start(200, [("Content-Length", str(pieces * len(PIECE)))])
        self.send()

    def send(self):
        if self.left:
            self.left -= 1
            self.request.send_reply_chunk(PIECE, self.send)
        else:
            self.request.send_reply_end()

def slow(request):
    Stream(request, 512)
"""
SLOW_SIZE = 512 * 65536
"""Bytes: more than the sockets of a connection hold, so the reply lasts until the client has read it."""

Slow = tuple[Program, http.client.HTTPConnection, http.client.HTTPResponse]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.txt").write_text("a file\n")
    (tmp_path / "site" / ".secret").write_text("hidden\n")
    return tmp_path


def serve(here: Path, *arguments: str) -> Program:
    return Program("-m", "evkit", "serve", *arguments, cwd=here, PYTHONDONTWRITEBYTECODE="1")


def serve_anywhere(here: Path, *arguments: str) -> Program:
    return serve(here, "--bind", "127.0.0.1:0", *arguments)


def client_of(program: Program) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port_in(program.err.next()), timeout=PATIENCE)


def get(
    client: http.client.HTTPConnection, target: str, method: str = "GET", body: bytes = b""
) -> tuple[int, bytes]:
    client.request(method, target, body=body or None)
    reply = client.getresponse()
    return reply.status, reply.read()


def end(program: Program, number: int = signal.SIGINT, status: int = 0) -> None:
    program.signal(number)
    assert program.err.next() == "evkit: stopping; replies under way have 10 s (once more stops at once)"
    assert program.wait() == status


@pytest.fixture
def slow(here: Path) -> Iterator[Slow]:
    """A server in the middle of a reply, whose client has read the head only."""
    with serve_anywhere(here, "app:slow") as program:
        client = client_of(program)
        client.request("GET", "/")
        yield program, client, client.getresponse()
        client.close()


def test_a_folder(here: Path) -> None:
    with serve_anywhere(here, "site") as program:
        client = client_of(program)
        assert program.err.seen == [
            f"evkit {__version__} serving {here / 'site'} on http://127.0.0.1:{client.port} (Ctrl-C stops)"
        ]
        assert get(client, "/a.txt") == (200, b"a file\n")
        status, listing = get(client, "/")
        assert status == 200
        assert b"a.txt" in listing
        assert get(client, "/.secret")[0] == 404
        assert get(client, "/../app.py")[0] in (400, 404)
        client.close()
        end(program)


def test_the_current_folder_without_listing_and_with_hidden_files(here: Path) -> None:
    with serve_anywhere(here / "site", "--no-listing", "--hidden") as program:
        client = client_of(program)
        assert get(client, "/")[0] == 404
        assert get(client, "/.secret") == (200, b"hidden\n")
        client.close()
        end(program)


@pytest.mark.parametrize("engine", list(engines))
@pytest.mark.parametrize("backend", supported_methods())
def test_a_callable(here: Path, engine: str, backend: str) -> None:
    with serve_anywhere(here, "app:hello", "--engine", engine, "--backend", backend) as program:
        client = client_of(program)
        assert f" serving app:hello on http://127.0.0.1:{client.port} " in program.err.seen[0]
        assert get(client, "/x?y=z") == (200, b"GET /x?y=z")
        client.close()
        end(program, signal.SIGTERM)


def test_several_addresses(here: Path) -> None:
    path = here / "s.sock"
    with serve(
        here, "--bind=127.0.0.1:0", f"--bind=unix:{path}", "--bind=127.0.0.1:0", "app:hello"
    ) as program:
        first = client_of(program)
        assert program.err.next().endswith(f" serving app:hello on unix:{path} (Ctrl-C stops)")
        second = client_of(program)
        assert first.port != second.port
        assert get(first, "/1") == (200, b"GET /1")
        assert get(second, "/2") == (200, b"GET /2")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(path))
            sock.sendall(b"GET /3 HTTP/1.0\r\n\r\n")
            assert b"".join(iter(lambda: sock.recv(65536), b"")).endswith(b"\r\n\r\nGET /3")
        for client in (first, second):
            client.close()
        end(program)
    assert not path.exists()


def test_the_access_log_on_standard_output(here: Path) -> None:
    with serve_anywhere(here, "app:echo", "--access-log", "--limit-body", "1K") as program:
        client = client_of(program)
        get(client, "/a?b=%22", "POST", b"12345")
        line = program.out.next()
        assert line.startswith("127.0.0.1 - - [")
        assert '] "POST /a?b=%22 HTTP/1.1" 200 5 ' in line
        assert float(line.rpartition(" ")[2]) >= 0
        assert get(client, "/big", "PUT", bytes(1025))[0] == 413
        assert '] "PUT /big HTTP/1.1" 413 ' in program.out.next()
        client.close()
        with socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock:
            sock.sendall(b'GET /"\nforged HTTP/1.1\r\n\r\n')
            assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")
            assert program.out.next().endswith('] "-" 400 - -')
        end(program)
        assert program.out.rest() == []


def test_the_access_log_in_a_file(here: Path) -> None:
    log = here / "access.log"
    log.write_text("a line of before\n")
    with serve_anywhere(here, "--access-log", str(log), "app:hello") as program:
        client = client_of(program)
        for number in range(3):
            get(client, f"/{number}")
        client.close()
        end(program)
        assert program.out.rest() == []
    lines = log.read_text().splitlines()
    assert lines[0] == "a line of before"
    assert [line.split()[6] for line in lines[1:]] == ["/0", "/1", "/2"]


def test_a_log_that_nobody_reads_any_more_stops_no_reply(here: Path) -> None:
    with serve_anywhere(here, "app:hello", "--access-log") as program:
        client = client_of(program)
        assert program.process.stdout is not None
        program.process.stdout.close()
        program.process.stdout = None
        for _ in range(3):
            assert get(client, "/")[0] == 200
        client.close()
        program.signal(signal.SIGINT)
        assert program.process.wait(PATIENCE) == 0
        lines = program.err.rest()
        assert sum("writing the access log failed: Broken pipe" in line for line in lines) == 1
        assert not any("Traceback" in line or "Exception" in line for line in lines)


def test_limits_reach_the_server(here: Path) -> None:
    arguments = ("--limit-target=20", "--limit-fields=3", "--timeout-keep-alive=0")
    with serve_anywhere(here, "app:hello", *arguments) as program:
        port = client_of(program).port
        for request, status in (
            (b"GET /" + bytes(b"x" * 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
            (b"GET / HTTP/1.1\r\nHost: a\r\na: b\r\nc: d\r\ne: f\r\n\r\n", b"431"),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"200"),  # and closes, as nothing may be idle
        ):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
                sock.sendall(request)
                reply = b"".join(iter(lambda: sock.recv(65536), b""))
                assert reply.startswith(b"HTTP/1.1 " + status)
        end(program)


def test_a_handler_that_fails_is_a_500_and_a_traceback_in_the_log(here: Path) -> None:
    with serve_anywhere(here, "app:fail") as program:
        client = client_of(program)
        assert get(client, "/")[0] == 500
        client.close()
        program.signal(signal.SIGTERM)
        assert program.process.wait(PATIENCE) == 0
        assert "ValueError: on purpose" in program.err.rest()


def test_the_first_signal_lets_a_reply_finish(slow: Slow) -> None:
    program, client, reply = slow
    program.signal(signal.SIGTERM)
    assert program.err.next().startswith("evkit: stopping; ")
    assert len(reply.read()) == SLOW_SIZE
    client.close()
    assert program.wait() == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_stops_at_once(slow: Slow, number: int, status: int) -> None:
    program, _, reply = slow
    program.signal(signal.SIGTERM)
    assert program.err.next().startswith("evkit: stopping; ")
    program.signal(number)
    assert program.wait() == status
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        reply.read()


def test_replies_are_cut_off_when_the_grace_is_over(here: Path) -> None:
    with serve_anywhere(here, "app:slow", "--timeout-grace", "0") as program:
        client = client_of(program)
        client.request("GET", "/")
        client.getresponse()
        program.signal(signal.SIGTERM)
        assert program.err.next() == "evkit: stopping; replies under way have 0 s (once more stops at once)"
        assert program.wait() == 0
        client.close()


def test_a_handler_that_never_returns_can_be_stopped(here: Path) -> None:
    with serve_anywhere(here, "app:hang") as program:
        port = port_in(program.err.next())
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert program.out.next() == "in"
            program.signal(signal.SIGINT)
            assert program.err.next().startswith("evkit: stopping; ")
            program.signal(signal.SIGINT)
            assert program.wait() == 130


def test_ctrl_c_while_the_module_is_imported(here: Path) -> None:
    (here / "slow_import.py").write_text("print('in', flush=True)\nwhile True: pass\n")
    with serve_anywhere(here, "slow_import:x") as program:
        assert program.out.next() == "in"
        program.signal(signal.SIGINT)
        assert program.wait() == 130
        assert program.err.seen == []


def test_a_socket_that_a_dead_server_left_is_replaced(here: Path) -> None:
    path = here / "s.sock"
    with serve(here, f"--bind=unix:{path}", "app:hello") as program:
        program.err.next()
        program.signal(signal.SIGKILL)
        program.process.wait(PATIENCE)
    assert path.exists()
    with serve(here, f"--bind=unix:{path}", "app:hello") as program:
        assert f" on unix:{path} " in program.err.next()
        end(program)
    assert not path.exists()
