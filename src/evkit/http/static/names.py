"""Which names a request's path stands for, and which paths stand for nothing.

A decider over strings: whatever passes here is a list of plain file names, none of which can climb. Whether they exist,
and where symbolic links among them lead, is `evkit.http.static.folder`'s business.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_WELL_KNOWN: Final = b".well-known"
"""The one dot name that is meant for the public. Source: RFC 8615 §3."""
_DOT: Final = ord(".")
_PLAIN: Final = re.compile(r"(?:/[0-9A-Za-z_-][0-9A-Za-z._-]*+)++")
"""A file whose names need no care, as most paths are."""


def split_path(raw: str, *, hidden: bool) -> tuple[list[bytes], bool] | None:
    """Take a path apart into file names, each percent-decoded once.

    Args:
        raw: The path as it came, percent-encoded: ``"/a%20b/c"``. It is cut at ``/`` before it is decoded, so that an
            encoded slash stays inside its name, where no file can have one.
        hidden: Whether names that begin with a dot are served. ``/.well-known`` always is.

    Returns:
        The names, and whether a slash stands at the end, which asks for a folder; None for a path that no file can
        have: an empty segment, ``.`` or ``..`` however encoded, NUL, a hidden name.

    Source: RFC 3986 §3.3; nginx would merge empty segments.
    """
    if _PLAIN.fullmatch(raw) is not None:
        return raw[1:].encode("ascii").split(b"/"), False
    if raw[:1] != "/":
        return None
    segments = raw[1:].split("/")
    is_folder = not segments[-1]
    if is_folder:
        segments.pop()
    names = [unquote_to_bytes(segment) for segment in segments]
    for name in names:
        if not name or b"/" in name or b"\0" in name:
            return None
        if name[0] == _DOT and (name in (b".", b"..") or not (hidden or name == _WELL_KNOWN)):
            return None
    if not hidden and _WELL_KNOWN in names[1:]:
        return None
    return names, is_folder
