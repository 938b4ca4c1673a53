"""The grammar of ``Sec-WebSocket-Extensions``: names with parameters, in a list.

A decider over text; what an extension means is somebody else's business.
"""

import re
from typing import Final, NamedTuple

_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - of RFC 9110 §5.6.2
_PARAMETER: Final = re.compile(rf';[ \t]*+({_TOKEN})(?:[ \t]*+=[ \t]*+(?:({_TOKEN})|"({_TOKEN})"))?[ \t]*+')
_NAME: Final = re.compile(rf"[ \t]*+({_TOKEN})[ \t]*+")
_EMPTY: Final = re.compile(r"[ \t,]*+")
_MAX_LENGTH: Final = 4096
"""Characters of the whole list: nobody has so many extensions, and each is looked at."""


class Extension(NamedTuple):
    """One element of the list."""

    name: str
    parameters: tuple[tuple[str, str | None], ...] = ()
    """Names and values; ``None``: no value. A name may repeat, which no extension means well."""

    def __str__(self) -> str:
        parts = [name if value is None else f"{name}={value}" for name, value in self.parameters]
        return "; ".join([self.name, *parts])


def parse_extensions(text: str) -> list[Extension]:
    """Take a list apart.

    Raises:
        ValueError: It breaks the grammar, or is too long.

    Source: RFC 6455 §9.1; empty elements are skipped, as RFC 9110 §5.6.1 has it.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"expected at most {_MAX_LENGTH} characters of extensions, got {len(text)}")
    found = []
    at = _skip_empty(text, 0)
    while at < len(text):
        extension, at = _parse_one(text, at)
        found.append(extension)
        if at < len(text) and text[at] != ",":
            raise ValueError(f"expected a list of extensions, got {text[at : at + 20]!r} in it")
        at = _skip_empty(text, at)
    return found


def _skip_empty(text: str, at: int) -> int:
    match = _EMPTY.match(text, at)
    return at if match is None else match.end()


def _parse_one(text: str, at: int) -> tuple[Extension, int]:
    name = _NAME.match(text, at)
    if name is None:
        raise ValueError(f"expected the name of an extension, got {text[at : at + 20]!r}")
    at = name.end()
    parameters = []
    while (match := _PARAMETER.match(text, at)) is not None:
        parameters.append((match[1], match[2] or match[3]))
        at = match.end()
    return Extension(name[1], tuple(parameters)), at
