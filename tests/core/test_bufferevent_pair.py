"""`PairBufferEvent`: what moves when, who hears what, and that no order of calls loses or makes up a byte."""

import gc
import weakref
from errno import EPIPE
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from below import Ear, each, turn
from evkit.core.base import EventBase
from evkit.core.buffer import Buffer, BufferInfo
from evkit.core.bufferevent import BufferEvent
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.bufferevent.gate import SUSPEND_LOOKUP
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.flags import BEV_FINISHED, BEV_FLUSH, BEV_NORMAL, EV_READ, EV_WRITE
from evkit.errors import ConnectionLost
from evkit.testing import FakeBase, ManualClock, base_with_fakes

BOTH = EV_READ | EV_WRITE
Ends = tuple[PairBufferEvent, PairBufferEvent]


@pytest.fixture
def base(fakes: FakeBase) -> EventBase:
    """A pair needs no descriptor, so every backend is the same to it."""
    return fakes.base


@pytest.fixture
def ends(base: EventBase) -> Ends:
    return PairBufferEvent.pair(base)


class TestMoving:
    def test_partners(self, ends: Ends) -> None:
        one, other = ends
        assert (one.partner, other.partner) == (other, one)
        assert one.base is other.base

    def test_callbacks_run_later_in_order(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ears = Ear(one), Ear(other)
        other.enable(EV_READ)
        one.write(b"hello")
        one.flush_output()
        assert [ear.heard for ear in ears] == [[], []]
        turn(base)
        assert [ear.heard for ear in ears] == [["write"], ["read 5"]]
        assert ears[1].data == b"hello"

    def test_nothing_is_copied(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        data = b"x" * 5000
        other.enable(EV_READ)
        one.write(data)
        turn(base)
        assert other.read() is data

    @pytest.mark.parametrize("reason", ["not enabled", "disabled", "held", "full"])
    def test_waits_for_the_reader(self, base: EventBase, ends: Ends, reason: str) -> None:
        one, other = ends
        ear = Ear(one)
        if reason != "not enabled":
            other.enable(EV_READ)
        if reason == "disabled":
            other.disable(EV_READ)
        elif reason == "held":
            other.suspend(EV_READ, SUSPEND_LOOKUP)
        elif reason == "full":
            other.set_watermark(EV_READ, high=1)
            one.write(b"-")
            turn(base)
            ear.take()
        one.write(b"abc")
        turn(base)
        assert (bytes(one.output), ear.heard) == (b"abc", [])
        other.resume(EV_READ, SUSPEND_LOOKUP)
        other.enable(EV_READ)
        other.set_watermark(EV_READ)
        other.input.drain(1)
        turn(base)
        assert (bytes(other.input)[-2:], bytes(one.output), ear.heard) == (b"bc", b"", ["write"])

    def test_waits_for_the_writer(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        other.enable(EV_READ)
        one.disable(EV_WRITE)
        one.write(b"abc")
        turn(base)
        assert not other.input
        other.disable(EV_READ)
        other.enable(EV_READ)
        assert not other.input  # the reader's wish does not stand for the writer's
        one.enable(EV_WRITE)
        assert bytes(other.input) == b"abc"

    def test_the_high_mark_is_never_passed(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(one)
        other.set_watermark(EV_READ, high=4)
        other.enable(EV_READ)
        one.write(b"abcdefgh")
        turn(base)
        assert (bytes(other.input), bytes(one.output)) == (b"abcd", b"efgh")
        assert other.read(1) == b"a"
        assert (bytes(other.input), bytes(one.output)) == (b"bcde", b"fgh")
        assert ear.heard == []
        assert other.read() == b"bcde"
        turn(base)
        assert bytes(other.input) == b"fgh"
        assert ear.heard == ["write"]

    def test_low_marks(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ears = Ear(one), Ear(other, takes=False)
        one.set_watermark(EV_WRITE, low=2)
        other.set_watermark(EV_READ, low=3, high=6)
        other.enable(EV_READ)
        one.write(b"ab")
        turn(base)
        assert [ear.take() for ear in ears] == [["write"], []]
        one.write(b"cdefghi")
        turn(base)
        assert [ear.take() for ear in ears] == [[], ["read"]]
        other.input.drain(1)
        turn(base)
        assert [ear.take() for ear in ears] == [["write"], ["read"]]

    def test_a_write_callback_that_always_writes_starves_nobody(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        rounds: list[BufferEvent] = []
        one.set_callbacks(write=each(rounds.append, lambda bev: bev.write(b"x")))
        other.set_callbacks(read=BufferEvent.read)
        other.enable(EV_READ)
        one.write(b"x")
        base.timer(lambda _event, _what: base.loopbreak()).add(0)
        base.dispatch()
        assert 1 <= len(rounds) <= 64

    def test_echo(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        other.set_callbacks(read=lambda bev: bev.output.add_buffer(bev.input))
        ear = Ear(one)
        for bev in ends:
            bev.set_watermark(EV_READ, high=7)
            bev.enable(EV_READ)
        one.write(bytes(range(100)))
        turn(base)
        assert ear.data == bytes(range(100))

    def test_a_buffer_callback_may_make_room_any_number_of_times(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        taken: list[bytes] = []
        other.set_watermark(EV_READ, high=1)
        other.enable(EV_READ)
        other.input.add_callback(lambda buffer, info: taken.append(buffer.remove()) if info.added else None)
        one.write(b"x" * 3000)
        while one.output:
            before = len(one.output)
            turn(base)
            assert len(one.output) < before
        assert taken == [b"x"] * 3000

    def test_a_failing_buffer_callback_closes(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        escaped: list[tuple[str, object]] = []
        base.exception_handler = lambda exception, source: escaped.append((repr(exception), source))

        def fail(*_args: object) -> None:
            raise RuntimeError

        other.input.add_callback(fail)
        other.enable(EV_READ)
        one.write(b"x")
        turn(base)
        assert escaped == [("RuntimeError()", one)]
        assert one.closed

    def test_what_moved_before_a_buffer_callback_failed_is_told(self, base: EventBase, ends: Ends) -> None:
        base.exception_handler = lambda _exception, _source: None
        one, other = ends
        ear = Ear(other)
        other.set_watermark(EV_READ, high=3)
        other.enable(EV_READ)

        def fail(_buffer: Buffer, info: BufferInfo) -> None:
            if info.deleted == 3:
                raise ZeroDivisionError

        one.write(b"abc and what is lost")
        one.output.add_callback(fail)
        turn(base)
        assert one.closed
        assert (ear.data, ear.heard) == (b"abc", ["read 3", "READING|EOF"])


class TestClosing:
    def test_the_partner_reads_what_came_and_then_the_end(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        other.enable(EV_READ)
        one.write(b"last words")
        turn(base)
        one.close()
        assert ear.take() == ["read 10"]
        turn(base)
        assert ear.heard == ["READING|EOF"]
        assert (one.partner, other.partner) == (None, None)
        assert not other.enabled & EV_READ

    def test_the_end_waits_until_somebody_reads(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other, takes=False)
        other.set_watermark(EV_READ, high=1)
        other.enable(EV_READ)
        one.write(b"a")
        turn(base)
        one.close()
        turn(base)
        assert ear.take() == ["read"]
        other.input.clear()
        turn(base)
        assert ear.heard == ["READING|EOF"]

    def test_writing_to_nobody(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        one.close()
        other.write(b"hello?")
        turn(base)
        assert ear.heard == [f"WRITING|ERROR write: [Errno {EPIPE}] Broken pipe"]
        assert not other.enabled & EV_WRITE

    def test_what_waits_for_a_partner_that_goes(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        other.write(b"never read")
        turn(base)
        one.close()
        turn(base)
        assert ear.heard == [f"WRITING|ERROR write: [Errno {EPIPE}] Broken pipe"]

    def test_when_drained_to_nobody(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        other.write(b"never read")
        other.close_when_drained()
        turn(base)
        assert not other.closed
        one.close()
        turn(base)
        assert other.closed

    def test_when_drained_though_there_is_nobody_any_more(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        other.close()
        one.write(b"never read")
        one.close_when_drained()
        turn(base)
        assert one.closed

    def test_when_drained_while_a_layer_is_to_hear_of_both_ends(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        layer = FilterBufferEvent(one)
        layer.enable(EV_READ)
        layer.write(b"never read")
        turn(base)
        other.close()
        layer.close_when_drained()
        turn(base)
        assert layer.closed

    def test_when_drained(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        one.write(b"bye")
        one.close_when_drained()
        turn(base)
        assert (one.closed, ear.heard) == (False, [])
        other.enable(EV_READ)
        turn(base)
        assert (one.closed, ear.heard) == (True, ["read 3", "READING|EOF"])

    def test_libevents_silence(self, base: EventBase) -> None:
        one, other = PairBufferEvent.pair(base, eof_on_close=False)
        ear = Ear(other)
        other.enable(EV_READ)
        one.close()
        other.write(b"x")
        turn(base)
        assert ear.heard == []
        assert other.partner is None
        assert other.flush(BOTH, BEV_FINISHED) is False

    def test_silence_is_silence_all_the_same(self, fakes: FakeBase) -> None:
        base = fakes.base
        one, other = PairBufferEvent.pair(base, eof_on_close=False)
        ear = Ear(other)
        other.set_timeouts(write=5)
        one.close()
        other.write(b"x")
        turn(base)
        assert ear.heard == []
        fakes.clock.advance(5)
        turn(base)
        assert ear.heard == ["WRITING|TIMEOUT write: timed out after 5 s"]

    def test_end_of_the_output(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ears = Ear(one), Ear(other)
        other.set_watermark(EV_READ, high=2)
        for bev in ends:
            bev.enable(EV_READ)
        one.write(b"abc")
        one.shutdown_write()
        turn(base)
        assert ears[1].heard == ["read 2", "read 1", "READING|EOF"]
        other.write(b"still here")
        turn(base)
        assert ears[0].data == b"still here"

    def test_whoever_reads_again_reads_the_end_again(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        other.enable(EV_READ)
        one.shutdown_write()
        turn(base)
        assert ear.take() == ["READING|EOF"]
        turn(base)
        assert ear.take() == []
        other.enable(EV_READ)
        turn(base)
        assert ear.take() == ["READING|EOF"]

    @pytest.mark.parametrize("eof_on_close", [True, False])
    def test_writing_after_the_end(self, base: EventBase, *, eof_on_close: bool) -> None:
        one, other = PairBufferEvent.pair(base, eof_on_close=eof_on_close)
        ears = Ear(one), Ear(other)
        other.enable(EV_READ)
        one.write(b"a")
        one.shutdown_write()
        turn(base)
        assert [ear.take() for ear in ears] == [["write"], ["read 1", "READING|EOF"]]
        one.write(b"b")
        turn(base)
        assert [ear.take() for ear in ears] == [[f"WRITING|ERROR write: [Errno {EPIPE}] Broken pipe"], []]
        other.write(b"c")
        one.enable(EV_READ)
        turn(base)
        assert ears[0].data == b"c"

    def test_end_of_a_held_output(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        other.enable(EV_READ)
        one.disable(EV_WRITE)
        one.shutdown_write()
        turn(base)
        assert ear.heard == []
        one.enable(EV_WRITE)
        turn(base)
        assert ear.heard == ["READING|EOF"]

    def test_end_of_the_output_to_nobody_is_harmless(self, ends: Ends) -> None:
        ends[1].close()
        ends[0].shutdown_write()
        ends[1].shutdown_write()
        assert not ends[0].closed

    @pytest.mark.parametrize("which", ["read", "write", "event"])
    def test_from_inside_a_callback(self, base: EventBase, ends: Ends, which: str) -> None:
        one, other = ends
        one.set_callbacks(**{which: lambda bev, *_: bev.close()})
        Ear(other)
        for bev in ends:
            bev.enable(EV_READ)
            bev.write(b"x")
        turn(base)
        if which == "event":
            other.shutdown_write()
            turn(base)
        assert one.closed
        assert other.partner is None

    def test_leaves_no_cycle(self, base: EventBase) -> None:
        gc.disable()
        try:

            class Seen(PairBufferEvent):
                __slots__ = ("__weakref__",)

            one, other = Seen.pair(base)
            for bev in (one, other):
                Ear(bev)
                bev.set_timeouts(read=9, write=9)
                bev.enable(EV_READ)
                bev.write(b"x")
            turn(base)
            gone = weakref.ref(one), weakref.ref(other)
            one.close()
            turn(base)
            other.close()
            turn(base)
            del one, other, bev
            assert [ref() for ref in gone] == [None, None]
        finally:
            gc.enable()


class TestFlushing:
    def test_normal_does_nothing(self, ends: Ends) -> None:
        one, other = ends
        one.write(b"x")
        assert one.flush(BOTH, BEV_NORMAL) is False
        assert not other.input

    def test_flush_heeds_nothing(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ears = Ear(one), Ear(other, takes=False)
        other.set_watermark(EV_READ, high=1)
        one.write(b"abc")
        other.write(b"xyz")
        assert one.flush(EV_WRITE, BEV_FLUSH) is True
        assert (bytes(other.input), bytes(one.input)) == (b"abc", b"")
        assert one.flush(EV_READ, BEV_FLUSH) is True
        assert bytes(one.input) == b"xyz"
        assert one.flush(BOTH, BEV_FLUSH) is False
        assert [ear.heard for ear in ears] == [[], []]
        turn(base)
        assert [sorted(ear.heard) for ear in ears] == [["read 3", "write"], ["read", "write"]]

    @pytest.mark.parametrize(
        ("events", "what", "left"),
        [
            (EV_WRITE, "READING|EOF", EV_WRITE),
            (EV_READ, "WRITING|EOF", EV_READ),
            (BOTH, "READING|WRITING|EOF", 0),
        ],
    )
    def test_finished(self, base: EventBase, ends: Ends, events: int, what: str, left: int) -> None:
        one, other = ends
        ear = Ear(other)
        other.enable(EV_READ)
        other.error = ConnectionLost("an earlier one", during="read")
        assert one.flush(events, BEV_FINISHED) is False
        turn(base)
        assert ear.heard == [what]
        assert other.enabled == left

    def test_finished_after_the_data(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        one.write(b"abc")
        assert one.flush(EV_WRITE, BEV_FINISHED) is True
        turn(base)
        assert ear.heard == ["read 3", "READING|EOF"]

    def test_finished_is_the_end_for_good(self, base: EventBase, ends: Ends) -> None:
        """As on every connection, it is `shutdown_write`."""
        one, other = ends
        ears = Ear(one), Ear(other)
        one.flush(EV_WRITE, BEV_FINISHED)
        turn(base)
        one.write(b"late")
        turn(base)
        assert [ear.take() for ear in ears] == [
            [f"WRITING|ERROR write: [Errno {EPIPE}] Broken pipe"],
            ["READING|EOF"],
        ]
        other.enable(EV_READ)
        turn(base)
        assert [ear.take() for ear in ears] == [[], ["READING|EOF"]]

    def test_finished_by_a_callback_that_closes(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        other.input.add_callback(lambda _buffer, _info: one.close())
        one.write(b"x")
        one.flush(EV_WRITE, BEV_FINISHED)
        turn(base)
        assert ear.take() == ["read 1"]
        other.enable(EV_READ)
        turn(base)
        assert ear.take() == ["READING|EOF"]

    def test_to_a_partner_that_a_callback_closes_meanwhile(self, base: EventBase, ends: Ends) -> None:
        one, other = ends
        ear = Ear(one)
        one.write(b"to nobody")
        other.write(b"x")
        other.output.add_callback(lambda _buffer, _info: other.close())
        assert one.flush(BOTH, BEV_FLUSH)
        turn(base)
        assert ear.heard == ["read 1", f"WRITING|ERROR write: [Errno {EPIPE}] Broken pipe"]
        assert one.output.length == len(b"to nobody")


class TestSilence:
    @pytest.fixture
    def base(self, manual_base: EventBase) -> EventBase:
        return manual_base

    def test_of_the_partner(self, base: EventBase, clock: ManualClock, ends: Ends) -> None:
        one, other = ends
        ear = Ear(other)
        other.set_timeouts(read=5)
        other.enable(EV_READ)
        for _ in range(2):
            clock.advance(4)
            turn(base)
            one.write(b"x")
            turn(base)
        clock.advance(4)
        turn(base)
        assert ear.take() == ["read 1", "read 1"]
        clock.advance(1)
        turn(base)
        turn(base)
        assert ear.heard == ["READING|TIMEOUT read: timed out after 5 s"]
        assert other.enabled == EV_WRITE

    def test_of_a_partner_that_does_not_read(self, base: EventBase, clock: ManualClock, ends: Ends) -> None:
        one, other = ends
        ear = Ear(one)
        one.set_timeouts(write=5)
        clock.advance(10)
        turn(base)
        assert ear.heard == []  # there is nothing to write
        one.write(b"ab")
        turn(base)
        other.set_watermark(EV_READ, high=1)
        clock.advance(4)
        other.enable(EV_READ)  # one byte moves
        turn(base)
        clock.advance(4)
        turn(base)
        assert ear.heard == []
        clock.advance(1)
        turn(base)
        turn(base)
        assert ear.heard == ["WRITING|TIMEOUT write: timed out after 5 s"]

    def test_of_a_partner_that_takes_nothing(self, base: EventBase, clock: ManualClock, ends: Ends) -> None:
        ear = Ear(ends[0])
        ends[0].set_timeouts(write=5)
        ends[0].write(b"x")
        turn(base)
        clock.advance(5)
        turn(base)
        turn(base)
        assert ear.heard == ["WRITING|TIMEOUT write: timed out after 5 s"]


def test_a_filter_over_a_pair(base: EventBase) -> None:
    def shout(source: Buffer, sink: Buffer, limit: int, mode: int) -> int:
        sink.add(source.remove(limit).upper())
        return 0

    one, other = PairBufferEvent.pair(base)
    loud = FilterBufferEvent(one, None, shout)
    ears = Ear(loud), Ear(other)
    other.set_watermark(EV_READ, high=3)
    for bev in (loud, other):
        bev.enable(EV_READ)
    loud.write(b"hello")
    other.write(b"and back")
    turn(base)
    assert (ears[0].data, ears[1].data) == (b"and back", b"HELLO")
    loud.close_when_drained()
    turn(base)
    assert loud.closed
    assert ears[1].heard[-1] == "READING|EOF"


def test_repr(ends: Ends) -> None:
    one, other = ends
    one.write(b"abc")
    assert repr(one) == "<PairBufferEvent open enabled=WRITE input=0 output=3>"
    other.close()
    assert repr(one).startswith("<PairBufferEvent alone ")
    assert repr(other).startswith("<PairBufferEvent closed ")


END = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("write"), END, st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("read"), END, st.integers(1, 12)),
    st.tuples(st.sampled_from(["enable", "disable"]), END, st.sampled_from([EV_READ, EV_WRITE, BOTH])),
    st.tuples(st.just("mark"), END, st.one_of(st.none(), st.integers(1, 8))),
    st.tuples(st.sampled_from(["hold", "free"]), END, st.sampled_from([EV_READ, EV_WRITE])),
    st.tuples(st.just("flush"), END, st.sampled_from([BEV_NORMAL, BEV_FLUSH])),
    st.tuples(st.sampled_from(["turn", "shutdown_write", "close", "close_when_drained"]), END, st.none()),
)


class Model:
    """Two ends, what was written to each, and what was read from each."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.ends = PairBufferEvent.pair(base)
        self.ears = [Ear(end, takes=False) for end in self.ends]
        self.written = [b"", b""]
        self.read = [b"", b""]
        self.ended = [False, False]

    def step(self, what: str, end: int, value: Any) -> None:
        bev = self.ends[end]
        if what == "write":
            self.write(end, value)
        elif what == "read":
            self.read[end] += bev.read(value)
        elif what == "mark":
            bev.set_watermark(EV_READ, high=value)
        elif what == "hold":
            bev.suspend(value, SUSPEND_LOOKUP)
        elif what == "free":
            bev.resume(value, SUSPEND_LOOKUP)
        elif what == "flush":
            bev.flush(BOTH, value)
        elif what == "turn":
            turn(self.base)
        else:
            self.ended[end] |= what in ("shutdown_write", "close", "close_when_drained")
            getattr(bev, what)(*(() if value is None else (value,)))
        self.check()

    def write(self, end: int, data: bytes) -> None:
        if not self.ended[end]:
            self.ends[end].write(data)
            self.written[end] += data

    def check(self) -> None:
        for writer in (0, 1):
            reader = 1 - writer
            got = self.read[reader] + bytes(self.ends[reader].input)
            on_the_way = bytes(self.ends[writer].output)
            if self.ends[writer].closed:
                assert self.written[writer].startswith(got)  # the rest is lost
            else:
                assert got + on_the_way == self.written[writer]
        one, other = self.ends
        assert (one.partner is None) == (other.partner is None) == (one.closed or other.closed)


@given(steps=st.lists(STEPS, max_size=30))
def test_no_order_of_calls_loses_a_byte(steps: list[tuple[str, int, object]]) -> None:
    with base_with_fakes().base as base:
        model = Model(base)
        for step in steps:
            model.step(*step)
        # In the end everybody is free to go on, and all that can still arrive does.
        for end in model.ends:
            if not end.closed:
                end.resume(BOTH, SUSPEND_LOOKUP)
                end.set_watermark(EV_READ)
                end.enable(BOTH)
        turn(base)
        model.check()
        for end, other in (model.ends, model.ends[::-1]):
            assert end.closed or other.closed or not end.output
            end.close()
