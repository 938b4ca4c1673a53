"""A file of names, looked up by ``evkit resolve``: the time of it all, and the memory that it needs for more of them.

Each name gets an answer by the zone's wildcard, so that it need not be large. A run with few names tells what the
command needs in any case.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

from lookup_work import make_parser

FEW: Final = 100_000
WILD: Final = "192.0.2.77"
MIB: Final = 1 << 20


class Spent(NamedTuple):
    """What a command took: seconds of CPU time and by the clock, and bytes of memory at most."""

    cpu: float
    wall: float
    memory: int


def look_up(count: int, in_flight: int, port: int, folder: Path) -> Spent:
    """Look ``count`` names up."""
    names, answers = folder / "names", folder / "answers"
    with names.open("w") as file:
        file.writelines(f"m{number}.any.bench.test\n" for number in range(count))
    command = [sys.executable, "-m", "evkit", "resolve", "--short", "--concurrency", str(in_flight)]
    command += ["--server", f"127.0.0.1:{port}", "--file", str(names), "A"]
    actions = [(os.POSIX_SPAWN_OPEN, 1, str(answers), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    began = time.perf_counter()
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    if status:
        raise SystemExit(f"evkit resolve ended with {os.waitstatus_to_exitcode(status)}")
    check_answers(answers, count)
    return Spent(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024)


def check_answers(path: Path, count: int) -> None:
    """See that there is the right answer so often.

    Raises:
        SystemExit: There is not.
    """
    with path.open() as file:
        right = sum(line == f"{WILD}\n" for line in file)
    if right != count:
        raise SystemExit(f"expected {count} answers, got {right}")


def main() -> None:
    args = make_parser().parse_args()
    fewer = min(FEW, args.n)
    with tempfile.TemporaryDirectory() as folder:
        few = look_up(fewer, args.c, args.port, Path(folder))
        many = look_up(args.n, args.c, args.port, Path(folder))
    print(
        f"{few.memory / MIB:.1f} MiB for {fewer:,} names, {many.memory / MIB:.1f} MiB for {args.n:,}",
        file=sys.stderr,
    )
    sections = {"million": {"wall": [many.wall], "cpu": [many.cpu]}}
    growth = max(0, many.memory - few.memory)
    print(json.dumps({"count": args.n, "sections": sections, "memory_growth": growth}))


if __name__ == "__main__":
    main()
