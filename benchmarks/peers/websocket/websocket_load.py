"""The load of the echo servers, the same for all: each connection sends a message, waits until it came back, and sends
the next. Frames are built once and replies only compared, so that it costs as little as can be in Python.

    python websocket_load.py [-c connections] [-s bytes] [-m messages] [--text] PORT

Prints one line of JSON: how many messages came back, and the seconds that took.
"""

import argparse
import json
import select
import socket
import time
from typing import Final

_HANDSHAKE: Final = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_PATIENCE: Final = 10.0
_KEY: Final = b"\x37\xfa\x21\x3d"


def head(first: int, size: int, mask: int) -> bytes:
    """Return the head of a frame of ``size`` bytes."""
    if size < 126:
        return bytes((first, mask | size))
    if size < 65536:
        return bytes((first, mask | 126)) + size.to_bytes(2, "big")
    return bytes((first, mask | 127)) + size.to_bytes(8, "big")


def connect(port: int) -> socket.socket:
    """Open a WebSocket, the quick way: the reply is not looked at beyond its first line."""
    sock = socket.create_connection(("127.0.0.1", port), _PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(_HANDSHAKE)
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        reply += sock.recv(4096)
    assert reply.startswith(b"HTTP/1.1 101 "), reply
    return sock


class Connection:
    """One connection, and how much of a reply has come."""

    __slots__ = ("received", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = 0

    def has_answer(self, answer: bytes) -> bool:
        """Read; return whether the reply is whole."""
        data = self.sock.recv(len(answer) - self.received)
        assert data, "the server closed the connection"
        end = self.received + len(data)
        assert data == answer[self.received : end], "a message came back changed"
        self.received = end % len(answer)
        return not self.received


def run(socks: list[socket.socket], question: bytes, answer: bytes, messages: int) -> float:
    """Exchange ``messages`` messages over all connections; return the seconds."""
    poll = select.epoll()
    waiting = {sock.fileno(): Connection(sock) for sock in socks}
    for fd in waiting:
        poll.register(fd, select.EPOLLIN)
    sent = returned = 0
    started = time.perf_counter()
    for sock in socks[:messages]:
        sock.sendall(question)
        sent += 1
    while returned < messages:
        ready = poll.poll(_PATIENCE)
        assert ready, f"no reply within {_PATIENCE:g} s"
        for fd, _ in ready:
            connection = waiting[fd]
            if connection.has_answer(answer):
                returned += 1
                if sent < messages:
                    sent += 1
                    connection.sock.sendall(question)
    poll.close()
    return time.perf_counter() - started


def main() -> None:
    """Read the command line, and put a server under load."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", type=int, default=64)
    parser.add_argument("-s", type=int, default=128)
    parser.add_argument("-m", type=int, default=100_000)
    parser.add_argument("--text", action="store_true")
    parser.add_argument("port", type=int)
    args = parser.parse_args()
    payload = (b"0123456789abcdef" * (args.s // 16 + 1))[: args.s]
    hidden = bytes(byte ^ _KEY[at & 3] for at, byte in enumerate(payload))
    first = 0x81 if args.text else 0x82
    question = head(first, args.s, 0x80) + _KEY + hidden
    socks = [connect(args.port) for _ in range(args.c)]
    seconds = run(socks, question, head(first, args.s, 0) + payload, args.m)
    for sock in socks:
        sock.close()
    print(json.dumps({"count": args.m, "wall": seconds}))


if __name__ == "__main__":
    main()
