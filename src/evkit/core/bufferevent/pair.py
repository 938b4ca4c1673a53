"""`PairBufferEvent`: two connections in one process, each the other's peer; what one writes the other reads.

It decides when chunks move from an output to the other's input: whenever the writer may write, the reader may read, and
its high mark leaves room. Nothing is copied, and no descriptor is used. It knows nothing of what is carried.
"""

import os
from errno import EPIPE
from typing import TYPE_CHECKING, Self

from evkit.core.buffer import NO_LIMIT
from evkit.core.bufferevent.virtual import VirtualBufferEvent, move
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    BEV_NORMAL,
    EV_READ,
    EV_WRITE,
)

if TYPE_CHECKING:
    from evkit.core.base import EventBase


class PairBufferEvent(VirtualBufferEvent):
    """One end of a pair; made by `pair`. Its callbacks always run later, from the loop.

    What an end still had in its output when it was closed is lost, as on any connection; `close_when_drained` waits.
    Its partner reads the end of the stream then, and a write to nobody fails with ``EPIPE``.

    Source: ``bufferevent_pair_new``.
    """

    __slots__ = ("_ended", "_ends", "_moving", "_partner", "_quiet")

    def __init__(self, base: "EventBase", *, eof_on_close: bool = True) -> None:
        self._partner: PairBufferEvent | None = None
        self._quiet = not eof_on_close
        self._ends = False  # the end of the stream is to follow the output
        self._ended = False  # the partner's stream has
        self._moving = False  # a callback on a buffer may run now
        super().__init__(base, defer_callbacks=True)

    @classmethod
    def pair(cls, base: "EventBase", *, eof_on_close: bool = True) -> tuple[Self, Self]:
        """Make two ends.

        Args:
            base: The event base of both.
            eof_on_close: Whether the partner of an end that is closed hears of it; ``False`` is libevent's silence.

        Source: ``bufferevent_pair_new``.
        """
        one, other = cls(base, eof_on_close=eof_on_close), cls(base, eof_on_close=eof_on_close)
        one._partner, other._partner = other, one
        return one, other

    @property
    def partner(self) -> "PairBufferEvent | None":
        """The other end; ``None`` once either is closed. Source: ``bufferevent_pair_get_partner``."""
        return self._partner

    def _state(self) -> str:
        if self.closed:
            return "closed"
        return "open" if self._partner is not None else "alone"

    def flush_output(self) -> None:
        """See `BufferEvent.flush_output`."""
        self._flush_queued = False
        if not self._write_held:
            self._send()

    def _send(self) -> None:
        """Move what the partner takes; tell both."""
        partner = self._partner
        if partner is None or partner._ended:
            self._send_to_nobody()
        else:
            if self.output and partner._reads():
                self._hand_over(partner, partner.room())
            if self._ends and not self.output:
                partner._ended = True
                partner._tell_end()
        self._tend_timers(EV_WRITE)

    def _hand_over(self, partner: "PairBufferEvent", limit: int) -> int:
        if self._moving:  # a callback has made room: not from in here, for it would do so again
            self._flush_later()
            return 0
        self._moving = True
        try:
            moved = move(self.output, partner.input, limit)
        except Exception as exception:  # of a callback on either buffer; what has moved is the partner's
            moved = partner.input.length
            self.escaped(exception)
        finally:
            self._moving = False
        if moved:
            self._tend_timers(EV_WRITE, anew=True)
            partner._tend_timers(EV_READ, anew=True)
            partner.trigger(EV_READ)
            self.trigger(EV_WRITE)
        return moved

    def _send_to_nobody(self) -> None:
        if self.output and not (self._quiet and self._partner is None):
            error = OSError(EPIPE, os.strerror(EPIPE))
            self._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, error)

    def _tell_end(self) -> None:
        """Tell of the end of the partner's stream whenever the user reads and has room, as a socket does."""
        if self._ended and self._reads():
            self._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_EOF, None)

    # The contract of BufferEvent

    def _start(self, events: int) -> None:
        """See `BufferEvent._start`."""
        if self.closed:
            return
        super()._start(events)
        partner = self._partner
        if events & EV_READ and partner is not None and not partner._write_held:
            partner._send()
        if events & EV_READ:
            self._tell_end()
        if events & EV_WRITE and (self.output or self._ends):
            self._send()

    def _flush(self, events: int, mode: int) -> bool:
        """See `BufferEvent.flush`. As in libevent, no mark and no wish of either end counts."""
        partner = self._partner
        if mode == BEV_NORMAL or partner is None:
            return False
        moved = 0
        if events & EV_READ:
            moved = partner._hand_over(self, NO_LIMIT)
        if events & EV_WRITE and self._partner is partner:  # or a callback on a buffer has closed either
            moved += self._hand_over(partner, NO_LIMIT)
        if mode == BEV_FINISHED and self._partner is partner:  # likewise
            if events & EV_WRITE:
                self._ends = partner._ended = True
            partner._finished(events)
        return moved > 0

    def _finished(self, events: int) -> None:
        """Hear that the partner has finished its writing (``EV_WRITE``), its reading, or both."""
        what = BEV_EVENT_EOF
        if events & EV_WRITE:
            what |= BEV_EVENT_READING
        if events & EV_READ:
            what |= BEV_EVENT_WRITING
        self.error = None
        self.disable((EV_READ if events & EV_WRITE else 0) | (EV_WRITE if events & EV_READ else 0))
        self._call_event(what)

    def shutdown_write(self) -> None:
        """See `BufferEvent.shutdown_write`."""
        if self._partner is not None:
            self._ends = True
            if not self._write_held:
                self._send()

    def _close_transport(self) -> None:
        """See `BufferEvent._close_transport`."""
        super()._close_transport()
        partner, self._partner = self._partner, None
        if partner is None:
            return
        partner._partner = None
        if not self._quiet:
            partner._ended = True
            partner._tell_end()
            if partner.output and not partner._write_held:
                partner._send()
