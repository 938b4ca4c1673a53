"""`Waiting`: which queries wait for the handler, since when, and whether there is room for one more.

A decider: it is told the time, and touches no socket.
"""

from typing import TYPE_CHECKING

from evkit.dns.server.limits import Crowd, ServerLimits

if TYPE_CHECKING:
    from evkit.dns.server.request import ServerRequest


class Waiting:
    """Queries that the handler has kept, the oldest first.

    Args:
        limits: ``max_waiting``, ``max_waiting_per_client`` and ``reply_timeout`` count here.
    """

    __slots__ = ("_crowd", "_deadlines", "_limits")

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._crowd = Crowd(limits.max_waiting_per_client)
        # The time-out is one for all, so that the order of coming is that of the deadlines.
        self._deadlines: dict[ServerRequest, tuple[float, str | bytes]] = {}

    def __len__(self) -> int:
        return len(self._deadlines)

    def has_room(self, client: str | bytes) -> bool:
        """Return whether one more query of a client may wait."""
        return len(self._deadlines) < self._limits.max_waiting and self._crowd.has_room(client)

    def enter(self, request: "ServerRequest", client: str | bytes, now: float) -> None:
        """Note that a query waits from ``now`` on."""
        self._deadlines[request] = (now + self._limits.reply_timeout, client)
        self._crowd.enter(client)

    def leave(self, request: "ServerRequest") -> bool:
        """Forget a query; return whether it was there."""
        found = self._deadlines.pop(request, None)
        if found is None:
            return False
        self._crowd.leave(found[1])
        return True

    def next_at(self) -> float | None:
        """Return when the oldest has waited too long; ``None``: nothing waits."""
        for deadline, _ in self._deadlines.values():
            return deadline
        return None

    def due(self, now: float) -> "list[ServerRequest]":
        """Return those that have waited too long, which stay until they leave."""
        late = []
        for request, (deadline, _) in self._deadlines.items():
            if deadline > now:
                break
            late.append(request)
        return late

    def all(self) -> "list[ServerRequest]":
        """Return those that wait."""
        return list(self._deadlines)
