"""Lines of a file or of standard input, read when they are wanted and never more than a block ahead.

`LineSplitter` decides where lines end; `LineReader` reads. Neither knows what is in a line.
"""

import os
import stat
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from evkit import EV_READ, Event, EventBase
from evkit.cli.errors import Failure

BLOCK: Final = 1 << 16
"""Bytes that are read at once, and so what is kept of a file, however long it is."""
LONGEST: Final = 4096
"""Bytes of a line: the longest name takes a quarter of it, written in escapes."""


class Line(NamedTuple):
    """A line, without its end.

    Attributes:
        number: Its place in the file, from 1.
        end: Bytes of the file up to its end.
        text: ``None`` where it is too long, or not in UTF-8.
    """

    number: int
    end: int
    text: str | None


class LineSplitter:
    """Finds lines in blocks of bytes."""

    __slots__ = ("_end", "_number", "_rest", "_too_long")

    def __init__(self) -> None:
        self._rest = b""
        self._too_long = False  # what came of the line that is not complete, and was dropped
        self._number = 0
        self._end = 0

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that ``data`` completes.

        Args:
            data: The next bytes; none at the end, which completes a last line that has no end.
        """
        if not data:
            return [self._line(self._rest, 0)] if self._rest or self._too_long else []
        *complete, rest = (self._rest + data).split(b"\n")
        lines = [self._line(raw, 1) for raw in complete]
        if len(rest) > LONGEST:
            self._end += len(rest)
            self._too_long = True
            rest = b""
        self._rest = rest
        return lines

    def _line(self, raw: bytes, end: int) -> Line:
        self._number += 1
        self._end += len(raw) + end
        too_long = self._too_long or len(raw) > LONGEST
        self._too_long = False
        return Line(self._number, self._end, None if too_long else _decode(raw))


def _decode(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


class LineReader:
    """Gives lines one by one.

    A file is read where it is asked for; a pipe, a socket and a terminal are waited for by the loop, so that nothing
    else has to wait.

    Args:
        base: The loop.
        fd: What is read; the caller closes it, after `close`.
        name: What it is called when it can't be read.
        on_more: Called when `take` may have more, after it had nothing.

    Attributes:
        ended: Whether there will be no more lines.
        size: Bytes in all; ``None``: nobody knows.
    """

    __slots__ = ("_event", "_fd", "_lines", "_name", "_on_more", "_splitter", "ended", "size")

    def __init__(self, base: EventBase, fd: int, name: str, on_more: Callable[[], object]) -> None:
        self._fd = fd
        self._name = name
        self._on_more = on_more
        self._splitter = LineSplitter()
        self._lines: deque[Line] = deque()
        about = os.fstat(fd)
        self._event = base.event(fd, EV_READ, self._on_readable) if _comes_later(about.st_mode, fd) else None
        self.ended = False
        self.size = about.st_size if stat.S_ISREG(about.st_mode) else None

    def __repr__(self) -> str:
        return f"<LineReader {self._name} lines={len(self._lines)}{' ended' if self.ended else ''}>"

    def take(self) -> Line | None:
        """Return the next line; ``None``: it has `ended`, or ``on_more`` will tell when to ask again.

        Raises:
            Failure: It can't be read.
        """
        while not self._lines and not self.ended:
            if self._event is not None:
                self._event.add()
                return None
            self._read()
        return self._lines.popleft() if self._lines else None

    def _read(self) -> None:
        try:
            data = os.read(self._fd, BLOCK)
        except OSError as error:
            raise Failure(f"{self._name} can't be read: {error.strerror}") from error
        self._lines.extend(self._splitter.feed(data))
        self.ended = not data

    def _on_readable(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._read()
        self._on_more()

    def close(self) -> None:
        """Stop waiting for more."""
        if self._event is not None:
            self._event.free()


def _comes_later(mode: int, fd: int) -> bool:
    """Return whether a loop can wait for it; files and the like are always ready, and epoll refuses them."""
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)
