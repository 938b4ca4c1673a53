"""Whether a peer can run here: it is built, it is installed, and in which version.

It must never know what a program does, nor how it is measured.
"""

import importlib.metadata
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PIP_ADVICE: Final = "python -m pip install --group bench"
C_ADVICE: Final = "apt-get install gcc libevent-dev"
_BUILD_SECONDS: Final = 300.0


class PeerMissing(Exception):  # noqa: N818 - it is left out; nothing failed
    """A peer cannot run here; the message says how to install it."""


def run(command: Sequence[str], advice: str) -> str:
    """Run a short command for its output, standard error included (nginx tells its version there).

    Raises:
        PeerMissing: it does not start, fails or hangs; ``advice`` is told.
    """
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except OSError as exc:
        raise PeerMissing(f"{command[0]} does not start ({exc.strerror}); {advice}") from exc
    except subprocess.TimeoutExpired as exc:
        raise PeerMissing(f"{command[0]} took longer than {_BUILD_SECONDS:.0f} s; {advice}") from exc
    if done.returncode:
        raise PeerMissing(f"{command[0]} failed ({done.stdout.strip()[-200:]}); {advice}")
    return done.stdout.strip()


def compile_c(source: Path, build: Path) -> str:
    """Build a program of one C file against libevent, with ``CC`` or gcc.

    Args:
        source: The file; the program is named after it.
        build: The folder that it is written to.

    Returns:
        The program's path.

    Raises:
        PeerMissing: there is no compiler, no libevent, or the file has an error.
    """
    program = str(build / source.stem)
    compiler = os.environ.get("CC", "gcc")
    run([compiler, "-O2", "-Wall", "-o", program, str(source), "-levent"], C_ADVICE)
    return program


def distributions(*names: str) -> str:
    """Name Python distributions with their versions.

    Raises:
        PeerMissing: one of them is not installed.
    """
    try:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    except importlib.metadata.PackageNotFoundError as exc:
        raise PeerMissing(f"{exc.name} is not installed; {PIP_ADVICE}") from exc


def commit() -> str:
    """Name the commit that is measured; nothing outside a checkout."""
    try:
        return ", commit " + run(
            ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"], ""
        )
    except PeerMissing:
        return ""
