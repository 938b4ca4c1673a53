"""Where a server listens, and in one line why it can't; and how many clients the system lets it have.

Knows nothing of requests.
"""

import resource
import socket
from collections.abc import Iterable
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ENOENT, ENOTDIR
from typing import Final

from evkit.cli.errors import Failure
from evkit.cli.terminal import one_line
from evkit.cli.values import Bind
from evkit.core.net import format_address
from evkit.http import Server

_FIRST_FREE_PORT: Final = 1024
_LAST_PORT: Final = 65535
_SELECT_FILES: Final = 1024
"""Descriptors that ``select`` can wait for. Running out of them makes a listener pause; one above is an error."""


def listen(server: Server, binds: Iterable[Bind]) -> None:
    """Listen on all of ``binds``.

    Raises:
        Failure: One of them can't be had.
    """
    for bind in binds:
        try:
            if isinstance(bind, str):
                server.bind_unix(bind)
            else:
                server.bind(*bind)
        except (OSError, ValueError) as error:  # ValueError: a name that can't be one, such as "a..b"
            raise Failure(explain(bind, error)) from error


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


def url(address: str) -> str:
    """Write what a listener listens on for a browser, or for ``curl --unix-socket``."""
    return address if address.startswith("unix:") else f"http://{address}"


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
