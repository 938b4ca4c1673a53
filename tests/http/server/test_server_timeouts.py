"""The time-outs of a server, with a clock that the test moves: no test here takes longer than its traffic."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import pytest

from evkit.core import EventBase, SocketBufferEvent
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.server.threaded import in_threads
from evkit.testing import ManualClock
from http_server_aids import Client, Site, both_engines, chunked, get, request
from patience import PATIENCE

MIB = 1 << 20
TIMEOUTS: Final = Timeouts(first_byte=10.0, header=20.0, body=30.0, write=40.0, keep_alive=75.0, linger=2.0)


class Timed:
    """A site whose time stands still but for `wait`."""

    def __init__(self, engine: str = "native", timeouts: Timeouts | None = TIMEOUTS) -> None:
        self.clock = ManualClock()
        self.site = Site(engine, clock=self.clock, timeouts=timeouts)
        self.server = self.site.server

    def __enter__(self) -> "Timed":
        return self

    def __exit__(self, *arguments: object) -> None:
        self.site.__exit__(*arguments)  # type: ignore[arg-type]  # passed on as they came

    def wait(self, seconds: float) -> None:
        """Let the time pass, in steps, with the server at work."""
        self.site.settle()
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.site.settle()
        self.clock.advance(seconds % 1.0)
        self.site.settle()

    def client(self, *, receive_buffer: int | None = None) -> Client:
        return self.site.client(receive_buffer=receive_buffer)

    @property
    def clients(self) -> int:
        """How many the server has."""
        return len(self.server.connections)


def echo(request: Request) -> None:
    request.send_reply(200, request.body)


def test_the_defaults_are_on() -> None:
    with EventBase() as base:
        timeouts = Server(base).timeouts
    assert None not in (
        timeouts.first_byte,
        timeouts.header,
        timeouts.body,
        timeouts.write,
        timeouts.write_rate,
        timeouts.keep_alive,
        timeouts.linger,
    )
    assert timeouts.keep_alive is not None
    assert (
        timeouts.keep_alive > 60
    )  # proxies drop idle connections after that, and should be the ones to do so


def test_they_may_be_replaced() -> None:
    with Timed() as timed:
        before = timed.client()
        timed.server.timeouts = replace(TIMEOUTS, first_byte=3.0)
        after = timed.client()
        timed.wait(3.1)
        assert timed.clients == 1
        assert after.rest() == b""
        assert before.silence()
        wrong: Any = 5
        with pytest.raises(TypeError, match=r"^timeouts must be Timeouts"):
            timed.server.timeouts = wrong
        assert timed.server.timeouts.first_byte == 3.0
        timed.server.timeouts = None
        assert timed.server.timeouts == Timeouts()


@both_engines
def test_a_client_that_says_nothing_is_closed_without_a_word(engine: str) -> None:
    with Timed(engine) as timed:
        client = timed.client()
        timed.wait(9.9)
        assert timed.clients == 1
        timed.wait(0.2)
        assert timed.clients == 0
        assert client.rest() == b""


@both_engines
def test_a_head_that_stalls_is_408(engine: str) -> None:
    with Timed(engine) as timed:
        client = timed.client()
        timed.wait(9)
        client.send(b"GET / HTTP/1.1\r\n")
        timed.wait(19.9)
        assert client.silence()
        timed.wait(0.2)
        reply = client.reply()
        assert (reply.status, reply.get("connection")) == (408, "close")
        assert client.rest() == b""
        assert timed.site.refused == [408]


@both_engines
@pytest.mark.parametrize("every", [1, 3])
def test_a_head_that_drips_is_408_after_the_same_time(engine: str, every: int) -> None:
    with Timed(engine) as timed:
        client = timed.client()
        head = get("/", *[f"X: {number}" for number in range(10)])
        for second in range(19):
            if second % every == 0:
                client.send(head[second // every :][:1])
            timed.wait(1)
        assert client.silence()
        timed.wait(1)
        assert client.reply().status == 408


@both_engines
def test_the_head_of_a_later_request_has_its_own_time(engine: str) -> None:
    with Timed(engine) as timed:
        timed.server.set_gencb(echo)
        client = timed.client()
        for _ in range(3):
            client.send(get()[:7])
            timed.wait(19)
            assert client.ask(get()[7:]).status == 200
            timed.wait(60)
        client.send(get()[:7])
        timed.wait(20.1)
        assert client.reply().status == 408


@both_engines
@pytest.mark.parametrize("warm", [False, True])
def test_the_time_for_a_head_holds_although_that_of_an_idle_connection_is_shorter(
    engine: str, warm: bool
) -> None:
    """A pause within a head is no idle connection, which would be closed without a word."""
    with Timed(engine, Timeouts(first_byte=3.0, header=20.0, keep_alive=5.0)) as timed:
        timed.server.set_gencb(echo)
        stalls, resumes = timed.client(), timed.client()
        for client in (stalls, resumes):
            if warm:
                assert client.ask(get()).status == 200
            client.send(get()[:7])
        timed.wait(19.9)
        assert stalls.silence()
        assert resumes.ask(get()[7:]).status == 200
        timed.wait(0.2)
        assert stalls.reply().status == 408
        assert stalls.rest() == b""


@both_engines
def test_the_head_behind_a_pipelined_one_has_its_own_time(engine: str) -> None:
    with Timed(engine) as timed:
        timed.server.set_gencb(echo)
        client = timed.client()
        assert client.ask(get() + get()[:7]).status == 200
        timed.wait(19.9)
        assert client.silence()
        timed.wait(0.2)
        assert client.reply().status == 408


@both_engines
@pytest.mark.parametrize("coding", ["sized", "chunked"])
def test_a_body_that_stalls_is_408(engine: str, coding: str) -> None:
    with Timed(engine) as timed:
        timed.server.set_gencb(echo)
        client = timed.client()
        sent = request("POST", "/", body=b"abc") if coding == "sized" else chunked("POST", "/", b"abc")
        client.send(sent[:-2])
        timed.wait(29.9)
        assert client.silence()
        timed.wait(0.2)
        reply = client.reply()
        assert (reply.status, reply.get("connection")) == (408, "close")
        assert client.rest() == b""


@both_engines
def test_a_body_that_moves_on_may_take_its_time(engine: str) -> None:
    with Timed(engine, replace(TIMEOUTS, body_rate=None)) as timed:
        timed.server.set_gencb(echo)
        client = timed.client()
        client.send(request("POST", "/", "Content-Length: 5"))
        for byte in b"abcde":
            timed.wait(29)
            client.send(bytes([byte]))
        assert client.reply().body == b"abcde"


@both_engines
@pytest.mark.parametrize("stream", [False, True])
def test_a_body_that_trickles_in_is_408(engine: str, stream: bool) -> None:
    """30 s, and one more for each 500 bytes that are waited for."""
    with Timed(engine) as timed:
        timed.server.set_gencb(
            (lambda asked: asked.receive(lambda *_: None, echo)) if stream else echo, stream=stream
        )
        client = timed.client()
        client.send(request("POST", "/", "Content-Length: 100000") + b"ab")
        timed.wait(20)
        client.send(bytes(2500))
        for _ in range(2):
            timed.wait(7)
            client.send(b"x")
            assert client.silence()
        timed.wait(1.5)
        reply = client.reply()
        assert (reply.status, reply.get("connection")) == (408, "close")
        assert b"too slowly" in reply.body


def test_a_body_that_is_paused_has_the_rest_of_its_time_then() -> None:
    asked: list[Request] = []

    def handler(request: Request) -> None:
        asked.append(request)
        request.receive(lambda *_: None, echo)

    with Timed() as timed:
        timed.server.set_gencb(handler, stream=True)
        client = timed.client()
        client.send(request("POST", "/", "Content-Length: 3") + b"a")
        timed.wait(20)
        asked[0].pause()
        timed.wait(100)
        asked[0].resume()
        timed.wait(9)
        client.send(b"bc")
        assert client.reply().status == 200


class TestSlowReaders:
    """Who takes a little now and then, but less than he must. The system's buffer is small, for it is filled first."""

    TIMEOUTS: Final = replace(TIMEOUTS, write=20.0, write_rate=20_000.0)
    TAKEN: Final = 100_000
    """Bytes that are read every ten seconds, which is half as many as there should be."""

    def timed(self) -> Timed:
        timed = Timed(timeouts=self.TIMEOUTS)

        def make(base: EventBase, sock: socket.socket) -> SocketBufferEvent:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            return SocketBufferEvent(base, sock)

        timed.server.make_bufferevent = make
        return timed

    def read(self, timed: Timed, client: Client, size: int) -> bool:
        """Read so much, or to the end; return whether it is the end."""
        left = client.received + size
        while client.received < left:
            timed.site.settle()
            try:
                if client.take() == b"":
                    return True
            except ConnectionResetError:
                return True
        return False

    def read_for(self, timed: Timed, client: Client, seconds: int, every_ten: int) -> int:
        """Read so much every ten seconds; return when the server had enough of that."""
        for second in range(0, seconds, 10):
            timed.wait(10)
            if not timed.clients:
                return second + 10
            self.read(timed, client, every_ten)
        return 0

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    @pytest.mark.parametrize("slow", [False, True])
    def test_of_a_generator(self, version: str, slow: bool) -> None:
        closed: list[bool] = []

        def pieces() -> Iterator[bytes]:
            try:
                while True:
                    yield bytes(65536)
            finally:
                closed.append(True)

        with self.timed() as timed:
            timed.server.set_gencb(lambda asked: asked.send_stream(200, pieces()))
            client = timed.client(receive_buffer=4096)
            client.send(get(version=version))
            after = self.read_for(timed, client, 120, self.TAKEN * (1 if slow else 3))
            # 20 s before the first look, 20 s more, and 5 s for each piece that was read meanwhile
            assert (40 <= after <= 90) if slow else not after
            assert closed == [True] * slow

    def test_of_a_thread(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("evkit.http.server.threaded._LOOK", 0.01)
        left = threading.Event()

        def handler(asked: Request) -> None:
            asked.send_reply_start(200)
            while not asked.gone:
                asked.send_reply_chunk(bytes(65536))
            left.set()

        with ThreadPoolExecutor(1) as pool, self.timed() as timed:
            timed.server.set_gencb(in_threads(handler, pool))
            client = timed.client(receive_buffer=4096)
            client.send(get())
            self.read(timed, client, 1)
            assert self.read_for(timed, client, 120, self.TAKEN)
            assert left.wait(PATIENCE)

    @pytest.mark.parametrize("fields", [(), ("Connection: close",)])
    def test_of_a_reply_that_is_complete(self, fields: tuple[str, ...]) -> None:
        with self.timed() as timed:
            timed.server.set_gencb(lambda asked: asked.send_reply(200, bytes(4 * MIB)))
            client = timed.client(receive_buffer=4096)
            client.send(get("/", *fields))
            assert self.read_for(timed, client, 200, self.TAKEN)
            assert len(timed.site.completed) == 1

    @pytest.mark.parametrize("none", ["write", "write_rate"])
    def test_without_a_limit(self, none: str) -> None:
        with self.timed() as timed:
            timed.server.timeouts = replace(self.TIMEOUTS, **{none: None})
            timed.server.set_gencb(lambda asked: asked.send_reply(200, bytes(4 * MIB)))
            client = timed.client(receive_buffer=4096)
            client.send(get("/", "Connection: close"))
            assert not self.read_for(timed, client, 200, self.TAKEN)


class TestLife:
    def test_reply_after_it_is_the_last(self) -> None:
        with Timed(timeouts=replace(TIMEOUTS, life=100)) as timed:
            timed.server.set_gencb(echo)
            client = timed.client()
            assert client.ask(get()).get("connection") is None
            timed.wait(60)
            assert client.ask(get()).get("connection") is None
            timed.wait(60)
            assert client.ask(get()).get("connection") == "close"
            client.finish()
            assert client.rest() == b""

    def test_number_of_requests(self) -> None:
        with Site(max_requests=3) as site:
            site.server.set_gencb(echo)
            client = site.client()
            client.send(get() * 5)
            assert [client.reply().get("connection") for _ in range(3)] == [None, None, "close"]
            client.finish()
            assert client.rest() == b""
            assert len(site.completed) == 3

    def test_none_is_any_number(self) -> None:
        with Site(max_requests=None, timeouts=replace(TIMEOUTS, life=None)) as site:
            site.server.set_gencb(echo)
            client = site.client()
            for _ in range(20):
                assert client.ask(get()).get("connection") is None


@both_engines
def test_a_streamed_body_that_stalls_is_408(engine: str) -> None:
    with Timed(engine) as timed:
        ends: list[Request] = []
        timed.server.set_gencb(lambda asked: asked.receive(lambda *_: None, ends.append), stream=True)
        client = timed.client()
        client.send(request("POST", "/", "Content-Length: 5") + b"ab")
        timed.wait(30.1)
        assert client.reply().status == 408
        assert client.rest() == b""
        assert ends == []


@both_engines
def test_a_streamed_body_that_stalls_after_the_start_of_the_reply_is_closed(engine: str) -> None:
    with Timed(engine) as timed:
        closed: list[Request] = []

        def handler(asked: Request) -> None:
            asked.on_close = closed.append
            asked.receive(lambda *_: None, lambda *_: None)
            asked.send_reply_start(200, [("Content-Length", "9")])

        timed.server.set_gencb(handler, stream=True)
        client = timed.client()
        client.send(request("POST", "/", "Content-Length: 5") + b"ab")
        timed.wait(30.1)
        assert timed.clients == 0
        assert client.rest().count(b"HTTP/1.1") == 1
        assert len(closed) == 1


@both_engines
def test_an_idle_connection_is_closed_without_a_word(engine: str) -> None:
    with Timed(engine) as timed:
        timed.server.set_gencb(echo)
        client = timed.client()
        for _ in range(3):
            assert client.ask(get()).status == 200
            timed.wait(74.9)
            assert timed.clients == 1
        timed.wait(0.2)
        assert timed.clients == 0
        assert client.rest() == b""


def test_an_idle_connection_after_a_body_has_the_time_of_an_idle_one() -> None:
    with Timed() as timed:
        timed.server.set_gencb(echo)
        client = timed.client()
        client.send(request("POST", "/", "Content-Length: 2") + b"a")
        assert client.ask(b"b").status == 200
        timed.wait(74)
        assert client.ask(get()).status == 200


@both_engines
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("sent", [get(), request("POST", "/", body=b"x")])
def test_a_slow_handler_is_not_timed_out(engine: str, warm: bool, sent: bytes) -> None:
    with Timed(engine) as timed:
        requests: list[Request] = []
        timed.server.set_cb("/", requests.append)
        client = timed.client()
        if warm:
            client.ask(get("/nowhere"))
        client.send(sent)
        timed.wait(500)
        assert client.silence()
        requests[0].send_reply(200, b"at last")
        assert client.reply().body == b"at last"
        timed.wait(74)
        assert timed.clients == 1
        timed.wait(2)
        assert timed.clients == 0


def test_a_handler_that_streams_slowly_is_not_timed_out() -> None:
    with Timed() as timed:
        requests: list[Request] = []
        timed.server.set_cb("/", requests.append)
        client = timed.client()
        client.send(get())
        requests[0].send_reply_start(200)
        for _ in range(5):
            timed.wait(200)
            requests[0].send_reply_chunk(b"x")
        requests[0].send_reply_end()
        assert client.reply().body == b"xxxxx"


def test_a_streaming_handler_that_waits_with_its_receive_is_not_timed_out() -> None:
    with Timed() as timed:
        requests: list[Request] = []
        timed.server.set_gencb(requests.append, stream=True)
        client = timed.client()
        client.send(request("POST", "/", body=b"abc"))
        timed.wait(500)
        requests[0].receive(lambda *_: None, lambda asked: asked.send_reply(200, b"done"))
        assert client.reply().body == b"done"


def test_a_client_that_takes_nothing_of_its_reply_is_closed() -> None:
    with Timed() as timed:
        timed.server.set_gencb(lambda asked: asked.send_reply(200, bytes(16 * MIB)))
        client = timed.client(receive_buffer=4096)
        client.send(get())
        timed.wait(39.9)
        assert timed.clients == 1
        timed.wait(0.2)
        assert timed.clients == 0


def test_a_client_that_takes_nothing_of_a_reply_in_pieces_is_told_of() -> None:
    with Timed() as timed:
        closed: list[Request] = []

        def handler(asked: Request) -> None:
            asked.on_close = closed.append
            asked.send_reply_start(200)
            asked.send_reply_chunk(bytes(16 * MIB))

        timed.server.set_gencb(handler)
        timed.client(receive_buffer=4096).send(get())
        timed.wait(40.1)
        assert timed.clients == 0
        assert len(closed) == 1


def test_the_time_between_two_requests_begins_when_the_reply_is_sent() -> None:
    with Timed() as timed:
        timed.server.set_gencb(lambda asked: asked.send_reply(200, bytes(16 * MIB)))
        client = timed.client(receive_buffer=65536)
        client.send(get())
        (connection,) = timed.server.connections
        seconds = 0
        while connection.bev.output:
            due = client.received + 2 * MIB
            timed.site.until(lambda: client.take() and client.received >= due, "the reply")  # noqa: B023
            if connection.bev.output:
                timed.clock.advance(20)
                seconds += 20
            timed.site.settle()
        assert seconds > 75  # the time of an idle connection was over once
        timed.wait(74)
        assert timed.clients == 1
        timed.wait(2)
        assert timed.clients == 0


def test_a_client_that_reads_slowly_is_served_to_the_end() -> None:
    with Timed() as timed:
        timed.server.set_gencb(
            lambda asked: asked.send_reply(200, bytes(16 * MIB), [("Connection", "close")])
        )
        client = timed.client(receive_buffer=65536)
        client.send(get())
        while timed.clients:
            # A reader that wakes up every half minute: longer in all than any time-out.
            timed.clock.advance(35.0)
            for _ in range(40):
                client.take()
                timed.site.settle()
        client.rest()
        assert client.received > 16 * MIB


@both_engines
def test_a_refused_client_that_sends_on_is_heard_for_a_while(engine: str) -> None:
    with Timed(engine) as timed:
        client = timed.client()
        assert client.ask(b"bad\r\n\r\n").status == 400
        assert client.rest() == b""
        timed.wait(1.9)
        client.send(b"more")
        assert timed.clients == 1
        timed.wait(0.2)
        assert timed.clients == 0


@both_engines
def test_no_second_reply_while_the_last_one_waits_for_its_reader(engine: str) -> None:
    timeouts = Timeouts(header=5.0, body=5.0, write=None)
    with Timed(engine, timeouts) as timed:
        timed.server.set_cb("/", lambda asked: asked.send_reply(403, bytes(200_000)), stream=True)
        uploading, half = timed.client(receive_buffer=4096), timed.client(receive_buffer=4096)
        for connection in timed.server.connections:  # or the kernel would take the whole reply
            assert connection.bev.socket is not None
            connection.bev.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        uploading.send(request("POST", "/", "Content-Length: 10") + b"ab")
        half.send(get() + get()[:5])
        half.finish()
        timed.wait(60)
        assert all(connection.bev.output for connection in timed.server.connections)
        assert uploading.rest().count(b"HTTP/1.1 ") == 1
        assert half.rest().count(b"HTTP/1.1 ") == 1
        uploading.close()
        timed.wait(0)
        assert timed.clients == 0


def test_none_is_for_ever() -> None:
    timeouts = Timeouts(
        first_byte=None, header=None, body=None, write=None, keep_alive=None, linger=None, life=None
    )
    with Timed(timeouts=timeouts) as timed:
        timed.server.set_gencb(echo)
        new, idle, half, body, refused = (timed.client() for _ in range(5))
        idle.ask(get())
        half.send(get()[:5])
        body.send(request("POST", "/", "Content-Length: 2") + b"a")
        refused.ask(b"bad\r\n\r\n")
        timed.wait(0)
        timed.clock.advance(1e6)
        timed.site.settle()
        assert timed.clients == 5
        assert new.ask(get()).status == idle.ask(get()).status == half.ask(get()[5:]).status == 200
        assert body.ask(b"b").body == b"ab"
