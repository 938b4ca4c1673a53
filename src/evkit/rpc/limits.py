"""How much a peer may ask for: one object of numbers, shared by all connections of a server or a client.

A decider: it checks the numbers when they are given, and not when they are used. It knows nothing of messages, and what
happens when a number is passed is the business of who reads it.
"""

from dataclasses import dataclass, fields
from typing import Final

DEFAULT_TIMEOUT: Final = 10.0
"""Seconds that a call may take. tarpc's default; gRPC's "for ever" is what its users ask about most."""
# A message and what was read after it must fit into the 2 GiB that msgpack's unpacker can hold.
_MOST_BYTES: Final = 1 << 30
# The library that decodes gives up after 1024.
_MOST_LEVELS: Final = 1000
_MOST: Final = (1 << 32) - 1
_NO_LESS: Final = {"max_depth": 2, "max_stray": 0, "max_paused": 0, "low": 0}
_NO_MORE: Final = {"max_message": _MOST_BYTES, "max_depth": _MOST_LEVELS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a connection bears before it refuses, waits or ends; all are per connection.

    Attributes:
        max_message: Bytes of one message as it is on the wire, up to 1 GiB; a longer one ends the connection, once more
            than 96 KiB of it have come: at the header that tells of it, where there is one.
        max_depth: Arrays and maps inside each other, the message itself being the first, 2 to 1000; empty ones do not
            count.
        max_elements: Values in all arrays and maps of a message together; a pair of a map has two.
        max_map: Pairs of one map.
        max_int_map: Pairs of one map in which not every key is text or bytes: numbers can be chosen so that each key
            costs as much as all before it together. 65536 of the worst take two seconds, 1024 take 0.6 ms.
        max_in_flight: Calls of the peer that are not answered yet.
        max_method: Bytes of a method's name.
        message_timeout: Seconds from the first byte of a message to its last; ``None``: for ever.
        half_closed_timeout: Seconds that calls may still take whose caller has closed its side: it may be reading, or
            may be gone without a word. Then their connection ends; ``None``: never.
        high: Bytes waiting to be sent from which nothing is read any more.
        low: Bytes waiting to be sent at which reading goes on, ``<= high``.
        max_stray: Responses that no call waits for, and notifications that nobody knows, until the connection ends.
        max_paused: Calls that hooks may hold back before nothing is read any more.

    Raises:
        ValueError: One is out of range.
        TypeError: One is of another type.

    Source: gRPC's 4 MiB for a message; MessagePack spec, "Limitation", has 2**32-1 for nearly everything.
    """

    max_message: int = 4 << 20
    max_depth: int = 64
    max_elements: int = 1_000_000
    max_map: int = 65536
    max_int_map: int = 1024
    max_in_flight: int = 1000
    max_method: int = 256
    message_timeout: float | None = 30.0
    half_closed_timeout: float | None = 60.0
    high: int = 1 << 20
    low: int = 1 << 18
    max_stray: int = 1000
    max_paused: int = 100

    def __post_init__(self) -> None:
        for field in fields(self):
            check = _check_seconds if field.name.endswith("_timeout") else _check_count
            check(field.name, getattr(self, field.name))
        if self.low > self.high:
            raise ValueError(f"low must be <= high, got {self.low} > {self.high}")


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected {name} as an int, got {type(value).__name__}")
    least, most = _NO_LESS.get(name, 1), _NO_MORE.get(name, _MOST)
    if not least <= value <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {value}")


def _check_seconds(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"expected {name} as a number, or None, got {type(value).__name__}")
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number of seconds, got {value!r}")
