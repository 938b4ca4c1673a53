"""Prepare and check watchers: callbacks right before and right after each poll, in the order of their making.

Source: event2/watch.h.
"""

from collections.abc import Callable

from evkit.core.event import check_callback


class Watcher:
    """One callback around the poll; made by `EventBase.prepare` and `EventBase.check`.

    A prepare watcher's callback gets ``(watcher, timeout)``: the seconds that the poll is going to wait at most,
    ``None`` for no limit. A check watcher's gets ``(watcher, None)``.
    """

    __slots__ = ("_callback", "_watchers")

    def __init__(self, watchers: "list[Watcher]", callback: "WatcherCallback") -> None:
        self._watchers = watchers
        self._callback = check_callback(callback)
        watchers.append(self)

    def __repr__(self) -> str:
        return f"<Watcher {self._callback!r} {'open' if self in self._watchers else 'closed'}>"

    def run(self, timeout: float | None) -> None:
        """Call back, unless a watcher before it has closed it in the same round."""
        if self in self._watchers:
            self._callback(self, timeout)

    def close(self) -> None:
        """Be called no more. Source: ``evwatch_free``."""
        try:
            self._watchers.remove(self)
        except ValueError:
            pass  # it was closed before


WatcherCallback = Callable[[Watcher, float | None], object]
