"""Questions on their way: which server is asked when, in which words, and what ends the asking."""

import resource
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from dns_aids import OPTIONS, SOA, Query, World
from every_backend import EVERY_BACKEND
from evkit.core.log import LOG_MSG, LOG_WARN, set_log_callback
from evkit.dns import Answer
from evkit.errors import NameNotFound, NoData, ResolveTimeout, ServerFailure

A1 = "@ 300 IN A 192.0.2.1"


@pytest.fixture
def log_lines() -> Iterator[list[tuple[int, str]]]:
    lines: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    yield lines
    set_log_callback(None)


def outcomes(found: Answer | BaseException) -> list[tuple[str, str]]:
    return [(attempt.transport, attempt.outcome) for attempt in found.attempts]  # type: ignore[union-attr]  # of evkit's


@pytest.mark.parametrize("backend", EVERY_BACKEND)
def test_an_answer_by_udp(backend: str) -> None:
    with World(make_backend=EVERY_BACKEND[backend]) as world:
        future = world.resolver.resolve("www.test")
        query = world.server.query()
        assert (query.name.lower(), query.type) == ("www.test", "A")
        query.answer(A1)
        answer = world.done(future)
        assert answer.addresses == ["192.0.2.1"]
        assert outcomes(answer) == [("udp", "NOERROR")]
        assert answer.attempts[0].server == world.server.text


@pytest.mark.parametrize("backend", EVERY_BACKEND)
def test_an_answer_over_tcp_when_it_is_cut(backend: str) -> None:
    with World(make_backend=EVERY_BACKEND[backend]) as world:
        future = world.resolver.resolve("www.test")
        world.server.query().answer(flags="QR AA TC RD RA")
        connection = world.server.accept()
        connection.query().answer(A1)
        assert outcomes(world.done(future)) == [("udp", "truncated"), ("tcp", "NOERROR")]
        assert not connection.at_end()
        world.pass_time(5.0)
        assert connection.at_end()


class TestWords:
    def test_ids_and_ports_and_case_differ(self) -> None:
        with World() as world:
            name = "a" * 40 + ".test"
            seen = []
            for _ in range(8):
                future = world.resolver.resolve(name, fresh=True)
                query = world.server.query()
                query.answer(A1)
                world.done(future)
                seen.append((query.message.id, world.server.senders[-1][1], query.name))
            for index in range(3):
                assert len({one[index] for one in seen}) > 4

    def test_no_case_and_no_edns_on_request(self) -> None:
        with World(options=replace(OPTIONS, randomize_case=False, edns_udp_size=512)) as world:
            future = world.resolver.resolve("WWW.test")
            query = world.server.query()
            assert query.name == "www.test"
            assert query.message.edns == -1
            query.answer(A1)
            world.done(future)

    def test_edns_with_a_cookie(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            assert (query.message.edns, query.message.payload) == (0, 1232)
            assert [(code, len(data)) for code, data in query.options().items()] == [(10, 8)]
            query.answer(A1)
            world.done(future)

    def test_ports_are_shared_for_a_while(self) -> None:
        with World(options=replace(OPTIONS, queries_per_port=2)) as world:
            futures = [world.resolver.resolve(f"{index}.test") for index in range(200)]
            queries = [world.server.query() for _ in futures]
            ports = [sender[1] for sender in world.server.senders]
            assert 64 <= len(set(ports)) <= 200
            assert max(ports.count(port) for port in ports) == 2
            for query in queries:
                query.answer(A1)
            assert all(world.done(future).addresses == ["192.0.2.1"] for future in futures)


class TestServers:
    def test_the_next_one_when_one_is_silent(self) -> None:
        with World(servers=2) as world:
            future = world.resolver.resolve("www.test")
            first, second = in_order(world)
            first.query()
            world.pass_time(2.0)
            second.query().answer(A1)
            assert outcomes(world.done(future)) == [("udp", "timed out"), ("udp", "NOERROR")]

    def test_a_late_reply_is_a_reply(self) -> None:
        with World(servers=2) as world:
            future = world.resolver.resolve("www.test")
            first, second = in_order(world)
            query = first.query()
            world.pass_time(2.0)
            second.query()
            query.answer(A1)
            assert outcomes(world.done(future)) == [("udp", "timed out"), ("udp", "NOERROR")]

    @pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "YXDOMAIN", "NOTAUTH"])
    def test_the_next_one_when_one_can_not_help(self, rcode: str) -> None:
        with World(servers=2, options=replace(OPTIONS, edns_udp_size=512)) as world:
            future = world.resolver.resolve("www.test")
            first, second = in_order(world)
            first.query().answer(rcode=rcode)
            second.query().answer(A1)
            assert outcomes(world.done(future)) == [("udp", rcode), ("udp", "NOERROR")]

    def test_the_next_one_when_one_is_not_in_charge(self) -> None:
        with World(servers=2) as world:
            future = world.resolver.resolve("www.test")
            first, second = in_order(world)
            first.query().answer(authority=("test. 300 IN NS ns.elsewhere.",), flags="QR RD")
            second.query().answer(A1)
            assert outcomes(world.done(future))[0] == ("udp", "not in charge of the name")

    def test_the_next_one_when_one_is_gone(self) -> None:
        with World(servers=2) as world:
            world.servers[0].close()
            future = world.resolver.resolve("www.test")
            world.settle()
            future2 = world.resolver.resolve("www2.test")
            for _ in range(2):
                world.servers[1].query().answer(A1)
            assert world.done(future).addresses == world.done(future2).addresses == ["192.0.2.1"]

    def test_each_is_asked_as_often_as_may_be(self) -> None:
        with World(servers=2) as world:
            future = world.resolver.resolve("www.test")
            for _ in range(12):
                world.pass_time(2.0)
            asked = [count(world, server) for server in world.servers]
            assert asked == [2, 2]
            error = world.failure(future)
            assert type(error) is ResolveTimeout
            assert outcomes(error) == [("udp", "timed out")] * 4

    def test_one_that_refuses_is_not_asked_again(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode="REFUSED")
            error = world.failure(future)
            assert (type(error), error.code) == (ServerFailure, 5)
            assert "REFUSED" in str(error)
            assert world.server.silent()

    def test_servers_that_fail_are_asked_again(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode="SERVFAIL")
            world.server.query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_none_at_all(self) -> None:
        with World(given=[]) as world:
            error = world.failure(world.resolver.resolve("www.test"))
            assert type(error) is ServerFailure
            assert str(error) == "www.test A: no name server is known"

    def test_one_that_is_down_gets_a_copy(self) -> None:
        with World(servers=2, options=replace(OPTIONS, max_timeouts=1, attempts=1)) as world:
            future = world.resolver.resolve("www.test")
            first, second = in_order(world)
            late = first.query()
            world.pass_time(2.0)
            second.query().answer(A1)
            world.done(future)
            assert [server.up for server in world.resolver.nameservers].count(False) == 1
            world.pass_time(6.0)
            future = world.resolver.resolve("other.test")
            second.query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]
            probe = first.query()
            assert probe.name.lower() == "other.test"
            assert probe.message.id != late.message.id or probe.name != late.name
            probe.answer(A1)
            assert all(server.up for server in world.resolver.nameservers)


def test_that_a_server_is_down_and_up_again_is_logged(log_lines: list[tuple[int, str]]) -> None:
    with World(options=replace(OPTIONS, max_timeouts=1, attempts=1)) as world:
        future = world.resolver.resolve("www.test")
        query = world.server.query()
        world.pass_time(2.0)
        assert type(world.failure(future)) is ResolveTimeout
        assert log_lines == [(LOG_WARN, f"name server {world.server.text} is down")]
        assert query.name.lower() == "www.test"
        future = world.resolver.resolve("other.test")
        world.server.query().answer(A1)
        world.done(future)
        assert log_lines[1:] == [(LOG_MSG, f"name server {world.server.text} is up again")]


class TestEdns:
    @pytest.mark.parametrize("rcode", ["FORMERR", "NOTIMP", "BADVERS"])
    def test_is_left_out_where_it_is_not_understood(self, rcode: str) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode=rcode)
            without_options = world.server.query()
            assert (without_options.message.edns, without_options.options()) == (0, {})
            without_options.answer(rcode=rcode)
            plain = world.server.query()
            assert plain.message.edns == -1
            plain.answer(A1)
            assert outcomes(world.done(future)) == [("udp", rcode)] * 2 + [("udp", "NOERROR")]
            future = world.resolver.resolve("other.test")
            again = world.server.query()
            assert again.message.edns == -1
            again.answer(A1)
            world.done(future)

    def test_a_plain_question_that_is_called_malformed_is_a_failure(self) -> None:
        with World(options=replace(OPTIONS, edns_udp_size=512, attempts=1)) as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer(rcode="FORMERR")
            assert world.failure(future).code == 1  # type: ignore[attr-defined]  # it is evkit's

    def test_a_new_cookie(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            client = query.options()[10]
            query.send(with_cookie(query, client + b"8 bytes!", rcode="BADCOOKIE"))
            again = world.server.query()
            assert again.options()[10] == client + b"8 bytes!"
            again.send(with_cookie(again, client + b"8 bytes!"))
            assert outcomes(world.failure(future)) == [("udp", "BADCOOKIE"), ("udp", "NOERROR")]

    def test_a_reply_with_another_cookie_is_none(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(with_cookie(query, b"not our one" + b"8 bytes!"[:5]))
            assert not future.done()
            assert world.resolver.tally.dropped["cookie"] == 1
            world.server.accept().query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]


def with_cookie(query: Query, cookie: bytes, rcode: str = "NOERROR") -> bytes:
    """Return a reply without records, written by hand; the cookie's record comes last."""
    code = {"NOERROR": 0, "BADCOOKIE": 23}[rcode]
    question = query.data[12 : query.data.index(b"\0", 12) + 5]
    header = query.data[:2] + struct.pack(">HHHHH", 0x8580 | code & 15, 1, 0, 0, 1)
    option = struct.pack(">HH", 10, len(cookie)) + cookie
    return header + question + b"\0" + struct.pack(">HHBBHH", 41, 1232, code >> 4, 0, 0, len(option)) + option


def spoil(query: Query, how: Callable[[bytearray], object]) -> bytes:
    reply = query.reply(A1)
    how(reply)
    return bytes(reply)


def set_byte(index: int, value: int) -> Callable[[bytearray], object]:
    def change(reply: bytearray) -> None:
        reply[index] = value

    return change


def flip_case(reply: bytearray) -> None:
    reply[13] ^= 0x20


def other_name(reply: bytearray) -> None:
    reply[13] ^= 0x01


SPOILT: dict[str, tuple[str, Callable[[bytearray], object]]] = {
    "a query": ("kind", set_byte(2, 0x01)),
    "another operation": ("kind", set_byte(2, 0xA1)),
    "another name": ("question", other_name),
    "another case": ("case", flip_case),
    "another type": ("question", lambda reply: reply.__setitem__(12 + 10 + 1, 28)),
    "two questions": ("question", set_byte(5, 2)),
    "no question": ("question", set_byte(5, 0)),
    "more records than there are": ("malformed", set_byte(7, 2)),
    "fewer records than there are": ("malformed", set_byte(7, 0)),
    "a byte too many": ("malformed", lambda reply: reply.append(0)),
    "a byte too few": ("malformed", lambda reply: reply.pop()),
    "a header alone": ("question", lambda reply: reply.__delitem__(slice(12, None))),
}


class TestBadPackets:
    @pytest.mark.parametrize("what", SPOILT)
    def test_are_dropped_and_counted_and_tcp_is_asked_and_the_answer_is_taken(self, what: str) -> None:
        kind, how = SPOILT[what]
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(spoil(query, how))
            assert not future.done()
            assert world.resolver.tally.dropped == {kind: 1}
            connection = world.server.accept()
            connection.query()
            query.answer(A1)
            answer = world.done(future)
            assert answer.addresses == ["192.0.2.1"]
            assert [outcome[:8] for _, outcome in outcomes(answer)] == ["dropped:", "NOERROR"]

    @pytest.mark.parametrize("what", SPOILT)
    def test_the_answer_may_come_over_tcp(self, what: str) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(spoil(query, SPOILT[what][1]))
            world.server.accept().query().answer(A1)
            assert [transport for transport, _ in outcomes(world.done(future))] == ["udp", "tcp"]

    def test_another_id_is_no_reply(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(spoil(query, set_byte(1, query.data[1] ^ 1)))
            assert not future.done()
            assert world.resolver.tally.dropped == {"number": 1}
            world.server.accept().query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_what_has_another_id_and_question_is_nobody_s(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            stray = query.reply(A1)
            stray[1] ^= 1
            stray[13] ^= 1
            query.send(bytes(stray))
            assert world.server.silent()
            query.answer(A1)
            assert outcomes(world.done(future)) == [("udp", "NOERROR")]

    def test_another_address_or_port_does_not_come_in(self) -> None:
        with World(servers=2) as world:
            future = world.resolver.resolve("www.test")
            first, second = in_order(world)
            query = first.query()
            second.udp.sendto(bytes(query.reply("@ 300 IN A 192.0.2.66")), first.senders[0])
            world.settle()
            assert not future.done()
            query.answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_records_of_other_names_are_no_answer(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            world.server.query().answer("other.test. 300 IN A 192.0.2.66", A1)
            answer = world.done(future)
            assert answer.addresses == ["192.0.2.1"]

    def test_only_one_connection_is_made_however_many_there_are(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            for _ in range(50):
                query.send(spoil(query, other_name))
            assert world.resolver.tally.dropped == {"question": 50}
            world.server.accept()
            assert world.server.silent()
            query.answer(A1)
            assert len(world.done(future).attempts) == 51

    def test_the_trail_does_not_grow_for_ever(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            for _ in range(100):
                query.send(spoil(query, other_name))
            query.answer(A1)
            assert len(world.done(future).attempts) == 64

    def test_nothing_else_is_a_failure_that_says_so(self) -> None:
        with World(options=replace(OPTIONS, attempts=1)) as world:
            world.server.close_tcp()
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(spoil(query, other_name))
            world.pass_time(2.0)
            error = world.failure(future)
            assert type(error) is ServerFailure
            assert "all that came was no answer" in str(error)
            assert "dropped: another question" in str(error)

    def test_a_server_that_keeps_no_case_is_known_after_a_while(self) -> None:
        with World() as world:
            for index in range(3):
                future = world.resolver.resolve(f"www{index}.test")
                query = world.server.query()
                query.send(spoil(query, flip_case))
                if index == 0:
                    connection = world.server.accept()
                connection.query().answer(A1)
                world.done(future)
            names = set()
            for index in range(8):
                future = world.resolver.resolve(f"some-longer-name{index}.test")
                query = world.server.query()
                names.add(query.name[:4])
                query.answer(A1)
                world.done(future)
            assert names == {"some"}

    def test_nonsense_over_a_connection_is_a_failure_at_once(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            future = world.resolver.resolve("www.test")
            query = world.server.accept().query()
            query.send(spoil(query, lambda reply: reply.append(0)))
            assert type(world.failure(future)) is ServerFailure


class TestRepliesWithoutTheQuestion:
    def bare(self, query: Query, code: int) -> bytes:
        return query.data[:2] + bytes([0x81, 0x80 | code]) + bytes(8)

    @pytest.mark.parametrize("code", [1, 2, 4, 5])
    def test_are_believed_if_nothing_better_comes(self, code: int) -> None:
        options = replace(OPTIONS, edns_udp_size=512)
        with World(servers=2, options=options) as world:
            future = world.resolver.resolve("www.test")
            first, second = in_order(world)
            query = first.query()
            query.send(self.bare(query, code))
            assert second.silent()
            world.pass_time(0.2)
            second.query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_do_not_hide_the_answer(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(self.bare(query, 2))
            query.answer(A1)
            assert outcomes(world.done(future)) == [("udp", "NOERROR")]

    def test_of_servers_that_do_not_know_edns(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            for edns in (0, 0, -1):
                query = world.server.query()
                assert query.message.edns == edns
                if edns == 0:
                    query.send(self.bare(query, 1))
                    world.pass_time(0.2)
            query.answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]


class TestWhoAsksTheSame:
    def test_shares_one_question(self) -> None:
        with World() as world:
            futures = [world.resolver.resolve(name) for name in ("www.test", "WWW.test", "www.test.")]
            world.server.query().answer(A1)
            assert [world.done(future).addresses for future in futures] == [["192.0.2.1"]] * 3
            assert world.server.silent()

    def test_does_not_share_other_types_or_transports(self) -> None:
        with World() as world:
            futures = [
                world.resolver.resolve("www.test"),
                world.resolver.resolve("www.test", "AAAA"),
                world.resolver.resolve("www.test", tcp=True),
            ]
            asked = [world.server.query(), world.server.query(), world.server.accept().query()]
            assert sorted(query.type for query in asked) == ["A", "A", "AAAA"]
            for query in asked:
                query.answer("@ 1 IN AAAA ::1" if query.type == "AAAA" else A1)
            assert [world.done(future).addresses for future in futures] == [
                ["192.0.2.1"],
                ["::1"],
                ["192.0.2.1"],
            ]

    def test_may_give_up_alone(self) -> None:
        with World() as world:
            one, other = world.resolver.resolve("www.test"), world.resolver.resolve("www.test")
            one.cancel()
            world.server.query().answer(A1)
            assert world.done(other).addresses == ["192.0.2.1"]
            assert one.cancelled()

    def test_stops_it_when_the_last_has_given_up(self) -> None:
        with World() as world:
            one, other = world.resolver.resolve("www.test"), world.resolver.resolve("www.test")
            one.cancel()
            other.cancel()
            assert len(world.resolver) == 0
            assert world.has_timers() == 0


class TestLimits:
    def test_more_than_may_be_in_flight_wait_in_order(self) -> None:
        with World(options=replace(OPTIONS, max_inflight=2)) as world:
            futures = [world.resolver.resolve(f"{index}.test") for index in range(5)]
            asked = []
            for _ in futures:
                query = world.server.query()
                asked.append(query.name.lower())
                query.answer(A1)
            assert asked[2:] == ["2.test", "3.test", "4.test"]
            assert all(world.done(future).addresses for future in futures)

    def test_one_that_waits_may_give_up(self) -> None:
        with World(options=replace(OPTIONS, max_inflight=1)) as world:
            first, second, third = [world.resolver.resolve(f"{index}.test") for index in range(3)]
            second.cancel()
            world.server.query().answer(A1)
            query = world.server.query()
            assert query.name.lower() == "2.test"
            query.answer(A1)
            assert world.done(first).addresses == world.done(third).addresses


class TestSuspension:
    def test_holds_all_and_begins_anew_with_other_servers(self) -> None:
        with World(servers=2, given=[]) as world:
            world.resolver.nameserver_add(world.servers[0].text)
            under_way = world.resolver.resolve("www.test")
            world.servers[0].query()
            world.resolver.clear_nameservers_and_suspend()
            later = world.resolver.resolve("later.test")
            world.resolver.nameserver_add(world.servers[1].text)
            assert world.servers[1].silent()
            world.resolver.resume()
            names = []
            for _ in range(2):
                query = world.servers[1].query()
                names.append(query.name.lower())
                query.answer(A1)
            assert names == ["www.test", "later.test"]
            assert world.done(under_way).addresses == world.done(later).addresses

    def test_forgets_what_was_said_before(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            query.send(query.data[:2] + b"\x81\x82" + bytes(8))  # a bare SERVFAIL, to be believed in a while
            world.resolver.clear_nameservers_and_suspend()
            world.resolver.nameserver_add(world.server.text)
            world.resolver.resume()
            world.server.query()
            world.pass_time(2.0)
            assert [attempt.outcome for attempt in under_way(world).trail] == ["timed out"]
            world.server.query().answer(A1)
            world.done(future)

    def test_of_servers_that_are_dropped_closes_what_is_open(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            future = world.resolver.resolve("www.test")
            connection = world.server.accept()
            connection.query().answer(A1)
            world.done(future)
            world.resolver.clear_nameservers_and_suspend()
            assert connection.at_end()


class TestWhoIsToBlame:
    def test_a_server_that_takes_longer_than_a_whole_look_up(self) -> None:
        with World(servers=2, options=replace(OPTIONS, total_timeout=1.0, max_timeouts=2)) as world:
            down = 0
            for index in range(20):
                future = world.resolver.resolve(f"{index}.test")
                world.pass_time(1.0)
                assert type(world.failure(future)) is ResolveTimeout
                down = [server.up for server in world.resolver.nameservers].count(False)
                if down == 2:
                    break
            assert down == 2

    def test_one_connection_that_ends_is_one_failure(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True, max_timeouts=3)) as world:
            futures = [world.resolver.resolve(f"{index}.test") for index in range(6)]
            connection = world.server.accept()
            queries = [connection.query() for _ in futures]
            world.clock.advance(0.001)
            queries[0].answer(A1)
            connection.close()
            again = world.server.accept()
            assert [server.up for server in world.resolver.nameservers] == [True]
            for _ in futures[1:]:
                again.query().answer(A1)
            assert all(world.done(future).addresses for future in futures)

    def test_nobody_but_us_when_no_descriptor_is_left(self) -> None:
        with World(options=replace(OPTIONS, attempts=1)) as world:
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            try:
                futures = [world.resolver.resolve(f"{index}.test") for index in range(5)]
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for future in futures:
                error = world.failure(future)
                assert type(error) is ServerFailure
                assert "Too many open files" in str(error)
            assert [server.up for server in world.resolver.nameservers] == [True]
            future = world.resolver.resolve("0.test")
            world.server.query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]


def under_way(world: World) -> Any:
    (inquiry,) = world.resolver._lookups.asker._asked.values()
    return inquiry


class TestStreams:
    def test_carry_many_questions_at_once(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            futures = [world.resolver.resolve(f"{index}.test") for index in range(20)]
            connection = world.server.accept()
            queries = [connection.query() for _ in futures]
            assert len({query.message.id for query in queries}) == 20
            for query in reversed(queries):
                query.answer(A1)
            assert all(world.done(future).addresses for future in futures)
            assert world.server.silent()

    def test_take_replies_in_any_pieces(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            future = world.resolver.resolve("www.test")
            connection = world.server.accept()
            reply = bytes(connection.query().reply(A1))
            for byte in struct.pack(">H", len(reply)) + reply:
                connection.send_raw(bytes([byte]))
            assert world.done(future).addresses == ["192.0.2.1"]

    @pytest.mark.parametrize("how", ["close", "half a length", "half a message", "nothing in it"])
    def test_that_break_are_made_anew(self, how: str) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            future = world.resolver.resolve("www.test")
            connection = world.server.accept()
            connection.query()
            connection.send_raw({"half a length": b"\0", "half a message": b"\0\x20abc"}.get(how, b""))
            if how == "nothing in it":
                connection.send_raw(b"\0\0")
            connection.close()
            world.server.accept().query().answer(A1)
            answer = world.done(future)
            assert [transport for transport, _ in outcomes(answer)] == ["tcp", "tcp"]

    def test_that_are_refused(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            world.server.close_tcp()
            error = world.failure(world.resolver.resolve("www.test"))
            assert type(error) is ServerFailure
            assert "Connection refused" in str(error)

    def test_on_which_nothing_comes_are_given_up(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            future = world.resolver.resolve("www.test")
            silent = world.server.accept()
            silent.query()
            world.pass_time(2.0)
            assert silent.at_end()
            world.server.accept().query().answer(A1)
            assert world.done(future).addresses == ["192.0.2.1"]

    def test_on_which_others_are_answered_are_kept(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            slow = world.resolver.resolve("slow.test")
            connection = world.server.accept()
            connection.query()
            world.pass_time(1.0)
            quick = world.resolver.resolve("quick.test")
            connection.query().answer(A1)
            world.done(quick)
            world.pass_time(1.0)
            again = connection.query()
            assert again.name == "slow.test"
            again.answer(A1)
            assert world.done(slow).addresses == ["192.0.2.1"]

    def test_truncated_over_tcp_is_a_failure(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True, attempts=1)) as world:
            future = world.resolver.resolve("www.test")
            world.server.accept().query().answer(flags="QR AA TC RD RA")
            assert type(world.failure(future)) is ServerFailure


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({"rcode": "NXDOMAIN", "authority": (SOA,)}, NameNotFound),
        ({"rcode": "NXDOMAIN"}, NameNotFound),
        ({"authority": (SOA,)}, NoData),
        ({}, NoData),
    ],
)
def test_that_there_is_none_is_final(how: dict[str, Any], kind: type[Exception]) -> None:
    with World(servers=2) as world:
        future = world.resolver.resolve("www.test")
        in_order(world)[0].query().answer(**how)
        assert type(world.failure(future)) is kind
        assert all(server.silent() for server in world.servers)


def in_order(world: World) -> list[Any]:
    """Return the server that was asked, and the other one."""
    world.until(lambda: any(server._readable() for server in world.servers), "a query")
    return sorted(world.servers, key=lambda server: not server._readable())


def count(world: World, server: Any) -> int:
    asked = 0
    while server._readable():
        server.query()
        asked += 1
    return asked
