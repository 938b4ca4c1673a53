"""`RateLimitGroup`: many connections that share one rate limit.

The doer: it keeps one bucket a direction, holds members back when that is empty, and lets them go in turns when it has
filled. Whose turn it is, and how much of the bucket is one's share, is decided in `evkit.core.rate_limit`. It knows
nothing of sockets.
"""

from collections.abc import Callable
from random import randrange
from typing import TYPE_CHECKING, Final

from evkit.core.buffer import NO_LIMIT
from evkit.core.bufferevent.gate import SUSPEND_GROUP
from evkit.core.bufferevent.limits import renewed
from evkit.core.event import Event
from evkit.core.flags import EV_READ, EV_WRITE
from evkit.core.rate_limit import RateLimit, TokenBucket, Turns, share_of

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.bufferevent.limited import RateLimitedBufferEvent

DEFAULT_MIN_SHARE: Final = 64
"""Bytes, as libevent."""


class _Side:
    """One direction of a group.

    Attributes:
        min_share: Bytes that a member may use at a time, at least, while they are there.
        total: Bytes used so far.
    """

    __slots__ = ("_base", "_bucket", "_direction", "_min_share", "_timer", "_turns", "total")

    def __init__(self, base: "EventBase", direction: int, pick: Callable[[int], int]) -> None:
        self._base = base
        self._direction = direction
        self._bucket: TokenBucket | None = None
        self._min_share = 1
        self._turns: Turns[RateLimitedBufferEvent] = Turns(pick)
        self._timer: Event | None = None  # armed only while somebody waits
        self.total = 0

    def set_limit(self, limit: RateLimit, min_share: int) -> None:
        """Go on with another limit; what is left in the bucket stays, as far as it fits."""
        self._bucket = renewed(self._bucket, limit, self._direction, self._base.now())
        if self._bucket is None:
            self._let_go(len(self._turns.waiting))
        else:
            self._min_share = min(min_share, self._bucket.rate)
        self._settle()

    def level(self) -> int | None:
        """Return what is in the bucket now; ``None``: there is no limit."""
        bucket = self._refilled()
        return None if bucket is None else bucket.level

    def _refilled(self) -> TokenBucket | None:
        if self._bucket is not None:
            self._bucket.refill(self._base.now())
        return self._bucket

    def share(self, bev: "RateLimitedBufferEvent") -> int:
        """Return what ``bev`` may use at once, now."""
        bucket = self._refilled()
        if bucket is None:
            return NO_LIMIT
        if bev in self._turns.waiting:
            return 0
        return share_of(bucket.level, len(self._turns.members), self._min_share)

    def charge(self, bev: "RateLimitedBufferEvent", size: int) -> None:
        """Note that ``bev`` has used ``size`` bytes."""
        self.total += size
        if self._bucket is None:
            return
        if self._turns.serve(bev):
            bev.suspend(self._direction, SUSPEND_GROUP)
        self._bucket.take(size)
        if self._bucket.level <= 0:
            self._hold_all()
        self._tend_timer()

    def decrement(self, size: int) -> None:
        """Take ``size`` bytes out of the bucket, which no member has used.

        Raises:
            ValueError: There is no limit.
        """
        bucket = self._refilled()
        if bucket is None:
            side = "read" if self._direction == EV_READ else "write"
            raise ValueError(f"there is no {side} limit to decrement: set_limit() with a {side}_rate first")
        bucket.take(size)
        self._settle()

    def add(self, bev: "RateLimitedBufferEvent") -> None:
        """Let ``bev`` share."""
        level = self.level()
        held = level is not None and level <= 0
        self._turns.add(bev, held=held)
        if held:
            bev.suspend(self._direction, SUSPEND_GROUP)
        self._tend_timer()

    def remove(self, bev: "RateLimitedBufferEvent") -> int:
        """Forget ``bev``; return the direction if it waited, and is to be let go, else 0."""
        waited = self._turns.remove(bev)
        self._tend_timer()
        return self._direction if waited else 0

    # Holding back and letting go

    def _settle(self) -> None:
        """Do what a level asks for that has changed otherwise than by use."""
        if self._bucket is not None and self._bucket.level <= 0:
            self._hold_all()
        self._tend_timer()

    def _hold_all(self) -> None:
        for bev in self._turns.hold_all():
            bev.suspend(self._direction, SUSPEND_GROUP)

    def _let_go(self, count: int) -> None:
        for _ in range(min(count, len(self._turns.waiting))):
            self._turns.release().resume(self._direction, SUSPEND_GROUP)

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        """Let as many go as there are shares; the others in the next pass, if these leave anything."""
        bucket = self._refilled()
        try:
            if bucket is not None and bucket.level >= self._min_share:
                self._let_go(bucket.level // self._min_share)
        finally:  # one that cannot go on must not keep the others waiting
            self._tend_timer()

    def _tend_timer(self) -> None:
        """Come back when somebody can be let go.

        Each use puts off what was due at once by a pass, but whoever used anything now waits: that ends.
        """
        if not self._turns.waiting or self._bucket is None:
            if self._timer is not None:
                self._timer.delete()
            return
        if self._timer is None:
            self._timer = self._base.timer(self._on_timer)
        now = self._base.now()
        self._bucket.refill(now)
        self._timer.add(self._bucket.ready_in(now, self._min_share))


class RateLimitGroup:
    """Connections that share one rate limit, each of them at most its part of what is there at a time.

    What all of them use never passes the limit, not even by `min_share`, and none of them starves.

    Args:
        base: The event base of all members.
        limit: What they share.
        min_share: Bytes, ``>= 1``: see `min_share`.
        pick: ``pick(n)`` gives a number from 0 to n - 1: which member begins when all have been served.

    Raises:
        ValueError: ``min_share`` is less than 1.

    Source: ``bufferevent_rate_limit_group_new``. There is nothing to free: let go of it when its members have left.
    """

    __slots__ = ("_limit", "_min_share", "_sides", "base", "members")

    def __init__(
        self,
        base: "EventBase",
        limit: RateLimit,
        min_share: int = DEFAULT_MIN_SHARE,
        *,
        pick: Callable[[int], int] = randrange,
    ) -> None:
        self.base = base
        self.members: dict[RateLimitedBufferEvent, None] = {}
        self._min_share = _checked(min_share)
        self._sides = {EV_READ: _Side(base, EV_READ, pick), EV_WRITE: _Side(base, EV_WRITE, pick)}
        self.set_limit(limit)

    def __repr__(self) -> str:
        return (
            f"<RateLimitGroup members={len(self.members)} read_limit={self.read_limit} "
            f"write_limit={self.write_limit}>"
        )

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, bev: object) -> bool:
        return bev in self.members

    # Members

    def add(self, bev: "RateLimitedBufferEvent") -> None:
        """Let ``bev`` share the limit; it leaves the group that it was in. Its own limit holds as well.

        Raises:
            ValueError: The connection is closed, or runs on another base.

        Source: ``bufferevent_add_to_rate_limit_group``.
        """
        if bev.closed or bev.base is not self.base:
            raise ValueError(f"a member is open and runs on the base of its group, got {bev!r}")
        former = bev.rate_limit_group
        if former is self:
            return
        if former is not None:
            former.remove(bev)
        self.members[bev] = None
        bev.join(self)
        for side in self._sides.values():
            side.add(bev)

    def remove(self, bev: "RateLimitedBufferEvent") -> None:
        """Let ``bev`` go; one that is closed leaves by itself.

        Raises:
            ValueError: It is no member.

        Source: ``bufferevent_remove_from_rate_limit_group``.
        """
        if bev not in self.members:
            raise ValueError(f"not in this group: {bev!r}")
        del self.members[bev]
        waited = 0
        for side in self._sides.values():
            waited |= side.remove(bev)
        bev.join(None)
        if waited:  # last, when nothing of it is left here: it may fail to go on
            bev.resume(waited, SUSPEND_GROUP)

    # What they share

    @property
    def limit(self) -> RateLimit:
        """What the members share. Source: ``bufferevent_rate_limit_group_set_cfg``."""
        return self._limit

    def set_limit(self, limit: RateLimit) -> None:
        """Let the members share ``limit`` from now on; what is in the buckets stays, as far as it fits."""
        self._limit = limit
        for side in self._sides.values():
            side.set_limit(limit, self._min_share)

    @property
    def min_share(self) -> int:
        """Bytes that a member may use at a time, at least, while they are there; never more than the rate.

        Fewer members have a turn in a tick, where it is more than the part of one.

        Raises:
            ValueError: Set to less than 1.

        Source: ``bufferevent_rate_limit_group_set_min_share``.
        """
        return self._min_share

    @min_share.setter
    def min_share(self, size: int) -> None:
        self._min_share = _checked(size)
        self.set_limit(self._limit)

    @property
    def read_limit(self) -> int | None:
        """Bytes that all may read now, below 0 after `decrement_read`; ``None``: no limit.

        Source: ``bufferevent_rate_limit_group_get_read_limit``.
        """
        return self._sides[EV_READ].level()

    @property
    def write_limit(self) -> int | None:
        """As `read_limit`, for writing. Source: ``bufferevent_rate_limit_group_get_write_limit``."""
        return self._sides[EV_WRITE].level()

    def decrement_read(self, size: int) -> None:
        """Charge the group with ``size`` bytes that no member has read; a negative number gives some back.

        Raises:
            ValueError: Reading is not limited.

        Source: ``bufferevent_rate_limit_group_decrement_read``. As there, the totals do not count it.
        """
        self._sides[EV_READ].decrement(size)

    def decrement_write(self, size: int) -> None:
        """As `decrement_read`, for writing. Source: ``bufferevent_rate_limit_group_decrement_write``."""
        self._sides[EV_WRITE].decrement(size)

    @property
    def totals(self) -> tuple[int, int]:
        """Bytes read and written by all members since the beginning, or `reset_totals`.

        Source: ``bufferevent_rate_limit_group_get_totals``.
        """
        return self._sides[EV_READ].total, self._sides[EV_WRITE].total

    def reset_totals(self) -> None:
        """Count anew. Source: ``bufferevent_rate_limit_group_reset_totals``."""
        for side in self._sides.values():
            side.total = 0

    # For members

    def share(self, bev: "RateLimitedBufferEvent", direction: int) -> int:
        """Return how many bytes ``bev`` may use at once, now, ``>= 0``."""
        return self._sides[direction].share(bev)

    def charge(self, bev: "RateLimitedBufferEvent", direction: int, size: int) -> None:
        """Note that ``bev`` has used ``size`` bytes."""
        self._sides[direction].charge(bev, size)


def _checked(min_share: int) -> int:
    if min_share < 1:
        raise ValueError(f"min_share must be >= 1, got {min_share!r}")
    return min_share
