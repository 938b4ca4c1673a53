"""Measure HTTP clients side by side: evkit, aiohttp, httpx, and the least that Python can do.

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

from clientbench.cases import MIB, make_cases
from clientbench.peers import VERSIONS, command, peers_of, prepare_server, serving
from common.machine import describe, find_cores, pin_self
from common.programs import PeerMissing
from corebench.cases import Case
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
    parser = argparse.ArgumentParser(prog="bench_client.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--rounds", type=_positive, default=5, help="runs of each program (default 5)")
    names = list(VERSIONS)
    parser.add_argument("--only", nargs="+", choices=names, metavar="PEER", help=f"of {', '.join(names)}")
    cases = [case.name for case in make_cases()]
    parser.add_argument(
        "--case", nargs="+", choices=cases, default=cases, metavar="CASE", help=f"of {', '.join(cases)}"
    )
    parser.add_argument("--mib", type=_positive, default=MIB, help=f"size of a transfer (default {MIB})")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="all figures (default: a new file in results/)"
    )
    return parser


def choose_peers(case: Case, only: Sequence[str] | None) -> list[str]:
    """Take the peers that were asked for; the case's baseline is always among them, for the ratios."""
    return [peer for peer in peers_of(case) if not only or peer in only or peer == case.baseline]


def find_versions(peers: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """See who is here.

    Returns:
        Name → version of those that can run, and name → what to do of those that cannot.
    """
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            versions[peer] = VERSIONS[peer]()
            print(f"{peer}: {versions[peer]}", flush=True)
        except PeerMissing as exc:
            missing[peer] = str(exc)
            print(f"{peer}: left out: {exc}", flush=True)
    return versions, missing


def commands(
    cases: Sequence[Case], only: Sequence[str] | None, here: Mapping[str, str], port: int
) -> list[tuple[Case, dict[str, list[str]]]]:
    """Put together who does what.

    Args:
        cases: What is measured.
        only: The peers that were asked for; ``None``: all.
        here: Those that can run.
        port: That of the server that clients ask.
    """
    return [
        (case, {peer: command(case, peer, port) for peer in choose_peers(case, only) if peer in here})
        for case in cases
    ]


def _run(args: argparse.Namespace, build: Path) -> int:
    cores = find_cores()
    pin_self(cores)
    if cores.warning:
        print(f"note: {cores.warning}")
    cases = [case for case in make_cases(args.mib) if case.name in args.case]
    server = prepare_server(build)
    wanted = [peer for peer in VERSIONS if any(peer in choose_peers(case, args.only) for case in cases)]
    versions, missing = find_versions(wanted)
    about = {
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(cores),
        "rounds": args.rounds,
        "server": server,
        "versions": versions,
        "missing": missing,
    }
    with serving(build, args.mib, cores.client) as port:
        rows = collect(Plan(commands(cases, args.only, versions, port), (), args.rounds, build, cores))
    for case in cases:
        print("\n" + format_case(case, rows))
    path = args.json or _HERE / "results" / time.strftime("client-%Y%m%d-%H%M%S.json")
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
    try:
        return _run(args, build)
    except PeerMissing as exc:
        print(f"the server that clients ask is missing: {exc}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
