"""Watchers round the poll: what they are told, their order, and closing them at any time."""

import pytest

from evkit.core.base import EventBase
from evkit.core.flags import EV_TIMEOUT, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.watch import Watcher
from evkit.testing import FakeBase
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK


def test_run_in_the_order_of_their_making(base: EventBase) -> None:
    log: list[str] = []
    base.check(lambda _watcher, _timeout: log.append("check 1"))
    base.prepare(lambda _watcher, _timeout: log.append("prepare 1"))
    base.prepare(lambda _watcher, _timeout: log.append("prepare 2"))
    base.check(lambda _watcher, _timeout: log.append("check 2"))
    base.call_soon(int)
    base.loop(ONE_PASS)
    assert log == ["prepare 1", "prepare 2", "check 1", "check 2"]


def test_prepare_is_told_how_long_the_poll_may_take(fakes: FakeBase) -> None:
    told: list[float | None] = []
    fakes.base.prepare(lambda _watcher, timeout: told.append(timeout))
    fakes.base.timer(lambda _event, _what: None).add(5)
    fakes.base.call_soon(int)
    fakes.base.dispatch()
    assert told == [0.0, 5.0]
    assert fakes.backend.timeouts == told


def test_prepare_is_told_of_a_poll_without_limit(fakes: FakeBase) -> None:
    told: list[float | None] = []

    def on_prepare(watcher: Watcher, timeout: float | None) -> None:
        told.append(timeout)
        fakes.backend.ready(10**6, 0x02)

    fakes.base.prepare(on_prepare)
    fakes.base.event(10**6, 0x02, lambda _event, _what: None).add()
    fakes.base.dispatch()
    assert told == [None]


def test_check_is_told_nothing_but_itself(base: EventBase) -> None:
    told: list[tuple[Watcher, float | None]] = []
    watcher = base.check(lambda watcher, timeout: told.append((watcher, timeout)))
    base.call_soon(int)
    base.loop(ONE_PASS)
    assert told == [(watcher, None)]


@pytest.mark.parametrize("kind", ["prepare", "check"])
def test_what_can_not_be_called_is_refused_at_once(base: EventBase, kind: str) -> None:
    with pytest.raises(TypeError, match="must be callable, got 3"):
        getattr(base, kind)(3)
    base.loop(ONE_PASS)


def test_keep_no_loop_alive(base: EventBase) -> None:
    log: list[str] = []
    base.prepare(lambda _watcher, _timeout: log.append("prepare"))
    assert base.dispatch() is False
    assert log == []


def test_run_once_a_pass(base: EventBase) -> None:
    log: list[str] = []
    base.prepare(lambda _watcher, _timeout: log.append("prepare"))
    for _ in range(3):
        base.call_soon(int)
        base.loop(ONE_PASS)
    assert log == ["prepare"] * 3


def test_closed_runs_no_more(base: EventBase) -> None:
    log: list[str] = []
    watcher = base.prepare(lambda _watcher, _timeout: log.append("prepare"))
    watcher.close()
    watcher.close()
    base.call_soon(int)
    base.loop(ONE_PASS)
    assert log == []


def test_may_close_itself(base: EventBase) -> None:
    log: list[str] = []

    def only_once(watcher: Watcher, _timeout: float | None) -> None:
        log.append("once")
        watcher.close()

    base.check(only_once)
    base.check(lambda _watcher, _timeout: log.append("always"))
    for _ in range(2):
        base.call_soon(int)
        base.loop(ONE_PASS)
    assert log == ["once", "always", "always"]


def test_may_close_the_next_one_in_the_same_round(base: EventBase) -> None:
    log: list[str] = []
    base.prepare(lambda _watcher, _timeout: victim.close())
    victim = base.prepare(lambda _watcher, _timeout: log.append("victim"))
    base.call_soon(int)
    base.loop(ONE_PASS)
    assert log == []


def test_prepare_may_activate_something_and_the_poll_does_not_wait(fakes: FakeBase) -> None:
    log: list[str] = []

    def on_prepare(watcher: Watcher, timeout: float | None) -> None:
        log.append(f"told {timeout}")
        watcher.close()
        fakes.base.call_soon(log.append, "ran")

    fakes.base.prepare(on_prepare)
    fakes.base.timer(lambda _event, _what: None).add(60)
    fakes.base.loop(EVLOOP_ONCE)
    assert log == ["told 60.0", "ran"]
    assert fakes.backend.timeouts == [0.0]


def test_may_be_made_by_a_watcher(base: EventBase) -> None:
    log: list[str] = []

    def make(watcher: Watcher, _timeout: float | None) -> None:
        watcher.close()
        base.prepare(lambda _watcher, _timeout: log.append("made"))

    base.prepare(make)
    for _ in range(2):
        base.call_soon(int)
        base.loop(ONE_PASS)
    assert "made" in log


def test_check_may_activate_what_runs_in_the_same_pass(base: EventBase) -> None:
    log: list[int] = []
    timer = base.timer(lambda _event, what: log.append(what))
    base.check(lambda _watcher, _timeout: timer.activate(EV_TIMEOUT))
    base.add_virtual()
    base.loop(ONE_PASS)
    assert log == [EV_TIMEOUT]
    base.del_virtual()


def test_state_in_words(base: EventBase) -> None:
    watcher = base.prepare(print)
    assert repr(watcher) == "<Watcher <built-in function print> open>"
    watcher.close()
    assert repr(watcher) == "<Watcher <built-in function print> closed>"
