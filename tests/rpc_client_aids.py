"""What tests of an RPC client share: names that the test resolves, and servers that it plays."""

import socket
from typing import Any, Final

from evkit.core import EventBase, Future
from evkit.core.net import Address
from evkit.rpc import Backoff
from rpc_aids import HOST, Peer, Town

AT_ONCE: Final = Backoff(0.0, most=0.0)
STEADY: Final = Backoff(1.0, most=8.0, jitter=0.0)


def free_address() -> tuple[str, int]:
    """Return where nobody listens."""
    with socket.create_server((HOST, 0)) as sock:
        address: tuple[str, int] = sock.getsockname()
    return address


def greeted(town: Town, listener: socket.socket, features: list[str]) -> Peer:
    """Play a server that understands the hello."""
    peer = town.accepted(listener)
    messages: list[Any] = []
    town.run(lambda: messages.extend(peer.heard()) or messages)
    assert messages[0][:3] == [0, 1, "$/hello"]
    peer.send([1, 1, None, {"v": 1, "features": features}])
    return peer


def hear(town: Town, peer: Peer) -> list[Any]:
    """Return what a peer gets, once there is something."""
    messages: list[Any] = []
    town.run(lambda: messages.extend(peer.heard()) or messages)
    return messages


class Names:
    """A resolver whose answers the test gives."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.asked: list[Future[list[Address]]] = []
        self.error: Exception | None = None

    def getaddrinfo(self, host: str, port: int, family: int = 0) -> Future[list[Address]]:
        if self.error is not None:
            raise self.error
        self.asked.append(Future(self.base))
        return self.asked[-1]
