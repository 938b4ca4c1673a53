"""`Connection`: one connection of MessagePack-RPC, the same on both sides: it serves, and it calls.

`Serving` is the half that is called; here is the other: calls that wait for their answers, and what becomes of them
when they are late or the connection ends. It knows nothing of how a connection comes to be.
"""

from collections.abc import Callable
from typing import Any, Final

from evkit.core.bufferevent.common import BufferEvent
from evkit.rpc.connection.caller import Caller
from evkit.rpc.connection.load import Load
from evkit.rpc.connection.pending import Default, Pending
from evkit.rpc.connection.serving import Serving
from evkit.rpc.errors import DEADLINE_EXCEEDED, CallLost, CallTimeout, ClientClosed, Overloaded, RPCError
from evkit.rpc.protocol.coders import Coders
from evkit.rpc.protocol.error_shapes import read_error
from evkit.rpc.protocol.messages import NOTIFICATION
from evkit.rpc.service.service import Service

_UNREAD: Final = 8
"""Times the high-water mark: beyond, a program that calls faster than the peer reads gets an error."""


class Connection(Serving, Caller):
    """A connection to a peer.

    A `Server` has one for each client, a `Client` makes one after the other.

    Args:
        bev: A connection that is made; it is this one's from now on.
        coders: What encodes and decodes.
        peer: Who is at the other end, for a line of a log.
        service: What the peer can call.
        load: How much is being served, of all connections.
        timeout: Seconds that a call may take; ``None``: no limit.
        debug: Whether the peer gets tracebacks.

    Attributes:
        state: The program's own; ``None`` at first.
        timeout: As given; it may be changed for calls to come.
        peer: Who is at the other end.
        features: The extensions that were agreed on with the peer, by their names.
        closed: Whether it has ended, for whatever reason.
        error: Why it has, unless it was closed by this program or ended by the peer, in order.
        on_free: ``on_free()`` when a call that was made here is over; for who makes only so many at once.
        on_close: ``on_close(connection)``, once, when it has ended.
    """

    __slots__ = ("_closing", "_last_deadline", "_most_unread", "on_free", "state", "timeout")

    def __init__(
        self,
        bev: BufferEvent,
        coders: Coders,
        peer: str,
        service: Service,
        load: Load,
        *,
        timeout: float | None,
        debug: bool = False,
    ) -> None:
        super().__init__(bev, coders, peer, service, load, debug=debug)
        self.timeout = timeout
        self._most_unread = _UNREAD * self.limits.high
        self.state: Any = None
        self.on_free: Callable[[], object] | None = None
        self._closing = False  # by this program
        self._last_deadline = 0.0  # of the calls that have no timers of their own, and stand in its order

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Connection {state} to {self.peer} {self.session!r}>"

    # Calling

    @property
    def in_flight(self) -> int:
        """Calls of this side that wait for their answers, or to be sent."""
        return len(self.session.calls)

    def begin(self, pending: Pending, params: list[Any]) -> None:
        """See `Caller.begin`."""
        if self.closed or self._ended:
            raise self._lost(pending, sent=False)
        session = self.session
        if self.bev.output.length > self._most_unread:
            raise self._unread_output()
        data = session.request(pending.method, params, pending)
        pending.number = session.last_id
        pending.owner = self
        timeout = pending.timeout
        if pending.timer is not None:
            pass  # it has waited for the connection
        elif isinstance(timeout, Default):
            if self.timeout is not None:
                when = self.base.now() + self.timeout
                if when < self._last_deadline:  # the time-out was made shorter
                    pending.limit(self.base, self.timeout)
                else:
                    pending.deadline = self._last_deadline = when
                    if when < self._wake:
                        self.wake_at(when)
        elif timeout is not None:
            pending.limit(self.base, timeout)
        if self.features:
            self._preface(pending, data)
        self._out.append(data)
        if not self._queued:
            self._queued = True
            self.base.call_soon(self.flush_output)  # as in `Link.send`

    def _preface(self, pending: Pending, data: bytes) -> None:
        try:
            self.check_fits(data)
            self.extensions.preface(pending)
        except Exception:  # of metadata that can't be sent, or too much of all
            del self.session.calls[pending.number]
            pending.detach()
            raise

    def notify(self, method: str, *params: Any) -> None:
        """See `Caller.notify`."""
        if self.closed or self._ended:
            raise self._over()
        if self.bev.output.length > self._most_unread:
            raise self._unread_output()
        data = self.session.pack((NOTIFICATION, method, params))
        self.check_fits(data)
        self.send(data)

    def _unread_output(self) -> Overloaded:
        return Overloaded(f"{self.peer} does not read what it is sent: {self.bev.output.length} bytes wait")

    def on_response(self, pending: Pending, error: object, result: object) -> None:
        """Hear the answer to a call."""
        if error is None:
            pending.value = result
        else:
            pending.error = self._failure(pending, error)
        pending.owner = None
        if pending.timer is not None:
            pending.detach()
        try:
            pending.done(pending)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exception:
            self.base.escaped(exception, pending.done)
        if self.on_free is not None:
            self.on_free()

    def _failure(self, pending: Pending, raw: object) -> RPCError:
        error = read_error(pending.method, raw)
        if error.code == DEADLINE_EXCEEDED and pending.deadline and self.features:
            # Its clock was a little faster than the one here, which is no other matter for who waits.
            timeout = self.timeout if isinstance(pending.timeout, Default) else pending.timeout
            return CallTimeout(pending.method, timeout or 0.0)
        return error

    def abandon(self, pending: Pending) -> None:
        """See `Owner.abandon`."""
        self.session.forget(pending.number)
        if self.features:
            self.extensions.cancel(pending.number)
        if self.on_free is not None:
            self.on_free()

    # Calls that are late

    def look_at_calls(self, now: float) -> None:
        """End those that have waited as long as any may. One look serves many calls, and comes once in a while."""
        late: list[Pending] = []
        for pending in self.session.calls.values():
            if pending.timer is None and pending.deadline:
                if pending.deadline > now:
                    self.wake_at(pending.deadline)
                    break  # those behind it have more time
                late.append(pending)
        for pending in late:
            self.late(pending, self.timeout or 0.0)

    def late(self, pending: Pending, seconds: float) -> None:
        """See `Owner.late`."""
        if pending.owner is self:
            self.abandon(pending)
            pending.fail(self.base, CallTimeout(pending.method, seconds))

    # The end

    def close(self) -> None:
        """End it now: what was not sent is lost, and calls fail with `ClientClosed`. Harmless when it is closed."""
        self._closing = self._closing or self.error is None
        super().close()

    def gone(self) -> None:
        """See `Serving.gone`."""
        super().gone()
        self.fail_calls()

    def fail_calls(self) -> None:
        """See `Link.fail_calls`."""
        calls, self.session.calls = self.session.calls, {}
        for pending in calls.values():
            if pending.owner is self:  # no other's callback has cancelled it
                pending.fail(self.base, self._lost(pending, sent=True))

    def _lost(self, pending: Pending, *, sent: bool) -> RPCError:
        if self._closing:
            return self._over()
        lost = CallLost(pending.method, sent=sent)
        lost.__cause__ = self.error
        return lost

    def _over(self) -> RPCError:
        if self._closing:
            return ClientClosed(f"the connection to {self.peer} was closed by this program")
        lost = CallLost("notification", sent=False)
        lost.__cause__ = self.error
        return lost
