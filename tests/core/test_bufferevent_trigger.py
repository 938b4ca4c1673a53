"""What a user can ask of any buffered connection out of turn: callbacks, a flush, another queue."""

import socket
from collections.abc import Iterator

import pytest

from below import Below, Ear, turn
from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    BEV_FINISHED,
    BEV_FLUSH,
    BEV_NORMAL,
    BEV_TRIG_DEFER_CALLBACKS,
    BEV_TRIG_IGNORE_WATERMARKS,
    EV_READ,
    EV_SIGNAL,
    EV_WRITE,
)
from evkit.testing import FakeBase, base_with_fakes

BOTH = EV_READ | EV_WRITE
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def below(fakes: FakeBase) -> Iterator[Below]:
    below = Below(fakes.base)
    yield below
    below.close()


class TestCallbacks:
    def test_are_told(self, below: Below) -> None:
        ear = Ear(below)
        assert list(below.callbacks) == [ear.on_read, ear.on_write, ear.on_event]
        below.set_callbacks(write=ear.on_write)
        assert list(below.callbacks) == [None, ear.on_write, None]
        below.close()
        assert list(below.callbacks) == [None, None, None]

    def test_are_the_users_own_when_they_are_deferred(self, base: EventBase) -> None:
        bev = SocketBufferEvent(base, defer_callbacks=True)
        ear = Ear(bev)
        assert list(bev.callbacks) == [ear.on_read, ear.on_write, ear.on_event]
        bev.close()
        assert list(bev.callbacks) == [None, None, None]


class TestTrigger:
    def test_runs_at_once_reading_first(self, below: Below) -> None:
        ear = Ear(below)
        below.trigger(EV_WRITE)
        assert ear.take() == ["write"]
        below.trigger(BOTH)
        assert ear.take() == ["read 0", "write"]

    def test_the_low_marks_have_a_say(self, below: Below) -> None:
        ear = Ear(below, takes=False)
        below.enable(EV_READ)
        below.set_watermark(EV_READ, low=3)
        below.room = 0
        below.write(b"x")
        below.arrive(b"ab")
        below.trigger(BOTH)
        assert ear.heard == []
        below.trigger(BOTH, BEV_TRIG_IGNORE_WATERMARKS)
        assert ear.take() == ["read", "write"]
        below.input.feed(b"c")
        below.trigger(BOTH)
        assert ear.heard == ["read"]

    def test_later(self, fakes: FakeBase, below: Below) -> None:
        ear = Ear(below)
        below.trigger(BOTH, BEV_TRIG_DEFER_CALLBACKS)
        assert ear.heard == []
        turn(fakes.base)
        assert ear.heard == ["read 0", "write"]

    def test_later_is_too_late_for_one_that_was_closed(self, fakes: FakeBase, below: Below) -> None:
        ear = Ear(below)
        below.trigger(BOTH, BEV_TRIG_DEFER_CALLBACKS)
        below.trigger_event(BEV_EVENT_CONNECTED, BEV_TRIG_DEFER_CALLBACKS)
        below.close()
        turn(fakes.base)
        below.trigger(BOTH)
        below.trigger_event(BEV_EVENT_CONNECTED)
        assert ear.heard == []

    def test_of_deferred_callbacks_is_deferred(self, base: EventBase) -> None:
        bev = SocketBufferEvent(base, defer_callbacks=True)
        ear = Ear(bev)
        bev.trigger(BOTH)
        bev.trigger_event(BEV_EVENT_CONNECTED)
        assert ear.heard == []
        turn(base)
        assert ear.heard == ["CONNECTED", "read 0", "write"]
        bev.close()

    def test_without_callbacks(self, below: Below) -> None:
        below.trigger(BOTH)
        below.trigger_event(BEV_EVENT_CONNECTED)
        assert not below.closed

    def test_a_callback_that_fails_closes(self, fakes: FakeBase, below: Below) -> None:
        escaped: list[object] = []
        fakes.base.exception_handler = lambda exception, source: escaped.append(source)
        below.set_callbacks(read=lambda bev: bev.read(-1))
        below.trigger(BOTH)
        assert escaped == [below]
        assert below.closed

    @pytest.mark.parametrize("options", [0, BEV_TRIG_DEFER_CALLBACKS, BEV_TRIG_IGNORE_WATERMARKS])
    def test_event(self, fakes: FakeBase, below: Below, options: int) -> None:
        ear = Ear(below)
        below.enable(EV_READ)
        below.trigger_event(BEV_EVENT_READING | BEV_EVENT_EOF, options)
        assert ear.heard == ([] if options == BEV_TRIG_DEFER_CALLBACKS else ["READING|EOF"])
        turn(fakes.base)
        assert ear.heard == ["READING|EOF"]
        assert below.enabled == BOTH  # nothing has really happened

    def test_nonsense(self, below: Below) -> None:
        with pytest.raises(ValueError, match="expected EV_READ, EV_WRITE or both"):
            below.trigger(EV_SIGNAL)
        with pytest.raises(ValueError, match="options has unknown bits: 0x1"):
            below.trigger(EV_READ, 1)
        with pytest.raises(ValueError, match="options has unknown bits: 0x1"):
            below.trigger_event(BEV_EVENT_EOF, 1)


class TestPriority:
    @pytest.fixture
    def base(self) -> Iterator[EventBase]:
        with base_with_fakes().base as base:
            base.priority_init(3)
            yield base

    def test_is_the_middle_one_at_first(self, base: EventBase) -> None:
        assert Below(base).priority == 1

    def test_of_a_socket(self, base: EventBase, pair: Pair) -> None:
        bev = SocketBufferEvent(base, pair[0], defer_callbacks=True)
        bev.set_priority(2)
        assert bev.priority == 2
        entries = bev._queue_entries()
        assert [entry.level for entry in entries] == [2, 2, 2]  # both events, and the deferred callbacks
        bev.close()

    def test_holds_for_a_socket_that_comes_later(self, base: EventBase, pair: Pair) -> None:
        bev = SocketBufferEvent(base)
        bev.set_priority(0)
        bev.setfd(pair[0])
        assert [entry.level for entry in bev._queue_entries()] == [0, 0]
        bev.close()

    @pytest.mark.parametrize("priority", [-1, 3])
    def test_must_be_one_of_the_bases(self, base: EventBase, priority: int) -> None:
        bev = Below(base)
        with pytest.raises(ValueError, match=f"priority must be 0 to 2, got {priority}"):
            bev.set_priority(priority)
        assert bev.priority == 1

    def test_decides_who_is_called_first(self, base: EventBase) -> None:
        order: list[int] = []
        for priority in (2, 0, 1):
            bev = SocketBufferEvent(base, defer_callbacks=True)
            bev.set_priority(priority)
            bev.set_callbacks(read=lambda bev: order.append(bev.priority))
            bev.trigger(EV_READ)
        turn(base)
        assert order == [0, 1, 2]


class TestFlush:
    @pytest.mark.parametrize("mode", [BEV_NORMAL, BEV_FLUSH])
    def test_of_a_socket_hastens_nothing(self, base: EventBase, pair: Pair, mode: int) -> None:
        bev = SocketBufferEvent(base, pair[0])
        bev.write(b"x")
        assert bev.flush(BOTH, mode) is False
        assert bytes(bev.output) == b"x"
        turn(base)
        assert pair[1].recv(9) == b"x"
        bev.close()

    @pytest.mark.parametrize("events", [EV_READ, EV_WRITE, BOTH])
    def test_that_finishes_ends_the_stream(self, base: EventBase, pair: Pair, events: int) -> None:
        bev = SocketBufferEvent(base, pair[0])
        bev.write(b"last")
        bev.flush(events, BEV_FINISHED)
        turn(base)
        assert pair[1].recv(9) == b"last"
        if events & EV_WRITE:
            assert pair[1].recv(9) == b""
        else:
            with pytest.raises(BlockingIOError):
                pair[1].recv(9)
        bev.close()

    def test_of_a_closed_one(self, below: Below) -> None:
        below.close()
        assert below.flush(BOTH, BEV_FINISHED) is False
        assert not below.shut

    def test_nonsense(self, below: Below) -> None:
        for mode in (-1, 3):
            with pytest.raises(
                ValueError, match=f"expected BEV_NORMAL, BEV_FLUSH or BEV_FINISHED, got {mode}"
            ):
                below.flush(BOTH, mode)
        with pytest.raises(ValueError, match="expected EV_READ, EV_WRITE or both"):
            below.flush(EV_SIGNAL)


def test_a_transport_must_say_how_it_ends(base: EventBase) -> None:
    with pytest.raises(NotImplementedError):
        BufferEvent(base).shutdown_write()
