"""The state machine of one event: adding, firing, time-outs, activation by hand, deleting, what `repr` says."""

import math
import signal
import socket
import weakref
from collections.abc import Callable

import pytest

from evkit.core.base import EventBase
from evkit.core.event import Deferred, Event, QueueEntry
from evkit.core.flags import (
    COUNT_ACTIVE,
    COUNT_ADDED,
    EV_ET,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.errors import LoopError
from evkit.testing import FakeBase, ManualClock
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
FD = 10**6  # no real descriptor: for the fake backend
Pair = tuple[socket.socket, socket.socket]


def note(log: list[int]) -> Callable[[Event, int], None]:
    return lambda _event, what: log.append(what)


def ignore(_event: Event, _what: int) -> None:
    pass


class TestFiring:
    def test_plain_event_is_gone_before_its_callback_runs(self, base: EventBase, pair: Pair) -> None:
        pending: list[int] = []
        base.event(pair[0], EV_WRITE, lambda event, _what: pending.append(event.pending())).add(60)
        assert base.dispatch() is False
        assert pending == [0]
        assert base.num_events(COUNT_ADDED) == 0

    def test_persistent_event_stays(self, base: EventBase, pair: Pair) -> None:
        pending: list[int] = []
        event = base.event(
            pair[0], EV_WRITE | EV_PERSIST, lambda event, _what: pending.append(event.pending())
        )
        event.add()
        base.loop(ONE_PASS)
        base.loop(ONE_PASS)
        assert pending == [EV_WRITE, EV_WRITE]

    def test_plain_event_that_times_out_waits_for_its_descriptor_no_longer(self, fakes: FakeBase) -> None:
        log: list[int] = []
        fakes.base.event(FD, EV_READ, note(log)).add(2)
        assert fakes.base.dispatch() is False
        assert log == [EV_TIMEOUT]
        assert fakes.backend.wanted.get(FD) is None

    def test_events_of_one_descriptor_run_newest_first(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        for name in "abc":
            base.event(pair[0], EV_WRITE, lambda _event, _what, name=name: log.append(name)).add()  # type: ignore[misc]
        base.dispatch()
        assert log == ["c", "b", "a"]

    def test_newest_is_who_was_added_last(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        first = base.event(pair[0], EV_WRITE, lambda _event, _what: log.append("first"))
        second = base.event(pair[0], EV_WRITE, lambda _event, _what: log.append("second"))
        first.add()
        second.add()
        first.delete()
        first.add()
        base.dispatch()
        assert log == ["first", "second"]

    def test_each_event_hears_only_what_it_asked_for(self, base: EventBase, pair: Pair) -> None:
        readers: list[int] = []
        writers: list[int] = []
        pair[1].send(b"x")
        base.event(pair[0], EV_READ, note(readers)).add()
        base.event(pair[0], EV_WRITE, note(writers)).add()
        base.dispatch()
        assert (readers, writers) == ([EV_READ], [EV_WRITE])

    def test_callback_may_add_its_event_again(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []

        def again(event: Event, what: int) -> None:
            log.append(what)
            if len(log) < 3:
                event.add()

        base.event(pair[0], EV_WRITE, again).add()
        assert base.dispatch() is False
        assert log == [EV_WRITE] * 3

    def test_callback_may_delete_its_own_event(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []

        def last(event: Event, what: int) -> None:
            log.append(what)
            event.delete()

        base.event(pair[0], EV_WRITE | EV_PERSIST, last).add()
        assert base.dispatch() is False
        assert log == [EV_WRITE]

    def test_callback_may_close_what_other_events_wait_for(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        doomed = base.event(pair[1], EV_WRITE | EV_PERSIST, lambda _event, _what: log.append("doomed"))

        def close(_event: Event, _what: int) -> None:
            doomed.delete()
            pair[1].close()

        killer = base.event(pair[0], EV_WRITE, close)
        doomed.set_priority(0)
        killer.activate(EV_WRITE)
        doomed.add()
        assert base.dispatch() is False
        assert log == []


class TestAdd:
    def test_adding_twice_is_adding_once(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        event = base.event(pair[0], EV_WRITE, note(log))
        event.add()
        event.add()
        assert base.num_events(COUNT_ADDED) == 1
        base.dispatch()
        assert log == [EV_WRITE]

    def test_without_timeout_leaves_the_timer_alone(self, fakes: FakeBase) -> None:
        log: list[int] = []
        event = fakes.base.event(FD, EV_READ, note(log))
        event.add(7)
        deadline = event.deadline
        event.add()
        assert event.deadline == deadline
        fakes.base.dispatch()
        assert log == [EV_TIMEOUT]
        assert fakes.backend.timeouts == [7.0]

    def test_with_timeout_replaces_the_timer(self, fakes: FakeBase) -> None:
        event = fakes.base.event(FD, EV_READ, ignore)
        event.add(7)
        event.add(3)
        event.add(5)
        fakes.base.dispatch()
        assert sum(timeout or 0 for timeout in fakes.backend.timeouts) == 5

    def test_time_out_that_is_taken_back_leaves_the_descriptor_waited_for(
        self, base: EventBase, pair: Pair
    ) -> None:
        log: list[int] = []
        event = base.event(pair[0], EV_READ, note(log))
        event.activate(EV_TIMEOUT)
        event.add(60)
        assert event.pending() == EV_READ | EV_TIMEOUT
        pair[1].send(b"x")
        base.dispatch()
        assert log == [EV_READ]

    def test_timer_without_timeout_waits_for_nothing(self, base: EventBase) -> None:
        event = base.timer(ignore)
        event.add()
        assert not event.pending()
        assert base.dispatch() is False

    def test_active_event_is_not_inserted_but_gets_its_timer(self, fakes: FakeBase) -> None:
        event = fakes.base.event(FD, EV_READ, ignore)
        event.activate(EV_READ)
        event.add(5)
        assert fakes.backend.changes == []
        assert fakes.base.num_events(COUNT_ADDED) == 1
        fakes.base.dispatch()
        assert fakes.backend.timeouts == [0.0]  # the callback has deleted the timer

    def test_event_active_by_timeout_is_not_called_but_rescheduled(self, fakes: FakeBase) -> None:
        log: list[int] = []
        event = fakes.base.timer(note(log))

        def first(_event: Event, _what: int) -> None:
            assert event.pending() == EV_TIMEOUT
            event.add(10)

        fakes.base.timer(first).add(5)
        event.add(5)
        start = fakes.clock.monotonic()
        fakes.base.dispatch()
        assert log == [EV_TIMEOUT]
        assert fakes.clock.monotonic() == start + 15

    def test_event_active_by_descriptor_is_called_although_added(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.timer(note(log))
        event.activate(EV_READ)
        event.add(3600)
        base.loop(ONE_PASS)
        assert log == [EV_READ]

    def test_is_all_or_nothing(self, fakes: FakeBase) -> None:
        fakes.backend.refuse(FD, PermissionError(1, "not this one"))
        event = fakes.base.event(FD, EV_READ, ignore)
        with pytest.raises(PermissionError):
            event.add(5)
        assert not event.pending()
        assert fakes.base.num_events(COUNT_ADDED) == 0
        with pytest.raises(ValueError, match="seconds >= 0"):
            event.add(-5)
        assert fakes.backend.wanted.get(FD) is None
        fakes.backend.refuse(FD, None)
        event.add(5)
        assert event.pending() == EV_READ | EV_TIMEOUT


class TestPending:
    def test_tells_what_is_waited_for(self, base: EventBase, pair: Pair) -> None:
        event = base.event(pair[0], EV_READ | EV_WRITE | EV_PERSIST, ignore)
        assert event.pending() == 0
        event.add(60)
        assert event.pending() == EV_READ | EV_WRITE | EV_TIMEOUT
        assert event.pending(EV_WRITE) == EV_WRITE
        assert event.pending(EV_SIGNAL) == 0
        event.remove_timer()
        assert event.pending() == EV_READ | EV_WRITE
        event.delete()
        assert event.pending() == 0

    def test_tells_what_it_is_active_for(self, base: EventBase, pair: Pair) -> None:
        event = base.event(pair[0], EV_READ, ignore)
        event.activate(EV_WRITE)
        assert event.pending() == EV_WRITE
        event.add()
        event.delete()
        assert event.pending() == 0

    def test_knows_signals(self, base: EventBase) -> None:
        event = base.signal(signal.SIGUSR1, ignore)
        event.add()
        assert event.pending() == EV_SIGNAL
        event.delete()


class TestPersistentTimeouts:
    def test_do_not_drift(self, manual_base: EventBase, clock: ManualClock) -> None:
        """Late by 0.25 s each time, the deadlines stay whole seconds from the start."""
        start = clock.monotonic()
        deadlines: list[float] = []
        ticker = manual_base.timer(lambda event, _what: deadlines.append(event.deadline), persist=True)
        ticker.add(1)
        for _ in range(3):
            clock.advance(ticker.deadline + 0.25 - clock.monotonic())
            manual_base.loop(ONE_PASS)
        assert deadlines == [start + 2, start + 3, start + 4]

    def test_missed_ticks_are_one(self, manual_base: EventBase, clock: ManualClock) -> None:
        log: list[int] = []
        ticker = manual_base.timer(note(log), persist=True)
        ticker.add(1)
        clock.advance(5.5)
        manual_base.loop(ONE_PASS)
        assert log == [EV_TIMEOUT]
        assert ticker.deadline == clock.monotonic() + 1
        manual_base.loop(ONE_PASS)
        assert log == [EV_TIMEOUT]

    def test_start_anew_when_something_happens(self, fakes: FakeBase) -> None:
        log: list[tuple[int, float]] = []
        start = fakes.clock.monotonic()

        def hear(event: Event, what: int) -> None:
            log.append((what, fakes.clock.monotonic() - start))
            if what == EV_TIMEOUT:
                event.delete()

        fakes.base.event(FD, EV_READ | EV_PERSIST, hear).add(10)
        for after in (4, 9, 18):
            fakes.backend.ready(FD, EV_READ, after=after)
        assert fakes.base.dispatch() is False
        assert log == [(EV_READ, 4), (EV_READ, 9), (EV_READ, 18), (EV_TIMEOUT, 28)]

    def test_restart_is_no_work_for_the_heap(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        """The heap's entry is looked at again when its own time has come, ten seconds on, and not before."""
        event = manual_base.event(pair[0], EV_WRITE | EV_PERSIST, ignore)
        event.add(10)
        entry = event.heap_entry
        for _ in range(9):
            clock.advance(1)
            manual_base.loop(ONE_PASS)
            assert event.deadline == clock.monotonic() + 10
            assert event.heap_entry is entry
        clock.advance(1)
        manual_base.loop(ONE_PASS)
        assert event.heap_entry is not entry
        assert len(manual_base.timers.heap) == 1

    def test_restart_before_the_callback_runs(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        deadlines: list[float] = []
        start = clock.monotonic()
        event = manual_base.event(
            pair[0], EV_WRITE | EV_PERSIST, lambda event, _what: deadlines.append(event.deadline)
        )
        event.add(10)
        clock.advance(3)
        manual_base.loop(ONE_PASS)
        assert deadlines == [start + 13]

    def test_timeout_and_readiness_together_count_as_a_tick(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        start = clock.monotonic()
        log: list[int] = []
        event = manual_base.event(pair[0], EV_WRITE | EV_PERSIST, note(log))
        event.add(10)
        clock.advance(12)
        manual_base.loop(ONE_PASS)
        assert log == [EV_WRITE | EV_TIMEOUT]
        assert event.deadline == start + 20

    def test_removing_the_timer_ends_the_repetition(self, fakes: FakeBase) -> None:
        log: list[int] = []
        event = fakes.base.event(FD, EV_READ | EV_PERSIST, note(log))
        event.add(1)
        event.remove_timer()
        fakes.backend.ready(FD, EV_READ, after=50)
        fakes.base.loop(EVLOOP_ONCE)
        assert log == [EV_READ]
        assert event.deadline == math.inf

    def test_remove_timer_without_timer_is_harmless(self, base: EventBase) -> None:
        event = base.timer(ignore)
        event.remove_timer()
        assert base.num_events(COUNT_ADDED) == 0

    def test_common_timeout_repeats_and_restarts(self, fakes: FakeBase) -> None:
        log: list[tuple[int, float]] = []
        start = fakes.clock.monotonic()

        def hear(event: Event, what: int) -> None:
            log.append((what, fakes.clock.monotonic() - start))
            if len(log) == 3:
                event.delete()

        fakes.base.event(FD, EV_READ | EV_PERSIST, hear).add(fakes.base.init_common_timeout(10))
        fakes.backend.ready(FD, EV_READ, after=4)
        assert fakes.base.dispatch() is False
        assert log == [(EV_READ, 4), (EV_TIMEOUT, 14), (EV_TIMEOUT, 24)]


class TestActivate:
    def test_works_on_an_event_that_was_never_added(self, base: EventBase) -> None:
        log: list[int] = []
        base.event(-1, EV_PERSIST, note(log)).activate(EV_READ)
        assert base.dispatch() is False
        assert log == [EV_READ]

    def test_joins_results_of_an_active_event(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.timer(note(log))
        event.activate(EV_READ)
        event.activate(EV_WRITE)
        base.dispatch()
        assert log == [EV_READ | EV_WRITE]

    def test_results_of_before_are_forgotten(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.timer(note(log))
        for what in (EV_READ, EV_WRITE):
            event.activate(what)
            base.dispatch()
        assert log == [EV_READ, EV_WRITE]

    def test_ncalls_is_for_signals_only(self, base: EventBase) -> None:
        log: list[int] = []
        base.timer(note(log)).activate(EV_READ, 5)
        base.event(signal.SIGUSR1, EV_SIGNAL, note(log)).activate(EV_SIGNAL, 3)
        base.dispatch()
        assert log == [EV_READ, EV_SIGNAL, EV_SIGNAL, EV_SIGNAL]

    def test_of_itself_runs_again_in_the_same_pass(self, base: EventBase) -> None:
        log: list[str] = []

        def again(event: Event, what: int) -> None:
            log.append("called")
            if log.count("called") < 3:
                event.activate(what)

        base.check(lambda _watcher, _timeout: log.append("poll"))
        base.timer(again).activate(EV_TIMEOUT)
        base.dispatch()
        assert log == ["poll", "called", "called", "called"]

    def test_of_itself_waits_its_turn(self, base: EventBase) -> None:
        log: list[str] = []

        def again(event: Event, what: int) -> None:
            log.append("again")
            if log.count("again") == 1:
                event.activate(what)

        base.timer(again).activate(EV_TIMEOUT)
        base.timer(lambda _event, _what: log.append("other")).activate(EV_TIMEOUT)
        base.dispatch()
        assert log == ["again", "other", "again"]

    def test_on_a_closed_base_is_refused(self) -> None:
        base = EventBase()
        event = base.timer(ignore)
        base.close()
        with pytest.raises(LoopError, match=r"activate\(\) on an event of a closed event base"):
            event.activate(EV_READ)


class TestDelete:
    def test_of_an_active_event_cancels_its_callback(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.timer(note(log))
        event.activate(EV_READ)
        event.delete()
        assert base.num_events(COUNT_ACTIVE) == 0
        base.dispatch()
        assert log == []

    def test_and_activate_again_calls_once_at_the_new_place(self, base: EventBase) -> None:
        log: list[str] = []
        event = base.timer(lambda _event, what: log.append(f"event {what}"))
        event.activate(EV_READ)
        base.timer(lambda _event, _what: log.append("other")).activate(EV_READ)
        event.delete()
        event.activate(EV_WRITE)
        assert base.num_events(COUNT_ACTIVE) == 2
        base.dispatch()
        assert log == ["other", f"event {EV_WRITE}"]

    def test_and_activate_again_many_times(self, base: EventBase) -> None:
        log: list[int] = []
        event = base.timer(note(log))
        for _ in range(10):
            event.activate(EV_READ)
            event.delete()
        event.activate(EV_WRITE)
        base.dispatch()
        assert log == [EV_WRITE]
        event.activate(EV_READ)
        base.dispatch()
        assert log == [EV_WRITE, EV_READ]

    def test_is_harmless_when_nothing_was_added(self, base: EventBase) -> None:
        event = base.timer(ignore)
        event.delete()
        event.delete()
        assert not event.pending()

    def test_of_one_that_runs_later_in_the_same_pass(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        victim = base.event(pair[0], EV_WRITE, lambda _event, _what: log.append("victim"))

        def kill(_event: Event, _what: int) -> None:
            log.append("killer")
            victim.delete()

        victim.add()
        base.event(pair[0], EV_WRITE, kill).add()
        assert base.dispatch() is False
        assert log == ["killer"]

    def test_of_a_due_timer_by_an_earlier_one(self, fakes: FakeBase) -> None:
        log: list[str] = []
        victim = fakes.base.timer(lambda _event, _what: log.append("victim"), persist=True)

        def kill(_event: Event, _what: int) -> None:
            log.append("killer")
            victim.delete()

        fakes.base.timer(kill).add(1)
        victim.add(1)
        assert fakes.base.dispatch() is False
        assert log == ["killer"]


class Owner:
    """What a callback belongs to, and what lives as long as that is known."""

    def __init__(self, log: list[int]) -> None:
        self.log = log

    def on_event(self, _event: Event, what: int) -> None:
        self.log.append(what)


class TestFree:
    @pytest.mark.parametrize("common", [False, True])
    def test_lets_the_callback_go_though_the_heap_still_knows_the_event(
        self, base: EventBase, common: bool
    ) -> None:
        owner = Owner([])
        gone = weakref.ref(owner)
        event = base.timer(owner.on_event)
        event.add(base.init_common_timeout(60) if common else 60)
        del owner
        assert gone() is not None
        event.free()
        assert gone() is None
        if not common:
            assert [entry[2] for entry in base.timers.heap.entries] == [event]
        assert base.num_events(COUNT_ADDED) == 0

    def test_of_an_active_event_cancels_its_callback(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        owner = Owner(log)
        gone = weakref.ref(owner)
        event = base.event(pair[0], EV_WRITE | EV_PERSIST, owner.on_event)
        event.add(60)
        event.activate(EV_WRITE)
        del owner
        event.free()
        assert gone() is None
        assert base.dispatch() is False
        assert log == []

    def test_in_its_own_callback(self, fakes: FakeBase) -> None:
        log: list[int] = []

        def callback(event: Event, what: int) -> None:
            log.append(what)
            event.free()

        event = fakes.base.timer(callback, persist=True)
        event.add(1)
        assert fakes.base.dispatch() is False
        assert log == [EV_TIMEOUT]
        event.free()  # twice is harmless

    @pytest.mark.parametrize(
        "call",
        [Event.add, lambda event: event.add(0), lambda event: event.activate(EV_READ), Event.trigger],
        ids=["add", "add with a time-out", "activate", "trigger"],
    )
    def test_is_for_good(self, base: EventBase, call: Callable[[Event], object]) -> None:
        log: list[int] = []
        event = base.timer(note(log))
        event.free()
        with pytest.raises(LoopError, match="was freed or finalized"):
            call(event)
        event.delete()
        event.free()
        assert base.dispatch() is False
        assert log == []


class TestPriority:
    def test_is_the_middle_one_at_first(self, base: EventBase) -> None:
        base.priority_init(5)
        assert base.timer(ignore).priority == 2

    @pytest.mark.parametrize("priority", [-1, 3])
    def test_out_of_range(self, base: EventBase, priority: int) -> None:
        base.priority_init(3)
        with pytest.raises(ValueError, match="priority must be 0 to 2"):
            base.timer(ignore).set_priority(priority)

    def test_of_an_active_event_stays(self, base: EventBase) -> None:
        base.priority_init(3)
        event = base.timer(ignore)
        event.activate(EV_READ)
        with pytest.raises(ValueError, match="active event can't be changed"):
            event.set_priority(0)
        event.delete()
        event.set_priority(0)
        assert event.priority == 0

    def test_changed_between_delete_and_activate(self, base: EventBase) -> None:
        """What is left of the event in its old queue must not be mistaken for the event."""
        base.priority_init(3)
        log: list[str] = []
        event = base.timer(lambda _event, _what: log.append("event"))
        event.set_priority(2)
        event.activate(EV_READ)
        event.delete()
        event.set_priority(0)
        event.activate(EV_READ)
        base.timer(lambda _event, _what: log.append("other")).activate(EV_READ)
        base.dispatch()
        assert log == ["event", "other"]


class TestWords:
    def test_event(self, fakes: FakeBase) -> None:
        event = fakes.base.event(FD, EV_READ | EV_PERSIST, ignore)
        assert repr(event) == f"<Event fd={FD} READ|PERSIST>"
        event.add(1.5)
        assert repr(event) == f"<Event fd={FD} READ|PERSIST added deadline=+1.5s>"
        event.activate(EV_READ)
        assert repr(event) == f"<Event fd={FD} READ|PERSIST added active=READ deadline=+1.5s>"
        fakes.clock.advance(2)
        assert "deadline=-0.5s" in repr(event)
        event.delete()
        assert repr(event) == f"<Event fd={FD} READ|PERSIST>"

    def test_timer_and_signal(self, base: EventBase) -> None:
        assert repr(base.timer(ignore)) == "<Event fd=-1 0>"
        assert (
            repr(base.signal(signal.SIGUSR1, ignore)) == f"<Event signal={signal.SIGUSR1:d} SIGNAL|PERSIST>"
        )

    def test_deferred(self, base: EventBase) -> None:
        entry = Deferred(base, int, 0)
        assert repr(entry) == "<Deferred <class 'int'> idle>"
        entry.schedule()
        assert repr(entry) == "<Deferred <class 'int'> active>"

    def test_internal(self, base: EventBase, pair: Pair) -> None:
        event = base.add_internal(pair[0].fileno(), ignore)
        assert event.internal
        assert not base.timer(ignore).internal


@pytest.mark.parametrize(
    ("fd", "events", "message"),
    [
        (0, 0x100, "unknown bits: 0x100"),
        (2, EV_SIGNAL | EV_READ, "got READ|SIGNAL"),
        (-1, EV_WRITE, "WRITE needs an open descriptor, got -1"),
    ],
)
def test_check_says_what_does_not_go_together(fd: int, events: int, message: str) -> None:
    with pytest.raises(ValueError, match="^" + ".*" + message.replace("|", r"\|")):
        Event.check(fd, events)


@pytest.mark.parametrize(
    ("fd", "events"),
    [(-1, 0), (-1, EV_TIMEOUT), (0, EV_READ | EV_WRITE | EV_ET | EV_PERSIST), (2, EV_SIGNAL)],
)
def test_check_lets_pass_what_does(fd: int, events: int) -> None:
    Event.check(fd, events)


def test_plain_entry_can_not_be_run(base: EventBase) -> None:
    with pytest.raises(NotImplementedError):
        QueueEntry(base, 0).run()


def test_pending_tells_only_what_can_be_waited_for(base: EventBase, pair: Pair) -> None:
    event = base.event(pair[0], EV_READ | EV_PERSIST, ignore)
    event.activate(EV_READ | EV_ET | EV_PERSIST)
    assert event.pending(-1) == EV_READ


def test_idle_time_out_starts_anew_from_the_time_of_the_pass(
    manual_base: EventBase, clock: ManualClock, pair: Pair
) -> None:
    """And not from when the callback before it has returned: all that was ready together was ready at that time."""
    start = clock.monotonic()
    event = manual_base.event(pair[0], EV_WRITE | EV_PERSIST, ignore)
    event.add(10)
    newest = manual_base.event(pair[0], EV_WRITE, lambda _event, _what: clock.advance(5))  # which runs first
    newest.add()
    clock.advance(1)
    manual_base.loop(ONE_PASS)
    assert clock.monotonic() == start + 6
    assert event.deadline == start + 11


def test_plain_event_whose_time_out_is_due_hears_of_its_descriptor_until_it_runs(fakes: FakeBase) -> None:
    """libevent deletes it when the time-out is noticed."""
    log: list[int] = []
    leave = fakes.base.timer(lambda _event, _what: fakes.base.loopbreak())
    leave.add(1)
    event = fakes.base.event(FD, EV_READ, note(log))
    event.add(1)
    fakes.base.dispatch()
    assert event.pending() == EV_READ | EV_TIMEOUT
    fakes.backend.ready(FD, EV_READ)
    fakes.base.dispatch()
    assert log == [EV_READ | EV_TIMEOUT]
    assert event.pending() == 0
