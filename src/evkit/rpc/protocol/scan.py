"""Where a MessagePack message ends, and whether it keeps to the limits, told without decoding it.

A decider over bytes, which come in any pieces. It builds none of the values, so that a message that is refused has cost
nothing but its bytes. It knows nothing of what a message means.
"""

import re
from collections.abc import Callable
from typing import Any, Final, cast

from evkit.rpc.limits import Limits

Bytes = bytes | bytearray | memoryview

_NEVER_USED: Final = 0xC1
_OTHER: Final = -1  # in _PAYLOAD: the length is told by the bytes that follow, or there are values inside


def _payloads() -> tuple[int, ...]:
    """Return by first byte how many more bytes a value has, if the first byte tells."""
    table = [0] * 256
    table[0x81:0xA0] = [_OTHER] * 31
    table[0x90] = 0  # an empty array is as good as a scalar, as is the empty map before it
    table[0xA0:0xC0] = range(32)
    table[_NEVER_USED] = _OTHER
    table[0xC4:0xCA] = [_OTHER] * 6
    table[0xCA:0xD4] = (4, 8, 1, 2, 4, 8, 1, 2, 4, 8)
    table[0xD4:0xD9] = (2, 3, 5, 9, 17)
    table[0xD9:0xE0] = [_OTHER] * 7
    return tuple(table)


_PAYLOAD: Final = _payloads()
# Of a value with a length of its own: how many bytes the length has, and how many come between it and what it counts.
_LENGTH: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4} | {
    0xDC: 2,
    0xDD: 4,
    0xDE: 2,
    0xDF: 4,
}
_FIRST_ARRAY, _FIRST_MAP = 0xDC, 0xDE
_EXTS: Final = (0xC7, 0xC8, 0xC9)
# It matches nothing where there is none: there is always a match.
_RUN: Final = cast(
    Callable[[Bytes, int, int], re.Match[bytes]],
    re.compile(rb"[\x00-\x80\x90\xa0\xc0\xc2\xc3\xe0-\xff]*").match,
)
# Fewer values than these are cheaper one by one.
_WORTH_A_RUN: Final = 8
_LONGEST_HEAD: Final = 5


class ScanError(Exception):
    """A message is no MessagePack, or passes a limit.

    Attributes:
        reason: What was expected and what came.
        offset: Of the byte at fault, from the beginning of the message.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason} (at byte {self.offset} of the message)"


class Scanner:
    """Walk over one message after another, each in as many pieces as it comes in.

    After a `ScanError` nothing can be said of what follows, and the scanner must not be used again.
    """

    __slots__ = ("_before", "_elements", "_head", "_left", "_limits", "_outer", "_skip")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._outer: list[int] = []  # of the containers that are open: how many values are still to come
        self._begin()

    def __repr__(self) -> str:
        return f"<Scanner {self.size} bytes, {len(self._outer)} levels deep>"

    @property
    def size(self) -> int:
        """Bytes of the message that have been scanned; 0 between two messages."""
        return self._before

    def _begin(self) -> None:
        self._before = 0  # bytes of the message in earlier pieces
        self._left = 1  # values still to come in the innermost container
        self._elements = 0  # told of so far
        self._skip = 0  # bytes of a payload that goes on in the next piece
        self._head = b""  # of a value whose length is cut off

    def scan(self, data: Bytes, start: int = 0) -> int:
        """Go on to the end of the message or of the data.

        Args:
            data: The next piece.
            start: Where in it to go on.

        Returns:
            Where in ``data`` the message ends; -1 if it goes on in the next piece. After an end the next call begins
            the next message.

        Raises:
            ScanError: The message can't be read on, or passes a limit.

        Cost: O(values), and nothing for the length of a payload.
        """
        position = self._resume(data, start)
        size = len(data)
        base = self._before - start
        left = self._left
        outer = self._outer
        while left and position < size:
            payload = _PAYLOAD[data[position]]
            if payload == _OTHER:
                self._left = left
                position = self._open(data, position, base + position)
                left = self._left
            elif payload or left < _WORTH_A_RUN:
                position += payload + 1
                left -= 1
            else:
                end = _RUN(data, position, min(position + left, size)).end()
                left -= end - position
                position = end
            while not left and outer:
                left = outer.pop()
        return self._stop(position - start, left, size - start, position)

    def _resume(self, data: Bytes, start: int) -> int:
        position = start + self._skip
        if self._head:
            position += self._complete_head(bytes(data[start : start + _LONGEST_HEAD]))
        return position

    def _complete_head(self, more: bytes) -> int:
        """Go on with a value whose length was cut off; return how far that leads into what came."""
        known = len(self._head)
        head = self._head + more
        self._head = b""
        position = self._open(head, 0, self._before - known)
        while not self._left and self._outer:
            self._left = self._outer.pop()
        return position - known

    def _open(self, data: Bytes, position: int, offset: int) -> int:
        """Take a value whose first byte does not tell its size; return where to go on."""
        first = data[position]
        if first < 0xA0:
            self._enter(first & 15, first < 0x90, offset)
            return position + 1
        if first == _NEVER_USED:
            raise ScanError("the byte 0xc1, which begins no value", offset)
        end = position + 1 + _LENGTH[first]
        if end > len(data):
            self._head = bytes(data[position:])
            return len(data)
        count = int.from_bytes(data[position + 1 : end], "big")
        if first >= _FIRST_ARRAY:
            self._enter(count, first >= _FIRST_MAP, offset)
            return end
        self._left -= 1
        self._check_room(count, "a payload of {} bytes", offset)
        return end + count + (first in _EXTS)

    def _enter(self, count: int, pairs: bool, offset: int) -> None:
        """Begin an array of so many values, or a map of so many pairs."""
        self._left -= 1
        if not count:
            return
        limits = self._limits
        if pairs:
            if count > limits.max_map:
                raise ScanError(f"a map of {count} pairs, where {limits.max_map} are allowed", offset)
            count *= 2
        self._check_room(count, "{} values", offset)
        self._elements += count
        if self._elements > limits.max_elements:
            raise ScanError(f"more than {limits.max_elements} values", offset)
        self._outer.append(self._left)
        self._left = count
        if len(self._outer) > limits.max_depth:
            raise ScanError(f"more than {limits.max_depth} levels of arrays and maps", offset)

    def _check_room(self, least: int, told: str, offset: int) -> None:
        most = self._limits.max_message
        if offset + 1 + least > most:
            raise ScanError(f"{told.format(least)} in a message of at most {most} bytes", offset)

    def _stop(self, taken: int, left: int, came: int, end: int) -> int:
        """Return from `scan`: ``taken`` of the bytes that came, or more where a payload goes on."""
        size = self._before + taken
        if size > self._limits.max_message:
            raise ScanError(
                f"a message of more than {self._limits.max_message} bytes", self._limits.max_message
            )
        if taken <= came and not left:
            self._begin()
            return end
        self._left = left
        self._skip = max(taken - came, 0)
        self._before += came
        return -1


_CONTAINERS: Final = (list, dict)


def depth_exceeds(value: object, most: int) -> bool:
    """Return whether arrays and maps are nested deeper than ``most``, in what was decoded.

    Args:
        value: A value as the decoder makes it: its containers are ``list`` and ``dict``.
        most: How deep they may be; as for a `Scanner`, empty ones do not count.
    """
    level: list[Any] = [value] if type(value) in _CONTAINERS and value else []
    while level:
        if not most:
            return True
        most -= 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS and inner
        ]
    return False
