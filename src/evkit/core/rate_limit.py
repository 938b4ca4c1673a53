"""How many bytes may flow: token buckets that are told the time, and whose turn it is in a group that shares one.

Deciders: they read no clock, hold nobody back and know nothing of connections. A bucket fills by whole ticks, which are
counted from the zero of the clock, so buckets of one tick fill together. No level ever passes the burst, and nothing
here lends: who takes no more than the level never overshoots.
"""

import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

RATE_LIMIT_MAX: Final = sys.maxsize
"""The largest rate and burst, libevent's ``EV_RATE_LIMIT_MAX``."""
_SHORTEST_TICK: Final = 0.001
"""Seconds: libevent's resolution. A timer cannot keep up with much less."""
_LONGEST_TICK: Final = (2**31 - 1) / 1000
"""Seconds, as libevent: the most milliseconds in a C int."""
_MICROS: Final = 1e6
"""Ticks are counted in whole microseconds, so that no rounding can make a timer wait for nothing again and again."""

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How fast a connection, or a group of them, may read and write.

    A bucket begins with one tick's rate, gets as much with each tick, and keeps at most its burst: what is saved up in
    silence, and so the most that flows at once.

    Attributes:
        read_rate: Bytes a tick, ``1 <= read_rate <= RATE_LIMIT_MAX``; ``None``: reading is not limited.
        read_burst: Bytes, ``read_rate <= read_burst <= RATE_LIMIT_MAX``; ``None``: as much as the rate.
        write_rate: As `read_rate`.
        write_burst: As `read_burst`.
        tick: Seconds, 0.001 to 2147483.647.

    Raises:
        ValueError: A value is out of its range, or there is a burst without a rate.
        TypeError: A rate or burst is no integer.

    Source: ``ev_token_bucket_cfg_new``, which has ``EV_RATE_LIMIT_MAX`` for no limit.
    """

    read_rate: int | None = None
    read_burst: int | None = None
    write_rate: int | None = None
    write_burst: int | None = None
    tick: float = 1.0

    def __post_init__(self) -> None:
        for name in ("read_rate", "read_burst", "write_rate", "write_burst"):
            _check_whole(name, getattr(self, name))
        _check_flow("read", self.read_rate, self.read_burst)
        _check_flow("write", self.write_rate, self.write_burst)
        if not _SHORTEST_TICK <= self.tick <= _LONGEST_TICK:
            raise ValueError(
                f"tick is a number of seconds from {_SHORTEST_TICK} to {_LONGEST_TICK}, got {self.tick!r}"
            )


def _check_whole(name: str, value: object) -> None:
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{name} is a whole number of bytes, or None, got {value!r}")


def _check_flow(name: str, rate: int | None, burst: int | None) -> None:
    if rate is None:
        if burst is not None:
            raise ValueError(f"{name}_burst={burst!r} limits nothing without a {name}_rate")
        return
    if not 1 <= rate <= RATE_LIMIT_MAX:
        raise ValueError(f"{name}_rate must be 1 to {RATE_LIMIT_MAX} bytes a tick, or None, got {rate!r}")
    if burst is not None and not rate <= burst <= RATE_LIMIT_MAX:
        raise ValueError(f"{name}_burst must be {name}_rate={rate} to {RATE_LIMIT_MAX} bytes, got {burst!r}")


class TokenBucket:
    """What one direction may still use.

    Args:
        rate: Bytes a tick.
        burst: Most bytes that it holds; ``None``: the rate.
        tick: Seconds.
        now: The time, in seconds, ``>= 0``.

    Attributes:
        rate: Bytes a tick.
        burst: Most bytes that it holds.
        level: Bytes that may be used; below 0, so many must come in before anything may.

    Source: ``struct ev_token_bucket``, whose ticks are of the wall clock, which jumps.
    """

    __slots__ = ("_micros", "_ticks", "burst", "level", "rate")

    def __init__(self, rate: int, burst: int | None, tick: float, now: float) -> None:
        self.level = rate
        self._set(rate, burst, tick, now)

    def __repr__(self) -> str:
        return f"<TokenBucket level={self.level} rate={self.rate} burst={self.burst}>"

    def _set(self, rate: int, burst: int | None, tick: float, now: float) -> None:
        self.rate = rate
        self.burst = rate if burst is None else burst
        self._micros = round(tick * _MICROS)
        self._ticks = round(now * _MICROS) // self._micros

    def renew(self, rate: int, burst: int | None, tick: float, now: float) -> None:
        """Go on with other values; the level stays, as far as it fits. Source: ``ev_token_bucket_init_``."""
        self.refill(now)
        self._set(rate, burst, tick, now)
        self.level = min(self.level, self.burst)

    def refill(self, now: float) -> None:
        """Add what came with the ticks until ``now``. Source: ``ev_token_bucket_update_``."""
        ticks = round(now * _MICROS) // self._micros
        passed = ticks - self._ticks
        if passed > 0:
            self._ticks = ticks
            self.level = min(self.burst, self.level + passed * self.rate)

    def take(self, size: int) -> None:
        """Use ``size`` bytes; a negative number gives some back, up to the burst."""
        self.level = min(self.burst, self.level - size)

    def ready_in(self, now: float, least: int = 1) -> float:
        """Return in how many seconds the level, `refill`-ed at ``now``, is at least ``least``, ``<= burst``."""
        missing = least - self.level
        if missing <= 0:
            return 0.0
        ticks = self._ticks - (-missing // self.rate)
        return (ticks * self._micros - round(now * _MICROS)) / _MICROS


def share_of(level: int, members: int, min_share: int) -> int:
    """Return what one of ``members`` may use at a time: its part, but not less than ``min_share`` while that is there.

    Source: ``bufferevent_get_rlim_max_``, which gives ``min_share`` although there is less, and so overshoots.
    """
    return max(0, min(level, max(min_share, level // members)))


class Turns(Generic[T]):
    """Who waits, and who goes next, where there is not enough for all.

    While somebody waits, whoever is served goes behind the others that wait. When all are held back, those that were
    not served since the last time go first; so the number of those before a member that waits never grows, and each of
    them is passed at most once: nobody starves, whatever the order in which those that were let go help themselves.

    Args:
        pick: ``pick(n)`` returns a number from 0 to n - 1, at random: with whom of ``n`` members the next round begins,
            where there was enough to let all go in this one.

    Attributes:
        members: All of them.
        waiting: Those held back, in the order of their turns.

    Source: ``bev_group_random_element_``; libevent lets all go at once, and the first to come take it all.
    """

    __slots__ = ("_let_go", "_pick", "_served", "members", "waiting")

    def __init__(self, pick: Callable[[int], int]) -> None:
        self._pick = pick
        self._served: set[T] = set()  # while nobody waited
        self._let_go: dict[T, None] = {}  # since all were held back, in this order
        self.members: dict[T, None] = {}
        self.waiting: dict[T, None] = {}

    def add(self, member: T, *, held: bool) -> None:
        """Let ``member`` take part; ``held``: it waits."""
        self.members[member] = None
        if held:
            self.waiting[member] = None

    def remove(self, member: T) -> bool:
        """Let ``member`` take part no longer; return whether it waited."""
        waited = member in self.waiting
        for those in (self.members, self.waiting, self._let_go):
            those.pop(member, None)
        self._served.discard(member)
        return waited

    def serve(self, member: T) -> bool:
        """Note that ``member`` has used something; return whether it now waits, since others do."""
        if member not in self.members:
            return False  # it left while it was at it
        if self.waiting:
            self.waiting[member] = None
            return True
        self._served.add(member)
        return False

    def hold_all(self) -> list[T]:
        """Let all wait; return those that did not before."""
        free = [member for member in self.members if member not in self.waiting]
        idle = [member for member in free if member not in self._served]
        unserved = [member for member in self.waiting if member not in self._let_go]
        again = [member for member in self._let_go if member in self.waiting]
        served = [member for member in free if member in self._served]
        start = self._pick(len(served)) if served else 0
        self.waiting = dict.fromkeys([*idle, *unserved, *again, *served[start:], *served[:start]])
        self._served.clear()
        self._let_go.clear()
        return free

    def release(self) -> T:
        """Let the first one that waits go; return it."""
        member = next(iter(self.waiting))
        del self.waiting[member]
        self._let_go[member] = None
        return member
