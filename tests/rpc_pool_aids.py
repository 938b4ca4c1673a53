"""Servers that a test plays, names that it enters, a pool whose loop it runs by hand, and clients without a wire."""

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from evkit.core import EVLOOP_NONBLOCK, EventBase, Future
from evkit.core.net import Address
from evkit.errors import EvkitError
from evkit.rpc import Backoff, Call, MethodError, Pending, Pool, RPCError, Server
from evkit.rpc.client.target import Target
from evkit.rpc.errors import OVERLOADED
from evkit.testing import ManualClock

HOST = "127.0.0.1"
TURNS = 300
"""Passes of the loop after which what has not come will not come."""
AT_ONCE = Backoff(0.0, most=0.0)


class Site:
    """A server, whose method ``keep`` is answered when the test says so."""

    def __init__(self, base: EventBase, address: str = f"{HOST}:0") -> None:
        self.server = Server(base)
        self.kept: list[Call] = []
        self.told: list[Any] = []
        self.gave_up: list[str] = []
        self.refused = 0
        self.order: list[object] = []  # the parameters of kept calls
        self.server.register(self._keep, "keep")
        self.server.register(lambda: self.where, "where")
        self.server.register(self.told.append, "tell")
        self.server.register(self._refuse, "refuse")
        host, port = address.rsplit(":", 1)
        self.listener = self.server.bind(host, int(port))
        self.where = str(self.listener.address)

    def _keep(self, call: Call, *params: object) -> None:
        self.kept.append(call)
        self.order += params
        call.on_cancel = lambda call: self.gave_up.append(call.method.name)
        call.defer()

    def _refuse(self) -> None:
        self.refused += 1
        raise MethodError("busy", OVERLOADED)

    def drop(self) -> None:
        """Lose all connections, and be there still."""
        for connection in tuple(self.server.connections):
            connection.close()

    def go(self) -> None:
        """Be gone, connections and all."""
        self.listener.close()
        self.server.close()


class World:
    """Servers, a pool, and the loop that the test runs by hand."""

    def __init__(self, base: EventBase, clock: ManualClock) -> None:
        self.base = base
        self.clock = clock
        self.sites: list[Site] = []
        self._pools: list[Pool] = []

    def site(self, address: str = f"{HOST}:0") -> Site:
        self.sites.append(Site(self.base, address))
        return self.sites[-1]

    def pool(self, targets: list[Any] | None = None, *, connected: bool = True, **options: Any) -> Pool:
        pool = Pool(self.base, [site.where for site in self.sites] if targets is None else targets, **options)
        self._pools.append(pool)
        if connected:
            self.run(lambda: pool.clients and all(client.connection for client in pool.clients))
        return pool

    def run(self, until: Callable[[], object]) -> None:
        for _ in range(TURNS):
            if until():
                return
            self.base.loop(EVLOOP_NONBLOCK)
        raise AssertionError(f"it never came to be: {self._pools!r}")

    def settle(self) -> None:
        for _ in range(12):
            self.base.loop(EVLOOP_NONBLOCK)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def call(self, pool: Pool, method: str = "keep", *params: object, **options: Any) -> Pending:
        return pool.start_call(method, list(params), lambda pending: None, **options)

    def outcome(self, pending: Pending) -> Any:
        """Run until it is over, and return its value or error."""
        self.run(lambda: pending.owner is None)
        return pending.error or pending.value

    def kept(self, number: int = 1) -> list[tuple[Site, Call]]:
        """Return the calls that are kept, once there are so many."""
        self.run(lambda: sum(len(site.kept) for site in self.sites) >= number)
        return [(site, call) for site in self.sites for call in site.kept]

    def close(self) -> None:
        for pool in self._pools:
            pool.close()
        for site in self.sites:
            site.go()
        self.settle()


def unused() -> str:
    """Return an address where nobody listens."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return f"{HOST}:{sock.getsockname()[1]}"


class FakeResolver:
    """Answers what the test has entered."""

    def __init__(self, base: EventBase) -> None:
        self._base = base
        self.hosts: dict[str, list[Address]] = {}
        self.asked: list[str] = []

    def getaddrinfo(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> Future[list[Address]]:
        self.asked.append(host)
        future: Future[list[Address]] = Future(self._base)
        if host in self.hosts:
            future.set_result(self.hosts[host])
        else:
            future.set_exception(socket.gaierror(socket.EAI_NONAME, f"no {host}"))
        return future


class FakeRecordResolver(FakeResolver):
    """As above, with SRV records."""

    def __init__(self, base: EventBase) -> None:
        super().__init__(base)
        self.services: dict[Site, int] = {}  # and their priorities

    def resolve(self, name: str, type: str = "A") -> Future[Any]:  # noqa: A002 - the protocol's
        records = []
        for site, priority in self.services.items():
            host, port = site.where.split(":")
            self.hosts[f"host-{port}"] = [(host, int(port))]
            records.append(SimpleNamespace(data=(priority, 1, int(port), f"host-{port}")))
        future: Future[Any] = Future(self._base)
        future.set_result(Records(records))
        return future


class Records(list[Any]):
    """An answer."""

    ttl = 60


def address_of(site: Site) -> Address:
    host, port = site.where.split(":")
    return host, int(port)


# Without a wire


class FakeConnection:
    """What a member has to send by."""

    def __init__(self, client: "FakeClient") -> None:
        self._client = client
        self.ended = False
        self.closed = False
        self.stopped = False
        self.error: EvkitError | None = None
        self.refuses: Exception | None = None  # raised by what is sent
        self.on_begin: Callable[[Pending], object] = lambda pending: None
        self.calls: list[tuple[Pending, list[Any]]] = []
        self.gave_up: list[Pending] = []
        self.told: list[tuple[Any, ...]] = []

    def begin(self, pending: Pending, params: list[Any]) -> None:
        self.on_begin(pending)
        if self.refuses is not None:
            raise self.refuses
        pending.owner = self
        self.calls.append((pending, params))

    def notify(self, method: str, *params: Any) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.told.append((method, *params))

    def abandon(self, pending: Pending) -> None:
        self.gave_up.append(pending)

    def late(self, pending: Pending, seconds: float) -> None:
        raise AssertionError(f"{pending!r} has a timer of the connection's, of {seconds} s")

    def stop(self) -> None:
        self.stopped = True

    def lose(self, error: EvkitError | None = None) -> None:
        """Be gone."""
        self.closed = True
        self.error = error
        self._client.connection = None
        self._client.on_disconnect(self)


class FakeClient:
    """What keeps a connection; `connect` was called, and nothing more happens by itself."""

    def __init__(self, target: Target, timeout: float | None = 10.0) -> None:
        self.target = target
        self.timeout = timeout
        self.connection: FakeConnection | None = None
        self.wanted = False
        self.closed = False
        self.on_connect: Callable[[Any], object] = print
        self.on_disconnect: Callable[[Any], object] = print
        self.on_failure: Callable[[Exception | None], object] = print

    def connect(self) -> None:
        self.wanted = True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self.connection is not None:
                self.connection.lose()

    def come_up(self) -> FakeConnection:
        """Have a connection."""
        self.connection = FakeConnection(self)
        self.on_connect(self.connection)
        return self.connection


def answer(pending: Pending, value: Any = None, error: RPCError | None = None) -> None:
    """End a call as its connection does."""
    pending.detach()
    pending.value = value
    pending.error = error
    pending.done(pending)
