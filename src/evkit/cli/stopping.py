"""How a server that runs in a terminal ends: gracefully at the first signal, at once at the second.

The signals are caught here and not by `EventBase.signal`, whose callbacks wait for the loop: a handler that never
returns could not be stopped from the keyboard then.
"""

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Final, Protocol, Self

from evkit import EventBase
from evkit.cli.terminal import say

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Stoppable(Protocol):
    """A server, of whatever protocol."""

    @property
    def base(self) -> EventBase:
        """Its event base."""

    def stop(self, grace: float | None, stopped: Callable[[], object], *, drain: float = 0.0) -> object:
        """Stop gracefully; see `evkit.http.Server.stop`."""


class Ending:
    """The end of a server, in its two steps.

    Args:
        server: Listens already.
        grace: Seconds that replies under way may take; ``None``: as long as they do.
    """

    __slots__ = ("_closing", "_cut_short", "_grace", "_server")

    def __init__(self, server: Stoppable, grace: float | None) -> None:
        self._server = server
        self._grace = grace
        self._closing = False  # the listeners are being closed: that must not be left half done
        self._cut_short = False  # the second step came meanwhile

    def begin(self, drain: float = 0.0) -> None:
        """Stop the server gracefully, and leave its loop then. For signal handlers, too.

        Args:
            drain: Seconds in which clients may send one request more; see `Server.stop`.
        """
        self._server.base.call_soon_threadsafe(self._stop, drain)

    def cut_short(self) -> None:
        """Leave the loop at once, whatever it is at; to be called from a signal handler.

        Raises:
            KeyboardInterrupt: In the loop, as soon as that does no harm.
        """
        if not self._closing:
            raise KeyboardInterrupt
        self._cut_short = True

    def _stop(self, drain: float) -> None:
        self._closing = True
        self._server.stop(self._grace, self._server.base.loopexit, drain=drain)
        self._closing = False
        if self._cut_short:
            raise KeyboardInterrupt


class Stopper:
    """Runs a server until a signal; a context manager that gives the handlers of before back.

    Args:
        server: Listens already.
        grace: Seconds that replies under way may take after the first signal; ``None``: as long as they do.
    """

    __slots__ = ("_ending", "_grace", "_previous", "_server", "_signum")

    def __init__(self, server: Stoppable, grace: float | None) -> None:
        self._server = server
        self._grace = grace
        self._ending = Ending(server, grace)
        self._signum = 0  # the last that came
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
        if again:
            self._ending.cut_short()
            return
        time = "all the time they need" if self._grace is None else f"{self._grace:g} s"
        say(f"evkit: stopping; replies under way have {time} (once more stops at once)")
        self._ending.begin()
