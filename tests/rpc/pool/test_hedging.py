"""When a copy of a call is due."""

from math import inf

import pytest

from evkit.rpc.pool.hedging import LEAST_LOOK, MOST_COPIES, next_copy_after, next_look_after


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


@pytest.mark.parametrize(
    ("hedge_after", "left", "due"),
    [
        (0.05, inf, 0.05),
        (0.05, 0.06, 0.05),
        (0.05, 0.05, None),
        (0.0, inf, LEAST_LOOK),
        (0.0, 2 * LEAST_LOOK, LEAST_LOOK),
        (0.0, LEAST_LOOK, None),
    ],
)
def test_a_copy_that_nobody_could_get_is_tried_again_but_not_all_the_time(
    hedge_after: float, left: float, due: float | None
) -> None:
    assert next_look_after(hedge_after, left) == due


def test_never_is_never() -> None:
    assert next_copy_after(inf, 1, inf) is None
    assert next_look_after(inf, inf) is None
