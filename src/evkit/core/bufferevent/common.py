"""What every buffered connection has, whatever carries its bytes: two buffers, three callbacks, and what holds it back.

The user's wish (`BufferEvent.enabled`) and the reasons against it (suspend bits) are kept apart, so watermarks, rate
limits and look-ups never undo each other's work. A transport fills in the five methods at the end.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from evkit.core.buffer import Buffer, Flow
from evkit.core.buffer.segments import Readable
from evkit.core.bufferevent.deferred import DeferredCallbacks
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_READ,
    EV_WRITE,
    event_bits,
)
from evkit.errors import ConnectionLost, During, TransportError, TransportTimeout

if TYPE_CHECKING:
    from evkit.core.base import EventBase

# Why a direction is held back although it is enabled (BEV_SUSPEND_… in libevent).
SUSPEND_WATERMARK: Final = 0x01
SUSPEND_BANDWIDTH: Final = 0x02
SUSPEND_LOOKUP: Final = 0x08
SUSPEND_FILTER: Final = 0x10
# Why a transport itself does not send at once what is written.
HELD_DISABLED: Final = 0x100
HELD_CONNECTING: Final = 0x200
HELD_WAITING: Final = 0x400  # for room in the system's buffer
HELD_CLOSED: Final = 0x800
HELD_NEW: Final = 0x1000  # there is nothing to send to yet
_SUSPENDED: Final = 0xFF

Handler = Callable[["BufferEvent"], object]
EventHandler = Callable[["BufferEvent", int], object]


class BufferEvent:
    """A connection with an input and an output buffer.

    What arrives is appended to `input`, then the read callback runs. What is appended to `output` is sent when the
    callback that wrote it returns; then, once no more than the low write mark is left, the write callback runs.

    Writing is enabled from the start, reading is not, as in libevent. Unlike there, the write callback is not called
    for an output that has been empty all along.

    Attributes:
        base: The event base it runs on.
        input: Read from it; only the transport appends.
        output: Append to it; only the transport removes.
        enabled: ``EV_READ | EV_WRITE``, as far as the user wishes.
        read_timeout: Seconds without anything read before `BEV_EVENT_TIMEOUT`; ``None``: no limit.
        write_timeout: Seconds without anything written, while there is something to write; ``None``: no limit.
        error: The whole story of what the event callback heard last: `ConnectError` or `ConnectionLost` after
            ``BEV_EVENT_ERROR``, with the ``OSError`` as its cause, `TransportTimeout` after ``BEV_EVENT_TIMEOUT``, and
            ``None`` after any other event. Its ``during`` says what the connection was doing.
        closed: Whether `close` was called, by whomever: also when a callback has failed.
        on_close: Called as ``on_close(bev)``, once, at the end of `close`.

    Source: ``struct bufferevent``.
    """

    __slots__ = (
        "_deferred",
        "_event_callback",
        "_flush_queued",
        "_read_callback",
        "_read_high",
        "_read_low",
        "_read_suspended",
        "_write_callback",
        "_write_held",
        "_write_high",
        "_write_low",
        "base",
        "closed",
        "enabled",
        "error",
        "input",
        "on_close",
        "output",
        "read_timeout",
        "write_timeout",
    )

    def __init__(self, base: "EventBase", *, defer_callbacks: bool = False) -> None:
        self.base = base
        self.input = Buffer()
        self.output = Buffer()
        self.input.freeze(back=True)
        self.output.freeze(front=True)
        self.output.owner = self
        self.enabled = EV_WRITE
        self.read_timeout: float | None = None
        self.write_timeout: float | None = None
        self.error: TransportError | None = None
        self.closed = False
        self.on_close: Handler | None = None
        self._flush_queued = False
        self._read_suspended = 0
        self._write_held = 0  # reasons not to send at once: 0 is what flush_output looks for
        self._read_low = 0
        self._read_high = 0  # 0: no limit
        self._write_low = 0
        self._write_high = 0
        self._deferred = DeferredCallbacks(self) if defer_callbacks else None
        self.set_callbacks()

    def set_callbacks(
        self,
        read: Handler | None = None,
        write: Handler | None = None,
        event: EventHandler | None = None,
    ) -> None:
        """Replace all three callbacks; one that is left out is not called.

        Args:
            read: ``read(bev)`` after something arrived and the input holds at least the low read mark.
            write: ``write(bev)`` after something was sent and no more than the low write mark is left.
            event: ``event(bev, what)`` with ``BEV_EVENT_…`` bits: connected, end of stream, error, time-out. The
                direction concerned has been disabled; `error` tells the whole story.

        An exception that escapes a callback goes to the base's exception handler and closes the connection.

        Source: ``bufferevent_setcb``.
        """
        if self.closed:
            read = write = event = None
        if self._deferred is not None:
            read, write, event = self._deferred.wrap(read, write, event)
        self._read_callback = read
        self._write_callback = write
        self._event_callback = event

    def write(self, data: Readable) -> None:
        """Append ``data`` to the output. Source: ``bufferevent_write``."""
        self.output.add(data)

    def read(self, size: int | None = None) -> bytes:
        """Take up to ``size`` bytes from the input; ``None``: all. Source: ``bufferevent_read``."""
        return self.input.remove(size)

    def enable(self, events: int) -> None:
        """Let data flow in the directions of ``events``. Source: ``bufferevent_enable``."""
        _check_directions(events)
        self.enabled |= events
        if events & EV_WRITE:
            self._write_held &= ~HELD_DISABLED
        self._start(events & ~self._suspended())

    def disable(self, events: int) -> None:
        """Stop data in the directions of ``events``. Source: ``bufferevent_disable``."""
        _check_directions(events)
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
                self.base.check_timeout(timeout)
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
            ValueError: A mark is negative, or ``high`` is below ``low`` or 0.

        Source: ``bufferevent_setwatermark``, where 0 stands for no limit.
        """
        _check_directions(events)
        if low < 0 or (high is not None and (high < low or high == 0)):
            raise ValueError(f"watermarks need 0 <= low <= high and high > 0, got low={low} high={high}")
        if events & EV_WRITE:
            self._write_low, self._write_high = low, high or 0
        if events & EV_READ:
            self._read_low, self._read_high = low, high or 0
            self.input.owner = self if high else None
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

    def resume(self, events: int, reason: int) -> None:
        """Take ``reason`` away; with the last one gone, data flows again where that is enabled."""
        if events & EV_READ:
            self._read_suspended &= ~reason
        if events & EV_WRITE:
            self._write_held &= ~reason
        self._start(events & self.enabled & ~self._suspended())

    def close(self) -> None:
        """End the connection now; what is still in the output is lost. No callback but `on_close` runs after this.

        Source: ``bufferevent_free``, which closes the descriptor some time later.
        """
        if self.closed:
            return
        self.closed = True
        self._write_held |= HELD_CLOSED
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            deferred.wrap(None, None, None)
            deferred.withdraw()
        self.set_callbacks()
        # No cycle is left: the connection is freed when it is let go.
        self.input.owner = self.output.owner = None
        if self.output:
            self.output.consume(len(self.output))  # with the files and references in it
        self._close_transport()
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            self._call(on_close)

    def close_when_drained(self) -> None:
        """Close as soon as the output is empty; nothing more is read. Set a write time-out against a dead peer.

        An error on the way closes it, too. libevent has no such function, and its users write one each.
        """
        self.disable(EV_READ)
        self.enable(EV_WRITE)
        self._write_low = 0
        if self._deferred is not None:
            self._deferred.forget()  # what it gathered was meant for the callbacks of before
        self.set_callbacks(write=_close_if_drained, event=_close_on_event)
        if self.output:
            self.flush_output()
        else:
            self.close()

    # For transports

    def _suspended(self) -> int:
        """Return the directions that are held back, whatever the user wishes."""
        return (EV_READ if self._read_suspended else 0) | (EV_WRITE if self._write_held & _SUSPENDED else 0)

    def buffer_changed(self, buffer: Flow, added: int, deleted: int) -> None:
        """See `evkit.core.buffer.BufferOwner`."""
        if buffer is self.output:
            if added and not self._flush_queued:
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

    def _failed(self, direction: int, what: int, error: OSError | None) -> None:
        """Disable ``direction`` and tell the user ``what``, with ``error`` or for an end of stream without one."""
        during: During = "read" if direction == EV_READ else "write"
        self.error = None if error is None else ConnectionLost.of(error, during=during)
        self.disable(direction)
        self._call_event(what)

    def _timed_out(self, direction: int) -> None:
        """Disable ``direction`` and tell the user."""
        if direction == EV_READ:
            side, self.error = BEV_EVENT_READING, time_out("read", self.read_timeout)
        else:
            side, self.error = BEV_EVENT_WRITING, time_out("write", self.write_timeout)
        self.disable(direction)
        self._call_event(side | BEV_EVENT_TIMEOUT)

    def _call(self, callback: Handler) -> None:
        try:
            callback(self)
        except Exception as exception:
            self.escaped(exception)

    def _call_event(self, what: int) -> None:
        try:
            if self._event_callback is not None:
                self._event_callback(self, what)
        except Exception as exception:
            self.escaped(exception)

    def escaped(self, exception: Exception) -> None:
        """Tell the base of a callback that failed, and close: the connection is in nobody's hands any more."""
        self.base.escaped(exception, self)
        self.close()

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

    def _close_transport(self) -> None:
        """Give back what the transport has from the system."""
        raise NotImplementedError


def time_out(during: During, after: float | None) -> TransportTimeout:
    """Make the error of a wait of ``after`` seconds; ``None``: the limit was taken away before that was told."""
    return TransportTimeout("timed out" if after is None else f"timed out after {after:g} s", during=during)


def _close_if_drained(bev: BufferEvent) -> None:
    if not bev.output:  # a deferred call may be an old one
        bev.close()


def _close_on_event(bev: BufferEvent, what: int) -> None:
    if what != BEV_EVENT_CONNECTED:
        bev.close()


def _check_directions(events: int) -> None:
    if events & ~(EV_READ | EV_WRITE):
        raise ValueError(f"expected EV_READ, EV_WRITE or both, got {event_bits(events)}")
