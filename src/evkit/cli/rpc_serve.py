"""``evkit rpc serve``: a server of MessagePack-RPC on the addresses asked for, until a signal ends it.

Puts together what the options name. What can be called is decided by `evkit.cli.rpc_target`; how it ends, by
`evkit.cli.stopping`.
"""

import socket
from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from evkit import EventBase, __version__
from evkit.cli import encryption, inheriting
from evkit.cli.bases import make_base
from evkit.cli.errors import USAGE, Failure
from evkit.cli.inheriting import Place
from evkit.cli.listening import explain, raise_file_limit, url
from evkit.cli.rpc_options import DEFAULT_BIND, limits
from evkit.cli.rpc_target import EXPECTED, register
from evkit.cli.stopping import Stopper
from evkit.cli.target import find_object
from evkit.cli.terminal import say
from evkit.rpc import Server

if TYPE_CHECKING:
    from evkit.http import Certificates


def run(arguments: Namespace) -> int:
    """Serve until a signal comes.

    Returns:
        0 after a graceful stop; 128 plus the signal's number if a second signal has cut it short.

    Raises:
        Failure: Something can't be served or listened on.
    """
    _check(arguments)
    with inheriting.places(arguments.bind or [DEFAULT_BIND]) as places, make_base() as base:
        server = _server(base, arguments)
        try:
            register(
                server,
                find_object(arguments.target, EXPECTED, show_traceback=arguments.traceback),
                arguments.target,
            )
            raise_file_limit(base.method)
            with encryption.certificates(base, arguments, rotates=True) as certificates:
                return _serve(server, places, certificates, arguments)
        finally:
            server.close()


def _check(arguments: Namespace) -> None:
    encryption.check(arguments)
    if arguments.unix_mode is not None and not any(isinstance(bind, str) for bind in arguments.bind or ()):
        raise Failure("--unix-mode needs --bind unix:PATH", status=USAGE)


def _server(base: EventBase, arguments: Namespace) -> Server:
    return Server(
        base,
        limits=limits(arguments),
        max_connections=arguments.limit_connections,
        idle_timeout=arguments.timeout_idle,
        debug=arguments.debug,
    )


def _serve(
    server: Server, places: Iterable[Place], certificates: "Certificates | None", arguments: Namespace
) -> int:
    for place in places:
        _listen(server, place, certificates, arguments.unix_mode)
    with Stopper(_Stoppable(server), arguments.timeout_grace) as stopper:
        scheme = "tcp" if certificates is None else "tls"
        for listener in server.listeners:
            where = url(listener.address, scheme)
            say(f"evkit {__version__} serving {arguments.target} on {where} (Ctrl-C stops)")
        return stopper.run()


def _listen(server: Server, place: Place, tls: "Certificates | None", mode: int | None) -> None:
    if isinstance(place, socket.socket):
        server.accept(place, backlog=None, tls=tls)  # it listens already, which was seen to
        return
    try:
        if isinstance(place, str):
            server.bind_unix(place, mode=mode, tls=tls)
        else:
            server.bind(*place, tls=tls)
    except (OSError, ValueError) as error:
        raise Failure(explain(place, error)) from error


class _Stoppable:
    """The server, as `Stopper` knows servers."""

    __slots__ = ("_server",)

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def base(self) -> EventBase:
        return self._server.base

    def stop(self, grace: float | None, stopped: Callable[[], object], *, drain: float = 0.0) -> None:  # noqa: ARG002 - a contract's
        """Stop gracefully. Clients know no last request, so that there is nothing to drain."""
        self._server.stop(grace, stopped)
