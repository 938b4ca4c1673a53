"""Settings that are numbers."""

import pytest

from evkit.rpc.pool.numbers import check_number


@pytest.mark.parametrize("number", [0, 1, 4])
def test_what_is_in_range_is_good(number: int) -> None:
    assert check_number("retries", number, 0, 4) == number


def test_there_may_be_no_highest() -> None:
    assert check_number("size", 10**6, 1) == 10**6


@pytest.mark.parametrize("number", [-1, 5, 1.0, "1", True, None])
def test_what_is_not_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"^expected retries as a number from 0 to 4, got "):
        check_number("retries", number, 0, 4)


def test_the_range_is_told() -> None:
    with pytest.raises(ValueError, match=r"^expected size as a number >= 1, got 0$"):
        check_number("size", 0, 1)
