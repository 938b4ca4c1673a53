"""Who sends an upload: a process of its own, on a processor of its own, the same for all servers.

It must never know who receives it.
"""

import multiprocessing
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from work import BLOCK


def _send(port: int, size: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    head = f"PUT /upload HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {size}\r\n\r\n".encode()
    block = memoryview(bytes(BLOCK))
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(head)
        while size:
            size -= sock.send(block[:size])
        reply = sock.recv(65536)
    if not reply.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"got {reply[:200]!r}")


@contextmanager
def sending(port: int, size: int, core: int | None) -> Iterator[None]:
    """Have ``size`` bytes sent to ``port`` while the block runs, which receives them.

    Args:
        port: On 127.0.0.1.
        size: Bytes of the body.
        core: The processor of the sender; ``None``: wherever it likes.

    Raises:
        SystemExit: At the end, if the upload was not answered with 200.
    """
    sender = multiprocessing.get_context("fork").Process(target=_send, args=(port, size, core))
    sender.start()
    try:
        yield
        sender.join()
    finally:
        sender.terminate()
        sender.join()
    if sender.exitcode:
        raise SystemExit(f"the sender has ended with {sender.exitcode}")
