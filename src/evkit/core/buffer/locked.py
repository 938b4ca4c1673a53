"""A buffer that several threads may use: each call holds a lock from its beginning to its end.

It is a class of its own, so that a buffer of one thread pays for no lock. `locked` decides what a call under the lock
is; which calls there are is `Buffer`'s business. It knows nothing of threads, and of the loop only that it has a way in
for them.
"""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Self, TypeVar

from evkit.core.buffer.buffer import Buffer, Held, lock_of
from evkit.core.buffer.callbacks import BufferCallback, BufferInfo, Scheduler
from evkit.core.buffer.segments import Readable
from evkit.core.locks import LOCKING, RANK_OBJECT, Lock
from evkit.core.setup import SETUP

P = ParamSpec("P")
R = TypeVar("R")


def locked(method: Callable[Concatenate[Buffer, P], R]) -> "Callable[Concatenate[LockedBuffer, P], R]":
    """Give a method of `Buffer` that holds the lock while it runs."""

    @functools.wraps(method)
    def call(self: "LockedBuffer", /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    return call


class LockedBuffer(Buffer):
    """A `Buffer` for several threads.

    Each call is whole: no other thread sees, or does, anything in the middle of it; ``repr`` alone waits for nobody,
    as who looks may be looking for a deadlock. For several calls that belong together hold the lock:
    ``with buffer.lock: …``. Do so, too, for as long as you look at views of the contents, or at what `front` and
    `pullup` gave you.

    Callbacks, and the cleanup of references and files, run with the lock held, in the thread that made the call;
    after `defer_callbacks` in the loop's. So does a `write` or a `read`: with a socket that blocks, all others wait.
    Moving bytes between two buffers holds the locks of both, always taken in the same order; if one of them is a plain
    `Buffer`, it must belong to the calling thread. So never move while you hold the lock of one of them alone, as a
    callback of it does: another thread may hold the other, and wait for yours. Take both as `in_order` gives them.

    Args:
        data: The first contents.
        lock: The lock to hold, one that a thread may take several times; several buffers may share it. ``None`` makes
            one.

    Source: ``evbuffer_enable_locking``.
    """

    __slots__ = ("_lock",)

    def __init__(self, data: Readable = b"", *, lock: Lock | None = None) -> None:
        if lock is None:
            SETUP.use("LockedBuffer")
            lock = LOCKING.lock(RANK_OBJECT)
        self._lock = lock
        super().__init__(data)

    @property
    def lock(self) -> Lock:
        """What each call holds. Source: ``evbuffer_lock``, ``evbuffer_unlock``."""
        return self._lock

    __len__ = locked(Buffer.__len__)
    __bool__ = locked(Buffer.__bool__)
    __bytes__ = locked(Buffer.__bytes__)
    __iter__ = locked(Buffer.__iter__)
    __contains__ = locked(Buffer.__contains__)

    front = locked(Buffer.front)
    pullup = locked(Buffer.pullup)
    peek = locked(Buffer.peek)
    search = locked(Buffer.search)
    search_eol = locked(Buffer.search_eol)

    feed = locked(Buffer.feed)
    spend = locked(Buffer.spend)
    send_to = locked(Buffer.send_to)
    forget_callback = locked(Buffer.forget_callback)
    run_deferred = locked(Buffer.run_deferred)

    freeze = locked(Buffer.freeze)
    unfreeze = locked(Buffer.unfreeze)
    expand = locked(Buffer.expand)

    add = locked(Buffer.add)
    add_reference = locked(Buffer.add_reference)
    add_iovec = locked(Buffer.add_iovec)
    add_file = locked(Buffer.add_file)
    add_file_segment = locked(Buffer.add_file_segment)
    prepend = locked(Buffer.prepend)
    reserve = locked(Buffer.reserve)
    reserve_iovec = locked(Buffer.reserve_iovec)
    commit = locked(Buffer.commit)

    drain = locked(Buffer.drain)
    clear = locked(Buffer.clear)
    remove = locked(Buffer.remove)
    remove_into = locked(Buffer.remove_into)
    copyout = locked(Buffer.copyout)
    readln = locked(Buffer.readln)
    read = locked(Buffer.read)
    write = locked(Buffer.write)

    @property
    def first_size(self) -> int:
        """See `Buffer.first_size`."""
        with self._lock:
            return super().first_size

    @property
    def max_length(self) -> int | None:
        """See `Buffer.max_length`."""
        with self._lock:
            return super().max_length

    @max_length.setter
    def max_length(self, size: int | None) -> None:
        with self._lock:
            self._limit(size)

    def add_callback(self, callback: Callable[[Self, BufferInfo], object]) -> BufferCallback:
        """See `Buffer.add_callback`."""
        with self._lock:
            return super().add_callback(callback)

    def defer_callbacks(self, base: Scheduler) -> None:
        """See `Buffer.defer_callbacks`. The loop is woken, whichever thread changes the buffer."""
        with self._lock:
            self._defer(base.call_soon_threadsafe)

    def add_buffer(self, source: Buffer) -> None:
        """See `Buffer.add_buffer`."""
        first, second = in_order(self, source)
        with first, second:
            super().add_buffer(source)

    def add_buffer_reference(self, source: Buffer) -> None:
        """See `Buffer.add_buffer_reference`."""
        first, second = in_order(self, source)
        with first, second:
            super().add_buffer_reference(source)

    def prepend_buffer(self, source: Buffer) -> None:
        """See `Buffer.prepend_buffer`."""
        first, second = in_order(self, source)
        with first, second:
            super().prepend_buffer(source)

    def remove_buffer(self, target: Buffer, size: int) -> int:
        """See `Buffer.remove_buffer`."""
        first, second = in_order(self, target)
        with first, second:
            return super().remove_buffer(target, size)


def in_order(one: LockedBuffer, other: Buffer) -> tuple[Held, Held]:
    """Give the locks of both in an order that every thread keeps, so that no two wait for each other.

    Raises:
        TypeError: ``other`` is not a Buffer.
    """
    mine, theirs = one.lock, lock_of(other)
    return (mine, theirs) if id(mine) < id(theirs) else (theirs, mine)
