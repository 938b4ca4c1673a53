"""`TcpChannel` on real sockets: many queries on one connection, and clients that are slow, greedy, rude or gone."""

import gc
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import dns.message
import pytest

from dns_server_aids import Kept, Setting, Tcp, answer, code_of, counts, query
from evkit import EVLOOP_NONBLOCK, EventBase
from evkit.core.framed import Framed
from evkit.dns.server import ANSWER, ServerRequest
from evkit.dns.server.tcp import _HIGH, _LINGER, TcpChannel
from evkit.testing import ManualClock

Start = Callable[..., Setting]
IDLE = 10.0


@pytest.fixture
def start(open_descriptors: None, manual_base: EventBase) -> Iterator[Start]:
    """Make a port with a handler; time stands still unless the test moves it."""
    settings: list[Setting] = []

    def make(handler: Callable[[ServerRequest], object] = answer, **limits: Any) -> Setting:
        settings.append(Setting(manual_base, handler, **limits))
        return settings[-1]

    yield make
    for setting in settings:
        setting.close()


def names_of(replies: list[bytes]) -> list[str]:
    return [dns.message.from_wire(reply).question[0].name.to_text().split(".")[0] for reply in replies]


def numbered(count: int) -> list[bytes]:
    return [query(f"n{number}.example.org") for number in range(count)]


def big(request: ServerRequest) -> None:
    """Answer with 32 KiB and a little."""
    request.add_reply(ANSWER, None, "TXT", 60, bytes(32768))
    request.respond()


def choked(setting: Setting) -> Tcp:
    """Connect a client whose replies soon find no room in the system."""
    setting.port.listeners[0].socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    return setting.tcp(room=4096)


class TestQueries:
    def test_one_after_the_other(self, start: Start) -> None:
        client = start().tcp()
        for _ in range(3):
            (reply,) = client.ask(query())
            assert counts(reply)[1] == 1
        assert not client.is_closed()

    def test_many_at_once(self, start: Start) -> None:
        client = start().tcp()
        assert names_of(client.ask(*numbered(150))) == [f"n{number}" for number in range(150)]

    def test_replies_in_the_order_in_which_they_are_known(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        client = setting.tcp()
        client.send(*numbered(3))
        setting.run(lambda: len(kept.requests) == 3)
        assert [request.transport for request in kept.requests] == ["tcp"] * 3
        for index in (2, 0, 1):
            kept.requests[index].respond()
        assert names_of(client.take(3)) == ["n2", "n0", "n1"]

    def test_a_byte_at_a_time(self, start: Start) -> None:
        client = start().tcp()
        data = query()
        for byte in struct.pack(">H", len(data)) + data:
            client.send_raw(bytes((byte,)))
            client.base.loop(EVLOOP_NONBLOCK)
        client.run(lambda: client.data)
        assert len(client.messages()) == 1

    def test_a_reply_of_any_length(self, start: Start) -> None:
        (reply,) = start(big).tcp().ask(query())
        assert len(reply) > 32768

    def test_what_can_not_be_read_is_answered_and_the_next_query_too(self, start: Start) -> None:
        client = start().tcp()
        assert [code_of(reply) for reply in client.ask(query() + b"x", query())] == [1, 0]

    @pytest.mark.parametrize("data", [b"", b"x", b"x" * 11, b"\0\0\x80" + bytes(20)])
    def test_what_no_client_says_ends_the_connection(self, start: Start, data: bytes) -> None:
        setting = start()
        client = setting.tcp()
        client.send(data)
        client.run(client.is_closed)
        assert (client.data, setting.port.tcp_connections) == (b"", 0)
        assert setting.port.statistics.ignored == 1

    def test_a_handler_that_drops(self, start: Start) -> None:
        def handler(request: ServerRequest) -> None:
            if request.question.name.startswith("n0"):
                request.drop()
            else:
                request.respond()

        client = start(handler).tcp()
        client.send(*numbered(2))
        client.run(lambda: client.data)
        assert names_of(client.messages()) == ["n1"]

    def test_a_handler_that_raises(self, start: Start) -> None:
        escaped: list[BaseException] = []

        def handler(request: ServerRequest) -> None:
            raise LookupError

        setting = start(handler)
        setting.base.exception_handler = lambda exception, source: escaped.append(exception)
        client = setting.tcp()
        assert [code_of(reply) for reply in client.ask(query(), query())] == [2, 2]
        assert len(escaped) == 2
        assert not client.is_closed()

    def test_a_handler_that_closes_the_port(self, start: Start) -> None:
        sent: list[bool] = []

        def handler(request: ServerRequest) -> None:
            setting.port.close()
            sent.append(request.respond())

        setting = start(handler)
        client = setting.tcp()
        client.send(*numbered(2))
        client.run(client.is_closed)
        assert sent == [False]

    def test_a_request_that_is_kept_by_a_handler_that_closes_the_port(self, start: Start) -> None:
        kept = Kept()

        def handler(request: ServerRequest) -> None:
            kept(request)
            setting.port.close()

        setting = start(handler)
        client = setting.tcp()
        client.send(*numbered(2))
        client.run(client.is_closed)
        assert (len(kept.requests), len(kept.closed)) == (1, 1)


class TestTime:
    def after(self, setting: Setting, clock: ManualClock, seconds: float) -> None:
        clock.advance(seconds)
        setting.base.loop(EVLOOP_NONBLOCK)

    def arrived(self, setting: Setting) -> Tcp:
        client = setting.tcp()
        setting.run(lambda: setting.port.tcp_connections)
        return client

    def test_a_client_that_says_nothing(self, start: Start, clock: ManualClock) -> None:
        setting = start()
        client = self.arrived(setting)
        self.after(setting, clock, IDLE - 0.1)
        assert not client.is_closed()
        self.after(setting, clock, 0.2)
        assert client.is_closed()

    def test_a_query_restarts_it(self, start: Start, clock: ManualClock) -> None:
        setting = start()
        client = self.arrived(setting)
        for _ in range(3):
            self.after(setting, clock, IDLE - 0.1)
            client.ask(query())
        self.after(setting, clock, IDLE + 0.1)
        assert client.is_closed()

    def test_also_one_that_is_not_answered(self, start: Start, clock: ManualClock) -> None:
        setting = start(lambda request: request.drop())
        client = self.arrived(setting)
        self.after(setting, clock, IDLE - 0.1)
        client.send(query())
        setting.run(lambda: setting.port.statistics.queries)
        self.after(setting, clock, IDLE - 0.1)
        assert not client.is_closed()

    def test_half_a_query_does_not(self, start: Start, clock: ManualClock) -> None:
        setting = start()
        client = self.arrived(setting)
        for _ in range(9):
            client.send_raw(b"\x01")
            self.after(setting, clock, 1.0)
        assert not client.is_closed()
        client.send_raw(b"\x01")
        self.after(setting, clock, 1.1)
        assert client.is_closed()
        assert setting.port.waiting == 0

    def test_while_the_handler_thinks_the_client_may_wait(self, start: Start, clock: ManualClock) -> None:
        kept = Kept()
        setting = start(kept, reply_timeout=100.0)
        client = setting.tcp()
        client.send(query())
        setting.run(lambda: kept.requests)
        for _ in range(9):
            self.after(setting, clock, IDLE)
        assert not client.is_closed()
        kept.requests[0].respond()
        client.run(lambda: client.data)
        self.after(setting, clock, IDLE - 0.1)
        assert not client.is_closed()
        self.after(setting, clock, 0.2)
        assert client.is_closed()

    def test_a_request_that_is_dropped_late(self, start: Start, clock: ManualClock) -> None:
        kept = Kept()
        setting = start(kept, reply_timeout=100.0)
        client = setting.tcp()
        client.send(query())
        setting.run(lambda: kept.requests)
        self.after(setting, clock, IDLE + 0.1)
        kept.requests[0].drop()
        assert not client.is_closed()
        self.after(setting, clock, IDLE + 0.1)
        assert client.is_closed()

    def test_a_late_reply_may_take_its_time(self, start: Start, clock: ManualClock) -> None:
        kept = Kept()
        setting = start(kept, reply_timeout=100.0)
        client = choked(setting)
        client.send(*numbered(10))
        setting.run(lambda: len(kept.requests) == 10)
        self.after(setting, clock, IDLE - 0.1)
        for request in kept.requests:
            request.add_reply(ANSWER, None, "TXT", 60, bytes(32768))
            assert request.respond()
        self.after(setting, clock, IDLE - 0.1)
        assert len(client.take(10)) == 10
        assert setting.port.statistics.replies == 10

    def test_a_handler_that_never_answers(self, start: Start, clock: ManualClock) -> None:
        kept = Kept()
        setting = start(kept, reply_timeout=5.0)
        client = setting.tcp()
        client.send(query())
        setting.run(lambda: kept.requests)
        self.after(setting, clock, 5.1)
        client.run(lambda: client.data)
        assert [code_of(reply) for reply in client.messages()] == [2]
        assert kept.closed == kept.requests

    def test_a_client_that_does_not_take_its_replies(self, start: Start, clock: ManualClock) -> None:
        setting = start(big)
        client = choked(setting)
        client.send(*numbered(30))
        for _ in range(20):
            setting.base.loop(EVLOOP_NONBLOCK)
        answered = setting.port.statistics.queries
        assert answered < 30
        self.after(setting, clock, IDLE + 0.1)
        assert setting.port.tcp_connections == 0
        assert setting.port.statistics.queries == answered


class TestGreed:
    def test_so_many_queries_wait_and_no_more_are_read(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept, max_tcp_waiting=3)
        client = setting.tcp()
        client.send(*numbered(10))
        for _ in range(10):
            setting.base.loop(EVLOOP_NONBLOCK)
        assert len(kept.requests) == 3
        for turn in range(10):
            kept.requests[turn].respond()
            setting.run(lambda turn=turn: len(kept.requests) == min(10, turn + 4))
        assert names_of(client.take(10)) == [f"n{number}" for number in range(10)]

    def test_what_is_dropped_makes_room_too(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept, max_tcp_waiting=1)
        client = setting.tcp()
        client.send(*numbered(3))
        for number in range(3):
            setting.run(lambda number=number: len(kept.requests) == number + 1)
            kept.requests[number].drop()

    def test_replies_that_are_not_taken_stop_reading(self, start: Start) -> None:
        setting = start(big)
        client = choked(setting)
        client.send(*numbered(30))
        for _ in range(20):
            setting.base.loop(EVLOOP_NONBLOCK)
        before = setting.port.statistics.queries
        assert before < 30
        (channel,) = setting.port._door._channels
        assert channel._framed.paused
        assert not channel.idle
        assert channel._framed.bev.output.length < 2 * _HIGH
        assert len(client.take(30)) == 30

    def test_so_many_queries_and_no_more(self, start: Start) -> None:
        setting = start(max_tcp_queries=3)
        client = setting.tcp()
        client.send(*numbered(5))
        client.run(lambda: client.ended)
        assert names_of(client.messages()) == ["n0", "n1", "n2"]
        assert setting.port.tcp_connections == 1  # its side is open yet
        client.close()
        setting.run(lambda: setting.port.tcp_connections == 0)

    def test_who_does_not_end_his_side_is_cut_off(self, start: Start, clock: ManualClock) -> None:
        setting = start(max_tcp_queries=1)
        client = setting.tcp()
        client.send(query())
        client.run(lambda: client.ended)
        client.send(query())
        clock.advance(_LINGER - 0.1)
        setting.base.loop(EVLOOP_NONBLOCK)
        assert setting.port.tcp_connections == 1
        clock.advance(0.2)
        setting.base.loop(EVLOOP_NONBLOCK)
        assert setting.port.tcp_connections == 0
        assert setting.port.statistics.queries == 1

    def test_an_idle_client_is_cut_off_when_the_port_stops(self, start: Start, clock: ManualClock) -> None:
        setting = start()
        client = setting.tcp()
        setting.run(lambda: setting.port.tcp_connections)
        setting.port.stop()
        client.run(lambda: client.ended)
        clock.advance(_LINGER + 0.1)
        setting.run(lambda: setting.port.closed)

    def test_the_last_reply_may_be_taken_slowly(self, start: Start, clock: ManualClock) -> None:
        def handler(request: ServerRequest) -> None:
            request.add_reply(ANSWER, None, "TXT", 60, bytes(65000))
            request.respond()

        setting = start(handler, max_tcp_queries=2)
        client = choked(setting)
        client.send(*numbered(2))
        setting.run(lambda: setting.port.statistics.replies == 2)
        clock.advance(IDLE - 0.1)
        for _ in range(5):
            setting.base.loop(EVLOOP_NONBLOCK)
        assert len(client.take(2)) == 2

    def test_the_last_of_so_many_may_wait(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept, max_tcp_queries=1)
        client = setting.tcp()
        client.send(query())
        setting.run(lambda: kept.requests)
        assert not client.is_closed()
        kept.requests[0].respond()
        client.run(lambda: client.ended)
        assert len(client.messages()) == 1


class TestTheEnd:
    def test_a_client_that_has_said_all_gets_its_replies(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        client = setting.tcp()
        client.send(*numbered(2))
        client.sock.shutdown(socket.SHUT_WR)
        setting.run(lambda: len(kept.requests) == 2)
        assert not client.is_closed()
        for request in kept.requests:
            request.respond()
        client.run(lambda: client.ended)
        assert names_of(client.messages()) == ["n0", "n1"]
        assert setting.port.tcp_connections == 0

    def test_also_one_that_ends_within_a_query(self, start: Start) -> None:
        setting = start()
        client = setting.tcp()
        data = query()
        client.send_raw(struct.pack(">H", len(data)) + data + b"\0")
        client.sock.shutdown(socket.SHUT_WR)
        client.run(lambda: client.ended)
        assert len(client.messages()) == 1
        assert setting.port.tcp_connections == 0

    def test_a_client_that_is_gone(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        client = setting.tcp()
        client.send(*numbered(3))
        setting.run(lambda: len(kept.requests) == 3)
        kept.requests[1].respond()
        client.reset()
        setting.run(lambda: setting.port.tcp_connections == 0)
        assert set(kept.closed) == {kept.requests[0], kept.requests[2]}
        assert setting.port.waiting == 0
        assert not kept.requests[0].respond()

    def test_an_on_close_that_closes_the_port(self, start: Start) -> None:
        def handler(request: ServerRequest) -> None:
            request.on_close = lambda _: setting.port.close()

        setting = start(handler)
        client = setting.tcp()
        client.send(*numbered(3))
        setting.run(lambda: setting.port.waiting == 3)
        client.reset()
        setting.run(lambda: setting.port.closed)
        assert (setting.port.waiting, setting.port.tcp_connections) == (0, 0)

    def test_no_cycle_keeps_what_has_ended(self, start: Start) -> None:
        kept = Kept()
        setting = start(kept)
        clients = [setting.tcp() for _ in range(3)]
        for client in clients:
            client.send(query())
        setting.run(lambda: len(kept.requests) == 3)
        kept.requests[0].respond()
        gc.collect()
        gc.disable()
        try:
            for client in clients:
                client.reset()
            setting.run(lambda: setting.port.tcp_connections == 0)
            kept.requests.clear()
            kept.closed.clear()
            left = [
                thing for thing in gc.get_objects() if isinstance(thing, TcpChannel | Framed | ServerRequest)
            ]
        finally:
            gc.enable()
        assert left == []

    def test_its_repr(self, start: Start) -> None:
        setting = start()
        setting.tcp()
        setting.run(lambda: setting.port.tcp_connections)
        (channel,) = setting.port._door._channels
        assert repr(channel).startswith("<TcpChannel waiting=0 ending=False <SocketBufferEvent")
