"""A server that is set up wrongly, is full, or is told to stop more than once."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.http.server.server import Server
from evkit.testing import ManualClock
from http_handlers import Later, echo
from http_server_aids import Site, both_engines, get

# Stopping


def test_stopping_twice_tells_both_and_the_shorter_grace_holds() -> None:
    clock = ManualClock()
    with Site(clock=clock) as site:
        later = Later()
        told: list[str] = []
        site.server.set_gencb(later)
        site.client().send(get())
        site.server.stop(5, lambda: told.append("first"))
        site.server.stop(0.1, lambda: told.append("second"))
        site.settle()
        assert told == []
        clock.advance(0.2)
        site.settle()
        assert sorted(told) == ["first", "second"]
        assert later.closed == later.requests


def test_a_longer_grace_later_changes_nothing() -> None:
    clock = ManualClock()
    with Site(clock=clock) as site:
        later = Later()
        site.server.set_gencb(later)
        site.client().send(get())
        site.server.stop(0.1)
        site.server.stop(5)
        clock.advance(0.2)
        site.settle()
        assert later.closed == later.requests


class TestDrain:
    def test_who_waits_may_ask_once_more(self) -> None:
        clock = ManualClock()
        with Site(clock=clock) as site:
            site.server.set_gencb(echo)
            idle, new, half = site.client(), site.client(), site.client()
            assert idle.ask(get()).get("connection") is None
            half.send(get()[:9])
            told: list[bool] = []
            site.server.stop(None, lambda: told.append(True), drain=5)
            clock.advance(4)
            site.settle()
            for client, sent in ((idle, get()), (new, get()), (half, get()[9:])):
                reply = client.ask(sent)
                assert (reply.status, reply.get("connection")) == (200, "close")
                client.finish()
                assert client.rest() == b""
            assert told == [True]

    def test_who_does_not_is_closed(self) -> None:
        clock = ManualClock()
        with Site(clock=clock) as site:
            site.server.set_gencb(echo)
            idle, new = site.client(), site.client()
            idle.ask(get())
            site.server.stop(None, drain=5)
            clock.advance(4.9)
            assert idle.silence()
            assert new.silence()
            clock.advance(0.2)
            assert idle.rest() == new.rest() == b""
            site.connected(0)

    def test_reply_under_way_is_the_last(self) -> None:
        with Site() as site:
            later = Later()
            site.server.set_gencb(later)
            client = site.client()
            client.send(get() + get())
            site.server.stop(None, drain=5)
            later.requests[0].send_reply(200)
            assert client.reply().get("connection") == "close"
            client.finish()
            assert client.rest() == b""
            assert len(later.requests) == 1

    def test_second_stop_ends_it(self) -> None:
        with Site() as site:
            site.server.set_gencb(echo)
            client = site.client()
            client.ask(get())
            site.server.stop(None, drain=5)
            assert client.silence()
            site.server.stop(None)
            client.finish()
            assert client.rest() == b""
            site.connected(0)

    def test_no_time(self) -> None:
        with Site() as site:
            for wrong in (-1, float("inf"), float("nan")):
                with pytest.raises(ValueError, match="drain must be"):
                    site.server.stop(drain=wrong)
            site.serves()


def test_who_fails_when_told_of_the_end_keeps_nobody_else_from_being_told() -> None:
    with Site() as site:
        later = Later()
        told: list[str] = []

        def fail() -> None:
            raise ValueError("on purpose")

        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        site.server.stop(5, fail)
        site.server.stop(5, lambda: told.append("second"))
        later.requests[0].send_reply(200)
        client.reply()
        client.close()
        site.connected(0)
        assert told == ["second"]
        assert [type(error) for error in site.take_escaped()] == [ValueError]


# Full


def test_a_client_that_is_turned_away_reads_why_though_it_has_asked_already() -> None:
    with Site(max_connections=0) as site, socket.create_connection(site.address) as sock:
        sock.sendall(get())  # before the server accepts: unread bytes make the system reset what is closed
        site.settle()
        with sock.makefile("rb") as stream:
            assert stream.read().startswith(b"HTTP/1.1 503 ")


# Set up wrongly


@pytest.mark.parametrize("options", [{"max_body": -1}, {"max_body": "1M"}, {"max_connections": -1}])
def test_a_server_of_sizes_that_make_no_sense(options: dict[str, Any]) -> None:
    with EventBase() as base, pytest.raises(ValueError, match=next(iter(options))):
        Server(base, **options)


SETTERS: list[Callable[[Server, Any, Any], object]] = [
    lambda server, handler, limit: server.set_cb("/", handler, max_body=limit),
    lambda server, handler, limit: server.set_gencb(handler, max_body=limit),
    lambda server, handler, limit: server.route("/", max_body=limit)(handler),
]


@pytest.mark.parametrize("set_up", SETTERS)
def test_a_handler_that_is_none(set_up: Callable[[Server, Any, Any], object]) -> None:
    with EventBase() as base, pytest.raises(TypeError, match="callable"):
        set_up(Server(base), "a handler's name", None)


@pytest.mark.parametrize("set_up", SETTERS)
@pytest.mark.parametrize("limit", [-1, 1.5, "1M"])
def test_a_routes_limit_that_is_none(set_up: Callable[[Server, Any, Any], object], limit: object) -> None:
    with EventBase() as base, pytest.raises(ValueError, match="max_body"):
        set_up(Server(base), echo, limit)


@both_engines
@pytest.mark.parametrize("fields", [(), ("Connection: close",)])
def test_stop_loses_nothing_of_a_reply_that_its_client_reads_slowly(
    engine: str, fields: tuple[str, ...]
) -> None:
    """The system has taken the reply, the client has not, and something unread waits: closing now would reset."""
    with Site(engine) as site:
        size = 100_000
        site.server.set_gencb(lambda request: request.send_reply(200, bytes(size)))
        client = site.client(receive_buffer=4096)
        client.send(get("/", *fields))
        site.settle()
        client.send(get("/next"))
        site.server.stop()
        site.settle()
        assert len(client.reply().body) == size
        client.close()


@pytest.mark.parametrize("grace", [-1, float("nan"), float("inf")])
def test_a_grace_that_is_no_time_stops_nothing(grace: float) -> None:
    with Site() as site:
        with pytest.raises(ValueError, match="grace must be a number of seconds"):
            site.server.stop(grace)
        assert site.server.listeners
        site.serves()
