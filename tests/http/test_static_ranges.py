"""`evkit.http.static.ranges`: RFC 9110 §14 as a table, and against slices of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.static.ranges import MAX_RANGES, content_range, last_line, part_head, select_ranges

WHOLE = None


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-499", [(0, 100)]),
        ("bytes=10-19", [(10, 20)]),
        ("bytes=90-", [(90, 100)]),
        ("bytes=0-", [(0, 100)]),
        ("bytes=-5", [(95, 100)]),
        ("bytes=-500", [(0, 100)]),
        ("BYTES=1-2", [(1, 3)]),
        ("bytes=0-18446744073709551615", [(0, 100)]),
        ("bytes=0-1,5-6", [(0, 2), (5, 7)]),
        ("bytes=5-6 , 0-1", [(5, 7), (0, 2)]),
        ("bytes= ,0-1,, -1", [(0, 2), (99, 100)]),
        ("bytes=0-1,2-3", [(0, 2), (2, 4)]),
        ("bytes=0-1,200-", [(0, 2)]),
        ("bytes=100-", []),
        ("bytes=100-200,300-", []),
        ("bytes=-0", []),
        ("bytes=-0,1-1", [(1, 2)]),
        ("bytes=0-5,5-6", WHOLE),
        ("bytes=0-,-1", WHOLE),
        ("bytes=0-0,0-0", WHOLE),
        ("bytes=5-4", WHOLE),
        ("bytes=0-1,5-4", WHOLE),
        ("bytes=300-200", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=", WHOLE),
        ("bytes=,", WHOLE),
        ("bytes", WHOLE),
        ("", WHOLE),
        ("lines=0-1", WHOLE),
        ("bytes =0-1", WHOLE),
        ("bytes=0 -1", WHOLE),
        ("bytes=a-b", WHOLE),
        ("bytes=0-1-2", WHOLE),
        ("bytes=+0-1", WHOLE),
        ("bytes=0x0-1", WHOLE),
        ("bytes=²-3", WHOLE),
        ("bytes=0-1, bytes=2-3", WHOLE),
        ("bytes=" + "9" * 5000 + "-", WHOLE),  # int() gives up above 4300 digits
    ],
)
def test_a_hundred_bytes(value: str, chosen: list[tuple[int, int]] | None) -> None:
    assert select_ranges(value, 100) == chosen


@pytest.mark.parametrize(
    ("value", "chosen"), [("bytes=0-", []), ("bytes=-0", []), ("bytes=-5", WHOLE), ("bytes=x", WHOLE)]
)
def test_an_empty_file(value: str, chosen: list[tuple[int, int]] | None) -> None:
    assert select_ranges(value, 0) == chosen


def test_too_many_ranges_get_the_whole_file() -> None:
    specs = [f"{2 * n}-{2 * n}" for n in range(MAX_RANGES + 1)]
    assert select_ranges("bytes=" + ",".join(specs[:-1]), 100) == [
        (2 * n, 2 * n + 1) for n in range(MAX_RANGES)
    ]
    assert select_ranges("bytes=" + ",".join(specs), 100) is None


@given(st.binary(max_size=40), st.integers(0, 50), st.integers(0, 50))
def test_one_range_is_a_slice(data: bytes, first: int, length: int) -> None:
    expected = data[first : first + length + 1]
    chosen = select_ranges(f"bytes={first}-{first + length}", len(data))
    assert chosen is not None
    assert [data[a:b] for a, b in chosen] == ([expected] if expected else [])


@given(st.binary(min_size=1, max_size=40), st.integers(1, 50))
def test_a_suffix_is_a_slice_from_the_end(data: bytes, length: int) -> None:
    chosen = select_ranges(f"bytes=-{length}", len(data))
    assert chosen is not None
    assert [data[a:b] for a, b in chosen] == [data[-length:]]


SPEC = st.tuples(st.none() | st.integers(0, 60), st.none() | st.integers(0, 60))


@given(st.lists(SPEC, max_size=20), st.integers(0, 50))
def test_what_is_chosen_is_within_the_file_and_never_more_than_it(
    specs: list[tuple[int | None, int | None]], size: int
) -> None:
    text = ",".join(f"{'' if a is None else a}-{'' if b is None else b}" for a, b in specs)
    chosen = select_ranges(f"bytes={text}", size) or []
    assert all(0 <= first < stop <= size for first, stop in chosen)
    assert sum(stop - first for first, stop in chosen) <= size
    assert len(chosen) <= MAX_RANGES


def test_fields_and_part_heads() -> None:
    assert content_range((0, 10), 100) == "bytes 0-9/100"
    assert part_head("xyz", "text/plain", (5, 6), 7) == (
        b"\r\n--xyz\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-5/7\r\n\r\n"
    )
    assert last_line("xyz") == b"\r\n--xyz--\r\n"
