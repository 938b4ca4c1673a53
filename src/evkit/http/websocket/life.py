"""The life of a WebSocket but for its messages: pings, silence, the closing handshake, and the end.

The base of `WebSocket`, which reads and sends messages. It decides who ends the connection below and when, and that the
end is told once. What frames look like is decided in `evkit.http.websocket.frames`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from evkit.core import (
    BEV_EVENT_CONNECTED,
    EV_READ,
    EV_WRITE,
    BufferEvent,
    Event,
)
from evkit.core.buffer.segments import Readable
from evkit.core.framed import SUSPEND_FRAMED
from evkit.core.last_words import may_have_last_words
from evkit.errors import ConnectionLost, TransportError, TransportTimeout
from evkit.http.server.farewell import Farewell
from evkit.http.server.uptake import unsent
from evkit.http.websocket.codes import LOST, NORMAL
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.frames import (
    CLOSE,
    FIN,
    MAX_CONTROL,
    PING,
    PONG,
    close_payload,
    cut_reason,
    parse_close,
)
from evkit.http.websocket.options import WebSocketOptions
from evkit.http.websocket.writer import FrameWriter

if TYPE_CHECKING:
    from evkit.http.websocket.group import WebSocketGroup

_PONG_ROOM: Final = 1 << 14
"""Bytes that wait to be sent, from which only the last ping will be answered, once they are gone: a peer that sends
pings and reads nothing must not fill the memory."""


class WebSocketLife:
    """What every WebSocket has and does, whatever its messages are; see `WebSocket`."""

    __slots__ = (
        "_client",
        "_ending",
        "_farewell",
        "_heard",
        "_pinged",
        "_pong",
        "_timer",
        "_unsent",
        "_watch",
        "_writer",
        "bev",
        "closed",
        "error",
        "group",
        "on_close",
        "on_pong",
        "open",
        "options",
        "paused",
    )

    on_close: Callable[[Self, int, str], object] | None
    on_pong: Callable[[Self, bytes], object] | None

    def __init__(
        self, bev: BufferEvent, writer: FrameWriter, *, client: bool, options: WebSocketOptions
    ) -> None:
        self.bev = bev
        self.options = options
        self.open = True
        self.closed = False
        self.paused = False
        self.error: TransportError | WebSocketError | None = None
        self.group: WebSocketGroup | None = None
        self.on_close = None
        self.on_pong = None
        self._client = client
        self._writer = writer
        self._ending: TransportError | None = None  # what to tell when what has come is read
        self._pinged = False  # a ping of ours has not been answered
        self._pong: bytes | None = None  # what to answer once there is room
        self._timer: Event | None = None  # while the peer is to end
        self._unsent = 0  # bytes of output when it was set
        self._farewell: Farewell | None = None
        # When a byte of the peer's was read last. The timer looks at that when it is due and no sooner, so that what
        # comes costs a number that is stored, and not a time-out of the connection that begins anew.
        self._heard = bev.base.now()
        self._watch: Event | None = None
        bev.on_close = self._on_bev_closed
        bev.set_timeouts(write=options.write_timeout)
        if options.ping_after is not None:
            self._watch = bev.base.timer(self._on_watch)
            self._watch.add(options.ping_after)

    # What reading and sending fill in

    def _on_read(self, bev: BufferEvent) -> None:
        """Deliver what has come."""
        raise NotImplementedError

    def _watch_output(self) -> None:
        """Call `_on_sent` when the output is empty."""
        raise NotImplementedError

    def _read_on(self) -> None:
        """Read again, and deliver what has come already from the loop."""
        raise NotImplementedError

    # Pings

    def ping(self, data: Readable = b"") -> None:
        """Send a ping; `on_pong` hears of the answer. Nothing is sent on a connection that is not open.

        Args:
            data: Up to 125 bytes, which the answer repeats.

        Raises:
            ValueError: It is too long.
            TypeError: It is not bytes.

        Source: RFC 6455 §5.5.2.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"a ping has bytes, got {type(data).__name__}")
        payload = bytes(data)
        if len(payload) > MAX_CONTROL:
            raise ValueError(f"a ping has at most {MAX_CONTROL} bytes, got {len(payload)}")
        if self.open:
            self._writer.frame(self.bev.output, FIN | PING, payload)

    def _on_control(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._on_ping(payload)
        elif kind == PONG:
            self._on_pong(payload)
        elif kind == CLOSE:
            self._on_close_frame(payload)

    def _on_ping(self, payload: bytes) -> None:
        if not self.open:
            return
        if self.bev.output.length <= _PONG_ROOM:
            self._writer.frame(self.bev.output, FIN | PONG, payload)
            return
        self._pong = payload
        self._watch_output()

    def _on_sent(self) -> None:
        """All that was to be sent is on its way."""
        payload, self._pong = self._pong, None
        if not self.open:
            self._await_peer()  # its time begins now
        elif payload is not None:
            self._writer.frame(self.bev.output, FIN | PONG, payload)

    def _on_pong(self: Self, payload: bytes) -> None:
        if self._pinged and self._watch is not None:
            self._watch.add(self.options.ping_after)
        self._pinged = False
        if self.on_pong is not None and self.open:
            self.on_pong(self, payload)

    def _on_watch(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        """Look how long nothing has come."""
        bev, options = self.bev, self.options
        limit = options.ping_timeout if self._pinged else options.ping_after
        assert limit is not None  # or there were no watch
        now = bev.base.now()
        # What is not read can't be heard. A peer that still takes what was sent can't answer what stands behind it;
        # whether it takes any is the write time-out's matter.
        if not bev.enabled & EV_READ or bev.read_suspended or unsent(bev):
            self._heard = now
        left = self._heard + limit - now
        if left > 0:
            event.add(left)
        elif self._pinged:
            self._lose(_no_answer("a ping", limit))
        else:
            self._pinged = True
            event.add(options.ping_timeout)
            self.ping()

    def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.free()

    # The closing handshake

    def close(self, code: int | None = NORMAL, reason: str = "") -> None:
        """Begin the closing handshake: say it, after what was sent, and wait for the peer to say it, too.

        Messages that come meanwhile are dropped, also those that have waited for `resume`. `on_close` hears of the end,
        but not from inside this call. Harmless on a connection that is closing or closed.

        Args:
            code: Why, as RFC 6455 §7.4 lists; 3000 to 4999 are for programs. ``None``: nothing is said.
            reason: For people, in at most 123 bytes of UTF-8.

        Raises:
            ValueError: The code is not one that may be sent, or the reason is too long.
            TypeError: The code is no ``int``, or the reason no ``str``.

        Source: ``evws_close``; RFC 6455 §7.1.2.
        """
        payload = close_payload(code, reason)
        if self.open:
            self._say_close(payload)
            self._await_peer()
            self._watch_output()
            self._read_on()

    def abort(self) -> None:
        """End the connection now, without a word; `on_close` is called with 1006.

        Source: ``evws_connection_free``.
        """
        self.bev.close()

    def _say_close(self, payload: bytes) -> None:
        self.open = False
        self._stop_watching()
        self._writer.frame(self.bev.output, FIN | CLOSE, payload)

    def _on_close_frame(self, payload: bytes) -> None:
        code, reason = parse_close(payload)
        if self.open:
            self._say_close(payload[:2])
        self._tell(code, reason, None)
        if self._client:
            self._await_end()
        else:
            self._part()

    def _fail(self, error: WebSocketError) -> None:
        """Say why, if that can still be said, and end."""
        if self.closed:
            return
        if self.open:
            self._say_close(close_payload(error.code, cut_reason(str(error))))
        error.__context__ = None  # whoever keeps the error would keep all that these refer to, this among it
        self._tell(error.code, str(error), error.with_traceback(None))
        self._part()

    def _part(self) -> None:
        """Send the rest and the end, let the peer read it, and close. Source: RFC 6455 §7.1.1, the server's part."""
        bev = self.bev
        if not bev.enabled & EV_WRITE:  # writing has failed, and the output would wait for ever
            bev.close()
        if not bev.closed:
            self._stop_timer()
            bev.resume(EV_READ, SUSPEND_FRAMED)
            self._farewell = Farewell(bev, bev.close, self.options.close_timeout, sends=True)
            self._farewell.begin()

    def _await_end(self) -> None:
        """Let the server close the connection first. Source: RFC 6455 §7.1.1."""
        if self.bev.closed:
            return
        self.bev.resume(EV_READ, SUSPEND_FRAMED)
        self.bev.set_callbacks(read=_discard, event=_close_on_event)
        self.bev.enable(EV_READ)
        self._await_peer()

    def _await_peer(self) -> None:
        if self._timer is None:
            self._timer = self.bev.base.timer(self._on_time_up)
        self._unsent = unsent(self.bev)
        self._timer.add(self.options.close_timeout)

    def _on_time_up(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if 0 < unsent(self.bev) < self._unsent:  # it takes its time, but it takes it
            self._await_peer()
        else:
            self._lose(_no_answer("a close frame", self.options.close_timeout))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.free()
            self._timer = None

    # The end

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_CONNECTED:
            return
        if self._ending is not None or not may_have_last_words(bev, what):
            self._ending = bev.error or ConnectionLost("ended without a close frame", during="read")
            self._on_read(bev)

    def _lose(self, error: TransportError) -> None:
        if not self.closed:
            self.error = error
        self.bev.close()

    def _on_bev_closed(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """The connection below is closed, by us or because something failed in it."""
        self._stop_watching()
        self._stop_timer()
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None
        self._tell(LOST, "" if self.error is None else str(self.error), self.error)
        group, self.group = self.group, None
        if group is not None:
            group.note_gone(self)

    def _tell(self: Self, code: int, reason: str, error: TransportError | WebSocketError | None) -> None:
        if self.closed:
            return
        self.open = False
        self.closed = True
        self.error = error
        self._pong = None
        if self.group is not None:
            self.group.note_end(self)
        callback, self.on_close, self.on_pong = self.on_close, None, None
        if callback is not None:
            try:
                callback(self, code, reason)
            except Exception as exception:
                self.bev.base.escaped(exception, self)


def _no_answer(to: str, seconds: float) -> TransportTimeout:
    return TransportTimeout(f"no answer to {to} within {seconds:g} s", during="read")


def _discard(bev: BufferEvent) -> None:
    bev.input.clear()


def _close_on_event(bev: BufferEvent, what: int) -> None:
    if what != BEV_EVENT_CONNECTED:
        bev.close()
