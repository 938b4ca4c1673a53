"""What is wanted of evkit by itself, beside the ratios to its peers: microseconds, and bytes of memory.

A machine's own pace moves these, so they are printed, and judge nothing. It must never know how a figure was taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from corebench.cases import Case
from corebench.report import sections_of, summarize
from corebench.runner import Row

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """The most that a case may cost ``peer``.

    Attributes:
        figure: ``cpu`` or ``wall``, in microseconds a unit, or ``memory`` in bytes of growth a unit.
        most: Of the figure.
    """

    case: str
    peer: str
    figure: str
    most: float


WANTED: Final = (
    Wanted("sequential-same", "evkit", "cpu", 20.0),
    Wanted("sequential-same", "evkit-futures", "cpu", 30.0),
    Wanted("pipelined", "evkit", "cpu", 4.0),
    Wanted("pipelined", "evkit-futures", "cpu", 7.0),
    Wanted("big", "evkit", "wall", 1e6 / 1000),
    Wanted("idle", "evkit", "memory", 4.0 * _KIB),
)
"""Source: the bare loop's own figures, which are a half to two thirds of these on a quiet machine; 1,000 MiB/s are
1,000 us for each. There is none for calls that wake another processor, which costs more than all else."""


def memory(case: Case, peer: str, rows: Sequence[Row]) -> float | None:
    """Tell the most bytes that the server has grown by for each unit; None where that was not measured."""
    grown = [row.memory_growth for row in rows if (row.case, row.peer) == (case.name, peer)]
    return max((size / case.count for size in grown if size is not None), default=None)


def got(wanted: Wanted, case: Case, rows: Sequence[Row]) -> float | None:
    """Take the figure that is wanted, a median over the rounds; None where it was not measured."""
    if wanted.figure == "memory":
        return memory(case, wanted.peer, rows)
    for section in sections_of(case, rows):
        for part in summarize(case, section, rows):
            if part.peer == wanted.peer:
                return part.cpu if wanted.figure == "cpu" else part.wall
    return None


def tell(case: Case, rows: Sequence[Row]) -> list[str]:
    """Write a line for each figure that is wanted in ``case``."""
    return [_line(wanted, case, got(wanted, case, rows)) for wanted in WANTED if wanted.case == case.name]


def _line(wanted: Wanted, case: Case, value: float | None) -> str:
    unit = "bytes" if wanted.figure == "memory" else f"us {wanted.figure}"
    told = "not measured" if value is None else f"{value:,.1f}, {'met' if value <= wanted.most else 'MISSED'}"
    return f"  wanted: {wanted.peer} at most {wanted.most:,.0f} {unit} a {case.unit}: {told}"


def tell_memory(case: Case, rows: Sequence[Row]) -> list[str]:
    """Write a line for each peer of which memory was measured for every unit, as it is where those are connections."""
    if case.unit != "connection":
        return []
    peers = dict.fromkeys(row.peer for row in rows if row.case == case.name)
    sizes = {peer: memory(case, peer, rows) for peer in peers}
    return [f"  {peer}: {size:,.0f} bytes a connection" for peer, size in sizes.items() if size is not None]
