"""`Dispatcher`: what a call on its way knows of its pool.

The seam between one call and all that it shares with others; `evkit.rpc.pool.dispatcher` has what stands behind it.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from evkit.core.base import EventBase
    from evkit.rpc.connection.pending import FuturePending
    from evkit.rpc.errors import RPCError
    from evkit.rpc.pool.call import PooledCall
    from evkit.rpc.pool.member import Member


class Dispatcher(Protocol):
    """Who knows the members, and what waits for them."""

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

    def wait(self, call: "PooledCall") -> object:
        """Call `PooledCall.go_to` when somebody can get an attempt; harmless when it waits already."""

    def forget(self, call: "PooledCall") -> object:
        """Don't call it any more; harmless when it does not wait."""

    def pause(self, repeats: int) -> float | None:
        """Return how many seconds to wait before a call is repeated that was repeated so often; ``None``: it is not."""

    def rest(self, call: "PooledCall") -> object:
        """Hear that it waits by itself."""

    def may_copy(self) -> bool:
        """Return whether another copy of a call may be sent."""

    def unusable(self, member: "Member") -> object:
        """Hear that a member takes nothing, though it has a connection."""

    def ended(self, member: "Member", error: "RPCError | None", *, probe: bool) -> object:
        """Hear how a member has ended what it had of a call; see `Members.ended`."""

    def dropped(self, member: "Member", *, probe: bool) -> object:
        """Hear that what a member had of a call was taken away from it."""

    def handed_over(self, pending: "FuturePending", member: "Member") -> object:
        """Hear that a member has a call itself, and see what becomes of it."""
