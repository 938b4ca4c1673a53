"""One crew of ``evkit serve --workers`` after the other, in rounds, under a load that keeps all of them busy.

It decides what is inside a timed section: all of wrk's run, with the CPU time of the server and that of wrk. It must
never know how figures are printed.
"""

import os
import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from common.machine import Cores
from common.proc import cpu_spent, sample_cpu
from common.rounds import alternate
from common.server import HOST, RunningServer, ServerError, free_port, running
from httpbench.load import HELLO, Case, Figures, LoadError, run_wrk
from httpbench.server import WrongAnswer, check

CASE: Final = Case("busy", "a handler that is busy for a while", "/", HELLO)
_APP: Final = Path(__file__).parents[1] / "peers" / "workers"
_WARM_UP_SECONDS: Final = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        crews: Numbers of workers, each ``>= 1``.
        loops: How long the handler is busy, in passes of an empty loop of Python.
        connections: Of wrk, enough that no worker is ever without one, however they are dealt out.
        rounds: How often each crew is measured, ``>= 1``.
        seconds: Length of each run of wrk, ``>= 1``.
    """

    crews: Sequence[int]
    loops: int
    connections: int
    rounds: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of wrk.

    Attributes:
        figures: What it saw.
        server_cpu: Seconds of CPU time of all of evkit's processes meanwhile.
        load_cpu: Those of wrk: what the server could not have.
    """

    figures: Figures
    server_cpu: float
    load_cpu: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of the server's CPU time a request."""
        return self.server_cpu * 1e6 / self.figures.requests

    @property
    def server_share(self) -> float:
        """Processors that the server has kept busy."""
        return self.server_cpu / self.figures.seconds

    @property
    def load_share(self) -> float:
        """Likewise wrk."""
        return self.load_cpu / self.figures.seconds


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement and its place; ``result`` is None where ``error`` tells why there is none."""

    workers: int
    round: int
    result: Measurement | None
    error: str = ""


def command(workers: int, port: int) -> list[str]:
    """Build the command line of a crew."""
    place = ["--bind", f"{HOST}:{port}", "--workers", str(workers)]
    return [sys.executable, "-m", "evkit", "serve", *place, "busy_app:busy"]


def _children_cpu() -> float:
    """Return the CPU time of the programs that were waited for: wrk's, while the server runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _measure(server: RunningServer, plan: Plan, core: int) -> Measurement:
    load, before = _children_cpu(), sample_cpu(server.pid)
    figures = run_wrk(CASE, port=server.port, connections=plan.connections, seconds=plan.seconds, core=core)
    return Measurement(figures, cpu_spent(before, sample_cpu(server.pid)), _children_cpu() - load)


def measure(workers: int, plan: Plan, build: Path, core: int) -> Measurement:
    """Run a crew on all processors, and wrk on one of them.

    Args:
        workers: How many.
        plan: What else there is to know.
        build: A folder for the server's log.
        core: The processor that wrk is pinned to.

    Raises:
        ServerError: The server ended or did not listen in time.
        WrongAnswer: It answered something else.
        LoadError: wrk failed, or met an error.
    """
    port = free_port()
    environment = os.environ | {"PYTHONPATH": str(_APP), "BUSY_LOOPS": str(plan.loops)}
    log = build / f"workers-{workers}.log"
    with running(command(workers, port), port=port, core=None, log=log, environment=environment) as server:
        check(CASE, port)
        run_wrk(CASE, port=port, connections=plan.connections, seconds=_WARM_UP_SECONDS, core=core)
        return _measure(server, plan, core)


def measure_rows(plan: Plan, build: Path, cores: Cores) -> Iterator[Row]:
    """Measure every crew, round by round.

    Yields:
        A row as soon as it is there; one that failed carries the reason and does not stop the others.
    """
    for number in range(1, plan.rounds + 1):
        for workers in alternate(plan.crews, number):
            try:
                yield Row(workers, number, measure(workers, plan, build, cores.client))
            except (ServerError, WrongAnswer, LoadError) as exc:
                yield Row(workers, number, None, error=f"{type(exc).__name__}: {exc}")
