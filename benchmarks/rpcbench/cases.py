"""What is measured: small calls, one after the other and many in flight, large ones, and connections that do little.

It must never know a program, nor how its time is taken.
"""

from collections.abc import Sequence
from typing import Final

from corebench.cases import FAR_CORE, Case, Goal

CALLS: Final = 20_000
CONNECTIONS: Final = 10_000
BLOCK: Final = 65536
_A_MIB: Final = (1 << 20) // BLOCK
_MIB: Final = 128
_FLOOD: Final = 64
"""MiB that are sent at most to a server whose answers nobody reads."""
_BESIDE: Final = 1000
"""Calls beside: what ``peers/rpc/raw_load.py`` makes."""
RUNS: Final = "3"
BASELINE: Final = "aio-msgpack-rpc"
_APART: Final = ("--far", FAR_CORE)


def _calls(
    name: str, title: str, calls: int, in_flight: int, *more: str, goals: tuple[Goal, ...] = ()
) -> Case:
    return Case(
        name,
        f"{name}: echo of 16 characters, {title}",
        "call",
        calls,
        baseline=BASELINE,
        arguments=("calls", "-n", str(calls), "-c", str(in_flight), "-r", RUNS, *more),
        goals=goals,
    )


def _big(name: str, title: str, mib: int, *more: str) -> Case:
    return Case(
        name,
        f"{name}: echo of 64 KiB, one call after the other, {title}; bytes of one way count",
        "MiB",
        mib,
        baseline=BASELINE,
        arguments=(
            *("calls", "-n", str(mib * _A_MIB), "--unit", str(_A_MIB), "-s", str(BLOCK), "-r", RUNS),
            *more,
        ),
    )


def make_cases(calls: int = CALLS, connections: int = CONNECTIONS, mib: int = _MIB) -> Sequence[Case]:
    """List all cases.

    Args:
        calls: Of a run with many in flight; a quarter of them are made one after the other, ``>= 4``.
        connections: Those that are idle.
        mib: What is echoed in large calls.
    """
    few = calls // 4
    quicker = (Goal("echo", BASELINE, 1 / 3), Goal("echo", "grpcio", 1 / 20))
    return (
        _calls("sequential", "one after the other, a processor for each end", few, 1, *_APART),
        _calls("sequential-same", "one after the other, both ends on one processor", few, 1),
        _calls("pipelined", "100 in flight, a processor for each end", calls, 100, *_APART, goals=quicker),
        _big("big", "both ends on one processor", mib),
        _big("big-apart", "a processor for each end", mib, *_APART),
        Case(
            "idle",
            f"idle: {connections:,} connections that have made one call each",
            "connection",
            connections,
            baseline=BASELINE,
            arguments=("idle", "-n", str(connections), *_APART),
        ),
        Case(
            "flood",
            f"flood: small calls beside a client that asks for 64 KiB, up to {_FLOOD} MiB, and reads nothing",
            "call",
            _BESIDE,
            baseline=BASELINE,
            arguments=("flood", "-n", str(_FLOOD), *_APART),
        ),
    )
