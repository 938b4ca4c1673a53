"""How far something is that is counted: what is done and what failed, how fast, and how long it will take.

A decider, drawn by `evkit.cli.progress.ProgressLine`. Knows nothing of terminals or clocks, nor of what is counted.
"""

from typing import Final

from evkit.cli.progress import Progress, draw_bar, show_duration

_WIDEST_BAR: Final = 30
_ROOM: Final = 66
"""Characters for all beside the bar, at most: it keeps its width whatever the numbers are."""


class Count:
    """Counts, and tells of it.

    Args:
        now: When it began, in seconds on any clock.

    Attributes:
        failed: Those of the ones that are done that have failed.
        passed: How far it is: of ``size``, in any unit.
        size: How far it is to go; ``None``: nobody knows.
    """

    __slots__ = ("_meter", "failed", "passed", "size")

    def __init__(self, now: float) -> None:
        self._meter = Progress(None, now)  # which counts in place of bytes
        self.failed = 0
        self.passed = 0
        self.size: int | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} done={self.done} failed={self.failed}>"

    @property
    def done(self) -> int:
        """Those that are done, the failed ones among them."""
        return self._meter.done

    def count(self, *, failed: bool) -> None:
        """Count one."""
        self._meter.done += 1
        self.failed += failed

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
        return f"{self._counts()}{self._more()} in {show_duration(seconds)}{rate}"

    def _counts(self) -> str:
        return f"{self.done:,} done, {self.failed:,} failed"

    def _more(self) -> str:
        """Return what else the summary tells."""
        return ""
