"""Measure event loops side by side: evkit's core, libevent in C, asyncio and uvloop.

The entry: it reads the command line, runs the plan and writes the tables and the JSON file. Linux only: it
reads /proc and pins processors. See benchmarks/README.md for what is measured and how to read it.
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from common.machine import Cores, describe, find_cores, pin_self, raise_descriptor_limit
from common.programs import PeerMissing
from corebench.cases import CASES, Case
from corebench.peers import VERSIONS, peers_of, prepare, prepare_load
from corebench.report import document, format_case, write_json
from corebench.runner import Plan, collect

_HERE: Final = Path(__file__).parent


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="bench_core.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--rounds", type=_positive, default=5, help="runs of each program (default 5)")
    names = list(VERSIONS)
    parser.add_argument("--only", nargs="+", choices=names, metavar="PEER", help=f"of {', '.join(names)}")
    cases = [case.name for case in CASES]
    parser.add_argument(
        "--case", nargs="+", choices=cases, default=cases, metavar="CASE", help=f"of {', '.join(cases)}"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="all figures (default: a new file in results/)"
    )
    return parser


def choose_peers(case: Case, only: Sequence[str] | None) -> list[str]:
    """Take the peers that were asked for; the case's baseline is always among them, for the ratios."""
    return [peer for peer in peers_of(case) if not only or peer in only or peer == case.baseline]


class Preparation:
    """Makes programs ready, and keeps what could not be.

    Args:
        build: The folder that C programs are built in.

    Attributes:
        versions: Peer → version, of those that can run.
        missing: Peer, or case and peer, → why it is left out.
    """

    def __init__(self, build: Path) -> None:
        self._build = build
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def find_versions(self, peers: Sequence[str]) -> None:
        """See which peers are here."""
        for peer in peers:
            try:
                self.versions[peer] = VERSIONS[peer](self._build)
                print(f"{peer}: {self.versions[peer]}", flush=True)
            except PeerMissing as exc:
                self._leave_out(peer, exc)

    def commands(self, case: Case, peers: Sequence[str]) -> dict[str, list[str]]:
        """Return the command lines of those of ``peers`` that are here."""
        found = {}
        for peer in peers:
            if peer in self.versions:
                try:
                    found[peer] = prepare(case, peer, self._build)
                except PeerMissing as exc:
                    self._leave_out(f"{case.name} {peer}", exc)
        return found

    def load(self) -> list[str]:
        """Return the command line of the load; empty where it can't be built."""
        try:
            return prepare_load(self._build)
        except PeerMissing as exc:
            self._leave_out("load", exc)
            return []

    def _leave_out(self, name: str, reason: PeerMissing) -> None:
        self.missing[name] = str(reason)
        print(f"{name}: left out: {reason}", flush=True)


def make_plan(
    cases: Sequence[Case], only: Sequence[str] | None, rounds: int, build: Path, cores: Cores
) -> tuple[Plan, Preparation]:
    """Make everything ready that was asked for and can run here; the rest is told and left out."""
    build.mkdir(parents=True, exist_ok=True)
    ready = Preparation(build)
    wanted = {case.name: choose_peers(case, only) for case in cases}
    ready.find_versions([peer for peer in VERSIONS if any(peer in peers for peers in wanted.values())])
    load = ready.load() if any(case.load for case in cases) else []
    commands = [(case, ready.commands(case, wanted[case.name])) for case in cases if load or not case.load]
    return Plan(commands, load, rounds, build, cores), ready


def _about(plan: Plan, ready: Preparation) -> dict[str, Any]:
    return {
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(plan.cores),
        "rounds": plan.rounds,
        "versions": ready.versions,
        "missing": ready.missing,
    }


def main() -> int:
    """Run the benchmark.

    Returns:
        The exit status: 0, or 1 when a measurement failed or a needed program is missing. Goals that are missed are
        told, but do not change it: a busy machine is no failure.
    """
    args = make_parser().parse_args()
    if shutil.which("taskset") is None:
        print("taskset not found; apt-get install util-linux", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no program outlives this
    cores = find_cores()
    pin_self(cores)
    raise_descriptor_limit()
    cases = [case for case in CASES if case.name in args.case]
    plan, ready = make_plan(cases, args.only, args.rounds, _HERE / "build", cores)
    if cores.warning:
        print(f"note: {cores.warning}")
    about = _about(plan, ready)
    rows = collect(plan)
    for case in cases:
        print("\n" + format_case(case, rows))
    path = args.json or _HERE / "results" / time.strftime("core-%Y%m%d-%H%M%S.json")
    write_json(path, document(about, cases, rows))
    return int(any(row.error for row in rows))


if __name__ == "__main__":
    sys.exit(main())
