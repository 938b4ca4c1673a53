"""`Folder`: opens what is inside a folder, and nothing else, whoever changes the folder meanwhile.

A doer. Every name is opened by itself, below the descriptor of the one before, and never through a symbolic link; where
a link stands, its text is read and walked in the same manner. So there is no moment between a check and a use. It
knows nothing of HTTP.
"""

import errno
import os
import stat
from typing import Final

_FINAL: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
"""Non-blocking: opening a FIFO would wait for a writer."""
_STEP: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_DIRECTORY
_IS_LINK: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EMLINK})
"""What ``O_NOFOLLOW`` says to a link: ENOTDIR with ``O_DIRECTORY`` on Linux, EMLINK on FreeBSD."""
_MAX_RESTARTS: Final = 40
"""Links to follow, and ``..`` within them: as many as Linux follows (``MAXSYMLINKS``)."""


class Folder:
    """A folder, known by its path: one that takes its place later, as a release does, is what is opened then.

    Args:
        root: Its path; made absolute now. Links in this path are followed.

    Raises:
        OSError: It is not there, or no folder.
    """

    __slots__ = ("path",)

    def __init__(self, root: str | bytes | os.PathLike[str]) -> None:
        self.path = os.path.abspath(os.fsencode(root))
        # By a str, which is what the message of an error is to show.
        os.close(os.open(os.fsdecode(self.path), os.O_RDONLY | os.O_DIRECTORY))

    def __repr__(self) -> str:
        return f"<Folder {os.fsdecode(self.path)}>"

    def open(self, names: list[bytes]) -> int:
        """Open what stands at ``names``, for reading and without waiting; a file, a folder, or whatever it is.

        Links that stay inside are followed: relative ones, and absolute ones that spell the folder's path, or its real
        path. A link to a hidden name is followed, too: who made it meant it.

        Args:
            names: One name per level, none of them empty, with a slash, or from the network a ``.`` or ``..``.

        Returns:
            The descriptor, which the caller closes.

        Raises:
            FileNotFoundError: It is not there, or outside.
            OSError: Anything else that the system says; ELOOP for links that lead in a circle.

        Source: ``openat2`` with ``RESOLVE_BENEATH`` does the same, and more strictly: it refuses absolute links.
        """
        for _ in range(_MAX_RESTARTS + 1):
            opened = self._walk(names)
            if isinstance(opened, int):
                return opened
            names = opened
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))

    def has(self, names: list[bytes], info: os.stat_result) -> bool:
        """Return whether the file that had the status ``info`` stands at ``names``, unchanged, with no link on the way.

        This is to tell whether what `open` gave before is what it would give now; it opens nothing. A link that comes
        between two of its looks can make it say so of a file that has just been moved outside, but of no other.

        Args:
            names: As `open` takes them; at least one.
            info: By ``fstat``.
        """
        path = self.path
        try:
            for name in names[:-1]:
                path = b"%b/%b" % (path, name)
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    return False
            found = os.lstat(b"%b/%b" % (path, names[-1]))
        except OSError:
            return False
        # ctime changes with the content, the owner and the rights; the others are for file systems that have none.
        return (
            found.st_ctime_ns == info.st_ctime_ns
            and found.st_mtime_ns == info.st_mtime_ns
            and found.st_size == info.st_size
            and found.st_ino == info.st_ino
            and found.st_dev == info.st_dev
        )

    def may_have(self, names: list[bytes]) -> bool:
        """Return whether there may be something at ``names``: one look, which follows links wherever they lead.

        In a program that runs with the rights of another user (``setuid``), it is a look with the user's own.
        """
        return os.access(b"/".join([self.path, *names]), os.F_OK)

    def _walk(self, names: list[bytes]) -> int | list[bytes]:
        """Open name by name; at a link, or a ``..`` out of one, return the names to try in place of these."""
        if not names:
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        last = len(names) - 1
        at = -1
        try:
            for index, name in enumerate(names):
                if name == b"..":
                    return _climb(names, index)
                opened = self._step(at, name, _STEP if index < last else _FINAL)
                if opened is None:
                    return self._through_link(at, names, index)
                if at >= 0:
                    os.close(at)
                at = opened
            result, at = at, -1
            return result
        finally:
            if at >= 0:
                os.close(at)

    def _step(self, at: int, name: bytes, flags: int) -> int | None:
        """Open one name; None if it is a link, perhaps."""
        try:
            # Only the first name is opened by a path: one call, and the folder's own path is trusted.
            return os.open(b"%b/%b" % (self.path, name), flags) if at < 0 else os.open(name, flags, dir_fd=at)
        except OSError as error:
            if error.errno in _IS_LINK:
                return None
            raise

    def _through_link(self, at: int, names: list[bytes], index: int) -> list[bytes]:
        """Put the text of the link at ``index`` in its place."""
        name = names[index]
        try:
            text = os.readlink(b"%b/%b" % (self.path, name)) if at < 0 else os.readlink(name, dir_fd=at)
        except OSError as error:  # EINVAL: no link but a file, which has nothing below it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
        before = names[:index]
        if text[:1] == b"/":
            text = self._inside(text)
            before = []
        middle = [part for part in text.split(b"/") if part not in (b"", b".")]
        return before + middle + names[index + 1 :]

    def _inside(self, text: bytes) -> bytes:
        """Return what is left of an absolute path below the folder."""
        for root in (self.path, os.path.realpath(self.path)):
            if text == root or text.startswith(root.rstrip(b"/") + b"/"):
                return text[len(root) :]
        raise FileNotFoundError(errno.ENOENT, "a link leads outside")


def _climb(names: list[bytes], index: int) -> list[bytes]:
    """Take out a ``..`` and the name before it, which was opened and so is a folder and no link."""
    if not index:
        raise FileNotFoundError(errno.ENOENT, "a link leads outside")
    return names[: index - 1] + names[index + 1 :]
