"""Clients that do nothing but be there: many idle ones, and one that asks without ever reading.

They speak MessagePack-RPC in bytes that are written down here, so that they cost as little as can be, and are the same
for all servers. They must never know whose server it is.
"""

import select
import socket
import time
from contextlib import ExitStack
from typing import Final

from common.proc import sample_memory
from stopwatch import Stopwatch

_PATIENCE: Final = 20.0
_QUIET: Final = 0.5
"""Seconds after which a server that has taken nothing takes nothing more."""
_ASKED: Final = b"\x94\x00\x01\xa4echo\x91\xb00123456789abcdef"
_ANSWER: Final = b"\x94\x01\x01\xc0\xb00123456789abcdef"
_BLOCK: Final = 65536
_BIG: Final = b"\x94\x00\x02\xa4echo\x91\xc6" + _BLOCK.to_bytes(4, "big") + bytes(_BLOCK)
_WARM_UP: Final = 100
BESIDE: Final = 1000
"""Calls over another connection while one does not read."""


def connect(port: int) -> socket.socket:
    """Open a connection that has no delay of its own."""
    sock = socket.create_connection(("127.0.0.1", port), _PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(sock: socket.socket) -> bool:
    """Make one small call; return whether the answer is right."""
    sock.sendall(_ASKED)
    answer = b""
    while len(answer) < len(_ANSWER):
        data = sock.recv(4096)
        if not data:
            return False
        answer += data
    return answer == _ANSWER


def hold_idle(port: int, pid: int, count: int) -> tuple[int, int]:
    """Open connections, each of which makes one call.

    Args:
        port: The server's.
        pid: The server.
        count: Connections.

    Returns:
        Bytes that the server's memory has grown by, and how many calls were answered.
    """
    with ExitStack() as stack:
        for _ in range(_WARM_UP):
            ask(stack.enter_context(connect(port)))
        before = sample_memory(pid).rss
        answered = sum(ask(stack.enter_context(connect(port))) for _ in range(count))
        return max(0, sample_memory(pid).rss - before), answered


def flood(port: int, pid: int, most: int, watch: Stopwatch) -> tuple[int, int]:
    """Ask for 64 KiB again and again and read nothing; then make small calls over another connection.

    Args:
        port: The server's.
        pid: The server.
        most: Bytes of requests, if the server takes so many.
        watch: Times the small calls.

    Returns:
        Bytes that the server's memory has grown by, and how many of the small calls were answered.
    """
    with connect(port) as deaf, connect(port) as other:
        for _ in range(_WARM_UP):
            ask(other)
        before = sample_memory(pid).rss
        _pour(deaf, most)
        watch.start()
        answered = sum(ask(other) for _ in range(BESIDE))
        watch.stop("flood")
        return max(0, sample_memory(pid).rss - before), answered


def _pour(sock: socket.socket, most: int) -> None:
    """Send until the server takes no more."""
    sock.setblocking(False)
    view = memoryview(_BIG)
    taken, rest = 0, view
    while taken < most and select.select([], [sock], [], _QUIET)[1]:
        sent = sock.send(rest)
        taken += sent
        rest = rest[sent:] or view
    time.sleep(_QUIET)  # what it took is answered now, or never
