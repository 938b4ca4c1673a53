"""Who hears that a buffer changed, and what they are told.

It decides nothing about bytes: `Flow` keeps the entries in order, and calls them.
"""

from __future__ import annotations

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

    def buffer_changed(self, buffer: Flow, added: int, deleted: int) -> None:
        """Hear of a change at once, before the user's callbacks."""


class BufferCallback:
    """A registered callback. Source: ``struct evbuffer_cb_entry``.

    Attributes:
        enabled: Set it to False to silence the callback for a while (``EVBUFFER_CB_ENABLED``).
    """

    __slots__ = ("_buffer", "_callback", "enabled")

    def __init__(self, buffer: AnyFlow, callback: Callable[[AnyFlow, BufferInfo], object]) -> None:
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
        if self.enabled and self._buffer is not None:
            self._callback(self._buffer, info)

    def __repr__(self) -> str:
        state = "removed" if self._buffer is None else "enabled" if self.enabled else "disabled"
        return f"<BufferCallback {self._callback!r} {state}>"
