"""`Event.finalize`: called once, when the event's own callback can no longer be running, and nothing after it."""

import pytest

from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import COUNT_ACTIVE, COUNT_ADDED, EV_FINALIZE, EV_PERSIST, EV_READ, EV_TIMEOUT, EV_WRITE
from evkit.errors import LoopError
from evkit.testing import FakeBase
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

FD = 10**6  # no real descriptor: for the fake backend


def ignore(_event: Event, _what: int) -> None:
    pass


def test_is_called_once_by_the_loop_with_the_event(base: EventBase) -> None:
    log: list[Event] = []
    event = base.timer(ignore, persist=True)
    event.add(3600)
    event.finalize(log.append)
    assert log == []
    assert base.num_events(COUNT_ADDED) == 0
    assert base.dispatch() is False
    assert log == [event]
    assert base.dispatch() is False
    assert log == [event]


def test_own_callback_is_not_called_any_more(fakes: FakeBase) -> None:
    log: list[str] = []
    event = fakes.base.event(FD, EV_READ | EV_PERSIST, lambda _event, _what: log.append("event"))
    event.add()
    event.activate(EV_READ)
    event.finalize(lambda _event: log.append("finalizer"))
    fakes.base.dispatch()
    assert log == ["finalizer"]
    assert fakes.backend.wanted.get(FD, 0) == 0


def test_inside_its_own_callback_it_waits_for_the_end_of_that(base: EventBase) -> None:
    log: list[str] = []

    def callback(event: Event, _what: int) -> None:
        event.finalize(lambda _event: log.append(f"finalizer {base.running is event}"))
        log.append("end of the callback")

    base.timer(callback, persist=True).add(0)
    assert base.dispatch() is False
    assert log == ["end of the callback", "finalizer False"]


@pytest.mark.parametrize("call", ["add", "add with a time-out", "activate", "trigger", "finalize"])
def test_nothing_begins_after_it(base: EventBase, call: str) -> None:
    log: list[str] = []
    event = base.event(0, EV_WRITE, ignore)
    event.finalize(lambda _event: log.append("finalizer"))
    calls = {
        "add": event.add,
        "add with a time-out": lambda: event.add(0),
        "activate": lambda: event.activate(EV_READ),
        "trigger": event.trigger,
        "finalize": lambda: event.finalize(lambda _event: log.append("second")),
    }
    for _ in range(2):
        with pytest.raises(LoopError, match="was freed or finalized"):
            calls[call]()
        base.dispatch()
    assert log == ["finalizer"]


def test_deleting_or_freeing_does_not_take_it_away(base: EventBase) -> None:
    log: list[str] = []
    event = base.timer(ignore)
    event.finalize(lambda _event: log.append("finalizer"))
    event.delete()
    event.remove_timer()
    event.free()
    base.dispatch()
    assert log == ["finalizer"]


def test_has_the_priority_of_its_event(base: EventBase) -> None:
    base.priority_init(3)
    log: list[int] = []
    for priority in (2, 0, 1):
        event = base.timer(ignore)
        event.set_priority(priority)
        event.finalize(lambda event: log.append(event.priority))
    base.dispatch()
    assert log == [0, 1, 2]


def test_callback_that_can_not_be_called_changes_nothing(base: EventBase) -> None:
    log: list[int] = []
    event = base.timer(lambda _event, what: log.append(what))
    event.add(0)
    with pytest.raises(TypeError, match="callable"):
        event.finalize(None)  # type: ignore[arg-type]
    base.dispatch()
    assert log == [EV_TIMEOUT]


def test_what_escapes_goes_to_the_handler(base: EventBase) -> None:
    escaped: list[BaseException] = []
    base.exception_handler = lambda exception, _source: escaped.append(exception)
    base.timer(ignore).finalize(lambda _event: 1 / 0)
    base.dispatch()
    base.timer(ignore).finalize(lambda _event: 1 / 0)
    base.close()
    assert [type(exception) for exception in escaped] == [ZeroDivisionError] * 2


def test_counts_as_active(base: EventBase) -> None:
    base.timer(ignore).finalize(lambda _event: None)
    assert base.num_events(COUNT_ACTIVE) == 1
    base.dispatch()
    assert base.num_events(COUNT_ACTIVE) == 0


def test_flag_of_libevent_is_taken(base: EventBase) -> None:
    event = base.event(-1, EV_FINALIZE, ignore)
    assert event.events == EV_FINALIZE


class TestClose:
    def test_runs_what_is_outstanding_in_order(self) -> None:
        log: list[str] = []
        with EventBase() as base:
            for word in "abc":
                base.timer(ignore).finalize(lambda _event, word=word: log.append(word))  # type: ignore[misc]
        assert log == ["a", "b", "c"]

    def test_runs_what_finalizers_queue(self) -> None:
        """A filter over a filter: the upper one lets go of the lower one."""
        log: list[str] = []
        with EventBase() as base:
            lower = base.timer(ignore)

            def upper_gone(_event: Event) -> None:
                log.append("upper")
                lower.finalize(lambda _event: log.append("lower"))

            base.timer(ignore).finalize(upper_gone)
        assert log == ["upper", "lower"]

    def test_may_be_told_not_to(self) -> None:
        log: list[str] = []
        base = EventBase()
        base.timer(ignore).finalize(lambda _event: log.append("finalizer"))
        base.close(finalize=False)
        base.close()
        assert log == []

    def test_those_that_have_run_do_not_run_again(self) -> None:
        log: list[str] = []
        with EventBase(EventConfig()) as base:
            base.timer(ignore).finalize(lambda _event: log.append("finalizer"))
            base.dispatch()
        assert log == ["finalizer"]

    def test_refused_after_it(self) -> None:
        with EventBase() as base:
            event = base.timer(ignore)
        with pytest.raises(LoopError, match="closed event base"):
            event.finalize(lambda _event: None)
