"""Sockets that ``evkit serve`` was started with: systemd's, and descriptors of whoever else has started it.

It finds them, and says in one line what is missing or can't be served on. It binds nothing, and the file of a unix
socket is not its business: that stays where it is. Knows nothing of servers.
"""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from evkit.cli.errors import Failure
from evkit.cli.terminal import one_line
from evkit.cli.values import Activated, Address, Bind, Descriptor
from evkit.core import InheritedSocket, inherited_sockets

Place = Address | socket.socket
"""Where to listen, or what listens already."""


@contextmanager
def places(binds: Iterable[Bind]) -> Iterator[list[Place]]:
    """Find the sockets that ``binds`` speak of; yield these, and where else to listen.

    To be entered before anything is opened, or a descriptor that was not passed on may be something of evkit's own.
    Whoever uses the sockets closes them. If the block raises, they are closed.

    Raises:
        Failure: One is not there, does not listen for connections, or was asked for twice.
    """
    opened: list[socket.socket] = []
    try:
        yield _find(list(binds), opened)
    except BaseException:
        for sock in opened:
            sock.close()
        raise


def _find(binds: list[Bind], opened: list[socket.socket]) -> list[Place]:
    """Find them; what is ``opened`` on the way is the caller's, whatever happens."""
    offer = _offered() if any(isinstance(bind, Activated) for bind in binds) else []
    opened += [entry.socket for entry in offer]
    found: list[Place] = []
    for bind in binds:
        if isinstance(bind, Activated):
            found += _take(bind, offer)
        elif isinstance(bind, Descriptor):
            found.append(_open(bind, opened))
        else:
            found.append(bind)
    for entry in offer:
        entry.socket.close()  # nobody has asked for it
    return found


def _offered() -> list[InheritedSocket]:
    """Return what systemd has passed on; programs that a handler starts must not take it for theirs."""
    meant_for = os.environ.get("LISTEN_PID", "")
    try:
        offer = inherited_sockets(remove=True)
    except (OSError, ValueError) as error:
        raise Failure(f"the sockets that systemd is to pass on can't be had: {one_line(error)}") from error
    if meant_for not in ("", str(os.getpid())):
        raise Failure(
            f"systemd has passed on sockets to the process {meant_for} and not to this one; let it exec evkit"
        )
    return offer


def _take(bind: Activated, offer: list[InheritedSocket]) -> list[socket.socket]:
    """Take out of ``offer`` what ``bind`` means."""
    taken = [entry for entry in offer if bind.name in (None, entry.name)]
    if not taken:
        raise Failure(f"--bind {bind}: {_nothing(offer)}")
    for entry in taken:
        _check(bind, entry.socket)
        offer.remove(entry)
    return [entry.socket for entry in taken]


def _nothing(offer: list[InheritedSocket]) -> str:
    if offer:
        names = ", ".join(entry.name for entry in offer)
        return f"systemd has passed on no socket of that name; what it has, and nothing else took, is {one_line(names)}"
    return "systemd has passed on no socket, or none is left; start evkit by a socket unit or systemd-socket-activate"


def _open(bind: Descriptor, opened: list[socket.socket]) -> socket.socket:
    if any(sock.fileno() == bind.number for sock in opened):
        raise Failure(f"--bind {bind}: the descriptor was asked for twice, or is systemd's")
    try:
        os.set_inheritable(bind.number, False)
        sock = socket.socket(fileno=bind.number)
    except OSError as error:
        raise Failure(
            f"--bind {bind}: the descriptor is no socket that was passed on: {error.strerror}"
        ) from error
    opened.append(sock)
    _check(bind, sock)
    return sock


def _check(bind: Activated | Descriptor, sock: socket.socket) -> None:
    """Refuse what no client can connect to: a connection, as of a unit with ``Accept=yes``, or datagrams."""
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise Failure(
            f"--bind {bind}: expected a stream socket that listens (ListenStream= and Accept=no of a socket unit)"
        )
