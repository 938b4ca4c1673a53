"""The scanner finds the end that a decoder finds, in whatever pieces the bytes come, and refuses early."""

import itertools
import struct
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evkit.rpc.limits import Limits
from evkit.rpc.protocol.scan import ScanError, Scanner, depth_exceeds

REQUEST = b"\x94\x00\x01\xa3add\x92\x01\x02"
"""``[0, 1, "add", [1, 2]]``, from the specification's own reading."""


@dataclass
class Encoded:
    """A value as bytes, with what a scanner counts of it."""

    data: bytes
    elements: int = 0
    depth: int = 0
    widest: int = 0  # pairs of the largest map


SCALARS = st.one_of(
    st.sampled_from([b"\x00", b"\x7f", b"\x80", b"\x90", b"\xa0", b"\xc0", b"\xc2", b"\xc3", b"\xe0", b"\xff"]),
    *(
        st.binary(min_size=size, max_size=size).map(head.__add__)
        for head, size in [
            (b"\xca", 4), (b"\xcb", 8), (b"\xcc", 1), (b"\xcd", 2), (b"\xce", 4), (b"\xcf", 8), (b"\xd0", 1),
            (b"\xd1", 2), (b"\xd2", 4), (b"\xd3", 8), (b"\xd4", 2), (b"\xd5", 3), (b"\xd6", 5), (b"\xd7", 9),
            (b"\xd8", 17), (b"\xc4\x00", 0), (b"\xc5\x00\x02", 2), (b"\xc6\x00\x00\x00\x01", 1), (b"\xc7\x02", 3),
            (b"\xc8\x00\x00", 1), (b"\xc9\x00\x00\x00\x03", 4), (b"\xd9\x05", 5), (b"\xda\x00\x00", 0),
            (b"\xdb\x00\x00\x00\x04", 4), (b"\xdc\x00\x00", 0), (b"\xdd\x00\x00\x00\x00", 0), (b"\xde\x00\x00", 0),
            (b"\xdf\x00\x00\x00\x00", 0), (b"\xa1", 1), (b"\xbf", 31),
        ]
    ),
).map(Encoded)  # fmt: skip
RUNS = st.integers(0, 40).map(
    lambda size: Encoded(b"\xdc\x00" + bytes([size]) + b"\xc3" * size, size, size > 0)
)


def contain(inner: list[Encoded], heads: bytes, pairs: bool) -> Encoded:
    if pairs and len(inner) % 2:
        inner = inner[:-1]
    count = len(inner) // 2 if pairs else len(inner)
    small, middle, large = heads
    head = {
        0: bytes([small | count]),
        1: struct.pack(">BH", middle, count),
        2: struct.pack(">BI", large, count),
    }
    widest = max([count if pairs else 0, *(one.widest for one in inner)])
    elements = len(inner) + sum(one.elements for one in inner)
    depth = 1 + max(one.depth for one in inner) if inner else 0
    return Encoded(head[elements % 3] + b"".join(one.data for one in inner), elements, depth, widest)


def containers(inner: st.SearchStrategy[Encoded]) -> st.SearchStrategy[Encoded]:
    few = st.lists(inner, max_size=12)
    return few.map(lambda found: contain(found, b"\x90\xdc\xdd", False)) | few.map(
        lambda found: contain(found, b"\x80\xde\xdf", True)
    )


VALUES = st.recursive(SCALARS | RUNS, containers, max_leaves=40)


def scan_in_pieces(scanner: Scanner, data: bytes, cuts: list[int]) -> int:
    """Return where the message ends in ``data``, -1 if nowhere; pieces begin at odd places of what holds them."""
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    for first, last in itertools.pairwise(edges):
        end = scanner.scan(b"\xc1" + data[first:last], 1)
        if end >= 0:
            return first + end - 1
        assert scanner.size == last
    return -1


def scan_all(scanner: Scanner, pieces: list[bytes]) -> None:
    for piece in pieces:
        assert scanner.scan(piece) == -1


@given(value=VALUES, after=st.binary(max_size=3), cuts=st.lists(st.integers(0, 300), max_size=12))
def test_any_cut_gives_the_same_end(value: Encoded, after: bytes, cuts: list[int]) -> None:
    scanner = Scanner(Limits())
    for _ in range(2):  # after an end it begins afresh
        assert scan_in_pieces(scanner, value.data + after, cuts) == len(value.data)
        assert scanner.size == 0


@given(value=VALUES)
def test_byte_by_byte(value: Encoded) -> None:
    scanner = Scanner(Limits())
    ends = [scanner.scan(bytes([byte])) for byte in value.data]
    assert ends == [-1] * (len(value.data) - 1) + [1]


@given(value=VALUES, kind=st.sampled_from([bytes, bytearray, memoryview]))
def test_any_kind_of_bytes(value: Encoded, kind: Any) -> None:
    scanner = Scanner(Limits())
    half = len(value.data) // 2
    if half:
        assert scanner.scan(kind(value.data[:half])) == -1
    assert scanner.scan(kind(value.data[half:])) == len(value.data) - half


@given(data=st.binary(max_size=200))
@example(b"\x92\xc1\x00")
@example(b"\xdc\x00\x14" + b"\x00" * 30)
def test_the_end_is_where_the_decoder_finds_it(data: bytes) -> None:
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    scanner = Scanner(Limits(max_message=2**30, max_elements=2**32 - 1, max_map=2**32 - 1, max_depth=500))
    try:
        found = scanner.scan(data)
    except ScanError as error:
        # What can't fit is refused by the scanner alone, and the decoder waits for it.
        refused = msgpack.FormatError if "0xc1" in error.reason else msgpack.OutOfData
        with pytest.raises(refused):
            unpacker.skip()
        return
    if found < 0:
        with pytest.raises(msgpack.OutOfData):
            unpacker.skip()
    else:
        unpacker.skip()
        assert unpacker.tell() == found


@given(value=VALUES, cuts=st.lists(st.integers(0, 300), max_size=5))
def test_each_limit_is_exact(value: Encoded, cuts: list[int]) -> None:
    actual = {
        "max_message": len(value.data),
        "max_depth": max(value.depth, 2),
        "max_elements": max(value.elements, 1),
        "max_map": max(value.widest, 1),
    }
    assert scan_in_pieces(Scanner(Limits(**actual)), value.data, cuts) == len(value.data)
    for name, most in actual.items():
        if most > (2 if name == "max_depth" else 1):
            with pytest.raises(ScanError) as caught:
                scan_in_pieces(Scanner(Limits(**actual | {name: most - 1})), value.data, cuts)
            assert 0 <= caught.value.offset < len(value.data)


@pytest.mark.parametrize(
    ("data", "limits", "reason", "offset"),
    [
        (b"\xc1", {}, "the byte 0xc1, which begins no value", 0),
        (b"\x92\xa2hi\xc1", {}, "the byte 0xc1, which begins no value", 4),
        (b"\x91" * 5, {"max_depth": 4}, "more than 4 levels of arrays and maps", 4),
        (b"\x81\xc0" * 5, {"max_depth": 4}, "more than 4 levels of arrays and maps", 8),
        (b"\x92\x93\x00\x00\x00\x91\x00", {"max_elements": 5}, "more than 5 values", 5),
        (b"\x91\xdf\x00\x01\x00\x01", {}, "a map of 65537 pairs, where 65536 are allowed", 1),
        (b"\x83", {"max_map": 2}, "a map of 3 pairs, where 2 are allowed", 0),
        (b"\xdd\xff\xff\xff\xff", {}, "4294967295 values in a message of at most 4194304 bytes", 0),
        (b"\xdf\x00\x00\x00\x30", {"max_message": 96}, "96 values in a message of at most 96 bytes", 0),
        (
            b"\x91\xdb\x00\x40\x00\x00",
            {},
            "a payload of 4194304 bytes in a message of at most 4194304 bytes",
            1,
        ),
        (
            b"\x91\xc6\xff\xff\xff\xff",
            {},
            "a payload of 4294967295 bytes in a message of at most 4194304 bytes",
            1,
        ),
        (
            b"\xc9\xff\xff\xff\xff",
            {},
            "a payload of 4294967295 bytes in a message of at most 4194304 bytes",
            0,
        ),
        (b"\x92\xa3add\xa3", {"max_message": 8}, "a message of more than 8 bytes", 8),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_refused_is_refused_at_its_head(
    data: bytes, limits: dict[str, Any], reason: str, offset: int, whole: bool
) -> None:
    scanner = Scanner(Limits(**limits))
    pieces = [data] if whole else [bytes([byte]) for byte in data]
    with pytest.raises(ScanError) as caught:
        scan_all(scanner, pieces)
    assert (caught.value.reason, caught.value.offset) == (reason, offset)
    assert str(caught.value) == f"{reason} (at byte {offset} of the message)"


def test_offsets_count_from_the_message_and_not_from_the_data() -> None:
    scanner = Scanner(Limits())
    assert scanner.scan(b"\x91\x05\x92\x05") == 2
    assert scanner.scan(b"\x91\x05\x92\x05", 2) == -1
    with pytest.raises(ScanError) as caught:
        scanner.scan(b"\x00\x00\xc1", 2)
    assert caught.value.offset == 2


def test_messages_one_behind_another() -> None:
    scanner = Scanner(Limits())
    data = REQUEST * 3 + REQUEST[:4]
    ends, end = [], 0
    while (end := scanner.scan(data, end)) >= 0:
        ends.append(end)
    assert ends == [10, 20, 30]
    assert scanner.size == 4
    assert repr(scanner) == "<Scanner 4 bytes, 1 levels deep>"
    assert scanner.scan(REQUEST[4:]) == 6


def test_a_cut_head_that_ends_more_than_one_array() -> None:
    scanner = Scanner(Limits())
    assert scanner.scan(b"\x92\x91\x91\xc4") == -1
    assert scanner.scan(b"\x00") == -1
    assert scanner.scan(b"\xc0\xc0") == 1


def test_no_data_is_no_end() -> None:
    scanner = Scanner(Limits())
    assert scanner.scan(b"") == -1
    assert scanner.scan(REQUEST[:-1] + b"\xdc") == -1
    assert scanner.scan(b"") == -1
    assert scanner.scan(b"\x00\x00") == 2


def test_a_payload_over_many_pieces() -> None:
    scanner = Scanner(Limits(max_message=10_000))
    assert scanner.scan(b"\x92\xc5\x10\x00") == -1
    for _ in range(4095):
        assert scanner.scan(b"\xc1") == -1
    assert scanner.scan(b"\xc1\x07\xc1") == 2


@given(value=VALUES, most=st.integers(0, 6))
def test_depth_of_what_was_decoded(value: Encoded, most: int) -> None:
    try:
        decoded = msgpack.unpackb(
            value.data, strict_map_key=False, timestamp=1, raw=True, ext_hook=lambda code, _: code
        )
    except (
        ValueError,
        TypeError,
        BytesWarning,
    ):  # a bad timestamp, a key that is no key, or b"" and 0 under -bb
        return
    # Of two equal keys one is lost, with what was inside.
    if value.depth <= most or not value.widest:
        assert depth_exceeds(decoded, most) is (value.depth > most)


def test_depth_counts_what_holds_something() -> None:
    assert not depth_exceeds([[], {}, 5], 1)
    assert depth_exceeds([[1]], 1)
    assert not depth_exceeds([[1]], 2)
    assert depth_exceeds([{1: [2]}, 5], 2)
    assert not depth_exceeds([], 0)
    assert not depth_exceeds("text", 0)


def test_depth_of_a_tower() -> None:
    tower: list[Any] = [0]
    for _ in range(100_000):
        tower = [tower]
    assert depth_exceeds(tower, 64)
    assert not depth_exceeds(tower, 100_001)
    while tower and isinstance(tower[0], list):  # taken down by hand: so deep a one must not be freed at once
        tower = tower[0]
