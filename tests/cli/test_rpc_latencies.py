"""Percentiles of many times, in little memory."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.cli.rpc_latencies import Latencies, show_latency


def gathered(times: list[int]) -> Latencies:
    latencies = Latencies()
    for time in times:
        latencies.add(time)
    return latencies


@given(st.lists(st.integers(0, 1 << 62), min_size=1), st.sampled_from([0, 1, 50, 90, 99, 100]))
def test_a_percentile_is_at_most_a_little_too_high(times: list[int], percent: int) -> None:
    exact = sorted(times)[max(1, math.ceil(len(times) * percent / 100)) - 1] / 1e9
    assert exact * (1 - 1e-12) <= gathered(times).percentile(percent) <= exact * (1 + 1 / 128)


def test_the_ends_are_exact() -> None:
    latencies = gathered([1_234_567_891, 7_654_321, 99_999_999])
    assert (latencies.percentile(0), latencies.percentile(100)) == (0.007654321, 1.234567891)


def test_all_but_one_in_a_hundred() -> None:
    assert gathered([100] * 99 + [10**9]).percentile(99) == 100e-9
    assert gathered([100] * 98 + [10**9] * 2).percentile(99) == 1.0


def test_none() -> None:
    latencies = Latencies()
    assert [latencies.percentile(percent) for percent in (0, 50, 100)] == [0, 0, 0]
    assert repr(latencies) == "<Latencies count=0>"


def test_memory_does_not_grow_with_the_number() -> None:
    """Every time of a second, in steps of a microsecond, is in one of some thousand ranges."""
    latencies = gathered(list(range(0, 10**9, 10**4)))
    assert latencies.count == 10**5
    assert len(latencies._counts) < 3000


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 µs"),
        (4.2e-8, "0.042 µs"),
        (7.89e-4, "789 µs"),
        (9.9949e-4, "999 µs"),
        (9.996e-4, "1 ms"),
        (0.0456, "45.6 ms"),
        (0.9996, "1 s"),
        (1.234, "1.23 s"),
        (61.5, "61.5 s"),
        (1234, "1230 s"),
    ],
)
def test_times_for_a_reader(seconds: float, shown: str) -> None:
    assert show_latency(seconds) == shown
