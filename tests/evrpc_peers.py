"""libevent itself, in two programs of C that are built here: its event_tagging, and a peer of its evrpc.

They need a compiler and libevent's headers; a test that asks for one where there are none is skipped.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Final

import pytest

from rpc_peers import Peer, speaking

_SOURCES: Final = Path(__file__).parent / "evrpc_peer"


class Libevent:
    """libevent's event_tagging: see ``evrpc_peer/tags.c``."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin: IO[bytes] = process.stdin
        self._stdout: IO[bytes] = process.stdout

    def put_together(self, what: str, tag: int, value: int | bytes) -> bytes:
        """Return what one of the functions writes that write."""
        return _as_bytes(self._ask(what, tag, value))

    def take_apart(self, what: str, tag: int, data: bytes) -> tuple[int, bytes, int] | None:
        """Return the number, the data, and the bytes left over; None where it fails."""
        answer = self._ask(what, tag, data)
        if answer == "-1":
            return None
        number, found, left = answer.split()
        return int(number), _as_bytes(found), int(left)

    def _ask(self, what: str, tag: int, value: int | bytes) -> str:
        told = (value.hex() or "-") if isinstance(value, bytes) else str(value)
        self._stdin.write(f"{what} {tag} {told}\n".encode())
        self._stdin.flush()
        answer = self._stdout.readline()
        assert answer, f"libevent did not outlive {what} {tag} {told}"
        return answer.decode().rstrip("\n")


def _as_bytes(told: str) -> bytes:
    return b"" if told == "-" else bytes.fromhex(told)


@pytest.fixture(scope="session", name="libevent")
def make_libevent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Libevent]:
    """One for all tests: it keeps nothing from one request to the next."""
    program = _build("tags", tmp_path_factory)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Libevent(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


@pytest.fixture(scope="session", name="evrpc_peer")
def make_evrpc_peer(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AbstractContextManager[Peer]]:
    """``listen`` says its port and serves; ``connect PORT TEXT NUMBER`` calls, and says what it got."""
    program = _build("echo", tmp_path_factory)
    return lambda *arguments: speaking(program, *arguments)


def _build(name: str, folders: pytest.TempPathFactory) -> str:
    program = str(folders.mktemp(name) / name)
    compiler = os.environ.get("CC", "gcc")
    command = [compiler, "-O1", "-Wall", "-o", program, str(_SOURCES / f"{name}.c"), "-levent"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"needs {compiler} (Debian packages gcc, libevent-dev)")
    if "event2/" in done.stderr and done.returncode:
        pytest.skip("needs libevent's headers (Debian package libevent-dev)")
    assert (done.returncode, done.stderr) == (0, "")
    return program
