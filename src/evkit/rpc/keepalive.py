"""`Keepalive`: asks a peer that says nothing whether it is there, while an answer of it is waited for.

The doer of what evkit's peers have agreed on; of others the system asks. It knows nothing of how a connection is made.
"""

from typing import TYPE_CHECKING

from evkit.core.event import Event
from evkit.errors import TransportTimeout
from evkit.rpc.errors import CallTimeout
from evkit.rpc.extensions import PING
from evkit.rpc.pending import Pending

if TYPE_CHECKING:
    from evkit.rpc.connection import Connection


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
            connection.start_call("$/ping", [], self._on_pong, timeout=self._seconds)

    def _on_pong(self, pending: Pending) -> None:
        connection = self._connection
        if isinstance(pending.error, CallTimeout) and connection.session.received == self._received:
            silence = f"no word within {2 * self._seconds:g} s"
            connection.lose(TransportTimeout(silence, during="read"))
