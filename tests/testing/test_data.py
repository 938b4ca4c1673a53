"""Input in pieces loses nothing, whatever the pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.testing import chunks, split_everywhere


def test_chunks() -> None:
    assert list(chunks(b"abcdefg", 3)) == [b"abc", b"def", b"g"]
    assert list(chunks(b"abc", 1)) == [b"a", b"b", b"c"]
    assert list(chunks(b"", 5)) == []


@pytest.mark.parametrize("size", [0, -1])
def test_chunks_of_nothing(size: int) -> None:
    with pytest.raises(ValueError, match="size must be >= 1"):
        list(chunks(b"abc", size))


def test_split_everywhere() -> None:
    assert list(split_everywhere(b"ab")) == [(b"", b"ab"), (b"a", b"b"), (b"ab", b"")]
    assert list(split_everywhere(b"")) == [(b"", b"")]


@given(st.binary(max_size=50), st.integers(1, 60))
def test_pieces_join_to_the_whole(data: bytes, size: int) -> None:
    assert b"".join(chunks(data, size)) == data
    assert {left + right for left, right in split_everywhere(data)} == {data}
