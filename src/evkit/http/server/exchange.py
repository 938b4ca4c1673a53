"""What is under way on a connection, and what comes next: the order of requests and replies.

A decider: it holds the facts and reads, sends and closes nothing. `ServerConnection` asks it for the next step and
takes that.
"""

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evkit.http.server.body import BodyReader
    from evkit.http.server.request import Request

MAX_OUTPUT: Final = 262144
"""Bytes of replies to hold for a client that does not read them; then its next request waits."""


class Step(Enum):
    """What a connection does next."""

    HEAD = "read a head"
    BODY = "read the body"
    REQUEST = "wait for a request"
    REST_OF_HEAD = "wait for the rest of a head"
    REST_OF_BODY = "wait for the rest of a body"
    RECEIVER = "wait for the handler to want the body"
    REPLY = "wait for the reply"
    ROOM = "wait until the client has read"
    TURN = "wait for the turns of others"
    TAKEN = "leave the connection to who has taken it over"
    CLOSE = "give up what is under way, and close when all is sent"


# Looking a member up in its enumeration costs as much as three calls.
_HEAD: Final = Step.HEAD
_BODY: Final = Step.BODY
_REQUEST: Final = Step.REQUEST
_REST_OF_BODY: Final = Step.REST_OF_BODY
_RECEIVER: Final = Step.RECEIVER
_REPLY: Final = Step.REPLY
_ROOM: Final = Step.ROOM
_TURN: Final = Step.TURN
_CLOSE: Final = Step.CLOSE
_TAKEN: Final = Step.TAKEN


class Exchange:
    """The one request that is under way, and whether others may follow.

    Attributes:
        request: From its head until its reply is complete. Set by who has read the head, without a call, as it happens
            once a request.
        body: Reads the body of `request` until that is complete.
        persists: Whether a reply may say that the connection goes on.
        last: No request is read after the one under way.
        ended: The client sends nothing more.
        taken: What the connection carries from now on is no HTTP.

    Args:
        persists: Whether the server keeps connections alive at all.

    Source: RFC 9112 §9.3.
    """

    __slots__ = ("body", "ended", "last", "persists", "request", "taken")

    def __init__(self, *, persists: bool) -> None:
        self.request: Request | None = None
        self.body: BodyReader | None = None
        self.persists = persists
        self.last = False
        self.ended = False
        self.taken = False

    def next_step(self, waiting: int, unsent: int, turns: int) -> Step:
        """Decide what comes next.

        Args:
            waiting: Bytes that have come and are not read.
            unsent: Bytes of replies that the client has not taken.
            turns: How many more heads and bodies may be read before others get their turn.
        """
        if self.request is not None:
            return _REPLY if self.body is None else self._body_step(waiting)
        if self.last:
            return _TAKEN if self.taken else _CLOSE
        if not waiting:
            return _CLOSE if self.ended else _REQUEST
        if unsent > MAX_OUTPUT:
            return _ROOM
        return _HEAD if turns > 0 else _TURN

    def _body_step(self, waiting: int) -> Step:
        assert self.body is not None
        if not self.body.wanted:
            return _RECEIVER
        if waiting:
            return _BODY
        return _CLOSE if self.ended else _REST_OF_BODY

    def starve(self, waiting: int) -> Step:
        """Decide what comes next when what has come is less than could be read.

        Args:
            waiting: Bytes of a head or a body among it.
        """
        step = self.next_step(0, 0, 0)
        return Step.REST_OF_HEAD if waiting and step is _REQUEST else step

    def body_complete(self) -> None:
        """The body of the request has come to its end."""
        self.body = None

    def client_ended(self, waiting: int) -> None:
        """The client sends nothing more, and what it has sent but for ``waiting`` bytes was read."""
        self.ended = True
        if not waiting and self.body is None:
            self.end()

    def finish(self, *, keep_alive: bool) -> None:
        """The reply is complete. A body that is not will never be read: nobody knows where the next request begins."""
        self.request = None
        if self.body is not None or not keep_alive:
            self.body = None
            self.end()

    def end(self) -> None:
        """Read no request after the one under way."""
        self.last = True
        self.persists = False

    def take_over(self) -> None:
        """The request is answered, and what follows is no HTTP."""
        self.request = None
        self.taken = True
        self.end()

    def drop(self) -> "Request | None":
        """Give up what is under way, and return it."""
        request, self.request = self.request, None
        self.body = None
        self.end()
        return request
