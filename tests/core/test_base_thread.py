"""`EventBaseThread`: calls from other threads, what they bring back, and every way in which the thread ends."""

import asyncio
import gc
import socket
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evkit.core.base import EventBase
from evkit.core.base_thread import EventBaseThread
from evkit.core.config import EventConfig
from evkit.core.event import Event
from evkit.core.flags import COUNT_ADDED, COUNT_VIRTUAL, EV_READ
from evkit.core.future import Future
from evkit.core.listener import Listener
from evkit.errors import EvkitError, LoopError
from patience import PATIENCE
from running import Program


@pytest.fixture
def thread(config: Callable[..., EventConfig], open_descriptors: None) -> Iterator[EventBaseThread]:
    with EventBaseThread(config()) as thread:
        yield thread


class TestCalling:
    def test_runs_in_the_thread_and_brings_the_result(self, thread: EventBaseThread) -> None:
        assert thread.call(threading.get_ident).result(PATIENCE) != threading.get_ident()
        assert thread.call(int, "ff", base=16).result(PATIENCE) == 255

    def test_exception_reaches_the_caller(self, thread: EventBaseThread) -> None:
        future = thread.call(int, "x")
        with pytest.raises(ValueError, match="invalid literal"):
            future.result(PATIENCE)
        assert thread.call(int, "1").result(PATIENCE) == 1  # and nothing else is hurt

    def test_exception_goes_with_the_future(self, thread: EventBaseThread) -> None:
        class OwnError(Exception):
            pass

        def fail() -> None:
            raise OwnError

        def ask() -> "weakref.ref[OwnError]":
            future = thread.call(fail)
            error = future.exception(PATIENCE)
            assert isinstance(error, OwnError)
            return weakref.ref(error)

        gc.disable()
        try:
            kept = ask()
            thread.call(int).result(PATIENCE)  # so that the loop is done with it
            assert kept() is None
        finally:
            gc.enable()

    @pytest.mark.parametrize("exception", [SystemExit(3), KeyboardInterrupt()])
    def test_even_one_that_ends_programs(self, thread: EventBaseThread, exception: BaseException) -> None:
        def fail() -> None:
            raise exception

        with pytest.raises(type(exception)):
            thread.call(fail).result(PATIENCE)
        assert thread.call(int, "1").result(PATIENCE) == 1

    def test_calls_of_one_thread_keep_their_order(self, thread: EventBaseThread) -> None:
        seen: list[int] = []
        futures = [thread.call(seen.append, number) for number in range(500)]
        futures[-1].result(PATIENCE)
        assert seen == list(range(500))

    def test_many_threads(self, thread: EventBaseThread) -> None:
        sums: list[int] = []

        def work(number: int) -> None:
            futures = [thread.call(int, str(number)) for _ in range(50)]
            sums.append(sum(future.result(PATIENCE) for future in futures))

        workers = [threading.Thread(target=work, args=[number]) for number in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(PATIENCE)
        assert sorted(sums) == [50 * number for number in range(8)]

    def test_from_inside(self, thread: EventBaseThread) -> None:
        def outer() -> Future[int]:
            return thread.call(int, "7")

        assert thread.call(outer).result(PATIENCE) == 7

    def test_waiting_inside_is_refused(self, thread: EventBaseThread) -> None:
        with pytest.raises(LoopError, match="inside the loop"):
            thread.call(lambda: thread.call(int, "7").result()).result(PATIENCE)

    def test_listener(self, thread: EventBaseThread) -> None:
        names: list[str] = []

        def on_accept(_listener: Listener, sock: socket.socket, _address: object) -> None:
            names.append(threading.current_thread().name)
            sock.close()

        listener = thread.call(Listener.bind, thread.base, on_accept, ("127.0.0.1", 0)).result(PATIENCE)
        with socket.create_connection(("127.0.0.1", listener.port), PATIENCE) as client:
            assert client.recv(1) == b""
        thread.call(listener.close).result(PATIENCE)
        assert names == ["evkit"]


class TestFutures:
    def test_result_of_one_that_is_returned(self, thread: EventBaseThread) -> None:
        inner: Future[str] = Future(thread.base)
        future = thread.call(lambda: inner)
        thread.call(inner.set_result, "late").result(PATIENCE)
        assert future.result(PATIENCE) == "late"

    def test_exception_of_one_that_is_returned(self, thread: EventBaseThread) -> None:
        inner: Future[str] = Future(thread.base)
        future = thread.call(lambda: inner)
        thread.call(inner.set_exception, EvkitError("no")).result(PATIENCE)
        with pytest.raises(EvkitError, match="no"):
            future.result(PATIENCE)

    def test_cancel_of_one_that_is_returned(self, thread: EventBaseThread) -> None:
        inner: Future[str] = Future(thread.base)
        future = thread.call(lambda: inner)
        thread.call(inner.cancel).result(PATIENCE)
        with pytest.raises(asyncio.CancelledError):
            future.result(PATIENCE)

    def test_cancel_reaches_the_work(self, thread: EventBaseThread) -> None:
        inner: Future[str] = Future(thread.base)
        future = thread.call(lambda: inner)
        assert thread.call(future.cancel).result(PATIENCE)
        assert inner.cancelled()

    def test_cancel_before_it_began(self, thread: EventBaseThread) -> None:
        ran: list[int] = []

        def both() -> None:
            future = thread.call(ran.append, 1)
            future.cancel()

        thread.call(both).result(PATIENCE)
        thread.call(int).result(PATIENCE)
        assert ran == []


class TestEnding:
    def test_what_was_called_before_is_done(self, thread: EventBaseThread) -> None:
        futures = [thread.call(int, str(number)) for number in range(100)]
        thread.stop(PATIENCE)
        assert [future.result(0) for future in futures] == list(range(100))
        assert thread.base.closed

    def test_stopping_again_does_nothing(self, thread: EventBaseThread) -> None:
        thread.stop()
        thread.stop()
        assert thread.base.closed

    def test_what_waits_is_dropped_and_its_waiter_told(self, thread: EventBaseThread) -> None:
        future = thread.call(lambda: Future[int](thread.base))
        thread.stop()
        with pytest.raises(LoopError, match="closed"):
            future.result()

    def test_call_after_the_end(self, thread: EventBaseThread) -> None:
        thread.stop()
        with pytest.raises(LoopError, match="a thread that runs, got <EventBaseThread 'evkit' stopped"):
            thread.call(int)

    def test_call_before_the_start(self) -> None:
        thread = EventBaseThread()
        with pytest.raises(LoopError, match="'evkit' new"):
            thread.call(int)
        thread.stop()
        assert thread.base.closed
        with pytest.raises(LoopError, match="once"):
            thread.start()

    def test_starts_once(self, thread: EventBaseThread) -> None:
        with pytest.raises(LoopError, match="once"):
            thread.start()

    def test_stopping_inside_is_refused(self, thread: EventBaseThread) -> None:
        with pytest.raises(LoopError, match=r"use base\.loopexit"):
            thread.call(thread.stop).result(PATIENCE)

    def test_loop_that_is_left_inside(self, thread: EventBaseThread) -> None:
        thread.base.call_soon_threadsafe(thread.base.loopexit)
        thread._thread.join(PATIENCE)
        assert thread.base.closed
        thread.stop()

    def test_callback_that_ends_the_loop_is_told_once(self, config: Callable[..., EventConfig]) -> None:
        thread = EventBaseThread(config()).start()

        def leave() -> None:
            raise SystemExit("enough")

        thread.base.call_soon_threadsafe(leave)
        with pytest.raises(SystemExit, match="enough"):
            thread.stop(PATIENCE)
        thread.stop()

    def test_call_tells_why_the_thread_has_ended(self, config: Callable[..., EventConfig]) -> None:
        thread = EventBaseThread(config()).start()

        def leave() -> None:
            raise SystemExit("enough")

        thread.base.call_soon_threadsafe(leave)
        thread._thread.join(PATIENCE)
        with pytest.raises(LoopError) as caught:
            thread.call(int)
        assert isinstance(caught.value.__cause__, SystemExit)
        with pytest.raises(SystemExit):
            thread.stop()

    def test_callback_that_does_not_return(self, thread: EventBaseThread) -> None:
        go_on = threading.Event()
        future = thread.call(go_on.wait, PATIENCE)
        with pytest.raises(TimeoutError, match=r"has not returned for 0\.01 s"):
            thread.stop(0.01)
        go_on.set()
        thread.stop(PATIENCE)
        assert future.result(0) is True

    def test_body_that_fails_stops_it_too(self) -> None:
        with pytest.raises(ZeroDivisionError), EventBaseThread() as thread:
            raise ZeroDivisionError
        assert thread.base.closed
        assert not thread._thread.is_alive()

    def test_thread_that_can_not_be_had_leaves_nothing(
        self, open_descriptors: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        thread = EventBaseThread()

        def fail() -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(thread._thread, "start", fail)
        with pytest.raises(RuntimeError, match="new thread"):
            thread.start()
        assert thread.base.closed


class TestStarting:
    def test_base_may_be_prepared_before(self, pair: tuple[socket.socket, socket.socket]) -> None:
        seen: list[int] = []
        came = threading.Event()
        thread = EventBaseThread(name="worker")

        def on_ready(_event: Event, what: int) -> None:
            seen.append(what)
            came.set()

        thread.base.event(pair[0], EV_READ, on_ready).add()
        pair[1].send(b"x")
        with thread:
            assert came.wait(PATIENCE)
        assert seen == [EV_READ]
        assert "'worker' stopped" in repr(thread)

    def test_base_is_the_thread_s_when_start_returns(self, thread: EventBaseThread) -> None:
        assert not thread.base.in_thread()
        assert thread.call(thread.base.in_thread).result(PATIENCE)

    def test_start_returns_when_the_loop_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        thread = EventBaseThread()
        enter, gate = thread.base.loop, threading.Event()

        def enter_later(flags: int = 0) -> bool:
            gate.wait(PATIENCE)
            return enter(flags)

        monkeypatch.setattr(thread.base, "loop", enter_later)
        starter = threading.Thread(target=thread.start)
        starter.start()
        starter.join(0.02)
        assert starter.is_alive()
        gate.set()
        starter.join(PATIENCE)
        assert not starter.is_alive()
        thread.stop()

    def test_is_alive_with_nothing_to_wait_for(self, thread: EventBaseThread) -> None:
        assert "running" in repr(thread)
        assert thread.call(thread.base.num_events, COUNT_ADDED | COUNT_VIRTUAL).result(PATIENCE) == 0
        assert isinstance(thread.base, EventBase)


_FORGOTTEN = """
import time
from evkit.core.base_thread import EventBaseThread

thread = EventBaseThread().start()
thread.call(ENTER).result()
LAST
print("end", flush=True)
"""


class TestInterpreterExit:
    def run(self, tmp_path: Path, enter: str = "int", last: str = "") -> tuple[int, list[str], Program]:
        path = tmp_path / "program.py"
        path.write_text(_FORGOTTEN.replace("ENTER", enter).replace("LAST", last))
        with Program(path) as program:
            return program.wait(), program.out.rest(), program

    def test_forgotten_one_does_not_keep_it(self, tmp_path: Path) -> None:
        status, lines, program = self.run(tmp_path)
        assert (status, lines, program.err.seen) == (0, ["end"], [])

    def test_not_even_in_a_callback_that_does_not_return(self, tmp_path: Path) -> None:
        last = "thread.base.call_soon_threadsafe(time.sleep, 1000)"
        status, lines, program = self.run(tmp_path, last=last)
        assert (status, lines) == (0, ["end"])
        assert "left behind" in "".join(program.err.seen)

    def test_what_has_ended_it_is_told(self, tmp_path: Path) -> None:
        last = "import sys; thread.base.call_soon_threadsafe(sys.exit, 'enough'); thread._thread.join()"
        status, lines, program = self.run(tmp_path, last=last)
        assert (status, lines) == (0, ["end"])
        assert "SystemExit('enough')" in "".join(program.err.seen)

    def test_child_that_was_forked_off(self, tmp_path: Path) -> None:
        last = (
            "import os, warnings; warnings.simplefilter('ignore'); "  # 3.12 and later warn of threads at a fork
            "child = os.fork(); child and os.waitpid(child, 0)"
        )
        status, lines, program = self.run(tmp_path, last=last)
        assert (status, lines, program.err.seen) == (0, ["end", "end"], [])
