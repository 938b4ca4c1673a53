"""Addresses, socket options, and the look-up of names that a connection may be handed.

Source: libevent's evutil. Knows nothing of events or buffers.
"""

import os
import socket
import stat
from contextlib import suppress
from errno import EADDRINUSE
from ipaddress import ip_address
from typing import Final

Address = tuple[str, int] | tuple[str, int, int, int] | str | bytes
"""What Python's sockets take: ``(ip, port)``, ``(ip6, port, flowinfo, scope)``, or the path of a unix socket."""

_MAX_PORT: Final = 65535


def family_of(address: Address) -> socket.AddressFamily:
    """Return the family of a numeric or unix address.

    Raises:
        ValueError: The host is a name and no IP address, or there is no such port.
    """
    if isinstance(address, str | bytes):
        return socket.AF_UNIX
    if len(address) not in (2, 4):
        raise ValueError(f"expected (ip, port) or (ip6, port, flowinfo, scope), got {address!r}")
    _check_port(address[1])
    if not address[0]:
        return socket.AF_INET  # any address, as everywhere with sockets
    try:
        version = ip_address(address[0]).version
    except ValueError:
        raise ValueError(
            f"expected a numeric IP address, got {address[0]!r}: look the name up first"
        ) from None
    return socket.AF_INET6 if version == 6 else socket.AF_INET


def _check_port(port: int) -> None:
    if type(port) is not int or not 0 <= port <= _MAX_PORT:
        raise ValueError(f"expected a port from 0 to {_MAX_PORT}, got {port!r}")


def passive_addresses(host: str, port: int) -> list[Address]:
    """Look up what to listen on; blocks while it does.

    Args:
        host: An address or a name; empty: all addresses of the machine.
        port: 0 to 65535.

    Raises:
        OSError: There is no such host.
        ValueError: There is no such port.
    """
    _check_port(port)
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses: dict[Address, None] = {}
    for _, _, _, _, address in found:
        addresses[address] = None  # type: ignore[index]  # typeshed allows for a Python built without IPv6
    return list(addresses)


def parse_sockaddr_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Read ``host:port``, ``[ipv6]:port`` or, with a default port, one of them without its port.

    Args:
        text: The host is kept as it is, without brackets; empty means any address.
        default_port: Used where ``text`` has none; ``None``: a port is needed.

    Raises:
        ValueError: Says what was expected.

    Source: ``evutil_parse_sockaddr_port``, which takes numeric addresses only and a missing port for 0.
    """
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or (rest and colon != ":"):
            raise ValueError(f"expected [address]:port, got {text!r}")
    elif ":" in host or not colon:
        host, colon, port = text, "", ""
    if not colon:
        if default_port is None:
            raise ValueError(f"expected host:port (an IPv6 address in brackets), got {text!r}")
        return host, default_port
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= _MAX_PORT):
        raise ValueError(f"expected a port from 0 to {_MAX_PORT}, got {port!r} in {text!r}")
    return host, int(port)


def format_address(address: object) -> str:
    """Write what ``accept`` or ``getsockname`` returned: ``127.0.0.1:80``, ``[::1]:80``, ``unix:/path``."""
    if isinstance(address, tuple):
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    path = address.decode("utf-8", "surrogateescape") if isinstance(address, bytes) else str(address)
    return f"unix:{path}"


def stream_socket(family: int) -> socket.socket:
    """Make a non-blocking stream socket.

    ``TCP_NODELAY`` is set, which accepted sockets inherit from the listening one: evkit sends what it has in one call,
    and Nagle's wait could only delay that.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    if family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return sock


def bound_socket(
    address: Address, *, reuseable: bool = True, reuseable_port: bool = False, ipv6_only: bool = False
) -> socket.socket:
    """Make a stream socket that is bound to ``address``.

    The file of a unix socket on which nobody listens any more is replaced.

    Args:
        address: Numeric, or a path.
        reuseable: Bind although connections of an earlier run linger (``SO_REUSEADDR``).
        reuseable_port: Share the port with other processes (``SO_REUSEPORT``).
        ipv6_only: Take no IPv4 on ``::``.

    Raises:
        OSError: The address is in use, not here, or not allowed.
        ValueError: The host is a name.
    """
    family = family_of(address)
    sock = stream_socket(family)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuseable)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuseable_port)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        _bind(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, address: Address) -> None:
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno == EADDRINUSE and isinstance(address, str | bytes) and _is_abandoned(address):
            os.unlink(address)
            sock.bind(address)
        elif error.errno is None:
            raise  # Python's own, which says what is wrong with the path
        else:
            raise OSError(error.errno, error.strerror, format_address(address)) from error


def _is_abandoned(path: str | bytes) -> bool:
    """Return whether ``path`` is a unix socket that refuses connections: its server died without removing it."""
    if os.fsencode(path).startswith(b"\0") or not stat.S_ISSOCK(os.stat(path).st_mode):
        return False  # an abstract name, or somebody's file
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False


def close_bound_socket(sock: socket.socket) -> None:
    """Close a socket of `bound_socket`, and remove its file if it is a unix socket's and still the same."""
    path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
    sock.close()
    with suppress(OSError):
        if path and _is_abandoned(path):
            os.unlink(path)
