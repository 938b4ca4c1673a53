"""The order of the measurement: each program in turn, in rounds that alternate over the peers.

A program that works by itself takes its own times and prints them. A server is put under load, and its CPU time read
before and after. It must never know what the work is, or how figures are printed.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from common.machine import Cores
from common.proc import cpu_spent, sample_cpu
from common.rounds import alternate
from common.server import RunningServer, ServerError, free_port, last_words, running

from corebench.cases import FAR_CORE, Case

_PROGRAM_SECONDS: Final = 300.0
SERVED: Final = "serve"
"""The one section of a server."""


class ProgramError(Exception):
    """A program failed, or did not do its work."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        commands: Case → peer → command line, in the order of a round.
        load: The command line of the load that servers are put under, without its arguments.
        rounds: How often each is measured, ``>= 1``.
        build: The folder for logs.
        cores: Who runs where.
    """

    commands: Sequence[tuple[Case, Mapping[str, Sequence[str]]]]
    load: Sequence[str]
    rounds: int
    build: Path
    cores: Cores


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds for one unit of work in one section: medians over a program's runs.

    Attributes:
        cpu: CPU time, user and kernel: the figure to steer by.
        wall: By the clock, waiting included.
    """

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Row:
    """One program's times in one round, by section; none where ``error`` tells why.

    Attributes:
        memory_growth: Bytes, for a program that tells them.
    """

    case: str
    peer: str
    round: int
    sections: Mapping[str, Times] = field(default_factory=dict)
    memory_growth: int | None = None
    error: str = ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parse_line(text: str, count: int) -> dict[str, Any]:
    """Read the one line of JSON that a program printed.

    Args:
        text: All that it wrote to its standard output.
        count: How much work it had to do.

    Raises:
        ProgramError: it is no such line, or the work was not done.
    """
    try:
        told: dict[str, Any] = json.loads(text)
        done = told["count"]
    except (ValueError, TypeError, KeyError) as exc:
        raise ProgramError(f"expected a line of JSON with a count, got {text.strip()[-200:]!r}") from exc
    if done != count:
        raise ProgramError(f"did {done} of {count}")
    return told


def times_of(told: Mapping[str, Any]) -> dict[str, Times]:
    """Take the medians of a program's runs, for one unit of work."""
    count: int = told["count"]

    def each(seconds: Sequence[float]) -> float:
        return float(statistics.median(seconds)) * 1e6 / count

    return {name: Times(each(times["cpu"]), each(times["wall"])) for name, times in told["sections"].items()}


def _run(command: Sequence[str], core: int) -> str:
    try:
        done = subprocess.run(
            ["taskset", "-c", str(core), *command],
            capture_output=True,
            text=True,
            timeout=_PROGRAM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise ProgramError(f"hung for {exc.timeout:.0f} s") from exc
    if done.returncode:
        raise ProgramError(f"ended with {done.returncode}: {last_words(done.stderr)}")
    return done.stdout


def _measure_program(case: Case, peer: str, command: Sequence[str], plan: Plan, number: int) -> Row:
    arguments = [str(plan.cores.client) if part == FAR_CORE else part for part in case.arguments]
    told = parse_line(_run([*command, *arguments], plan.cores.server), case.count)
    return Row(case.name, peer, number, times_of(told), told.get("memory_growth"))


def _put_under_load(server: RunningServer, case: Case, plan: Plan) -> Times:
    def load(arguments: Sequence[str]) -> str:
        return _run([*plan.load, *arguments, str(server.port)], plan.cores.client)

    load(case.warm_up)
    before = sample_cpu(server.pid)
    told = parse_line(load(case.load), case.count)
    spent = cpu_spent(before, sample_cpu(server.pid))
    return Times(spent * 1e6 / case.count, told["wall"] * 1e6 / case.count)


def _measure_server(case: Case, peer: str, command: Sequence[str], plan: Plan, number: int) -> Row:
    port = free_port()
    log = plan.build / f"{case.name}-{peer}.log"
    core = plan.cores.server
    with running([*command, str(port)], port=port, core=core, log=log) as server:
        times = _put_under_load(server, case, plan)
    return Row(case.name, peer, number, {SERVED: times})


def measure(case: Case, peer: str, command: Sequence[str], plan: Plan, number: int) -> Row:
    """Measure one program once; what fails is told in the row and stops nothing."""
    try:
        return (_measure_server if case.load else _measure_program)(case, peer, command, plan, number)
    except (ProgramError, ServerError) as exc:
        return Row(case.name, peer, number, error=f"{type(exc).__name__}: {exc}")


def measure_all(plan: Plan) -> Iterator[Row]:
    """Measure every case and peer, round by round.

    Yields:
        A row as soon as it is there.
    """
    for case, commands in plan.commands:
        for number in range(1, plan.rounds + 1):
            for peer in alternate(list(commands), number):
                row = measure(case, peer, commands[peer], plan, number)
                told = ", ".join(f"{name} {times.cpu:.2f}" for name, times in row.sections.items())
                _say(
                    f"{case.name} round {number}/{plan.rounds} {peer}: {row.error or f'{told} us/{case.unit}'}"
                )
                yield row


def collect(plan: Plan) -> list[Row]:
    """Measure; an interrupt ends it early, and what was measured until then still counts."""
    rows: list[Row] = []
    try:
        rows.extend(measure_all(plan))
    except KeyboardInterrupt:
        print("interrupted: the tables are not complete", file=sys.stderr)
    return rows
