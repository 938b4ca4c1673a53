"""How far a file of names is: what is done and what failed, how fast, and how long it will take.

A decider, drawn by `evkit.cli.progress.ProgressLine`. Knows nothing of terminals or clocks.
"""

from typing import Final

from evkit.cli.progress import Progress, draw_bar, show_duration
from evkit.cli.resolve_results import Result

_WIDEST_BAR: Final = 30
_ROOM: Final = 66
"""Characters for all beside the bar, at most: it keeps its width whatever the numbers are."""


class Tally:
    """Counts what came of the questions.

    Args:
        now: When it began, in seconds on any clock.

    Attributes:
        failed: Names that are not resolved.
        bad: Lines that could not be read.
        heard: Whether any server has said anything.
        passed: Bytes of the file up to the line that was read last.
        size: Bytes of the file; ``None``: nobody knows.
    """

    __slots__ = ("_meter", "bad", "failed", "heard", "passed", "size")

    def __init__(self, now: float) -> None:
        self._meter = Progress(None, now)  # which counts names in place of bytes
        self.failed = 0
        self.bad = 0
        self.heard = False
        self.passed = 0
        self.size: int | None = None

    def __repr__(self) -> str:
        return f"<Tally done={self.done} failed={self.failed} bad={self.bad}>"

    @property
    def done(self) -> int:
        """Names that are resolved or not."""
        return self._meter.done

    def add(self, result: Result) -> None:
        """Count one."""
        self._meter.done += 1
        self.failed += not result.resolved
        self.heard = self.heard or result.heard

    def sample(self, now: float) -> None:
        """Note how much is done by ``now``: call it at even intervals."""
        self._meter.sample(now)

    def line(self, width: int) -> str:
        """Return what there is to tell, in at most ``width`` characters."""
        rate = self._meter.rate
        told = f"{self._counts()}, {rate:,.0f}/s"
        if not self.size:
            return told[:width]
        part = min(1.0, self.passed / self.size)
        if rate and part:
            told += f", {show_duration(self.done * (1 - part) / part / rate)} left"
        return f"{int(part * 100):3}% {draw_bar(part, min(_WIDEST_BAR, width - _ROOM))}{told}"[:width]

    def summary(self, now: float) -> str:
        """Return what there is to tell in the end: how many, how long it took, and the mean rate."""
        seconds = self._meter.elapsed(now)
        rate = f", {self.done / seconds:,.0f}/s" if seconds else ""
        bad = f", {self.bad:,} bad line{'s' if self.bad > 1 else ''}" if self.bad else ""
        return f"{self._counts()}{bad} in {show_duration(seconds)}{rate}"

    def _counts(self) -> str:
        return f"{self.done:,} done, {self.failed:,} failed"
