"""Reads the language of ``.rpc`` files, and makes a class of messages of each struct.

    struct kill {
        string weapon = 0x10121;
        string action = 2;
        optional int how_often = 3;
    }

The language is that of event_rpcgen.py: ``[optional | array] TYPE NAME = TAG;`` with the types ``int``, ``int64``,
``string``, ``bytes``, ``bytes NAME[SIZE]`` (``bytes[SIZE] NAME`` too) and ``struct[OTHER]``; comments of C and C++;
lines of the preprocessor, which are skipped. A struct may name another one that comes later.

Decided here: what is good text, and what a field is called in Python. What messages do is `Message`'s business. This
module opens no file.
"""

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, Final

from evkit.errors import EvkitError
from evkit.extra.tagged_message import Message, array, field, optional

_TOKEN: Final = re.compile(
    r"^[ \t]*#(?:[^\n\\]|\\.)*|\n|[^\S\n]+|//[^\n]*|/\*.*?\*/|(?P<word>\w+|[][{}=;])",
    re.DOTALL | re.MULTILINE | re.ASCII,
)
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]+|0|[1-9][0-9]*")
"""Not 010, which is 8 in C and for event_rpcgen.py, and 10 for most who read it."""
_TYPES: Final = {"int": "int", "int64": "int", "string": "str", "bytes": "bytes"}
_STRUCT: Final = "struct_"
"""Before the name of a struct where an annotation names it, as a struct may be called ``str``."""
_DECLARE: Final = {"": field, "optional": optional, "array": array}
_ANNOTATION: Final = {"": "{}", "optional": "{} | None", "array": "list[{}]"}


class RPCLanguageError(EvkitError, ValueError):
    """The text is not in the language.

    Attributes:
        reason: What was expected, and what came.
        line: Where; the first line is 1.
    """

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason, line)
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A field as it is written."""

    times: str
    type: str
    name: str
    tag: int
    size: int | None
    line: int

    @property
    def attribute(self) -> str:
        """Its name in Python, which has words of its own."""
        return self.name + "_" if iskeyword(self.name) or hasattr(Message, self.name) else self.name

    @property
    def annotation(self) -> str:
        return _ANNOTATION[self.times].format(_TYPES.get(self.type, _STRUCT + self.type))

    def declare(self) -> Any:
        return _DECLARE[self.times](self.tag, bits=64 if self.type == "int64" else None, size=self.size)


def parse_rpc(text: str) -> dict[str, type[Message]]:
    """Make a class of messages of each struct.

    A field that is called as a keyword of Python, or as a method of `Message`, gets a ``_`` after its name.

    Args:
        text: What is in a ``.rpc`` file.

    Returns:
        The classes by the names of the structs, in their order.

    Raises:
        RPCLanguageError: It is not in the language; two structs have one name, or two fields of one; two fields have
            one tag; a struct is named that there is none of; or ``bytes`` are to be an array, which they can't be in C.

    Source: ``event_rpcgen.py``.
    """
    structs = _Parser(text).structs()
    _check_references(structs)
    names: dict[str, type] = {}
    made = {name: _make(name, entries, names) for name, entries in structs.items()}
    names |= {_STRUCT + name: each for name, each in made.items()}
    for each in made.values():
        each.layout()
    return made


def _check_references(structs: dict[str, list[_Entry]]) -> None:
    for entries in structs.values():
        for entry in entries:
            if entry.type not in _TYPES and entry.type not in structs:
                raise RPCLanguageError(f"there is no struct {entry.type}", entry.line)


def _make(name: str, entries: list[_Entry], names: dict[str, type]) -> type[Message]:
    def fill(namespace: dict[str, Any]) -> None:
        namespace["__module__"] = __name__
        namespace["__annotations__"] = {entry.attribute: entry.annotation for entry in entries}
        namespace.update({entry.attribute: entry.declare() for entry in entries})

    return types.new_class(name, (Message,), {"names": names}, fill)


class _Parser:
    """Goes through the words and signs of a text once."""

    __slots__ = ("_line", "_next", "_tokens", "_word")

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._line = 1
        self._word, self._next = next(self._tokens)

    def structs(self) -> dict[str, list[_Entry]]:
        found: dict[str, list[_Entry]] = {}
        while self._word:
            self._take("struct")
            name = self._struct_name()
            if name in found:
                raise self._error(f"there is a struct {name} already")
            self._take("{")
            found[name] = self._entries()
        return found

    def _entries(self) -> list[_Entry]:
        entries: list[_Entry] = []
        while self._word != "}":
            entry = self._entry()
            for other in entries:
                if other.attribute == entry.attribute:
                    raise self._error(f"there is a field {entry.name} already")
                if other.tag == entry.tag:
                    raise self._error(f"tag {entry.tag} is {other.name}'s")
            entries.append(entry)
        self._take("}")
        return entries

    def _entry(self) -> _Entry:
        times = self._step() if self._word in ("optional", "array") else ""
        kind = self._type()
        size = self._size(kind)
        name = self._name("the name of a field")
        size = self._size(kind) if size is None else size
        self._take("=")
        tag = self._number("a tag", 2**32 - 1)
        line = self._line
        self._take(";")
        if times == "array" and kind == "bytes":
            raise self._error("bytes cannot be an array")
        return _Entry(times, kind, name, tag, size, line)

    def _type(self) -> str:
        kind = self._name("a type")
        if kind == "struct":
            self._take("[")
            kind = self._struct_name()
            self._take("]")
        elif kind not in _TYPES:
            raise self._error(f"expected int, int64, string, bytes or struct[NAME], got {kind}")
        return kind

    def _size(self, kind: str) -> int | None:
        if kind != "bytes" or self._word != "[":
            return None
        self._take("[")
        size = self._number("a size", 2**32 - 1)
        self._take("]")
        return size

    def _struct_name(self) -> str:
        name = self._name("the name of a struct")
        if name in _TYPES:
            raise self._error(f"a struct cannot be called {name}")
        return name

    def _name(self, what: str) -> str:
        if not _NAME.fullmatch(self._word):
            raise self._unexpected(what)
        return self._step()

    def _number(self, what: str, most: int) -> int:
        if not _NUMBER.fullmatch(self._word):
            raise self._unexpected(what)
        number = int(self._word, 16 if self._word[:2] in ("0x", "0X") else 10)
        if number > most:
            raise self._error(f"expected {what} of at most {most}, got {number}")
        self._step()
        return number

    def _take(self, token: str) -> None:
        if self._word != token:
            raise self._unexpected(f'"{token}"')
        self._step()

    def _step(self) -> str:
        taken = self._word
        self._line = self._next
        self._word, self._next = next(self._tokens)
        return taken

    def _unexpected(self, what: str) -> RPCLanguageError:
        got = f'"{self._word}"' if self._word else "the end"
        return RPCLanguageError(f"expected {what}, got {got}", self._next)

    def _error(self, reason: str) -> RPCLanguageError:
        return RPCLanguageError(reason, self._line)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield each word and sign and its line, and in the end nothing."""
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise RPCLanguageError(f"expected a word or a sign, got {text[at]!r}", line)
        at = match.end()
        if match["word"]:
            yield match[0], line
        line += match[0].count("\n")
    yield "", line
