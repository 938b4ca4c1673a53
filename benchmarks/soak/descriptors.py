"""What the events of a soak wait on: pairs of sockets, a file, signals; and the passing of time and of the loop.

It decides what happens to a descriptor, its end under the events that wait for it included. It knows nothing of
events: whoever has some for a descriptor is told before its number is another's.
"""

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from typing import Final

from evkit.core import EVLOOP_NO_EXIT_ON_EMPTY, EVLOOP_NONBLOCK, EVLOOP_ONCE
from soak.world import Operation, World

_MOST: Final = 10
SIGNALS: Final = (signal.SIGUSR1, signal.SIGUSR2)
"""What is sent: by this process, to itself."""


class Descriptors:
    """Those of one base.

    Attributes:
        signals: Numbers that events may wait for.
        on_close: ``on_close(fd)``: a descriptor is closed, and nothing may wait for it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.signals = SIGNALS
        self.on_close: Callable[[int], object] = _nobody
        self._sockets: list[socket.socket] = []
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`

    def operations(self) -> Sequence[Operation]:
        """See `Cast.operations`."""
        return (
            Operation(5, "open sockets", self._open),
            Operation(12, "write", self._write),
            Operation(12, "read", self._read),
            Operation(2, "half-close", self._shut_down),
            Operation(3, "close a socket", self._close),
            Operation(2, "close under its events", self._close_under),
            Operation(4, "signal", self._send_signal),
            Operation(10, "time passes", self._pass_time),
            Operation(40, "loop once", self._run_once),
            Operation(4, "loop", self._run),
            Operation(2, "leave the loop", self._leave),
        )

    def any(self) -> int:
        """Return a descriptor to wait on; rarely one that epoll refuses."""
        if not self._sockets:
            self._open()
        if self.world.random.random() < 0.02:
            return self._file.fileno()
        return self.world.random.choice(self._sockets).fileno()

    def _open(self) -> None:
        if len(self._sockets) >= _MOST:
            self._close()
            self._close()
        self._sockets += _pair()

    def _choose(self) -> socket.socket:
        if not self._sockets:
            self._open()
        return self.world.random.choice(self._sockets)

    def _write(self) -> None:
        self._choose().send(b"x" * self.world.random.choice((1, 100, 100_000)))

    def _read(self) -> None:
        self._choose().recv(self.world.random.choice((1, 200_000)))

    def _shut_down(self) -> None:
        self._choose().shutdown(self.world.random.choice((socket.SHUT_RD, socket.SHUT_WR)))

    def _close(self) -> None:
        sock = self._choose()
        self._sockets.remove(sock)
        self.on_close(sock.fileno())
        sock.close()

    def _close_under(self) -> None:
        """Close a socket under its events, let its number come back or not, run the loop, and only then delete them.

        Callbacks do nothing meanwhile: a connection that got the number would be deaf, and that is our own fault.
        """
        sock = self._choose()
        fd = sock.fileno()
        self._sockets.remove(sock)
        self.world.backend.strangers.add(fd)
        if self.world.random.random() < 0.5:
            for other in _pair():
                os.dup2(other.fileno(), fd, inheritable=False)
                other.close()
        else:
            sock.close()
        try:
            if not self.world.base.looping:
                self.world.muted = True
                self.world.run()
        finally:
            self.world.muted = False
            self.on_close(fd)
            sock.close()

    def _send_signal(self) -> None:
        number = self.world.random.choice(SIGNALS)
        if self.world.random.random() < 0.5:
            os.kill(os.getpid(), number)
        else:
            self.world.base.active_by_signal(number)

    def _pass_time(self) -> None:
        self.world.clock.advance(self.world.random.choice((0.01, 0.5, 3.0)))
        self.world.base.update_cache_time()

    def _run_once(self) -> None:
        if not self.world.base.looping or self.world.random.random() < 0.1:  # which is refused
            self.world.run()

    def _run(self) -> None:
        self.world.run(self.world.random.choice((0, EVLOOP_NO_EXIT_ON_EMPTY | EVLOOP_ONCE, EVLOOP_NONBLOCK)))

    def _leave(self) -> None:
        base = self.world.base
        self.world.random.choice(
            (base.loopbreak, base.loopcontinue, base.stop, base.loopexit, self._leave_later)
        )()

    def _leave_later(self) -> None:
        self.world.base.loopexit(1.0)

    def verify(self) -> None:
        """See `Cast.verify`: nothing is to be said of bytes that nobody counts."""

    def rehearse(self) -> None:
        """See `Cast.rehearse`: time-outs of `loopexit` are past."""
        self.world.clock.advance(2.0)
        for _ in range(3):
            self.world.run()

    def let_go(self) -> None:
        """See `Cast.let_go`."""
        for sock in self._sockets:
            self.on_close(sock.fileno())
            sock.close()
        self._sockets.clear()
        self.on_close(self._file.fileno())

    def verify_gone(self) -> None:
        """See `Cast.verify_gone`."""

    def close(self) -> None:
        """Give back what is left: at the end of the world."""
        self._file.close()
        self.on_close = _nobody


def _pair() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends


def _nobody(fd: int) -> None:
    """Stand in where nobody waits."""
