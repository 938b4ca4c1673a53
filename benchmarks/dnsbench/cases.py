"""What is measured: look-ups of names that no cache knows, of names that it does, and a file of very many.

It must never know a program, nor how its time is taken.
"""

from collections.abc import Sequence
from typing import Final

from corebench.cases import Case, Goal

LOOKUPS: Final = 10_000
MILLION: Final = 1_000_000
RUNS: Final = 3
_IN_FLIGHT: Final = "100"
_CACHED: Final = 100_000


def make_cases(lookups: int = LOOKUPS, names: int = MILLION) -> Sequence[Case]:
    """List all cases.

    Args:
        lookups: Of one run.
        names: Those of the file.
    """
    return (
        Case(
            "lookups",
            f"lookups: {lookups:,} names, all distinct, 100 in flight, one address each",
            "look-up",
            lookups,
            baseline="aiodns",
            arguments=("-n", str(lookups), "-c", _IN_FLIGHT, "-r", str(RUNS)),
            goals=(
                Goal("lookups", "aiodns", 0.75),
                Goal("lookups", "pycares", 1.0),
                Goal("lookups", "dnspython", 0.15),
            ),
        ),
        Case(
            "cached",
            "cached: names that the resolver knows; wanted are 3 us",
            "look-up",
            _CACHED,
            baseline="evkit",
            arguments=("-n", str(_CACHED), "-r", str(RUNS)),
        ),
        Case(
            "million",
            f"million: `evkit resolve` of a file of {names:,} names, 100 in flight",
            "name",
            names,
            baseline="evkit",
            arguments=("-n", str(names), "-c", _IN_FLIGHT),
        ),
    )
