"""`Member`: one connection of a pool, kept alive by a client, and what the pool knows of it.

It decides when the connection can be given calls. Which member gets a call is `evkit.rpc.pool.balance`'s business.
"""

import socket
from typing import TYPE_CHECKING, Any, Protocol

from evkit.core.future import Future
from evkit.core.net import Address, format_address
from evkit.errors import EvkitError
from evkit.rpc.client.client import Client
from evkit.rpc.connection.connection import Connection
from evkit.rpc.connection.pending import Pending
from evkit.rpc.errors import CallLost, ClientClosed
from evkit.rpc.pool.discovery import Endpoint
from evkit.rpc.pool.health import Health

if TYPE_CHECKING:
    from evkit.core.base import EventBase
    from evkit.rpc.client.target import Target


class Keeper(Protocol):
    """Whose member it is."""

    def on_up(self, member: "Member") -> object:
        """It has a connection."""

    def on_down(self, member: "Member", error: EvkitError | None) -> object:
        """Its connection is gone."""

    def on_failed(self, member: "Member", error: Exception | None) -> object:
        """It could not connect."""


class Member:
    """One connection of a pool.

    Args:
        client: Keeps it.
        endpoint: Where it leads to; ``None``: to where the client says, and it is no affair of the discovery.
        health: How it fares.
        keeper: Hears of it.

    Attributes:
        client: As given.
        endpoint: As given.
        health: As given.
        priority: See `evkit.rpc.pool.balance.Balanced`.
        weight: As above.
        load: How many calls it has.
        up: Whether it can be given calls.
        leaving: Whether it is given none any more, and ends when it has none.
    """

    __slots__ = ("_keeper", "client", "endpoint", "health", "leaving", "load", "priority", "up", "weight")

    def __init__(self, client: Client, endpoint: Endpoint | None, health: Health, keeper: Keeper) -> None:
        self._keeper = keeper
        self.client = client
        self.endpoint = endpoint
        self.health = health
        self.priority = 0
        self.weight = 1.0
        self.load = 0
        self.up = client.connection is not None
        self.leaving = False
        if endpoint is not None:
            self.settle(endpoint)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_failure = self._on_failure

    def __repr__(self) -> str:
        state = "leaving" if self.leaving else "up" if self.up else "away"
        return f"<Member {state} of {self.client.target} load={self.load} {self.health!r}>"

    def settle(self, endpoint: Endpoint) -> None:
        """Take on the priority and the weight that the same place has now."""
        self.endpoint = endpoint
        self.priority = endpoint.priority
        self.weight = endpoint.weight

    @property
    def place(self) -> "tuple[Target, Address | None]":
        """Which server it leads to; several members may have the same."""
        return (self.client.target, None) if self.endpoint is None else self.endpoint.place

    def begin(self, pending: Pending, params: list[Any]) -> None:
        """Send a call.

        Args:
            pending: The call.
            params: What it is sent with.

        Raises:
            TypeError, ValueError, OverflowError: Something among the parameters can't be sent.
            CallLost: The connection takes nothing more, though it may not be closed yet. A client would keep the call
                until it has another connection; a pool knows of better places.
            RPCError: It takes nothing now, or a hook has said no.
        """
        connection = self._connection(pending.method)
        try:
            connection.begin(pending, params)
        except ClientClosed as closed:  # a hook has closed the connection, and not the pool
            raise CallLost(pending.method, sent=False) from closed

    def notify(self, method: str, params: list[Any]) -> None:
        """Send a notification. Raises as `begin`."""
        connection = self._connection(method)
        try:
            connection.notify(method, *params)
        except ClientClosed as closed:  # as above
            raise CallLost(method, sent=False) from closed

    def _connection(self, method: str) -> Connection:
        connection = self.client.connection
        if connection is None or connection.ended:
            raise CallLost(method, sent=False)
        return connection

    def leave(self) -> None:
        """Be given no calls any more."""
        self.leaving = True
        self.up = False

    def finish(self) -> bool:
        """End the connection when all that was sent has gone out, and what the server has asked for is answered.

        Returns:
            Whether `Keeper.on_down` is to come; if not, there is no connection that could be ended so.
        """
        connection = self.client.connection
        if connection is None or connection.closed:
            return False
        connection.stop()
        return True

    def close(self) -> None:
        """Close now; calls that it has fail with `ClientClosed`."""
        self.leave()
        self.client.close()

    def _on_connect(self, connection: Connection) -> None:  # noqa: ARG002 - a callback
        self.up = not self.leaving
        self._keeper.on_up(self)

    def _on_disconnect(self, connection: Connection) -> None:
        self.up = False
        self._keeper.on_down(self, connection.error)

    def _on_failure(self, error: Exception | None) -> None:
        self._keeper.on_failed(self, error)


class Pinned:
    """A resolver that has found one address for all names: the server's certificate is for the name, still.

    Args:
        base: The event base.
        address: The address.
    """

    __slots__ = ("_address", "_base")

    def __init__(self, base: "EventBase", address: Address) -> None:
        self._base = base
        self._address = address

    def __repr__(self) -> str:
        return f"<Pinned to {format_address(self._address)}>"

    def getaddrinfo(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> Future[list[Address]]:  # noqa: ARG002 - the contract's
        """See `Resolver.getaddrinfo`."""
        future: Future[list[Address]] = Future(self._base)
        future.set_result([self._address])
        return future
