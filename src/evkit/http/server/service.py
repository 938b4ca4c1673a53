"""What all connections of a server share: its rules, and the ears for what happens on them.

`Server` is for programs, this is for connections. It knows nothing of listening, of bytes, or of who is connected.
"""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from evkit.core import EventBase
from evkit.http.errors import BadRequest
from evkit.http.fields import encode_line
from evkit.http.parser import Engine, Limits, make_engine
from evkit.http.proxies.forwarded import Proxies
from evkit.http.server.date_line import DateLine
from evkit.http.server.door import Body
from evkit.http.server.patience import Timeouts
from evkit.http.server.reply import plain_page
from evkit.http.server.request import Request, as_body
from evkit.http.server.routes import Route

if TYPE_CHECKING:
    from evkit.http.server.life import ConnectionLife


class Service:
    """The shared part.

    Attributes:
        plain: Routes by target, for requests that need no closer look.
        find: Returns the route of any other.
        timeouts: How long a client may take.
        proxies: Whom to believe who the client is; ``None``: nobody.
        max_requests: How many a connection may have; 0: any number.
        date: The ``Date`` line.
        make_engine: Makes the parser of a connection.
        on_request: ``on_request(request)`` may answer before any handler is asked.
        on_complete: ``on_complete(request)`` hears of each request that is over; status 0: nobody has answered it.
        on_refused: ``on_refused(peer, error)`` hears of what was refused.
        default_content_type: Of replies with a body that tell none; ``None``: they go without.
        make_error_page: ``make_error_page(status, message)`` returns the page for an error, and its content type.
        forget: Called as ``forget(connection)`` when one has ended.

    Raises:
        ValueError: There is no such engine.
        ImportError: It is not installed.
    """

    __slots__ = (
        "_base",
        "date",
        "default_content_type",
        "find",
        "forget",
        "make_engine",
        "make_error_page",
        "max_requests",
        "on_complete",
        "on_refused",
        "on_request",
        "plain",
        "proxies",
        "timeouts",
    )

    def __init__(
        self,
        base: EventBase,
        find: Callable[[Request], Route],
        engine: str,
        limits: Limits,
        timeouts: Timeouts,
        max_requests: int | None,
        proxies: Proxies | None,
        forget: "Callable[[ConnectionLife], object]",
    ) -> None:
        self._base = base
        self.plain: dict[str, Route] = {}
        self.find = find
        self.timeouts = timeouts
        self.max_requests = max_requests or 0
        self.proxies = proxies
        self.date = DateLine(base)
        self.make_engine: Callable[[], Engine] = partial(make_engine, engine, limits, Request)
        self.make_engine()  # a wrong name is an error now and not with the first client
        self.on_request: Callable[[Request], object] | None = None
        self.default_content_type: str | None = None
        self.make_error_page: Callable[[int, str], tuple[Body, str]] | None = None
        self.on_complete: Callable[[Request], object] | None = None
        self.on_refused: Callable[[str, BadRequest], object] | None = None
        self.forget = forget

    def last_request_at(self) -> float:
        """Return when a connection that begins now has its last request, on the base's monotonic clock."""
        life = self.timeouts.life
        return inf if life is None else self._base.now() + life

    def error_page(self, status: int, message: str) -> tuple[Body, str]:
        """Return the page for an error, and its content type."""
        if self.make_error_page is not None:
            try:
                page, content_type = self.make_error_page(status, message)
                encode_line("Content-Type", content_type)
                return as_body(page), content_type  # found wrong now, not when a client has to go
            except Exception as exception:
                self._base.escaped(exception, self)
        return plain_page(status, message)

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
