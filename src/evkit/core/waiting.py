"""Waiting for a future: in the base's own thread that runs the base, in any other it waits until the loop has come by.

It decides when a wait is over, who may not wait at all, and that nothing of it stays behind in the base or the future.
It knows nothing of what the future will hold.
"""

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evkit.core.event import Event
from evkit.core.timers import NEVER
from evkit.errors import LoopError

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.core.future import Future

LOOK_AGAIN: Final = 1.0
"""Seconds after which a thread that waits looks by itself: a base that was closed or left has nobody to wake it."""

_INSIDE: Final = (
    "result() of {!r} was called inside the loop that is to bring it, which would wait for itself: "
    "use add_done_callback(), or await it in a task"
)
_NOTHING_LEFT: Final = (
    "{!r} can never be done this way: nothing is left for the event base to wait for "
    "(what comes from another thread must hold the base by add_virtual())"
)
_STOPPED: Final = "the event base was stopped, by stop(), loopexit() or loopbreak(), before {!r} was done"
CLOSED: Final = "{!r} will never be done: its event base is closed"


def wait(base: "EventBase", future: "Future[Any]", timeout: float | None) -> None:
    """Return when ``future`` is done.

    Args:
        base: The loop that brings it.
        future: Pending, as far as the caller knows.
        timeout: Seconds ``>= 0``; ``None``: no limit.

    Raises:
        TimeoutError: It is still pending after ``timeout``.
        LoopError: It can't be waited for; see `Future.result`.
        ValueError: ``timeout`` is no time-out.
    """
    if timeout is not None and not 0 <= timeout < NEVER:
        raise ValueError(f"a time-out is a number of seconds >= 0, got {timeout!r}")
    if not base.in_thread():
        _wait_for_loop(base, future, timeout)
    elif base.looping:
        raise LoopError(_INSIDE.format(future))
    elif not base.closed:
        _Run(base, future).go(timeout)
    if base.closed and not future.done():  # in this order: nothing is done any more once it is closed
        raise LoopError(CLOSED.format(future))
    if not future.done():
        raise TimeoutError(f"{future!r} is not done after {timeout} s")


class _Run:
    """One run of the base for a caller that waits in its thread: ends the loop, and none but the one that it is for.

    Attributes:
        timed_out: Whether the time-out has passed.
        over: The caller waits no more: what may still be queued does nothing.
    """

    __slots__ = ("_base", "_future", "over", "timed_out")

    def __init__(self, base: "EventBase", future: "Future[Any]") -> None:
        self._base = base
        self._future = future
        self.timed_out = False
        self.over = False

    def go(self, timeout: float | None) -> None:
        timer = self._base.timer(self.on_timeout)
        try:
            self._future.add_done_callback(self.on_done)
            if timeout is not None:
                timer.add(timeout)
            stopped = self._base.loop()
        finally:
            self.over = True
            timer.free()
            self._future.remove_done_callback(self.on_done)
        if not (self._future.done() or self.timed_out):
            raise LoopError((_STOPPED if stopped else _NOTHING_LEFT).format(self._future))

    def on_done(self, future: "Future[Any]") -> None:  # noqa: ARG002 - a callback
        if not self.over:
            self._base.loopbreak()

    def on_timeout(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self.timed_out = True
        if not self._future.done():  # else `on_done` is queued, behind the callbacks that were added before
            self._base.loopbreak()


def _wait_for_loop(base: "EventBase", future: "Future[Any]", timeout: float | None) -> None:
    arrival = _Arrival()
    deadline = NEVER if timeout is None else time.monotonic() + timeout
    try:  # around the first call, too: a Ctrl-C may come right after it
        base.waiting.add(arrival.came)
        with suppress(LoopError):  # it is closed
            base.call_soon_threadsafe(future.add_done_callback, arrival.on_done)
        while not (future.done() or base.closed) and time.monotonic() < deadline:
            arrival.wait(deadline)
    finally:
        base.waiting.discard(arrival.came)
        if not future.done():  # leave no callback behind in it
            with suppress(LoopError):
                base.call_soon_threadsafe(future.remove_done_callback, arrival.on_done)


class _Arrival:
    """What a thread waits for while the loop runs in another.

    Attributes:
        came: The result is there, or the base is closed.
    """

    __slots__ = ("came",)

    def __init__(self) -> None:
        self.came = threading.Event()

    def on_done(self, future: "Future[Any]") -> None:  # noqa: ARG002 - a callback
        self.came.set()

    def wait(self, deadline: float) -> None:
        """Return when it came, or the base is closed; at the latest after `LOOK_AGAIN` seconds."""
        self.came.wait(min(LOOK_AGAIN, max(0.0, deadline - time.monotonic())))
