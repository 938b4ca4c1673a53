"""What every buffered connection has, whatever carries its bytes: two buffers, three callbacks, and what holds it back.

The user's wish (`BufferEvent.enabled`) and the reasons against it (suspend bits) are kept apart, so watermarks, rate
limits and look-ups never undo each other's work. A transport fills in the methods at the end.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from evkit.core.buffer import Buffer, Flow
from evkit.core.buffer.segments import Readable
from evkit.core.bufferevent.deferred import DeferredCallbacks
from evkit.core.event import QueueEntry
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    BEV_FLUSH,
    BEV_NORMAL,
    BEV_TRIG_DEFER_CALLBACKS,
    BEV_TRIG_IGNORE_WATERMARKS,
    EV_READ,
    EV_WRITE,
    event_bits,
)
from evkit.core.timers import check_seconds
from evkit.errors import ConnectionLost, During, TransportError, TransportTimeout

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
        "_priority",
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
        self._priority = base.npriorities // 2
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

    @property
    def callbacks(self) -> tuple[Handler | None, Handler | None, EventHandler | None]:
        """What `set_callbacks` was told: ``(read, write, event)``. Source: ``bufferevent_getcb``."""
        if self._deferred is not None:
            return self._deferred.wrapped
        return self._read_callback, self._write_callback, self._event_callback

    @property
    def underlying(self) -> "BufferEvent | None":
        """The connection that carries this one's bytes; ``None``: it is nobody's layer.

        Source: ``bufferevent_get_underlying``.
        """
        return None

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

    def trigger(self, events: int, options: int = 0) -> None:
        """Run the callbacks of ``events`` as if something had just been read or written.

        Args:
            events: ``EV_READ``, ``EV_WRITE`` or both, in this order.
            options: ``BEV_TRIG_IGNORE_WATERMARKS``: whatever the low marks say. ``BEV_TRIG_DEFER_CALLBACKS``: soon,
                from the loop, and not from inside this call.

        Raises:
            ValueError: Other bits are set.

        Source: ``bufferevent_trigger``.
        """
        _check_directions(events)
        _check_options(options)
        if not options & BEV_TRIG_IGNORE_WATERMARKS:
            if self.input.length < self._read_low:
                events &= ~EV_READ
            if self.output.length > self._write_low:
                events &= ~EV_WRITE
        if options & BEV_TRIG_DEFER_CALLBACKS:
            self.base.call_soon(self._run_callbacks, events)
        else:
            self._run_callbacks(events)

    def trigger_event(self, what: int, options: int = 0) -> None:
        """Run the event callback with ``what``; nothing else changes, `error` least of all.

        Args:
            what: ``BEV_EVENT_…`` bits.
            options: ``BEV_TRIG_DEFER_CALLBACKS``, as for `trigger`; the watermarks have no say in events.

        Raises:
            ValueError: Other options are set.

        Source: ``bufferevent_trigger_event``.
        """
        _check_options(options)
        if options & BEV_TRIG_DEFER_CALLBACKS:
            self.base.call_soon(self._call_event, what)
        else:
            self._call_event(what)

    def flush(self, events: int, mode: int = BEV_FLUSH) -> bool:
        """Move on what this connection holds back of its own accord: what a filter gathers, what a pair's marks stop.

        A socket holds nothing back: what is written is sent when the callback returns, which this call does not hasten.

        Args:
            events: The directions concerned.
            mode: ``BEV_NORMAL``: as ever. ``BEV_FLUSH``: as much as can be. ``BEV_FINISHED``: likewise, and this is the
                end of the stream; for writing that is `shutdown_write`.

        Returns:
            Whether anything was moved in this call.

        Raises:
            ValueError: No such direction or mode.

        Source: ``bufferevent_flush``, which returns -1 for an error and does nothing on sockets and TLS.
        """
        _check_directions(events)
        if mode not in (BEV_NORMAL, BEV_FLUSH, BEV_FINISHED):
            raise ValueError(f"expected BEV_NORMAL, BEV_FLUSH or BEV_FINISHED, got {mode!r}")
        return not self.closed and self._flush(events, mode)

    @property
    def priority(self) -> int:
        """The queue that its callbacks run from, 0 the most urgent; see `set_priority`.

        Source: ``bufferevent_get_priority``.
        """
        return self._priority

    def set_priority(self, priority: int) -> None:
        """Choose the queue; what is active already stays where it is.

        Raises:
            ValueError: The base has no such queue.

        Source: ``bufferevent_priority_set``, which refuses pairs and filters.
        """
        if not 0 <= priority < self.base.npriorities:
            raise ValueError(f"priority must be 0 to {self.base.npriorities - 1}, got {priority}")
        self._priority = priority
        for entry in self._queue_entries():
            entry.level = priority

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
        try:
            if self.output:
                self.output.spend(len(self.output))  # with the files and references in it
        except Exception as exception:  # of a callback on the buffer: the connection ends all the same
            self.base.escaped(exception, self)
        finally:
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
        if self._unsent():
            self.flush_output()
        else:
            self.close()

    # For transports

    def _unsent(self) -> int:
        """Return how many bytes the peer's side has not got yet: the output, and that of the connections below."""
        return self.output.length

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
        if error is not None:
            self.error = ConnectionLost.of(error, during=during)
        elif self._deferred is None or not self._deferred.failed:  # or it belongs to what is still to be told
            self.error = None
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

    def _run_callbacks(self, events: int) -> None:
        if events & EV_READ and self._read_callback is not None:
            self._call(self._read_callback)
        if events & EV_WRITE and self._write_callback is not None:
            self._call(self._write_callback)

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

    def shutdown_write(self) -> None:
        """Send the end of the stream, after what is in the output; reading goes on.

        What is written until then goes out before the end; to write after it is an error. Harmless on a connection that
        is gone, or was never begun.

        Source: ``shutdown(2)``; libevent leaves it to the user to wait for the output.
        """
        raise NotImplementedError

    def _flush(self, events: int, mode: int) -> bool:
        """Do what `flush` says; the arguments are checked, and the connection is open."""
        if events & EV_WRITE and mode == BEV_FINISHED:
            self.shutdown_write()
        return False

    def _queue_entries(self) -> list[QueueEntry]:
        """Return what stands in the loop's queues for it, now or later."""
        return [] if self._deferred is None else [self._deferred]


def time_out(during: During, after: float | None) -> TransportTimeout:
    """Make the error of a wait of ``after`` seconds; ``None``: the limit was taken away before that was told."""
    return TransportTimeout("timed out" if after is None else f"timed out after {after:g} s", during=during)


def _close_if_drained(bev: BufferEvent) -> None:
    if not bev._unsent():  # a deferred call may be an old one
        bev.close()


def _close_on_event(bev: BufferEvent, what: int) -> None:
    if what != BEV_EVENT_CONNECTED:
        bev.close()


def _check_options(options: int) -> None:
    if options & ~(BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS):
        raise ValueError(f"options has unknown bits: {options:#x}; expected BEV_TRIG_… ones")


def _check_directions(events: int) -> None:
    if events & ~(EV_READ | EV_WRITE):
        raise ValueError(f"expected EV_READ, EV_WRITE or both, got {event_bits(events)}")
