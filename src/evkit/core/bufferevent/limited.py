"""`RateLimitedBufferEvent`: how a program limits what a connection over a socket reads and writes.

It chooses the road that bytes take: the socket's ``recv`` and the buffer's ``send`` as they are, or those of a
`Limits`. So a connection without limits pays nothing for there being any. It knows nothing of buckets.
"""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from evkit.core.buffer.segments import Sender
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.event import QueueEntry
from evkit.core.flags import EV_READ, EV_WRITE

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.bufferevent.limits import Limits
    from evkit.core.bufferevent.rate_group import RateLimitGroup
    from evkit.core.rate_limit import RateLimit


class RateLimitedBufferEvent(BufferEvent):
    """A `BufferEvent` that reads and writes by a socket, no faster than it is told to.

    What is held back by a limit waits: no time-out counts meanwhile, and nothing is lost. A connection above this one
    (TLS, a filter) is limited by limiting this one, in bytes of the wire.
    """

    __slots__ = ("_limits", "_max_single_read", "_recv", "_send", "socket")

    _recv: Callable[[int], bytes]
    _send: Callable[[Sender], int]

    def __init__(
        self, base: "EventBase", sock: socket.socket | None, max_single_read: int, *, defer_callbacks: bool
    ) -> None:
        super().__init__(base, defer_callbacks=defer_callbacks)
        self.socket = sock
        self._max_single_read = max_single_read
        self._limits: Limits | None = None
        self._recv = _nothing
        self._send = self.output.send_to

    def _choose_road(self) -> None:
        """Let bytes take the road that is right from now on: the socket or the limits are others than before."""
        if self._limits is not None:
            self._recv, self._send = self._limits.recv, self._limits.send
        else:
            self._recv = _nothing if self.socket is None else self.socket.recv
            self._send = self.output.send_to

    def _limited(self) -> "Limits":
        """Return the limits; there are some from now on."""
        if self.closed:
            raise ValueError(f"a limit for a connection that is closed: {self!r}")
        if self._limits is None:
            self._limits = self._make_limits()
            self._choose_road()
        return self._limits

    def _drop_idle_limits(self) -> None:
        if self._limits is not None and self._limits.idle:
            self._limits.close()
            self._limits = None
            self._choose_road()

    # In time

    @property
    def rate_limit(self) -> "RateLimit | None":
        """What `set_rate_limit` was told. Source: ``bufferevent_get_token_bucket_cfg``."""
        return None if self._limits is None else self._limits.limit

    def set_rate_limit(self, limit: "RateLimit | None") -> None:
        """Limit how much is read and written in a tick; ``None``: no longer.

        A new limit starts with one tick's bytes. One that replaces another goes on with what that had left, as far as
        its burst allows; an equal one changes nothing.

        Raises:
            ValueError: The connection is closed.

        Source: ``bufferevent_set_rate_limit``.
        """
        if limit is not None or self._limits is not None:
            self._limited().set_limit(limit)
            self._drop_idle_limits()

    @property
    def rate_limit_group(self) -> "RateLimitGroup | None":
        """The group whose limit it shares; see `RateLimitGroup.add`."""
        return None if self._limits is None else self._limits.group

    def join(self, group: "RateLimitGroup | None") -> None:
        """Take note of the group: for `RateLimitGroup`, whose ``add`` and ``remove`` are the doors for users."""
        if group is not None:
            self._limited().group = group
        elif self._limits is not None:
            self._limits.group = None
            self._drop_idle_limits()

    @property
    def read_limit(self) -> int | None:
        """Bytes in its own bucket for reading, the group's left out; below 0 after `decrement_read_limit`.

        ``None``: no limit. Source: ``bufferevent_get_read_limit``.
        """
        return None if self._limits is None else self._limits.level(EV_READ)

    @property
    def write_limit(self) -> int | None:
        """As `read_limit`, for writing. Source: ``bufferevent_get_write_limit``."""
        return None if self._limits is None else self._limits.level(EV_WRITE)

    def decrement_read_limit(self, size: int) -> None:
        """Charge the connection's own bucket with ``size`` bytes that it has not read; a negative number gives back.

        Args:
            size: Bytes. The level may fall below 0, and never rises above the burst.

        Raises:
            ValueError: `rate_limit` does not limit reading.

        Source: ``bufferevent_decrement_read_limit``.
        """
        self._decrement(EV_READ, size)

    def decrement_write_limit(self, size: int) -> None:
        """As `decrement_read_limit`, for writing. Source: ``bufferevent_decrement_write_limit``."""
        self._decrement(EV_WRITE, size)

    def _decrement(self, direction: int, size: int) -> None:
        (self._limits or self._make_limits()).decrement(direction, size)

    def _make_limits(self) -> "Limits":
        from evkit.core.bufferevent.limits import Limits  # for programs that have any

        return Limits(self)

    # At once

    @property
    def max_single_read(self) -> int:
        """Bytes to read at once, at most.

        Raises:
            ValueError: Set to less than 1; ``recv`` would take that for the end of the stream.

        Source: ``bufferevent_set_max_single_read``, which takes 0 for its default.
        """
        return self._max_single_read

    @max_single_read.setter
    def max_single_read(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"max_single_read must be >= 1, got {size!r}")
        self._max_single_read = size

    @property
    def max_single_write(self) -> int | None:
        """Bytes to write in one turn, at most, files included; ``None``: 262,144, as without any limit.

        Raises:
            ValueError: Set to less than 1, or the connection is closed.

        Source: ``bufferevent_set_max_single_write``, whose default is 16384.
        """
        return None if self._limits is None else self._limits.max_single_write

    @max_single_write.setter
    def max_single_write(self, size: int | None) -> None:
        if size is not None and size < 1:
            raise ValueError(f"max_single_write must be >= 1 or None, got {size!r}")
        if size is not None or self._limits is not None:
            self._limited().max_single_write = size
            self._drop_idle_limits()

    @property
    def max_to_read(self) -> int:
        """Bytes that may be read at once, now: the least of `max_single_read`, `read_limit` and the group's share.

        Source: ``bufferevent_get_max_to_read``, where a limit takes the place of `max_single_read`.
        """
        size = self._max_single_read
        return size if self._limits is None else self._limits.allowed(EV_READ, size)

    @property
    def max_to_write(self) -> int | None:
        """As `max_to_read`, for writing; ``None``: no limit. Source: ``bufferevent_get_max_to_write``."""
        return None if self._limits is None else self._limits.allowed_write()

    # The contract of BufferEvent

    def _queue_entries(self) -> list[QueueEntry]:
        """See `BufferEvent._queue_entries`."""
        entries = super()._queue_entries()
        return entries if self._limits is None else [*entries, *self._limits.queue_entries()]

    def _close_transport(self) -> None:
        """See `BufferEvent._close_transport`."""
        limits, self._limits = self._limits, None
        if limits is not None:
            self._choose_road()
            limits.close()


def _nothing(size: int) -> bytes:
    """Stand in for ``recv`` where there is no socket; nobody calls it."""
    raise BlockingIOError(size)
