"""Serve from one thread and calculate in another: a client sends numbers, and gets the sum of the primes below each.

    python examples/threads.py [PORT]
    nc 127.0.0.1 7777

The event base runs in a thread of its own and is never kept waiting: it hands each line to the main thread, which may
take its time, and gets the answer back by `EventBaseThread.call`. Nothing else is shared.
"""

import queue
import socket
import sys
from functools import partial

from evkit import EventBaseThread, Framed, LineFraming, Listener, SocketBufferEvent

Jobs = queue.Queue[tuple[Framed, bytes]]


def on_accept(jobs: Jobs, listener: Listener, sock: socket.socket, _address: object) -> None:
    """Begin with a client, in the base's thread."""
    Framed(SocketBufferEvent(listener.base, sock), LineFraming(max_length=10), partial(on_line, jobs))


def on_line(jobs: Jobs, framed: Framed, line: bytes) -> None:
    """Hand a line over; the next one of this client waits until it is answered."""
    framed.pause()
    jobs.put((framed, line))


def answer(framed: Framed, text: str) -> None:
    """Send an answer, in the base's thread: a connection is nobody else's to touch."""
    if not framed.bev.closed:
        framed.send(text.encode())
        framed.resume()


def sum_of_primes(line: bytes) -> str:
    """Calculate; the loop goes on meanwhile."""
    if not line.isdigit() or int(line) > 100_000:
        return "expected a number up to 100000"
    sieve = bytearray(b"\1") * max(int(line), 2)
    sieve[:2] = b"\0\0"
    for number in range(2, len(sieve)):
        if sieve[number]:
            sieve[2 * number :: number] = bytes(len(range(2 * number, len(sieve), number)))
    return str(sum(number for number, prime in enumerate(sieve) if prime))


def main() -> None:
    """Work until Ctrl-C."""
    jobs: Jobs = queue.Queue()
    address = ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 7777)
    with EventBaseThread() as thread:
        listener = thread.call(Listener.bind, thread.base, partial(on_accept, jobs), address).result()
        print(f"{listener.address} (Ctrl-C stops)", flush=True)
        try:
            while True:
                framed, line = jobs.get()
                thread.call(answer, framed, sum_of_primes(line))
        except KeyboardInterrupt:
            thread.call(listener.close).result()


if __name__ == "__main__":
    main()
