"""`EventBaseThread`: an event base that runs in a thread of its own, for programs that have other things to do.

It decides when the thread begins and ends, and how a call gets in and its result out. The base is used from that thread
alone; what comes from others goes by `EventBaseThread.call`. It knows nothing of what is done there.
"""

import atexit
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, overload

from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.flags import EVLOOP_NO_EXIT_ON_EMPTY
from evkit.core.future import Future
from evkit.core.log import LOG_WARN, log
from evkit.errors import LoopError

T = TypeVar("T")
P = ParamSpec("P")

EXIT_PATIENCE: Final = 1.0
"""Seconds that the end of the interpreter waits for a thread that nobody stopped; it is left behind then."""


class EventBaseThread:
    """An event base and the thread that runs it.

    ::

        with EventBaseThread() as thread:
            listener = thread.call(Listener.bind, thread.base, on_accept, ("127.0.0.1", 0)).result()

    Args:
        config: For the base.
        name: The thread's.

    Attributes:
        base: Before `start`, to prepare from this thread; then for ``call_soon_threadsafe`` alone. It is closed at
            the end of the thread.

    Source: libevent has none; it is what its users write one each, with ``evthread_use_pthreads``.
    """

    __slots__ = ("_entered", "_error", "_thread", "base")

    def __init__(self, config: EventConfig | None = None, *, name: str = "evkit") -> None:
        self.base = EventBase(config)
        self._entered = threading.Event()
        self._error: BaseException | None = None
        # A daemon: the interpreter joins any other kind before it asks anybody to stop.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __repr__(self) -> str:
        state = "running" if self._thread.is_alive() else "new" if self._is_new() else "stopped"
        return f"<EventBaseThread {self._thread.name!r} {state} {self.base!r}>"

    def _is_new(self) -> bool:
        return self._thread.ident is None

    def start(self) -> Self:
        """Begin; returns when the loop runs, which goes on though it has nothing to wait for.

        Raises:
            LoopError: It was started or stopped already.
            RuntimeError: The system has no more threads.
        """
        if self.base.closed or not self._is_new():
            raise LoopError(f"start() starts a thread once, got {self!r}")
        self.base.call_soon(self._entered.set)
        try:
            self._thread.start()
        except BaseException:
            self.base.close()
            raise
        atexit.register(self._at_exit)
        # Until it is in the loop, the base would take the caller's thread for its own.
        self._entered.wait()
        return self

    def _run(self) -> None:
        try:
            self.base.loop(EVLOOP_NO_EXIT_ON_EMPTY)
        except BaseException as error:
            self._error = error  # for `stop`
        finally:
            self.base.close()
            self._entered.set()

    @overload
    def call(self, fn: Callable[P, Future[T]], *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    @overload
    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]: ...
    def call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn(*args, **kwargs)`` in the thread. Any thread may call this; calls of one run in their order.

        Returns:
            What comes of it: its result, or whatever it raised. Where ``fn`` returns a `Future` of the base, the
            result of that. ``result()`` waits for it; what else a future can must be asked for in the thread, as by
            ``thread.base.call_soon_threadsafe(future.cancel)``.

        Raises:
            LoopError: The thread does not run.
        """
        if not self._thread.is_alive():
            raise LoopError(f"call() needs a thread that runs, got {self!r}") from self._error
        call = _Call[Any](self.base, fn, args, kwargs)
        self.base.call_soon_threadsafe(call.run)
        return call.future

    def stop(self, timeout: float | None = None) -> None:
        """End the thread after what is active now and what was called before, and close the base.

        What waits for anything else is dropped: end your work first. A `Future` that is not done will fail who waits
        for it, with a `LoopError`. To stop again does nothing.

        Args:
            timeout: Seconds to wait for the thread; ``None``: no limit.

        Raises:
            TimeoutError: A callback has not returned for so long; the thread ends after it.
            LoopError: This is the thread itself, which ends by ``base.loopexit()``.
            BaseException: What has ended the loop before, such as a ``SystemExit`` in a callback; raised once.
        """
        if self._is_new():
            self.base.close()
            return
        if threading.current_thread() is self._thread:
            raise LoopError("stop() inside the thread would wait for itself: use base.loopexit()")
        try:
            self.base.call_soon_threadsafe(self.base.loopexit)
        except LoopError:
            pass  # it has ended by itself
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"a callback has not returned for {timeout} s: {self!r}")
        atexit.unregister(self._at_exit)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _at_exit(self) -> None:
        if self._thread.is_alive():  # which it never is in a process that was forked off
            try:
                self.stop(EXIT_PATIENCE)
            except TimeoutError:
                log(LOG_WARN, f"nobody stopped {self!r}, and a callback keeps it from ending: left behind")
        elif self._error is not None:
            log(LOG_WARN, f"nobody has heard that {self!r} was ended by {self._error!r}")


class _Call(Generic[T]):
    """One call, and the future of what comes of it."""

    __slots__ = ("_args", "_fn", "_inner", "_kwargs", "future")

    def __init__(
        self,
        base: EventBase,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.future: Future[T] = Future(base, self._on_cancel)
        self._fn = fn
        self._args = args
        self._kwargs = kwargs
        self._inner: Future[T] | None = None

    def run(self) -> None:
        if self.future.done():
            return  # cancelled before it began
        try:
            result = self._fn(*self._args, **self._kwargs)
        except BaseException as error:  # SystemExit, too, is the caller's
            self.future.set_exception(error)
        else:
            self._take(result)
        finally:
            del self  # the traceback holds this frame, which must not hold the future

    def _take(self, result: Any) -> None:
        if isinstance(result, Future):
            self._inner = result
            result.add_done_callback(self._on_done)
        else:
            self.future.set_result(result)

    def _on_done(self, inner: Future[T]) -> None:
        if inner.cancelled():
            self.future.cancel()
            return
        error = inner.exception()
        if error is None:
            self.future.set_result(inner.result())
        else:
            self.future.set_exception(error)

    def _on_cancel(self, future: Future[T]) -> None:  # noqa: ARG002 - a callback
        if self._inner is not None:
            self._inner.cancel()
