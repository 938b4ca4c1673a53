"""`Patience`: how long a connection still waits for what it waits for now.

To wait for something else is to store a number: the bufferevent's time-out, which each read restarts, is as short as
the shortest wait, and only looks whether that time has come. It knows nothing of what is waited for.
"""

from math import inf

from evkit.core import EV_READ, BufferEvent
from evkit.http.client.timeouts import ClientTimeouts


class Patience:
    """The waits of one connection, one after the other.

    Args:
        bev: The connection.
        timeouts: Those there may be; that of writing is the bufferevent's own.
        idle: Likewise, without a request.
    """

    __slots__ = ("_bev", "_due", "_look_after")

    def __init__(self, bev: BufferEvent, timeouts: ClientTimeouts, idle: float | None) -> None:
        limits = [limit for limit in (timeouts.head, timeouts.body, idle) if limit is not None]
        self._bev = bev
        self._look_after = min(limits, default=None)
        self._due = inf
        bev.set_timeouts(read=self._look_after, write=timeouts.write)

    def __repr__(self) -> str:
        return f"<Patience {self._due - self._bev.base.now():g} s>"

    def wait(self, limit: float | None) -> None:
        """Wait for something else from now on, and for so many seconds; ``None``: for ever."""
        base = self._bev.base
        self._due = inf if limit is None else (base.pass_time or base.now()) + limit

    def is_over(self) -> bool:
        """Return whether the time is up; if it is not, look again when it may be."""
        left = self._due - self._bev.base.now()
        if left <= 0:
            return True
        bev, soon = self._bev, self._look_after
        if soon is not None:
            # Not by `set_timeouts`, by which writing, too, would count its silence anew: it would never time out.
            bev.read_timeout = min(left, soon)
            bev.disable(EV_READ)
        bev.enable(EV_READ)
        return False
