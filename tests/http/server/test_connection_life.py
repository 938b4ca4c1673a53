"""A connection from its first byte to its end: who gets a turn, who hears of the end, and what is left behind."""

import contextlib
import gc
from functools import partial
from pathlib import Path

import pytest

from evkit.core import Buffer, SocketBufferEvent
from evkit.core.flags import EVLOOP_NONBLOCK
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.testing import ManualClock
from http_handlers import MIB, Later, echo, only
from http_server_aids import Site, both_engines, count_descriptors, get, request

_MANY = 50
"""Passes: more than anything here needs, and less than a loop that spins takes."""


def passes(site: Site) -> int:
    """Turn until there is nothing to do, or for `_MANY` passes; return for how many."""
    count = 0

    def on_pass(*_: object) -> None:
        nonlocal count
        count += 1
        if count == _MANY:
            site.base.loopbreak()

    watcher = site.base.check(on_pass)
    site.base.loop(EVLOOP_NONBLOCK)
    watcher.close()
    return count


# Without keep-alive


@both_engines
def test_one_byte_of_a_head_keeps_nobody_busy(engine: str) -> None:
    with Site(engine, clock=ManualClock(), timeouts=Timeouts(keep_alive=0)) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.socket.send(b"G")
        assert passes(site) < _MANY
        reply = client.ask(get("/one")[1:])
        assert (reply.body, reply.get("connection")) == (b"GET /one ", "close")
        assert client.rest() == b""


def test_a_handler_that_takes_its_time_keeps_nobody_busy() -> None:
    with Site(clock=ManualClock(), timeouts=Timeouts(keep_alive=0)) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.socket.send(get())
        assert passes(site) < _MANY
        later.requests[0].send_reply(200, b"late")
        reply = client.reply()
        assert (reply.body, reply.get("connection")) == (b"late", "close")


def test_a_reply_in_pieces_says_that_it_is_the_last_one_too() -> None:
    def pieces(request: Request) -> None:
        request.send_reply_start(200)
        request.send_reply_end()

    with Site(clock=ManualClock(), timeouts=Timeouts(keep_alive=0)) as site:
        site.server.set_gencb(pieces)
        client = site.client()
        assert client.ask(get()).get("connection") == "close"
        assert client.rest() == b""


# Everybody's turn


@both_engines
def test_two_thousand_pipelined_requests_hold_nobody_else_up(engine: str) -> None:
    with Site(engine, clock=ManualClock()) as site:
        served: list[str] = []

        def note(request: Request) -> None:
            served.append(request.target)
            request.send_reply(200)

        site.server.set_gencb(note)
        many, other = site.client(), site.client()
        site.connected(2)
        flood = get("/a") * 2000
        assert many.socket.send(flood) == len(flood)
        other.socket.send(get("/b"))
        site.base.timer(lambda _event, _what: served.append("timer")).add(0)
        site.until(lambda: served.count("/a") == 2000, "all replies")
        assert served.index("timer") < 100
        assert served.index("/b") < 100


def test_a_pipeline_that_never_ends_gets_its_turn_and_no_more() -> None:
    with Site(clock=ManualClock()) as site:
        served = 0

        def count(request: Request) -> None:
            nonlocal served
            served += 1
            request.send_reply(200)

        site.server.set_gencb(count)
        flood = site.client()
        most = 0
        for _ in range(60):
            with contextlib.suppress(BlockingIOError):
                flood.socket.send(get() * 1000)
            flood.take()
            before = served
            site.turn()
            most = max(most, served - before)
        assert 0 < most <= 2 * 32  # what is read in a pass, and what waited from the pass before
        assert served > 1000


# Clients that have ended their side


@pytest.mark.parametrize("left", [b"", b"\r\n", get("/next"), b"GET / HT"])
def test_a_half_closed_client_waits_no_longer_for_its_reply_than_the_time_out(left: bytes) -> None:
    clock = ManualClock()
    with Site(clock=clock, timeouts=Timeouts(write=5)) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get("/first") + left)
        client.finish()
        clock.advance(4.9)
        site.settle()
        assert not later.closed
        clock.advance(0.2)
        site.settle()
        assert later.closed == later.requests
        assert client.rest() == b""


def test_a_half_closed_client_may_read_a_reply_for_longer_than_the_time_out() -> None:
    clock = ManualClock()
    with Site(clock=clock, timeouts=Timeouts(write=5)) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        client.finish()
        (asked,) = later.requests
        asked.send_reply_start(200)
        for _ in range(5):
            asked.send_reply_chunk(b"x")
            clock.advance(4)
            site.settle()
        asked.send_reply_end()
        assert client.reply().body == b"xxxxx"


def test_an_empty_line_after_a_body_is_no_head_that_is_late() -> None:
    clock = ManualClock()
    with Site(clock=clock, timeouts=Timeouts(header=1, keep_alive=60)) as site:
        site.server.set_gencb(echo)
        client = site.client()
        for line in (b"\r", b"\r\n"):
            assert client.ask(request("POST", "/", body=b"x") + line).status == 200
            clock.advance(30)
            assert client.silence()
            client.send(b"\r\n".removeprefix(line))
        clock.advance(61)
        site.settle()
        assert client.rest() == b""  # closed for being idle, without a word


@both_engines
def test_a_half_closed_client_reads_its_last_reply_whole(engine: str) -> None:
    with Site(engine) as site:
        later = Later()
        site.server.set_cb("/later", later)
        site.server.set_cb("/long", lambda request: request.send_reply(200, bytes(300_000)))
        client = site.client(receive_buffer=4096)
        client.send(get("/later") + get("/long"))
        client.finish()
        site.settle()
        later.requests[0].send_reply(200, b"first")
        assert client.reply().body == b"first"
        assert len(client.reply().body) == 300_000
        assert client.rest() == b""
        site.connected(0)


def test_a_client_that_ended_its_side_and_is_never_answered_is_closed_after_the_time_for_writing() -> None:
    clock = ManualClock()
    with Site(clock=clock, timeouts=Timeouts(write=40.0)) as site:
        later = Later()
        site.server.set_gencb(later)
        client = site.client()
        client.send(get())
        client.finish()
        site.settle()
        clock.advance(39.0)
        site.settle()
        assert later.closed == []
        clock.advance(1.5)
        site.settle()
        assert later.closed == later.requests
        assert not site.server.connections
        later.requests[0].send_reply(200, b"to nobody")
        assert client.rest() == b""


@pytest.mark.parametrize("keeps", [False, True])
def test_a_client_that_reads_nothing_and_resets_leaves_no_file_open(tmp_path: Path, keeps: bool) -> None:
    """Without the garbage collector, which a cycle would wait for; and whether the program keeps what is closed."""
    kept: list[object] = []
    path = tmp_path / "large"
    path.write_bytes(bytes(MIB))

    def send_file(request: Request) -> None:
        body = Buffer()
        body.add_file(path.open("rb"))
        if keeps:
            kept.extend((request, only(site), only(site).bev))
        request.send_reply(200, body)

    with Site() as site:
        site.server.set_gencb(send_file)
        before = count_descriptors()
        gc.disable()
        try:
            client = site.client(receive_buffer=4096)
            client.fill(get() * 50, 4 * MIB)
            assert count_descriptors() > before + 2  # both ends and a file at least
            client.reset()
            site.connected(0)
            assert count_descriptors() == before
        finally:
            gc.enable()


# Ends from below


def test_a_handler_may_close_the_buffered_connection() -> None:
    with Site() as site:
        closed: list[Request] = []
        stopped: list[str] = []

        def hang_up(request: Request) -> None:
            request.on_close = closed.append
            only(site).bev.close()

        site.server.set_gencb(hang_up)
        client = site.client()
        client.send(get())
        assert client.rest() == b""
        assert [request.target for request in closed] == ["/"]
        assert not site.server.connections
        site.server.stop(5, lambda: stopped.append("stopped"))
        assert stopped == ["stopped"]


def test_an_exception_in_a_callback_on_the_output_ends_the_connection() -> None:
    with Site() as site:
        closed: list[Request] = []
        stopped: list[str] = []

        def fail(*_: object) -> None:
            raise ValueError("on purpose")

        def handler(request: Request) -> None:
            request.on_close = closed.append
            request.send_reply_start(200)
            output = only(site).bev.output
            site.base.call_soon(output.add_callback, fail)

        site.server.set_gencb(handler)
        client = site.client()
        client.send(get())
        site.settle()
        (connection,) = site.server.connections
        request = connection._exchange.request
        assert request is not None
        with pytest.raises(ValueError, match="on purpose"):
            request.send_reply_chunk(b"a piece")
        site.settle()
        assert len(site.take_escaped()) == 1
        assert closed == [request]
        assert not site.server.connections
        site.server.stop(5, lambda: stopped.append("stopped"))
        assert stopped == ["stopped"]
        client.close()


# Who is to blame


def test_an_exception_in_drained_hits_the_request_that_it_belongs_to_alone() -> None:
    with Site() as site:
        later = Later()

        def fail() -> None:
            raise ValueError("on purpose")

        def pieces(request: Request) -> None:
            request.send_reply_start(200)
            request.send_reply_chunk(bytes(1000), fail)
            request.send_reply_end()

        site.server.set_cb("/pieces", pieces)
        site.server.set_cb("/later", later)
        client = site.client()
        client.send(get("/pieces") + get("/later"))
        assert len(client.reply().body) == 1000
        site.settle()
        assert [type(error) for error in site.take_escaped()] == [ValueError]
        assert later.closed == []
        assert later.requests[0].status == 0
        later.requests[0].send_reply(200, b"unharmed")
        assert client.reply().body == b"unharmed"


@pytest.mark.parametrize("field", ["Connection: keep-alive", "Connection: close"])
def test_drained_is_called_for_the_last_reply_as_for_any(field: str) -> None:
    with Site() as site:
        drained: list[int] = []

        def pieces(request: Request) -> None:
            request.send_reply_start(200)
            request.send_reply_chunk(bytes(1000), lambda: drained.append(1))
            request.send_reply_end()

        site.server.set_gencb(pieces)
        client = site.client()
        assert len(client.ask(get("/", field)).body) == 1000
        site.settle()
        assert drained == [1]


@pytest.mark.parametrize("defer", [False, True])
def test_a_client_that_neither_reads_nor_sends_is_closed_once_its_time_to_read_is_up(defer: bool) -> None:
    """Where callbacks are deferred, one event tells of both time-outs."""
    clock = ManualClock()
    with Site(clock=clock) as site:
        site.server.make_bufferevent = partial(SocketBufferEvent, defer_callbacks=defer)
        site.server.set_gencb(lambda asked: asked.send_reply(200, bytes(16 * MIB)))
        client = site.client(receive_buffer=4096)
        client.send(get())
        site.settle()
        assert only(site).bev.output
        clock.advance(100)
        site.settle()
        assert not site.server.connections


def test_the_time_of_a_body_is_its_own_and_not_that_of_the_body_before() -> None:
    clock, later = ManualClock(), Later()
    with Site(clock=clock, timeouts=Timeouts(body=30.0, body_rate=500.0)) as site:
        site.server.set_gencb(later)
        client = site.client()
        client.send(request("POST", "/1", "Content-Length: 3") + b"a")
        clock.advance(25)
        site.settle()
        client.send(b"bc" + request("POST", "/2", "Content-Length: 3"))
        later.requests[0].send_reply(200)
        site.settle()
        clock.advance(20)
        site.settle()
        client.send(b"abc")
        assert client.reply().status == 200
        later.requests[1].send_reply(201)
        assert client.reply().status == 201


def test_a_body_that_stops_is_408_whatever_its_pace_was() -> None:
    clock = ManualClock()
    with Site(clock=clock, timeouts=Timeouts(body=5.0, body_rate=None)) as site:
        site.server.set_gencb(echo)
        client = site.client()
        client.send(request("POST", "/", "Content-Length: 9"))
        for _ in range(8):  # each byte restarts the time
            clock.advance(4)
            client.send(b"a")
        clock.advance(6)
        reply = client.reply()
        assert (reply.status, b"took too long" in reply.body) == (408, True)
