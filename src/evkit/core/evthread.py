"""Waking a loop that waits, from another thread or from a signal handler.

One pair of sockets, and a flag so that a thousand calls before the loop gets to run cost one system call. Knows nothing
of what the loop is woken for.
"""

import os
import socket
import warnings
from collections.abc import Callable

from evkit.core.log import LOG_WARN, log


class Waker:
    """A descriptor that becomes readable when somebody calls `wake`, or writes a byte to `signal_fd`.

    A pair of sockets and not an eventfd, which libevent prefers: Python's handling of signals writes single bytes.

    Attributes:
        fd: For the loop to wait on.
        signal_fd: For ``signal.set_wakeup_fd``.
    """

    __slots__ = ("_closed", "_pending", "_reader", "_writer", "fd", "signal_fd")

    def __init__(self) -> None:
        self._closed = True  # while there is nothing to give back
        self._pending = False
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.fd = self._reader.fileno()
        self.signal_fd = self._writer.fileno()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "woken" if self._pending else "quiet"
        return f"<Waker fd={self.fd} {state}>"

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
            self._writer.send(b"\0")
        except BlockingIOError:
            pass  # it is full, so the loop is going to wake anyway
        except OSError as error:
            log(LOG_WARN, f"the event base could not be woken: {error}")

    def clear(self) -> None:
        """Make the descriptor unreadable again; what is asked for from now on wakes anew."""
        try:
            self._reader.recv(4096)
        except BlockingIOError:
            pass
        finally:
            # Only now: the read would swallow what a thread wrote in between, and no later wake would write again. And
            # whatever happens: no later wake would write again after a Ctrl-C that comes right after the read, either.
            self._pending = False

    def renew(self) -> None:
        """In a child process: have a pair that the parent does not, under the numbers of before, and wake anew.

        Raises:
            OSError: There is no descriptor left; nothing has changed.
        """
        if self._closed:
            return
        pair = socket.socketpair()
        for new, mine in zip(pair, (self._reader, self._writer), strict=True):
            new.setblocking(False)
            os.dup2(new.fileno(), mine.fileno(), inheritable=False)
            new.close()
        self._pending = False
        self.wake()  # what was asked for before the fork may have to be answered by the child

    def close(self) -> None:
        """Give the descriptors back. A late `wake` does nothing."""
        if self._closed:
            return
        self._closed = self._pending = True
        self._reader.close()
        self._writer.close()
