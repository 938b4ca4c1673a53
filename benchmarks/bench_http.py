"""Measure HTTP servers side by side: evkit, libevent's evhttp, nginx, Go, granian, uvicorn.

The entry: it reads the command line, runs the plan and writes the tables and the JSON file. Linux only: it
reads /proc and pins processors. See benchmarks/README.md for what is measured and how to read it.
"""

import argparse
import json
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
from httpbench.certificate import make_certificate
from httpbench.load import BASELINE, CASES, Case
from httpbench.peers import PEERS, Peer, Site, make_site
from httpbench.report import Summary, document, format_idle, format_summaries, summarize
from httpbench.runner import IdleRow, Plan, Row, measure_idle, measure_rows

_HERE: Final = Path(__file__).parent
_CONNECTIONS: Final = (1, 64, 1024)
_IDLE: Final = 10_000


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text}")
    return value


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="bench_http.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--seconds", type=_positive, default=2, help="length of each run of wrk (default 2)")
    parser.add_argument("--rounds", type=_positive, default=3, help="runs per server and table (default 3)")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="SERVER", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--connections", nargs="+", type=_positive, default=_CONNECTIONS, metavar="N", help="1 64 1024"
    )
    cases = [case.name for case in CASES]
    parser.add_argument(
        "--case", nargs="+", choices=cases, default=cases, metavar="CASE", help=f"of {', '.join(cases)}"
    )
    parser.add_argument(
        "--idle", type=_not_negative, default=_IDLE, metavar="N", help="idle connections; 0: none"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="all figures (default: a new file in results/)"
    )
    return parser


def choose_cases(names: Sequence[str], site: Site) -> list[Case]:
    """Take the cases that were asked for, but those over TLS where no certificate can be made."""
    cases = [case for case in CASES if case.name in names]
    try:
        if any(case.tls for case in cases):
            make_certificate(site.certificate, site.key)
    except PeerMissing as exc:
        print(f"TLS: left out: {exc}", flush=True)
        return [case for case in cases if not case.tls]
    return cases


def choose_peers(only: Sequence[str] | None, cases: Sequence[Case]) -> list[Peer]:
    """Take the servers that were asked for; the cases' baselines are always among them, for the ratios."""
    wanted = {*(only or [peer.name for peer in PEERS]), *(case.baseline for case in cases)}
    return [peer for peer in PEERS if peer.name in wanted]


def prepare(peers: Sequence[Peer], site: Site) -> tuple[dict[str, str], dict[str, str]]:
    """Make the servers ready.

    Returns:
        Name → version of those that can run, and name → what to do of those that cannot.
    """
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            versions[peer.name] = peer.prepare(site)
            print(f"{peer.name}: {versions[peer.name]}", flush=True)
        except PeerMissing as exc:
            missing[peer.name] = str(exc)
            print(f"{peer.name}: left out: {exc}", flush=True)
    return versions, missing


def _collect(plan: Plan, site: Site, cores: Cores) -> tuple[list[Row], list[IdleRow]]:
    """Measure; an interrupt ends it early, and what was measured until then still counts."""
    rows: list[Row] = []
    idle: list[IdleRow] = []
    try:
        rows.extend(measure_rows(plan, site, cores))
        idle.extend(measure_idle(plan, site, cores))
    except KeyboardInterrupt:
        print("interrupted: the tables are not complete", file=sys.stderr)
    return rows, idle


def _print_tables(plan: Plan, rows: Sequence[Row], idle: Sequence[IdleRow]) -> list[Summary]:
    summaries: list[Summary] = []
    for case in plan.cases:
        for connections in plan.connections:
            if parts := summarize(case, connections, rows):
                print("\n" + format_summaries(case, connections, parts))
                summaries.extend(parts)
    if idle:
        print("\n" + format_idle(idle))
    return summaries


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"\nall figures: {path}")


def _plan(args: argparse.Namespace, cases: Sequence[Case], peers: Sequence[Peer], most_idle: int) -> Plan:
    return Plan(peers, cases, args.connections, args.rounds, args.seconds, min(args.idle, most_idle))


def _about(cores: Cores, plan: Plan, versions: dict[str, str], missing: dict[str, str]) -> dict[str, Any]:
    return {
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(cores),
        "seconds": plan.seconds,
        "rounds": plan.rounds,
        "baseline": BASELINE,
        "versions": versions,
        "missing": missing,
    }


def main() -> int:
    """Run the benchmark.

    Returns:
        The exit status: 0, or 1 when a measurement failed or a needed program is missing.
    """
    args = make_parser().parse_args()
    if absent := [program for program in ("wrk", "taskset") if shutil.which(program) is None]:
        print(f"{', '.join(absent)} not found; apt-get install wrk util-linux", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no server outlives this
    cores = find_cores()
    pin_self(cores)
    site = make_site(_HERE / "build")
    cases = choose_cases(args.case, site)
    versions, missing = prepare(choose_peers(args.only, cases), site)
    plan = _plan(args, cases, [peer for peer in PEERS if peer.name in versions], raise_descriptor_limit())
    if cores.warning:
        print(f"note: {cores.warning}")
    about = _about(cores, plan, versions, missing)
    rows, idle = _collect(plan, site, cores)
    summaries = _print_tables(plan, rows, idle)
    path = args.json or _HERE / "results" / time.strftime("http-%Y%m%d-%H%M%S.json")
    _write_json(path, document(about, rows, summaries, idle))
    return int(any(row.error for row in rows) or any(row.error for row in idle))


if __name__ == "__main__":
    sys.exit(main())
