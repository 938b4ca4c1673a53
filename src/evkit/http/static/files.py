"""`Files`: opens the files of a folder, and keeps small ones in memory for a moment.

A doer. What is kept is sent only as long as the very same file, unchanged, stands at its path, which is looked at each
time; so a reply is what a fresh look at the disk would give, for fewer system calls. It knows nothing of requests.
"""

import errno
import os
import stat
from typing import Final, Protocol

from evkit.core import Buffer
from evkit.http.static.folder import Folder
from evkit.http.static.ranges import ByteRange
from evkit.http.static.representation import Representation

SMALL: Final = 65536
"""Bytes that are read and sent with their head in one call; more is left to ``sendfile``.

Measured with wrk on loopback, sendfile costs 40 % more CPU at 64 KiB, 10 % more at 256 KiB, and 45 % less at 1 MiB. The
limit is lower than speed alone would have it, for a slow client holds as much memory.
"""
_ROOM: Final = 8 << 20
"""Bytes of memory for what is kept: all that is hot in most sites."""
_OVERHEAD: Final = 1024
"""What an entry takes beside its bytes, so that empty files are bounded, too."""
_MOMENT: Final = 1.0
"""Seconds after which all is read anew. A change by which a file's times do not change is seen by then at the latest:
that of a program that has the file mapped into memory, or, on a network's file system, of another machine."""
_QUIET: Final = 3.0
"""Seconds for which a file must not have changed to be kept.

A second change within one tick of the file system's clock leaves the times as they are; FAT's ticks are the longest,
two seconds. Git calls such a file "racily clean", and does not trust its times either.
"""


class Content(Protocol):
    """What stands at a path.

    Attributes:
        info: Its status, by ``fstat``.
        told: For whoever answers with it: what is said of it, by the coding it was sent in.
    """

    info: os.stat_result
    told: dict[str, Representation]

    def take(self, part: ByteRange) -> bytes | Buffer:
        """Give some of its bytes, as the body of a reply.

        Raises:
            OSError: It can't be read; EBUSY: it became shorter meanwhile.
        """

    def close(self) -> None:
        """Let go of it; what was taken stays good."""


class Kept:
    """A small file that was read whole.

    Attributes:
        info: See `Content`.
        told: See `Content`.
    """

    __slots__ = ("_data", "info", "told")

    def __init__(self, info: os.stat_result, data: bytes) -> None:
        self.info = info
        self.told: dict[str, Representation] = {}
        self._data = data

    def take(self, part: ByteRange) -> bytes:
        """See `Content.take`."""
        return self._data[part[0] : part[1]]

    def close(self) -> None:
        """See `Content.close`."""


class Opened:
    """A file, folder, or whatever it is, by its descriptor.

    Args:
        fd: Is closed with it, and if it has no status.

    Raises:
        OSError: The system can't tell its status.

    Attributes:
        fd: The descriptor.
        info: See `Content`.
        told: See `Content`.
    """

    __slots__ = ("fd", "info", "told")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        try:
            self.info = os.fstat(fd)
        except OSError:
            os.close(fd)
            raise
        self.told: dict[str, Representation] = {}

    def take(self, part: ByteRange) -> bytes | Buffer:
        """See `Content.take`."""
        first, stop = part
        if stop - first <= SMALL:
            return self.read(first, stop)
        body = Buffer()
        try:
            body.add_file(os.dup(self.fd), first, stop - first)
        except ValueError as error:
            raise _changed() from error
        return body

    def read(self, first: int, stop: int) -> bytes:
        """Read some of its bytes.

        Raises:
            OSError: As `take`.
        """
        data = os.pread(self.fd, stop - first, first)
        if len(data) != stop - first:
            raise _changed()
        return data

    def close(self) -> None:
        """See `Content.close`."""
        os.close(self.fd)


class Files:
    """The files of a folder. Threads may share it: they then read a file twice, at worst, or pass the bound a little.

    Args:
        folder: Opens them.
    """

    __slots__ = ("_folder", "_kept", "_room", "_since")

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._kept: dict[bytes, Kept] = {}
        self._room = _ROOM
        self._since = 0.0

    def __repr__(self) -> str:
        return f"<Files of {self._folder!r}, {len(self._kept)} kept, room for {self._room} bytes>"

    def open(self, names: list[bytes], now: float) -> Content:
        """Return what stands at ``names``, by its descriptor or from memory; the caller closes it.

        Args:
            names: As `Folder.open` takes them.
            now: Seconds since the epoch.

        Raises:
            OSError: As `Folder.open`; EBUSY: a small file became shorter while it was read.
        """
        kept = self._recall(names, now)
        return self._read(names, now) if kept is None else kept

    def find(self, names: list[bytes], now: float) -> Content | None:
        """Return what stands at ``names`` as `open` does, or None if there is nothing that can be opened.

        For what may well not be there: to find that out costs a third of what an exception does.
        """
        kept = self._recall(names, now)
        if kept is not None or not self._folder.may_have(names):
            return kept
        try:
            return self._read(names, now)
        except OSError:
            return None

    def _recall(self, names: list[bytes], now: float) -> Kept | None:
        if not self._since <= now < self._since + _MOMENT:
            self._forget(now)
        kept = self._kept.get(b"/".join(names))
        return kept if kept is not None and self._folder.has(names, kept.info) else None

    def _read(self, names: list[bytes], now: float) -> Content:
        opened = Opened(self._folder.open(names))
        if not _worth_keeping(opened.info, now) or not self._folder.has(names, opened.info):
            return opened
        try:
            kept = Kept(opened.info, opened.read(0, opened.info.st_size))
        finally:
            opened.close()
        self._keep(b"/".join(names), kept, now)
        return kept

    def _keep(self, path: bytes, kept: Kept, now: float) -> None:
        size = kept.info.st_size + _OVERHEAD
        if size > self._room:
            self._forget(now)
        self._room -= size
        self._kept[path] = kept

    def _forget(self, now: float) -> None:
        """Begin anew; all at once, for in a moment it would be of no use anyway."""
        self._kept = {}
        self._room = _ROOM
        self._since = now


def _worth_keeping(info: os.stat_result, now: float) -> bool:
    """Return whether this is a file to keep: small, and quiet for long enough that a change will show in its times."""
    if info.st_size > SMALL or not stat.S_ISREG(info.st_mode):
        return False
    return max(info.st_mtime, info.st_ctime) < now - _QUIET


def _changed() -> OSError:
    """Make the error for a file that became shorter between two looks at it; trying again will do."""
    return OSError(errno.EBUSY, "the file is being changed")
