"""What lets bytes through a connection's two buffers, and what holds them back.

The user's wish (`Gate.enabled`) and the reasons against it (suspend bits) are kept apart, so watermarks, rate limits
and look-ups never undo each other's work. It decides whether a direction flows, and when the output is due. It knows
nothing of callbacks; what makes bytes flow a transport fills in.
"""

from typing import TYPE_CHECKING, Final

from evkit.core.buffer import Buffer, Flow
from evkit.core.buffer.segments import Readable
from evkit.core.flags import EV_READ, EV_WRITE, event_bits
from evkit.core.timers import check_seconds

if TYPE_CHECKING:
    from evkit.core.base import EventBase

# Why a direction is held back although it is enabled (BEV_SUSPEND_… in libevent).
SUSPEND_WATERMARK: Final = 0x01
SUSPEND_BANDWIDTH: Final = 0x02
SUSPEND_GROUP: Final = 0x04
SUSPEND_LOOKUP: Final = 0x08
SUSPEND_FILTER: Final = 0x10
# Why a transport itself does not send at once what is written.
HELD_DISABLED: Final = 0x100
HELD_CONNECTING: Final = 0x200
HELD_WAITING: Final = 0x400  # for room in the system's buffer
HELD_CLOSED: Final = 0x800
HELD_NEW: Final = 0x1000  # there is nothing to send to yet
_SUSPENDED: Final = 0xFF


class Gate:
    """Two buffers, and the wishes and reasons that open and shut them; see `BufferEvent`."""

    __slots__ = (
        "_flush_queued",
        "_read_high",
        "_read_low",
        "_read_suspended",
        "_write_held",
        "_write_high",
        "_write_low",
        "base",
        "closed",
        "enabled",
        "input",
        "output",
        "read_timeout",
        "write_timeout",
    )

    def __init__(self, base: "EventBase") -> None:
        self.base = base
        self.input = Buffer()
        self.output = Buffer()
        self.input.freeze(back=True)
        self.output.freeze(front=True)
        self.output.owner = self
        self.enabled = EV_WRITE
        self.read_timeout: float | None = None
        self.write_timeout: float | None = None
        self.closed = False
        self._flush_queued = False
        self._read_suspended = 0
        self._write_held = 0  # reasons not to send at once: 0 is what flush_output looks for
        self._read_low = 0
        self._read_high = 0  # 0: no limit
        self._write_low = 0
        self._write_high = 0

    def write(self, data: Readable) -> None:
        """Append ``data`` to the output; if the connection is closed, drop it. Source: ``bufferevent_write``."""
        self.output.add(data)

    def read(self, size: int | None = None) -> bytes:
        """Take up to ``size`` bytes from the input; ``None``: all. Source: ``bufferevent_read``."""
        return self.input.remove(size)

    def enable(self, events: int) -> None:
        """Let data flow in the directions of ``events``.

        Raises:
            ValueError: Other bits than ``EV_READ`` and ``EV_WRITE`` are set.

        Source: ``bufferevent_enable``.
        """
        check_directions(events)
        self.enabled |= events
        if events & EV_WRITE:
            self._write_held &= ~HELD_DISABLED
        self._start(events & ~self._suspended())

    def disable(self, events: int) -> None:
        """Stop data in the directions of ``events``; what has come or been written stays in its buffer.

        Raises:
            ValueError: Other bits than ``EV_READ`` and ``EV_WRITE`` are set.

        Source: ``bufferevent_disable``.
        """
        check_directions(events)
        self.enabled &= ~events
        if events & EV_WRITE:
            self._write_held |= HELD_DISABLED
        self._stop(events)

    def set_timeouts(self, read: float | None = None, write: float | None = None) -> None:
        """Limit the silence in either direction; see `read_timeout` and `write_timeout`.

        Args:
            read: Seconds, ``None`` for no limit.
            write: Likewise.

        Raises:
            ValueError: A time-out is negative, infinite or not a number.

        Source: ``bufferevent_set_timeouts``.
        """
        for timeout in (read, write):
            if timeout is not None:
                check_seconds(timeout)
        self.read_timeout = read
        self.write_timeout = write
        self._adjust_timeouts()

    def set_watermark(self, events: int, low: int = 0, high: int | None = None) -> None:
        """Say when callbacks run and when reading pauses.

        Args:
            events: The directions that the marks are for.
            low: For reading: the read callback waits for so many bytes in the input. For writing: the write callback
                runs when no more than so many bytes are left in the output.
            high: For reading: pause with so many bytes in the input, until some are taken; ``None``: never. For
                writing: advice to filters above this connection.

        Raises:
            ValueError: A mark is negative, ``high`` is below ``low`` or 0, or ``events`` has other bits.

        Source: ``bufferevent_setwatermark``, where 0 stands for no limit.
        """
        check_directions(events)
        if low < 0 or (high is not None and (high < low or high == 0)):
            raise ValueError(f"watermarks need 0 <= low <= high and high > 0, got low={low} high={high}")
        if events & EV_WRITE:
            self._write_low, self._write_high = low, high or 0
        if events & EV_READ:
            self._read_low, self._read_high = low, high or 0
            self.input.owner = self if high and not self.closed else None
            self._watch_input()

    def watermark(self, direction: int) -> tuple[int, int | None]:
        """Return ``(low, high)`` of ``EV_READ`` or ``EV_WRITE``. Source: ``bufferevent_getwatermark``."""
        if direction == EV_READ:
            return self._read_low, self._read_high or None
        return self._write_low, self._write_high or None

    def suspend(self, events: int, reason: int) -> None:
        """Hold directions back for ``reason`` (``SUSPEND_…``), whatever the user wishes.

        Source: ``bufferevent_suspend_read_`` and its twin.
        """
        if events & EV_READ:
            self._read_suspended |= reason
        if events & EV_WRITE:
            self._write_held |= reason
        self._stop(events)

    @property
    def read_suspended(self) -> int:
        """Why reading is held back: ``SUSPEND_…`` bits."""
        return self._read_suspended

    def resume(self, events: int, reason: int) -> None:
        """Take ``reason`` away; with the last one gone, data flows again where that is enabled."""
        if events & EV_READ:
            self._read_suspended &= ~reason
        if events & EV_WRITE:
            self._write_held &= ~reason
        self._start(events & self.enabled & ~self._suspended())

    # For transports

    def _suspended(self) -> int:
        """Return the directions that are held back, whatever the user wishes."""
        return (EV_READ if self._read_suspended else 0) | (EV_WRITE if self._write_held & _SUSPENDED else 0)

    def buffer_changed(self, buffer: Flow, added: int, deleted: int) -> None:
        """See `evkit.core.buffer.BufferOwner`."""
        if buffer is self.output:
            if added and not self._flush_queued:  # as _flush_later, which would be a call a message
                self._flush_queued = True
                self.base.queues.outbox.append(self)
        elif deleted or added:
            self._watch_input()

    def _watch_input(self) -> None:
        full = bool(self._read_high) and len(self.input) >= self._read_high
        if full and not self._read_suspended & SUSPEND_WATERMARK:
            self.suspend(EV_READ, SUSPEND_WATERMARK)
        elif not full and self._read_suspended & SUSPEND_WATERMARK:
            self.resume(EV_READ, SUSPEND_WATERMARK)

    def _flush_later(self) -> None:
        """Have the loop flush the output when the callback that runs now has returned."""
        if not self._flush_queued:
            self._flush_queued = True
            self.base.queues.outbox.append(self)

    # What a transport fills in

    def _start(self, events: int) -> None:
        """Let data flow: enabled and not held back."""
        raise NotImplementedError

    def _stop(self, events: int) -> None:
        """Let no data flow."""
        raise NotImplementedError

    def _adjust_timeouts(self) -> None:
        """Apply time-outs that have changed to what is under way."""
        raise NotImplementedError

    def flush_output(self) -> None:
        """Send what is in the output now, as far as it goes. The loop calls this when a callback has returned."""
        raise NotImplementedError


class _Nobody:
    """The owner of an output whose connection is closed: nothing stays in it, no file and no reference either."""

    __slots__ = ()

    def buffer_changed(self, buffer: Flow, added: int, deleted: int) -> None:  # noqa: ARG002 - a callback
        """See `evkit.core.buffer.BufferOwner`."""
        if buffer.length:
            buffer.spend(buffer.length)


NOBODY: Final = _Nobody()


def check_directions(events: int) -> None:
    """Refuse what is no direction.

    Raises:
        ValueError: Other bits than ``EV_READ`` and ``EV_WRITE`` are set.
    """
    if events & ~(EV_READ | EV_WRITE):
        raise ValueError(f"expected EV_READ, EV_WRITE or both, got {event_bits(events)}")
