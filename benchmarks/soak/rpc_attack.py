"""Connections that send what they should not, to a server of RPC, over plain sockets.

It decides how long a connection lives, how it takes what comes back, and how it ends. What is sent is `Frames`'
business.
"""

import socket
import struct
from random import Random
from typing import Final

from soak.rpc_frames import Frames

_BATCH: Final = 40
"""Frames that are sent in one go, at most."""
_STUCK: Final = 40
"""Turns in which nothing could be sent, after which a connection is given up."""
_READ: Final = 1 << 20
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class Attacker:
    """One connection.

    Args:
        port: Of the server, on this machine.
        chance: Where all chances come from.

    Attributes:
        sent: Frames of which the last byte has been taken by the system.
        over: Whether it has ended.
        refused: Whether it was the server that has ended it.
    """

    def __init__(self, port: int, chance: Random) -> None:
        self._chance = chance
        polite = chance.random() < 0.05
        self._frames = Frames(chance, polite=polite)
        self._left = chance.choice((100, 500, 3000)) if polite else chance.choice((0, 1, 3, 20, 100))
        self._reads = chance.random() < 0.9
        self._stuck = 0
        self._data = b""
        self._ends: list[int] = []  # of the frames that go out now, counted from the first byte of them
        self._out = 0  # bytes of them that went
        self.sent = 0
        self.over = False
        self.refused = False
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setblocking(False)

    def turn(self) -> None:
        """Send some more, and take what has come; end, if that was all."""
        try:
            if self._reads:
                self._read()
            self._send()
        except OSError:  # the server has ended it
            self.refused = True
            self._close()
            return
        if not self._data and self._left <= 0:
            self.end()

    def _read(self) -> None:
        try:
            if not self._sock.recv(_READ):
                self._sock.close()
                raise ConnectionResetError("the server has ended it")
        except BlockingIOError:
            pass

    def _send(self) -> None:
        if not self._data:
            self._make()
        size = self._chance.choice((1, 7, 1000, 1 << 20, 1 << 20, 1 << 20))
        try:
            count = self._sock.send(self._data[:size])
        except BlockingIOError:
            self._stuck += 1
            if self._stuck > _STUCK:
                self.end()
            return
        self._stuck = 0
        self._data = self._data[count:]
        self._out += count
        while self._ends and self._ends[0] <= self._out:
            del self._ends[0]
            self.sent += 1

    def _make(self) -> None:
        """Make the next frames."""
        pieces: list[bytes] = []
        self._ends.clear()
        self._out = size = 0
        for _ in range(min(_BATCH, self._left)):
            frame = self._frames.next()
            pieces.append(frame.data)
            size += len(frame.data)
            self._ends.append(size)
            self._left -= 1
            if frame.last:
                self._left = 0
                break
        self._data = b"".join(pieces)

    def end(self) -> None:
        """End it: in order, by a reset, or by half, so that the server has the last word."""
        if self.over:
            return
        how = self._chance.randrange(3)
        try:
            if how == 1:
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            elif how == 2:
                self._sock.shutdown(socket.SHUT_WR)
                self._read()
        except OSError:
            self.refused = True
        self._close()

    def _close(self) -> None:
        self.over = True
        self._sock.close()
