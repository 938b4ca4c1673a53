"""How long calls took: their percentiles, in memory that does not grow with their number.

A decider over numbers. It keeps how many calls fell into each of some thousand ranges, none of which is wider than
1/128 of what is in it. Knows nothing of calls or clocks.
"""

from collections import defaultdict
from typing import Final

_BITS: Final = 7
"""Of a number that are kept, behind its first."""
_NANOSECONDS: Final = 1_000_000_000
_LARGER_UNITS: Final = (("s", 1.0), ("ms", 1e3))
_NEARLY_ONE: Final = 0.9995
"""What is written as 1, in three digits."""


class Latencies:
    """Gathers times.

    Attributes:
        count: How many there are.

    Source: HdrHistogram's buckets, https://hdrhistogram.org.
    """

    __slots__ = ("_counts", "_least", "_most", "count")

    def __init__(self) -> None:
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._least = self._most = 0
        self.count = 0

    def __repr__(self) -> str:
        return f"<Latencies count={self.count}>"

    def add(self, nanoseconds: int) -> None:
        """Take one, ``>= 0``."""
        shift = max(0, nanoseconds.bit_length() - _BITS - 1)
        self._counts[(shift << _BITS) + (nanoseconds >> shift)] += 1
        self._least = min(self._least, nanoseconds) if self.count else nanoseconds
        self._most = max(self._most, nanoseconds)
        self.count += 1

    def percentile(self, percent: int) -> float:
        """Return in seconds what so many of a hundred did not exceed.

        Args:
            percent: 0 to 100; these two are exact, all others too high by 1/128 at most.

        Returns:
            0 where there are none.
        """
        if percent == 0 or not self.count:
            return self._least / _NANOSECONDS
        left = self.count * percent
        for bucket in sorted(self._counts):
            left -= 100 * self._counts[bucket]
            if left <= 0:
                break
        return min(_end(bucket), self._most) / _NANOSECONDS


def _end(bucket: int) -> int:
    """Return the last number of a range."""
    shift = max(0, (bucket >> _BITS) - 1)
    return (((bucket - (shift << _BITS)) + 1) << shift) - 1


def show_latency(seconds: float) -> str:
    """Write a time for a reader, in three digits: ``"1.23 s"``, ``"45.6 ms"``, ``"789 µs"``."""
    for unit, factor in _LARGER_UNITS:
        if seconds * factor >= _NEARLY_ONE:
            return f"{_rounded(seconds * factor)} {unit}"
    return f"{_rounded(seconds * 1e6)} µs"


def _rounded(number: float) -> str:
    return f"{float(f'{number:.3g}'):g}"  # not 1e+03
