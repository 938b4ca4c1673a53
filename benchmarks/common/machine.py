"""The machine that the benchmark runs on: which processor does what, how many descriptors, what to note.

It must never know what is measured on it.
"""

import os
import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CPUS: Final = Path("/sys/devices/system/cpu")
# Left for the programs' own files and the connections of the load.
_SPARE_DESCRIPTORS: Final = 1500


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where.

    Attributes:
        server: The processor of the program under test.
        client: That of the load and of the benchmark itself.
        warning: Why the two disturb each other; empty when they do not.
    """

    server: int
    client: int
    warning: str = ""


def parse_cpu_list(text: str) -> frozenset[int]:
    """Read the kernel's notation for a set of processors: ``"0-2,5"``."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cpus.update(range(int(first), int(last or first) + 1))
    return frozenset(cpus)


def choose_cores(allowed: Sequence[int], siblings: Mapping[int, frozenset[int]]) -> Cores:
    """Give the server the last processor, which serves the fewest interrupts, and its load one of another core.

    Args:
        allowed: Processors this process may use, at least one, ascending.
        siblings: Processor → all that share its core, itself included; unknown ones may be missing.
    """
    server = allowed[-1]
    others = [cpu for cpu in allowed if cpu != server]
    apart = [cpu for cpu in others if cpu not in siblings.get(server, frozenset())]
    if apart:
        return Cores(server, apart[0])
    if others:
        return Cores(
            server, others[0], "the program under test and its load share a core (two hardware threads of it)"
        )
    return Cores(
        server,
        server,
        "only one processor: the program under test and its load share it, so rates mean little",
    )


def find_cores() -> Cores:
    """Choose among the processors that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    siblings = {}
    for cpu in allowed:
        path = _CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list"
        if path.exists():
            siblings[cpu] = parse_cpu_list(path.read_text())
    return choose_cores(allowed, siblings)


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one, for this process and its children.

    Returns:
        How many connections can be held besides the load's, ``>= 0``.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(0, hard - _SPARE_DESCRIPTORS)


def cpu_model(cpuinfo: str) -> str:
    """Take the first processor's name from the text of /proc/cpuinfo; ``"unknown"`` where it has none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def describe(cores: Cores) -> dict[str, str | int]:
    """Tell what a reader of the figures has to know of the machine."""
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo").read_text()),
        "processors": os.cpu_count() or 1,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": sys.version.split()[0],
        "server_core": cores.server,
        "client_core": cores.client,
        "warning": cores.warning,
    }


def pin_self(cores: Cores) -> None:
    """Keep the benchmark itself, and what it starts unless told otherwise, off the server's processor."""
    os.sched_setaffinity(0, {cores.client})
