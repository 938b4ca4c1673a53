"""The page that shows what is in a folder.

`render` is a decider: entries in, bytes out. `read_entries` reads them, and not more than it may. Neither knows of
HTTP.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable
from html import escape
from itertools import islice
from typing import Final
from urllib.parse import quote

MAX_ENTRIES: Final = 2000
"""Reading and writing as many takes some 15 ms, in which the loop does nothing else; no one scrolls further."""

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_STYLE: Final = (
    ":root{color-scheme:light dark;--line:#8884;--dim:#666}"
    "@media(prefers-color-scheme:dark){:root{--dim:#aaa}}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.25rem;overflow-wrap:anywhere}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.4rem .5rem;border-bottom:1px solid var(--line)}"
    "td:first-child{overflow-wrap:anywhere}"
    ".n{text-align:right;white-space:nowrap;color:var(--dim);font-variant-numeric:tabular-nums}"
    "a{text-decoration:none}a:hover{text-decoration:underline}"
    "@media(max-width:34rem){.t{display:none}}"
)


class Entry:
    """A line of the listing.

    Attributes:
        name: The file name.
        is_folder: Whether it is a folder.
        size: In bytes; not shown for folders.
        modified: Seconds since the epoch.
    """

    __slots__ = ("is_folder", "modified", "name", "size")

    def __init__(self, name: bytes, *, is_folder: bool, size: int, modified: float) -> None:
        self.name = name
        self.is_folder = is_folder
        self.size = size
        self.modified = modified

    def __repr__(self) -> str:
        return f"<Entry {self.name!r} {'folder' if self.is_folder else f'{self.size} bytes'}>"


def read_entries(
    fd: int, stat_link: Callable[[bytes], os.stat_result | None], *, hidden: bool, limit: int = MAX_ENTRIES
) -> tuple[list[Entry], bool]:
    """Read a folder.

    Args:
        fd: The folder; it stays open.
        stat_link: Gives the status of what a link, by its name in the folder, leads to; None: it is not served.
        hidden: Whether to take names that begin with a dot.
        limit: Names to read at most, hidden ones among them.

    Returns:
        Folders and regular files in no order, and whether there are more names than were read.

    Raises:
        OSError: The folder can't be read.
    """
    entries: list[Entry] = []
    with os.scandir(fd) as found:
        for item in islice(found, limit):
            name = os.fsencode(item.name)
            if hidden or name[:1] != b".":
                entry = _make_entry(name, item, stat_link)
                if entry is not None:
                    entries.append(entry)
        more = next(found, None) is not None
    return entries, more


def _make_entry(
    name: bytes, item: os.DirEntry[str], stat_link: Callable[[bytes], os.stat_result | None]
) -> Entry | None:
    try:
        info = stat_link(name) if item.is_symlink() else item.stat(follow_symlinks=False)
    except OSError:
        return None  # it went away meanwhile
    if info is None or not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
        return None
    return Entry(name, is_folder=stat.S_ISDIR(info.st_mode), size=info.st_size, modified=info.st_mtime)


def render(title: str, entries: Iterable[Entry], *, parent: bool, more: bool) -> bytes:
    """Write the page, in UTF-8.

    Args:
        title: The folder's path, decoded, for people to read.
        entries: In any order; folders come first, then names in the order of their bytes without regard to case.
        parent: Whether to link to the folder above.
        more: Whether to say that the listing is cut.
    """
    rows = (
        ['<tr><td><a href="../">../</a></td><td class="n"></td><td class="n t"></td></tr>\n']
        if parent
        else []
    )
    rows += [_row(entry) for entry in sorted(entries, key=_order)]
    heading = escape(_printable(title))
    note = f"<p>There are more entries than the {len(rows) - parent} shown.</p>\n" if more else ""
    page = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n{note}"
        f'<table>\n<thead><tr><th>Name</th><th class="n">Size</th><th class="n t">Modified (UTC)</th></tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody>\n</table>\n</body>\n</html>\n"
    )
    return page.encode()


def _order(entry: Entry) -> tuple[bool, bytes, bytes]:
    return not entry.is_folder, entry.name.lower(), entry.name


def _row(entry: Entry) -> str:
    slash = "/" if entry.is_folder else ""
    label = escape(_printable(os.fsdecode(entry.name)))
    size = "" if entry.is_folder else format_size(entry.size)
    # Every special character of the name is encoded, so that it can't be taken for a scheme, a query or a host.
    return (
        f'<tr><td><a href="{quote(entry.name, safe="")}{slash}">{label}{slash}</a></td>'
        f'<td class="n">{size}</td><td class="n t">{_format_time(entry.modified)}</td></tr>\n'
    )


def _printable(text: str) -> str:
    """Replace what can't be shown: bytes that are not UTF-8, control characters, and those that turn the writing."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def format_size(size: int) -> str:
    """Write a number of bytes for people: ``"12.3 KiB"``."""
    if size < 1024:
        return f"{size} B"
    value, unit = float(size), 0
    while value >= 1023.95 and unit < len(_UNITS) - 1:  # 1023.95 would be written as 1024.0
        value /= 1024
        unit += 1
    return f"{value:.1f} {_UNITS[unit]}"


def _format_time(seconds: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return ""  # a time that no calendar knows
