"""`NameReader`: the names of a message, whose parts may stand elsewhere in it, with counted work.

A decider over bytes, which knows nothing of what else a message holds.

Source: RFC 1035 §4.1.4; RFC 9267 §2 tells what others got wrong.
"""

from typing import Final

from evkit.dns.errors import MessageError
from evkit.dns.names import MAX_LABEL, MAX_NAME

FIRST_NAME: Final = 12
"""Where the first question stands: right after the header. No name begins before it."""
POINTER: Final = 0xC000
"""The two bits that make a length of 16 bits a pointer: RFC 1035 §4.1.4."""
POINTER_BYTE: Final = POINTER >> 8
"""What the first byte of a pointer is at least."""
MOST_STEPS: Final = 20_000
"""Labels and pointers to look at for one message: enough for 1000 records with 20 labels each."""


class NameReader:
    """Reads the names of one message, each part of it once, and counts its steps.

    Attributes:
        steps_left: Labels and pointers that may still be looked at.
    """

    __slots__ = ("_data", "_known", "steps_left")

    def __init__(self, data: bytes, steps: int = MOST_STEPS) -> None:
        self._data = data
        self._known: dict[int, bytes] = {}
        self.steps_left = steps

    def read(self, offset: int) -> tuple[bytes, int]:
        """Return the name that stands at ``offset``, as sent, and where what follows it stands.

        Pointers may only go backwards, to before the labels that they follow, so that no two can go in a circle.

        Raises:
            MessageError: The name is cut short, too long, has a label of an unknown kind, or a pointer that does not go
                backwards or goes into the header; or all names of this message together take too many steps.

        Cost: O(labels); what is pointed at again costs one step.
        """
        data = self._data
        try:
            stop = self._end_of_labels(offset)
            if not data[stop]:
                name = self._known[offset] = data[offset : stop + 1]
                return name, stop + 1
            target = (data[stop] << 8 | data[stop + 1]) - POINTER
        except IndexError:
            raise MessageError(_CUT, offset) from None
        name = data[offset:stop] + self.pointed_at(target, offset)
        if len(name) > MAX_NAME:
            raise MessageError(_TOO_LONG, offset)
        self._known[offset] = name
        return name, stop + 2

    def pointed_at(self, target: int, before: int) -> bytes:
        """Return the name that a pointer goes to, as sent.

        Args:
            target: Where it goes.
            before: Where the pointer stands, or the labels that it follows.

        Raises:
            MessageError: As `read` does.
        """
        data = self._data
        known = self._known
        runs = []  # labels without a pointer between them: where they begin and end
        try:
            while True:
                if not FIRST_NAME <= target < before:
                    raise MessageError(
                        f"expected a pointer back, to byte {FIRST_NAME} or later, got {target}", before
                    )
                name = known.get(target)
                if name is not None:
                    break
                stop = self._end_of_labels(target)
                if not data[stop]:
                    name = known[target] = data[target : stop + 1]
                    break
                runs.append((target, stop))
                before = target
                target = (data[stop] << 8 | data[stop + 1]) - POINTER
        except IndexError:
            raise MessageError(_CUT, before) from None
        return self._put_together(runs, name) if runs else name

    def _put_together(self, runs: list[tuple[int, int]], name: bytes) -> bytes:
        """Return the name that these labels and another name make, and know all those on the way."""
        for start, stop in reversed(runs):
            name = self._data[start:stop] + name
            if len(name) > MAX_NAME:
                raise MessageError(_TOO_LONG, start)
            self._known[start] = name
        return name

    def spend(self, steps: int, offset: int) -> None:
        """Count steps that others make who read what may hold names.

        Raises:
            MessageError: There are too many of them in this message.
        """
        self.steps_left -= steps
        if self.steps_left < 0:
            raise MessageError(_TOO_MANY_STEPS, offset)

    def _end_of_labels(self, start: int) -> int:
        """Return where a zero or a pointer follows the labels that begin at ``start``."""
        data = self._data
        left = self.steps_left
        last = start + MAX_NAME
        position = start
        while 0 < (size := data[position]) <= MAX_LABEL and position < last:
            position += size + 1
            left -= 1
        self.steps_left = left - 1
        if left <= 0:
            raise MessageError(_TOO_MANY_STEPS, start)
        if position >= last:
            raise MessageError(_TOO_LONG, start)
        if 0 < size < POINTER_BYTE:
            raise MessageError(
                f"expected a label of 1 to {MAX_LABEL} bytes or a pointer, got 0x{size:02x}", position
            )
        return position


_TOO_MANY_STEPS: Final = "expected fewer steps to read all names and data of the message"
_CUT: Final = "expected more of a name, got the end of the message"
_TOO_LONG: Final = f"expected a name of {MAX_NAME} bytes at most, got more"
