"""`Waiting`: calls that are made before there is a connection to send them by.

It decides how many there may be, and ends those that are late. When a connection is there, whose business that is takes
them out.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from evkit.rpc.connection.pending import Pending
from evkit.rpc.errors import CallTimeout, Overloaded

if TYPE_CHECKING:
    from evkit.core.base import EventBase


class Waiting:
    """Calls, the oldest first.

    Args:
        base: The event base.
        most: How many there may be, ``>= 0``; ``None``: any number.

    Attributes:
        calls: What they are to be sent with.
        why: What keeps them waiting, if that is known: the cause of their being late.
    """

    __slots__ = ("_base", "_most", "calls", "why")

    def __init__(self, base: "EventBase", most: int | None) -> None:
        self._base = base
        self._most = most
        self.why: Exception | None = None
        self.calls: OrderedDict[Pending, list[Any]] = OrderedDict()  # a dict's first is not found at once

    def __repr__(self) -> str:
        return f"<Waiting {len(self.calls)} of {self._most}>"

    def add(self, pending: Pending, params: list[Any], timeout: float | None) -> None:
        """Keep a call.

        Args:
            pending: The call.
            params: What it is to be sent with.
            timeout: Seconds that it may take, the time in here included; ``None``: no limit.

        Raises:
            Overloaded: There are as many as may be.
        """
        if self._most is not None and len(self.calls) >= self._most:
            raise Overloaded(f"{self._most} calls wait for a connection, as many as may")
        self.calls[pending] = params
        pending.owner = self
        if timeout is not None:
            pending.limit(self._base, timeout)

    def take(self) -> tuple[Pending, list[Any]] | None:
        """Take out the oldest; ``None``: there is none."""
        return self.calls.popitem(last=False) if self.calls else None

    def take_all(self) -> list[Pending]:
        """Take out all, the oldest first; they are still its own, unless they are cancelled meanwhile."""
        pendings = list(self.calls)
        self.calls.clear()
        return pendings

    def abandon(self, pending: Pending) -> None:
        """See `Owner.abandon`."""
        self.calls.pop(pending, None)

    def late(self, pending: Pending, seconds: float) -> None:
        """See `Owner.late`."""
        self.abandon(pending)
        late = CallTimeout(pending.method, seconds)
        late.__cause__ = self.why
        pending.fail(self._base, late)
