"""The options of ``evkit serve``, whether they go together, and what they make: a crew, the choice of a backend.

Those of a room of their own are added by `evkit.cli.entrance` and `evkit.cli.limits`. Knows nothing of what is done
with them.
"""

from argparse import ArgumentParser, Namespace
from inspect import signature
from typing import Final

from evkit import BASE_IGNORE_ENV, EventConfig, supported_methods
from evkit.cli import access_log, entrance, limits
from evkit.cli.access_log import DEFAULT_FORMAT, STDOUT, log_format
from evkit.cli.crew import AUTO, Crew, make_crew, requests, requests_from_zero, worker_count
from evkit.cli.errors import USAGE, Failure
from evkit.cli.target import is_folder
from evkit.cli.values import bind, cache_control, mode, seconds
from evkit.http import Server, engines
from evkit.http.log.format import PRESETS

DEFAULT_BIND: Final = ("127.0.0.1", 8080)
"""This machine alone: a folder is not shown to the network unless somebody says so."""

_OF_A_FOLDER: Final = ("no_listing", "hidden", "precompressed", "cache_control")
_DEFAULT_ENGINE: Final = signature(Server).parameters["engine"].default
"""Read from the library, so that the two can't differ."""
SYNOPSIS: Final = "%(prog)s [OPTION ...] [DIRECTORY | MODULE:ATTRIBUTE]"
"""Without the options: they are listed below, and there are too many of them to be seen at once."""
EPILOG: Final = """\
examples:
  evkit serve                            the current folder, for this machine
  evkit serve --bind :8080 public        a folder, for the whole network
  evkit serve app:handler                the callable "handler" of app.py
  evkit serve --workers auto --bind unix:/run/app.sock app:handler

Sizes take K, M and G, in units of 1,024. MODULE is looked for in the current
folder first; ATTRIBUTE is a callable that takes a request
(evkit.http.Request) and answers it.

--bind systemd listens on the sockets of a systemd socket unit, systemd:NAME
on those of FileDescriptorName=NAME, and fd://3 on any listening socket that
the process was started with.

Ctrl-C and SIGTERM stop gracefully: replies under way are finished, within
--timeout-grace, and the exit status is 0. A second signal stops at once; the
status is 130 after Ctrl-C and 143 after SIGTERM then. It is 1 if something
can't be served and 2 for a wrong option.

With --workers a dead worker is replaced, and SIGHUP replaces all of them, one
after the other, so that changed code is served without a request lost. If it
can't be, the old workers go on. A new evkit or other options need a restart."""


def add_options(parser: ArgumentParser) -> None:
    """Tell ``parser`` all options of ``evkit serve``."""
    parser.usage = SYNOPSIS
    parser.epilog = EPILOG
    _add_what(parser)
    entrance.add_options(parser)
    _add_workers(parser)
    limits.add_options(parser)
    _add_log(parser)


def _add_what(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("what to serve, and where")
    group.add_argument(
        "target",
        nargs="?",
        metavar="DIRECTORY | MODULE:ATTRIBUTE",
        help="a folder, or a callable that takes a request (default: the current folder)",
    )
    group.add_argument(
        "--bind",
        action="append",
        type=bind,
        metavar="HOST:PORT | unix:PATH | systemd",
        help="where to listen; :PORT is all addresses, and port 0 any free one; may be given more than once "
        f"(default: {DEFAULT_BIND[0]}:{DEFAULT_BIND[1]})",
    )
    group.add_argument("--no-listing", action="store_true", help="don't list folders that have no index.html")
    group.add_argument(
        "--hidden", action="store_true", help="of a folder: serve names that begin with a dot, too"
    )
    group.add_argument(
        "--precompressed",
        action="store_true",
        help="of a folder: send FILE.br, FILE.zst or FILE.gz in place of FILE, where accepted",
    )
    group.add_argument(
        "--cache-control",
        type=cache_control,
        metavar="DIRECTIVES",
        help="of a folder: how long browsers may keep a file, such as no-cache or max-age=3600 "
        "(default: not said; they go by its age)",
    )
    group.add_argument("--gzip", action="store_true", help="compress replies where it pays")
    group.add_argument(
        "--unix-mode",
        type=mode,
        metavar="MODE",
        help="permissions of unix sockets, such as 660 (default: the umask's)",
    )
    group.add_argument(
        "--engine",
        choices=list(engines),
        default=_DEFAULT_ENGINE,
        help="what parses requests (default: %(default)s)",
    )
    group.add_argument(
        "--backend", choices=supported_methods(), help="what waits for sockets (default: the best that works)"
    )


def _add_workers(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("workers: processes that share the load")
    group.add_argument(
        "--workers",
        type=worker_count,
        metavar=f"NUMBER | {AUTO}",
        help=f"how many; {AUTO}: as many as there are processors (default: 1, which is the process itself)",
    )
    group.add_argument(
        "--max-requests",
        type=requests,
        metavar="NUMBER",
        help="replace a worker after so many requests (default: never)",
    )
    group.add_argument(
        "--max-requests-jitter",
        type=requests_from_zero,
        metavar="NUMBER",
        help="by how many that differs at random, so that not all are replaced at once (default: a tenth)",
    )
    group.add_argument(
        "--max-worker-age",
        type=seconds,
        metavar="SECONDS",
        help="replace a worker after so many seconds (default: never)",
    )


def _add_log(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("log")
    group.add_argument(
        "--access-log",
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="append a line per request to FILE, or write it to standard output where FILE is - or left out; "
        "SIGHUP opens FILE anew",
    )
    group.add_argument(
        "--access-log-format",
        type=log_format,
        metavar="FORMAT",
        help=f"{', '.join(PRESETS)}, or a text with placeholders such as {{address}} and {{request[user-agent]}} "
        f"(default: {DEFAULT_FORMAT}, which is common with milliseconds at the end)",
    )
    group.add_argument(
        "--traceback", action="store_true", help="show the traceback when MODULE fails to import"
    )


def check(arguments: Namespace) -> None:
    """Refuse options that would not do what they seem to, before anything is done.

    Raises:
        Failure: These are such.
    """
    access_log.check(arguments)
    entrance.check(arguments)
    if arguments.max_requests_jitter is not None and arguments.max_requests is None:
        raise Failure("--max-requests-jitter needs --max-requests", status=USAGE)
    if arguments.unix_mode is not None and not any(isinstance(bind, str) for bind in arguments.bind or ()):
        raise Failure("--unix-mode needs --bind unix:PATH", status=USAGE)
    if arguments.target is not None and not is_folder(arguments.target):
        _check_callable(arguments)


def _check_callable(arguments: Namespace) -> None:
    for name in _OF_A_FOLDER:
        if getattr(arguments, name):
            option = f"--{name.replace('_', '-')}"
            raise Failure(f"{option} is for a folder, and {arguments.target} is a callable", status=USAGE)


def crew(arguments: Namespace) -> Crew | None:
    """Return what the options say of workers; ``None``: the process serves by itself."""
    return make_crew(
        arguments.workers, arguments.max_requests, arguments.max_requests_jitter, arguments.max_worker_age
    )


def config(arguments: Namespace) -> EventConfig:
    """Return the configuration of the event base; a backend that is named beats the environment's wishes."""
    if arguments.backend is None:
        return EventConfig()
    others = [name for name in supported_methods() if name != arguments.backend]
    return EventConfig(avoid=others, flags=BASE_IGNORE_ENV)
