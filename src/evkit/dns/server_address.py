"""`ServerAddress`: where a name server is and how it is talked to, and the ways to write that.

A decider over values: names are not looked up, and a scope such as ``%eth0`` stays text until a socket needs it.
"""

import socket
from typing import Final, NamedTuple

from evkit.core.net import Address, family_of
from evkit.dns.ip_text import usual_form
from evkit.dns.names import to_wire

PORT: Final = 53
TLS_PORT: Final = 853
"""RFC 7858 §3.1."""
_TRANSPORTS: Final = ("udp", "tcp", "tls")
_MAX_PORT: Final = 65_535
_FORMS: Final = "9.9.9.9, 9.9.9.9:53, ::1, [::1]:53, tcp://9.9.9.9 or tls://9.9.9.9#dns.quad9.net"

IpAddress = tuple[str, int] | tuple[str, int, int, int]


class ServerAddress(NamedTuple):
    """One name server.

    ``str()`` gives what `parse_server` reads again.

    Attributes:
        address: What a socket connects to: ``(ip, port)`` or ``(ip6, port, flowinfo, scope)``. The address may have a
            scope, ``"fe80::1%eth0"``.
        transport: ``"udp"``, which turns to TCP for long replies, ``"tcp"`` or ``"tls"``.
        server_name: Whose certificate a server over TLS must show; ``None``: one for its address.
    """

    address: IpAddress
    transport: str = "udp"
    server_name: str | None = None

    def __str__(self) -> str:
        host, port = self.address[:2]
        if len(self.address) == 4 and self.address[3] and "%" not in host:
            host = f"{host}%{self.address[3]}"
        if port != _default_port(self.transport):
            host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        scheme = "" if self.transport == "udp" else f"{self.transport}://"
        name = "" if self.server_name is None else f"#{self.server_name}"
        return f"{scheme}{host}{name}"


LOCAL_SERVER: Final = ServerAddress(("127.0.0.1", PORT))
"""Who is asked if nobody else is known. Source: resolv.conf(5)."""


def server_of(server: str | Address | ServerAddress) -> ServerAddress:
    """Return the server that is meant: by a text for `parse_server`, or by the address of a socket, over UDP.

    Raises:
        ValueError: It is neither, or its port is 0.

    Source: ``evdns_base_nameserver_ip_add``, ``evdns_base_nameserver_sockaddr_add``.
    """
    if isinstance(server, str):
        return parse_server(server)
    made = server if isinstance(server, ServerAddress) else ServerAddress(server)  # type: ignore[arg-type]  # below
    if made.transport not in _TRANSPORTS or (made.server_name is not None and made.transport != "tls"):
        raise ValueError(f"expected the transport udp, tcp or tls, and a name for tls alone, got {made!r}")
    if family_of(made.address) == socket.AF_UNIX or not made.address[0] or not made.address[1]:
        raise ValueError(f"expected the IP address of a name server, and a port from 1, got {made.address!r}")
    return made


def parse_server(text: str) -> ServerAddress:
    """Read a server's address.

    Args:
        text: A numeric address; with a port where it is not the usual one, 53 or 853, and an IPv6 address in brackets
            then. ``udp://``, ``tcp://`` or ``tls://`` may stand before it; for TLS, ``#`` and the name that the
            server's certificate must have may follow.

    Raises:
        ValueError: It is nothing of the kind.

    Source: resolv.conf(5), ``evutil_parse_sockaddr_port``; resolved.conf(5) for the name.
    """
    transport, slashes, rest = text.partition("://")
    if not slashes:
        transport, rest = "udp", text
    where, hash_sign, name = rest.partition("#")
    if transport not in _TRANSPORTS or (hash_sign and (transport != "tls" or not _is_name(name))):
        raise _wrong(text)
    host, port = _split(where, text)
    address = usual_form(host)
    if address is None:
        raise _wrong(text)
    return ServerAddress((address, port or _default_port(transport)), transport, name if hash_sign else None)


def _default_port(transport: str) -> int:
    return TLS_PORT if transport == "tls" else PORT


def _is_name(name: str) -> bool:
    if not name.isascii() or set(name) & set("#/:"):
        return False
    try:
        to_wire(name)
    except ValueError:
        return False
    return True


def _split(where: str, text: str) -> tuple[str, int]:
    """Return the host and the port, 0 for the usual one."""
    if where.startswith("["):
        host, bracket, after = where[1:].partition("]")
        if not bracket or ":" not in host or (after and not after.startswith(":")):
            raise _wrong(text)
        return host, _port(after[1:], text) if after else 0
    if where.count(":") == 1:
        host, _, port = where.partition(":")
        return host, _port(port, text)
    return where, 0


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and 0 < int(digits) <= _MAX_PORT):
        raise ValueError(f"expected a port from 1 to {_MAX_PORT}, got {_shown(text)}")
    return int(digits)


def _wrong(text: str) -> ValueError:
    return ValueError(f"expected a name server as {_FORMS}; got {_shown(text)}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
