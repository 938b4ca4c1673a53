"""Which event bases a child process makes anew by itself. How is the business of ``Loop.reinit``.

One handler for all of them, as the interpreter forgets none. A base is known by a weak reference, since the wish to be
made anew must not keep alive what the program has dropped.
"""

import os
from typing import Final, Protocol
from weakref import WeakSet

from evkit.core.log import LOG_ERR, log


class Forkable(Protocol):
    """What can be made anew: an event base."""

    closed: bool

    def reinit(self) -> None:
        """Share nothing with the parent any more."""


_BASES: Final[WeakSet[Forkable]] = WeakSet()


def reinit_after_fork(base: Forkable) -> None:
    """Call ``base.reinit()`` in each child process of this one, before `os.fork` returns there."""
    _BASES.add(base)


def _on_fork() -> None:
    for base in tuple(_BASES):
        if not base.closed:
            _reinit(base)


def _reinit(base: Forkable) -> None:
    try:
        base.reinit()
    except Exception as error:  # which must not keep the others from theirs
        log(LOG_ERR, f"{base!r} could not be made anew after a fork: {error}")


os.register_at_fork(after_in_child=_on_fork)
