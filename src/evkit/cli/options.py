"""The options of ``evkit serve``, and what they make: limits, time-outs, the choice of a backend.

Defaults are the library's own, read from its classes, so that the two can't differ. Knows nothing of what is done
with them.
"""

from argparse import ArgumentParser, Namespace
from inspect import signature
from typing import Final

from evkit import BASE_IGNORE_ENV, EventConfig, supported_methods
from evkit.cli import entrance
from evkit.cli.access_log import DEFAULT_FORMAT, STDOUT, log_format
from evkit.cli.crew import AUTO, Crew, make_crew, requests, requests_from_zero, worker_count
from evkit.cli.values import (
    NONE,
    bind,
    mode,
    seconds,
    seconds_from_zero,
    show_seconds,
    show_size,
    size,
    size_or_none,
)
from evkit.http import Limits, Server, Timeouts, engines
from evkit.http.log.format import PRESETS

DEFAULT_BIND: Final = ("127.0.0.1", 8080)
"""This machine alone: a folder is not shown to the network unless somebody says so."""

_LIMITS: Final = {
    "target": "bytes of a request's target; more is 414",
    "head": "bytes of a request's head; more is 431",
    "fields": "header fields; more is 431",
}
_SERVER_LIMITS: Final = {
    "body": f"bytes of a request's body, or {NONE}; more is 413",
    "connections": f"clients at once, of each worker, or {NONE}; one more is told 503",
    "connections-per-address": f"clients at once from one address, or {NONE}; one more is told 503",
    "requests": f"requests on one connection, or {NONE}; the reply to the last ends it",
}
_METAVARS: Final = dict.fromkeys(("fields", "connections", "connections-per-address", "requests"), "NUMBER")
_TIMEOUTS: Final = {
    "first_byte": "from the connection to the first byte",
    "header": "from the first byte of a head to its end; then 408",
    "body": "without a byte of a body that is due; then 408",
    "body_rate": "not seconds, but bytes that buy a body one second more; what comes slower gets 408",
    "write": "without the client taking a byte of the reply",
    "keep_alive": "between two requests; 0 closes after each reply",
    "handshake": "from the connection to the end of its TLS handshake or PROXY header",
    "life": "from the connection to its last request",
    "linger": "for the client to end, too, after the last reply",
}
_FROM_ZERO: Final = frozenset({"keep_alive", "linger"})
_SERVER_DEFAULTS: Final = {name: option.default for name, option in signature(Server).parameters.items()}
_DEFAULT_GRACE: Final = signature(Server.stop).parameters["grace"].default

EPILOG: Final = """\
Sizes take K, M and G, in units of 1,024. MODULE is looked for in the current folder first; ATTRIBUTE is a callable
that takes a request (evkit.http.Request) and answers it.

Ctrl-C and SIGTERM stop gracefully: replies under way are finished, within --timeout-grace, and the exit status is 0.
A second signal stops at once; the status is 130 after Ctrl-C and 143 after SIGTERM then. It is 1 if something can't
be served and 2 for a wrong option.

With --workers a dead worker is replaced, and SIGHUP replaces all of them, one after the other, so that changed code is
served without a request lost. If it can't be, the old workers go on. A new evkit or other options need a restart."""


def add_options(parser: ArgumentParser) -> None:
    """Tell ``parser`` all options of ``evkit serve``."""
    parser.epilog = EPILOG
    _add_what(parser)
    entrance.add_options(parser)
    _add_workers(parser)
    _add_limits(parser)
    _add_timeouts(parser)
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
        metavar="HOST:PORT | unix:PATH",
        help="where to listen; port 0 is any free one; may be given more than once "
        f"(default: {DEFAULT_BIND[0]}:{DEFAULT_BIND[1]})",
    )
    group.add_argument("--no-listing", action="store_true", help="don't list folders that have no index.html")
    group.add_argument("--hidden", action="store_true", help="serve files whose names begin with a dot, too")
    group.add_argument(
        "--precompressed",
        action="store_true",
        help="of a folder: send FILE.br, FILE.zst or FILE.gz in place of FILE, where accepted",
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
        default=_SERVER_DEFAULTS["engine"],
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


def _add_limits(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    defaults = Limits()
    for name, text in _LIMITS.items():
        default = getattr(defaults, f"max_{name}")
        group.add_argument(
            f"--limit-{name}",
            type=size,
            default=default,
            metavar=_METAVARS.get(name, "SIZE"),
            help=f"{text} (default: {show_size(default)})",
        )
    for name, text in _SERVER_LIMITS.items():
        default = _SERVER_DEFAULTS[f"max_{name.replace('-', '_')}"]
        group.add_argument(
            f"--limit-{name}",
            type=size_or_none,
            default=default,
            metavar=_METAVARS.get(name, "SIZE"),
            help=f"{text} (default: {show_size(default)})",
        )


def _add_timeouts(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(f"time-outs, in seconds or {NONE}")
    defaults = Timeouts()
    for name, text in _TIMEOUTS.items():
        default = getattr(defaults, name)
        group.add_argument(
            f"--timeout-{name.replace('_', '-')}",
            type=seconds_from_zero if name in _FROM_ZERO else seconds,
            default=default,
            metavar="SECONDS",
            help=f"{text} (default: {show_seconds(default)})",
        )
    group.add_argument(
        "--timeout-grace",
        type=seconds_from_zero,
        default=_DEFAULT_GRACE,
        metavar="SECONDS",
        help=f"for replies under way when the server is to stop (default: {show_seconds(_DEFAULT_GRACE)})",
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


def limits(arguments: Namespace) -> Limits:
    """Return what the options say of heads."""
    return Limits(**{f"max_{name}": getattr(arguments, f"limit_{name}") for name in _LIMITS})


def timeouts(arguments: Namespace) -> Timeouts:
    """Return what the options say of slow clients."""
    return Timeouts(**{name: getattr(arguments, f"timeout_{name}") for name in _TIMEOUTS})


def grace(arguments: Namespace) -> float | None:
    """Return the seconds that replies under way may take when the server is to stop; ``None``: as long as they take."""
    given: float | None = arguments.timeout_grace
    return given


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
