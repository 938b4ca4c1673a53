"""Who hears that a buffer changed, and what they are told.

It decides nothing about bytes: `Flow` keeps the entries in order, and calls them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from evkit.core.buffer.flow import Flow

    AnyFlow = TypeVar("AnyFlow", bound=Flow)


class BufferInfo(NamedTuple):
    """One net change of a buffer. Source: ``struct evbuffer_cb_info``.

    Attributes:
        orig_size: Bytes in the buffer before the change.
        added: Bytes that came.
        deleted: Bytes that went.
    """

    orig_size: int
    added: int
    deleted: int


class BufferOwner(Protocol):
    """The one internal listener of a buffer: the buffered connection that it belongs to."""

    def buffer_changed(self, buffer: "Flow", added: int, deleted: int) -> None:
        """Hear of a change at once, before the user's callbacks."""


class Scheduler(Protocol):
    """What runs a call later, in the loop's thread: all that a buffer needs of an event base."""

    def call_soon(self, callback: Callable[[], object], /) -> object:
        """Call ``callback()`` from the loop."""

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Call ``callback()`` from the loop; any thread may ask for it."""


class DeferredTotals:
    """What has changed since the callbacks of a buffer last ran, and whether they are going to run.

    Args:
        soon: Has a call made later.
    """

    __slots__ = ("_added", "_deleted", "_due", "soon")

    def __init__(self, soon: Callable[[Callable[[], object]], object]) -> None:
        self.soon = soon
        self._due = False
        self._added = self._deleted = 0

    def note(self, added: int, deleted: int, run: Callable[[], object]) -> None:
        """Add a change to the totals, and have ``run`` called if that is not asked for already."""
        self._added += added
        self._deleted += deleted
        if not self._due:
            self.soon(run)
            self._due = True

    def forget(self) -> None:
        """Nobody is left to tell of what has changed."""
        self._added = self._deleted = 0

    def take(self, length: int) -> BufferInfo | None:
        """Give the totals for a buffer of that length, and begin anew; ``None`` if nothing has changed."""
        added, deleted = self._added, self._deleted
        self._due = False
        self._added = self._deleted = 0
        return BufferInfo(length - added + deleted, added, deleted) if added or deleted else None


class BufferCallback:
    """A registered callback. Source: ``struct evbuffer_cb_entry``.

    Attributes:
        enabled: Set it to False to silence the callback for a while (``EVBUFFER_CB_ENABLED``).
    """

    __slots__ = ("_buffer", "_callback", "enabled")

    def __init__(self, buffer: "AnyFlow", callback: "Callable[[AnyFlow, BufferInfo], object]") -> None:
        self._buffer: Flow | None = buffer
        self._callback: Callable[..., object] = callback
        self.enabled = True

    def remove(self) -> None:
        """Unregister the callback; a second call does nothing.

        It takes effect at once, also for a change that is being told right now.

        Source: ``evbuffer_remove_cb_entry``; there, a running callback may remove itself only.
        """
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.forget_callback(self)

    def run(self, info: BufferInfo) -> None:
        """Tell the callback of a change, unless it is disabled or removed."""
        buffer = self._buffer  # another thread may be about to remove the entry
        if self.enabled and buffer is not None:
            self._callback(buffer, info)

    def __repr__(self) -> str:
        state = "removed" if self._buffer is None else "enabled" if self.enabled else "disabled"
        return f"<BufferCallback {self._callback!r} {state}>"
