"""`PooledCall`: the way of one call through a pool: attempts, pauses, copies, and one end.

It decides nothing that can be decided without it: what an attempt's end means is `repeating`'s business, when a
copy is due `hedging`'s, and who gets an attempt the `Dispatcher`'s.
"""

from typing import TYPE_CHECKING, Any, Final

from evkit.core.log import LOG_DEBUG, log
from evkit.core.timers import NEVER
from evkit.rpc.connection.pending import FuturePending, Notice, Pending, Timeout, tell
from evkit.rpc.errors import CallLost, CallTimeout, ClientClosed, Overloaded, RPCError
from evkit.rpc.pool.attempt import Attempt
from evkit.rpc.pool.hedging import next_copy_after, next_look_after
from evkit.rpc.pool.repeating import ANSWERED, UNSENT, fate

if TYPE_CHECKING:
    from evkit.core.event import Event, EventCallback
    from evkit.rpc.pool.contract import Dispatcher
    from evkit.rpc.pool.member import Member

POOL_CLOSED: Final = "the pool was closed"


class PooledCall:
    """The way of one call.

    Args:
        pool: Who knows the members.
        pending: The call; whoever made it waits for this.
        params: What it is sent with.
        seconds: How long it may take in all; ``None``: no limit.
        idempotent: Whether it may be served more than once.
        hedge_after: Seconds without an answer after which a copy of it is sent; ``None``: never.
        whole: Whether a member gets the call itself, and no attempt at it: a stream, or a notification.

    Attributes:
        pending: As given.
        repeats: How often it was repeated.
    """

    __slots__ = (
        "_attempts",
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
        pool: "Dispatcher",
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
        self._hedge_after = NEVER if hedge_after is None else hedge_after
        self._whole = whole
        self._attempts: list[Attempt] = []
        self._tried: list[Member] = []
        self._last: RPCError | None = None  # why it is not over yet
        self._timer: Event | None = None  # of a pause, or of the next copy
        self.repeats = 0
        self.pending = pending
        pending.owner = self

    def __repr__(self) -> str:
        return f"<PooledCall of {self.pending!r} attempts={len(self._attempts)} repeats={self.repeats}>"

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
            RPCError: Nobody takes it, and waiting would not help.
        """
        try:
            self._place(member, timeout)
        except BaseException:
            self.pending.detach()
            raise

    def go_to(self, member: "Member") -> None:
        """Make an attempt with this member, or with another if it does not take it."""
        try:
            self._place(member, self._left())
        except RPCError as error:
            self.finish(error)
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
        self.pending.detach()  # from now on nobody can cancel it
        self._drop_all()
        self.pending.error = error
        self.pending.value = value
        tell(self._pool.base, self.pending)

    # Attempts

    def _place(self, member: "Member", timeout: Timeout) -> None:
        """Make an attempt with this member, or with the first of the others that does not refuse it; or wait.

        Raises:
            RPCError: Nobody takes it, and waiting would not help.
        """
        following: Member | None = member
        while following is not None:
            try:
                self._send(following, timeout)
            except RPCError as error:
                if self.pending.owner is not self:
                    return  # a hook has cancelled it
                self._hear_refusal(following, error)
                following = self._elsewhere(error)
                timeout = self._left()
            else:
                return
        self.wait()

    def _hear_refusal(self, member: "Member", error: RPCError) -> None:
        self._last = error
        if isinstance(error, CallLost):
            self._pool.unusable(member)

    def _elsewhere(self, error: RPCError) -> "Member | None":
        """Return who gets next what was not sent; ``None``: nobody can now.

        Args:
            error: Why it was not; raised, if that is all there is to say.
        """
        if self._pool.closed:
            raise ClientClosed(POOL_CLOSED) from error
        if fate(error) != UNSENT:
            raise error
        other = self._pool.pick(self._tried)
        if other is None and isinstance(error, Overloaded):
            raise error  # all of them are, and they have told for how many bytes
        return other or self._pool.pick(())

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
        if attempt not in self._attempts:
            attempt.cancel()  # a hook has cancelled the call before there was anything to take back
        elif self._hedge_after != NEVER:
            self._plan_copy()

    def _hand_over(self, member: "Member") -> None:
        """Let a member have the call itself: nothing that is sent is repeated then."""
        pending = self.pending
        if isinstance(pending, Notice):
            member.notify(pending.method, self._params)
            pending.detach()
            return
        assert isinstance(pending, FuturePending)
        member.load += 1
        try:
            member.begin(pending, self._params)
        except BaseException:
            self._pool.dropped(member, probe=False)
            raise
        self._pool.handed_over(pending, member)

    def on_attempt(self, attempt: Attempt) -> None:
        """Hear that an attempt has come to its end."""
        self._attempts.remove(attempt)
        error = attempt.error
        self._pool.ended(attempt.member, error, probe=attempt.probe)
        what = fate(error)
        if self.pending.owner is not self:
            pass  # that has ended a connection, and who heard of it has cancelled this
        elif self._pool.closed:
            self.finish(ClientClosed(POOL_CLOSED))
        elif what == ANSWERED:
            self.finish(self._in_full(error), attempt.value)
        elif self._attempts:  # one of the others may still be answered
            self._plan_copy()  # in place of this one
        elif error is not None:
            self._last = error
            self._free_timer()
            self._again(what, error)

    def _in_full(self, error: RPCError | None) -> RPCError | None:
        """Tell of all the time that there was, and not only of that of the last attempt."""
        if isinstance(error, CallTimeout) and self._seconds is not None and error.timeout != self._seconds:
            return self._too_late(self._last)
        return error

    def _again(self, what: int, error: RPCError) -> None:
        """Go elsewhere with what was not sent; repeat what was, if that may be, after a pause."""
        if what == UNSENT:
            self._go_elsewhere(error)
            return
        pause = self._pool.pause(self.repeats) if self._idempotent else None
        if pause is None:
            self.finish(error)
            return
        self.repeats += 1
        self._limit()
        self._pool.rest(self)
        self._set_timer(pause, self._on_rested)

    def _go_elsewhere(self, error: RPCError) -> None:
        try:
            self._go_on(self._elsewhere(error))
        except RPCError as final:
            self.finish(final)

    def _go_on(self, member: "Member | None") -> None:
        if member is None:
            self.wait()
        else:
            self.go_to(member)

    def _on_rested(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        self._pool.forget(self)
        self._go_on(self._pool.pick(self._tried) or self._pool.pick(()))

    def _drop(self, attempt: Attempt) -> None:
        if attempt not in self._attempts:
            return  # a hook has cancelled the call while it was being sent
        self._attempts.remove(attempt)
        attempt.cancel()
        if attempt.error is None:
            self._pool.dropped(attempt.member, probe=attempt.probe)
        else:
            self._pool.ended(attempt.member, attempt.error, probe=attempt.probe)

    def _drop_all(self) -> None:
        while self._attempts:
            self._drop(self._attempts[-1])
        self._free_timer()
        self._pool.forget(self)

    # Copies

    def _plan_copy(self) -> None:
        self._copy_after(next_copy_after(self._hedge_after, len(self._attempts), self._seconds_left()))

    def _look_again(self) -> None:
        """Try later what could not be copied now."""
        self._copy_after(next_look_after(self._hedge_after, self._seconds_left()))

    def _copy_after(self, seconds: float | None) -> None:
        if seconds is not None:
            self._set_timer(seconds, self._on_slow)

    def _on_slow(self, event: "Event", what: int) -> None:  # noqa: ARG002 - a callback
        member = self._another_server()
        if member is None or not self._pool.may_copy():
            self._look_again()
            return
        try:
            self._send(member, self._left())
        except RPCError as error:  # the copy is none; the first attempt may still be answered
            if self.pending.owner is self:
                self._hear_refusal(member, error)
                self._look_again()
        except Exception as error:  # the parameters were changed
            log(LOG_DEBUG, f"rpc: no copy of {self.pending.method} was sent: {error}")

    def _another_server(self) -> "Member | None":
        """Return who can get a copy: its server is none of those that have the call now."""
        places = [attempt.member.place for attempt in self._attempts]
        member = self._pool.pick(self._tried) or self._pool.pick([one.member for one in self._attempts])
        return None if member is None or member.place in places else member

    # Time

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - self._pool.base.now())

    def _seconds_left(self) -> float:
        left = self._left()
        return NEVER if left is None else left

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
        self._free_timer()
        self._timer = self._pool.base.timer(callback)
        self._timer.add(seconds)

    def _free_timer(self) -> None:
        if self._timer is not None:
            self._timer.free()
            self._timer = None
