"""Who is compared, by which program in which case, and whether it can run here.

It must never know how a program is measured. The programs are in ``peers/rpc/``; benchmarks/README.md tells what they
do and what is timed.
"""

import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from common.programs import PeerMissing, commit, distributions, run
from corebench.cases import Case

_PEERS: Final = Path(__file__).parents[1] / "peers" / "rpc"
_OLD: Final = "3.11"
"""The last Python that msgpack-rpc-python works with."""
_OLD_NEEDS: Final = ("setuptools<80", "wheel", "msgpack-rpc-python")
_WHERE_MESSAGEPACK: Final = frozenset({"bare", "evkit", "aio-msgpack-rpc", "msgpack-rpc-python"})
"""Who understands a load that is written down in bytes."""


def _old_python() -> str:
    found = (
        sys.executable if platform.python_version().startswith(f"{_OLD}.") else shutil.which(f"python{_OLD}")
    )
    if found is None:
        raise PeerMissing(f"needs Python {_OLD}, in whose environment of its own it would be installed")
    return found


def environment(build: Path) -> str:
    """Return the Python that has msgpack-rpc-python, whose own msgpack would hide that of all others.

    Raises:
        PeerMissing: it is not there, and can't be made.
    """
    folder = build / "msgpack-rpc-python"
    python = str(folder / "bin" / "python")
    ready = folder / "ready"
    if not ready.exists():
        advice = "see whether packages can be installed here"
        run([_old_python(), "-m", "venv", "--clear", str(folder)], advice)
        run([python, "-m", "pip", "install", "--quiet", *_OLD_NEEDS], advice)
        ready.touch()
    return python


def _old_version(build: Path) -> str:
    code = "from importlib.metadata import version as v; print('msgpack-rpc-python', v('msgpack-rpc-python'))"
    return f"{run([environment(build), '-c', code], '')}, its own environment"


VERSIONS: Final[Mapping[str, Callable[[Path], str]]] = {
    "bare": lambda _: f"Python {platform.python_version()}, {distributions('msgpack')}",
    "evkit": lambda _: distributions("evkit", "msgpack") + commit(),
    "evkit-futures": lambda _: distributions("evkit", "msgpack") + commit(),
    "aio-msgpack-rpc": lambda _: distributions("aio-msgpack-rpc", "msgpack"),
    "msgpack-rpc-python": _old_version,
    "grpcio": lambda _: distributions("grpcio", "msgpack"),
    "rpyc": lambda _: distributions("rpyc"),
}
"""Peer → its version, given where to build; raises `PeerMissing`."""
_PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "bare": ("bare",),
    "evkit": ("evkit",),
    "evkit-futures": ("evkit", "--futures"),
    "aio-msgpack-rpc": ("aio",),
    "msgpack-rpc-python": ("msgpackrpc",),
    "grpcio": ("grpcio",),
    "rpyc": ("rpyc",),
}
"""Peer → what follows ``calls_`` in its program's name, and its arguments."""


def peers_of(case: Case) -> list[str]:
    """List the peers that are compared in ``case``."""
    if case.program in ("idle", "flood"):
        return [peer for peer in VERSIONS if peer in _WHERE_MESSAGEPACK]
    return list(VERSIONS)


def command(peer: str, build: Path) -> list[str]:
    """Return the command line of a peer, but for the arguments of the case.

    Args:
        peer: One of `VERSIONS`.
        build: Where environments of their own are made.

    Raises:
        PeerMissing: it can't be made.
    """
    name, *arguments = _PROGRAMS[peer]
    python = environment(build) if peer == "msgpack-rpc-python" else sys.executable
    return [python, str(_PEERS / f"calls_{name}.py"), *arguments]
