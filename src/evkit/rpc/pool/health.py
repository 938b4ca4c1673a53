"""`Health`: whether a server is fit to get calls.

One that fails several times in a row is left out for a while; then one call tries it, and what becomes of that decides.
A decider: the time and the draw of the dice are passed in. It knows nothing of what a failure is.
"""

from evkit.core.timers import NEVER
from evkit.rpc.client.backoff import Backoff


class Health:
    """The health of one server.

    Args:
        failures: In a row, ``>= 1``, after which it is left out.
        pause: For how long: the back-off counts how often that has happened since it was last well.

    Attributes:
        until: When it is to be tried again, on the clock of ``now``; 0: it is well.

    Raises:
        ValueError: ``failures`` is less than 1.

    Source: Finagle's failure accrual, which also leaves out after 5 failures.
    """

    __slots__ = ("_failures", "_in_a_row", "_pause", "_pauses", "_probing", "until")

    def __init__(self, failures: int, pause: Backoff) -> None:
        if failures < 1:
            raise ValueError(f"expected 1 or more failures, got {failures!r}")
        self._failures = failures
        self._pause = pause
        self._in_a_row = 0
        self._pauses = 0
        self._probing = False
        self.until = 0.0

    def __repr__(self) -> str:
        if not self.until:
            return f"<Health well failures={self._in_a_row}>"
        return f"<Health {'tried' if self._probing else 'left out'} until={self.until:g}>"

    def fit(self, now: float) -> bool:
        """Return whether it may get a call now."""
        return not self.until or (now >= self.until and not self._probing)

    @property
    def wakes_at(self) -> float:
        """When it becomes fit by itself; `NEVER`: it is fit, or a call decides."""
        return self.until if self.until and not self._probing else NEVER

    def begin(self) -> bool:
        """Hear that it gets a call; return whether that call is the one that tries it."""
        if not self.until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> bool:
        """Hear that it has answered; return whether it was not well before."""
        was_out = bool(self.until)
        self._in_a_row = self._pauses = 0
        self._probing = False
        self.until = 0.0
        return was_out

    def failed(self, now: float, roll: float, *, probe: bool) -> bool:
        """Hear that it has not answered as it should.

        Args:
            now: Seconds on a clock that never goes back.
            roll: From 0 up to 1, drawn anew.
            probe: Whether this was the call that tried it. What others come to that began before is old news.

        Returns:
            Whether it is left out from now on.
        """
        if self.until and not probe:
            return False
        self._in_a_row += 1
        if not probe and self._in_a_row < self._failures:
            return False
        self._pauses += 1
        self._probing = False
        self.until = now + self._pause.delay(self._pauses, roll)
        return True

    def gave_up(self) -> None:
        """Hear that the call that tried it was given up, and has shown nothing."""
        self._probing = False
