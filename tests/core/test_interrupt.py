"""A Ctrl-C while the loop runs, and stopping it from where no entry runs."""

import os
import signal
import socket
from collections.abc import Callable

import pytest

from evkit.core import EV_PERSIST, EV_READ, EVLOOP_NONBLOCK, Event, EventBase, SocketBufferEvent
from evkit.core.evthread import Waker
from evkit.core.signals import InterruptShield

Pair = tuple[socket.socket, socket.socket]


def interrupt_me(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGINT)


class TestCtrlC:
    def test_comes_when_the_callback_has_returned(self, base: EventBase) -> None:
        log: list[str] = []

        def work(_event: Event, _what: int) -> None:
            interrupt_me()
            log.append("all of it")

        base.once(-1, 0, work)
        base.once(-1, 0, lambda _event, _what: log.append("later"))
        with pytest.raises(KeyboardInterrupt):
            base.dispatch()
        assert log == ["all of it"]
        assert base.dispatch() is False
        assert log == ["all of it", "later"]

    def test_wakes_a_loop_that_waits(self, base: EventBase) -> None:
        base.prepare(each(interrupt_me))
        base.add_virtual()
        with pytest.raises(KeyboardInterrupt):
            base.dispatch()

    def test_second_one_is_for_a_callback_that_does_not_return(self, base: EventBase) -> None:
        log: list[str] = []

        def stuck(_event: Event, _what: int) -> None:
            interrupt_me()
            log.append("first")
            interrupt_me()
            log.append("never")

        base.once(-1, 0, stuck)
        with pytest.raises(KeyboardInterrupt):
            base.dispatch()
        assert log == ["first"]
        assert base.dispatch() is False

    def test_handlers_of_the_program_are_left_alone(self, base: EventBase) -> None:
        came: list[int] = []
        previous = signal.signal(signal.SIGINT, lambda signum, _frame: came.append(signum))
        try:
            base.once(-1, 0, interrupt_me)
            assert base.dispatch() is False
        finally:
            signal.signal(signal.SIGINT, previous)
        assert came == [signal.SIGINT]

    def test_pythons_handler_is_back_after_the_loop(self, base: EventBase) -> None:
        assert base.loop(EVLOOP_NONBLOCK) is False
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def test_shield_is_for_pythons_own_handler(self) -> None:
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        waker = Waker()
        try:
            InterruptShield(lambda: None, waker).close()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        finally:
            waker.close()
            signal.signal(signal.SIGINT, previous)


class TestStoppingFromWhereNothingRuns:
    def test_from_a_write_callback(self, base: EventBase, pair: Pair) -> None:
        bev = SocketBufferEvent(base, pair[0])
        bev.set_callbacks(write=lambda _bev: base.loopbreak())
        bev.enable(EV_READ)
        bev.write(b"x")
        assert base.dispatch() is True
        bev.close()

    def test_from_a_prepare_watcher(self, base: EventBase) -> None:
        base.add_virtual()
        base.prepare(lambda _watcher, _timeout: base.loopbreak())
        assert base.dispatch() is True

    def test_from_a_signal_handler_of_python(self, base: EventBase) -> None:
        base.add_virtual()
        previous = signal.signal(signal.SIGUSR1, lambda _signum, _frame: base.loopbreak())
        try:
            base.prepare(each(lambda *_: os.kill(os.getpid(), signal.SIGUSR1)))
            assert base.dispatch() is True
        finally:
            signal.signal(signal.SIGUSR1, previous)

    def test_a_timer_of_a_prepare_watcher_is_waited_for(self, base: EventBase) -> None:
        timer = base.timer(lambda _event, _what: base.loopbreak())
        base.add_virtual()
        base.prepare(lambda _watcher, _timeout: timer.pending() or timer.add(0.001))
        assert base.dispatch() is True


def test_a_persistent_event_is_waited_for_though_it_is_active(base: EventBase, pair: Pair) -> None:
    log: list[bytes] = []
    event = base.event(pair[0], EV_READ | EV_PERSIST, lambda _event, _what: log.append(pair[0].recv(10)))
    pair[1].send(b"a")
    event.activate(EV_READ)
    event.add()
    base.loop(EVLOOP_NONBLOCK)
    pair[1].send(b"b")
    base.loop(EVLOOP_NONBLOCK)
    assert log == [b"a", b"b"]


def each(first: Callable[..., object]) -> Callable[..., object]:
    """Make a callback that does ``first`` once."""
    todo = [first]

    def call(*args: object) -> None:
        if todo:
            todo.pop()(*args)

    return call
