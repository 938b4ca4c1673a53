"""Options are checked when they are made."""

from typing import Any

import pytest

from evkit.http.websocket.deflate import Deflate
from evkit.http.websocket.options import WebSocketOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in ("max_message", "max_frame", "high_water", "max_buffered")),
        *(
            (name, value)
            for name in ("ping_after", "ping_timeout", "close_timeout", "write_timeout")
            for value in (0, -1.0, float("inf"), float("nan"))
        ),
    ],
)
def test_values_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a positive number"):
        WebSocketOptions(**{name: value})  # type: ignore[arg-type]  # whatever its type


SIZES = ("max_message", "max_frame", "high_water", "max_buffered")
TIMES = ("ping_after", "ping_timeout", "close_timeout", "write_timeout")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in SIZES for value in ("5", 1.5, True, [1])),
        *((name, value) for name in TIMES for value in ("5", True, [1])),
        *((name, None) for name in ("high_water", "ping_timeout", "close_timeout")),
        *(("deflate", value) for value in (True, 5, {}, Deflate)),
    ],
)
def test_values_of_another_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"expected {name} as"):
        WebSocketOptions(**{name: value})


def test_no_limits() -> None:
    options = WebSocketOptions(
        max_message=None, max_frame=None, ping_after=None, write_timeout=None, max_buffered=None
    )
    assert options.max_message is None


def test_the_two_marks_of_the_output_are_in_order() -> None:
    assert WebSocketOptions(high_water=10, max_buffered=10).high_water == 10
    with pytest.raises(ValueError, match="max_buffered must be >= high_water, got 9 < 10"):
        WebSocketOptions(high_water=10, max_buffered=9)
