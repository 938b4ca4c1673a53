"""A bare descriptor with the methods of a socket that a buffer calls: the doer for pipes and files.

It decides nothing: each method is one system call.
"""

import os
from collections.abc import Iterable


class Descriptor:
    """Reads and writes a descriptor that somebody else owns."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        """Give the descriptor."""
        return self._fd

    def recv(self, size: int, /) -> bytes:
        """Read at most ``size`` bytes; none at the end."""
        return os.read(self._fd, size)

    def send(self, data: bytes | memoryview, /) -> int:
        """Write some of ``data``; return how much."""
        return os.write(self._fd, data)

    def sendmsg(self, buffers: Iterable[bytes | memoryview], /) -> int:
        """Write some of ``buffers`` in one call; return how much."""
        return os.writev(self._fd, list(buffers))
