"""`LayeredBufferEvent`: when a layer reads and writes, and who hears what; shown by a filter that changes nothing."""

import gc
import socket
import weakref
from collections.abc import Iterator
from errno import ECONNRESET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from below import Below, Ear, each, turn
from evkit.core.base import EventBase
from evkit.core.buffer import Buffer
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.bufferevent.gate import HELD_WAITING, SUSPEND_LOOKUP
from evkit.core.bufferevent.layer_output import DEFAULT_WRITE_HIGH
from evkit.core.bufferevent.layered import LayeredBufferEvent
from evkit.core.event import Event
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    BEV_FLUSH,
    BEV_NEED_MORE,
    BEV_NORMAL,
    BEV_OK,
    EV_READ,
    EV_TIMEOUT,
    EV_WRITE,
)
from evkit.errors import ConnectError, ConnectionLost, TransportError, TransportTimeout
from evkit.testing import FakeBase, ManualClock, base_with_fakes

BOTH = EV_READ | EV_WRITE


class Layer(FilterBufferEvent):
    """A layer that can be seen to go."""

    __slots__ = ("__weakref__",)


@pytest.fixture
def below(fakes: FakeBase) -> Below:
    return Below(fakes.base)


@pytest.fixture
def layer(below: Below) -> Iterator[Layer]:
    layer = Layer(below)
    yield layer
    layer.close()


class TestTakingOver:
    def test_reading_waits_until_somebody_wants_it(self, below: Below, layer: Layer) -> None:
        assert layer.underlying is below
        assert below.underlying is None
        assert below.enabled == BOTH
        assert not below.reads()
        layer.enable(EV_READ)
        assert below.reads()
        layer.disable(EV_READ)
        assert not below.reads()

    def test_a_closed_connection_is_refused(self, below: Below) -> None:
        below.close()
        with pytest.raises(ValueError, match="the underlying connection is closed"):
            Layer(below)

    def test_marks_of_the_one_below(self, fakes: FakeBase) -> None:
        plain, marked = Below(fakes.base), Below(fakes.base)
        marked.set_watermark(BOTH, low=3, high=10)
        for below in (plain, marked):
            Layer(below)
        assert plain.watermark(EV_WRITE) == (0, DEFAULT_WRITE_HIGH)
        assert marked.watermark(EV_WRITE) == marked.watermark(EV_READ) == (0, 10)

    def test_what_is_there_already_is_decoded(self, fakes: FakeBase, below: Below) -> None:
        below.enable(EV_READ)
        below.arrive(b"early")
        layer = Layer(below)
        ear = Ear(layer)
        layer.enable(EV_READ)
        assert ear.heard == []  # not from inside the call
        turn(fakes.base)
        assert (ear.heard, ear.data) == (["read 5"], b"early")

    def test_what_codecs_must_fill_in(self, below: Below) -> None:
        bare = LayeredBufferEvent(below)
        for call in (bare._decode, bare._encode):
            with pytest.raises(NotImplementedError):
                call(1, BEV_NORMAL)
        bare.close()


class TestReading:
    def test_comes_up_at_once(self, below: Below, layer: Layer) -> None:
        ear = Ear(layer)
        layer.enable(EV_READ)
        below.arrive(b"one")
        below.arrive(b"two")
        assert (ear.heard, ear.data) == (["read 3", "read 3"], b"onetwo")

    def test_low_mark(self, below: Below, layer: Layer) -> None:
        ear = Ear(layer)
        layer.set_watermark(EV_READ, low=4)
        layer.enable(EV_READ)
        below.arrive(b"abc")
        assert ear.heard == []
        below.arrive(b"d")
        assert ear.data == b"abcd"

    def test_high_mark_stops_the_one_below_and_the_rest_comes_later(
        self, fakes: FakeBase, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer, takes=False)
        layer.set_watermark(EV_READ, high=4)
        layer.enable(EV_READ)
        below.arrive(b"abcdefghi")
        assert bytes(layer.input) == b"abcd"
        assert not below.reads()
        assert layer.read(1) == b"a"
        assert (bytes(layer.input), below.reads()) == (b"bcd", True)  # nothing moves inside the call
        turn(fakes.base)
        assert (bytes(layer.input), below.reads()) == (b"bcde", False)
        layer.input.clear()
        turn(fakes.base)
        assert bytes(layer.input) == b"fghi"
        assert ear.heard == ["read"] * 3

    def test_a_callback_that_takes_all_gets_all(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        ear = Ear(layer)
        layer.set_watermark(EV_READ, high=4)
        layer.enable(EV_READ)
        below.arrive(b"abcdefghij")
        assert ear.heard == ["read 4"]  # others may come between
        turn(fakes.base)
        assert (ear.heard, ear.data) == (["read 4", "read 4", "read 2"], b"abcdefghij")

    def test_disabled_in_the_callback(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        layer.set_watermark(EV_READ, high=4)
        layer.set_callbacks(read=each(BufferEvent.read, lambda bev: bev.disable(EV_READ)))
        layer.enable(EV_READ)
        below.arrive(b"abcdef")
        turn(fakes.base)
        assert (bytes(layer.input), bytes(below.input), below.reads()) == (b"", b"ef", False)

    def test_other_reasons_hold_it_back_too(self, below: Below, layer: Layer) -> None:
        layer.enable(EV_READ)
        layer.suspend(EV_READ, SUSPEND_LOOKUP)
        assert not below.reads()
        layer.resume(EV_READ, SUSPEND_LOOKUP)
        assert below.reads()
        below.suspend(EV_READ, SUSPEND_LOOKUP)
        layer.disable(EV_READ)
        layer.enable(EV_READ)
        assert not below.reads()  # its own reason stays

    def test_the_input_stays_frozen_against_users(self, below: Below, layer: Layer) -> None:
        layer.enable(EV_READ)
        below.arrive(b"x")
        with pytest.raises(Exception, match="frozen"):
            layer.input.add(b"forged")

    def test_deferred(self, fakes: FakeBase, below: Below) -> None:
        layer = Layer(below, defer_callbacks=True)
        ear = Ear(layer)
        layer.enable(EV_READ)
        below.arrive(b"ab")
        below.arrive(b"cd")
        assert ear.heard == []
        turn(fakes.base)
        assert ear.heard == ["read 4"]
        layer.close()


class TestEnds:
    def test_the_end_comes_after_what_was_before_it(
        self, fakes: FakeBase, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_watermark(EV_READ, high=3)
        layer.enable(EV_READ)
        below.arrive(b"abcdefg")
        below.arrive_end()
        turn(fakes.base)
        assert ear.heard == ["read 3", "read 3", "read 1", "READING|EOF"]
        assert not layer.enabled & EV_READ

    def test_the_end_waits_for_room(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        ear = Ear(layer, takes=False)
        layer.set_watermark(EV_READ, high=3)
        layer.enable(EV_READ)
        below.arrive(b"abcd")
        below.arrive_end()
        turn(fakes.base)
        assert ear.take() == ["read"]
        layer.input.clear()
        turn(fakes.base)
        assert ear.heard == ["read", "READING|EOF"]

    def test_nobody_who_does_not_read_hears_of_the_end(
        self, fakes: FakeBase, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        below.arrive_end()
        turn(fakes.base)
        assert ear.heard == []
        layer.enable(EV_READ)
        turn(fakes.base)
        assert ear.heard == ["READING|EOF"]
        assert not below.enabled & EV_READ

    def test_reading_can_be_enabled_again(self, below: Below, layer: Layer) -> None:
        ear = Ear(layer)
        layer.enable(EV_READ)
        below.arrive_end()
        layer.enable(EV_READ)
        below.arrive(b"more")
        below.arrive_end()
        assert ear.heard == ["READING|EOF", "read 4", "READING|EOF"]

    def test_an_error_of_reading_comes_after_what_was_before_it(
        self, fakes: FakeBase, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_watermark(EV_READ, high=2)
        layer.enable(EV_READ)
        below.arrive(b"abc")
        below._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError(ECONNRESET, "reset"))
        turn(fakes.base)
        assert ear.heard == ["read 2", "read 1", f"READING|ERROR read: [Errno {ECONNRESET}] reset"]
        assert isinstance(layer.error, ConnectionLost)

    @pytest.mark.parametrize(
        ("reading", "writing"),
        [
            (BEV_EVENT_EOF, BEV_EVENT_ERROR),
            (BEV_EVENT_EOF, BEV_EVENT_TIMEOUT),
            (BEV_EVENT_EOF, BEV_EVENT_EOF),
            (BEV_EVENT_ERROR, BEV_EVENT_ERROR),
        ],
    )
    def test_what_is_told_as_one_is_told_apart(
        self, fakes: FakeBase, below: Below, layer: Layer, reading: int, writing: int
    ) -> None:
        """A connection below that defers its callbacks tells of both directions at once."""
        heard: list[int] = []
        layer.set_callbacks(event=lambda _bev, what: heard.append(what))
        layer.set_watermark(EV_READ, high=2)
        layer.enable(EV_READ)
        below.arrive(b"abc")
        below.error = ConnectionLost("gone", during="write")
        below._call_event(BEV_EVENT_READING | BEV_EVENT_WRITING | reading | writing)
        assert heard == [BEV_EVENT_WRITING | writing]  # and nothing waits for room
        assert layer.enabled == EV_READ
        layer.input.clear()
        turn(fakes.base)
        assert heard[1:] == [BEV_EVENT_READING | reading]
        assert (layer.error is None) is (reading == BEV_EVENT_EOF)

    def test_close_at_the_end_of_reading_is_told_nothing_more(self, below: Below, layer: Layer) -> None:
        heard: list[int] = []
        layer.set_callbacks(event=lambda bev, what: (heard.append(what), bev.close()))
        layer.enable(EV_READ)
        below._call_event(BEV_EVENT_READING | BEV_EVENT_WRITING | BEV_EVENT_EOF | BEV_EVENT_ERROR)
        assert heard == [BEV_EVENT_READING | BEV_EVENT_EOF]

    @pytest.mark.parametrize(
        ("what", "error", "left"),
        [
            (BEV_EVENT_WRITING | BEV_EVENT_ERROR, ConnectionLost("gone", during="write"), EV_READ),
            (BEV_EVENT_READING | BEV_EVENT_TIMEOUT, TransportTimeout("slow", during="read"), EV_WRITE),
            (BEV_EVENT_WRITING | BEV_EVENT_TIMEOUT, TransportTimeout("slow", during="write"), EV_READ),
            (BEV_EVENT_ERROR, ConnectError("refused"), 0),
            (BEV_EVENT_TIMEOUT, TransportTimeout("slow", during="connect"), 0),
        ],
    )
    def test_everything_else_comes_up_at_once(
        self, below: Below, layer: Layer, what: int, error: TransportError, left: int
    ) -> None:
        heard: list[tuple[int, TransportError | None, int]] = []
        layer.set_callbacks(event=lambda bev, what: heard.append((what, bev.error, bev.enabled)))
        layer.enable(EV_READ)
        below.error = error
        below._call_event(what)
        assert heard == [(what, error, left)]

    def test_connected(self, below: Below, layer: Layer) -> None:
        ear = Ear(layer)
        layer.error = ConnectError("an earlier attempt")
        below._call_event(BEV_EVENT_CONNECTED)
        assert ear.heard == ["CONNECTED"]

    def test_goes_on_with_fewer_priorities(self, fakes: FakeBase) -> None:
        fakes.base.priority_init(3)
        below = Below(fakes.base)
        layer = Layer(below)
        layer.set_watermark(EV_READ, high=4)
        layer.set_priority(2)
        layer.enable(EV_READ)
        below.arrive(b"eight by")
        fakes.base.priority_init(1)
        assert layer.read() == b"eigh"
        turn(fakes.base)
        assert layer.read() == b"t by"
        layer.close()

    def test_enabling_a_direction_enables_it_below(self, below: Below, layer: Layer) -> None:
        layer.enable(EV_READ)
        below.disable(BOTH)  # as an error does
        layer.enable(BOTH)
        assert below.enabled == BOTH


class TestWriting:
    def test_goes_down_when_the_callback_returns(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        ear = Ear(layer)
        fakes.base.call_soon(layer.write, b"out")
        turn(fakes.base)
        assert (below.sent, ear.heard) == (b"out", ["write"])

    def test_the_write_callback_waits_for_the_one_below(
        self, fakes: FakeBase, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        below.room = 2
        layer.write(b"abc")
        turn(fakes.base)
        assert (below.sent, ear.heard) == (b"ab", [])
        below.take(None)
        assert (below.sent, ear.heard) == (b"abc", ["write"])

    def test_the_low_mark(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        below.set_watermark(EV_WRITE, high=2)
        below.room = 0
        layer.set_watermark(EV_WRITE, low=3)
        ear = Ear(layer)
        layer.write(b"abcdefgh")
        turn(fakes.base)
        for sent, heard in [(2, 0), (4, 0), (6, 1), (8, 2)]:
            below.take(2)
            turn(fakes.base)
            assert (len(below.sent), len(ear.heard)) == (sent, heard)

    def test_the_high_mark_below_stops_encoding(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        below.set_watermark(EV_WRITE, high=4)
        below.room = 0
        layer.write(b"abcdefghij")
        turn(fakes.base)
        assert (bytes(below.output), bytes(layer.output)) == (b"abcd", b"efghij")
        below.take(3)
        assert bytes(layer.output) == b"efghij"
        below.take(1)
        assert (bytes(below.output), bytes(layer.output)) == (b"efgh", b"ij")
        below.take(None)
        turn(fakes.base)
        assert below.sent == b"abcdefghij"

    def test_disabled(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        layer.disable(EV_WRITE)
        layer.write(b"x")
        turn(fakes.base)
        assert len(below.sent) == 0
        layer.enable(EV_WRITE)
        turn(fakes.base)
        assert below.sent == b"x"

    def test_a_write_callback_that_always_writes_starves_nobody(self, fakes: FakeBase, layer: Layer) -> None:
        turns: list[BufferEvent] = []
        layer.set_callbacks(write=each(turns.append, lambda bev: bev.write(b"x")))
        layer.write(b"x")
        fakes.base.timer(lambda _event, _what: fakes.base.loopbreak()).add(0)
        fakes.base.dispatch()
        assert 1 <= len(turns) <= 4

    def test_end_of_the_output(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        below.set_watermark(EV_WRITE, high=2)
        below.room = 0
        layer.write(b"abc")
        layer.shutdown_write()
        assert bytes(layer.output) == b"c"
        below.take(2)
        assert (below.sent, below.shut) == (b"ab", False)
        below.take(1)
        assert (below.sent, below.shut) == (b"abc", True)

    @pytest.mark.parametrize("held", [False, True])
    def test_shutdown_over_a_socket(
        self, base: EventBase, pair: tuple[socket.socket, ...], *, held: bool
    ) -> None:
        layer = Layer(SocketBufferEvent(base, pair[0]))
        layer.write(b"last")
        if held:
            layer.disable(EV_WRITE)
        layer.shutdown_write()
        layer.enable(EV_WRITE)
        turn(base)
        assert pair[1].recv(100) + pair[1].recv(100) == b"last"
        pair[1].send(b"still heard")
        ear = Ear(layer)
        layer.enable(EV_READ)
        turn(base)
        assert ear.data == b"still heard"
        layer.close()


class TestClosing:
    def test_closes_the_one_below(self, below: Below, layer: Layer) -> None:
        closed: list[BufferEvent] = []
        below.on_close = None
        layer.on_close = closed.append
        layer.close()
        layer.close()
        assert below.closed
        assert closed == [layer]

    def test_gives_the_one_below_back(self, fakes: FakeBase, below: Below) -> None:
        closed: list[BufferEvent] = []
        below.on_close = closed.append
        layer = Layer(below, close_underlying=False)
        layer.write(b"kept")
        turn(fakes.base)
        layer.close()
        assert not below.closed
        assert below.callbacks == (None, None, None)
        assert below.on_close == closed.append
        assert below.reads()
        below.close()
        assert closed == [below]

    def test_whoever_closes_the_one_below_closes_the_layer(self, fakes: FakeBase, below: Below) -> None:
        closed: list[BufferEvent] = []
        below.on_close = closed.append
        layer = Layer(below)
        layer.on_close = closed.append
        below.close()
        assert layer.closed
        assert closed == [layer, below]

    def test_using_a_closed_one_leaves_the_one_below_alone(self, fakes: FakeBase, below: Below) -> None:
        layer = Layer(below, close_underlying=False)
        layer.close()
        layer.enable(EV_READ)
        layer.disable(EV_READ)
        layer.write(b"x")
        layer.close_when_drained()
        assert layer.flush(BOTH, BEV_FINISHED) is False
        turn(fakes.base)
        assert below.reads()
        assert not below.sent
        assert not below.shut

    def test_a_closed_one_leaves_the_settings_of_the_one_below_alone(
        self, fakes: FakeBase, below: Below
    ) -> None:
        fakes.base.priority_init(3)
        layer = Layer(below, close_underlying=False)
        layer.close()
        below.disable(EV_WRITE)
        below.set_priority(2)
        layer.enable(BOTH)
        assert below.enabled == EV_READ
        layer.set_priority(1)
        below.write(b"x")
        layer.set_timeouts(read=1, write=1)
        below.enable(EV_WRITE)
        layer.resume(BOTH, SUSPEND_LOOKUP)
        turn(fakes.base)
        assert (below.sent, below.priority) == (b"x", 2)
        assert layer._progress is None
        assert layer._write_timer is None

    @pytest.mark.parametrize("defer", [False, True])
    def test_when_drained_waits_for_the_one_below(
        self, fakes: FakeBase, below: Below, *, defer: bool
    ) -> None:
        layer = Layer(below, defer_callbacks=defer)
        below.room = 1
        layer.write(b"abc")
        layer.close_when_drained()
        turn(fakes.base)
        assert (below.sent, layer.closed) == (b"a", False)
        below.take(1)
        turn(fakes.base)
        assert (below.sent, layer.closed) == (b"ab", False)
        below.take(1)
        turn(fakes.base)
        assert (below.sent, layer.closed) == (b"abc", True)

    def test_when_drained_with_nothing_to_send(self, layer: Layer) -> None:
        layer.close_when_drained()
        assert layer.closed

    def test_when_drained_and_shut_at_once(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        layer.suspend(EV_WRITE, SUSPEND_LOOKUP)
        layer.close_when_drained()
        layer.shutdown_write()
        assert not layer.closed
        layer.resume(EV_WRITE, SUSPEND_LOOKUP)
        turn(fakes.base)
        assert (layer.closed, below.shut) == (True, True)

    def test_when_drained_with_a_dead_peer(self, below: Below, layer: Layer) -> None:
        below.room = 0
        layer.write(b"x")
        layer.close_when_drained()
        below._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, BrokenPipeError())
        assert layer.closed

    @pytest.mark.parametrize("which", ["read", "write", "event"])
    @pytest.mark.parametrize("defer", [False, True])
    def test_from_inside_a_callback(self, fakes: FakeBase, below: Below, which: str, *, defer: bool) -> None:
        layer = Layer(below, defer_callbacks=defer)
        layer.set_callbacks(**{which: lambda bev, *_: bev.close()})
        layer.enable(EV_READ)
        layer.write(b"x")
        below.arrive(b"x")
        if not below.closed:
            below.arrive_end()
        turn(fakes.base)
        assert layer.closed
        assert below.closed

    @pytest.mark.parametrize("which", ["read", "write", "event"])
    def test_by_a_callback_that_fails(self, fakes: FakeBase, below: Below, layer: Layer, which: str) -> None:
        escaped: list[tuple[BaseException, object]] = []
        fakes.base.exception_handler = lambda exception, source: escaped.append((exception, source))
        boom = RuntimeError("boom")

        def fail(*_args: object) -> None:
            raise boom

        layer.set_callbacks(**{which: fail})
        layer.enable(EV_READ)
        layer.write(b"x")
        below.arrive(b"x")
        if not below.closed:
            below.arrive_end()
        turn(fakes.base)
        assert escaped == [(boom, layer)]
        assert below.closed

    def test_leaves_no_cycle(self, fakes: FakeBase) -> None:
        gc.disable()
        try:
            below = Below(fakes.base)
            layer = Layer(below)
            layer.set_timeouts(read=5, write=5)
            layer.set_watermark(EV_READ, high=1)
            Ear(layer)
            layer.enable(EV_READ)
            below.arrive(b"abc")
            layer.write(b"x")
            turn(fakes.base)
            gone = weakref.ref(layer), weakref.ref(below)
            layer.close()
            turn(fakes.base)
            del layer, below
            assert [ref() for ref in gone] == [None, None]
        finally:
            gc.enable()


class TestSilence:
    @pytest.fixture
    def below(self, manual_base: EventBase) -> Below:
        return Below(manual_base)

    @staticmethod
    def wait(base: EventBase, clock: ManualClock, seconds: float) -> None:
        clock.advance(seconds)
        turn(base)

    def test_read_time_out(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_timeouts(read=5)
        self.wait(manual_base, clock, 10)
        assert ear.heard == []  # nobody reads
        layer.enable(EV_READ)
        self.wait(manual_base, clock, 4)
        below.arrive(b"x")
        self.wait(manual_base, clock, 4)
        assert ear.take() == ["read 1"]
        self.wait(manual_base, clock, 1)
        assert ear.heard == ["READING|TIMEOUT read: timed out after 5 s"]
        assert not below.reads()

    def test_a_full_input_is_not_silence(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer, takes=False)
        layer.set_timeouts(read=5)
        layer.set_watermark(EV_READ, high=1)
        layer.enable(EV_READ)
        below.arrive(b"x")
        self.wait(manual_base, clock, 10)
        assert ear.heard == ["read"]
        layer.input.clear()
        self.wait(manual_base, clock, 5)
        assert ear.heard == ["read", "READING|TIMEOUT read: timed out after 5 s"]

    def test_write_time_out(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_timeouts(write=5)
        self.wait(manual_base, clock, 10)
        below.room = 1
        layer.write(b"abcd")
        turn(manual_base)
        self.wait(manual_base, clock, 4)
        below.take(1)  # something has moved
        self.wait(manual_base, clock, 4)
        layer.write(b"e")  # this is none
        turn(manual_base)
        assert ear.heard == []
        self.wait(manual_base, clock, 1)
        assert ear.take() == ["WRITING|TIMEOUT write: timed out after 5 s"]
        layer.enable(EV_WRITE)
        below.take(None)
        turn(manual_base)
        self.wait(manual_base, clock, 10)
        assert ear.heard == ["write"]
        assert below.sent == b"abcde"

    def test_nothing_at_all_is_taken(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        below.room = 0
        layer.set_timeouts(write=5)
        layer.write(b"x")
        turn(manual_base)
        self.wait(manual_base, clock, 5)
        assert ear.heard == ["WRITING|TIMEOUT write: timed out after 5 s"]

    def test_a_codec_that_waits_for_the_peer_is_silent(
        self, manual_base: EventBase, clock: ManualClock, below: Below
    ) -> None:
        def wait_for_peer(*_args: object) -> int:
            layer._write_held |= HELD_WAITING  # as TLS does
            return BEV_NEED_MORE

        layer = FilterBufferEvent(below, None, wait_for_peer)
        ear = Ear(layer)
        layer.set_timeouts(write=5)
        layer.write(b"x")
        turn(manual_base)
        self.wait(manual_base, clock, 4)
        assert ear.heard == []
        self.wait(manual_base, clock, 1)
        assert ear.heard == ["WRITING|TIMEOUT write: timed out after 5 s"]

    def test_disabled_writing_is_not_silence(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_timeouts(write=5)
        below.room = 0
        layer.write(b"x")
        turn(manual_base)
        layer.disable(EV_WRITE)
        self.wait(manual_base, clock, 10)
        assert ear.heard == []

    def test_changed_and_taken_away(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_timeouts(read=5, write=5)
        layer.enable(EV_READ)
        self.wait(manual_base, clock, 4)
        layer.set_timeouts(read=3)
        self.wait(manual_base, clock, 2)
        assert ear.heard == []
        layer.set_timeouts()
        self.wait(manual_base, clock, 10)
        assert ear.heard == []
        assert below.output._callbacks is None

    def test_what_goes_at_once_has_no_silence(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        """Nothing listens to the buffer at the bottom, nor is there a timer, while nothing waits there."""
        ear = Ear(layer)
        layer.set_timeouts(write=5)
        assert below.output._callbacks is None
        layer.write(b"gone")
        turn(manual_base)
        assert (ear.take(), layer._write_timer, below.output._callbacks) == (["write"], None, None)
        below.room = 1
        layer.write(b"not")
        turn(manual_base)
        assert below.output._callbacks is not None
        self.wait(manual_base, clock, 4)
        below.take(1)
        self.wait(manual_base, clock, 4)
        assert (ear.heard, below.output.length) == ([], 1)
        below.take(None)
        assert below.output._callbacks is None
        self.wait(manual_base, clock, 10)
        assert ear.take() == ["write"]
        below.room = 0
        layer.write(b"again")
        turn(manual_base)
        self.wait(manual_base, clock, 5)
        assert ear.heard == ["WRITING|TIMEOUT write: timed out after 5 s"]

    def test_who_has_failed_listens_no_more(self, manual_base: EventBase, below: Below) -> None:
        def fail(source: Buffer, sink: Buffer, _limit: int, _mode: int) -> int:
            if below.output.length:
                raise RuntimeError("not again")
            sink.add_buffer(source)
            return BEV_OK

        layer = FilterBufferEvent(below, None, fail, close_underlying=False)
        caught: list[object] = []
        manual_base.exception_handler = lambda *story: caught.append(story)
        layer.set_timeouts(write=5)
        below.room = 0
        layer.write(b"x")
        turn(manual_base)
        assert below.output._callbacks is not None
        layer.write(b"y")
        turn(manual_base)
        assert (len(caught), layer.closed, below.closed, below.output.length) == (1, True, False, 1)
        assert below.output._callbacks is None

    def test_what_a_codec_swallows_is_no_silence(
        self, manual_base: EventBase, clock: ManualClock, below: Below
    ) -> None:
        def swallow(source: Buffer, _sink: Buffer, _limit: int, _mode: int) -> int:
            if not swallows:
                return BEV_NEED_MORE
            source.drain(len(source))
            return BEV_OK

        swallows = False
        layer = FilterBufferEvent(below, None, swallow)
        ear = Ear(layer)
        layer.set_timeouts(write=5)
        layer.write(b"x")
        turn(manual_base)
        self.wait(manual_base, clock, 4)
        swallows = True
        layer.write(b"y")
        turn(manual_base)
        self.wait(manual_base, clock, 4)
        assert ear.heard == ["write"]

    def test_input_puts_a_time_out_off_that_was_made_shorter(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_timeouts(read=50)
        layer.enable(EV_READ)
        layer.read_timeout = 5
        below.arrive(b"x")
        assert ear.take() == ["read 1"]
        self.wait(manual_base, clock, 4)
        below.arrive(b"x")
        assert ear.take() == ["read 1"]
        self.wait(manual_base, clock, 4)
        assert ear.heard == []
        self.wait(manual_base, clock, 1)
        assert ear.heard == ["READING|TIMEOUT read: timed out after 5 s"]

    def test_input_in_the_pass_of_the_time_out_comes_first(
        self, manual_base: EventBase, clock: ManualClock, below: Below, layer: Layer
    ) -> None:
        ear = Ear(layer)
        layer.set_timeouts(read=5)
        layer.enable(EV_READ)
        assert layer._read_timer is not None
        layer._read_timer.activate(EV_TIMEOUT)  # as when it is due, in one pass with what arrives
        layer._read_timer.remove_timer()
        below.arrive(b"x")
        turn(manual_base)
        assert ear.take() == ["read 1"]
        self.wait(manual_base, clock, 5)
        assert ear.heard == ["READING|TIMEOUT read: timed out after 5 s"]

    def test_the_progress_of_the_lowest_counts(
        self, manual_base: EventBase, clock: ManualClock, below: Below
    ) -> None:
        layer = Layer(Layer(below))
        ear = Ear(layer)
        layer.set_timeouts(write=5)
        below.room = 0
        layer.write(b"abc")
        turn(manual_base)
        turn(manual_base)
        assert below.output.length == 3
        for _ in range(2):
            self.wait(manual_base, clock, 4)
            below.take(1)
        assert ear.heard == []
        self.wait(manual_base, clock, 5)
        assert ear.heard == ["WRITING|TIMEOUT write: timed out after 5 s"]
        layer.close()


class TestStacks:
    def test_two_layers(self, fakes: FakeBase, below: Below) -> None:
        top = Layer(Layer(below))
        ear = Ear(top)
        top.enable(EV_READ)
        below.arrive(b"in")
        below.room = 1
        top.write(b"out")
        turn(fakes.base)
        assert (ear.heard, ear.data) == (["read 2"], b"in")
        below.take(None)
        assert ear.take() == ["read 2", "write"]
        below.arrive_end()
        turn(fakes.base)
        assert ear.take() == ["READING|EOF"]
        top.write(b"!")
        top.close_when_drained()
        turn(fakes.base)
        assert below.sent == b"out!"
        assert below.closed

    def test_priority_goes_down(self) -> None:
        with base_with_fakes().base as base:
            base.priority_init(3)
            below = Below(base)
            below.set_priority(2)
            layer = Layer(below, defer_callbacks=True)
            assert layer.priority == 2
            assert [entry.level for entry in layer._queue_entries()] == [2]
            layer.set_timeouts(read=1, write=1)
            layer.enable(EV_READ)
            layer.set_watermark(EV_READ, high=1)
            below.arrive(b"abc")
            layer.input.clear()
            layer.set_priority(0)
            assert below.priority == layer.priority == 0
            entries = layer._queue_entries()
            assert len(entries) == 3  # deferred callbacks, the read timer, the rest of the input
            assert sum(isinstance(entry, Event) for entry in entries) == 1
            assert [entry.level for entry in entries] == [0, 0, 0]
            for priority in (-1, 3):
                with pytest.raises(ValueError, match="priority must be 0 to 2"):
                    layer.set_priority(priority)
            layer.close()


class TestFlushing:
    def test_past_the_high_marks(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        ear = Ear(layer, takes=False)
        below.set_watermark(EV_WRITE, high=2)
        below.room = 0
        layer.write(b"abcd")
        layer.set_watermark(EV_READ, high=2)
        layer.enable(EV_READ)
        below.arrive(b"efgh")
        assert layer.flush(BOTH, BEV_NORMAL) is True  # two bytes went down
        assert (bytes(below.output), bytes(layer.input)) == (b"ab", b"ef")
        assert layer.flush(BOTH, BEV_FLUSH) is True
        assert (bytes(below.output), bytes(layer.input)) == (b"abcd", b"efgh")
        assert ear.take() == ["read"]  # that of the arrival; the other comes later
        assert layer.flush(BOTH, BEV_FLUSH) is False
        turn(fakes.base)
        assert ear.take() == ["read"]

    def test_the_end(self, fakes: FakeBase, below: Below, layer: Layer) -> None:
        layer.flush(EV_WRITE, BEV_FINISHED)
        assert below.shut

    def test_nonsense(self, layer: Layer) -> None:
        with pytest.raises(ValueError, match="expected BEV_NORMAL, BEV_FLUSH or BEV_FINISHED, got 3"):
            layer.flush(EV_READ, 3)
        with pytest.raises(ValueError, match="expected EV_READ, EV_WRITE or both"):
            layer.flush(8, BEV_FLUSH)


def test_repr(layer: Layer) -> None:
    assert repr(layer) == "<Layer open enabled=WRITE input=0 output=0>"
    layer.close()
    assert repr(layer).startswith("<Layer closed ")


PIECES = st.lists(st.binary(min_size=1, max_size=20), max_size=12)


@given(
    pieces=PIECES, high=st.one_of(st.none(), st.integers(1, 9)), takes=st.integers(1, 7), deep=st.booleans()
)
def test_no_split_and_no_mark_loses_a_byte(
    *, pieces: list[bytes], high: int | None, takes: int, deep: bool
) -> None:
    stream = b"".join(pieces)
    with base_with_fakes().base as base:
        below = Below(base)
        layer: BufferEvent = Layer(Layer(below)) if deep else Layer(below)
        layer.set_watermark(EV_READ, high=high)
        got, ends = bytearray(), []
        layer.set_callbacks(
            lambda bev: got.extend(bev.read(takes)), None, lambda bev, what: ends.append((what, bytes(got)))
        )
        layer.enable(EV_READ)
        for piece in pieces:
            if below.reads():
                below.arrive(piece)
            else:
                below.input.feed(piece)
            turn(base)
            got += layer.read(takes)
        below.arrive_end()
        for _ in range(len(stream) + 2):
            turn(base)
            got += layer.read()
        assert bytes(got) == stream
        assert [what for what, _ in ends] == [BEV_EVENT_READING | BEV_EVENT_EOF]
        layer.close()
