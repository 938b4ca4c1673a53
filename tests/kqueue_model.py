"""A model of what BSD and macOS put behind ``select.kqueue``, over real descriptors of this system.

It keeps the rules of their manual page kqueue(2) that a backend depends on:

- a registration belongs to a descriptor and a filter, and is gone when the descriptor is closed;
- adding one again changes its ``udata`` and looks anew whether it is ready, but leaves it as level- or edge-triggered
  as it was;
- a change that fails is a result with ``EV_ERROR`` while there is room for results, else the call fails, and the
  changes after it are not made;
- a call with such results does not wait, and returns nothing else;
- a regular file is ready for reading before its end only.

What is ready is asked of ``select.poll``; edges are the kernel's own, from an epoll for each edge-triggered
registration. Not modelled: ``data`` and ``fflags`` of results, and the closing of a number that comes back with the
*same* open file.
"""

import errno
import os
import select
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace

_READ = select.POLLIN | select.POLLRDHUP
_READ_EOF = select.POLLRDHUP | select.POLLHUP | select.POLLERR
_WRITE = select.POLLOUT
_WRITE_EOF = select.POLLHUP | select.POLLERR


@dataclass
class Kevent:
    ident: int
    filter: int
    flags: int
    fflags: int = 0
    data: int = 0
    udata: int = 0


def _file(fd: int) -> tuple[int, int]:
    """Return what tells one open file from another; raise OSError if the descriptor is closed."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino


def _look(fd: int, wanted: int) -> int:
    poller = select.poll()
    poller.register(fd, wanted)
    return dict(poller.poll(0)).get(fd, 0)


class Knote:
    """One registration."""

    def __init__(self, change: Kevent, wanted: int, *, clear: bool) -> None:
        self.fd = self.target = change.ident
        self.filter = change.filter
        self.udata = change.udata
        self.wanted = wanted
        self.file = _file(self.fd)
        self._edge: select.epoll | None = None
        if clear:
            self._edge = select.epoll()
            self._edge.register(self.fd, wanted | select.EPOLLET)
            self.target = self._edge.fileno()

    def again(self, udata: int) -> None:
        self.udata = udata
        if self._edge is not None:
            self._edge.modify(self.fd, self.wanted | select.EPOLLET)

    def ready(self) -> int:
        if self.is_at_end():
            return 0
        if self._edge is None:
            return _look(self.fd, self.wanted)
        return dict(self._edge.poll(0)).get(self.fd, 0)

    def is_at_end(self) -> bool:
        """Return whether it waits for reading of a regular file that has no more to read."""
        found = os.fstat(self.fd)
        if self.wanted == _WRITE or not stat.S_ISREG(found.st_mode):
            return False
        return os.lseek(self.fd, 0, os.SEEK_CUR) >= found.st_size

    def close(self) -> None:
        if self._edge is not None:
            self._edge.close()

    def is_stale(self) -> bool:
        try:
            return _file(self.fd) != self.file
        except OSError:
            return True


class Kqueue:
    """``select.kqueue()``. `calls` keeps what `control` was asked, in order: changes, room, time-out."""

    def __init__(self, system: "KqueueModel") -> None:
        self._system = system
        self._knotes: dict[tuple[int, int], Knote] = {}
        self.calls: list[tuple[list[Kevent], int, float | None]] = []
        self.closed = False

    def control(
        self, changelist: Iterable[Kevent] | None, max_events: int, timeout: float | None = None, /
    ) -> list[Kevent]:
        if self.closed:
            raise ValueError("I/O operation on closed kqueue object")
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be positive or None")
        changes = list(changelist or ())
        self.calls.append((changes, max_events, timeout))
        self._drop_closed()
        errors = self._make(changes, max_events)
        return errors or self._wait(max_events, timeout)

    def close(self) -> None:
        self.closed = True
        for knote in self._knotes.values():
            knote.close()
        self._knotes.clear()

    def _drop_closed(self) -> None:
        for key, knote in tuple(self._knotes.items()):
            if knote.is_stale():
                self._knotes.pop(key).close()

    def _make(self, changes: list[Kevent], room: int) -> list[Kevent]:
        errors: list[Kevent] = []
        for change in changes:
            number = self._make_one(change)
            if not number:
                continue
            if len(errors) == room:
                raise OSError(number, os.strerror(number))
            errors.append(replace(change, flags=self._system.KQ_EV_ERROR, data=number))
        return errors

    def _make_one(self, change: Kevent) -> int:
        """Make a change, and return the number of the error or 0."""
        key = (change.ident, change.filter)
        try:
            mode = os.fstat(change.ident).st_mode
        except OSError:
            return errno.EBADF
        if change.flags & self._system.KQ_EV_DELETE:
            if key not in self._knotes:
                return errno.ENOENT
            self._knotes.pop(key).close()
            return 0
        if not change.flags & self._system.KQ_EV_ADD and key not in self._knotes:
            return errno.ENOENT
        if key in self._knotes:
            self._knotes[key].again(change.udata)
            return 0
        wanted = _READ if change.filter == self._system.KQ_FILTER_READ else _WRITE
        if wanted == _WRITE and stat.S_ISFIFO(mode) and _look(change.ident, _WRITE) & select.POLLERR:
            return errno.EPIPE  # nobody holds the other end
        self._knotes[key] = Knote(change, wanted, clear=bool(change.flags & self._system.KQ_EV_CLEAR))
        return 0

    def _wait(self, room: int, timeout: float | None) -> list[Kevent]:
        found = self._collect(room)
        if not found and timeout != 0:
            poller = select.poll()
            for target, wanted in self._targets().items():
                poller.register(target, wanted)
            poller.poll(None if timeout is None else timeout * 1000)
            found = self._collect(room)
        return found

    def _targets(self) -> dict[int, int]:
        """Return what to poll, as the two filters of one descriptor are one entry there."""
        targets: dict[int, int] = {}
        for knote in self._knotes.values():
            if knote.is_at_end():
                continue  # poll would call it ready
            wanted = select.POLLIN if knote.target != knote.fd else knote.wanted
            targets[knote.target] = targets.get(knote.target, 0) | wanted
        return targets

    def _collect(self, room: int) -> list[Kevent]:
        found: list[Kevent] = []
        for knote in self._knotes.values():
            if len(found) == room:
                break
            native = knote.ready()
            if native:
                found.append(self._result(knote, native))
        return found

    def _result(self, knote: Knote, native: int) -> Kevent:
        ends = _READ_EOF if knote.filter == self._system.KQ_FILTER_READ else _WRITE_EOF
        flags = self._system.KQ_EV_EOF if native & ends else 0
        return Kevent(knote.fd, knote.filter, flags, udata=knote.udata)


class KqueueModel:
    """Stands in for the module `select` of a system with kqueue; the numbers are FreeBSD's."""

    KQ_FILTER_READ = -1
    KQ_FILTER_WRITE = -2
    KQ_EV_ADD = 0x0001
    KQ_EV_DELETE = 0x0002
    KQ_EV_CLEAR = 0x0020
    KQ_EV_ERROR = 0x4000
    KQ_EV_EOF = 0x8000

    kevent = Kevent

    def __init__(self) -> None:
        self.opened: list[Kqueue] = []

    def kqueue(self) -> Kqueue:
        self.opened.append(Kqueue(self))
        return self.opened[-1]
