"""Rate limits of one connection on real sockets, under a clock that the test moves: how much passes in which tick."""

import gc
import itertools
import os
import socket
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.base import EventBase
from evkit.core.buffer import Buffer, BufferInfo
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.bufferevent.gate import SUSPEND_BANDWIDTH
from evkit.core.event import Event
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.rate_limit import RateLimit
from evkit.testing import ManualClock, base_with_fakes

Pair = tuple[socket.socket, socket.socket]
BOTH = EV_READ | EV_WRITE
ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK


class Scene:
    """A connection, its peer, and the time."""

    def __init__(self, base: EventBase, clock: ManualClock, pair: Pair) -> None:
        self.base = base
        self.clock = clock
        self.peer = pair[1]
        self.bev = SocketBufferEvent(base, pair[0])
        self.bev.enable(EV_READ)

    def run(self, after: float = 0.0) -> None:
        """Let time pass, and then happen what can happen without any."""
        self.clock.advance(after)
        self.base.loop(EVLOOP_NONBLOCK)

    def arrived(self, after: float = 0.0) -> int:
        """Return how many bytes the peer gets."""
        self.run(after)
        return sum(len(piece) for piece in pieces(self.peer))

    def read(self, after: float = 0.0) -> int:
        """Return how many bytes the connection reads."""
        self.run(after)
        return len(self.bev.read())

    def timers(self) -> list[Event]:
        return [event for event in self.base.events() if event.fd == -1]


class Watched(SocketBufferEvent):
    """One whose end can be noticed."""

    __slots__ = ("__weakref__",)


def pieces(sock: socket.socket) -> Iterator[bytes]:
    """Yield what is there now."""
    try:
        while piece := sock.recv(1 << 20):
            yield piece
    except BlockingIOError:
        pass


@pytest.fixture
def scene(manual_base: EventBase, clock: ManualClock, pair: Pair) -> Iterator[Scene]:
    scene = Scene(manual_base, clock, pair)
    yield scene
    scene.bev.close()


class TestReading:
    def test_a_tick_brings_its_rate(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 25))
        scene.peer.send(b"x" * 100)
        assert [scene.read(0.5) for _ in range(6)] == [10, 10, 0, 10, 0, 10]

    def test_silence_is_saved_up_to_the_burst(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 25))
        scene.run(7)
        scene.peer.send(b"x" * 100)
        assert [scene.read(), scene.read(), scene.read(1)] == [25, 0, 10]

    def test_bytes_are_neither_lost_nor_reordered(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(7, 7))
        data = bytes(range(100))
        scene.peer.send(data)
        for _ in range(15):
            scene.run(1)
        assert scene.bev.read() == data

    def test_the_end_of_the_stream_waits_and_is_not_made_up(self, scene: Scene) -> None:
        heard: list[int] = []
        scene.bev.set_callbacks(event=lambda _bev, what: heard.append(what))
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.peer.send(b"x" * 10)
        scene.peer.shutdown(socket.SHUT_WR)
        assert scene.read() == 10
        assert heard == []
        scene.run(1)
        assert heard == [BEV_EVENT_READING | BEV_EVENT_EOF]

    def test_somebody_elses_resume_brings_no_end_of_the_stream(self, scene: Scene) -> None:
        heard: list[int] = []
        scene.bev.set_callbacks(event=lambda _bev, what: heard.append(what))
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.peer.send(b"x" * 100)
        scene.run()
        scene.bev.resume(EV_READ, SUSPEND_BANDWIDTH)
        assert scene.read() == 10
        assert heard == []
        assert scene.read(1) == 10

    def test_an_empty_bucket_is_not_waited_for_at_the_socket(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10, 10, 10))
        scene.bev.decrement_read_limit(10)
        scene.bev.decrement_write_limit(10)
        scene.bev.write(b"x")
        scene.run()
        assert [event for event in scene.base.events() if not event.internal] == scene.timers()

    def test_writing_is_free_unless_limited(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.bev.write(b"x" * 5000)
        assert scene.arrived() == 5000

    def test_the_high_mark_holds_as_well(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 100))
        scene.bev.set_watermark(EV_READ, high=15)
        scene.peer.send(b"x" * 100)
        scene.run()
        scene.run(3)
        assert len(scene.bev.input) == 15
        assert scene.bev.read_limit == 100 - 85 + 10  # 10 at first and 30 since, 15 used
        assert scene.read() + scene.read() == 30

    def test_silence_is_not_counted_while_held_back(self, scene: Scene) -> None:
        heard: list[int] = []
        scene.bev.set_callbacks(event=lambda _bev, what: heard.append(what))
        scene.bev.set_timeouts(read=2)
        scene.bev.set_rate_limit(RateLimit(10, 10, tick=60))
        scene.peer.send(b"x" * 15)
        assert scene.read() == 10
        scene.run(19)
        assert heard == []

    def test_max_single_read_is_no_more_than_the_bucket_and_no_less(self, scene: Scene) -> None:
        scene.bev.max_single_read = 4
        scene.bev.set_rate_limit(RateLimit(10, 10))
        assert scene.bev.max_to_read == 4
        scene.peer.send(b"x" * 100)
        sizes: list[int] = []
        scene.bev.set_callbacks(read=lambda bev: sizes.append(len(bev.read())))
        scene.run()
        assert sizes == [4, 4, 2]


class TestWriting:
    def test_a_tick_takes_its_rate(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(write_rate=10, write_burst=25))
        scene.bev.write(b"x" * 100)
        assert [scene.arrived(0.5) for _ in range(6)] == [10, 10, 0, 10, 0, 10]

    def test_many_pieces_are_cut_in_the_midst(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(write_rate=1500, write_burst=1500))
        for number in range(4):
            scene.bev.write(bytes([number]) * 1100)
        assert [scene.arrived(1) for _ in range(4)] == [1500, 1500, 1400, 0]

    def test_the_write_callback_waits_for_the_last_byte(self, scene: Scene) -> None:
        left: list[int] = []
        scene.bev.set_callbacks(write=lambda bev: left.append(len(bev.output)))
        scene.bev.set_rate_limit(RateLimit(write_rate=10, write_burst=10))
        scene.bev.write(b"x" * 15)
        scene.run()
        assert left == []
        scene.run(1)
        assert left == [0]

    def test_files_keep_to_it(self, scene: Scene, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(bytes(range(250)))
        scene.bev.set_rate_limit(RateLimit(write_rate=100, write_burst=100))
        scene.bev.output.add_file(os.open(path, os.O_RDONLY))
        assert [scene.arrived(1) for _ in range(4)] == [100, 100, 50, 0]

    def test_a_head_and_a_file_share_it(self, scene: Scene, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(bytes(250))
        scene.bev.set_rate_limit(RateLimit(write_rate=100, write_burst=100))
        scene.bev.write(b"head" * 10)
        scene.bev.output.add_file(os.open(path, os.O_RDONLY))
        assert [scene.arrived(1) for _ in range(4)] == [100, 100, 90, 0]

    def test_the_end_of_the_stream_follows_the_last_byte(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(write_rate=10, write_burst=10))
        scene.bev.write(b"x" * 15)
        scene.bev.shutdown_write()
        assert scene.arrived() == 10
        scene.run(1)
        assert scene.peer.recv(9) == b"x" * 5
        assert scene.peer.recv(9) == b""

    def test_close_when_drained_waits_for_it(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(write_rate=10, write_burst=10))
        scene.bev.write(b"x" * 25)
        scene.bev.close_when_drained()
        assert [scene.arrived(), scene.bev.closed] == [10, False]
        assert [scene.arrived(1), scene.bev.closed] == [10, False]
        assert [scene.arrived(1), scene.bev.closed] == [5, True]

    def test_max_single_write_is_what_goes_before_others_have_their_turn(self, scene: Scene) -> None:
        sizes: list[int] = []
        scene.bev.max_single_write = 40
        assert (scene.bev.max_single_write, scene.bev.max_to_write) == (40, 40)
        scene.bev.write(b"x" * 390)
        scene.bev.output.add_callback(lambda _buffer, info: sizes.append(info.deleted))
        scene.base.loop(ONE_PASS)
        assert sizes == [40, 40]  # what was written before the loop ran, and then its pass
        scene.base.loop(ONE_PASS)
        assert sizes == [40, 40, 40]
        assert scene.arrived() == 390
        assert sizes == [40] * 9 + [30]

    def test_the_least_of_the_two_holds(self, scene: Scene) -> None:
        scene.bev.max_single_write = 4
        scene.bev.set_rate_limit(RateLimit(write_rate=10, write_burst=10))
        assert scene.bev.max_to_write == 4
        scene.bev.write(b"x" * 100)
        assert scene.arrived() == 10
        scene.bev.max_single_write = None
        assert scene.arrived(1) == 10
        assert scene.bev.max_single_write is None

    @pytest.mark.parametrize("size", [0, -1])
    def test_at_least_a_byte_at_once(self, scene: Scene, size: int) -> None:
        with pytest.raises(ValueError, match="max_single_write must be >= 1 or None"):
            scene.bev.max_single_write = size
        with pytest.raises(ValueError, match="max_single_read must be >= 1"):
            scene.bev.max_single_read = size

    def test_somebody_elses_resume_sends_nothing(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(write_rate=10, write_burst=10))
        scene.bev.write(b"x" * 15)
        scene.run()
        scene.bev.resume(EV_WRITE, SUSPEND_BANDWIDTH)
        assert scene.arrived() == 10
        assert scene.arrived(1) == 5

    def test_what_a_callback_fails_after_counts(self, scene: Scene) -> None:
        def fail(buffer: Buffer, info: BufferInfo) -> None:
            if info.deleted:
                raise RuntimeError("that callback")

        caught: list[BaseException] = []
        scene.base.exception_handler = lambda exception, _source: caught.append(exception)
        scene.bev.set_rate_limit(RateLimit(write_rate=10, write_burst=10))
        scene.bev.write(b"x" * 4)
        scene.bev.output.add_callback(fail)
        limits = scene.bev._limits
        assert limits is not None
        scene.run()
        assert [str(exception) for exception in caught] == ["that callback"]
        assert limits.level(EV_WRITE) == 6


class TestLevels:
    def test_none_without_a_limit(self, scene: Scene) -> None:
        bev = scene.bev
        assert (bev.rate_limit, bev.rate_limit_group) == (None, None)
        assert (bev.read_limit, bev.write_limit, bev.max_to_write) == (None, None, None)
        assert bev.max_to_read == bev.max_single_read

    def test_they_follow_what_flows(self, scene: Scene) -> None:
        bev = scene.bev
        bev.set_rate_limit(RateLimit(10, 30, 20, 50))
        bev.write(b"x" * 15)
        scene.peer.send(b"x" * 3)
        scene.run()
        assert (bev.read_limit, bev.write_limit) == (7, 5)
        assert (bev.max_to_read, bev.max_to_write) == (7, 5)
        scene.clock.advance(1)
        assert (bev.read_limit, bev.write_limit) == (17, 25)

    def test_a_charge_from_outside_holds_back(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10, 10, 10))
        scene.bev.decrement_read_limit(25)
        scene.bev.decrement_write_limit(15)
        assert (scene.bev.read_limit, scene.bev.write_limit) == (-15, -5)
        assert (scene.bev.max_to_read, scene.bev.max_to_write) == (0, 0)
        scene.bev.write(b"x" * 20)
        scene.peer.send(b"x" * 20)
        assert [(scene.arrived(), scene.read()) for _ in range(2)] == [(0, 0), (0, 0)]
        assert [(scene.arrived(1), scene.read()) for _ in range(4)] == [(5, 0), (10, 5), (5, 10), (0, 5)]

    def test_what_is_given_back_lets_go_at_once(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 30))
        scene.peer.send(b"x" * 100)
        assert scene.read() == 10
        scene.bev.decrement_read_limit(-100)
        assert scene.bev.read_limit == 30
        assert scene.timers() == []
        assert scene.read() == 30

    def test_a_charge_comes_after_what_has_come_in(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.clock.advance(1)
        scene.bev.decrement_read_limit(4)
        assert scene.bev.read_limit == 6

    def test_there_is_nothing_to_charge_without_a_limit(self, scene: Scene) -> None:
        with pytest.raises(ValueError, match="no read limit to decrement"):
            scene.bev.decrement_read_limit(1)
        scene.bev.set_rate_limit(RateLimit(read_rate=10))
        with pytest.raises(ValueError, match="no write limit to decrement"):
            scene.bev.decrement_write_limit(1)
        scene.bev.close()
        with pytest.raises(ValueError, match="no read limit to decrement"):
            scene.bev.decrement_read_limit(1)


class TestChanges:
    def test_taking_it_away_lets_go_at_once(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10, 10, 10))
        scene.peer.send(b"x" * 100)
        scene.bev.write(b"x" * 100)
        assert (scene.arrived(), scene.read()) == (10, 10)
        scene.bev.set_rate_limit(None)
        assert (scene.arrived(), scene.read()) == (90, 90)
        assert scene.timers() == []
        assert scene.bev.rate_limit is None

    def test_an_equal_one_changes_nothing(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.peer.send(b"x" * 100)
        assert scene.read() == 10
        scene.bev.set_rate_limit(RateLimit(10, 10))
        assert scene.read() == 0

    def test_another_goes_on_with_what_is_left(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 100))
        scene.run(9)
        assert scene.bev.read_limit == 100
        scene.bev.set_rate_limit(RateLimit(5, 40))
        assert scene.bev.read_limit == 40
        scene.peer.send(b"x" * 100)
        assert [scene.read(), scene.read(1)] == [40, 5]

    def test_one_for_the_other_direction_frees_this_one(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.peer.send(b"x" * 100)
        assert scene.read() == 10
        scene.bev.set_rate_limit(RateLimit(write_rate=10))
        assert scene.read() == 90

    def test_a_shorter_tick_comes_sooner(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10, tick=100))
        scene.peer.send(b"x" * 100)
        assert scene.read() == 10
        scene.bev.set_rate_limit(RateLimit(10, 10, tick=0.5))
        assert scene.read(0.5) == 10

    def test_it_stays_over_another_socket(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10))
        ours, theirs = socket.socketpair()
        with theirs:
            scene.bev.replacefd(ours)
            theirs.send(b"x" * 100)
            assert [scene.read(), scene.read(), scene.read(1)] == [10, 0, 10]

    def test_it_may_be_there_before_the_socket(self, manual_base: EventBase, clock: ManualClock) -> None:
        ours, theirs = socket.socketpair()
        bev = SocketBufferEvent(manual_base)
        bev.set_rate_limit(RateLimit(write_rate=10))
        bev.write(b"x" * 100)
        bev.setfd(ours)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert theirs.recv(1000) == b"x" * 10
        assert bev.setfd(None) is ours
        clock.advance(1)
        manual_base.loop(EVLOOP_NONBLOCK)
        bev.close()
        ours.close()
        assert theirs.recv(1000) == b""
        theirs.close()

    def test_a_socket_that_is_handed_back_is_let_go(self, scene: Scene) -> None:
        former = scene.bev.setfd(None)
        assert getattr(scene.bev._recv, "__self__", None) is not former

    def test_a_callback_may_take_it_away(self, scene: Scene) -> None:
        scene.bev.set_callbacks(read=lambda _bev: scene.bev.set_rate_limit(None))
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.peer.send(b"x" * 100)
        assert scene.read() == 100

    def test_a_user_who_disables_reading_is_obeyed(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.peer.send(b"x" * 100)
        assert scene.read() == 10
        scene.bev.disable(EV_READ)
        assert scene.read(1) == 0
        scene.bev.enable(EV_READ)
        assert scene.read() == 10

    def test_it_needs_an_open_connection(self, scene: Scene) -> None:
        scene.bev.close()
        with pytest.raises(ValueError, match="closed"):
            scene.bev.set_rate_limit(RateLimit(10))
        with pytest.raises(ValueError, match="closed"):
            scene.bev.max_single_write = 10
        scene.bev.set_rate_limit(None)
        scene.bev.max_single_write = None


class TestTimers:
    def test_none_while_nothing_is_held_back(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10, 10, 10))
        scene.peer.send(b"x" * 9)
        scene.bev.write(b"x" * 9)
        assert (scene.read(), scene.arrived(), scene.timers()) == (9, 9, [])

    def test_one_for_both_directions_until_they_flow_again(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10, 10, 10))
        scene.peer.send(b"x" * 10)
        scene.bev.write(b"x" * 10)
        scene.run(0.25)
        assert [event.deadline for event in scene.timers()] == [1001.0]
        scene.run(0.75)
        assert scene.timers() == []

    def test_a_debt_takes_one_wake_up(self) -> None:
        fakes = base_with_fakes()
        with fakes.base as base:
            bev = SocketBufferEvent(base)
            bev.set_rate_limit(RateLimit(10, 10))
            bev.decrement_read_limit(1000)
            base.dispatch()
            assert fakes.clock.monotonic() == 1100.0
            assert fakes.backend.timeouts == [100.0]
            assert bev.read_limit == 10
            bev.close()

    def test_closing_takes_it_along(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(10, 10))
        scene.bev.decrement_read_limit(10)
        assert len(scene.timers()) == 1
        scene.bev.close()
        assert scene.timers() == []

    def test_none_comes_after_the_end(self, scene: Scene) -> None:
        scene.bev.set_rate_limit(RateLimit(write_rate=10))
        scene.bev.write(b"x" * 100)
        scene.bev.output.add_callback(lambda _buffer, _info: scene.bev.close())
        scene.run()
        assert (scene.bev.closed, scene.timers()) == (True, [])

    def test_it_has_the_priority_of_the_connection(self) -> None:
        base = base_with_fakes().base
        with base:
            base.priority_init(3)
            early, late = SocketBufferEvent(base), SocketBufferEvent(base)
            early.set_priority(0)
            for bev in (early, late):
                bev.set_rate_limit(RateLimit(10, 10))
                bev.decrement_read_limit(10)
            late.set_priority(2)
            assert sorted(event.priority for event in base.events() if event.fd == -1) == [0, 2]
            early.close()
            late.close()

    @pytest.mark.parametrize("before", [False, True])
    def test_a_closed_connection_is_freed_without_the_collector(self, scene: Scene, before: bool) -> None:
        ours, theirs = socket.socketpair()
        bev = Watched(scene.base, ours)
        bev.set_rate_limit(RateLimit(write_rate=10))
        bev.write(b"x" * 100)
        scene.run()
        gone = weakref.ref(bev)
        gc.disable()
        try:
            if before:
                bev.set_rate_limit(None)
                scene.run()  # it stood in the outbox
            bev.close()
            del bev
            assert gone() is None
        finally:
            gc.enable()
            theirs.close()

    def test_the_plain_road_is_back_when_nothing_is_limited(self, scene: Scene) -> None:
        plain = (scene.bev._recv, scene.bev._send)
        scene.bev.set_rate_limit(RateLimit(10))
        scene.bev.max_single_write = 10
        scene.bev.set_rate_limit(None)
        assert scene.bev._send != plain[1]
        scene.bev.max_single_write = None
        assert (scene.bev._recv, scene.bev._send) == plain


class TestThroughput:
    def test_ticks_of_a_long_stream(self, manual_base: EventBase, clock: ManualClock, pair: Pair) -> None:
        """Two connections, each limited by half: the slower direction sets the pace, to the byte."""
        sender, receiver = SocketBufferEvent(manual_base, pair[0]), SocketBufferEvent(manual_base, pair[1])
        counts: list[int] = []

        def count(bev: BufferEvent) -> None:
            counts[-1] += len(bev.read())

        receiver.set_callbacks(read=count)
        receiver.enable(EV_READ)
        sender.set_rate_limit(RateLimit(write_rate=10_000, write_burst=30_000, tick=0.1))
        receiver.set_rate_limit(RateLimit(read_rate=7_000, read_burst=7_000, tick=0.1))
        sender.write(bytes(100_000))
        for _ in range(15):
            counts.append(0)
            manual_base.loop(EVLOOP_NONBLOCK)
            clock.advance(0.1)
        assert counts == [7_000] * 14 + [2_000]
        sender.close()
        receiver.close()

    @given(
        st.integers(1, 60),
        st.integers(0, 100),
        st.sampled_from([0.001, 0.25, 1.0, 3.0]),
        st.lists(
            st.tuples(st.floats(0, 3), st.integers(0, 120), st.integers(0, 120), st.booleans()),
            min_size=1,
            max_size=12,
        ),
    )
    def test_no_window_passes_more_than_burst_and_rate(
        self, rate: int, extra: int, tick: float, steps: list[tuple[float, int, int, bool]]
    ) -> None:
        clock = ManualClock()
        limit = RateLimit(rate, rate + extra, rate, rate + extra, tick)
        passed: list[tuple[int, int, int]] = []
        with EventBase(clock=clock) as base:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            scene = Scene(base, clock, (ours, theirs))
            scene.bev.set_rate_limit(limit)
            for pause, written, sent, with_file in steps:
                if written and with_file:
                    file = tempfile.TemporaryFile()  # noqa: SIM115 - the buffer owns it
                    file.write(bytes(written))
                    file.flush()
                    scene.bev.output.add_file(file)
                else:
                    scene.bev.write(bytes(written))
                theirs.send(bytes(sent)) if sent else 0
                arrived, read = scene.arrived(pause * tick), scene.read()
                passed.append((round(clock.monotonic() * 1e6) // round(tick * 1e6), arrived, read))
                assert (scene.bev.read_limit or 0) <= rate + extra
                assert (scene.bev.write_limit or 0) <= rate + extra
            for begin, end in itertools.combinations_with_replacement(range(len(passed)), 2):
                most = rate + extra + rate * (passed[end][0] - passed[begin][0])
                assert sum(step[1] for step in passed[begin : end + 1]) <= most
                assert sum(step[2] for step in passed[begin : end + 1]) <= most
            # Nothing is left behind, and no more time is needed than the rate says.
            left = sum(step[1] for step in steps) - sum(step[1] for step in passed)
            for _ in range(-(-left // rate)):
                left -= scene.arrived(tick + 1e-6)
            assert left == 0
            scene.bev.close()
            theirs.close()
