"""`SocketBufferEvent` on real sockets: what is read and written when, who hears of it, and what is left behind."""

import errno
import gc
import os
import socket
import struct
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evkit.core.base import EventBase
from evkit.core.buffer.flow import MAX_TURN
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.bufferevent.gate import SUSPEND_BANDWIDTH, SUSPEND_LOOKUP
from evkit.core.event import Event
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    EV_PERSIST,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
    bev_bits,
)
from evkit.errors import ConnectError
from evkit.testing import FakeBase, ManualClock

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
BIG = 4 << 20  # bytes: more than any socket here takes at once
Pair = tuple[socket.socket, socket.socket]


class Ear:
    """Callbacks that note what they hear."""

    def __init__(self, bev: SocketBufferEvent) -> None:
        self.heard: list[str] = []
        self.data = b""
        bev.set_callbacks(self.on_read, self.on_write, self.on_event)

    def on_read(self, bev: BufferEvent) -> None:
        self.data += bev.read()

    def on_write(self, bev: BufferEvent) -> None:
        self.heard.append("write")

    def on_event(self, bev: BufferEvent, what: int) -> None:
        failed = what & BEV_EVENT_ERROR and bev.error is not None
        self.heard.append(bev_bits(what) + (f" {errno.errorcode[bev.error.errno]}" if failed else ""))  # type: ignore[index,union-attr]  # it has both


def each(*acts: Callable[..., object]) -> Callable[..., None]:
    """Make one callback of several."""

    def act(*args: object) -> None:
        for one in acts:
            one(*args)

    return act


def turn(base: EventBase) -> None:
    """Run what can run without waiting."""
    base.loop(EVLOOP_NONBLOCK)


def drain_socket(sock: socket.socket) -> bytes:
    """Take what is there now."""
    data = bytearray()
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except (BlockingIOError, ConnectionResetError):
        pass
    return bytes(data)


def run_until(base: EventBase, done: Callable[[], object]) -> None:
    """Run until something has happened that takes the network stack a moment; fail after ten seconds."""
    late: list[int] = []
    guard = base.timer(lambda _event, _what: late.append(1))
    guard.add(10)
    while not done() and not late:
        base.loop(EVLOOP_ONCE)
    guard.delete()
    assert not late


def reset(sock: socket.socket) -> None:
    """Close with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.fixture
def bev(base: EventBase, pair: Pair) -> Iterator[SocketBufferEvent]:
    """A connection whose peer is ``pair[1]``."""
    bev = SocketBufferEvent(base, pair[0])
    yield bev
    bev.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def tcp(server: socket.socket) -> Iterator[Pair]:
    """A connected pair of TCP sockets."""
    left = socket.create_connection(server.getsockname())
    right, _ = server.accept()
    right.setblocking(False)
    with left, right:
        yield left, right


class TestReading:
    def test_read_callback_gets_what_arrived(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        bev.enable(EV_READ)
        pair[1].send(b"hello")
        turn(base)
        assert ear.data == b"hello"
        assert ear.heard == []

    def test_nothing_is_read_before_enable_nor_after_disable(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        pair[1].send(b"one")
        turn(base)
        assert ear.data == b""
        bev.enable(EV_READ)
        turn(base)
        bev.disable(EV_READ)
        pair[1].send(b"two")
        turn(base)
        assert ear.data == b"one"
        bev.enable(EV_READ)
        turn(base)
        assert ear.data == b"onetwo"

    def test_disable_takes_back_what_is_active_already(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        bev.enable(EV_READ)
        pair[1].send(b"x")
        base.check(lambda _watcher, _timeout: bev.disable(EV_READ))
        turn(base)
        assert ear.data == b""

    def test_callback_waits_for_the_low_mark(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        bev.set_watermark(EV_READ, low=4)
        bev.enable(EV_READ)
        pair[1].send(b"abc")
        turn(base)
        assert ear.data == b""
        assert len(bev.input) == 3
        pair[1].send(b"d")
        turn(base)
        assert ear.data == b"abcd"

    def test_what_is_left_waits_for_more(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        calls: list[int] = []
        bev.set_callbacks(read=lambda bev: calls.append(len(bev.input)))
        bev.enable(EV_READ)
        pair[1].send(b"abc")
        turn(base)
        turn(base)
        assert calls == [3]

    def test_high_mark_bounds_the_input(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.set_watermark(EV_READ, high=5)
        bev.enable(EV_READ)
        pair[1].send(b"0123456789abc")
        turn(base)
        assert bytes(bev.input) == b"01234"
        bev.input.drain(2)
        turn(base)
        assert bytes(bev.input) == b"23456"
        bev.set_watermark(EV_READ)
        turn(base)
        assert bytes(bev.input) == b"23456789abc"

    def test_draining_in_the_callback_goes_on(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        bev.set_watermark(EV_READ, low=2, high=2)
        bev.enable(EV_READ)
        pair[1].send(b"abcdef")
        turn(base)
        assert ear.data == b"abcdef"

    def test_max_single_read_gives_others_their_turn(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.max_single_read = 3
        bev.enable(EV_READ)
        pair[1].send(b"abcdef")
        base.loop(ONE_PASS)
        assert bytes(bev.input) == b"abc"
        base.loop(ONE_PASS)
        assert bytes(bev.input) == b"abcdef"

    def test_suspended_reading_stops_and_resumes(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.suspend(EV_READ, SUSPEND_BANDWIDTH | SUSPEND_LOOKUP)
        pair[1].send(b"x")
        turn(base)
        bev.resume(EV_READ, SUSPEND_BANDWIDTH)
        turn(base)
        assert ear.data == b""
        bev.resume(EV_READ, SUSPEND_LOOKUP)
        turn(base)
        assert ear.data == b"x"


class TestEndOfStream:
    def test_is_told_once_with_reading_disabled(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        enabled: list[int] = []
        heard: list[int] = []
        bev.set_callbacks(
            event=each(lambda bev, what: enabled.append(bev.enabled), lambda bev, what: heard.append(what))
        )
        bev.enable(EV_READ)
        pair[1].shutdown(socket.SHUT_WR)
        turn(base)
        turn(base)
        assert heard == [BEV_EVENT_READING | BEV_EVENT_EOF]
        assert enabled == [EV_WRITE]
        assert bev.error is None

    def test_last_bytes_come_first(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        order: list[bytes | int] = []
        bev.set_callbacks(
            read=lambda bev: order.append(bev.read()), event=lambda _bev, what: order.append(what)
        )
        bev.enable(EV_READ)
        pair[1].send(b"last")
        pair[1].close()
        turn(base)
        assert order == [b"last", BEV_EVENT_READING | BEV_EVENT_EOF]

    def test_writing_goes_on(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.set_callbacks(event=lambda bev, _what: bev.write(b"bye"))
        bev.enable(EV_READ)
        pair[1].shutdown(socket.SHUT_WR)
        turn(base)
        assert pair[1].recv(9) == b"bye"

    def test_shutdown_write_sends_it(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.shutdown_write()
        assert pair[1].recv(1) == b""
        pair[1].send(b"still here")
        turn(base)
        assert ear.data == b"still here"

    def test_shutdown_write_of_what_is_gone_is_harmless(
        self, base: EventBase, bev: SocketBufferEvent
    ) -> None:
        SocketBufferEvent(base).shutdown_write()
        bev.close()
        bev.shutdown_write()
        assert bev.closed


class TestReset:
    def test_while_reading(self, base: EventBase, tcp: Pair) -> None:
        bev = SocketBufferEvent(base, tcp[0])
        ear = Ear(bev)
        bev.enable(EV_READ)
        reset(tcp[1])
        run_until(base, lambda: ear.heard)
        assert ear.heard == ["READING|ERROR ECONNRESET"]
        assert bev.enabled == EV_WRITE
        bev.close()

    def test_while_writing(self, base: EventBase, tcp: Pair) -> None:
        bev = SocketBufferEvent(base, tcp[0])
        ear = Ear(bev)
        bev.write(bytes(BIG * 2))
        turn(base)
        assert bev.output
        reset(tcp[1])
        run_until(base, lambda: ear.heard)
        assert ear.heard in (["WRITING|ERROR ECONNRESET"], ["WRITING|ERROR EPIPE"])
        assert bev.enabled == 0
        turn(base)
        assert len(ear.heard) == 1
        bev.close()

    def test_error_while_sending_at_once(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        ear = Ear(bev)
        pair[1].close()
        bev.write(b"x")
        turn(base)
        assert ear.heard == ["WRITING|ERROR EPIPE"]

    def test_writing_enabled_again_after_an_error_tries_again(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        pair[1].close()
        bev.write(b"x")
        turn(base)
        bev.enable(EV_WRITE)
        turn(base)
        assert ear.heard == ["WRITING|ERROR EPIPE"] * 2

    def test_close_when_drained_after_an_error_closes(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.set_callbacks(event=lambda bev, _what: bev.close_when_drained())
        pair[1].close()
        bev.write(b"x")
        turn(base)
        turn(base)
        assert bev.closed


class TestWriteAtOnce:
    def test_reply_is_there_before_the_next_callback(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        arrived: list[bytes] = []
        bev.set_callbacks(read=lambda bev: bev.write(b"reply"))
        bev.enable(EV_READ)
        pair[1].send(b"x")
        base.check(lambda _watcher, _timeout: base.call_soon(lambda: arrived.append(pair[1].recv(9))))
        base.loop(ONE_PASS)
        assert arrived == [b"reply"]

    @pytest.mark.parametrize("where", ["timer", "descriptor", "call_soon"])
    def test_from_a_foreign_callback(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair, where: str
    ) -> None:
        arrived: list[bytes] = []

        def write(_event: object = None, _what: object = None) -> None:
            bev.write(b"one ")
            bev.write(b"two")
            base.call_soon(lambda: arrived.append(pair[1].recv(9)))

        other, far = socket.socketpair()
        with other, far:
            if where == "timer":
                base.timer(write).add(0)
            elif where == "descriptor":
                base.event(other, EV_WRITE, write).add()
            else:
                base.call_soon(write)
            base.dispatch()
        assert arrived == [b"one two"]

    def test_of_three_others_in_one_callback(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        """All three are sent before the next callback, and so before the next poll."""
        ends = [socket.socketpair() for _ in range(3)]
        others = [SocketBufferEvent(base, near) for near, _ in ends]
        arrived: list[object] = []

        def look() -> None:
            arrived.extend(drain_socket(far) for _, far in ends)

        def tell_all(bev: BufferEvent) -> None:
            data = bev.read()
            for other in others:
                other.write(data)
            base.call_soon(look)

        for _, far in ends:
            far.setblocking(False)
        bev.set_callbacks(read=tell_all)
        bev.enable(EV_READ)
        pair[1].send(b"news")
        base.loop(ONE_PASS)
        assert arrived == [b"news"] * 3
        for other, (_, far) in zip(others, ends, strict=True):
            other.close()
            far.close()

    def test_from_outside_the_loop_before_the_first_poll(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        arrived: list[bytes] = []
        bev.write(b"x")
        base.prepare(lambda _watcher, _timeout: arrived.append(drain_socket(pair[1])))
        base.timer(lambda _event, _what: None).add(60)
        base.loop(EVLOOP_NONBLOCK)
        assert arrived == [b"x"]

    def test_from_a_prepare_watcher_before_the_poll(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        heard: list[bytes] = []
        base.prepare(
            each(lambda watcher, _timeout: watcher.close(), lambda watcher, _timeout: bev.write(b"x"))
        )
        base.event(pair[1], EV_READ, lambda _event, _what: heard.append(pair[1].recv(9))).add(10)
        base.dispatch()  # it would wait ten seconds for what is not sent, and recv would raise
        assert heard == [b"x"]

    def test_from_a_check_watcher(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        heard: list[bytes] = []
        base.check(each(lambda watcher, _timeout: watcher.close(), lambda watcher, _timeout: bev.write(b"x")))
        base.event(pair[1], EV_READ, lambda _event, _what: heard.append(pair[1].recv(9))).add(10)
        base.timer(lambda _event, _what: None).add(0)  # ends the first poll, whose passing the watcher awaits
        base.dispatch()
        assert heard == [b"x"]

    def test_of_one_connection_in_the_callback_of_another(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        near, far = socket.socketpair()
        source = SocketBufferEvent(base, near)
        source.set_callbacks(read=lambda source: bev.output.add_buffer(source.input))
        source.enable(EV_READ)
        with far:
            far.send(b"through")
            turn(base)
        assert pair[1].recv(9) == b"through"
        source.close()

    def test_without_the_kernels_refusal_writing_is_never_waited_for(
        self, fakes: FakeBase, pair: Pair
    ) -> None:
        bev = SocketBufferEvent(fakes.base, pair[0])
        bev.write(b"x")
        turn(fakes.base)
        assert pair[1].recv(9) == b"x"
        assert fakes.backend.changes == []
        bev.close()

    def test_refusal_arms_writing_until_all_is_sent(self, fakes: FakeBase, pair: Pair) -> None:
        fd = pair[0].fileno()
        bev = SocketBufferEvent(fakes.base, pair[0])
        bev.write(bytes(BIG))
        turn(fakes.base)
        assert fakes.backend.wanted[fd] == EV_WRITE
        arrived = 0
        while bev.output:
            arrived += len(drain_socket(pair[1]))
            fakes.backend.ready(fd, EV_WRITE)
            turn(fakes.base)
        assert arrived + len(drain_socket(pair[1])) == BIG
        assert fakes.backend.changes == [(fd, 0, EV_WRITE), (fd, EV_WRITE, 0)]
        bev.close()

    def test_write_while_waiting_tries_nothing_before_there_is_room(
        self, fakes: FakeBase, pair: Pair
    ) -> None:
        bev = SocketBufferEvent(fakes.base, pair[0])
        bev.write(bytes(BIG))
        turn(fakes.base)
        drain_socket(pair[1])
        left = len(bev.output)
        bev.write(b"x")
        turn(fakes.base)
        assert len(bev.output) == left + 1
        bev.close()

    @pytest.mark.parametrize("what", ["one piece", "many pieces", "a head and a file"])
    def test_much_gives_way_to_others(self, base: EventBase, tcp: Pair, tmp_path: Path, what: str) -> None:
        """However much the system would take, and over the loopback it takes megabytes."""
        bev = SocketBufferEvent(base, tcp[0])
        path = tmp_path / "file"
        path.write_bytes(bytes(BIG))

        def write() -> None:
            if what == "a head and a file":
                bev.write(b"head")
                bev.output.add_file(path.open("rb"))
                return
            for piece in [bytes(BIG)] if what == "one piece" else [bytes(BIG // 256)] * 256:
                bev.write(piece)

        base.call_soon(write)
        base.loop(ONE_PASS)
        left = BIG + 4 * (what == "a head and a file")
        arrived = -left
        while left:
            assert 0 <= left - len(bev.output) <= MAX_TURN
            left = len(bev.output)
            arrived += len(drain_socket(tcp[1]))
            base.loop(ONE_PASS)
        bev.close()
        tcp[1].setblocking(True)
        while piece := tcp[1].recv(1 << 20):
            arrived += len(piece)
        assert arrived == 0

    def test_all_arrives_in_order(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        sent = bytes(range(256)) * 8192
        arrived = bytearray()

        def on_readable(_event: Event, _what: int) -> None:
            arrived.extend(pair[1].recv(100_000))

        reader = base.event(pair[1], EV_READ | EV_PERSIST, on_readable)
        reader.add()
        bev.write(sent)
        run_until(base, lambda: len(arrived) >= len(sent))
        reader.delete()
        assert arrived == sent
        assert not bev.output

    def test_disabled_writing_waits(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.disable(EV_WRITE)
        bev.write(b"x")
        turn(base)
        assert drain_socket(pair[1]) == b""
        bev.enable(EV_WRITE)
        turn(base)
        assert pair[1].recv(9) == b"x"

    def test_disabled_while_it_waits_for_room(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.write(bytes(BIG))
        turn(base)
        bev.disable(EV_WRITE)
        drain_socket(pair[1])
        turn(base)
        assert drain_socket(pair[1]) == b""
        bev.enable(EV_WRITE)
        turn(base)
        assert drain_socket(pair[1])

    def test_disabled_and_enabled_while_its_turn_to_write_is_queued(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.write(bytes(BIG))
        turn(base)
        drain_socket(pair[1])
        watcher = base.check(
            each(
                lambda _watcher, _timeout: bev.disable(EV_WRITE),
                lambda _watcher, _timeout: bev.enable(EV_WRITE),
            )
        )
        base.loop(ONE_PASS)
        watcher.close()
        total = BIG - len(bev.output)
        while bev.output:
            drain_socket(pair[1])
            base.loop(ONE_PASS)
            assert BIG - len(bev.output) > total  # it moves
            total = BIG - len(bev.output)

    def test_suspended_writing_waits_for_the_last_reason(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.suspend(EV_WRITE, SUSPEND_LOOKUP)
        bev.suspend(EV_WRITE, SUSPEND_BANDWIDTH)
        bev.write(b"x")
        bev.resume(EV_WRITE, SUSPEND_LOOKUP)
        turn(base)
        assert drain_socket(pair[1]) == b""
        bev.resume(EV_WRITE, SUSPEND_BANDWIDTH)
        turn(base)
        assert pair[1].recv(9) == b"x"


class TestWriteCallback:
    def test_follows_the_sending(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        seen: list[tuple[int, bytes]] = []
        bev.set_callbacks(write=lambda bev: seen.append((len(bev.output), drain_socket(pair[1]))))
        bev.write(b"x")
        turn(base)
        assert seen == [(0, b"x")]

    def test_is_not_called_for_an_output_empty_all_along(
        self, base: EventBase, bev: SocketBufferEvent
    ) -> None:
        ear = Ear(bev)
        bev.enable(EV_WRITE)
        turn(base)
        assert ear.heard == []

    def test_low_mark(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        left: list[int] = []
        bev.set_callbacks(write=lambda bev: left.append(len(bev.output)))
        bev.set_watermark(EV_WRITE, low=BIG // 2)
        bev.write(bytes(BIG))
        turn(base)
        assert left == []
        while bev.output:
            drain_socket(pair[1])
            base.loop(ONE_PASS)
        assert left[0] <= BIG // 2
        assert left[0] > 0
        assert left[-1] == 0

    def test_that_always_writes_more_starves_nobody(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        calls: list[int] = []

        def more(bev: BufferEvent) -> None:
            calls.append(1)
            bev.write(b"x")
            bev.enable(EV_WRITE)

        bev.set_callbacks(write=more)
        bev.write(b"x")
        for passes in (1, 2, 3):
            base.loop(ONE_PASS)
            assert len(calls) <= passes + 1
        assert len(calls) >= 2
        assert len(drain_socket(pair[1])) == len(calls)

    @pytest.mark.parametrize("begun", ["in a callback", "outside the loop"])
    def test_of_two_that_write_to_each_other_for_ever_starve_nobody(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair, begun: str
    ) -> None:
        """Their peers take all, so that no full socket ever ends it."""
        near, far = socket.socketpair()
        third_near, third_far = socket.socketpair()
        far.setblocking(False)
        other, third = SocketBufferEvent(base, near), SocketBufferEvent(base, third_near)
        calls: list[int] = []
        ticks: list[int] = []

        def hand_over(to: SocketBufferEvent, peer: socket.socket) -> None:
            calls.append(1)
            drain_socket(peer)
            if len(calls) < 10_000:  # or this test would not end where it should fail
                to.write(b"x")

        bev.set_callbacks(write=lambda _bev: hand_over(other, pair[1]))
        other.set_callbacks(write=lambda _bev: hand_over(bev, far))
        third.set_callbacks(read=lambda third: third.output.add_buffer(third.input))
        third.enable(EV_READ)
        base.timer(lambda _event, _what: ticks.append(len(calls))).add(0)
        if begun == "in a callback":
            base.call_soon(bev.write, b"x")
        else:
            bev.write(b"x")
        with far, third_far:
            third_far.send(b"echo")
            for _ in range(3):
                base.loop(ONE_PASS)
            assert third_far.recv(9) == b"echo"
            assert ticks
            assert ticks[0] <= 4  # a turn or two of each
            assert 3 <= len(calls) <= 30
            done = len(calls)
            base.loop(ONE_PASS)
            assert len(calls) > done
            other.close()
            third.close()

    def test_interrupt_leaves_the_connection_in_order(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        def interrupt(_bev: BufferEvent) -> None:
            raise KeyboardInterrupt

        bev.set_callbacks(write=interrupt)
        bev.write(b"one ")
        with pytest.raises(KeyboardInterrupt):
            turn(base)
        bev.set_callbacks()
        bev.write(b"two")
        turn(base)
        assert pair[1].recv(9) == b"one two"


class TestFiles:
    def make(self, tmp_path: Path, size: int) -> Path:
        path = tmp_path / "file"
        path.write_bytes(os.urandom(size))
        return path

    def test_larger_than_the_sockets_buffer_between_other_bytes(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair, tmp_path: Path
    ) -> None:
        path = self.make(tmp_path, BIG)
        bev.write(b"head")
        bev.output.add_file(path.open("rb"))
        bev.write(b"tail")
        arrived = bytearray()
        turn(base)
        while bev.output:
            arrived += drain_socket(pair[1])
            turn(base)
        arrived += drain_socket(pair[1])
        assert arrived == b"head" + path.read_bytes() + b"tail"

    def test_small_one_leaves_at_once_with_its_head(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair, tmp_path: Path
    ) -> None:
        path = self.make(tmp_path, 100)
        arrived: list[bytes] = []

        def reply() -> None:
            bev.write(b"head")
            bev.output.add_file(path.open("rb"))

        base.call_soon(reply)
        base.call_soon(lambda: arrived.append(pair[1].recv(999)))
        base.loop(ONE_PASS)
        assert arrived == [b"head" + path.read_bytes()]

    def test_that_shrinks_meanwhile_is_an_error_of_this_connection(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair, tmp_path: Path
    ) -> None:
        ear = Ear(bev)
        path = self.make(tmp_path, BIG)
        bev.output.add_file(path.open("rb"))
        turn(base)
        os.truncate(path, 0)
        drain_socket(pair[1])
        run_until(base, lambda: ear.heard)
        assert ear.heard == ["WRITING|ERROR EIO"]
        assert not bev.enabled & EV_WRITE

    def test_closing_closes_it(
        self, open_descriptors: None, base: EventBase, bev: SocketBufferEvent, tmp_path: Path
    ) -> None:
        bev.output.add_file(self.make(tmp_path, BIG).open("rb"))
        turn(base)
        assert bev.output
        bev.close()  # and the descriptor is gone, though the fixture still holds the connection
        assert not bev.output


class TestTimeouts:
    def connect(self, base: EventBase, pair: Pair) -> tuple[SocketBufferEvent, Ear]:
        bev = SocketBufferEvent(base, pair[0])
        return bev, Ear(bev)

    def test_read(self, manual_base: EventBase, clock: ManualClock, pair: Pair) -> None:
        bev, ear = self.connect(manual_base, pair)
        bev.set_timeouts(read=5)
        bev.enable(EV_READ)
        clock.advance(4.9)
        turn(manual_base)
        assert ear.heard == []
        clock.advance(0.1)
        turn(manual_base)
        assert ear.heard == [bev_bits(BEV_EVENT_READING | BEV_EVENT_TIMEOUT)]
        assert bev.enabled == EV_WRITE
        clock.advance(60)
        turn(manual_base)
        assert len(ear.heard) == 1
        bev.close()

    def test_read_restarts_with_data(self, manual_base: EventBase, clock: ManualClock, pair: Pair) -> None:
        bev, ear = self.connect(manual_base, pair)
        bev.set_timeouts(read=5)
        bev.enable(EV_READ)
        for _ in range(3):
            clock.advance(4)
            pair[1].send(b"x")
            turn(manual_base)
        assert (ear.data, ear.heard) == (b"xxx", [])
        clock.advance(5)
        turn(manual_base)
        assert ear.heard == ["READING|TIMEOUT"]
        bev.close()

    def test_read_pauses_while_reading_is_held_back(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev, ear = self.connect(manual_base, pair)
        bev.set_timeouts(read=5)
        bev.enable(EV_READ)
        bev.suspend(EV_READ, SUSPEND_LOOKUP)
        clock.advance(60)
        turn(manual_base)
        assert ear.heard == []
        bev.resume(EV_READ, SUSPEND_LOOKUP)
        clock.advance(5)
        turn(manual_base)
        assert ear.heard == ["READING|TIMEOUT"]
        bev.close()

    def test_read_set_and_removed_while_enabled(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev, ear = self.connect(manual_base, pair)
        bev.enable(EV_READ)
        bev.set_timeouts(read=5)
        clock.advance(3)
        bev.set_timeouts()
        clock.advance(60)
        turn(manual_base)
        assert ear.heard == []
        bev.set_timeouts(read=1)
        clock.advance(1)
        turn(manual_base)
        assert ear.heard == ["READING|TIMEOUT"]
        bev.close()

    def test_reading_enabled_again_in_the_callback(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev, _ = self.connect(manual_base, pair)
        whats: list[int] = []
        bev.set_callbacks(
            event=each(lambda bev, what: whats.append(what), lambda bev, what: bev.enable(EV_READ))
        )
        bev.set_timeouts(read=5)
        bev.enable(EV_READ)
        for _ in range(3):
            clock.advance(5)
            turn(manual_base)
        assert whats == [BEV_EVENT_READING | BEV_EVENT_TIMEOUT] * 3
        bev.close()

    def test_write_runs_only_while_there_is_something_to_write(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev, ear = self.connect(manual_base, pair)
        bev.set_timeouts(write=5)
        bev.write(b"x")
        turn(manual_base)
        clock.advance(60)
        turn(manual_base)
        assert ear.heard == ["write"]
        bev.write(bytes(BIG))
        turn(manual_base)
        clock.advance(5)
        turn(manual_base)
        assert ear.heard == ["write", "WRITING|TIMEOUT"]
        assert bev.enabled == 0
        bev.close()

    def test_write_restarts_when_the_peer_takes_some(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev, ear = self.connect(manual_base, pair)
        bev.set_timeouts(write=5)
        bev.write(bytes(BIG))
        turn(manual_base)
        for _ in range(3):
            clock.advance(4)
            drain_socket(pair[1])
            turn(manual_base)
        assert ear.heard == []
        assert bev.output
        clock.advance(5)
        turn(manual_base)
        assert ear.heard == ["WRITING|TIMEOUT"]
        bev.close()

    def test_writing_enabled_again_after_it(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev, ear = self.connect(manual_base, pair)
        bev.set_timeouts(write=5)
        bev.write(bytes(BIG))
        turn(manual_base)
        clock.advance(5)
        turn(manual_base)
        left = len(bev.output)
        drain_socket(pair[1])
        bev.enable(EV_WRITE)
        turn(manual_base)
        assert len(bev.output) < left
        assert ear.heard == ["WRITING|TIMEOUT"]
        bev.close()

    def test_connecting(self, manual_base: EventBase, clock: ManualClock) -> None:
        # A listener with a full backlog never answers; connecting is over when the write time-out says so.
        with socket.socket() as full, socket.socket() as filler:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            filler.connect(full.getsockname())
            bev = SocketBufferEvent(manual_base)
            whats: list[int] = []
            bev.set_callbacks(event=lambda _bev, what: whats.append(what))
            bev.set_timeouts(read=1, write=5)
            bev.enable(EV_READ)
            bev.connect(full.getsockname())
            clock.advance(4)
            turn(manual_base)
            assert whats == []
            clock.advance(1)
            turn(manual_base)
            (what,) = whats
            assert what & BEV_EVENT_TIMEOUT
            assert not what & BEV_EVENT_CONNECTED
            bev.close()


class TestConnecting:
    def test_success_is_told_after_the_call(
        self, open_descriptors: None, base: EventBase, server: socket.socket
    ) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect(server.getsockname())
        assert ear.heard == []
        run_until(base, lambda: ear.heard)
        peer, _ = server.accept()
        with peer:
            assert ear.heard == ["CONNECTED"]
            bev.enable(EV_READ)
            bev.write(b"ping")
            turn(base)
            assert peer.recv(9) == b"ping"
            peer.send(b"pong")
            run_until(base, lambda: ear.data)
            assert ear.data == b"pong"
        bev.close()

    @pytest.mark.parametrize("before", ["write first", "connect first"])
    def test_with_data_written_beforehand(self, base: EventBase, server: socket.socket, before: str) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.enable(EV_READ)
        if before == "write first":
            bev.write(b"ping")
            turn(base)  # there is nothing to write to yet
            bev.connect(server.getsockname())
        else:
            bev.connect(server.getsockname())
            bev.write(b"ping")
        run_until(base, lambda: "write" in ear.heard)
        assert ear.heard == ["CONNECTED", "write"]
        peer, _ = server.accept()
        with peer:
            assert peer.recv(9) == b"ping"
        bev.close()

    def test_enabled_directions_hold_from_then_on(self, base: EventBase, server: socket.socket) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.disable(EV_WRITE)
        bev.connect(server.getsockname())
        bev.write(b"ping")
        run_until(base, lambda: ear.heard)
        peer, _ = server.accept()
        peer.setblocking(False)
        with peer:
            turn(base)
            assert drain_socket(peer) == b""
            peer.send(b"pong")
            run_until(base, lambda: ear.data)
        bev.close()

    def test_refused(self, open_descriptors: None, base: EventBase, server: socket.socket) -> None:
        address = server.getsockname()
        server.close()
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.write(b"x")
        bev.connect(address)
        assert ear.heard == []
        run_until(base, lambda: ear.heard)
        assert ear.heard[0] == "ERROR ECONNREFUSED"
        assert isinstance(bev.error, ConnectError)
        bev.close()

    def test_unix(self, base: EventBase, tmp_path: Path) -> None:
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            bev = SocketBufferEvent(base)
            ear = Ear(bev)
            bev.connect(path)
            assert ear.heard == []
            run_until(base, lambda: ear.heard)
            assert ear.heard == ["CONNECTED"]
            bev.close()

    def test_unix_refused_is_told_after_the_call_too(self, base: EventBase, tmp_path: Path) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect(str(tmp_path / "nobody"))
        assert ear.heard == []
        run_until(base, lambda: ear.heard)
        assert ear.heard == ["ERROR ENOENT"]
        bev.close()

    @pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
    def test_ipv6(self, base: EventBase) -> None:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
            bev = SocketBufferEvent(base)
            ear = Ear(bev)
            bev.connect(server.getsockname())
            run_until(base, lambda: ear.heard)
            assert ear.heard == ["CONNECTED"]
            bev.close()

    def test_name_is_refused_and_nothing_begun(self, open_descriptors: None, base: EventBase) -> None:
        bev = SocketBufferEvent(base)
        with pytest.raises(ValueError, match="got 'localhost'"):
            bev.connect(("localhost", 80))
        assert bev.socket is None

    def test_path_too_long_is_an_error_at_once(self, base: EventBase, server: socket.socket) -> None:
        bev = SocketBufferEvent(base)
        with pytest.raises(OSError, match="too long"):
            bev.connect("/" + "x" * 200)
        assert "connecting" not in repr(bev)
        bev.close()

    def test_socket_that_is_connecting_already(self, base: EventBase, server: socket.socket) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(server.getsockname())
        bev = SocketBufferEvent(base, sock)
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.connect(None)
        run_until(base, lambda: ear.heard)
        assert ear.heard == ["CONNECTED"]
        bev.close()

    def test_none_without_a_socket(self, base: EventBase) -> None:
        with pytest.raises(ValueError, match="there is none"):
            SocketBufferEvent(base).connect(None)

    def test_own_socket_bound_beforehand(self, base: EventBase, server: socket.socket) -> None:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        bev = SocketBufferEvent(base, sock)
        ear = Ear(bev)
        bev.connect(server.getsockname())
        run_until(base, lambda: ear.heard)
        peer, address = server.accept()
        peer.close()
        assert address == sock.getsockname()
        bev.close()

    def test_close_meanwhile_is_silent(
        self, open_descriptors: None, base: EventBase, server: socket.socket
    ) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect(server.getsockname())
        bev.close()
        turn(base)
        assert ear.heard == []

    def test_close_after_an_immediate_refusal_is_silent(self, base: EventBase, tmp_path: Path) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect(str(tmp_path / "nobody"))
        bev.close()
        turn(base)
        assert ear.heard == []

    def test_after_close_is_misuse(
        self, open_descriptors: None, base: EventBase, server: socket.socket
    ) -> None:
        bev = SocketBufferEvent(base)
        bev.close()
        with pytest.raises(ValueError, match="closed"):
            bev.connect(server.getsockname())
        assert bev.socket is None


class TestClosing:
    def test_in_the_read_callback(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.set_callbacks(read=each(lambda bev: bev.write(b"lost"), lambda bev: bev.close()))
        bev.enable(EV_READ)
        pair[1].send(b"x")
        turn(base)
        assert bev.closed
        assert pair[1].recv(9) == b""

    def test_in_the_write_callback(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.set_callbacks(write=BufferEvent.close)
        bev.write(b"x")
        turn(base)
        assert drain_socket(pair[1]) == b"x"
        assert bev.closed

    def test_in_the_write_callback_while_more_was_added(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.set_callbacks(write=each(lambda bev: bev.write(b"lost"), lambda bev: bev.close()))
        bev.write(bytes(BIG))
        turn(base)
        while not bev.closed:
            drain_socket(pair[1])
            turn(base)
        assert base.dispatch() is False

    def test_in_the_event_callback(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.set_callbacks(event=lambda bev, _what: bev.close())
        bev.enable(EV_READ)
        pair[1].close()
        turn(base)
        assert bev.closed

    def test_in_the_event_callback_of_a_connect(self, base: EventBase, server: socket.socket) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.set_callbacks(write=ear.on_write, event=lambda bev, _what: bev.close())
        bev.write(b"lost")
        bev.connect(server.getsockname())
        run_until(base, lambda: bev.closed)
        assert ear.heard == []

    def test_in_the_event_callback_of_a_write_error(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.set_callbacks(event=lambda bev, _what: bev.close())
        pair[1].close()
        bev.write(b"x")
        turn(base)
        assert bev.closed

    def test_by_another_connection_that_runs_first(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        near, far = socket.socketpair()
        other = SocketBufferEvent(base, near)
        both = (bev, other)
        for one, two in (both, both[::-1]):
            one.set_callbacks(read=lambda _bev, two=two: two.close())  # type: ignore[misc]  # bound at once
            one.enable(EV_READ)
        with far:
            far.send(b"x")
            pair[1].send(b"x")
            turn(base)
        assert [one.closed for one in both].count(True) == 1
        other.close()

    def test_in_a_callback_of_the_output_buffer(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.output.add_callback(lambda _buffer, info: bev.close() if info.deleted else None)
        bev.write(b"x")
        turn(base)
        assert bev.closed
        assert drain_socket(pair[1]) == b"x"

    @pytest.mark.parametrize("defer", [False, True])
    def test_leaves_no_descriptor_event_or_reference(
        self, open_descriptors: None, base: EventBase, *, defer: bool
    ) -> None:
        class Watched(SocketBufferEvent):
            __slots__ = ("__weakref__",)

        near, far = socket.socketpair()
        gc.collect()
        gc.disable()
        try:
            bev = Watched(base, near, defer_callbacks=defer)
            bev.set_timeouts(read=5, write=5)
            bev.set_watermark(EV_READ, high=100)
            bev.set_callbacks(read=partial(print, bev), event=partial(print, bev))
            bev.enable(EV_READ)
            bev.write(bytes(BIG))
            far.send(b"x")
            turn(base)
            bev.close()
            gone = weakref.ref(bev)
            del bev
            turn(base)
            assert gone() is None  # though the collector is off
        finally:
            gc.enable()
        far.close()
        assert base.dispatch() is False


class TestCloseWhenDrained:
    def test_sends_all_then_closes(
        self, open_descriptors: None, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.write(bytes(BIG))
        bev.close_when_drained()
        arrived = 0
        while not bev.closed:
            turn(base)
            arrived += len(drain_socket(pair[1]))
        assert arrived + len(drain_socket(pair[1])) == BIG
        assert pair[1].recv(1) == b""

    def test_reads_no_more_and_calls_nobody(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.write(bytes(BIG))
        bev.close_when_drained()
        pair[1].send(b"too late")
        while not bev.closed:
            turn(base)
            drain_socket(pair[1])
        assert (ear.data, ear.heard) == (b"", [])

    def test_while_connecting(self, base: EventBase, server: socket.socket) -> None:
        bev = SocketBufferEvent(base)
        bev.connect(server.getsockname())
        bev.write(bytes(BIG))
        bev.close_when_drained()
        run_until(base, lambda: len(bev.output) < BIG)
        peer, _ = server.accept()
        peer.setblocking(False)
        arrived: list[bytes] = []
        with peer:
            reader = base.event(
                peer, EV_READ | EV_PERSIST, lambda _event, _what: arrived.append(peer.recv(1 << 20))
            )
            reader.add()
            run_until(base, lambda: arrived and not arrived[-1])
            reader.delete()
        assert sum(map(len, arrived)) == BIG
        assert bev.closed

    def test_refused_while_connecting(self, base: EventBase, tmp_path: Path) -> None:
        bev = SocketBufferEvent(base)
        bev.connect(str(tmp_path / "nobody"))
        bev.write(b"x")
        bev.close_when_drained()
        run_until(base, lambda: bev.closed)
        assert bev.closed

    def test_peer_that_dies_meanwhile(self, base: EventBase, tcp: Pair) -> None:
        bev = SocketBufferEvent(base, tcp[0])
        bev.write(bytes(BIG * 2))
        bev.close_when_drained()
        assert not bev.closed
        reset(tcp[1])
        run_until(base, lambda: bev.closed)
        assert bev.closed

    def test_peer_that_takes_nothing(self, manual_base: EventBase, clock: ManualClock, pair: Pair) -> None:
        bev = SocketBufferEvent(manual_base, pair[0])
        bev.set_timeouts(write=5)
        bev.write(bytes(BIG))
        bev.close_when_drained()
        turn(manual_base)
        assert not bev.closed
        clock.advance(5)
        turn(manual_base)
        assert bev.closed

    def test_in_the_write_callback(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.set_callbacks(write=each(lambda bev: bev.write(b"bye"), lambda bev: bev.close_when_drained()))
        bev.write(b"good")
        turn(base)
        assert bev.closed
        assert drain_socket(pair[1]) == b"goodbye"


class TestCallbackFails:
    """The handler is told once, with the connection; that is closed, and others live."""

    @pytest.mark.parametrize("which", ["read", "write", "event", "input", "output"])
    def test_in_each_callback(
        self, open_descriptors: None, base: EventBase, bev: SocketBufferEvent, pair: Pair, which: str
    ) -> None:
        escaped: list[tuple[type, object]] = []
        base.exception_handler = lambda exception, source: escaped.append((type(exception), source))

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        if which in ("input", "output"):
            getattr(bev, which).add_callback(
                lambda _buffer, info: fail() if which == "input" or info.deleted else None
            )
        else:
            bev.set_callbacks(**{which: fail})
        near, far = socket.socketpair()
        other = SocketBufferEvent(base, near)
        other_ear = Ear(other)
        other.enable(EV_READ)
        bev.enable(EV_READ)
        far.send(b"alive")
        if which in ("read", "input"):
            pair[1].send(b"x")
        elif which in ("write", "output"):
            bev.write(b"x")
        else:
            pair[1].shutdown(socket.SHUT_WR)
        turn(base)
        assert escaped == [(ZeroDivisionError, bev)]
        assert bev.closed
        assert other_ear.data == b"alive"
        other.close()
        far.close()

    def test_in_the_event_callback_of_a_connect(self, base: EventBase, server: socket.socket) -> None:
        escaped: list[object] = []
        base.exception_handler = lambda _exception, source: escaped.append(source)

        def fail(_bev: BufferEvent, _what: int) -> None:
            raise ZeroDivisionError

        bev = SocketBufferEvent(base)
        bev.set_callbacks(event=fail)
        bev.connect(server.getsockname())
        run_until(base, lambda: escaped)
        assert escaped == [bev]
        assert bev.closed

    def test_system_exit_leaves_the_loop(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        def leave(_bev: BufferEvent) -> None:
            raise SystemExit

        bev.set_callbacks(read=leave)
        bev.enable(EV_READ)
        pair[1].send(b"x")
        with pytest.raises(SystemExit):
            base.dispatch()
        assert not bev.closed


class Link:
    """A connection and its peer, for any sequence of steps; what went in at one end must come out at the other."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        near, self.peer = socket.socketpair()
        self.peer.setblocking(False)
        self.bev = SocketBufferEvent(base, near)
        self.ear = Ear(self.bev)
        self.sent_out = bytearray()
        self.arrived_out = bytearray()
        self.sent_in = bytearray()

    def step(self, name: str, number: int) -> None:
        """Do one thing; ``number`` is an amount or a choice."""
        bev, direction = self.bev, (EV_READ, EV_WRITE)[number % 2]
        reason = (SUSPEND_LOOKUP, SUSPEND_BANDWIDTH)[number // 2 % 2]
        if name == "write":
            data = bytes([number % 251]) * number
            self.sent_out += data
            bev.write(data)
        elif name == "send":
            data = bytes([number % 241]) * min(number, 1999)
            self.sent_in += data[: self.peer.send(data)] if data else b""
        elif name == "drain":
            self.arrived_out += drain_socket(self.peer)
        elif name == "turn":
            self.base.loop(ONE_PASS)
        elif name == "high":
            bev.set_watermark(EV_READ, high=number or None)
        elif name in ("enable", "disable"):
            getattr(bev, name)(direction)
        else:
            getattr(bev, name)(direction, reason)

    def finish(self) -> None:
        """Take every obstacle away and let all arrive; a connection that hangs never does."""
        self.bev.resume(EV_READ | EV_WRITE, SUSPEND_LOOKUP | SUSPEND_BANDWIDTH)
        self.bev.enable(EV_READ | EV_WRITE)
        passes = 0
        while passes < 100 + len(self.sent_in) and not self.complete():  # a high mark may be one byte
            self.base.loop(ONE_PASS)
            self.arrived_out += drain_socket(self.peer)
            passes += 1

    def complete(self) -> bool:
        return len(self.arrived_out) == len(self.sent_out) and len(self.ear.data) == len(self.sent_in)

    def close(self) -> None:
        self.bev.close()
        self.peer.close()


STEPS = ("write", "send", "drain", "turn", "high", "enable", "disable", "suspend", "resume")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 300_000)), max_size=25))
def test_whatever_is_done_all_bytes_arrive_in_order(steps: list[tuple[str, int]]) -> None:
    with EventBase() as base:
        link = Link(base)
        try:
            for name, number in steps:
                link.step(name, number)
            link.finish()
            assert link.arrived_out == link.sent_out
            assert link.ear.data == link.sent_in
            assert not link.bev.output
            assert set(link.ear.heard) <= {"write"}
        finally:
            link.close()


def test_repr_tells_the_state(base: EventBase, server: socket.socket, pair: Pair) -> None:
    bev = SocketBufferEvent(base)
    assert repr(bev) == "<SocketBufferEvent fd=-1 new enabled=WRITE input=0 output=0>"
    bev.connect(server.getsockname())
    assert bev.socket is not None
    fd = bev.socket.fileno()
    assert repr(bev) == f"<SocketBufferEvent fd={fd} connecting enabled=WRITE input=0 output=0>"
    run_until(base, lambda: "open" in repr(bev))
    bev.disable(EV_WRITE)
    bev.enable(EV_READ)
    bev.write(b"abc")
    assert repr(bev) == f"<SocketBufferEvent fd={fd} open enabled=READ input=0 output=3>"
    bev.close()
    assert repr(bev) == "<SocketBufferEvent fd=-1 closed enabled=READ input=0 output=0>"


def test_socket_is_made_non_blocking(base: EventBase) -> None:
    near, far = socket.socketpair()
    with far:
        bev = SocketBufferEvent(base, near)
        assert near.gettimeout() == 0.0
        bev.close()


def test_connecting_goes_on_though_writing_is_disabled(base: EventBase, server: socket.socket) -> None:
    bev = SocketBufferEvent(base)
    ear = Ear(bev)
    bev.connect(server.getsockname())
    bev.disable(EV_WRITE)
    run_until(base, lambda: ear.heard)
    assert ear.heard == ["CONNECTED"]
    bev.write(b"x")
    turn(base)
    assert len(bev.output) == 1
    bev.close()


@pytest.mark.parametrize("error", [BlockingIOError, InterruptedError])
def test_nothing_to_read_after_all_is_no_error(
    base: EventBase, bev: SocketBufferEvent, pair: Pair, error: type[OSError]
) -> None:
    """A descriptor may be reported as ready, and not be: somebody else has read, or a checksum was wrong."""
    ear = Ear(bev)
    bev.enable(EV_READ)
    failures = [error()]
    recv = bev._recv

    def fail_once(size: int) -> bytes:
        if failures:
            raise failures.pop()
        return recv(size)

    bev._recv = fail_once
    pair[1].send(b"x")
    turn(base)
    assert not failures
    assert (ear.data, ear.heard) == (b"x", [])
    assert bev.enabled & EV_READ


@pytest.mark.parametrize("error", [BlockingIOError, InterruptedError])
def test_no_room_after_all_is_no_error(
    base: EventBase, bev: SocketBufferEvent, pair: Pair, error: type[OSError]
) -> None:
    ear = Ear(bev)
    failures = [error()]
    send = bev._send

    def fail_once(sock: socket.socket) -> int:
        if failures:
            raise failures.pop()
        return send(sock)

    bev._send = fail_once  # type: ignore[assignment]
    bev.write(b"x")
    turn(base)
    assert not failures
    assert pair[1].recv(9) == b"x"
    assert ear.heard == ["write"]


def test_a_callback_that_leaves_all_at_the_high_mark_is_not_called_again(
    base: EventBase, bev: SocketBufferEvent, pair: Pair
) -> None:
    """libevent calls it in every pass then."""
    sizes: list[int] = []
    bev.set_callbacks(read=lambda bev: sizes.append(len(bev.input)))
    bev.set_watermark(EV_READ, high=4)
    bev.enable(EV_READ)
    pair[1].send(b"0123456789")
    for _ in range(5):
        base.loop(ONE_PASS)
    assert sizes == [4]
    bev.input.drain(1)
    for _ in range(5):
        base.loop(ONE_PASS)
    assert sizes == [4, 4]


def test_time_out_of_zero_is_no_patience_at_all(base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
    """``None`` is no limit. In libevent it is 0 that means so."""
    ear = Ear(bev)
    bev.set_timeouts(read=0)
    bev.enable(EV_READ)
    run_until(base, lambda: ear.heard)
    assert ear.heard == ["READING|TIMEOUT"]
    assert not bev.enabled & EV_READ
    bev.set_timeouts()
    bev.enable(EV_READ)
    pair[1].send(b"x")
    turn(base)
    assert (ear.data, ear.heard) == (b"x", ["READING|TIMEOUT"])
