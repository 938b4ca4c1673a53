"""When a copy of a call is due."""

from math import inf

import pytest

from evkit.rpc.hedging import MOST_COPIES, next_copy_after


@pytest.mark.parametrize(
    ("copies", "left", "due"),
    [
        (1, inf, 0.05),
        (1, 10.0, 0.05),
        (1, 0.06, 0.05),
        (1, 0.05, None),
        (1, 0.0, None),
        (MOST_COPIES, inf, None),
    ],
)
def test_a_copy_is_due_while_there_is_time_and_are_not_enough(
    copies: int, left: float, due: float | None
) -> None:
    assert next_copy_after(0.05, copies, left) == due


def test_at_once_is_a_time() -> None:
    assert next_copy_after(0.0, 1, 1.0) == 0.0
