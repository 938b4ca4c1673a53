"""Who is compared, by which program in which case, and whether it can run here; and the server that clients ask.

It must never know how a program is measured. The programs are in ``peers/client/``; benchmarks/README.md tells what
they do and what is timed.
"""

import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from common.programs import C_ADVICE, commit, compile_c, distributions, run
from common.server import free_port, running
from corebench.cases import Case

_PEERS: Final = Path(__file__).parents[1] / "peers"

VERSIONS: Final[Mapping[str, Callable[[], str]]] = {
    "bare": lambda: f"Python {platform.python_version()}",
    "evkit": lambda: distributions("evkit") + commit(),
    "aiohttp": lambda: distributions("aiohttp"),
    "aiohttp-uvloop": lambda: distributions("aiohttp", "uvloop"),
    "httpx": lambda: distributions("httpx"),
}
"""Peer → its version; raises `common.programs.PeerMissing`."""

_IN: Final[Mapping[str, frozenset[str]]] = {
    "requests": frozenset(VERSIONS),
    "download": frozenset({"bare", "evkit", "aiohttp", "aiohttp-uvloop"}),
    "upload": frozenset({"bare", "evkit"}),
}


def peers_of(case: Case) -> list[str]:
    """List the peers that are compared in ``case``."""
    return [peer for peer in VERSIONS if peer in _IN[case.program]]


def command(case: Case, peer: str, port: int) -> list[str]:
    """Return the command line of a peer, but for the arguments of the case.

    Args:
        case: The work.
        peer: One of `peers_of` it.
        port: That of the server that clients ask.
    """
    name, _, loop = peer.partition("-")
    program = str(_PEERS / "client" / f"{case.program}_{name}.py")
    return [sys.executable, program, "--port", str(port), *(("--loop", loop) if loop else ())]


def prepare_server(build: Path) -> str:
    """Build the server that clients ask, libevent's ``evhttp``, and return its version.

    Raises:
        PeerMissing: it can't be built.
    """
    return "libevent " + run([compile_c(_PEERS / "evhttp_server.c", build), "--version"], C_ADVICE)


@contextmanager
def serving(build: Path, mib: int, core: int) -> Iterator[int]:
    """Run the server for the length of a ``with`` block, and give its port.

    Args:
        build: The folder that it was built in; the file that it serves is made there, and goes away again.
        mib: The file's size; it has a hole in place of data, so that no disk has to be read.
        core: The processor that it runs on.

    Raises:
        ServerError: it ended or did not listen in time.
    """
    file = build / "download.bin"
    with file.open("wb") as made:
        made.truncate(mib << 20)
    port = free_port()
    command = [str(build / "evhttp_server"), str(port), str(file)]
    try:
        with running(command, port=port, core=core, log=build / "client-evhttp.log"):
            yield port
    finally:
        file.unlink()
