"""How far a file of names is, and what is told of it in the end.

A decider, drawn by `evkit.cli.progress.ProgressLine`. Knows nothing of terminals or clocks.
"""

from evkit.cli.counting import Count
from evkit.cli.resolve_results import Result


class Tally(Count):
    """Counts what came of the questions: ``failed`` are names, ``passed`` and ``size`` bytes of the file.

    Args:
        now: When it began, in seconds on any clock.

    Attributes:
        bad: Lines that could not be read.
        heard: Whether any server has said anything.
    """

    __slots__ = ("bad", "heard")

    def __init__(self, now: float) -> None:
        super().__init__(now)
        self.bad = 0
        self.heard = False

    def __repr__(self) -> str:
        return f"<Tally done={self.done} failed={self.failed} bad={self.bad}>"

    def add(self, result: Result) -> None:
        """Count one."""
        self.count(failed=not result.resolved)
        self.heard = self.heard or result.heard

    def _more(self) -> str:
        return f", {self.bad:,} bad line{'s' if self.bad > 1 else ''}" if self.bad else ""
