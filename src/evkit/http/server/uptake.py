"""How fast a client takes what is sent to it.

It looks now and then whether the client has to be waited for, and only then counts bytes: what goes out at once, as
almost all does, costs nothing. A client that is too slow is let go. It knows nothing of requests.
"""

from evkit.core import Buffer, BufferCallback, BufferEvent, BufferInfo, Event
from evkit.http.server.pace import Pace


class Uptake:
    """Watches over the output of one connection, and closes it where the client takes it too slowly.

    Args:
        bev: The connection.
        grace: Seconds between looks, and those that a client which has to be waited for has in any case.
        rate: Bytes that buy it one second more.

    Attributes:
        more: Whether more may be sent to it without a word from anybody.

    Source: Kestrel's ``MinResponseDataRate``, which holds for each write.
    """

    __slots__ = (
        "_bev",
        "_counter",
        "_grace",
        "_look_event",
        "_pace",
        "_rate",
        "_waiting",
        "_watching",
        "more",
    )

    def __init__(self, bev: BufferEvent, grace: float, rate: float) -> None:
        self.more = False
        self._bev = bev
        self._grace = grace
        self._rate = rate
        self._look_event: Event = bev.base.timer(self._look)
        self._watching = False  # there will be a look
        self._pace: Pace | None = None  # once the client was found to be waited for
        self._waiting = False  # and it is so now
        self._counter: BufferCallback | None = None

    def watch(self) -> None:
        """Look soon, and then as long as there is something for the client to take, or `more`."""
        self.more = True
        if not self._watching:
            self._watching = True
            self._look_event.add(self._grace)

    def free(self) -> None:
        """Look no more."""
        self._count_no_more()
        self._look_event.free()

    def _look(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if not self._waiting:
            self._count_no_more()  # and what it was slow with before is forgotten
            self._begin()
        pace = self._pace
        left = self._grace if pace is None else pace.left(self._bev.base.now())
        if left <= 0:
            self._bev.close()
            return
        self._watching = pace is not None or self.more
        if self._watching:
            event.add(left)

    def _begin(self) -> None:
        """Count from now on, if the client has to be waited for."""
        bottom = carrier(self._bev)
        if unsent(self._bev) and not _is_limited(bottom):
            self._pace = Pace(self._bev.base.now(), self._grace, self._rate)
            self._waiting = True
            self._counter = bottom.output.add_callback(self._on_change)

    def _on_change(self, buffer: Buffer, info: BufferInfo) -> None:  # noqa: ARG002 - a callback
        pace = self._pace
        if pace is None:
            return
        pace.came(info.deleted)
        waiting = unsent(self._bev) > 0
        if waiting is not self._waiting:
            self._waiting = waiting
            now = self._bev.base.now()
            if waiting:
                pace.go_on(now)
            else:
                pace.hold(now)  # it is our turn

    def _count_no_more(self) -> None:
        self._pace = None
        self._waiting = False
        counter, self._counter = self._counter, None
        if counter is not None:
            counter.remove()


def carrier(bev: BufferEvent) -> BufferEvent:
    """Return the connection that carries the bytes in the end: under TLS the one below."""
    while (below := bev.underlying) is not None:
        bev = below
    return bev


def unsent(bev: BufferEvent) -> int:
    """Return how many bytes the client has not been sent, on whatever layer they wait."""
    size = bev.output.length
    while (below := bev.underlying) is not None:
        bev = below
        size += bev.output.length
    return size


def _is_limited(bev: BufferEvent) -> bool:
    """Return whether it may be we who are slow."""
    limits = getattr(bev, "rate_limit", None), getattr(bev, "rate_limit_group", None)
    return limits != (None, None)
