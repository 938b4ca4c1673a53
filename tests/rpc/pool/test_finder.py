"""`evkit.rpc.pool.finder`: what is looked up when, and what is kept while nothing is found."""

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from evkit.core import EVLOOP_NONBLOCK, EventBase, Future
from evkit.core.net import Address, RecordResolver, Resolver
from evkit.core.system_resolver import SystemResolver
from evkit.dns import Resolver as DnsResolver
from evkit.errors import NameNotFound
from evkit.rpc.pool.discovery import SMALL_WEIGHT, parse_source
from evkit.rpc.pool.finder import Finder
from evkit.testing import ManualClock

A, B, C = ("192.0.2.1", 7000), ("192.0.2.2", 7000), ("192.0.2.3", 7001)
SRV = "_rpc._tcp.example.org"


class FakeResolver:
    """Answers what the test has entered; an exception is what a look-up fails with."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.hosts: dict[str, Any] = {}
        self.services: Any = []
        self.ttl: Any = 60
        self.asked: list[str] = []
        self.held: list[Future[Any]] | None = None  # a list: nothing is answered

    def getaddrinfo(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> Future[list[Address]]:
        return self._answer(host, self.hosts.get(host, NameNotFound(host, "A")))

    def resolve(self, name: str, type: str = "A") -> Future[Any]:  # noqa: A002 - the protocol's
        if isinstance(self.services, Exception):
            return self._answer(f"{name} {type}", self.services)
        records = [SimpleNamespace(data=data) for data in self.services]
        return self._answer(f"{name} {type}", Answer(records, self.ttl))

    def _answer(self, question: str, answer: Any) -> Future[Any]:
        self.asked.append(question)
        if isinstance(answer, ValueError):
            raise answer
        future: Future[Any] = Future(self.base)
        if self.held is not None:
            self.held.append(future)
        elif isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
        return future


class Answer(list[Any]):
    """Records and their time."""

    def __init__(self, records: list[Any], ttl: Any) -> None:
        super().__init__(records)
        self.ttl = ttl


class Looking:
    """A finder, its resolver, and the time."""

    def __init__(self, base: EventBase, clock: ManualClock) -> None:
        self.base = base
        self.clock = clock
        self.resolver = FakeResolver(base)
        self.away = False
        self.changes = 0
        self.finder: Finder | None = None

    def begin(self, *targets: str) -> Finder:
        sources = [parse_source(target) for target in targets]
        finder = Finder(self.base, sources, self.resolver, self._on_change, lambda: self.away)
        self.finder = finder
        finder.look()
        self.settle()
        return finder

    def _on_change(self) -> None:
        self.changes += 1

    def settle(self) -> None:
        for _ in range(6):
            self.base.loop(EVLOOP_NONBLOCK)

    def advance(self, seconds: float) -> list[str]:
        """Let time pass, and return what was asked meanwhile."""
        self.resolver.asked.clear()
        self.clock.advance(seconds)
        self.settle()
        return list(self.resolver.asked)

    def places(self) -> list[Any]:
        assert self.finder is not None
        return [endpoint.address for endpoint in self.finder.endpoints]


@pytest.fixture(name="looking")
def make_looking(manual_base: EventBase, clock: ManualClock) -> Looking:
    return Looking(manual_base, clock)


def test_what_is_fixed_is_not_looked_up(looking: Looking) -> None:
    finder = looking.begin("192.0.2.1:7000", "unix:/run/rpc", "192.0.2.1:7000")
    assert [str(one.target) for one in finder.endpoints] == ["192.0.2.1:7000", "unix:/run/rpc"]
    finder.lost()
    assert looking.advance(1000) == []


def test_each_address_of_a_host_is_a_server(looking: Looking) -> None:
    looking.resolver.hosts["example.org"] = [A, B]
    finder = looking.begin("tls://example.org:7000")
    assert looking.places() == [A, B]
    assert {str(one.target) for one in finder.endpoints} == {"tls://example.org:7000"}
    assert looking.changes == 1


def test_records_give_servers_their_ports_priorities_and_weights(looking: Looking) -> None:
    looking.resolver.hosts |= {"a.example.org": [A, B], "c.example.org": [C]}
    looking.resolver.services = [(20, 0, 7001, "c.example.org"), (10, 30, 7000, "a.example.org")]
    finder = looking.begin(SRV)
    assert looking.resolver.asked == [f"{SRV} SRV", "a.example.org", "c.example.org"]
    assert [(one.address, one.priority, one.weight) for one in finder.endpoints] == [
        (A, 10, 15.0),
        (B, 10, 15.0),
        (C, 20, SMALL_WEIGHT),
    ]
    assert [one.target.port for one in finder.endpoints] == [7000, 7000, 7001]


def test_a_place_that_two_targets_name_is_one_server(looking: Looking) -> None:
    looking.resolver.hosts["a.example.org"] = [A]
    looking.resolver.services = [(0, 1, 7000, "a.example.org")]
    looking.begin("a.example.org:7000", SRV)
    assert looking.places() == [A]


def test_they_are_looked_up_again_in_time(looking: Looking) -> None:
    looking.resolver.hosts["a.example.org"] = [A]
    looking.resolver.services = [(0, 1, 7000, "a.example.org")]
    looking.resolver.ttl = 5
    looking.begin(SRV)
    assert looking.advance(4.9) == []
    looking.resolver.hosts["a.example.org"] = [B]
    assert looking.advance(0.2) == [f"{SRV} SRV", "a.example.org"]
    assert looking.places() == [B]


def test_a_loss_has_them_looked_up_again(looking: Looking) -> None:
    looking.resolver.hosts["a.example.org"] = [A]
    finder = looking.begin("a.example.org:7000")
    assert looking.advance(10) == []
    finder.lost()
    assert looking.advance(0.01) == ["a.example.org"]
    finder.lost()
    assert looking.advance(0.9) == []
    assert looking.advance(0.2) == ["a.example.org"]


def test_while_somebody_is_away_they_are_looked_for_sooner(looking: Looking) -> None:
    looking.resolver.hosts["a.example.org"] = [A]
    looking.away = True
    looking.begin("a.example.org:7000")
    assert looking.advance(1.1) == ["a.example.org"]


@pytest.mark.parametrize("error", [NameNotFound(SRV, "SRV"), ValueError("no such name"), OSError("down")])
def test_what_was_found_is_kept_while_nothing_is_found(looking: Looking, error: Exception) -> None:
    looking.resolver.hosts["a.example.org"] = [A]
    looking.resolver.services = [(0, 1, 7000, "a.example.org")]
    finder = looking.begin(SRV)
    found, looking.resolver.services = looking.resolver.services, error
    if isinstance(error, ValueError):
        looking.resolver.services = found
        looking.resolver.hosts["a.example.org"] = error
    assert looking.advance(61)
    assert looking.places() == [A]
    assert finder.error is error
    looking.resolver.services, looking.resolver.hosts["a.example.org"] = found, [B]
    assert looking.advance(1.1)
    assert (looking.places(), finder.error) == ([B], None)


def test_a_host_that_is_not_found_keeps_its_addresses_beside_those_that_are(looking: Looking) -> None:
    looking.resolver.hosts |= {"a.example.org": [A], "c.example.org": [C]}
    looking.resolver.services = [(0, 1, 7000, "a.example.org"), (0, 1, 7001, "c.example.org")]
    looking.begin(SRV)
    looking.resolver.hosts |= {"a.example.org": [B], "c.example.org": OSError("down")}
    looking.advance(61)
    assert looking.places() == [B, C]


def test_a_service_that_is_not_there_any_more_has_no_servers(looking: Looking) -> None:
    looking.resolver.hosts["a.example.org"] = [A]
    looking.resolver.services = [(0, 1, 7000, "a.example.org")]
    looking.begin(SRV)
    looking.resolver.services = [(0, 0, 0, ".")]
    looking.advance(61)
    assert looking.places() == []


@pytest.mark.parametrize("services", [[(1, 2)], ["text"], [None], [(0, "x", 7000, "a")], [(0, 1, 7000, 5)]])
def test_records_that_are_none_are_a_failure(looking: Looking, services: Any) -> None:
    looking.resolver.services = services
    finder = looking.begin(SRV)
    assert finder.error is not None
    assert looking.advance(1.1) == [f"{SRV} SRV"]


def test_closing_gives_up_what_is_under_way(looking: Looking) -> None:
    looking.resolver.held = []
    finder = looking.begin("a.example.org:7000")
    (future,) = looking.resolver.held
    finder.close()
    assert future.cancelled()
    assert looking.advance(100) == []
    assert looking.changes == 0


def test_a_look_up_that_somebody_else_cancels_is_repeated(looking: Looking) -> None:
    looking.resolver.held = []
    looking.begin("a.example.org:7000")
    looking.resolver.held[0].cancel()
    looking.settle()
    assert looking.advance(1.1) == ["a.example.org"]


def test_records_need_a_resolver_that_finds_them(base: EventBase) -> None:
    system = SystemResolver(base)
    with pytest.raises(TypeError, match=r"expected a resolver with resolve\(\), for _rpc"):
        Finder(base, [parse_source(SRV)], system, lambda: None, lambda: False)


def test_evkits_resolver_finds_records(base: EventBase) -> None:
    with DnsResolver(base, ["192.0.2.1"], conf=None) as dns:
        resolver: Resolver = dns
        assert isinstance(resolver, RecordResolver)
        typed: Callable[..., Future[Any]] = resolver.resolve
        assert callable(typed)
