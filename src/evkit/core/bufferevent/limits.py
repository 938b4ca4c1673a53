"""`Limits`: what holds one connection to its own rate limit, to its group's, and to a most for one write.

The doer: it stands in for ``recv`` and ``send`` where a connection has any of these, asks the buckets beforehand how
much may flow, charges them afterwards, and holds a direction back whose bucket is empty. A connection without limits
never comes here. How the group shares what it has is the group's business.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from evkit.core.buffer import NO_LIMIT
from evkit.core.buffer.flow import MAX_TURN
from evkit.core.buffer.segments import Sender
from evkit.core.bufferevent.gate import SUSPEND_BANDWIDTH, SUSPEND_GROUP
from evkit.core.event import Event
from evkit.core.flags import EV_READ, EV_WRITE
from evkit.core.rate_limit import RateLimit, TokenBucket
from evkit.core.timers import NEVER

if TYPE_CHECKING:
    from evkit.core.bufferevent.limited import RateLimitedBufferEvent
    from evkit.core.bufferevent.rate_group import RateLimitGroup

_BOTH: Final = (EV_READ, EV_WRITE)


def flow_of(limit: RateLimit | None, direction: int) -> tuple[int, int | None] | None:
    """Return ``(rate, burst)`` of ``EV_READ`` or ``EV_WRITE``; ``None``: no limit there."""
    if limit is None:
        return None
    reads = direction == EV_READ
    rate = limit.read_rate if reads else limit.write_rate
    return None if rate is None else (rate, limit.read_burst if reads else limit.write_burst)


def renewed(
    bucket: TokenBucket | None, limit: RateLimit | None, direction: int, now: float
) -> TokenBucket | None:
    """Return the bucket for a new ``limit``, with what is left in the one of before; ``None``: no limit."""
    flow = flow_of(limit, direction)
    if flow is None or limit is None:
        return None
    if bucket is None:
        return TokenBucket(*flow, limit.tick, now)
    bucket.renew(*flow, limit.tick, now)
    return bucket


class Limits:
    """The limits of one connection.

    Attributes:
        group: The group that it belongs to, or ``None``.
        limit: Its own limit, or ``None``.
        max_single_write: Bytes to send at once, at most; ``None``: what any connection may in its turn, 256 KiB.

    Source: ``struct bufferevent_rate_limit``.
    """

    __slots__ = ("_bev", "_buckets", "_held", "_timer", "group", "limit", "max_single_write")

    def __init__(self, bev: "RateLimitedBufferEvent") -> None:
        self._bev = bev
        self._buckets: dict[int, TokenBucket] = {}
        self._held = 0  # the directions whose own bucket is empty
        self._timer: Event | None = None
        self.group: RateLimitGroup | None = None
        self.limit: RateLimit | None = None
        self.max_single_write: int | None = None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to limit."""
        return self.limit is None and self.group is None and self.max_single_write is None

    # In place of the socket's and the buffer's methods

    def recv(self, size: int) -> bytes:
        """Receive as ``socket.recv`` does, but no more than may be read now.

        Raises:
            OSError: As there; ``BlockingIOError`` also where nothing may be read, which is not the end of the stream.
        """
        allowed = self._allowed_or_hold(EV_READ, size)
        data = self._bev.socket.recv(allowed)  # type: ignore[union-attr]  # its event exists, so the socket does
        if data:
            self._charge(EV_READ, len(data), self.group)
        return data

    def send(self, sock: Sender) -> int:
        """Send from the output as `Flow.send_to` does, but no more than may be written now.

        Raises:
            OSError: As there; ``BlockingIOError`` also where nothing may be written.
        """
        allowed = self._allowed_or_hold(EV_WRITE, self.max_single_write or MAX_TURN)
        output, group = self._bev.output, self.group
        before, sent = output.length, 0
        try:
            sent = output.send_to(sock, allowed)
        finally:  # a callback on the buffer that fails does not make what was sent unsent
            self._charge(EV_WRITE, sent or max(0, before - output.length), group)
        return sent

    def allowed(self, direction: int, most: int = NO_LIMIT) -> int:
        """Return how many bytes may flow now, 0 to ``most``. Source: ``bufferevent_get_rlim_max_``."""
        if direction == EV_WRITE and self.max_single_write is not None:
            most = min(most, self.max_single_write)
        bucket = self._buckets.get(direction)
        if bucket is not None:
            bucket.refill(self._bev.base.now())
            most = min(most, bucket.level)
        if self.group is not None:
            most = min(most, self.group.share(self._bev, direction))
        return max(0, most)

    def allowed_write(self) -> int | None:
        """Return how many bytes may be written now; ``None``: no limit."""
        allowed = self.allowed(EV_WRITE)
        return None if allowed == NO_LIMIT else allowed

    def _allowed_or_hold(self, direction: int, most: int) -> int:
        allowed = self.allowed(direction, most)
        if not allowed:
            # Somebody has taken our reason away: `BufferEvent.resume` is for everybody.
            self._bev.suspend(direction, SUSPEND_BANDWIDTH if self._held & direction else SUSPEND_GROUP)
            raise BlockingIOError
        return allowed

    def _charge(self, direction: int, size: int, group: "RateLimitGroup | None") -> None:
        bucket = self._buckets.get(direction)
        if bucket is not None:
            bucket.take(size)
            if bucket.level <= 0:
                self._settle()
        if group is not None and size:
            group.charge(self._bev, direction, size)

    # The buckets

    def set_limit(self, limit: RateLimit | None) -> None:
        """See `RateLimitedBufferEvent.set_rate_limit`."""
        if limit == self.limit:
            return
        self.limit = limit
        now = self._bev.base.now()
        for direction in _BOTH:
            bucket = renewed(self._buckets.pop(direction, None), limit, direction, now)
            if bucket is not None:
                self._buckets[direction] = bucket
        self._settle()

    def level(self, direction: int) -> int | None:
        """Return what is in the bucket now; ``None``: there is no limit."""
        bucket = self._buckets.get(direction)
        if bucket is None:
            return None
        bucket.refill(self._bev.base.now())
        return bucket.level

    def decrement(self, direction: int, size: int) -> None:
        """Take ``size`` bytes out of the bucket; a negative number gives some back.

        Raises:
            ValueError: There is no such limit.
        """
        bucket = self._buckets.get(direction)
        if bucket is None:
            side = "read" if direction == EV_READ else "write"
            raise ValueError(
                f"there is no {side} limit to decrement: set_rate_limit() with a {side}_rate first"
            )
        bucket.refill(self._bev.base.now())
        bucket.take(size)
        self._settle()

    def _settle(self) -> None:
        """Hold back what has an empty bucket, let go what has not, and come back when that is to change."""
        now = self._bev.base.now()
        held, wait = 0, NEVER
        for direction, bucket in self._buckets.items():
            bucket.refill(now)
            if bucket.level <= 0:
                held |= direction
                wait = min(wait, bucket.ready_in(now))
        freed, self._held = self._held & ~held, held
        self._set_timer(wait)
        if held:
            self._bev.suspend(held, SUSPEND_BANDWIDTH)
        if freed:
            self._bev.resume(freed, SUSPEND_BANDWIDTH)

    def _set_timer(self, after: float) -> None:
        if after == NEVER or self._bev.closed:
            if self._timer is not None:
                self._timer.delete()
            return
        if self._timer is None:
            self._timer = self._bev.base.timer(self._on_tick)
            self._timer.level = self._bev.priority
        self._timer.add(after)

    def _on_tick(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._settle()

    # The connection's business

    def queue_entries(self) -> Iterator[Event]:
        """Yield what stands in the loop's queues, now or later."""
        if self._timer is not None:
            yield self._timer

    def close(self) -> None:
        """Leave the group, and wait for nothing more."""
        if self.group is not None:
            self.group.remove(self._bev)
        if self._timer is not None:
            self._timer.free()
            self._timer = None
