"""`HookOwner`: what a server, a client and a pool have in common that have hooks.

It decides that connections are of a class of their own where there are hooks, chosen when a connection is made: those
without cost nothing. It knows nothing of what hooks do.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from evkit.rpc.connection.connection import Connection
from evkit.rpc.hooks.connection import HookedConnection
from evkit.rpc.hooks.hooks import Hook, Hooks


class HookOwner:
    """Who has hooks.

    Attributes:
        hooks: In their order; the same may belong to several.
    """

    __slots__ = ()

    hooks: Hooks

    def add_hook(self, kind: int, hook: Callable[[Any], int | None], *, frames: bool = False) -> Hook:
        """Have ``hook`` called for what comes in, or goes out, after those that were added before.

        A connection that is made while there are no hooks never has any; one that is made while there are none of
        frames never has any of those. So add them before you connect or listen.

        Args:
            kind: `INPUT` or `OUTPUT`.
            hook: ``hook(context)`` returns `CONTINUE`, or nothing, for the next hook; `TERMINATE`, to stop it; `PAUSE`,
                to go on when ``context.resume`` says so. What it raises goes to the base's exception handler, and
                counts as `TERMINATE`.
            frames: Call it with a `FrameContext`, for the bytes of each message, in order; to stop one ends the
                connection. Otherwise it is called with a `HookContext` for each request, response and notification,
                but those of the protocol's own, whose names begin with ``$/``; to stop one ends the call. To pause one
                holds up no other.

        Returns:
            What `remove_hook` takes.

        Raises:
            ValueError: No such kind.
            TypeError: ``hook`` can't be called.

        Source: ``evrpc_add_hook``.
        """
        return self.hooks.add(kind, hook, frames=frames)

    def remove_hook(self, hook: Hook) -> bool:
        """Call a hook no more, not even for what is under way; return whether it was there.

        Source: ``evrpc_remove_hook``.
        """
        return self.hooks.remove(hook)

    @property
    def connection_type(self) -> Callable[..., Connection]:
        """What makes a connection."""
        return partial(HookedConnection, self.hooks) if self.hooks else Connection
