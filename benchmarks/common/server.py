"""One server under test: started on a processor of its own, waited for, stopped with all its children.

It must never know what the server serves, nor what is measured while it runs.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_LOG_TAIL: Final = 400


class ServerError(Exception):
    """A server did not start, or died."""


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


def last_words(text: str) -> str:
    """Take the last line of what a program wrote, where a traceback has its message."""
    lines = reversed(text.split("\n"))
    return next((line.strip()[-_LOG_TAIL:] for line in lines if line.strip()), "without a word")


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _accepts(port):
        if process.poll() is not None:
            raise ServerError(
                f"ended with {process.returncode}: {last_words(log.read_text(errors='replace'))}"
            )
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
def running(
    command: Sequence[str],
    *,
    port: int,
    core: int | None,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningServer]:
    """Run a server for the length of a ``with`` block.

    Args:
        command: Its command line.
        port: The port on `HOST` that the command tells it to listen on.
        core: The processor that it and all its threads and children run on; ``None``: all that there are.
        log: The file that gets all it writes.
        environment: Its environment; ``None``: today's.

    Raises:
        ServerError: it ended or did not listen in time.
    """
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*pinned, *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # one process group for _stop
        )
    try:
        _wait_until_up(process, port, log)
        yield RunningServer(process.pid, port)
    finally:
        _stop(process)
