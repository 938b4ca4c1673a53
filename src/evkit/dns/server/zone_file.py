"""Zone files: text to records. What the records say together is `Zone`'s business.

A decider over text. ``$INCLUDE`` and ``$GENERATE`` are refused: it opens no file, and makes no record that nobody has
written.

Source: RFC 1035 §5, RFC 2308 §4 for ``$TTL``; TTLs such as ``1h30m`` are BIND's.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from evkit.dns.names import to_text, to_wire
from evkit.dns.rdata import to_rdata_wire
from evkit.dns.server.reply_builder import Entry
from evkit.dns.types import IN, class_number, type_number

_TOKEN: Final = re.compile(
    r"""(?P<end>\n)
    | (?P<blank>[ \t\r\f]+ | ;[^\n]*)
    | (?P<bracket>[()])
    | (?P<word>"(?:[^"\\\n]|\\.)*" | (?:[^\s;()"\\]|\\.)+)""",
    re.VERBOSE,
)
_TTL: Final = re.compile(r"\d+|(?:\d+[wdhms])+", re.ASCII | re.IGNORECASE)
_SPAN: Final = re.compile(r"(\d+)([wdhms]?)", re.ASCII)
_SECONDS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "": 1}
_DIGITS: Final = 20
"""Of a number that is read at all: Python takes quadratic time for long ones."""


class _Line(NamedTuple):
    """A line, or several that brackets have joined."""

    number: int
    indented: bool
    words: list[str]


class _State:
    """What a line takes over from those before it."""

    __slots__ = ("default_ttl", "last_ttl", "origin", "owner")

    def __init__(self, origin: str) -> None:
        self.origin = origin  # with its final dot; empty: there is none yet
        self.owner = ""
        self.default_ttl: int | None = None
        self.last_ttl: int | None = None

    def absolute(self, name: str) -> str:
        if name == "@":
            name = ""
        elif name.endswith(".") and not _ends_escaped(name):
            return name
        if not self.origin:
            raise ValueError(
                f"expected a name with a dot at its end, as there is no origin, got {name or '@'!r}"
            )
        if not name or self.origin == ".":
            return f"{name}." if name else self.origin
        return f"{name}.{self.origin}"


def _with_dot(name: str) -> str:
    return name if name == "." else f"{name}."


def _ends_escaped(name: str) -> bool:
    body = name[:-1]
    return (len(body) - len(body.rstrip("\\"))) % 2 == 1


def read_zone_file(text: str, origin: str | None = None) -> list[Entry]:
    """Read the records of a zone file, in order.

    Args:
        text: The file.
        origin: What relative names are relative to, until ``$ORIGIN`` says something else; ``None``: the file begins
            with that.

    Raises:
        ValueError: A line can't be read; it says which, and what was expected. Or ``origin`` is no name.
    """
    state = _State("" if origin is None else _with_dot(to_text(to_wire(origin))))
    entries = []
    for line in _lines(text):
        try:
            entry = _read_line(line, state)
        except ValueError as error:
            raise ValueError(f"line {line.number}: {error}") from error
        if entry is not None:
            entries.append(entry)
    return entries


def _lines(text: str) -> Iterator[_Line]:
    at, number, depth = 0, 1, 0
    line = _Line(1, text[:1] in (" ", "\t"), [])
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(
                f"line {number}: expected a word or a string with its end, got {text[at : at + 40]!r}"
            )
        at = match.end()
        if match["word"] is not None:
            line.words.append(match["word"])
        elif match["bracket"] is not None:
            depth += 1 if match["bracket"] == "(" else -1
            if depth < 0:
                raise ValueError(f"line {number}: expected a bracket to be opened before it is closed")
        elif match["end"] is not None:
            number += 1
            if not depth:
                yield line
                line = _Line(number, text[at : at + 1] in (" ", "\t"), [])
    if depth:
        raise ValueError(f"line {line.number}: expected the bracket to be closed")
    yield line


def _read_line(line: _Line, state: _State) -> Entry | None:
    words = line.words
    if not words:
        return None
    if words[0].startswith("$") and not line.indented:
        _obey(words, state)
        return None
    if not state.origin:
        raise ValueError("expected $ORIGIN before the first record, or an origin to begin with")
    if not line.indented:
        state.owner = state.absolute(words.pop(0))
    if not state.owner:
        raise ValueError("expected the owner of the first record")
    return _read_record(words, state)


def _obey(words: list[str], state: _State) -> None:
    directive, arguments = words[0].upper(), words[1:]
    if directive not in ("$ORIGIN", "$TTL"):
        raise ValueError(f"expected $ORIGIN or $TTL, got {words[0]}")
    if len(arguments) != 1:
        raise ValueError(f"expected one word after {directive}, got {len(arguments)}")
    if directive == "$TTL":
        state.default_ttl = read_ttl(arguments[0])
    else:
        state.origin = state.absolute(arguments[0])
        to_wire(state.origin)


def _read_record(words: list[str], state: _State) -> Entry:
    ttl: int | None = None
    rdclass: int | None = None
    while words:
        if ttl is None and _TTL.fullmatch(words[0]):
            ttl = read_ttl(words.pop(0))
        elif rdclass is None and words[0].upper() in ("IN", "CH", "HS"):
            rdclass = class_number(words.pop(0))
        else:
            break
    if not words:
        raise ValueError("expected the type of a record")
    if rdclass not in (None, IN):
        raise ValueError("expected the class IN")
    if ttl is None:
        ttl = state.last_ttl if state.default_ttl is None else state.default_ttl
    if ttl is None:
        raise ValueError("expected a TTL, as there was none before and no $TTL")
    state.last_ttl = ttl
    rdtype = type_number(words[0])
    rdata = to_rdata_wire(rdtype, " ".join(words[1:]), origin=to_wire(state.origin))
    return Entry(to_wire(state.owner), rdtype, IN, ttl, rdata)


def read_ttl(word: str) -> int:
    """Read a time in seconds, ``3600`` or ``1h``.

    Raises:
        ValueError: It is none, or more than 2**31 - 1 seconds.
    """
    if _TTL.fullmatch(word) and len(word) <= _DIGITS:
        seconds = sum(int(count) * _SECONDS[unit] for count, unit in _SPAN.findall(word.lower()))
        if seconds < 2**31:
            return seconds
    raise ValueError(f"expected a time as 3600 or 1h, of less than 2**31 seconds, got {word[:40]!r}")
