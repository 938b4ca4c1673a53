"""How far something is that takes its time: a line that is drawn over and over on a terminal.

`Progress` decides what the line says, and knows nothing of terminals or clocks; `ProgressLine` draws it.
"""

import os
from collections import deque
from types import TracebackType
from typing import Final, Protocol, Self

from evkit import Event, EventBase

STDERR: Final = 2
INTERVAL: Final = 0.25
"""Seconds between two drawings, and before the first: what is done sooner needs no line."""

_SAMPLES: Final = 20
"""The rate is that of the last 5 s: smooth enough to be read, and quick to tell of a stall."""
_WIDEST_BAR: Final = 40
_NARROWEST_BAR: Final = 5
_ROOM: Final = 58
"""Characters for all beside the bar, at most: it keeps its width whatever the numbers are."""
_COLUMNS: Final = 80
"""The width of a terminal that does not tell its own."""
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_LONGEST: Final = 100 * 3600
"""Seconds from which on nobody wants to know exactly."""


class Progress:
    """How many bytes of how many are done, how fast, and how long it will take.

    Args:
        total: Bytes in all; ``None``: nobody knows.
        now: When it began, in seconds on any clock.

    Attributes:
        done: Bytes so far.
    """

    __slots__ = ("_began", "_samples", "_total", "done")

    def __init__(self, total: int | None, now: float) -> None:
        self._total = total
        self._began = now
        self._samples: deque[tuple[float, int]] = deque([(now, 0)], _SAMPLES)
        self.done = 0

    def __repr__(self) -> str:
        return f"<Progress {self.done} of {self._total} bytes>"

    def sample(self, now: float) -> None:
        """Note how much is done by ``now``: call it at even intervals."""
        self._samples.append((now, self.done))

    def elapsed(self, now: float) -> float:
        """Return how many seconds it has taken by ``now``."""
        return max(0.0, now - self._began)

    @property
    def rate(self) -> float:
        """Bytes a second, from the latest samples; 0 as long as there are too few."""
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - begin) if end > begin else 0.0

    def line(self, width: int) -> str:
        """Return what there is to tell, in at most ``width`` characters.

        Args:
            width: ``>= 1``. Where there is room, a bar fills it up.
        """
        rate = self.rate
        if self._total is None:
            return f"{show_bytes(self.done)}, {show_bytes(rate)}/s"[:width]
        told = f"{show_bytes(self.done)} of {show_bytes(self._total)}, {show_bytes(rate)}/s"
        if rate:
            told += f", {show_duration(max(0, self._total - self.done) / rate)} left"
        # More may come than was announced.
        part = min(1.0, self.done / self._total) if self._total else 1.0
        bar = draw_bar(part, min(_WIDEST_BAR, width - _ROOM))
        return f"{int(part * 100):3}% {bar}{told}"[:width]

    def summary(self, now: float) -> str:
        """Return what there is to tell in the end: how much it was, how long it took, and its mean rate."""
        seconds = self.elapsed(now)
        rate = f", {show_bytes(self.done / seconds)}/s" if seconds else ""
        return f"{show_bytes(self.done)} in {show_duration(seconds)}{rate}"


class Drawable(Protocol):
    """What `ProgressLine` draws: `Progress`, or something that tells of other things than bytes."""

    def sample(self, now: float) -> None:
        """Note how much is done by ``now``."""

    def line(self, width: int) -> str:
        """Return what there is to tell, in at most ``width`` characters."""

    def summary(self, now: float) -> str:
        """Return what there is to tell in the end."""


class ProgressLine:
    """Draws progress on a terminal for as long as its ``with`` block lasts; what follows begins a line of its own.

    Args:
        base: Its loop has to run for anything to be drawn.
        progress: What to draw.
        fd: The terminal.
    """

    __slots__ = ("_base", "_fd", "_hidden", "_progress", "_shown", "_timer")

    def __init__(self, base: EventBase, progress: Drawable, fd: int = STDERR) -> None:
        self._base = base
        self._progress = progress
        self._fd = fd
        self._shown = 0  # characters on the line
        self._hidden = False
        self._timer = base.timer(self._on_timer, persist=True)

    def __repr__(self) -> str:
        return f"<ProgressLine {self._progress!r}>"

    def __enter__(self) -> Self:
        self._timer.add(INTERVAL)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.free()
        if not self._shown:
            return
        if kind is None:
            self._draw(self._progress.summary(self._base.now()))
        self._write("\n")

    def hide(self) -> None:
        """Take the line away, so that something else can be written to the terminal."""
        if self._shown:
            self._write(f"\r{'':{self._shown}}\r")
            self._shown = 0
            self._hidden = True

    def unhide(self) -> None:
        """Draw it again, if `hide` took it away."""
        if self._hidden:
            self._draw(self._progress.line(_columns(self._fd) - 1))

    def _on_timer(self, event: Event, what: int) -> None:  # noqa: ARG002 - a callback
        self._progress.sample(self._base.now())
        self._draw(self._progress.line(_columns(self._fd) - 1))

    def _draw(self, text: str) -> None:
        """Put ``text`` in place of what is there, with spaces over the rest of that: any terminal understands it."""
        self._write(f"\r{text:{self._shown}}")
        self._shown = max(1, len(text))
        self._hidden = False

    def _write(self, text: str) -> None:
        try:
            os.write(self._fd, text.encode())
        except OSError:
            pass  # nobody watches


def _columns(fd: int) -> int:
    """Return the width of a terminal, which its user may change at any time."""
    try:
        return os.get_terminal_size(fd).columns or _COLUMNS
    except OSError:
        return _COLUMNS


def draw_bar(part: float, width: int) -> str:
    """Return a bar of ``width`` characters inside, and a space; nothing where there is no room for one."""
    if width < _NARROWEST_BAR:
        return ""
    full = int(part * width)
    return f"[{'#' * full}{'-' * (width - full)}] "


def show_bytes(number: float) -> str:
    """Write a size for a reader: ``"512 B"``, ``"27.0 MiB"``."""
    unit = 0
    while number >= 999.5 and unit < len(_UNITS) - 1:  # never four digits
        number /= 1024
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{number:.0f} B"


def show_duration(seconds: float) -> str:
    """Write a time for a reader: ``"0:07"``, ``"12:34"``, ``"1:00:00"``."""
    if seconds >= _LONGEST:
        return "days"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
