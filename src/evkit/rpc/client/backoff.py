"""Back-off: how long to wait before something that failed is tried again.

A decider: who counts the failures and who draws the dice passes both in. It knows nothing of clocks, connections or
calls, and one object serves any number of them.
"""

from math import isfinite
from typing import Final

_MOST_STEPS: Final = 1023
"""Failures beyond which no delay is worth computing: a float has no room for 2**1024."""


class Backoff:
    """Settings of an exponential back-off; they don't change once made.

    Args:
        first: Seconds that the first try waits at most, ``>= 0``; 0: nothing ever waits.
        factor: By what each further failure in a row multiplies that, ``>= 1``; 1: all wait the same.
        most: Seconds that none waits longer than, ``>= first``.
        jitter: The part of a delay that is left to chance, 0 to 1. With 0 the clients of a server that went away come
            back to it all at once.

    Raises:
        ValueError: A number is out of range.
        TypeError: It is none.

    Source: gRPC's connection back-off, whose jitter also makes delays longer than its maximum; here ``most`` is kept.
    """

    __slots__ = ("_factor", "_first", "_jitter", "_most")

    def __init__(
        self, first: float = 0.1, factor: float = 2.0, most: float = 10.0, jitter: float = 0.5
    ) -> None:
        for name, number in (("first", first), ("factor", factor), ("most", most), ("jitter", jitter)):
            _check_number(name, number)
        _expect(first >= 0, "first of 0 or more seconds", first)
        _expect(factor >= 1, "a factor of 1 or more", factor)
        _expect(most >= first, f"most of no less than the {first} s of the first", most)
        _expect(0 <= jitter <= 1, "a jitter from 0 to 1", jitter)
        self._first = first
        self._factor = factor
        self._most = most
        self._jitter = jitter

    @property
    def first(self) -> float:
        """Seconds that the first try waits at most."""
        return self._first

    @property
    def factor(self) -> float:
        """By what each further failure multiplies that."""
        return self._factor

    @property
    def most(self) -> float:
        """Seconds that none waits longer than."""
        return self._most

    @property
    def jitter(self) -> float:
        """The part of a delay that is left to chance."""
        return self._jitter

    def __repr__(self) -> str:
        return (
            f"<Backoff {self._first:g} s x{self._factor:g}, most {self._most:g} s, jitter {self._jitter:g}>"
        )

    def delay(self, failures: int, roll: float) -> float:
        """Return how long to wait, in seconds.

        Args:
            failures: In a row so far, ``>= 0``; after none there is nothing to wait for.
            roll: From 0 up to 1, drawn anew: ``random.random()``.

        Returns:
            ``first * factor ** (failures - 1)``, ``most`` at most, less up to ``jitter`` of it.
        """
        if failures < 1:
            return 0.0
        return self._longest(failures - 1) * (1.0 - self._jitter * roll)

    def _longest(self, steps: int) -> float:
        try:
            return min(self._most, self._first * self._factor ** min(steps, _MOST_STEPS))
        except OverflowError:
            return self._most if self._first else 0.0


def _check_number(name: str, number: object) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"expected {name} as a number, got {number!r}")
    _expect(isfinite(number), f"{name} as a finite number", number)


def _expect(holds: bool, what: str, got: float) -> None:
    if not holds:
        raise ValueError(f"expected {what}, got {got}")
