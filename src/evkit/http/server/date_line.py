"""The ``Date`` line of replies, written once a second."""

from evkit.core import EventBase
from evkit.http.date import http_date


class DateLine:
    """The line ``Date: Sun, 06 Nov 1994 08:49:37 GMT`` with its end.

    Source: RFC 9110 §5.6.7, §6.6.1; ``evutil_date_rfc1123``.
    """

    __slots__ = ("_base", "_line", "_stale_at")

    def __init__(self, base: EventBase) -> None:
        self._base = base
        self._stale_at = 0.0
        self._line = b""

    def get(self) -> bytes:
        """Return the line for the second in which this pass of the loop began."""
        now = self._base.pass_time or self._base.now()
        if now >= self._stale_at:
            wall = self._base.clock.time()
            self._line = f"Date: {http_date(wall)}\r\n".encode("ascii")
            self._stale_at = now + 1.0 - wall % 1.0
        return self._line
