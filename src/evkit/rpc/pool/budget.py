"""`RetryBudget`: keeps repeated calls a small part of all calls, so that they don't bring down a server that is weak.

A decider: the time is passed in. It knows nothing of calls.
"""

from collections import deque
from typing import Final

from evkit.core.timers import check_seconds

_SLOTS: Final = 10
"""Parts of the time that credit lives; as many as in Finagle."""


class RetryBudget:
    """How many calls may be repeated: some a second in any case, and a part of those that were made lately.

    One budget may serve several pools on one event base.

    Args:
        ratio: Repeats for each call, ``>= 0``.
        per_second: Repeats a second that are allowed however few calls there are, ``>= 0``; the time span below makes
            them a reserve that can be used up at once.
        ttl: Seconds for which calls, and repeats, count, ``> 0``.

    Raises:
        ValueError: A number is out of range.

    Source: Finagle's ``RetryBudget``, and its numbers.
    """

    __slots__ = ("_calls", "_ends", "_ratio", "_reserve", "_slot", "_slots", "_spent")

    def __init__(self, ratio: float = 0.2, per_second: float = 10.0, ttl: float = 10.0) -> None:
        for number in (ratio, per_second, ttl):
            check_seconds(number)  # they are none, but the same numbers will do
        if not ttl:
            raise ValueError("expected a ttl of more than 0 seconds, got 0")
        self._ratio = ratio
        self._reserve = per_second * ttl
        self._slot = ttl / _SLOTS
        self._slots: deque[list[int]] = deque([[0, 0]])  # calls and repeats of each, the newest last
        self._ends = 0.0  # of the newest
        self._calls = self._spent = 0  # in all slots

    def __repr__(self) -> str:
        return f"<RetryBudget {self._left():g} left after {self._calls} calls and {self._spent} repeats>"

    def called(self, now: float) -> None:
        """Count a call. ``now`` is seconds on a clock that never goes back."""
        if now >= self._ends:
            self._forget(now)
        self._slots[-1][0] += 1
        self._calls += 1

    def withdraw(self, now: float) -> bool:
        """Take a repeat out; return whether there was one left. ``now`` as for `called`."""
        if now >= self._ends:
            self._forget(now)
        if self._left() < 1:
            return False
        self._slots[-1][1] += 1
        self._spent += 1
        return True

    def balance(self, now: float) -> int:
        """Return how many repeats are left. ``now`` as for `called`."""
        if now >= self._ends:
            self._forget(now)
        return max(0, int(self._left()))

    def _left(self) -> float:
        return self._reserve + self._ratio * self._calls - self._spent

    def _forget(self, now: float) -> None:
        """Begin the slot of ``now``, and let go of those that are too old."""
        if not self._ends:  # the first
            self._ends = now + self._slot
            return
        passed = 1 + int((now - self._ends) / self._slot)
        self._ends += passed * self._slot
        for _ in range(min(passed, _SLOTS)):
            self._slots.append([0, 0])
            if len(self._slots) > _SLOTS:
                calls, spent = self._slots.popleft()
                self._calls -= calls
                self._spent -= spent
