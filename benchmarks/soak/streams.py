"""The bytes that connections of a soak carry: a pattern, of which every byte tells where it belongs.

`Stream` decides what one direction may deliver: what was written, in order, nothing twice, nothing left out; the end
may be missing. It knows nothing of what carries it.
"""

from typing import Final

from soak.world import check

PERIOD: Final = 251
"""A prime, so that no block size hides a block that is lost."""
_LONGEST: Final = 300_000
PATTERN: Final = bytes(range(PERIOD)) * (_LONGEST // PERIOD + 2)


class Stream:
    """One direction.

    Attributes:
        sent: Bytes written so far.
        got: Bytes that have arrived.
        broken: What comes is no longer what was written: the descriptor was exchanged, or a part was dropped.
    """

    __slots__ = ("broken", "got", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.got = 0
        self.broken = False

    def next(self, size: int) -> bytes:
        """Return the next ``size`` bytes to write, ``<= 300,000``, and count them."""
        start = self.sent % PERIOD
        self.sent += size
        return PATTERN[start : start + size]

    def arrive(self, data: bytes) -> None:
        """Compare what has come; raises `FaultError`."""
        if self.broken:
            return
        view = memoryview(data)
        while view:
            start = self.got % PERIOD
            expected = PATTERN[start : start + min(len(view), _LONGEST)]
            found = view[: len(expected)]
            check(
                found == expected, f"other bytes at {self.got}: {bytes(found[:20])!r}, not {expected[:20]!r}"
            )
            self.got += len(found)
            view = view[len(found) :]
        check(self.got <= self.sent, self.got, "bytes came, but only", self.sent, "were sent")
