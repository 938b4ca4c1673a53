"""epoll: one registration a descriptor, O(1) a wake-up. Linux's best; the default there.

The kernel registers the open file under the descriptor's number, and forgets it when the file is closed: with the last
of its duplicates, not with the number. So delete the events of a descriptor before you close it. Closed first, with a
duplicate (``dup``, a child process) still open, it can be neither changed nor forgotten any more: every wait reports
the number of what is ready there, until the duplicate is closed too. Without a duplicate a number that is closed and
comes back with another file is put right here, whatever the books say.
"""

import select
from errno import EEXIST, ENOENT
from typing import Final

from evkit.core.backends.contract import MaskTable
from evkit.core.flags import EV_CLOSED, EV_ET, EV_READ, EV_WRITE, FEATURE_EARLY_CLOSE, FEATURE_ET, FEATURE_O1


def _to_native(wanted: int) -> int:
    native = 0
    if wanted & EV_READ:
        native |= select.EPOLLIN
    if wanted & EV_WRITE:
        native |= select.EPOLLOUT
    if wanted & EV_CLOSED:
        native |= select.EPOLLRDHUP
    if wanted & EV_ET:
        native |= select.EPOLLET
    return native


def _from_native(native: int) -> int:
    """Translate as ``epoll_dispatch`` does: an error wakes reader and writer, who then learn it from the call.

    It wakes who waits for ``EV_CLOSED`` too: left out, as by libevent, the kernel reports the error for ever.
    """
    if native & select.EPOLLERR or (native & select.EPOLLHUP and not native & select.EPOLLRDHUP):
        return EV_READ | EV_WRITE | EV_CLOSED
    what = 0
    if native & select.EPOLLIN:
        what |= EV_READ
    if native & select.EPOLLOUT:
        what |= EV_WRITE
    if native & select.EPOLLRDHUP:
        what |= EV_CLOSED
    return what


class EpollBackend:
    """``Backend`` over ``select.epoll``."""

    __slots__ = ("_epoll", "masks")

    name: Final = "epoll"
    features: Final = FEATURE_ET | FEATURE_O1 | FEATURE_EARLY_CLOSE

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.masks = MaskTable(_from_native)

    def change(self, fd: int, old: int, new: int) -> None:
        """See `Backend.change`. Source: ``epoll_apply_one_change``, retries included."""
        if not new:
            self._forget(fd)
            return
        native = _to_native(new)
        try:
            (self._epoll.modify if old else self._epoll.register)(fd, native)
        except OSError as error:
            # The descriptor was closed and its number reused behind our back, so the kernel knows it, or not,
            # against our books.
            if old and error.errno == ENOENT:
                self._epoll.register(fd, native)
            elif not old and error.errno == EEXIST:
                self._epoll.modify(fd, native)
            else:
                raise

    def _forget(self, fd: int) -> None:
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            # ENOENT, EBADF, EPERM: closing a descriptor removes it from the set, and there is nothing left to do.
            pass

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Backend.wait`. ``select.epoll`` rounds up to milliseconds, so no timer fires early."""
        return self._epoll.poll(timeout)

    def close(self) -> None:
        """See `Backend.close`."""
        self._epoll.close()
