"""`Course`: the way of one call through a pool: attempts, pauses, copies, and one end.

It decides nothing that can be decided without it: what an attempt's end means is `evkit.rpc.repeating`'s business, when
a copy is due `evkit.rpc.hedging`'s, and who gets an attempt the pool's.
"""

from typing import TYPE_CHECKING, Any, Final, Protocol

from evkit.core.log import LOG_DEBUG, log
from evkit.core.timers import NEVER
from evkit.rpc.errors import CallLost, CallTimeout, ClientClosed, Overloaded, RPCError
from evkit.rpc.hedging import next_copy_after
from evkit.rpc.pending import Notice, Pending, Timeout, tell
from evkit.rpc.repeating import ANSWERED, UNSENT, fate

if TYPE_CHECKING:
    from collections.abc import Collection

    from evkit.core.base import EventBase
    from evkit.core.event import Event, EventCallback
    from evkit.rpc.member import Member

POOL_CLOSED: Final = "the pool was closed"


class Road(Protocol):
    """The pool, as a call sees it."""

    @property
    def base(self) -> "EventBase":
        """The event base."""

    @property
    def closed(self) -> bool:
        """Whether no call goes anywhere any more."""

    @property
    def why(self) -> BaseException | None:
        """Why no server can be reached, as far as that is known."""

    def pick(self, avoid: "Collection[Member]") -> "Member | None":
        """Return who gets an attempt now; ``None``: nobody can."""

    def wait(self, course: "Course") -> object:
        """Call `Course.go` when somebody can get an attempt; harmless when it waits already."""

    def forget(self, course: "Course") -> object:
        """Don't call it any more; harmless when it does not wait."""

    def pause(self, course: "Course") -> float | None:
        """Return how many seconds to wait before the call is repeated; ``None``: it is not to be."""

    def rest(self, course: "Course") -> object:
        """Hear that it waits by itself."""

    def may_copy(self) -> bool:
        """Return whether another copy of a call may be sent."""

    def unusable(self, member: "Member") -> object:
        """Hear that a member takes nothing, though it has a connection."""

    def ended(self, attempt: "Attempt") -> object:
        """Hear that an attempt was answered, or has failed."""

    def handed_over(self, pending: Pending, member: "Member") -> object:
        """Hear that a member has a call itself."""

    def dropped(self, attempt: "Attempt") -> object:
        """Hear that an attempt was given up."""


class Attempt(Pending):
    """One attempt at a call: what the client of a member has in its hands.

    Attributes:
        course: Of the call.
        member: Who has it.
        probe: Whether it tries a server that was left out.
    """

    __slots__ = ("course", "member", "probe")

    def __init__(self, course: "Course", member: "Member", timeout: Timeout) -> None:
        super().__init__(course.pending.method, _on_attempt, timeout, course.pending.metadata)
        self.course = course
        self.member = member
        self.probe = member.health.begin()


def _on_attempt(pending: Pending) -> None:
    assert isinstance(pending, Attempt)
    pending.course.on_attempt(pending)


class Course:
    """The way of one call.

    Args:
        pool: Who knows the servers.
        pending: The call; whoever made it waits for this.
        params: What it is sent with.
        seconds: How long it may take in all; ``None``: no limit.
        idempotent: Whether it may be served more than once.
        hedge_after: Seconds after which a copy of it is sent; ``None``: never.
        whole: Whether a member gets the call itself, and no attempt at it: a stream, or a notification.

    Attributes:
        pending: As given.
        repeats: How often it was repeated.
    """

    __slots__ = (
        "_attempts",
        "_copies",
        "_deadline",
        "_hedge_after",
        "_idempotent",
        "_last",
        "_params",
        "_pool",
        "_seconds",
        "_timer",
        "_tried",
        "_whole",
        "pending",
        "repeats",
    )

    def __init__(
        self,
        pool: Road,
        pending: Pending,
        params: list[Any],
        seconds: float | None,
        *,
        idempotent: bool = False,
        hedge_after: float | None = None,
        whole: bool = False,
    ) -> None:
        self._pool = pool
        self._params = params
        self._seconds = seconds
        self._deadline = None if seconds is None else pool.base.now() + seconds
        self._idempotent = idempotent
        self._hedge_after = hedge_after
        self._whole = whole
        self._attempts: list[Attempt] = []
        self._tried: list[Member] = []
        self._copies = 0
        self._last: RPCError | None = None  # why it is not over yet
        self._timer: Event | None = None  # of a pause, or of the next copy
        self.repeats = 0
        self.pending = pending
        pending.owner = self

    def __repr__(self) -> str:
        return f"<Course of {self.pending!r} attempts={len(self._attempts)} repeats={self.repeats}>"

    # For its pending

    def abandon(self, pending: Pending) -> None:  # noqa: ARG002 - the contract's
        """See `Owner.abandon`."""
        self._drop_all()

    def late(self, pending: Pending, seconds: float) -> None:  # noqa: ARG002 - as above
        """See `Owner.late`."""
        error = self._too_late(self._last or (None if self._attempts else self._pool.why))
        for attempt in self._attempts:
            attempt.error = error  # which is told of who has it
        self.finish(error)

    # For the pool

    def begin(self, member: "Member", timeout: Timeout) -> None:
        """Make the first attempt.

        Args:
            member: Who gets it.
            timeout: `DEFAULT`, if the member's client has the same for it, or seconds.

        Raises:
            TypeError, ValueError, OverflowError: Something among the parameters can't be sent.
        """
        try:
            self._place(member, timeout)
        except BaseException:
            self.pending.detach()
            raise

    def go(self) -> None:
        """Make an attempt, or wait until somebody can get one."""
        member = self._pool.pick(self._tried) or self._pool.pick([])
        if member is None:
            self.wait()
            return
        try:
            self._place(member, self._left())
        except Exception as strange:  # the parameters were changed since the first attempt
            lost = CallLost(self.pending.method, sent=bool(self.repeats))
            lost.__cause__ = strange
            self.finish(lost)

    def wait(self) -> None:
        """Wait until somebody can get an attempt."""
        self._tried.clear()
        self._limit()
        self._pool.wait(self)

    def finish(self, error: RPCError | None, value: Any = None) -> None:
        """End it."""
        self._drop_all()
        self.pending.detach()
        self.pending.error = error
        self.pending.value = value
        tell(self._pool.base, self.pending)

    # Attempts

    def _place(self, member: "Member | None", timeout: Timeout) -> None:
        """Make an attempt with this member, or with the first of the others that does not refuse it at once."""
        while member is not None:
            try:
                self._send(member, timeout)
            except RPCError as error:
                self._last = error
                member = self._after_refusal(member, error)
                timeout = self._left()
            else:
                return

    def _after_refusal(self, member: "Member", error: RPCError) -> "Member | None":
        """Return who is next; ``None``: the call waits, or is over."""
        busy = isinstance(error, Overloaded)
        if fate(error) != UNSENT:
            self.finish(error)
            return None
        if not busy:
            self._pool.unusable(member)
        other = self._pool.pick(self._tried)
        if other is None and busy:
            self.finish(error)
        elif other is None:
            self.wait()
        return other

    def _send(self, member: "Member", timeout: Timeout) -> None:
        self._tried.append(member)
        if self._whole:
            self._hand_over(member)
            return
        attempt = Attempt(self, member, timeout)
        member.load += 1
        self._attempts.append(attempt)
        try:
            member.begin(attempt, self._params)
        except BaseException:
            self._drop(attempt)
            raise
        self._copies += 1
        if self._hedge_after is not None:
            self._plan_copy(self._hedge_after)

    def _hand_over(self, member: "Member") -> None:
        """Let a member have the call itself: nothing that is sent is repeated then."""
        if isinstance(self.pending, Notice):
            member.notify(self.pending.method, self._params)
            self.pending.detach()
        else:
            member.begin(self.pending, self._params)
            self._pool.handed_over(self.pending, member)

    def on_attempt(self, attempt: Attempt) -> None:
        """Hear that an attempt has come to its end."""
        self._attempts.remove(attempt)
        self._pool.ended(attempt)
        error = attempt.error
        what = fate(error)
        if self._pool.closed:
            self.finish(ClientClosed(POOL_CLOSED))
        elif what == ANSWERED:
            self.finish(self._in_full(error), attempt.value)
        elif not self._attempts:  # else one of the others may still be answered
            self._last = error
            self._again(what, error)

    def _in_full(self, error: RPCError | None) -> RPCError | None:
        """Tell of all the time that there was, and not only of that of the last attempt."""
        if isinstance(error, CallTimeout) and self._seconds is not None and error.timeout != self._seconds:
            return self._too_late(self._last)
        return error

    def _again(self, what: int, error: RPCError | None) -> None:
        """Go elsewhere with what was not sent; repeat what was, if that may be, after a pause."""
        if what == UNSENT:
            self.go()
            return
        pause = self._pool.pause(self) if self._idempotent else None
        if pause is None:
            self.finish(error)
            return
        self.repeats += 1
        self._limit()
        self._pool.rest(self)
        self._set_timer(pause, self._on_rested)

    def _on_rested(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        self._pool.forget(self)
        self.go()

    def _drop(self, attempt: Attempt) -> None:
        self._attempts.remove(attempt)
        attempt.cancel()
        if attempt.error is None:
            self._pool.dropped(attempt)
        else:
            self._pool.ended(attempt)

    def _drop_all(self) -> None:
        for attempt in tuple(self._attempts):
            self._drop(attempt)
        if self._timer is not None:
            self._timer.free()
            self._timer = None
        self._pool.forget(self)

    # Copies

    def _plan_copy(self, hedge_after: float) -> None:
        left = NEVER if self._deadline is None else self._deadline - self._pool.base.now()
        after = next_copy_after(hedge_after, self._copies, left)
        if after is not None:
            self._set_timer(after, self._on_slow)

    def _on_slow(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        member = self._pool.pick(self._tried)
        if member is None or not self._pool.may_copy():
            return
        try:
            self._send(member, self._left())
        except Exception as error:  # the copy is none; the first attempt may still be answered
            log(LOG_DEBUG, f"rpc: no copy of {self.pending.method} was sent: {error}")

    # Time

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - self._pool.base.now())

    def _limit(self) -> None:
        """Have it be late while nobody has it who would see to that."""
        left = self._left()
        if left is not None and self.pending.timer is None:
            self.pending.limit(self._pool.base, left)

    def _too_late(self, cause: BaseException | None) -> CallTimeout:
        error = CallTimeout(self.pending.method, self._seconds or 0.0)
        error.__cause__ = cause
        return error

    def _set_timer(self, seconds: float, callback: "EventCallback") -> None:
        if self._timer is not None:
            self._timer.free()
        self._timer = self._pool.base.timer(callback)
        self._timer.add(seconds)
