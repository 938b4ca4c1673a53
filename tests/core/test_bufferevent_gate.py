"""When bytes may flow: wishes, reasons against them, marks and time-outs; shown by a transport that only notes them."""

from collections.abc import Iterator

import pytest

from below import Noted
from evkit.core.bufferevent.gate import SUSPEND_BANDWIDTH, SUSPEND_FILTER, SUSPEND_LOOKUP
from evkit.core.flags import (
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_WRITE,
)
from evkit.errors import FrozenBufferError
from evkit.testing import base_with_fakes

BOTH = EV_READ | EV_WRITE


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

    def test_of_a_closed_connection_make_no_cycle(self, bev: Noted) -> None:
        bev.close()
        bev.set_watermark(EV_READ, high=1)
        assert bev.input.owner is None


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

    def test_asking_again_is_no_second_flush(self, bev: Noted) -> None:
        bev._flush_later()
        bev._flush_later()
        bev.write(b"x")
        bev.base.dispatch()
        assert bev.flushes == 1

    def test_nothing_written_is_no_flush(self, bev: Noted) -> None:
        bev.write(b"")
        bev.base.dispatch()
        assert bev.flushes == 0
