"""Where ``evkit get`` writes what it gets: standard output, or a file that is there whole or not at all.

Knows nothing of HTTP. What can't be written ends as a `Failure`; a reader that has gone, as `BrokenPipeError`.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

from evkit.cli.errors import USAGE, Failure

STDOUT: Final = "-"
SUFFIX: Final = ".part"
"""Of a file that is not complete yet."""
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
"""Not through a link that somebody else has put in place of a half file in a folder that others may write to."""


class Outlet:
    """Takes bytes.

    Args:
        file: Where they go.
        name: What to call it.
        flush: Send each piece on its way at once, for somebody watches.
        text: Refuse what is none.
    """

    __slots__ = ("_file", "_flush", "_text", "name")

    def __init__(self, file: BinaryIO, name: str, *, flush: bool = False, text: bool = False) -> None:
        self._file = file
        self._flush = flush
        self._text = text
        self.name = name

    def __repr__(self) -> str:
        return f"<Outlet {self.name}>"

    @property
    def is_terminal(self) -> bool:
        """Whether somebody sees what is written."""
        return self._file.isatty()

    def write(self, data: bytes) -> None:
        """Write ``data``.

        Raises:
            Failure: It can't be written, or is binary and would upset the terminal.
            BrokenPipeError: Nobody reads any more.
        """
        if self._text and b"\0" in data:
            raise Failure(
                "the body is binary, and not for a terminal: -o FILE saves it, -o - shows it all the same"
            )
        with _telling(self.name):
            self._file.write(data)
            if self._flush:
                self._file.flush()


@contextmanager
def _telling(name: str) -> Iterator[None]:
    """Turn what the system says of a file into a `Failure`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"{name} can't be written to: {error.strerror or error}") from error


@contextmanager
def opened(word: str | None) -> Iterator[Outlet]:
    """Open where to write to.

    A file is written under a name with `SUFFIX`, and gets its own when the block ends well; else nothing is left, and
    what was there before stays. A device or a pipe is written to as it is.

    Args:
        word: The name of a file; ``"-"``: standard output, whatever it gets; ``None``: standard output, and no binary
            for a terminal.

    Raises:
        Failure: It can't be written to.
        BrokenPipeError: Nobody reads it any more.
    """
    if word is None or word == STDOUT:
        yield _standard_output(text=word is None)
        return
    if not word:
        raise Failure("the name of the file is empty", status=USAGE)
    with _telling(word):
        status = _status(word)
    if status is None or stat.S_ISREG(status.st_mode):
        with _whole(word, status) as outlet:
            yield outlet
        return
    with _telling(word):
        file = open(word, "wb")  # noqa: SIM115 - what goes wrong in the block is no fault of the file
    try:
        yield Outlet(file, word, flush=True)
    finally:
        _close(file)


def _standard_output(*, text: bool) -> Outlet:
    if sys.stdout is None:
        raise Failure("standard output is closed; -o FILE saves the body")
    return Outlet(sys.stdout.buffer, "standard output", flush=True, text=text and sys.stdout.isatty())


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


@contextmanager
def _whole(name: str, before: os.stat_result | None) -> Iterator[Outlet]:
    """Open a file beside ``name`` that takes its place, and the permissions that it had ``before``, in the end."""
    path = os.path.realpath(name)  # a link stays one
    part = path + SUFFIX
    with _telling(name):
        file = open(os.open(part, _CREATE, 0o666), "wb")  # noqa: SIM115 - as above
    try:
        yield Outlet(file, name)
        with _telling(name):
            if before is not None:
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            file.close()
            os.replace(part, path)
    except BaseException:
        os.unlink(part)
        _close(file)
        raise


def _close(file: BinaryIO) -> None:
    """Close what holds nothing that is still to be written."""
    try:
        file.close()
    except OSError:
        pass  # it had failed before, and is closed now
