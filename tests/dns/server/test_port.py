"""`ServerPort`: where it listens, and how it stops. Clients are real sockets, dnspython among them."""

import errno
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest

from dns_server_aids import ADDRESS, HOST, Kept, Setting, answer, code_of, query
from evkit import EVLOOP_NONBLOCK, EventBase, Listener
from evkit.core.datagram import DatagramEndpoint
from evkit.dns.server import ServerLimits, ServerPort, ServerRequest
from evkit.dns.server import port as port_module
from evkit.testing import ManualClock

Start = Callable[..., Setting]


@pytest.fixture
def start(open_descriptors: None, manual_base: EventBase) -> Iterator[Start]:
    settings: list[Setting] = []

    def make(handler: Callable[[ServerRequest], object] = answer, **limits: Any) -> Setting:
        settings.append(Setting(manual_base, handler, **limits))
        return settings[-1]

    yield make
    for setting in settings:
        setting.close()


class TestListening:
    def test_udp_and_tcp_have_one_port(self, start: Start) -> None:
        setting = start()
        assert setting.port.endpoints[0].port == setting.port.listeners[0].port == setting.number
        assert setting.udp().ask(query()) is not None
        assert len(setting.tcp().ask(query())) == 1

    def test_several_addresses(self, start: Start) -> None:
        setting = start()
        setting.port.listen("127.0.0.2", 0)
        assert [endpoint.address.split(":")[0] for endpoint in setting.port.endpoints] == [HOST, "127.0.0.2"]

    def test_a_port_that_is_taken(self, start: Start) -> None:
        setting = start()
        other = ServerPort(setting.base, answer)
        with pytest.raises(OSError, match="in use"):
            other.listen(HOST, setting.number)
        assert (other.endpoints, other.listeners) == ([], [])
        other.close()

    @pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
    def test_a_port_that_is_taken_for_one_of_them(self, start: Start, kind: socket.SocketKind) -> None:
        setting = start()
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind((HOST, 0))
            if kind == socket.SOCK_STREAM:
                taken.listen()
            with pytest.raises(OSError, match="in use"):
                setting.port.listen(HOST, taken.getsockname()[1])
        assert len(setting.port.endpoints) == 1

    @pytest.mark.parametrize(("failures", "fails"), [(1, False), (8, False), (16, True)])
    def test_any_port_that_is_free_for_both(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, failures: int, fails: bool
    ) -> None:
        bind = Listener.bind
        left = [failures]

        def busy(*args: Any, **options: Any) -> Listener:
            if left[0]:
                left[0] -= 1
                raise OSError(errno.EADDRINUSE, "in use")
            return bind(*args, **options)

        setting = start()
        monkeypatch.setattr(port_module.Listener, "bind", busy)
        if fails:
            with pytest.raises(OSError, match="in use"):
                setting.port.listen(HOST, 0)
        else:
            assert setting.port.listen(HOST, 0) == setting.port.listeners[1].port

    @pytest.mark.parametrize(("host", "port"), [("localhost", 0), (HOST, -1), (HOST, 65536)])
    def test_what_is_no_address(self, start: Start, host: str, port: int) -> None:
        with pytest.raises(ValueError, match="expected"):
            start().port.listen(host, port)

    def test_nothing_stays_open_when_the_backend_refuses(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no room")

        setting = start()
        monkeypatch.setattr(DatagramEndpoint, "set_callbacks", refuse)
        with pytest.raises(OSError, match="no room"):
            setting.port.listen(HOST, 0)
        assert (len(setting.port.endpoints), len(setting.port.listeners)) == (1, 1)

    def test_sockets_and_listeners_of_yours(self, open_descriptors: None, base: EventBase) -> None:
        port = ServerPort(base, answer)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((HOST, 0))
        endpoint = port.add_socket(sock)
        listener = Listener.bind(base, None, (HOST, 0))
        port.add_listener(listener)
        assert port.endpoints == [endpoint]
        assert port.listeners == [listener]
        with socket.socket() as client:
            client.connect((HOST, listener.port))
            client.sendall(b"\0\x21" + query())
            for _ in range(5):
                base.loop(EVLOOP_NONBLOCK)
            client.setblocking(False)
            assert client.recv(512)[2:4] == b"\x12\x34"
        port.close()
        assert listener.closed
        assert sock.fileno() == -1

    def test_two_processes_may_share_a_port(self, open_descriptors: None, base: EventBase) -> None:
        first, second = ServerPort(base, answer), ServerPort(base, answer)
        number = first.listen(HOST, 0, reuseable_port=True)
        assert second.listen(HOST, number, reuseable_port=True) == number
        first.close()
        second.close()

    @pytest.mark.parametrize(("handler", "limits"), [(None, None), (answer, 5)])
    def test_what_makes_no_port(self, base: EventBase, handler: Any, limits: Any) -> None:
        with pytest.raises(TypeError):
            ServerPort(base, handler, limits=limits)

    def test_its_repr(self, start: Start) -> None:
        port = start().port
        assert port.limits == ServerLimits()
        where = f"udp {HOST}:{port.endpoints[0].port}, tcp {HOST}:{port.endpoints[0].port}"
        assert repr(port) == f"<ServerPort open on {where} waiting=0 tcp_connections=0>"
        port.close()
        assert repr(port).startswith("<ServerPort closed")

    def test_it_stays_open_when_nobody_is_left(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        udp, tcp = setting.udp(), setting.tcp()
        udp.ask(query())
        kept.requests[0].respond()
        setting.run(lambda: setting.port.tcp_connections)
        tcp.close()
        setting.run(lambda: not setting.port.tcp_connections)
        udp.ask(query())
        assert len(kept.requests) == 2

    def test_on_nothing(self, base: EventBase) -> None:
        port = ServerPort(base, answer)
        assert repr(port) == "<ServerPort open on nothing waiting=0 tcp_connections=0>"
        port.close()


class TestClosing:
    def test_all_is_closed_and_given_up(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        udp, tcp = setting.udp(), setting.tcp()
        udp.ask(query())
        tcp.send(query())
        setting.run(lambda: len(kept.requests) == 2)
        setting.port.close()
        setting.port.close()
        assert setting.port.closed
        assert sorted(map(id, kept.closed)) == sorted(map(id, kept.requests))
        assert tcp.is_closed()
        assert not kept.requests[0].respond()
        assert udp.take() is None
        assert setting.base.loop() is False  # nothing is left to wait for

    def test_a_closed_port_takes_nothing(self, start: Start) -> None:
        setting = start()
        setting.port.close()
        with pytest.raises(ValueError, match="expected an open ServerPort"):
            setting.port.listen(HOST, 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError, match="expected an open ServerPort"):
                setting.port.add_socket(sock)
            assert sock.fileno() >= 0
        listener = Listener.bind(setting.base, None, (HOST, 0))
        with pytest.raises(ValueError, match="expected an open ServerPort"):
            setting.port.add_listener(listener)
        listener.close()


class TestStopping:
    def test_with_nothing_to_do(self, start: Start) -> None:
        stopped: list[bool] = []
        setting = start()
        setting.port.stop(stopped=lambda: stopped.append(setting.port.closed))
        assert stopped == []  # never from inside the call
        setting.base.loop(EVLOOP_NONBLOCK)
        assert stopped == [True]
        setting.port.stop(stopped=lambda: stopped.append(True))
        setting.base.loop(EVLOOP_NONBLOCK)
        assert stopped == [True, True]

    def test_what_waits_is_answered_first(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        udp, tcp = setting.udp(), setting.tcp()
        udp.ask(query())
        tcp.send(query())
        setting.run(lambda: len(kept.requests) == 2)
        setting.port.stop()
        assert udp.ask(query()) is None
        tcp.send(query())
        setting.base.loop(EVLOOP_NONBLOCK)
        assert len(kept.requests) == 2
        assert not setting.port.closed
        for request in kept.requests:
            assert request.respond()
        assert udp.take() is not None
        tcp.run(lambda: tcp.ended)
        assert len(tcp.messages()) == 1
        tcp.close()
        setting.run(lambda: setting.port.closed)

    def test_a_handler_that_stops_the_port_may_answer(self, start: Start) -> None:
        def handler(request: ServerRequest) -> None:
            setting.port.stop()
            answer(request)

        setting = start(handler)
        reply = setting.udp().ask(query())
        assert reply is not None
        assert code_of(reply) == 0
        assert setting.port.closed

    def test_grace_has_an_end(self, start: Start, clock: ManualClock) -> None:
        kept = Kept()
        stopped: list[bool] = []
        setting = start(kept, reply_timeout=100.0)
        setting.udp().ask(query())
        setting.port.stop(20.0, lambda: stopped.append(True))
        setting.port.stop(5.0)
        setting.port.stop(10.0)
        clock.advance(4.9)
        setting.base.loop(EVLOOP_NONBLOCK)
        assert not setting.port.closed
        clock.advance(0.2)
        setting.base.loop(EVLOOP_NONBLOCK)
        assert setting.port.closed
        assert kept.closed == kept.requests
        assert stopped == [True]

    @pytest.mark.parametrize("transport", ["udp", "tcp"])
    def test_who_is_told_is_told_when_all_is_closed(self, start: Start, transport: str) -> None:
        kept = Kept()
        told: list[tuple[bool, int, bool]] = []

        def stopped() -> None:
            closed = all(endpoint.closed for endpoint in setting.port.endpoints)
            told.append((closed, setting.port.tcp_connections, kept.closed == kept.requests))

        setting = start(kept)
        client = setting.udp() if transport == "udp" else setting.tcp()
        client.send(query())
        setting.run(lambda: kept.requests)
        setting.port.stop(0, stopped)
        setting.run(lambda: setting.port.closed)
        assert told == [(True, 0, True)]

    def test_what_hears_of_the_close_may_close_again(self, start: Start) -> None:
        kept = Kept()
        told: list[bool] = []
        setting = start(kept)
        setting.udp().ask(query())
        kept.requests[0].on_close = lambda request: setting.port.close()
        setting.port.stop(0, lambda: told.append(all(endpoint.closed for endpoint in setting.port.endpoints)))
        setting.run(lambda: setting.port.closed)
        assert told == [True]

    def test_no_grace_at_all(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        setting.udp().ask(query())
        setting.port.stop(0)
        setting.base.loop(EVLOOP_NONBLOCK)
        assert setting.port.closed
        assert kept.closed == kept.requests

    def test_grace_without_an_end(self, start: Start, clock: ManualClock) -> None:
        kept = Kept()
        setting = start(kept, reply_timeout=100.0)
        setting.udp().ask(query())
        setting.port.stop(None)
        clock.advance(99)
        setting.base.loop(EVLOOP_NONBLOCK)
        assert not setting.port.closed
        kept.requests[0].drop()
        assert setting.port.closed

    @pytest.mark.parametrize("grace", [-1.0, float("nan"), float("inf")])
    def test_what_is_no_grace(self, start: Start, grace: float) -> None:
        setting = start()
        with pytest.raises(ValueError, match="grace must be"):
            setting.port.stop(grace)
        assert setting.udp().ask(query()) is not None

    def test_who_is_told_may_raise(self, start: Start) -> None:
        escaped: list[BaseException] = []
        setting = start()
        setting.base.exception_handler = lambda exception, source: escaped.append(exception)
        told: list[bool] = []
        setting.port.stop(stopped=lambda: 1 / 0)
        setting.port.stop(stopped=lambda: told.append(True))
        setting.base.loop(EVLOOP_NONBLOCK)
        assert [type(exception) for exception in escaped] == [ZeroDivisionError]
        assert told == [True]


def test_dnspython_is_served(open_descriptors: None, base: EventBase) -> None:
    port = ServerPort(base, answer)
    number = port.listen(HOST, 0)
    found: list[dns.message.Message] = []

    def ask() -> None:
        message = dns.message.make_query("www.example.org", "A", use_edns=0)
        found.append(dns.query.udp(message, HOST, timeout=10, port=number))
        found.append(dns.query.tcp(message, HOST, timeout=10, port=number))
        base.call_soon_threadsafe(port.close)

    thread = threading.Thread(target=ask)
    thread.start()
    base.dispatch()
    thread.join()
    assert [message.rcode() for message in found] == [dns.rcode.NOERROR] * 2
    assert [str(message.answer[0]) for message in found] == [f"www.example.org. 60 IN A {ADDRESS}"] * 2
