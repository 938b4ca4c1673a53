"""Host names to addresses: who is asked, what is taken, and in which order it comes."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from dns_aids import OPTIONS, Query, World
from evkit.core import SocketBufferEvent
from evkit.core.flags import BEV_EVENT_CONNECTED
from evkit.core.net import Resolver as CoreResolver
from evkit.dns import AddrInfo
from evkit.dns.address_lookup import worse
from evkit.errors import (
    LoopError,
    NameNotFound,
    NoData,
    ResolveCancelled,
    ResolveError,
    ResolveTimeout,
    ServerFailure,
)

V4 = "@ 300 IN A 192.0.2.1"
V6 = "@ 200 IN AAAA 2001:db8::1"
BOTH = {("192.0.2.1", 80), ("2001:db8::1", 80, 0, 0)}


def both(world: World) -> dict[str, Query]:
    """Read the two queries of a look-up, by their types."""
    return {query.type: query for query in (world.server.query(), world.server.query())}


def test_it_is_a_resolver_of_the_core() -> None:
    with World() as world:
        resolver: CoreResolver = world.resolver
        future = resolver.getaddrinfo("www.test", 80)
        for query in both(world).values():
            query.answer(V4 if query.type == "A" else V6)
        assert set(world.done(future)) == BOTH


def test_a_connection_is_made_with_it() -> None:
    with World() as world, socket.create_server(("127.0.0.1", 0)) as listener:
        bev = SocketBufferEvent(world.base)
        heard: list[int] = []
        bev.set_callbacks(event=lambda _bev, what: heard.append(what))
        bev.connect_host("www.test", listener.getsockname()[1], resolver=world.resolver)
        queries = both(world)
        queries["AAAA"].answer()
        queries["A"].answer("@ 300 IN A 127.0.0.1")
        world.until(lambda: bool(heard), "a connection")
        assert heard == [BEV_EVENT_CONNECTED]
        bev.close()


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("192.0.2.7", [("192.0.2.7", 80)]),
        ("2001:db8::7", [("2001:db8::7", 80, 0, 0)]),
        ("fe80::1%lo", [("fe80::1", 80, 0, socket.if_nametoindex("lo"))]),
        ("localhost", [("127.0.0.1", 80), ("::1", 80, 0, 0)]),
    ],
)
def test_what_is_known_is_asked_of_nobody(host: str, addresses: list[tuple[str, int]]) -> None:
    with World() as world:
        assert world.resolver.getaddrinfo(host, 80).result() == addresses
        assert world.server.silent()


@pytest.mark.parametrize(
    ("host", "family", "kind"),
    [
        ("192.0.2.7", socket.AF_INET6, NoData),
        ("::1", socket.AF_INET, NoData),
        ("a.invalid", socket.AF_UNSPEC, NameNotFound),
        ("192.0.2", socket.AF_UNSPEC, NameNotFound),
        ("1.2.3.4.5", socket.AF_UNSPEC, NameNotFound),
    ],
)
def test_that_there_is_none_is_known_too(host: str, family: int, kind: type[ResolveError]) -> None:
    with World() as world:
        error = world.resolver.getaddrinfo(host, 80, family).exception()
        assert type(error) is kind
        assert world.server.silent()


class TestArguments:
    def test_without_a_host(self) -> None:
        with World() as world:
            looked_up = world.resolver.lookup_addrinfo(None, 80).result()
            assert looked_up.addresses == (("::1", 80, 0, 0), ("127.0.0.1", 80))
            looked_up = world.resolver.lookup_addrinfo(None, 80, flags=socket.AI_PASSIVE).result()
            assert looked_up.addresses == (("::", 80, 0, 0), ("0.0.0.0", 80))

    @pytest.mark.parametrize(
        ("service", "port"), [("https", 443), ("443", 443), (443, 443), (None, 0), ("domain", 53)]
    )
    def test_services(self, service: str | int | None, port: int) -> None:
        with World() as world:
            assert world.resolver.lookup_addrinfo("192.0.2.7", service).result().addresses == (
                ("192.0.2.7", port),
            )

    def test_that_make_no_sense_are_refused(self) -> None:
        with World() as world:
            for host, port, family in (("", 80, 0), ("a", 65536, 0), ("a", 80, 99), ("a\0b", 80, 0)):
                with pytest.raises(ValueError, match="expected"):
                    world.resolver.getaddrinfo(host, port, family)
            with pytest.raises(socket.gaierror):
                world.resolver.getaddrinfo("a", "no-such-service")
            with pytest.raises(ValueError, match="AI_NUMERICSERV"):
                world.resolver.getaddrinfo("a", "https", flags=socket.AI_NUMERICSERV)
            error = world.resolver.getaddrinfo("a.test", 80, flags=socket.AI_NUMERICHOST).exception()
            assert isinstance(error, NameNotFound)
            assert world.server.silent()
            world.resolver.close()
            with pytest.raises(LoopError):
                world.resolver.getaddrinfo("a", 80)

    @pytest.mark.parametrize(("family", "rdtype"), [(socket.AF_INET, "A"), (socket.AF_INET6, "AAAA")])
    def test_one_family_alone(self, family: int, rdtype: str) -> None:
        with World() as world:
            future = world.resolver.getaddrinfo("www.test", 80, family)
            query = world.server.query()
            assert query.type == rdtype
            query.answer(V4 if rdtype == "A" else V6)
            assert len(world.done(future)) == 1
            assert world.server.silent()


class TestTheHostsFile:
    def hosts(self, tmp_path: Path) -> str:
        path = tmp_path / "hosts"
        path.write_text("192.0.2.9 printer.test printer\n2001:db8::9 printer\n", encoding="utf-8")
        return str(path)

    def test_comes_first(self, tmp_path: Path) -> None:
        with World(hosts=self.hosts(tmp_path)) as world:
            found = world.resolver.lookup_addrinfo("Printer", 80).result()
            assert set(found.addresses) == {("192.0.2.9", 80), ("2001:db8::9", 80, 0, 0)}
            assert found.canonical_name == "printer.test"
            assert world.server.silent()

    def test_is_not_what_resolve_asks(self, tmp_path: Path) -> None:
        with World(hosts=self.hosts(tmp_path)) as world:
            future = world.resolver.resolve("printer.test")
            world.server.query().answer(V4)
            assert world.done(future).addresses == ["192.0.2.1"]


class TestBothFamilies:
    def test_come_together(self) -> None:
        with World() as world:
            future = world.resolver.lookup_addrinfo("www.test", 80)
            queries = both(world)
            queries["A"].answer("@ 300 IN CNAME real.test.", "real.test. 300 IN A 192.0.2.1")
            queries["AAAA"].answer("@ 300 IN CNAME real.test.", "real.test. 200 IN AAAA 2001:db8::1")
            found = world.done(future)
            assert isinstance(found, AddrInfo)
            assert set(found.addresses) == BOTH
            assert (found.canonical_name, found.ttl, len(found.attempts)) == ("real.test", 200, 2)

    @pytest.mark.parametrize("late", ["A", "AAAA"])
    def test_wait_a_little_for_each_other(self, late: str) -> None:
        with World() as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            queries = both(world)
            early = "A" if late == "AAAA" else "AAAA"
            queries[early].answer(V4 if early == "A" else V6)
            assert not future.done()
            world.pass_time(0.05)
            assert len(world.done(future)) == 1

    def test_one_may_have_none(self) -> None:
        with World() as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            queries = both(world)
            queries["AAAA"].answer()
            queries["A"].answer(V4)
            assert world.done(future) == [("192.0.2.1", 80)]

    @pytest.mark.parametrize("strict", [False, True])
    def test_one_may_fail_unless_that_is_an_error(self, strict: bool) -> None:
        with World(options=replace(OPTIONS, attempts=1, strict_error=strict)) as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            queries = both(world)
            queries["AAAA"].answer(rcode="SERVFAIL")
            queries["A"].answer(V4)
            if strict:
                assert type(world.failure(future)) is ServerFailure
            else:
                assert world.done(future) == [("192.0.2.1", 80)]

    def test_one_after_the_other_on_request(self) -> None:
        with World(options=replace(OPTIONS, single_request=True)) as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            query = world.server.query()
            assert query.type == "AAAA"
            assert world.server.silent()
            query.answer(V6)
            query = world.server.query()
            assert query.type == "A"
            query.answer(V4)
            assert set(world.done(future)) == BOTH

    def test_one_after_the_other_has_all_its_time(self) -> None:
        with World(options=replace(OPTIONS, single_request=True)) as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            world.server.query().answer(V6)
            query = world.server.query()
            world.pass_time(0.2)
            query.answer(V4)
            assert set(world.done(future)) == BOTH

    def test_one_after_the_other_ends_with_the_resolver(self) -> None:
        with World(options=replace(OPTIONS, single_request=True)) as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            world.server.query()
            world.resolver.close()
            assert type(world.failure(future)) is ResolveCancelled

    def test_only_one_is_asked_for_on_request(self) -> None:
        with World(options=replace(OPTIONS, no_aaaa=True)) as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            query = world.server.query()
            assert query.type == "A"
            query.answer(V4)
            assert world.done(future) == [("192.0.2.1", 80)]

    @pytest.mark.parametrize(
        ("one", "other", "kind"),
        [
            ({"rcode": "NXDOMAIN"}, {"rcode": "NXDOMAIN"}, NameNotFound),
            ({}, {}, NoData),
            ({"rcode": "NXDOMAIN"}, {}, NoData),
            ({"rcode": "SERVFAIL"}, {}, ServerFailure),
            ({"rcode": "NXDOMAIN"}, {"rcode": "SERVFAIL"}, ServerFailure),
        ],
    )
    def test_neither(self, one: dict[str, str], other: dict[str, str], kind: type[Exception]) -> None:
        with World(options=replace(OPTIONS, attempts=1)) as world:
            for first, second in ((one, other), (other, one)):
                world.resolver.clear_cache()
                future = world.resolver.getaddrinfo("www.test", 80)
                queries = both(world)
                queries["A"].answer(**first)
                queries["AAAA"].answer(**second)
                error = world.failure(future)
                assert type(error) is kind
                assert (error.name, error.type) == ("www.test", "AAAA/A")  # type: ignore[attr-defined]  # evkit's


class TestTheSearchList:
    def test_has_all_addresses_of_one_host(self) -> None:
        with World() as world:
            world.resolver.search_add("one.test")
            world.resolver.search_add("two.test")
            future = world.resolver.lookup_addrinfo("www", 80)
            for query in both(world).values():
                assert query.name.lower() == "www.one.test"
                query.answer(rcode="NXDOMAIN")
            for query in both(world).values():
                assert query.name.lower() == "www.two.test"
                query.answer(*([V4] if query.type == "A" else []))
            found = world.done(future)
            assert (found.addresses, found.canonical_name) == ((("192.0.2.1", 80),), "www.two.test")

    def test_takes_nothing_from_the_names_before(self) -> None:
        with World(options=replace(OPTIONS, strict_error=True)) as world:
            world.resolver.search_add("one.test")
            world.resolver.search_add("two.test")
            future = world.resolver.getaddrinfo("www", 80)
            for query in both(world).values():
                query.answer(rcode="NXDOMAIN")
            for query in both(world).values():
                query.answer(V4 if query.type == "A" else V6)
            assert set(world.done(future)) == BOTH

    def test_ends_when_nobody_answers(self) -> None:
        with World(options=replace(OPTIONS, attempts=1)) as world:
            world.resolver.search_add("one.test")
            future = world.resolver.getaddrinfo("www", 80)
            both(world)
            world.pass_time(2.0)
            assert type(world.failure(future)) is ResolveTimeout
            assert world.server.silent()


class TestTheEnd:
    def test_by_cancel(self) -> None:
        with World() as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            both(world)["A"].answer(V4)  # and now it waits for the other
            assert future.cancel()
            assert len(world.resolver) == 0

    def test_by_close(self) -> None:
        with World() as world:
            future = world.resolver.getaddrinfo("www.test", 80)
            both(world)
            world.resolver.close()
            assert type(world.failure(future)) is ResolveCancelled

    def test_by_time(self) -> None:
        with World() as world:
            future = world.resolver.getaddrinfo("www.test", 80, timeout=1.0)
            both(world)
            world.pass_time(1.0)
            assert type(world.failure(future)) is ResolveTimeout


def test_which_failure_is_told() -> None:
    kinds = [NameNotFound, NoData, ServerFailure]
    for rank, kind in enumerate(kinds):
        error = kind("a", "A")
        assert worse(None, error) is error
        for other_rank, other_kind in enumerate(kinds):
            other = other_kind("a", "AAAA")
            assert type(worse(error, other)) is kinds[max(rank, other_rank)]
