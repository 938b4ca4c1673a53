"""Thousands of damaged messages: whatever comes, scanner and decoders say no in their own words, and keep no memory."""

import gc
import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgpack

from evkit.rpc.limits import Limits
from evkit.rpc.protocol.codec import decode_failure, make_packer, make_unpack, make_unpacker
from evkit.rpc.protocol.scan import ScanError, Scanner, depth_exceeds

LIMITS = Limits(max_message=4096, max_depth=8, max_elements=300, max_map=40, max_int_map=10)
REFUSALS = (ValueError, TypeError, OverflowError, msgpack.UnpackException)
"""What a decoder may raise; UnicodeDecodeError is a ValueError."""
HEADS = bytes([0x81, 0x8F, 0x91, 0x9F, 0xA1, 0xBF, *range(0xC0, 0xE0)])

PACK = make_packer()
UNPACK = make_unpack(LIMITS)
SEEDS: list[bytes] = [
    PACK([0, 1, "add", [1, 2]]),
    PACK([1, 2**32 - 1, None, {"a": [1.5, None, True], 7: b"\x00" * 40}]),
    PACK([1, 5, [0, "Vim:E117"], None]),
    PACK([2, "log", ["text" * 20, list(range(200)), {str(number): number for number in range(30)}]]),
    PACK([0, 3, b"nvim_eval", [[[[["deep"]]]]]]),
    b"\x94\x00\x04\xa1m\x93\xd4\x00\x01\xd7\xff\x00\x00\x0f\xa0\x00\x00\x00\x01\xc7\x0c\xff"
    + b"\x00" * 11
    + b"\x05",
]


def damage(chance: random.Random, data: bytes) -> bytes:
    """Change, drop, double or cut some of it."""
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(damaged) + 1)
        kind = chance.randrange(6)
        if kind == 0:
            damaged[place : place + 1] = bytes([chance.choice(HEADS)])
        elif kind == 1:
            damaged[place : place + 1] = chance.randbytes(1)
        elif kind == 2:
            del damaged[place : place + chance.randint(1, 5)]
        elif kind == 3:
            damaged[place:place] = damaged[place : place + chance.randint(1, 40)]
        elif kind == 4:
            damaged[place:place] = bytes([chance.choice(HEADS)]) + chance.randbytes(chance.randint(1, 5))
        else:
            damaged += chance.choice(SEEDS)
    return bytes(damaged)


def messages(chance: random.Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield damage(chance, chance.choice(SEEDS))


def scan(data: bytes, cut: int) -> int:
    """Return where the message ends, -1 if it goes on, -2 if it is refused, in two pieces."""
    scanner = Scanner(LIMITS)
    try:
        end = scanner.scan(data[:cut])
        if end >= 0:
            return end
        end = scanner.scan(data, cut)
    except ScanError as error:
        return -2 if error.reason and 0 <= error.offset <= LIMITS.max_message else -3
    return end


def decode(data: bytes, *, patient: bool) -> tuple[Any, int]:
    """Return the first value and where it ends; -1 if it goes on, -2 if it is refused."""
    unpacker = make_unpacker(LIMITS, patient=patient)
    unpacker.feed(data)
    try:
        return next(unpacker), unpacker.tell()
    except StopIteration:
        return None, -1
    except REFUSALS as error:
        reason = decode_failure(error)
        assert reason
        assert "msgpack" not in reason
        return None, -2


def unpack(data: bytes) -> tuple[Any, bool]:
    """Return what `make_unpack` makes of it, and whether anything."""
    try:
        return UNPACK(data), True
    except REFUSALS:
        return None, False


def try_one(chance: random.Random, data: bytes) -> str:
    """Hold scanner and decoders to each other; return what became of the message."""
    scanned = scan(data, chance.randrange(len(data) + 1))
    assert scan(data, 0) == scanned >= -2
    value, quick = decode(data, patient=False)
    again, patient = decode(data, patient=True)
    if quick >= 0:
        assert repr(again) == repr(value)  # equal, and NaN too
        assert patient == quick
    whole, is_one = unpack(data)
    assert is_one is (quick == len(data))
    if is_one:
        assert repr(whole) == repr(value)
    if scanned >= 0:
        assert quick in (scanned, -2)
        assert patient in (scanned, -2)
        assert not depth_exceeds(again, LIMITS.max_depth)
    if scanned == -1:
        assert quick < 0
        assert patient < 0
    return "refused" if scanned == -2 else "cut" if scanned == -1 else "bad" if patient < 0 else "good"


def run(seed: int, count: int) -> dict[str, int]:
    chance = random.Random(seed)
    seen = {"refused": 0, "cut": 0, "bad": 0, "good": 0}
    for data in messages(chance, count):
        if data:
            seen[try_one(chance, data)] += 1
    return seen


def test_damaged_messages() -> None:
    seen = run(1, 20_000)
    assert min(seen.values()) > 200  # the damage is of every kind


def test_memory_does_not_grow() -> None:
    run(2, 200)
    gc.collect()
    tracemalloc.start()
    try:
        run(3, 500)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        run(4, 2000)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 20_000  # ten bytes a message, where one decoder alone has 41,000


def test_one_scanner_for_many_messages_keeps_nothing() -> None:
    scanner = Scanner(LIMITS)
    chance = random.Random(5)
    stream = b"".join(chance.choice(SEEDS) for _ in range(2000))
    ends, end = 0, 0
    while (end := scanner.scan(stream, end)) >= 0:
        ends += 1
    assert ends == 2000
    assert scanner.size == 0
