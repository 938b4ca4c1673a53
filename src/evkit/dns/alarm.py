"""`Alarm`: one timer of the loop for all that waits.

The doer for `evkit.dns.deadlines`: as long as anything waits the timer is set, which keeps the loop going.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from evkit.dns.deadlines import Deadlines

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.event import Event

Key = TypeVar("Key", bound=Hashable)
_NEVER = float("inf")


class Alarm(Generic[Key]):
    """Calls back when something has waited long enough.

    Args:
        base: The event base.
        on_due: ``on_due(key)``, from the loop; the key does not wait any more. Several that are due together come one
            after the other, and one that is discarded by what those before it do does not come.
    """

    __slots__ = ("_base", "_deadlines", "_due", "_on_due", "_set_for", "_timer", "_waiting")

    def __init__(self, base: "EventBase", on_due: Callable[[Key], object]) -> None:
        self._base = base
        self._on_due = on_due
        self._deadlines: Deadlines[Key] = Deadlines()
        self._due: OrderedDict[Key, None] = OrderedDict()  # and not called back for yet
        self._timer: Event = base.timer(self._on_timer)
        self._set_for = _NEVER
        self._waiting = 0

    def __repr__(self) -> str:
        return f"<Alarm {self._deadlines!r}>"

    def add(self, key: Key, seconds: float) -> None:
        """Let ``key``, which does not wait, wait so long from now."""
        base = self._base
        deadline = self._deadlines.add(key, seconds, base.pass_time or base.now())
        self._waiting += 1
        if deadline < self._set_for:
            self._set_for = deadline
            self._timer.add(seconds)

    def discard(self, key: Key, seconds: float) -> None:
        """Let ``key``, which was added with ``seconds``, wait no more; harmless if it does not."""
        if self._deadlines.discard(key, seconds):
            self._waiting -= 1
            if not self._waiting:
                self._timer.delete()
                self._set_for = _NEVER
        else:
            self._due.pop(key, None)

    def close(self) -> None:
        """Forget all, and give the timer back."""
        self._deadlines.clear()
        self._due.clear()
        self._waiting = 0
        self._timer.free()

    def _on_timer(self, event: Any, what: int) -> None:  # noqa: ARG002 - a callback
        now = self._base.now()
        due = self._deadlines.pop_due(now)
        self._waiting -= len(due)
        self._due.update(dict.fromkeys(due))
        try:
            while self._due:
                self._on_due(self._due.popitem(last=False)[0])
        finally:
            self._reset(now)

    def _reset(self, now: float) -> None:
        """Set the timer for what is left; it was set too early for that, mostly, and is not set now."""
        next_at = now if self._due else self._deadlines.next_at()
        if next_at is None:
            self._set_for = _NEVER
        else:
            self._set_for = next_at
            self._timer.add(max(0.0, next_at - now))
