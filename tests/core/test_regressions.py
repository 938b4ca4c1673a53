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
from evkit.core.event import Deferred
from evkit.core.flags import EV_READ, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.listener import Listener
from evkit.core.log import LOG_WARN, set_log_callback
from evkit.testing import FakeBase

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
        done = subprocess.run(command, capture_output=True, text=True, check=True)
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
