"""CPU time and memory of a program and all its children, as the kernel counts them in /proc.

It decides which processes and threads are the program's and how their figures add up; it must never know what
they worked at. The parsers take text, so that they can be tested without a process.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_NS_PER_TICK: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

CpuSample = dict[int, int]
"""Nanoseconds of CPU time used so far by each thread (or, where schedstat is not kept, each process)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process tree, in bytes.

    A page that two processes share counts twice, as it does in ``ps``.

    Attributes:
        rss: Resident now (``VmRSS``).
        peak: The sum of the highest each process ever had (``VmHWM``).
    """

    rss: int
    peak: int


def parse_schedstat(text: str) -> int:
    """Take the nanoseconds on a processor, the first of the three numbers, from a thread's ``schedstat``."""
    return int(text.split()[0])


def parse_stat(text: str) -> tuple[int, int]:
    """Take the parent's id and the user plus system time in clock ticks from a process's ``stat``.

    Source: proc(5), fields 4, 14 and 15. The name, field 2, may itself hold blanks and brackets.
    """
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[11]) + int(fields[12])


def parse_status(text: str) -> Memory:
    """Take the resident memory from a process's ``status``; a kernel thread or a zombie has none."""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    rss, peak = (int(lines[name].split()[0]) * 1024 if name in lines else 0 for name in ("VmRSS", "VmHWM"))
    return Memory(rss, peak)


def descendants(root: int, parents: Mapping[int, int]) -> list[int]:
    """List ``root`` and all below it.

    Args:
        root: The process at the top.
        parents: Process id → its parent's.
    """
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found


def cpu_spent(before: CpuSample, after: CpuSample) -> float:
    """Tell the seconds of CPU time between two samples.

    A thread that started in between counts in full; one that ended is lost, but servers keep their threads.
    """
    return sum(used - before.get(thread, 0) for thread, used in after.items()) / 1e9


def _read(path: Path) -> str | None:
    """Read a file of /proc, which may go away with its process at any moment."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _tree(root: int) -> Iterator[Path]:
    parents = {}
    for folder in _PROC.iterdir():
        if folder.name.isdecimal() and (text := _read(folder / "stat")):
            parents[int(folder.name)] = parse_stat(text)[0]
    return (_PROC / str(pid) for pid in descendants(root, parents))


def _process_ticks(folder: Path) -> CpuSample:
    """Fall back on ``stat``, which counts in ticks of 10 ms."""
    text = _read(folder / "stat")
    return {int(folder.name): parse_stat(text)[1] * _NS_PER_TICK} if text else {}


def _thread_times(folder: Path) -> CpuSample:
    times = {}
    for task in (folder / "task").glob("*"):
        if text := _read(task / "schedstat"):
            times[int(task.name)] = parse_schedstat(text)
    return times


def sample_cpu(root: int) -> CpuSample:
    """Read the CPU time used so far by the process ``root`` and its descendants.

    Exact to the nanosecond for a thread that sleeps, as a server's do without load; else late by a tick at most.
    """
    sample: CpuSample = {}
    for folder in _tree(root):
        sample |= _thread_times(folder) or _process_ticks(folder)
    return sample


def sample_memory(root: int) -> Memory:
    """Read the resident memory of the process ``root`` and its descendants."""
    parts = [parse_status(text) for folder in _tree(root) if (text := _read(folder / "status"))]
    return Memory(sum(part.rss for part in parts), sum(part.peak for part in parts))
