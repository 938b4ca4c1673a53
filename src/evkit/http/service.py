"""What all connections of a server share: its rules, and the ears for what happens on them.

`Server` is for programs, this is for connections. It knows nothing of listening, of bytes, or of who is connected.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from evkit.core import EventBase
from evkit.http.date import DateLine
from evkit.http.errors import BadRequest
from evkit.http.message import Request
from evkit.http.parser import Engine, Limits, make_engine
from evkit.http.patience import Timeouts
from evkit.http.routes import Routes

if TYPE_CHECKING:
    from evkit.http.connection import ServerConnection


class Service:
    """The shared part.

    Attributes:
        routes: Handlers by path.
        timeouts: How long a client may take.
        date: The ``Date`` line.
        make_engine: Makes the parser of a connection.
        on_complete: ``on_complete(request)`` hears of each request that is over and was answered, if only in part.
        on_refused: ``on_refused(peer, error)`` hears of what was refused.
        forget: Called as ``forget(connection)`` when one has ended.

    Raises:
        ValueError: There is no such engine.
        ImportError: It is not installed.
    """

    __slots__ = ("_base", "date", "forget", "make_engine", "on_complete", "on_refused", "routes", "timeouts")

    def __init__(
        self,
        base: EventBase,
        routes: Routes,
        engine: str,
        limits: Limits,
        timeouts: Timeouts,
        forget: "Callable[[ServerConnection], object]",
    ) -> None:
        self._base = base
        self.routes = routes
        self.timeouts = timeouts
        self.date = DateLine(base)
        self.make_engine: Callable[[], Engine] = partial(make_engine, engine, limits, Request)
        self.make_engine()  # a wrong name is an error now and not with the first client
        self.on_complete: Callable[[Request], object] | None = None
        self.on_refused: Callable[[str, BadRequest], object] | None = None
        self.forget = forget

    def report(self, request: Request) -> None:
        """Tell that a request is over."""
        if self.on_complete is not None:
            try:
                self.on_complete(request)
            except Exception as exception:
                self._base.escaped(exception, self)

    def refused(self, peer: str, error: BadRequest) -> None:
        """Tell that what a client sent never became a request."""
        if self.on_refused is not None:
            try:
                self.on_refused(peer, error)
            except Exception as exception:
                self._base.escaped(exception, self)
