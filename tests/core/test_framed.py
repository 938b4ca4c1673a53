"""`Framed` on real connections: what is delivered when, pausing, and each way to end."""

import errno
import gc
import socket
import weakref
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    COUNT_ACTIVE,
    EV_PERSIST,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.framed import TURN, Framed
from evkit.core.framing import Framing, LengthFraming, LineFraming
from evkit.errors import ConnectError, ConnectionLost, RemoteProtocolError, TransportError, TransportTimeout
from evkit.testing import ManualClock


class Talk:
    """A framed connection that notes what it hears, and its peer."""

    def __init__(self, base: EventBase, framing: Framing | None = None) -> None:
        self.base = base
        self.peer, near = socket.socketpair()
        self.peer.setblocking(False)
        self.bev = SocketBufferEvent(base, near)
        self.frames: list[bytes] = []
        self.ends: list[TransportError | RemoteProtocolError | None] = []
        self.act: Callable[[bytes], object] | None = None
        self.framed = Framed(self.bev, framing or LineFraming(), self.on_frame, self.on_end)

    def on_frame(self, framed: Framed, frame: bytes) -> None:
        assert framed is self.framed
        self.frames.append(frame)
        if self.act is not None:
            self.act(frame)

    def on_end(self, framed: Framed, error: TransportError | RemoteProtocolError | None) -> None:
        assert framed is self.framed
        self.ends.append(error)

    def run(self) -> None:
        self.base.loop(EVLOOP_NONBLOCK)

    def say(self, data: bytes) -> None:
        self.peer.send(data)
        self.run()

    def close(self) -> None:
        self.bev.close()
        self.peer.close()


@pytest.fixture
def talk(open_descriptors: None, base: EventBase) -> Iterator[Talk]:
    talk = Talk(base)
    yield talk
    talk.close()


class TestDelivering:
    def test_frames_as_they_get_whole(self, talk: Talk) -> None:
        talk.say(b"one\ntw")
        assert talk.frames == [b"one"]
        talk.say(b"o\r\nthree\n")
        assert talk.frames == [b"one", b"two", b"three"]
        assert talk.ends == []

    def test_what_has_come_already_but_not_from_inside(self, base: EventBase) -> None:
        near, peer = socket.socketpair()
        bev = SocketBufferEvent(base, near)
        bev.enable(EV_READ)
        peer.send(b"early\n")
        base.loop(EVLOOP_NONBLOCK)
        frames: list[bytes] = []
        Framed(bev, LineFraming(), lambda _framed, frame: frames.append(frame))
        assert frames == []
        base.loop(EVLOOP_NONBLOCK)
        assert frames == [b"early"]
        bev.close()
        peer.close()

    def test_frame_longer_than_the_users_high_mark(self, base: EventBase) -> None:
        talk = Talk(base)
        talk.bev.set_watermark(EV_READ, high=4)
        talk.framed = Framed(talk.bev, LineFraming(), talk.on_frame, talk.on_end)
        talk.say(b"longer than four\n")
        assert talk.frames == [b"longer than four"]
        talk.close()

    def test_send(self, talk: Talk) -> None:
        talk.framed.send(b"hello")
        with pytest.raises(ValueError, match="would end it"):
            talk.framed.send(b"two\nlines")
        talk.run()
        assert talk.peer.recv(99) == b"hello\r\n"

    def test_messages_both_ways(self, base: EventBase) -> None:
        talk = Talk(base, LengthFraming(2))
        talk.act = lambda frame: talk.framed.send(frame[::-1])
        talk.say(b"\0\3abc\0\0")
        assert talk.peer.recv(99) == b"\0\3cba\0\0"
        talk.close()

    def test_close_in_the_callback_stops_at_once(self, talk: Talk) -> None:
        talk.act = lambda _frame: talk.bev.close()
        talk.say(b"one\ntwo\n")
        assert talk.frames == [b"one"]
        assert talk.ends == []

    def test_callback_that_fails_closes_the_connection(self, talk: Talk) -> None:
        escaped: list[object] = []
        talk.base.exception_handler = lambda _exception, source: escaped.append(source)
        talk.act = lambda _frame: 1 / 0
        talk.say(b"one\ntwo\n")
        assert talk.bev.closed
        assert escaped == [talk.bev]


class TestFlood:
    """A peer that sends many small frames at once must not keep the others waiting."""

    COUNT = 200 * TURN + 3
    PER_PASS = 40 * TURN
    """The loop runs some 32 deferred calls before it polls again."""

    def test_others_have_their_turn_in_between(self, talk: Talk) -> None:
        seen: list[int] = []
        near, far = socket.socketpair()
        with near, far:
            near.send(b"x")
            talk.peer.send(b"\n" * self.COUNT)
            talk.base.event(far, EV_READ | EV_PERSIST, lambda *_: seen.append(len(talk.frames))).add()
            while len(talk.frames) < self.COUNT:
                talk.base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK)
        assert all(after - before <= self.PER_PASS for before, after in pairwise([0, *seen, self.COUNT]))

    def test_nothing_more_is_read_meanwhile(self, talk: Talk) -> None:
        held: list[int] = []
        talk.act = lambda _frame: held.append(len(talk.bev.input))
        talk.bev.max_single_read = self.COUNT
        for _ in range(3):
            assert talk.peer.send(b"\n" * self.COUNT) == self.COUNT
        talk.run()
        assert len(talk.frames) == 3 * self.COUNT
        assert max(held) < self.COUNT

    def test_end_comes_after_all_of_them(self, talk: Talk) -> None:
        talk.peer.send(b"\n" * self.COUNT)
        talk.peer.shutdown(socket.SHUT_WR)
        talk.run()
        assert len(talk.frames) == self.COUNT
        assert talk.ends == [None]

    @pytest.mark.parametrize("count", [TURN - 1, TURN, TURN + 1])
    def test_reading_goes_on_afterwards(self, talk: Talk, count: int) -> None:
        talk.say(b"\n" * count)
        talk.say(b"more\n")
        assert talk.frames == [b""] * count + [b"more"]
        assert not talk.bev.read_suspended

    def test_pause_in_the_middle(self, talk: Talk) -> None:
        talk.act = lambda _frame: talk.framed.pause() if len(talk.frames) == TURN else None
        talk.say(b"\n" * self.COUNT)
        assert len(talk.frames) == TURN
        talk.act = None
        talk.framed.resume()
        talk.run()
        assert len(talk.frames) == self.COUNT

    def test_connection_is_the_users_again_after_a_bad_frame(self, base: EventBase) -> None:
        talk = Talk(base, LineFraming(max_length=3))
        talk.say(b"\n" * TURN + b"too long\n")
        assert len(talk.ends) == 1
        assert not talk.bev.read_suspended
        talk.close()

    def test_close_in_the_middle(self, talk: Talk) -> None:
        talk.act = lambda _frame: talk.bev.close() if len(talk.frames) == TURN else None
        talk.say(b"\n" * self.COUNT)
        assert len(talk.frames) == TURN


class TestPausing:
    def test_nothing_is_delivered_or_read_meanwhile(self, talk: Talk) -> None:
        talk.act = lambda _frame: talk.framed.pause()
        talk.say(b"one\ntwo\n")
        talk.say(b"three\n")
        assert talk.frames == [b"one"]
        assert talk.bev.input.copyout() == b"two\n"
        talk.act = None
        talk.framed.resume()
        assert talk.frames == [b"one"]  # not from inside
        talk.run()
        assert talk.frames == [b"one", b"two", b"three"]

    def test_paused_again_before_the_loop_runs(self, talk: Talk) -> None:
        talk.framed.pause()
        talk.say(b"one\n")
        talk.framed.resume()
        talk.framed.pause()
        talk.run()
        assert talk.frames == []

    def test_resumed_in_the_same_callback_delivers_each_once(self, talk: Talk) -> None:
        def act(_frame: bytes) -> None:
            talk.framed.pause()
            talk.framed.resume()

        talk.act = act
        talk.say(b"one\ntwo\n")
        assert talk.frames == [b"one", b"two"]

    def test_resumed_again_and_again_waits_for_one_turn(self, talk: Talk) -> None:
        for _ in range(100):
            talk.framed.pause()
            talk.framed.resume()
        assert talk.base.num_events(COUNT_ACTIVE) == 1
        talk.say(b"one\n")
        assert talk.frames == [b"one"]

    def test_end_waits_for_the_frames_before_it(self, talk: Talk) -> None:
        talk.framed.pause()
        talk.bev.input.feed(b"one\n")
        talk.bev._failed(EV_READ, 0x11, None)  # as a layer with input of its own may tell the end
        assert talk.ends == []
        talk.framed.resume()
        assert not talk.bev.enabled & EV_READ  # there is nothing to read any more
        talk.run()
        assert (talk.frames, talk.ends) == ([b"one"], [None])

    def test_callback_that_fails_after_resume_closes_the_connection(self, talk: Talk) -> None:
        escaped: list[object] = []
        talk.base.exception_handler = lambda _exception, source: escaped.append(source)
        talk.act = lambda frame: talk.framed.pause() if frame == b"one" else 1 / 0
        talk.say(b"one\ntwo\n")
        talk.framed.resume()
        talk.run()
        assert talk.bev.closed
        assert escaped == [talk.bev]

    def test_resume_of_what_was_not_paused_or_is_closed_does_nothing(self, talk: Talk) -> None:
        talk.bev.disable(EV_READ)
        talk.framed.resume()
        assert not talk.bev.enabled & EV_READ
        talk.framed.pause()
        talk.bev.close()
        talk.framed.resume()
        assert not talk.bev.enabled & EV_READ


class TestEnding:
    def test_well(self, talk: Talk) -> None:
        talk.peer.send(b"bye\n")
        talk.peer.shutdown(socket.SHUT_WR)
        talk.run()
        assert (talk.frames, talk.ends) == ([b"bye"], [None])
        talk.framed.send(b"bye yourself")
        talk.run()
        assert talk.peer.recv(99) == b"bye yourself\r\n"
        assert talk.framed.ended

    def test_cut_short(self, talk: Talk) -> None:
        talk.peer.send(b"by")
        talk.peer.shutdown(socket.SHUT_WR)
        talk.run()
        (error,) = talk.ends
        assert isinstance(error, RemoteProtocolError)
        assert "within a line, after 2 bytes" in str(error)

    def test_too_long_and_the_answer_to_it(self, base: EventBase) -> None:
        talk = Talk(base, LineFraming(max_length=5))
        talk.say(b"ok\n0123456789\nok\n")
        (error,) = talk.ends
        assert isinstance(error, RemoteProtocolError)
        assert talk.frames == [b"ok"]
        talk.framed.send(b"long!")
        talk.bev.close_when_drained()
        talk.run()
        assert talk.peer.recv(99) == b"long!\r\n"
        talk.close()

    def test_end_is_told_once_though_a_resume_is_under_way(self, base: EventBase) -> None:
        talk = Talk(base, LineFraming(max_length=5))

        def act(_frame: bytes) -> None:
            talk.framed.pause()
            talk.framed.resume()

        talk.act = act
        talk.say(b"ok\n0123456789")
        assert len(talk.ends) == 1
        talk.close()

    def test_nothing_is_read_after_a_bad_frame(self, base: EventBase) -> None:
        talk = Talk(base, LineFraming(max_length=5))
        talk.say(b"0123456789")
        talk.say(b"more")
        assert len(talk.bev.input) == 10
        assert len(talk.ends) == 1
        talk.close()

    def test_connection_that_fails(self, base: EventBase, open_descriptors: None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
        bev = SocketBufferEvent(base)
        bev.connect(address)
        ends: list[object] = []
        Framed(bev, LineFraming(), lambda *_: None, lambda _framed, error: ends.append(error))
        base.dispatch()
        (error,) = ends
        assert isinstance(error, ConnectError)
        assert error.errno == errno.ECONNREFUSED
        bev.close()

    @pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET])
    def test_what_the_peer_said_before_it_took_no_more_is_delivered(self, talk: Talk, number: int) -> None:
        talk.peer.send(b"last words\n")
        talk.peer.shutdown(socket.SHUT_WR)
        talk.bev._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, OSError(number, "gone"))
        assert talk.ends == []
        talk.run()
        assert talk.frames == [b"last words"]
        (error,) = talk.ends
        assert isinstance(error, ConnectionLost)
        assert (error.during, error.errno) == ("write", number)

    def test_peer_that_has_ended_and_takes_no_more(self, talk: Talk) -> None:
        """Frames wait for `resume` when writing fails, after all was read."""
        talk.framed.pause()
        talk.bev.input.feed(b"one\n")
        talk.bev._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_EOF, None)
        talk.bev._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, OSError(errno.EPIPE, "gone"))
        talk.framed.resume()
        talk.run()
        assert talk.frames == [b"one"]
        (error,) = talk.ends
        assert isinstance(error, ConnectionLost)

    def test_peer_that_reads_no_more_is_heard_to_its_end(self, base: EventBase) -> None:
        one, other = PairBufferEvent.pair(base)
        frames: list[bytes] = []
        ends: list[object] = []
        Framed(
            one,
            LineFraming(),
            lambda _framed, frame: frames.append(frame),
            lambda _framed, end: ends.append(end),
        )
        other.flush(EV_READ, BEV_FINISHED)
        other.write(b"still ")
        base.loop(EVLOOP_NONBLOCK)
        other.write(b"here\n")
        base.loop(EVLOOP_NONBLOCK)
        assert (frames, ends) == ([b"still here"], [])
        other.close()
        base.loop(EVLOOP_NONBLOCK)
        assert ends == [None]
        one.close()

    def test_other_failures_of_writing_are_the_end(self, talk: Talk) -> None:
        talk.bev._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, OSError(errno.ENOBUFS, "no"))
        (error,) = talk.ends
        assert isinstance(error, ConnectionLost)
        assert error.errno == errno.ENOBUFS

    def test_connection_that_breaks_while_writing(self, talk: Talk) -> None:
        talk.framed.send(b"unread")
        talk.run()
        talk.peer.close()
        talk.run()
        (error,) = talk.ends
        assert isinstance(error, ConnectionLost)

    def test_time_out(self, manual_base: EventBase, clock: ManualClock) -> None:
        talk = Talk(manual_base)
        talk.bev.set_timeouts(read=5)
        talk.run()
        clock.advance(5)
        talk.run()
        (error,) = talk.ends
        assert isinstance(error, TransportTimeout)
        talk.close()

    @pytest.mark.parametrize(("last", "held"), [(b"\n", b"answer\r\n"), (b"", b"")])
    def test_without_a_callback(
        self, base: EventBase, open_descriptors: None, last: bytes, held: bytes
    ) -> None:
        near, peer = socket.socketpair()
        bev = SocketBufferEvent(base, near)
        Framed(bev, LineFraming(), lambda *_: None)
        bev.output.owner = None  # so that it is still there when the end comes
        bev.write(b"answer\r\n")
        bev.output.owner = bev
        peer.send(b"question" + last)
        peer.shutdown(socket.SHUT_WR)
        base.dispatch()
        assert bev.closed
        assert peer.recv(99) == held
        peer.close()

    def test_connected_is_no_end(self, base: EventBase, open_descriptors: None) -> None:
        bev = SocketBufferEvent(base)
        ends: list[object] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            bev.connect(server.getsockname())
            framed = Framed(bev, LineFraming(), lambda *_: None, lambda _framed, error: ends.append(error))
            framed.send(b"hello")
            accepted, _ = server.accept()
            while bev.output:
                base.loop(1)
            with accepted:
                assert accepted.recv(99) == b"hello\r\n"
        assert ends == []
        bev.close()


@pytest.mark.parametrize("due", [True, False])
def test_leaves_no_cycle(base: EventBase, *, due: bool) -> None:
    """Though the connection is closed by its own ``close``, of which `Framed` hears nothing."""
    heard: list[object] = []

    class Seen(LineFraming):
        __slots__ = ("__weakref__",)

    gc.collect()
    gc.disable()
    try:
        one, other = PairBufferEvent.pair(base)
        other.write(b"early\n")
        one.enable(EV_READ)
        base.loop(EVLOOP_NONBLOCK)
        framed = Framed(one, Seen(), heard.append)
        if not due:
            framed.pause()
            base.loop(EVLOOP_NONBLOCK)
        one.close()
        other.close()
        base.loop(EVLOOP_NONBLOCK)
        gone = weakref.ref(framed._framing)
        del one, other, framed
        assert gone() is None
        assert heard == []
    finally:
        gc.enable()


def test_repr(talk: Talk) -> None:
    assert repr(talk.framed).startswith("<Framed open LineFraming(")
    talk.framed.pause()
    assert repr(talk.framed).startswith("<Framed paused ")
    talk.bev.close()
    assert repr(talk.framed).startswith("<Framed closed ")
