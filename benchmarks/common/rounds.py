"""Rounds that alternate over what is compared, and ratios that are taken within a round.

It must never know what a round measures.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def alternate(peers: Sequence[T], number: int) -> Sequence[T]:
    """Order the peers of a round: every second one backwards, so that none always follows the same."""
    return peers if number % 2 else tuple(reversed(peers))


def paired_ratio(
    own: Mapping[int, T], baseline: Mapping[int, T], figure: Callable[[T], float]
) -> float | None:
    """Divide round by round and take the median: machines drift, but hardly within a round.

    Args:
        own: Round → what was measured of a peer.
        baseline: The same of the one it is compared with.
        figure: What is compared.

    Returns:
        None when no round counted for both.
    """
    ratios = [figure(own[number]) / figure(baseline[number]) for number in own if number in baseline]
    return statistics.median(ratios) if ratios else None
