"""Measure what ``evkit serve --workers`` gains: requests a second of one process, and of several.

The entry: it reads the command line, runs the rounds and writes the table and the JSON file. Linux only: it reads
/proc. See benchmarks/README.md for what is measured and how to read it.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from common.machine import describe, find_cores
from common.programs import commit, distributions
from workersbench.measure import Plan, Row, measure_rows
from workersbench.report import document, format_summaries, summarize

_HERE: Final = Path(__file__).parent
_LOOPS: Final = 100_000
"""About a millisecond: wrk, which needs some 20 us a request, is small beside it."""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="bench_workers.py", description=str(__doc__).split("\n", 1)[0])
    processors = len(os.sched_getaffinity(0))
    crews = sorted({1, processors})
    parser.add_argument(
        "--workers",
        nargs="+",
        type=_positive,
        default=crews,
        metavar="N",
        help="default: 1, and the processors",
    )
    parser.add_argument(
        "--loops",
        type=_positive,
        default=_LOOPS,
        metavar="N",
        help="how long the handler is busy (default 100000)",
    )
    parser.add_argument("--connections", type=_positive, default=32, metavar="N", help="of wrk (default 32)")
    parser.add_argument("--seconds", type=_positive, default=2, help="length of each run of wrk (default 2)")
    parser.add_argument("--rounds", type=_positive, default=5, help="runs of each crew (default 5)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="all figures (default: a new file in results/)"
    )
    return parser


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
    plan = Plan(args.workers, args.loops, args.connections, args.rounds, args.seconds)
    about = {
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(cores),
        "version": distributions("evkit") + commit(),
    }
    build = _HERE / "build"
    build.mkdir(exist_ok=True)
    rows: list[Row] = []
    try:
        rows.extend(measure_rows(plan, build, cores))
    except KeyboardInterrupt:
        print("interrupted: the table is not complete", file=sys.stderr)
    summaries = summarize(rows)
    print(format_summaries(summaries, len(os.sched_getaffinity(0))))
    path = args.json or _HERE / "results" / time.strftime("workers-%Y%m%d-%H%M%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(about, rows, summaries), indent=1) + "\n")
    print(f"\nall figures: {path}")
    return int(any(row.error for row in rows))


if __name__ == "__main__":
    sys.exit(main())
