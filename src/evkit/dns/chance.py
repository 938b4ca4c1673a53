"""Numbers that nobody can foretell: message ids, the case of letters, which server to ask.

An attacker who can't see the queries has to guess the id, the port and the case of the name (RFC 5452, 0x20). All
draws come from the system's random source, in blocks, as a call of the kernel for two bytes costs more than the query.
A process that was forked draws from blocks of its own. Knows nothing of messages, servers or sockets.
"""

import os
from array import array
from collections.abc import Callable
from typing import Final
from weakref import WeakSet

_BLOCK: Final = 4096
"""Bytes asked of the source at once: 2,048 ids."""
_WORDS: Final = 1 << 16
_CASE_BIT: Final = 0x20
_number: Final = int.from_bytes
_LETTER_MASK: Final = bytes(_CASE_BIT if chr(byte).isalpha() and byte < 128 else 0 for byte in range(256))
"""The case bit for each letter, and 0 for what is none. Lengths of labels, at most 63, are none."""


class Chance:
    """A stock of random bits.

    Args:
        source: Called with a number of bytes, returns as many that nobody can foretell. A test may pass one that can
            be.

    Cost: below 0.1 µs for a number, below 1 µs for a name.
    """

    __slots__ = ("__weakref__", "_bytes", "_source", "_used", "_words")

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._words: list[int] = []
        self._bytes = b""
        self._used = 0
        _STOCKS.add(self)

    def __repr__(self) -> str:
        return f"<Chance words={len(self._words)} bytes={len(self._bytes) - self._used}>"

    def id(self) -> int:
        """Draw a number of 16 bits: an id for a message.

        Returns:
            0 to 65,535, each as likely. That it is not in use on the same socket is the caller's to see.

        Source: RFC 5452 §4.3 and §9.2. libevent never draws 65,535.
        """
        try:
            return self._words.pop()
        except IndexError:
            self._words.extend(array("H", self._source(_BLOCK)))
            return self._words.pop()

    def below(self, limit: int) -> int:
        """Draw a number from 0 to ``limit - 1``, each as likely.

        Args:
            limit: 1 to 65,536.

        Raises:
            ValueError: ``limit`` is out of range.
        """
        if not 0 < limit <= _WORDS:
            raise ValueError(f"expected a limit of 1 to {_WORDS}, got {limit!r}")
        while (word := self.id()) >= _WORDS - _WORDS % limit:
            pass  # those above the last whole multiple would favour the small numbers
        return word % limit

    def roll(self) -> float:
        """Draw a number from 0 to below 1, in steps of 2 to the power of -32."""
        return (self.id() << 16 | self.id()) / (1 << 32)

    def case(self, wire: bytes) -> bytes:
        """Return the wire name ``wire`` with each letter in upper or lower case, as likely.

        Whoever forges a reply has to guess one bit more per letter, as servers copy the name from the question.

        Source: draft-vixie-dnsext-dns0x20-00 §2. libevent's ``randomize-case`` does the same, but then accepts
        replies in any case.
        """
        size = len(wire)
        used = self._used
        noise = self._bytes[used : used + size]
        if len(noise) < size:
            noise = self._noise(size)
            used = 0
        self._used = used + size
        flips = _number(wire.translate(_LETTER_MASK)) & _number(noise)
        return (_number(wire) ^ flips).to_bytes(size)

    def _noise(self, size: int) -> bytes:
        """Fetch another block, the old one's rest is left; return its first ``size`` bytes."""
        self._bytes = self._source(max(size, _BLOCK))
        return self._bytes[:size]

    def forget(self) -> None:
        """Throw the stock away: a copy of this process has the same."""
        self._words.clear()
        self._bytes = b""
        self._used = 0


_STOCKS: Final[WeakSet[Chance]] = WeakSet()


def _on_fork() -> None:
    for stock in tuple(_STOCKS):
        stock.forget()


os.register_at_fork(after_in_child=_on_fork)
