"""`Alarm`: one timer of the loop for all that waits.

The doer for `evkit.dns.deadlines`: as long as anything waits the timer is set, which keeps the loop going.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from evkit.dns.deadlines import Deadlines, Key

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event

_NEVER = float("inf")


class Alarm(Deadlines[Key]):
    """Calls back when something has waited long enough.

    Args:
        base: The event base.
        on_due: ``on_due(key)``, from the loop; the key does not wait any more. Several that are due together come one
            after the other, and one that is discarded by what those before it do does not come.
    """

    # To add and to discard is left to `Deadlines`: that runs twice for each look-up.

    __slots__ = ("_base", "_due", "_on_due", "_timer")

    def __init__(self, base: "EventBase", on_due: Callable[[Key], object]) -> None:
        super().__init__()
        self._base = base
        self._on_due = on_due
        self._due: OrderedDict[Key, None] = OrderedDict()  # and not called back for yet
        self._timer: Event = base.timer(self._on_timer)

    def on_first(self, seconds: float) -> None:
        """See `Deadlines.on_first`."""
        self._timer.add(seconds)

    def on_last(self) -> None:
        """See `Deadlines.on_last`."""
        self._timer.delete()

    def on_unknown(self, key: Key) -> None:
        """See `Deadlines.on_unknown`."""
        self._due.pop(key, None)

    def close(self) -> list[Key]:
        """Forget all, and give the timer back; return what has waited."""
        keys = [*self._due, *self.clear()]
        self._due.clear()
        self._timer.free()
        return keys

    def _on_timer(self, event: Any, what: int) -> None:  # noqa: ARG002 - a callback
        now = self._base.now()
        self._due.update(dict.fromkeys(self.pop_due(now)))
        try:
            while self._due:
                self._on_due(self._due.popitem(last=False)[0])
        finally:
            self._reset(now)

    def _reset(self, now: float) -> None:
        """Set the timer for what is left; it was set too early for that, mostly, and is not set now."""
        next_at = now if self._due else self.next_at()
        if next_at is None:
            self.first = _NEVER
        else:
            self.first = next_at
            self._timer.add(max(0.0, next_at - now))
