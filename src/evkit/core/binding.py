"""Listening on all addresses of a host, or on one socket; and what a server may be given for TLS.

Blocks while a host is looked up. It knows nothing of what is done with connections.
"""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from errno import EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT
from typing import TYPE_CHECKING, Any, Final, Protocol

from evkit.core.listener import Listener
from evkit.core.net import Address, bound_socket, close_bound_socket, passive_addresses

if TYPE_CHECKING:
    import ssl

    class HasContext(Protocol):
        """What may give each connection another context, as certificates that are loaded anew."""

        @property
        def context(self) -> ssl.SSLContext:
            """That for the next connection."""

    TLS = ssl.SSLContext | HasContext

MakeListener = Callable[[socket.socket], Listener]

_TRIES: Final = 8
"""Ports of the system's choice that are tried where all addresses of a host are to have the same."""


def bind_all(host: str, port: int, make: MakeListener, *, reuseable_port: bool = False) -> list[Listener]:
    """Listen on all addresses of a host that are this machine's, on one port.

    Args:
        host: An address, or a name that is looked up now. Empty: all addresses.
        port: 0: any free one, the same for all addresses.
        make: Makes the listener of a socket that is bound.
        reuseable_port: Share the port with other processes.

    Raises:
        OSError: An address is in use, or not allowed, or none is here; ``socket.gaierror``: there is no such host.
            Nothing is bound.
        ValueError: There is no such port.
    """
    addresses = _look_up(host, port)
    tries = 1 if port else _TRIES
    while True:
        tries -= 1
        try:
            return _bind_each(addresses, port, make, reuseable_port=reuseable_port)
        except OSError as error:
            # Of a port that the system has chosen for one address, another address may be in use.
            if error.errno != EADDRINUSE or not tries:
                raise


def _bind_each(
    addresses: list[Address], port: int, make: MakeListener, *, reuseable_port: bool
) -> list[Listener]:
    listeners: list[Listener] = []
    missing: OSError | None = None
    with ExitStack() as undo:
        for address in addresses:
            try:
                # On "::" IPv6 alone, as 0.0.0.0 is among the addresses of "all".
                sock = bound_socket(_with_port(address, port), ipv6_only=True, reuseable_port=reuseable_port)
            except OSError as error:
                if error.errno not in (EAFNOSUPPORT, EADDRNOTAVAIL):
                    raise
                missing = error  # a machine without IPv6 still has a localhost
                continue
            listeners.append(bind_one(sock, make))
            undo.callback(listeners[-1].close)
            port = listeners[-1].port  # where any would do, the first one's serves all
        if missing is not None and not listeners:
            raise missing
        undo.pop_all()
    return listeners


def bind_one(sock: socket.socket, make: MakeListener) -> Listener:
    """Have a listener made of a socket of `bound_socket`; if that fails, nothing is left of it."""
    try:
        return make(sock)
    except BaseException:
        close_bound_socket(sock)
        raise


def context_of(tls: "TLS | None") -> "ssl.SSLContext | None":
    """Return what the next connection gets; ``None``: it has no TLS."""
    given: Any = tls  # which of the two it is can't be asked without the module ssl
    context: ssl.SSLContext | None = getattr(given, "context", given)
    return context


def check_server_tls(tls: "TLS | None") -> None:
    """Refuse what no connection could be made of, before one comes.

    Raises:
        TypeError: It is neither a context nor has one.
        ValueError: It is for clients.
    """
    context = context_of(tls)
    if context is None:
        return
    import ssl  # takes its time to load

    from evkit.core.bufferevent.tls_session import TLSSession

    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"tls must be Certificates(…) or the ssl.SSLContext of a server, got {tls!r}")
    TLSSession(context, server_side=True, server_hostname=None, resumed=None)


def _look_up(host: str, port: int) -> list[Address]:
    try:
        addresses = passive_addresses(host, port)
    except socket.gaierror as error:  # which does not say whose name it could not find
        raise socket.gaierror(error.errno, error.strerror, host) from error
    if not addresses:
        raise OSError(f"{host!r} has no addresses")
    return addresses


def _with_port(address: Address, port: int) -> Address:
    assert isinstance(address, tuple)  # hosts have no paths
    return (address[0], port, *address[2:])
