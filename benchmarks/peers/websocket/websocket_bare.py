"""The least that Python can do for these messages: epoll, recv, a mask taken off, send; no rule is checked.

It understands whole frames of up to 64 KiB that come in one piece, and nothing else. No goal below it can be met.
"""

import base64
import hashlib
import re
import select
import socket
import sys


def answer(request: bytes) -> bytes:
    key = re.search(rb"(?i)sec-websocket-key: *([^\r]+)", request)
    assert key is not None
    proof = base64.b64encode(hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % proof
    )


def echo(frame: bytes) -> bytes:
    length, at = frame[1] & 0x7F, 2
    if length == 126:
        length, at = frame[2] << 8 | frame[3], 4
    mask = (frame[at : at + 4] * (length // 4 + 1))[:length]
    payload = int.from_bytes(frame[at + 4 :], "little") ^ int.from_bytes(mask, "little")
    head = frame[:1] + bytes((length,)) if at == 2 else frame[:1] + b"\x7e" + frame[2:4]
    return head + payload.to_bytes(length, "little")


def main() -> None:
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    socks: dict[int, socket.socket] = {}
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                socks[sock.fileno()] = sock
                poll.register(sock, select.EPOLLIN)
                continue
            sock = socks[fd]
            data = sock.recv(65536)
            if data:
                sock.send(answer(data) if data.startswith(b"GET ") else echo(data))
            else:
                poll.unregister(fd)
                socks.pop(fd).close()


if __name__ == "__main__":
    main()
