"""What the command line says of workers."""

import os
from argparse import ArgumentTypeError

import pytest

from evkit.cli.crew import (
    MOST,
    Crew,
    make_crew,
    requests,
    requests_from_zero,
    usable_processors,
    worker_count,
)


@pytest.mark.parametrize("size", [None, 1])
def test_one_process_needs_nobody_to_watch_over_it(size: int | None) -> None:
    assert make_crew(size, None, None, None) is None
    assert make_crew(size, None, 5, None) is None


def test_several_do() -> None:
    assert make_crew(3, None, None, None) == Crew(3)


def test_one_that_is_to_be_replaced_does_too() -> None:
    assert make_crew(None, 1000, None, None) == Crew(1, max_requests=1000, jitter=100)
    assert make_crew(1, 1000, 0, None) == Crew(1, max_requests=1000, jitter=0)
    assert make_crew(None, None, None, 60.0) == Crew(1, max_age=60.0)


def test_requests_differ_by_the_jitter() -> None:
    drawn = {Crew(1, max_requests=10, jitter=2).draw_max_requests() for _ in range(1000)}
    assert drawn == {8, 9, 10, 11, 12}
    assert Crew(1, max_requests=10, jitter=0).draw_max_requests() == 10
    assert Crew(1).draw_max_requests() is None


def test_at_least_one_request_is_served() -> None:
    drawn = {Crew(1, max_requests=1, jitter=3).draw_max_requests() for _ in range(1000)}
    assert drawn == {1, 2, 3, 4}


def test_counts() -> None:
    assert worker_count("1") == 1
    assert worker_count("1024") == MOST
    assert requests("1") == 1
    assert requests_from_zero("0") == 0
    assert requests_from_zero("999999999") == 999999999


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "+1", "1_0", "1.5", "1K", "\u0664", "Auto", "1025", "1" * 5000]
)
def test_what_is_no_number_of_workers(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a number from 1 to 1024, or auto, got "):
        worker_count(text)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1_0", "1.5", "1K", "\u0664", "1" * 5000])
def test_what_is_no_number_of_requests(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="expected a number from 1, got "):
        requests(text)
    with pytest.raises(ArgumentTypeError, match="expected a number from 0, got "):
        requests_from_zero(text)


def test_zero_requests_are_too_few() -> None:
    with pytest.raises(ArgumentTypeError, match="expected a number from 1, got '0'"):
        requests("0")


def test_auto_counts_the_processors_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert worker_count("auto") == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_processors() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_processors() == 1
