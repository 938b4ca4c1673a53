"""The access log of a process that serves: rotated, in JSON, and read by nobody."""

import http.client
import json
import signal
import socket
from pathlib import Path

import pytest

from patience import PATIENCE
from running import Program, port_in, run_evkit

APP = """
def hello(request):
    request.send_reply(200, b"hello")
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def serve(here: Path, *arguments: str) -> Program:
    return Program(
        "-m",
        "evkit",
        "serve",
        "--bind=127.0.0.1:0",
        "app:hello",
        *arguments,
        cwd=here,
        PYTHONDONTWRITEBYTECODE="1",
    )


def client_of(program: Program) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port_in(program.err.next()), timeout=PATIENCE)


def get(client: http.client.HTTPConnection, target: str) -> None:
    client.request("GET", target)
    reply = client.getresponse()
    assert (reply.status, reply.read()) == (200, b"hello")


def end(program: Program) -> None:
    program.signal(signal.SIGTERM)
    assert program.wait() == 0


def test_a_log_that_is_rotated(here: Path) -> None:
    log, old = here / "log", here / "log.1"
    with serve(here, "--access-log=log", "--access-log-format={target}") as program:
        client = client_of(program)
        get(client, "/1")
        log.rename(old)
        program.signal(signal.SIGHUP)
        count = 0
        while not log.exists():  # the reply is no sign that the thread of the log has done its part
            get(client, "/2")
            count += 1
            assert count < 1_000_000
        get(client, "/3")
        client.close()
        end(program)
    lines = old.read_text().splitlines() + log.read_text().splitlines()
    assert lines == ["/1", *["/2"] * count, "/3"]
    assert old.read_text().startswith("/1\n")
    assert log.read_text().endswith("/3\n")


def test_json_on_standard_output(here: Path) -> None:
    with serve(here, "--access-log", "--access-log-format=json") as program:
        client = client_of(program)
        get(client, "/%C3%A9")
        line = json.loads(program.out.next())
        assert (line["target"], line["status"], line["bytes"]) == ("/%C3%A9", 200, 5)
        with socket.create_connection(("127.0.0.1", client.port), PATIENCE) as sock:
            sock.sendall(b"\xff\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")
        line = json.loads(program.out.next())
        assert (line["target"], line["status"]) == (None, 400)
        client.close()
        end(program)


def test_a_log_that_nobody_reads_stops_no_reply(here: Path) -> None:
    """The pipe of standard output holds 64 KiB, and the log 1 MiB: of 200 requests each line is 8 KB."""
    with serve(here, "--access-log") as program:
        client = client_of(program)
        for _ in range(200):
            get(client, "/" + "x" * 8000)
        assert program.err.next() == (
            "evkit serve: the access log is written too slowly; lines are dropped until it keeps up"
        )
        client.close()
        program.signal(signal.SIGTERM)
        assert program.err.next().startswith("evkit: stopping; ")
        lines = program.out.rest()
        assert program.wait() == 0
    assert 64 < len(lines) < 200
    assert all(line.count("GET /x") == 1 for line in lines)


def test_a_wrong_format(here: Path) -> None:
    run = run_evkit(["serve", "--access-log", "--access-log-format", "{statuss}", "app:hello"], cwd=here)
    assert run.returncode == 2
    assert "--access-log-format: a log format knows no {statuss}; did you mean {status}?" in run.stderr
    assert run.stderr.count("\n") == 1
