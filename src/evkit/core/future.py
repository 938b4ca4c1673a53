"""`Future`: one result that comes later, for callbacks, for callers that wait, and for ``await``.

Decides when a result is there, and who hears of it and in which order; what it means to wait is `evkit.core.waiting`'s
business. Knows nothing of the work behind it, which stops by ``on_cancel``, and never imports asyncio before somebody
asks for a result that was cancelled.
"""

import sys
from collections.abc import Callable, Generator
from reprlib import recursive_repr
from reprlib import repr as short_repr
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from evkit.core.event import check_callback
from evkit.core.log import LOG_ERR, exception_lines, log
from evkit.core.waiting import CLOSED, wait
from evkit.errors import EvkitError, LoopError

if TYPE_CHECKING:
    import asyncio
    from contextvars import Context
    from types import TracebackType

    from evkit.core.base import EventBase

T = TypeVar("T")

_PENDING: Final = 0
_DONE: Final = 1
_FAILED: Final = 2
_CANCELLED: Final = 3


class _Failure:
    """The exception of a future; logged when it is dropped and nobody has asked for it.

    Apart from the future, so that only those that fail pay for a finalizer.

    Attributes:
        exception: What was set.
        traceback: Its traceback at that time, which every raise would make longer.
        context: Its context at that time, for which every raise would put what it interrupts.
        asked: Whether somebody has seen it.
    """

    __slots__ = ("asked", "context", "exception", "traceback")

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception
        self.traceback: TracebackType | None = exception.__traceback__
        self.context = exception.__context__
        self.asked = False

    def __del__(self) -> None:
        if not self.asked:
            lines = exception_lines(self.exception, self.traceback)
            log(LOG_ERR, f"nobody asked for the exception of a future\n{lines}")


class Future(Generic[T]):
    """What finishes later: its value or exception, asked for in any of three ways.

    `add_done_callback` is libevent's way; `result` waits, and runs the base for that where nobody else does; ``await``
    is for a task of an asyncio loop that runs on the same base, and for a coroutine without asyncio, whose driver gets
    the future and goes on when it is done.

    Whoever does the work makes the future and ends it by `set_result` or `set_exception`. Use it from the base's
    thread; only `result`, `exception`, `done` and `cancelled` may be called from others, which reach the rest by
    ``base.call_soon_threadsafe(future.cancel)`` and the like.

    An exception that nobody has asked for by the time that the future is dropped is logged.

    Args:
        base: The loop that brings the result, and calls back.
        on_cancel: ``on_cancel(future)`` stops the work; called once by `cancel`.

    Source: PEP 3148 and ``asyncio.Future``; libevent has a callback per kind of work, such as
    ``evdns_callback_type``.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_base",
        "_callbacks",
        "_cancel_message",
        "_failure",
        "_on_cancel",
        "_state",
        "_value",
    )

    def __init__(self, base: "EventBase", on_cancel: "Callable[[Future[T]], object] | None" = None) -> None:
        self._base = base
        self._state = _PENDING
        self._value: Any = None  # of type T, when it is done
        self._failure: _Failure | None = None
        self._cancel_message: object = None  # ``asyncio.gather`` reads it by this name
        self._callbacks: list[tuple[Callable[[Future[T]], object], Context | None]] = []
        self._on_cancel = on_cancel if on_cancel is None else check_callback(on_cancel)
        # asyncio knows a future by this attribute, and a task clears it to see that it was awaited, not yielded.
        self._asyncio_future_blocking = False

    @recursive_repr("<Future ...>")
    def __repr__(self) -> str:
        if self._state == _PENDING:
            return f"<Future pending callbacks={len(self._callbacks)}>"
        if self._failure is not None:
            return f"<Future failed {self._failure.exception!r}>"
        if self._state == _CANCELLED:
            return "<Future cancelled>"
        return f"<Future done result={short_repr(self._value)}>"

    # For who does the work

    def set_result(self, value: T) -> bool:
        """End the work well, and let the callbacks be called.

        On a closed base no callback is called any more: no loop is left for it.

        Returns:
            ``False``, with nothing done, after `cancel`: who works can't know of that in time.

        Raises:
            EvkitError: It is done already.

        Source: ``asyncio.Future.set_result``, which raises after a cancel, too.
        """
        if self._state != _PENDING:
            return self._too_late()
        self._value = value
        self._finish(_DONE)
        return True

    def set_exception(self, exception: BaseException) -> bool:
        """End the work with an exception, which `result` and ``await`` will raise.

        Args:
            exception: An instance. ``StopIteration`` would end the generator behind an ``await``, so a
                ``RuntimeError`` takes its place, with it as the cause.

        Returns:
            As `set_result`.

        Raises:
            EvkitError: It is done already.
            TypeError: ``exception`` is none.

        Source: ``asyncio.Future.set_exception``, which takes a class, too.
        """
        if not isinstance(exception, BaseException):
            raise TypeError(f"expected an instance of an exception, got {exception!r}")
        if self._state != _PENDING:
            return self._too_late()
        if isinstance(exception, StopIteration):
            cause, exception = exception, RuntimeError("the work of a future ended with StopIteration")
            exception.__cause__ = cause
        self._failure = _Failure(exception)
        self._finish(_FAILED)
        return True

    def _too_late(self) -> bool:
        if self._state == _CANCELLED:
            return False
        # No class of its own, as nobody would catch it: it is a fault of who does the work.
        raise EvkitError(f"a future takes one result or exception, and no other after it: {self!r}")

    def _finish(self, state: int) -> None:
        self._state = state  # after what it tells of, as other threads may look
        self._on_cancel = None
        self._schedule_callbacks()

    def _schedule_callbacks(self) -> None:
        if not self._base.closed:
            for fn, context in self._callbacks:
                self._base.call_soon(self._tell, fn, context)
        self._callbacks.clear()

    def _tell(self, fn: "Callable[[Future[T]], object]", context: "Context | None") -> None:
        """Call a callback. What escapes from it must neither end the loop nor reach who cancels."""
        try:
            if context is None:
                fn(self)
            else:
                context.run(fn, self)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exception:  # the CancelledError of a `result` is no Exception
            self._base.escaped(exception, fn)
        finally:
            del self, fn, context  # as in `result`

    # For who wants the result

    def done(self) -> bool:
        """Return whether it has a value or an exception, or was cancelled."""
        return self._state != _PENDING

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self._state == _CANCELLED

    def add_done_callback(
        self, fn: "Callable[[Future[T]], object]", *, context: "Context | None" = None
    ) -> None:
        """Call ``fn(future)`` when it is done.

        Callbacks are called by the loop, never from within this call or that of the producer, in the order in which
        they were added; one that is added when the future is done comes in the same way. What escapes from one goes to
        the base's exception handler (also the ``CancelledError`` of a `result`, which is no ``Exception``) and keeps
        none of the others from being called.

        Args:
            fn: May be added several times, and is called as often.
            context: Where to run ``fn``. ``None``: as every callback of the base, where the loop runs (asyncio would
                take a copy of the caller's).

        Raises:
            LoopError: The base is closed.
            TypeError: ``fn`` can't be called.

        Source: ``asyncio.Future.add_done_callback``.
        """
        check_callback(fn)
        if self._state != _PENDING:
            self._base.call_soon(self._tell, fn, context)
        elif self._base.closed:
            raise LoopError(CLOSED.format(self))
        else:
            self._callbacks.append((fn, context))

    def remove_done_callback(self, fn: "Callable[[Future[T]], object]") -> int:
        """Don't call ``fn`` any more, unless the future is done already.

        Returns:
            How often it was removed.

        Source: ``asyncio.Future.remove_done_callback``.
        """
        kept = [(other, context) for other, context in self._callbacks if other != fn]
        removed = len(self._callbacks) - len(kept)
        self._callbacks[:] = kept
        return removed

    def result(self, timeout: float | None = None) -> T:
        """Return the value, and wait for it if need be.

        In the base's own thread (which runs the loop, or ran it last, or made the base) this runs the base until the
        future is done and the callbacks that were added to it before have been called; what else is active then runs
        when the loop is entered again. Another thread waits until the base's own thread has brought the result.

        Args:
            timeout: Seconds ``>= 0`` to wait; ``None``: no limit. In the base's own thread it is time on the base's
                clock, and 0 takes what is ready.

        Raises:
            TimeoutError: It is still pending after ``timeout``; it may be asked again.
            asyncio.CancelledError: It was cancelled.
            LoopError: It can't be waited for: this is a callback of the same base, the base has nothing left to wait
                for, it was stopped meanwhile, or it is closed.
            ValueError: ``timeout`` is no time-out.
            BaseException: What was set by `set_exception`.

        Source: ``concurrent.futures.Future.result``, and ``asyncio.loop.run_until_complete``.
        """
        if self._state == _PENDING:
            wait(self._base, self, timeout)
        failure = self._failure
        if failure is None:
            if self._state == _CANCELLED:
                raise self._make_cancelled_error()
            value: T = self._value
            return value
        failure.asked = True
        failure.exception.__context__ = failure.context
        try:
            raise failure.exception.with_traceback(failure.traceback)
        finally:
            del self, failure  # the traceback holds this frame, which must not hold the exception

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what was set by `set_exception`, or ``None`` where there is a value.

        Waits and raises as `result` does.

        Source: ``concurrent.futures.Future.exception``.
        """
        if self._state == _PENDING:
            wait(self._base, self, timeout)
        if self._state == _CANCELLED:
            raise self._make_cancelled_error()
        if self._failure is None:
            return None
        self._failure.asked = True
        return self._failure.exception

    def cancel(self, msg: object = None) -> bool:
        """Stop the work; the future is done then, and who asks for its result gets ``asyncio.CancelledError``.

        It counts as cancelled before ``on_cancel`` is called, since work that is stopped tends to report that it has
        failed. What escapes from ``on_cancel`` goes to the base's exception handler.

        Args:
            msg: The argument of the ``CancelledError``.

        Returns:
            ``False``, with nothing done, when it is done already. An exception that it may have counts as asked for.

        Source: ``asyncio.Future.cancel``.
        """
        if self._failure is not None:
            self._failure.asked = True
        if self._state != _PENDING:
            return False
        on_cancel = self._on_cancel
        self._cancel_message = msg
        self._finish(_CANCELLED)
        if on_cancel is not None:
            self._tell(on_cancel, None)
        return True

    # For asyncio

    def __await__(self) -> Generator[Any, None, T]:
        try:
            if self._state == _PENDING:
                self._refuse_foreign_task()
                self._asyncio_future_blocking = True
                yield self
                if self._state == _PENDING:
                    raise RuntimeError(f"{self!r} was awaited by something that does not wait for it")
            return self.result()
        finally:
            del self  # as in `result`

    __iter__ = __await__

    def _refuse_foreign_task(self) -> None:
        """Raise what `get_loop` does, if asyncio runs here but not on the base.

        A task that is told so after the yield never wakes up. Without asyncio, whoever drives the coroutine gets the
        future and goes on when it is done.
        """
        asyncio = sys.modules.get("asyncio")
        if asyncio is None:
            return
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return  # it is loaded, and does not run here
        self.get_loop()

    def get_loop(self) -> "asyncio.AbstractEventLoop":
        """Return the asyncio loop that runs on the base.

        Raises:
            RuntimeError: There is none.

        Source: ``asyncio.Future.get_loop``.
        """
        loop = cast("asyncio.AbstractEventLoop | None", self._base.asyncio_loop)
        if loop is None:
            raise RuntimeError(
                f"no asyncio loop runs on {self._base!r}, so {self!r} can't be awaited: await it in a task of a loop "
                "that does, or use add_done_callback() or result()"
            )
        return loop

    def _make_cancelled_error(self) -> "asyncio.CancelledError":
        """Make what `result` raises; ``asyncio.gather`` asks by this name."""
        import asyncio  # costs more than all of evkit

        message = () if self._cancel_message is None else (self._cancel_message,)
        return asyncio.CancelledError(*message)
