"""Values of calls as words of a command line, and as lines of its output: for a reader, and as JSON.

A decider: text in, value out, and the other way round. What a server sends may hold anything; here it becomes
printable. Knows nothing of calls.
"""

import json
import math
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from evkit.cli.errors import USAGE, Failure
from evkit.rpc import Ext

BYTES: Final = "$bytes"
EXT: Final = "$ext"
MAP: Final = "$map"
_WIDTH: Final = 100
"""Characters of a line from which on an array or a map takes several."""
_STEP: Final = 2
_MOST_DIGITS: Final = 20
"""Of an integer that MessagePack can hold."""
_MARKS: Final = ("{", "[", '"')
"""What JSON begins with, and hardly any other word."""


# Words of a command line


def read_argument(text: str) -> object:
    """Return the value of a word that is JSON, and the word itself where it is none.

    Raises:
        Failure: It is JSON of more levels, or of larger numbers, than can be sent.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=_read_int, parse_float=_read_float)
    except ValueError:
        return text
    except RecursionError:
        raise Failure(
            "an argument has more arrays and maps in each other than can be sent", status=USAGE
        ) from None


def _refuse(constant: str) -> object:
    """JSON has no ``NaN`` and no ``Infinity``, though Python's takes them."""
    raise ValueError(f"it has no {constant}")


def _read_int(digits: str) -> int:
    number = int(digits) if len(digits) <= _MOST_DIGITS else 1 << 64
    if not -(1 << 63) <= number < 1 << 64:
        raise Failure(
            f"expected integers from -(2**63) to 2**64-1, got one of {len(digits)} digits; "
            "quoted, it is sent as a string",
            status=USAGE,
        )
    return number


def _read_float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise Failure(
            "expected numbers from -1.8e308 to 1.8e308, got one beyond the largest float; "
            "quoted, it is sent as a string",
            status=USAGE,
        )
    return number


def doubt(text: str) -> str | None:
    """Return why a word that `read_argument` has left alone is no JSON; ``None``: it does not look so anyway."""
    if not text.lstrip().startswith(_MARKS):
        return None
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        return str(error)
    return None


# For a reader


def shown(value: object) -> str:
    """Write a value for a reader: a string as it is, and all else much as JSON.

    What JSON does not have is written as Python does: ``b'ab'``, ``Ext(1, b'a')``. No character is left that a
    terminal would obey but the ends of lines, and tabs.
    """
    if isinstance(value, str):
        return _printable(value, "\n\t")
    return _printable(_text(value, 0), "\n")


def _text(value: object, margin: int) -> str:
    inner = margin + _STEP
    if isinstance(value, list):
        return _group("[]", [_text(item, inner) for item in value], margin)
    if isinstance(value, dict):
        pairs = [f"{_text(key, inner)}: {_text(item, inner)}" for key, item in value.items()]
        return _group("{}", pairs, margin)
    if isinstance(value, bytes | Ext):
        return repr(value)
    if isinstance(value, datetime):
        return _time(value)
    return json.dumps(value, ensure_ascii=False)


def _group(brackets: str, parts: list[str], margin: int) -> str:
    """Put an array or a map on one line, if it fits; one with a part that does not fit never does."""
    room = _WIDTH - margin
    if sum(map(len, parts)) + 2 * len(parts) <= room:
        return ", ".join(parts).join(brackets)
    pad = "\n" + " " * (margin + _STEP)
    return f"{brackets[0]}{pad}{f',{pad}'.join(parts)}\n{' ' * margin}{brackets[1]}"


def _time(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _printable(text: str, kept: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1]


# As JSON


def as_json(facts: dict[str, Any]) -> str:
    """Write facts that hold values as an object of JSON, on one line, in ASCII.

    What JSON does not have becomes an object with one name: ``{"$bytes": BASE64}``, ``{"$ext": [CODE, BASE64]}``, and
    ``{"$map": [[KEY, VALUE], ...]}`` for a map whose keys are neither all strings nor all integers. A time is a string
    of RFC 3339, and a float that is no number one of "NaN", "Infinity" and "-Infinity".
    """
    return json.dumps({name: _plain(value) for name, value in facts.items()}, allow_nan=False)


def _plain(value: object) -> object:
    """Return what ``json`` can write."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return _plain_map(value)
    if isinstance(value, bytes):
        return {BYTES: _base64(value)}
    if isinstance(value, Ext):
        return {EXT: [value.code, _base64(value.data)]}
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


def _plain_map(value: dict[Any, object]) -> object:
    if _are_all(str, value) or _are_all(int, value):
        return {key: _plain(item) for key, item in value.items()}
    return {MAP: [[_plain(key), _plain(item)] for key, item in value.items()]}


def _are_all(kind: type, keys: Iterable[object]) -> bool:
    return all(type(key) is kind for key in keys)


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
