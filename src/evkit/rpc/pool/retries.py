"""`RetryRule`: whether there may be one more attempt at a call, and after which pause.

A decider: the time and the draw of the dice are passed in. Whether it does harm to repeat a call is not its business,
but `evkit.rpc.pool.repeating`'s and the caller's.
"""

from typing import Final

from evkit.rpc.client.backoff import Backoff
from evkit.rpc.pool.budget import RetryBudget
from evkit.rpc.pool.numbers import check_number

MAX_RETRIES: Final = 4
"""Five attempts in all, as in gRPC."""


class RetryRule:
    """What holds for all calls of a pool.

    Args:
        most: How often a call may be repeated, 0 to 4.
        pause: How long to wait before that.
        budget: Keeps repeats and copies few.

    Raises:
        ValueError: ``most`` is out of range.
    """

    __slots__ = ("_budget", "_most", "_pause")

    def __init__(self, most: int, pause: Backoff, budget: RetryBudget) -> None:
        self._most = check_number("retries", most, 0, MAX_RETRIES)
        self._pause = pause
        self._budget = budget

    def __repr__(self) -> str:
        return f"<RetryRule most={self._most} {self._pause!r} {self._budget!r}>"

    def pause(self, repeats: int, now: float, roll: float) -> float | None:
        """Return how many seconds to wait before a call is repeated; ``None``: it is not to be.

        Args:
            repeats: How often it was repeated.
            now: Seconds on a clock that never goes back.
            roll: From 0 up to 1, drawn anew.
        """
        if repeats >= self._most or not self._budget.withdraw(now):
            return None
        return self._pause.delay(repeats + 1, roll)

    def may_copy(self, now: float) -> bool:
        """Return whether a copy of a call may be sent, which counts as sent then. ``now`` as above."""
        return self._budget.withdraw(now)
