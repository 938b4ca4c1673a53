"""`LayerOutput`: the writing half of a connection that another one carries.

It decides when output is encoded, and when the user hears that it is gone: what was written counts as sent when it has
left every connection below, so a slow peer stops a fast writer here as it does on a socket. It knows nothing of what a
codec does, and nothing of reading.
"""

from typing import Final

from evkit.core.buffer import NO_LIMIT, BufferCallback, BufferInfo, Flow
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.virtual import VirtualBufferEvent
from evkit.core.flags import (
    BEV_ERROR,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
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

DEFAULT_WRITE_HIGH: Final = 128 * 1024
"""Bytes that wait below, at most, before encoding pauses, where the connection below has no high write mark of its own.
In libevent nothing stops a fast writer then."""

# How the output is to end, once everything in it is encoded.
FINISH: Final = 1  # the codec is told
SHUT: Final = 2  # and the connection below is shut, too


class LayerOutput(VirtualBufferEvent):
    """A connection that encodes its output into another connection's; see `LayeredBufferEvent`."""

    __slots__ = ("_ending", "_moved", "_output_ended", "_progress", "_underlying")

    def __init__(self, underlying: BufferEvent, *, defer_callbacks: bool) -> None:
        self._underlying = underlying
        super().__init__(underlying.base, defer_callbacks=defer_callbacks)
        self._ending = 0  # FINISH or SHUT
        self._moved = False  # something was encoded since the write callback ran
        self._output_ended = False  # the encoder has heard that this is the end
        self._progress: BufferCallback | None = None

    @property
    def underlying(self) -> BufferEvent:
        """The connection that carries this one's bytes. Source: ``bufferevent_get_underlying``."""
        return self._underlying

    # What a codec fills in

    def _encode(self, limit: int, mode: int) -> int:
        """Turn some of the output into output below.

        Args:
            limit: Bytes that the connection below has room for, ``>= 1``.
            mode: ``BEV_NORMAL``, ``BEV_FLUSH`` or ``BEV_FINISHED``.

        Returns:
            ``BEV_OK``: it is worth calling again, if there is more. ``BEV_NEED_MORE``: not before there is more.
            ``BEV_ERROR``: it cannot go on, and `error` says why.
        """
        raise NotImplementedError

    def _end_below(self) -> None:
        """Tell the connection below that the stream ends: it was encoded with ``BEV_FINISHED``."""
        self._underlying.shutdown_write()

    # Writing

    def flush_output(self) -> None:
        """See `BufferEvent.flush_output`: the output is encoded, and the connection below sends it at once."""
        self._flush_queued = False
        if self._write_held:
            return
        below = self._underlying
        queued, below._flush_queued = below._flush_queued, True
        try:
            self._pump_output()
        finally:
            below._flush_queued = queued
        if below.output.length and not queued:
            below.flush_output()
        if self._moved and not below._unsent():
            self._report_written()  # the codec kept it all, or the one below defers its callbacks
        if self._moved or self.output.length or self._progress is not None:
            self._tend_timers(EV_WRITE)  # which what went at once, as almost all does, need not pay for

    def _pump_output(self, mode: int = BEV_NORMAL, *, marks: bool = True, options: int = 0) -> bool:
        """Encode what there is and end the output where that is due.

        Args:
            mode: See `_encode`.
            marks: Respect the high write mark of the connection below.
            options: How the user hears of a codec that has failed; see `BufferEvent.trigger_event`.

        Returns:
            Whether anything moved.
        """
        if self._write_held:
            return False
        source, sink = self.output, self._underlying.output
        before = source.length, sink.length
        try:
            result = self._encode_all(mode, marks=marks)
            self._moved |= before != (source.length, sink.length)
            full = source.length > 0 and result == BEV_OK
            if self._ending and not (full or result == BEV_ERROR or self._write_held):
                result = self._encode_end()
        except Exception as exception:
            self.escaped(exception)
            return False
        if result == BEV_ERROR and not self.closed:
            self._refuse(EV_WRITE, options)
        return before != (source.length, sink.length)

    def _encode_all(self, mode: int, *, marks: bool) -> int:
        """Encode while there is output, and room below.

        Args:
            mode: See `_decode`. With ``BEV_FLUSH`` the codec is called at least once.
            marks: Respect the high write mark of the connection below.

        Returns:
            ``BEV_OK`` if room ended it, or that all is done; ``BEV_NEED_MORE``, ``BEV_ERROR``: see `_decode`.
        """
        source, below = self.output, self._underlying
        sink = below.output
        result, first = BEV_OK, mode != BEV_NORMAL and not self._output_ended
        while (source.length or first) and result == BEV_OK and not (self._write_held or below.closed):
            high = below.watermark(EV_WRITE)[1] if marks else None
            limit = NO_LIMIT if high is None else high - sink.length
            if limit <= 0:
                break
            left, had, first = source.length, sink.length, False
            result = self._encode(limit, mode)
            if result == BEV_OK and source.length == left and sink.length == had:
                result = BEV_NEED_MORE
        return result

    def _encode_end(self) -> int:
        """Let the codec end the output, once, and do what was to follow."""
        ending, self._ending = self._ending, 0
        result = BEV_OK
        if not self._output_ended:
            self._output_ended = True
            result = self._encode(NO_LIMIT, BEV_FINISHED)
        if ending & FINISH:
            self._moved = True  # so that the write callback looks whether it may close
        if self.output and result != BEV_ERROR:
            self.error = TransportError(
                f"the codec leaves {len(self.output)} bytes at the end", during="write"
            )
            return BEV_ERROR
        if ending & SHUT and result != BEV_ERROR and not self._underlying.closed:
            self._end_below()
        return result

    def _on_underlying_write(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        if self.output.length:
            self._pump_output()
        if self._moved:
            self._report_written()

    def _report_written(self) -> None:
        """Run the write callback if that is due: what was encoded has gone from below, too."""
        unsent = self._unsent()
        if unsent <= self._write_low:
            self._moved = unsent > 0
            if self._write_callback is not None:
                self._call(self._write_callback)

    def _on_progress(self, buffer: Flow, info: BufferInfo) -> None:  # noqa: ARG002 - a callback
        """Hear of what leaves the connection at the bottom, while there is a write time-out and something to leave."""
        if info.deleted:
            self._tend_timers(EV_WRITE, anew=True)
            if not self._unsent():
                self._forget_progress()

    def _tend_timers(self, events: int, *, anew: bool = False) -> None:
        """See `VirtualBufferEvent._tend_timers`; what leaves the connection at the bottom is listened for meanwhile."""
        super()._tend_timers(events, anew=anew)
        if (
            events & EV_WRITE
            and self._progress is None
            and self.write_timeout is not None
            and not self.closed
            and self._unsent()
        ):
            self._progress = _bottom(self).output.add_callback(self._on_progress)

    def _unsent(self) -> int:
        """See `BufferEvent._unsent`; the end of the stream counts as a byte."""
        return self.output.length + (self._ending > 0) + self._underlying._unsent()

    def _refuse(self, direction: int, options: int = 0) -> None:
        """Tell the user that the codec has failed; `error` is set."""
        side = BEV_EVENT_READING if direction == EV_READ else BEV_EVENT_WRITING
        self.disable(direction)
        self.trigger_event(side | BEV_EVENT_ERROR, options)

    def _start_output(self) -> None:
        """Go on writing, from the loop."""
        below = self._underlying
        if not below.enabled & EV_WRITE and not below.closed:
            below.enable(EV_WRITE)  # it had failed or timed out
        if self.output or self._ending:
            self._flush_later()

    def _flush_own_output(self, mode: int) -> bool:
        if mode == BEV_FINISHED:
            self._ending |= SHUT
        moved = self._pump_output(
            mode & BEV_FLUSH, marks=mode == BEV_NORMAL, options=BEV_TRIG_DEFER_CALLBACKS
        )
        self._tend_timers(EV_WRITE)
        return moved

    # The contract of BufferEvent

    def shutdown_write(self) -> None:
        """See `BufferEvent.shutdown_write`: the codec is told of the end, then the connection below ends, too."""
        if not self.closed:
            self._ending |= SHUT
            self._pump_output(options=BEV_TRIG_DEFER_CALLBACKS)
            self._tend_timers(EV_WRITE)

    def close_when_drained(self) -> None:
        """See `BufferEvent.close_when_drained`: the codec is told of the end, and the connections below are drained."""
        if not self.closed:
            self._ending |= FINISH
            super().close_when_drained()

    def _adjust_timeouts(self) -> None:
        """See `BufferEvent._adjust_timeouts`."""
        if self.write_timeout is None:
            self._forget_progress()
        super()._adjust_timeouts()

    def _forget_progress(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.remove()


def _bottom(bev: BufferEvent) -> BufferEvent:
    below = bev.underlying
    return bev if below is None else _bottom(below)
