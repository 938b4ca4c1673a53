"""How much a client of ``evkit serve`` may send, and how long it may take.

The options, and what they make. Defaults are the library's own, read from its classes, so that the two can't differ.
"""

from argparse import ArgumentParser, Namespace
from inspect import signature
from typing import Final

from evkit.cli.values import NONE, seconds, seconds_from_zero, show_seconds, show_size, size, size_or_none
from evkit.http import Limits, Server, Timeouts

_LIMITS: Final = {
    "target": "bytes of a request's target; more is 414",
    "head": "bytes of a request's head; more is 431",
    "fields": "header fields; more is 431",
    "trailers": "bytes of the fields behind a chunked body; more is 431",
    "chunk-extensions": "bytes of a body's chunk extensions; more is 413",
}
_SERVER_LIMITS: Final = {
    "body": f"bytes of a request's body, or {NONE}; more is 413",
    "connections": f"clients at once, of each worker, or {NONE}; one more is told 503",
    "connections-per-address": f"clients at once from one address, or {NONE}; one more is told 503",
    "requests": f"requests on one connection, or {NONE}; the reply to the last ends it",
}
_METAVARS: Final = dict.fromkeys(("fields", "connections", "connections-per-address", "requests"), "NUMBER")
_TIMEOUTS: Final = {
    "first-byte": "from the connection to the first byte",
    "header": "from the first byte of a head to its end; then 408",
    "body": "without a byte of a body that is due; then 408",
    "body-rate": "bytes that buy a body one second more; what comes slower gets 408",
    "write": "without the client taking a byte of the reply",
    "write-rate": "bytes that buy a reply one second more; who takes it slower is closed",
    "keep-alive": "between two requests; 0 closes after each reply",
    "handshake": "from the connection to the end of its TLS handshake or PROXY header",
    "life": "from the connection to its last request",
    "linger": "for the client to end, too, after the last reply",
}
_BYTES: Final = frozenset({"body-rate", "write-rate"})
"""Not seconds."""
_FROM_ZERO: Final = frozenset({"keep-alive", "linger"})
_SERVER_DEFAULTS: Final = {name: option.default for name, option in signature(Server).parameters.items()}
_DEFAULT_GRACE: Final = signature(Server.stop).parameters["grace"].default


def add_options(parser: ArgumentParser) -> None:
    """Tell ``parser`` the options."""
    _add_limits(parser)
    _add_timeouts(parser)


def _add_limits(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    defaults = Limits()
    for name, text in _LIMITS.items():
        default = getattr(defaults, _attribute(f"max-{name}"))
        group.add_argument(
            f"--limit-{name}",
            type=size,
            default=default,
            metavar=_METAVARS.get(name, "SIZE"),
            help=f"{text} (default: {show_size(default)})",
        )
    for name, text in _SERVER_LIMITS.items():
        default = _SERVER_DEFAULTS[_attribute(f"max-{name}")]
        group.add_argument(
            f"--limit-{name}",
            type=size_or_none,
            default=default,
            metavar=_METAVARS.get(name, "SIZE"),
            help=f"{text} (default: {_show_limit(name, default)})",
        )


def _attribute(name: str) -> str:
    """Return what Python calls an option."""
    return name.replace("-", "_")


def _show_limit(name: str, number: int | None) -> str:
    """Write a default: of what is counted, and is no size, all digits."""
    return str(number) if number is not None and name in _METAVARS else show_size(number)


def _add_timeouts(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(f"time-outs, in seconds or {NONE}")
    defaults = Timeouts()
    for name, text in _TIMEOUTS.items():
        default = getattr(defaults, _attribute(name))
        group.add_argument(
            f"--timeout-{name}",
            type=seconds_from_zero if name in _FROM_ZERO else seconds,
            default=default,
            metavar="BYTES" if name in _BYTES else "SECONDS",
            help=f"{text} (default: {show_seconds(default)})",
        )
    group.add_argument(
        "--timeout-grace",
        type=seconds_from_zero,
        default=_DEFAULT_GRACE,
        metavar="SECONDS",
        help=f"for replies under way when the server is to stop (default: {show_seconds(_DEFAULT_GRACE)})",
    )


def message_limits(arguments: Namespace) -> Limits:
    """Return what the options say of requests, their bodies' content apart."""
    names = [_attribute(name) for name in _LIMITS]
    return Limits(**{f"max_{name}": getattr(arguments, f"limit_{name}") for name in names})


def timeouts(arguments: Namespace) -> Timeouts:
    """Return what the options say of slow clients."""
    names = [_attribute(name) for name in _TIMEOUTS]
    return Timeouts(**{name: getattr(arguments, f"timeout_{name}") for name in names})


def grace(arguments: Namespace) -> float | None:
    """Return the seconds that replies under way may take when the server is to stop; ``None``: as long as they take."""
    given: float | None = arguments.timeout_grace
    return given
