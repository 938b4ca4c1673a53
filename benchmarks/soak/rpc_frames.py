"""Frames that a peer may send: good ones, odd ones, and those that no peer should.

It decides what a connection is sent, and after which frame nothing more is to be expected of it. It knows nothing of
sockets, and nothing of evkit: a frame is made by ``msgpack`` and by hand.
"""

from random import Random
from typing import Any, Final, NamedTuple

import msgpack  # type: ignore[import-untyped]  # it ships no types, and no stubs are published

_METHODS: Final = ("echo", "echo", "boom", "later", "slow", "count", "total", "nix", "", "x" * 300, b"echo")
_CONTROL: Final = ("$/hello", "$/ping", "$/methods", "$/nix")
_STREAM: Final = ("$/credit", "$/put", "$/end", "$/next", "$/grant", "$/cancelRequest", "$/meta")
_FEATURES: Final = ("meta", "cancel", "stream", "ping", "errors", "nix")
_NUMBERS: Final = (0, 1, 2, -1, 127, 128, 2**31, 2**32 - 1, 2**32, 2**63, -(2**63), 2**64 - 1)
_HEADS: Final = (
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\x7f\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x05",
    b"\xdd\xff\xff\xff\xff",
    b"\xdd\x00\x0f\x42\x40",
    b"\xdf\xff\xff\xff\xff",
    b"\xde\xff\xff",
    b"\x91" * 1100,
    b"\x81\x00" * 900,
    b"\x81\x90\x00",
    b"\xa4\xff\xff\xff\xff",
    b"\xc1",
)
"""Beginnings that declare what does not come, or that is too much."""
_MOST_DEEP: Final = 3
_IDS: Final = 40
"""Ids are drawn from so few that they meet each other, in use and out of it."""


class Frame(NamedTuple):
    """Bytes for a connection.

    Attributes:
        data: As they go out.
        last: Whether the connection may well be over after it.
    """

    data: bytes
    last: bool


def value(chance: Random, depth: int = 0) -> Any:
    """Return anything that MessagePack can carry."""
    kind = chance.randrange(12 if depth < _MOST_DEEP else 8)
    if kind < 3:
        return chance.choice(_NUMBERS)
    if kind < 5:
        return chance.choice(("", "text", "\u20ac" * 20, "x" * 2000))
    if kind < 8:
        return chance.choice((None, True, False, 1.5, b"\xff" * 30, bytes(5000), msgpack.ExtType(5, b"x")))
    if kind < 10:
        return [value(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {chance.randrange(99): value(chance, depth + 1) for _ in range(chance.randrange(4))}


class Frames:
    """What one connection says.

    Args:
        chance: Where all chances come from.
        polite: Say nothing, as far as can be, that ends the connection.
    """

    def __init__(self, chance: Random, *, polite: bool) -> None:
        self._chance = chance
        self._polite = polite
        self._next_id = _IDS
        self._kinds = (self._request, self._request, self._stream, self._note, self._answer, self._hello)
        self._odd_kinds = (self._mutated, self._truncated, self._hostile, self._no_message, self._noise)

    def next(self) -> Frame:
        """Make a frame."""
        chance = self._chance
        if self._polite or chance.random() < 0.9:
            return Frame(chance.choice(self._kinds)(), False)
        return Frame(chance.choice(self._odd_kinds)(), chance.random() < 0.9)

    def _id(self) -> int:
        """Draw an id: mostly a fresh one; one that may be in use, where that does no harm."""
        if self._polite or self._chance.random() < 0.7:
            self._next_id += 1
            return self._next_id
        return self._chance.randrange(_IDS)

    # Good ones, and odd ones

    def _request(self) -> bytes:
        chance = self._chance
        if chance.random() < 0.1:
            name: Any = chance.choice(_CONTROL[1:])
        else:
            name = chance.choice(_METHODS)
        params: Any = [value(chance) for _ in range(chance.choice((0, 1, 1, 1, 2)))]
        if name == "count":
            params = [chance.randrange(50)]
        elif chance.random() < 0.03:
            params = value(chance)
        return _pack([0, self._id(), name, params])

    def _stream(self) -> bytes:
        """Make a call with items: what is said ahead of it, the call, and what follows it."""
        chance, number = self._chance, self._id()
        metadata: dict[str, Any] = {"credit": chance.choice((0, 1, 5, 2**31 - 1))}
        if chance.random() < 0.4:
            metadata["items"] = True
        if chance.random() < 0.2:
            metadata["deadline_ms"] = chance.choice((0, 1, 50, 1e9, "soon"))
        messages: list[Any] = [
            [2, "$/meta", [number, metadata]],
            [0, number, chance.choice(("count", "total", "echo", "later")), [chance.randrange(50)]],
        ]
        if chance.random() < 0.5:
            messages.append([2, "$/cancelRequest", [number]])
        elif "items" in metadata:
            # Items go ahead of a grant where the connection is to end by it.
            messages += [[2, "$/put", [number, 1]]] * (0 if self._polite else chance.randrange(3))
            messages.append([2, "$/end", [number]])
        elif metadata["credit"] == 0:
            messages += [[2, "$/credit", [number, 1]]] * chance.randrange(4)
        return b"".join(map(_pack, messages))

    def _note(self) -> bytes:
        chance = self._chance
        if self._polite or chance.random() < 0.5:
            return _pack([2, chance.choice(("echo", "boom", "slow")), [value(chance)]])
        return _pack([2, chance.choice(_STREAM), [chance.randrange(_IDS), value(chance)]])

    def _answer(self) -> bytes:
        """Answer what nobody has asked."""
        chance = self._chance
        if self._polite and chance.random() < 0.9:
            return self._request()
        return _pack([1, chance.randrange(_IDS), value(chance), value(chance)])

    def _hello(self) -> bytes:
        chance = self._chance
        features: Any = [name for name in _FEATURES if chance.random() < 0.6]
        if chance.random() < 0.1:
            features = value(chance)
        return _pack([0, self._id(), "$/hello", [{"v": 1, "features": features}]])

    # Those that no peer should send

    def _mutated(self) -> bytes:
        """Damage a good one."""
        data = bytearray(self._chance.choice(self._kinds)())
        for _ in range(self._chance.randint(1, 4)):
            place = self._chance.randrange(len(data))
            data[place : place + self._chance.randrange(3)] = self._chance.randbytes(
                self._chance.randrange(3)
            )
            data = data or bytearray(b"\xc1")
        return bytes(data)

    def _truncated(self) -> bytes:
        data = self._chance.choice(self._kinds)()
        return data[: self._chance.randrange(1, len(data))]

    def _hostile(self) -> bytes:
        begin = self._chance.choice(
            (b"", b"\x94\x00\x01", b"\x94\x00\x01\xa4echo\x91", b"\x93\x02\xa4echo\x91")
        )
        return begin + self._chance.choice(_HEADS) + bytes(self._chance.choice((0, 3, 200, 20_000)))

    def _no_message(self) -> bytes:
        chance = self._chance
        if chance.random() < 0.3:
            return _pack(value(chance))
        return _pack([chance.choice((0, 1, 2, 3)), *[value(chance) for _ in range(chance.randint(1, 4))]])

    def _noise(self) -> bytes:
        return self._chance.randbytes(self._chance.randrange(1, 80))


def _pack(message: object) -> bytes:
    return bytes(msgpack.packb(message))
