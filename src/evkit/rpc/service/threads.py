"""Methods that may block: they run in a pool of threads, and the loop goes on.

A doer. What a thread has found out is told by the loop, so that a connection is touched by its own thread alone. It
knows nothing of how an answer is sent.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from evkit.core.future import Future
from evkit.core.thread_pool import BoundedPool
from evkit.errors import LoopError
from evkit.rpc.connection.call import Call
from evkit.rpc.errors import OVERLOADED, MethodError

if TYPE_CHECKING:
    from concurrent.futures import Executor

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

    __slots__ = ("_pool",)

    def __init__(
        self, pool: "Executor | None" = None, *, max_waiting: int | None = DEFAULT_MAX_WAITING
    ) -> None:
        self._pool = BoundedPool(pool, max_waiting, "evkit-rpc")

    def __repr__(self) -> str:
        return f"<Threads waiting={self._pool.waiting} of {self.max_waiting}>"

    @property
    def max_waiting(self) -> int | None:
        """Calls that may wait for a thread; ``None``: any number."""
        return self._pool.max_waiting

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
        if not self._pool.enter():
            raise MethodError(_FULL, OVERLOADED)
        call.defer()
        if not self._pool.submit(partial(_call, call, function, arguments), partial(_refuse, call)):
            raise MethodError(_SHUT, OVERLOADED)


def _call(call: Call, function: Callable[..., Any], arguments: list[Any]) -> None:
    """Call a function, in its thread."""
    if call.cancelled:
        return
    try:
        result = function(*arguments)
    except BaseException as exception:  # the pool would keep it, and the caller wait
        _tell(call, _fail, exception, function)
    else:
        _tell(call, _reply, result)


def _refuse(call: Call) -> None:
    """Answer what the pool was shut down before."""
    _tell(call, _fail, MethodError(_SHUT, OVERLOADED), None)


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
