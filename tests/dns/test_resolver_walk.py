"""Whatever happens in whatever order, each look-up ends, with a result, an error of evkit's, or a cancel.

A walk at random, the same for the same seed: questions of all sorts, good replies and bad ones, time that passes,
connections that close, servers that are gone, look-ups that are cancelled, and a resolver that is suspended and set up
anew; some of it from inside the callbacks. In the end nothing may be left: `World` proves it.
"""

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dns_aids import OPTIONS, SOA, Connection, Query, Server, World
from evkit.core import Future
from evkit.errors import EvkitError

NAMES = ("a.test", "b.test", "c.test", "localhost", "long-" * 10 + ".test")
STEPS = 40


class Walk:
    """One walk.

    Args:
        world: Where.
        seed: Of what happens. What the resolver draws is another matter: ids, ports and case.
    """

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.futures: list[Future[Any]] = []
        self.queries: list[Query] = []
        self.connections: list[Connection] = []
        self.escaped: list[BaseException] = []
        self.suspended = self.over = False
        world.base.exception_handler = lambda exception, _source: self.escaped.append(exception)

    def run(self) -> None:
        actions = (
            *[self.ask] * 5,
            *[self.answer] * 4,
            *[self.answer_badly] * 4,
            *[self.pass_time] * 2,
            self.cancel,
            self.close_connection,
            self.go_and_come_back,
            self.suspend,
            self.change_servers,
        )
        for _ in range(STEPS):
            self.random.choice(actions)()
            self.world.settle()
            self.look()
        self.finish()

    def finish(self) -> None:
        """Let all that is under way come to its end, which no more than time may be needed for."""
        self.resume()
        self.over = True
        for _ in range(60):
            self.world.pass_time(2.0)
            if all(future.done() for future in self.futures):
                break
        for future in self.futures:
            assert future.done(), f"{future} after {self.world.clock}"
            try:
                future.result()
            except (EvkitError, asyncio.CancelledError):
                pass
        assert self.escaped == []
        self.world.pass_time(OPTIONS.tcp_idle_timeout)
        self.world.pass_time(OPTIONS.timeout)  # of a copy to a server that is down
        self.world.pass_time(OPTIONS.tcp_idle_timeout)

    # What the program does

    def ask(self) -> None:
        resolver, choice = self.world.resolver, self.random.choice
        name = choice(NAMES)
        timeout = choice([None, None, 0.5, 3.0])
        if choice([True, False, False]):
            future: Future[Any] = resolver.getaddrinfo(name, 80, timeout=timeout)
        else:
            how: dict[str, bool] = {choice(["tcp", "ignore_tc", "fresh", "search"]): choice([True, False])}
            future = resolver.resolve(name, choice(["A", "AAAA", "MX"]), timeout=timeout, **how)
        self.futures.append(future)
        if choice([True, False, False]):
            then = choice([self.ask_no_more, self.cancel, self.suspend, self.resume, self.change_servers])
            future.add_done_callback(lambda _future: then())

    def ask_no_more(self) -> None:
        self.futures.append(self.world.resolver.resolve(self.random.choice(NAMES)))

    def cancel(self) -> None:
        if self.futures:
            self.random.choice(self.futures).cancel()

    def pass_time(self) -> None:
        self.world.clock.advance(self.random.choice([0.0, 0.01, 0.2, 0.25, 1.0, 2.0, 6.0]))

    def suspend(self) -> None:
        if not self.over:
            self.world.resolver.clear_nameservers_and_suspend()
            self.suspended = True

    def resume(self) -> None:
        if self.suspended:
            self.suspended = False
            for server in self.world.servers:
                self.world.resolver.nameserver_add(server.text)
            self.world.resolver.resume()

    def change_servers(self) -> None:
        server = self.random.choice(self.world.servers)
        self.world.resolver.nameserver_add(f"tcp://{server.text}")
        self.resume()

    # What the servers do

    def look(self) -> None:
        """Read what has come, as far as it has."""
        for server in self.world.servers:
            while server._readable():
                self.queries.append(server.query())
            self.accept(server)
        for connection in self.connections:
            self.read(connection)

    def accept(self, server: Server) -> None:
        try:
            sock, _ = server.tcp.accept()
        except BlockingIOError:
            return
        sock.setblocking(False)
        connection = Connection(self.world, sock)
        server.connections.append(connection)
        self.connections.append(connection)

    def read(self, connection: Connection) -> None:
        try:
            connection.data += connection.receive()
        except OSError:
            return
        while (
            len(connection.data) > 2
            and len(connection.data) >= 2 + connection.data[0] * 256 + connection.data[1]
        ):
            self.queries.append(connection.query())

    def answer(self) -> None:
        """Answer one of the last queries, maybe one that was answered before."""
        if self.queries:
            query = self.random.choice(self.queries[-4:])
            record = {
                "A": "@ 30 IN A 192.0.2.1",
                "AAAA": "@ 0 IN AAAA 2001:db8::1",
                "MX": "@ 9 IN MX 1 a.test.",
            }
            self.send(query, bytes(query.reply(record[query.type])))

    def answer_badly(self) -> None:
        if self.queries:
            query = self.random.choice(self.queries[-4:])
            ways: tuple[Callable[[Query], bytes], ...] = (
                lambda query: bytes(
                    query.reply(rcode=self.random.choice(["SERVFAIL", "REFUSED", "FORMERR"]))
                ),
                lambda query: bytes(query.reply(rcode="NXDOMAIN", authority=(SOA,))),
                lambda query: bytes(query.reply()),
                lambda query: bytes(query.reply("@ 9 IN CNAME b.test.")),
                lambda query: bytes(query.reply(flags="QR TC RD RA")),
                lambda query: bytes(query.reply(flags="QR RD", authority=("test. 9 IN NS a.test.",))),
                lambda query: query.data[:2] + bytes([0x81, 0x80 | self.random.choice([1, 2, 5])]) + bytes(8),
                self.spoilt,
                self.spoilt,
                lambda query: query.data,
                lambda query: self.random.randbytes(self.random.choice([0, 1, 5, 12, 40])),
            )
            self.send(query, self.random.choice(ways)(query))

    def spoilt(self, query: Query) -> bytes:
        reply = query.reply("@ 30 IN A 192.0.2.66" if query.type == "A" else "@ 30 IN TXT what")
        for _ in range(self.random.choice([1, 1, 3])):
            reply[self.random.randrange(len(reply))] ^= 1 << self.random.randrange(8)
        return bytes(reply)

    def send(self, query: Query, data: bytes) -> None:
        try:
            query.send(data)
        except OSError:
            pass  # nobody is there any more

    def close_connection(self) -> None:
        if self.connections:
            connection = self.random.choice(self.connections)
            if self.random.choice([True, False]) and connection.socket.fileno() >= 0:
                linger = struct.pack("ii", 1, 0)  # a reset
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.socket.close()
            self.connections.remove(connection)

    def go_and_come_back(self) -> None:
        """Let the system refuse what is sent to a server, then begin anew at the same port."""
        server = self.random.choice(self.world.servers)
        address = server.udp.getsockname()
        server.udp.close()
        self.ask()
        self.world.settle()
        server.udp = socket.socket(server.udp.family, socket.SOCK_DGRAM)
        server.udp.bind(address)
        server.udp.setblocking(False)


WAYS = {
    "udp": OPTIONS,
    "many": replace(OPTIONS, queries_per_port=2, max_inflight=3, max_timeouts=1, cookies=False),
    "tcp": replace(OPTIONS, use_vc=True, attempts=1),
    "one after the other": replace(OPTIONS, single_request=True, total_timeout=None, strict_error=True),
}


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("way", WAYS)
def test_each_look_up_ends(way: str, seed: int) -> None:
    with World(servers=2, options=WAYS[way]) as world:
        Walk(world, seed).run()
