"""select: runs everywhere; descriptors below 1024 only, and each wait costs O(descriptors)."""

import os
import select
from errno import EBADF
from typing import Final

from evkit.core.backends.contract import MaskTable, same
from evkit.core.flags import EV_READ, EV_WRITE, FEATURE_FDS

_FD_SETSIZE: Final = 1024
"""What POSIX systems compile into ``fd_set``; Python refuses more at each wait, which would be too late."""


def _is_closed(fd: int) -> bool:
    """Return whether a descriptor was closed behind our back; who waits for it learns that from the next call."""
    try:
        os.fstat(fd)
    except OSError:
        return True
    return False


class SelectBackend:
    """``Backend`` over ``select.select``, whose native mask is evkit's own."""

    __slots__ = ("_readers", "_writers", "masks")

    name: Final = "select"
    features: Final = FEATURE_FDS

    def __init__(self) -> None:
        self._readers: set[int] = set()
        self._writers: set[int] = set()
        self.masks = MaskTable(same)

    def change(self, fd: int, old: int, new: int) -> None:  # noqa: ARG002 - the sets know what was
        """See `Backend.change`.

        Raises:
            OSError: ``fd`` is 1024 or more.
        """
        if new and fd >= _FD_SETSIZE:
            raise OSError(f"select takes descriptors below {_FD_SETSIZE}, got {fd}: use epoll or poll")
        (self._readers.add if new & EV_READ else self._readers.discard)(fd)
        (self._writers.add if new & EV_WRITE else self._writers.discard)(fd)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Backend.wait`."""
        try:
            readers, writers, _ = select.select(self._readers, self._writers, (), timeout)
        except OSError as error:
            if error.errno != EBADF:
                raise
            return [(fd, EV_READ | EV_WRITE) for fd in self._readers | self._writers if _is_closed(fd)]
        ready = dict.fromkeys(readers, EV_READ)
        for fd in writers:
            ready[fd] = ready.get(fd, 0) | EV_WRITE
        return list(ready.items())

    def close(self) -> None:
        """See `Backend.close`: there is no descriptor to give back."""
