"""`Reconnector`: one connection, made when there is need of it, and made anew when it was lost.

It decides when to connect, how long to wait before that, and what is agreed on first. How a connection is made is
`Dial`'s business, what it is used for its owner's. It knows nothing of calls that wait but that there are some.
"""

from functools import partial
from random import random
from typing import Final, NamedTuple, Protocol

from evkit.core.base import EventBase
from evkit.core.bufferevent.common import BufferEvent
from evkit.core.event import Event
from evkit.rpc.client.backoff import Backoff
from evkit.rpc.client.dialing import Dial, Dialling
from evkit.rpc.client.keepalive import Keepalive
from evkit.rpc.client.target import Target
from evkit.rpc.connection.connection import Connection
from evkit.rpc.connection.extensions import HELLO, PING
from evkit.rpc.connection.pending import Pending
from evkit.rpc.errors import CallLost
from evkit.rpc.limits import DEFAULT_TIMEOUT

_LEAST_PAUSE: Final = 0.001
"""Seconds before a third attempt, and later ones: with none, a loop that does what can be done now would never end."""
_STEADY: Final = 10.0
"""Seconds that a connection has to last for the next attempt to be made at once when it ends."""


class Upkeep(NamedTuple):
    """How a connection is kept.

    Attributes:
        reconnect: How long to wait after attempts that failed; ``None``: nothing is tried without a call.
        hello: Whether to agree first on what goes beyond the protocol.
        keepalive: Seconds of silence after which the peer is asked whether it is there; ``None``: never.
    """

    reconnect: Backoff | None
    hello: bool
    keepalive: float | None


class ConnectionOwner(Protocol):
    """Whose connection it is."""

    @property
    def waits(self) -> bool:
        """Whether anything is to be sent."""

    def make_connection(self, bev: BufferEvent) -> Connection:
        """Make the connection of what was connected."""

    def on_up(self, connection: Connection) -> object:
        """Hear that there is one."""

    def on_down(self, connection: Connection) -> object:
        """Hear that it has gone."""

    def on_failed(self, error: Exception | None) -> object:
        """Hear that an attempt has failed."""


class Reconnector:
    """See above.

    Args:
        base: The event base.
        target: Where to.
        how: How to connect.
        upkeep: How to keep the connection.
        owner: Whose it is.

    Attributes:
        persistent: Whether there is to be a connection all the time.
    """

    __slots__ = (
        "_arriving",
        "_base",
        "_closed",
        "_connection",
        "_dial",
        "_failures",
        "_how",
        "_owner",
        "_retry",
        "_since",
        "_target",
        "_upkeep",
        "_watch",
        "persistent",
    )

    def __init__(
        self, base: EventBase, target: Target, how: Dialling, upkeep: Upkeep, owner: ConnectionOwner
    ) -> None:
        self._base = base
        self._target = target
        self._how = how
        self._upkeep = upkeep
        self._owner = owner
        self.persistent = False
        self._closed = False
        self._connection: Connection | None = None
        self._dial: Dial | None = None
        self._arriving: Connection | None = None  # its hello is not answered yet
        self._failures = 0  # in a row
        self._since = 0.0  # when the connection was there
        self._retry = base.timer(self._on_retry)
        self._watch: Keepalive | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "connected" if self._connection else "away"
        return f"<Reconnector {state} {self._target} failures={self._failures}>"

    def need(self) -> None:
        """See that there is a connection, now or when it is time to try again. Harmless where there is one."""
        if not (self._closed or self._connection or self._dial or self._arriving or self._retry.pending()):
            self._connect()

    def close(self) -> None:
        """End the connection, and make none any more. Only once."""
        self._closed = True
        self._retry.free()
        dial, self._dial = self._dial, None
        if dial is not None:
            dial.cancel()
        for connection in (self._connection, self._arriving):
            if connection is not None:
                connection.close()
        del self._owner  # who is not to be held by what it holds

    # Connecting

    def _connect(self) -> None:
        self._dial = dial = Dial(self._base, self._target, self._how, self._on_dialled)
        try:
            dial.start()
        except Exception as error:  # of the resolver, or of a system without sockets
            self._base.call_soon(self._on_not_dialled, dial, error)

    def _on_not_dialled(self, dial: Dial, error: Exception) -> None:
        if self._dial is dial:
            self._on_dialled(None, error)

    def _on_dialled(self, bev: BufferEvent | None, error: Exception | None) -> None:
        self._dial = None
        if bev is None:
            self._on_failed(error)
            return
        connection = self._owner.make_connection(bev)
        connection.on_close = self._on_gone
        if self._upkeep.hello:
            self._greet(connection)
        else:
            self._on_connected(connection)

    def _greet(self, connection: Connection) -> None:
        """Agree on what is used beyond the protocol; a server that does not answer in time has agreed to nothing."""
        self._arriving = connection
        offer, timeout = connection.extensions.hello(), self._how.timeout
        if timeout is None:  # which is for who takes long to connect, and not for who never answers
            timeout = DEFAULT_TIMEOUT
        connection.start_call(HELLO, [offer], partial(self._on_hello, connection), timeout=timeout)

    def _on_hello(self, connection: Connection, pending: Pending) -> None:
        if connection.closed or isinstance(pending.error, CallLost):
            return  # `_on_gone` tells, or will
        if pending.error is None:
            connection.extensions.agree(pending.value)
        self._on_connected(connection)

    def _on_connected(self, connection: Connection) -> None:
        self._since = self._base.now()
        self._arriving = None
        self._connection = connection
        keepalive = self._upkeep.keepalive
        if keepalive is not None and PING in connection.features:
            self._watch = Keepalive(connection, keepalive)
        self._owner.on_up(connection)

    # When it has gone

    def _on_gone(self, connection: Connection) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        if self._connection is not connection:  # it was lost before its hello was answered
            self._arriving = None
            self._on_failed(connection.error)
            return
        self._connection = None
        # A server that takes each connection and drops it, as one that is full does, is no better than none.
        self._failures = 0 if self._base.now() - self._since >= _STEADY else self._failures + 1
        try:
            self._owner.on_down(connection)
        finally:
            self._connect_anew()

    def _on_failed(self, error: Exception | None) -> None:
        self._failures += 1
        try:
            self._owner.on_failed(error)
        finally:
            self._connect_anew()

    def _connect_anew(self) -> None:
        """Connect again after a while, if anybody needs it."""
        reconnect = self._upkeep.reconnect
        if self._closed:
            return
        if reconnect is None:
            if self._owner.waits:
                self.need()
        elif self._is_wanted():
            pause = reconnect.delay(self._failures, random())  # noqa: S311 - no secret
            self._retry.add(max(_LEAST_PAUSE, pause) if self._failures > 1 else pause)

    def _is_wanted(self) -> bool:
        return self.persistent or self._owner.waits

    def _on_retry(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        if self._is_wanted():
            self.need()
