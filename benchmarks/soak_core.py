"""Soak the core: random operations on every backend, compared with models, and nothing may be left at the end.

The entry: it reads the command line, runs the soak and tells the verdict. Linux only: it reads /proc. See
benchmarks/README.md.
"""

import argparse
import sys
import traceback

from soak.run import Soak, SoakError

from evkit.core import supported_methods


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="soak_core.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument(
        "--operations", type=_positive, default=1_000_000, help="on all backends (default 1000000)"
    )
    parser.add_argument("--seed", type=int, default=1, help="what all chances follow from (default 1)")
    parser.add_argument("--backend", choices=["all", *supported_methods()], default="all")
    parser.add_argument(
        "--check-every", type=_positive, default=200, help="operations between two looks (200)"
    )
    parser.add_argument("--report", action="store_true", help="tell what was counted")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the soak.

    Returns:
        The exit status: 0 if all is well, 1 for a fault or a leak, with the seed and the last operations on stderr.
    """
    args = make_parser().parse_args(arguments)
    methods = supported_methods() if args.backend == "all" else [args.backend]
    tell = print if args.report else _say_nothing
    try:
        Soak(methods, args.operations, args.seed, args.check_every, tell).run()
    except SoakError as error:
        traceback.print_exception(error, file=sys.stderr)
        return 1
    print(
        f"{args.operations:,} operations on {', '.join(methods)}, seed {args.seed}: nothing is left, nothing was wrong"
    )
    return 0


def _say_nothing(line: str) -> None:
    """Stand in for ``print`` without ``--report``."""


if __name__ == "__main__":
    sys.exit(main())
