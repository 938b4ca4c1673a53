"""`Resting`: who will begin again after a pause, each with a timer of its own."""

from functools import partial
from typing import Generic, Protocol, TypeVar

from evkit.core import Event, EventBase


class Rester(Protocol):
    """Who pauses."""

    def on_rested(self) -> None:
        """The pause is over."""


T = TypeVar("T", bound=Rester)


class Resting(Generic[T]):
    """All who pause.

    Args:
        base: The event base.
    """

    __slots__ = ("_base", "_timers")

    def __init__(self, base: EventBase) -> None:
        self._base = base
        self._timers: dict[T, Event] = {}

    def __repr__(self) -> str:
        return f"<Resting {len(self._timers)}>"

    def begin(self, who: T, seconds: float) -> None:
        """Let ``who`` pause, who does not pause already; 0 is until the loop's next pass."""
        timer = self._timers[who] = self._base.timer(partial(self._on_timer, who))
        timer.add(seconds)

    def end(self, who: T) -> None:
        """Forget about ``who``. Harmless where he does not pause."""
        timer = self._timers.pop(who, None)
        if timer is not None:
            timer.free()

    def take(self) -> T | None:
        """Forget about somebody, and return who it was; ``None``: nobody is left."""
        who = next(iter(self._timers), None)
        if who is not None:
            self.end(who)
        return who

    def _on_timer(self, who: T, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.end(who)
        who.on_rested()
