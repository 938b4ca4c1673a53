"""A backend whose wait gives up the lock of the base, and which other threads may tell of changes meanwhile."""

from typing import Final

from evkit.core.backends.contract import Backend
from evkit.core.locked_queues import Guard

_LIVE: Final = frozenset({"epoll", "poll", "select"})
"""Backends that bear a change while they wait. The others gather changes, and take what they gathered when they begin
to wait: for them a change in between is kept until the wait is over."""


class LockedBackend:
    """``Backend`` over another.

    Args:
        backend: What waits.
        guard: The lock that is held at every call.
    """

    __slots__ = ("_backend", "_guard", "_late", "_live", "_waits", "masks")

    def __init__(self, backend: Backend, guard: Guard) -> None:
        self._backend = backend
        self._guard = guard
        self._live = backend.name in _LIVE
        self._waits = False
        self._late: list[tuple[int, int, int]] = []
        self.masks = backend.masks

    @property
    def name(self) -> str:
        """See `Backend.name`."""
        return self._backend.name

    @property
    def features(self) -> int:
        """See `Backend.features`."""
        return self._backend.features

    def change(self, fd: int, old: int, new: int) -> None:
        """See `Backend.change`. The thread that changes something wakes the loop."""
        if self._waits and not self._live:
            self._late.append((fd, old, new))
        else:
            self._backend.change(fd, old, new)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Backend.wait`."""
        self._waits = True
        try:
            with self._guard.released:
                return self._backend.wait(timeout)
        finally:
            self._waits = False
            late, self._late = self._late, []
            for fd, old, new in late:
                self._backend.change(fd, old, new)

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()
