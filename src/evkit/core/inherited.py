"""Sockets that the process was started with: socket activation, as systemd and its like do it.

It reads what three environment variables tell, and makes sockets of the descriptors that they speak of. Knows nothing
of event bases; a stream socket goes to ``Listener(base, callback, sock, backlog=None)``, or to a server's ``accept``.
"""

import os
import socket
import stat
from collections.abc import Iterable, Mapping, MutableMapping
from itertools import repeat
from typing import Final, NamedTuple

FIRST_DESCRIPTOR: Final = 3
"""``SD_LISTEN_FDS_START``."""
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_UNNAMED: Final = "unknown"


class InheritedSocket(NamedTuple):
    """One of `inherited_sockets`.

    Attributes:
        name: ``FileDescriptorName=`` of the socket unit, by default the unit's own name such as ``web.socket``;
            ``"unknown"`` where none is told.
        socket: Of any type; a connection and not a listening socket where the unit says ``Accept=yes``.
    """

    name: str
    socket: socket.socket


def inherited_sockets(
    *, remove: bool = False, environ: MutableMapping[str, str] | None = None
) -> list[InheritedSocket]:
    """Return the sockets that the service manager has opened for this process, in its order.

    Programs that this one starts don't inherit the descriptors any more. Call it once: each call makes new objects of
    the same descriptors. A descriptor that is no socket is left out.

    Args:
        remove: Take the variables away, too, so that programs which this one starts don't read them. That holds
            even if this raises.
        environ: Where the variables are; ``None``: ``os.environ``.

    Returns:
        None at all where the variables are missing or meant for another process.

    Raises:
        ValueError: A variable makes no sense, or the names are not as many as the descriptors.
        OSError: A descriptor is not open.

    Source: ``sd_listen_fds_with_names``, https://www.freedesktop.org/software/systemd/man/sd_listen_fds.html.
    """
    environ = os.environ if environ is None else environ
    try:
        count = _count(environ)
        return _sockets(count, _names(environ, count))
    finally:
        if remove:
            for variable in _VARIABLES:
                environ.pop(variable, None)


def _count(environ: Mapping[str, str]) -> int:
    """Return how many descriptors are meant for this process."""
    if "LISTEN_PID" not in environ or _number(environ, "LISTEN_PID") != os.getpid():
        return 0
    return _number(environ, "LISTEN_FDS") if "LISTEN_FDS" in environ else 0


def _names(environ: Mapping[str, str], count: int) -> Iterable[str]:
    """Return the names of the descriptors, one each."""
    if "LISTEN_FDNAMES" not in environ:
        return repeat(_UNNAMED, count)
    names = environ["LISTEN_FDNAMES"].split(":")
    if count and len(names) != count:
        raise ValueError(f"LISTEN_FDNAMES has {len(names)} names, but LISTEN_FDS is {count}")
    return names


def _number(environ: Mapping[str, str], variable: str) -> int:
    text = environ[variable]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{variable} must be a number, got {text!r}")
    return int(text)


def _sockets(count: int, names: Iterable[str]) -> list[InheritedSocket]:
    descriptors = range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count)
    modes = []
    # All of them before any socket is made, which would close its descriptor if it were dropped.
    for fd in descriptors:
        modes.append(os.fstat(fd).st_mode)
        os.set_inheritable(fd, False)
    described = zip(
        names, descriptors, modes, strict=False
    )  # of no descriptors there may be one name, an empty one
    return [
        InheritedSocket(name, socket.socket(fileno=fd)) for name, fd, mode in described if stat.S_ISSOCK(mode)
    ]
