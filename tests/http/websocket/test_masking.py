"""Masks: every length on both sides of the place where the way changes, against the definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.websocket.masking import masked, turned, unmasked
from websocket_aids import MASK, xor


@pytest.mark.parametrize("size", [*range(20), 125, 126, *range(2043, 2053), 65537])
def test_it_is_what_the_rfc_says(size: int) -> None:
    data = bytes(at * 7 & 0xFF for at in range(size))
    assert masked(data, MASK) == xor(data, MASK)
    assert masked(masked(data, MASK), MASK) == data


@given(
    st.binary(max_size=9), st.binary(min_size=4, max_size=4), st.binary(max_size=50), st.binary(max_size=9)
)
def test_it_is_taken_off_in_the_middle_of_what_came(
    before: bytes, key: bytes, data: bytes, after: bytes
) -> None:
    start = len(before) + 4
    came = before + key + xor(data, key) + after
    assert unmasked(came, start, start + len(data)) == data


@pytest.mark.parametrize("size", [2047, 2048, 2049, 2050, 5000])
@pytest.mark.parametrize("key", [MASK, bytes(4), b"\0\0\0\1", b"\xff" * 4])
def test_it_is_taken_off_what_is_long(size: int, key: bytes) -> None:
    data = bytes(at * 7 & 0xFF for at in range(size))
    assert unmasked(b"head" + key + xor(data, key) + b"tail", 8, 8 + size) == data


def test_the_example_of_the_rfc() -> None:
    assert masked(b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("7f9f4d5158")


@given(st.binary(max_size=50), st.binary(min_size=4, max_size=4), st.integers(0, 50))
def test_a_key_goes_on_where_it_was_left(data: bytes, key: bytes, cut: int) -> None:
    first, rest = data[:cut], data[cut:]
    assert masked(first, key) + masked(rest, turned(key, len(first))) == xor(data, key)
