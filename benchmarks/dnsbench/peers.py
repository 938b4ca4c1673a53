"""Who is compared, by which program in which case, and whether it can run here; and the name server that all ask.

It must never know how a program is measured. The programs are in ``peers/dns/``; benchmarks/README.md tells what they
do and what is timed.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from common.programs import C_ADVICE, PeerMissing, commit, compile_c, distributions, run
from common.server import free_port, running
from corebench.cases import Case
from corebench.peers import PROGRAMS as CORE

from dnsbench.zone import write_files

_PEERS: Final = Path(__file__).parents[1] / "peers" / "dns"
_ADVICE: Final = "apt-get install nsd"
_SBIN: Final = "/usr/sbin"
_WARM_UP: Final = 500
"""Names that each program asks for before those that count."""


def _libevent_version(build: Path) -> str:
    return "libevent " + run([compile_c(CORE / "version_libevent.c", build)], C_ADVICE)


VERSIONS: Final[Mapping[str, Callable[[Path], str]]] = {
    "evdns": _libevent_version,
    "evkit": lambda _: distributions("evkit") + commit(),
    "aiodns": lambda _: distributions("aiodns", "pycares"),
    "aiodns-uvloop": lambda _: distributions("aiodns", "pycares", "uvloop"),
    "pycares": lambda _: distributions("pycares"),
    "dnspython": lambda _: distributions("dnspython"),
}
"""Peer → its version, given where to build; raises `PeerMissing`."""


def peers_of(case: Case) -> list[str]:
    """List the peers that are compared in ``case``."""
    return list(VERSIONS) if case.program == "lookups" else ["evkit"]


def command(case: Case, peer: str, port: int, build: Path) -> list[str]:
    """Return the command line of a peer, but for the arguments of the case.

    Args:
        case: The work.
        peer: One of `peers_of` it.
        port: That of the name server.
        build: The folder that C programs are built in.

    Raises:
        PeerMissing: it can't be built.
    """
    name, _, loop = peer.partition("-")
    source = _PEERS / f"{case.program}_{name}"
    if peer == "evdns":
        return [compile_c(source.with_suffix(".c"), build), "--port", str(port)]
    return [
        sys.executable,
        str(source.with_suffix(".py")),
        "--port",
        str(port),
        *(("--loop", loop) if loop else ()),
    ]


def find_server() -> str:
    """Find the name server that all ask, NSD.

    Raises:
        PeerMissing: it is not installed.
    """
    program = shutil.which("nsd") or shutil.which("nsd", path=_SBIN)
    if program is None:
        raise PeerMissing(f"nsd not found; {_ADVICE}")
    return program


def server_version() -> str:
    """Return the version of the name server.

    Raises:
        PeerMissing: it is not installed.
    """
    return run([find_server(), "-v"], _ADVICE).split("\n", 1)[0]


@contextmanager
def serving(build: Path, names: int, core: int) -> Iterator[int]:
    """Run the name server for the length of a ``with`` block, and give its port.

    Args:
        build: The folder for its log.
        names: How many names have an address of their own, but for those of the warm-up, which are more.
        core: The processor that it runs on.

    Raises:
        PeerMissing: it is not installed.
        ServerError: it ended or did not listen in time.
    """
    program = find_server()
    with tempfile.TemporaryDirectory(dir=build) as folder:
        port = free_port()
        configuration = write_files(Path(folder), port, names + _WARM_UP)
        command = [program, "-d", "-c", str(configuration)]
        with running(command, port=port, core=core, log=build / "dns-nsd.log"):
            yield port
