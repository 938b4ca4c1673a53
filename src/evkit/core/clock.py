"""Where the time comes from.

An event base asks one `Clock`; tests hand it one that they move by hand. Deadlines live on the monotonic clock, which
never jumps; the wall clock only labels things (an HTTP ``Date``, a log line). Knows nothing of events.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """The two clocks that an event base needs."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary zero."""

    def time(self) -> float:
        """Return seconds since the epoch, as the system believes them."""


class SystemClock:
    """The machine's own clocks.

    Source: ``evutil_gettime_monotonic_`` and ``evutil_gettimeofday``. libevent's default is the coarse clock, with
    timers up to 4 ms late; Python's monotonic clock is the precise one, always.
    """

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
