"""Faults that the core once had, between its modules: a loop that spun, starved somebody, died, or kept something."""

import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evkit.core.base import EventBase, log_exception
from evkit.core.buffer import BufferInfo
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.config import EventConfig
from evkit.core.event import Deferred, Event
from evkit.core.flags import (
    BEV_EVENT_ERROR,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.listener import Listener
from evkit.core.log import LOG_WARN, set_log_callback
from evkit.core.watch import Watcher
from evkit.errors import ConnectionLost
from evkit.testing import FakeBase, ManualClock

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
Lines = list[tuple[int, str]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged."""
    lines: Lines = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    yield lines
    set_log_callback(None)


def ignore(*_: object) -> None:
    pass


def naughty(*_: object) -> None:
    raise ValueError("on purpose")


def test_a_listener_whose_socket_was_shut_down_pauses(manual_base: EventBase, lines: Lines) -> None:
    listener = Listener.bind(manual_base, ignore, ("127.0.0.1", 0))
    listener.socket.shutdown(socket.SHUT_RDWR)
    polls: list[int] = []

    def on_poll(*_: object) -> None:
        polls.append(1)
        if len(polls) == 50:
            manual_base.loopbreak()

    manual_base.check(on_poll)
    manual_base.loop(EVLOOP_NONBLOCK)  # until a poll finds nothing
    assert len(polls) < 5
    assert "paused" in repr(listener)
    assert [severity for severity, _ in lines] == [LOG_WARN]
    listener.close()


@pytest.mark.parametrize("broken_handler", [False, True])
def test_a_log_callback_that_fails_does_not_leave_the_loop(
    base: EventBase, caplog: pytest.LogCaptureFixture, broken_handler: bool
) -> None:
    ran: list[int] = []
    base.exception_handler = naughty if broken_handler else log_exception
    set_log_callback(naughty)
    try:
        base.call_soon(naughty)
        base.call_soon(ran.append, 1)
        base.dispatch()
    finally:
        set_log_callback(None)
    assert ran == [1]
    assert "the log callback failed with ValueError('on purpose')" in caplog.messages
    assert any("naughty" in message for message in caplog.messages)  # what it should have heard is not lost


def test_the_log_names_the_callback_that_failed(base: EventBase, lines: Lines) -> None:
    base.exception_handler = log_exception
    base.call_soon(naughty)
    base.timer(naughty).add(0)
    base.dispatch()
    soon, timer = (message for _, message in lines)
    assert "naughty" in soon.splitlines()[0]
    assert "in naughty" in timer


def drop(bases: list[EventBase]) -> None:
    bases.clear()
    gc.collect()


class TestDroppedWithoutClose:
    def test_warns_and_gives_back_its_descriptors(self, open_descriptors: None) -> None:
        base = EventBase()
        base.timer(ignore).add(60)
        base.call_soon(ignore)
        bases = [base]
        del base
        with pytest.warns(ResourceWarning, match=r"without close\(\)"):
            drop(bases)

    def test_says_nothing_of_one_that_was_closed(self, recwarn: pytest.WarningsRecorder) -> None:
        base = EventBase()
        base.close()
        del base
        gc.collect()
        assert not recwarn.list

    @pytest.mark.parametrize("kept", ["base", "sys.kept"])
    def test_is_no_error_at_the_end_of_the_program(self, kept: str) -> None:
        program = f"import sys; from evkit.core.base import EventBase; {kept} = EventBase()"
        command = [sys.executable, "-X", "dev", "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        told = [line for line in done.stderr.splitlines() if "an event base was dropped" not in line]
        assert not any("Error" in line or "ignored" in line for line in told)
        if kept == "base":  # Python lets go of its own modules too late for a warning
            assert len(told) < len(done.stderr.splitlines())


def test_a_thread_that_calls_without_end_keeps_nothing_else_from_running(
    fakes: FakeBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is played by `call_soon`: whenever the base hands one call on, the next is there already."""
    base, call_soon = fakes.base, fakes.base.call_soon
    posted: list[int] = []

    def handed_on(callback: Callable[..., object], *args: object) -> Deferred:
        if len(posted) < 1000:  # or this test would not end where it should fail
            posted.append(1)
            base.call_soon_threadsafe(ignore)
        return call_soon(callback, *args)

    monkeypatch.setattr(base, "call_soon", handed_on)
    ran: list[int] = []
    base.timer(lambda _event, _what: ran.append(len(posted))).add(0)
    base.call_soon_threadsafe(ignore)
    for _ in range(3):
        fakes.backend.ready(base._waker.fd, EV_READ)
        base.loop(ONE_PASS)
    assert ran
    assert ran[0] < 10
    assert 2 <= len(posted) < 10  # all the same the thread is heard, in every pass


def test_an_event_s_priority_is_set_by_its_method_alone(fakes: FakeBase) -> None:
    event: Any = fakes.base.timer(ignore)
    with pytest.raises(AttributeError):
        event.priority = 7
    assert event.priority == fakes.base.npriorities // 2
    fakes.base.priority_init(3)
    event.set_priority(2)
    assert event.priority == 2


def test_a_signal_handler_that_the_program_put_in_meanwhile_stays(base: EventBase) -> None:
    came: list[int] = []

    def mine(signum: int, _frame: object) -> None:
        came.append(signum)

    before = signal.getsignal(signal.SIGUSR1)
    event = base.signal(signal.SIGUSR1, ignore)
    try:
        event.add()
        signal.signal(signal.SIGUSR1, mine)
        event.delete()
        assert signal.getsignal(signal.SIGUSR1) is mine
        os.kill(os.getpid(), signal.SIGUSR1)
        assert came == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


MAKERS: list[Callable[[EventBase, Any], object]] = [
    lambda base, callback: base.call_soon(callback),
    lambda base, callback: base.deferred(callback),
    lambda base, callback: base.timer(callback),
    lambda base, callback: base.event(0, EV_READ, callback),
    lambda base, callback: base.signal(signal.SIGUSR1, callback),
    lambda base, callback: base.once(-1, 0, callback),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("callback", [None, "a callback's name"])
def test_what_can_not_be_called_is_refused_at_once(
    fakes: FakeBase, make: Callable[[EventBase, Any], object], callback: object
) -> None:
    with pytest.raises(TypeError, match="callable"):
        make(fakes.base, callback)
    assert fakes.base.dispatch() is False


class TestFoundByReview:
    """Faults that a reading of the code has found; each test was red on what was read."""

    def test_output_is_sent_though_a_withdrawn_entry_stands_in_a_queue(self, base: EventBase) -> None:
        """A write callback that writes to another connection, as a proxy does, while an event was just deleted."""
        (left, peer), (other, other_peer) = socket.socketpair(), socket.socketpair()
        one, two = SocketBufferEvent(base, left), SocketBufferEvent(base, other)
        gone = base.user(lambda _event, _what: None)

        def written(_bev: BufferEvent) -> None:
            two.write(b"handed on")
            gone.trigger()
            gone.delete()

        waits: list[float | None] = []

        def look(_watcher: Watcher, timeout: float | None) -> None:
            waits.append(timeout)
            base.loopbreak()

        base.prepare(look)
        base.timer(ignore).add(5)  # something to wait for
        one.set_callbacks(write=written)
        one.write(b"first")
        base.dispatch()
        assert waits == [0]
        base.loop(EVLOOP_NONBLOCK)
        with peer, other_peer:
            other_peer.setblocking(False)
            assert other_peer.recv(100) == b"handed on"
        one.close()
        two.close()

    def test_less_urgent_ones_wait_for_what_interrupts_internal_events(self, base: EventBase) -> None:
        base.priority_init(3)
        order: list[str] = []

        def event(name: str, priority: int) -> Event:
            made = base.user(lambda _event, _what: order.append(name))
            made.set_priority(priority)
            return made

        urgent, low = event("urgent", 0), event("low", 2)
        inner = base.add_internal(base._waker.fd, lambda _event, _what: urgent.trigger())
        inner.activate(EV_READ)
        low.trigger()
        base.dispatch()
        inner.delete()
        assert order == ["urgent", "low"]

    def test_source_that_cannot_tell_its_name_does_not_end_the_loop(self) -> None:
        class HalfMade:
            def __repr__(self) -> str:
                return self.missing

            def fail(self) -> None:
                raise ValueError("on purpose")

        lines: list[str] = []
        set_log_callback(lambda _severity, message: lines.append(message))
        try:
            with EventBase() as base:
                base.call_soon(HalfMade().fail)
                base.call_soon(lines.append, "the next one")
                base.dispatch()
        finally:
            set_log_callback(None)
        assert "on purpose" in lines[0]
        assert lines[-1] == "the next one"

    def test_threadsafe_call_of_nothing_is_refused_where_it_is_made(self, base: EventBase) -> None:
        with pytest.raises(TypeError, match="callable"):
            base.call_soon_threadsafe(None)

    @pytest.mark.parametrize("how", ["close", "flush"])
    def test_callback_on_the_output_that_fails_leaves_no_descriptor(
        self, base: EventBase, open_descriptors: None, how: str
    ) -> None:
        left, right = socket.socketpair()
        bev = SocketBufferEvent(base, left)
        caught: list[BaseException] = []
        closed: list[object] = []
        base.exception_handler = lambda exception, _source: caught.append(exception)
        bev.on_close = closed.append

        def fail(_buffer: object, info: BufferInfo) -> None:
            if info.deleted:
                raise ValueError("on purpose")

        bev.output.add_callback(fail)
        bev.write(b"x")
        if how == "close":
            bev.close()
        else:
            base.loop(EVLOOP_NONBLOCK)
        assert [type(exception) for exception in caught] == [ValueError]
        assert closed == [bev]
        assert bev.closed
        right.close()

    def test_signal_with_a_time_out_starts_it_anew(self, manual_base: EventBase, clock: ManualClock) -> None:
        heard: list[int] = []
        event = manual_base.event(
            signal.SIGUSR1, EV_SIGNAL | EV_PERSIST, lambda _event, what: heard.append(what)
        )
        event.add(10)
        clock.advance(9)
        signal.raise_signal(signal.SIGUSR1)
        manual_base.loop(EVLOOP_NONBLOCK)
        clock.advance(9)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert heard == [EV_SIGNAL]
        clock.advance(2)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert heard == [EV_SIGNAL, EV_TIMEOUT]
        event.delete()

    def test_error_that_is_still_to_be_told_outlives_the_end_of_the_stream(self, base: EventBase) -> None:
        left, right = socket.socketpair()
        bev = SocketBufferEvent(base, left, defer_callbacks=True)
        told: list[tuple[int, object]] = []
        bev.set_callbacks(event=lambda bev, what: told.append((what, type(bev.error))))
        right.close()
        bev.enable(EV_READ)
        bev.write(b"x")  # fails, and the end of the stream is there, too
        base.loop(EVLOOP_ONCE)
        base.loop(EVLOOP_NONBLOCK)
        assert any(what & BEV_EVENT_ERROR and kind is ConnectionLost for what, kind in told)
        bev.close()

    @pytest.mark.parametrize("flags", [0x08, 0x40, -8])
    def test_loop_flag_that_is_none(self, base: EventBase, flags: int) -> None:
        with pytest.raises(ValueError, match="EVLOOP"):
            base.loop(flags)
        assert base.dispatch() is False

    @pytest.mark.parametrize("wish", [{"flags": 0x100}, {"require": 0x100}, {"min_dispatch_priority": -3}])
    def test_wish_that_is_none(self, wish: dict[str, int]) -> None:
        with pytest.raises(ValueError, match=next(iter(wish))):
            EventConfig(**wish)
