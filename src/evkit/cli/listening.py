"""Where a server listens, and in one line why it can't; and how many clients the system lets it have.

Knows nothing of requests.
"""

import resource
import socket
import sys
from collections.abc import Iterable
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ENOENT, ENOTDIR
from typing import Final, cast

from evkit.cli.entrance import Entrance
from evkit.cli.errors import Failure
from evkit.cli.terminal import one_line
from evkit.cli.values import Bind
from evkit.core.net import Address, bound_socket, format_address, passive_addresses
from evkit.core.unix_socket import remove_if_abandoned
from evkit.http import Server

_FIRST_FREE_PORT: Final = 1024
_LAST_PORT: Final = 65535
_SELECT_FILES: Final = 1024
"""Descriptors that ``select`` can wait for. Running out of them makes a listener pause; one above is an error."""
_BALANCES: Final = sys.platform == "linux"
"""Whether ``SO_REUSEPORT`` spreads connections; elsewhere the last one that was bound may get them all."""


def listen(
    server: Server, binds: Iterable[Bind], entrance: Entrance | None = None, *, mode: int | None = None
) -> None:
    """Listen on all of ``binds``.

    Args:
        server: The server.
        binds: Where.
        entrance: How clients come in; ``None``: plainly.
        mode: Permissions of unix sockets.

    Raises:
        Failure: One of them can't be had.
    """
    way = entrance or Entrance()
    for bind in binds:
        try:
            if isinstance(bind, str):
                server.bind_unix(bind, mode=mode, tls=way.tls, proxy_protocol=way.proxy_protocol)
            else:
                server.bind(*bind, tls=way.tls, proxy_protocol=way.proxy_protocol)
        except (OSError, ValueError) as error:  # ValueError: a name that can't be one, such as "a..b"
            raise Failure(explain(bind, error)) from error


class SharedSockets:
    """Bound sockets for several processes, each a set of its own as far as that can be had.

    The system hands the connections of a TCP port evenly to the sockets that are bound to it. A unix socket, and any
    socket of a system that does not do so, is one for all of them; who comes first gets the connection. None of them
    listens before a server does so.

    A connection that waits in a socket is lost with the last copy of it. So the sockets are kept open here while
    processes come and go.

    Args:
        binds: Where.
        count: Processes.
        mode: Permissions of unix sockets.

    Raises:
        Failure: One of them can't be had. Nothing was bound.

    Attributes:
        addresses: What they are bound to, each once.
    """

    __slots__ = ("_mode", "_owned", "_paths", "_sets", "addresses")

    def __init__(self, binds: Iterable[Bind], count: int, *, mode: int | None = None) -> None:
        self._mode = mode
        self._sets: list[list[socket.socket]] = [[] for _ in range(count)]
        self._owned: list[socket.socket] = []
        self._paths: list[str] = []  # of unix sockets
        self.addresses: list[str] = []
        try:
            for bind in binds:
                self._add(bind)
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

    def _add(self, bind: Bind) -> None:
        try:
            if isinstance(bind, str):
                self._share(bound_socket(bind, mode=self._mode))
                self._paths.append(bind)
            else:
                self._bind_host(*bind)
        except (OSError, ValueError) as error:
            raise Failure(explain(bind, error)) from error

    def _bind_host(self, host: str, port: int) -> None:
        """Bind as `evkit.http.Server.bind` does."""
        missing: OSError | None = None
        bound = len(self._owned)
        for address in passive_addresses(host, port):
            address = cast(tuple[str, int], (address[0], port, *address[2:]))
            try:
                sock = bound_socket(address, ipv6_only=True)
            except OSError as error:
                if error.errno not in (EAFNOSUPPORT, EADDRNOTAVAIL):
                    raise
                missing = error
            else:
                port = sock.getsockname()[1]
                self._share(sock)
        if len(self._owned) == bound:
            raise missing or OSError(f"{host!r} has no addresses")

    def _share(self, first: socket.socket) -> None:
        """Give each process a socket for the address of ``first``, or this one."""
        self._owned.append(first)
        name: Address = first.getsockname()
        self.addresses.append(format_address(name))
        balanced = _BALANCES and first.family != socket.AF_UNIX
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


def explain(bind: Bind, error: OSError | ValueError) -> str:
    """Say in one line why ``bind`` can't be listened on, and what to do."""
    if isinstance(bind, str):
        return _explain_unix(bind, error)
    host, port = bind
    where = format_address(bind)

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
