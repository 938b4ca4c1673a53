"""`LockedEventBase`: an event base that any thread may use. Made by `EventBase` where `use_threads` was called.

One lock guards all. The loop holds it for the whole pass, and gives it up while it waits and while somebody else's code
runs: callbacks, watchers, what sends. So a callback may use its base like any other thread, and holds no lock while it
does something else.
"""

import os
from collections.abc import Callable

from evkit.core.backends.contract import Backend
from evkit.core.base import EventBase
from evkit.core.clock import Clock
from evkit.core.config import EventConfig
from evkit.core.debug import EntryTypes, debugging, watch
from evkit.core.event import Event, QueueEntry
from evkit.core.locked_backend import LockedBackend
from evkit.core.locked_event import (
    LockedDebugDeferred,
    LockedDebugEvent,
    LockedDebugSignalEvent,
    LockedDeferred,
    LockedEvent,
    LockedSignalEvent,
)
from evkit.core.locked_queues import Guard, LockedQueues, Released
from evkit.core.locks import LOCKING, RANK_BASE, Lock
from evkit.core.queues import ActiveQueues
from evkit.core.timers import CommonTimeout
from evkit.core.watch import Watcher


def _new_guard() -> Guard:
    # Recursive, unlike libevent's: what takes the lock calls what takes it, as methods do.
    lock = LOCKING.lock(RANK_BASE)
    return Guard(lock, LOCKING.condition(lock))


class LockedEventBase(EventBase):
    """See `EventBase`, and the head of this module."""

    queues: LockedQueues

    def __init__(
        self,
        config: EventConfig | None = None,
        *,
        clock: Clock | None = None,
        backend: Backend | None = None,
    ) -> None:
        self._guard = _new_guard()
        super().__init__(config, clock=clock, backend=backend)
        self.threadsafe = True

    @property
    def lock(self) -> Lock:
        """What guards the base; whoever holds it keeps the loop from going on."""
        return self._guard.lock

    @property
    def released(self) -> Released:
        """The opposite, for the loop's own thread."""
        return self._guard.released

    # How it is made

    def _entry_types(self) -> EntryTypes:
        if debugging():
            watch(self)
            return EntryTypes(LockedDebugEvent, LockedDebugSignalEvent, LockedDebugDeferred)
        return EntryTypes(LockedEvent, LockedSignalEvent, LockedDeferred)

    def _make_queues(self, config: EventConfig) -> ActiveQueues:
        return LockedQueues(config, self._monotonic, self.escaped, self._guard, self.notify)

    def _wrap(self, backend: Backend) -> Backend:
        return LockedBackend(backend, self._guard)

    # The loop

    def loop(self, flags: int = 0) -> bool:
        """See `EventBase.loop`."""
        self.lock.acquire()
        try:
            return super().loop(flags)
        finally:
            self.lock.release()  # which may be another by now, in a child process

    def _run_watchers(self, watchers: list[Watcher], timeout: float | None) -> None:
        with self.released:
            super()._run_watchers(watchers, timeout)

    def notify(self) -> None:
        """Wake the loop, if it runs in another thread."""
        if self.looping and not self.in_thread():
            self._waker.wake()

    def wait_for(self, entry: QueueEntry) -> bool:
        """Wait until ``entry`` has run, if it runs in another thread now; return whether it did. The lock is held."""
        queues = self.queues
        if queues.running is not entry or self.in_thread():
            return False
        turn = queues.turns
        while queues.running is entry and queues.turns == turn:
            self._guard.finished.wait()
        return True

    def reinit(self) -> None:
        """See `EventBase.reinit`. A child process has a lock of its own: who held the parent's is not there."""
        if self._process != os.getpid():
            fresh = _new_guard()
            self._guard.lock, self._guard.finished = fresh.lock, fresh.finished
        with self.lock:
            super().reinit()

    # What is asked of it. What is missing here asks for the lock piece by piece: `dump_events`, for one, must not hold
    # it while callbacks tell their names.

    def __repr__(self) -> str:
        """See `EventBase.__repr__`. It waits for nobody: who looks may be looking for a deadlock."""
        state = "closed" if self.closed else "looping" if self.looping else "idle"
        try:
            active = str(self.queues.count())
        except RuntimeError:
            active = "?"  # it changes while it is counted
        return f"<EventBase {self.method} {state} added={self.tally.added} active={active}>"

    def init_common_timeout(self, duration: float) -> CommonTimeout:
        """See `EventBase.init_common_timeout`."""
        with self.lock:
            return super().init_common_timeout(duration)

    def priority_init(self, count: int) -> None:
        """See `EventBase.priority_init`."""
        with self.lock:
            super().priority_init(count)

    def num_events(self, mask: int) -> int:
        """See `EventBase.num_events`."""
        with self.lock:
            return super().num_events(mask)

    def max_events(self, mask: int, *, clear: bool = False) -> int:
        """See `EventBase.max_events`."""
        with self.lock:
            return super().max_events(mask, clear=clear)

    def events(self) -> list[Event]:
        """See `EventBase.events`."""
        with self.lock:
            return super().events()

    def foreach_event(self, fn: Callable[[Event], object]) -> object:
        """See `EventBase.foreach_event`; the lock is held meanwhile."""
        with self.lock:
            return super().foreach_event(fn)

    def active_by_fd(self, fd: int, events: int) -> None:
        """See `EventBase.active_by_fd`."""
        with self.lock:
            super().active_by_fd(fd, events)

    def active_by_signal(self, signum: int) -> None:
        """See `EventBase.active_by_signal`."""
        with self.lock:
            super().active_by_signal(signum)

    def add_virtual(self) -> None:
        """See `EventBase.add_virtual`."""
        with self.lock:
            super().add_virtual()

    def del_virtual(self) -> None:
        """See `EventBase.del_virtual`; wakes the loop, which may end."""
        with self.lock:
            super().del_virtual()
            self.notify()
