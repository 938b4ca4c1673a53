"""`ServerLimits`: what a client of a name server may cost, and for whom one address stands.

A decider's numbers and nothing else: who counts, waits and closes is told elsewhere. Knows nothing of sockets.
"""

import socket
from dataclasses import dataclass, fields
from math import isfinite
from typing import Final

from evkit.core.net import Address

MIN_UDP_SIZE: Final = 512
"""Bytes of a reply that every client can take (RFC 1035 §4.2.1, RFC 6891 §6.2.3)."""
MAX_SIZE: Final = 65535
"""Bytes of the longest message: what the length before it can tell over TCP (RFC 1035 §4.2.2)."""
_NETWORK: Final = 8
"""Bytes of an IPv6 address that one customer has for himself: 64 bits (RFC 4291 §2.5.4)."""
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""How an IPv6 address begins that stands for an IPv4 one (RFC 4291 §2.5.5.2)."""
_TIMES: Final = frozenset({"reply_timeout", "tcp_idle_timeout"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """What a client may cost; a client is an IPv4 address, or an IPv6 network of 64 bits.

    Attributes:
        max_udp_size: Bytes of the longest reply over UDP, whatever the client says it can take, 512 to 65535; also
            what the server says that it can take. The default passes every network in one piece (RFC 9715).
        max_questions: Of one query; more, and none, are answered with FORMERR. RFC 9619 allows one; libevent takes any
            number.
        max_waiting: Queries that the handler has not answered yet. Beyond it, queries over UDP are dropped, so that the
            client asks again, and those over TCP answered with SERVFAIL.
        max_waiting_per_client: Likewise, from one client over UDP. The number is unbound's ``wait-limit``: many queries
            that are answered at one moment are a weapon (CVE-2024-33655, "DNSBomb").
        reply_timeout: Seconds that the handler may take to answer; then the answer is SERVFAIL.
        max_tcp_connections: TCP connections at once. For one more the one goes that has been idle longest, or, where
            none is idle, the new one. libevent: 10, and always the new one (``EVDNS_SOPT_TCP_MAX_CLIENTS``).
        max_tcp_connections_per_client: TCP connections of one client; one more is closed at once.
        max_tcp_waiting: Queries of one TCP connection that wait for the handler; more are not read.
        max_tcp_queries: Queries on one TCP connection, which then ends; ``None``: any number.
        tcp_idle_timeout: Seconds that a TCP client may take to send a whole query, or to take all of its replies; then
            the connection is closed (``EVDNS_SOPT_TCP_IDLE_TIMEOUT``, where any byte restarts it).

    Raises:
        ValueError: A number is out of range.
        TypeError: It is none.
    """

    max_udp_size: int = 1232
    max_questions: int = 1
    max_waiting: int = 10_000
    max_waiting_per_client: int = 1_000
    reply_timeout: float = 5.0
    max_tcp_connections: int = 100
    max_tcp_connections_per_client: int = 25
    max_tcp_waiting: int = 100
    max_tcp_queries: int | None = None
    tcp_idle_timeout: float = 10.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _TIMES:
                _check_time(field.name, value)
            elif value is not None or field.default is not None:
                _check_count(field.name, value)
        if not MIN_UDP_SIZE <= self.max_udp_size <= MAX_SIZE:
            raise ValueError(f"max_udp_size must be {MIN_UDP_SIZE} to {MAX_SIZE}, got {self.max_udp_size}")


def _check_time(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds, got {value!r}")
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{name} must be more than 0 seconds, and finite, got {value!r}")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be >= 1, got {value}")


def client_of(address: Address | None) -> str | bytes:
    """Return what the addresses of one client have in common; empty: a unix socket, which nobody counts.

    Args:
        address: As a socket tells who has sent or connected.
    """
    if not isinstance(address, tuple):
        return ""
    host = address[0]
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    if packed.startswith(_MAPPED):  # on a socket for both; as one network they would all be one client
        return socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])
    return packed[:_NETWORK]


class Crowd:
    """Counts by client; a decider.

    Args:
        most: Of one client at once, ``>= 1``.
    """

    __slots__ = ("_most", "_present")

    def __init__(self, most: int) -> None:
        self._most = most
        self._present: dict[str | bytes, int] = {}

    def __len__(self) -> int:
        """Return how many clients there are."""
        return len(self._present)

    def has_room(self, client: str | bytes) -> bool:
        """Return whether one more may come; of nobody in particular, always."""
        return not client or self._present.get(client, 0) < self._most

    def enter(self, client: str | bytes) -> None:
        """Count one more."""
        self._present[client] = self._present.get(client, 0) + 1

    def leave(self, client: str | bytes) -> None:
        """Count one less, that was counted."""
        left = self._present[client] - 1
        if left:
            self._present[client] = left
        else:
            del self._present[client]
