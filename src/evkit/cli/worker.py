"""A worker: a process that serves, and does what its supervisor says.

Up the channel goes a byte when the worker is ready, when it has served enough, and when it leaves because somebody
else has told it to; down comes one when it is to leave its clients to its successor. The end of the channel is the end
of the supervisor. What must reach a worker whatever it is at comes as a signal. Knows nothing of other workers.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterable
from importlib import invalidate_caches
from types import FrameType, TracebackType
from typing import Final, Self

from evkit import EV_PERSIST, EV_READ, Event
from evkit.cli.entrance import Entrance
from evkit.cli.listening import accept
from evkit.cli.stopping import Ending
from evkit.cli.terminal import say
from evkit.http import Handler, Request, Server

READY: Final = b"r"
WEARY: Final = b"w"
LEAVING: Final = b"l"
DRAIN: Final = b"d"

STOP_SIGNAL: Final = signal.SIGTERM
"""Finish the replies under way, and go. Coming twice it means no more than once: a service manager sends it to the
supervisor and to the workers, and the supervisor passes it on."""
CUT_SIGNAL: Final = signal.SIGQUIT
"""Go at once; to a worker that is not at work yet, it is what Ctrl-C is."""
LONGEST_DRAIN: Final = 5.0
"""Seconds that a client which has nothing to ask for may hold up a worker that has a successor, and half of the grace
at most: uvicorn keeps no idle client for longer at all."""
_FOR_THE_SUPERVISOR: Final = (signal.SIGINT, signal.SIGHUP)
"""Signals that a terminal sends to all processes: the supervisor decides what they mean."""
BLOCKED: Final = frozenset({STOP_SIGNAL, CUT_SIGNAL, *_FOR_THE_SUPERVISOR})
"""Signals that must not come between the fork and `begin`."""


class Post:
    """What a worker is given to work with; a context manager that closes it.

    Args:
        sockets: Where to accept connections. They are bound, and others hold them, too.
        channel: To its supervisor.
    """

    __slots__ = ("channel", "sockets")

    def __init__(self, sockets: list[socket.socket], channel: socket.socket) -> None:
        self.sockets = sockets
        self.channel = channel

    def __repr__(self) -> str:
        return f"<Post sockets={self.sockets}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for sock in self.sockets:
            sock.close()
        self.channel.close()


def begin() -> None:
    """Make a forked process a worker: all signals mean what they mean for one, and modules are looked for anew."""
    _hear_nothing_of(_FOR_THE_SUPERVISOR)
    signal.signal(CUT_SIGNAL, signal.default_int_handler)  # it would write its memory to the disk otherwise
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
    invalidate_caches()


def _hear_nothing_of(numbers: Iterable[int]) -> None:
    """Let signals pass.

    By a function, and not by ``SIG_IGN``, which the programs that a handler starts would inherit; and Python complains
    of a signal that has come already when another one's handler has it ignored.
    """
    for number in numbers:
        signal.signal(number, _hear_nothing)


def _hear_nothing(number: int, frame: FrameType | None) -> None:
    """Do nothing."""


def _end() -> None:
    """Ignore what comes after the end: Python gives up its handlers before the process is at its own.

    Who does not come to it is killed: see `evkit.cli.supervision.LAST_WORDS`.
    """
    for number in BLOCKED:
        signal.signal(number, signal.SIG_IGN)


class Counted:
    """A handler that tells when it was called often enough; it can be called all the same.

    Args:
        handler: The handler.
        limit: How often.
        on_limit: Called once.
    """

    __slots__ = ("_handler", "_left", "_on_limit")

    def __init__(self, handler: Handler, limit: int, on_limit: Callable[[], object]) -> None:
        self._handler = handler
        self._left = limit
        self._on_limit = on_limit

    def __call__(self, request: Request) -> object:
        """Handle a request."""
        self._left -= 1
        if not self._left:
            self._on_limit()
        return self._handler(request)


class Duty:
    """Runs a server until the supervisor, or its end, ends it.

    Args:
        server: Is to listen on the sockets of ``post``.
        post: From the supervisor.
        grace: Seconds that replies under way may take at the end; ``None``: as long as they do.
        entrance: How clients come in; ``None``: plainly.

    Raises:
        Failure: It can't listen.
    """

    __slots__ = ("_channel", "_drain", "_ending", "_orders", "_server")

    def __init__(
        self, server: Server, post: Post, grace: float | None, entrance: Entrance | None = None
    ) -> None:
        way = entrance or Entrance()
        for sock in post.sockets:
            accept(server, sock, way)
        self._server = server
        self._channel = post.channel
        self._ending = Ending(server, grace)
        self._drain = LONGEST_DRAIN if grace is None else min(LONGEST_DRAIN, grace / 2)
        self._orders: Event = server.base.event(post.channel, EV_READ | EV_PERSIST, self._on_order)

    def __repr__(self) -> str:
        return f"<Duty {self._server!r} drain={self._drain:g}>"

    def run(self) -> int:
        """Serve; return the exit status."""
        try:
            signal.signal(STOP_SIGNAL, self._on_stop)
            signal.signal(CUT_SIGNAL, self._on_cut)
            self._orders.add()
            self._tell(READY)
            self._server.base.dispatch()
        except KeyboardInterrupt:
            return 128 + CUT_SIGNAL
        finally:
            _end()
            self._orders.free()
        return 0

    def weary(self) -> None:
        """Ask for a successor."""
        self._tell(WEARY)

    def _tell(self, word: bytes) -> None:
        try:
            self._channel.send(word)
        except OSError:
            pass  # the supervisor is dead, which the end of the channel tells

    def _on_order(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        try:
            word = self._channel.recv(1)
        except ConnectionResetError:  # it has died without reading what we told it
            word = b""
        if word == DRAIN:
            self._ending.begin(self._drain)
            return
        event.delete()
        say(f"evkit: worker {os.getpid()} stops, as nobody supervises it any more")
        self._ending.begin()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        self._tell(LEAVING)
        self._ending.begin()

    def _on_cut(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler
        _hear_nothing_of(BLOCKED)  # now, as what is raised may come out where nobody has thought of it
        self._ending.cut_short()
