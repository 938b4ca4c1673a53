"""Limits of time: `Deadlines` for many who begin one after the other, with one timer for all; `Deadline` for one."""

from typing import Final, Protocol

from evkit.core import Event, EventBase


class Timed(Protocol):
    """Who has a limit of time."""

    def on_total(self) -> None:
        """It has passed."""


class Limit(Protocol):
    """A limit of time.

    Attributes:
        seconds: How long it is.
    """

    @property
    def seconds(self) -> float:
        """See above."""

    def begin(self, who: Timed) -> None:
        """Let the time of ``who`` run."""

    def end(self, who: Timed) -> None:
        """``who`` has come to an end. Harmless where he has none."""


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
        """See `Limit.begin`."""
        if not self._due:
            self._timer.add(self.seconds)
        base = self._base
        self._due[who] = (base.pass_time or base.now()) + self.seconds

    def end(self, who: Timed) -> None:
        """See `Limit.end`."""
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


class Deadline:
    """The limit of one alone.

    Args:
        base: The event base.
        seconds: The limit, ``>= 0``.

    Attributes:
        seconds: The limit.
    """

    __slots__ = ("_base", "_timer", "seconds")

    def __init__(self, base: EventBase, seconds: float) -> None:
        self.seconds: Final = seconds
        self._base = base
        self._timer: Event | None = None

    def __repr__(self) -> str:
        return f"<Deadline of {self.seconds:g} s {'over' if self._timer is None else 'running'}>"

    def begin(self, who: Timed) -> None:
        """See `Limit.begin`."""

        def on_timer(event: Event, what: int) -> None:  # noqa: ARG001 - a callback
            self.end(who)
            who.on_total()

        self._timer = self._base.timer(on_timer)
        self._timer.add(self.seconds)

    def end(self, who: Timed) -> None:  # noqa: ARG002 - the contract's
        """See `Limit.end`."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()
