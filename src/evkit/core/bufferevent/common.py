"""What every buffered connection has, whatever carries its bytes: three callbacks, a priority, an error, and an end.

It decides who is told what, and how a connection closes. When bytes may flow is `Gate`'s half. It knows nothing of what
carries them; a transport fills in the methods at the end, and `Gate`'s.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from evkit.core.bufferevent.deferred import DeferredCallbacks
from evkit.core.bufferevent.gate import HELD_CLOSED, NOBODY, Gate, check_directions
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
)
from evkit.errors import ConnectionLost, During, TransportError, TransportTimeout

if TYPE_CHECKING:
    from evkit.core.base import EventBase

Handler = Callable[["BufferEvent"], object]
EventHandler = Callable[["BufferEvent", int], object]


class BufferEvent(Gate):
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
        "_priority",
        "_read_callback",
        "_write_callback",
        "error",
        "on_close",
    )

    def __init__(self, base: "EventBase", *, defer_callbacks: bool = False) -> None:
        super().__init__(base)
        self.error: TransportError | None = None
        self.on_close: Handler | None = None
        self._priority = base.npriorities // 2
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
        check_directions(events)
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
        check_directions(events)
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

        It can be used all the same, without effect: what is written is dropped at once.

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
        self.input.owner, self.output.owner = None, NOBODY
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
        self._write_low = 0
        if self._deferred is not None:
            self._deferred.forget()
        self.set_callbacks(write=_close_if_drained, event=_close_on_event)
        self.disable(EV_READ)
        self.enable(EV_WRITE)  # now that a failure in here is heard
        if self._unsent():
            self.flush_output()
        else:
            self.close()

    # For transports

    def _unsent(self) -> int:
        """Return how many bytes the peer's side has not got yet: the output, and that of the connections below."""
        return self.output.length

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
