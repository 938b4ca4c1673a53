"""A clock that tests move by hand. It knows nothing of event bases: anything that takes a `Clock` takes it."""


class ManualClock:
    """Monotonic and wall clock that stand still until `advance`.

    Hand it to ``EventBase(clock=…)``. With `evkit.testing.FakeBackend` the loop itself moves it, instead of waiting.

    Args:
        start: What `monotonic` answers at first, in seconds; above 0.
        wall: What `time` answers at first, in seconds since the epoch.

    Raises:
        ValueError: ``start`` is not above 0, which an event base takes for "no time cached".
    """

    __slots__ = ("_monotonic", "_time")

    def __init__(self, start: float = 1000.0, wall: float = 1_000_000_000.0) -> None:
        if not start > 0:
            raise ValueError(f"start must be above 0, got {start!r}")
        self._monotonic = start
        self._time = wall

    def __repr__(self) -> str:
        return f"<ManualClock monotonic={self._monotonic:g} time={self._time:g}>"

    def monotonic(self) -> float:
        """See `evkit.core.clock.Clock.monotonic`."""
        return self._monotonic

    def time(self) -> float:
        """See `evkit.core.clock.Clock.time`."""
        return self._time

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks.

        Raises:
            ValueError: ``seconds`` is negative: a monotonic clock never goes back.
        """
        if not seconds >= 0:
            raise ValueError(f"a clock goes forward only: seconds must be >= 0, got {seconds!r}")
        self._monotonic += seconds
        self._time += seconds

    def set_time(self, wall: float) -> None:
        """Set the wall clock, as an administrator does: `monotonic` does not notice."""
        self._time = wall
