"""Who runs next: priorities and starvation, limits on one pass, deferred callbacks, copies that are stale."""

import asyncio
import gc
import signal
import weakref
from collections.abc import Callable, Iterator

import pytest

from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.event import Deferred, Event
from evkit.core.flags import (
    COUNT_ACTIVE,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.queues import Flushable
from evkit.errors import LoopError
from evkit.testing import FakeBase, ManualClock
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
FD = 10**6  # no real descriptor: for the fake backend
MakeConfig = Callable[..., EventConfig]


def activated(base: EventBase, priority: int, callback: Callable[[Event, int], object]) -> Event:
    event = base.timer(callback)
    event.set_priority(priority)
    event.activate(EV_TIMEOUT)
    return event


def note(log: list[str], word: str) -> Callable[[Event, int], None]:
    return lambda _event, _what: log.append(word)


def log_polls(base: EventBase, log: list[str]) -> None:
    base.check(lambda _watcher, _timeout: log.append("poll"))


class TestPriorities:
    def test_one_pass_runs_the_most_urgent_queue_only(self, base: EventBase) -> None:
        base.priority_init(3)
        log: list[str] = []
        log_polls(base, log)
        for priority in (2, 0, 1, 0, 2):
            activated(base, priority, note(log, str(priority)))
        base.dispatch()
        assert log == ["poll", "0", "0", "poll", "1", "poll", "2", "2"]

    def test_less_urgent_starve_while_there_is_more_urgent_work(self, base: EventBase) -> None:
        base.priority_init(2)
        log: list[str] = []

        def again(event: Event, what: int) -> None:
            log.append("urgent")
            if log.count("urgent") < 50:
                event.activate(what)
                base.loopcontinue()

        activated(base, 1, note(log, "starved"))
        activated(base, 0, again)
        log_polls(base, [])
        base.dispatch()
        assert log == ["urgent"] * 50 + ["starved"]

    def test_more_urgent_activation_makes_the_loop_poll_first(self, base: EventBase) -> None:
        base.priority_init(2)
        log: list[str] = []
        urgent = base.timer(note(log, "urgent"))
        urgent.set_priority(0)

        def call_for_help(_event: Event, _what: int) -> None:
            log.append("calls")
            urgent.activate(EV_TIMEOUT)

        log_polls(base, log)
        activated(base, 1, call_for_help)
        activated(base, 1, note(log, "rest"))
        base.dispatch()
        assert log == ["poll", "calls", "poll", "urgent", "poll", "rest"]

    def test_less_urgent_activation_does_not(self, base: EventBase) -> None:
        base.priority_init(2)
        log: list[str] = []
        log_polls(base, log)
        activated(base, 0, lambda _event, _what: activated(base, 1, note(log, "less urgent")))
        activated(base, 0, note(log, "rest"))
        base.dispatch()
        assert log == ["poll", "rest", "poll", "less urgent"]

    def test_queue_with_evkits_own_events_only_does_not_stop_the_search(self, fakes: FakeBase) -> None:
        log: list[str] = []
        fakes.base.add_internal(FD, note(log, "internal"))
        fakes.base.priority_init(2)
        log_polls(fakes.base, log)
        activated(fakes.base, 1, note(log, "user's"))
        fakes.backend.ready(FD, EV_READ)
        fakes.base.dispatch()
        assert log == ["poll", "internal", "user's"]

    def test_loopbreak_from_evkits_own_event_stops_the_search(self, fakes: FakeBase) -> None:
        log: list[str] = []
        fakes.base.add_internal(FD, lambda _event, _what: fakes.base.loopbreak())
        fakes.base.priority_init(2)
        activated(fakes.base, 1, note(log, "user's"))
        fakes.backend.ready(FD, EV_READ)
        assert fakes.base.dispatch() is True
        assert log == []

    def test_first_come_first_served_within_a_queue(self, base: EventBase) -> None:
        log: list[str] = []
        for number in range(10):
            activated(base, 0, note(log, str(number)))
        base.dispatch()
        assert log == list("0123456789")

    def test_events_from_a_poll_join_those_that_wait(self, fakes: FakeBase) -> None:
        log: list[str] = []
        fakes.base.event(FD, EV_READ, note(log, "descriptor")).add()
        fakes.backend.ready(FD, EV_READ)
        activated(fakes.base, 0, note(log, "waited"))
        fakes.base.dispatch()
        assert log == ["waited", "descriptor"]


class TestLimits:
    @pytest.fixture
    def limited(self, config: MakeConfig, clock: ManualClock) -> Iterator[Callable[..., EventBase]]:
        bases: list[EventBase] = []

        def make(priorities: int = 1, **limits: float) -> EventBase:
            base = EventBase(config(**limits), clock=clock)
            base.priority_init(priorities)
            bases.append(base)
            return base

        yield make
        for base in bases:
            base.close()

    def test_callbacks(self, limited: Callable[..., EventBase]) -> None:
        base = limited(max_dispatch_callbacks=2)
        log: list[str] = []
        log_polls(base, log)
        for number in range(5):
            activated(base, 0, note(log, str(number)))
        base.dispatch()
        assert log == ["poll", "0", "1", "poll", "2", "3", "poll", "4"]

    def test_interval(self, limited: Callable[..., EventBase], clock: ManualClock) -> None:
        base = limited(max_dispatch_interval=1.0)
        log: list[str] = []
        log_polls(base, log)

        def slow(number: int) -> Callable[[Event, int], None]:
            def callback(_event: Event, _what: int) -> None:
                log.append(str(number))
                clock.advance(0.5)

            return callback

        for number in range(5):
            activated(base, 0, slow(number))
        base.dispatch()
        assert log == ["poll", "0", "1", "poll", "2", "3", "poll", "4"]

    def test_hold_from_a_priority_on(self, limited: Callable[..., EventBase]) -> None:
        base = limited(priorities=2, max_dispatch_callbacks=1, min_dispatch_priority=1)
        log: list[str] = []
        log_polls(base, log)
        for priority in (0, 0, 1, 1):
            activated(base, priority, note(log, str(priority)))
        base.dispatch()
        assert log == ["poll", "0", "0", "poll", "1", "poll", "1"]

    def test_priority_alone_is_no_limit(self, limited: Callable[..., EventBase]) -> None:
        base = limited(min_dispatch_priority=0)
        log: list[str] = []
        log_polls(base, log)
        for _ in range(3):
            activated(base, 0, note(log, "run"))
        base.dispatch()
        assert log == ["poll", "run", "run", "run"]

    def test_do_not_make_the_loop_wait(self, limited: Callable[..., EventBase]) -> None:
        base = limited(max_dispatch_callbacks=1)
        timeouts: list[float | None] = []
        base.prepare(lambda _watcher, timeout: timeouts.append(timeout))
        base.timer(lambda _event, _what: None).add(3600)
        for _ in range(3):
            activated(base, 0, lambda _event, _what: None)
        base.loop(EVLOOP_ONCE)
        assert timeouts == [0.0, 0.0, 0.0]

    def test_keep_an_event_that_activates_itself_from_starving_the_poll(
        self, limited: Callable[..., EventBase]
    ) -> None:
        base = limited(max_dispatch_callbacks=3)
        calls: list[str] = []
        log_polls(base, calls)

        def again(event: Event, what: int) -> None:
            calls.append("call")
            if calls.count("poll") < 4:
                event.activate(what)

        activated(base, 0, again)
        base.dispatch()
        assert calls == (["poll"] + ["call"] * 3) * 3 + ["poll", "call"]

    def test_count_the_users_callbacks_only(self, limited: Callable[..., EventBase]) -> None:
        base = limited(max_dispatch_callbacks=1)
        log: list[str] = []
        log_polls(base, log)
        base.call_soon_threadsafe(log.append, "from a thread")
        base.dispatch()
        assert log == ["poll", "from a thread"]

    def test_loopbreak_within_them(self, limited: Callable[..., EventBase]) -> None:
        base = limited(max_dispatch_callbacks=3)
        log: list[str] = []
        activated(base, 0, lambda _event, _what: base.loopbreak())
        activated(base, 0, note(log, "rest"))
        assert base.dispatch() is True
        assert log == []


class TestDeferred:
    def test_33_run_in_this_pass_and_the_rest_in_the_next(self, base: EventBase) -> None:
        log: list[str] = []
        log_polls(base, log)

        def many(_event: Event, _what: int) -> None:
            for _ in range(40):
                base.call_soon(log.append, "deferred")

        activated(base, 0, many)
        base.dispatch()
        assert log == ["poll", *["deferred"] * 33, "poll", *["deferred"] * 7]

    def test_those_put_off_count_in_the_next_pass(self, base: EventBase) -> None:
        """Ten are put off, and when they run each schedules three: 23 of these still fit into that pass."""
        log: list[str] = []
        log_polls(base, log)

        def three(number: int) -> None:
            log.append("first")
            if number >= 33:
                for _ in range(3):
                    base.call_soon(log.append, "second")

        def many(_event: Event, _what: int) -> None:
            for number in range(43):
                base.call_soon(three, number)

        activated(base, 0, many)
        base.dispatch()
        assert log == [
            "poll",
            *["first"] * 33,
            "poll",
            *["first"] * 10,
            *["second"] * 23,
            "poll",
            *["second"] * 7,
        ]

    def test_endless_rescheduling_does_not_starve_the_poll(self, base: EventBase) -> None:
        log: list[str] = []
        log_polls(base, log)

        def again() -> None:
            log.append("again")
            if log.count("poll") < 3:
                entry.schedule()

        entry = base.deferred(again)
        entry.schedule()
        base.dispatch()
        assert log.count("poll") == 3
        # One was scheduled before the pass, 33 within it.
        assert log[:36] == ["poll", *["again"] * 34, "poll"]

    def test_scheduling_twice_is_scheduling_once(self, base: EventBase) -> None:
        log: list[str] = []
        entry = base.deferred(lambda: log.append("run"))
        assert entry.schedule() is True
        assert entry.schedule() is False
        assert base.num_events(COUNT_ACTIVE) == 1
        base.dispatch()
        assert log == ["run"]
        assert entry.schedule() is True
        base.dispatch()
        assert log == ["run", "run"]

    def test_scheduling_twice_when_put_off(self, base: EventBase) -> None:
        log: list[str] = []
        for _ in range(33):
            base.call_soon(int)
        entry = base.deferred(lambda: log.append("run"))
        assert entry.schedule() is True
        assert entry.schedule() is False
        base.dispatch()
        assert log == ["run"]

    def test_cancelled_does_not_run(self, base: EventBase) -> None:
        log: list[str] = []
        entry = base.deferred(lambda: log.append("run"))
        entry.cancel()
        entry.schedule()
        entry.cancel()
        assert base.num_events(COUNT_ACTIVE) == 0
        assert base.dispatch() is False
        assert log == []

    def test_cancelled_when_put_off(self, base: EventBase) -> None:
        log: list[str] = []
        entries = [base.deferred(lambda: log.append("run")) for _ in range(40)]
        for entry in entries:
            entry.schedule()
        for entry in entries[::2]:
            entry.cancel()
        assert base.num_events(COUNT_ACTIVE) == 20
        base.dispatch()
        assert len(log) == 20

    def test_cancelled_and_scheduled_again_goes_to_the_end(self, base: EventBase) -> None:
        log: list[str] = []
        first = base.deferred(lambda: log.append("first"))
        first.schedule()
        base.call_soon(log.append, "second")
        first.cancel()
        assert first.schedule() is True
        assert base.num_events(COUNT_ACTIVE) == 2
        base.dispatch()
        assert log == ["second", "first"]

    def test_priority(self, base: EventBase) -> None:
        base.priority_init(3)
        log: list[str] = []
        base.deferred(lambda: log.append("2"), 2).schedule()
        base.deferred(lambda: log.append("0"), 0).schedule()
        base.call_soon(log.append, "1")
        base.dispatch()
        assert log == ["0", "1", "2"]

    def test_is_an_entry_of_its_own(self, base: EventBase) -> None:
        entry = base.call_soon(int)
        assert isinstance(entry, Deferred)
        entry.cancel()
        assert base.dispatch() is False

    def test_rescheduled_into_the_next_pass_after_the_loop_was_left_early(self, base: EventBase) -> None:
        """Its cancelled copy is still in the queue of this pass when the new one goes to that of the next."""
        log: list[str] = []
        base.call_soon(base.loopbreak)
        entry = base.deferred(lambda: log.append("run"))
        entry.schedule()
        entry.cancel()
        for _ in range(40):
            base.call_soon(int)
        entry.schedule()
        assert base.dispatch() is True
        assert base.dispatch() is False
        assert log == ["run"]
        assert entry.schedule() is True
        base.dispatch()
        assert log == ["run", "run"]


class TestCopies:
    """An entry that is withdrawn leaves a copy behind in its queue, which must never be taken for the entry."""

    def test_descriptor_ready_again_while_its_copy_waits(self, fakes: FakeBase) -> None:
        """The queue holds the copy, then the killer, then the event: deleted by the killer, it must not run."""
        base, backend = fakes.base, fakes.backend
        log: list[str] = []
        victim = base.event(FD, EV_READ | EV_PERSIST, note(log, "victim"))

        def kill(_event: Event, _what: int) -> None:
            log.append("killer")
            victim.delete()

        activated(base, 0, lambda _event, _what: base.loopbreak())
        activated(base, 0, note(log, "live"))
        victim.activate(EV_READ)
        assert base.dispatch() is True
        victim.delete()
        victim.add()
        base.event(FD + 1, EV_READ, kill).add()
        backend.ready(FD + 1, EV_READ)
        backend.ready(FD, EV_READ)
        assert base.dispatch() is False
        assert log == ["live", "killer"]

    def test_descriptor_ready_again_runs_once(self, fakes: FakeBase) -> None:
        base = fakes.base
        log: list[str] = []
        event = base.event(FD, EV_READ, note(log, "ready"))
        activated(base, 0, lambda _event, _what: base.loopbreak())
        activated(base, 0, note(log, "live"))
        event.activate(EV_READ)
        base.dispatch()
        event.delete()
        event.add()
        fakes.backend.ready(FD, EV_READ)
        assert base.dispatch() is False
        assert log == ["live", "ready"]
        assert base.num_events(COUNT_ACTIVE) == 0

    def test_copies_alone_are_no_activity(self, base: EventBase) -> None:
        base.priority_init(3)
        for priority in range(3):
            activated(base, priority, lambda _event, _what: None).delete()
        assert not base.queues
        assert base.queues.count() == 0
        base.priority_init(2)

    def test_copy_in_the_next_passs_queue_does_not_keep_once_going(self, fakes: FakeBase) -> None:
        """33 deferred callbacks run and the 34th was cancelled: nothing is active, so the loop must not wait for FD."""

        def schedule(_event: Event, _what: int) -> None:
            entries = [fakes.base.call_soon(int) for _ in range(34)]
            entries[-1].cancel()

        fakes.base.event(FD, EV_READ, lambda _event, _what: None).add()
        activated(fakes.base, 0, schedule)
        assert fakes.base.loop(EVLOOP_ONCE) is True
        assert None not in fakes.backend.timeouts

    def test_count_ignores_them(self, base: EventBase) -> None:
        events = [activated(base, 0, lambda _event, _what: None) for _ in range(6)]
        for event in events[1::2]:
            event.delete()
        assert base.num_events(COUNT_ACTIVE) == 3
        events[1].activate(EV_READ)
        assert base.num_events(COUNT_ACTIVE) == 4
        with pytest.raises(LoopError, match="active"):
            base.priority_init(2)
        base.dispatch()
        assert base.num_events(COUNT_ACTIVE) == 0


class Mate:
    """Gathers output, and once sent has more for the next one to send."""

    def __init__(self, outbox: list[Flushable], log: list[str], word: str) -> None:
        self.outbox = outbox
        self.log = log
        self.word = word
        self.next: Mate | None = None

    def flush_output(self) -> None:
        self.log.append(self.word)
        if self.next is not None and len(self.log) < 10_000:  # or a test would not end where it should fail
            self.outbox.append(self.next)


class TestOutbox:
    def test_each_that_a_callback_filled_is_sent_before_the_next_one(self, base: EventBase) -> None:
        log: list[str] = []
        outbox = base.queues.outbox
        mates = [Mate(outbox, log, word) for word in "abc"]
        activated(base, 0, lambda _event, _what: outbox.extend(mates))
        activated(base, 0, note(log, "next"))
        log_polls(base, log)
        base.dispatch()
        assert sorted(log[1:4]) == ["a", "b", "c"]
        assert log[4:] == ["next"]

    @pytest.mark.parametrize("count", [2, 3])
    @pytest.mark.parametrize("begun", ["in a callback", "outside the loop"])
    def test_those_that_fill_it_for_each_other_for_ever_starve_nobody(
        self, fakes: FakeBase, count: int, begun: str
    ) -> None:
        base, log = fakes.base, list[str]()
        outbox = base.queues.outbox
        ring = [Mate(outbox, log, "sent") for _ in range(count)]
        for mate, other in zip(ring, ring[1:] + ring[:1], strict=True):
            mate.next = other
        if begun == "in a callback":
            activated(base, 0, lambda _event, _what: outbox.append(ring[0]))
            activated(base, 0, note(log, "next"))
        else:
            outbox.append(ring[0])
        base.timer(note(log, "timer")).add(0)
        base.event(FD, EV_READ, note(log, "descriptor")).add()
        fakes.backend.ready(FD, EV_READ)
        for _ in range(4):
            base.loop(ONE_PASS)
        for word in ("timer", "descriptor", *(["next"] if begun == "in a callback" else [])):
            assert word in log
            assert log.index(word) <= 8  # a turn or two of the ring behind each callback before it
        assert 4 <= log.count("sent") <= 16
        assert outbox

    def test_what_is_left_in_it_keeps_the_poll_from_waiting(self, fakes: FakeBase) -> None:
        outbox = fakes.base.queues.outbox
        mate = Mate(outbox, [], "sent")
        mate.next = Mate(outbox, mate.log, "sent later")
        outbox.append(mate)
        fakes.base.timer(lambda _event, _what: None).add(60)
        fakes.base.dispatch()
        assert mate.log == ["sent", "sent later"]
        assert fakes.backend.timeouts == [0, 60]


class Outbox:
    """Sends by calling."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def flush_output(self) -> None:
        self.act()


class TestOrderOfCalls:
    @pytest.mark.parametrize("count", [1, 33, 34, 100])
    def test_what_a_flush_before_the_poll_calls_stands_behind_what_was_put_off(
        self, base: EventBase, count: int
    ) -> None:
        log: list[int] = []
        for number in range(count):
            base.call_soon(log.append, number)
        base.queues.outbox.append(Outbox(lambda: base.call_soon(log.append, count)))
        base.dispatch()
        assert log == list(range(count + 1))

    @pytest.mark.parametrize("count", [33, 34, 100])
    def test_what_a_watcher_calls_too(self, base: EventBase, count: int) -> None:
        log: list[int] = []
        for number in range(count):
            base.call_soon(log.append, number)
        watcher = base.prepare(lambda watcher, _timeout: (watcher.close(), base.call_soon(log.append, count)))
        base.dispatch()
        assert log == list(range(count + 1))
        watcher.close()

    def test_calls_that_call_keep_it(self, base: EventBase) -> None:
        log: list[int] = []

        def call(number: int) -> None:
            log.append(number)
            if number < 200:
                base.call_soon(call, number + 200)

        for number in range(200):
            base.call_soon(call, number)
        base.dispatch()
        assert log == list(range(400))


class TestEscape:
    @pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, BaseException])
    def test_of_what_is_no_exception_does_not_end_the_loop(
        self, base: EventBase, kind: type[BaseException]
    ) -> None:
        def fail(*_args: object) -> None:
            raise kind

        escaped: list[type[BaseException]] = []
        base.exception_handler = lambda exception, _source: escaped.append(type(exception))
        log: list[str] = []
        base.prepare(lambda watcher, _timeout: (watcher.close(), fail()))
        base.call_soon(fail)
        storm = base.signal(signal.SIGUSR1, fail)
        storm.activate(EV_SIGNAL, 2)
        base.call_soon(log.append, "last")
        assert base.dispatch() is False
        assert escaped == [kind] * 4
        assert log == ["last"]

    def test_traceback_that_is_kept_keeps_no_argument(self, base: EventBase) -> None:
        """Else who keeps the exception of its own call is a cycle, which only the garbage collector frees."""

        class Keeper:
            kept: BaseException

            def call(self) -> None:
                try:
                    raise ValueError
                except ValueError as exception:
                    Keeper.kept = exception

        keeper = Keeper()
        gone = weakref.ref(keeper)
        base.call_soon(keeper.call)
        del keeper
        gc.disable()
        try:
            base.dispatch()
            frame = Keeper.kept.__traceback__.tb_frame  # type: ignore[union-attr]
            frame.clear()  # its own: it has `self`, as any function has
            assert gone() is None
        finally:
            gc.enable()
            del Keeper.kept
