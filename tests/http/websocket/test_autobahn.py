"""Autobahn's cases, run by kosoku against evkit in both roles.

Not here are the cases of group 9, which measure, and nearly all of 12 and 13 (a thousand messages each): a few of them
stand for the rest. They pass, too: benchmarks/README.md tells how to run everything.
"""

import importlib.util
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evkit import EventBase, SocketBufferEvent
from evkit.http import Headers, Server
from evkit.http.websocket import ClientHandshake, Deflate, WebSocket, WebSocketOptions, open_client, upgrade
from http_server_aids import served
from running import Lines

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(importlib.util.find_spec("kosoku") is None, reason="kosoku is not installed"),
]

# kosoku takes a text that is not compressed for bytes where compression was agreed upon: everything is compressed.
OPTIONS = WebSocketOptions(
    max_message=1 << 24,
    max_buffered=None,
    deflate=Deflate(server_max_window_bits=15, client_max_window_bits=15, min_size=0),
)
assert OPTIONS.deflate is not None
# Some cases are for clients that offer this.
OF_CLIENT = replace(OPTIONS, deflate=replace(OPTIONS.deflate, client_no_context_takeover=True))
PROGRAM = Path(__file__).parents[2] / "autobahn.py"
QUICK = ["9.1.1", "9.2.1", "9.3.1", "9.4.1", "9.5.1", "9.6.1", "9.7.1", "9.8.1", "9.5.6", "9.6.6"]
QUICK += ["12.1.1", "12.2.2", "12.3.1", "12.4.1", "12.5.1", "12.1.11"]
ROUGH = ["13.1.1", "13.2.1", "13.3.2", "13.4.1", "13.5.1", "13.6.1", "13.7.1"]
CASES = [*(f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 10)), *QUICK, *ROUGH]
COUNT = 270
FINE = {"OK", "INFORMATIONAL"}


@contextmanager
def kosoku(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, str(PROGRAM), *arguments, *CASES]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def check(line: str | bytes) -> None:
    """Read the last line of kosoku: everything was run, and went well."""
    results = json.loads(line)
    assert [each for each in results if not {each[1], each[2]} <= FINE] == []
    assert len(results) == COUNT


def test_as_a_server() -> None:
    def set_up(server: Server) -> None:
        server.set_gencb(lambda request: upgrade(request, lambda ws, data: ws.send(data), options=OPTIONS))

    with served(set_up) as site, kosoku("client", f"ws://127.0.0.1:{site.address[1]}/") as process:
        check(process.communicate(timeout=300)[0])


class Runner:
    """Asks a fuzzing server for some cases at a time, and echoes: a few end by a time-out of the server's."""

    AT_ONCE = 8

    def __init__(self, port: int) -> None:
        self.port = port
        self.base = EventBase()
        self.count = 0
        self.case = 0
        self.running = 0
        self.escaped: list[Exception] = []
        self.base.exception_handler = lambda exception, _source: self.escaped.append(exception)

    def run(self) -> None:
        self.dial("/getCaseCount", self.on_count, self.start)
        self.base.dispatch()
        self.base.close()

    def on_count(self, ws: WebSocket, data: str | bytes) -> None:
        self.count = int(data)

    def start(self, *_ended: object) -> None:
        for _ in range(self.AT_ONCE):
            self.next_case()

    def next_case(self) -> None:
        self.case += 1
        if self.case <= self.count:
            self.running += 1
            path = f"/runCase?case={self.case}&agent=evkit"
            self.dial(path, lambda ws, data: ws.send(data), self.on_end)
        elif not self.running:
            self.dial("/updateReports?agent=evkit", lambda ws, data: None, lambda *_: None)

    def on_end(self, *_ended: object) -> None:
        self.running -= 1
        self.next_case()

    def dial(self, path: str, on_message: Any, on_close: Any) -> None:
        sock = socket.create_connection(("127.0.0.1", self.port), 20)
        handshake = ClientHandshake(deflate=OF_CLIENT.deflate)
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name}: {value}" for name, value in handshake.fields]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # byte by byte, as what follows is not ours
            head += sock.recv(1)
        first, _, fields = head[:-2].partition(b"\r\n")
        bev = SocketBufferEvent(self.base, sock)
        status = int(first.split()[1])
        open_client(
            bev, handshake, status, Headers.from_raw(fields), on_message, on_close=on_close, options=OF_CLIENT
        )


def test_as_a_client() -> None:
    with kosoku("server") as process:
        assert process.stdout is not None
        lines = Lines(process.stdout)
        runner = Runner(int(lines.next()))
        runner.run()
        check(lines.next())
    assert runner.escaped == []
