"""Methods that may block: they run in a pool of threads, and the loop goes on.

A doer. What a thread has found out is told by the loop, so that a connection is touched by its own thread alone. It
knows nothing of how an answer is sent.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from evkit.core.future import Future
from evkit.errors import LoopError
from evkit.rpc.call import Call
from evkit.rpc.errors import OVERLOADED, MethodError

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from concurrent.futures import Future as Task

DEFAULT_MAX_WAITING: Final = 1000
"""Calls; gunicorn's ``worker_connections``. Each keeps its parameters."""
_FULL: Final = "too many calls wait for a thread; try again later"
_SHUT: Final = "the server is stopping"


class Threads:
    """Where methods run that may block.

    Args:
        pool: A pool of threads; ``None``: a ``ThreadPoolExecutor`` of its own, made at the first call. Python waits
            for its threads when the program ends.
        max_waiting: Calls that may wait for a thread, ``>= 1``; one more is answered with an error. ``None``: any
            number.

    Raises:
        ValueError: ``max_waiting`` is no such number.
    """

    __slots__ = ("_lock", "_pool", "_waiting", "max_waiting")

    def __init__(
        self, pool: "Executor | None" = None, *, max_waiting: int | None = DEFAULT_MAX_WAITING
    ) -> None:
        if max_waiting is not None and (type(max_waiting) is not int or max_waiting < 1):
            raise ValueError(f"expected max_waiting as a number >= 1 or None, got {max_waiting!r}")
        self.max_waiting = max_waiting
        self._pool = pool
        self._waiting = 0
        self._lock = threading.Lock()  # counted by loops and by threads

    def __repr__(self) -> str:
        return f"<Threads waiting={self._waiting} of {self.max_waiting}>"

    def run(self, call: Call, function: Callable[..., Any], arguments: list[Any]) -> None:
        """Call a function in a thread, and answer with what it returns; the call is deferred.

        An answer that the function has given itself stands. If it returns a `Future`, that is followed. If nobody waits
        for the answer any more when a thread is free, it is not called.

        Args:
            call: What is answered.
            function: May block. What it raises is answered as of other methods.
            arguments: Its arguments, by position.

        Raises:
            MethodError: Too many calls are waiting, or the pool was shut down.
        """
        if not self._enter():
            raise MethodError(_FULL, OVERLOADED)
        call.defer()
        try:
            task = self._submit(partial(self._run, call, function, arguments))
        except BaseException as exception:
            self._leave()
            if isinstance(exception, RuntimeError):  # an Executor says so
                raise MethodError(_SHUT, OVERLOADED) from exception
            raise
        task.add_done_callback(partial(self._unless_run, call))

    def _submit(self, run: Callable[[], None]) -> "Task[None]":
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # takes its time to load

            self._pool = ThreadPoolExecutor(thread_name_prefix="evkit-rpc")
        return self._pool.submit(run)

    def _enter(self) -> bool:
        with self._lock:
            if self.max_waiting is not None and self._waiting >= self.max_waiting:
                return False
            self._waiting += 1
        return True

    def _leave(self) -> None:
        with self._lock:
            self._waiting -= 1

    def _unless_run(self, call: Call, task: "Task[None]") -> None:
        """Answer what the pool was shut down before."""
        if task.cancelled():
            self._leave()
            _tell(call, _fail, MethodError(_SHUT, OVERLOADED), None)

    def _run(self, call: Call, function: Callable[..., Any], arguments: list[Any]) -> None:
        self._leave()
        if call.cancelled:
            return
        try:
            result = function(*arguments)
        except BaseException as exception:  # the pool would keep it, and the caller wait
            _tell(call, _fail, exception, function)
        else:
            _tell(call, _reply, result)


def _tell(call: Call, act: Callable[..., None], *what: object) -> None:
    """Have the loop act on a call."""
    try:
        call.connection.base.call_soon_threadsafe(act, call, *what)
    except LoopError:
        pass  # the base was closed, and its connections with it


def _reply(call: Call, result: object) -> None:
    if call.answered:
        return  # by the function itself; or nobody waits any more
    if isinstance(result, Future):
        call.follow(result)
    else:
        call.reply(result)


def _fail(call: Call, error: BaseException, function: Callable[..., Any] | None) -> None:
    if function is not None and not isinstance(error, MethodError):
        call.connection.base.escaped(error, function)
    if not call.answered:
        call.fail(error)
