"""`evkit.http.client.retries`: what is sent again, and after how long."""

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.client.retries import BUSY, Attempts, Progress, Retries, RetryBudget, seconds_of

IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]  # RFC 9110 §9.2.2
OTHERS = ["POST", "PATCH", "CONNECT", "QUERYISH", "get"]
NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


def attempts(rules: Retries, method: str = "GET", *, repeatable: bool = True) -> Attempts:
    return Attempts(rules, method, repeatable=repeatable)


ALL = Retries(9, unanswered=True, statuses=BUSY)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
@pytest.mark.parametrize("progress", Progress)
def test_what_may_be_sent_again(progress: Progress, method: str, repeatable: bool) -> None:
    """RFC 9110 §9.2.2, RFC 9112 §9.3.1."""
    safe = method in IDEMPOTENT and repeatable
    expected = {
        Progress.NOTHING_SENT: True,
        Progress.STALE: safe,
        Progress.UNANSWERED: safe,
        Progress.BROKEN: False,
    }[progress]
    again = attempts(ALL, method, repeatable=repeatable).failed(progress, 0.5)
    assert (again is not None) == expected


@pytest.mark.parametrize("method", IDEMPOTENT + OTHERS)
def test_by_default_only_a_stale_connection_is_forgiven_and_once(method: str) -> None:
    for progress in Progress:
        tried = attempts(Retries(), method)
        assert tried.failed(progress, 0.5) == (
            0.0 if progress is Progress.STALE and method in IDEMPOTENT else None
        )
        assert tried.failed(progress, 0.5) is None
    assert attempts(Retries(), method).answered(503, "1", NOW, 0.5) is None


def test_forgiveness_can_be_switched_off() -> None:
    assert attempts(Retries(stale=False)).failed(Progress.STALE, 0.5) is None
    # Then it is a connection that ended without an answer, like any other.
    assert attempts(Retries(2, stale=False, unanswered=True)).failed(Progress.STALE, 0.5) == 0.05
    assert attempts(Retries(2, stale=False)).failed(Progress.STALE, 0.5) is None


def test_forgiveness_counts_for_nothing() -> None:
    tried = attempts(Retries(2))
    assert tried.failed(Progress.STALE, 0.5) == 0.0
    assert tried.failures == 0
    assert tried.failed(Progress.NOTHING_SENT, 0.5) is not None
    assert tried.failed(Progress.NOTHING_SENT, 0.5) is None
    assert tried.failures == 2


def test_unanswered_requests_are_not_sent_again_unless_asked_for() -> None:
    assert attempts(Retries(5)).failed(Progress.UNANSWERED, 0.5) is None
    assert attempts(Retries(5, unanswered=True)).failed(Progress.UNANSWERED, 0.5) is not None


@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_number_of_attempts(most: int) -> None:
    tried = attempts(Retries(most))
    for _ in range(most - 1):
        assert tried.failed(Progress.NOTHING_SENT, 0.0) == 0.0
    assert tried.failed(Progress.NOTHING_SENT, 0.0) is None


@pytest.mark.parametrize("status", [200, 301, 400, 404, 408, 425, 429, 500, 501, 502, 503, 504])
def test_statuses_are_chosen(status: int) -> None:
    assert attempts(Retries(2)).answered(status, None, NOW, 0.0) is None
    again = attempts(Retries(2, statuses=BUSY)).answered(status, None, NOW, 0.0)
    assert (again is not None) == (status in (429, 502, 503, 504))
    assert (attempts(Retries(2, statuses=[status])).answered(status, None, NOW, 0.0)) == 0.0


def test_a_status_of_a_request_that_is_not_repeated() -> None:
    assert attempts(ALL, "POST").answered(503, None, NOW, 0.0) is None
    assert attempts(ALL, "PUT", repeatable=False).answered(503, None, NOW, 0.0) is None
    assert attempts(Retries(2, statuses=BUSY, methods=["POST"]), "POST").answered(503, None, NOW, 0.0) == 0.0


def test_what_is_no_failure_counts_for_none() -> None:
    tried = attempts(ALL)
    assert tried.answered(200, None, NOW, 0.0) is None
    assert tried.failures == 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120\t", 120.0),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3.0),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3.0),
        ("Sun Nov  6 08:49:40 1994", 3.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("", 0.0),
        ("-1", 0.0),
        ("+5", 0.0),
        ("1.5", 0.0),
        ("1_0", 0.0),
        ("٣", 0.0),
        ("²", 0.0),
        ("soon", 0.0),
        ("5, 6", 0.0),
        ("9" * 30, float("9" * 30)),
        ("9" * 5000, math.inf),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert seconds_of(value, NOW) == seconds


def test_retry_after_is_waited_for_whatever_the_dice_say() -> None:
    rules = Retries(5, statuses=BUSY, backoff=1.0)
    assert attempts(rules).answered(503, "7", NOW, 0.0) == 7.0
    assert attempts(rules).answered(503, "7", NOW, 0.5) == 7.5
    assert attempts(rules).answered(503, formatdate(NOW + 7, usegmt=True), NOW, 0.0) == 7.0


def test_who_asks_for_too_much_gets_nothing() -> None:
    rules = Retries(5, statuses=BUSY, max_retry_after=60)
    assert attempts(rules).answered(503, "60", NOW, 0.0) == 60.0
    assert attempts(rules).answered(503, "61", NOW, 0.0) is None
    assert attempts(rules).answered(503, "9" * 5000, NOW, 0.0) is None


def test_the_wait_doubles_up_to_its_limit() -> None:
    rules = Retries(99, backoff=0.5, max_backoff=3.0)
    tried = attempts(rules)
    waits = [tried.failed(Progress.NOTHING_SENT, 1.0) for _ in range(5)]
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(
    st.integers(1, 10**6),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_the_wait_is_within_its_limits(retry: int, draw: float, backoff: float, limit: float) -> None:
    wait = Retries(2, backoff=backoff, max_backoff=limit).delay(retry, draw)
    assert 0.0 <= wait <= limit
    if retry < 20:
        assert wait <= backoff * 2 ** (retry - 1)


def test_a_budget_is_for_all_requests() -> None:
    budget = RetryBudget(4, 0.5)
    rules = Retries(9)

    def fail() -> float | None:
        return Attempts(rules, "GET", repeatable=True, budget=budget).failed(Progress.NOTHING_SENT, 0.0)

    assert fail() == 0.0  # 3 are left
    assert fail() is None  # 2: half of it
    assert [fail() for _ in range(9)] == [None] * 9  # 0, not less
    for _ in range(6):
        budget.succeeded()  # 3
    assert fail() is None
    for _ in range(4):
        budget.succeeded()  # 4
    assert fail() == 0.0


def test_a_budget_has_a_ceiling() -> None:
    budget = RetryBudget(4, 1.0)
    for _ in range(100):
        budget.succeeded()
    assert repr(budget) == "<RetryBudget 4 of 4>"
    assert [budget.failed() for _ in range(2)] == [True, False]


def test_forgiveness_costs_no_budget() -> None:
    budget = RetryBudget(4, 1.0)
    assert Attempts(Retries(), "GET", repeatable=True, budget=budget).failed(Progress.STALE, 0.0) == 0.0
    assert repr(budget) == "<RetryBudget 4 of 4>"


@pytest.mark.parametrize(
    "kwargs",
    [
        {"attempts": 0},
        {"backoff": -1},
        {"max_backoff": -1},
        {"max_retry_after": -0.1},
        {"backoff": math.nan},
    ],
)
def test_rules_that_are_none(kwargs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Retries(**kwargs)  # type: ignore[arg-type]  # that is what is tested


def test_one_method_is_not_several() -> None:
    with pytest.raises(TypeError, match="several str"):
        Retries(methods="GET")


@pytest.mark.parametrize(("size", "ratio"), [(0, 1), (1, 0), (-1, 1), (math.nan, 1)])
def test_a_budget_that_is_none(size: float, ratio: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        RetryBudget(size, ratio)


def test_they_show_themselves() -> None:
    rules = Retries(3, statuses=[503, 429])
    assert repr(rules) == "<Retries attempts=3 stale=True statuses=[429, 503]>"
    assert repr(attempts(rules)) == "<Attempts 0 of 3 failed>"
