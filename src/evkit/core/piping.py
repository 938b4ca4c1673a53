"""`pipe`: what one buffered connection receives, the other sends, both ways, with bounded memory in between.

It decides when reading pauses and goes on, how the end of one stream becomes the end of the other, and what becomes of
the other connection when one is gone. Chunks move from buffer to buffer and are never copied. It knows nothing of
sockets: any two kinds of `BufferEvent` will do.
"""

from collections.abc import Callable
from typing import Final

from evkit.core.bufferevent.common import BufferEvent, Handler
from evkit.core.bufferevent.virtual import VirtualBufferEvent
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_READ,
    EV_WRITE,
)
from evkit.core.last_words import may_have_last_words
from evkit.errors import TransportError

DEFAULT_HIGH: Final = 256 * 1024
"""Four reads: the slower side is seldom out of data while the faster one waits."""
LINGER: Final = 30.0
"""Seconds in which an end without a write time-out must take something of what is left when the other one is gone."""
SUSPEND_PIPE: Final = 0x20
"""Why reading is held back: see ``SUSPEND_…`` of `evkit.core.bufferevent.common`."""


class _Way:
    """One direction.

    Attributes:
        source: Where the bytes come from.
        sink: Where they go.
        high: Bytes in the sink's output at which reading pauses.
        moved: Bytes handed on so far.
        paused: Whether reading waits for the sink.
        ended: Whether no more will be handed on: the source has said all, or the sink takes nothing more.
        former: What was to be called when the source is closed, before there was a pipe.
    """

    __slots__ = ("ended", "former", "high", "moved", "paused", "sink", "source")

    def __init__(self, source: BufferEvent, sink: BufferEvent, high: int) -> None:
        self.source = source
        self.sink = sink
        self.high = high
        self.moved = 0
        self.paused = False
        self.ended = False
        self.former: Handler | None = source.on_close

    def set_marks(self, low: int) -> None:
        """Bound what waits on the way."""
        # A mark of before could keep the last bytes back. What comes by reads is bounded by their size.
        limit = self.high if isinstance(self.source, VirtualBufferEvent) else None
        self.source.set_watermark(EV_READ, high=limit)
        self.sink.set_watermark(EV_WRITE, low=low, high=self.high)

    def release(self) -> None:
        """Leave the source to whoever had it before, and the marks at nothing."""
        self.source.disable(EV_READ)
        self.source.set_callbacks()
        self.on_drained(self.sink)
        self.source.set_watermark(EV_READ | EV_WRITE)
        self.source.on_close, self.former = self.former, None

    def on_read(self, source: BufferEvent) -> None:
        """Hand on what has come; the read callback of the source."""
        self.moved += source.input.length
        output = self.sink.output
        output.add_buffer(source.input)
        if output.length >= self.high and not self.paused:
            self.paused = True
            source.suspend(EV_READ, SUSPEND_PIPE)

    def on_drained(self, sink: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """Go on reading; the write callback of the sink."""
        if self.paused:
            self.paused = False
            self.source.resume(EV_READ, SUSPEND_PIPE)


class Pipe:
    """Two connections that are joined; made by `pipe`.

    Attributes:
        a: One end.
        b: The other.
        error: What ended it, or kept the rest from being delivered; ``None`` after a regular end of both streams and
            after a call of `close`.
        closed: Whether both ends are closed.
        detached: Whether `detach` was called.
        on_close: Called as ``on_close(pipe)``, once, when both ends are closed.
    """

    __slots__ = ("_backward", "_forward", "a", "b", "closed", "detached", "error", "on_close")

    def __init__(self, a: BufferEvent, b: BufferEvent, high: int, low: int) -> None:
        self.a = a
        self.b = b
        self.error: TransportError | None = None
        self.closed = False
        self.detached = False
        self.on_close: Callable[[Pipe], object] | None = None
        self._forward = _Way(a, b, high)
        self._backward = _Way(b, a, high)
        self._begin(self._forward, self._backward, low)
        self._begin(self._backward, self._forward, low)
        # What there is already: last, since a callback on a buffer may close either end.
        self._forward.on_read(a)
        self._backward.on_read(b)

    def _begin(self, way: _Way, back: _Way, low: int) -> None:
        source = way.source
        source.set_callbacks(read=way.on_read, write=back.on_drained, event=self._on_event)
        source.on_close = self._on_end_closed
        way.set_marks(low)
        source.enable(EV_READ | EV_WRITE)

    def __repr__(self) -> str:
        forward, backward = self._forward, self._backward
        words = [self._state(), f"a->b={forward.moved}", f"b->a={backward.moved}"]
        for name, way in (("a", forward), ("b", backward)):
            if not self.closed and (way.ended or way.paused):
                words.append(f"{name} {'ended' if way.ended else 'paused'}")
        return f"<Pipe {' '.join(words)}>"

    def _state(self) -> str:
        if self.closed:
            return "closed"
        if self.detached:
            return "detached"
        return "ending" if self.a.closed or self.b.closed else "open"

    @property
    def a_to_b(self) -> int:
        """Bytes that came from `a` and were handed to the output of `b`."""
        return self._forward.moved

    @property
    def b_to_a(self) -> int:
        """Bytes that came from `b` and were handed to the output of `a`."""
        return self._backward.moved

    def close(self) -> None:
        """Close both ends now; what is still in their outputs is lost."""
        self.a.close()
        self.b.close()

    def detach(self) -> None:
        """Hand on nothing more, and leave both ends open; what was handed on before is still sent.

        They are the caller's again: they read nothing until they are enabled, and have no callbacks and no watermarks,
        but the ``on_close`` of before. `on_close` of the pipe is not called.

        Raises:
            ValueError: One end is closed.
        """
        if self.a.closed or self.b.closed:
            raise ValueError(f"detach() gives back two open connections: {self!r}")
        self.detached = True
        self._forward.release()
        self._backward.release()

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_EOF and what & BEV_EVENT_READING:
            self._pass_end_on(self._way_from(bev))
        if what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT) and not may_have_last_words(bev, what):
            bev.close()
        elif what & BEV_EVENT_WRITING:
            self._stop_feeding(bev)

    def _way_from(self, source: BufferEvent) -> _Way:
        return self._forward if source is self.a else self._backward

    def _pass_end_on(self, way: _Way) -> None:
        way.on_read(way.source)
        if not self._end(way):
            way.sink.shutdown_write()

    def _stop_feeding(self, bev: BufferEvent) -> None:
        """Hand nothing more to ``bev``, which can't send it, but let it say what it still has to."""
        self.error = self.error or bev.error
        way = self._forward if bev is self.b else self._backward
        way.source.disable(EV_READ)
        _limit_wait(way.source)
        self._end(way)

    def _end(self, way: _Way) -> bool:
        """Note that a direction is over; with both, close what has sent all. Return whether it is so far."""
        way.ended = True
        if not (self._forward.ended and self._backward.ended):
            return False
        _let_drain(self.a)
        _let_drain(self.b)
        return True

    def _on_end_closed(self, bev: BufferEvent) -> None:
        way = self._way_from(bev)
        former, way.former = way.former, None
        self.error = self.error or bev.error
        try:
            if way.sink.closed:
                self._finish()
            else:
                way.on_read(bev)  # what came just before: its callback may have been still to come
                _let_drain(way.sink)
        finally:
            if former is not None:
                former(bev)

    def _finish(self) -> None:
        self.closed = True
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close(self)


def _let_drain(bev: BufferEvent) -> None:
    """Close it after it has sent what it was given: an answer must not die with its author."""
    if not bev.closed:
        _limit_wait(bev)
        bev.close_when_drained()


def _limit_wait(bev: BufferEvent) -> None:
    if bev.write_timeout is None:
        bev.set_timeouts(read=bev.read_timeout, write=LINGER)


def pipe(a: BufferEvent, b: BufferEvent, *, high: int = DEFAULT_HIGH, low: int | None = None) -> Pipe:
    """Join two connections: each sends what the other receives.

    From now on the pipe has their callbacks and watermarks, and closes them. An ``on_close`` that they have is still
    called. The end of one stream is passed on behind its last byte (``shutdown_write``), and the other direction goes
    on. When both streams have ended, or one connection fails, times out or is closed, each is closed after what it was
    given is sent. A peer that takes nothing more is heard to its end first: it may have answered early.

    Either end may still be connecting. Their time-outs hold: a read time-out ends both, though the other direction
    may be busy. Without a write time-out, an end that has only to send the rest gets one of `LINGER` seconds.

    Args:
        a: A connection whose end has not come yet; what is in its input already is passed on, too.
        b: Another of the same event base.
        high: Bytes ``> 0`` in the output of one end at which reading of the other pauses. No more than this and one
            read is ever held in a direction, and what a connection over others keeps below. One read is
            ``max_single_read`` of a socket, and ``high`` of any other connection.
        low: Bytes in that output, ``0 <= low < high``, at which reading goes on; ``None``: a quarter of ``high``.

    Raises:
        ValueError: The marks make no sense, or the ends are one, or one over the other, closed, or of two event bases.

    Source: libevent has no such function; ``sample/le-proxy.c`` is how its users write one.
    """
    low = high // 4 if low is None else low
    if not 0 <= low < high:
        raise ValueError(f"a pipe needs 0 <= low < high, got low={low} high={high}")
    if a is b:
        raise ValueError(f"a pipe joins two connections, got one twice: {a!r}")
    if _carries(a, b) or _carries(b, a):
        raise ValueError(f"a pipe joins two connections, but one carries the other: {a!r} and {b!r}")
    if a.base is not b.base:
        raise ValueError(f"a pipe joins connections of one event base, got {a.base!r} and {b.base!r}")
    for bev in (a, b):
        if bev.closed:
            raise ValueError(f"a pipe joins open connections, got {bev!r}")
    return Pipe(a, b, high, low)


def _carries(low: BufferEvent, bev: BufferEvent) -> bool:
    below = bev.underlying
    return below is not None and (below is low or _carries(low, below))
