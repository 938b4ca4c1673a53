"""`pipe`: what one buffered connection receives, the other sends, both ways, with bounded memory in between.

It decides when reading pauses and goes on, how the end of one stream becomes the end of the other, and what becomes of
the other connection when one is gone. Chunks move from buffer to buffer and are never copied. It knows nothing of
sockets: any two kinds of `BufferEvent` will do.
"""

from collections.abc import Callable
from typing import Final

from evkit.core.bufferevent.common import BufferEvent, Handler
from evkit.core.flags import BEV_EVENT_CONNECTED, BEV_EVENT_EOF, EV_READ, EV_WRITE
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
        ended: Whether the source has said all.
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
        error: What ended it, if that was no regular end of both streams and no call of `close`.
        closed: Whether both ends are closed.
        on_close: Called as ``on_close(pipe)``, once, when both ends are closed.
    """

    __slots__ = ("_backward", "_forward", "a", "b", "closed", "error", "on_close")

    def __init__(self, a: BufferEvent, b: BufferEvent, high: int, low: int) -> None:
        self.a = a
        self.b = b
        self.error: TransportError | None = None
        self.closed = False
        self.on_close: Callable[[Pipe], object] | None = None
        self._forward = _Way(a, b, high)
        self._backward = _Way(b, a, high)
        self._begin(self._forward, self._backward, low)
        self._begin(self._backward, self._forward, low)

    def _begin(self, way: _Way, back: _Way, low: int) -> None:
        source = way.source
        source.set_callbacks(read=way.on_read, write=back.on_drained, event=self._on_event)
        source.on_close = self._on_end_closed
        source.set_watermark(EV_READ)  # a mark of before could keep the last bytes back
        source.set_watermark(EV_WRITE, low=low, high=way.high)
        way.on_read(source)  # there may be something already
        source.enable(EV_READ | EV_WRITE)

    def __repr__(self) -> str:
        forward, backward = self._forward, self._backward
        words = ["closed" if self.closed else "ending" if self.a.closed or self.b.closed else "open"]
        words += [f"a->b={forward.moved}", f"b->a={backward.moved}"]
        for name, way in (("a", forward), ("b", backward)):
            if not self.closed and (way.ended or way.paused):
                words.append(f"{name} {'ended' if way.ended else 'paused'}")
        return f"<Pipe {' '.join(words)}>"

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

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_EOF:
            self._pass_end_on(self._way_from(bev))
        elif not what & BEV_EVENT_CONNECTED:
            self.error = self.error or bev.error
            bev.close()

    def _way_from(self, source: BufferEvent) -> _Way:
        return self._forward if source is self.a else self._backward

    def _pass_end_on(self, way: _Way) -> None:
        way.on_read(way.source)
        way.ended = True
        if self._forward.ended and self._backward.ended:
            self.a.close_when_drained()
            self.b.close_when_drained()
            return
        way.sink.shutdown_write()

    def _on_end_closed(self, bev: BufferEvent) -> None:
        way = self._way_from(bev)
        former, way.former = way.former, None
        try:
            if way.sink.closed:
                self._finish()
            else:
                self._let_drain(way.sink)
        finally:
            if former is not None:
                former(bev)

    def _let_drain(self, bev: BufferEvent) -> None:
        """Close what is left alone, after it has sent what it was given: an answer must not die with its author."""
        if bev.write_timeout is None:
            bev.set_timeouts(read=bev.read_timeout, write=LINGER)
        bev.close_when_drained()

    def _finish(self) -> None:
        self.closed = True
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close(self)


def pipe(a: BufferEvent, b: BufferEvent, *, high: int = DEFAULT_HIGH, low: int | None = None) -> Pipe:
    """Join two connections: each sends what the other receives.

    From now on the pipe has their callbacks and watermarks, and closes them. An ``on_close`` that they have is still
    called. The end of one stream is passed on behind its last byte (``shutdown_write``), and the other direction goes
    on. When both streams have ended, or one connection fails, times out or is closed, the other one is closed after
    what it was given is sent.

    Either end may still be connecting. Their time-outs hold: a read time-out ends both, though the other direction
    may be busy. Without a write time-out, an end that is left alone gets one of `LINGER` seconds.

    Args:
        a: A connection whose end has not come yet; what is in its input already is passed on, too.
        b: Another of the same event base.
        high: Bytes ``> 0`` in the output of one end at which reading of the other pauses. No more than this and one
            read (``max_single_read``) is ever held in a direction, and what a connection over others keeps below.
        low: Bytes in that output, ``0 <= low < high``, at which reading goes on; ``None``: a quarter of ``high``.

    Raises:
        ValueError: The marks make no sense, or the ends are one, closed, or of two event bases.

    Source: libevent has no such function; ``sample/le-proxy.c`` is how its users write one.
    """
    low = high // 4 if low is None else low
    if not 0 <= low < high:
        raise ValueError(f"a pipe needs 0 <= low < high, got low={low} high={high}")
    if a is b:
        raise ValueError(f"a pipe joins two connections, got one twice: {a!r}")
    if a.base is not b.base:
        raise ValueError(f"a pipe joins connections of one event base, got {a.base!r} and {b.base!r}")
    for bev in (a, b):
        if bev.closed:
            raise ValueError(f"a pipe joins open connections, got {bev!r}")
    return Pipe(a, b, high, low)
