"""What the face of the loop does: making events, time, priorities, counts."""

import socket
from collections.abc import Callable

import pytest

from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import (
    BASE_NO_CACHE_TIME,
    COUNT_ACTIVE,
    COUNT_ADDED,
    COUNT_VIRTUAL,
    EV_CLOSED,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_ONCE,
)
from evkit.errors import LoopError
from evkit.testing import FakeBackend, FakeBase, ManualClock
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

FD = 10**6  # no real descriptor: for the fake backend
Pair = tuple[socket.socket, socket.socket]
MakeConfig = Callable[..., EventConfig]


def note(log: list[str], word: str) -> Callable[[Event, int], None]:
    return lambda _event, _what: log.append(word)


def ignore(_event: Event, _what: int) -> None:
    pass


def activated(
    base: EventBase, callback: Callable[[Event, int], object], priority: int | None = None
) -> Event:
    """Make a timer that is active at once."""
    event = base.timer(callback)
    if priority is not None:
        event.set_priority(priority)
    event.activate(EV_TIMEOUT)
    return event


class TestOnce:
    def test_keep_their_order(self, base: EventBase) -> None:
        log: list[str] = []
        for number in range(10):
            base.once(-1, EV_TIMEOUT, note(log, str(number)), 0 if number % 2 else None)
        base.dispatch()
        assert log == list("0123456789")

    def test_a_timeout_of_none_or_zero_needs_no_timer(self, base: EventBase) -> None:
        base.once(-1, EV_TIMEOUT, ignore)
        base.once(-1, 0, ignore, 0)
        assert base.num_events(COUNT_ADDED) == 0
        assert base.num_events(COUNT_ACTIVE) == 2
        base.dispatch()

    @pytest.mark.parametrize("timeout", [None, 0])
    def test_descriptor_is_waited_for_whatever_the_timeout(
        self, fakes: FakeBase, timeout: float | None
    ) -> None:
        log: list[int] = []
        event = fakes.base.once(FD, EV_READ, lambda _event, what: log.append(what), timeout)
        assert fakes.base.num_events(COUNT_ACTIVE) == 0
        assert event.pending(EV_READ) == EV_READ
        fakes.backend.ready(FD, EV_READ)
        fakes.base.dispatch()
        assert log == [EV_READ if timeout is None else EV_READ | EV_TIMEOUT]

    def test_descriptor_with_timeout(self, fakes: FakeBase) -> None:
        log: list[int] = []
        fakes.base.once(FD, EV_READ, lambda _event, what: log.append(what), 3)
        fakes.base.once(FD + 1, EV_READ | EV_WRITE | EV_CLOSED, lambda _event, what: log.append(what), 9)
        fakes.backend.ready(FD + 1, EV_WRITE, after=5)
        assert fakes.base.dispatch() is False
        assert log == [EV_TIMEOUT, EV_WRITE]

    @pytest.mark.parametrize("events", [EV_SIGNAL, EV_PERSIST, EV_READ | EV_PERSIST])
    def test_signal_and_persist_are_refused(self, base: EventBase, events: int) -> None:
        with pytest.raises(ValueError, match="no EV_SIGNAL and no EV_PERSIST"):
            base.once(0, events, ignore)

    def test_may_be_deleted_early(self, base: EventBase) -> None:
        log: list[str] = []
        base.once(-1, EV_TIMEOUT, note(log, "deleted")).delete()
        base.dispatch()
        assert log == []


class TestTime:
    def test_now_stands_still_during_a_pass(self, manual_base: EventBase, clock: ManualClock) -> None:
        times: list[float] = []

        def slow() -> None:
            times.append(manual_base.now())
            clock.advance(5)
            times.append(manual_base.now())
            manual_base.update_cache_time()
            times.append(manual_base.now())

        start = clock.monotonic()
        manual_base.call_soon(slow)
        manual_base.dispatch()
        assert times == [start, start, start + 5]

    def test_now_is_the_clocks_outside_the_loop(self, manual_base: EventBase, clock: ManualClock) -> None:
        manual_base.call_soon(int)
        manual_base.dispatch()
        clock.advance(7)
        assert manual_base.now() == clock.monotonic()
        manual_base.update_cache_time()
        clock.advance(1)
        assert manual_base.now() == clock.monotonic()

    def test_timers_count_from_the_cached_time(self, fakes: FakeBase) -> None:
        """A timer added after a long computation is due at once: libevent's documented trap."""
        deadlines: list[float] = []

        def slow() -> None:
            fakes.clock.advance(5)
            timer.add(1)
            deadlines.append(timer.deadline)
            fakes.base.update_cache_time()
            timer.add(1)
            deadlines.append(timer.deadline)

        timer = fakes.base.timer(ignore)
        start = fakes.clock.monotonic()
        fakes.base.call_soon(slow)
        fakes.base.dispatch()
        assert deadlines == [start + 1, start + 6]

    def test_no_cache_time_reads_the_clock_always(self, config: MakeConfig, clock: ManualClock) -> None:
        times: list[float] = []

        def slow() -> None:
            times.append(base.now())
            base.update_cache_time()  # there is no cache
            clock.advance(5)
            times.append(base.now())

        start = clock.monotonic()
        with EventBase(config(flags=BASE_NO_CACHE_TIME), clock=clock) as base:
            base.call_soon(slow)
            base.dispatch()
        assert times == [start, start + 5]

    def test_wall_clock_is_cached_with_the_monotonic_one(
        self, manual_base: EventBase, clock: ManualClock
    ) -> None:
        times: list[float] = []

        def slow() -> None:
            clock.advance(5)
            times.append(manual_base.gettimeofday_cached())

        wall = clock.time()
        manual_base.call_soon(slow)
        manual_base.dispatch()
        assert times == [wall]
        assert manual_base.gettimeofday_cached() == wall + 5

    def test_wall_clock_may_jump_and_deadlines_do_not_care(self, fakes: FakeBase) -> None:
        log: list[str] = []
        fakes.base.timer(note(log, "due")).add(10)
        fakes.clock.set_time(0)
        fakes.base.dispatch()
        assert log == ["due"]
        assert fakes.backend.timeouts == [10.0]


class TestCounts:
    def test_one_event_counts_once_per_thing_it_waits_for(self, base: EventBase, pair: Pair) -> None:
        event = base.event(pair[0], EV_READ, ignore)
        assert base.num_events(COUNT_ADDED | COUNT_ACTIVE) == 0
        event.add()
        assert base.num_events(COUNT_ADDED) == 1
        event.add(60)
        assert base.num_events(COUNT_ADDED) == 2
        event.activate(EV_READ)
        assert base.num_events(COUNT_ACTIVE) == 1
        assert base.num_events(COUNT_ADDED | COUNT_ACTIVE) == 3
        base.add_virtual()
        assert base.num_events(COUNT_ADDED | COUNT_ACTIVE | COUNT_VIRTUAL) == 4
        event.remove_timer()
        assert base.num_events(COUNT_ADDED) == 1
        event.delete()
        assert base.num_events(COUNT_ADDED | COUNT_ACTIVE) == 0

    def test_put_off_callbacks_count_as_active(self, base: EventBase) -> None:
        for _ in range(40):
            base.call_soon(int)
        assert base.num_events(COUNT_ACTIVE) == 40

    def test_fresh_base_counts_nothing(self, base: EventBase) -> None:
        assert base.num_events(COUNT_ADDED | COUNT_ACTIVE | COUNT_VIRTUAL) == 0

    def test_running_is_what_runs(self, base: EventBase) -> None:
        seen: list[object] = []
        event = activated(base, lambda _event, _what: seen.append(base.running))
        assert base.running is None
        base.dispatch()
        assert seen == [event]
        assert base.running is None


class TestPriorities:
    def test_number_of_queues(self, base: EventBase) -> None:
        assert base.npriorities == 1
        base.priority_init(255)
        assert base.npriorities == 255
        assert base.timer(ignore).priority == 127

    @pytest.mark.parametrize("count", [0, -1, 256])
    def test_number_out_of_range(self, base: EventBase, count: int) -> None:
        with pytest.raises(ValueError, match="1 to 255"):
            base.priority_init(count)

    def test_refused_while_something_is_active(self, base: EventBase) -> None:
        event = activated(base, ignore)
        with pytest.raises(LoopError, match="active"):
            base.priority_init(2)
        event.delete()
        base.priority_init(2)
        assert base.npriorities == 2

    def test_events_made_before_keep_theirs(self, base: EventBase) -> None:
        early = base.timer(ignore)
        base.priority_init(5)
        assert early.priority == 0
        assert base.timer(ignore).priority == 2

    def test_event_of_a_queue_that_is_gone_runs_last(self, base: EventBase) -> None:
        base.priority_init(5)
        log: list[str] = []
        old = base.timer(note(log, "old"))
        old.set_priority(4)
        base.priority_init(2)
        old.activate(EV_TIMEOUT)
        activated(base, note(log, "lowest"), 1)
        base.dispatch()
        assert log == ["lowest", "old"]

    @pytest.mark.parametrize("priority", [-1, 1])
    def test_deferred_of_no_queue_is_refused(self, base: EventBase, priority: int) -> None:
        with pytest.raises(ValueError, match="priority must be 0 to 0"):
            base.deferred(int, priority)


class TestMaking:
    @pytest.mark.parametrize("events", [0x100, EV_READ | EV_SIGNAL])
    def test_impossible_flags(self, base: EventBase, events: int) -> None:
        with pytest.raises(ValueError, match=r"events has unknown bits|a signal or for a descriptor"):
            base.event(0, events, ignore)

    def test_closed_socket_is_refused(self, base: EventBase, pair: Pair) -> None:
        pair[0].close()
        with pytest.raises(ValueError, match="needs an open descriptor, got -1"):
            base.event(pair[0], EV_READ, ignore)

    def test_takes_numbers_and_whatever_has_one(self, base: EventBase, pair: Pair) -> None:
        assert base.event(pair[0], EV_READ, ignore).fd == base.event(pair[0].fileno(), EV_READ, ignore).fd

    def test_timeouts_that_are_none(self, base: EventBase) -> None:
        for timeout in (-1, float("inf"), float("nan")):
            with pytest.raises(ValueError, match="seconds >= 0"):
                base.timer(ignore).add(timeout)
            with pytest.raises(ValueError, match="seconds >= 0"):
                base.init_common_timeout(timeout)
        assert base.num_events(COUNT_ADDED) == 0

    def test_common_timeout_of_another_base(self, base: EventBase, fakes: FakeBase) -> None:
        other = fakes.base.init_common_timeout(5)
        with pytest.raises(ValueError, match="not of this event base"):
            base.timer(ignore).add(other)

    def test_backend_given_is_used_and_closed(self, clock: ManualClock) -> None:
        backend = FakeBackend(clock)
        base = EventBase(clock=clock, backend=backend)
        assert (base.method, base.features) == ("fake", backend.features)
        base.close()
        assert backend.closed


def test_with_statement_closes(config: MakeConfig) -> None:
    with EventBase(config()) as base:
        pass
    with pytest.raises(LoopError):
        base.dispatch()


def test_state_in_words(base: EventBase) -> None:
    words: list[str] = []
    base.timer(lambda *_: words.append(repr(base))).add(0)
    base.timer(ignore).add(3600)
    assert repr(base) == f"<EventBase {base.method} idle added=2 active=0>"
    base.loop(EVLOOP_ONCE)
    assert words == [f"<EventBase {base.method} looping added=1 active=0>"]
    base.close()
    assert repr(base).startswith(f"<EventBase {base.method} closed")


@pytest.mark.parametrize("events", [EV_READ, EV_WRITE, EV_CLOSED, EV_READ | EV_TIMEOUT])
def test_once_for_a_descriptor_is_not_called_before_that_is_ready(fakes: FakeBase, events: int) -> None:
    event = fakes.base.once(FD, events, ignore)
    assert fakes.base.num_events(COUNT_ACTIVE) == 0
    assert event.pending() == events & ~EV_TIMEOUT
    event.delete()


def test_deferred_has_the_middle_priority(base: EventBase) -> None:
    base.priority_init(3)
    assert base.deferred(int).level == 1
    assert base.deferred(int, 2).level == 2
