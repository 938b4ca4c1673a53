"""`Load`: how many requests are being served at once, over all connections of a server.

A decider: it counts, and tells who waits that there is room again. What waiting means it does not know.
"""

from collections.abc import Callable


class Load:
    """Counts requests that are not answered yet.

    Args:
        most: How many there may be, ``>= 1``; ``None``: any number.

    Attributes:
        count: How many there are.
        full: Whether no more are to be begun.
    """

    __slots__ = ("_most", "_waiting", "count", "full")

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self.count = 0
        self.full = False
        self._waiting: dict[Callable[[], object], None] = {}

    def __repr__(self) -> str:
        return f"<Load {self.count} of {self._most} waiting={len(self._waiting)}>"

    def enter(self) -> None:
        """Count one in."""
        self.count += 1
        self.full = self._most is not None and self.count >= self._most

    def leave(self) -> None:
        """Count one out, and call who has waited longest for room; what that one leaves it has to `pass_on`."""
        self.count -= 1
        self.full = self._most is not None and self.count >= self._most
        self.pass_on()

    def pass_on(self) -> None:
        """Call who has waited longest, if there is room."""
        if self._waiting and not self.full:
            there_is_room = next(iter(self._waiting))
            del self._waiting[there_is_room]
            there_is_room()

    def wait(self, there_is_room: Callable[[], object]) -> None:
        """Have ``there_is_room()`` called, once, when there is room again; asking again changes nothing."""
        self._waiting[there_is_room] = None

    def forget(self, there_is_room: Callable[[], object]) -> None:
        """Don't call it."""
        self._waiting.pop(there_is_room, None)
