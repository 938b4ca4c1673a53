"""Who is compared, by which program in which case, and whether it can run here.

It must never know how a program is measured. The programs are in ``peers/core/``; benchmarks/README.md tells what they
do and what is timed.
"""

import importlib.util
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from common.programs import C_ADVICE, PeerMissing, commit, compile_c, distributions, run

from corebench.cases import Case

PROGRAMS: Final = Path(__file__).parents[1] / "peers" / "core"
LOAD: Final = "echo_load.c"


def _evkit_version(_: Path) -> str:
    try:
        found = importlib.util.find_spec("evkit.core.base")
    except ImportError:
        found = None
    if found is None:
        raise PeerMissing("evkit.core.base cannot be imported; python -m pip install -e .")
    return distributions("evkit") + commit()


def _libevent_version(build: Path) -> str:
    return run([compile_c(PROGRAMS / "version_libevent.c", build)], C_ADVICE)


def _python_version(_: Path) -> str:
    return f"Python {platform.python_version()}"


VERSIONS: Final[Mapping[str, Callable[[Path], str]]] = {
    "libevent": _libevent_version,
    "bare": _python_version,
    "evkit": _evkit_version,
    "asyncio": _python_version,
    "asyncio-streams": _python_version,
    "uvloop": lambda _: distributions("uvloop"),
}
"""Peer → its version, given where to build; raises `PeerMissing`."""

_LOOPS: Final = {
    "libevent": ("libevent.c",),
    "evkit": ("evkit.py",),
    "asyncio": ("asyncio.py", "--loop", "asyncio"),
    "uvloop": ("asyncio.py", "--loop", "uvloop"),
}
_PARTS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "bench": _LOOPS,
    "cascade": _LOOPS,
    "timers": _LOOPS,
    "echo": _LOOPS | {"bare": ("bare.py",), "asyncio-streams": ("asyncio_streams.py",)},
    "pipe": {"bare": ("bare.py",), "evkit": ("evkit.py",)},
}
"""Case → peer → what follows the case in its program's name, and its arguments."""


def peers_of(case: Case) -> list[str]:
    """List the peers that are compared in ``case``."""
    return [peer for peer in VERSIONS if peer in _PARTS[case.program]]


def prepare(case: Case, peer: str, build: Path) -> list[str]:
    """Make the program of ``peer`` for ``case`` ready.

    Args:
        case: The work.
        peer: One of `peers_of` it.
        build: The folder that C programs are built in.

    Returns:
        Its command line, but for the arguments of the case.

    Raises:
        PeerMissing: it does not exist, or can't be built.
    """
    name, *arguments = _PARTS[case.program][peer]
    source = PROGRAMS / f"{case.program}_{name}"
    if not source.exists():
        raise PeerMissing(f"there is no {source.name} yet")
    return [*_command(source, build), *arguments]


def prepare_load(build: Path) -> list[str]:
    """Make the load ready that servers are put under; as `prepare`."""
    return _command(PROGRAMS / LOAD, build)


def _command(source: Path, build: Path) -> list[str]:
    if source.suffix == ".c":
        return [compile_c(source, build)]
    return [sys.executable, str(source)]
