"""Limits are checked when they are made."""

import dataclasses
from typing import Any

import pytest

from evkit.rpc.limits import Limits

TIMES = ("message_timeout", "half_closed_timeout")
COUNTS = tuple(field.name for field in dataclasses.fields(Limits) if field.name not in TIMES)


def make(name: str, value: Any) -> Limits:
    return Limits(**{name: value})


@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_at_least_its_least(name: str) -> None:
    least = {"max_depth": 2, "max_stray": 0, "max_paused": 0, "low": 0}.get(name, 1)
    most = {"max_message": 2**30, "max_depth": 1000}.get(name, 2**32 - 1)
    given = {name: least} if name != "high" else {"high": 1, "low": 0}
    assert getattr(Limits(**given), name) == least  # type: ignore[arg-type]  # whatever its type
    with pytest.raises(ValueError, match=f"^{name} must be from {least} to {most}, got {least - 1}$"):
        make(name, least - 1)


@pytest.mark.parametrize(
    ("name", "most"), [("max_message", 2**30), ("max_depth", 1000), ("max_map", 2**32 - 1)]
)
def test_a_count_is_at_most_its_most(name: str, most: int) -> None:
    assert getattr(make(name, most), name) == most
    with pytest.raises(ValueError, match=f"^{name} must be from [12] to {most}, got {most + 1}$"):
        make(name, most + 1)


@pytest.mark.parametrize("value", ["5", 1.0, None, True])
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_an_int(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^expected {name} as an int, got {type(value).__name__}$"):
        make(name, value)


@pytest.mark.parametrize("value", [0, -1, 0.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a positive number of seconds, got"):
        make(name, value)


@pytest.mark.parametrize("value", ["5", True, [1]])
@pytest.mark.parametrize("name", TIMES)
def test_a_time_is_a_number(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^expected {name} as a number, or None, got"):
        make(name, value)


@pytest.mark.parametrize("name", TIMES)
def test_no_time_and_any_time(name: str) -> None:
    assert getattr(make(name, None), name) is None
    assert getattr(make(name, 1), name) == 1


def test_the_marks_of_the_output_are_in_order() -> None:
    assert Limits(low=10, high=10).low == 10
    with pytest.raises(ValueError, match=r"^low must be <= high, got 11 > 10$"):
        Limits(low=11, high=10)


def test_limits_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().max_map = 5  # type: ignore[misc]  # that is the point
