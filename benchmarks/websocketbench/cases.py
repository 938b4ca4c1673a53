"""What is measured: echoed messages of three sizes, and what evkit may cost at most.

It must never know a program, nor how its time is taken.
"""

from typing import Final

from corebench.cases import Case, Goal
from corebench.runner import SERVED

BASELINE: Final = "websockets"


def _load(size: int, messages: int, *more: str) -> tuple[str, ...]:
    return ("-c", "64", "-s", str(size), "-m", str(messages), *more)


def _case(name: str, title: str, size: int, messages: int, *more: str, goals: tuple[Goal, ...] = ()) -> Case:
    return Case(
        name,
        f"WebSocket echo: 64 connections, {title}",
        "message",
        messages,
        baseline=BASELINE,
        load=_load(size, messages, *more),
        warm_up=_load(size, messages // 5, *more),
        goals=goals,
    )


CASES: Final = (
    _case("small", "binary messages of 128 bytes", 128, 60_000, goals=(Goal(SERVED, BASELINE, 0.5),)),
    _case("text", "texts of 128 bytes", 128, 60_000, "--text", goals=(Goal(SERVED, BASELINE, 0.5),)),
    _case("page", "binary messages of 4 KiB", 4096, 40_000),
    _case("big", "binary messages of 64 KiB", 65536, 10_000),
)
