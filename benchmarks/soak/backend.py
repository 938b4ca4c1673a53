"""`RecordingBackend`: stands between an event base and the system, and keeps books of what is wanted.

It decides whether what the base wants, what it has said of that, and what the system knows are the same. It knows
nothing of who wants it.
"""

import os
from typing import Self

from evkit.core import EV_CLOSED, EV_ET, EV_READ, EV_SIGNAL, EV_WRITE, EventBase
from evkit.core.backends import BACKENDS, Backend
from evkit.core.event import INSERTED

_WANTED = EV_READ | EV_WRITE | EV_CLOSED | EV_ET
_NATIVE = ((EV_READ, 0x1), (EV_WRITE, 0x4), (EV_CLOSED, 0x2000), (EV_ET, 1 << 31))


class RecordingBackend:
    """A `Backend` over another.

    Attributes:
        strangers: Descriptors that were closed under their events: what the system knows of them is no matter of ours.
    """

    def __init__(self, backend: Backend, epoll_fd: int) -> None:
        self._backend = backend
        self._epoll_fd = epoll_fd
        self._wanted: dict[int, int] = {}
        self.masks = backend.masks
        self.name = backend.name
        self.features = backend.features
        self.wait = backend.wait
        self.close = backend.close
        self.strangers: set[int] = set()

    @classmethod
    def of(cls, method: str) -> Self:
        """Make one over the backend of that name."""
        before = set(os.listdir("/proc/self/fd"))
        backend = next(kind for kind in BACKENDS if kind.name == method)()
        new = [int(fd) for fd in os.listdir("/proc/self/fd") if fd not in before]
        return cls(backend, next((fd for fd in new if _is_epoll(fd)), -1))

    def change(self, fd: int, old: int, new: int) -> None:
        """See `Backend.change`; what the base says of the past must be true."""
        if old != self._wanted.get(fd, 0) and fd not in self.strangers:
            raise AssertionError(f"of {fd} {self._wanted.get(fd, 0):#x} was wanted, not {old:#x}")
        if not new:
            self._wanted.pop(fd, None)  # whatever the system says to it
        self._backend.change(fd, old, new)
        if new:
            self._wanted[fd] = new

    def verify(self, base: EventBase) -> None:
        """Compare what the events of ``base`` want with what was said here, and with what the system knows.

        Raises:
            AssertionError: They differ.
        """
        self.strangers = {fd for fd in self.strangers if base.waits_for(fd)}
        wanted: dict[int, int] = {}
        for event in base.events():
            if event.flags & INSERTED and not event.events & EV_SIGNAL:
                wanted[event.fd] = wanted.get(event.fd, 0) | event.events & _WANTED
        self._compare("the events want", wanted, self._wanted)
        if self._epoll_fd != -1:
            native = {fd: sum(bit for flag, bit in _NATIVE if mask & flag) for fd, mask in wanted.items()}
            self._compare("epoll has", native, _registrations(self._epoll_fd))

    def _compare(self, words: str, one: dict[int, int], other: dict[int, int]) -> None:
        for fd in (one.keys() | other.keys()) - self.strangers:
            if one.get(fd) != other.get(fd):
                raise AssertionError(f"of {fd} {words}: {one.get(fd)} is not {other.get(fd)}")


def _is_epoll(fd: int) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == "anon_inode:[eventpoll]"
    except OSError:
        return False  # the descriptor that the list was read with


def _registrations(epoll_fd: int) -> dict[int, int]:
    """Ask the kernel. Errors and hang-ups (0x8, 0x10) it adds by itself."""
    found = {}
    with open(f"/proc/self/fdinfo/{epoll_fd}") as file:
        for line in file:
            words = line.split()
            if words[0] == "tfd:":
                found[int(words[1])] = int(words[3], 16) & ~0x18
    return found
