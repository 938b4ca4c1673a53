"""What `Loop` does: the order of one pass, when the loop ends and with what, threads, exceptions, closing."""

import os
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from evkit.core.base import EventBase, log_exception
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import (
    COUNT_ACTIVE,
    COUNT_ADDED,
    COUNT_VIRTUAL,
    EV_PERSIST,
    EV_READ,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NO_EXIT_ON_EMPTY,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.log import LOG_ERR, set_log_callback
from evkit.core.queues import Flushable
from evkit.core.watch import Watcher
from evkit.errors import LoopError
from evkit.testing import FakeBackend, FakeBase, ManualClock, base_with_fakes
from locking import plain_and_locked  # noqa: F401 - a fixture that is used by itself

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
FD = 10**6  # no real descriptor: for the fake backend
Pair = tuple[socket.socket, socket.socket]
MakeConfig = Callable[..., EventConfig]


def note(log: list[str], word: str) -> Callable[[Event, int], None]:
    return lambda _event, _what: log.append(word)


def then(log: list[str], word: str, act: Callable[[], object]) -> Callable[[Event, int], None]:
    def callback(_event: Event, _what: int) -> None:
        log.append(word)
        act()

    return callback


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


class TestOnePass:
    def test_order_is_prepare_poll_check_timeouts_callbacks(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        base.check(lambda _watcher, _timeout: log.append(f"check active={base.num_events(COUNT_ACTIVE)}"))
        base.prepare(lambda _watcher, _timeout: log.append(f"prepare active={base.num_events(COUNT_ACTIVE)}"))
        base.timer(note(log, "timer")).add(0)
        base.event(pair[0], EV_WRITE, note(log, "descriptor")).add()
        base.loop(EVLOOP_ONCE)
        # The descriptor is active when the check watchers run, the timer is not: it is looked at after them.
        assert log == ["prepare active=0", "check active=1", "descriptor", "timer"]

    def test_descriptor_is_ready_before_callbacks_run(self, base: EventBase, pair: Pair) -> None:
        log: list[int] = []
        pair[1].send(b"x")
        base.event(pair[0], EV_READ | EV_WRITE, lambda _event, what: log.append(what)).add()
        assert base.dispatch() is False
        assert log == [EV_READ | EV_WRITE]

    def test_a_far_deadline_is_waited_for_in_parts(self, fakes: FakeBase) -> None:
        """Some kernels take a longer wait for a negative one."""
        log: list[str] = []
        fakes.base.timer(note(log, "tick")).add(5000.0)
        assert fakes.base.dispatch() is False
        assert log == ["tick"]
        assert fakes.backend.timeouts == [2100.0, 2100.0, 800.0]

    def test_poll_waits_for_the_first_deadline(self, fakes: FakeBase) -> None:
        fakes.base.timer(ignore).add(5)
        fakes.base.timer(ignore).add(2)
        fakes.base.dispatch()
        assert fakes.backend.timeouts == [2.0, 3.0]

    def test_poll_does_not_wait_while_something_is_active(self, fakes: FakeBase) -> None:
        fakes.base.timer(ignore).add(5)
        activated(fakes.base, ignore)
        fakes.base.loop(EVLOOP_ONCE)
        assert fakes.backend.timeouts == [0.0]

    def test_poll_does_not_wait_for_what_was_put_off(self, fakes: FakeBase) -> None:
        for _ in range(40):
            fakes.base.call_soon(int)
        fakes.base.dispatch()
        assert set(fakes.backend.timeouts) == {0.0}

    def test_overdue_timer_is_not_waited_for(self, fakes: FakeBase) -> None:
        fakes.base.timer(ignore).add(5)
        fakes.clock.advance(9)
        fakes.base.dispatch()
        assert fakes.backend.timeouts == [0.0]

    def test_poll_without_deadline_waits_without_limit(self, fakes: FakeBase) -> None:
        fakes.base.event(FD, EV_READ, ignore).add()
        fakes.backend.ready(FD, EV_READ, after=60)
        fakes.base.dispatch()
        assert fakes.backend.timeouts == [None]
        assert fakes.clock.monotonic() == ManualClock().monotonic() + 60

    def test_readiness_of_a_forgotten_descriptor_is_dropped(self, fakes: FakeBase) -> None:
        class Late(FakeBackend):
            def wait(self, timeout: float | None) -> list[tuple[int, int]]:
                return [(FD, EV_READ), (FD + 1, EV_READ)]

        log: list[str] = []
        with EventBase(clock=fakes.clock, backend=Late(fakes.clock)) as base:
            base.event(FD + 1, EV_READ, note(log, "known")).add()
            base.loop(ONE_PASS)
        assert log == ["known"]

    def test_event_ready_and_due_is_called_once_with_both(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        log: list[int] = []
        manual_base.event(pair[0], EV_WRITE, lambda _event, what: log.append(what)).add(1)
        clock.advance(1)
        manual_base.loop(ONE_PASS)
        assert log == [EV_TIMEOUT | EV_WRITE]

    def test_backend_failure_ends_the_loop_and_leaves_it_usable(self, fakes: FakeBase) -> None:
        class Failing(FakeBackend):
            broken = True

            def wait(self, timeout: float | None) -> list[tuple[int, int]]:
                if self.broken:
                    raise OSError("no such luck")
                return super().wait(timeout)

        backend = Failing(fakes.clock)
        lines: list[str] = []
        set_log_callback(lambda _severity, message: lines.append(message))
        try:
            with EventBase(clock=fakes.clock, backend=backend) as base:
                base.timer(ignore).add(1)
                with pytest.raises(LoopError, match="the fake backend failed: no such luck"):
                    base.dispatch()
                backend.broken = False
                assert base.dispatch() is False
        finally:
            set_log_callback(None)
        assert lines == ["the fake backend failed: no such luck"]


class TestLoopFlags:
    def test_nothing_to_wait_for_returns_false(self, base: EventBase) -> None:
        assert base.dispatch() is False
        assert base.loop(EVLOOP_ONCE) is False
        assert base.loop(EVLOOP_NONBLOCK) is False

    def test_dispatch_runs_until_nothing_is_left(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        base.timer(note(log, "timer")).add(0)
        base.event(pair[0], EV_WRITE, note(log, "write")).add()
        assert base.dispatch() is False
        assert sorted(log) == ["timer", "write"]

    def test_once_ends_after_the_first_callbacks(self, base: EventBase) -> None:
        log: list[str] = []
        base.timer(note(log, "now")).add(0)
        base.timer(note(log, "later")).add(3600)
        assert base.loop(EVLOOP_ONCE) is True
        assert log == ["now"]

    def test_once_runs_on_while_something_is_active(self, base: EventBase) -> None:
        base.priority_init(2)
        log: list[str] = []
        activated(base, note(log, "less urgent"), 1)
        activated(base, note(log, "urgent"), 0)
        assert base.loop(EVLOOP_ONCE) is True
        assert log == ["urgent", "less urgent"]

    def test_once_is_not_ended_by_evkits_own_events_alone(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []

        def on_internal(_event: Event, _what: int) -> None:
            log.append("internal")
            base.timer(note(log, "timer")).add(0)
            internal.delete()

        pair[1].send(b"x")
        internal = base.add_internal(pair[0].fileno(), on_internal)
        base.timer(ignore).add(3600)
        assert base.loop(EVLOOP_ONCE) is True
        assert log == ["internal", "timer"]

    def test_once_ends_when_its_callbacks_deleted_all_that_was_active(self, fakes: FakeBase) -> None:
        """Else the loop would wait for FD, though callbacks have run and nothing is active."""
        fakes.base.priority_init(2)
        fakes.base.event(FD, EV_READ, ignore).add()
        victim = activated(fakes.base, ignore, 1)
        activated(fakes.base, lambda _event, _what: victim.delete(), 0)
        assert fakes.base.loop(EVLOOP_ONCE) is True
        assert None not in fakes.backend.timeouts

    def test_nonblock_does_not_wait(self, fakes: FakeBase) -> None:
        fakes.base.event(FD, EV_READ, ignore).add()
        fakes.base.timer(ignore).add(5)
        assert fakes.base.loop(EVLOOP_NONBLOCK) is True
        assert fakes.backend.timeouts == [0.0]

    def test_nonblock_goes_on_while_polls_find_something(self, fakes: FakeBase) -> None:
        log: list[str] = []

        def more(_watcher: object, _timeout: object) -> None:
            if len(fakes.backend.timeouts) < 3:
                fakes.backend.ready(FD, EV_READ)

        fakes.base.event(FD, EV_READ | EV_PERSIST, note(log, "read")).add()
        fakes.base.check(more)
        fakes.backend.ready(FD, EV_READ)
        assert fakes.base.loop(EVLOOP_NONBLOCK) is True
        assert log == ["read"] * 3
        assert fakes.backend.timeouts == [0.0] * 4

    def test_nonblock_on_a_real_backend_ends_at_an_empty_poll(self, base: EventBase, pair: Pair) -> None:
        reads: list[bytes] = []

        def on_read(event: Event, _what: int) -> None:
            reads.append(pair[0].recv(1))
            if len(reads) == 3:
                event.delete()

        pair[1].send(b"abcd")
        base.event(pair[0], EV_READ | EV_PERSIST, on_read).add()
        base.timer(ignore).add(3600)
        assert base.loop(EVLOOP_NONBLOCK) is True
        assert reads == [b"a", b"b", b"c"]

    def test_once_and_nonblock_is_one_pass(self, base: EventBase, pair: Pair) -> None:
        reads: list[bytes] = []
        pair[1].send(b"abcd")
        base.event(pair[0], EV_READ | EV_PERSIST, lambda *_: reads.append(pair[0].recv(1))).add()
        assert base.loop(ONE_PASS) is True
        assert reads == [b"a"]

    def test_no_exit_on_empty_waits_though_there_is_nothing_to_wait_for(self, base: EventBase) -> None:
        timeouts: list[float | None] = []
        thread = threading.Thread(target=base.call_soon_threadsafe, args=(base.loopbreak,))

        def on_prepare(watcher: Watcher, timeout: float | None) -> None:
            timeouts.append(timeout)
            watcher.close()
            thread.start()

        base.prepare(on_prepare)
        assert base.loop(EVLOOP_NO_EXIT_ON_EMPTY) is True
        thread.join()
        assert timeouts == [None]

    def test_internal_events_keep_no_loop_alive(self, base: EventBase, pair: Pair) -> None:
        internal = base.add_internal(pair[0].fileno(), ignore)
        assert base.num_events(COUNT_ADDED) == 0
        assert base.dispatch() is False
        internal.delete()

    def test_virtual_event_keeps_the_loop_alive(self, fakes: FakeBase) -> None:
        fakes.base.add_virtual()
        fakes.base.once(-1, EV_TIMEOUT, ignore, 1)
        with pytest.raises(AssertionError, match="wait for ever"):
            fakes.base.dispatch()
        fakes.base.del_virtual()
        assert fakes.base.dispatch() is False

    def test_virtual_events_are_counted(self, base: EventBase) -> None:
        base.add_virtual()
        base.add_virtual()
        assert base.num_events(COUNT_VIRTUAL) == 2
        base.del_virtual()
        base.del_virtual()
        with pytest.raises(ValueError, match="without add_virtual"):
            base.del_virtual()
        assert base.num_events(COUNT_VIRTUAL) == 0

    def test_nested_loop_is_refused_and_the_outer_one_goes_on(self, base: EventBase) -> None:
        errors: list[Exception] = []
        base.exception_handler = lambda exception, _source: errors.append(exception)
        log: list[str] = []
        base.call_soon(base.loop, EVLOOP_NONBLOCK)
        base.call_soon(log.append, "after")
        assert base.dispatch() is False
        assert [type(error) for error in errors] == [LoopError]
        assert log == ["after"]

    def test_a_loop_of_another_base_may_run_inside(self, base: EventBase) -> None:
        log: list[str] = []
        inner = base_with_fakes().base
        with inner:
            inner.call_soon(log.append, "inner")
            base.call_soon(inner.dispatch)
            base.call_soon(log.append, "outer")
            base.dispatch()
        assert log == ["inner", "outer"]


class TestLeaving:
    def test_loopexit_runs_what_is_queued_already(self, base: EventBase) -> None:
        log: list[str] = []
        activated(base, then(log, "first", base.loopexit))
        activated(base, note(log, "second"))
        base.timer(note(log, "never")).add(3600)
        assert base.dispatch() is True
        assert log == ["first", "second"]
        assert base.got_exit
        assert not base.got_break

    def test_loopexit_in_a_callback_needs_no_other_poll(self, base: EventBase) -> None:
        polls: list[int] = []
        base.check(lambda _watcher, _timeout: polls.append(1))
        base.timer(ignore).add(3600)
        activated(base, lambda _event, _what: base.loopexit())
        assert base.dispatch() is True
        assert polls == [1]

    def test_loopexit_before_the_start_works(self, base: EventBase) -> None:
        log: list[str] = []
        base.loopexit()
        activated(base, note(log, "same pass"))
        base.timer(ignore).add(3600)
        assert base.dispatch() is True
        assert log == ["same pass"]

    def test_loopexit_after_some_time_ends_the_pass_of_its_timer(self, fakes: FakeBase) -> None:
        log: list[str] = []
        fakes.base.timer(note(log, "before")).add(4)
        fakes.base.loopexit(5)
        fakes.base.timer(note(log, "same pass")).add(5)
        fakes.base.timer(note(log, "after")).add(6)
        assert fakes.base.dispatch() is True
        assert log == ["before", "same pass"]
        assert fakes.clock.monotonic() == ManualClock().monotonic() + 5

    def test_several_loopexits_end_several_loops(self, fakes: FakeBase) -> None:
        fakes.base.loopexit(1)
        fakes.base.loopexit(2)
        assert fakes.base.dispatch() is True
        assert fakes.base.dispatch() is True
        assert fakes.base.dispatch() is False

    def test_loopexit_refuses_a_negative_time(self, base: EventBase) -> None:
        with pytest.raises(ValueError, match="seconds >= 0"):
            base.loopexit(-1)

    def test_loopbreak_leaves_the_rest_for_the_next_loop(self, base: EventBase) -> None:
        log: list[str] = []
        activated(base, then(log, "first", base.loopbreak))
        activated(base, note(log, "second"))
        assert base.dispatch() is True
        assert log == ["first"]
        assert base.got_break
        assert not base.got_exit
        assert base.num_events(COUNT_ACTIVE) == 1
        assert base.dispatch() is False
        assert log == ["first", "second"]
        assert not base.got_break

    def test_loopbreak_before_the_start_is_forgotten(self, base: EventBase) -> None:
        log: list[str] = []
        base.loopbreak()
        activated(base, note(log, "runs"))
        activated(base, note(log, "runs too"))
        assert base.dispatch() is False
        assert log == ["runs", "runs too"]

    def test_loopbreak_skips_less_urgent_queues(self, base: EventBase) -> None:
        base.priority_init(2)
        log: list[str] = []
        activated(base, note(log, "less urgent"), 1)
        activated(base, lambda _event, _what: base.loopbreak(), 0)
        assert base.dispatch() is True
        assert log == []

    def test_loopcontinue_polls_before_the_rest(self, base: EventBase) -> None:
        log: list[str] = []
        activated(base, then(log, "first", base.loopcontinue))
        activated(base, note(log, "second"))
        base.check(lambda _watcher, _timeout: log.append("poll"))
        assert base.dispatch() is False
        assert log == ["poll", "first", "poll", "second"]

    def test_got_exit_is_forgotten_on_entry(self, base: EventBase) -> None:
        base.loopexit()
        base.dispatch()
        assert base.got_exit
        base.dispatch()
        assert not base.got_exit


class TestCallSoon:
    def test_runs_in_order_with_arguments(self, base: EventBase) -> None:
        log: list[tuple[int, ...]] = []
        for number in range(100):
            base.call_soon(lambda *numbers: log.append(numbers), number, -number)
        base.dispatch()
        assert log == [(number, -number) for number in range(100)]

    def test_runs_after_what_is_queued(self, base: EventBase) -> None:
        log: list[str] = []
        activated(base, lambda _event, _what: base.call_soon(log.append, "soon"))
        activated(base, note(log, "queued"))
        base.dispatch()
        assert log == ["queued", "soon"]

    def test_has_the_middle_priority(self, base: EventBase) -> None:
        base.priority_init(3)
        log: list[str] = []
        base.call_soon(log.append, "soon")
        activated(base, note(log, "less urgent"), 2)
        activated(base, note(log, "more urgent"), 0)
        base.dispatch()
        assert log == ["more urgent", "soon", "less urgent"]

    def test_threadsafe_from_many_threads_loses_nothing_and_keeps_each_ones_order(
        self, base: EventBase
    ) -> None:
        count, each = 4, 500
        log: list[tuple[int, int]] = []

        def hear(thread: int, number: int) -> None:
            log.append((thread, number))
            if len(log) == count * each:
                base.loopexit()

        def shout(thread: int) -> None:
            for number in range(each):
                base.call_soon_threadsafe(hear, thread, number)

        threads = [threading.Thread(target=shout, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        assert base.loop(EVLOOP_NO_EXIT_ON_EMPTY) is True
        for thread in threads:
            thread.join()
        for number in range(count):
            assert [heard for who, heard in log if who == number] == list(range(each))

    def test_threadsafe_wakes_a_loop_that_waits(self, base: EventBase) -> None:
        main, ran_in = threading.get_ident(), []
        waiting = threading.Event()

        def call() -> None:
            waiting.wait()
            base.call_soon_threadsafe(stop)

        def stop() -> None:
            ran_in.append(threading.get_ident())
            base.loopexit()

        base.prepare(lambda _watcher, _timeout: waiting.set())
        thread = threading.Thread(target=call)
        thread.start()
        assert base.loop(EVLOOP_NO_EXIT_ON_EMPTY) is True
        thread.join()
        assert ran_in == [main]

    def test_threadsafe_keeps_the_loop_from_ending(self, base: EventBase) -> None:
        log: list[str] = []
        base.call_soon_threadsafe(log.append, "ran")
        assert base.dispatch() is False
        assert log == ["ran"]

    def test_many_threadsafe_calls_cost_one_write(self, base: EventBase) -> None:
        for _ in range(3):
            for _ in range(100):
                base.call_soon_threadsafe(int)
            assert len(base._waker._reader.recv(4096, socket.MSG_PEEK)) == 1
            base.dispatch()

    def test_threadsafe_on_a_closed_base_is_refused(self, base: EventBase) -> None:
        base.close()
        with pytest.raises(LoopError, match="closed"):
            base.call_soon_threadsafe(int)

    def test_in_thread_follows_the_loop(self, base: EventBase) -> None:
        answers: list[bool] = []
        base.call_soon(lambda: answers.append(base.in_thread()))
        assert base.in_thread()
        thread = threading.Thread(target=base.dispatch)
        thread.start()
        thread.join()
        assert answers == [True]
        assert not base.in_thread()


class TestExceptions:
    def test_handler_gets_exception_and_source_and_the_loop_goes_on(self, base: EventBase) -> None:
        caught: list[tuple[Exception, object]] = []
        base.exception_handler = lambda exception, source: caught.append((exception, source))
        log: list[str] = []
        error = KeyError("mine")

        def fail(_event: Event, _what: int) -> None:
            raise error

        event = activated(base, fail)
        activated(base, note(log, "after"))
        assert base.dispatch() is False
        assert caught == [(error, event)]
        assert log == ["after"]
        assert base.running is None

    def test_default_handler_logs_the_traceback(self, base: EventBase) -> None:
        lines: list[tuple[int, str]] = []
        set_log_callback(lambda severity, message: lines.append((severity, message)))
        base.exception_handler = log_exception
        try:
            base.call_soon(lambda: 1 / 0)
            base.dispatch()
        finally:
            set_log_callback(None)
        ((severity, message),) = lines
        assert severity == LOG_ERR
        assert "<Deferred" in message
        assert "Traceback" in message
        assert "ZeroDivisionError" in message

    def test_failing_handler_is_reported_with_the_exception_it_got(self, base: EventBase) -> None:
        lines: list[str] = []
        set_log_callback(lambda _severity, message: lines.append(message))

        def fail(_exception: Exception, _source: object) -> None:
            raise RuntimeError("second")

        base.exception_handler = fail
        log: list[str] = []
        try:
            base.call_soon(lambda: 1 / 0)
            base.call_soon(log.append, "after")
            assert base.dispatch() is False
        finally:
            set_log_callback(None)
        assert ["ZeroDivisionError" in lines[0], "second" in lines[1]] == [True, True]
        assert log == ["after"]

    def test_exception_in_a_watcher_goes_to_the_handler(self, base: EventBase) -> None:
        sources: list[object] = []
        base.exception_handler = lambda _exception, source: sources.append(source)
        watcher = base.prepare(lambda _watcher, _timeout: 1 / 0)
        base.call_soon(int)
        assert base.dispatch() is False
        assert sources == [watcher]

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_interrupt_leaves_the_base_in_order(self, base: EventBase, kind: type[BaseException]) -> None:
        base.priority_init(3)
        log: list[str] = []

        def interrupt(_event: Event, _what: int) -> None:
            raise kind

        for priority in (1, 2):
            activated(base, interrupt if priority == 1 else note(log, "less urgent"), priority)
        activated(base, note(log, "same queue"), 1)
        with pytest.raises(kind):
            base.dispatch()
        assert log == []
        assert base.running is None
        assert "idle" in repr(base)
        assert base.num_events(COUNT_ACTIVE) == 2
        assert base.dispatch() is False
        assert log == ["same queue", "less urgent"]

    def test_interrupt_leaves_no_priority_behind(self, base: EventBase) -> None:
        """What is active in the next loop must not be taken for more urgent than what was interrupted."""
        base.priority_init(2)
        log: list[str] = []

        def interrupt(_event: Event, _what: int) -> None:
            raise KeyboardInterrupt

        activated(base, interrupt, 1)
        with pytest.raises(KeyboardInterrupt):
            base.dispatch()
        for word in ("first", "second"):
            timer = base.timer(note(log, word))
            timer.set_priority(0)
            timer.add(0)
        base.check(lambda _watcher, _timeout: log.append("poll"))
        base.loop(ONE_PASS)
        assert log == ["poll", "first", "second"]

    def test_interrupt_during_the_wait(self, base: EventBase) -> None:
        def interrupt(_watcher: object, _timeout: object) -> None:
            raise KeyboardInterrupt

        watcher = base.check(interrupt)
        log: list[str] = []
        base.timer(note(log, "timer")).add(0)
        with pytest.raises(KeyboardInterrupt):
            base.dispatch()
        watcher.close()
        assert base.dispatch() is False
        assert log == ["timer"]


class TestForget:
    def test_deletes_all_events_of_the_descriptor_and_no_other(self, fakes: FakeBase) -> None:
        log: list[str] = []
        base, backend = fakes.base, fakes.backend
        events = [
            base.event(FD, bits, note(log, "forgotten")) for bits in (EV_READ, EV_WRITE, EV_READ | EV_PERSIST)
        ]
        for event in events:
            event.add(60)
        base.event(FD + 1, EV_READ, note(log, "kept")).add()
        base.forget(FD)
        assert [event.pending() for event in events] == [0, 0, 0]
        assert base.num_events(COUNT_ADDED) == 1
        assert FD not in backend.wanted
        assert backend.wanted[FD + 1] == EV_READ
        backend.ready(FD, EV_READ | EV_WRITE)
        backend.ready(FD + 1, EV_READ)
        assert base.dispatch() is False
        assert log == ["kept"]

    def test_cancels_what_is_active(self, fakes: FakeBase) -> None:
        log: list[str] = []
        fakes.base.event(FD, EV_READ, note(log, "first")).add()
        fakes.base.event(FD, EV_READ, then(log, "last", lambda: fakes.base.forget(FD))).add()
        fakes.backend.ready(FD, EV_READ)
        assert fakes.base.dispatch() is False
        assert log == ["last"]

    def test_of_a_descriptor_that_nobody_waits_for_is_harmless(self, fakes: FakeBase) -> None:
        fakes.base.event(FD, EV_READ, ignore).add()
        fakes.base.forget(FD + 1)
        fakes.base.forget(-1)
        assert fakes.base.num_events(COUNT_ADDED) == 1

    def test_number_that_comes_back_is_a_new_descriptor(self, base: EventBase, pair: Pair) -> None:
        log: list[str] = []
        near, far = socket.socketpair()
        number = near.fileno()
        base.event(near, EV_READ | EV_PERSIST, note(log, "old")).add(60)
        base.forget(number)
        near.close()
        os.dup2(pair[0].fileno(), number)
        try:
            base.event(number, EV_READ, note(log, "new")).add()
            pair[1].send(b"x")
            assert base.dispatch() is False
            assert log == ["new"]
        finally:
            os.close(number)
            far.close()


class Outgoing:
    """Gathers, and notes when it was told to send."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def flush_output(self) -> None:
        self.log.append("flush")


class TestFlushing:
    def test_what_a_callback_wrote_goes_out_when_it_returns(self, base: EventBase) -> None:
        log: list[str] = []
        out: Flushable = Outgoing(log)

        def write(_event: Event, _what: int) -> None:
            base.queues.outbox.append(out)
            log.append("write")

        activated(base, write)
        activated(base, note(log, "next"))
        base.dispatch()
        assert log == ["write", "flush", "next"]

    def test_also_after_a_callback_that_fails(self, base: EventBase) -> None:
        log: list[str] = []
        base.exception_handler = lambda _exception, _source: log.append("handler")

        def write(_event: Event, _what: int) -> None:
            base.queues.outbox.append(Outgoing(log))
            raise RuntimeError

        activated(base, write)
        activated(base, note(log, "next"))
        base.dispatch()
        assert log == ["handler", "flush", "next"]

    def test_what_was_written_outside_the_loop_goes_out_before_the_poll(self, base: EventBase) -> None:
        log: list[str] = []
        base.queues.outbox.append(Outgoing(log))
        base.prepare(lambda _watcher, _timeout: log.append("prepare"))
        base.call_soon(int)
        base.dispatch()
        assert log == ["flush", "prepare"]


class TestClosing:
    def test_twice(self, base: EventBase) -> None:
        base.close()
        base.close()
        assert "closed" in repr(base)

    def test_loop_after_close_is_refused(self, base: EventBase) -> None:
        base.close()
        with pytest.raises(LoopError, match="closed"):
            base.dispatch()

    def test_close_inside_the_loop_is_refused(self, base: EventBase) -> None:
        errors: list[Exception] = []
        base.exception_handler = lambda exception, _source: errors.append(exception)
        log: list[str] = []
        base.call_soon(base.close)
        base.call_soon(log.append, "after")
        assert base.dispatch() is False
        assert [str(error) for error in errors] == [
            "close() inside the loop: leave it first, by loopexit() or loopbreak()"
        ]
        assert log == ["after"]

    def test_add_after_close_is_refused(self, base: EventBase, pair: Pair) -> None:
        event = base.event(pair[0], EV_READ, ignore)
        base.close()
        with pytest.raises(LoopError, match="closed"):
            event.add()
        assert not event.pending()

    def test_delete_after_close_is_harmless(self, base: EventBase, pair: Pair) -> None:
        reader = base.event(pair[0], EV_READ, ignore)
        writer = base.event(pair[0], EV_WRITE, ignore)
        reader.add(60)
        writer.add()
        base.close()
        writer.delete()
        reader.delete()
        assert not reader.pending()
        assert not writer.pending()

    def test_no_descriptor_is_left(self, open_descriptors: None, config: MakeConfig) -> None:
        with EventBase(config()) as base:
            pair = socket.socketpair()
            for end in pair:
                base.event(end, EV_READ | EV_WRITE, ignore).add()
            base.signal(signal.SIGUSR1, ignore).add()
            base.timer(ignore).add(60)
            base.call_soon_threadsafe(int)
            base.loop(EVLOOP_NONBLOCK)
            for end in pair:
                end.close()


def test_config_limits_reach_the_loop(config: MakeConfig) -> None:
    log: list[str] = []
    with EventBase(config(max_dispatch_callbacks=1)) as base:
        base.check(lambda _watcher, _timeout: log.append("poll"))
        activated(base, note(log, "first"))
        activated(base, note(log, "second"))
        base.dispatch()
    assert log == ["poll", "first", "poll", "second"]


class Elsewhere(FakeBackend):
    """A backend during whose waits something happens."""

    __slots__ = ("meanwhile",)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        ready = super().wait(timeout)
        self.meanwhile()
        return ready


def test_time_is_not_cached_during_the_wait(clock: ManualClock) -> None:
    """Who sets a timer then, as a handler of the program's or another thread, counts from the true time."""
    backend = Elsewhere(clock)
    deadlines: list[float] = []
    start = clock.monotonic()

    def meanwhile() -> None:
        event = base.timer(ignore)
        event.add(5)
        deadlines.append(event.deadline)
        event.delete()

    backend.meanwhile = meanwhile
    with EventBase(clock=clock, backend=backend) as base:
        for after in (10, 30):
            base.timer(ignore).add(after)
        base.dispatch()
    assert deadlines == [start + 15, start + 35]


def test_loopexit_after_no_time_is_loopexit_now(base: EventBase) -> None:
    log: list[str] = []
    base.check(lambda _watcher, _timeout: log.append("poll"))
    activated(base, lambda _event, _what: base.loopexit(0))
    activated(base, note(log, "queued"))
    base.timer(ignore).add(3600)
    assert base.dispatch() is True
    assert log == ["poll", "queued"]


def test_loopexit_waits_its_turn_in_the_middle_queue(base: EventBase) -> None:
    """What is more urgent runs first, as in libevent, and what is less urgent does not."""
    base.priority_init(3)
    log: list[str] = []
    base.loopexit()
    for priority, word in enumerate(("urgent", "middle", "less urgent")):
        activated(base, note(log, word), priority)
    assert base.dispatch() is True
    assert log == ["urgent", "middle"]
