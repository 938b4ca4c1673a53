"""`Framed`: a buffered connection whose user sees whole messages.

The doer: it feeds what arrives to a `Framing` and calls back. Where a message ends is decided there. It knows nothing
of lines, lengths or sockets.
"""

from collections.abc import Callable
from typing import Final

from evkit.core.buffer.segments import Readable
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.flags import BEV_EVENT_CONNECTED, EV_READ
from evkit.core.framing import Framing
from evkit.core.last_words import may_have_last_words
from evkit.errors import RemoteProtocolError, TransportError

TURN: Final = 64
"""Frames in a row: a peer that sends thousands of small ones at once must not keep the others waiting."""
SUSPEND_FRAMED: Final = 0x40
"""Why reading is held back: see ``SUSPEND_…`` of `evkit.core.bufferevent.common`."""

FrameCallback = Callable[["Framed", bytes], object]
"""``on_frame(framed, frame)``."""
EndCallback = Callable[["Framed", TransportError | RemoteProtocolError | None], object]
"""``on_end(framed, error)``."""


class Framed:
    """A connection that is cut into frames.

    It takes over the callbacks and the read watermarks of the connection and enables reading. Frames that have come
    already are delivered, too, but never from inside this call. The input holds one frame and one read, at most.

    Args:
        bev: The connection; it may still be connecting.
        framing: How to cut it, for this connection alone.
        on_frame: ``on_frame(framed, frame)`` gets each frame, in order. It may send, pause, and close.
        on_end: ``on_end(framed, error)`` is called once, when no frame will come any more: ``None`` after a whole last
            frame, `RemoteProtocolError` for one that is too long or cut short, `TransportError` for a failure or a
            time-out. What a peer has said before it took nothing more is delivered first. The connection is the user's
            again, to answer, and to close. Without it, a connection that ends well is closed after what was sent, and
            any other at once.

    Attributes:
        bev: The connection. If it is closed by its own ``close``, nothing but its ``on_close`` is called.
        paused: Whether frames wait for `resume`.
        ended: Whether the end was told.
    """

    __slots__ = (
        "_due",
        "_ended_reading",
        "_failure",
        "_framing",
        "_on_end",
        "_on_frame",
        "bev",
        "ended",
        "paused",
    )

    def __init__(
        self,
        bev: BufferEvent,
        framing: Framing,
        on_frame: FrameCallback,
        on_end: EndCallback | None = None,
    ) -> None:
        self.bev = bev
        self.paused = False
        self.ended = False
        self._framing = framing
        self._on_frame = on_frame
        self._on_end = on_end
        self._failure: TransportError | None = None  # of the connection
        self._ended_reading = False
        self._due = False  # `_go_on` is going to be called
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.set_watermark(EV_READ)  # a high mark below the size of a frame would wait for ever
        bev.enable(EV_READ)
        if bev.input:
            self._go_on_soon()

    def __repr__(self) -> str:
        state = (
            "ended" if self.ended else "closed" if self.bev.closed else "paused" if self.paused else "open"
        )
        return f"<Framed {state} {self._framing!r} {self.bev!r}>"

    def send(self, frame: Readable) -> None:
        """Write one frame.

        Raises:
            ValueError: It can't be framed; see `Framing.encode`. Nothing is written.
        """
        for piece in self._framing.encode(frame):
            self.bev.write(piece)

    def pause(self) -> None:
        """Deliver and read nothing until `resume`; what is read already waits."""
        self.paused = True
        if not self.ended:
            self.bev.disable(EV_READ)

    def resume(self) -> None:
        """Deliver frames again, from the loop, never from inside this call."""
        if self.paused and not self.ended and not self.bev.closed:
            if not self._ended_reading:
                self.bev.enable(EV_READ)
            self._go_on_soon()
        self.paused = False

    def _on_read(self, bev: BufferEvent) -> None:
        next_frame = self._framing.next_frame
        for _ in range(TURN):
            if self.paused or self.ended or bev.closed:
                return
            try:
                frame = next_frame(bev.input)
            except RemoteProtocolError as error:
                self._end(error)
                return
            if frame is None:
                self._caught_up()
                return
            self._on_frame(self, frame)
        self._give_way(bev)

    def _give_way(self, bev: BufferEvent) -> None:
        """Go on after the others; meanwhile nothing more is read."""
        if not bev.closed:
            bev.suspend(EV_READ, SUSPEND_FRAMED)
            self._go_on_soon()

    def _caught_up(self) -> None:
        if self.bev.read_suspended & SUSPEND_FRAMED:
            self.bev.resume(EV_READ, SUSPEND_FRAMED)
        if self._ended_reading:
            self._check_end()

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_CONNECTED:
            return
        self._failure = self._failure or bev.error
        if self._ended_reading or not may_have_last_words(bev, what):
            self._ended_reading = True
            self._on_read(bev)

    def _go_on_soon(self) -> None:
        if not self._due:
            self._due = True
            self.bev.base.call_soon(self._go_on)  # a `Deferred` of its own would be a cycle with it

    def _go_on(self) -> None:
        self._due = False
        try:
            self._on_read(self.bev)
        except Exception as exception:
            self.bev.escaped(exception)

    def _check_end(self) -> None:
        error: TransportError | RemoteProtocolError | None = self._failure
        if error is None:
            try:
                self._framing.check_end(self.bev.input)
            except RemoteProtocolError as cut_short:
                error = cut_short
        self._end(error)

    def _end(self, error: TransportError | RemoteProtocolError | None) -> None:
        self.ended = True
        self.bev.disable(EV_READ)
        self.bev.resume(EV_READ, SUSPEND_FRAMED)
        self.bev.set_callbacks()
        if self._on_end is not None:
            self._on_end(self, error)
        elif error is None:
            self.bev.close_when_drained()
        else:
            self.bev.close()
