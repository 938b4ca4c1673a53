"""`LayeredBufferEvent`: a buffered connection that another one carries, its bytes changed on the way.

What filters and TLS share. It decides when input is decoded: while the user wants some and has room. What happens below
is told above, after everything that came before it. Writing is `LayerOutput`'s half. It knows nothing of what a codec
does, nor of sockets.
"""

from evkit.core.buffer import NO_LIMIT
from evkit.core.bufferevent.common import BufferEvent, Handler
from evkit.core.bufferevent.gate import SUSPEND_FILTER, SUSPEND_WATERMARK
from evkit.core.bufferevent.layer_output import DEFAULT_WRITE_HIGH, LayerOutput
from evkit.core.event import Deferred, QueueEntry
from evkit.core.flags import (
    BEV_ERROR,
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    BEV_FLUSH,
    BEV_NEED_MORE,
    BEV_NORMAL,
    BEV_OK,
    BEV_TRIG_DEFER_CALLBACKS,
    EV_READ,
    EV_WRITE,
)
from evkit.errors import TransportError


class LayeredBufferEvent(LayerOutput):
    """A connection over another connection, whose callbacks, reading and life are in its hands from now on.

    The write callback runs when what was written has left the connection below, too, so that it means the same as on a
    socket. Whoever closes the connection below closes this one.

    Args:
        underlying: The connection below. Both its directions are enabled, its low marks go, and it gets a high
            write mark if it has none.
        close_underlying: Close it together with this one (``BEV_OPT_CLOSE_ON_FREE``). Otherwise it is given back, with
            no callbacks.
        defer_callbacks: As for `SocketBufferEvent`.

    Raises:
        ValueError: ``underlying`` is closed.
    """

    __slots__ = (
        "_close_underlying",
        "_end",
        "_end_error",
        "_filled",
        "_finished",
        "_former_on_close",
        "_later",
    )

    def __init__(
        self, underlying: BufferEvent, *, close_underlying: bool = True, defer_callbacks: bool = False
    ) -> None:
        if underlying.closed:
            raise ValueError(f"the underlying connection is closed: {underlying!r}")
        super().__init__(underlying, defer_callbacks=defer_callbacks)
        self._priority = underlying.priority
        if self._deferred is not None:
            self._deferred.level = underlying.priority
        self._close_underlying = close_underlying
        self._end = 0  # what is to be told once the input below is decoded: BEV_EVENT_… bits
        self._end_error: TransportError | None = None
        self._filled = False  # the codec stopped because there was no room: it may have more
        self._finished = False  # the decoder has heard that this is the end
        self._later: Deferred | None = None
        self._former_on_close: Handler | None = underlying.on_close
        self._take_over(underlying)

    def _take_over(self, below: BufferEvent) -> None:
        below.on_close = self._on_underlying_close
        below.set_callbacks(self._on_underlying_read, self._on_underlying_write, self._on_underlying_event)
        # The user's low marks are now this connection's matter.
        below.set_watermark(EV_READ, high=below.watermark(EV_READ)[1])
        below.set_watermark(EV_WRITE, high=below.watermark(EV_WRITE)[1] or DEFAULT_WRITE_HIGH)
        below.suspend(EV_READ, SUSPEND_FILTER)
        below.enable(EV_READ | EV_WRITE)

    # What a codec fills in

    def _decode(self, limit: int, mode: int) -> int:
        """Turn some of the input below into input; as `_encode`."""
        raise NotImplementedError

    def _has_input(self) -> bool:
        """Whether there is something to decode, as there is while the input below is not empty."""
        return self._filled or self._underlying.input.length > 0

    def _wants_input(self) -> bool:
        """Whether the connection below is to read."""
        return self._reads()

    # Reading

    def _on_underlying_read(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        self._pump_input()

    def _pump_input(self) -> None:
        """Decode what there is room for, and tell the user.

        What is left over comes after other callbacks, when the user has made room: see `_start`.
        """
        try:
            mode = BEV_FINISHED if self._end & BEV_EVENT_EOF else BEV_NORMAL
            result, grown = self._decode_all(mode, marks=True)
            ended = self._end and result != BEV_OK
            callback = self._read_callback
            if grown and callback is not None and self.input.length >= self._read_low:
                callback(self)
        except Exception as exception:
            self.escaped(exception)
            return
        if self.closed:
            return
        if result == BEV_ERROR:
            self._refuse(EV_READ)
        elif ended and self._reads():
            self._tell_end()

    def _decode_all(self, mode: int, *, marks: bool) -> tuple[int, bool]:
        """Decode while there is input and room.

        Args:
            mode: See `_decode`. In any but ``BEV_NORMAL`` the codec is called at least once.
            marks: Respect the high read mark.

        Returns:
            ``BEV_OK`` if room or the user's wish was what ended it, ``BEV_NEED_MORE`` if all is decoded that can be, or
            ``BEV_ERROR``; and whether the input has grown.
        """
        source, sink = self._underlying.input, self.input
        before = sink.length
        ignored = 0 if marks else SUSPEND_WATERMARK
        result = BEV_OK
        while result == BEV_OK and self._reads(ignored):
            limit = self.room() if marks and self._read_high else NO_LIMIT
            if not limit:
                break
            if not (source.length or self._has_input()) and (mode == BEV_NORMAL or self._finished):
                result = BEV_NEED_MORE
                break
            left, had = source.length, sink.length
            result = self._decode(limit, mode)
            self._filled = result == BEV_OK and sink.length - had >= limit
            self._finished = mode != BEV_NORMAL
            if result == BEV_OK and source.length == left and sink.length == had:
                result = BEV_NEED_MORE
        if sink.length > before:
            self._note_input()
        return result, sink.length > before

    def _pump_later(self) -> None:
        if self._wants_input():
            if self._later is None:
                self._later = self.base.deferred(self._pump_input)
                self._later.level = self._priority  # which may be more than the base has by now
            self._later.schedule()

    def _tell_end(self) -> None:
        what, self._end, self.error, self._end_error = self._end, 0, self._end_error, None
        self.disable(_directions(what))
        self._call_event(what)

    # What happens below

    def _on_underlying_event(self, bev: BufferEvent, what: int) -> None:
        if self.closed:
            return  # the last words of a codec failed
        if what & BEV_EVENT_CONNECTED:
            self._on_underlying_connected()
        elif what & BEV_EVENT_READING and what & (BEV_EVENT_EOF | BEV_EVENT_ERROR):
            # What came before the end is the user's first; an end of writing does not wait for that.
            self._end, self._finished = BEV_EVENT_READING | (what & BEV_EVENT_EOF or BEV_EVENT_ERROR), False
            self._end_error = None if what & BEV_EVENT_EOF else bev.error
            self._pump_input()
            if what & BEV_EVENT_WRITING:
                self._on_underlying_event(bev, _of_writing(what))
        else:
            self.error = bev.error
            self.disable(_directions(what))
            self._call_event(what)

    def _on_underlying_connected(self) -> None:
        self.error = None
        self._call_event(BEV_EVENT_CONNECTED)

    def _on_underlying_close(self, bev: BufferEvent) -> None:
        former, self._former_on_close = self._former_on_close, None
        self.close()
        if former is not None:
            former(bev)

    def _refuse(self, direction: int, options: int = 0) -> None:
        """See `LayerOutput._refuse`."""
        if direction == EV_READ:
            self._end = 0
        super()._refuse(direction, options)

    # The contract of BufferEvent

    def _start(self, events: int) -> None:
        """See `BufferEvent._start`."""
        if self.closed:
            return  # the connection below is somebody else's by now
        self._tend_underlying()
        if events & EV_READ and (self._end or self._has_input()):
            self._pump_later()
        if events & EV_WRITE:
            self._start_output()
        self._tend_timers(events)

    def _stop(self, events: int) -> None:
        """See `BufferEvent._stop`. What is encoded already is sent all the same."""
        self._tend_underlying()
        self._tend_timers(events)

    def _tend_underlying(self) -> None:
        """Let the connection below read while anybody wants what comes."""
        below = self._underlying
        if self.closed or below.closed:
            return
        if not self._wants_input():
            if not below.read_suspended & SUSPEND_FILTER:
                below.suspend(EV_READ, SUSPEND_FILTER)
            return
        if not (below.enabled & EV_READ or self._end):
            below.enable(EV_READ)  # it had failed or timed out
        if below.read_suspended & SUSPEND_FILTER:
            below.resume(EV_READ, SUSPEND_FILTER)

    def _flush(self, events: int, mode: int) -> bool:
        """See `BufferEvent.flush`. Callbacks run later, never from inside."""
        moved = False
        if events & EV_READ:
            moved = self._flush_input(mode)
        if events & EV_WRITE and not self.closed:
            moved |= self._flush_own_output(mode)
        if mode == BEV_FINISHED:
            events &= ~EV_WRITE  # the end goes down by itself, when all is encoded
        return (not self.closed and self._underlying.flush(events, min(mode, BEV_FLUSH))) or moved

    def _flush_input(self, mode: int) -> bool:
        self._finished = False
        try:
            result, grown = self._decode_all(mode, marks=mode == BEV_NORMAL)
        except Exception as exception:
            self.escaped(exception)
            return False
        if grown:
            self.trigger(EV_READ, BEV_TRIG_DEFER_CALLBACKS)
        if result == BEV_ERROR:
            self._refuse(EV_READ, BEV_TRIG_DEFER_CALLBACKS)
        return grown

    def set_priority(self, priority: int) -> None:
        """See `BufferEvent.set_priority`; the connections below get the same."""
        super().set_priority(priority)
        if not self.closed:
            self._underlying.set_priority(priority)

    def _queue_entries(self) -> list[QueueEntry]:
        """See `BufferEvent._queue_entries`."""
        later = [] if self._later is None else [self._later]
        return [*super()._queue_entries(), *later]

    def _close_transport(self) -> None:
        """See `BufferEvent._close_transport`."""
        super()._close_transport()
        self._forget_progress()
        later, self._later = self._later, None
        if later is not None:
            later.cancel()
        self._release(self._underlying)

    def _release(self, below: BufferEvent) -> None:
        below.set_callbacks()
        if below.on_close == self._on_underlying_close:
            below.on_close, self._former_on_close = self._former_on_close, None
        if self._close_underlying:
            below.close()
        elif not below.closed:
            below.resume(EV_READ, SUSPEND_FILTER)


def _of_writing(what: int) -> int:
    """Return what is told of writing where a connection that defers its callbacks tells of both directions as one."""
    return BEV_EVENT_WRITING | (what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT) or BEV_EVENT_EOF)


def _directions(what: int) -> int:
    """Return the directions that an event is about; one that names none is about both."""
    directions = (EV_READ if what & BEV_EVENT_READING else 0) | (EV_WRITE if what & BEV_EVENT_WRITING else 0)
    return directions or EV_READ | EV_WRITE
