"""Addresses, socket options, and the look-up of names that a connection may be handed.

Source: libevent's evutil. Knows nothing of events or buffers.
"""

import os
import socket
from errno import EACCES, EADDRINUSE, EAFNOSUPPORT, EINPROGRESS, EINTR
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from evkit.core.unix_socket import bind_unix, remove_if_abandoned

if TYPE_CHECKING:
    from evkit.core.future import Future

Address = tuple[str, int] | tuple[str, int, int, int] | str | bytes
"""What Python's sockets take: ``(ip, port)``, ``(ip6, port, flowinfo, scope)``, or the path of a unix socket."""

CONNECT_GOES_ON: Final = (0, EINPROGRESS, EINTR)
"""Answers of ``connect`` that are no failure: a signal that interrupts it does not stop it (POSIX)."""
_MAX_PORT: Final = 65535
_WITH_SCOPE: Final = 4  # items of an address
_RANDOM_PORTS: Final = 16
"""Random ports that are tried before the system chooses one."""
_FIRST_PORT: Final = 1024
_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux's ``IP_BIND_ADDRESS_NO_PORT``, which Python has no name for before 3.12."""
_MAX_KEEPALIVE: Final = 32767
"""Linux's ``MAX_TCP_KEEPIDLE``."""


def family_of(address: Address) -> socket.AddressFamily:
    """Return the family of a numeric or unix address.

    Raises:
        ValueError: The host is a name and no IP address, there is no such port, or it is something else altogether.
    """
    if isinstance(address, str | bytes):
        _check_path(address)
        return socket.AF_UNIX
    # It comes from resolvers and users, who may not look at types.
    ip = isinstance(address, tuple) and len(address) in (2, 4)  # type: ignore[redundant-expr]  # as said
    if not ip or not isinstance(address[0], str):
        raise ValueError(f"expected (ip, port), (ip6, port, flowinfo, scope) or a path, got {address!r}")
    _check_port(address[1])
    for number in address[2:]:
        if type(number) is not int:
            raise ValueError(f"expected flowinfo and scope as numbers, got {address!r}")
    return _ip_family(address[0])


def _ip_family(host: str) -> socket.AddressFamily:
    if not host:
        return socket.AF_INET  # any address, as everywhere with sockets
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return family
    from ipaddress import ip_address  # slow to load and to ask, and for addresses with a scope alone

    try:
        ip_address(host)
    except ValueError:
        raise ValueError(f"expected a numeric IP address, got {host!r}: look the name up first") from None
    return socket.AF_INET6


def _check_path(path: str | bytes) -> None:
    text = path if isinstance(path, str) else path.decode("latin-1")
    if "\0" in text and not text.startswith("\0"):
        # The system would take what stands before the NUL for all of the path.
        raise ValueError(f"expected a path without a NUL, or an abstract name after one, got {path!r}")


def _check_port(port: int) -> None:
    if type(port) is not int or not 0 <= port <= _MAX_PORT:
        raise ValueError(f"expected a port from 0 to {_MAX_PORT}, got {port!r}")


def with_scope(address: Address) -> Address:
    """Return what the system wants in place of ``("fe80::1%eth0", port)``: the scope as a number, and not in the host.

    Python's sockets look the scope up and then use that of the tuple, which is none.

    Args:
        address: Numeric, or a path, which is returned as it is.

    Raises:
        OSError: There is no such scope.

    Source: ``evutil_parse_sockaddr_port``, RFC 4007 §11.
    """
    if isinstance(address, str | bytes) or "%" not in address[0]:
        return address
    host, _, zone = address[0].partition("%")
    flow, scope = address[2:] or (0, 0)
    return host, address[1], flow, scope or (int(zone) if zone.isdecimal() else socket.if_nametoindex(zone))


class Resolver(Protocol):
    """What finds the addresses of a host name, and is handed to whoever connects to one."""

    def getaddrinfo(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> "Future[list[Address]]":
        """Look up where to connect to.

        Args:
            host: A name, or a numeric address, which is answered as it is.
            port: 0 to 65535; it is part of each address.
            family: ``AF_INET`` or ``AF_INET6`` for addresses of that family only; ``AF_UNSPEC`` for both.

        Returns:
            A future of numeric addresses, each once, in the order in which they should be tried, and never none.
            Each is what ``connect`` takes; `family_of` tells its family. To cancel the future is to stop the look-up.
            It fails with an ``OSError``, ``socket.gaierror`` where that is the system's own, or with an exception of
            evkit that the resolver names.

        Raises:
            ValueError: What is asked for can't be looked up; see `check_lookup`.
            LoopError: The resolver or its base is closed.

        Source: ``evdns_getaddrinfo``, RFC 6724 §6 for the order.
        """


@runtime_checkable
class RecordResolver(Resolver, Protocol):
    """A `Resolver` that finds other records, too: `evkit.dns.Resolver` is one, the system's is none."""

    def resolve(self, name: str, type: str = "A") -> "Future[Any]":  # noqa: A002 - the field's term
        """Look up the records of a type.

        Args:
            name: As ``"_rpc._tcp.example.org"``.
            type: As ``"SRV"``.

        Returns:
            A future of an answer: iterating over it gives records, whose ``data`` is by type (that of an SRV record
            unpacks into priority, weight, port and target, ``"."`` for none), and its ``ttl`` tells for how many
            seconds they hold. To cancel the future is to stop the look-up. It fails as that of `Resolver.getaddrinfo`.

        Raises:
            ValueError: There can't be such a name, or there is no such type.
            LoopError: The resolver or its base is closed.

        Source: RFC 1035 §3.2, RFC 2782 for SRV.
        """


def check_lookup(host: str, port: int, family: int) -> None:
    """Refuse what no `Resolver` can look up.

    Raises:
        ValueError: The host is empty or has a NUL in it, there is no such port, or the family is none of IP's.
        TypeError: The host is no text.

    Source: ``bufferevent_socket_connect_hostname``, which checks the port and the family.
    """
    if not isinstance(host, str):
        raise TypeError(f"expected a host name or an IP address as a str, got {host!r}")
    if not host or "\0" in host:  # the system would take what stands before the NUL for all of the name
        raise ValueError(f"expected a host name or an IP address, got {host!r}")
    _check_port(port)
    if family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        raise ValueError(f"expected the family AF_UNSPEC, AF_INET or AF_INET6, got {family!r}")


def passive_addresses(host: str, port: int) -> list[Address]:
    """Look up what to listen on; blocks while it does.

    Args:
        host: An address or a name; empty: all addresses of the machine.
        port: 0 to 65535.

    Raises:
        OSError: There is no such host.
        ValueError: There is no such port, or the host can't be a name.
    """
    check_lookup(host or "::", port, socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:
        raise ValueError(f"{host!r} is no host name: {error}") from None
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
    """Write what ``accept`` or ``getsockname`` returned: ``127.0.0.1:80``, ``[fe80::1%eth0]:80``, ``unix:/path``.

    The NUL before an abstract name becomes ``@``, as everywhere in Linux. A family that evkit does not know is written
    as far as that goes.
    """
    if isinstance(address, tuple):
        host, port = str(address[0]), address[1]
        if len(address) == _WITH_SCOPE and address[3] and "%" not in host:
            host = f"{host}%{_interface(address[3])}"
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    path = address.decode("utf-8", "surrogateescape") if isinstance(address, bytes) else str(address)
    return f"unix:@{path[1:]}" if path.startswith("\0") else f"unix:{path}"


def _interface(number: int) -> str:
    try:
        return socket.if_indextoname(number)
    except (OSError, OverflowError):
        return str(number)  # it is gone, or is none of this machine


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


def bind_local(sock: socket.socket, local: Address) -> None:
    """Have a socket connect from an address of this machine.

    Args:
        sock: Of a stream, and not bound yet.
        local: ``(ip, port)``; with port 0 the system chooses one when it connects, and may give one out for several
            connections to different places.

    Raises:
        OSError: It is of another family, none of this machine's, or in use.

    Source: ``evhttp_connection_set_local_address``; ip(7) for ``IP_BIND_ADDRESS_NO_PORT``.
    """
    if family_of(local) != sock.family:
        raise OSError(EAFNOSUPPORT, f"the local address {format_address(local)} is of another family")
    if not local[1]:
        try:
            sock.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, True)
        except OSError:
            pass  # another system, whose ports run out sooner
    sock.bind(with_scope(local))


def begin_connecting(sock: socket.socket, address: Address) -> int:
    """Call ``connect`` on a socket that does not block.

    Returns:
        One of `CONNECT_GOES_ON`, else the number that the system failed with.

    Raises:
        ValueError: The address is none for this socket, whatever `family_of` says.
        OSError: The path is too long, or there is no such scope.
    """
    try:
        return sock.connect_ex(with_scope(address))
    except (OverflowError, TypeError) as error:
        raise _not_for(sock, address, error) from error


def _not_for(sock: socket.socket, address: Address, error: Exception) -> ValueError:
    return ValueError(f"expected an address for {sock!r}, got {address!r}: {error}")


def bound_socket(
    address: Address,
    *,
    reuseable: bool = True,
    reuseable_port: bool = False,
    ipv6_only: bool = False,
    deferred_accept: bool = False,
    keepalive: float | None = None,
    mode: int | None = None,
) -> socket.socket:
    """Make a stream socket that is bound to ``address``.

    That of a unix socket listens already, and replaces the file of one on which nobody listens any more.

    Args:
        address: Numeric, or a path.
        reuseable: Bind although connections of an earlier run linger (``SO_REUSEADDR``).
        reuseable_port: Share the port with other processes (``SO_REUSEPORT``).
        ipv6_only: Take no IPv4 on ``::``; otherwise it takes both, whatever the system's default is.
        deferred_accept: See `set_deferred_accept`.
        keepalive: For `set_keepalive`: accepted sockets inherit it. ``None``: the system's default.
        mode: Permissions of the file of a unix socket; ``None``: what the umask leaves.

    The four for TCP don't matter to a unix socket, but ``reuseable_port`` is refused there.

    Raises:
        OSError: The address is in use, not here, or not allowed.
        ValueError: The host is a name, or an option does not go together with the address.

    Source: ``evconnlistener_new_bind``.
    """
    family = family_of(address)
    if family == socket.AF_UNIX and reuseable_port:
        raise ValueError(f"a unix socket can't be shared by reuseable_port, got {address!r}")
    sock = stream_socket(family)
    try:
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuseable)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, reuseable_port)
            if deferred_accept:
                set_deferred_accept(sock)
            if keepalive is not None:
                set_keepalive(sock, keepalive)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        bind_socket(sock, address, mode)
    except BaseException:
        sock.close()
        raise
    return sock


def bind_socket(sock: socket.socket, address: Address, mode: int | None = None) -> None:
    """Bind ``sock``; see `bound_socket`, and `bind_unix` for paths. Errors name the address.

    Raises:
        OSError: The address is in use, not here, or not allowed.
        ValueError: The address is none for this socket, or ``mode`` does not go together with it.
    """
    if mode is not None and not isinstance(address, str | bytes):
        raise ValueError(f"mode is for the file of a unix socket, got {address!r}")
    try:
        if isinstance(address, str | bytes):
            bind_unix(sock, address, mode)
        else:
            sock.bind(with_scope(address))
    except (OverflowError, TypeError) as error:
        raise _not_for(sock, address, error) from error
    except OSError as error:
        if error.errno is None:
            raise  # Python's own, which says what is wrong with the path
        raise OSError(error.errno, error.strerror, format_address(address)) from error


def bound_datagram_socket(
    address: Address, *, reuseable_port: bool = False, ipv6_only: bool = False, mode: int | None = None
) -> socket.socket:
    """Make a datagram socket that is bound to ``address``; for the arguments and errors see `bound_socket`."""
    family = family_of(address)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if reuseable_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, True)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, ipv6_only)
        bind_socket(sock, address, mode)
    except BaseException:
        sock.close()
        raise
    return sock


def connected_datagram_socket(address: Address, *, random_port: bool = False) -> socket.socket:
    """Make a datagram socket that talks to ``address`` alone.

    Args:
        address: Numeric, or a path.
        random_port: Send from an unpredictable port of 1024 to 65535, and not only of the range from which the system
            chooses; without effect for a path.

    Raises:
        OSError: There is no way to the address, or nobody has the unix socket.
        ValueError: The host is a name.

    Source: RFC 5452 §9.2 for the random port.
    """
    family = family_of(address)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if random_port and family != socket.AF_UNIX:
            _bind_random_port(sock)
        sock.connect(with_scope(address))
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_random_port(sock: socket.socket) -> None:
    any_address = "::" if sock.family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - no port is opened to the world
    for _ in range(_RANDOM_PORTS):
        port = int.from_bytes(os.urandom(2), "big")
        if port < _FIRST_PORT:
            continue
        try:
            sock.bind((any_address, port))
        except OSError as error:
            if error.errno not in (EADDRINUSE, EACCES):
                raise
        else:
            return
    # Too many are in use: the system's choice, at ``connect``, is at least one that is free.


def close_bound_socket(sock: socket.socket) -> None:
    """Close a socket of `bound_socket`, and remove its file if it is a unix socket's and still the same."""
    path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
    sock.close()
    remove_if_abandoned(path)


def set_deferred_accept(sock: socket.socket) -> None:
    """Have a listening TCP socket report a connection when its first bytes are there, or after a short while without.

    For protocols in which the client speaks first: it spares a pass of the loop. Nothing happens where the system
    can't; Linux can.

    Source: ``evutil_make_tcp_listen_socket_deferred``.
    """
    option = getattr(socket, "TCP_DEFER_ACCEPT", None)
    if option is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, 1)


def set_keepalive(sock: socket.socket, seconds: float | None) -> None:
    """Have the system ask a silent TCP peer whether it is there, and end the connection if it is not.

    Args:
        sock: A connection, or a listening socket for all that it accepts.
        seconds: Silence before the first of three questions, which are a third of that apart: the connection ends
            after twice the time. ``None``: don't ask.

    Raises:
        ValueError: ``seconds`` is less than 1, or more than the system takes (32767).

    Source: ``evutil_set_tcp_keepalive``.
    """
    if seconds is None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, False)
        return
    if not 1 <= seconds <= _MAX_KEEPALIVE:
        raise ValueError(f"expected 1 to {_MAX_KEEPALIVE} seconds, got {seconds!r}")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, True)
    idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)  # macOS
    if idle is not None:
        sock.setsockopt(socket.IPPROTO_TCP, idle, int(seconds))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(seconds / 3)))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
