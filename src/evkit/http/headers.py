"""Header fields in the order in which they came, found by name without regard to case.

Decides how a validated block of field lines becomes pairs of strings, and what a look-up by name gives. It never
validates: the parser has done that before; and it knows nothing of what any field means.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

_FIELD: Final = re.compile(r"([^:\r\n]++):([^\r\n]*+)")


class Headers:
    """An ordered list of ``(name, value)`` pairs; names keep their spelling and may repeat.

    Source: ``struct evkeyvalq``; RFC 9110 §5.2 and §5.3 (the order of lines of one name is kept).
    """

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)

    @classmethod
    def from_raw(cls, raw: bytes) -> "Headers":
        """Build from the bytes of field lines that a parser has validated.

        Args:
            raw: Lines ``name ":" value CRLF``; the value's surrounding spaces and tabs are dropped, no other
                byte is (``str.strip`` would eat 0x85 and 0xA0). Bytes from 0x80 become the characters of
                ISO-8859-1, so that ``value.encode("latin-1")`` gives them back.

        Source: RFC 9112 §5.1 (OWS); RFC 9110 §5.5 (obs-text).
        """
        return cls((name, value.strip(" \t")) for name, value in _FIELD.findall(raw.decode("latin-1")))

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of the first field called ``name`` (any case), or ``default``.

        Source: ``evhttp_find_header``.
        """
        wanted = name.lower()
        for key, value in self._pairs:
            if key.lower() == wanted:
                return value
        return default

    def get_all(self, name: str) -> list[str]:
        """Return the values of all fields called ``name`` (any case), in order; ``[]`` for none."""
        wanted = name.lower()
        return [value for key, value in self._pairs if key.lower() == wanted]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"Headers({self._pairs!r})"
