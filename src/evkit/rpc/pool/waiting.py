"""`WaitingCalls`: the calls of a pool that no server has: those that nobody can get, and those that pause.

It decides in which order they go, and how many may wait. It knows nothing of servers, and of calls only which they are.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from evkit.rpc.errors import Overloaded
from evkit.rpc.pool.numbers import check_number

C = TypeVar("C", bound=Hashable)


class WaitingCalls(Generic[C]):
    """Calls, each in one place at most.

    Args:
        most: How many may wait for a server when a new one comes, ``>= 0``; ``None``: any number. Those that come back
            from a server that was lost have their place whatever that number.

    Raises:
        ValueError: ``most`` is out of range.
    """

    __slots__ = ("_most", "_queue", "_resting")

    def __init__(self, most: int | None) -> None:
        self._most = most if most is None else check_number("max_queue", most, 0)
        self._queue: OrderedDict[C, None] = OrderedDict()  # a dict's first is not found at once
        self._resting: set[C] = set()

    def __repr__(self) -> str:
        return f"<WaitingCalls queue={self.queued} of {self._most} resting={len(self._resting)}>"

    def __len__(self) -> int:
        """How many there are."""
        return len(self._queue) + len(self._resting)

    @property
    def queued(self) -> int:
        """How many of them wait for a server."""
        return len(self._queue)

    def check_room(self) -> None:
        """Refuse a new call that would have to wait.

        Raises:
            Overloaded: As many wait for a server as may.
        """
        if self._most is not None and len(self._queue) >= self._most:
            raise Overloaded(f"{self._most} calls wait for a server, as many as may")

    def add(self, call: C) -> None:
        """Have a call wait for a server, behind all others; one that waits already keeps its place."""
        self._queue[call] = None

    def rest(self, call: C) -> None:
        """Count a call that pauses, and comes back by itself."""
        self._resting.add(call)

    def discard(self, call: C) -> None:
        """Let go of a call, wherever it is. Harmless when it is not here."""
        self._queue.pop(call, None)
        self._resting.discard(call)

    def take(self) -> C | None:
        """Take out the one that has waited longest for a server; ``None``: there is none."""
        return self._queue.popitem(last=False)[0] if self._queue else None

    def all(self) -> list[C]:
        """Return all, those that wait for a server first, the oldest at their head."""
        return [*self._queue, *self._resting]
