"""Tags and integers: the bytes that libevent has for them, and what is read of odd ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.extra import TagError, TagIncomplete
from evkit.extra.tag_integers import int_bytes, read_int, read_last_int, read_tag, tag_bytes
from evrpc_peers import Libevent

U32 = 2**32 - 1
U64 = 2**64 - 1
# Measured with libevent 2.1.12.
TAGS = [
    (0, "00"),
    (0x66, "66"),
    (0x7F, "7f"),
    (0x80, "8001"),
    (0x166, "e602"),
    (0x3FFF, "ff7f"),
    (0x4000, "808001"),
    (0x10121, "a18204"),
    (0x12345, "c5c604"),
    (0xDEADBEEF, "effdb6f50d"),
    (U32, "ffffffff0f"),
]
INTEGERS = [
    (0, "00"),
    (1, "01"),
    (9, "09"),
    (0xF, "0f"),
    (0x10, "1010"),
    (0x12, "1210"),
    (0xFF, "1ff0"),
    (0x100, "2001"),
    (0x123, "2321"),
    (0xAF0, "20fa"),
    (0x1000, "300010"),
    (0xABCD, "3dcba0"),
    (0xBEF00, "400feb"),
    (0xDEADBEEF, "7feebdaed0"),
    (U32, "7ffffffff0"),
]
WIDE = [
    (2**32, "8000000001"),
    (0x1234567890ABCDEF, "ffedcba09876543210"),
    (U64, "fffffffffffffffff0"),
]


@pytest.mark.parametrize(("tag", "wire"), TAGS)
def test_a_tag(tag: int, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert tag_bytes(tag) == data
    assert read_tag(b"?" + data + b"?", 1, len(data) + 2) == (tag, len(data) + 1)


@pytest.mark.parametrize(("number", "wire"), INTEGERS + WIDE)
def test_an_integer(number: int, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert int_bytes(number, 64) == data
    assert read_int(b"?" + data + b"?", 1, len(data) + 2, 64) == (number, len(data) + 1)


@pytest.mark.parametrize(("number", "wire"), INTEGERS)
def test_an_integer_of_32_bits(number: int, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert int_bytes(number) == data
    assert read_int(data, 0, len(data)) == (number, len(data))


@pytest.mark.parametrize(
    ("wire", "number"),
    [("1000", 0), ("2000", 0), ("7000000000", 0), ("1ff5", 0xFF), ("05", 5)],
)
def test_an_odd_integer_is_read_as_libevent_does(wire: str, number: int, libevent: Libevent) -> None:
    data = bytes.fromhex(wire)
    assert read_int(data, 0, len(data)) == (number, len(data))
    assert libevent.take_apart("decode_int", 0, data) == (number, b"", 0)


@pytest.mark.parametrize(("wire", "tag"), [("8000", 0), ("81808000", 1), ("ffffffff00", 0xFFFFFFF)])
def test_an_odd_tag_is_read_as_libevent_does(wire: str, tag: int, libevent: Libevent) -> None:
    data = bytes.fromhex(wire)
    assert read_tag(data, 0, len(data)) == (tag, len(data))
    assert libevent.take_apart("decode_tag", 0, data) == (tag, b"", 0)


@pytest.mark.parametrize("wire", ["ffffffff1f", "ffffffff8f", "808080808000", "8080808080"])
def test_a_tag_of_more_than_32_bits(wire: str, libevent: Libevent) -> None:
    data = bytes.fromhex(wire)
    with pytest.raises(TagError, match=r"expected a tag of at most 32 bits, got .* \(at byte 1\)") as caught:
        read_tag(b"?" + data, 1, len(data) + 1)
    assert not isinstance(caught.value, TagIncomplete)
    assert libevent.take_apart("decode_tag", 0, data) is None


@pytest.mark.parametrize(("wire", "bits"), [("8000000001", 32), ("f000000000", 32)])
def test_an_integer_of_too_many_bits(wire: str, bits: int) -> None:
    data = bytes.fromhex(wire)
    with pytest.raises(TagError, match=f"at most {bits} bits, got one of") as caught:
        read_int(data, 0, len(data), bits)
    assert not isinstance(caught.value, TagIncomplete)


@pytest.mark.parametrize("wire", [wire for _, wire in TAGS])
def test_a_tag_that_is_not_all_there(wire: str) -> None:
    data = bytes.fromhex(wire)
    for size in range(len(data)):
        with pytest.raises(TagIncomplete, match=f"expected a tag, got {size} bytes of one"):
            read_tag(data, 0, size)


@pytest.mark.parametrize("wire", [wire for _, wire in INTEGERS + WIDE])
def test_an_integer_that_is_not_all_there(wire: str) -> None:
    data = bytes.fromhex(wire)
    for size in range(len(data)):
        with pytest.raises(TagIncomplete, match="expected an integer"):
            read_int(data, 0, size, 64)
        with pytest.raises(TagError, match="in its field") as caught:
            read_last_int(data, 0, size, 64)
        assert not isinstance(caught.value, TagIncomplete)


@pytest.mark.parametrize("number", [-1, U32 + 1])
def test_a_number_that_does_not_fit(number: int) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*32 - 1"):
        tag_bytes(number)
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*32 - 1"):
        int_bytes(number)
    with pytest.raises(ValueError, match=r"from 0 to 2\*\*64 - 1"):
        int_bytes(number << 32, 64)


def test_what_is_no_number() -> None:
    with pytest.raises(TypeError):
        tag_bytes("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        int_bytes(1.0)  # type: ignore[arg-type]


@given(st.integers(0, U32))
def test_tags_are_those_of_libevent(libevent: Libevent, tag: int) -> None:
    data = tag_bytes(tag)
    assert data == libevent.put_together("encode_tag", tag, 0)
    assert read_tag(data, 0, len(data)) == (tag, len(data))


@given(st.integers(0, U64) | st.integers(0, 64).map(lambda bits: 2**bits - 1))
def test_integers_are_those_of_libevent(libevent: Libevent, number: int) -> None:
    data = int_bytes(number, 64)
    assert data == libevent.put_together("encode_int64", 0, number)
    assert read_int(data, 0, len(data), 64) == (number, len(data))
    if number <= U32:
        assert data == int_bytes(number) == libevent.put_together("encode_int", 0, number)
