"""`Balancer`: which of several servers gets the next call.

Of the most preferred servers two are drawn, by their weights, and that with less to do gets the call. A decider: who
asks draws the dice. It knows nothing of connections, and of health only that the sick are not on the balancer.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, Protocol, TypeVar


class Balanced(Protocol):
    """Who can be on a balancer.

    Attributes:
        priority: Those with the lowest number get all calls.
        weight: Which part of the calls this one gets, ``> 0``.
        load: How much it has to do now.
    """

    @property
    def priority(self) -> int:
        """See above."""

    @property
    def weight(self) -> float:
        """See above."""

    @property
    def load(self) -> int:
        """See above."""


B = TypeVar("B", bound=Balanced)


class Balancer(Generic[B]):
    """Who can get a call. It is made anew when that changes, since it is asked more often than it changes.

    Args:
        members: In any order; weights and priorities must not change while they are in here.

    Source: "The power of two choices in randomized load balancing" (Mitzenmacher, 2001), as Finagle has it; RFC 2782
    for priorities and weights.
    """

    __slots__ = ("_even", "_group", "_sums")

    def __init__(self, members: Sequence[B]) -> None:
        best = min((member.priority for member in members), default=0)
        self._group = [member for member in members if member.priority == best]
        self._even = len({member.weight for member in self._group}) <= 1
        self._sums = list(accumulate(member.weight for member in self._group))

    def __repr__(self) -> str:
        return f"<Balancer of {len(self._group)}>"

    def __len__(self) -> int:
        """How many it chooses among: those of the best priority."""
        return len(self._group)

    def pick(self, first: float, second: float) -> B | None:
        """Return who gets the next call; ``None``: there is nobody.

        Args:
            first: From 0 up to 1, drawn anew.
            second: As ``first``.
        """
        group = self._group
        if len(group) <= 1:
            return group[0] if group else None
        one, other = self._draw(first, second)
        a, b = group[one], group[other]
        return b if b.load * a.weight < a.load * b.weight else a

    def _draw(self, first: float, second: float) -> tuple[int, int]:
        """Return the places of two, the second of whom is drawn from all but the first."""
        last = len(self._group) - 1
        if self._even:
            one, other = int(first * (last + 1)), int(second * last)
            return one, other + (other >= one)
        sums = self._sums
        one = min(last, bisect_right(sums, first * sums[-1]))
        before = sums[one - 1] if one else 0.0
        width = sums[one] - before
        point = second * (sums[-1] - width)
        other = bisect_right(sums, point + width if point >= before else point)
        return one, min(last, other)
