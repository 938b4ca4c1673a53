"""What waits to be sent by a datagram endpoint: how much may, in which order, and when there is room again.

A decider: it touches no socket.
"""

from collections import deque
from typing import Final

from evkit.core.net import Address

OVERHEAD: Final = 64
"""What a datagram counts beside its bytes, so that empty ones have a bound, too."""


class SendQueue:
    """Datagrams and where they go, the oldest first.

    Args:
        limit: Bytes that may wait, each datagram counting `OVERHEAD` more, ``>= 0``; may be changed.
    """

    __slots__ = ("_items", "_refused", "_size", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._items: deque[tuple[bytes, Address | None]] = deque()
        self._size = 0
        self._refused = False  # since it was empty

    def __len__(self) -> int:
        return len(self._items)

    def put(self, data: bytes | bytearray | memoryview, address: Address | None) -> bool:
        """Append a datagram, whose bytes are copied if they may change; return ``False`` if there is no room for it."""
        size = memoryview(data).nbytes + OVERHEAD
        if self._size + size > self.limit:
            self._refused = True
            return False
        self._size += size
        self._items.append((bytes(data), address))
        return True

    def first(self) -> tuple[bytes, Address | None]:
        """Return the oldest one and leave it there; there is one."""
        return self._items[0]

    def drop_first(self) -> None:
        """Take the oldest one out."""
        data, _ = self._items.popleft()
        self._size -= len(data) + OVERHEAD

    def take_relief(self) -> bool:
        """Return whether somebody is to hear that it is empty: once, after something was refused."""
        relief = self._refused and not self._items
        if relief:
            self._refused = False
        return relief

    def clear(self) -> None:
        """Drop all."""
        self._items.clear()
        self._size = 0
