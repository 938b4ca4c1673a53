"""`EventBase.stop`: it is never lost, whenever and from wherever it comes."""

import signal
import threading

from evkit.core.base import EventBase
from evkit.core.event import Event
from evkit.core.flags import COUNT_ACTIVE, EV_TIMEOUT, EVLOOP_NO_EXIT_ON_EMPTY, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.testing import FakeBase
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself


def stop(event: Event, _what: int) -> None:
    event.base.stop()


def activated(base: EventBase, log: list[str], word: str) -> None:
    base.timer(lambda _event, _what: log.append(word)).activate(EV_TIMEOUT)


def test_ends_after_the_callback_that_runs_and_leaves_the_rest(base: EventBase) -> None:
    log: list[str] = []
    base.timer(stop).activate(EV_TIMEOUT)
    activated(base, log, "rest")
    assert base.dispatch() is True
    assert log == []
    assert base.num_events(COUNT_ACTIVE) == 1
    assert base.dispatch() is False
    assert log == ["rest"]


def test_before_the_loop_it_ends_that_one_and_no_other(base: EventBase) -> None:
    log: list[str] = []
    activated(base, log, "called")
    base.stop()
    base.stop()
    assert base.loop(EVLOOP_NO_EXIT_ON_EMPTY) is True
    assert log == []
    assert base.dispatch() is False
    assert log == ["called"]


def test_is_not_kept_by_a_loop_that_ends_for_its_flags(base: EventBase) -> None:
    """The loop has ended after it was asked for; the next one has not heard of it."""
    log: list[str] = []
    base.timer(stop).activate(EV_TIMEOUT)
    assert base.loop(EVLOOP_ONCE | EVLOOP_NONBLOCK) is True
    activated(base, log, "called")
    assert base.dispatch() is False
    assert log == ["called"]


def test_in_a_prepare_watcher_keeps_the_poll_from_waiting(fakes: FakeBase) -> None:
    fakes.base.timer(lambda _event, _what: None).add(3600)
    watcher = fakes.base.prepare(lambda _watcher, _timeout: fakes.base.stop())
    assert fakes.base.dispatch() is True
    assert fakes.backend.timeouts == [0.0]
    watcher.close()


def test_is_not_got_break_and_not_got_exit(base: EventBase) -> None:
    base.stop()
    base.dispatch()
    assert not base.got_break
    assert not base.got_exit


def test_from_another_thread_while_the_loop_waits(base: EventBase) -> None:
    waiting = threading.Event()
    base.prepare(lambda _watcher, timeout: waiting.set() if timeout is None else None)
    thread = threading.Thread(target=lambda: waiting.wait(30) and base.stop())
    thread.start()
    assert base.loop(EVLOOP_NO_EXIT_ON_EMPTY) is True
    thread.join()


def test_from_another_thread_between_any_two_loops_is_never_lost(base: EventBase) -> None:
    """Each stop ends a loop: one that runs, or the next. A lost one would leave the last loop waiting for ever."""
    turn = threading.Semaphore(0)
    rounds = 200

    def ask() -> None:
        for _ in range(rounds):
            turn.acquire()
            base.stop()

    thread = threading.Thread(target=ask)
    thread.start()
    for _ in range(rounds):
        turn.release()
        assert base.loop(EVLOOP_NO_EXIT_ON_EMPTY) is True
    thread.join()


def test_from_a_signal_handler_while_the_loop_waits(base: EventBase) -> None:
    previous = signal.signal(signal.SIGUSR2, lambda _signum, _frame: base.stop())
    try:
        base.prepare(lambda _watcher, _timeout: signal.raise_signal(signal.SIGUSR2))
        assert base.loop(EVLOOP_NO_EXIT_ON_EMPTY) is True
    finally:
        signal.signal(signal.SIGUSR2, previous)


def test_ends_the_calls_that_are_left_of_a_storm(base: EventBase) -> None:
    log: list[int] = []

    def first(_event: Event, what: int) -> None:
        log.append(what)
        base.stop()

    event = base.signal(signal.SIGUSR1, first)
    event.add()
    event.activate(EV_TIMEOUT, 5)
    assert base.dispatch() is True
    assert log == [EV_TIMEOUT]
    event.delete()


def test_after_an_interrupt_it_is_forgotten(base: EventBase) -> None:
    def leave() -> None:
        base.stop()
        raise SystemExit

    base.call_soon(leave)
    try:
        base.dispatch()
    except SystemExit:
        pass
    assert base.dispatch() is False


def test_wakes_by_one_byte_however_often(base: EventBase) -> None:
    before = [event for event in base.events() if event.internal]
    for _ in range(1000):
        base.stop()
    assert base.dispatch() is True
    assert [event for event in base.events() if event.internal] == before
    assert base.loop(EVLOOP_NONBLOCK) is False
