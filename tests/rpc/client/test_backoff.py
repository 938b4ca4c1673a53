"""Back-off."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.rpc.client.backoff import Backoff

rolls = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("failures", "roll", "seconds"),
    [
        (0, 0.0, 0.0),
        (0, 0.9, 0.0),
        (1, 0.0, 0.1),
        (1, 0.5, 0.075),
        (2, 0.0, 0.2),
        (3, 0.0, 0.4),
        (7, 0.0, 6.4),
        (8, 0.0, 10.0),
        (8, 0.5, 7.5),
        (1_000_000, 0.0, 10.0),
    ],
)
def test_each_failure_doubles_the_delay_up_to_the_most(failures: int, roll: float, seconds: float) -> None:
    assert Backoff().delay(failures, roll) == pytest.approx(seconds)


def test_the_settings_are_kept_and_shown() -> None:
    backoff = Backoff(1, 3, 20, 0.25)
    assert (backoff.first, backoff.factor, backoff.most, backoff.jitter) == (1, 3, 20, 0.25)
    assert [backoff.delay(n, 0) for n in (1, 2, 3, 4)] == [1, 3, 9, 20]
    assert repr(backoff) == "<Backoff 1 s x3, most 20 s, jitter 0.25>"


@pytest.mark.parametrize("setting", ["first", "factor", "most", "jitter"])
def test_the_settings_can_not_be_changed(setting: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Backoff(), setting, 1.0)


def test_a_first_delay_of_nothing_stays_nothing() -> None:
    assert [Backoff(first=0).delay(n, 0) for n in (1, 2, 5000)] == [0, 0, 0]
    assert Backoff(first=0, factor=1e300).delay(5000, 0) == 0


def test_a_huge_factor_ends_at_the_most() -> None:
    assert Backoff(factor=1e300).delay(5000, 0) == 10.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"first": -0.1}, "first of 0 or more seconds, got -0.1"),
        ({"factor": 0.9}, "a factor of 1 or more, got 0.9"),
        ({"first": 11.0}, "most of no less than the 11.0 s of the first, got 10.0"),
        ({"jitter": 1.1}, "a jitter from 0 to 1, got 1.1"),
        ({"jitter": -0.1}, "a jitter from 0 to 1, got -0.1"),
        ({"most": float("inf")}, "most as a finite number, got inf"),
        ({"first": float("nan")}, "first as a finite number, got nan"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Backoff(**settings)


@pytest.mark.parametrize("value", ["1", None, True])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="expected factor as a number"):
        Backoff(factor=value)  # type: ignore[arg-type]  # on purpose


@given(
    first=st.floats(0, 100),
    factor=st.floats(1, 1e6),
    above=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
    failures=st.integers(0, 10_000),
    roll=rolls,
)
def test_no_delay_leaves_its_bounds(
    first: float, factor: float, above: float, jitter: float, failures: int, roll: float
) -> None:
    backoff = Backoff(first, factor, first + above, jitter)
    delay = backoff.delay(failures, roll)
    longest = backoff.delay(failures, 0.0)
    assert 0 <= delay <= longest <= backoff.most
    assert delay >= longest * (1 - jitter) * (1 - 1e-12)
    assert backoff.delay(failures + 1, 0.0) >= longest
