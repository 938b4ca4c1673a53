"""kqueue: a filter for reading and one for writing a descriptor, O(1) a wake-up. The best of BSD and macOS.

Changes are gathered and handed over with the wait, in one system call. What the system refuses comes back as the only
results of that call, which has not waited then.

Every registration carries the whole mask that is wanted of its descriptor (``udata``); results bring it back. There is
no filter for closing: the one for reading tells of it. Where closing alone is wanted, that filter is edge-triggered,
for it fires for data too, which nobody is going to read.

Two things differ from the other backends. A regular file is ready for reading only before its end, as the flag that
makes kqueue behave like poll is not among Python's. And closing a descriptor forgets it at once, duplicates or not.
"""

import os
import select
from collections.abc import Iterable
from typing import Final, Protocol, cast

from evkit.core.backends.changelist import Changelist
from evkit.core.backends.contract import IO_BITS, MaskTable, same
from evkit.core.flags import (
    EV_CLOSED,
    EV_ET,
    EV_READ,
    EV_WRITE,
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
    FEATURE_O1,
)

_ROOM: Final = 256
"""Results that one call has room for, at least; more wait for the next call."""


class Kevent(Protocol):
    """``select.kevent``: a change, or a result."""

    ident: int
    filter: int
    flags: int
    data: int
    udata: int


class Kqueue(Protocol):
    """``select.kqueue``."""

    def control(
        self, changelist: Iterable[Kevent] | None, max_events: int, timeout: float | None, /
    ) -> list[Kevent]:
        """Make the changes, then wait for results."""

    def close(self) -> None:
        """Give the descriptor back. May be called twice."""


class KqueueSystem(Protocol):
    """What the module `select` has where there is a kqueue; the numbers differ from system to system."""

    KQ_FILTER_READ: int
    KQ_FILTER_WRITE: int
    KQ_EV_ADD: int
    KQ_EV_DELETE: int
    KQ_EV_CLEAR: int
    KQ_EV_ERROR: int
    KQ_EV_EOF: int

    def kqueue(self) -> Kqueue:
        """Open a queue."""

    def kevent(self, ident: int, filter: int, flags: int, fflags: int, data: int, udata: int) -> Kevent:  # noqa: A002
        """Make a change."""


_SYSTEM: Final = cast(KqueueSystem, select)


def _part(wanted: int, bits: int) -> int:
    """Return what of ``wanted`` is the business of the filter for ``bits``; 0 if nothing."""
    part = wanted & bits
    return part and part | wanted & EV_ET


def _is_edge(part: int) -> bool:
    return bool(part & EV_ET) or part == EV_CLOSED


class KqueueBackend:
    """``Backend`` over ``select.kqueue``, whose native mask is evkit's own.

    Args:
        system: Where kqueue comes from; the module `select`, unless a test says otherwise.

    Source: ``kqops``; ``FEATURE_EARLY_CLOSE`` is evkit's addition.
    """

    __slots__ = ("_changes", "_filters", "_kqueue", "_system", "masks")

    name: Final = "kqueue"
    features: Final = FEATURE_ET | FEATURE_O1 | FEATURE_FDS | FEATURE_EARLY_CLOSE

    def __init__(self, system: KqueueSystem = _SYSTEM) -> None:
        self._system = system
        self._kqueue = system.kqueue()
        self._filters = ((system.KQ_FILTER_READ, EV_READ | EV_CLOSED), (system.KQ_FILTER_WRITE, EV_WRITE))
        self._changes = Changelist()
        self.masks = MaskTable(same)

    def change(self, fd: int, old: int, new: int) -> None:
        """See `Backend.change`."""
        self._changes.change(fd, old, new)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """See `Backend.wait`. Source: ``kq_dispatch``."""
        changes = self._take_changes() if self._changes else None
        room = max(_ROOM, len(changes)) if changes else _ROOM  # for every change may be refused
        results = self._kqueue.control(changes, room, timeout)
        ready: dict[int, int] = {}
        if results and results[0].flags & self._system.KQ_EV_ERROR:
            self._note_refusals(results, ready)
            results = self._kqueue.control(None, room, 0.0 if ready else timeout)
        for result in results:
            self._note(result, ready)
        return list(ready.items())

    def _take_changes(self) -> list[Kevent]:
        """Source: ``kq_build_changes_list``."""
        return [kevent for change in self._changes.take() for kevent in self._kevents(*change)]

    def _kevents(self, fd: int, old: int, new: int) -> list[Kevent]:
        """Spell one change.

        All that is wanted is told again, as the number may stand for another file since. How a filter triggers is
        fixed when it is added: to change that, it must go first.
        """
        system = self._system
        kevents = []
        for number, bits in self._filters:
            was, now = _part(old, bits), _part(new, bits)
            if was and (not now or _is_edge(was) != _is_edge(now)):
                kevents.append(system.kevent(fd, number, system.KQ_EV_DELETE, 0, 0, 0))
            if now:
                flags = system.KQ_EV_ADD | (system.KQ_EV_CLEAR if _is_edge(now) else 0)
                kevents.append(system.kevent(fd, number, flags, 0, 0, new))
        return kevents

    def _note_refusals(self, results: list[Kevent], ready: dict[int, int]) -> None:
        """Report what can't be added as ready.

        A deletion may fail (ENOENT, EBADF) as it comes after the descriptor was closed, or reused; so what. An
        addition fails for a pipe without its other end (EPIPE, EPERM), where libevent wakes who waits for reading, and
        for a descriptor that is closed (EBADF), of which libevent says nothing.
        """
        for result in results:
            if result.udata:  # it was an addition
                ready[result.ident] = IO_BITS
                error = OSError(result.data, os.strerror(result.data))
                self._changes.refuse(result.ident, result.udata, error)

    def _note(self, result: Kevent, ready: dict[int, int]) -> None:
        wanted = result.udata
        if result.filter == self._system.KQ_FILTER_WRITE:
            what = EV_WRITE
        elif result.flags & self._system.KQ_EV_EOF:
            what = wanted & (EV_READ | EV_CLOSED)
            if what == EV_CLOSED and not wanted & EV_ET:
                self._changes.repeat(result.ident, wanted)  # an edge by our own choice: ask for it again
        else:
            what = wanted & EV_READ
        if what:
            ready[result.ident] = ready.get(result.ident, 0) | what

    def close(self) -> None:
        """See `Backend.close`."""
        self._kqueue.close()
