"""``evkit serve``: a server on the addresses asked for, until a signal ends it.

Puts together what the options name: a handler, a server, an access log. Why an address can't be had is told by
`evkit.cli.listening`; how it ends, by `evkit.cli.stopping`; what several processes do for each other, by
`evkit.cli.workers`.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from evkit import EventBase, EvkitError, __version__
from evkit.cli import access_log, entrance, inheriting, limits, options
from evkit.cli.crew import Crew
from evkit.cli.entrance import Entrance
from evkit.cli.errors import Failure
from evkit.cli.inheriting import Place
from evkit.cli.listening import SharedSockets, listen, raise_file_limit, url
from evkit.cli.stopping import Stopper
from evkit.cli.target import find_folder, find_handler, is_folder
from evkit.cli.terminal import one_line, say
from evkit.http import Handler, Server, compressed

if TYPE_CHECKING:
    from evkit.cli.worker import Post


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
    options.check(arguments)
    crew = options.crew(arguments)
    if crew is not None:
        return _run_crew(arguments, crew)
    name = _name(arguments)
    with _places(arguments) as places, _prepared(arguments, rotates=True) as (server, handler, way):
        server.set_gencb(handler)
        listen(server, places, way, mode=arguments.unix_mode)
        with Stopper(server, limits.grace(arguments)) as stopper:
            _announce(name, way.scheme, [listener.address for listener in server.listeners])
            return stopper.run()


def _run_crew(arguments: Namespace, crew: Crew) -> int:
    """Supervise workers; each of them comes by here, too, in a process of its own."""
    from evkit.cli.supervision import Supervision  # one process has no use for them
    from evkit.cli.workers import Supervisor

    name = _name(arguments)
    rules = Supervision(crew.size, grace=limits.grace(arguments), max_age=crew.max_age)
    with _places(arguments) as places, _base(arguments) as base:
        sockets = SharedSockets(places, crew.size, mode=arguments.unix_mode)
        scheme = "https" if arguments.tls_cert else "http"
        try:
            announce = partial(_announce, name, scheme, sockets.addresses)
            post = Supervisor(base, rules, sockets, announce).run()
        finally:
            sockets.close()
    if post is not None:
        return _work(arguments, crew, post)
    assert rules.status is not None
    return rules.status


def _work(arguments: Namespace, crew: Crew, post: "Post") -> int:
    from evkit.cli.worker import Counted, Duty

    with post, _prepared(arguments, rotates=False) as (server, handler, way):
        duty = Duty(server, post, limits.grace(arguments), way)
        limit = crew.draw_max_requests()
        server.set_gencb(handler if limit is None else Counted(handler, limit, duty.weary))
        return duty.run()


@contextmanager
def _prepared(arguments: Namespace, *, rotates: bool) -> Iterator[tuple[Server, Handler, Entrance]]:
    """Make a server that does not listen yet, what it is to serve, and how clients come in; close it in the end.

    Args:
        arguments: Of the command line.
        rotates: Whether SIGHUP has the access log opened, and the certificates read, anew.
    """
    handler = _handler(arguments)
    with (
        _base(arguments) as base,
        access_log.opened(base, arguments, rotates=rotates) as log,
        entrance.opened(base, arguments, rotates=rotates) as way,
    ):
        server = _server(base, arguments)
        try:
            if log is not None:
                log.watch(server)
            yield server, handler, way
        finally:
            server.close()


def _announce(name: str, scheme: str, addresses: Iterable[str]) -> None:
    for address in addresses:
        say(f"evkit {__version__} serving {name} on {url(address, scheme)} (Ctrl-C stops)")


def _places(arguments: Namespace) -> AbstractContextManager[list[Place]]:
    return inheriting.places(arguments.bind or [options.DEFAULT_BIND])


def _word(arguments: Namespace) -> str:
    return os.curdir if arguments.target is None else arguments.target


def _name(arguments: Namespace) -> str:
    """Return what is served, in words.

    Raises:
        Failure: There is no such folder.
    """
    word = _word(arguments)
    return one_line(find_folder(word)) if is_folder(word) else word


def _handler(arguments: Namespace) -> Handler:
    handler = _plain_handler(arguments)
    return compressed(handler) if arguments.gzip else handler


def _plain_handler(arguments: Namespace) -> Handler:
    word = _word(arguments)
    if not is_folder(word):
        return find_handler(word, show_traceback=arguments.traceback)
    from evkit.http.static import StaticFiles  # a module's callable has no use for it

    folder = find_folder(word)
    try:
        return StaticFiles(
            folder,
            listing=not arguments.no_listing,
            hidden=arguments.hidden,
            precompressed=arguments.precompressed,
            cache_control=arguments.cache_control,
        )
    except OSError as error:
        raise Failure(f"the folder {word!r} can't be opened: {error.strerror}") from error


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
            limits=limits.message_limits(arguments),
            timeouts=limits.timeouts(arguments),
            max_body=arguments.limit_body,
            max_connections=arguments.limit_connections,
            max_connections_per_address=arguments.limit_connections_per_address,
            max_requests=arguments.limit_requests,
            proxies=entrance.proxies(arguments),
        )
    except ImportError as error:
        raise Failure(f"the engine {arguments.engine} is not installed: {one_line(error)}") from error
