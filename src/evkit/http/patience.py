"""How long a connection waits for its client, by what it waits for.

Holds the phase, sets the read time-out of the buffered connection to go with it, and keeps the one absolute deadline: a
head that trickles in restarts every other clock. What happens when time is up is the connection's business.
"""

from dataclasses import dataclass
from enum import Enum

from evkit.core import Event, SocketBufferEvent
from evkit.core.event import EventCallback


class Phase(Enum):
    """What the connection waits for."""

    FIRST_BYTE = "first byte"
    IDLE = "next request"
    HEAD = "head"
    BODY = "body"
    REPLY = "reply"
    """It is our turn, or the client's to take what was sent: reading has no limit."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a client may take, in seconds; ``None``: for ever.

    Attributes:
        first_byte: From the connection to the first byte; then it is closed without a word.
        header: From the first byte of a head to its end, however it trickles; then 408.
        body: Without a byte of a body that is due; then 408.
        write: Without the client taking a byte of a reply. And for a reply to a client that has ended its side, from
            then on: it may have gone, and only sending would tell.
        keep_alive: Between two requests; 0: every reply is the last. Longer than the 60 s after which proxies drop
            idle connections themselves: the side that sends requests should be the one that closes.
        linger: For the client to end its side, too, after the last reply; closing at once could cost it that reply.

    Raises:
        ValueError: A time-out is negative or not a number, or one but ``keep_alive`` and ``linger`` is 0.
    """

    first_byte: float | None = 10.0
    header: float | None = 20.0
    body: float | None = 30.0
    write: float | None = 30.0
    keep_alive: float | None = 75.0
    linger: float | None = 2.0

    def __post_init__(self) -> None:
        for name in ("first_byte", "header", "body", "write", "keep_alive", "linger"):
            seconds: float | None = getattr(self, name)
            lowest_is_fine = name in ("keep_alive", "linger")
            if seconds is not None and not (0 < seconds < float("inf") or (lowest_is_fine and seconds == 0)):
                raise ValueError(f"{name} must be a positive number of seconds or None, got {seconds!r}")


class Patience:
    """The time-outs of one connection.

    Attributes:
        phase: What is waited for.

    Args:
        bev: The connection.
        timeouts: The server's.
    """

    __slots__ = ("_bev", "_deadline", "_timeouts", "phase")

    def __init__(self, bev: SocketBufferEvent, timeouts: Timeouts) -> None:
        self._bev = bev
        self._timeouts = timeouts
        self._deadline: Event | None = None
        self.phase = Phase.FIRST_BYTE
        bev.set_timeouts(read=timeouts.first_byte, write=timeouts.write)

    def await_head(self, too_late: EventCallback) -> None:
        """Let the time-out of a head hold from now on, and call ``too_late`` when it is over."""
        self.enter(Phase.HEAD)
        if self._timeouts.header is not None:
            self._deadline = self._bev.base.timer(too_late)
            self._deadline.add(self._timeouts.header)

    def await_reply(self, too_late: EventCallback) -> None:
        """Let the time-out for writing limit how long a client that has ended waits for its reply."""
        self.enter(Phase.REPLY)
        if self._timeouts.write is not None:
            self._deadline = self._bev.base.timer(too_late)
            self._deadline.add(self._timeouts.write)

    def enter(self, phase: Phase) -> None:
        """Let the time-outs of ``phase`` hold from now on."""
        self.phase = phase
        self.free()
        timeouts = self._timeouts
        read = timeouts.keep_alive if phase is Phase.IDLE else timeouts.body if phase is Phase.BODY else None
        if self._bev.read_timeout != read:
            self._bev.set_timeouts(read=read, write=timeouts.write)

    def free(self) -> None:
        """Let go of the deadline."""
        if self._deadline is not None:
            self._deadline.free()
            self._deadline = None
