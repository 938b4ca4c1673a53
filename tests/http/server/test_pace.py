"""`Pace`: a time that every byte makes longer."""

from hypothesis import given
from hypothesis import strategies as st

from evkit.http.server.pace import Pace


def test_without_a_byte_only_the_grace_is_left() -> None:
    pace = Pace(100.0, 30.0, 500.0)
    assert [pace.left(now) for now in (100.0, 129.0, 130.0, 131.0)] == [30.0, 1.0, 0.0, -1.0]


def test_bytes_buy_time() -> None:
    pace = Pace(0.0, 30.0, 500.0)
    pace.came(1000)
    assert pace.left(30.0) == 2.0


def test_no_time_passes_while_it_is_held() -> None:
    pace = Pace(0.0, 30.0, 500.0)
    pace.hold(10.0)
    pace.go_on(1000.0)
    assert pace.left(1000.0) == 20.0


def test_time_cannot_be_saved_up() -> None:
    pace = Pace(0.0, 30.0, 500.0)
    pace.came(50_000_000)
    assert pace.left(10.0) == 30.0
    assert pace.left(39.0) == 1.0


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10_000)), max_size=30))
def test_as_the_sum_says(steps: list[tuple[int, int]]) -> None:
    """A leaking bucket: it holds the grace, a byte fills it, and a second empties it."""
    pace = Pace(0.0, 30.0, 500.0)
    now, level = 0.0, 30.0
    for seconds, came in steps:
        now += seconds
        pace.came(came)
        level = min(level - seconds + came / 500, 30.0)
        assert abs(pace.left(now) - level) < 1e-6
