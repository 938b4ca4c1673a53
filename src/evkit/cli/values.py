"""What the words on a command line mean: sizes, seconds, addresses.

A decider: text in, value out, or an error that says what was expected. Knows nothing of options or sockets.
"""

import re
from argparse import ArgumentTypeError
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from evkit.core.net import parse_sockaddr_port


@dataclass(frozen=True, slots=True)
class Activated:
    """Sockets that systemd has opened.

    Attributes:
        name: Of the ones that are meant; ``None``: all that nothing else names.
    """

    name: str | None

    def __str__(self) -> str:
        return _SYSTEMD if self.name is None else f"{_SYSTEMD}:{self.name}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A socket that whoever has started the process has opened.

    Attributes:
        number: Its descriptor's.
    """

    number: int

    def __str__(self) -> str:
        return f"{_DESCRIPTOR}{self.number}"


Address = tuple[str, int] | str
"""``(host, port)``, where an empty host stands for all addresses, or the path of a unix socket."""
Bind = Address | Activated | Descriptor
"""Where to listen."""

NONE: Final = "none"
"""The word for "no limit"."""
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZE: Final = re.compile(r"([0-9]{1,15})([KMG]?)B?", re.IGNORECASE)
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_MODE: Final = re.compile(r"0?[0-7]{3}")
_DIRECTIVES: Final = re.compile(r"[!-~]+( [!-~]+)*")
_UNIX: Final = "unix:"
_SYSTEMD: Final = "systemd"
"""As Twisted spells it; gunicorn and hypercorn take what systemd offers without being asked."""
_DESCRIPTOR: Final = "fd://"
"""As gunicorn and hypercorn spell it."""


def size(text: str) -> int:
    """Read a size of at least 1: ``"8192"``, ``"64K"``, ``"1M"``, ``"2G"``, in units of 1,024.

    Raises:
        ArgumentTypeError: It is none.
    """
    match = _SIZE.fullmatch(text)
    number = int(match[1]) * _UNITS[match[2].upper()] if match else 0
    if not number:
        raise ArgumentTypeError(f"expected a number from 1 such as 8192, 64K or 1M, got {text!r}")
    return number


def size_or_none(text: str) -> int | None:
    """Read a size, or ``"none"`` for no limit.

    Raises:
        ArgumentTypeError: It is neither.
    """
    try:
        return None if text == NONE else size(text)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}; {NONE} for no limit") from None


def whole_number(text: str, least: int, most: int) -> int:
    """Read a number from ``least`` to ``most``, which has nine digits at most.

    Raises:
        ArgumentTypeError: It is none.
    """
    number = int(text) if _NUMBER.fullmatch(text) else -1
    if not least <= number <= most:
        raise ArgumentTypeError(f"expected a number from {least} to {most}, got {text!r}")
    return number


def seconds(text: str) -> float | None:
    """Read a time of more than 0 seconds, or ``"none"`` for no limit.

    0 is refused, because half of the world's servers mean "no limit" by it and the others "at once".

    Raises:
        ArgumentTypeError: It is neither.
    """
    number = seconds_from_zero(text)
    if number == 0:
        raise ArgumentTypeError(f"expected more than 0 seconds, got {text!r}; {NONE} for no limit")
    return number


def seconds_from_zero(text: str) -> float | None:
    """Read a time of 0 seconds or more, or ``"none"`` for no limit.

    Raises:
        ArgumentTypeError: It is neither.
    """
    if text == NONE:
        return None
    if not _SECONDS.fullmatch(text):
        raise ArgumentTypeError(
            f"expected a number of seconds such as 30 or 0.5, got {text!r}; {NONE} for no limit"
        )
    return float(text)


def mode(text: str) -> int:
    """Read the permissions of a file, in octal: ``"660"``.

    Raises:
        ArgumentTypeError: They are none.
    """
    if not _MODE.fullmatch(text):
        raise ArgumentTypeError(f"expected permissions in octal, such as 660, got {text!r}")
    return int(text, 8)


def cache_control(text: str) -> str:
    """Read the value of a ``Cache-Control`` field: visible ASCII, with single spaces in it.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not _DIRECTIVES.fullmatch(text):
        raise ArgumentTypeError(f"expected directives such as no-cache or max-age=3600, got {text!r}")
    return text


def bind(text: str) -> Bind:
    """Read where to listen.

    ``"127.0.0.1:8080"``, ``"[::1]:8080"``, ``":8080"``, ``"unix:/run/evkit.sock"``, ``"systemd"``, ``"systemd:web"`` or
    ``"fd://3"``. A host of the name "systemd" has a port, which is a number; a socket's name is none.

    Raises:
        ArgumentTypeError: It is none of these.
    """
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        if not path:
            raise ArgumentTypeError(f"expected the path of a socket after {_UNIX}, got {text!r}")
        return path
    if text.startswith(_DESCRIPTOR):
        return _descriptor(text)
    scheme, colon, name = text.partition(":")
    if scheme == _SYSTEMD and not name.isdigit():
        if colon and not name:
            raise ArgumentTypeError(f"expected the name of a socket after {_SYSTEMD}:, got {text!r}")
        return Activated(name or None)
    try:
        return parse_sockaddr_port(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{error}; or :PORT for all addresses, unix:PATH, or {_SYSTEMD}") from None


def _descriptor(text: str) -> Descriptor:
    number = text.removeprefix(_DESCRIPTOR)
    if not _NUMBER.fullmatch(number):
        raise ArgumentTypeError(f"expected the number of a descriptor, as in {_DESCRIPTOR}3, got {text!r}")
    return Descriptor(int(number))


def show_size(number: int | None) -> str:
    """Write a size as `size` reads it, as short as is exact: ``"64K"``, ``"none"``."""
    if number is None:
        return NONE
    unit, factor = max(
        ((unit, factor) for unit, factor in _UNITS.items() if number % factor == 0), key=itemgetter(1)
    )
    return f"{number // factor}{unit}"


def show_seconds(number: float | None) -> str:
    """Write a time as `seconds` reads it: ``"0.5"``, ``"none"``."""
    return NONE if number is None else f"{number:g}"
