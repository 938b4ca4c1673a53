"""`Framed` on real connections: what is delivered when, pausing, and each way to end."""

import errno
import socket
from collections.abc import Callable, Iterator

import pytest

from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.flags import EV_READ, EVLOOP_NONBLOCK
from evkit.core.framed import Framed
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


def test_repr(talk: Talk) -> None:
    assert repr(talk.framed).startswith("<Framed open LineFraming(")
    talk.framed.pause()
    assert repr(talk.framed).startswith("<Framed paused ")
    talk.bev.close()
    assert repr(talk.framed).startswith("<Framed closed ")
