"""What came of very many calls: how many, how fast, how long the answers took, and which errors there were.

A decider, drawn by `evkit.cli.progress.ProgressLine` meanwhile. Knows nothing of connections or clocks.
"""

from typing import Any, Final

from evkit.cli.counting import Count
from evkit.cli.rpc_latencies import Latencies, show_latency
from evkit.cli.terminal import one_line
from evkit.rpc import RemoteCallError, RPCError

_PERCENTILES: Final = {"min": 0, "p50": 50, "p90": 90, "p99": 99, "max": 100}
_MOST_KINDS: Final = 20
"""Errors that are told apart: their texts may be all different."""
_LONGEST: Final = 200
"""Characters of an error."""
_OTHERS: Final = "others"


class Report(Count):
    """Counts calls.

    Args:
        now: When they began, in seconds on any clock.
        total: How many there are to be.

    Attributes:
        latencies: Of those that were answered, be it by an error.
        errors: How often each was seen, by its text.
    """

    __slots__ = ("errors", "latencies")

    def __init__(self, now: float, total: int) -> None:
        super().__init__(now)
        self.size = total
        self.latencies = Latencies()
        self.errors: dict[str, int] = {}

    def answered(self, nanoseconds: int, error: RPCError | None) -> None:
        """Count a call that is over.

        Args:
            nanoseconds: How long it took.
            error: Why there is no value; ``None``: there is one.
        """
        self.count(failed=error is not None)
        self.passed += 1
        if error is None or isinstance(error, RemoteCallError):
            self.latencies.add(nanoseconds)
        if error is not None:
            kind = self._kind(error)
            self.errors[kind] = self.errors.get(kind, 0) + 1

    def _kind(self, error: RPCError) -> str:
        text = one_line(error)[:_LONGEST]
        return text if text in self.errors or len(self.errors) < _MOST_KINDS else _OTHERS

    def facts(self, now: float) -> dict[str, Any]:
        """Return all there is to tell, for JSON."""
        seconds = self._meter.elapsed(now)
        return {
            "calls": self.done,
            "failed": self.failed,
            "seconds": round(seconds, 6),
            "rate": round(self.done / seconds, 3) if seconds else None,
            "latency": {name: self._percentile(percent) for name, percent in _PERCENTILES.items()},
            "errors": self.errors,
        }

    def _percentile(self, percent: int) -> float | None:
        """Return it in seconds; ``None``: nothing was answered, which is not quick."""
        return self.latencies.percentile(percent) if self.latencies.count else None

    def lines(self, now: float) -> list[str]:
        """Return all there is to tell, for a reader."""
        lines = [self.summary(now)]
        if self.latencies.count:
            shown = [
                f"{name} {show_latency(self.latencies.percentile(of))}" for name, of in _PERCENTILES.items()
            ]
            lines.append(f"time of an answer: {', '.join(shown)}")
        return lines + [f"{number:,} failed: {kind}" for kind, number in self.errors.items()]
