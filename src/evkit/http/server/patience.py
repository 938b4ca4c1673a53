"""How long a connection waits for its client, by what it waits for.

Holds the phase, sets the read time-out of the buffered connection to go with it, and keeps the one deadline that no
trickle restarts: of a head, of a reply to a client that has ended, or of the next look at how fast a body comes. What
happens when time is up is the connection's business.
"""

from dataclasses import dataclass, fields
from enum import Enum
from typing import Final

from evkit.core import BufferEvent, Event
from evkit.core.event import EventCallback

_MAY_BE_ZERO: Final = frozenset({"keep_alive", "linger"})


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
        body_rate: Not seconds, but bytes a second: a body that has to be waited for may take as long as ``body``, and a
            second more for each so many bytes of it; then 408. What trickles in would keep a connection for ever. The
            number, and the rule, are those of Apache's ``mod_reqtimeout``.
        write: Without the client taking a byte of a reply. And for a reply to a client that has ended its side, from
            then on: it may have gone, and only sending would tell.
        handshake: From the connection to the end of a TLS handshake, or of a PROXY header; then it is closed.
        life: From the connection to its last request: the reply to one that comes later ends it. As nginx's
            ``keepalive_time``.
        keep_alive: Between two requests; 0: every reply is the last. Longer than the 60 s after which proxies drop
            idle connections themselves: the side that sends requests should be the one that closes.
        linger: For the client to end its side, too, after the last reply; closing at once could cost it that reply.

    Raises:
        ValueError: One is negative or not a number, or one but ``keep_alive`` and ``linger`` is 0.
    """

    first_byte: float | None = 10.0
    header: float | None = 20.0
    body: float | None = 30.0
    body_rate: float | None = 500.0
    write: float | None = 30.0
    keep_alive: float | None = 75.0
    handshake: float | None = 10.0
    life: float | None = 3600.0
    linger: float | None = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            name, given = field.name, getattr(self, field.name)
            if given is not None and not (0 < given < float("inf") or (name in _MAY_BE_ZERO and given == 0)):
                unit = "bytes a second" if name == "body_rate" else "seconds"
                raise ValueError(f"{name} must be a positive number of {unit} or None, got {given!r}")


class Pace:
    """How fast a body comes, and how long it may still take.

    Args:
        now: When it is waited for first, in seconds on any clock.
        grace: Seconds that it may take whatever comes.
        rate: Bytes that buy one second more.
    """

    __slots__ = ("_due", "_rate")

    def __init__(self, now: float, grace: float, rate: float) -> None:
        self._due = now + grace
        self._rate = rate

    def came(self, size: int) -> None:
        """Count bytes."""
        self._due += size / self._rate

    def hold(self, now: float) -> None:
        """Let no time pass until `go_on`: the body is held up, and not by its client."""
        self._due -= now

    def go_on(self, now: float) -> None:
        """Let time pass again."""
        self._due += now

    def left(self, now: float) -> float:
        """Return the seconds that are left; 0 or less: none."""
        return self._due - now


class Patience:
    """The time-outs of one connection.

    Attributes:
        phase: What is waited for.

    Args:
        bev: The connection.
        timeouts: The server's.
    """

    __slots__ = ("_bev", "_deadline", "_pace", "_timeouts", "phase")

    def __init__(self, bev: BufferEvent, timeouts: Timeouts) -> None:
        self._bev = bev
        self._timeouts = timeouts
        self._deadline: Event | None = None
        self._pace: Pace | None = None  # of a body that has to be waited for
        self.phase = Phase.FIRST_BYTE
        bev.set_timeouts(read=timeouts.first_byte, write=timeouts.write)

    def await_head(self, too_late: EventCallback) -> None:
        """Let the time-out of a head hold from now on, and call ``too_late`` when it is over."""
        self.enter(Phase.HEAD)
        if self._timeouts.header is not None:
            self._deadline = self._bev.base.timer(too_late)
            self._deadline.add(self._timeouts.header)

    def await_body(self, look: EventCallback) -> None:
        """Let a body have a pace from now on; ``look`` is to ask `body_is_slow` when it is time."""
        timeouts = self._timeouts
        if timeouts.body_rate is None or timeouts.body is None or self._deadline is not None:
            return
        base = self._bev.base
        now = base.now()
        if self._pace is None:
            self._pace = Pace(now, timeouts.body, timeouts.body_rate)
        self._deadline = base.timer(look)
        self._deadline.add(max(self._pace.left(now), 0.0))

    def body_came(self, size: int) -> None:
        """Count bytes of a body."""
        if self._pace is not None:
            self._pace.came(size)

    def body_is_slow(self) -> bool:
        """Return whether the body has taken longer than it may; if not, look again later."""
        left = 0.0 if self._pace is None else self._pace.left(self._bev.base.now())
        if left > 0 and self._deadline is not None:
            self._deadline.add(left)
            return False
        return True

    def await_reply(self, too_late: EventCallback) -> None:
        """Let the time-out for writing limit how long a client that has ended waits for its reply."""
        self.enter(Phase.REPLY)
        if self._timeouts.write is not None:
            self._deadline = self._bev.base.timer(too_late)
            self._deadline.add(self._timeouts.write)

    def enter(self, phase: Phase) -> None:
        """Let the time-outs of ``phase`` hold from now on."""
        former, self.phase = self.phase, phase
        pace = self._pace
        self.free()
        if pace is not None:
            self._keep(pace, former)
        timeouts = self._timeouts
        read = timeouts.keep_alive if phase is Phase.IDLE else timeouts.body if phase is Phase.BODY else None
        if self._bev.read_timeout != read:
            self._bev.set_timeouts(read=read, write=timeouts.write)

    def _keep(self, pace: Pace, former: Phase) -> None:
        """A handler that pauses a body and resumes it gives its client no time but that of the pause."""
        if self.phase not in (Phase.REPLY, Phase.BODY):
            return  # that body is complete
        self._pace = pace
        if self.phase is not former:
            now = self._bev.base.now()
            if former is Phase.BODY:
                pace.hold(now)
            else:
                pace.go_on(now)

    def await_last(self, seconds: float) -> None:
        """Wait so long for a request, if one has not begun to come."""
        if self.phase in (Phase.FIRST_BYTE, Phase.IDLE):
            read = self._bev.read_timeout
            self._bev.set_timeouts(
                read=seconds if read is None else min(read, seconds), write=self._timeouts.write
            )

    def free(self) -> None:
        """Let go of the deadline, and of what it is for."""
        self._pace = None
        if self._deadline is not None:
            self._deadline.free()
            self._deadline = None
