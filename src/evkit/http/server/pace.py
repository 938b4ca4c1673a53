"""How fast something comes, or is taken, and how long it may still take.

A decider: it knows sizes and times, and neither who is waited for nor what happens when time is up.
"""


class Pace:
    """A time that every byte makes longer. Source: Apache's ``mod_reqtimeout``.

    Args:
        now: When it is waited for first, in seconds on any clock.
        grace: Seconds that it may take whatever comes, and the most that can be left: who was quick for a while has not
            earned the right to drip for days.
        rate: Bytes that buy one second more.
    """

    __slots__ = ("_due", "_grace", "_rate")

    def __init__(self, now: float, grace: float, rate: float) -> None:
        self._due = now + grace
        self._grace = grace
        self._rate = rate

    def came(self, size: int) -> None:
        """Count bytes."""
        self._due += size / self._rate

    def hold(self, now: float) -> None:
        """Let no time pass until `go_on`: the body is held up, and not by its client."""
        self._due -= now

    def go_on(self, now: float) -> None:
        """Let time pass again."""
        self._due += now

    def left(self, now: float) -> float:
        """Return the seconds that are left; 0 or less: none. What is more than the grace is forfeit."""
        self._due = min(self._due, now + self._grace)
        return self._due - now
