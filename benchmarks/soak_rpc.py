"""Soak an RPC server: frames of every kind, good and hostile, beside a client whose calls must go on.

The entry: it reads the command line, runs the soak and tells the verdict. Linux only: it reads /proc. See
benchmarks/README.md.
"""

import argparse
import sys
import traceback

from soak.rpc_run import RPCSoak, SoakError


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text}")
    return value


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(prog="soak_rpc.py", description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("--frames", type=_positive, default=1_000_000, help="to send (default 1000000)")
    parser.add_argument("--seed", type=int, default=1, help="what all chances follow from (default 1)")
    parser.add_argument("--report", action="store_true", help="tell what was counted")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the soak.

    Returns:
        The exit status: 0 if all is well, 1 for a fault or a leak, which stderr tells.
    """
    args = make_parser().parse_args(arguments)
    tell = print if args.report else _say_nothing
    try:
        RPCSoak(args.frames, args.seed, tell).run()
    except SoakError as error:
        traceback.print_exception(error, file=sys.stderr)
        print(f"seed {args.seed}, {args.frames:,} frames: see above", file=sys.stderr)
        return 1
    print(f"{args.frames:,} frames, seed {args.seed}: the server answers, and nothing is left in it")
    return 0


def _say_nothing(line: str) -> None:
    """Stand in for ``print`` without ``--report``."""


if __name__ == "__main__":
    sys.exit(main())
