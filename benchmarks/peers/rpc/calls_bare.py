"""Echo over the least that Python can do: an epoll loop, sockets, msgpack, and a callback for each id.

One ``recv_into``, one ``feed`` and one joined ``send`` a turn. No limits, no time-outs, no check of what comes, no care
for errors: no goal below it can be met.
"""

import argparse
import select
import socket
from collections.abc import Callable
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]  # it has no types
from call_work import Payload, run

_ROOM: Final = memoryview(bytearray(262_144))
"""What all connections read into: no read needs memory of its own."""
METHODS: Final[dict[str, Callable[[Any], Any]]] = {"echo": lambda value: value}


class Link:
    """A connection: messages in, messages out."""

    __slots__ = ("_on_message", "_out", "_pack", "_poll", "_rest", "_unpacker", "sock")

    def __init__(
        self, poll: select.epoll, sock: socket.socket, on_message: Callable[["Link", Any], None]
    ) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(sock, select.EPOLLIN)
        self.sock = sock
        self._poll = poll
        self._on_message = on_message
        self._pack = msgpack.Packer().pack
        self._unpacker = msgpack.Unpacker(strict_map_key=False)
        self._out: list[bytes] = []
        self._rest = memoryview(b"")

    def put(self, message: object) -> None:
        """Have a message sent by the next `flush`."""
        self._out.append(self._pack(message))

    def on_event(self, events: int) -> bool:
        """Read, handle and write; return whether the connection is still there."""
        if events & select.EPOLLIN:
            size = self.sock.recv_into(_ROOM)
            if not size:
                return False
            self._unpacker.feed(_ROOM[:size])
            for message in self._unpacker:
                self._on_message(self, message)
        self.flush()
        return True

    def flush(self) -> None:
        """Send what there is; wait for room only if there is none."""
        waited = bool(self._rest)
        if self._out:
            out = self._out
            data = out[0] if len(out) == 1 and not waited else b"".join((self._rest, *out))
            self._out = []
            self._rest = memoryview(data)
        if not self._rest:
            return
        try:
            self._rest = self._rest[self.sock.send(self._rest) :]
        except BlockingIOError:
            pass
        if bool(self._rest) != waited:
            self._poll.modify(self.sock, select.EPOLLIN | (select.EPOLLOUT if self._rest else 0))


def serve(port: int, _payload: Payload) -> None:
    poll = select.epoll()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    poll.register(listener, select.EPOLLIN)
    links: dict[int, Link] = {}

    def on_message(link: Link, message: Any) -> None:
        _, number, method, params = message
        link.put((1, number, None, METHODS[method](*params)))

    while True:
        for fd, events in poll.poll():
            if fd == listener.fileno():
                sock, _ = listener.accept()
                links[sock.fileno()] = Link(poll, sock, on_message)
            elif not links[fd].on_event(events):
                links.pop(fd).sock.close()


class Calls:
    """So many calls, each made by the callback of the one before."""

    def __init__(self, port: int, payload: Payload, _args: argparse.Namespace) -> None:
        self._poll = select.epoll()
        self._link = Link(self._poll, socket.create_connection(("127.0.0.1", port)), self._on_message)
        self._payload = payload
        self._pending: dict[int, Callable[[object, object], None]] = {}
        self._last = 0
        self._left = self._waiting = self._right = 0

    def run(self, count: int, in_flight: int) -> int:
        """Make the calls; return how many came back right."""
        self._left = self._waiting = count
        self._right = 0
        for _ in range(min(count, in_flight)):
            self._call()
        self._link.flush()
        while self._waiting:
            for _, events in self._poll.poll():
                assert self._link.on_event(events), "the server closed the connection"
        return self._right

    def close(self) -> None:
        """Close the connection."""
        self._link.sock.close()
        self._poll.close()

    def _call(self) -> None:
        self._left -= 1
        self._last = number = (self._last + 1) & 0xFFFFFFFF
        self._pending[number] = self._on_answer
        self._link.put((0, number, "echo", (self._payload,)))

    def _on_message(self, _link: Link, message: Any) -> None:
        _, number, error, result = message
        self._pending.pop(number)(error, result)

    def _on_answer(self, error: object, result: object) -> None:
        self._waiting -= 1
        self._right += error is None and result == self._payload
        if self._left:
            self._call()


if __name__ == "__main__":
    run(serve, Calls)
