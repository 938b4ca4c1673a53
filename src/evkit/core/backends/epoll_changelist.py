"""epoll, told of changes once before each wait: chosen with ``BASE_EPOLL_USE_CHANGELIST``, never by itself.

Worth it where events are deleted and added again between two waits: what cancels out costs no system call. In exchange
the kernel hears late. A descriptor that is closed in between while a duplicate of it lives (``dup``, a child process)
can't be forgotten any more, not even if its events were deleted first, and the kernel reports its number until the
duplicate is closed. libevent warns of the same: don't use it in a program that duplicates descriptors.

`Event.add` can't tell of an error. A regular file, which epoll does not take, is reported as ready at every wait, which
is what poll makes of it; so is a descriptor that is closed.
"""

import select
from typing import Final

from evkit.core.backends.changelist import Changelist
from evkit.core.backends.epoll import EpollBackend


class EpollChangelistBackend:
    """``Backend`` over `EpollBackend`, with changes gathered. Source: ``epollops_changelist``."""

    __slots__ = ("_changes", "_epoll", "masks")

    name: Final = "epoll (with changelist)"
    features: Final = EpollBackend.features

    def __init__(self) -> None:
        self._changes = Changelist()
        self._epoll = EpollBackend()
        self.masks = self._epoll.masks

    def change(self, fd: int, old: int, new: int) -> None:
        """See `Backend.change`."""
        self._changes.change(fd, old, new)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Backend.wait`."""
        refused = self._apply() if self._changes else []
        if refused:
            return refused + self._epoll.wait(0.0)
        return self._epoll.wait(timeout)

    def _apply(self) -> list[tuple[int, int]]:
        """Tell the kernel; return the descriptors that it refuses, as ready. Source: ``epoll_apply_changes``."""
        refused = []
        for fd, old, new in self._changes.take():
            try:
                self._epoll.change(fd, old, new)
            except OSError as error:
                self._changes.refuse(fd, new, error)
                refused.append((fd, select.EPOLLERR))
        return refused

    def close(self) -> None:
        """See `Backend.close`."""
        self._epoll.close()
