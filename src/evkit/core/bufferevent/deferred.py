"""Callbacks of a buffered connection that run later, from the loop, and gather until then.

For callers who can't bear to be called from inside their own calls. Knows nothing of transports.
"""

from typing import TYPE_CHECKING

from evkit.core.event import QueueEntry
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    EV_READ,
    EV_WRITE,
)

if TYPE_CHECKING:
    from evkit.core.bufferevent.common import BufferEvent, EventHandler, Handler


class DeferredCallbacks(QueueEntry):
    """The three callbacks of one connection, and which of them are due.

    A queue entry itself: with one of its own it would be a cycle that only the garbage collector frees.

    Source: ``BEV_OPT_DEFER_CALLBACKS``, ``bufferevent_run_deferred_callbacks_unlocked``.
    """

    __slots__ = ("_bev", "_due", "_event", "_events", "_read", "_write")

    def __init__(self, bev: "BufferEvent") -> None:
        super().__init__(bev.base, bev.base.npriorities // 2)
        self._bev = bev
        self._due = 0  # EV_READ | EV_WRITE
        self._events = 0  # BEV_EVENT_… bits
        self._read: Handler | None = None
        self._write: Handler | None = None
        self._event: EventHandler | None = None

    def wrap(
        self, read: "Handler | None", write: "Handler | None", event: "EventHandler | None"
    ) -> "tuple[Handler, Handler, EventHandler]":
        """Keep the user's callbacks and return what the transport is to call in their place."""
        self._read, self._write, self._event = read, write, event
        return self._on_read, self._on_write, self._on_event

    @property
    def wrapped(self) -> "tuple[Handler | None, Handler | None, EventHandler | None]":
        """The user's callbacks."""
        return self._read, self._write, self._event

    @property
    def failed(self) -> bool:
        """Whether an error or a time-out is still to be told."""
        return bool(self._events & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))

    def _on_read(self, bev: "BufferEvent") -> None:  # noqa: ARG002 - stands in for a callback
        self._due |= EV_READ
        self.base.queues.schedule(self)

    def _on_write(self, bev: "BufferEvent") -> None:  # noqa: ARG002 - as above
        self._due |= EV_WRITE
        self.base.queues.schedule(self)

    def _on_event(self, bev: "BufferEvent", what: int) -> None:  # noqa: ARG002 - as above
        self._events |= what
        self.base.queues.schedule(self)

    def forget(self) -> None:
        """Drop what is due, for callbacks that only mind the output: all but what may have ended that."""
        self._due = 0
        if self._events & BEV_EVENT_READING or not self.failed:
            self._events = 0  # what of it is about writing comes again, at the next attempt

    def run(self) -> None:
        """Call what is due in libevent's order: connected, read, write, and the other events at last."""
        due, events = self._due, self._events
        self._due = self._events = 0
        try:
            if events & BEV_EVENT_CONNECTED and self._event:
                self._event(self._bev, BEV_EVENT_CONNECTED)
            if due & EV_READ and self._read:
                self._read(self._bev)
            if due & EV_WRITE and self._write:
                self._write(self._bev)
            if events & ~BEV_EVENT_CONNECTED and self._event:
                self._event(self._bev, events & ~BEV_EVENT_CONNECTED)
        except Exception as exception:
            self._bev.escaped(exception)
