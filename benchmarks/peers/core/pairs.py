"""What `bench` and `bench_cascade` do in every Python loop: their sockets, their callbacks, their arguments.

The work is the same, so what differs in time is the loop. It must never know which loop that is.
"""

import argparse
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Chain:
    """Counts of one run.

    Attributes:
        received: Bytes that arrived.
        sent: Bytes that were sent, those that began it included.
        left: Bytes to send yet.
    """

    __slots__ = ("left", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.left = 0


class Pair:
    """Two connected sockets, and the callback for when the first becomes readable.

    Attributes:
        fd: The descriptor to read from.
        send: Sends to that descriptor.
        pass_on: Sends to the next pair.
    """

    __slots__ = ("_chain", "_recv", "_sockets", "fd", "pass_on", "send")

    def __init__(self, chain: Chain) -> None:
        left, right = self._sockets = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        self._chain = chain
        self._recv = left.recv
        self.fd = left.fileno()
        self.send: Callable[[bytes], int] = right.send
        self.pass_on: Callable[[bytes], int] = right.send

    def on_readable(self, _event: object, _what: int) -> None:
        """Take a byte, and pass one on while some are left."""
        chain = self._chain
        chain.received += len(self._recv(1))
        if chain.left:
            self.pass_on(b"e")
            chain.left -= 1
            chain.sent += 1

    def close(self) -> None:
        """Close both sockets."""
        for sock in self._sockets:
            sock.close()


@contextmanager
def open_pairs(chain: Chain, count: int) -> Iterator[list[Pair]]:
    """Make pairs, of which each passes on to the next, and the last to the first."""
    pairs = [Pair(chain) for _ in range(count)]
    for pair, following in zip(pairs, [*pairs[1:], pairs[0]], strict=True):
        pair.pass_on = following.send
    try:
        yield pairs
    finally:
        for pair in pairs:
            pair.close()


def kick_off(chain: Chain, pairs: list[Pair], active: int, writes: int) -> None:
    """Write the first ``active`` bytes, evenly spread; ``writes`` more are to follow."""
    chain.received = chain.sent = 0
    chain.left = writes
    for pair in pairs[:: len(pairs) // active][:active]:
        pair.send(b"e")
        chain.sent += 1


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments of both programs: libevent's, the number of runs, and asyncio's choice of a loop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=1000, help="pairs")
    parser.add_argument("-a", type=int, default=100, help="bytes under way at once")
    parser.add_argument("-w", type=int, default=20_000, help="bytes to pass on")
    parser.add_argument("-r", type=int, default=25, help="runs")
    parser.add_argument("--loop", default="asyncio", choices=("asyncio", "uvloop"))
    return parser
