"""`pipe` on real sockets: nothing is lost, memory stays bounded, and each way to end ends both connections."""

import errno
import socket
from collections.abc import Iterator
from typing import Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.base import EventBase
from evkit.core.buffer import Buffer
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.config import EventConfig
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    BEV_NEED_MORE,
    BEV_OK,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.piping import DEFAULT_HIGH, LINGER, Pipe, pipe
from evkit.errors import ConnectionLost, TransportTimeout
from evkit.testing import ManualClock

ONE_PASS: Final = EVLOOP_ONCE | EVLOOP_NONBLOCK


class Scene(NamedTuple):
    """A pipe, and the two peers: ``left`` talks to ``a``, ``right`` to ``b``."""

    base: EventBase
    left: socket.socket
    right: socket.socket
    a: SocketBufferEvent
    b: SocketBufferEvent

    def run(self) -> None:
        self.base.loop(EVLOOP_NONBLOCK)

    def join(self, **marks: int) -> Pipe:
        return pipe(self.a, self.b, **marks)


def make_scene(base: EventBase) -> Scene:
    left, far_left = socket.socketpair()
    right, far_right = socket.socketpair()
    for peer in (left, right):
        peer.setblocking(False)
    return Scene(base, left, right, SocketBufferEvent(base, far_left), SocketBufferEvent(base, far_right))


def end(scene: Scene) -> None:
    for thing in scene[1:]:
        thing.close()


@pytest.fixture
def scene(open_descriptors: None, base: EventBase) -> Iterator[Scene]:
    scene = make_scene(base)
    yield scene
    end(scene)


@pytest.fixture
def timed(manual_base: EventBase) -> Iterator[Scene]:
    scene = make_scene(manual_base)
    yield scene
    end(scene)


def fill(sock: socket.socket, scene: Scene, most: int = 1 << 30) -> int:
    """Send until nothing moves any more; return how much."""
    block = bytes(range(256)) * 256
    sent = idle = 0
    while idle < 3 and sent < most:
        try:
            sent += sock.send(block[sent % 256 :])
            idle = 0
        except BlockingIOError:
            idle += 1
        scene.base.loop(ONE_PASS)
    return sent


def receive(sock: socket.socket, scene: Scene) -> bytes:
    """Take what comes until nothing moves any more, or the end."""
    pieces: list[bytes] = []
    idle = 0
    while idle < 3:
        scene.base.loop(ONE_PASS)
        try:
            piece = sock.recv(1 << 20)
        except BlockingIOError:
            idle += 1
            continue
        if not piece:
            break
        pieces.append(piece)
        idle = 0
    return b"".join(pieces)


def at_end(sock: socket.socket) -> bool:
    """Return whether the peer has said all."""
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


class TestPassingOn:
    def test_both_ways(self, scene: Scene) -> None:
        joined = scene.join()
        scene.left.send(b"ping")
        scene.run()
        assert scene.right.recv(9) == b"ping"
        scene.right.send(b"pong!")
        scene.run()
        assert scene.left.recv(9) == b"pong!"
        assert (joined.a_to_b, joined.b_to_a) == (4, 5)

    def test_chunks_are_moved_and_not_copied(self, scene: Scene) -> None:
        joined = scene.join()
        scene.b.disable(EV_WRITE)
        pieces = [bytes(5000), bytes(6000)]
        for piece in pieces:
            scene.a.input.feed(piece)
        joined._forward.on_read(scene.a)
        assert [view.obj for view in scene.b.output.peek()] == pieces
        assert all(view.obj is piece for view, piece in zip(scene.b.output.peek(), pieces, strict=True))
        assert not scene.a.input

    def test_what_came_before_the_pipe_is_passed_on(self, scene: Scene) -> None:
        scene.left.send(b"early")
        scene.a.enable(EV_READ)
        scene.run()
        joined = scene.join()
        scene.run()
        assert scene.right.recv(99) == b"early"
        assert joined.a_to_b == 5

    def test_marks_of_before_hold_nothing_back(self, scene: Scene) -> None:
        scene.a.set_watermark(EV_READ, low=100, high=200)
        scene.join()
        scene.left.send(b"few")
        scene.run()
        assert scene.right.recv(9) == b"few"

    def test_end_that_is_still_connecting(self, base: EventBase, open_descriptors: None) -> None:
        left, near = socket.socketpair()
        upstream = SocketBufferEvent(base)
        with socket.create_server(("127.0.0.1", 0)) as server, left:
            upstream.connect(server.getsockname())
            joined = pipe(SocketBufferEvent(base, near), upstream)
            left.send(b"hello")
            server.settimeout(30)
            accepted, _ = server.accept()
            with accepted:
                accepted.setblocking(False)
                while not joined.a_to_b or upstream.output:
                    base.loop(EVLOOP_ONCE)
                assert accepted.recv(9) == b"hello"
            joined.close()

    def test_upstream_that_refuses_closes_the_other_end(
        self, base: EventBase, open_descriptors: None
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
        left, near = socket.socketpair()
        upstream = SocketBufferEvent(base)
        upstream.connect(address)
        joined = pipe(SocketBufferEvent(base, near), upstream)
        base.dispatch()
        assert joined.closed
        assert joined.error is not None
        assert joined.error.errno == errno.ECONNREFUSED
        with left:
            assert left.recv(1) == b""


class TestBackPressure:
    @pytest.mark.parametrize("high", [1, 10_000, DEFAULT_HIGH])
    def test_reader_that_never_reads_bounds_the_memory(self, scene: Scene, high: int) -> None:
        joined = scene.join(high=high)
        fill(scene.left, scene)
        held = len(scene.a.input) + len(scene.b.output)
        assert high <= held < high + scene.a.max_single_read
        assert "a paused" in repr(joined)
        assert not scene.a.input

    def test_other_direction_goes_on_meanwhile(self, scene: Scene) -> None:
        scene.join(high=1000)
        fill(scene.left, scene)
        scene.right.send(b"still here")
        scene.run()
        assert scene.left.recv(99) == b"still here"

    def test_all_arrives_when_the_reader_reads_at_last(self, scene: Scene) -> None:
        joined = scene.join(high=1000)
        sent = fill(scene.left, scene)
        scene.left.shutdown(socket.SHUT_WR)
        data = receive(scene.right, scene)
        assert len(data) == sent == joined.a_to_b
        assert data == (bytes(range(256)) * (sent // 256 + 1))[:sent]

    def test_reading_goes_on_when_the_output_is_down_to_the_low_mark(self, scene: Scene) -> None:
        joined = scene.join(high=100, low=40)
        assert scene.b.watermark(EV_WRITE) == (40, 100)  # where the write callback runs
        scene.b.disable(EV_WRITE)
        scene.left.send(bytes(100))
        scene.run()
        scene.left.send(b"x")
        scene.run()
        assert joined.a_to_b == 100
        scene.b.enable(EV_WRITE)
        scene.run()
        assert joined.a_to_b == 101
        assert "paused" not in repr(joined)

    @pytest.mark.parametrize(("high", "low"), [(100, 25), (1, 0)])
    def test_low_mark_is_a_quarter_by_default(self, scene: Scene, high: int, low: int) -> None:
        scene.join(high=high)
        assert scene.a.watermark(EV_WRITE) == scene.b.watermark(EV_WRITE) == (low, high)

    def test_source_that_swells_is_bounded_too(self, scene: Scene) -> None:
        """A filter may make megabytes of one read."""

        def swell(source: Buffer, sink: Buffer, limit: int, _mode: int) -> int:
            size = min(limit, 100_000)
            if not source:
                return BEV_NEED_MORE
            source.drain(1)
            sink.add(bytes(size))
            return BEV_OK

        joined = pipe(FilterBufferEvent(scene.a, swell), scene.b, high=1000)
        scene.left.send(bytes(50_000))
        for _ in range(1000):
            scene.base.loop(ONE_PASS)
        assert "a paused" in repr(joined)
        assert len(joined.a.input) + len(scene.b.output) < 2 * 1000

    def test_callback_on_a_buffer_may_close_an_end_at_once(self, scene: Scene) -> None:
        for end, other in ((scene.a, scene.b), (scene.b, scene.a)):
            end.input.feed(b"already here")
            other.output.add_callback(lambda _buffer, _info, bev=scene.b: bev.close())
        joined = scene.join()
        scene.run()
        assert joined.closed

    def test_users_own_wish_is_left_alone(self, scene: Scene) -> None:
        scene.join(high=1000)
        fill(scene.left, scene)
        assert scene.a.enabled == EV_READ | EV_WRITE


class TestEnding:
    def test_end_of_one_stream_leaves_the_other(self, scene: Scene) -> None:
        joined = scene.join()
        scene.left.send(b"request")
        scene.left.shutdown(socket.SHUT_WR)
        scene.run()
        assert scene.right.recv(99) == b"request"
        assert at_end(scene.right)
        assert repr(joined) == "<Pipe open a->b=7 b->a=0 a ended>"
        scene.right.send(b"answer")
        scene.run()
        assert scene.left.recv(99) == b"answer"
        assert not joined.closed

    def test_both_ends_close_after_the_last_byte(self, scene: Scene) -> None:
        joined = scene.join(high=1000)
        heard: list[Pipe] = []
        joined.on_close = heard.append
        sent = fill(scene.left, scene)
        scene.left.shutdown(socket.SHUT_WR)
        scene.right.shutdown(socket.SHUT_WR)
        scene.run()
        assert heard == []  # the reader has not read
        assert len(receive(scene.right, scene)) == sent
        assert heard == [joined]
        assert (joined.closed, joined.error) == (True, None)
        assert scene.base.dispatch() is False

    def test_both_streams_that_end_at_once_wait_for_the_data(self, scene: Scene) -> None:
        joined = scene.join()
        for bev in (scene.a, scene.b):
            bev.disable(EV_WRITE)
        for peer in (scene.left, scene.right):
            peer.send(b"last words")
            peer.shutdown(socket.SHUT_WR)
        scene.run()
        assert scene.left.recv(99) == scene.right.recv(99) == b"last words"
        assert joined.closed

    def test_both_streams_that_end_wait_for_a_slow_reader(self, scene: Scene) -> None:
        joined = scene.join()
        sent = 0
        while not scene.b.output:
            sent += scene.left.send(bytes(9000))
            scene.run()
        scene.left.shutdown(socket.SHUT_WR)
        scene.right.shutdown(socket.SHUT_WR)
        scene.run()
        assert scene.a.closed
        assert not joined.closed
        assert len(receive(scene.right, scene)) == sent
        assert joined.closed

    def test_failing_end_closes_both_and_is_told(self, scene: Scene) -> None:
        joined = scene.join()
        scene.left.send(b"never read")
        scene.run()
        scene.right.close()  # with data unread, which resets the connection
        scene.run()
        assert joined.closed
        assert isinstance(joined.error, ConnectionLost)
        assert at_end(scene.left)

    @pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET])
    def test_last_words_of_a_peer_that_takes_nothing_more_are_delivered(
        self, scene: Scene, number: int
    ) -> None:
        """A server that answers early: 413, and it is gone, while the client still sends."""
        joined = scene.join()
        scene.right.send(b"too large")
        scene.right.shutdown(socket.SHUT_WR)
        scene.b._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, OSError(number, "gone"))
        scene.left.send(b"and more")
        scene.run()
        assert scene.left.recv(99) == b"too large"
        assert joined.closed
        assert joined.error is not None
        assert (joined.error.during, joined.error.errno) == ("write", number)
        assert joined.a_to_b == 0

    def test_end_and_error_that_are_told_as_one_end_both(
        self, base: EventBase, open_descriptors: None
    ) -> None:
        left, near = socket.socketpair()
        right, far = socket.socketpair()
        joined = pipe(SocketBufferEvent(base, near), SocketBufferEvent(base, far, defer_callbacks=True))
        right.close()
        left.send(b"for nobody")
        base.loop(EVLOOP_NONBLOCK)
        with left:
            assert at_end(left)
        assert joined.closed
        assert isinstance(joined.error, ConnectionLost)

    @pytest.mark.parametrize(
        "told", [BEV_EVENT_EOF | BEV_EVENT_ERROR, BEV_EVENT_ERROR, BEV_EVENT_EOF | BEV_EVENT_TIMEOUT]
    )
    def test_end_that_has_failed_both_ways_has_no_last_words(self, scene: Scene, told: int) -> None:
        joined = scene.join()
        scene.b.disable(EV_READ | EV_WRITE)
        scene.b.error = ConnectionLost.of(ConnectionResetError(errno.ECONNRESET, "reset"), during="write")
        scene.b._call_event(BEV_EVENT_READING | BEV_EVENT_WRITING | told)
        scene.run()
        assert joined.closed
        assert joined.error is scene.b.error
        assert at_end(scene.left)

    def test_they_wait_for_a_slow_reader_but_not_for_ever(self, timed: Scene) -> None:
        clock = timed.base.clock
        assert isinstance(clock, ManualClock)
        joined = timed.join(high=1000)
        fill(timed.right, timed)
        timed.b._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, BrokenPipeError(errno.EPIPE, "gone"))
        timed.run()
        assert "b paused" in repr(joined)
        clock.advance(LINGER)
        timed.run()
        assert joined.closed

    def test_peer_that_takes_nothing_more_and_has_ended_leaves_the_other_to_drain(self, scene: Scene) -> None:
        joined = scene.join()
        scene.right.send(b"last")
        scene.right.shutdown(socket.SHUT_WR)
        scene.run()
        scene.b._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, BrokenPipeError(errno.EPIPE, "gone"))
        assert scene.left.recv(99) == b"last"
        scene.run()
        assert joined.closed

    def test_other_failures_of_writing_end_both_at_once(self, scene: Scene) -> None:
        joined = scene.join()
        scene.b._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, OSError(errno.ENOBUFS, "no"))
        scene.run()
        assert joined.closed

    def test_what_has_come_when_an_end_is_closed_is_delivered(self, scene: Scene) -> None:
        joined = scene.join()
        scene.a.input.feed(b"its callback is still to come")
        scene.a.close()
        scene.run()
        assert scene.right.recv(99) == b"its callback is still to come"
        assert joined.closed

    def test_rest_that_can_not_be_delivered_is_told(self, scene: Scene) -> None:
        joined = scene.join(high=1000)
        fill(scene.left, scene)
        scene.left.shutdown(socket.SHUT_WR)
        scene.a.close()
        assert not joined.closed
        scene.right.close()
        scene.run()
        assert joined.closed
        assert isinstance(joined.error, ConnectionLost)

    def test_both_streams_that_end_do_not_wait_for_ever(self, timed: Scene) -> None:
        clock = timed.base.clock
        assert isinstance(clock, ManualClock)
        joined = timed.join()
        for peer, output in ((timed.left, timed.b.output), (timed.right, timed.a.output)):
            while not output:
                peer.send(bytes(9000))
                timed.run()
            peer.shutdown(socket.SHUT_WR)
        timed.run()
        assert not timed.a.closed
        assert not timed.b.closed
        clock.advance(LINGER)
        timed.run()
        assert joined.closed
        assert isinstance(joined.error, TransportTimeout)

    def test_what_an_end_said_before_it_failed_is_delivered(self, scene: Scene) -> None:
        joined = scene.join(high=1000)
        sent = fill(scene.left, scene)
        scene.a._failed(EV_READ, 0x21, ConnectionResetError(errno.ECONNRESET, "reset"))
        assert scene.a.closed
        assert repr(joined).startswith("<Pipe ending ")
        held = joined.a_to_b
        assert len(receive(scene.right, scene)) == held <= sent
        assert joined.closed

    def test_time_out_ends_both(self, timed: Scene) -> None:
        clock = timed.base.clock
        assert isinstance(clock, ManualClock)
        timed.a.set_timeouts(read=5.0)
        joined = timed.join()
        timed.run()
        clock.advance(5.0)
        timed.run()
        assert joined.closed
        assert isinstance(joined.error, TransportTimeout)
        assert at_end(timed.right)

    def test_peer_that_takes_nothing_more_is_given_up(self, timed: Scene) -> None:
        clock = timed.base.clock
        assert isinstance(clock, ManualClock)
        joined = timed.join(high=1000)
        fill(timed.left, timed)
        timed.a.close()
        timed.run()
        clock.advance(LINGER - 1)
        timed.run()
        assert not joined.closed
        clock.advance(1)
        timed.run()
        assert joined.closed

    def test_write_time_out_of_the_user_stays(self, timed: Scene) -> None:
        timed.b.set_timeouts(write=2.0)
        timed.join(high=1000)
        fill(timed.left, timed)
        timed.a.close()
        assert timed.b.write_timeout == 2.0

    def test_close_ends_both_at_once(self, scene: Scene) -> None:
        joined = scene.join()
        heard: list[Pipe] = []
        joined.on_close = heard.append
        fill(scene.left, scene)
        joined.close()
        joined.close()
        assert heard == [joined]
        assert scene.a.closed
        assert scene.b.closed
        assert repr(joined).startswith("<Pipe closed ")

    def test_close_handler_of_before_is_called_still(self, scene: Scene) -> None:
        heard: list[BufferEvent] = []
        scene.a.on_close = heard.append
        scene.join().close()
        assert heard == [scene.a]

    def test_close_handler_that_fails_keeps_nothing_open(self, scene: Scene) -> None:
        escaped: list[object] = []
        scene.base.exception_handler = lambda _exception, source: escaped.append(source)
        joined = scene.join()

        def fail(_pipe: Pipe) -> None:
            raise ZeroDivisionError

        joined.on_close = fail
        scene.left.shutdown(socket.SHUT_WR)
        scene.right.shutdown(socket.SHUT_WR)
        scene.run()
        assert joined.closed
        assert len(escaped) == 1
        assert scene.base.dispatch() is False


class TestDetaching:
    def test_both_ends_are_the_user_s_again(self, scene: Scene) -> None:
        heard: list[BufferEvent] = []
        scene.a.on_close = heard.append
        joined = scene.join(high=1000)
        joined.on_close = lambda _pipe: heard.append(scene.b)
        fill(scene.left, scene)
        joined.detach()
        assert "detached" in repr(joined)
        for bev in (scene.a, scene.b):
            assert bev.callbacks == (None, None, None)
            assert bev.watermark(EV_READ) == bev.watermark(EV_WRITE) == (0, None)
            assert bev.enabled == EV_WRITE
        scene.b.close()
        assert not scene.a.closed
        scene.a.close()
        assert heard == [scene.a]

    def test_what_was_handed_on_is_still_sent(self, scene: Scene) -> None:
        joined = scene.join(high=1000)
        fill(scene.left, scene)
        joined.detach()
        moved = joined.a_to_b
        assert len(receive(scene.right, scene)) == moved
        scene.a.enable(EV_READ)
        scene.run()
        assert scene.a.input  # and the rest is there to read
        assert joined.a_to_b == moved

    def test_pipe_anew(self, scene: Scene) -> None:
        scene.join(high=1000).detach()
        joined = scene.join()
        scene.left.send(b"again")
        scene.run()
        assert scene.right.recv(99) == b"again"
        assert joined.a_to_b == 5

    def test_in_the_middle_of_an_end_is_refused(self, scene: Scene) -> None:
        joined = scene.join(high=1000)
        fill(scene.left, scene)
        scene.a.close()
        with pytest.raises(ValueError, match="<Pipe ending"):
            joined.detach()


class TestOverMemory:
    """A socket on one side, and on the other one end of a pair, whose callbacks always run later."""

    def test_both_ways_and_the_ends(self, base: EventBase, open_descriptors: None) -> None:
        left, near = socket.socketpair()
        inner, outer = PairBufferEvent.pair(base)
        heard: list[int] = []
        outer.set_callbacks(event=lambda _bev, what: heard.append(what))
        outer.enable(EV_READ)
        joined = pipe(SocketBufferEvent(base, near), inner)
        left.sendall(b"question")
        left.shutdown(socket.SHUT_WR)
        base.loop(EVLOOP_NONBLOCK)
        assert outer.read() == b"question"
        assert heard == [BEV_EVENT_READING | BEV_EVENT_EOF]
        outer.write(b"answer")
        outer.shutdown_write()
        base.loop(EVLOOP_NONBLOCK)
        with left:
            assert left.recv(99) == b"answer"
            assert left.recv(99) == b""
        assert joined.closed
        assert joined.error is None
        outer.close()

    @pytest.mark.parametrize("both", [False, True])
    def test_end_that_takes_nothing_more_is_heard_to_its_end(
        self, base: EventBase, open_descriptors: None, *, both: bool
    ) -> None:
        """A pair's end can tell that it reads no more, with no error."""
        left, near = socket.socketpair()
        left.setblocking(False)
        inner, outer = PairBufferEvent.pair(base)
        source = SocketBufferEvent(base, near)
        joined = pipe(source, inner)
        inner.disable(EV_WRITE)
        left.send(b"waits")
        base.loop(EVLOOP_NONBLOCK)
        outer.write(b"answer")
        outer.flush(EV_READ | EV_WRITE if both else EV_READ, BEV_FINISHED)
        base.loop(EVLOOP_NONBLOCK)
        assert outer.read() == b"waits"
        assert not source.enabled & EV_READ
        assert joined.closed is both
        outer.shutdown_write()
        base.loop(EVLOOP_NONBLOCK)
        with left:
            assert left.recv(99) == b"answer"
            assert left.recv(99) == b""
        assert joined.closed
        outer.close()

    def test_over_an_end_whose_partner_is_gone(self, base: EventBase, open_descriptors: None) -> None:
        left, near = socket.socketpair()
        inner, outer = PairBufferEvent.pair(base)
        joined = pipe(SocketBufferEvent(base, near), inner)
        outer.close()
        left.send(b"for nobody")
        base.loop(EVLOOP_NONBLOCK)
        assert joined.closed
        assert isinstance(joined.error, ConnectionLost)
        left.close()

    def test_end_that_does_not_read_bounds_the_memory(self, base: EventBase, open_descriptors: None) -> None:
        left, near = socket.socketpair()
        left.setblocking(False)
        inner, outer = PairBufferEvent.pair(base)
        source = SocketBufferEvent(base, near)
        joined = pipe(source, inner, high=1000)
        block = bytes(65536)
        sent = 0
        while "a paused" not in repr(joined):
            sent += left.send(block)
            base.loop(EVLOOP_NONBLOCK)
        assert 1000 <= len(inner.output) < 1000 + source.max_single_read
        outer.enable(EV_READ)
        left.close()
        base.loop(EVLOOP_NONBLOCK)
        assert len(outer.input) == sent
        outer.close()
        base.loop(EVLOOP_NONBLOCK)
        assert joined.closed


class TestRefused:
    @pytest.mark.parametrize(("high", "low"), [(0, None), (-1, None), (10, 10), (10, 11), (10, -1)])
    def test_marks_that_make_no_sense(self, scene: Scene, high: int, low: int | None) -> None:
        with pytest.raises(ValueError, match="0 <= low < high"):
            pipe(scene.a, scene.b, high=high, low=low)

    def test_one_connection_twice(self, scene: Scene) -> None:
        with pytest.raises(ValueError, match="twice"):
            pipe(scene.a, scene.a)

    def test_connection_and_what_carries_it(self, scene: Scene) -> None:
        layer = FilterBufferEvent(FilterBufferEvent(scene.a))
        for ends in ((layer, scene.a), (scene.a, layer)):
            with pytest.raises(ValueError, match="carries"):
                pipe(*ends)

    def test_closed_connection(self, scene: Scene) -> None:
        scene.b.close()
        with pytest.raises(ValueError, match="open connections"):
            scene.join()

    def test_another_base(self, scene: Scene) -> None:
        with EventBase() as other, pytest.raises(ValueError, match="one event base"):
            pipe(scene.a, SocketBufferEvent(other))


# Not st.binary(): Hypothesis compares its bytes with ints when both are drawn, which `python -bb` forbids.
DATA = st.integers(1, 3000).map(lambda size: (bytes(range(251)) * 12)[:size])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["left", "right"]), st.just("send"), DATA),
        st.tuples(st.sampled_from(["left", "right"]), st.sampled_from(["take", "end"]), st.just(b"")),
    ),
    max_size=30,
)


@given(STEPS, st.integers(1, 5000))
def test_any_course_of_events_loses_no_byte(steps: list[tuple[str, str, bytes]], high: int) -> None:
    with EventBase(EventConfig()) as base:
        scene = make_scene(base)
        peers = {"left": scene.left, "right": scene.right}
        sent = {"left": b"", "right": b""}
        got = {"left": b"", "right": b""}
        ended: set[str] = set()
        joined = scene.join(high=high)
        for name, verb, data in steps:
            if verb == "take":
                got[name] += receive(peers[name], scene)
            elif name not in ended and verb == "end":
                peers[name].shutdown(socket.SHUT_WR)
                ended.add(name)
            elif name not in ended:
                sent[name] += data[: peers[name].send(data)]
            base.loop(ONE_PASS)
            for output in (scene.a.output, scene.b.output):
                assert len(output) < high + scene.a.max_single_read
        for name, peer in peers.items():
            got[name] += receive(peer, scene)
            if name not in ended:
                peer.shutdown(socket.SHUT_WR)
        for name, peer in peers.items():
            got[name] += receive(peer, scene)
        base.loop(EVLOOP_NONBLOCK)
        assert (got["right"], got["left"]) == (sent["left"], sent["right"])
        assert joined.closed
        assert joined.error is None
        end(scene)
