"""What a process has: descriptors, objects of evkit, memory, signal handlers.

`Held` is a count of it, and decides what is more than before. `unexpected` decides what may wait for the collector, and
why. Neither knows what was done in between.
"""

import gc
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from soak.descriptors import SIGNALS

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
MORE_MEMORY: Final = 8 * 1024 * 1024
"""Bytes by which resident memory may be off: what the allocators of C and Python keep for the next time."""
MORE_BLOCKS: Final = 2000
"""Pieces of Python's memory by which a run may end with more: its own counters, caches of regular expressions."""


_GROUP: Final = "a rate limit group keeps the timer by which it lets members go, and has no close()"
_FUTURE: Final = (
    "an exception that was raised out of a future knows the frames that asked, which know the future"
)
_TIMER: Final = "evkit.core.event.Event"
_SIDE: Final = "evkit.core.bufferevent.rate_group._Side"
LEFT_BY_DESIGN: Final = {
    _SIDE: _GROUP,
    _TIMER: _GROUP,
    "evkit.core.rate_limit.TokenBucket": _GROUP,
    "evkit.core.rate_limit.Turns": _GROUP,
    "evkit.core.future.Future": _FUTURE,
    "evkit.core.future._Failure": _FUTURE,
}
"""Types whose objects may be left to Python's collector, and why."""


def unexpected(collected: Mapping[str, int]) -> dict[str, int]:
    """Return what should have been freed without the collector, by type."""
    left = {name: count for name, count in collected.items() if name not in LEFT_BY_DESIGN}
    if (timers := collected.get(_TIMER, 0)) > collected.get(_SIDE, 0):
        left[_TIMER] = timers
    return left


class Held:
    """What this process has now; the collector is not asked.

    Attributes:
        objects: Objects of evkit's types, by name.
        descriptors: What each open descriptor is.
        signals: Handlers of the signals that a soak sends, and the wake-up descriptor.
        blocks: Pieces of Python's memory.
        resident: Bytes of memory.
    """

    def __init__(self) -> None:
        self.objects = Counter(
            f"{type(thing).__module__}.{type(thing).__qualname__}"
            for thing in gc.get_objects()
            if str(type(thing).__module__).startswith("evkit")  # it may be anything
        )
        self.descriptors = _descriptors()
        self.signals = (*map(signal.getsignal, SIGNALS), _wakeup_fd())
        self.blocks = sys.getallocatedblocks()
        self.resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE

    def more_objects(self, before: "Held") -> dict[str, int]:
        """Return what there is more of than before, by type."""
        return dict(self.objects - before.objects)

    def leaks(self, before: "Held") -> list[str]:
        """Tell what there is more of than before, memory left out."""
        found = []
        if more := self.more_objects(before):
            found.append(f"objects: {more}")
        if more_descriptors := self.descriptors - before.descriptors:
            found.append(f"descriptors: {dict(more_descriptors)}")
        if self.signals != before.signals:
            found.append(f"signal handlers: {self.signals} in place of {before.signals}")
        return found

    def growth(self, before: "Held") -> list[str]:
        """Tell of memory that has grown."""
        found = []
        if self.blocks > before.blocks + MORE_BLOCKS:
            found.append(f"pieces of memory: {before.blocks:,} became {self.blocks:,}")
        if self.resident > before.resident + MORE_MEMORY:
            found.append(f"resident memory: {before.resident:,} became {self.resident:,} bytes")
        return found


def _descriptors() -> Counter[str]:
    found: Counter[str] = Counter()
    for name in os.listdir("/proc/self/fd"):
        try:
            found[os.readlink(f"/proc/self/fd/{name}").split(":")[0]] += 1
        except OSError:
            pass  # the descriptor that the list was read with
    return found


def _wakeup_fd() -> int:
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    return fd
