"""Hedging: when another copy of a call that is slow goes to another server.

A decider. It knows neither calls nor servers: who asks it sends the copies, takes the first answer, and gives the other
copies up.
"""

from typing import Final

MOST_COPIES: Final = 2
"""Of a call, the first among them. A second one takes away most of the slow answers, and a third hardly any more."""


def next_copy_after(hedge_after: float, copies: int, left: float) -> float | None:
    """Return in how many seconds the next copy of a call is due.

    Args:
        hedge_after: Seconds without an answer after which there is to be another copy, ``>= 0``.
        copies: How many have gone out, the last of them now.
        left: Seconds that the call may still take.

    Returns:
        ``None``: there is to be none: there are enough, or it would come too late.

    Source: "The tail at scale" (Dean and Barroso, 2013), "hedged requests"; Finagle's backup requests.
    """
    return hedge_after if copies < MOST_COPIES and hedge_after < left else None
