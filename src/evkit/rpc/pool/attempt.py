"""`Attempt`: what one member of a pool has in its hands of a call.

It decides who hears of its end: the call, which is another `Pending` and outlives it.
"""

from typing import TYPE_CHECKING

from evkit.rpc.connection.pending import Pending, Timeout

if TYPE_CHECKING:
    from evkit.rpc.pool.call import PooledCall
    from evkit.rpc.pool.member import Member


class Attempt(Pending):
    """One attempt at a call.

    Args:
        call: The call.
        member: Who is about to get it.
        timeout: Seconds; see `DEFAULT`.

    Attributes:
        call: As given.
        member: As given.
        probe: Whether it tries a server that was left out.
    """

    __slots__ = ("call", "member", "probe")

    def __init__(self, call: "PooledCall", member: "Member", timeout: Timeout) -> None:
        super().__init__(call.pending.method, _tell_call, timeout, call.pending.metadata)
        self.call = call
        self.member = member
        self.probe = member.health.begin()


def _tell_call(pending: Pending) -> None:
    assert isinstance(pending, Attempt)
    pending.call.on_attempt(pending)
