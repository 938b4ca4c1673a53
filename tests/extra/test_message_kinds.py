"""Payloads of fields: what each kind writes, reads and refuses."""

import pytest

from evkit.extra import TagError, TagIncomplete
from evkit.extra.message_kinds import Data, Kind, Number, Source, Text

SMALL, WIDE, TEXT, DATA, FIXED = Number(), Number(64), Text(), Data(), Data(3)


def read(kind: Kind, payload: bytes) -> object:
    """Read it where it lies in a message, as is done."""
    source = Source(b"?" + payload + b"\xff", None)
    return kind.decode(source, 1, 1 + len(payload), 1)


@pytest.mark.parametrize(
    ("kind", "value", "wire"),
    [
        (SMALL, 0x2342, "324320"),
        (WIDE, 0x123456789AB, "aba987654321"),
        (TEXT, "h\u00e9", "68c3a9"),
        (TEXT, "", ""),
        (DATA, b"\0\1", "0001"),
        (FIXED, b"abc", "616263"),
    ],
)
def test_a_value_there_and_back(kind: Kind, value: object, wire: str) -> None:
    assert kind.encode(value, 1).hex() == wire
    assert read(kind, bytes.fromhex(wire)) == value
    assert kind.is_complete(value, 1)


def test_bytes_that_could_change_are_copied() -> None:
    data = bytearray(b"abc")
    payload = FIXED.encode(data, 1)
    data[0] = 0
    assert payload == b"abc"
    assert DATA.encode(memoryview(b"abc"), 1) == b"abc"


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (SMALL, 2**32, r"from 0 to 2\*\*32 - 1"),
        (SMALL, -1, r"from 0 to 2\*\*32 - 1"),
        (WIDE, 2**64, r"from 0 to 2\*\*64 - 1"),
        (TEXT, "a\0", "without NUL"),
        (FIXED, b"ab", "expected 3 bytes, got 2"),
        (FIXED, b"abcd", "expected 3 bytes, got 4"),
    ],
)
def test_a_value_out_of_range(kind: Kind, value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        kind.encode(value, 1)


@pytest.mark.parametrize(
    ("kind", "value"), [(SMALL, "1"), (TEXT, b"a"), (DATA, "a"), (DATA, 3), (FIXED, [1])]
)
def test_a_value_of_another_type(kind: Kind, value: object) -> None:
    with pytest.raises(TypeError):
        kind.encode(value, 1)


@pytest.mark.parametrize(
    ("kind", "payload", "reason", "offset"),
    [
        (SMALL, b"", "expected an integer, got nothing in its field", 1),
        (SMALL, b"\x10", "expected an integer of 2 bytes, got 1 of them in its field", 1),
        (SMALL, b"\x80\0\0\0\1", "at most 32 bits", 1),
        (TEXT, b"a\xff", "expected UTF-8, got byte 0xff", 2),
        (FIXED, b"ab", "expected 3 bytes, got 2", 1),
    ],
)
def test_a_payload_that_is_none(kind: Kind, payload: bytes, reason: str, offset: int) -> None:
    with pytest.raises(TagError, match=reason) as caught:
        read(kind, payload)
    assert not isinstance(caught.value, TagIncomplete)
    assert caught.value.offset == offset


def test_what_follows_a_number_in_its_field_is_dropped() -> None:
    assert read(SMALL, b"\7\0\xff") == 7


def test_fields_are_counted() -> None:
    source = Source(b"", 2)
    source.count(0)
    source.count(1)
    with pytest.raises(TagError, match="expected at most 2 fields, got more") as caught:
        source.count(5)
    assert caught.value.offset == 5
