"""The fields and the first line of a reply, as bytes that can carry nothing else.

A decider: whatever a handler passes in as a name or a value comes out as exactly one line of a header section, or as an
error. Which fields a reply needs is decided in `evkit.http.server.reply`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from evkit.errors import LocalProtocolError

# RFC 9110 §5.6.2 and §5.5: a token, a colon, and a value without control characters but HTAB.
_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++: ?[\t\x20-\x7e\x80-\xff]*+\r\n")
_OURS: Final = frozenset({"connection", "content-length", "date", "transfer-encoding"})
"""Fields that the framing of a reply depends on, or that evkit would set by itself."""
_SECRET: Final = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
"""Fields whose values have no place in an error, which may be logged."""
_CACHED: Final = 512
"""Lines to keep encoded: servers say the same few things over and over. Bounded, as values may come from a peer."""

_RENAMED: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Those of RFC 9110, which Python has from 3.13 on."""

Fields = Iterable[tuple[str, str]] | Mapping[str, str]


def encode_line(name: str, value: str) -> bytes:
    """Return ``name: value`` with its line end.

    Raises:
        LocalProtocolError: The name is no token, or the value has a control character or one beyond ISO-8859-1.
            Nothing can be smuggled into a reply this way.
        TypeError: One of the two is no ``str``.

    Source: RFC 9110 §5.5, §5.6.2.
    """
    if type(name) is not str or type(value) is not str:
        raise TypeError(f"a header field is a pair of str, got {_shown(name, value)}")
    try:
        line = f"{name}: {value}\r\n".encode("latin-1")
    except UnicodeEncodeError:
        line = b""
    if _LINE.fullmatch(line) is None or ":" in name:
        raise LocalProtocolError(
            f"expected a header field of a token and a value without control characters, got {_shown(name, value)}"
        )
    return line


def _shown(name: object, value: object) -> str:
    """Show a field in an error, without its value where that is a secret."""
    came = "a value that is not shown" if _is_secret(name) else f"{value!r:.60}"
    return f"({name!r:.60}, {came})"


def _is_secret(name: object) -> bool:
    text = name.decode("latin-1") if isinstance(name, bytes) else name
    return isinstance(text, str) and text.lower() in _SECRET


def check_pair(pair: object) -> None:
    """Refuse what is no pair.

    Raises:
        TypeError: It is not a tuple of two.
    """
    if not isinstance(pair, tuple) or len(pair) != 2:
        secret = isinstance(pair, list | tuple) and any(map(_is_secret, pair))
        came = "one that is not shown" if secret else f"{pair!r:.60}"
        raise TypeError(f"headers are pairs (name, value) of str, got {came} among them")


class LineCache(dict[tuple[str, str], bytes | None]):
    """Pairs to their encoded lines; ``None`` for the fields in `_OURS`, which need a closer look."""

    def __missing__(self, pair: tuple[str, str]) -> bytes | None:
        check_pair(pair)
        name, value = pair
        line = encode_line(name, value)
        if name.lower() in _OURS:
            return None
        if len(self) >= _CACHED:
            self.clear()
        self[pair] = line
        return line


LINES: Final = LineCache()


class StatusLines(dict[int, bytes]):
    """Status codes to the first line of a reply."""

    def __missing__(self, status: int) -> bytes:
        if not 100 <= status <= 999:
            raise ValueError(f"expected a status code of three digits, got {status}")
        line = self[status] = b"HTTP/1.1 %d %s\r\n" % (status, reason(status).encode("ascii"))
        return line


def as_pairs(fields: Fields) -> Sequence[tuple[str, str]]:
    """Return fields as pairs that can be read twice."""
    if isinstance(fields, list | tuple):
        return fields
    return list(fields.items() if isinstance(fields, Mapping) else fields)


STATUS_LINES: Final = StatusLines()


def reason(status: int) -> str:
    """Return the reason phrase of a status code: ``"Not Found"``; ``"Unknown"`` for one without a name."""
    try:
        return _RENAMED.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
