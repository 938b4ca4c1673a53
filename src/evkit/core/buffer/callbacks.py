"""Who hears that a buffer changed, and what they are told.

It decides nothing about bytes: `Buffer` calls, this module keeps the entries in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from evkit.core.buffer.buffer import Buffer


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

    def _buffer_changed(self, buffer: Buffer, added: int, deleted: int) -> None:
        """Hear of a change at once, before the user's callbacks."""


class BufferCallback:
    """A registered callback. Source: ``struct evbuffer_cb_entry``.

    Attributes:
        enabled: Set it to False to silence the callback for a while (``EVBUFFER_CB_ENABLED``).
    """

    __slots__ = ("_buffer", "_callback", "enabled")

    def __init__(self, buffer: Buffer, callback: Callable[[Buffer, BufferInfo], object]) -> None:
        self._buffer: Buffer | None = buffer
        self._callback = callback
        self.enabled = True

    def remove(self) -> None:
        """Unregister the callback; a second call does nothing.

        It takes effect at once, also for a change that is being told right now.

        Source: ``evbuffer_remove_cb_entry``; there, a running callback may remove itself only.
        """
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer._forget(self)

    def _run(self, buffer: Buffer, info: BufferInfo) -> None:
        if self.enabled and self._buffer is not None:
            self._callback(buffer, info)

    def __repr__(self) -> str:
        state = "removed" if self._buffer is None else "enabled" if self.enabled else "disabled"
        return f"<BufferCallback {self._callback!r} {state}>"
