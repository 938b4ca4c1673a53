"""Hedging: when another copy of a call that is slow goes to another server.

A decider. It knows neither calls nor servers: who asks it sends the copies, takes the first answer, and gives the other
copies up.
"""

from typing import Final

MOST_COPIES: Final = 2
"""Of a call, under way at once. The second takes away most of the slow answers, and a third would hardly any more."""
LEAST_LOOK: Final = 0.01
"""Seconds between two looks for who could get a copy: one that is due at once must not be looked for all the time."""


def next_copy_after(hedge_after: float, copies: int, left: float) -> float | None:
    """Return in how many seconds the next copy of a call is due.

    Args:
        hedge_after: Seconds without an answer after which there is to be another copy, ``>= 0``.
        copies: How many are under way, since now.
        left: Seconds that the call may still take.

    Returns:
        ``None``: there is to be none: there are enough, or it would come too late.

    Source: "The tail at scale" (Dean and Barroso, 2013), "hedged requests"; Finagle's backup requests.
    """
    return hedge_after if copies < MOST_COPIES and hedge_after < left else None


def next_look_after(hedge_after: float, left: float) -> float | None:
    """Return in how many seconds to try again to send a copy that was due, and that nobody could get.

    Args:
        hedge_after: As above.
        left: As above.

    Returns:
        ``None``: it would come too late.
    """
    return next_copy_after(max(hedge_after, LEAST_LOOK), 1, left)
