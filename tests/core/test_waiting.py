"""Waiting for a future: running the base in its own thread, waiting for the loop in another, and what stays behind."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pytest

from evkit.core.base import EventBase
from evkit.core.flags import COUNT_ACTIVE, COUNT_ADDED, EV_READ
from evkit.core.future import Future
from evkit.core.log import set_log_callback
from evkit.core.waiting import wait
from evkit.errors import LoopError
from evkit.testing import FakeBase, ManualClock

T = TypeVar("T")
ANYTHING = COUNT_ADDED | COUNT_ACTIVE


@pytest.fixture
def lines() -> Iterator[list[tuple[int, str]]]:
    """What is logged."""
    lines: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    yield lines
    set_log_callback(None)


def later(base: EventBase, callback: Callable[..., object], *args: object) -> None:
    """Call from the loop, by way of a timer: not in the pass that begins now."""
    base.timer(lambda _event, _what: callback(*args)).add(0)


def ignore(*_: object) -> None:
    pass


class TestResultRunsTheBase:
    def test_until_the_value_is_there(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        other = base.timer(ignore)
        other.add(3600)
        later(base, future.set_result, 5)
        assert future.result() == 5
        assert other.pending()

    def test_until_the_exception_is_there(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        later(base, future.set_exception, KeyError("x"))
        assert repr(future.exception()) == "KeyError('x')"
        with pytest.raises(KeyError):
            future.result()

    def test_one_after_the_other(self, base: EventBase) -> None:
        futures = [Future[int](base) for _ in range(3)]
        for number, future in enumerate(futures):
            later(base, future.set_result, number)
        assert [future.result() for future in reversed(futures)] == [2, 1, 0]

    def test_callbacks_of_before_have_been_called_then(self, base: EventBase) -> None:
        log: list[str] = []
        future: Future[int] = Future(base)
        for _ in range(40):
            future.add_done_callback(lambda _: log.append("told"))
        later(base, future.set_result, 1)
        future.result()
        assert len(log) == 40

    def test_nothing_stays_behind(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        later(base, future.set_result, 1)
        assert future.result(timeout=3600) == 1
        assert base.num_events(ANYTHING) == 0

    def test_a_loop_that_never_rests_is_left_all_the_same(self, base: EventBase) -> None:
        busy = base.timer(lambda event, _what: event.activate(EV_READ))
        busy.activate(EV_READ)
        future: Future[int] = Future(base)
        with pytest.raises(TimeoutError):
            future.result(timeout=0)
        later(base, future.set_result, 1)
        assert future.result() == 1
        busy.delete()

    def test_its_own_end_does_not_leak_into_the_next_run(self, base: EventBase) -> None:
        """Somebody else leaves the loop when the future is done, so the callback that would have waits in the queue."""
        future: Future[int] = Future(base)
        future.add_done_callback(lambda _: base.loopbreak())
        later(base, future.set_result, 1)
        assert future.result() == 1
        log: list[int] = []
        later(base, log.append, 1)
        assert base.dispatch() is False  # not stopped: nothing was left
        assert log == [1]

    def test_time_out(self, fakes: FakeBase) -> None:
        future: Future[int] = Future(fakes.base)
        started = fakes.clock.monotonic()
        fakes.base.timer(lambda _event, _what: future.done() or future.set_result(9)).add(10)
        with pytest.raises(TimeoutError, match=r"2\.5 s"):
            future.result(timeout=2.5)
        assert fakes.clock.monotonic() == started + 2.5
        assert repr(future) == "<Future pending callbacks=0>"
        assert fakes.base.num_events(ANYTHING) == 1
        assert future.result(timeout=7.5) == 9  # due at the same time: what is there is taken

    def test_time_out_of_exception(self, fakes: FakeBase) -> None:
        with pytest.raises(TimeoutError):
            Future[int](fakes.base).exception(timeout=1)

    def test_time_out_in_real_time(self, base: EventBase) -> None:
        with pytest.raises(TimeoutError):
            Future[int](base).result(timeout=0.001)
        assert base.num_events(ANYTHING) == 0

    def test_time_out_of_zero_takes_what_is_ready(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        log: list[str] = []
        future.add_done_callback(lambda _: log.append("told"))
        with pytest.raises(TimeoutError):
            future.result(timeout=0)
        base.call_soon(future.set_result, 1)
        assert future.result(timeout=0) == 1
        assert log == ["told"]

    @pytest.mark.parametrize("timeout", [-1, -0.001, float("inf"), float("nan")])
    def test_what_is_no_time_out(self, base: EventBase, timeout: float) -> None:
        future: Future[int] = Future(base)
        with pytest.raises(ValueError, match="time-out"):
            future.result(timeout)
        assert "callbacks=0" in repr(future)

    def test_nothing_left_to_wait_for(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        later(base, ignore)
        with pytest.raises(LoopError, match=r"<Future pending.*never be done.*add_virtual"):
            future.result()
        assert repr(future) == "<Future pending callbacks=0>"
        later(base, future.set_result, 1)
        assert future.result() == 1

    @pytest.mark.parametrize("timeout", [None, 3600])
    @pytest.mark.parametrize("how", ["loopbreak", "loopexit"])
    def test_stopped_meanwhile(self, base: EventBase, how: str, timeout: float | None) -> None:
        future: Future[int] = Future(base)
        later(base, getattr(base, how))
        base.add_virtual()
        with pytest.raises(
            LoopError, match=r"stopped, by stop\(\), loopexit\(\) or loopbreak\(\), before <Future pending"
        ):
            future.result(timeout)
        base.del_virtual()
        assert base.num_events(ANYTHING) == 0
        later(base, future.set_result, 1)
        assert future.result(timeout) == 1

    @pytest.mark.parametrize("timeout", [None, 3600])
    def test_inside_a_callback(self, base: EventBase, timeout: float | None) -> None:
        future: Future[int] = Future(base)
        log: list[str] = []

        def work(_event: object, _what: int) -> None:
            with pytest.raises(LoopError, match=r"inside the loop.*add_done_callback\(\).*await"):
                future.result(timeout)
            log.append(repr(future))
            future.set_result(1)
            assert future.result() == 1

        base.once(-1, 0, work)
        assert base.dispatch() is False
        assert log == ["<Future pending callbacks=0>"]
        assert base.num_events(ANYTHING) == 0

    def test_inside_a_watcher(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        log: list[Exception] = []

        def look(_watcher: object, _timeout: float | None) -> None:
            with pytest.raises(LoopError, match="inside the loop") as caught:
                future.result()
            log.append(caught.value)

        base.prepare(look)
        later(base, ignore)
        base.dispatch()
        assert log

    def test_inside_a_callback_of_another_base(self, base: EventBase) -> None:
        log: list[int] = []
        with EventBase() as outer:
            future: Future[int] = Future(base)
            later(base, future.set_result, 1)
            outer.call_soon(lambda: log.append(future.result()))
            outer.dispatch()
        assert log == [1]

    def test_a_fault_of_the_backend_is_told_as_it_is(
        self, fakes: FakeBase, monkeypatch: pytest.MonkeyPatch, lines: list[object]
    ) -> None:
        def wait(_timeout: float | None) -> list[tuple[int, int]]:
            raise OSError(9, "on purpose")

        monkeypatch.setattr(type(fakes.backend), "wait", lambda _self, timeout: wait(timeout))
        future: Future[int] = Future(fakes.base)
        with pytest.raises(LoopError, match="backend failed"):
            future.result(timeout=1)
        assert repr(future) == "<Future pending callbacks=0>"
        assert fakes.base.num_events(ANYTHING) == 0

    def test_on_a_closed_base(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        base.close()
        with pytest.raises(LoopError, match=r"<Future pending.*closed"):
            future.result()

    def test_ctrl_c_leaves_everything_in_order(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        later(base, os.kill, os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            future.result(timeout=3600)
        assert repr(future) == "<Future pending callbacks=0>"
        assert base.num_events(ANYTHING) == 0
        later(base, future.set_result, 1)
        assert future.result() == 1

    def test_system_exit_of_a_callback_leaves_everything_in_order(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        base.call_soon(sys.exit, 3)
        with pytest.raises(SystemExit):
            future.result(timeout=3600)
        assert repr(future) == "<Future pending callbacks=0>"
        assert base.num_events(ANYTHING) == 0


def from_thread(base: EventBase, call: Callable[[], T]) -> T:
    """Run the loop here until ``call()``, called in another thread, has returned, and return what it did."""
    base.add_virtual()
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(call)
        called.add_done_callback(lambda _: base.call_soon_threadsafe(base.loopbreak))
        base.dispatch()
        base.del_virtual()
        return called.result()


def when_waited_for(base: EventBase, future: Future[Any], act: Callable[[], object]) -> None:
    """Do ``act`` once the callback of a thread that waits stands in the future."""
    todo = [act]

    def look(*_: object) -> None:
        if todo and "callbacks=1" in repr(future):
            todo.pop()()

    base.prepare(look)


class TestFromAnotherThread:
    def test_waits_for_the_loop(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        when_waited_for(base, future, lambda: future.set_result(4))
        assert from_thread(base, future.result) == 4

    def test_runs_nothing_itself(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        threads: list[int] = []

        def work() -> None:
            threads.append(threading.get_ident())
            future.set_result(1)

        when_waited_for(base, future, lambda: base.call_soon(work))
        from_thread(base, future.result)
        assert threads == [threading.get_ident()]

    def test_an_exception(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        when_waited_for(base, future, lambda: future.set_exception(KeyError("x")))
        with pytest.raises(KeyError):
            from_thread(base, future.result)
        assert isinstance(from_thread(base, future.exception), KeyError)

    def test_a_cancel(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        when_waited_for(base, future, future.cancel)
        with pytest.raises(asyncio.CancelledError):
            from_thread(base, future.result)

    def test_a_result_that_is_there_needs_no_loop(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        future.set_result(1)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(future.result).result() == 1

    def test_many_threads(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        base.prepare(lambda *_: "callbacks=5" in repr(future) and future.set_result(1))

        def wait_in_five() -> list[int]:
            with ThreadPoolExecutor(5) as pool:
                return [call.result() for call in [pool.submit(future.result) for _ in range(5)]]

        assert from_thread(base, wait_in_five) == [1] * 5

    def test_cancel_by_way_of_the_loop(self, base: EventBase) -> None:
        stopped: list[int] = []
        future = Future[int](base, lambda _: stopped.append(threading.get_ident()))

        def cancel_and_wait() -> None:
            base.call_soon_threadsafe(future.cancel)
            with pytest.raises(asyncio.CancelledError):
                future.result()

        from_thread(base, cancel_and_wait)
        assert stopped == [threading.get_ident()]

    @pytest.mark.parametrize("timeout", [0, 0.001])
    def test_time_out(self, base: EventBase, timeout: float) -> None:
        future: Future[int] = Future(base)
        with pytest.raises(TimeoutError):
            from_thread(base, lambda: future.result(timeout))
        assert repr(future) == "<Future pending callbacks=0>"
        when_waited_for(base, future, lambda: future.set_result(1))
        assert from_thread(base, lambda: future.result(60)) == 1

    @pytest.mark.parametrize("timeout", [-1, float("inf"), float("nan")])
    def test_what_is_no_time_out(self, base: EventBase, timeout: float) -> None:
        with pytest.raises(ValueError, match="time-out"):
            from_thread(base, lambda: Future[int](base).result(timeout))

    def test_time_is_real_whatever_clock_the_base_has(self) -> None:
        with EventBase(clock=ManualClock(start=1e12)) as base, pytest.raises(TimeoutError):
            from_thread(base, lambda: Future[int](base).result(timeout=0.001))

    def test_a_time_out_longer_than_threads_can_wait(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        when_waited_for(base, future, lambda: future.set_result(1))
        assert from_thread(base, lambda: future.result(threading.TIMEOUT_MAX * 10)) == 1

    def test_the_base_is_closed_before(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        base.close()
        with ThreadPoolExecutor(1) as pool, pytest.raises(LoopError, match=r"<Future pending.*closed"):
            pool.submit(future.result).result()

    def test_the_base_is_closed_meanwhile(self, base: EventBase, monkeypatch: pytest.MonkeyPatch) -> None:
        """The thread is told: it need not look again."""
        monkeypatch.setattr("evkit.core.waiting.LOOK_AGAIN", 1e6)
        future: Future[int] = Future(base)
        base.add_virtual()
        when_waited_for(base, future, base.loopbreak)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(future.result)
            assert base.dispatch() is True
            base.close()
            with pytest.raises(LoopError, match=r"<Future pending.*closed"):
                call.result()

    def test_the_loop_is_left_with_the_result(self, base: EventBase, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody runs the callback that would tell the thread."""
        monkeypatch.setattr("evkit.core.waiting.LOOK_AGAIN", 0.001)
        future: Future[int] = Future(base)

        def end() -> None:
            future.set_result(1)
            base.loopbreak()

        base.add_virtual()
        when_waited_for(base, future, lambda: base.call_soon(end))
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(future.result)
            assert base.dispatch() is True
            assert call.result() == 1

    def test_a_loop_that_ran_in_another_thread_is_not_run_here(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(base.dispatch).result()
        log: list[int] = []
        base.call_soon(log.append, 1)
        with pytest.raises(TimeoutError):
            future.result(timeout=0.001)
        assert log == []

    def test_ctrl_c_leaves_everything_in_order(self, base: EventBase) -> None:
        """The loop runs in a thread, and the main thread waits."""
        future: Future[int] = Future(base)
        main = threading.get_ident()
        runs = threading.Event()
        when_waited_for(base, future, lambda: signal.pthread_kill(main, signal.SIGINT))
        base.add_virtual()
        base.call_soon(runs.set)
        with ThreadPoolExecutor(1) as pool:
            loop = pool.submit(base.dispatch)
            runs.wait()
            with pytest.raises(KeyboardInterrupt):
                future.result()
            base.call_soon_threadsafe(base.loopbreak)
            assert loop.result() is True
        assert repr(future) == "<Future pending callbacks=0>"


@pytest.mark.parametrize("here", [True, False])
def test_a_base_that_was_closed_after_the_result_came_is_no_error(base: EventBase, here: bool) -> None:
    """Between the caller's look at the future and the wait's look at the base."""
    future: Future[int] = Future(base)
    future.set_result(1)
    base.close()
    with ThreadPoolExecutor(1) as pool:
        call = partial(wait, base, future, None)
        assert (call() if here else pool.submit(call).result()) is None
