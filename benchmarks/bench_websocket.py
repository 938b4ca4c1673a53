"""Measure WebSocket servers side by side: evkit, websockets, picows, and the least that Python can do.

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
from typing import Final

from common.machine import describe, find_cores, pin_self, raise_descriptor_limit
from common.programs import PeerMissing
from corebench.cases import Case
from corebench.report import document, format_case, write_json
from corebench.runner import Plan, collect
from websocketbench.cases import BASELINE, CASES
from websocketbench.peers import LOAD, VERSIONS, command

_HERE: Final = Path(__file__).parent


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="bench_websocket.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each server (default 5)")
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


def find_peers(only: Sequence[str] | None) -> tuple[dict[str, str], dict[str, str]]:
    """See who is here; the baseline is always wanted, for the ratios.

    Returns:
        Name → version of those that can run, and name → what to do of those that cannot.
    """
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer, version in VERSIONS.items():
        if only and peer not in only and peer != BASELINE:
            continue
        try:
            versions[peer] = version()
            print(f"{peer}: {versions[peer]}", flush=True)
        except PeerMissing as exc:
            missing[peer] = str(exc)
            print(f"{peer}: left out: {exc}", flush=True)
    return versions, missing


def make_plan(cases: Sequence[Case], peers: Sequence[str], rounds: int) -> Plan:
    """Put together what is measured."""
    build = _HERE / "build"
    build.mkdir(parents=True, exist_ok=True)
    commands = {peer: command(peer) for peer in peers}
    return Plan([(case, commands) for case in cases], LOAD, rounds, build, find_cores())


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
    versions, missing = find_peers(args.only)
    cases = [case for case in CASES if case.name in args.case]
    plan = make_plan(cases, list(versions), max(args.rounds, 1))
    pin_self(plan.cores)
    raise_descriptor_limit()
    if plan.cores.warning:
        print(f"note: {plan.cores.warning}")
    about = {
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(plan.cores),
        "rounds": plan.rounds,
        "versions": versions,
        "missing": missing,
    }
    rows = collect(plan)
    for case in cases:
        print("\n" + format_case(case, rows))
    path = args.json or _HERE / "results" / time.strftime("websocket-%Y%m%d-%H%M%S.json")
    write_json(path, document(about, cases, rows))
    return int(any(row.error for row in rows))


if __name__ == "__main__":
    sys.exit(main())
