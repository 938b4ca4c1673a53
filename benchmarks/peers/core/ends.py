"""The two far ends of a transfer: one process that sends, one that receives, on a processor of their own.

It also tells how much memory the program between them used. It must never know how that passes the bytes on.
"""

import argparse
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

BLOCK: Final = 65536
"""Bytes of one call, here and in what is measured."""
_STATUS: Final = Path("/proc/self/status")


def _send(sock: socket.socket, size: int) -> None:
    block = memoryview(bytes(BLOCK))
    while size:
        sent = sock.send(block[:size])
        size -= sent


def _receive(sock: socket.socket, size: int) -> None:
    room = bytearray(BLOCK)
    received = 0
    while got := sock.recv_into(room):
        received += got
    if received != size:
        raise SystemExit(f"{received} bytes of {size} arrived")


def _fork(work: Callable[[], None], core: int | None) -> int:
    """Do ``work`` in a process of its own, and return that."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        if core is not None:
            os.sched_setaffinity(0, {core})
        work()
        status = 0
    finally:
        os._exit(status)


@contextmanager
def far_ends(size: int, core: int | None) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give the socket to read ``size`` bytes from, and the one to write them to.

    Args:
        size: Bytes to transfer, ``>= 0``.
        core: The processor of both far ends; ``None``: wherever they like.

    Raises:
        RuntimeError: at the end, if they did not all arrive.
    """
    sender, source = socket.socketpair()
    sink, receiver = socket.socketpair()
    with sender, source, sink, receiver:

        def send() -> None:
            for sock in (source, sink, receiver):
                sock.close()
            _send(sender, size)

        def receive() -> None:
            for sock in (sender, source, sink):
                sock.close()
            _receive(receiver, size)

        children = [_fork(send, core), _fork(receive, core)]
        sender.close()
        receiver.close()
        yield source, sink
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        raise RuntimeError("the transfer was not complete")


def memory(name: str) -> int:
    """Return this process's resident memory in bytes: ``VmRSS`` now, ``VmHWM`` the most that it ever was."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {name} in {_STATUS}")


def make_parser() -> argparse.ArgumentParser:
    """Describe the arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", type=int, default=1024, help="MiB to transfer")
    parser.add_argument("-r", type=int, default=1, help="runs")
    parser.add_argument("--far", type=int, default=None, help="processor of the far ends")
    return parser
