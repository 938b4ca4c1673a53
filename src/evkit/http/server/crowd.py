"""How many clients are connected from where, and whether one more may be.

A decider: it counts addresses that are handed in as text. It knows nothing of connections.
"""

import socket
from typing import Final

_NETWORK: Final = 8
"""Bytes of an IPv6 address that one customer has for himself: 64 bits (RFC 4291 §2.5.4)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""How an IPv6 address begins that stands for an IPv4 one (RFC 4291 §2.5.5.2)."""


class Crowd:
    """Counts clients by where they come from.

    Args:
        most: Clients at once from one place, ``>= 1``.
    """

    __slots__ = ("_most", "_present")

    def __init__(self, most: int) -> None:
        self._most = most
        self._present: dict[str | bytes, int] = {}

    def enter(self, peer: str) -> bool:
        """Count a client in, if there is room; return whether there was.

        Args:
            peer: Its address as `Request.peer` has it.
        """
        place = _place(peer)
        present = self._present.get(place, 0)
        if place and present >= self._most:
            return False
        self._present[place] = present + 1
        return True

    def leave(self, peer: str) -> None:
        """Count a client out that was counted in."""
        place = _place(peer)
        present = self._present[place] - 1
        if present:
            self._present[place] = present
        else:
            del self._present[place]


def _place(peer: str) -> str | bytes:
    """Return what clients have in common that count as one: nothing for unix sockets."""
    if peer.startswith("["):
        address = peer[1 : peer.index("]")].partition("%")[0]
        packed = socket.inet_pton(socket.AF_INET6, address)
        if packed.startswith(_MAPPED):  # on a socket for both; as one network they would all be one client
            return socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])
        return packed[:_NETWORK]
    return "" if peer.startswith("unix:") else peer.rpartition(":")[0]
