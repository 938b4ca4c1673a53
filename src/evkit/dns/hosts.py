"""`Hosts`: what a hosts file says of names and addresses.

A decider over the file's bytes: whatever they are, what can be read is read, and the rest is passed over. A file of
200,000 lines, such as those that block advertisers, is taken in at some 0.5 us a line: addresses are looked at when
they are asked for. Knows nothing of where the bytes are from, nor of names that are special whatever a file says.
"""

import re
import socket
from collections.abc import Sequence
from typing import Final

from evkit.dns.ip_text import usual_form
from evkit.dns.names import labels, to_wire

MAX_LINES: Final = 1000
"""So many lines of one name, or of one address, are looked at. As many as an answer of the DNS may have records."""

_CONTROLS: Final = bytes(byte for byte in (*range(0x20), 0x7F) if byte not in b"\t\n\v\f\r")
_ENDING_THE_LINE: Final = bytes.maketrans(_CONTROLS, b"#" * len(_CONTROLS))
"""A NUL and its kin end a line, as NUL does in C; so no name that is handed out has any."""
_COMMENT: Final = re.compile(rb"#[^\n]*")


class Hosts:
    """The names and addresses of hosts files.

    ``len()`` is the number of names, right or wrong. Never changed: see `followed_by`.

    Source: hosts(5); ``evdns_base_load_hosts``.
    """

    __slots__ = ("_by_address", "_first", "_lines", "_more")

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines  # without comments
        self._first: dict[bytes, bytes] = {}
        self._more: dict[bytes, list[bytes]] = {}
        self._by_address: dict[str, list[bytes]] | None = None  # made when somebody asks for names first
        self._index()

    def _index(self) -> None:
        set_first = self._first.setdefault
        for line in self._lines:
            for name in line.lower().split()[1:]:
                if set_first(name, line) is not line:
                    self._add_line(name, line)

    def _add_line(self, name: bytes, line: bytes) -> None:
        lines = self._more.setdefault(name, [])
        if len(lines) < MAX_LINES - 1:
            lines.append(line)

    def __len__(self) -> int:
        return len(self._first)

    def __repr__(self) -> str:
        return f"<Hosts names={len(self)}>"

    def addresses(self, name: bytes | str, family: int = socket.AF_UNSPEC) -> list[str]:
        """Return the addresses of a name in the order of the file, each once.

        Args:
            name: A wire name, or text; letters in any case.
            family: ``AF_INET`` or ``AF_INET6`` for those alone.

        Raises:
            ValueError: The text is no name.
        """
        found: dict[str, None] = {}
        for line in self._lines_of(name):
            address = _address_of(line)
            if address and (family == socket.AF_UNSPEC or (family == socket.AF_INET6) == (":" in address)):
                found[address] = None
        return list(found)

    def canonical_name(self, name: bytes | str) -> str | None:
        """Return the first name of the first line with ``name``; ``None`` if there is no such line.

        Raises:
            ValueError: The text is no name.
        """
        for line in self._lines_of(name):
            names = _names_of(line)
            if names and _address_of(line):
                return names[0]
        return None

    def _lines_of(self, name: bytes | str) -> Sequence[bytes]:
        wire = to_wire(name) if isinstance(name, str) else name
        parts = labels(wire)
        key = b".".join(parts).lower()
        first = self._first.get(key)
        if first is None or key.count(b".") >= len(parts):  # a dot inside a label is none of a hosts file
            return ()
        return (first, *self._more.get(key, ()))

    def names(self, address: str) -> list[str]:
        """Return the names of an address, the canonical one of its first line first, each once.

        Args:
            address: In any form. What is no address has no names.
        """
        if self._by_address is None:
            self._by_address = self._index_addresses()
        lines = self._by_address.get(usual_form(address) or "", ())
        return list(dict.fromkeys(name for line in lines for name in _names_of(line)))

    def _index_addresses(self) -> dict[str, list[bytes]]:
        forms: dict[bytes, str | None] = {}  # the same few again and again, in the largest files
        found: dict[str, list[bytes]] = {}
        for line in self._lines:
            words = line.split(None, 1)
            if len(words) < 2:
                continue
            if words[0] not in forms:
                forms[words[0]] = usual_form(words[0].decode("latin-1"))
            lines = found.setdefault(forms[words[0]] or "", [])
            if len(lines) < MAX_LINES:
                lines.append(line)
        found.pop("", None)
        return found

    def followed_by(self, other: "Hosts") -> "Hosts":
        """Return these with those of ``other`` after them. Source: ``evdns_base_load_hosts``, which appends."""
        return Hosts(self._lines + other._lines) if len(other) else self


def parse(data: bytes) -> Hosts:
    """Read a hosts file. It never fails: a line that is not an address and names after it says nothing."""
    return Hosts(_COMMENT.sub(b"", data.translate(_ENDING_THE_LINE)).split(b"\n"))


def _address_of(line: bytes) -> str | None:
    """Return the address of a line that has words, in its usual form; None if it begins with something else."""
    return usual_form(line.split(None, 1)[0].decode("latin-1"))


def _names_of(line: bytes) -> list[str]:
    return [word.decode("ascii") for word in line.split()[1:] if word.isascii()]


EMPTY: Final = parse(b"")
