"""`WebSocket`: messages both ways over a buffered connection.

The doer: it feeds what arrives to a `FrameReader`, has a `FrameWriter` fill the output, and calls back. Which frames
are right is decided there, and how a connection lives and ends in `evkit.http.websocket.life`. It knows nothing of the
opening handshake.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from evkit.core import EV_READ, BufferEvent
from evkit.core.framed import SUSPEND_FRAMED, TURN
from evkit.errors import TransportTimeout
from evkit.http.websocket.codes import INTERNAL_ERROR
from evkit.http.websocket.deflate import Agreed, Deflate, Deflater, MessageInflater
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.frames import BINARY, CONTROL, TEXT
from evkit.http.websocket.handshake import Agreement
from evkit.http.websocket.life import WebSocketLife
from evkit.http.websocket.options import DEFAULT_OPTIONS, WebSocketOptions
from evkit.http.websocket.reader import FrameReader
from evkit.http.websocket.writer import Encoded, FrameWriter, MessageData

if TYPE_CHECKING:
    from evkit.http.server.request import Request

MessageCallback = Callable[["WebSocket", str | bytes], object]
"""``on_message(ws, data)``: ``str`` for text, ``bytes`` for the rest."""
CloseCallback = Callable[["WebSocket", int, str], object]
"""``on_close(ws, code, reason)``."""
DrainedCallback = Callable[["WebSocket"], object]
"""``on_drained(ws)``."""

_NOTHING_AGREED = Agreement()


class WebSocket(WebSocketLife):
    """A connection that carries messages; `upgrade` and `open_client` make one.

    It takes over the connection's callbacks, marks, time-outs and ``on_close``. What has come already is delivered,
    too, but never from inside this call.

    Args:
        bev: The connection, after the opening handshake.
        client: Whether this is the client's end.
        on_message: ``on_message(ws, data)`` gets each message, in order: ``str`` for text, ``bytes`` for others. It may
            send, pause and close. If it raises `WebSocketError`, the peer is told its code and text; any other
            exception goes to the base's exception handler, and the peer is told 1011.
        options: Limits and time-outs.
        agreement: What the opening handshake has agreed upon.

    Attributes:
        bev: The connection below. If it is closed, `on_close` hears of that, too.
        options: As given.
        request: The request that became this, on a server.
        subprotocol: What was agreed upon; ``None``: nothing.
        group: The `WebSocketGroup` that it belongs to.
        open: Whether messages can be sent: neither end has said that it closes.
        closed: Whether the end was told.
        paused: Whether messages wait for `resume`.
        error: Why it has ended: `WebSocketError` where the peer broke a rule, `TransportError` where the connection was
            lost or timed out, ``None`` after a closing handshake and after `abort`.
        on_message: As given; may be changed, and ``None`` drops messages.
        on_close: Called as ``on_close(ws, code, reason)``, once, when no message will come any more and none can be
            sent: with the peer's code (1005: it gave none), with ours where the peer broke a rule, or with 1006 where
            the connection was lost. The connection below may take a little longer to end.
        on_drained: Called as ``on_drained(ws)`` when all is on its way after `send` has returned ``False``.
        on_pong: Called as ``on_pong(ws, data)`` for each pong.

    Raises:
        ValueError: ``bev`` is closed.

    Source: ``struct evws_connection``; RFC 6455.
    """

    __slots__ = (
        "_due",
        "_full",
        "_gave_way",
        "_reader",
        "on_drained",
        "on_message",
        "request",
        "subprotocol",
    )

    def __init__(
        self,
        bev: BufferEvent,
        *,
        client: bool,
        on_message: MessageCallback | None = None,
        options: WebSocketOptions = DEFAULT_OPTIONS,
        agreement: Agreement = _NOTHING_AGREED,
    ) -> None:
        if bev.closed:
            raise ValueError(f"the connection is closed: {bev!r}")
        deflater, inflater = _compression(agreement.deflate, options.deflate, client=client)
        self._reader = FrameReader(
            from_client=not client,
            max_message=options.max_message,
            max_frame=options.max_frame,
            inflater=inflater,
        )
        super().__init__(bev, FrameWriter(client=client, deflater=deflater), client=client, options=options)
        self.request: Request | None = None
        self.subprotocol = agreement.subprotocol
        self.on_message = on_message
        self.on_drained: DrainedCallback | None = None
        self._due = False  # `_go_on` is going to be called
        self._gave_way = False  # reading is held back until then
        self._full = False  # `send` has said that it is enough
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.set_watermark(EV_READ)
        bev.enable(EV_READ)
        if bev.input:
            self._go_on_soon()

    def __repr__(self) -> str:
        state = "open" if self.open else "closed" if self.closed else "closing"
        paused = " paused" if self.paused else ""
        return f"<WebSocket {'client' if self._client else 'server'} {state}{paused} {self.bev!r}>"

    # Sending

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent. Under TLS up to 128 KiB more wait below."""
        return self.bev.output.length

    def send(self, data: MessageData) -> bool:
        """Send a message: text if it is ``str``, binary otherwise.

        Args:
            data: The message.

        Returns:
            Whether to go on: ``False`` asks to wait for `on_drained`, as so much waits to be sent, or says that the
            connection is not open any more and the message was dropped.

        Raises:
            LocalProtocolError: A message in fragments has not ended.
            TypeError: It is neither text nor bytes.
            ValueError: A text that UTF-8 has no bytes for.

        Source: ``evws_send_text``, ``evws_send_binary``.
        """
        output, high = self.bev.output, self.options.high_water
        if not self.open or (output.length >= high and not self._has_room()):
            return False
        self._writer.message(output, data)
        if output.length < high:
            return True
        self._wait_for_room()
        return False

    def send_start(self, *, text: bool) -> None:
        """Begin a message in fragments, whose size need not be known.

        Args:
            text: Whether its pieces are ``str``; otherwise they are bytes.

        Raises:
            LocalProtocolError: Another has not ended.
        """
        if self.open:
            self._writer.begin(TEXT if text else BINARY)

    def send_piece(self, data: MessageData) -> bool:
        """Send a piece of it.

        Returns:
            As `send`.

        Raises:
            LocalProtocolError: There was no `send_start`.
            TypeError: Text in a message of bytes, or the other way round.
            ValueError: A text that UTF-8 has no bytes for.
        """
        if self.open and self._has_room():
            self._writer.piece(self.bev.output, data)
            return self._may_go_on()
        return False

    def send_end(self) -> bool:
        """End it.

        Returns:
            As `send`.

        Raises:
            LocalProtocolError: There was no `send_start`.
        """
        if self.open and self._has_room():
            self._writer.end(self.bev.output)
            return self._may_go_on()
        return False

    @property
    def in_fragments(self) -> bool:
        """Whether a message in fragments has begun and not ended."""
        return self._writer.in_fragments

    def send_encoded(self, message: Encoded) -> bool:
        """Send what was encoded once for many; see `WebSocketGroup.broadcast`.

        Returns:
            As `send`.

        Raises:
            LocalProtocolError: A message in fragments has not ended.
        """
        if self.open and self._has_room():
            self._writer.encoded(self.bev.output, message)
            return self._may_go_on()
        return False

    def _has_room(self) -> bool:
        """Give up a peer that does not keep up, and whom nobody waits for."""
        most = self.options.max_buffered
        waiting = self.bev.output.length
        if most is None or waiting < most:
            return True
        self._lose(TransportTimeout(f"the peer has not taken {waiting} bytes that were sent", during="write"))
        return False

    def _may_go_on(self) -> bool:
        if self.bev.output.length < self.options.high_water:
            return True
        self._wait_for_room()
        return False

    def _wait_for_room(self) -> None:
        if not self._full:
            self._full = True
            self._watch_output()

    def _watch_output(self) -> None:
        """See `WebSocketLife._watch_output`."""
        self.bev.set_callbacks(read=self._on_read, write=self._on_written, event=self._on_event)

    def _on_written(self, bev: BufferEvent) -> None:
        full, self._full = self._full, False
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        self._on_sent()
        if full and self.on_drained is not None and self.open:
            self._guard(self.on_drained)

    def _guard(self, callback: DrainedCallback) -> None:
        try:
            callback(self)
        except Exception as exception:
            self._escaped(exception)

    # Receiving

    def pause(self) -> None:
        """Deliver and read nothing until `resume`; what is read already waits.

        A peer that goes, or that no longer answers pings, is not noticed meanwhile.
        """
        if self.open and not self.paused:
            self.paused = True
            self.bev.disable(EV_READ)

    def resume(self) -> None:
        """Deliver messages again, from the loop, never from inside this call."""
        if self.paused and not self.closed:
            self._read_on()

    def _read_on(self) -> None:
        """See `WebSocketLife._read_on`."""
        paused, self.paused = self.paused, False
        if paused and not self.bev.closed:
            self.bev.enable(EV_READ)
            self._go_on_soon()

    def _on_read(self, bev: BufferEvent) -> None:
        """Deliver what has come, up to a bound: a peer that sends much must not keep the others waiting."""
        base = bev.base
        self._heard = base.pass_time or base.now()
        source, left = bev.input, TURN
        try:
            while not (self.paused or self.closed):
                event = self._reader.next_event(source)
                if event is None:
                    self._caught_up()
                    return
                kind, data = event
                if 0 < kind < CONTROL:
                    on_message = self.on_message
                    if on_message is not None and self.open:
                        on_message(self, data)
                elif kind:
                    self._on_control(kind, cast(bytes, data))
                if not (source.length or self._gave_way or self._ending):
                    return
                left -= 1
                if not left:
                    self._give_way()
                    return
        except Exception as exception:
            self._escaped(exception)

    def _escaped(self, exception: Exception) -> None:
        """End after what the peer, or a callback, has done."""
        if isinstance(exception, WebSocketError):
            self._fail(exception)
        else:
            self.bev.base.escaped(exception, self)
            self._fail(WebSocketError(INTERNAL_ERROR, "internal error"))

    def _caught_up(self) -> None:
        if self._gave_way:
            self._gave_way = False
            self.bev.resume(EV_READ, SUSPEND_FRAMED)
        if self._ending is not None:
            self._lose(self._ending)

    def _give_way(self) -> None:
        """Go on after the others; meanwhile nothing more is read."""
        if self.closed:
            return
        if not self._gave_way:
            self._gave_way = True
            self.bev.suspend(EV_READ, SUSPEND_FRAMED)
        self._go_on_soon()

    def _go_on_soon(self) -> None:
        if not self._due:
            self._due = True
            self.bev.base.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._due = False
        if not self.bev.closed:
            self._on_read(self.bev)


def _compression(
    agreed: Agreed | None, settings: Deflate | None, *, client: bool
) -> tuple[Deflater | None, MessageInflater | None]:
    """Return what compresses and what undoes the peer's compression."""
    if agreed is None:
        return None, None
    of_server = agreed.server_bits, agreed.server_fresh
    of_client = agreed.client_bits, agreed.client_fresh
    ours, theirs = (of_client, of_server) if client else (of_server, of_client)
    deflater = Deflater(ours[0], fresh=ours[1], settings=settings or Deflate())
    return deflater, MessageInflater(theirs[0], fresh=theirs[1])
