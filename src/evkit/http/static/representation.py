"""What is told about a file beside its bytes: its validators and the fields that go with each answer.

A decider over the numbers of an ``fstat``; it opens nothing. Of one file there may be several representations, of which
a client gets the one that it accepts: the file itself, and others with the same content in some coding.
"""

import os
from typing import Final

from evkit.http.content_coding import VARY
from evkit.http.date import http_date
from evkit.http.fields import encode_line

NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
_ACCEPT_RANGES: Final = ("Accept-Ranges", "bytes")
_KEPT: Final = 1024
"""Descriptions to keep: writing a date costs more than the system calls for a small file."""

Pair = tuple[str, str]


class Representation:
    """A file at one moment.

    Attributes:
        coding: Its content coding; empty for none.
        content_type: Its media type, once the coding is undone.
        etag: A strong entity tag.
        modified: Whole seconds since the epoch, never in the future and never before 1970.
        size: In bytes.
        fields: What a 200 says.
        validators: What a 304 says: the fields that update what the client has stored.
    """

    __slots__ = ("coding", "content_type", "etag", "fields", "modified", "size", "validators")

    def __init__(
        self, info: os.stat_result, content_type: str, coding: str, common: list[Pair], now: float
    ) -> None:
        self.coding = coding
        self.content_type = content_type
        self.size = info.st_size
        # The inode tells two files apart that a build gave the same time; a copy elsewhere gets a tag of its own.
        self.etag = f'"{info.st_mtime_ns:x}-{info.st_size:x}-{info.st_ino:x}"'
        # RFC 9110 §8.8.2.1: not after Date. A file may also have a time that no calendar knows.
        self.modified = max(0, min(info.st_mtime_ns // 10**9, int(now)))
        self.validators: list[Pair] = [
            ("ETag", self.etag),
            ("Last-Modified", http_date(self.modified)),
            *common,
        ]
        self.fields: list[Pair] = [
            ("Content-Type", content_type),
            *self.validators,
            _ACCEPT_RANGES,
            NOSNIFF,
        ]
        if coding:
            self.fields.append(("Content-Encoding", coding))


class Representations:
    """Makes representations, and keeps those that will be asked for again.

    Args:
        cache_control: The ``Cache-Control`` of files; None for none.
        varies: Whether what is sent of a file depends on the codings that the client accepts.

    Raises:
        LocalProtocolError: It can't be the value of a field.
    """

    __slots__ = ("_common", "_kept")

    def __init__(self, cache_control: str | None, *, varies: bool = False) -> None:
        self._common: list[Pair] = [("Cache-Control", cache_control)] if cache_control else []
        for name, value in self._common:
            encode_line(name, value)
        if varies:
            self._common.append(VARY)
        self._kept: dict[tuple[int, int, int, str, str], Representation] = {}

    def get(self, info: os.stat_result, content_type: str, now: float, *, coding: str = "") -> Representation:
        """Return the representation of the file with this ``fstat``, at the time ``now``; ``coding`` is the file's."""
        key = (info.st_mtime_ns, info.st_ino, info.st_size, content_type, coding)
        made = self._kept.get(key)
        if made is None:
            made = Representation(info, content_type, coding, self._common, now)
            if info.st_mtime <= now:
                if len(self._kept) >= _KEPT:
                    self._kept.clear()
                self._kept[key] = made
        return made
