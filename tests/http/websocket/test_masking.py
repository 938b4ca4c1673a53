"""Masks: every length on both sides of the place where the way changes, against the definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.websocket.masking import masked, turned
from websocket_aids import MASK, xor


@pytest.mark.parametrize("size", [*range(20), 125, 126, 4095, 4096, 4097, 4098, 4099, 4100, 65537])
def test_it_is_what_the_rfc_says(size: int) -> None:
    data = bytes(at * 7 & 0xFF for at in range(size))
    assert masked(data, MASK) == xor(data, MASK)
    assert masked(masked(data, MASK), MASK) == data


def test_the_example_of_the_rfc() -> None:
    assert masked(b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("7f9f4d5158")


@given(st.binary(max_size=50), st.binary(min_size=4, max_size=4), st.integers(0, 50))
def test_a_key_goes_on_where_it_was_left(data: bytes, key: bytes, cut: int) -> None:
    first, rest = data[:cut], data[cut:]
    assert masked(first, key) + masked(rest, turned(key, len(first))) == xor(data, key)
