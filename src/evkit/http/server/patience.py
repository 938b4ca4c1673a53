"""How long a connection waits for its client, by what it waits for.

Holds the phase, sets the read time-out of the buffered connection to go with it, and keeps the one deadline that no
trickle restarts: of a head, of a reply to a client that has ended, or of the next look at how fast a body comes. How
fast a reply is taken `Uptake` watches. What happens when time is up is the connection's business.
"""

from dataclasses import dataclass, fields
from enum import Enum
from typing import Final

from evkit.core import BufferEvent, Event
from evkit.core.event import EventCallback
from evkit.http.server.pace import Pace
from evkit.http.server.uptake import Uptake

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
            second more for each so many bytes of it; then 408. No more than ``body`` seconds can be saved up. What
            trickles in would keep a connection for ever. The number, and the rule, are those of Apache's
            ``mod_reqtimeout``.
        write: Without the client taking a byte of a reply. And for a reply to a client that has ended its side, from
            then on: it may have gone, and only sending would tell.
        write_rate: As ``body_rate``, for replies: a client that has not taken all of them after ``write`` seconds may
            take as long again, and a second more for each so many bytes; then it is closed. Who reads a byte now and
            then would keep a thread or a generator for ever. Taken is what the system takes, which has room for some
            100 KiB, and asks for more in large pieces. Connections with rate limits of their own are let be.
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
    write_rate: float | None = 500.0
    keep_alive: float | None = 75.0
    handshake: float | None = 10.0
    life: float | None = 3600.0
    linger: float | None = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            name, given = field.name, getattr(self, field.name)
            if given is not None and not _is_limit(given, zero=name in _MAY_BE_ZERO):
                unit = "bytes a second" if name.endswith("_rate") else "seconds"
                raise ValueError(f"{name} must be a positive number of {unit} or None, got {given!r}")


def _is_limit(given: object, *, zero: bool) -> bool:
    return isinstance(given, int | float) and (0 < given < float("inf") or (zero and given == 0))


class Patience:
    """The time-outs of one connection.

    Attributes:
        phase: What is waited for.

    Args:
        bev: The connection.
        timeouts: The server's.
    """

    __slots__ = ("_bev", "_deadline", "_last", "_pace", "_timeouts", "_uptake", "phase")

    def __init__(self, bev: BufferEvent, timeouts: Timeouts) -> None:
        self._bev = bev
        self._timeouts = timeouts
        self._uptake: Uptake | None = None  # from the first reply on that takes its time
        self._deadline: Event | None = None
        self._last: float | None = None  # seconds in which the last request is to come
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
        self._forget()
        if pace is not None:
            self._keep(pace, former)
        if phase is Phase.REPLY:
            self._watch_uptake()
        elif self._uptake is not None:
            self._uptake.more = False
        timeouts = self._timeouts
        read = None
        if phase is Phase.IDLE:
            read = timeouts.keep_alive if self._last is None else self._last
        elif phase is Phase.BODY:
            read = timeouts.body
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

    @property
    def ending(self) -> bool:
        """Whether there is to be one request more, at most."""
        return self._last is not None

    def await_last(self, seconds: float) -> None:
        """Wait so long for the last request: if none has begun to come, now, and after the reply to one that has.

        Args:
            seconds: 0: it is there with the next poll, which who asks for this looks for himself.
        """
        keep_alive = self._timeouts.keep_alive
        self._last = seconds if keep_alive is None else min(seconds, keep_alive)
        if seconds and self.phase in (Phase.FIRST_BYTE, Phase.IDLE):
            read = self._bev.read_timeout
            self._bev.set_timeouts(
                read=seconds if read is None else min(read, seconds), write=self._timeouts.write
            )

    def await_end(self) -> None:
        """Watch no more but how the last reply is taken."""
        self._forget()
        self._watch_uptake()

    def _watch_uptake(self) -> None:
        """A reply that takes its time may be one that its client is slow to take: `Uptake` will see."""
        if self._uptake is None:
            timeouts = self._timeouts
            if timeouts.write is None or timeouts.write_rate is None:
                return
            self._uptake = Uptake(self._bev, timeouts.write, timeouts.write_rate)
        self._uptake.watch()

    def _forget(self) -> None:
        """Let go of the deadline, and of what it is for."""
        self._pace = None
        if self._deadline is not None:
            self._deadline.free()
            self._deadline = None

    def free(self) -> None:
        """Wait for nothing any more."""
        self._forget()
        if self._uptake is not None:
            self._uptake.free()
            self._uptake = None
