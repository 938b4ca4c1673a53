"""One timer for all that waits: when it calls back, and when it keeps the loop going."""

from collections.abc import Callable

import pytest

from evkit.core import EventBase
from evkit.core.flags import COUNT_ADDED, EVLOOP_NONBLOCK
from evkit.dns.alarm import Alarm
from evkit.testing import ManualClock


class Waiting:
    """An alarm, what it has called back for, and what is done then."""

    def __init__(self, base: EventBase, clock: ManualClock) -> None:
        self.base = base
        self.clock = clock
        self.due: list[str] = []
        self.then: dict[str, Callable[[], object]] = {}
        self.alarm: Alarm[str] = Alarm(base, self._on_due)

    def _on_due(self, key: str) -> None:
        self.due.append(key)
        self.then.get(key, int)()

    def add(self, key: str, seconds: float) -> None:
        self.alarm.add(key, seconds, self.base.now())

    def after(self, seconds: float) -> list[str]:
        """Let time pass, and return what has become due."""
        self.clock.advance(seconds)
        for _ in range(3):
            self.base.loop(EVLOOP_NONBLOCK)
        due, self.due = self.due, []
        return due

    def timers(self) -> int:
        return self.base.num_events(COUNT_ADDED)


@pytest.fixture(name="waiting")
def make_waiting(manual_base: EventBase, clock: ManualClock) -> Waiting:
    return Waiting(manual_base, clock)


def test_calls_back_in_the_order_of_the_deadlines(waiting: Waiting) -> None:
    for key, seconds in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a2", 1.0)):
        waiting.add(key, seconds)
    assert waiting.after(0.9) == []
    assert waiting.after(0.1) == ["a", "a2"]
    assert waiting.after(0.9) == []
    assert waiting.after(5.0) == ["b", "c"]


def test_one_timer_is_set_as_long_as_anything_waits(waiting: Waiting) -> None:
    assert waiting.timers() == 0
    waiting.add("a", 1.0)
    waiting.add("b", 2.0)
    assert waiting.timers() == 1
    waiting.after(1.0)
    assert waiting.timers() == 1
    waiting.alarm.discard("b", 2.0)
    assert waiting.timers() == 0
    waiting.add("c", 1.0)
    assert waiting.timers() == 1
    assert waiting.after(1.0) == ["c"]
    assert waiting.timers() == 0


def test_what_was_discarded_does_not_come(waiting: Waiting) -> None:
    waiting.add("a", 1.0)
    waiting.add("b", 1.0)
    waiting.alarm.discard("a", 1.0)
    waiting.alarm.discard("a", 1.0)
    waiting.alarm.discard("never there", 9.0)
    assert waiting.timers() == 1  # for the other one
    assert waiting.after(1.0) == ["b"]


def test_a_shorter_wait_comes_first_though_the_timer_was_set_for_a_longer_one(waiting: Waiting) -> None:
    waiting.add("long", 2.0)
    waiting.add("short", 0.5)
    assert waiting.after(0.5) == ["short"]
    waiting.alarm.discard("long", 2.0)
    waiting.add("again", 3.0)
    assert waiting.after(2.9) == []
    assert waiting.after(0.1) == ["again"]


def test_no_wait_at_all_comes_from_the_loop(waiting: Waiting) -> None:
    waiting.add("a", 0.0)
    assert waiting.due == []
    assert waiting.after(0.0) == ["a"]


def test_a_callback_may_wait_anew(waiting: Waiting) -> None:
    waiting.add("a", 1.0)
    waiting.then["a"] = lambda: waiting.add("a", 1.0)
    assert waiting.after(1.0) == ["a"]
    assert waiting.after(0.5) == []
    assert waiting.after(0.5) == ["a"]


def test_a_callback_may_discard_what_is_due_with_it(waiting: Waiting) -> None:
    for key in "abc":
        waiting.add(key, 1.0)
    waiting.then["a"] = lambda: waiting.alarm.discard("b", 1.0)
    assert waiting.after(1.0) == ["a", "c"]
    assert waiting.timers() == 0


def test_what_a_callback_lets_wait_anew_has_all_its_time(waiting: Waiting) -> None:
    waiting.add("a", 1.0)
    waiting.add("b", 1.0)

    def b_starts_anew() -> None:
        waiting.alarm.discard("b", 1.0)
        waiting.add("b", 1.0)

    waiting.then["a"] = b_starts_anew
    assert waiting.after(1.0) == ["a"]
    assert waiting.after(0.9) == []
    assert waiting.after(0.1) == ["b"]
    assert waiting.timers() == 0


def test_an_exception_costs_nobody_else_the_call(manual_base: EventBase, clock: ManualClock) -> None:
    escaped: list[Exception] = []
    manual_base.exception_handler = lambda exception, _source: escaped.append(exception)
    waiting = Waiting(manual_base, clock)
    for key in "abc":
        waiting.add(key, 1.0)
    waiting.then["a"] = [].pop
    assert waiting.after(1.0) == ["a", "b", "c"]
    assert [type(each) for each in escaped] == [IndexError]
    assert waiting.timers() == 0


def test_close_forgets_all_and_gives_the_timer_back(waiting: Waiting) -> None:
    waiting.add("a", 1.0)
    waiting.add("b", 2.0)
    assert waiting.alarm.close() == ["a", "b"]
    assert waiting.alarm.close() == []
    waiting.alarm.discard("a", 1.0)
    assert waiting.timers() == 0
    assert waiting.after(1.0) == []


def test_close_tells_of_what_is_due_and_was_not_called_back_for(waiting: Waiting) -> None:
    for key in "abc":
        waiting.add(key, 1.0)
    waiting.add("later", 2.0)
    closed: list[str] = []
    waiting.then["a"] = lambda: closed.extend(waiting.alarm.close())
    assert waiting.after(1.0) == ["a"]
    assert closed == ["b", "c", "later"]


def test_what_waits_for_ever_sets_no_timer(waiting: Waiting) -> None:
    waiting.add("ever", float("inf"))
    assert waiting.timers() == 0
    waiting.add("a", 1.0)
    waiting.alarm.discard("a", 1.0)
    assert waiting.after(5.0) == []
    waiting.add("b", 1.0)
    assert waiting.after(1.0) == ["b"]
    assert len(waiting.alarm) == 1
    assert waiting.timers() == 0


def test_a_callback_may_close_it(waiting: Waiting) -> None:
    for key in "abc":
        waiting.add(key, 1.0)
    waiting.add("later", 2.0)
    waiting.then["b"] = waiting.alarm.close
    assert waiting.after(1.0) == ["a", "b"]
    assert waiting.after(1.0) == []
    assert waiting.timers() == 0


def test_shows_what_waits(waiting: Waiting) -> None:
    waiting.add("a", 1.0)
    assert repr(waiting.alarm).startswith("<Alarm waiting=1 ")
