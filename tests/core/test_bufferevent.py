"""What every buffered connection decides by itself, shown by a transport that only notes what it is told."""

from collections.abc import Iterator

import pytest

from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent
from evkit.core.bufferevent.common import SUSPEND_BANDWIDTH, SUSPEND_FILTER, SUSPEND_LOOKUP
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_WRITING,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_WRITE,
    event_bits,
)
from evkit.errors import FrozenBufferError
from evkit.testing import base_with_fakes

BOTH = EV_READ | EV_WRITE


class Noted(BufferEvent):
    """A transport that carries nothing."""

    __slots__ = ("flushes", "log")

    def __init__(self, base: EventBase) -> None:
        self.log: list[str] = []
        self.flushes = 0
        super().__init__(base)

    def _start(self, events: int) -> None:
        if events:
            self.log.append(f"start {event_bits(events)}")

    def _stop(self, events: int) -> None:
        self.log.append(f"stop {event_bits(events)}")

    def _adjust_timeouts(self) -> None:
        self.log.append("adjust")

    def _close_transport(self) -> None:
        self.log.append("close")

    def flush_output(self) -> None:
        self.flushes += 1
        self._flush_queued = False

    def arrive(self, data: bytes) -> None:
        self.input.feed(data)

    def take_log(self) -> list[str]:
        log, self.log = self.log, []
        return log


@pytest.fixture
def bev() -> Iterator[Noted]:
    with base_with_fakes().base as base:
        yield Noted(base)


class TestEnabling:
    def test_writing_is_enabled_from_the_start_and_reading_is_not(self, bev: Noted) -> None:
        assert bev.enabled == EV_WRITE
        assert bev.take_log() == []

    def test_enable_and_disable(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        assert bev.enabled == BOTH
        bev.disable(EV_WRITE)
        assert bev.enabled == EV_READ
        assert bev.take_log() == ["start READ", "stop WRITE"]

    @pytest.mark.parametrize("events", [EV_SIGNAL, EV_READ | EV_PERSIST, 0x400])
    def test_other_bits_are_refused(self, bev: Noted, events: int) -> None:
        for call in (bev.enable, bev.disable, bev.set_watermark):
            with pytest.raises(ValueError, match="expected EV_READ, EV_WRITE or both"):
                call(events)
        assert bev.enabled == EV_WRITE


class TestSuspending:
    def test_flows_again_when_the_last_reason_is_gone(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.suspend(EV_READ, SUSPEND_LOOKUP)
        bev.suspend(EV_READ, SUSPEND_BANDWIDTH)
        bev.take_log()
        bev.resume(EV_READ, SUSPEND_LOOKUP)
        assert bev.take_log() == []
        bev.resume(EV_READ, SUSPEND_BANDWIDTH)
        assert bev.take_log() == ["start READ"]

    def test_a_reason_given_twice_is_one(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.suspend(EV_READ, SUSPEND_FILTER)
        bev.suspend(EV_READ, SUSPEND_FILTER)
        bev.take_log()
        bev.resume(EV_READ, SUSPEND_FILTER)
        assert bev.take_log() == ["start READ"]

    def test_directions_are_apart(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.suspend(BOTH, SUSPEND_LOOKUP)
        bev.take_log()
        bev.resume(EV_WRITE, SUSPEND_LOOKUP)
        assert bev.take_log() == ["start WRITE"]

    def test_enable_while_suspended_is_a_wish_only(self, bev: Noted) -> None:
        bev.suspend(EV_READ, SUSPEND_LOOKUP)
        bev.take_log()
        bev.enable(EV_READ)
        assert bev.take_log() == []
        assert bev.enabled == BOTH
        bev.resume(EV_READ, SUSPEND_LOOKUP)
        assert bev.take_log() == ["start READ"]

    def test_resume_does_not_start_what_is_disabled(self, bev: Noted) -> None:
        bev.suspend(BOTH, SUSPEND_LOOKUP)
        bev.disable(EV_WRITE)
        bev.take_log()
        bev.resume(BOTH, SUSPEND_LOOKUP)
        assert bev.take_log() == []


class TestHighReadMark:
    def test_pauses_at_the_mark_and_resumes_below_it(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.set_watermark(EV_READ, high=4)
        bev.take_log()
        bev.arrive(b"abc")
        assert bev.take_log() == []
        bev.arrive(b"d")
        assert bev.take_log() == ["stop READ"]
        bev.arrive(b"e")  # more than asked for: a record of TLS, for instance
        bev.input.drain(1)
        assert bev.take_log() == []
        bev.input.drain(1)
        assert bev.take_log() == ["start READ"]

    def test_set_late(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.arrive(b"abcd")
        bev.take_log()
        bev.set_watermark(EV_READ, high=4)
        assert bev.take_log() == ["stop READ"]

    @pytest.mark.parametrize("high", [None, 5])
    def test_removed_or_raised(self, bev: Noted, high: int | None) -> None:
        bev.enable(EV_READ)
        bev.set_watermark(EV_READ, high=4)
        bev.arrive(b"abcd")
        bev.take_log()
        bev.set_watermark(EV_READ, high=high)
        assert bev.take_log() == ["start READ"]

    def test_does_not_undo_another_reason(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.set_watermark(EV_READ, high=2)
        bev.arrive(b"ab")
        bev.suspend(EV_READ, SUSPEND_BANDWIDTH)
        bev.take_log()
        bev.input.clear()
        assert bev.take_log() == []

    def test_moving_the_input_away_resumes(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.set_watermark(EV_READ, high=2)
        bev.arrive(b"ab")
        bev.take_log()
        bev.output.add_buffer(bev.input)
        assert bev.take_log() == ["start READ"]
        assert bytes(bev.output) == b"ab"

    def test_putting_back_pauses(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.set_watermark(EV_READ, high=2)
        bev.take_log()
        bev.input.prepend(b"ab")
        assert bev.take_log() == ["stop READ"]

    def test_users_own_callback_is_no_obstacle(self, bev: Noted) -> None:
        sizes: list[int] = []
        bev.input.add_callback(lambda buffer, _info: sizes.append(len(buffer)))
        bev.enable(EV_READ)
        bev.set_watermark(EV_READ, high=2)
        bev.take_log()
        bev.arrive(b"ab")
        assert bev.take_log() == ["stop READ"]
        assert sizes == [2]


class TestMarks:
    def test_are_none_at_first(self, bev: Noted) -> None:
        assert bev.watermark(EV_READ) == bev.watermark(EV_WRITE) == (0, None)

    def test_are_kept_for_each_direction(self, bev: Noted) -> None:
        bev.set_watermark(EV_READ, low=1, high=2)
        bev.set_watermark(EV_WRITE, low=3)
        assert bev.watermark(EV_READ) == (1, 2)
        assert bev.watermark(EV_WRITE) == (3, None)
        bev.set_watermark(BOTH, low=5, high=5)
        assert bev.watermark(EV_READ) == bev.watermark(EV_WRITE) == (5, 5)

    @pytest.mark.parametrize(("low", "high"), [(-1, None), (0, 0), (5, 4), (0, -1)])
    def test_impossible_ones_are_refused(self, bev: Noted, low: int, high: int | None) -> None:
        with pytest.raises(ValueError, match=f"low={low} high={high}"):
            bev.set_watermark(EV_READ, low=low, high=high)
        assert bev.watermark(EV_READ) == (0, None)


class TestTimeouts:
    def test_are_set_and_the_transport_told(self, bev: Noted) -> None:
        bev.set_timeouts(read=2.5, write=0)
        assert (bev.read_timeout, bev.write_timeout) == (2.5, 0)
        bev.set_timeouts()
        assert (bev.read_timeout, bev.write_timeout) == (None, None)
        assert bev.take_log() == ["adjust", "adjust"]

    @pytest.mark.parametrize("timeout", [-1, float("inf"), float("nan")])
    def test_junk_is_refused_and_changes_nothing(self, bev: Noted, timeout: float) -> None:
        bev.set_timeouts(read=1, write=1)
        for wish in ((timeout, 2), (2, timeout)):
            with pytest.raises(ValueError, match="a time-out is a number of seconds"):
                bev.set_timeouts(*wish)
        assert (bev.read_timeout, bev.write_timeout) == (1, 1)


class TestBuffers:
    def test_users_cannot_forge_input_nor_steal_output(self, bev: Noted) -> None:
        bev.arrive(b"in")
        bev.write(b"out")
        with pytest.raises(FrozenBufferError):
            bev.input.add(b"x")
        for steal in (bev.output.remove, bev.output.clear, lambda: bev.output.drain(1)):
            with pytest.raises(FrozenBufferError):
                steal()
        with pytest.raises(FrozenBufferError):
            bev.output.prepend(b"x")
        assert (bytes(bev.input), bytes(bev.output)) == (b"in", b"out")

    def test_read_takes_what_is_asked_for(self, bev: Noted) -> None:
        bev.arrive(b"abcde")
        assert bev.read(2) == b"ab"
        assert bev.read() == b"cde"
        assert bev.read() == b""

    def test_many_writes_are_one_flush(self, bev: Noted) -> None:
        for piece in (b"a", b"", b"b"):
            bev.write(piece)
        bev.base.call_soon(bev.write, b"c")
        bev.base.dispatch()
        # Outside the loop they wait for its next pass; in it, for the end of the callback.
        assert bev.flushes == 2

    def test_nothing_written_is_no_flush(self, bev: Noted) -> None:
        bev.write(b"")
        bev.base.dispatch()
        assert bev.flushes == 0


class TestClosing:
    def test_close_stops_everything_once(self, bev: Noted) -> None:
        bev.close()
        bev.close()
        assert bev.closed
        assert bev.take_log() == ["close"]

    def test_no_callback_runs_after_it(self, bev: Noted) -> None:
        heard: list[object] = []
        bev.set_callbacks(heard.append, heard.append, lambda _bev, what: heard.append(what))
        bev.close()
        bev._call_event(BEV_EVENT_ERROR)
        assert not heard

    def test_writing_to_it_is_harmless(self, bev: Noted) -> None:
        bev.close()
        bev.write(b"x")
        bev.base.dispatch()
        assert bev.flushes == 0

    def test_when_drained_with_nothing_to_send(self, bev: Noted) -> None:
        bev.close_when_drained()
        assert bev.closed

    @pytest.mark.parametrize(
        ("what", "closed"),
        [
            (BEV_EVENT_CONNECTED, False),
            (BEV_EVENT_ERROR | BEV_EVENT_WRITING, True),
            (BEV_EVENT_EOF | BEV_EVENT_READING, True),
        ],
    )
    def test_when_drained_ends_with_an_error(self, bev: Noted, what: int, *, closed: bool) -> None:
        bev.write(b"x")
        bev.close_when_drained()
        assert not bev.closed
        bev._call_event(what)
        assert bev.closed is closed

    def test_when_drained_reads_no_more_and_writes_though_it_was_disabled(self, bev: Noted) -> None:
        bev.enable(EV_READ)
        bev.disable(EV_WRITE)
        bev.write(b"x")
        bev.close_when_drained()
        assert bev.enabled == EV_WRITE


def test_transports_must_be_complete(bev: Noted) -> None:
    bare = BufferEvent(bev.base)
    with pytest.raises(NotImplementedError):
        bare.enable(EV_READ)
    with pytest.raises(NotImplementedError):
        bare.disable(EV_READ)
    for call in (bare.set_timeouts, bare.flush_output, bare.close):
        with pytest.raises(NotImplementedError):
            call()
