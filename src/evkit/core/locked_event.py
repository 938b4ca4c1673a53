"""Events and callbacks of a base that locks: any thread may add, delete and activate them.

Each public method takes the lock of the base, and wakes the loop if it has to know. ``run`` is called with the lock
held, once, and gives it up for as long as the user's callback runs.
"""

from typing import TYPE_CHECKING, Final, cast

from evkit.core.debug import DebugDeferred, DebugEvent, DebugSignalEvent, trace
from evkit.core.event import INSERTED, Deferred, Event, FinalizeCallback, QueueEntry, SignalEvent
from evkit.core.flags import EV_FINALIZE, EV_PERSIST, EV_TIMEOUT
from evkit.core.timers import NEVER, CommonTimeout

if TYPE_CHECKING:
    from evkit.core.locked import LockedEventBase


def _base_of(entry: QueueEntry) -> "LockedEventBase":
    return cast("LockedEventBase", entry.base)  # nobody else makes such entries


class LockedEvent(Event):
    """An `Event` that any thread may use."""

    __slots__ = ()

    def add(self, timeout: float | CommonTimeout | None = None) -> None:
        """See `Event.add`; wakes the loop for a descriptor, and for a deadline before all others."""
        base = _base_of(self)
        with base.lock:
            before = base.timers.heap.first_deadline()
            was_inserted = self.flags & INSERTED
            super().add(timeout)
            if self.flags & INSERTED != was_inserted or base.timers.heap.first_deadline() < before:
                base.notify()

    def delete(self) -> None:
        """See `Event.delete`; waits for a callback that runs in another thread, unless it has ``EV_FINALIZE``."""
        self._delete(block=not self.events & EV_FINALIZE)

    def delete_block(self) -> None:
        """See `Event.delete_block`."""
        self._delete(block=True)

    def delete_noblock(self) -> None:
        """See `Event.delete_noblock`."""
        self._delete(block=False)

    def _delete(self, *, block: bool) -> None:
        base = _base_of(self)
        with base.lock:
            concerns_loop = (
                self.flags & INSERTED or self.deadline == base.timers.heap.first_deadline() != NEVER
            )
            had = base.tally.added
            super().delete()
            if concerns_loop or (had and not base.tally.added):
                base.notify()
            if block and base.wait_for(self):
                super().delete()  # the callback may have added it again

    def finalize(self, callback: FinalizeCallback) -> None:
        """See `Event.finalize`; waits for nobody."""
        with _base_of(self).lock:
            super().finalize(callback)

    def remove_timer(self) -> None:
        """See `Event.remove_timer`."""
        base = _base_of(self)
        with base.lock:
            concerns_loop = self.deadline == base.timers.heap.first_deadline() != NEVER
            had = base.tally.added
            super().remove_timer()
            if concerns_loop or (had and not base.tally.added):
                base.notify()

    def activate(self, what: int, ncalls: int = 1) -> None:
        """See `Event.activate`; the queues wake the loop."""
        with _base_of(self).lock:
            super().activate(what, ncalls)

    def pending(self, mask: int = -1) -> int:
        """See `Event.pending`."""
        with _base_of(self).lock:
            return super().pending(mask)

    def set_priority(self, priority: int) -> None:
        """See `Event.set_priority`."""
        with _base_of(self).lock:
            super().set_priority(priority)

    def run(self) -> None:
        """See `QueueEntry.run`, and `Event.run` for what is done before the callback."""
        base = _base_of(self)
        what, callback = self.result, self.callback
        if not self.events & EV_PERSIST:
            self.delete_noblock()
        elif self.interval is not None and not what & EV_TIMEOUT:
            base.timers.set(self, base.now() + self.interval, self.common)
        with base.released:
            callback(self, what)


class LockedSignalEvent(LockedEvent, SignalEvent):
    """A `SignalEvent` that any thread may use, as far as the interpreter lets it.

    While its callback runs in another thread, adding and activating wait, too.
    """

    __slots__ = ()

    def add(self, timeout: float | CommonTimeout | None = None) -> None:
        """See `LockedEvent.add`."""
        base = _base_of(self)
        with base.lock:
            base.wait_for(self)
            super().add(timeout)

    def activate(self, what: int, ncalls: int = 1) -> None:
        """See `LockedEvent.activate`."""
        base = _base_of(self)
        with base.lock:
            base.wait_for(self)
            super().activate(what, ncalls)

    def run(self) -> None:
        """See `SignalEvent.run`."""
        SignalEvent.run(self)

    def _call(self, what: int) -> None:
        with _base_of(self).released:
            super()._call(what)


class LockedDeferred(Deferred):
    """A `Deferred` that any thread may use."""

    __slots__ = ()

    def cancel(self) -> None:
        """See `Deferred.cancel`."""
        with _base_of(self).lock:
            super().cancel()

    def run(self) -> None:
        """See `QueueEntry.run`."""
        try:
            with _base_of(self).released:
                super().run()
        finally:
            del self  # as in `Deferred.run`


class LockedDebugEvent(DebugEvent, LockedEvent):
    """A `DebugEvent` that any thread may use."""

    __slots__ = ()

    def delete_block(self) -> None:
        """See `Event.delete_block`, which is no `Event.delete` here."""
        self.check_open()
        super().delete_block()
        trace("event_del", self)

    def delete_noblock(self) -> None:
        """See `Event.delete_noblock`; as above."""
        self.check_open()
        super().delete_noblock()
        trace("event_del", self)


class LockedDebugSignalEvent(DebugSignalEvent, LockedSignalEvent):
    """A `DebugSignalEvent` that any thread may use."""

    __slots__ = ()


class LockedDebugDeferred(DebugDeferred, LockedDeferred):
    """A `DebugDeferred` that any thread may use."""

    __slots__ = ()


RELEASES: Final = (LockedEvent, LockedDeferred)
"""The entries whose ``run`` gives up the lock by itself."""
