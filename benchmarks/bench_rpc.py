"""Measure RPC libraries side by side: evkit, aio-msgpack-rpc, msgpack-rpc-python, grpcio, rpyc, and a bare loop.

The entry: it reads the command line, runs the plan and writes the tables and the JSON file. Linux only: it
reads /proc and pins processors. See benchmarks/README.md for what is measured and how to read it.
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from common.machine import describe, find_cores, pin_self, raise_descriptor_limit
from common.programs import PeerMissing
from corebench.cases import Case
from corebench.report import document, format_case, write_json
from corebench.runner import Plan, collect
from rpcbench.cases import CALLS, CONNECTIONS, make_cases
from rpcbench.goals import tell, tell_memory
from rpcbench.peers import VERSIONS, command, peers_of

_HERE: Final = Path(__file__).parent


def _at_least(least: int, text: str) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text}")
    return value


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""

    def positive(text: str) -> int:
        return _at_least(1, text)

    def calls(text: str) -> int:
        return _at_least(4, text)  # a quarter of them is made one after the other

    parser = argparse.ArgumentParser(prog="bench_rpc.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--rounds", type=positive, default=5, help="runs of each program (default 5)")
    names = list(VERSIONS)
    parser.add_argument("--only", nargs="+", choices=names, metavar="PEER", help=f"of {', '.join(names)}")
    cases = [case.name for case in make_cases()]
    parser.add_argument(
        "--case", nargs="+", choices=cases, default=cases, metavar="CASE", help=f"of {', '.join(cases)}"
    )
    parser.add_argument(
        "--calls", type=calls, default=CALLS, help=f"calls of a run with many in flight (default {CALLS})"
    )
    parser.add_argument(
        "--idle", type=positive, default=CONNECTIONS, help=f"idle connections (default {CONNECTIONS})"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="all figures (default: a new file in results/)"
    )
    return parser


def choose_peers(case: Case, only: Sequence[str] | None) -> list[str]:
    """Take the peers that were asked for; the case's baseline is always among them, for the ratios."""
    return [peer for peer in peers_of(case) if not only or peer in only or peer == case.baseline]


def find_versions(peers: Sequence[str], build: Path) -> tuple[dict[str, str], dict[str, str]]:
    """See who is here.

    Returns:
        Name → version of those that can run, and name → what to do of those that cannot.
    """
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            versions[peer] = VERSIONS[peer](build)
            print(f"{peer}: {versions[peer]}", flush=True)
        except PeerMissing as exc:
            missing[peer] = str(exc)
            print(f"{peer}: left out: {exc}", flush=True)
    return versions, missing


def commands(
    cases: Sequence[Case], only: Sequence[str] | None, here: Mapping[str, str], build: Path
) -> list[tuple[Case, dict[str, list[str]]]]:
    """Put together who does what.

    Args:
        cases: What is measured.
        only: The peers that were asked for; ``None``: all.
        here: Those that can run.
        build: Where environments of their own are made.
    """
    return [
        (case, {peer: command(peer, build) for peer in choose_peers(case, only) if peer in here})
        for case in cases
    ]


def choose_cases(names: Sequence[str], calls: int, connections: int, room: int) -> list[Case]:
    """Take the cases that were asked for, with no more connections than a process may have."""
    if connections > room:
        print(f"note: the limit of open files allows for {room:,} idle connections")
    return [case for case in make_cases(calls, min(connections, room)) if case.name in names]


def _run(args: argparse.Namespace, build: Path) -> int:
    cores = find_cores()
    pin_self(cores)
    if cores.warning:
        print(f"note: {cores.warning}")
    cases = choose_cases(args.case, args.calls, args.idle, raise_descriptor_limit())
    wanted = [peer for peer in VERSIONS if any(peer in choose_peers(case, args.only) for case in cases)]
    versions, missing = find_versions(wanted, build)
    about = {
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(cores),
        "rounds": args.rounds,
        "versions": versions,
        "missing": missing,
    }
    rows = collect(Plan(commands(cases, args.only, versions, build), (), args.rounds, build, cores))
    for case in cases:
        print("\n" + "\n".join([format_case(case, rows), *tell_memory(case, rows), *tell(case, rows)]))
    path = args.json or _HERE / "results" / time.strftime("rpc-%Y%m%d-%H%M%S.json")
    write_json(path, document(about, cases, rows))
    return int(any(row.error for row in rows))


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
    build = _HERE / "build"
    build.mkdir(parents=True, exist_ok=True)
    return _run(args, build)


if __name__ == "__main__":
    sys.exit(main())
