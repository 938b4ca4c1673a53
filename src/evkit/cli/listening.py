"""Where a server listens, and in one line why it can't; and how many clients the system lets it have.

Knows nothing of requests.
"""

import resource
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ENOENT, ENOTDIR
from typing import Final, cast

from evkit.cli.entrance import Entrance
from evkit.cli.errors import Failure
from evkit.cli.inheriting import Place
from evkit.cli.terminal import one_line
from evkit.cli.values import Address
from evkit.core.listener import DEFAULT_BACKLOG
from evkit.core.net import Address as SocketAddress
from evkit.core.net import bound_socket, format_address, passive_addresses
from evkit.core.unix_socket import remove_if_abandoned
from evkit.http import Server

_FIRST_FREE_PORT: Final = 1024
_LAST_PORT: Final = 65535
_TRIES: Final = 8
"""Ports of the system's choice that are tried where all addresses of a host are to have the same."""
_SELECT_FILES: Final = 1024
"""Descriptors that ``select`` can wait for. Running out of them makes a listener pause; one above is an error."""
_BALANCES: Final = sys.platform == "linux"
"""Whether ``SO_REUSEPORT`` spreads connections; elsewhere the last one that was bound may get them all."""


def listen(
    server: Server, places: Iterable[Place], entrance: Entrance | None = None, *, mode: int | None = None
) -> None:
    """Listen on all of ``places``.

    Args:
        server: The server, which owns their sockets from now on.
        places: Where.
        entrance: How clients come in; ``None``: plainly.
        mode: Permissions of unix sockets.

    Raises:
        Failure: One of them can't be had.
    """
    way = entrance or Entrance()
    for place in places:
        if isinstance(place, socket.socket):
            accept(server, place, way)
        else:
            _bind(server, place, way, mode)


def _bind(server: Server, address: Address, entrance: Entrance, mode: int | None) -> None:
    tls, proxied = entrance.tls, entrance.proxy_protocol
    try:
        if isinstance(address, str):
            server.bind_unix(address, mode=mode, tls=tls, proxy_protocol=proxied)
        else:
            server.bind(*address, tls=tls, proxy_protocol=proxied)
    except (OSError, ValueError) as error:  # ValueError: a name that can't be one, such as "a..b"
        raise Failure(explain(address, error)) from error


def accept(server: Server, sock: socket.socket, entrance: Entrance) -> None:
    """Accept connections on a bound socket. One that listens already is others', too, and its file is theirs.

    Args:
        server: The server, which owns the socket from now on.
        sock: The socket.
        entrance: How clients come in.

    Raises:
        Failure: The system does not let it listen. Two servers may bind a port as long as neither does; then the
            other one was first.
    """
    where = format_address(sock.getsockname())
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    backlog = None if listens else DEFAULT_BACKLOG
    try:
        server.accept(sock, backlog=backlog, tls=entrance.tls, proxy_protocol=entrance.proxy_protocol)
    except OSError as error:
        raise Failure(f"can't listen on {where}: {one_line(_reason(error))}") from error


class SharedSockets:
    """Bound sockets for several processes, each a set of its own as far as that can be had.

    The system hands the connections of a TCP port evenly to the sockets that are bound to it. A unix socket, one that
    was inherited, and any socket of a system that does not do so, is one for all of them; who comes first gets the
    connection. No TCP port that is bound here listens before a server does so.

    A connection that waits in a socket is lost with the last copy of it. So the sockets are kept open here while
    processes come and go.

    Args:
        places: Where; their sockets are owned from now on.
        count: Processes.
        mode: Permissions of unix sockets.

    Raises:
        Failure: One of them can't be had. Nothing was bound.

    Attributes:
        addresses: What they are bound to, each once.
    """

    __slots__ = ("_mode", "_owned", "_paths", "_sets", "addresses")

    def __init__(self, places: Iterable[Place], count: int, *, mode: int | None = None) -> None:
        self._mode = mode
        self._sets: list[list[socket.socket]] = [[] for _ in range(count)]
        self._owned: list[socket.socket] = []
        self._paths: list[str] = []  # of unix sockets
        self.addresses: list[str] = []
        try:
            for place in places:
                self._add(place)
        except BaseException:
            self.close()
            raise

    def take(self, number: int) -> list[socket.socket]:
        """Return the sockets of one process, and let go of all; for a child process, which is that one."""
        taken = self._sets[number]
        for sock in self._owned:
            if sock not in taken:
                sock.close()
        self._owned.clear()
        self._paths.clear()
        return taken

    def stop_listening(self) -> None:
        """Close them: what else has them may go on, and is the last to do so."""
        for sock in self._owned:
            sock.close()
        self._owned.clear()

    def close(self) -> None:
        """Close them, and remove the files of unix sockets on which nobody listens any more."""
        self.stop_listening()
        for path in self._paths:
            remove_if_abandoned(path)

    def _add(self, place: Place) -> None:
        if isinstance(place, socket.socket):
            self._share(place)
            return
        try:
            if isinstance(place, str):
                self._share(bound_socket(place, mode=self._mode))
                self._paths.append(place)
            else:
                for sock in _bound_host(*place):
                    self._share(sock, balanced=_BALANCES)
        except (OSError, ValueError) as error:
            raise Failure(explain(place, error)) from error

    def _share(self, first: socket.socket, *, balanced: bool = False) -> None:
        """Give each process ``first``, or a socket of its own for the same address if that is to be balanced."""
        self._owned.append(first)
        name: SocketAddress = first.getsockname()
        self.addresses.append(format_address(name))
        if balanced:
            # Not before it was bound: the port of somebody else who shares his is in use all the same.
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, True)
        self._sets[0].append(first)
        for sockets in self._sets[1:]:
            sock = first
            if balanced:
                sock = bound_socket(name, reuseable_port=True, ipv6_only=True)
                self._owned.append(sock)
            sockets.append(sock)


def _bound_host(host: str, port: int) -> list[socket.socket]:
    """Bind all addresses of a host, or none, as `evkit.http.Server.bind` does; the socket of each does not listen."""
    addresses = passive_addresses(host, port)
    if not addresses:
        raise OSError(f"{host!r} has no addresses")
    for _ in range(0 if port else _TRIES - 1):
        try:
            return _bind_all(addresses, port)
        except OSError as error:
            # Of a port that the system has chosen for one address, another address may be in use.
            if error.errno != EADDRINUSE:
                raise
    return _bind_all(addresses, port)


def _bind_all(addresses: Iterable[SocketAddress], port: int) -> list[socket.socket]:
    """Bind each that is this machine's; an error where none is."""
    missing: OSError | None = None
    with ExitStack() as undo:
        bound: list[socket.socket] = []
        for address in addresses:
            try:
                sock = bound_socket(cast(SocketAddress, (address[0], port, *address[2:])), ipv6_only=True)
            except OSError as error:
                if error.errno not in (EAFNOSUPPORT, EADDRNOTAVAIL):
                    raise
                missing = error  # a machine without IPv6 still has a localhost
            else:
                bound.append(undo.enter_context(sock))
                port = sock.getsockname()[1]  # where any would do, the first one's serves all
        if missing is not None and not bound:
            raise missing
        undo.pop_all()
    return bound


def explain(address: Address, error: OSError | ValueError) -> str:
    """Say in one line why ``address`` can't be listened on, and what to do."""
    if isinstance(address, str):
        return _explain_unix(address, error)
    host, port = address
    where = format_address(address)

    def other(port: int) -> str:
        return f"--bind {format_address((host, port))}"

    if isinstance(error, socket.gaierror | ValueError):
        return f"expected an address of this machine or its name, got {host!r}: {one_line(_reason(error))}"
    if error.errno == EADDRINUSE:
        free = other(port + 1 if port < _LAST_PORT else 0)
        return f"{where} is in use; stop what listens there, or choose another port: {free}"
    if error.errno == EACCES and port < _FIRST_FREE_PORT:
        free = other(port + 8000 if port in (80, 443) else 8080)
        return f"no permission for port {port}; take one from {_FIRST_FREE_PORT}: {free}"
    if error.errno in (EADDRNOTAVAIL, EAFNOSUPPORT):
        return f"{host!r} is no address of this machine; :{port} listens on all that it has"
    return f"can't listen on {where}: {one_line(_reason(error))}"


def _explain_unix(path: str, error: OSError | ValueError) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == EADDRINUSE:
        return f"{path!r} is in use by a server, or no socket; stop the one or remove the other"
    if code in (ENOENT, ENOTDIR):
        return f"there is no folder for the socket {path!r}"
    return f"can't listen on the socket {path!r}: {one_line(_reason(error))}"


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def url(address: str, scheme: str = "http") -> str:
    """Write what a listener listens on for a browser, or for ``curl --unix-socket``."""
    return address if address.startswith("unix:") else f"{scheme}://{address}"


def raise_file_limit(method: str) -> None:
    """Let this process have as many descriptors as the system grants it: each client takes one.

    Args:
        method: The event base's backend; ``"select"`` can't use them all.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _SELECT_FILES if method == "select" and not 0 <= hard < _SELECT_FILES else hard
    if wanted != soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            pass  # some systems call "unlimited" what they don't grant; the limit stays as it was
