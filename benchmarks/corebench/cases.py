"""What is measured: the work, the same for every peer, and what evkit may cost at most.

It must never know a program, nor how its time is taken.
"""

from dataclasses import dataclass
from typing import Final

FAR_CORE: Final = "@far"
"""Among a program's arguments: the number of the processor that is not under test."""


@dataclass(frozen=True, slots=True)
class Goal:
    """evkit's CPU time in ``section`` is to be at most ``most`` times that of ``against``, another peer."""

    section: str
    against: str
    most: float


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of work.

    Attributes:
        name: What ``--case`` takes, and the programs' names begin with.
        title: The heading of its tables.
        unit: What is counted; figures are for one of them.
        count: How many of them a run does; a program that did another number does not count.
        baseline: The peer that ratios are taken to.
        arguments: The programs' arguments. A server gets its port alone.
        load: The arguments of the load that a server is put under; empty for a program that works by itself.
        warm_up: Those of a load before it, which is not measured.
        fewer: The case that does the same with fewer of them: what one costs should be alike.
        goals: What is wanted of evkit.
    """

    name: str
    title: str
    unit: str
    count: int
    baseline: str = "libevent"
    arguments: tuple[str, ...] = ()
    load: tuple[str, ...] = ()
    warm_up: tuple[str, ...] = ()
    fewer: str = ""
    goals: tuple[Goal, ...] = ()

    @property
    def program(self) -> str:
        """What the names of its programs begin with: ``timers`` for the case ``timers-1000``."""
        return self.name.partition("-")[0]


def _echo_load(messages: int) -> tuple[str, ...]:
    return ("-c", "64", "-s", "1024", "-m", str(messages))


CASES: Final = (
    Case(
        "bench",
        "bench: 1,000 pairs, 100 active, 20,000 writes",
        "event",
        20_100,
        arguments=("-n", "1000", "-a", "100", "-w", "20000", "-r", "25"),
        goals=(Goal("dispatch", "libevent", 2.0), Goal("dispatch", "uvloop", 1.0)),
    ),
    Case(
        "cascade",
        "bench_cascade: 1,000 pairs",
        "event",
        1000,
        arguments=("-n", "1000", "-r", "25"),
        goals=(Goal("cascade", "libevent", 3.0),),
    ),
    Case("timers-1000", "timers: 1,000 pending", "timer", 1000, arguments=("-n", "1000", "-r", "25")),
    Case(
        "timers",
        "timers: 100,000 pending",
        "timer",
        100_000,
        arguments=("-n", "100000", "-r", "3"),
        fewer="timers-1000",
        goals=(Goal("move", "asyncio", 0.5),),
    ),
    Case(
        "echo",
        "echo: 64 connections, messages of 1 KiB",
        "message",
        100_000,
        load=_echo_load(100_000),
        warm_up=_echo_load(20_000),
        goals=(
            Goal("serve", "asyncio-streams", 1 / 3),
            Goal("serve", "asyncio", 1.1),
            Goal("serve", "uvloop", 1.3),
        ),
    ),
    Case(
        "pipe",
        "pipe: 1 GiB from socket to socket",
        "MiB",
        1024,
        baseline="bare",
        arguments=("-m", "1024", "-r", "3", "--far", FAR_CORE),
        goals=(Goal("transfer", "bare", 1 / 0.7),),
    ),
)
