"""What all clients of the benchmark are told, and what they must get: arguments, URLs, the small reply.

It must never know how a client asks.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Final

__all__ = ["BLOCK", "HELLO", "WARM_UP", "Stopwatch", "check", "check_size", "make_parser", "memory", "urls"]

sys.path.append(str(Path(__file__).parents[1] / "core"))  # which has what the programs of both share

from ends import BLOCK, memory
from stopwatch import Stopwatch

HELLO: Final = b"Hello, world!"
WARM_UP: Final = 500
"""Requests before those that count: all connections are open then, and caches warm."""


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=10_000, help="requests of a run")
    parser.add_argument("-c", type=int, default=64, help="requests in flight")
    parser.add_argument("--distinct", action="store_true", help="a URL of its own for each request")
    parser.add_argument("-m", type=int, default=1024, help="MiB of a transfer")
    parser.add_argument("-r", type=int, default=1, help="runs")
    parser.add_argument(
        "--loop", default="asyncio", choices=("asyncio", "uvloop"), help="for asyncio's clients"
    )
    parser.add_argument("--far", type=int, default=None, help="processor of who sends an upload")
    parser.add_argument("--port", type=int, default=8080, help="the server's, on 127.0.0.1")
    return parser


def urls(args: argparse.Namespace) -> Iterator[str]:
    """Give the URL of each request; what is behind the question mark means nothing to the server."""
    url = f"http://127.0.0.1:{args.port}/"
    return (f"{url}?{number}" for number in count()) if args.distinct else repeat(url)


def check(status: int, body: bytes) -> None:
    """See that a reply is the one that was asked for.

    Raises:
        SystemExit: It is not.
    """
    if status != 200 or body != HELLO:
        raise SystemExit(f"got {status} and {body[:40]!r}")


def check_size(got: int, mib: int) -> None:
    """See that a transfer was complete.

    Raises:
        SystemExit: It was not.
    """
    if got != mib << 20:
        raise SystemExit(f"{got} bytes of {mib << 20} arrived")
