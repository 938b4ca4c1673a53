"""What all peers of the RPC benchmark are told, and how each is put to work: arguments, what they echo, what it costs.

A peer's program is its client; it starts itself once more as its server, and measures the CPU time of both. It must
never know how a peer calls. Nothing here needs more than the standard library: a peer may live in an environment of its
own.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

__all__ = ["TEXT", "Echo", "Payload", "run"]

sys.path.append(str(Path(__file__).parents[2]))  # which has what all programs share
sys.path.append(str(Path(__file__).parents[1] / "core"))

import raw_load
from common.proc import cpu_spent, sample_cpu
from common.server import free_port, running
from stopwatch import Stopwatch

Payload = str | bytes
TEXT: Final = "0123456789abcdef"
_WARM_UP: Final = 0.2
"""Of the calls of a run: made before those that count, over the same connection."""


class Echo(Protocol):
    """The client of a peer, connected."""

    def run(self, count: int, in_flight: int) -> int:
        """Make so many calls, and return how many of them gave back what they were given."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


Connect = Callable[[int, Payload, argparse.Namespace], Echo]
"""Makes a client, given the server's port, what to echo, and the arguments."""
Serve = Callable[[int, Payload], None]
"""Serves on a port for ever; what will be echoed says which type it is of."""


class BothEnds(Stopwatch):
    """Adds the server's CPU time to that of this process, for each section.

    Args:
        pid: The server.
    """

    __slots__ = ("_before", "_pid")

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._pid = pid
        self._before: dict[int, int] = {}

    def start(self) -> None:
        self._before = sample_cpu(self._pid)
        super().start()

    def stop(self, section: str) -> None:
        super().stop(section)
        self._sections[section]["cpu"][-1] += cpu_spent(self._before, sample_cpu(self._pid))


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", nargs="?", default="calls", choices=("calls", "idle", "flood"))
    parser.add_argument("-n", type=int, default=1000, help="calls of a run; or connections; or MiB at most")
    parser.add_argument("-c", type=int, default=1, help="calls in flight")
    parser.add_argument("-r", type=int, default=1, help="runs")
    parser.add_argument("-s", type=int, default=len(TEXT), help="bytes echoed; text if so many as usual")
    parser.add_argument("--unit", type=int, default=1, help="calls for one of what is counted")
    parser.add_argument("--far", type=int, default=None, help="processor of the server; else this one's")
    parser.add_argument("--futures", action="store_true", help="where there are callbacks, too")
    parser.add_argument("--serve", type=int, metavar="PORT", help="be the server")
    parser.add_argument("--ask", type=int, metavar="PORT", help="ask this server, and start none")
    return parser


def make_payload(size: int) -> Payload:
    """Return the text, or as many bytes that can't be packed any closer."""
    return TEXT if size == len(TEXT) else random.Random(1).randbytes(size)


@contextmanager
def _server(args: argparse.Namespace) -> Iterator[tuple[int, int]]:
    """Start this program as its own server; give its port and process, or those that are there."""
    if args.ask is not None:
        yield args.ask, 0
        return
    port = free_port()
    command = [sys.executable, sys.argv[0], "--serve", str(port), "-s", str(args.s)]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(command, port=port, core=args.far, log=Path(folder, "log")) as server,
    ):
        yield port, server.pid


def _make_calls(args: argparse.Namespace, connect: Connect, port: int, pid: int) -> None:
    echo = connect(port, make_payload(args.s), args)
    echo.run(max(1, int(args.n * _WARM_UP)), args.c)
    watch, right = BothEnds(pid) if pid else Stopwatch(), 0
    for _ in range(args.r):
        watch.start()
        right = echo.run(args.n, args.c)
        watch.stop("echo")
    echo.close()
    watch.report(right // args.unit)


def _hold_idle(args: argparse.Namespace, port: int, pid: int) -> None:
    watch = BothEnds(pid)
    watch.start()
    growth, answered = raw_load.hold_idle(port, pid, args.n)
    watch.stop("idle")
    watch.report(answered, memory_growth=growth)


def _flood(args: argparse.Namespace, port: int, pid: int) -> None:
    watch = BothEnds(pid)
    growth, answered = raw_load.flood(port, pid, args.n << 20, watch)
    watch.report(answered, memory_growth=growth)


def run(serve: Serve, connect: Connect) -> None:
    """Be the server, or the client that measures both, as the command line says.

    Args:
        serve: The server of a peer, which has one method, ``echo``.
        connect: Its client.
    """
    args = make_parser().parse_args()
    if args.serve is not None:
        serve(args.serve, make_payload(args.s))
        return
    with _server(args) as (port, pid):
        if args.work == "idle":
            _hold_idle(args, port, pid)
        elif args.work == "flood":
            _flood(args, port, pid)
        else:
            _make_calls(args, connect, port, pid)
