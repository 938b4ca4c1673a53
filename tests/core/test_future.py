"""`Future`: who hears of its one result, in which order, and how: callbacks, callers, and tasks of asyncio."""

import asyncio
import contextvars
import gc
import subprocess
import sys
import traceback
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar, assert_type

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evkit.core.base import EventBase
from evkit.core.future import Future
from evkit.core.log import LOG_ERR, set_log_callback
from evkit.errors import EvkitError, LoopError
from evkit.testing import FakeBase, base_with_fakes

T = TypeVar("T")


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


def failed(base: EventBase, exception: BaseException) -> Future[Any]:
    future: Future[Any] = Future(base)
    future.set_exception(exception)
    return future


def ignore(*_: object) -> None:
    pass


def naughty(*_: object) -> None:
    raise ValueError("on purpose")


class TestProducer:
    def test_a_value(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        assert (future.done(), future.cancelled()) == (False, False)
        assert future.set_result(7) is True
        assert (future.done(), future.cancelled()) == (True, False)
        assert future.result() == 7
        assert future.exception() is None

    def test_none_is_a_value(self, base: EventBase) -> None:
        future: Future[None] = Future(base)
        future.set_result(None)
        assert future.done()
        assert future.result() is None

    def test_an_exception(self, base: EventBase) -> None:
        error = KeyError("x")
        future: Future[int] = Future(base)
        assert future.set_exception(error) is True
        assert (future.done(), future.cancelled()) == (True, False)
        assert future.exception() is error
        with pytest.raises(KeyError) as caught:
            future.result()
        assert caught.value is error

    @pytest.mark.parametrize("first", ["value", "exception"])
    @pytest.mark.parametrize("second", ["value", "exception"])
    def test_a_second_end_is_an_error_and_changes_nothing(
        self, base: EventBase, first: str, second: str
    ) -> None:
        future: Future[str] = Future(base)
        ends: dict[str, Callable[[], bool]] = {
            "value": lambda: future.set_result("v"),
            "exception": lambda: future.set_exception(KeyError("x")),
        }
        ends[first]()
        before = repr(future)
        with pytest.raises(EvkitError, match=r"takes one result.*<Future (done|failed)"):
            ends[second]()
        assert repr(future) == before
        future.exception()

    def test_who_comes_after_a_cancel_is_too_late(self, base: EventBase, lines: list[object]) -> None:
        future: Future[int] = Future(base)
        future.cancel()
        assert future.set_result(1) is False
        assert future.set_exception(KeyError("x")) is False
        assert future.cancelled()
        with pytest.raises(asyncio.CancelledError):
            future.result()
        del future
        assert lines == []

    @pytest.mark.parametrize("wrong", [KeyError, "KeyError", None])
    def test_only_an_instance_is_an_exception(self, base: EventBase, wrong: Any) -> None:
        future: Future[int] = Future(base)
        with pytest.raises(TypeError, match="instance of an exception"):
            future.set_exception(wrong)
        assert not future.done()

    def test_stop_iteration_becomes_what_a_generator_can_let_through(self, base: EventBase) -> None:
        error = StopIteration(3)
        future = failed(base, error)
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            future.result()
        assert caught.value.__cause__ is error

    def test_on_a_closed_base_it_is_done_and_nobody_is_called(self, base: EventBase) -> None:
        called: list[object] = []
        future: Future[int] = Future(base)
        future.add_done_callback(called.append)
        base.close()
        assert future.set_result(1) is True
        assert future.result() == 1
        assert called == []

    def test_a_done_future_keeps_neither_callbacks_nor_work(self, base: EventBase) -> None:
        class Work:
            def stop(self, _future: Future[int]) -> None:
                pass

            def told(self, _future: Future[int]) -> None:
                pass

        work = Work()
        kept = weakref.ref(work)
        future = Future[int](base, work.stop)
        future.add_done_callback(work.told)
        del work
        assert kept() is not None
        future.set_result(1)
        base.dispatch()
        assert kept() is None

    def test_what_can_not_be_called_is_refused_at_once(self, base: EventBase) -> None:
        wrong: Any = "stop"
        with pytest.raises(TypeError, match="callable"):
            Future(base, wrong)
        future: Future[int] = Future(base)
        with pytest.raises(TypeError, match="callable"):
            future.add_done_callback(wrong)
        assert "callbacks=0" in repr(future)

    def test_types(self, base: EventBase) -> None:
        future = Future[int](base)
        future.set_result(3)
        assert_type(future.result(), int)
        assert_type(future.exception(), BaseException | None)

        async def main() -> None:
            assert_type(await future, int)

        main().close()
        assert not hasattr(future, "__dict__")


class TestCallbacks:
    def test_come_from_the_loop_in_the_order_added(self, base: EventBase) -> None:
        log: list[tuple[int, Future[str]]] = []

        def told(number: int) -> Callable[[Future[str]], None]:
            return lambda future: log.append((number, future))

        future: Future[str] = Future(base)
        for number in range(100):  # more than the base runs in one pass
            future.add_done_callback(told(number))
        future.set_result("x")
        future.add_done_callback(told(100))
        assert log == []
        base.dispatch()
        assert log == [(number, future) for number in range(101)]

    @pytest.mark.parametrize("end", ["value", "exception", "cancel"])
    def test_come_however_it_ends_and_once(self, base: EventBase, end: str) -> None:
        log: list[str] = []
        future: Future[int] = Future(base)
        future.add_done_callback(lambda _: log.append("before"))
        if end == "value":
            future.set_result(1)
        elif end == "exception":
            future.set_exception(KeyError())
            future.exception()
        else:
            future.cancel()
        assert log == []
        future.add_done_callback(lambda _: log.append("after"))
        base.dispatch()
        base.dispatch()
        assert log == ["before", "after"]

    def test_none_is_called_while_it_is_pending(self, base: EventBase) -> None:
        log: list[object] = []
        future: Future[int] = Future(base)
        future.add_done_callback(log.append)
        later(base, ignore)
        base.dispatch()
        assert log == []

    def test_added_by_a_callback(self, base: EventBase) -> None:
        log: list[str] = []
        future: Future[int] = Future(base)
        future.add_done_callback(lambda it: it.add_done_callback(lambda _: log.append("inner")))
        future.add_done_callback(lambda _: log.append("second"))
        future.set_result(1)
        base.dispatch()
        assert log == ["second", "inner"]

    def test_one_that_fails_does_not_stop_the_others(self, base: EventBase) -> None:
        escaped: list[tuple[str, object]] = []
        base.exception_handler = lambda exception, source: escaped.append((str(exception), source))
        log: list[str] = []
        future: Future[int] = Future(base)
        future.add_done_callback(lambda _: log.append("first"))
        future.add_done_callback(naughty)
        future.add_done_callback(naughty, context=contextvars.copy_context())
        future.add_done_callback(lambda _: log.append("last"))
        future.set_result(1)
        base.dispatch()
        assert log == ["first", "last"]
        assert escaped == [("on purpose", naughty)] * 2

    def test_one_that_asks_a_cancelled_future_does_not_end_the_loop(self, base: EventBase) -> None:
        """``asyncio.CancelledError`` is no ``Exception``."""
        escaped: list[BaseException] = []
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        log: list[str] = []
        future = Future[int](base, Future.result)
        future.add_done_callback(Future.result)
        future.add_done_callback(Future.result, context=contextvars.copy_context())
        future.add_done_callback(lambda _: log.append("last"))
        future.cancel("enough")
        assert base.dispatch() is False
        assert log == ["last"]
        assert len(escaped) == 3
        for exception in escaped:
            assert isinstance(exception, asyncio.CancelledError)
            assert exception.args == ("enough",)

    @pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
    def test_one_that_ends_the_program_leaves_the_loop(
        self, base: EventBase, end: type[BaseException]
    ) -> None:
        def leave(_future: Future[int]) -> None:
            raise end

        log: list[str] = []
        future: Future[int] = Future(base)
        future.add_done_callback(leave)
        future.add_done_callback(lambda _: log.append("last"))
        future.set_result(1)
        with pytest.raises(end):
            base.dispatch()
        assert log == []
        base.dispatch()
        assert log == ["last"]

    def test_removed_ones_are_counted_and_not_called(self, base: EventBase) -> None:
        log: list[str] = []
        future: Future[int] = Future(base)

        def twice(_future: Future[int]) -> None:
            log.append("twice")

        future.add_done_callback(twice)
        future.add_done_callback(lambda _: log.append("stays"))
        future.add_done_callback(twice)
        assert future.remove_done_callback(twice) == 2
        assert future.remove_done_callback(twice) == 0
        future.set_result(1)
        base.dispatch()
        assert log == ["stays"]

    def test_the_same_one_added_twice_is_called_twice(self, base: EventBase) -> None:
        log: list[Future[int]] = []
        future: Future[int] = Future(base)
        future.add_done_callback(log.append)
        future.add_done_callback(log.append)
        future.set_result(1)
        base.dispatch()
        assert log == [future, future]

    def test_too_late_to_remove(self, base: EventBase) -> None:
        log: list[Future[int]] = []
        future: Future[int] = Future(base)
        future.add_done_callback(log.append)
        future.set_result(1)
        assert future.remove_done_callback(log.append) == 0
        base.dispatch()
        assert log == [future]

    def test_run_in_the_context_that_was_given(self, base: EventBase) -> None:
        name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="outside")
        context = contextvars.copy_context()
        context.run(name.set, "inside")
        log: list[str] = []

        def told(_future: Future[int]) -> None:
            log.append(name.get())

        future: Future[int] = Future(base)
        future.add_done_callback(told, context=context)
        future.add_done_callback(told)
        future.set_result(1)
        future.add_done_callback(told, context=context)
        base.dispatch()
        assert log == ["inside", "outside", "inside"]

    @pytest.mark.parametrize("done", [False, True])
    def test_on_a_closed_base_is_refused(self, base: EventBase, done: bool) -> None:
        future: Future[int] = Future(base)
        if done:
            future.set_result(1)
        base.close()
        with pytest.raises(LoopError, match="closed"):
            future.add_done_callback(ignore)


class TestTraceback:
    def deep(self, depth: int) -> None:
        if depth:
            self.deep(depth - 1)
        else:
            raise KeyError("deep")

    def failed(self, base: EventBase) -> Future[int]:
        future: Future[int] = Future(base)
        try:
            self.deep(3)
        except KeyError as error:
            future.set_exception(error)
        return future

    def test_is_kept_and_does_not_grow(self, base: EventBase) -> None:
        future = self.failed(base)
        lengths = []
        for _ in range(4):
            with pytest.raises(KeyError) as caught:
                future.result()
            frames = traceback.extract_tb(caught.value.__traceback__)
            assert sum(frame.name == "deep" for frame in frames) == 4
            lengths.append(len(frames))
        assert len(set(lengths)) == 1

    def test_makes_no_cycle(self, base: EventBase) -> None:
        class OwnError(Exception):
            pass

        def ask() -> "weakref.ref[OwnError]":
            future = failed(base, OwnError())
            try:
                future.result()
            except OwnError as error:
                kept = weakref.ref(error)
                del future  # what this test's own frame holds is its own business
                return kept
            raise AssertionError

        gc.disable()
        try:
            assert ask()() is None
        finally:
            gc.enable()

    def test_of_what_escapes_from_a_callback_makes_no_cycle(self, base: EventBase) -> None:
        class OwnError(Exception):
            pass

        def ask() -> "weakref.ref[OwnError]":
            error = OwnError()
            future = failed(base, error)
            future.add_done_callback(Future.result)
            return weakref.ref(error)

        base.exception_handler = ignore
        gc.disable()
        try:
            kept = ask()
            base.dispatch()
            assert kept() is None
        finally:
            gc.enable()

    def test_what_was_going_on_at_one_call_is_forgotten_by_the_next(self, base: EventBase) -> None:
        future = self.failed(base)
        going_on = ValueError()

        def ask_while_handling() -> None:
            try:
                raise going_on
            except ValueError:
                future.result()

        with pytest.raises(KeyError) as caught:
            ask_while_handling()
        assert caught.value.__context__ is going_on
        with pytest.raises(KeyError) as caught:
            future.result()
        assert caught.value.__context__ is None


class TestCancel:
    def test_stops_the_work_once(self, base: EventBase) -> None:
        stopped: list[Future[int]] = []
        future = Future[int](base, stopped.append)
        assert future.cancel() is True
        assert stopped == [future]
        assert (future.done(), future.cancelled()) == (True, True)
        assert future.cancel() is False
        assert stopped == [future]

    @pytest.mark.parametrize("ask", [Future.result, Future.exception])
    def test_who_asks_is_told(self, base: EventBase, ask: Callable[[Future[int]], object]) -> None:
        future: Future[int] = Future(base)
        future.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            ask(future)
        assert caught.value.args == ()

    def test_message(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        future.cancel(msg="enough")
        for _ in range(2):
            with pytest.raises(asyncio.CancelledError) as caught:
                future.result()
            assert caught.value.args == ("enough",)

    def test_who_waits_is_told(self, base: EventBase) -> None:
        future: Future[int] = Future(base)
        later(base, future.cancel)
        with pytest.raises(asyncio.CancelledError):
            future.result()

    @pytest.mark.parametrize("error", [None, KeyError()])
    def test_of_one_that_is_done_does_nothing(self, base: EventBase, error: Exception | None) -> None:
        stopped: list[Future[int]] = []
        future = Future[int](base, stopped.append)
        if error is None:
            future.set_result(1)
        else:
            future.set_exception(error)
        assert future.cancel() is False
        assert not future.cancelled()
        assert stopped == []
        assert future.exception() is error

    def test_work_that_reports_its_end_while_it_is_stopped_is_not_heard(self, base: EventBase) -> None:
        log: list[object] = []

        def stop(future: Future[int]) -> None:
            log.append(future.set_exception(ConnectionError("closed")))
            log.append(future.cancel())
            future.add_done_callback(lambda _: log.append("second"))

        future = Future[int](base, stop)
        future.add_done_callback(lambda _: log.append("first"))
        assert future.cancel() is True
        base.dispatch()
        assert log == [False, False, "first", "second"]
        assert future.cancelled()

    def test_work_that_fails_to_stop_is_reported(self, base: EventBase) -> None:
        escaped: list[tuple[str, object]] = []
        base.exception_handler = lambda exception, source: escaped.append((str(exception), source))
        log: list[object] = []
        future = Future[int](base, naughty)
        future.add_done_callback(log.append)
        assert future.cancel() is True
        base.dispatch()
        assert future.cancelled()
        assert log == [future]
        assert escaped == [("on purpose", naughty)]

    def test_ctrl_c_while_the_work_is_stopped(self, base: EventBase) -> None:
        def stop(_future: Future[int]) -> None:
            raise KeyboardInterrupt

        log: list[object] = []
        future = Future[int](base, stop)
        future.add_done_callback(log.append)
        with pytest.raises(KeyboardInterrupt):
            future.cancel()
        base.dispatch()
        assert future.cancelled()
        assert log == [future]

    def test_on_a_closed_base_stops_the_work(self, base: EventBase) -> None:
        stopped: list[Future[int]] = []
        future = Future[int](base, stopped.append)
        base.close()
        assert future.cancel() is True
        assert stopped == [future]

    def test_asyncio_is_not_loaded_before_somebody_asks(self) -> None:
        program = """
import sys
from evkit.core.base import EventBase
from evkit.core.future import Future
with EventBase() as base:
    future = Future(base)
    future.cancel()
    assert future.cancelled() and repr(future)
    base.dispatch()
    assert "asyncio" not in sys.modules
    try:
        future.result()
    except BaseException as error:
        print(type(error) is sys.modules["asyncio"].CancelledError)
"""
        run = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
        )
        assert (run.stdout, run.stderr) == ("True\n", "")


class LoopOnBase:
    """The least that a task needs, driven by an event base."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.faults: list[dict[str, Any]] = []

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self.base.closed

    def time(self) -> float:
        return self.base.now()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(context)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self.itself())

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        return asyncio.Task(coro, loop=self.itself(), **options)

    def itself(self) -> Any:
        """Return this loop, as one that has all that a loop has."""
        return self

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self.itself(), context)
        self.base.call_soon(self._run, handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self.itself(), context)
        later = max(0.0, when - self.time())
        self.base.timer(lambda _event, _what: self._run(handle)).add(later)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _run(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            handle._run()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the base until nothing is left, and return what the coroutine did."""
        asyncio._set_running_loop(self.itself())
        try:
            task = asyncio.Task(coroutine, loop=self.itself())
            self.base.dispatch()
        finally:
            asyncio._set_running_loop(None)
        assert self.faults == []
        return task.result()  # raises if it is not done


@pytest.fixture
def loop(base: EventBase, monkeypatch: pytest.MonkeyPatch) -> LoopOnBase:
    """An asyncio loop that runs on `base`."""
    loop = LoopOnBase(base)
    monkeypatch.setattr(base, "asyncio_loop", loop, raising=False)
    return loop


@pytest.fixture
def fake_loop(fakes: FakeBase, monkeypatch: pytest.MonkeyPatch) -> LoopOnBase:
    """One whose time moves by itself."""
    loop = LoopOnBase(fakes.base)
    monkeypatch.setattr(fakes.base, "asyncio_loop", loop, raising=False)
    return loop


async def value_of(awaitable: Awaitable[T]) -> T:
    return await awaitable


class TestAwait:
    def test_a_value_that_comes_later(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)
        later(loop.base, future.set_result, 6)
        assert loop.run(value_of(future)) == 6

    def test_a_value_that_is_there(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)
        future.set_result(6)
        assert loop.run(value_of(future)) == 6

    def test_an_exception(self, loop: LoopOnBase) -> None:
        error = KeyError("x")
        future: Future[int] = Future(loop.base)
        later(loop.base, future.set_exception, error)
        with pytest.raises(KeyError) as caught:
            loop.run(value_of(future))
        assert caught.value is error

    def test_makes_no_cycle(self, loop: LoopOnBase) -> None:
        class OwnError(Exception):
            pass

        def ask() -> "weakref.ref[OwnError]":
            future: Future[int] = Future(loop.base)
            steps = future.__await__()
            next(steps)
            future.set_exception(OwnError())
            try:
                next(steps)
            except OwnError as error:
                kept = weakref.ref(error)
                del future, steps
                return kept
            raise AssertionError

        gc.disable()
        try:
            assert ask()() is None
        finally:
            gc.enable()

    def test_yield_from(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)
        later(loop.base, future.set_result, 6)

        class Old:
            def __await__(self) -> Generator[Any, None, int]:
                return (yield from future)

        assert loop.run(value_of(Old())) == 6

    def test_several_tasks_wait_for_one(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)
        later(loop.base, future.set_result, 6)

        async def main() -> list[int]:
            return await asyncio.gather(*[asyncio.ensure_future(value_of(future)) for _ in range(3)])

        assert loop.run(main()) == [6] * 3

    def test_cancelling_the_task_cancels_the_work(self, loop: LoopOnBase) -> None:
        stopped: list[Future[int]] = []
        future = Future[int](loop.base, stopped.append)
        tasks: list[asyncio.Task[int]] = []

        async def main() -> None:
            tasks.append(asyncio.ensure_future(value_of(future)))
            later(loop.base, tasks[0].cancel, "enough")
            with pytest.raises(asyncio.CancelledError) as caught:
                await tasks[0]
            assert caught.value.args == ("enough",)

        loop.run(main())
        assert stopped == [future]
        assert future.cancelled()
        assert tasks[0].cancelled()

    def test_a_task_that_was_cancelled_before_it_awaits(self, loop: LoopOnBase) -> None:
        stopped: list[Future[int]] = []
        future = Future[int](loop.base, stopped.append)

        async def main() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await future

        with pytest.raises(asyncio.CancelledError):
            loop.run(main())
        assert stopped == [future]

    def test_cancelling_the_future_reaches_the_task(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)
        later(loop.base, future.cancel, "enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            loop.run(value_of(future))

    @pytest.mark.parametrize("comes_after", [1, 10])
    def test_timeout(self, fake_loop: LoopOnBase, comes_after: float) -> None:
        base = fake_loop.base
        stopped: list[Future[int]] = []
        future = Future[int](base, stopped.append)
        base.timer(lambda _event, _what: future.set_result(6)).add(comes_after)

        async def main() -> int:
            async with asyncio.timeout(5):
                return await future

        if comes_after < 5:
            assert fake_loop.run(main()) == 6
            assert stopped == []
        else:
            with pytest.raises(TimeoutError):
                fake_loop.run(main())
            assert stopped == [future]

    @pytest.mark.parametrize("comes_after", [1, 10])
    def test_wait_for(self, fake_loop: LoopOnBase, comes_after: float) -> None:
        base = fake_loop.base
        future: Future[int] = Future(base)
        base.timer(lambda _event, _what: future.set_result(6)).add(comes_after)
        if comes_after < 5:
            assert fake_loop.run(asyncio.wait_for(future, 5)) == 6
        else:
            with pytest.raises(TimeoutError):
                fake_loop.run(asyncio.wait_for(future, 5))
            assert future.cancelled()

    def test_wait(self, loop: LoopOnBase) -> None:
        quick: Any = Future(loop.base)
        slow: Any = Future(loop.base)
        later(loop.base, quick.set_result, 6)

        async def main() -> tuple[set[Any], set[Any]]:
            return await asyncio.wait([quick, slow], return_when=asyncio.FIRST_COMPLETED)

        assert loop.run(main()) == ({quick}, {slow})
        assert repr(slow) == "<Future pending callbacks=0>"

    def test_shield_lets_the_work_go_on(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)

        async def main() -> None:
            task = asyncio.ensure_future(value_of(asyncio.shield(future)))
            later(loop.base, task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
            future.set_result(6)

        loop.run(main())
        assert future.result() == 6

    def test_gather_hears_of_a_cancel(self, loop: LoopOnBase) -> None:
        futures = [Future[int](loop.base) for _ in range(2)]
        later(loop.base, futures[0].cancel, "enough")
        later(loop.base, futures[1].set_result, 6)

        async def main() -> list[int]:
            return await asyncio.gather(*futures)

        with pytest.raises(asyncio.CancelledError, match="enough"):
            loop.run(main())

    @pytest.mark.parametrize(("message", "told"), [("enough", "enough"), (None, "")])
    def test_gather_returns_a_cancel(self, loop: LoopOnBase, message: str | None, told: str) -> None:
        futures = [Future[int](loop.base) for _ in range(2)]
        later(loop.base, futures[0].cancel, message)
        later(loop.base, futures[1].set_result, 6)

        async def main() -> list[int | BaseException]:
            return await asyncio.gather(*futures, return_exceptions=True)

        first, second = loop.run(main())
        assert isinstance(first, asyncio.CancelledError)
        assert first.args == (told,)
        assert second == 6

    def test_as_completed(self, loop: LoopOnBase) -> None:
        futures = [Future[int](loop.base) for _ in range(3)]
        for number in (2, 0, 1):
            later(loop.base, futures[number].set_result, number)

        async def main() -> list[int]:
            return [await first for first in asyncio.as_completed(futures)]

        assert loop.run(main()) == [2, 0, 1]

    def test_is_a_future_to_asyncio(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)
        assert asyncio.isfuture(future) is True
        assert future.get_loop() is loop.itself()

    def test_result_inside_a_task_says_what_to_do(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)

        async def main() -> None:
            future.result()

        with pytest.raises(LoopError, match="await"):
            loop.run(main())

    def test_without_a_loop_on_the_base(self, base: EventBase) -> None:
        """The loop of the task is another; the coroutine is told, and can go on."""
        future: Future[int] = Future(base)
        with pytest.raises(RuntimeError, match=r"no asyncio loop runs on <EventBase.*add_done_callback\(\)"):
            asyncio.run(value_of(future))
        assert repr(future) == "<Future pending callbacks=0>"
        with pytest.raises(RuntimeError, match="no asyncio loop runs"):
            future.get_loop()

    def test_in_a_task_of_another_loop(self, loop: LoopOnBase) -> None:
        future: Future[int] = Future(loop.base)
        with pytest.raises(RuntimeError, match="different loop"):
            asyncio.run(value_of(future))

    @pytest.mark.parametrize("comes", ["at once", "later"])
    def test_by_a_coroutine_that_callbacks_drive(self, base: EventBase, comes: str) -> None:
        """No asyncio: what a coroutine yields is the future that it waits for."""
        log: list[object] = []

        async def main() -> None:
            for number in range(2):
                future: Future[int] = Future(base)
                (later if comes == "later" else base_calls)(base, future.set_result, number)
                log.append(await future)
            try:
                await failed(base, KeyError("x"))
            except KeyError:
                log.append("failed")

        def base_calls(_base: EventBase, call: Callable[[int], bool], number: int) -> None:
            call(number)

        def step(_future: object = None) -> None:
            try:
                coroutine.send(None).add_done_callback(step)
            except StopIteration:
                log.append("end")

        coroutine: Coroutine[Future[Any], None, None] = main()
        step()
        base.dispatch()
        assert log == [0, 1, "failed", "end"]

    def test_by_something_that_does_not_wait(self, loop: LoopOnBase) -> None:
        coroutine = value_of(Future[int](loop.base))
        coroutine.send(None)
        with pytest.raises(RuntimeError, match="does not wait for it"):
            coroutine.send(None)


class TestNeverAsked:
    def test_is_logged_with_its_traceback(self, base: EventBase, lines: list[tuple[int, str]]) -> None:
        future: Future[int] = Future(base)
        try:
            naughty()
        except ValueError as error:
            future.set_exception(error)
        assert lines == []
        del future
        [(severity, message)] = lines
        assert severity == LOG_ERR
        assert message.startswith("nobody asked for the exception of a future\nTraceback")
        assert "in naughty" in message
        assert message.endswith("ValueError: on purpose\n")

    def test_one_that_was_never_raised(self, base: EventBase, lines: list[tuple[int, str]]) -> None:
        failed(base, KeyError("x"))
        assert lines == [(LOG_ERR, "nobody asked for the exception of a future\nKeyError: 'x'\n")]

    @pytest.mark.parametrize("ask", [Future.exception, Future.cancel])
    def test_asking_is_enough(
        self, base: EventBase, lines: list[object], ask: Callable[[Future[int]], object]
    ) -> None:
        ask(failed(base, KeyError("x")))
        assert lines == []

    def test_so_is_raising(self, base: EventBase, lines: list[object]) -> None:
        future = failed(base, KeyError("x"))
        with pytest.raises(KeyError):
            future.result()
        del future
        assert lines == []

    def test_so_is_awaiting(self, loop: LoopOnBase, lines: list[object]) -> None:
        with pytest.raises(KeyError):
            loop.run(value_of(failed(loop.base, KeyError("x"))))
        assert lines == []

    @pytest.mark.parametrize("ask", [Future.done, Future.cancelled, repr])
    def test_looking_is_not(
        self, base: EventBase, lines: list[object], ask: Callable[[Future[int]], object]
    ) -> None:
        ask(failed(base, KeyError("x")))
        assert len(lines) == 1

    @pytest.mark.parametrize("end", ["pending", "value", "cancel", "too late"])
    def test_others_say_nothing(self, base: EventBase, lines: list[object], end: str) -> None:
        future: Future[int] = Future(base)
        if end == "value":
            future.set_result(1)
        elif end != "pending":
            future.cancel()
        if end == "too late":
            future.set_exception(KeyError("x"))
        del future
        assert lines == []

    @pytest.mark.parametrize("kept", ["future", "sys.kept"])
    def test_at_the_end_of_the_program(self, kept: str) -> None:
        program = f"""
import sys
from evkit.core.base import EventBase
from evkit.core.future import Future
with EventBase() as base:
    {kept} = Future(base)
    {kept}.set_exception(KeyError("x"))
"""
        command = [sys.executable, "-X", "dev", "-c", program]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "ignored" not in run.stderr
        if kept == "future":  # Python lets go of its own modules too late for anything to be said
            assert "nobody asked" in run.stderr
            assert "KeyError" in run.stderr


class TestRepr:
    def test_of_each_state(self, base: EventBase) -> None:
        pending: Future[int] = Future(base)
        assert repr(pending) == "<Future pending callbacks=0>"
        pending.add_done_callback(ignore)
        pending.add_done_callback(ignore)
        assert repr(pending) == "<Future pending callbacks=2>"
        pending.set_result(3)
        assert repr(pending) == "<Future done result=3>"
        broken = failed(base, KeyError("x"))
        assert repr(broken) == "<Future failed KeyError('x')>"
        broken.exception()
        cancelled: Future[int] = Future(base)
        cancelled.cancel()
        assert repr(cancelled) == "<Future cancelled>"

    def test_of_a_long_result_is_short(self, base: EventBase) -> None:
        future: Future[bytes] = Future(base)
        future.set_result(b"x" * 1_000_000)
        assert len(repr(future)) < 100

    def test_of_one_that_holds_itself(self, base: EventBase) -> None:
        future: Future[object] = Future(base)
        future.set_result([future])
        assert repr(future) == "<Future done result=[<Future ...>]>"


class Queue:
    """The loop of the oracle: it runs what is queued when told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []

    def get_debug(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        self.calls.append((callback, args))

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        pass  # of exceptions that nobody asks for

    def run(self) -> None:
        while self.calls:
            callback, args = self.calls.pop(0)
            callback(*args)


Call = tuple[str, object]


def outcome(call: Callable[[], object]) -> Call:
    """Return what a call did, in words that both kinds of future share."""
    try:
        return "returned", call()
    except (EvkitError, asyncio.InvalidStateError):
        return "refused", None
    except (asyncio.CancelledError, LookupError) as error:
        return "raised", repr(error)


class Futures(RuleBasedStateMachine):
    """Any sequence of calls, on a future of evkit's and on one of asyncio's, which is the oracle."""

    def __init__(self) -> None:
        super().__init__()
        self.base = base_with_fakes().base
        queue: Any = Queue()
        self.queue: Queue = queue
        self.stopped = 0
        self.future = Future[Any](self.base, self.stop)
        self.oracle: asyncio.Future[Any] = asyncio.Future(loop=queue)
        self.told: list[int] = []
        self.oracle_told: list[int] = []
        self.callbacks = [self.callback(self.told, number) for number in range(3)]
        self.oracle_callbacks = [self.callback(self.oracle_told, number) for number in range(3)]

    def callback(self, log: list[int], number: int) -> Callable[[Any], None]:
        return lambda _future: log.append(number)

    def stop(self, _future: Future[Any]) -> None:
        self.stopped += 1

    def both(self, call: Callable[[], object], oracle: Callable[[], object]) -> None:
        assert outcome(call) == outcome(oracle)

    def ends(self, call: Callable[[], bool], oracle: Callable[[], None]) -> None:
        """The oracle returns nothing, and refuses what comes after a cancel."""
        expected = outcome(oracle)
        if self.oracle.cancelled():
            assert outcome(call) == ("returned", False)
        elif expected[0] == "returned":
            assert outcome(call) == ("returned", True)
        else:
            assert outcome(call) == expected

    @rule(value=st.integers())
    def set_result(self, value: int) -> None:
        self.ends(lambda: self.future.set_result(value), lambda: self.oracle.set_result(value))

    @rule(text=st.text(max_size=3))
    def set_exception(self, text: str) -> None:
        error = LookupError(text)
        self.ends(lambda: self.future.set_exception(error), lambda: self.oracle.set_exception(error))

    @rule(message=st.none() | st.text(max_size=3))
    def cancel(self, message: str | None) -> None:
        self.both(lambda: self.future.cancel(message), lambda: self.oracle.cancel(message))

    @rule(number=st.integers(0, 2), in_context=st.booleans())
    def add(self, number: int, in_context: bool) -> None:
        context = contextvars.copy_context() if in_context else None
        self.future.add_done_callback(self.callbacks[number], context=context)
        self.oracle.add_done_callback(self.oracle_callbacks[number], context=context)

    @rule(number=st.integers(0, 2))
    def remove(self, number: int) -> None:
        self.both(
            lambda: self.future.remove_done_callback(self.callbacks[number]),
            lambda: self.oracle.remove_done_callback(self.oracle_callbacks[number]),
        )

    @rule()
    def run_the_loop(self) -> None:
        assert self.base.dispatch() is False
        self.queue.run()

    @rule()
    def ask(self) -> None:
        self.both(self.future.result, self.oracle.result)
        self.both(self.future.exception, self.oracle.exception)
        if not self.oracle.done():
            self.queue.run()  # as asking has run the base

    @rule(timeout=st.floats(0, 10))
    def ask_in_vain(self, timeout: float) -> None:
        if not self.oracle.done():
            with pytest.raises(TimeoutError):
                self.future.result(timeout)
            self.queue.run()

    @rule(value=st.integers())
    def wait_for_a_value(self, value: int) -> None:
        if not self.oracle.done():
            later(self.base, self.future.set_result, value)
            assert self.future.result() == value
            self.oracle.set_result(value)
            self.queue.run()

    @invariant()
    def same_state(self) -> None:
        assert self.future.done() == self.oracle.done()
        assert self.future.cancelled() == self.oracle.cancelled()
        assert self.stopped == self.oracle.cancelled()

    @invariant()
    def told_the_same_so_far(self) -> None:
        assert self.told == self.oracle_told

    def teardown(self) -> None:
        self.run_the_loop()
        self.told_the_same_so_far()
        for future in (self.future, self.oracle):
            if future.done() and not future.cancelled():
                future.exception()
        self.base.close()


TestAnySequence = Futures.TestCase
TestAnySequence.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
