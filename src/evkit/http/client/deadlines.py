"""`Deadlines`: one limit of time for many who begin one after the other, and one timer for all of them."""

from typing import Final, Protocol

from evkit.core import Event, EventBase


class Timed(Protocol):
    """Who has a limit of time."""

    def on_total(self) -> None:
        """It has passed."""


class Deadlines:
    """Equal limits for many: who begins later is due later, so that they stand in order by themselves.

    To begin and to end costs next to nothing, and the timer runs only while somebody waits.

    Args:
        base: The event base.
        seconds: The limit, ``>= 0``.

    Attributes:
        seconds: The limit.
    """

    __slots__ = ("_base", "_due", "_timer", "seconds")

    def __init__(self, base: EventBase, seconds: float) -> None:
        self.seconds: Final = seconds
        self._base = base
        self._due: dict[Timed, float] = {}
        self._timer = base.timer(self._on_timer)

    def __repr__(self) -> str:
        return f"<Deadlines of {self.seconds:g} s for {len(self._due)}>"

    def begin(self, who: Timed) -> None:
        """Let the time of ``who`` run."""
        if not self._due:
            self._timer.add(self.seconds)
        base = self._base
        self._due[who] = (base.pass_time or base.now()) + self.seconds

    def end(self, who: Timed) -> None:
        """``who`` has come to an end. Harmless where he has none."""
        self._due.pop(who, None)
        if not self._due:
            self._timer.delete()

    def close(self) -> None:
        """Let nobody's time run any more."""
        self._due.clear()
        self._timer.free()

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        now = self._base.now()
        while self._due:
            who, due = next(iter(self._due.items()))
            if due > now:
                self._timer.add(due - now)
                return
            del self._due[who]
            who.on_total()
