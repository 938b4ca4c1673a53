"""`Link`: a buffered connection and a session, joined: bytes in, messages to its subclass, and all it writes in one go.

The doer of what `Session` decides. One read is decoded at once and handed out in turns; all that is written meanwhile
goes out together. It decides when reading pauses, what a message that does not end means, and how the connection ends.
It knows nothing of methods and of calls.
"""

from collections.abc import Callable
from typing import Any, Final

from evkit.core.bufferevent.common import BufferEvent
from evkit.core.event import Event
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    EV_READ,
    EV_WRITE,
)
from evkit.core.last_words import may_have_last_words
from evkit.core.log import LOG_WARN, log
from evkit.core.timers import NEVER
from evkit.errors import ConnectionLost, EvkitError, TransportTimeout
from evkit.rpc.limits import Limits
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.messages import RESPONSE
from evkit.rpc.protocol.session import Session

HELD_OUTPUT: Final = 1
"""The peer does not read what it is sent."""
HELD_SERVING: Final = 2
"""As many requests are being served as may be, for this peer."""
HELD_LOAD: Final = 4
"""As many requests are being served as may be, for all peers."""
HELD_PAUSED: Final = 8
"""Hooks have paused as many requests as may wait."""
HELD_TURN: Final = 16
"""Others have their turn."""
HELD_STOPPED: Final = 32
"""The connection is about to end, and takes nothing more."""
SUSPEND_RPC: Final = 0x80
"""Why reading is held back: see ``SUSPEND_…`` of `evkit.core.bufferevent.common`."""
FAREWELL: Final = 2.0
"""Seconds that a peer has to close its side, once it was told the end. nginx's lingering close has 5."""
FORGIVEN: Final = 60.0
"""Seconds after which strays don't count any more. Neovim sends events that nobody has asked for, all day."""
UNJOINED: Final = 32768
"""Bytes from which on a message is handed on as it is; smaller ones are joined, which costs less than their pieces."""


class Link:
    """The connection's half that moves bytes.

    Args:
        bev: A connection that is made; it is the link's from now on.
        coders: What encodes and decodes.
        peer: Who is at the other end, for a line of a log.

    Attributes:
        base: The event base.
        bev: As given.
        session: The protocol's state.
        peer: As given.
        closed: Whether it has ended, for whatever reason.
        error: Why it has, unless it was closed by this program or ended by the peer, in order.
        on_close: ``on_close(connection)``, once, when it has ended.
    """

    __slots__ = (
        "_ended",
        "_ending",
        "_farewell_due",
        "_forgive_at",
        "_high",
        "_out",
        "_partial_due",
        "_partial_start",
        "_peer_ended",
        "_queued",
        "_reading_held",
        "_stop_asked",
        "_timer",
        "_unread",
        "_wake",
        "base",
        "bev",
        "closed",
        "error",
        "on_close",
        "peer",
        "session",
    )

    def __init__(self, bev: BufferEvent, coders: Coders, peer: str) -> None:
        self.base = bev.base
        self.bev = bev
        self.session: Session[Any] = Session(coders)
        self.peer = peer
        self.closed = False
        self.error: EvkitError | None = None
        self.on_close: Callable[[Any], object] | None = None
        self._high = coders.limits.high
        self._out: list[bytes] = []  # written, and not in the output yet
        self._unread = 0  # bytes of answers in an output that is full
        self._queued = False  # somebody is going to take it there
        self._reading_held = False  # nothing is read
        self._ended = False  # no answers come any more, and nothing can be called
        self._ending = False  # it ends when what has come is served
        self._stop_asked = False  # and that is to be so after the next poll
        self._peer_ended = False  # nothing more comes
        self._forgive_at = NEVER  # when strays are
        self._farewell_due = NEVER  # when a peer that was told the end, or has told it, has had its time
        self._partial_start = -1  # of the message whose end is waited for
        self._partial_due = 0.0  # when that has taken too long
        self._timer: Event | None = None
        self._wake = NEVER  # when that is due
        bev.on_close = self._on_bev_closed
        bev.set_callbacks(read=self._on_read, event=self._on_event)
        bev.set_timeouts(bev.read_timeout, self.limits.message_timeout)
        bev.enable(EV_READ)

    @property
    def limits(self) -> Limits:
        """What the peer may cost."""
        return self.session.limits

    @property
    def ended(self) -> bool:
        """Whether it is to be given no more calls: it is closed, or about to be."""
        return self.closed or self._ending

    # Out

    def send(self, data: bytes) -> None:
        """Send a message, with all that those send who are due by now."""
        self._out.append(data)
        if not self._queued:
            self._queued = True
            # Not when this callback returns: those of futures that one read has ended stand in the queue behind it.
            self.base.call_soon(self.flush_output)

    def flush_output(self) -> None:
        """Hand what was sent to the buffered connection. The loop calls this."""
        self._queued = False
        out = self._out
        if not out:
            return
        output = self.bev.output
        if len(out) == 1:
            output.add(out[0])
        elif max(map(len, out)) < UNJOINED:
            output.add(b"".join(out))
        else:
            for data in out:
                output.add(data)
        if output.length > self._high and not self.closed:
            self._weigh(out)
        out.clear()

    def _weigh(self, out: list[bytes]) -> None:
        """Take no more requests from a peer that does not read the answers.

        Answers alone count: who holds back for what it asks itself would not read the answers to it, and two such would
        wait for each other.
        """
        high = self._high
        if self.bev.output.length - sum(map(len, out)) <= high:
            self._unread = 0
        self._unread += sum(len(data) for data in out if data[1] == RESPONSE)
        if self._unread > high and not self.session.held & HELD_OUTPUT:
            self.hold(HELD_OUTPUT)
            self.await_drained()

    def await_drained(self) -> None:
        """Have `drained` called when no more than the low-water mark of what was sent is left."""
        self.bev.set_watermark(EV_WRITE, low=self.limits.low)
        self.bev.set_callbacks(self._on_read, self._on_drained, self._on_event)

    def _on_drained(self, bev: BufferEvent) -> None:
        bev.set_callbacks(self._on_read, None, self._on_event)
        self.unhold(HELD_OUTPUT)
        if not self.closed:
            self.drained()

    def drained(self) -> None:
        """Hear that the peer has taken what it was sent. For a subclass."""

    # In

    def _on_read(self, bev: BufferEvent) -> None:
        self.session.receive(bev.input.remove())
        self._deliver()

    def _deliver(self) -> None:
        """Hand out what has come, a turn of it, and send what that has written."""
        session = self.session
        self._queued = True  # what is written meanwhile is sent at the end
        try:
            more = session.deliver(self)  # type: ignore[arg-type]  # a subclass is the receiver
        except KeyboardInterrupt:
            self._put_off()  # to when the loop runs again
            raise
        finally:
            self.flush_output()
        if self.closed:
            return
        if session.stray_lately:
            self._watch_strays()
        if more:
            self._put_off()
        elif session.held:
            self._pause_reading()
        elif session.error is not None:
            self.refuse(session.error)
        else:
            self._caught_up()

    def _put_off(self) -> None:
        """Hand out the rest in the next turn."""
        self.hold(HELD_TURN)
        self.base.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        if not self.closed:
            try:
                self.unhold(HELD_TURN)
            except Exception as exception:
                self.bev.escaped(exception)

    def hold(self, reason: int) -> None:
        """Hand out nothing for now, and read nothing."""
        self.session.held |= reason
        self._pause_reading()

    def unhold(self, reason: int) -> None:
        """Take a reason away, and hand out what waits if it was the last; not from inside a hand-out."""
        session = self.session
        if session.held & reason and not self.closed:
            session.held &= ~reason
            if not session.held:
                self._deliver()

    def _pause_reading(self) -> None:
        if not self._reading_held:
            self._reading_held = True
            self.bev.suspend(EV_READ, SUSPEND_RPC)

    def _resume_reading(self) -> None:
        self._reading_held = False
        self.bev.resume(EV_READ, SUSPEND_RPC)

    def _caught_up(self) -> None:
        """Read on; see whether a message does not end."""
        if self._reading_held:
            self._resume_reading()
        if self._ending:
            self._finish_if_done()
        elif self.session.partial:
            self._watch_partial()

    # A message that does not end

    def _watch_partial(self) -> None:
        start = self.session.partial_start
        limit = self.limits.message_timeout
        if start != self._partial_start and limit is not None:
            self._partial_start = start
            self._partial_due = self.base.now() + limit
            self.wake_at(self._partial_due)

    def _watch_strays(self) -> None:
        """Forgive, after a while, what nobody here knows: too much at once is what ends a connection."""
        if self._forgive_at == NEVER:
            self._forgive_at = self.base.now() + FORGIVEN
            self.wake_at(self._forgive_at)

    def _look_at_strays(self, now: float) -> None:
        if now >= self._forgive_at:
            self._forgive_at = NEVER
            self.session.stray_lately = 0
        elif self._forgive_at != NEVER:
            self.wake_at(self._forgive_at)

    def _look_at_partial(self, now: float) -> None:
        limit = self.limits.message_timeout
        if not self.session.partial or self._partial_start < 0:
            self._partial_start = -1
        elif self.session.partial_start != self._partial_start:
            self._watch_partial()
        elif now < self._partial_due:
            self.wake_at(self._partial_due)
        elif self.session.held and limit is not None:  # it is this side that does not read
            self._partial_due = now + limit
            self.wake_at(self._partial_due)
        else:
            self.too_slow()

    def too_slow(self) -> None:
        """End the connection of a peer that takes too long for a message."""
        seconds = self.limits.message_timeout
        self.lose(TransportTimeout(f"a message was not whole after {seconds:g} s", during="read"))

    # Time

    def wake_at(self, when: float) -> None:
        """Have a look at what is late at ``when``, or before: no timer is moved for each call."""
        if when < self._wake:
            self._wake = when
            if self._timer is None:
                self._timer = self.base.timer(self._on_timer)
            self._timer.add(max(0.0, when - self.base.now()))

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._wake = NEVER
        now = self.base.now()
        if self._farewell_due <= now and not self._put_off_farewell(now):
            self._farewell_over()
            return
        self._look_at_strays(now)
        self._look_at_partial(now)
        if not self.closed:
            self.look_at_calls(now)
        if self._stop_asked and not (self.closed or self._ending):
            self.end_soon()

    def _put_off_farewell(self, now: float) -> bool:
        """Wait on for a peer that is still taking what it was sent; the write time-out is for one that does not."""
        if not self.bev.output.length:
            return False
        self._farewell_due = now + FAREWELL
        self.wake_at(self._farewell_due)
        return True

    def _farewell_over(self) -> None:
        if self._peer_ended:
            seconds = self.limits.half_closed_timeout
            why = f"calls were not answered {seconds:g} s after the peer had closed its side"
            self.lose(TransportTimeout(why, during="write"))
        else:
            self.close()

    def look_at_calls(self, now: float) -> None:
        """See which calls are late. For a subclass."""

    # The end

    def _on_event(self, bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_TIMEOUT and what & BEV_EVENT_READING and self.busy:
            bev.enable(EV_READ)  # it waits for an answer, not for a peer that has gone
        elif what & BEV_EVENT_EOF and what & BEV_EVENT_READING:
            self._on_eof()
        elif not may_have_last_words(bev, what):
            self.lose(bev.error)

    @property
    def busy(self) -> bool:
        """Whether somebody waits for something here."""
        session = self.session
        return bool(session.calls or session.serving)

    def _on_eof(self) -> None:
        """Answer what has come before the end: a peer may have closed its half only."""
        self._peer_ended = self._ended = self._ending = True
        self.peer_ended()
        self.fail_calls()
        limit = self.limits.half_closed_timeout
        if limit is not None and not self.closed:
            self._farewell_due = self.base.now() + limit
            self.wake_at(self._farewell_due)
        self.end_soon()

    def stop(self) -> None:
        """Serve what has come, then close.

        Streams go on to their ends meanwhile, and calls that were made here may be answered. A request that comes too
        late is refused as by a server that is overloaded, and may be made again elsewhere.
        """
        self._stop_asked = True
        self.wake_at(self.base.now())  # after the next poll, by which what the system has is read

    def end_soon(self) -> None:
        """End when what was read is served."""
        self._ending = True
        if not self.closed and not self.session.waiting:
            self._finish_if_done()

    def peer_ended(self) -> None:
        """Hear that the peer says nothing any more. For a subclass."""

    def fail_calls(self) -> None:
        """Hear that no answers come any more. For a subclass."""

    def _finish_if_done(self) -> None:
        session = self.session
        if session.serving or session.waiting or session.held & HELD_STOPPED:
            return
        if session.partial and self._peer_ended:
            session.fail("the connection ended inside a message", session.received)
            self.refuse(session.error)
        else:
            self.finish()

    def finish(self) -> None:
        """Close when all that was sent is out, and the peer has had it."""
        self.flush_output()
        self.session.held |= HELD_STOPPED
        if self._peer_ended:
            self.bev.close_when_drained()
            return
        self._ended = True
        self.fail_calls()
        if not self.closed:
            self._take_leave()

    def _take_leave(self) -> None:
        """Say that nothing more comes, and wait for the peer to say the same."""
        # Closed at once, what the peer has sent meanwhile would reset the connection, and take the answers with it.
        self.bev.set_callbacks(read=_discard, event=self._on_farewell)
        self.bev.shutdown_write()
        self._resume_reading()
        self.bev.enable(EV_READ)
        self._farewell_due = self.base.now() + FAREWELL
        self.wake_at(self._farewell_due)

    def _on_farewell(self, bev: BufferEvent, what: int) -> None:
        if not what & BEV_EVENT_EOF:
            bev.close()
        elif what & BEV_EVENT_READING:  # it has said all, and may still be reading
            bev.close_when_drained()

    def break_off(self, reason: str, offset: int) -> None:
        """End it when what came before is handed out: what begins at ``offset`` is no message."""
        if not self.closed:
            self.session.fail(reason, offset)
            if not self.session.held:
                self._deliver()

    def refuse(self, error: EvkitError | None) -> None:
        """End a connection whose peer breaks the rules, and log which. Harmless when it has ended."""
        if self.closed:
            return
        log(LOG_WARN, f"rpc: {self.peer}: {error}; the connection was closed")
        self.flush_output()
        self.bev.flush_output()  # what was answered before it broke them
        self.lose(error)

    def lose(self, error: EvkitError | None) -> None:
        """End it now, for a reason."""
        if not self.closed:
            self.error = error or ConnectionLost("the connection was lost", during="read")
            self.close()

    def close(self) -> None:
        """End it now; what was not sent is lost."""
        self.bev.close()

    def _on_bev_closed(self, bev: BufferEvent) -> None:
        self.closed = True
        self.error = self.error or bev.error
        self.session.held |= HELD_STOPPED
        self._out.clear()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.free()
        self.gone()
        on_close, self.on_close = self.on_close, None
        if on_close is not None:
            on_close(self)

    def gone(self) -> None:
        """Hear that it has ended. For a subclass."""


def _discard(bev: BufferEvent) -> None:
    bev.input.clear()
