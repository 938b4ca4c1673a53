"""`PoolDispatcher`: brings the calls of a pool and its members together.

It decides when calls that wait are tried again, and passes on what calls and members have to tell each other. Who gets
a call is decided by `Members`, whether it is repeated by `RetryRule`, who goes first by `WaitingCalls`.
"""

from collections.abc import Collection
from random import random
from typing import TYPE_CHECKING

from evkit.rpc.connection.pending import FuturePending
from evkit.rpc.errors import CallTimeout, ClientClosed, RPCError
from evkit.rpc.pool.call import POOL_CLOSED, PooledCall
from evkit.rpc.pool.member import Member
from evkit.rpc.pool.members import Members
from evkit.rpc.pool.retries import RetryRule
from evkit.rpc.pool.waiting import WaitingCalls

if TYPE_CHECKING:
    from evkit.core.base import EventBase


class PoolDispatcher:
    """What stands behind the `Dispatcher` of each call.

    Args:
        base: The event base.
        members: Who gets the calls; it is told here of whom it tells when somebody is free.
        rule: What may be repeated.
        max_queue: How many calls may wait for a server; ``None``: any number.

    Attributes:
        base: As given.
        closed: Whether no call goes anywhere any more.
        waiting: The calls that no server has.

    Raises:
        ValueError: ``max_queue`` is out of range.
    """

    __slots__ = ("_flush_soon", "_members", "_rule", "base", "closed", "waiting")

    def __init__(self, base: "EventBase", members: Members, rule: RetryRule, max_queue: int | None) -> None:
        self.base = base
        self.closed = False
        self.waiting: WaitingCalls[PooledCall] = WaitingCalls(max_queue)
        self._members = members
        self._rule = rule
        self._flush_soon = base.deferred(self._flush)
        members.on_free = self._on_free

    def __repr__(self) -> str:
        return f"<PoolDispatcher {'closed' if self.closed else 'open'} {self._members!r} {self.waiting!r}>"

    def close(self) -> None:
        """Close all members; all calls fail with `ClientClosed`. Harmless when it is closed."""
        if self.closed:
            return
        self.closed = True
        self._flush_soon.cancel()
        self._members.close()
        for call in self.waiting.all():
            if call.pending.owner is call:  # else what an earlier one has called did away with it
                call.finish(ClientClosed(POOL_CLOSED))

    @property
    def why(self) -> BaseException | None:
        """See `Members.why`."""
        return self._members.why

    # Who gets a call

    def pick_first(self) -> Member | None:
        """Return who gets a new call at once; ``None``: nobody, or others come first."""
        return None if self.waiting.queued else self._members.pick(())

    def pick(self, avoid: Collection[Member]) -> Member | None:
        """See `Members.pick`."""
        return self._members.pick(avoid)

    def unusable(self, member: Member) -> None:
        """See `Members.unusable`."""
        self._members.unusable(member)

    # What may be repeated

    def pause(self, repeats: int) -> float | None:
        """See `RetryRule.pause`."""
        return self._rule.pause(repeats, self.base.now(), random())  # noqa: S311 - no secret

    def may_copy(self) -> bool:
        """See `RetryRule.may_copy`."""
        return self._rule.may_copy(self.base.now())

    # What members have

    def ended(self, member: Member, error: RPCError | None, *, probe: bool) -> None:
        """See `Members.ended`."""
        self._members.ended(member, error, probe=probe)

    def dropped(self, member: Member, *, probe: bool) -> None:
        """See `Members.dropped`."""
        self._members.dropped(member, probe=probe)

    def handed_over(self, pending: FuturePending, member: Member) -> None:
        """See `Dispatcher.handed_over`."""
        pending.future.add_done_callback(lambda _: self._on_stream_over(pending, member))

    def _on_stream_over(self, pending: FuturePending, member: Member) -> None:
        """Count what became of a stream; that one took too long says nothing, it may have gone on all the time."""
        if pending.future.cancelled() or isinstance(pending.error, CallTimeout):
            self._members.dropped(member, probe=False)
        else:
            self._members.ended(member, pending.error, probe=False)

    # Calls that wait

    def wait(self, call: PooledCall) -> None:
        """See `WaitingCalls.add`."""
        self.waiting.add(call)

    def rest(self, call: PooledCall) -> None:
        """See `WaitingCalls.rest`."""
        self.waiting.rest(call)

    def forget(self, call: PooledCall) -> None:
        """See `WaitingCalls.discard`."""
        self.waiting.discard(call)

    def _on_free(self) -> None:
        if self.waiting.queued and not self.closed:
            self._flush_soon.schedule()

    def _flush(self) -> None:
        """Let calls go that wait, the oldest first, while there is somebody to get them."""
        for _ in range(self.waiting.queued):  # not those that come back meanwhile
            member = None if self.closed else self._members.pick(())
            call = None if member is None else self.waiting.take()
            if member is None or call is None:
                return
            call.go_to(member)
