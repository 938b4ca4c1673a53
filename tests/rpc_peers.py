"""Real peers of MessagePack-RPC on this machine: Neovim, and programs on lua-mpack, Go, aio-msgpack-rpc and pynvim.

Neovim is started once a session, and listens on a free port of 127.0.0.1 and on a unix socket. The programs are in
``rpc_peers/``; a test starts them anew, and they end with it. All choose their ports themselves, so that suites can run
side by side. They need no root and no internet, and a test that asks for one that is not installed is skipped.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from evkit.core import EV_PERSIST, EV_READ, Event, EventBase, Future
from patience import PATIENCE
from running import Lines

_SOURCES: Final = Path(__file__).parent / "rpc_peers"
_GO_PATH: Final = "/usr/share/gocode"
"""Where Debian has the sources of Go's libraries."""
_CODEC: Final = Path(_GO_PATH, "src/github.com/ugorji/go/codec")
_SAY_WHERE: Final = "lua io.stdout:write(table.concat(vim.fn.serverlist(), ' '), '\\n') io.stdout:flush()"


@dataclass(frozen=True)
class Neovim:
    """A Neovim that listens.

    Attributes:
        address: On 127.0.0.1, with its port.
        path: Of its unix socket.
    """

    address: str
    path: str


class Peer:
    """A program that runs.

    Attributes:
        process: The program, its output a pipe.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        assert process.stdout is not None
        self._output = process.stdout
        self._lines = Lines(process.stdout)

    def line(self) -> str:
        """Wait for its next line."""
        return self._lines.next()

    def said(self, base: EventBase) -> list[str]:
        """Run the base until the program has said all; return the lines that `line` has not."""
        ended: Future[bytes] = Future(base)
        said = bytearray()

        def on_output(event: Event, _what: int) -> None:
            data = os.read(self._output.fileno(), 65536)
            said.extend(data)
            if not data:
                event.delete()
                ended.set_result(bytes(said))

        base.event(self._output, EV_READ | EV_PERSIST, on_output).add()
        return ended.result(PATIENCE).decode().splitlines()


Start = Callable[..., AbstractContextManager[Peer]]
"""Starts a program with further arguments; it is stopped at the end of the block."""


@pytest.fixture(scope="session", name="neovim")
def make_neovim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neovim]:
    """One that reads nobody's configuration."""
    program = _program("nvim", "neovim")
    folder = tmp_path_factory.mktemp("neovim")
    command = [program, "--clean", "--headless", "--listen", str(folder / "socket")]
    command += ["--cmd", "call serverstart('127.0.0.1:0')", "-c", _SAY_WHERE]
    home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "XDG_CACHE_HOME": str(folder)}
    with speaking(*command, **home, LC_ALL="C") as peer:
        path, address = peer.line().split()
        yield Neovim(address, path)


@pytest.fixture(scope="session", name="lua_peer")
def make_lua_peer() -> Start:
    """``listen`` says its port and serves one connection after the other; ``connect PORT`` serves one."""
    program = _program("lua5.1", "lua5.1")
    if subprocess.run([program, "-e", "require('mpack') require('socket')"], check=False).returncode:
        pytest.skip("needs mpack and socket of Lua 5.1 (Debian packages lua-mpack, lua-socket)")
    return lambda *arguments: speaking(program, str(_SOURCES / "peer.lua"), *arguments)


@pytest.fixture(scope="session", name="go_peer")
def make_go_peer(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Start:
    """``listen`` says its port and serves; ``connect PORT`` calls, and says what it got.

    It is built here, which takes seconds, unless the build cache beside pytest's own has it.
    """
    program = _program("go", "golang-go")
    if not _CODEC.is_dir():
        pytest.skip("needs ugorji's codec (Debian package golang-github-ugorji-go-codec-dev)")
    peer = str(tmp_path_factory.mktemp("go") / "peer")
    environment = {
        "GO111MODULE": "off",
        "GOPATH": _GO_PATH,
    }  # with cgo, as it is: Debian has compiled the rest so
    cache = getattr(pytestconfig, "cache", None)  # which pytest may be told not to have
    environment["GOCACHE"] = str(cache.mkdir("go-build") if cache else tmp_path_factory.mktemp("go-build"))
    command = [program, "build", "-o", peer, str(_SOURCES / "peer.go")]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=300)
    return lambda *arguments: speaking(peer, *arguments)


@pytest.fixture(scope="session", name="aio_peer")
def make_aio_peer() -> Start:
    """``listen`` says its port and serves; ``connect PORT`` calls, and says what it got."""
    return _python_peer("aio_msgpack_rpc", "aio_peer.py")


@pytest.fixture(scope="session", name="pynvim_client")
def make_pynvim_client() -> Start:
    """Takes the server on a port for a Neovim, and says what it got."""
    return _python_peer("pynvim", "pynvim_client.py")


def _python_peer(module: str, source: str) -> Start:
    """Have it in a process of its own, where what it leaves open is no warning of ours."""
    if find_spec(module) is None:
        pytest.skip(f"needs {module} (python -m pip install {module.replace('_', '-')})")
    return lambda *arguments: speaking(sys.executable, str(_SOURCES / source), *arguments)


def _program(name: str, package: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"needs {name} (Debian package {package})")
    return program


@contextmanager
def speaking(*command: str, **environment: str) -> Iterator[Peer]:
    """Run a program for the length of the block."""
    process = subprocess.Popen(
        [*_with_us(), *command],
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that a signal for the tests is none for it
    )
    try:
        yield Peer(process)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()


def _with_us() -> list[str]:
    """Let it end with the tests, however they end."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
