"""``evkit serve``: a server on the addresses asked for, until a signal ends it.

Puts together what the options name: a handler, a server, an access log. Why an address can't be had is told by
`evkit.cli.listening`; how it ends, by `evkit.cli.stopping`.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from evkit import EventBase, EvkitError, __version__
from evkit.cli import options
from evkit.cli.access_log import AccessLog, file_writer
from evkit.cli.errors import USAGE, Failure
from evkit.cli.listening import listen, raise_file_limit, url
from evkit.cli.stopping import Stopper
from evkit.cli.target import find_folder, find_handler, is_folder
from evkit.cli.terminal import one_line, say
from evkit.http import Handler, Server

_STDOUT_FD: Final = 1
_LOG_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


def configure(parser: ArgumentParser) -> None:
    """Tell ``parser`` the options of this command."""
    options.add_options(parser)


def run(arguments: Namespace) -> int:
    """Serve until a signal comes.

    Returns:
        0 after a graceful stop; 128 plus the signal's number if a second signal has cut it short.

    Raises:
        Failure: Something can't be served, listened on or logged to.
    """
    _check_log(arguments)
    name, handler = _handler(arguments)
    with _base(arguments) as base, _log(base, arguments.access_log) as log:
        server = _server(base, arguments)
        try:
            server.set_gencb(handler)
            if log is not None:
                log.watch(server)
            return _serve(server, name, arguments)
        finally:
            server.close()


def _serve(server: Server, name: str, arguments: Namespace) -> int:
    listen(server, arguments.bind or [options.DEFAULT_BIND])
    with Stopper(server, options.grace(arguments)) as stopper:
        for listener in server.listeners:
            say(f"evkit {__version__} serving {name} on {url(listener.address)} (Ctrl-C stops)")
        return stopper.run()


def _handler(arguments: Namespace) -> tuple[str, Handler]:
    """Return what is served, in words and as a callable."""
    word: str = os.curdir if arguments.target is None else arguments.target
    if not is_folder(word):
        return word, find_handler(word, show_traceback=arguments.traceback)
    from evkit.http.static import StaticFiles  # a module's callable has no use for it

    folder = find_folder(word)
    try:
        files = StaticFiles(folder, listing=not arguments.no_listing, hidden=arguments.hidden)
    except OSError as error:
        raise Failure(f"the folder {word!r} can't be opened: {error.strerror}") from error
    return one_line(folder), files


def _base(arguments: Namespace) -> EventBase:
    try:
        base = EventBase(options.config(arguments))
    except EvkitError as error:
        raise Failure(one_line(error)) from error
    raise_file_limit(base.method)
    return base


def _server(base: EventBase, arguments: Namespace) -> Server:
    try:
        return Server(
            base,
            engine=arguments.engine,
            limits=options.limits(arguments),
            timeouts=options.timeouts(arguments),
            max_body=arguments.limit_body,
            max_connections=arguments.limit_connections,
        )
    except ImportError as error:
        raise Failure(f"the engine {arguments.engine} is not installed: {one_line(error)}") from error


def _check_log(arguments: Namespace) -> None:
    """Refuse ``--access-log app:handler``, which would log to a file of that name and show the current folder."""
    taken: str | None = arguments.access_log
    if taken is None or arguments.target is not None:
        return
    if os.path.isdir(taken) or (":" in taken and os.sep not in taken):
        raise Failure(
            f"--access-log has taken {taken!r} for its file; "
            f"write --access-log=- {taken}, or name what to serve before the option",
            status=USAGE,
        )


@contextmanager
def _log(base: EventBase, path: str | None) -> Iterator[AccessLog | None]:
    if path is None:
        yield None
        return
    fd = _open_log(path)
    log = AccessLog(base, file_writer(fd))
    try:
        yield log
    finally:
        log.close()
        os.close(fd)


def _open_log(path: str) -> int:
    if path == options.STDOUT:
        if sys.stdout is None:  # closed from the start: its number is the loop's by now
            raise Failure("standard output is closed; name a file for the access log")
        return os.dup(_STDOUT_FD)
    try:
        return os.open(path, _LOG_FLAGS, 0o644)
    except OSError as error:
        raise Failure(f"the access log {path!r} can't be opened: {error.strerror}") from error
