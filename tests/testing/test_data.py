"""Input in pieces loses nothing, whatever the pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.testing import chunks, same_however_cut, split_everywhere, ways_to_cut


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


def test_ways_to_cut() -> None:
    assert list(ways_to_cut(b"abc")) == [[b"abc"], [b"a", b"bc"], [b"ab", b"c"], [b"a", b"b", b"c"]]
    assert list(ways_to_cut(b"ab")) == [[b"ab"], [b"a", b"b"]]
    assert list(ways_to_cut(b"a")) == [[b"a"]]
    assert list(ways_to_cut(b"")) == [[b""]]


def test_what_does_not_depend_on_the_cuts_passes() -> None:
    ways: list[list[bytes]] = []

    def run(pieces: list[bytes]) -> bytes:
        ways.append(pieces)
        return b"".join(pieces)

    assert same_however_cut(run, b"abcd") == b"abcd"
    assert ways == list(ways_to_cut(b"abcd"))


def test_what_depends_on_the_cuts_is_found() -> None:
    with pytest.raises(AssertionError, match=r"\[b'ab', b'c'\] it gives 'no', but whole 'yes'"):
        same_however_cut(lambda pieces: "no" if b"ab" in pieces else "yes", b"abc")
    with pytest.raises(AssertionError, match=r"\[b'a', b'b', b'c'\]"):
        same_however_cut(lambda pieces: len(pieces) > 2, b"abc")
