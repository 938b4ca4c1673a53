"""Runs a program of ours as a process of its own, and reads its lines with a deadline in place of a wait."""

import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from patience import PATIENCE


class Lines:
    """The lines of a pipe."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._rest = b""
        self.seen: list[str] = []

    def next(self) -> str:
        """Return the next line, without its end."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._rest:
            data = self._read(deadline)
            assert data, f"the program ended after {self.seen!r} and {self._rest!r}"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        self.seen.append(line.decode())
        return self.seen[-1]

    def rest(self) -> list[str]:
        """Return all lines until the end of the program."""
        deadline = time.monotonic() + PATIENCE
        while data := self._read(deadline):
            self._rest += data
        lines = self._rest.decode().splitlines()
        self._rest = b""
        self.seen += lines
        return lines

    def _read(self, deadline: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            ready = selector.select(max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing came for {PATIENCE} s after {self.seen!r} and {self._rest!r}"
        return os.read(self._pipe.fileno(), 65536)


class Program:
    """A process under test; killed at the end of the ``with`` block if it still runs.

    What ``pass_fds`` names it inherits.
    """

    def __init__(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        **environment: str,
    ) -> None:
        command = [sys.executable, "-X", "dev", *map(str, arguments)]
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=os.environ | environment,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.out = Lines(self.process.stdout)
        self.err = Lines(self.process.stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the exit status; nothing that the program said is a warning of Python's or a traceback."""
        status = self.process.wait(PATIENCE)
        self.err.rest()
        text = "\n".join(self.err.seen)
        assert "Traceback" not in text, text
        assert "Warning" not in text, text
        return status


def port_in(line: str) -> int:
    """Return the port of the address in a line such as ``… on http://127.0.0.1:8080 (Ctrl-C stops)``."""
    match = re.search(r"127\.0\.0\.1:([0-9]+)", line)
    assert match is not None, line
    return int(match[1])


def run_evkit(
    arguments: Sequence[str], cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``evkit`` to its end."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-m", "evkit", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
