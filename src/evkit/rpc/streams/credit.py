"""The arithmetic of credit: how many items a sender may send, and when a receiver lets it send more.

It decides when an item may go, what a grant may be, and when the next is due. It knows nothing of items, ids or
messages.
"""

from typing import Final

from evkit.errors import RemoteProtocolError

DEFAULT_WINDOW: Final = 100
"""Items that a receiver keeps at most for who has not asked for them yet. Source: zeroRPC's open slots."""

MAX_CREDIT: Final = 2**31 - 1
"""The most credit that a sender holds, and a window's largest size. Source: RFC 9113 §6.9.1, the same for bytes."""


class Credit:
    """What a sender may still send.

    Args:
        available: Items that it may send at once, 0 to `MAX_CREDIT`.

    Raises:
        RemoteProtocolError: It is no such number: the peer names it.

    Attributes:
        available: Items that may go now.
    """

    __slots__ = ("available",)

    def __init__(self, available: object = 0) -> None:
        self.available = 0
        if type(available) is not int or available != 0:
            self.grant(available)

    def __repr__(self) -> str:
        return f"<Credit {self.available}>"

    def take(self) -> bool:
        """Return whether one more item may go; it counts as sent then."""
        if self.available == 0:
            return False
        self.available -= 1
        return True

    def grant(self, number: object) -> None:
        """Be allowed more items.

        Args:
            number: 1 or more, as the peer sent it.

        Raises:
            RemoteProtocolError: It is no such number, or too much together with what is left. Nothing has changed.
        """
        if type(number) is not int or not 1 <= number <= MAX_CREDIT - self.available:
            raise RemoteProtocolError(
                f"expected a credit of 1 to {MAX_CREDIT - self.available} items, got {number!r:.100}"
            )
        self.available += number


class Window:
    """What a receiver lets its peer send.

    Of ``size`` slots each is at any time open (the peer may send an item into it), full (an item waits in it), or free
    and not granted again yet. Free ones are granted together, once they are half of all: one grant for many items.

    Args:
        size: Slots, 1 to `MAX_CREDIT`: the credit to grant at the beginning.

    Raises:
        ValueError: ``size`` is out of range.

    Attributes:
        size: As above.
        open: Items that the peer may still send.

    Source: zeroRPC's ``_zpc_more``.
    """

    __slots__ = ("_free", "open", "size")

    def __init__(self, size: int = DEFAULT_WINDOW) -> None:
        if type(size) is not int or not 1 <= size <= MAX_CREDIT:
            raise ValueError(f"expected a window of 1 to {MAX_CREDIT} items, got {size!r}")
        self.size = size
        self.open = size
        self._free = 0

    def __repr__(self) -> str:
        return f"<Window size={self.size} open={self.open} full={self.full} free={self._free}>"

    @property
    def full(self) -> int:
        """Items that have arrived and were not consumed."""
        return self.size - self.open - self._free

    def arrived(self) -> None:
        """Count an item that came.

        Raises:
            RemoteProtocolError: The peer had no credit for it.
        """
        if self.open == 0:
            raise RemoteProtocolError(f"an item without credit: {self.size} items were to come at most")
        self.open -= 1

    def consumed(self) -> int:
        """Count an item that was taken.

        Returns:
            The credit to grant now; 0: none yet.

        Raises:
            ValueError: None was there.
        """
        if self.full == 0:
            raise ValueError("no item is there that could have been consumed")
        self._free += 1
        if self._free * 2 < self.size:
            return 0
        granted, self._free = self._free, 0
        self.open += granted
        return granted
