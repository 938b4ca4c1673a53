"""What the end of one attempt at a call means for the call: whether that is all, or it may go to another server.

A decider: two questions about an error. It knows nothing of servers and of how many attempts there may be.
"""

from typing import Final

from evkit.rpc.errors import OVERLOADED, CallLost, CallTimeout, Overloaded, RemoteCallError, RPCError

ANSWERED: Final = 0
"""There is nothing to repeat: the peer has answered, time is over, or this program has stopped it."""
UNSENT: Final = 1
"""No byte of it was sent: it can go elsewhere, whatever it does."""
UNKNOWN: Final = 2
"""It may have been served, or it was refused for now: it can go elsewhere if it can be done twice."""


def fate(error: RPCError | None) -> int:
    """Return which of the above an attempt that ended with ``error`` has come to.

    Source: gRPC's proposal A6, "transparent retries", for what was never sent.
    """
    if isinstance(error, CallLost):
        return UNKNOWN if error.sent else UNSENT
    if isinstance(error, Overloaded):
        return UNSENT
    if isinstance(error, RemoteCallError) and error.code == OVERLOADED:
        return UNKNOWN  # the number is evkit's; another peer's may mean anything
    return ANSWERED


def blames_server(error: RPCError | None) -> bool:
    """Return whether a server that ends calls like that is better left alone for a while.

    A connection that was lost is its own matter: it counts once, however many calls it had.
    """
    return isinstance(error, CallTimeout) or (isinstance(error, RemoteCallError) and error.code == OVERLOADED)
