"""Who there is: the walk in libevent's order, the table for people, the maxima, activation by number."""

import io
import signal
from collections.abc import Callable

import pytest

from evkit.core.base import EventBase
from evkit.core.event import Event
from evkit.core.flags import (
    COUNT_ACTIVE,
    COUNT_ADDED,
    COUNT_VIRTUAL,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NONBLOCK,
)
from evkit.testing import FakeBase
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

FD = 10**6  # no real descriptor: for the fake backend


def ignore(_event: Event, _what: int) -> None:
    pass


def note(log: list[int]) -> Callable[[Event, int], None]:
    return lambda _event, what: log.append(what)


def of_the_program(base: EventBase) -> list[Event]:
    return [event for event in base.events() if not event.internal]


class TestWalk:
    def test_order_is_descriptors_signals_timers_common_active(self, fakes: FakeBase) -> None:
        base = fakes.base
        common = base.init_common_timeout(1)
        active = base.user(ignore)
        active.trigger()
        queued = base.timer(ignore)
        queued.add(common)
        late, early = base.timer(ignore), base.timer(ignore)
        late.add(9)
        early.add(5)
        sig = base.signal(signal.SIGUSR1, ignore)
        sig.add()
        high = base.event(FD + 1, EV_READ, ignore)
        high.add(0.5)
        first, second = base.event(FD, EV_READ, ignore), base.event(FD, EV_WRITE, ignore)
        first.add()
        second.add()
        # On one descriptor the newest stands first, as it is called first.
        assert of_the_program(base) == [second, first, high, sig, early, late, queued, active]
        sig.delete()

    def test_each_comes_once(self, fakes: FakeBase) -> None:
        event = fakes.base.event(FD, EV_READ | EV_PERSIST, ignore)
        event.add(5)
        event.activate(EV_READ)
        assert of_the_program(fakes.base) == [event]

    def test_what_is_deleted_is_left_out_and_what_is_active_later_too(self, fakes: FakeBase) -> None:
        event = fakes.base.timer(ignore)
        event.add(5)
        event.delete()
        event.trigger()
        event.delete()
        fakes.base.call_soon(int)  # no event
        assert of_the_program(fakes.base) == []

    def test_moved_deadline_counts_and_not_the_place_in_the_heap(self, fakes: FakeBase) -> None:
        moved, other = fakes.base.timer(ignore), fakes.base.timer(ignore)
        moved.add(1)
        other.add(2)
        moved.add(3)
        assert of_the_program(fakes.base) == [other, moved]

    def test_evkits_own_is_told_by_a_mark(self, base: EventBase) -> None:
        assert [event.internal for event in base.events()] == [True]

    def test_foreach_stops_at_the_first_true_answer(self, fakes: FakeBase) -> None:
        events = [fakes.base.timer(ignore) for _ in range(4)]
        for delay, event in enumerate(events):
            event.add(delay)
        log: list[Event] = []

        def visit(event: Event) -> object:
            log.append(event)
            return "found" if event is events[1] else None

        assert fakes.base.foreach_event(visit) == "found"
        assert [event for event in log if not event.internal] == events[:2]

    def test_foreach_that_nothing_stops_returns_the_last_answer(self, fakes: FakeBase) -> None:
        assert fakes.base.foreach_event(lambda _event: 0) == 0

    def test_foreach_may_delete(self, fakes: FakeBase) -> None:
        for delay in range(4):
            fakes.base.timer(ignore).add(delay)
        fakes.base.foreach_event(lambda event: None if event.internal else event.delete())
        assert of_the_program(fakes.base) == []


class TestDump:
    def lines(self, base: EventBase) -> list[str]:
        file = io.StringIO()
        base.dump_events(file)
        return file.getvalue().splitlines()

    def test_of_an_idle_base(self, base: EventBase) -> None:
        head, own, active = self.lines(base)
        assert (head, active) == ("Inserted events:", "Active events:")
        assert own.endswith(" Read Persist Internal")

    def test_tells_all_of_an_event(self, fakes: FakeBase) -> None:
        event = fakes.base.event(FD, EV_READ | EV_WRITE | EV_PERSIST, ignore)
        event.add(1.5)
        event.activate(EV_WRITE | EV_TIMEOUT)
        due = fakes.clock.time() + 1.5
        lines = self.lines(fakes.base)
        assert f"  {ignore!r} [fd {FD}] Read Write Persist Timeout={due:.6f}" in lines
        assert lines[-1] == f"  {ignore!r} [fd {FD}, priority=0] Write Timeout active"

    def test_signal_and_timer(self, base: EventBase) -> None:
        sig = base.signal(signal.SIGUSR1, ignore)
        sig.add()
        base.user(ignore).trigger()
        lines = self.lines(base)
        assert f"  {ignore!r} [sig {int(signal.SIGUSR1)}] Signal Persist" in lines
        assert lines[-1] == f"  {ignore!r} [fd -1, priority=0] active"
        sig.delete()


class TestMaxima:
    def test_of_added(self, fakes: FakeBase) -> None:
        base = fakes.base
        events = [base.timer(ignore), base.event(FD, EV_READ, ignore), base.event(FD, EV_WRITE, ignore)]
        for event in events:
            event.add(5)
        assert base.max_events(COUNT_ADDED) == 5
        for event in events:
            event.delete()
        assert base.num_events(COUNT_ADDED) == 0
        assert base.max_events(COUNT_ADDED) == 5
        events[0].add(5)
        assert base.max_events(COUNT_ADDED) == 5

    def test_is_that_of_the_sum(self, fakes: FakeBase) -> None:
        """One of each kind, never two at once."""
        event, timer = fakes.base.event(FD, EV_READ, ignore), fakes.base.timer(ignore)
        event.add()
        event.delete()
        timer.add(5)
        timer.delete()
        assert fakes.base.max_events(COUNT_ADDED) == 1

    def test_of_descriptors_alone(self, fakes: FakeBase) -> None:
        event = fakes.base.event(FD, EV_READ, ignore)
        event.add()
        event.delete()
        assert fakes.base.max_events(COUNT_ADDED) == 1

    def test_signals_and_expiry_count(self, fakes: FakeBase) -> None:
        sig = fakes.base.signal(signal.SIGUSR1, ignore)
        sig.add()
        sig.delete()
        assert fakes.base.max_events(COUNT_ADDED, clear=True) == 1
        for _ in range(3):
            fakes.base.timer(ignore).add(1)
        fakes.base.dispatch()
        assert fakes.base.max_events(COUNT_ADDED) == 3

    def test_of_active(self, fakes: FakeBase) -> None:
        events = [fakes.base.user(ignore) for _ in range(3)]
        for event in events:
            event.trigger()
        assert fakes.base.max_events(COUNT_ACTIVE) == 3
        fakes.base.dispatch()
        assert fakes.base.num_events(COUNT_ACTIVE) == 0
        assert fakes.base.max_events(COUNT_ACTIVE) == 3

    def test_of_active_is_noticed_by_the_loop(self, fakes: FakeBase) -> None:
        for _ in range(4):
            fakes.base.timer(ignore).add(1)
        fakes.base.user(ignore).trigger()
        fakes.base.dispatch()
        assert fakes.base.max_events(COUNT_ACTIVE) == 4

    def test_of_virtual_and_of_all(self, base: EventBase) -> None:
        base.add_virtual()
        base.add_virtual()
        base.del_virtual()
        base.user(ignore).trigger()
        assert base.max_events(COUNT_VIRTUAL) == 2
        assert base.max_events(COUNT_VIRTUAL | COUNT_ACTIVE | COUNT_ADDED) == 3
        base.del_virtual()
        base.dispatch()

    @pytest.mark.parametrize("mask", [COUNT_ADDED, COUNT_ACTIVE, COUNT_VIRTUAL])
    def test_clear_begins_anew_with_what_there_is(self, base: EventBase, mask: int) -> None:
        timers = [base.timer(ignore), base.timer(ignore)]
        for timer in timers:
            timer.add(3600)
            timer.trigger()
            base.add_virtual()
        timers[0].delete()
        base.del_virtual()
        assert base.max_events(mask, clear=True) == 2 - (mask == COUNT_ACTIVE)
        assert base.max_events(mask) == 1
        others = (COUNT_ADDED | COUNT_VIRTUAL) & ~mask
        assert base.max_events(others) == 2 * others.bit_count()
        base.del_virtual()


class TestByNumber:
    def test_descriptor_activates_who_waits_for_any_of_it(self, fakes: FakeBase) -> None:
        reads, writes, both, other = [], [], [], []
        for fd, what, log in ((FD, EV_READ, reads), (FD, EV_WRITE, writes), (FD + 1, EV_READ, other)):
            fakes.base.event(fd, what | EV_PERSIST, note(log)).add()
        fakes.base.event(FD, EV_READ | EV_WRITE | EV_PERSIST, note(both)).add()
        fakes.base.active_by_fd(FD, EV_READ)
        fakes.base.loop(EVLOOP_NONBLOCK)
        assert (reads, writes, both, other) == ([EV_READ], [], [EV_READ], [])
        fakes.base.active_by_fd(FD, EV_READ | EV_WRITE)
        fakes.base.loop(EVLOOP_NONBLOCK)
        assert (reads, writes, both) == ([EV_READ] * 2, [EV_WRITE], [EV_READ, EV_READ | EV_WRITE])

    def test_timeout_activates_those_that_have_one(self, fakes: FakeBase) -> None:
        log: list[int] = []
        fakes.base.event(FD, EV_READ, note(log)).add(5)
        fakes.base.event(FD, EV_READ | EV_PERSIST, note(log)).add()
        fakes.base.active_by_fd(FD, EV_TIMEOUT)
        fakes.base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_TIMEOUT]

    def test_timeout_does_not_hide_the_rest(self, fakes: FakeBase) -> None:
        """It does in libevent."""
        log: list[int] = []
        fakes.base.event(FD, EV_READ, note(log)).add(5)
        fakes.base.active_by_fd(FD, EV_READ | EV_TIMEOUT)
        fakes.base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_READ | EV_TIMEOUT]

    def test_no_descriptor_means_timers(self, fakes: FakeBase) -> None:
        log: list[int] = []
        fakes.base.timer(note(log)).add(5)
        fakes.base.active_by_fd(-1, EV_TIMEOUT)
        fakes.base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_TIMEOUT]

    def test_signal_of_the_same_number_is_no_descriptor(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.signal(signal.SIGUSR1, note(log))
        event.add()
        base.active_by_fd(signal.SIGUSR1, EV_READ | EV_TIMEOUT)
        base.loop(EVLOOP_NONBLOCK)
        assert log == []
        base.active_by_signal(signal.SIGUSR1)
        base.active_by_signal(signal.SIGUSR2)
        base.loop(EVLOOP_NONBLOCK)
        assert log == [EV_SIGNAL]
        event.delete()


def test_user_event_waits_for_nothing_and_is_called_with_0(base: EventBase) -> None:
    log: list[int] = []
    event = base.user(note(log))
    event.add()
    assert base.num_events(COUNT_ADDED) == 0
    event.trigger()
    event.trigger()
    base.dispatch()
    assert log == [0]


def test_signal_method(base: EventBase) -> None:
    assert base.signal_method == "signal"
