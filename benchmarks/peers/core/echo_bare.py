"""The echo server by the least that Python can do: ``epoll``, ``recv`` and ``send``, and no care for anything.

No loop in Python can be faster, so it shows what part of the others' time is their own.
"""

import select
import socket
import sys
from typing import Final

_READ_SIZE: Final = 65536


def accept(listener: socket.socket, poll: select.epoll, connections: dict[int, socket.socket]) -> None:
    sock, _ = listener.accept()
    sock.setblocking(False)
    connections[sock.fileno()] = sock
    poll.register(sock.fileno(), select.EPOLLIN)


def serve(listener: socket.socket) -> None:
    poll = select.epoll()
    connections: dict[int, socket.socket] = {}
    poll.register(listener.fileno(), select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            sock = connections.get(fd)
            if sock is None:
                accept(listener, poll, connections)
            elif data := sock.recv(_READ_SIZE):
                sock.send(data)
            else:
                connections.pop(fd).close()


def main() -> None:
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024) as listener:
        serve(listener)


if __name__ == "__main__":
    main()
