"""The end of a connection after its last reply: send it, let the client read it, close.

Closing a socket while its client still sends makes the system reset the connection, and the client may lose the reply.
So the end is sent first, and what still comes is discarded, within bounds, until the client ends or time is up. Knows
nothing of requests.
"""

from collections.abc import Callable
from typing import Final

from evkit.core import BEV_EVENT_EOF, BEV_EVENT_WRITING, EV_READ, BufferEvent, Event
from evkit.http.server.uptake import unsent

_MAX_DISCARDED: Final = 1 << 24
"""Bytes that a client may still send."""


class Farewell:
    """Takes a buffered connection over until it can be closed.

    Args:
        bev: The connection, with the last reply in its output.
        close: Called when it is time; closes the connection.
        linger: Seconds that the client may take to end, too, once the reply is sent; ``None``: for ever.
        sends: Whether the client may still send: it has not ended its side.
        sent: Called when the output is empty.

    Source: RFC 9112 §9.6; ``EVHTTP_CON_LINGERING_CLOSE``.
    """

    __slots__ = ("_bev", "_close", "_deadline", "_discarded", "_linger", "_sends", "_sent")

    def __init__(
        self,
        bev: BufferEvent,
        close: Callable[[], object],
        linger: float | None,
        *,
        sends: bool,
        sent: Callable[[], object] | None = None,
    ) -> None:
        self._bev = bev
        self._close = close
        self._sent = sent
        self._linger = linger
        self._sends = sends
        self._discarded = 0
        self._deadline: Event | None = None

    def begin(self) -> None:
        """Take over. May close at once."""
        bev = self._bev
        bev.set_callbacks(read=self._discard, write=self._on_sent, event=self._on_event)
        bev.set_timeouts(write=bev.write_timeout)
        bev.enable(EV_READ)
        if bev.input:
            self._discard(bev)
        if not bev.closed and not unsent(bev):
            self._on_sent(bev)

    def cancel(self) -> None:
        """Let go: the connection is closed."""
        if self._deadline is not None:
            self._deadline.free()
            self._deadline = None

    def _discard(self, bev: BufferEvent) -> None:
        self._sends = True
        self._discarded += bev.input.drain(len(bev.input))
        if self._discarded > _MAX_DISCARDED:
            self._close()

    def _on_sent(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        if self._sent is not None:
            self._sent()
            if self._bev.closed:
                return
        if not self._sends:
            self._close()
            return
        self._bev.shutdown_write()
        if self._linger is not None and self._deadline is None:
            self._deadline = self._bev.base.timer(self._on_deadline)
            self._deadline.add(self._linger)

    def _on_deadline(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._close()

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        # Where callbacks are deferred, one event may tell of both directions.
        if what & BEV_EVENT_EOF and not what & BEV_EVENT_WRITING and unsent(bev):
            self._sends = False  # it may still read
        else:
            self._close()
