"""From where an address would be reached: the doer beside `evkit.dns.address_order`.

It asks the system by connecting a datagram socket, which chooses a route and an own address, and sends nothing.
"""

from socket import AF_INET6, inet_pton
from typing import Final

from evkit.core.net import connected_datagram_socket
from evkit.dns.address_order import Source

_PORT: Final = 9
"""Of the discard service; any would do. As in Go."""
_ADDRESSES: Final = "/proc/net/if_inet6"
_HOME: Final = 0x10
_DEPRECATED: Final = 0x20
"""Linux's ``IFA_F_HOMEADDRESS`` and ``IFA_F_DEPRECATED``."""


def source_of(address: str) -> Source | None:
    """Return from where ``address`` would be reached; ``None``: not at all.

    Args:
        address: Numeric, with a scope or without.

    Raises:
        ValueError: It is no numeric address.

    Source: RFC 6724 §6; glibc and Go ask in the same way.
    """
    try:
        sock = connected_datagram_socket((address, _PORT))
    except OSError:
        return None
    with sock:
        own: str = sock.getsockname()[0]
    flags = _flags_of(own) if ":" in own else 0
    return Source(own, deprecated=bool(flags & _DEPRECATED), home=bool(flags & _HOME))


def _flags_of(own: str) -> int:
    """Return what Linux says of an IPv6 address of this machine; elsewhere, and for others, nothing."""
    digits = inet_pton(AF_INET6, own.partition("%")[0]).hex()
    try:
        with open(_ADDRESSES, encoding="ascii") as file:
            lines = [line.split() for line in file if line.startswith(digits)]
    except OSError:
        return 0
    return int(lines[0][4], 16) if lines else 0
