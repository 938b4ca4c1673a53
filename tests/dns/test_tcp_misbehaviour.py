"""What a server may do over TCP after it has sent a cut reply over UDP: the look-up ends, in time, and well if it can.

Each way is tried with nobody else to ask, with a server that does better when it is asked again, and with another one.
`test_asker` has what it is like when TCP alone is asked.
"""

import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from dns_aids import OPTIONS, Connection, Query, World, outcomes
from every_backend import EVERY_BACKEND
from evkit.core import Future
from evkit.dns import Answer
from evkit.errors import ResolveTimeout, ServerFailure

A1: Final = "@ 300 IN A 192.0.2.1"
LIE: Final = "@ 300 IN A 192.0.2.66"
CUT: Final = "QR AA TC RD RA"
ONCE: Final = replace(OPTIONS, attempts=1)
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets the connection."""

Way = Callable[[Connection], None]
"""Misbehaves on a connection from which nothing was read yet."""


def framed(connection: Connection, *records: str) -> tuple[Query, bytes]:
    """Read the query, and return a reply behind its length."""
    query = connection.query()
    reply = bytes(query.reply(*records))
    return query, struct.pack(">H", len(reply)) + reply


def close_unread(connection: Connection) -> None:
    connection.close()


def close(connection: Connection) -> None:
    connection.query()
    connection.close()


def reset(connection: Connection) -> None:
    connection.query()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def half_a_length(connection: Connection) -> None:
    connection.send_raw(framed(connection, LIE)[1][:1])
    connection.close()


def half_a_reply(connection: Connection) -> None:
    connection.send_raw(framed(connection, LIE)[1][:-1])
    connection.close()


def nothing_in_it(connection: Connection) -> None:
    connection.query()
    connection.send_raw(b"\0\0")
    connection.close()


def too_short_a_length(connection: Connection) -> None:
    _, data = framed(connection, LIE)
    connection.send_raw(struct.pack(">H", len(data) - 3) + data[2:])


def too_long_a_length(connection: Connection) -> None:
    _, data = framed(connection, LIE)
    connection.send_raw(struct.pack(">H", len(data) - 1) + data[2:])


def the_longest_length(connection: Connection) -> None:
    _, data = framed(connection, LIE)
    connection.send_raw(b"\xff\xff" + data[2:])


def cut_again(connection: Connection) -> None:
    connection.query().answer(flags=CUT)


def the_query(connection: Connection) -> None:
    query = connection.query()
    query.send(query.data)


def another_number(connection: Connection) -> None:
    query = connection.query()
    reply = query.reply(LIE)
    reply[1] ^= 1
    query.send(bytes(reply))


def another_question(connection: Connection) -> None:
    query = connection.query()
    reply = query.reply(LIE)
    reply[13] ^= 1
    query.send(bytes(reply))


def refusal(connection: Connection) -> None:
    connection.query().answer(rcode="REFUSED")


def failure(connection: Connection) -> None:
    connection.query().answer(rcode="SERVFAIL")


def silence(connection: Connection) -> None:
    connection.query()


# How the try over TCP is told of, if it ends by itself
AT_ONCE: Final[dict[Way, str]] = {
    close_unread: "reset by peer",  # the system says so, as something was not read
    close: "closed",
    reset: "reset by peer",
    half_a_length: "ended within a length",
    half_a_reply: "ended within a message",
    nothing_in_it: "closed",
    too_short_a_length: "dropped:",
    cut_again: "truncated, though it is no datagram",
    the_query: "dropped: no reply",
    another_question: "dropped: another question",
    refusal: "REFUSED",
    failure: "SERVFAIL",
}
# What needs the time-out to end it
IN_TIME: Final = [too_long_a_length, the_longest_length, another_number, silence]
WAYS: Final = [*AT_ONCE, *IN_TIME]


def named(way: Way) -> str:
    return way.__name__


def misbehave(world: World, way: Way) -> Future[Answer]:
    """Look a name up, and misbehave."""
    future = world.resolver.resolve("www.test")
    world.server.query().answer(flags=CUT)
    way(world.server.accept())
    if way in IN_TIME:
        assert not future.done()
        assert world.server.silent()  # it waits, and asks nobody
        world.pass_time(OPTIONS.timeout)
    return future


@pytest.mark.parametrize("backend", EVERY_BACKEND)
@pytest.mark.parametrize("way", AT_ONCE, ids=named)
def test_with_nobody_else_to_ask_it_is_a_failure_at_once(way: Way, backend: str) -> None:
    with World(make_backend=EVERY_BACKEND[backend], options=ONCE) as world:
        error = world.failure(misbehave(world, way))
        assert type(error) is ServerFailure
        first, second = outcomes(error)
        assert first == ("udp", "truncated")
        assert second[0] == "tcp"
        assert AT_ONCE[way] in second[1]
        assert world.server.silent()


@pytest.mark.parametrize("backend", EVERY_BACKEND)
@pytest.mark.parametrize("way", IN_TIME, ids=named)
def test_with_nobody_else_to_ask_it_takes_one_time_out(way: Way, backend: str) -> None:
    with World(make_backend=EVERY_BACKEND[backend], options=ONCE) as world:
        error = world.failure(misbehave(world, way))
        assert type(error) is ResolveTimeout
        assert outcomes(error) == [("udp", "truncated"), ("tcp", "timed out")]
        assert world.server.silent()
        assert world.server.connections[0].at_end()


@pytest.mark.parametrize("way", WAYS, ids=named)
def test_another_server_has_the_answer(way: Way) -> None:
    with World(servers=2, options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        world.until(lambda: any(server._readable() for server in world.servers), "a query")
        bad, good = sorted(world.servers, key=lambda server: not server._readable())
        bad.query().answer(flags=CUT)
        way(bad.accept())
        if way in IN_TIME:
            world.pass_time(OPTIONS.timeout)
        good.query().answer(A1)
        answer = world.done(future)
        assert answer.addresses == ["192.0.2.1"]
        assert answer.attempts[-1].server == good.text


FINAL: Final = [refusal, cut_again, the_query, another_question, too_short_a_length]
"""What a server would do again, and so is not asked again after; the others may be the road's doing."""
AGAIN: Final = [way for way in WAYS if way not in FINAL]


@pytest.mark.parametrize("way", FINAL, ids=named)
def test_who_is_beyond_hope_is_not_asked_again(way: Way) -> None:
    with World() as world:
        assert type(world.failure(misbehave(world, way))) is ServerFailure
        assert world.server.silent()


@pytest.mark.parametrize("way", AGAIN, ids=named)
def test_the_same_server_does_better_when_it_is_asked_again(way: Way) -> None:
    with World() as world:
        future = misbehave(world, way)
        world.server.query().answer(A1)
        assert world.done(future).addresses == ["192.0.2.1"]


@pytest.mark.parametrize("way", AGAIN, ids=named)
def test_or_does_not_and_that_is_the_end(way: Way) -> None:
    with World() as world:
        future = misbehave(world, way)
        world.server.query().answer(flags=CUT)
        way(next_connection(world))
        if way in IN_TIME:
            world.pass_time(OPTIONS.timeout)
        error = world.failure(future)
        assert type(error) is (ResolveTimeout if way in IN_TIME else ServerFailure)
        assert [transport for transport, _ in outcomes(error)] == ["udp", "tcp"] * 2
        assert world.server.silent()


def next_connection(world: World) -> Connection:
    """Return the connection on which a question comes: the last one, unless that has ended at either end."""
    last = world.server.connections[-1]
    if last.socket.fileno() < 0:
        return world.server.accept()
    world.settle()
    try:
        return last if last.socket.recv(1, socket.MSG_PEEK) else world.server.accept()
    except ConnectionResetError:
        return world.server.accept()


# What does no harm


def test_the_answer_and_the_end_of_the_connection_at_once() -> None:
    with World(options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        world.server.query().answer(flags=CUT)
        connection = world.server.accept()
        connection.socket.sendall(framed(connection, A1)[1])
        connection.close()
        assert outcomes(world.done(future)) == [("udp", "truncated"), ("tcp", "NOERROR")]
        again = world.resolver.resolve("other.test")  # which needs a connection of its own
        world.server.query().answer(flags=CUT)
        world.server.accept().query().answer(A1)
        assert world.done(again).addresses == ["192.0.2.1"]


def test_the_answer_byte_by_byte_within_the_time_out() -> None:
    with World(options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        world.server.query().answer(flags=CUT)
        connection = world.server.accept()
        _, data = framed(connection, A1)
        for byte in data:
            world.pass_time(OPTIONS.timeout * 0.9 / len(data))
            connection.send_raw(bytes([byte]))
        assert world.done(future).addresses == ["192.0.2.1"]


def test_a_byte_now_and_then_does_not_make_it_wait_longer() -> None:
    with World(options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        world.server.query().answer(flags=CUT)
        connection = world.server.accept()
        _, data = framed(connection, LIE)
        for byte in data[:4]:
            connection.send_raw(bytes([byte]))
            world.pass_time(OPTIONS.timeout / 4)
        assert type(world.failure(future)) is ResolveTimeout


def test_others_replies_before_the_answer() -> None:
    with World(options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        world.server.query().answer(flags=CUT)
        connection = world.server.accept()
        query, data = framed(connection, A1)
        stray = query.reply(LIE)
        stray[1] ^= 1
        connection.send_raw((struct.pack(">H", len(stray)) + stray) * 100 + data)
        assert world.done(future).addresses == ["192.0.2.1"]
        assert world.resolver.tally.dropped == {"number": 100}


def test_others_replies_for_ever_do_not_make_it_wait_longer() -> None:
    with World(options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        world.server.query().answer(flags=CUT)
        connection = world.server.accept()
        stray = connection.query().reply(LIE)
        stray[1] ^= 1
        for _ in range(20):
            connection.send(bytes(stray))
            world.clock.advance(OPTIONS.timeout / 20)
        assert type(world.failure(future)) is ResolveTimeout


def test_the_answer_twice_and_a_question_after_it() -> None:
    with World(options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        world.server.query().answer(flags=CUT)
        connection = world.server.accept()
        connection.send_raw(framed(connection, A1)[1] * 2)
        assert world.done(future).addresses == ["192.0.2.1"]
        again = world.resolver.resolve("other.test")
        world.server.query().answer(flags=CUT)
        connection.query().answer("@ 300 IN A 192.0.2.2")
        assert world.done(again).addresses == ["192.0.2.2"]


def test_a_port_at_which_nobody_listens() -> None:
    with World(options=ONCE) as world:
        world.server.close_tcp()
        future = world.resolver.resolve("www.test")
        query = world.server.query()
        query.answer(flags=CUT)
        error = world.failure(future)
        assert type(error) is ServerFailure
        assert [transport for transport, _ in outcomes(error)] == ["udp", "tcp"]
        assert "refused" in outcomes(error)[1][1]


def test_the_whole_reply_over_udp_after_the_cut_one_is_too_late() -> None:
    with World(options=ONCE) as world:
        future = world.resolver.resolve("www.test")
        query = world.server.query()
        query.answer(flags=CUT)
        query.answer(LIE)
        world.server.accept().query().answer(A1)
        assert world.done(future).addresses == ["192.0.2.1"]


def test_many_that_are_cut_share_one_connection_and_its_end() -> None:
    with World(options=ONCE) as world:
        futures = [world.resolver.resolve(f"{index}.test") for index in range(20)]
        for _ in futures:
            world.server.query().answer(flags=CUT)
        connection = world.server.accept()
        for _ in futures:
            connection.query()
        connection.close()
        assert {type(world.failure(future)) for future in futures} == {ServerFailure}
        assert world.server.silent()
