"""What the command line says of workers: how many, and when each is replaced.

A decider: options in, numbers out. Knows nothing of processes.
"""

import os
import random
from argparse import ArgumentTypeError
from typing import Final, NamedTuple

AUTO: Final = "auto"
"""The word for "as many as there are processors"."""
MOST: Final = 1024
"""Workers; more is a slip of the finger, and would take a machine down."""
_DIGITS: Final = 9
_JITTER_SHARE: Final = 10
"""Of the requests, where nothing else is said: enough that workers started together don't all go together."""


class Crew(NamedTuple):
    """Workers as asked for.

    Attributes:
        size: How many.
        max_requests: After how many requests one is replaced; ``None``: never.
        jitter: By how many requests that may differ from worker to worker.
        max_age: After how many seconds one is replaced; ``None``: never.
    """

    size: int
    max_requests: int | None = None
    jitter: int = 0
    max_age: float | None = None

    def draw_max_requests(self) -> int | None:
        """Return after how many requests one worker is replaced: at least 1; ``None``: never."""
        if self.max_requests is None:
            return None
        return max(1, self.max_requests + random.randint(-self.jitter, self.jitter))  # noqa: S311 - no secret


def make_crew(
    size: int | None, max_requests: int | None, jitter: int | None, max_age: float | None
) -> Crew | None:
    """Put the options together; ``None``: one process will do, and needs nobody to watch over it.

    Args:
        size: How many; ``None``: not said.
        max_requests: See `Crew`.
        jitter: ``None``: a tenth of ``max_requests``.
        max_age: See `Crew`.
    """
    if (size or 1) == 1 and max_requests is None and max_age is None:
        return None
    if jitter is None:
        jitter = (max_requests or 0) // _JITTER_SHARE
    return Crew(size or 1, max_requests, jitter, max_age)


def worker_count(text: str) -> int:
    """Read a number of workers, or ``"auto"``.

    Raises:
        ArgumentTypeError: It is neither.
    """
    if text == AUTO:
        return usable_processors()
    number = _number(text)
    if number is None or not 1 <= number <= MOST:
        raise ArgumentTypeError(f"expected a number from 1 to {MOST}, or {AUTO}, got {text!r}")
    return number


def requests(text: str) -> int:
    """Read a number of requests, from 1.

    Raises:
        ArgumentTypeError: It is none.
    """
    number = _number(text)
    if not number:
        raise ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return number


def requests_from_zero(text: str) -> int:
    """Read a number of requests, from 0.

    Raises:
        ArgumentTypeError: It is none.
    """
    number = _number(text)
    if number is None:
        raise ArgumentTypeError(f"expected a number from 0, got {text!r}")
    return number


def _number(text: str) -> int | None:
    """Read decimal digits; ``int`` would take "+1", "1_0" and digits of other scripts, too."""
    plain = text.isascii() and text.isdigit() and len(text) <= _DIGITS
    return int(text) if plain else None


def usable_processors() -> int:
    """Return how many processors this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
