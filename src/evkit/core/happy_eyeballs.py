"""The rules of RFC 8305: in which order addresses are tried, when the next one is, and what ends it.

A decider: it is told what happened and at what time, and answers what to do now and when to ask again. It knows nothing
of sockets, events or clocks; an attempt is a number for it, the index of its address.
"""

from collections.abc import Iterable
from enum import Enum
from itertools import zip_longest
from typing import Final, NamedTuple

from evkit.core.net import Address, family_of

CONNECTION_ATTEMPT_DELAY: Final = 0.25
"""Seconds between an attempt and the next one beside it (RFC 8305 §8)."""
MAX_ADDRESSES: Final = 64
"""Those after them are not tried: each costs a descriptor while it is silent, and the list is the work of others."""
MIN_CONNECTION_ATTEMPT_DELAY: Final = 0.1
MAX_CONNECTION_ATTEMPT_DELAY: Final = 2.0

_NEVER: Final = float("inf")


class Outcome(Enum):
    """How a race stands."""

    RACING = "racing"
    WON = "won"
    FAILED = "failed"
    TIMED_OUT = "timed out"


class Step(NamedTuple):
    """What to do now, in this order.

    Attributes:
        outcome: How the race stands. Unless it is ``RACING`` nothing more will happen.
        abandon: The attempts to give up: their connections are not wanted any more.
        start: The attempt to begin; ``None``: none now.
        wake_at: When to call `HappyEyeballs.tick` if nothing has happened before; ``None``: no need to.
    """

    outcome: Outcome
    abandon: tuple[int, ...] = ()
    start: int | None = None
    wake_at: float | None = None


def interleave(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses so that their families take turns, beginning with the first one's; each address once.

    Within a family they keep the order in which the resolver gave them.

    Raises:
        ValueError: One of them is a host name, or no address, or this is no list.

    Source: RFC 8305 §4, with a First Address Family Count of 1.
    """
    if isinstance(addresses, str | bytes) or not isinstance(addresses, Iterable):
        raise ValueError(f"expected a list of addresses, got {addresses!r}")  # whose letters would be paths
    families: dict[int, dict[Address, None]] = {}
    for address in addresses:
        families.setdefault(family_of(address), {})[address] = None
    turns = zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


class HappyEyeballs:
    """One race: which address to try when.

    The next attempt begins at once when the latest one has failed, else after a delay, beside those that are under
    way. The first that succeeds wins.

    Args:
        addresses: In the order in which the resolver gave them.
        timeout: Seconds ``>= 0`` from `begin` after which those that are under way are given up; ``None``: no limit.
        delay: Seconds to wait for an attempt before the next one begins beside it, 0.1 to 2.

    Attributes:
        addresses: In the order in which they are tried, see `interleave`: the first `MAX_ADDRESSES`.
        outcome: How the race stands.

    Raises:
        ValueError: There is no address, one is a host name or none, or ``delay`` is out of range.

    Source: RFC 8305 §5 and §8. That it is a failure that calls for the next attempt at once is not said there; the
    least delay that it demands is between attempts that are under way together.
    """

    __slots__ = ("_deadline", "_delay", "_next", "_next_at", "_timeout", "_under_way", "addresses", "outcome")

    def __init__(
        self,
        addresses: Iterable[Address],
        *,
        timeout: float | None = None,
        delay: float = CONNECTION_ATTEMPT_DELAY,
    ) -> None:
        if not MIN_CONNECTION_ATTEMPT_DELAY <= delay <= MAX_CONNECTION_ATTEMPT_DELAY:
            raise ValueError(
                f"expected a delay of {MIN_CONNECTION_ATTEMPT_DELAY} to {MAX_CONNECTION_ATTEMPT_DELAY} seconds, "
                f"got {delay!r}"
            )
        self.addresses = tuple(interleave(addresses)[:MAX_ADDRESSES])
        if not self.addresses:
            raise ValueError("expected an address at least, got none")
        self.outcome = Outcome.RACING
        self._delay = delay
        self._timeout = _NEVER if timeout is None else timeout
        self._deadline = _NEVER
        self._next = 0
        self._next_at = _NEVER  # also when there is no next
        self._under_way: list[int] = []

    def __repr__(self) -> str:
        return (
            f"<HappyEyeballs {self.outcome.value} under_way={self._under_way} "
            f"tried={self._next}/{len(self.addresses)}>"
        )

    def begin(self, now: float) -> Step:
        """Begin the race; call it once, and first of all.

        Raises:
            ValueError: It has begun already.
        """
        if self._next:
            raise ValueError(f"begin() on a race that has begun: {self!r}")
        self._deadline = now + self._timeout
        return self._start_next(now)

    def tick(self, now: float) -> Step:
        """Look what the time calls for; it may be called too early, too late, and when the race is over."""
        if self.outcome is Outcome.RACING and now >= self._deadline:
            return self._end(Outcome.TIMED_OUT)
        if now >= self._next_at:
            return self._start_next(now)
        return self._wait()

    def failed(self, attempt: int, now: float) -> Step:
        """Take note that an attempt has failed.

        Raises:
            ValueError: It is not under way.
        """
        self._finish(attempt)
        if attempt == self._next - 1 and self._next_at != _NEVER:
            self._next_at = now
        elif not self._under_way:
            return self._end(Outcome.FAILED)
        return self.tick(now)

    def succeeded(self, attempt: int) -> Step:
        """Take note that an attempt has succeeded: it has won, and the others are abandoned.

        Raises:
            ValueError: It is not under way.
        """
        self._finish(attempt)
        return self._end(Outcome.WON)

    def _finish(self, attempt: int) -> None:
        if attempt not in self._under_way:
            raise ValueError(f"attempt {attempt!r} is not under way: {self!r}")
        self._under_way.remove(attempt)

    def _start_next(self, now: float) -> Step:
        attempt = self._next
        self._under_way.append(attempt)
        self._next += 1
        self._next_at = now + self._delay if self._next < len(self.addresses) else _NEVER
        return self._wait(attempt)

    def _wait(self, start: int | None = None) -> Step:
        wake_at = min(self._next_at, self._deadline)
        return Step(self.outcome, start=start, wake_at=None if wake_at == _NEVER else wake_at)

    def _end(self, outcome: Outcome) -> Step:
        abandoned = tuple(self._under_way)
        self._under_way.clear()
        self._next_at = self._deadline = _NEVER
        self.outcome = outcome
        return Step(outcome, abandon=abandoned)
