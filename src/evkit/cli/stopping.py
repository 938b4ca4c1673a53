"""How a server that runs in a terminal ends: gracefully at the first signal, at once at the second.

The signals are caught here and not by `EventBase.signal`, whose callbacks wait for the loop: a handler that never
returns could not be stopped from the keyboard then.
"""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Self

from evkit.cli.terminal import say
from evkit.http import Server

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stopper:
    """Runs a server until a signal; a context manager that gives the handlers of before back.

    Args:
        server: Listens already.
        grace: Seconds that replies under way may take after the first signal; ``None``: as long as they do.
    """

    __slots__ = ("_closing", "_cut_short", "_grace", "_previous", "_server", "_signum")

    def __init__(self, server: Server, grace: float | None) -> None:
        self._server = server
        self._grace = grace
        self._signum = 0  # the last that came
        self._closing = False  # the listeners are being closed: that must not be left half done
        self._cut_short = False  # the second signal came meanwhile
        self._previous: list[tuple[int, Callable[[int, FrameType | None], Any] | int | None]] = []

    def __repr__(self) -> str:
        return f"<Stopper {'stopping' if self._signum else 'running'} grace={self._grace}>"

    def __enter__(self) -> Self:
        self._previous = [(number, signal.signal(number, self._on_signal)) for number in _SIGNALS]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, previous in self._previous:
            signal.signal(number, previous)

    def run(self) -> int:
        """Run the loop until the server has stopped; return the exit status."""
        try:
            self._server.base.dispatch()
        except KeyboardInterrupt:
            return 128 + self._signum
        return 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        again, self._signum = self._signum, number
        if again and self._closing:
            self._cut_short = True
            return
        if again:
            raise KeyboardInterrupt
        time = "all the time they need" if self._grace is None else f"{self._grace:g} s"
        say(f"evkit: stopping; replies under way have {time} (once more stops at once)")
        self._server.base.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        self._closing = True
        self._server.stop(self._grace, self._server.base.loopexit)
        self._closing = False
        if self._cut_short:
            raise KeyboardInterrupt
