"""Bytes that come in at the back and go out at the front, and who is told of it.

`Flow` decides how a transport appends, drops and sends, and who hears of a change: the owner first, then the users'
callbacks. For transports: the freeze, which binds users, does not bind them; `Flow` knows nothing of it. Nor does it
know of events, of the loop, or of locks: one thread at a time.

``feed``, ``spend`` and ``send_to`` are, with ``Buffer.add`` and ``Buffer.drain``, the hottest path of every
connection. What looks repeated in them is there because a call costs as much as all the rest of them.
"""

import sys
from collections.abc import Callable
from typing import Final, Self

from evkit.core.buffer.callbacks import BufferCallback, BufferInfo, BufferOwner, DeferredTotals, Scheduler
from evkit.core.buffer.chain import COALESCE, Chain
from evkit.core.buffer.segments import FileStretch, Sender, part

NO_LIMIT: Final = sys.maxsize
# Segments in one sendmsg, as libevent's NUM_WRITE_IOVEC.
MAX_IOVEC: Final = 128
# Bytes that a connection sends before others have their turn. nginx's `sendfile_max_chunk`, 2 MiB, is for files alone:
# what is in memory has to be copied, and 256 KiB take some 50 µs. libevent's limit is 16 KiB.
MAX_TURN: Final = 262144


class Flow(Chain):
    """A chain that bytes flow through.

    Attributes:
        owner: The buffered connection that the buffer belongs to, or ``None``; it hears of each change.
    """

    __slots__ = ("_callbacks", "_deferred", "owner")

    def __init__(self) -> None:
        super().__init__()
        self.owner: BufferOwner | None = None
        self._callbacks: tuple[BufferCallback, ...] | None = None
        self._deferred: DeferredTotals | None = None

    # For transports

    def feed(self, data: bytes) -> None:
        """Append what a transport received.

        For transports: the freeze, which binds users, does not bind them. Users call `Buffer.add`.

        Args:
            data: Bytes, at least one.
        """
        size = len(data)
        segments = self._segments
        if segments and type(last := segments[-1]) is bytes and len(last) + size <= COALESCE:
            segments[-1] = last + data
        else:
            segments.append(data)
        self.length += size
        if self._callbacks is not None:
            self._changed(size, 0)
        elif self.owner is not None:
            self.owner.buffer_changed(self, size, 0)

    def spend(self, size: int) -> None:
        """Drop bytes from the front.

        For transports: the freeze, which binds users, does not bind them. Users call `Buffer.drain`.

        Args:
            size: How many, ``0 < size <= len(self)``.
        """
        if self._mark is not None:
            self._mark = None
        segments = self._segments
        if size == self.length:
            # Before the segments go: letting go of a Reference runs a callback of the user.
            self._start = self.length = 0
            segments.clear()
        else:
            self.length -= size
            start = self._start + size
            if start < len(segments[0]):
                self._start = start
            else:
                self._drop(start)
        if self._callbacks is not None:
            self._changed(0, size)
        elif self.owner is not None:
            self.owner.buffer_changed(self, 0, size)

    def send_to(self, sock: Sender, limit: int = MAX_TURN) -> int:
        """Send from the front, in one system call, and drop what was sent.

        For transports: the freeze, which binds users, does not bind them. Users call `Buffer.write`. The owner, which
        gets the result, need not hear of it as of a change, too.

        Args:
            sock: What to send by.
            limit: Most bytes to send, ``>= 0``; left out: what is one connection's turn.

        Returns:
            Bytes sent; 0 if there was nothing to send.

        Raises:
            OSError: the system refused, or a file in the buffer cannot be read.
        """
        segments = self._segments
        if (
            len(segments) == 1
            and not self._start
            and type(head := segments[0]) is bytes
            and len(head) <= limit
        ):
            sent = sock.send(head)
            if sent == self.length and self._callbacks is None and self._mark is None:
                self.length = 0
                segments.clear()
                return sent
        else:
            sent = self._send_chain(sock, limit)
        if sent:
            self.spend(sent)
        return sent

    def _send_chain(self, sock: Sender, limit: int) -> int:
        segments = self._segments
        if (
            len(segments) == 2  # a head and a body, as a rule
            and type(segments[0]) is type(segments[1]) is bytes
            and not self._start
            and self.length <= limit
        ):
            return sock.sendmsg(segments)  # type: ignore[arg-type]  # both are bytes
        pieces: list[bytes | memoryview] = []
        for segment, start, stop in self._spans(0, limit):
            if isinstance(segment, FileStretch):
                if pieces:
                    break
                return segment.send(sock, start, limit)
            pieces.append(part(segment, start, stop))
            if len(pieces) == MAX_IOVEC:
                break
        if not pieces:
            return 0
        return sock.send(pieces[0]) if len(pieces) == 1 else sock.sendmsg(pieces)

    # Who is told

    def add_callback(self, callback: Callable[[Self, BufferInfo], object]) -> BufferCallback:
        """Have ``callback(buffer, info)`` called after each change of the size.

        It is called at once, unless `defer_callbacks` was called, the newest first, and may do anything to the
        buffer or to any callback. An exception in it goes to whoever changed the buffer; the change stands, and
        the callbacks after it are not told.

        Returns:
            The entry, to disable or remove it.

        Source: ``evbuffer_add_cb``.
        """
        entry = BufferCallback(self, callback)
        self._callbacks = (entry, *(self._callbacks or ()))
        return entry

    def forget_callback(self, entry: BufferCallback) -> None:
        """Tell ``entry`` no more; `BufferCallback.remove` is the way to ask for it."""
        self._callbacks = tuple(other for other in self._callbacks or () if other is not entry) or None
        if self._callbacks is None and self._deferred is not None:
            self._deferred.forget()

    def defer_callbacks(self, base: Scheduler) -> None:
        """From now on have the callbacks called from the loop, and not from whatever changes the buffer.

        They hear of all that happened until then as one change; what was added and taken again counts as both. An
        exception in one goes to the loop's handler. The owner, which is internal, still hears of each change at once.

        Args:
            base: The event base. It keeps the buffer alive while a call is due. Another one may be named later; what
                is due stays where it is.

        Whoever changes the buffer when the base is closed gets its ``LoopError``; the change stands.
        Source: ``evbuffer_defer_callbacks``.
        """
        self._defer(base.call_soon)

    def _defer(self, soon: Callable[[Callable[[], object]], object]) -> None:
        if self._deferred is None:
            self._deferred = DeferredTotals(soon)
        self._deferred.soon = soon

    def run_deferred(self) -> None:
        """Call the callbacks that are due; `defer_callbacks` has it called."""
        info = self._deferred.take(self.length) if self._deferred is not None else None
        if info is not None:
            self._tell(info)

    def _changed(self, added: int, deleted: int) -> None:
        if self._callbacks is None:
            if self.owner is not None:
                self.owner.buffer_changed(self, added, deleted)
            return
        info = BufferInfo(self.length - added + deleted, added, deleted)
        if self.owner is not None:
            self.owner.buffer_changed(self, added, deleted)
        if self._deferred is None:
            self._tell(info)
        elif self._callbacks is not None:
            self._deferred.note(added, deleted, self.run_deferred)

    def _tell(self, info: BufferInfo) -> None:
        for entry in self._callbacks or ():
            entry.run(info)
