"""Look-ups: the cache, aliases that lead elsewhere, the search list, time, and the end."""

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest

from dns_aids import OPTIONS, SOA, World
from evkit.errors import (
    LoopError,
    NameNotFound,
    NoData,
    ResolveCancelled,
    ResolveError,
    ResolveTimeout,
    ServerFailure,
)

A1 = "@ 300 IN A 192.0.2.1"


class TestCache:
    def test_answers_until_the_time_is_over(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1, "@ 200 IN A 192.0.2.2")
            first = world.done(future)
            assert (first.ttl, first.cached) == (200, False)
            world.pass_time(150.5)
            again = world.resolver.resolve("WWW.TEST.").result()
            assert (again.addresses, again.ttl, again.cached) == (first.addresses, 50, True)
            assert (again.attempts, world.resolver.tally.from_cache) == ((), 1)
            world.pass_time(49.5)
            future = world.resolver.resolve("www.test")
            world.server.query().answer("@ 300 IN A 192.0.2.3")
            assert world.done(future).addresses == ["192.0.2.3"]

    def test_is_not_asked_for_what_shall_be_fresh(self) -> None:
        with World() as world:
            for address in ("192.0.2.1", "192.0.2.2"):
                future = world.resolver.resolve("www.test", fresh=True)
                world.server.query().answer(f"@ 300 IN A {address}")
                assert world.done(future).addresses == [address]
            assert world.resolver.resolve("www.test").result().addresses == ["192.0.2.2"]

    def test_may_be_cleared_and_switched_off(self) -> None:
        for options in (OPTIONS, replace(OPTIONS, max_cache=0)):
            with World(options=options) as world:
                for _ in range(2):
                    future = world.resolver.resolve("www.test")
                    world.server.query().answer(A1)
                    world.done(future)
                    world.resolver.clear_cache()

    @pytest.mark.parametrize(("rcode", "kind"), [("NXDOMAIN", NameNotFound), ("NOERROR", NoData)])
    def test_knows_for_how_long_there_is_none(self, rcode: str, kind: type[ResolveError]) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode=rcode, authority=(SOA,))
            error = world.failure(future)
            assert type(error) is kind
            assert isinstance(error, ResolveError)
            assert (error.name, error.type, error.answer.ttl) == ("www.test", "A", 60)
            assert [record.type for record in error.answer.authority] == ["SOA"]
            world.pass_time(59)
            with pytest.raises(kind) as caught:
                world.resolver.resolve("www.test").result()
            assert caught.value.answer.ttl == 1
            world.pass_time(1)
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            world.done(future)

    def test_keeps_nothing_for_which_nobody_says_how_long(self) -> None:
        with World() as world:
            for _ in range(2):
                future = world.resolver.resolve("www.test")
                world.server.query().answer(rcode="NXDOMAIN")
                world.failure(future)

    def test_knows_failures_for_a_while(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            for _ in range(2):
                world.server.query().answer(rcode="SERVFAIL")
            assert type(world.failure(future)) is ServerFailure
            world.pass_time(4.9)
            with pytest.raises(ServerFailure) as caught:
                world.resolver.resolve("www.test").result()
            assert len(caught.value.attempts) == 2
            assert world.server.silent()
            world.pass_time(0.1)
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            world.done(future)

    def test_gives_old_answers_when_asked_to_and_nobody_answers(self) -> None:
        with World(options=replace(OPTIONS, serve_stale=3600.0, attempts=1)) as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            world.done(future)
            world.pass_time(400)
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode="SERVFAIL")
            answer = world.done(future)
            assert (answer.addresses, answer.ttl, answer.stale) == (["192.0.2.1"], 30, True)

    def test_gives_no_old_answers_otherwise(self) -> None:
        with World(options=replace(OPTIONS, attempts=1)) as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            world.done(future)
            world.pass_time(400)
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode="SERVFAIL")
            assert type(world.failure(future)) is ServerFailure


class TestTheCacheByHand:
    def test_what_is_written_is_found_by_all(self) -> None:
        with World() as world:
            resolver = world.resolver
            assert resolver.cache_lookup("www.test") is None
            resolver.cache_write("WWW.test", ["192.0.2.5", "2001:db8::5", "192.0.2.6"], 60)
            four, six = resolver.cache_lookup("www.test"), resolver.cache_lookup("www.test.", "AAAA")
            assert four is not None
            assert six is not None
            assert (four.addresses, four.ttl) == (["192.0.2.5", "192.0.2.6"], 60)
            assert six.addresses == ["2001:db8::5"]
            assert resolver.resolve("www.test").result().addresses == four.addresses
            assert set(resolver.getaddrinfo("www.test", 1, socket.AF_INET6).result()) == {
                ("2001:db8::5", 1, 0, 0)
            }
            world.pass_time(60)
            assert resolver.cache_lookup("www.test") is None

    def test_that_there_is_none_is_no_answer(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode="NXDOMAIN", authority=(SOA,))
            world.failure(future)
            assert world.resolver.cache_lookup("www.test") is None

    def test_what_makes_no_sense_is_refused(self) -> None:
        with World() as world:
            with pytest.raises(ValueError, match="numeric"):
                world.resolver.cache_write("www.test", ["192.0.2.5", "www"], 60)
            with pytest.raises(ValueError, match="expected"):
                world.resolver.cache_write("", ["192.0.2.5"], 60)
            assert world.resolver.cache_lookup("www.test") is None


class TestAliases:
    def test_are_followed_where_the_reply_ends(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer("@ 100 IN CNAME there.example.")
            query = world.server.query()
            assert query.name.lower() == "there.example"
            query.answer(A1)
            answer = world.done(future)
            assert (answer.name, answer.canonical_name) == ("www.test", "there.example")
            assert (answer.addresses, answer.ttl) == (["192.0.2.1"], 100)
            assert [record.name for record in answer.aliases] == ["www.test"]
            assert len(answer.attempts) == 2
            again = world.resolver.resolve("www.test").result()
            assert (again.addresses, again.canonical_name, again.cached) == (
                ["192.0.2.1"],
                "there.example",
                True,
            )

    def test_may_lead_nowhere(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer("@ 100 IN CNAME there.example.")
            world.server.query().answer(rcode="NXDOMAIN")
            error = world.failure(future)
            assert isinstance(error, NameNotFound)
            assert (error.name, len(error.attempts)) == ("www.test", 2)

    def test_in_a_circle_come_to_an_end(self) -> None:
        with World() as world:
            future = world.resolver.resolve("0.test")
            for index in range(17):
                query = world.server.query()
                assert query.name == f"{index % 2}.test" or query.name.lower() == f"{index % 2}.test"
                query.answer(f"@ 0 IN CNAME {(index + 1) % 2}.test.")
            error = world.failure(future)
            assert type(error) is ServerFailure
            assert "more than 16 aliases" in str(error)

    def test_may_lead_to_a_special_name(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer("@ 100 IN CNAME localhost.")
            assert world.done(future).addresses == ["127.0.0.1"]


class TestSpecialNames:
    def test_are_asked_of_nobody(self) -> None:
        with World() as world:
            assert world.resolver.resolve("localhost").result().addresses == ["127.0.0.1"]
            assert world.resolver.resolve("a.LocalHost.", "AAAA").result().addresses == ["::1"]
            for name in ("some.invalid", "x.onion"):
                with pytest.raises(NameNotFound):
                    world.resolver.resolve(name).result()
            with pytest.raises(NoData):
                world.resolver.resolve("localhost", "MX").result()
            assert world.server.silent()


class TestSearch:
    def search(self, world: World, *domains: str) -> None:
        world.resolver.search_clear()
        for domain in domains:
            world.resolver.search_add(domain)

    def asked(self, world: World, *answers: dict[str, Any]) -> list[str]:
        names = []
        for how in answers:
            query = world.server.query()
            names.append(query.name.lower())
            query.answer(*how.pop("records", ()), **how)
        return names

    def test_goes_through_the_list(self) -> None:
        with World() as world:
            self.search(world, "one.test", "two.test")
            future = world.resolver.resolve("www", search=True)
            none = {"rcode": "NXDOMAIN"}
            assert self.asked(world, none, {"records": [A1]}) == ["www.one.test", "www.two.test"]
            answer = world.done(future)
            assert (answer.name, len(answer.attempts)) == ("www.two.test", 2)

    def test_tries_the_name_itself_last_or_first(self) -> None:
        with World() as world:
            self.search(world, "one.test")
            for name, order in (
                ("www", ["www.one.test", "www"]),
                ("www.a", ["www.a", "www.a.one.test"]),
            ):
                future = world.resolver.resolve(name, search=True)
                assert self.asked(world, {"rcode": "NXDOMAIN"}, {"records": [A1]}) == order
                world.done(future)

    def test_leaves_names_with_a_dot_at_their_end_alone(self) -> None:
        with World() as world:
            self.search(world, "one.test")
            future = world.resolver.resolve("www.", search=True)
            assert self.asked(world, {"rcode": "NXDOMAIN"}) == ["www"]
            assert type(world.failure(future)) is NameNotFound

    def test_is_not_made_without_being_asked_for(self) -> None:
        with World() as world:
            self.search(world, "one.test")
            future = world.resolver.resolve("www")
            assert self.asked(world, {"rcode": "NXDOMAIN"}) == ["www"]
            error = world.failure(future)
            assert isinstance(error, NameNotFound)

    def test_tells_of_what_says_most(self) -> None:
        with World(options=replace(OPTIONS, attempts=1)) as world:
            self.search(world, "one.test", "two.test")
            for how, kind in (
                ([{"rcode": "NXDOMAIN"}, {}, {"rcode": "NXDOMAIN"}], NoData),
                ([{"rcode": "NXDOMAIN"}, {"rcode": "SERVFAIL"}, {"rcode": "NXDOMAIN"}], ServerFailure),
                ([{"rcode": "SERVFAIL"}, {}, {"rcode": "NXDOMAIN"}], NoData),
            ):
                world.resolver.clear_cache()
                future = world.resolver.resolve("www", search=True)
                self.asked(world, *how)
                error = world.failure(future)
                assert type(error) is kind
                assert error.name == "www.one.test"  # type: ignore[attr-defined]  # it is evkit's
                assert len(error.attempts) == 3  # type: ignore[attr-defined]  # likewise

    def test_may_be_as_long_as_it_likes_where_all_is_known(self) -> None:
        with World(options=replace(OPTIONS, ndots=0)) as world:
            self.search(world, *(f"d{index}.invalid" for index in range(2000)))
            future = world.resolver.resolve("www.invalid", search=True)
            assert type(world.failure(future)) is NameNotFound

    def test_ends_when_nobody_answers(self) -> None:
        with World(options=replace(OPTIONS, attempts=1)) as world:
            self.search(world, "one.test")
            future = world.resolver.resolve("www", search=True)
            world.server.query()
            world.pass_time(2.0)
            assert type(world.failure(future)) is ResolveTimeout
            assert world.server.silent()


class TestTime:
    def test_is_limited_for_all_of_it(self) -> None:
        with World(options=replace(OPTIONS, total_timeout=3.0)) as world:
            future = world.resolver.resolve("www.test")
            world.server.query()
            world.pass_time(2.0)
            world.server.query()
            assert not future.done()
            world.pass_time(1.0)
            error = world.failure(future)
            assert isinstance(error, ResolveTimeout)
            assert isinstance(error, TimeoutError)
            assert [(attempt.outcome, attempt.seconds) for attempt in error.attempts] == [
                ("timed out", 2.0),
                ("no reply yet", 1.0),
            ]

    def test_tells_that_all_that_came_was_no_answer(self) -> None:
        with World(options=replace(OPTIONS, total_timeout=1.0)) as world:
            world.server.close_tcp()
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(query.data)
            world.pass_time(1.0)
            error = world.failure(future)
            assert type(error) is ServerFailure
            assert "all that came was no answer" in str(error)

    def test_is_too_short_to_tell_anything_of_a_server(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True, max_timeouts=1)) as world:
            world.resolver.resolve("www.test", timeout=0.05).add_done_callback(
                lambda future: future.exception()
            )
            connection = world.server.accept()
            connection.query()
            world.pass_time(0.05)
            assert len(world.resolver) == 0
            assert not connection.at_end()
            assert [server.up for server in world.resolver.nameservers] == [True]

    def test_may_be_another_for_one_look_up(self) -> None:
        with World() as world:
            short = world.resolver.resolve("www.test", timeout=0.5)
            long = world.resolver.resolve("www.test")
            query = world.server.query()
            world.pass_time(0.5)
            assert type(world.failure(short)) is ResolveTimeout
            query.answer(A1)
            assert world.done(long).addresses == ["192.0.2.1"]

    def test_may_be_without_limit(self) -> None:
        with World(options=replace(OPTIONS, total_timeout=None, attempts=9)) as world:
            future = world.resolver.resolve("www.test")
            for _ in range(8):
                world.server.query()
                world.pass_time(2.0)
            world.server.query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    @pytest.mark.parametrize("timeout", [0, -1.0, float("nan"), float("inf")])
    def test_is_a_number_of_seconds(self, timeout: float) -> None:
        with World() as world, pytest.raises(ValueError, match=r"timeout|seconds"):
            world.resolver.resolve("www.test", timeout=timeout)


class TestTheEnd:
    def test_by_cancel_leaves_nothing(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            assert future.cancel()
            with pytest.raises(asyncio.CancelledError):
                future.result()
            assert len(world.resolver) == 0

    def test_by_close_is_told(self) -> None:
        with World(options=replace(OPTIONS, max_inflight=1)) as world:
            futures = [world.resolver.resolve(f"{index}.test") for index in range(3)]
            world.resolver.close()
            world.resolver.close()
            for future in futures:
                assert type(world.failure(future)) is ResolveCancelled
            with pytest.raises(LoopError):
                world.resolver.resolve("www.test")

    def test_by_close_is_not_told_on_request(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.resolver.close(fail_requests=False)
            world.settle()
            assert not future.done()
            assert len(world.resolver) == 0

    def test_of_the_loop_comes_when_nothing_is_under_way(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(A1)
            assert future.result().addresses == ["192.0.2.1"]
            world.base.dispatch()  # ends at once, for want of events


@pytest.mark.parametrize("name", ["", "a" * 64 + ".test", "a..test", ".".join(["a" * 60] * 5), "\ud800.test"])
def test_names_that_can_not_be_are_refused_before_anything_is_sent(name: str) -> None:
    with World() as world:
        with pytest.raises(ValueError, match=r"expected|refuses"):
            world.resolver.resolve(name)
        assert world.server.silent()


def test_types_that_are_none_are_refused() -> None:
    with World() as world:
        for rdtype in ("NOSUCH", -1, 65536, "AXFR", "OPT"):
            with pytest.raises(ValueError, match="expected"):
                world.resolver.resolve("www.test", rdtype)
