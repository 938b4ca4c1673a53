"""A peer that a test plays by hand, message by message or byte by byte, and servers and clients on loopback."""

import socket
import time
from collections.abc import Callable
from typing import Any

import msgpack

from evkit.core import EventBase, SocketBufferEvent
from evkit.core.flags import EVLOOP_NONBLOCK
from evkit.rpc import Call, Client, Pending, Server
from evkit.rpc.connection.connection import Connection
from evkit.rpc.connection.load import Load
from evkit.rpc.limits import Limits
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.service.service import Service
from patience import PATIENCE

HOST = "127.0.0.1"


class Peer:
    """The other end of a connection.

    Args:
        base: Where the connection runs; the test runs it by `settle`.
        sock: The peer's end, which does not block.
    """

    def __init__(self, base: EventBase, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._base = base
        self._sock = sock
        self._unpacker = msgpack.Unpacker(strict_map_key=False)

    def settle(self) -> None:
        """Let the loop do what there is to do now."""
        for _ in range(4):
            self._base.loop(EVLOOP_NONBLOCK)

    def send(self, *messages: object, raw: bytes = b"") -> None:
        """Send messages in one piece, and ``raw`` after them; let them be heard."""
        data = b"".join(msgpack.packb(message) for message in messages) + raw
        while data:
            try:
                data = data[self._sock.send(data) :]
            except BlockingIOError:
                self.settle()
        self.settle()

    def heard(self) -> list[Any]:
        """Return the messages that have come since, without waiting for more."""
        self.settle()
        while data := self.read():
            self._unpacker.feed(data)
            self.settle()
        return list(self._unpacker)

    def read(self, size: int = 1 << 20) -> bytes:
        """Return bytes that are there; none at the end, and none where there is nothing."""
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return b""

    def at_end(self) -> bool:
        """Return whether the connection was ended; what came before is dropped."""
        self.settle()
        try:
            while self._sock.recv(1 << 20):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            pass
        return True

    def shut(self) -> None:
        """Say that nothing more comes."""
        self._sock.shutdown(socket.SHUT_WR)
        self.settle()

    def close(self) -> None:
        self._sock.close()
        self.settle()


def connection_to(
    base: EventBase,
    sock: socket.socket,
    service: Service | None = None,
    *,
    timeout: float | None = 10.0,
    most: int | None = None,
    load: Load | None = None,
    debug: bool = False,
    connection_type: Callable[..., Connection] = Connection,
    **limits: Any,
) -> Connection:
    """Make a connection of a socket whose other end the test plays."""
    return connection_type(
        SocketBufferEvent(base, sock),
        Coders(Limits(**limits)),
        "the peer",
        service or Service(),
        load or Load(most),
        timeout=timeout,
        debug=debug,
    )


Make = Callable[..., tuple[Any, Peer]]
"""Of the fixture ``make`` in ``tests/rpc/connection``: a connection, or a half of one, and its peer."""


class Deferring:
    """A handler ``wait``, that answers later, when the test says so."""

    def __init__(self, service: Service) -> None:
        self.calls: list[Call] = []
        service.register(self.wait, "wait")

    def wait(self, call: Call, *_: object) -> None:
        call.defer()
        self.calls.append(call)


class Town:
    """Servers and clients on one base, whose loop the test runs; what is left is closed at the end."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self._open: list[Any] = []

    def server(self, **options: Any) -> Server:
        """Make a server with a method ``echo``; it listens nowhere yet."""
        server = Server(self.base, **options)
        server.register(lambda x: x, "echo")
        self._open.append(server)
        return server

    def listening(self, **options: Any) -> tuple[Server, tuple[str, int]]:
        """Make a server, and return where it is, too."""
        server = self.server(**options)
        return server, (HOST, server.bind(HOST, 0).port)

    def client(self, where: Any, **options: Any) -> Client:
        client = Client(self.base, where, **options)
        self._open.append(client)
        return client

    def pair(self, **options: Any) -> tuple[Server, Client]:
        """Make a server, and a client that is connected to it."""
        server, where = self.listening()
        client = self.client(where, **options)
        client.connect()
        self.run(lambda: client.connection is not None and server.connections)
        return server, client

    def listener(self) -> socket.socket:
        """Listen, for a server that the test plays."""
        sock = socket.create_server((HOST, 0))
        sock.setblocking(False)
        self._open.append(sock)
        return sock

    def accepted(self, listener: socket.socket) -> Peer:
        """Return the peer that connects to a listener."""
        found: list[socket.socket] = []

        def accept() -> bool:
            try:
                found.append(listener.accept()[0])
            except BlockingIOError:
                return False
            return True

        self.run(accept)
        self._open.append(found[0])
        return Peer(self.base, found[0])

    def connected(self, where: Any) -> Peer:
        """Connect to a server, for a client that the test plays."""
        sock = socket.create_connection(where)
        self._open.append(sock)
        return Peer(self.base, sock)

    def start(self, caller: Any, method: str = "echo", *params: Any, **options: Any) -> Pending:
        """Call, and look at what is there by `outcome`."""
        pending: Pending = caller.start_call(method, list(params), lambda pending: None, **options)
        return pending

    def outcome(self, pending: Pending) -> Any:
        """Run until a call is over, and return its value or its error."""
        self.run(lambda: pending.owner is None)
        return pending.error or pending.value

    def run(self, until: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < end, f"it never came to be: {self._open!r}"
            self.base.loop(EVLOOP_NONBLOCK)

    def settle(self) -> None:
        for _ in range(20):
            self.base.loop(EVLOOP_NONBLOCK)

    def close(self) -> None:
        for thing in reversed(self._open):
            thing.close()
        self.settle()
