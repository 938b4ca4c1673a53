"""A server that is set up wrongly, is full, or is told to stop more than once."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from certificates import Certificates
from evkit.core import BufferEvent, EventBase
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.testing import ManualClock
from http_handlers import Later, echo
from http_server_aids import Client, Reply, ReplyReader, Site, both_engines, get
from patience import PATIENCE

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


class TLSClient:
    """A client that speaks TLS, step by step."""

    def __init__(self, site: Site, client: Client, context: ssl.SSLContext) -> None:
        self.site, self.client = site, client
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self._until_done(self.tls.do_handshake)

    def encrypt(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def reply(self) -> Reply:
        return ReplyReader(lambda: self._until_done(lambda: self.tls.read(1 << 16))).read()

    def _until_done(self, act: Callable[[], Any]) -> Any:
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self.client.send(self.outgoing.read())
                self.site.until(self._take, "bytes from the server")

    def _take(self) -> bool:
        data = self.client.take()
        if data:
            self.incoming.write(data)
        return data is not None


class TestLastLook:
    """What the system has of a request when the server is told to stop."""

    def test_request_that_nobody_has_read_is_answered(self, base: EventBase) -> None:
        with Site(base=base) as site:
            site.server.set_gencb(echo)
            idle, new, half, silent = (site.client() for _ in range(4))
            assert idle.ask(get()).get("connection") is None
            half.send(get()[:9])
            site.connected(4)
            told: list[bool] = []
            for client, sent in ((idle, get()), (new, get()), (half, get()[9:])):
                assert client.socket.send(sent) == len(sent)
            site.server.stop(stopped=lambda: told.append(True))
            for client in (idle, new, half):
                reply = client.reply()
                assert (reply.status, reply.get("connection")) == (200, "close")
            for client in (idle, new, half, silent):
                assert client.rest() == b""
                client.close()
            site.connected(0)
            assert told == [True]

    def test_client_whom_nobody_has_accepted_is_answered(self, base: EventBase) -> None:
        with Site(base=base) as site, socket.create_connection(site.address) as sock:
            site.server.set_gencb(echo)
            sock.sendall(get())
            told: list[bool] = []
            site.server.stop(stopped=lambda: told.append(True))
            site.settle()
            sock.settimeout(PATIENCE)
            assert b"\r\nConnection: close\r\n" in sock.recv(1 << 16)
            assert sock.recv(1) == b""
            sock.close()
            site.connected(0)
            assert told == [True]

    def test_under_tls(self, base: EventBase, certificates: Certificates) -> None:
        with Site(base=base) as site:
            site.server.set_gencb(echo)
            listener = site.server.bind("127.0.0.1", 0, tls=certificates.server())
            raw = site.client(port=listener.port)
            client = TLSClient(site, raw, certificates.client())
            raw.send(client.encrypt(get()))
            assert client.reply().get("connection") is None
            raw.socket.send(client.encrypt(get()))
            site.server.stop()
            assert client.reply().get("connection") == "close"

    def test_client_that_only_begins_is_closed(self) -> None:
        with Site() as site:
            site.server.set_gencb(echo)
            client = site.client()
            client.socket.send(get()[:9])
            site.server.stop()
            assert client.rest() == b""
            client.close()
            assert site.completed == []

    def test_connection_that_is_taken_over_is_left_alone(self) -> None:
        taken: list[BufferEvent] = []

        def take(request: Request) -> None:
            taken.append(request.take_over(101, [("Upgrade", "a")]))

        with Site() as site:
            site.server.set_gencb(take)
            client = site.client()
            client.socket.send(get("/", "Connection: upgrade", "Upgrade: a"))
            site.server.stop()
            site.until(lambda: taken, "the handler")
            assert b" 101 " in (client.take() or b"")
            assert client.silence()
            taken[0].write(b"still here")
            site.settle()
            assert client.take() == b"still here"
            taken[0].close()

    def test_close_waits_for_nothing(self) -> None:
        with Site() as site:
            site.server.set_gencb(echo)
            client = site.client()
            client.socket.send(get())
            with socket.create_connection(site.address) as late:
                late.sendall(get())
                site.server.close()
                assert not site.server.connections
                site.settle()
                assert site.completed == []
                with pytest.raises(ConnectionResetError):
                    late.recv(1)


class TestReplyWhoseHeadIsOut:
    """It has not said that it is the last."""

    @pytest.mark.parametrize("drain", [0.0, 5.0])
    def test_client_may_ask_once_more(self, drain: float) -> None:
        clock = ManualClock()
        with Site(clock=clock) as site:
            later = Later()
            site.server.set_cb("/later", later)
            site.server.set_gencb(echo)
            client = site.client()
            client.send(get("/later"))
            later.requests[0].send_reply_start(200)
            site.server.stop(None, drain=drain)
            clock.advance(3600)
            site.settle()
            later.requests[0].send_reply_end()
            if drain:
                assert client.reply().get("connection") is None
                clock.advance(4.9)
                assert client.silence()
                reply = client.ask(get() * 2)
            else:
                client.socket.send(get() * 2)
                assert client.reply().get("connection") is None
                reply = client.reply()
            assert (reply.status, reply.get("connection")) == (200, "close")
            assert client.rest() == b""
            assert len(site.completed) == 2

    @pytest.mark.parametrize("drain", [0.0, 5.0])
    def test_client_that_does_not_is_closed(self, drain: float) -> None:
        clock = ManualClock()
        with Site(clock=clock) as site:
            later = Later()
            site.server.set_gencb(later)
            client = site.client()
            client.send(get())
            later.requests[0].send_reply_start(200)
            site.server.stop(None, drain=drain)
            later.requests[0].send_reply_end()
            site.settle()
            clock.advance(drain)
            site.settle()
            assert client.reply().status == 200
            for _ in range(3):
                client.send(get())  # too late, for which it must not be reset: that could cost it the reply
            assert client.rest() == b""
            assert len(later.requests) == 1


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
            idle.close()
            new.close()
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
            given: tuple[Any, ...] = (-1, float("inf"), float("nan"), "5", None)
            for wrong in given:
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
