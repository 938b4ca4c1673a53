"""What all resolvers of the benchmark are told, and what they must get: arguments, names, their addresses.

It must never know how a resolver asks. `dnsbench.zone` makes the zone.
"""

import argparse
import sys
from itertools import count
from pathlib import Path
from typing import Final

__all__ = ["WARM_UP", "Names", "Stopwatch", "check", "make_parser"]

sys.path.append(str(Path(__file__).parents[1] / "core"))  # which has what all programs share

from stopwatch import Stopwatch

WARM_UP: Final = 500
"""Look-ups before those that count: sockets are open then, and round-trip times known."""


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=10_000, help="look-ups of a run")
    parser.add_argument("-c", type=int, default=100, help="look-ups in flight")
    parser.add_argument("-r", type=int, default=1, help="runs")
    parser.add_argument(
        "--loop", default="asyncio", choices=("asyncio", "uvloop"), help="for asyncio's resolvers"
    )
    parser.add_argument("--port", type=int, default=5301, help="the server's, on 127.0.0.1")
    return parser


class Names:
    """Names that are asked for once each, so that no cache helps, and the one address that each must have."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers = count()

    def next(self) -> tuple[str, str]:
        """Return the next name and its address."""
        number = next(self._numbers)
        return f"h{number}.bench.test", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def check(name: str, got: object, expected: str) -> None:
    """See that the answer is the one address of the name.

    Raises:
        SystemExit: It is not.
    """
    if got != expected:
        raise SystemExit(f"expected {expected} for {name}, got {got!r}")
