"""A resolver and the name servers that the test plays by hand, in one thread and driven pass by pass.

`World` owns an event base, whose clock the test moves, and any number of servers: a test reads a query, looks at it
with dnspython, and answers it, well or badly. When it is left it proves that nothing is left: no event, no descriptor,
no future that is still pending.
"""

import os
import resource
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from evkit.core import EventBase, Future
from evkit.core.config import EventConfig
from evkit.core.flags import BASE_IGNORE_ENV, COUNT_ADDED, EVLOOP_NONBLOCK
from evkit.dns import Resolver, ResolverOptions
from evkit.testing import ManualClock
from http_server_aids import count_descriptors
from patience import PATIENCE

T = TypeVar("T")

SOA: Final = "test. 300 IN SOA ns.test. admin.test. 1 3600 600 86400 60"
OPTIONS: Final = ResolverOptions(timeout=2.0, min_timeout=0.25, total_timeout=30.0, attempts=2)


class Query:
    """One query as a server has it.

    Attributes:
        data: Its bytes.
        message: The same, read by dnspython.
    """

    def __init__(self, data: bytes, send: Callable[[bytes], None]) -> None:
        self.data = data
        self.message = dns.message.from_wire(data)
        self.send = send

    @property
    def name(self) -> str:
        return self.message.question[0].name.to_text(omit_final_dot=True)

    @property
    def type(self) -> str:
        return dns.rdatatype.to_text(self.message.question[0].rdtype)

    def reply(
        self,
        *records: str,
        rcode: str = "NOERROR",
        authority: tuple[str, ...] = (),
        flags: str = "QR AA RA RD",
    ) -> bytearray:
        """Return what an honest server says, to be sent as it is or spoilt first.

        Args:
            records: Of the answer section, each as in a master file, ``@`` for the name that was asked for.
            rcode: The response code.
            authority: Records of the authority section.
            flags: Of the header.
        """
        message = dns.message.make_response(self.message)
        message.flags = dns.flags.from_text(flags)
        message.set_rcode(dns.rcode.from_text(rcode))
        for section, texts in ((message.answer, records), (message.authority, authority)):
            for text in texts:
                name, ttl, rdclass, rdtype, *data = text.replace("@", self.name + ".", 1).split()
                section.append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, " ".join(data)))
        return bytearray(message.to_wire())

    def answer(self, *records: str, **how: Any) -> None:
        """Send what `reply` returns."""
        self.send(bytes(self.reply(*records, **how)))

    def options(self) -> dict[int, bytes]:
        """Return the options of EDNS."""
        return {int(option.otype): option.to_wire() or b"" for option in self.message.options}


class Connection:
    """A TCP connection to a server, at its end."""

    def __init__(self, world: "World", sock: socket.socket) -> None:
        self.world = world
        self.socket = sock
        self.data = b""

    def query(self) -> Query:
        """Read the next query."""

        def whole() -> bool:
            return len(self.data) > 2 and len(self.data) >= 2 + int.from_bytes(self.data[:2], "big")

        def comes() -> bool:
            if not whole():
                self.data += self.receive()
            return whole()

        self.world.until(comes, "a query over TCP")
        size = int.from_bytes(self.data[:2], "big")
        data, self.data = self.data[2 : 2 + size], self.data[2 + size :]
        return Query(data, self.send)

    def receive(self) -> bytes:
        """Return what has come."""
        try:
            return self.socket.recv(65536)
        except BlockingIOError:
            return b""

    def send(self, data: bytes) -> None:
        """Send a message behind its length."""
        self.send_raw(struct.pack(">H", len(data)) + data)

    def send_raw(self, data: bytes) -> None:
        self.socket.sendall(data)
        self.world.settle()

    def at_end(self) -> bool:
        """Return whether the resolver has closed it; nothing more may have come before."""
        self.world.settle()
        try:
            return self.socket.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()
        self.world.settle()


class TlsConnection(Connection):
    """A connection at the end of which TLS is spoken.

    Attributes:
        records: What has come, as it was cut on the way.
    """

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        super().__init__(connection.world, connection.socket)
        self.records: list[bytes] = []
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)

    def receive(self) -> bytes:
        """Return the next record that has come."""
        self._in.write(super().receive())
        try:
            record = self._tls.read(65536)
            self.records.append(record)
        except ssl.SSLWantReadError:
            record = b""
        finally:
            self._flush()
        return record

    def send_raw(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def _flush(self) -> None:
        super().send_raw(self._out.read())

    def at_end(self) -> bool:
        """Return whether the resolver has closed it, be it with a word of TLS before."""
        self.world.settle()
        try:
            while self.socket.recv(65536):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            pass
        return True


class Server:
    """A name server: UDP and TCP on one port."""

    def __init__(self, world: "World", host: str = "127.0.0.1") -> None:
        self.world = world
        self.connections: list[Connection] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        while True:
            self.udp = socket.socket(family, socket.SOCK_DGRAM)
            self.udp.bind((host, 0))
            self.port: int = self.udp.getsockname()[1]
            self.tcp = socket.socket(family, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.tcp.bind((host, self.port))
            except OSError:
                self.udp.close()
                self.tcp.close()
            else:
                break
        self.tcp.listen()
        self.udp.setblocking(False)
        self.tcp.setblocking(False)
        self.text = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.senders: list[Any] = []

    def query(self) -> Query:
        """Read the next query that came by UDP."""
        self.world.until(self._readable, "a query by UDP")
        data, sender = self.udp.recvfrom(65536)
        self.senders.append(sender)

        def send(reply: bytes) -> None:
            self.udp.sendto(reply, sender)
            self.world.settle()

        return Query(data, send)

    def _readable(self) -> bool:
        return bool(select.select([self.udp], [], [], 0)[0])

    def silent(self) -> bool:
        """Return whether nothing was asked that has not been read."""
        self.world.settle()
        return not self._readable() and not select.select([self.tcp], [], [], 0)[0]

    def accept(self) -> Connection:
        """Take the next connection."""
        self.world.until(lambda: bool(select.select([self.tcp], [], [], 0)[0]), "a connection")
        sock, _ = self.tcp.accept()
        sock.setblocking(False)
        connection = Connection(self.world, sock)
        self.connections.append(connection)
        return connection

    def close_tcp(self) -> None:
        """Refuse connections."""
        self.tcp.close()

    def close(self) -> None:
        """Be gone: the system refuses what is sent here from now on."""
        self.udp.close()
        self.tcp.close()
        for connection in self.connections:
            connection.socket.close()


class World:
    """See above.

    Args:
        servers: How many.
        make_backend: Makes the way of waiting; ``None``: the best.
        options: Of the resolver.
        how: Further arguments of the resolver.
    """

    def __init__(
        self,
        servers: int = 1,
        *,
        make_backend: Callable[[], Any] | None = None,
        options: ResolverOptions = OPTIONS,
        hosts: str | None = None,
        **how: Any,
    ) -> None:
        self.descriptors = count_descriptors()
        self.clock = ManualClock()
        backend = None if make_backend is None else make_backend()
        self.base = EventBase(EventConfig(flags=BASE_IGNORE_ENV), clock=self.clock, backend=backend)
        self.servers = [Server(self) for _ in range(servers)]
        given = how.pop("given", [server.text for server in self.servers])
        self.resolver = Resolver(self.base, given, options=options, conf=None, hosts=hosts, **how)

    @property
    def server(self) -> Server:
        return self.servers[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        under_way = len(self.resolver)
        in_flight = len(self.resolver._lookups.asker._in_flight)
        self.resolver.close()
        self.settle()
        for server in self.servers:
            server.close()
        left = [event for event in self.base.events() if not event.internal]
        self.base.close()
        if kind is None:
            assert (under_way, in_flight) == (0, 0)
            assert left == []
            assert count_descriptors() == self.descriptors

    def settle(self) -> None:
        """Let the loop do what there is to do now."""
        for _ in range(6):
            self.base.loop(EVLOOP_NONBLOCK)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Run the loop until something holds; what needs time of the clock never comes."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} has not come"
            self.base.loop(EVLOOP_NONBLOCK)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        self.clock.advance(seconds)
        self.settle()

    def done(self, future: Future[T]) -> T:
        """Return the result of what has to be done without more time."""
        self.until(future.done, "the result")
        return future.result()

    def failure(self, future: Future[Any]) -> BaseException:
        """Return the exception that a future has to have without more time."""
        self.until(future.done, "the result")
        error = future.exception()
        assert error is not None
        return error

    def has_timers(self) -> int:
        """Return how many events wait."""
        return self.base.num_events(COUNT_ADDED)


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """Cut ``data`` into pieces of ``size`` bytes."""
    return (data[start : start + size] for start in range(0, len(data), size))


def outcomes(found: Any) -> list[tuple[str, str]]:
    """Return how the tries for an answer, or for a failure, ended."""
    return [(attempt.transport, attempt.outcome) for attempt in found.attempts]


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Let the process have no further descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
