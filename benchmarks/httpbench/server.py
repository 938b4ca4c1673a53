"""One server under test: started, waited for, proved to answer rightly, stopped with all its children.

It must never know what is measured while the server runs.
"""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from httpbench.load import Case
from httpbench.peers import Peer, Site, environment

HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5.0
_REPLY_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.02
_LOG_TAIL: Final = 400


class ServerError(Exception):
    """A server did not start, or died."""


class WrongAnswer(Exception):  # noqa: N818 - what the server gave
    """A server's reply is not the one that was asked for: its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts connections.

    Attributes:
        pid: The top of its process tree.
        port: On `HOST`.
    """

    pid: int
    port: int


def free_port() -> int:
    """Find a port that nobody listens on at the moment."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _last_words(log: Path) -> str:
    """Take the last line of a log, where a traceback has its message; the file itself keeps the rest."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip()[-_LOG_TAIL:] for line in reversed(lines) if line.strip()), "without a word")


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _accepts(port):
        if process.poll() is not None:
            raise ServerError(f"ended with {process.returncode}: {_last_words(log)}")
        if time.monotonic() > deadline:
            raise ServerError(f"does not listen after {_START_SECONDS:.0f} s; see {log}")
        time.sleep(_POLL_SECONDS)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the server; what is left of its own session after the time-out is killed."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


@contextmanager
def running(peer: Peer, site: Site, core: int) -> Iterator[RunningServer]:
    """Run a server, pinned to one processor, for the length of a ``with`` block.

    Args:
        peer: Which one; it was prepared.
        site: Where its files are.
        core: The processor that it and all its threads and children run on.

    Raises:
        ServerError: it ended or did not listen in time.
    """
    port = free_port()
    log = site.build / f"{peer.name}.log"
    command = ["taskset", "-c", str(core), *peer.command(site, port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(site),
            start_new_session=True,  # one process group for _stop
        )
    try:
        _wait_until_up(process, port, log)
        yield RunningServer(process.pid, port)
    finally:
        _stop(process)


def wrong_with(case: Case, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> str | None:
    """Say what is wrong with a reply to ``case``; None when it is right.

    Args:
        case: What was asked.
        status: The reply's status code.
        headers: Its headers, names in any case.
        body: Its content.
    """
    fields = {name.lower(): value for name, value in headers}
    if status != 200:
        return f"status {status} instead of 200"
    if body != case.body:
        return f"a body of {len(body)} bytes that begins {body[:20]!r}, expected {len(case.body)}"
    if fields.get("content-length") != str(len(case.body)):
        return f"Content-Length {fields.get('content-length')!r} instead of {len(case.body)}"
    if case.path == "/" and not fields.get("content-type", "").startswith("text/plain"):
        return f"Content-Type {fields.get('content-type')!r} instead of text/plain"
    if fields.get("connection", "").lower() == "close":
        return "Connection: close"
    return None


def _check_pair(case: Case, port: int) -> list[tuple[str, str]]:
    connection = http.client.HTTPConnection(HOST, port, timeout=_REPLY_SECONDS)
    headers: list[tuple[str, str]] = []
    try:
        connection.connect()
        first_socket = connection.sock
        for _ in range(2):
            connection.request("GET", case.path, headers=dict(case.headers))
            reply = connection.getresponse()
            headers = reply.getheaders()
            if fault := wrong_with(case, reply.status, headers, reply.read()):
                raise WrongAnswer(fault)
        if connection.sock is not first_socket:
            raise WrongAnswer("the connection was not kept alive")
    finally:
        connection.close()
    return headers


def _check_pipelined(case: Case, port: int) -> None:
    request = f"GET {case.path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
    received = b""
    with socket.create_connection((HOST, port), timeout=_REPLY_SECONDS) as sock:
        sock.sendall(request * case.depth)
        while received.count(case.body) < case.depth:
            data = sock.recv(65536)
            if not data:
                raise WrongAnswer(f"{received.count(case.body)} of {case.depth} pipelined requests answered")
            received += data


def check(case: Case, port: int) -> list[tuple[str, str]]:
    """Put a case to a server and compare what comes back: twice on one connection, and pipelined if it is.

    Returns:
        The reply's headers, so that the report can show in what the servers' replies differ.

    Raises:
        WrongAnswer: the reply is wrong or did not come.
    """
    try:
        headers = _check_pair(case, port)
        if case.depth > 1:
            _check_pipelined(case, port)
    except (OSError, http.client.HTTPException) as exc:
        raise WrongAnswer(f"no reply: {exc!r}") from exc
    return headers
