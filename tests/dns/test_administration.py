"""How a resolver is set up, and set up anew while it runs: evdns' calls, and the files of the system."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dns_aids import OPTIONS, Server, World
from evkit.core import EventBase
from evkit.core.config import EventConfig
from evkit.core.flags import BASE_IGNORE_ENV
from evkit.dns import Resolver, ResolverOptions
from evkit.dns.address_order import DEFAULT_POLICY
from evkit.dns.configuration import (
    DNS_OPTION_HOSTSFILE,
    DNS_OPTION_MISC,
    DNS_OPTION_NAMESERVERS,
    DNS_OPTION_NAMESERVERS_NO_DEFAULT,
    DNS_OPTION_SEARCH,
)
from evkit.errors import LoopError, NoData, ResolveCancelled, ServerFailure
from evkit.testing import ManualClock
from http_server_aids import count_descriptors

A1 = "@ 300 IN A 192.0.2.1"
CONF = "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch one.test two.test\noptions ndots:3 timeout:1 rotate\n"


class Machine:
    """A machine with files, and a base whose clock the test moves."""

    def __init__(self, folder: Path) -> None:
        self.conf, self.hosts = folder / "resolv.conf", folder / "hosts"
        self.clock = ManualClock()
        self.base = EventBase(EventConfig(flags=BASE_IGNORE_ENV), clock=self.clock)
        self.made: list[Resolver] = []
        self.changes = 0

    def write(self, path: Path, text: str) -> None:
        """Write a file so that it is another one, be the time as coarse as it will."""
        self.changes += 1
        path.write_text(text)
        os.utime(path, (self.changes, self.changes))

    def resolver(self, servers: list[str] | None = None, **how: object) -> Resolver:
        self.made.append(
            Resolver(self.base, servers, conf=str(self.conf), hosts=str(self.hosts), **how)  # type: ignore[arg-type]
        )
        return self.made[-1]

    def after(self, seconds: float, resolver: Resolver) -> tuple[str, ...]:
        """Let time pass, look something up that nobody has to be asked for, and return the servers."""
        self.clock.advance(seconds)
        resolver.getaddrinfo("192.0.2.1", 80)
        return servers(resolver)

    def close(self) -> None:
        for resolver in self.made:
            resolver.close()
        assert [event for event in self.base.events() if not event.internal] == []
        self.base.close()


def servers(resolver: Resolver) -> tuple[str, ...]:
    return tuple(each.server for each in resolver.nameservers)


@pytest.fixture(name="machine")
def make_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for name in ("LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES"):
        monkeypatch.delenv(name, raising=False)
    before = count_descriptors()
    machine = Machine(tmp_path)
    yield machine
    machine.close()
    assert count_descriptors() == before


class TestTheSystemsFiles:
    def test_tell_how_to_resolve(self, machine: Machine) -> None:
        machine.write(machine.conf, CONF)
        machine.write(machine.hosts, "192.0.2.7 box\n")
        resolver = machine.resolver()
        assert servers(resolver) == ("192.0.2.53", "2001:db8::53")
        assert resolver.search == ("one.test", "two.test")
        options = resolver.options
        assert (options.ndots, options.timeout, options.rotate, options.attempts) == (3, 1.0, True, 3)
        assert resolver.getaddrinfo("box", 80).result() == [("192.0.2.7", 80)]

    def test_that_are_not_there_leave_this_machine_to_be_asked(self, machine: Machine) -> None:
        assert servers(machine.resolver()) == ("127.0.0.1",)
        assert servers(machine.resolver(no_default_nameserver=True)) == ()

    def test_tell_nothing_that_the_program_has_said(self, machine: Machine) -> None:
        machine.write(machine.conf, CONF)
        resolver = machine.resolver(["192.0.2.99"], options=ResolverOptions(timeout=4.0))
        assert servers(resolver) == ("192.0.2.99",)
        assert (resolver.options.timeout, resolver.options.ndots) == (4.0, 3)

    def test_are_read_again_when_they_have_changed(self, machine: Machine) -> None:
        machine.write(machine.conf, "nameserver 192.0.2.1\n")
        resolver = machine.resolver()
        assert machine.after(0.0, resolver) == ("192.0.2.1",)
        machine.write(machine.conf, "nameserver 192.0.2.2\noptions attempts:1\n")
        machine.write(machine.hosts, "192.0.2.7 box\n")
        assert machine.after(4.9, resolver) == ("192.0.2.1",)
        assert machine.after(0.1, resolver) == ("192.0.2.2",)
        assert resolver.options.attempts == 1
        assert resolver.getaddrinfo("box", 80).result() == [("192.0.2.7", 80)]
        machine.conf.unlink()
        assert machine.after(5.0, resolver) == ("192.0.2.2",)

    def test_are_read_again_before_what_is_looked_up(self, machine: Machine) -> None:
        resolver = machine.resolver()
        machine.after(0.0, resolver)
        machine.write(machine.hosts, "192.0.2.7 box\n")
        machine.clock.advance(5.0)
        assert resolver.getaddrinfo("box", 80).result() == [("192.0.2.7", 80)]

    def test_are_not_read_again_on_request(self, machine: Machine) -> None:
        machine.write(machine.conf, "nameserver 192.0.2.1\noptions no-reload\n")
        resolver = machine.resolver()
        machine.write(machine.conf, "nameserver 192.0.2.2\n")
        assert machine.after(60.0, resolver) == ("192.0.2.1",)

    def test_what_is_known_of_a_server_outlives_the_others(self, machine: Machine) -> None:
        machine.write(machine.conf, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
        resolver = machine.resolver()
        kept = resolver._lookups.asker.upstreams[1].known
        kept.queries = 17
        machine.write(
            machine.conf, "nameserver 192.0.2.2\nnameserver tcp://192.0.2.2\nnameserver 192.0.2.3\n"
        )
        machine.after(5.0, resolver)
        assert [(each.server, each.queries) for each in resolver.nameservers] == [
            ("192.0.2.2", 17),
            ("tcp://192.0.2.2", 0),
            ("192.0.2.3", 0),
        ]

    def test_the_environment_has_a_say(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        machine.write(machine.conf, CONF)
        monkeypatch.setenv("LOCALDOMAIN", "three.test")
        monkeypatch.setenv("RES_OPTIONS", "ndots:5")
        resolver = machine.resolver()
        assert (resolver.search, resolver.options.ndots) == (("three.test",), 5)
        alone = Resolver(machine.base, ["192.0.2.1"], conf=None, hosts=None)
        assert (alone.search, alone.options) == ((), ResolverOptions())
        alone.close()

    def test_have_no_say_where_there_is_no_resolv_conf(
        self, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        nsswitch, gai_conf = tmp_path / "nsswitch.conf", tmp_path / "gai.conf"
        nsswitch.write_text("hosts: dns\n")
        gai_conf.write_text("precedence ::/0 1\n")
        monkeypatch.setattr("evkit.dns.administration.NSSWITCH", str(nsswitch))
        monkeypatch.setattr("evkit.dns.administration.GAI_CONF", str(gai_conf))
        monkeypatch.setattr(socket, "gethostname", lambda: "box.corp.test")
        machine.write(machine.conf, "nameserver 192.0.2.1\n")
        told = machine.resolver()
        assert (told.search, told._configuration.sources) == (("corp.test",), ("dns",))
        assert told._configuration.policy is not DEFAULT_POLICY
        with Resolver(machine.base, ["192.0.2.1"], conf=None, hosts=None) as alone:
            assert (alone.search, alone._configuration.sources) == ((), ("files", "dns"))
            assert alone._configuration.policy is DEFAULT_POLICY


class TestWhoIsAskedFirst:
    def first(self, world: World, count: int, slow: float = 0.0) -> list[int]:
        """Return how many of so many questions each server got.

        Each is answered at once, but by the first server after ``slow`` seconds.
        """
        asked = [0] * len(world.servers)
        for index in range(count):
            future = world.resolver.resolve(f"{index}.test")
            world.until(lambda: any(server._readable() for server in world.servers), "a query")
            for place, server in enumerate(world.servers):
                if server._readable():
                    asked[place] += 1
                    world.clock.advance(0.0 if place else slow)
                    server.query().answer(A1)
            world.done(future)
        return asked

    def test_of_the_systems_servers_it_is_the_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with World(servers=2, given=None, no_default_nameserver=True) as world:
            for server in world.servers:
                world.resolver.nameserver_add(server.text)
            assert self.first(world, 30) == [30, 0]

    def test_of_given_servers_it_is_one_of_the_fastest(self) -> None:
        with World(servers=2) as world:
            asked = self.first(world, 30, slow=0.5)
            assert sum(asked) == 30
            assert asked[1] > 0

    def test_each_in_turn_on_request(self) -> None:
        for given in (None, "its own"):
            with World(
                servers=2, options=replace(OPTIONS, rotate=True), given=[] if given else None
            ) as world:
                world.resolver.clear_nameservers_and_suspend()
                world.resolver.resume()
                for server in world.servers:
                    world.resolver.nameserver_add(server.text)
                assert self.first(world, 30) == [15, 15]

    def test_changes_with_the_option(self) -> None:
        with World(servers=2, given=None, no_default_nameserver=True) as world:
            for server in world.servers:
                world.resolver.nameserver_add(server.text)
            world.resolver.set_option("rotate", "")
            assert self.first(world, 4) == [2, 2]
            world.resolver.set_option("rotate:", "0")
            world.resolver.clear_cache()
            assert self.first(world, 4) == [4, 0]


class TestNameServers:
    def test_are_added_once(self) -> None:
        with World(given=[]) as world:
            resolver = world.resolver
            for server in (
                "192.0.2.1",
                "192.0.2.1:53",
                "tcp://192.0.2.1",
                ("192.0.2.2", 5353),
                "[2001:db8::1]:53",
            ):
                resolver.nameserver_add(server)  # type: ignore[arg-type]  # an address of a socket
            assert servers(resolver) == ("192.0.2.1", "tcp://192.0.2.1", "192.0.2.2:5353", "2001:db8::1")
            assert resolver.count_nameservers() == 4
            assert [resolver.get_nameserver_addr(index) for index in (0, 2)] == [
                ("192.0.2.1", 53),
                ("192.0.2.2", 5353),
            ]
            for index in (4, -1):
                with pytest.raises(IndexError):
                    resolver.get_nameserver_addr(index)

    @pytest.mark.parametrize("server", ["dns.example", "", "192.0.2.1:0", "udp://192.0.2.1#name"])
    def test_that_are_none_are_refused(self, server: str) -> None:
        with World(given=[]) as world:
            with pytest.raises(ValueError, match="expected"):
                world.resolver.nameserver_add(server)
            assert world.resolver.count_nameservers() == 0

    def test_are_told_of(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            world.done(future)
            (statistics,) = world.resolver.nameservers
            assert (statistics.server, statistics.up) == (world.server.text, True)
            assert (statistics.queries, statistics.replies, statistics.timeouts) == (1, 1, 0)
            tally = world.resolver.tally
            assert (tally.lookups, tally.sent, tally.received) == (1, 1, 1)

    def test_others_do_not_answer_for_those_before(self) -> None:
        with World(servers=2, given=[]) as world:
            world.resolver.nameserver_add(world.servers[0].text)
            future = world.resolver.resolve("www.test")
            world.servers[0].query().answer(A1)
            world.done(future)
            assert world.resolver.resolve("www.test").result().cached
            world.resolver.nameserver_add(world.servers[1].text)
            future = world.resolver.resolve("www.test", timeout=9)
            assert not future.done()
            future.cancel()

    def test_may_go_while_they_are_asked(self) -> None:
        with World(servers=2, given=[], options=replace(OPTIONS, use_vc=True)) as world:
            world.resolver.nameserver_add(world.servers[0].text)
            future = world.resolver.resolve("www.test")
            query = world.servers[0].accept().query()
            world.resolver.clear_nameservers_and_suspend()
            world.resolver.nameserver_add(world.servers[1].text)
            world.resolver.resume()
            again = world.servers[1].accept().query()
            assert query.name == again.name
            again.answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_that_go_leave_no_connection(self) -> None:
        with World(
            servers=2, given=[], options=replace(OPTIONS, use_vc=True, tcp_idle_timeout=3600)
        ) as world:
            world.resolver.nameserver_add(world.servers[0].text)
            future = world.resolver.resolve("www.test")
            connection = world.servers[0].accept()
            connection.query().answer(A1)
            world.done(future)
            assert not connection.at_end()
            world.resolver.clear_nameservers_and_suspend()
            assert connection.at_end()
            assert world.has_timers() == 0


class TestSuspension:
    def test_holds_what_is_asked_and_says_so(self) -> None:
        with World() as world:
            assert " open " in repr(world.resolver)
            world.resolver.clear_nameservers_and_suspend()
            assert " suspended servers=[] " in repr(world.resolver)
            assert world.resolver.count_nameservers() == 0
            future = world.resolver.resolve("www.test")
            world.pass_time(29.0)
            assert not future.done()
            world.resolver.nameserver_add(world.server.text)
            assert world.server.silent()
            world.resolver.resume()
            world.server.query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_holds_what_was_about_to_fail(self) -> None:
        with World(given=[]) as world:
            future = world.resolver.resolve("www.test")
            world.resolver.clear_nameservers_and_suspend()
            world.settle()
            assert not future.done()
            world.resolver.nameserver_add(world.server.text)
            world.resolver.resume()
            world.server.query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_holds_for_the_systems_servers_too(self, machine: Machine) -> None:
        machine.write(machine.conf, CONF)
        resolver = machine.resolver()
        resolver.clear_nameservers_and_suspend()
        machine.write(machine.conf, "nameserver 192.0.2.1\n")
        assert machine.after(60.0, resolver) == ()
        resolver.resume()
        assert type(resolver.resolve("www.test").exception()) is ServerFailure

    def test_again_is_harmless(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            for _ in range(2):
                world.resolver.clear_nameservers_and_suspend()
            world.resolver.nameserver_add(world.server.text)
            world.server.query()  # that from before
            for _ in range(2):
                world.resolver.resume()
            world.server.query().answer(A1)
            world.done(future)
            assert world.server.silent()


class TestSettings:
    def test_options_by_name(self) -> None:
        with World() as world:
            world.resolver.set_option("max-timeouts:", "7")
            world.resolver.set_option("timeout", "0.5")
            assert (world.resolver.options.max_timeouts, world.resolver.options.timeout) == (7, 0.5)
            assert world.resolver.nameservers[0].timeout == 0.5
            for name, value in (("no-such", "1"), ("timeout", "soon"), ("attempts", "0")):
                with pytest.raises(ValueError, match=r"expected|must be"):
                    world.resolver.set_option(name, value)
            assert world.resolver.options.timeout == 0.5

    def test_the_search_list(self) -> None:
        with World() as world:
            resolver = world.resolver
            resolver.search_add("one.test")
            resolver.search_add("two.test")
            assert resolver.search == ("one.test", "two.test")
            resolver.search_clear()
            assert resolver.search == ()
            with pytest.raises(ValueError, match="expected"):
                resolver.search_add("a..b")

    def test_the_dots(self) -> None:
        with World() as world:
            world.resolver.search_add("one.test")
            for ndots, asked in ((0, "www"), (1, "www.one.test")):
                world.resolver.search_ndots_set(ndots)
                future = world.resolver.resolve("www", search=True)
                query = world.server.query()
                assert query.name.lower() == asked
                query.answer(A1)
                world.done(future)
            for wrong in (-1, 16):
                with pytest.raises(ValueError, match="ndots"):
                    world.resolver.search_ndots_set(wrong)

    def test_another_cache_where_its_options_change(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            world.done(future)
            world.resolver.set_option("attempts", "1")
            assert world.resolver.resolve("www.test").result().cached
            world.resolver.set_option("max_cache", "0")
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            assert not world.done(future).cached


class TestFilesOfTheProgram:
    def test_resolv_conf_parse(self, machine: Machine, tmp_path: Path) -> None:
        path = tmp_path / "mine.conf"
        path.write_text("nameserver 192.0.2.77\nsearch mine.test\noptions ndots:4 timeout:3\n")
        for flags, expected in (
            (DNS_OPTION_NAMESERVERS, (("192.0.2.77",), (), 1, 2.0)),
            (DNS_OPTION_SEARCH, ((), ("mine.test",), 4, 2.0)),
            (DNS_OPTION_MISC, ((), (), 1, 3.0)),
            (DNS_OPTION_NAMESERVERS_NO_DEFAULT, ((), (), 1, 2.0)),
            (DNS_OPTION_HOSTSFILE, ((), (), 1, 2.0)),
        ):
            resolver = Resolver(machine.base, [], conf=None, hosts=None)
            resolver.resolv_conf_parse(str(path), flags)
            options = resolver.options
            assert (servers(resolver), resolver.search, options.ndots, options.timeout) == expected
            resolver.close()

    def test_resolv_conf_parse_takes_no_hosts_file_along(
        self, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "mine.conf"
        path.write_text("nameserver 192.0.2.77\n")
        machine.write(machine.hosts, "192.0.2.7 box\n")
        monkeypatch.setattr("evkit.dns.administration.HOSTS", str(machine.hosts))
        with Resolver(machine.base, [], conf=None, hosts=None) as resolver:
            resolver.resolv_conf_parse(str(path))
            assert servers(resolver) == ("192.0.2.77",)
            assert not resolver.getaddrinfo("box", 80).done()

    def test_load_hosts(self, tmp_path: Path) -> None:
        path = tmp_path / "mine"
        path.write_text("192.0.2.8 box\n2001:db8::8 box\n")
        with World() as world:
            world.resolver.load_hosts(str(path))
            found = world.resolver.getaddrinfo("box", 80).result()
            assert set(found) == {("192.0.2.8", 80), ("2001:db8::8", 80, 0, 0)}
            with pytest.raises(NoData):
                world.resolver.getaddrinfo("127.0.0.1", 80, socket.AF_INET6).result()
            world.resolver.clear_host_addresses()
            future = world.resolver.getaddrinfo("box", 80)
            assert not future.done()
            future.cancel()

    def test_that_can_not_be_read_are_an_error(self, tmp_path: Path) -> None:
        with World() as world:
            for read in (world.resolver.resolv_conf_parse, world.resolver.load_hosts):
                with pytest.raises(FileNotFoundError):
                    read(str(tmp_path / "none"))
            assert servers(world.resolver) == (world.server.text,)


class TestTheEnd:
    def test_by_with(self) -> None:
        with World() as world:
            with world.resolver as resolver:
                future = resolver.resolve("www.test")
                assert (len(resolver), bool(resolver), resolver.closed) == (1, True, False)
            assert (len(resolver), bool(resolver), resolver.closed) == (0, True, True)
            assert repr(resolver) == f"<Resolver closed servers=[{world.server.text}] under_way=0>"
            assert type(future.exception()) is ResolveCancelled
            for ask in (lambda: resolver.resolve("a.test"), resolver.resume):
                with pytest.raises(LoopError, match="closed"):
                    ask()

    def test_leaves_what_may_be_asked_and_set(self) -> None:
        with World() as world:
            resolver = world.resolver
            resolver.close()
            resolver.nameserver_add("192.0.2.1")
            resolver.set_option("attempts", "1")
            resolver.search_add("one.test")
            resolver.clear_cache()
            resolver.clear_nameservers_and_suspend()
            assert (servers(resolver), resolver.search, resolver.options.attempts) == ((), ("one.test",), 1)
            assert resolver.tally.lookups == 0

    def test_of_a_probe_comes_too(self) -> None:
        options = replace(OPTIONS, max_timeouts=1, attempts=1, queries_per_port=1)
        with World(servers=2, options=options) as world:
            first = ask_one(world, "www.test")
            world.pass_time(2.0)
            second = next(server for server in world.servers if server is not first)
            second.query().answer(A1)
            world.pass_time(6.0)
            future = world.resolver.resolve("other.test")
            first.query()  # the copy
            world.resolver.close()
            assert type(future.exception()) is ResolveCancelled
            assert [event for event in world.base.events() if not event.internal] == []


def ask_one(world: World, name: str) -> Server:
    """Look something up, and return the server that was asked; nothing is said."""
    world.resolver.resolve(name)
    world.until(lambda: any(server._readable() for server in world.servers), "a query")
    server = next(server for server in world.servers if server._readable())
    server.query()
    return server
