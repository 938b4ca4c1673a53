"""What tests of the name server share: ports that live as long as a test, queries, and clients over real sockets."""

import socket
import struct
from collections.abc import Callable
from typing import Literal

import dns.flags
import dns.message

from evkit import EVLOOP_NONBLOCK, EventBase
from evkit.core.net import Address
from evkit.dns.server import ServerLimits, ServerPort, ServerRequest
from evkit.dns.server.query import QueryReader
from evkit.dns.server.request import Query

HOST = "127.0.0.1"
ADDRESS = "192.0.2.1"
PEER = ("192.0.2.9", 5353)
TURNS = 200
"""Passes of the loop after which what has not come will not come."""


def query(name: str = "www.example.org", rdtype: str = "A", **options: object) -> bytes:
    """Return a query with the id 0x1234, as dnspython writes it."""
    message = dns.message.make_query(name, rdtype, id=0x1234, **options)  # type: ignore[arg-type]
    return message.to_wire()


def code_of(reply: bytes) -> int:
    return reply[3] & 0xF


def counts(reply: bytes) -> tuple[int, ...]:
    return struct.unpack_from(">4H", reply, 4)


def answer(request: ServerRequest) -> None:
    request.add_a_reply(ADDRESS, 60)
    request.respond()


class Slot:
    """Where the one reply goes."""

    def __init__(self, transport: Literal["udp", "tcp"]) -> None:
        self.transport: Literal["udp", "tcp"] = transport
        self.finished: list[tuple[ServerRequest, bytes | None]] = []
        self.open = True

    def finish(self, request: ServerRequest, reply: bytes | None) -> bool:
        self.finished.append((request, reply))
        return reply is not None and self.open


class Asked:
    """A request, and what comes of it."""

    def __init__(
        self,
        data: bytes | None = None,
        transport: Literal["udp", "tcp"] = "udp",
        address: Address = PEER,
        **limits: int,
    ) -> None:
        self.limits = ServerLimits(**limits)  # type: ignore[arg-type]
        read = QueryReader(self.limits).read(query() if data is None else data)
        assert isinstance(read, Query)
        self.slot = Slot(transport)
        self.request = ServerRequest(read, self.slot, address, self.limits)

    def reply(self) -> dns.message.Message:
        ((request, data),) = self.slot.finished
        assert request is self.request
        assert data is not None
        return dns.message.from_wire(data)

    def size(self) -> int:
        data = self.slot.finished[0][1]
        assert data is not None
        return len(data)


class Kept:
    """A handler that answers nothing by itself."""

    def __init__(self) -> None:
        self.requests: list[ServerRequest] = []
        self.closed: list[ServerRequest] = []

    def __call__(self, request: ServerRequest) -> None:
        request.on_close = self.closed.append
        self.requests.append(request)


class Udp:
    """A client over UDP."""

    def __init__(self, base: EventBase, port: int, source: str = HOST) -> None:
        self.base = base
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((source, 0))
        self.sock.connect((HOST, port))
        self.sock.setblocking(False)

    def send(self, data: bytes) -> None:
        self.sock.send(data)

    def take(self) -> bytes | None:
        """Return what has come by now."""
        try:
            return self.sock.recv(65535)
        except BlockingIOError:
            return None

    def ask(self, data: bytes) -> bytes | None:
        """Return the reply, or ``None`` if none comes."""
        self.send(data)
        for _ in range(5):
            self.base.loop(EVLOOP_NONBLOCK)
        return self.take()

    def close(self) -> None:
        self.sock.close()


class Tcp:
    """A client over TCP, whose system holds little for it."""

    def __init__(self, base: EventBase, port: int, *, source: str = HOST, room: int | None = None) -> None:
        self.base = base
        self.sock = socket.socket()
        if room is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.sock.bind((source, 0))
        self.sock.connect((HOST, port))
        self.sock.setblocking(False)
        self.data = b""
        self.ended = False

    def send(self, *messages: bytes) -> None:
        self.send_raw(b"".join(struct.pack(">H", len(message)) + message for message in messages))

    def send_raw(self, data: bytes) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(data)
        self.sock.setblocking(False)

    def read(self) -> None:
        """Read what has come by now."""
        try:
            while data := self.sock.recv(65536):
                self.data += data
            self.ended = True
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = True

    def run(self, until: Callable[[], object]) -> None:
        """Run the loop until something holds, and read on meanwhile."""
        for _ in range(TURNS):
            self.base.loop(EVLOOP_NONBLOCK)
            self.read()
            if until():
                return
        raise AssertionError(f"it never came to be; there are {len(self.data)} bytes, ended={self.ended}")

    def messages(self) -> list[bytes]:
        """Take the whole messages that have come out of the bytes."""
        found = []
        while len(self.data) >= 2 and len(self.data) >= 2 + (size := int.from_bytes(self.data[:2], "big")):
            found.append(self.data[2 : 2 + size])
            self.data = self.data[2 + size :]
        return found

    def ask(self, *messages: bytes) -> list[bytes]:
        """Send queries, and return as many replies."""
        self.send(*messages)
        return self.take(len(messages))

    def take(self, count: int) -> list[bytes]:
        """Wait for so many messages, and return them."""
        found: list[bytes] = []

        def is_complete() -> bool:
            found.extend(self.messages())
            return len(found) >= count

        self.run(is_complete)
        return found

    def is_closed(self) -> bool:
        """Return whether the server has closed by now."""
        for _ in range(5):
            self.base.loop(EVLOOP_NONBLOCK)
        self.read()
        return self.ended

    def reset(self) -> None:
        """Be gone at once, without a proper end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class Setting:
    """A port with a handler, and the clients that ask it; `close` ends them all."""

    def __init__(
        self, base: EventBase, handler: Callable[[ServerRequest], object] = answer, **limits: float | None
    ) -> None:
        self.base = base
        self.port = ServerPort(base, handler, limits=ServerLimits(**limits))  # type: ignore[arg-type]
        self.number = self.port.listen(HOST, 0)
        self._clients: list[Udp | Tcp] = []

    def udp(self, source: str = HOST) -> Udp:
        client = Udp(self.base, self.number, source)
        self._clients.append(client)
        return client

    def tcp(self, source: str = HOST, room: int | None = None) -> Tcp:
        client = Tcp(self.base, self.number, source=source, room=room)
        self._clients.append(client)
        return client

    def run(self, until: Callable[[], object]) -> None:
        for _ in range(TURNS):
            self.base.loop(EVLOOP_NONBLOCK)
            if until():
                return
        raise AssertionError(f"it never came to be: {self.port!r} {self.port.statistics!r}")

    def close(self) -> None:
        self.port.close()
        for client in self._clients:
            client.close()
