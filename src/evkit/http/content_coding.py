"""Content codings: which of them a client accepts, which replies are worth one, and what a coded reply says.

A decider over field values: it knows nothing of how bytes are coded, of files, or of connections.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from evkit.http.fields import LINES, check_pair
from evkit.http.parser.grammar import TCHAR

Pair = tuple[str, str]

VARY: Final = ("Vary", "Accept-Encoding")
TYPES: Final = (
    "text/*",
    "*+json",
    "*+xml",
    "application/javascript",
    "application/json",
    "application/toml",
    "application/wasm",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
)
"""Media types that become a good deal shorter; ``*+xml`` has ``image/svg+xml``."""

_WEIGHT: Final = r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?"
_CODING: Final = rf"({TCHAR.decode('ascii')}++)(?:[ \t]*+;[ \t]*+[qQ]=({_WEIGHT}))?+"
_ONE_CODING: Final = re.compile(_CODING)
_CODINGS: Final = re.compile(rf"[ \t,]*+(?:{_CODING}(?:[ \t]*+,[ \t,]*+{_CODING})*+)?+[ \t,]*+")
_NAME: Final = r"[!#$&^_.+\-0-9a-z]++"  # RFC 6838 §4.2
_PATTERN: Final = re.compile(rf"{_NAME}/(?:{_NAME}|\*)|\*\+{_NAME}")

_WITH_CONTENT: Final = frozenset({200, 201, 202, 203, 206})
"""Statuses whose content may be worth a coding: 204 and 205 have none, 226 has one of its own."""
_FIXED: Final = frozenset(
    {"content-digest", "content-encoding", "content-md5", "digest", "repr-digest", "transfer-encoding"}
)
"""Fields that a coding would make wrong, or that come with one. (``Transfer-Encoding`` is refused further on.)"""


def acceptable(values: Sequence[str], offered: Sequence[str]) -> list[str]:
    """Return the codings that a client likes at least as much as bytes without one.

    Args:
        values: Of its ``Accept-Encoding`` fields. None at all, or a malformed list, asks for no coding.
        offered: Codings that there are, in lower case, the one to be preferred first.

    Returns:
        Some of ``offered``, the most welcome first. Where the list does not say how welcome ``identity`` is, it is the
        least.

    Source: RFC 9110 §12.5.3; §8.4.1.3 for ``x-gzip``.
    """
    weights = _weights(", ".join(values))
    others = weights.get("*", 0.0)
    least = weights.get("identity", others)
    found = [(weights.get(coding, weights.get(f"x-{coding}", others)), coding) for coding in offered]
    welcome = [pair for pair in found if pair[0] and pair[0] >= least]
    return [coding for _, coding in sorted(welcome, key=_by_weight)]


def _by_weight(pair: tuple[float, str]) -> float:
    return -pair[0]


def _weights(value: str) -> dict[str, float]:
    """Return how welcome each coding is; of two opinions on one, the lower."""
    weights: dict[str, float] = {}
    if _CODINGS.fullmatch(value) is not None:
        for name, weight in _ONE_CODING.findall(value):
            coding = name.lower()
            weights[coding] = min(float(weight or 1), weights.get(coding, 1.0))
    return weights


class MediaTypes:
    """A set of media types.

    Args:
        patterns: ``"type/subtype"``, ``"type/*"``, ``"*+suffix"``; upper or lower case is the same.

    Raises:
        TypeError: It is one ``str``, where several were meant.
        ValueError: A pattern is none of these.
    """

    __slots__ = ("_patterns",)

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise TypeError(f"expected several media types, as ({patterns!r},), got {patterns!r}")
        self._patterns = frozenset(pattern.lower() for pattern in patterns)
        for pattern in self._patterns:
            if _PATTERN.fullmatch(pattern) is None:
                raise ValueError(
                    f'expected a media type as "text/html", "text/*" or "*+xml", got {pattern!r}'
                )

    def __contains__(self, content_type: str) -> bool:
        """Return whether a ``Content-Type``, whatever its parameters, is in the set."""
        kind = content_type.partition(";")[0].strip(" \t").lower()
        main, _, sub = kind.partition("/")
        _, plus, suffix = sub.rpartition("+")
        return bool(sub) and not self._patterns.isdisjoint((kind, f"{main}/*", f"*{plus}{suffix}"))


def said(fields: Sequence[Pair]) -> dict[str, str]:
    """Return fields by name in lower case, the values of repeated ones joined by a comma.

    Raises:
        LocalProtocolError: One is no valid field.
        TypeError: One is no pair of ``str``.
    """
    found: dict[str, str] = {}
    for pair in fields:
        check_pair(pair)
        LINES[pair]  # what is no field is refused here as where it would be sent
        name, value = pair[0].lower(), pair[1]
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def codable(method: str, status: int, fields: Mapping[str, str], types: MediaTypes) -> bool:
    """Return whether a reply to some client might be coded, if it is long enough and whole.

    Args:
        method: Of the request.
        status: Of the reply.
        fields: Of the reply, as `said`.
        types: Worth a coding.
    """
    if status not in _WITH_CONTENT or method == "CONNECT" or not _FIXED.isdisjoint(fields):
        return False
    directives = fields.get("cache-control", "").lower().split(",")
    if any(directive.strip(" \t") == "no-transform" for directive in directives):
        return False  # RFC 9111 §5.2.2.6
    return fields.get("content-type", "") in types


def whole(status: int, fields: Mapping[str, str]) -> bool:
    """Return whether a reply is not a stretch of something: that would have to be cut from the coded bytes."""
    return status != 206 and "content-range" not in fields


def varying(fields: Sequence[Pair]) -> list[Pair]:
    """Return fields with a ``Vary`` that names ``Accept-Encoding``. Source: RFC 9110 §12.5.5."""
    for name, value in fields:
        if name.lower() == "vary":
            named = [part.strip(" \t") for part in value.lower().split(",")]
            if "*" in named or "accept-encoding" in named:
                return list(fields)
    return [*fields, VARY]


def coded(fields: Sequence[Pair], coding: str) -> list[Pair]:
    """Return the fields of the same reply when it is coded on its way out.

    Its length is another, ranges of it can't be asked for, and its bytes may differ from one time to the next, which is
    what a weak entity tag says. Source: RFC 9110 §8.8.1, §8.8.3.3.
    """
    kept: list[Pair] = []
    for name, value in fields:
        key = name.lower()
        if key == "etag":
            value = weak(value)
        if key not in ("accept-ranges", "content-length"):
            kept.append((name, value))
    return varying([*kept, ("Content-Encoding", coding)])


def weak(tag: str) -> str:
    """Return an entity tag as a weak one."""
    return f"W/{tag}" if tag.startswith('"') else tag


def revalidated(fields: Sequence[Pair], known: Sequence[str]) -> list[Pair]:
    """Return the fields of a 304 whose client may hold a coded reply: the tag is the one that the client has.

    Args:
        fields: Of the 304, with the tag of the bytes as they are.
        known: Values of ``If-None-Match``.

    Source: RFC 9110 §15.4.5; RFC 9111 §4.3.4, by which a strong tag that the client does not know would update nothing.
    """
    held = ", ".join(known)
    return varying(
        [
            (name, weak(value)) if name.lower() == "etag" and weak(value) in held else (name, value)
            for name, value in fields
        ]
    )
