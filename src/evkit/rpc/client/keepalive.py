"""`Keepalive`: asks a peer that says nothing whether it is there, while an answer of it is waited for.

The doer of what evkit's peers have agreed on; of others the system asks. It knows nothing of how a connection is made.
"""

from functools import partial
from typing import TYPE_CHECKING

from evkit.core.event import Event
from evkit.errors import TransportTimeout
from evkit.rpc.connection.extensions import PING
from evkit.rpc.connection.pending import Pending
from evkit.rpc.errors import CallTimeout

if TYPE_CHECKING:
    from evkit.rpc.connection.connection import Connection


class Keepalive:
    """Watches a connection.

    Args:
        connection: The connection.
        seconds: Of silence before it asks, and again before it gives up.
    """

    __slots__ = ("_connection", "_received", "_seconds", "_timer")

    def __init__(self, connection: "Connection", seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._received = 0
        self._timer = connection.base.timer(self._on_timer, persist=True)
        self._timer.add(seconds)

    def close(self) -> None:
        """Watch no more."""
        self._timer.free()

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        connection = self._connection
        received, self._received = self._received, connection.session.received
        if PING in connection.features and connection.session.calls and received == self._received:
            connection.start_call("$/ping", [], partial(self._on_pong, received), timeout=self._seconds)

    def _on_pong(self, received: int, pending: Pending) -> None:
        connection = self._connection
        if isinstance(pending.error, CallTimeout) and connection.session.received == received:
            silence = f"no word within {2 * self._seconds:g} s"
            connection.lose(TransportTimeout(silence, during="read"))
