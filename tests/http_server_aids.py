"""A server and its raw clients in one thread, driven pass by pass: no sleeps, no second thread, no guessing.

`Site` owns an event base, a `Server` on a free port of the loopback address and any number of clients. When it is left
it proves that nothing is left: no connection, no event, no descriptor, and no exception that nobody asked for.
Replies are read by h11 in the client's role, which is strict and none of evkit's code.
"""

import os
import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import h11
import pytest

from evkit.core.base import EventBase
from evkit.core.clock import Clock
from evkit.core.config import EventConfig
from evkit.core.flags import BASE_IGNORE_ENV, COUNT_ADDED, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.http.errors import BadRequest
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.tls.certificates import Certificates
from patience import PATIENCE

ENGINES: Final = ("native", "h11")
both_engines: Final = pytest.mark.parametrize("engine", ENGINES)

Pairs = list[tuple[str, str]]


class Reply(NamedTuple):
    """A reply as h11 understands it; names of fields in lower case."""

    status: int
    fields: Pairs
    body: bytes
    interim: tuple[int, ...] = ()

    def get(self, name: str) -> str | None:
        """Return the value of the only field of that name."""
        values = [value for key, value in self.fields if key == name.lower()]
        assert len(values) < 2, (name, values)
        return values[0] if values else None


class ReplyReader:
    """Takes replies one by one out of a stream."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self._more = more  # b"" at the end of the stream
        self.rest = b""

    def read(self, method: str = "GET") -> Reply:
        """Read one reply to ``method``. Raises h11.RemoteProtocolError for one that is broken or cut off."""
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
        if self.rest:
            connection.receive_data(self.rest)
        status, fields, body, interim = 0, [], bytearray(), []
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(self._more())
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                status = event.status_code
                fields = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
                if method == "CONNECT" and 200 <= status < 300:
                    break
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise AssertionError(f"the stream ended before a reply: {event!r}")
        self.rest = connection.trailing_data[0]
        return Reply(status, fields, bytes(body), tuple(interim))


class Client:
    """A raw client: a non-blocking socket that lets the site's loop turn while it waits."""

    def __init__(self, site: "Site", sock: socket.socket) -> None:
        self.site = site
        self.socket = sock
        self.received = 0
        self._reader = ReplyReader(self._more)

    def send(self, data: bytes) -> None:
        """Send all of ``data``; the server runs while there is no room."""
        view = memoryview(data)

        def sent() -> bool:
            nonlocal view
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                pass
            return not view

        if data:
            self.site.until(sent, "room to send")
        self.site.turn()

    def fill(self, data: bytes, most: int) -> int:
        """Send ``data`` again and again without reading, until the server takes no more; return how much it took."""
        sent = idle = 0
        view = memoryview(data)
        while sent < most and idle < 50:
            try:
                sent += self.socket.send(view[sent % len(data) :])
                idle = 0
            except BlockingIOError:
                idle += 1
            except ConnectionError:
                break
            self.site.turn()
        return sent

    def finish(self) -> None:
        """Send the end of the stream; go on reading."""
        self.socket.shutdown(socket.SHUT_WR)
        self.site.turn()

    def reset(self) -> None:
        """Leave by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.socket.close()
        self.site.turn()

    def take(self) -> bytes | None:
        """Read what is there without waiting; ``None``: nothing; ``b""``: the end."""
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            return None
        self.received += len(data)
        return data

    def _more(self) -> bytes:
        found: list[bytes] = []

        def came() -> bool:
            data = self.take()
            if data is not None:
                found.append(data)
            return data is not None

        self.site.until(came, "bytes from the server")
        return found[0]

    def reply(self, method: str = "GET") -> Reply:
        """Wait for the next reply."""
        return self._reader.read(method)

    def ask(self, data: bytes, method: str = "GET") -> Reply:
        """Send and wait for the reply."""
        self.send(data)
        return self.reply(method)

    def rest(self) -> bytes:
        """Read to the end of the stream. Raises ConnectionResetError if it ends by RST."""
        data, self._reader.rest = [self._reader.rest], b""
        while piece := self._more():
            data.append(piece)
        return b"".join(data)

    def silent(self) -> bool:
        """Read what there is without a turn; whether that was nothing, or the end."""
        try:
            return not self.take()
        except OSError:
            return True

    def silence(self) -> bool:
        """Whether the server, given all the turns it wants, sends nothing and keeps the connection."""
        self.site.settle()
        return not self._reader.rest and self.take() is None


class Site:
    """A server, its base and its clients.

    Args:
        engine: The server's.
        base: A base to use and not to close; otherwise one is made.
        clock: For the base that is made.
        options: For the server.
    """

    def __init__(
        self,
        engine: str = "native",
        *,
        base: EventBase | None = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self._descriptors = count_descriptors()
        self._owns_base = base is None
        self.base = base or EventBase(EventConfig(flags=BASE_IGNORE_ENV), clock=clock)
        self.escaped: list[Exception] = []
        self.base.exception_handler = lambda exception, _source: self.escaped.append(exception)
        self.engine = engine
        self.server = Server(self.base, engine=engine, **options)
        self.completed: list[tuple[str, int]] = []
        self.refused: list[int] = []
        self.server.on_complete = self._completed
        self.server.on_refused = self._refused
        self.listener = self.server.bind("127.0.0.1", 0)
        host, _, port = self.listener.address.rpartition(":")
        self.address = host, int(port)
        self.clients: list[Client] = []

    def _completed(self, request: Request) -> None:
        self.completed.append((request.target, request.status))

    def _refused(self, peer: str, error: BadRequest) -> None:
        self.refused.append(error.status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self.clients:
            client.socket.close()
        self.server.close()
        self.settle()
        events = self.base.num_events(COUNT_ADDED)
        if self._owns_base:
            self.base.close()
        if kind is None:
            if self.escaped:
                raise self.escaped[0]
            assert not self.server.connections
            assert events == 0, "events were left in the base"
            self.clients.clear()
            assert count_descriptors() <= self._descriptors, "descriptors were left open"

    def take_escaped(self) -> list[Exception]:
        """Claim the exceptions that escaped from callbacks; unclaimed ones fail the test."""
        escaped, self.escaped = self.escaped, []
        return escaped

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

    def client(self, *, receive_buffer: int | None = None, port: int | None = None) -> Client:
        """Connect. A small ``receive_buffer`` makes a client that is soon full."""
        sock = socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            sock.connect((self.address[0], port or self.address[1]))
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)
        client = Client(self, sock)
        self.clients.append(client)
        self.turn()
        return client

    def connected(self, count: int) -> None:
        """Wait until the server has so many connections."""
        self.until(lambda: len(self.server.connections) == count, f"{count} connections")

    def serves(self) -> None:
        """Prove that a new client is served."""
        client = self.client()
        status = client.ask(b"GET /serves HTTP/1.1\r\nHost: a\r\n\r\n").status
        assert status in (200, 404), status
        client.close()


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def get(target: str = "/", *fields: str, version: str = "1.1") -> bytes:
    """Spell a request without a body."""
    return request("GET", target, *fields, version=version)


def request(method: str, target: str, *fields: str, body: bytes | None = None, version: str = "1.1") -> bytes:
    """Spell a request; with ``body``, its Content-Length."""
    lines = [f"{method} {target} HTTP/{version}", "Host: a", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def chunked(
    method: str, target: str, *pieces: bytes, fields: tuple[str, ...] = (), trailers: bytes = b""
) -> bytes:
    """Spell a request with a body in chunks."""
    head = request(method, target, "Transfer-Encoding: chunked", *fields)
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + body + b"0\r\n" + trailers + b"\r\n"


class Served:
    """What a thread with a server tells."""

    def __init__(self, address: tuple[str, int], log: list[tuple[str, str, int]], scheme: str) -> None:
        self.address = address
        self.url = f"{scheme}://{address[0]}:{address[1]}"
        self.log = log


@contextmanager
def served(
    set_up: Callable[[Server], object],
    engine: str = "native",
    *,
    tls: Certificates | ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[Served]:
    """Run a server in a thread of its own, for peers that block. ``log`` gets (method, target, status)."""
    started: queue.Queue[tuple[EventBase, str]] = queue.Queue()
    log: list[tuple[str, str, int]] = []
    escaped: list[Exception] = []

    def serve() -> None:
        with EventBase() as base:
            base.exception_handler = lambda exception, _source: escaped.append(exception)
            server = Server(base, engine=engine, **options)
            server.on_complete = lambda done: log.append((done.method, done.target, done.status))
            set_up(server)
            started.put((base, server.bind("127.0.0.1", 0, tls=tls).address))
            base.dispatch()
            server.close()

    thread = threading.Thread(target=serve)
    thread.start()
    base, where = started.get(timeout=PATIENCE)
    host, _, port = where.rpartition(":")
    try:
        yield Served((host, int(port)), log, "http" if tls is None else "https")
    finally:
        base.call_soon_threadsafe(base.loopbreak)
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if escaped:
        raise escaped[0]
