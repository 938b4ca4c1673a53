"""Waking a loop that waits, from another thread or from a signal handler.

One descriptor, and a flag so that a thousand calls before the loop gets to run cost one system call. Knows nothing of
what the loop is woken for.
"""

import os
import socket
import warnings
from collections.abc import Callable

from evkit.core.log import LOG_WARN, log


class Waker:
    """A descriptor that becomes readable when somebody calls `wake`: an eventfd, or a socket pair where there is none.

    Attributes:
        fd: For the loop to wait on.
    """

    __slots__ = ("_closed", "_pair", "_pending", "fd")

    def __init__(self) -> None:
        self._closed = True  # while there is nothing to give back
        self._pending = False
        self._pair: tuple[socket.socket, socket.socket] | None = None
        if hasattr(os, "eventfd"):
            self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._pair = socket.socketpair()
            for end in self._pair:
                end.setblocking(False)
            self.fd = self._pair[0].fileno()
        self._closed = False

    def __del__(self, _warn: Callable[..., object] = warnings.warn) -> None:
        """Give back what a base that nobody closed would keep, and say so, as files and sockets do."""
        if not self._closed:  # ``_warn`` is bound above since the interpreter, when it ends, empties modules
            _warn(f"an event base was dropped without close(): {self!r}", ResourceWarning, source=self)
            self.close()

    def wake(self) -> None:
        """Make the descriptor readable. Any thread may call this."""
        if self._pending:
            return
        self._pending = True
        try:
            if self._pair is None:
                os.eventfd_write(self.fd, 1)
            else:
                self._pair[1].send(b"\0")
        except BlockingIOError:
            pass  # it is full, so the loop is going to wake anyway
        except OSError as error:
            log(LOG_WARN, f"the event base could not be woken: {error}")

    def clear(self) -> None:
        """Make the descriptor unreadable again; what is asked for from now on wakes anew."""
        try:
            if self._pair is None:
                os.eventfd_read(self.fd)
            else:
                self._pair[0].recv(4096)
        except BlockingIOError:
            pass
        # Only now: the read would swallow what a thread wrote in between, and no later wake would write again.
        self._pending = False

    def close(self) -> None:
        """Give the descriptor back. A late `wake` does nothing."""
        if self._closed:
            return
        self._closed = self._pending = True
        if self._pair is None:
            os.close(self.fd)
        else:
            for end in self._pair:
                end.close()
