"""`BoundedPool`: a pool of threads at whose door only so many may wait.

It decides who is let in, and tells what was never run. What is run in a thread, and what an answer to those who are not
let in looks like, is somebody else's business.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future


class BoundedPool:
    """A pool of threads, and a count of what waits for one.

    Args:
        executor: The pool; ``None``: a ``ThreadPoolExecutor`` of its own, made when it is first needed. Python waits
            for its threads when the program ends.
        max_waiting: How much may wait, ``>= 1``; ``None``: any number.
        name: What its own threads' names begin with.

    Attributes:
        max_waiting: As given.

    Raises:
        ValueError: ``max_waiting`` is no such number.
    """

    __slots__ = ("_executor", "_lock", "_name", "_waiting", "max_waiting")

    def __init__(self, executor: "Executor | None", max_waiting: int | None, name: str) -> None:
        if max_waiting is not None and (type(max_waiting) is not int or max_waiting < 1):
            raise ValueError(f"expected max_waiting as a number >= 1 or None, got {max_waiting!r}")
        self.max_waiting = max_waiting
        self._executor = executor
        self._name = name
        self._waiting = 0
        self._lock = threading.Lock()  # counted by loops and by threads

    def __repr__(self) -> str:
        return f"<BoundedPool {self._name} waiting={self._waiting} of {self.max_waiting}>"

    @property
    def waiting(self) -> int:
        """How much waits for a thread."""
        return self._waiting

    def enter(self) -> bool:
        """Take a place among those that wait, which `submit` is to use; return whether there was one."""
        with self._lock:
            if self.max_waiting is not None and self._waiting >= self.max_waiting:
                return False
            self._waiting += 1
        return True

    def submit(self, work: Callable[[], object], never: Callable[[], object]) -> bool:
        """Have ``work()`` run in a thread; the place is free again when it begins.

        Args:
            work: What it lets escape is lost.
            never: ``never()`` is called in its place, from whichever thread, when the pool is shut down before.

        Returns:
            ``False``, with neither called, when the pool takes no work any more.
        """
        try:
            task = self._threads().submit(self._run, work)
        except BaseException as exception:
            self._leave()
            if isinstance(exception, RuntimeError):  # an Executor says so
                return False
            raise
        task.add_done_callback(partial(self._unless_run, never))
        return True

    def _threads(self) -> "Executor":
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor  # takes its time to load

            self._executor = ThreadPoolExecutor(thread_name_prefix=self._name)
        return self._executor

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1

    def _run(self, work: Callable[[], object]) -> None:
        self._leave()
        work()

    def _unless_run(self, never: Callable[[], object], task: "Future[None]") -> None:
        if task.cancelled():
            self._leave()
            never()
