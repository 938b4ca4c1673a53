"""The backend contract in memory: a script says what is ready when, and no test waits for anything.

It knows descriptors as numbers only and never touches one. Any number will do but that of the base's own waker, which
is a real descriptor: a million and up are safe.
"""

from typing import NamedTuple

from evkit.core.backends.contract import MaskTable
from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import (
    EV_ET,
    EVLOOP_NONBLOCK,
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
    FEATURE_O1,
    event_bits,
)
from evkit.testing.clock import ManualClock


class Change(NamedTuple):
    """One call of ``Backend.change``."""

    fd: int
    old: int
    new: int


class _Report(NamedTuple):
    at: float
    fd: int
    what: int


def _same(bits: int) -> int:
    return bits


class FakeBackend:
    """A `Backend` whose native masks are ``EV_…`` bits, whose readiness is scripted, and whose waits take no time.

    Attributes:
        changes: What the base told it, in order.
        timeouts: What it was asked to wait, in order: seconds, or ``None`` for "no limit".
        wanted: Descriptors to the mask that is wanted of them now, the base's own waker among them.
        closed: Whether `close` was called.

    Args:
        clock: Moved on by every wait that finds nothing ready.
        features: ``FEATURE_…`` bits to claim.
    """

    __slots__ = (
        "_clock",
        "_refused",
        "_script",
        "changes",
        "closed",
        "features",
        "masks",
        "name",
        "timeouts",
        "wanted",
    )

    def __init__(
        self,
        clock: ManualClock,
        *,
        features: int = FEATURE_ET | FEATURE_O1 | FEATURE_FDS | FEATURE_EARLY_CLOSE,
    ) -> None:
        self.name = "fake"
        self.features = features
        self.masks = MaskTable(_same)
        self.changes: list[Change] = []
        self.timeouts: list[float | None] = []
        self.wanted: dict[int, int] = {}
        self.closed = False
        self._clock = clock
        self._script: list[_Report] = []
        self._refused: dict[int, OSError] = {}

    def __repr__(self) -> str:
        wanted = " ".join(f"{fd}={event_bits(mask)}" for fd, mask in sorted(self.wanted.items()))
        return f"<FakeBackend {'closed' if self.closed else 'open'} [{wanted}] scripted={len(self._script)}>"

    def ready(self, fd: int, what: int, after: float = 0.0) -> None:
        """Report ``fd`` once, by the first wait that finds it wanted.

        Args:
            fd: The number that an event waits for.
            what: ``EV_READ``, ``EV_WRITE``, ``EV_CLOSED``; what of it is not wanted at that time is left out.
            after: Seconds from now on the clock, ``>= 0``, before which it is not ready.
        """
        self._script.append(_Report(self._clock.monotonic() + after, fd, what))

    def refuse(self, fd: int, error: OSError | None) -> None:
        """Let `change` raise ``error`` where something is wanted of ``fd``; ``None`` accepts it again."""
        if error is None:
            self._refused.pop(fd, None)
        else:
            self._refused[fd] = error

    def change(self, fd: int, old: int, new: int) -> None:
        """See `Backend.change`. A refused call is recorded too."""
        self.changes.append(Change(fd, old, new))
        if new and fd in self._refused:
            raise self._refused[fd]
        if new:
            self.wanted[fd] = new
        else:
            self.wanted.pop(fd, None)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Backend.wait`; moves the clock to the first thing that is ready, or by ``timeout``.

        Raises:
            AssertionError: Nothing is scripted and ``timeout`` is ``None``: a real loop would wait for ever.
        """
        self.timeouts.append(timeout)
        wake_at = self._next_report(timeout)
        self._clock.advance(max(0.0, wake_at - self._clock.monotonic()))
        return self._take_ready()

    def close(self) -> None:
        """See `Backend.close`."""
        self.closed = True

    def _hit(self, report: _Report) -> int:
        return report.what & self.wanted.get(report.fd, 0) & ~EV_ET

    def _next_report(self, timeout: float | None) -> float:
        """Return when this wait ends."""
        times = [report.at for report in self._script if self._hit(report)]
        if timeout is not None:
            times.append(self._clock.monotonic() + timeout)
        if not times:
            raise AssertionError(f"the loop would wait for ever: nothing more is scripted for {self!r}")
        return min(times)

    def _take_ready(self) -> list[tuple[int, int]]:
        now = self._clock.monotonic()
        ready: dict[int, int] = {}
        rest: list[_Report] = []
        for report in self._script:
            hit = self._hit(report) if report.at <= now else 0
            if hit:
                ready[report.fd] = ready.get(report.fd, 0) | hit
            else:
                rest.append(report)
        self._script = rest
        return list(ready.items())


class FakeBase(NamedTuple):
    """An event base in whose world nothing is real; see `base_with_fakes`."""

    base: EventBase
    backend: FakeBackend
    clock: ManualClock

    def run(self, seconds: float = 0.0) -> None:
        """Run all that is due, and what falls due in the next ``seconds``, each at its time.

        It ends early if the loop is stopped, by ``loopbreak()`` or its like. (``base.dispatch()`` runs until nothing is
        left to wait for; where something waits for ever, that fails.)

        Args:
            seconds: Time to let pass, ``>= 0``. The clock has moved by as much afterwards.

        Raises:
            ValueError: ``seconds`` is no time-out.
        """
        if seconds and not self._pass(seconds):
            return
        self.base.loop(EVLOOP_NONBLOCK)

    def _pass(self, seconds: float) -> bool:
        """Let time pass; return whether all of it has."""
        end = self.base.timer(_leave)
        end.add(seconds)
        try:
            self.base.loop()
            return not end.pending()
        finally:
            end.free()


def _leave(event: Event, what: int) -> None:  # noqa: ARG001 - a callback
    event.base.loopbreak()


def base_with_fakes(config: EventConfig | None = None) -> FakeBase:
    """Make an event base on a `FakeBackend` and a `ManualClock`. The caller closes it.

    What the base waits for on its own account (its waker) is not in ``backend.changes``.

    Args:
        config: Wishes for the loop; those for the backend have no effect.
    """
    clock = ManualClock()
    backend = FakeBackend(clock)
    base = EventBase(config, clock=clock, backend=backend)
    backend.changes.clear()
    return FakeBase(base, backend, clock)
