"""The options of ``evkit rpc``, and the limits that they make.

Defaults are the library's own, read from its classes, so that the two can't differ. Knows nothing of what is done with
them.
"""

from argparse import Namespace
from inspect import signature
from typing import Any, Final

from evkit.cli import encryption, trust
from evkit.cli.errors import USAGE, Failure
from evkit.cli.parser import Parser
from evkit.cli.values import (
    NONE,
    bind,
    mode,
    seconds,
    seconds_from_zero,
    show_seconds,
    show_size,
    size,
    whole_number,
)
from evkit.rpc import Client, Limits, Server

DEFAULT_BIND: Final = ("127.0.0.1", 7000)
"""This machine alone: who can call may do whatever the functions do."""

_SIZES: Final = {"message": "bytes of a message; more ends the connection"}
_COUNTS: Final = {
    "depth": "arrays and maps in each other; more ends the connection",
    "elements": "values in the arrays and maps of a message; more ends the connection",
    "map": "pairs of a map; more ends the connection",
    "int-map": "pairs of a map whose keys are not all text or bytes; more ends the connection",
    "in-flight": "calls of a client that are not answered yet; it has to wait then",
    "method": "bytes of a method's name; more is an error",
}
_MOST_CONNECTIONS: Final = 1_000_000
_MOST_CALLS: Final = 999_999_999
_MOST_AT_A_TIME: Final = 10_000
_DEFAULTS: Final = Limits()
_SERVER: Final = {name: option.default for name, option in signature(Server).parameters.items()}
_GRACE: Final = signature(Server.stop).parameters["grace"].default
_TIMEOUT: Final = signature(Client).parameters["timeout"].default

_SERVE_SYNOPSIS: Final = "%(prog)s [OPTION ...] MODULE[:OBJECT]"
_SERVE_EPILOG: Final = """\
examples:
  evkit rpc serve app                            the functions of app.py
  evkit rpc serve --bind :7000 app:calculator    the methods of an object in it
  evkit rpc serve --bind unix:/run/app.sock app

MODULE is looked for in the current folder first. Of a module those functions
are served that it defines itself and whose names begin with no underscore, or
those that stand in its __all__; of an object its public methods, or those that
stand in its __rpc_methods__; of an evkit.rpc.Service what is registered there.
Annotations of parameters are checked. Generators are streams.

Ctrl-C and SIGTERM stop gracefully: calls under way are answered, within
--timeout-grace, and the exit status is 0. A second signal stops at once; the
status is 130 after Ctrl-C and 143 after SIGTERM then. It is 1 if something
can't be served and 2 for a wrong option. Sizes take K, M and G, in units of
1,024."""

_ADDRESS: Final = "HOST:PORT | unix:PATH | tls://HOST:PORT"
_CALL_SYNOPSIS: Final = "%(prog)s [OPTION ...] ADDRESS METHOD [ARGUMENT ...]"
_CALL_EPILOG: Final = """\
examples:
  evkit rpc call 127.0.0.1:7000 add 2 3
  evkit rpc call unix:/run/app.sock find '{"name": "ann"}' --json | jq .result
  evkit rpc call 127.0.0.1:7000 say -- --loud
  evkit rpc call 127.0.0.1:7000 echo hello --repeat 100000 --concurrency 100

An argument is JSON, or, where it is none, a string: 5 is a number, '"5"' and
five are strings. Behind -- nothing is an option.

A result is written much as JSON; bytes, times and extensions as Python writes
them. What a method yields is written as it comes, if the server is evkit's.

--json writes an object a line: {"result": ...}, {"item": ...} for what a
method yields, or {"error": {"kind", "message", "code", "data"}}. What JSON has
not is {"$bytes": BASE64}, {"$ext": [CODE, BASE64]}, {"$map": [[KEY, VALUE],
...]} where keys are no strings, and a string for a time.

--repeat calls again and again, and tells the rate, the percentiles of the time
that answers took, and the errors by their kind. Ctrl-C ends it before its time.

The exit status is 0 for a result; 1 for an error of the method; 3 if nobody is
there, no answer comes in time, or the connection is lost; 2 for wrong usage;
and 130 after Ctrl-C."""
_METHODS_SYNOPSIS: Final = "%(prog)s [OPTION ...] ADDRESS"
_METHODS_EPILOG: Final = """\
It asks the server itself, by $/methods: evkit's servers tell, others may not.
The exit status is as that of evkit rpc call."""


# Serving


def add_serve_options(parser: Parser) -> None:
    """Tell ``parser`` the options of ``evkit rpc serve``."""
    parser.usage = _SERVE_SYNOPSIS
    parser.epilog = _SERVE_EPILOG
    group = parser.add_argument_group("what to serve, and where")
    group.add_argument("target", metavar="MODULE[:OBJECT]", help="whose functions or methods are served")
    group.add_argument(
        "--bind",
        action="append",
        type=bind,
        metavar="HOST:PORT | unix:PATH | systemd",
        help="where to listen; :PORT is all addresses, and port 0 any free one; may be given more than once "
        f"(default: {DEFAULT_BIND[0]}:{DEFAULT_BIND[1]})",
    )
    group.add_argument(
        "--unix-mode",
        type=mode,
        metavar="MODE",
        help="permissions of unix sockets, such as 660 (default: the umask's)",
    )
    group.add_argument("--debug", action="store_true", help="send clients the tracebacks of what goes wrong")
    group.add_argument(
        "--traceback", action="store_true", help="show the traceback when MODULE fails to import"
    )
    encryption.add_options(parser, "TLS")
    _add_limits(parser)
    _add_timeouts(parser)


def _add_limits(parser: Parser) -> None:
    group = parser.add_argument_group("limits of each client")
    for name, text in _SIZES.items():
        _add(group, f"--limit-{name}", size, "SIZE", text, getattr(_DEFAULTS, f"max_{name}"), show_size)
    for name, text in _COUNTS.items():
        default = getattr(_DEFAULTS, f"max_{name.replace('-', '_')}")
        _add(group, f"--limit-{name}", _count, "NUMBER", text, default, str)
    connections = _SERVER["max_connections"]
    _add(group, "--limit-connections", _connections, "NUMBER", "clients at once", connections, str)


def _add_timeouts(parser: Parser) -> None:
    group = parser.add_argument_group(f"time-outs, in seconds or {NONE}")
    message = "from the first byte of a message to its last"
    idle = "without a word of a client that waits for nothing"
    grace = "for calls under way when the server is to stop"
    default = _DEFAULTS.message_timeout
    _add(group, "--timeout-message", seconds, "SECONDS", message, default, show_seconds)
    _add(group, "--timeout-idle", seconds, "SECONDS", idle, _SERVER["idle_timeout"], show_seconds)
    _add(group, "--timeout-grace", seconds_from_zero, "SECONDS", grace, _GRACE, show_seconds)


def _add(group: Any, option: str, kind: Any, metavar: str, text: str, default: Any, show: Any) -> None:
    told = f"{text} (default: {show(default)})"
    group.add_argument(option, type=kind, default=default, metavar=metavar, help=told)


def _count(text: str) -> int:
    return whole_number(text, 1, _MOST_CALLS)


def _connections(text: str) -> int:
    return whole_number(text, 1, _MOST_CONNECTIONS)


def limits(arguments: Namespace) -> Limits:
    """Return what the options say of clients.

    Raises:
        Failure: One is out of its range.
    """
    names = [name.replace("-", "_") for name in (*_SIZES, *_COUNTS)]
    most = {f"max_{name}": getattr(arguments, f"limit_{name}") for name in names}
    try:
        return Limits(**most, message_timeout=arguments.timeout_message)
    except ValueError as error:
        raise _named(error) from error


def _named(error: ValueError) -> Failure:
    """Tell of an option what `Limits` tells of its attribute."""
    name, _, what = str(error).partition(" ")
    return Failure(f"--limit-{name.removeprefix('max_').replace('_', '-')} {what}", status=USAGE)


def answer_limits(arguments: Namespace) -> Limits:
    """Return what the options say of answers.

    Raises:
        Failure: One is out of its range.
    """
    try:
        return Limits(max_message=arguments.limit_message)
    except ValueError as error:
        raise _named(error) from error


# Calling


def add_call_options(parser: Parser) -> None:
    """Tell ``parser`` the options of ``evkit rpc call``."""
    parser.intermixed = True  # "ADDRESS add --json 2 3"
    parser.usage = _CALL_SYNOPSIS
    parser.epilog = _CALL_EPILOG
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    parser.add_argument("method", metavar="METHOD", help="its name")
    parser.add_argument(
        "words", nargs="*", default=[], metavar="ARGUMENT", help="JSON, or a string: see below"
    )
    group = parser.add_argument_group("the call")
    group.add_argument("--notify", action="store_true", help="expect no answer")
    _add_line_options(group)
    group.add_argument("--json", action="store_true", help="write an object of JSON a line: see below")
    group = parser.add_argument_group("load")
    group.add_argument(
        "--repeat", type=_count, metavar="NUMBER", help="call so often, and tell how long it takes"
    )
    group.add_argument(
        "--concurrency",
        type=_at_a_time,
        metavar="NUMBER",
        help="calls that are under way at a time (default: 1)",
    )
    trust.add_options(parser.add_argument_group("TLS"))


def add_methods_options(parser: Parser) -> None:
    """Tell ``parser`` the options of ``evkit rpc methods``."""
    parser.usage = _METHODS_SYNOPSIS
    parser.epilog = _METHODS_EPILOG
    parser.add_argument("address", metavar="ADDRESS", help=_ADDRESS)
    _add_line_options(parser)
    parser.add_argument("--json", action="store_true", help="write one object of JSON: names to facts")
    trust.add_options(parser.add_argument_group("TLS"))


def _add_line_options(group: Any) -> None:
    group.add_argument(
        "-m",
        "--timeout",
        type=seconds,
        default=_TIMEOUT,
        metavar="SECONDS",
        help=f"until the result is there, or the last item, connecting included; or {NONE} (default: %(default)g)",
    )
    group.add_argument(
        "--plain",
        action="store_true",
        help="say nothing beyond MessagePack-RPC, for servers that don't answer, or close, when they are asked for a "
        "method that they don't know; what a method yields comes at once then",
    )
    group.add_argument(
        "--limit-message",
        type=size,
        default=_DEFAULTS.max_message,
        metavar="SIZE",
        help=f"bytes of an answer (default: {show_size(_DEFAULTS.max_message)})",
    )


def _at_a_time(text: str) -> int:
    return whole_number(text, 1, _MOST_AT_A_TIME)
