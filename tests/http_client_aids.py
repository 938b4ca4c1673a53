"""A client and the servers that the test plays by hand, in one thread and driven pass by pass.

`World` owns an event base, whose clock the test moves, a `Client`, and any number of servers of a few lines: a test
accepts, reads and answers byte by byte. When it is left it proves that nothing is left: no connection, no event, no
descriptor, no future that is still pending, and no exception that nobody asked for.
"""

import socket
import struct
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from evkit.core import EventBase, Future
from evkit.core.config import EventConfig
from evkit.core.flags import BASE_IGNORE_ENV, COUNT_ADDED, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.net import Address
from evkit.http.client.client import Client
from evkit.http.client.response import Response
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.errors import Phase, RequestTimeout
from evkit.testing import ManualClock
from http_server_aids import count_descriptors
from patience import PATIENCE

T = TypeVar("T")

TIMEOUTS: Final = ClientTimeouts(
    pool=5.0, connect=10.0, tls=20.0, expect=1.0, write=30.0, head=40.0, body=50.0, total=1000.0
)
"""One for each phase, told apart by their length."""
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
SMALL: Final = 4096
"""Bytes of a receive buffer that is soon full."""


class Names:
    """A `Resolver` to which every name is this machine's, but those that have no address."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.asked: list[str] = []
        self.pending: list[Future[list[Address]]] = []
        self.slow = False

    def getaddrinfo(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> Future[list[Address]]:
        self.asked.append(host)
        future: Future[list[Address]] = Future(self.base)
        if self.slow:
            self.pending.append(future)
        elif host == "unknown.test":
            future.set_exception(OSError("there is no such name"))
        else:
            future.set_result([("127.0.0.1", port)])
        return future


class Wire:
    """One connection that a client has made, at the server's end: a socket that does not block."""

    def __init__(self, world: "World", sock: socket.socket) -> None:
        self.world = world
        self.socket = sock
        self.rest = b""  # what came behind the last request

    def send(self, data: bytes) -> None:
        """Send all of ``data``; the client runs while there is no room."""
        view = memoryview(data)

        def sent() -> bool:
            nonlocal view
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                pass
            return not view

        if data:
            self.world.until(sent, "room to send")
        self.world.settle()

    def take(self) -> bytes | None:
        """Read what is there without waiting; ``None``: nothing; ``b""``: the end."""
        try:
            return self.socket.recv(1 << 20)
        except BlockingIOError:
            return None

    def receive(self, enough: Callable[[bytes], bool], what: str) -> bytes:
        """Read until there is enough; return all."""
        data = self.rest
        while not enough(data):
            found: list[bytes] = []

            def came(found: list[bytes] = found) -> bool:
                piece = self.take()
                if piece is not None:
                    found.append(piece)
                return piece is not None

            self.world.until(came, what)
            assert found[0], f"the client has closed the connection before {what}: {data!r}"
            data += found[0]
        self.rest = b""
        return data

    def head(self) -> bytes:
        """Read the head of a request; what comes behind it is kept."""
        data = self.receive(lambda data: b"\r\n\r\n" in data, "the head of a request")
        head, end, self.rest = data.partition(b"\r\n\r\n")
        return head + end

    def body(self, size: int) -> bytes:
        """Read so many bytes of a request's body."""
        data = self.receive(lambda data: len(data) >= size, f"{size} bytes of a body")
        data, self.rest = data[:size], data[size:]
        return data

    def answer(self, body: bytes = b"", *fields: str, status: int = 200) -> bytes:
        """Read a head, and answer it; return the request's first line."""
        head = self.head()
        self.send(reply(body, *fields, status=status))
        return head.partition(b"\r\n")[0]

    def closed(self) -> bool:
        """Whether the client closes the connection, given all the turns it wants; what it still sends is dropped."""
        self.world.settle()
        while True:
            try:
                data = self.take()
            except OSError:
                return True
            if not data:
                return data is not None

    def drained_and_closed(self) -> bool:
        """As `closed`, but where the system has more on its way than this end takes at once: wait for its end."""

        def ended() -> bool:
            try:
                return self.take() == b""
            except OSError:
                return True

        self.world.until(ended, "the end")
        return True

    def silent(self) -> bool:
        """Whether the client keeps the connection, and has nothing to say."""
        self.world.settle()
        return not self.rest and self.take() is None

    def close(self) -> None:
        self.socket.close()
        self.world.settle()

    def reset(self) -> None:
        """Leave by RST."""
        self.abort()
        self.world.settle()

    def abort(self) -> None:
        """As `reset`, from inside a callback."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Place:
    """A listening socket, which the test accepts from.

    Args:
        world: Whose.
        receive_buffer: Bytes; a small one makes a server that is soon full.
        path: Of a unix socket, in place of a port.
        backlog: Connections that the system makes without being asked.
    """

    def __init__(
        self, world: "World", *, receive_buffer: int | None = None, path: str | None = None, backlog: int = 64
    ) -> None:
        self.world = world
        self.socket = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind(("127.0.0.1", 0) if path is None else path)
        self.socket.listen(backlog)
        self.socket.setblocking(False)
        self.port: int = 0 if path is not None else self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def named(self, host: str, scheme: str = "http") -> str:
        """Return a URL without a path at which a client with `Names` finds it, too."""
        return f"{scheme}://{host}:{self.port}"

    def waiting(self) -> bool:
        """Whether a connection waits to be accepted, after all turns that the client wants."""
        self.world.settle()
        wire = self.try_accept()
        if wire is not None:
            self.world.early.append((self, wire))
        return wire is not None

    def try_accept(self) -> Wire | None:
        try:
            sock, _ = self.socket.accept()
        except BlockingIOError:
            return None
        sock.setblocking(False)
        if sock.family == socket.AF_INET:
            sock.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )  # what is sent in pieces comes in pieces
        wire = Wire(self.world, sock)
        self.world.wires.append(wire)
        return wire

    def accept(self) -> Wire:
        """Wait for the next connection."""
        for place, wire in self.world.early:
            if place is self:
                self.world.early.remove((place, wire))
                return wire
        found: list[Wire] = []

        def came() -> bool:
            wire = self.try_accept()
            if wire is not None:
                found.append(wire)
            return wire is not None

        self.world.until(came, "a connection")
        self.world.settle()
        return found[0]


class World:
    """An event base with a client, and servers.

    Args:
        base: The base to use, not to close, with a clock moved by hand; ``None``: one is made, with such a clock.
        names: Every host name is this machine; else names are looked up as ever.
        options: For the client.

    Attributes:
        futures: All that were asked for by `get` and `ask`.
        escaped: Exceptions of callbacks that nobody has claimed.
    """

    def __init__(self, base: EventBase | None = None, *, names: bool = True, **options: Any) -> None:
        self._descriptors = count_descriptors()
        self._owns_base = base is None
        self.base = base or EventBase(EventConfig(flags=BASE_IGNORE_ENV), clock=ManualClock())
        self.clock = self.base.clock
        self.escaped: list[Exception] = []
        self.base.exception_handler = lambda exception, _source: self.escaped.append(exception)
        self.names = Names(self.base)
        if names:
            options.setdefault("resolver", self.names)
        options.setdefault("timeouts", TIMEOUTS)
        self.client = Client(self.base, **options)
        self.places: list[Place] = []
        self.wires: list[Wire] = []
        self.early: list[tuple[Place, Wire]] = []
        self.futures: list[Future[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pending = [future for future in self.futures if not future.done()]
        for future in self.futures:
            if future.done() and not future.cancelled():
                future.exception()  # asked for
        self.client.close()
        self.settle()
        events = self.base.num_events(COUNT_ADDED)
        for wire in self.wires:
            wire.socket.close()
        for place in self.places:
            place.socket.close()
        if self._owns_base:
            self.base.close()
        if kind is None:
            if self.escaped:
                raise self.escaped[0]
            assert not pending, "futures were left pending"
            assert events == 0, "events were left in the base"
            assert count_descriptors() <= self._descriptors, "descriptors were left open"

    def take_escaped(self) -> list[Exception]:
        """Claim the exceptions that escaped from callbacks; unclaimed ones fail the test."""
        escaped, self.escaped = self.escaped, []
        return escaped

    # Time

    def turn(self) -> None:
        """One pass of the loop."""
        self.base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)

    def settle(self) -> None:
        """Turn until there is nothing to do."""
        self.base.loop(EVLOOP_NONBLOCK)

    def until(self, done: Callable[[], object], what: str) -> None:
        """Turn until ``done()``."""
        guard = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < guard, f"waited {PATIENCE:g} s for {what}"
            self.turn()

    def wait(self, seconds: float) -> None:
        """Let the time pass, in ten steps, with the client at work."""
        self.settle()
        assert isinstance(self.clock, ManualClock)
        for _ in range(10):
            self.clock.advance(seconds / 10)
            self.settle()

    # Servers

    def place(self, **options: Any) -> Place:
        place = Place(self, **options)
        self.places.append(place)
        return place

    # The client

    def watched(self, future: Future[T]) -> Future[T]:
        """Have a future end in this test."""
        self.futures.append(future)
        return future

    def get(self, url: str, **options: Any) -> Future[Response]:
        return self.watched(self.client.get(url, **options))

    def ask(self, method: str, url: str, body: Any = None, **options: Any) -> Future[Response]:
        return self.watched(self.client.request(method, url, body, **options))

    def result(self, future: Future[T]) -> T:
        """Wait for a future, and return its result."""
        self.until(future.done, "a result")
        return future.result(0)

    def error(self, future: Future[Any]) -> BaseException:
        """Wait for a future, and return what it failed with."""
        self.until(future.done, "an error")
        error = future.exception(0)
        assert error is not None, f"expected an error, got {future!r}"
        return error

    @property
    def pool(self) -> str:
        """What the client has of connections: ``"1 connections, 1 free, 0 waiting"``."""
        self.settle()
        return repr(self.client).removeprefix("<Client <Pool ").removesuffix(">>")


class Proxied:
    """A client with a proxy that the test plays."""

    def __init__(self, scheme: str = "http", *, credentials: str = "") -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.world = World(proxies=f"{scheme}://{credentials}127.0.0.1:{self.port}")
        self.proxy = Place(self.world)
        self.proxy.socket.close()
        self.listening.setblocking(False)
        self.proxy.socket, self.proxy.port = self.listening, self.port
        self.world.places.append(self.proxy)

    def __enter__(self) -> World:
        return self.world.__enter__()

    def __exit__(self, *arguments: Any) -> None:
        self.world.__exit__(*arguments)

    @property
    def wire(self) -> Wire:
        return self.proxy.accept()


def reply(body: bytes = b"", *fields: str, status: int = 200, reason: str = "R") -> bytes:
    """Spell a response with a ``Content-Length``."""
    lines = [f"HTTP/1.1 {status} {reason}", *fields]
    if status not in (204, 304) and status >= 200:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def in_chunks(
    *pieces: bytes, fields: tuple[str, ...] = (), trailers: bytes = b"", status: int = 200
) -> bytes:
    """Spell a response with a body in chunks."""
    head = "\r\n".join([f"HTTP/1.1 {status} R", "Transfer-Encoding: chunked", *fields, "", ""]).encode(
        "latin-1"
    )
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + body + b"0\r\n" + trailers + b"\r\n"


def until_close(body: bytes) -> bytes:
    """Spell a response that ends with its connection."""
    return b"HTTP/1.1 200 R\r\n\r\n" + body


def phase_of(error: BaseException) -> Phase:
    """Return which phase took too long."""
    assert isinstance(error, RequestTimeout), error
    return error.phase
