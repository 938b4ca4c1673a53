"""Header fields in the order in which they came, found by name without regard to case.

Decides how a validated block of field lines becomes pairs of strings, and what a look-up by name gives. It never
validates: the parser has done that before; and it knows nothing of what any field means.

Most handlers ask for a field or two. So the lines stay as they came, and a look-up finds the name among them: the
pairs are made for who wants to see all.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

_FIELD: Final = re.compile(r"([^:\r\n]++):([^\r\n]*+)")
_CRLF: Final = b"\r\n"


class Headers:
    """An ordered list of ``(name, value)`` pairs; names keep their spelling and may repeat.

    Source: ``struct evkeyvalq``; RFC 9110 §5.2 and §5.3 (the order of lines of one name is kept).
    """

    __slots__ = ("_lower", "_made", "_raw")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._made: list[tuple[str, str]] | None = list(pairs)
        # What they are made of, for as long as they are not: lines with CRLF before each, and these in lower case.
        self._raw = self._lower = b""

    @classmethod
    def from_raw(cls, raw: bytes) -> "Headers":
        """Build from the bytes of field lines that a parser has validated.

        Args:
            raw: Lines ``name ":" value CRLF``, perhaps with a CRLF before them; the value's surrounding spaces and
                tabs are dropped, no other byte is (``str.strip`` would eat 0x85 and 0xA0). Bytes from 0x80 become the
                characters of ISO-8859-1, so that ``value.encode("latin-1")`` gives them back.

        Cost: A look-up goes over the bytes once, at C's speed. The first one makes a copy in lower case. Iteration,
            ``len`` and ``repr`` make the pairs, once.
        Source: RFC 9112 §5.1 (OWS); RFC 9110 §5.5 (obs-text).
        """
        headers = cls.__new__(cls)
        headers._made = None
        headers._raw = raw if raw[:2] == _CRLF else _CRLF + raw
        headers._lower = b""
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of the first field called ``name`` (any case), or ``default``.

        Source: ``evhttp_find_header``.
        """
        pairs = self._made
        if pairs is None:
            start = _start_of(name)
            at = self._lowered().find(start)
            return default if at < 0 else self._value_at(at + len(start))
        wanted = name.lower()
        for key, value in pairs:
            if key.lower() == wanted:
                return value
        return default

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields called ``name`` (any case), in order; ``[]`` for none."""
        pairs = self._made
        if pairs is not None:
            wanted = name.lower()
            return [value for key, value in pairs if key.lower() == wanted]
        lower, start = self._lowered(), _start_of(name)
        found = []
        at = lower.find(start)
        while at >= 0:
            at += len(start)
            found.append(self._value_at(at))
            at = lower.find(start, at)
        return found

    def mention(self, any_of: re.Pattern[bytes]) -> bool:
        """Return whether one of several fields is there; one look for all of them.

        Args:
            any_of: What `finder` has made of their names.
        """
        pairs = self._made
        if pairs is None:
            return any_of.search(self._lowered()) is not None
        return any(any_of.match(_start_of(name)) for name, _ in pairs)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs())

    def __len__(self) -> int:
        return len(self._pairs())

    def __repr__(self) -> str:
        return f"Headers({self._pairs()!r})"

    def _lowered(self) -> bytes:
        lower = self._lower
        if not lower:
            lower = self._lower = self._raw.lower()
        return lower

    def _value_at(self, at: int) -> str:
        """Return the value that begins at ``at``, behind the colon."""
        raw = self._raw
        return raw[at : raw.find(b"\r", at)].strip(b" \t").decode("latin-1")

    def _pairs(self) -> list[tuple[str, str]]:
        pairs = self._made
        if pairs is None:
            text = self._raw.decode("latin-1")
            pairs = self._made = [(name, value.strip(" \t")) for name, value in _FIELD.findall(text)]
        return pairs


def _start_of(name: str) -> bytes:
    """Return what a line of that name begins with; for what can be no name, what no line begins with."""
    return b"\n%b:" % (b"" if ":" in name else name.lower().encode("ascii", "replace"))


def finder(names: Iterable[str]) -> re.Pattern[bytes]:
    """Return what `Headers.mention` finds any of these fields by."""
    return re.compile(rb"\n(?:%b):" % b"|".join(re.escape(name.lower().encode("ascii")) for name in names))
