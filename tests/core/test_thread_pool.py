"""`evkit.core.thread_pool`: who is let in, and what becomes of work that is never run."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest

from evkit.core.thread_pool import BoundedPool
from patience import PATIENCE


def never() -> None:
    raise AssertionError("it was run")


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


class Gate:
    """Keeps the one thread of a pool until it is opened."""

    def __init__(self, executor: Executor) -> None:
        self._open = threading.Event()
        began = threading.Event()
        self.task = executor.submit(lambda: (began.set(), self._open.wait(PATIENCE)))
        assert began.wait(PATIENCE)

    def open(self) -> None:
        self._open.set()
        self.task.result(PATIENCE)


def test_work_is_run_in_a_thread(executor: ThreadPoolExecutor) -> None:
    pool = BoundedPool(executor, None, "test")
    threads: list[int] = []
    assert pool.enter()
    assert pool.submit(lambda: threads.append(threading.get_ident()), never)
    executor.submit(int).result(PATIENCE)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()


def test_only_so_much_may_wait(executor: ThreadPoolExecutor) -> None:
    pool, done = BoundedPool(executor, 2, "test"), []
    gate = Gate(executor)
    for number in range(2):
        assert pool.enter()
        assert pool.submit(lambda number=number: done.append(number), never)  # type: ignore[misc]  # a default
    assert not pool.enter()
    assert (pool.waiting, repr(pool)) == (2, "<BoundedPool test waiting=2 of 2>")
    gate.open()
    executor.submit(int).result(PATIENCE)
    assert (done, pool.waiting) == ([0, 1], 0)
    assert pool.enter()


def test_a_place_is_free_when_work_begins(executor: ThreadPoolExecutor) -> None:
    pool, waiting = BoundedPool(executor, 1, "test"), []
    assert pool.enter()
    assert pool.submit(lambda: waiting.append(pool.waiting), never)
    executor.submit(int).result(PATIENCE)
    assert waiting == [0]


def test_what_a_pool_is_shut_down_before_is_told(executor: ThreadPoolExecutor) -> None:
    pool, told = BoundedPool(executor, 3, "test"), []
    gate = Gate(executor)
    for number in range(3):
        assert pool.enter()
        assert pool.submit(never, lambda number=number: told.append(number))  # type: ignore[misc]  # a default
    executor.shutdown(wait=False, cancel_futures=True)
    assert (sorted(told), pool.waiting) == ([0, 1, 2], 0)
    gate.open()


def test_a_pool_that_is_shut_takes_nothing(executor: ThreadPoolExecutor) -> None:
    pool = BoundedPool(executor, 1, "test")
    executor.shutdown()
    for _ in range(3):
        assert pool.enter()
        assert not pool.submit(never, never)
    assert pool.waiting == 0


def test_what_else_a_pool_raises_is_let_through() -> None:
    class Odd(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            raise KeyError(fn)

    pool = BoundedPool(Odd(), 1, "test")
    assert pool.enter()
    with pytest.raises(KeyError):
        pool.submit(never, never)
    assert pool.waiting == 0


def test_a_pool_of_its_own_is_made_when_it_is_needed() -> None:
    pool, names = BoundedPool(None, 1, "of-its-own"), []
    assert pool._executor is None
    assert pool.enter()
    came = threading.Event()
    assert pool.submit(lambda: (names.append(threading.current_thread().name), came.set()), never)
    assert came.wait(PATIENCE)
    assert names[0].startswith("of-its-own")
    assert pool._executor is not None
    pool._executor.shutdown()


@pytest.mark.parametrize("most", [0, -1, 1.5, "2", True])
def test_a_number_that_is_none(most: Any) -> None:
    with pytest.raises(ValueError, match="expected max_waiting as a number >= 1 or None"):
        BoundedPool(None, most, "test")
