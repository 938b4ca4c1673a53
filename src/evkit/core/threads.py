"""Threads that share event bases: the one call that asks for it."""

from evkit.core.locked import LockedEventBase
from evkit.core.locks import LOCKING, check_complete
from evkit.core.setup import SETUP


def use_threads() -> None:
    """Let any thread use any event base and its events. Call it before the first event base is made.

    A base locks from then on, unless it is made with ``BASE_NOLOCK``. That costs time with every event, so leave it
    where the program has one base for each thread, or where `EventBase.call_soon_threadsafe` will do. Buffers and
    connections belong to the thread of the loop all the same.

    Raises:
        LoopError: A base or a `LockedBuffer` was made already, or conditions were set without the locks they are for.
            To call it twice is fine.

    Source: ``evthread_use_pthreads``.
    """
    if LOCKING.base_type is None:
        SETUP.require_unused("use_threads()")
        check_complete(LOCKING.make_lock, LOCKING.make_condition)
        LOCKING.base_type = LockedEventBase
