"""`TLSRecords`: the bytes of a TLS connection, from the connection below through the session to the user, and back.

It decides what is fed to the session when, when the connection below is to read, and what an end of the stream means.
It knows nothing of handshakes that fail, of time, and of how a connection is closed: those are `TLSBufferEvent`'s.
"""

from typing import Final

from evkit.core.buffer import NO_LIMIT
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.bufferevent.gate import HELD_WAITING, SUSPEND_FILTER
from evkit.core.bufferevent.layered import LayeredBufferEvent
from evkit.core.bufferevent.tls_session import HANDSHAKE, MAX_RECORD, MAX_RECORD_SENT, TLSSession
from evkit.core.flags import (
    BEV_ERROR,
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    BEV_FINISHED,
    BEV_NEED_MORE,
    BEV_OK,
    EV_READ,
    EV_WRITE,
)
from evkit.errors import ConnectionLost, TLSError

# Bytes that wait below and answer what the peer has sent (alerts, renegotiations): with more of them nothing is read.
# Whoever takes his answers never sees this; whoever does not must not make us gather them without a bound.
_MAX_ANSWERS: Final = 64 * 1024


class TLSRecords(LayeredBufferEvent):
    """A connection whose codec is a `TLSSession`; see `TLSBufferEvent`."""

    __slots__ = ("_answers", "_retry", "_session", "allow_dirty_shutdown")

    def __init__(
        self,
        underlying: BufferEvent,
        session: TLSSession,
        *,
        allow_dirty_shutdown: bool,
        close_underlying: bool,
        defer_callbacks: bool,
    ) -> None:
        self._session = session
        self._answers = 0  # bytes; see above
        self._retry = 0  # size of the write that is to be repeated; OpenSSL wants the same again
        self.allow_dirty_shutdown = allow_dirty_shutdown
        super().__init__(underlying, close_underlying=close_underlying, defer_callbacks=defer_callbacks)

    # The session and the connection below

    def _feed(self, size: int = NO_LIMIT) -> None:
        """Give the session some of what has come."""
        source = self._underlying.input
        size = min(size, source.length)
        if size > 0:
            for piece in source.peek(size):
                self._session.incoming.write(piece)
            source.spend(size)
        if self._end and not source.length:
            self._session.feed_eof()

    def _push(self) -> None:
        """Hand down what the session wants to send."""
        self._underlying.output.add(self._session.outgoing.read())

    def _wants_input(self) -> bool:
        """See `LayeredBufferEvent._wants_input`: the handshake must go on whether the user reads or not."""
        if self._answers > _MAX_ANSWERS:
            return False
        return self._session.stage == HANDSHAKE or self._write_held & HELD_WAITING > 0 or self._reads()

    def _tend_underlying(self) -> None:
        """See `LayeredBufferEvent._tend_underlying`; what follows the end of the session is not ours to read."""
        if self._session.over and not self.closed:
            self._underlying.suspend(EV_READ, SUSPEND_FILTER)
        else:
            super()._tend_underlying()

    def _on_underlying_read(self, bev: BufferEvent) -> None:  # noqa: ARG002 - a callback
        """See `LayeredBufferEvent._on_underlying_read`."""
        if self._write_held:
            self._pump_input()
        else:  # as almost always: past those who look for a handshake and for a write that waits, which hold writing
            super()._pump_input()

    def _on_underlying_write(self, bev: BufferEvent) -> None:
        """See `LayeredBufferEvent._on_underlying_write`: the answers are gone, too."""
        if self._answers:
            self._answers = 0
            self._tend_underlying()
        super()._on_underlying_write(bev)

    # Reading

    def _pump_input(self) -> None:
        """See `LayeredBufferEvent._pump_input`; then a write that waited for this is repeated."""
        super()._pump_input()
        if self._write_held & HELD_WAITING:
            self._write_again()

    def _has_input(self) -> bool:
        """See `LayeredBufferEvent._has_input`."""
        return self._underlying.input.length > 0 or self._session.has_input

    def _decode(self, limit: int, mode: int) -> int:  # noqa: ARG002 - nothing is ever kept back
        """See `LayeredBufferEvent._decode`: one record."""
        session, source = self._session, self._underlying.input
        fits, come = MAX_RECORD_SENT - session.incoming.pending, source.length
        if 0 < come <= fits and not self._end:  # all of it at once, as almost always
            whole, start = source.front()
            session.incoming.write(memoryview(whole)[start:] if start else whole)
            source.spend(come)
        else:
            self._feed(fits)
        data = session.read(limit if limit < MAX_RECORD else MAX_RECORD)
        if session.outgoing.pending:
            self._answers += session.outgoing.pending
            self._push()
            self._tend_underlying()
        if data is None:  # what was fed were no data
            return BEV_OK if source.length else BEV_NEED_MORE
        if isinstance(data, TLSError):
            return self._broken(data)
        if data:
            self.input.feed(data)
            # Where this was all that had come, there is no need to ask again; but how the stream ends is asked for.
            return BEV_OK if session.more or source.length or self._end else BEV_NEED_MORE
        return self._ended()

    def _ended(self) -> int:
        """Tell of an end in order, whatever has become of the connection below since."""
        self._end, self._end_error = BEV_EVENT_READING | BEV_EVENT_EOF, None
        return BEV_NEED_MORE

    def _broken(self, error: TLSError) -> int:
        """Judge an error of reading."""
        if self._session.cut and self._end_error is not None:
            return BEV_NEED_MORE  # which says more than that the stream ended
        if self._session.cut and self.allow_dirty_shutdown:
            return self._ended()
        self.error = error
        return BEV_ERROR

    # Writing

    def _encode(self, limit: int, mode: int) -> int:
        """See `LayeredBufferEvent._encode`: one record, of many small pieces or a part of a large one."""
        output = self.output
        if mode == BEV_FINISHED:
            self._say_goodbye()
            return BEV_OK
        size = self._retry or min(output.length, limit, MAX_RECORD)
        if not size:
            return BEV_OK
        try:
            if size == output.length:
                whole, start = output.front()
                sent = self._session.write(memoryview(whole)[start:] if start else whole)
            else:
                with output.pullup(size) as data:
                    sent = self._session.write(data)
        except OSError as error:  # of a file in the output
            self.error = ConnectionLost.of(error, during="write")
            return BEV_ERROR
        # As _push, which would be a call a record.
        self._underlying.output.add(self._session.outgoing.read())
        if isinstance(sent, TLSError):
            self.error = sent
            return BEV_ERROR
        if sent is None:
            return self._wait_for_peer(size)
        self._retry = 0
        output.spend(sent)
        return BEV_OK

    def _wait_for_peer(self, size: int) -> int:
        self._retry = size
        self._write_held |= HELD_WAITING
        self._tend_underlying()
        return BEV_NEED_MORE

    def _write_again(self) -> None:
        """Repeat a write that had to wait for something to read."""
        try:
            self._feed()
        except Exception as exception:
            self.escaped(exception)
            return
        self._write_held &= ~HELD_WAITING
        self._tend_underlying()
        self._pump_output()
        self._tend_timers(EV_WRITE)

    def _end_below(self) -> None:
        """See `LayeredBufferEvent._end_below`: close_notify is the end of the stream; TCP needs none of its own."""

    def _say_goodbye(self) -> None:
        """Send close_notify; the peer may go on sending."""
        self._feed()
        self._session.say_goodbye()
        self._push()
