"""`evkit.http.client.course`: what follows a response or a failure, and what is told of the way there."""

import pytest

from evkit.http.client.course import Course
from evkit.http.client.origin import parse_url
from evkit.http.client.redirects import Redirects, Step
from evkit.http.client.response import Response
from evkit.http.client.retries import Progress, Retries, RetryBudget
from evkit.http.errors import RedirectError
from evkit.http.parser import ResponseHead

STEP = Step("GET", parse_url("http://a.test/1"))
BUSY = Retries(3, statuses=[503], unanswered=True, backoff=0.0)


def response(status: int, fields: bytes = b"") -> Response:
    return Response(ResponseHead(status, "", 1, 0, True, fields), STEP, ())


def answered(course: Course, status: int, fields: bytes = b"", *, follow: bool = True) -> Step | float | None:
    return course.answered(response(status, fields), STEP, follow=follow, repeatable=True, now=0.0)


@pytest.mark.parametrize("status", [200, 304, 404, 503])
def test_an_answer(status: int) -> None:
    assert answered(Course(Redirects(), Retries(3), None), status, b"Location: /2\r\n") is None


def test_a_redirect_and_its_refusal() -> None:
    course = Course(Redirects(limit=1), Retries(), None)
    moved = response(302, b"Location: /2\r\n")
    step = course.answered(moved, STEP, follow=True, repeatable=True, now=0.0)
    assert isinstance(step, Step)
    assert str(step.url) == "http://a.test/2"
    course.follow(moved)
    assert (str(course), course.history) == (", after 1 redirects", [moved])
    with pytest.raises(RedirectError):
        answered(course, 302, b"Location: /3\r\n")
    assert answered(course, 302, b"Location: /3\r\n", follow=False) is None


def test_a_busy_server_is_asked_again_on_any_connection() -> None:
    course = Course(Redirects(), BUSY, None)
    assert answered(course, 503, b"Retry-After: 7\r\n") == 7.0
    assert not course.fresh


def test_a_failure_needs_another_connection_until_the_next_redirect() -> None:
    course = Course(Redirects(), BUSY, None)
    assert course.failed(Progress.UNANSWERED, STEP, repeatable=True) == 0.0
    course.attempt += 1
    assert (course.fresh, str(course)) == (True, ", attempt 2")
    course.follow(response(302))
    assert (course.fresh, str(course)) == (False, ", after 1 redirects")


def test_each_step_has_all_attempts() -> None:
    course = Course(Redirects(), BUSY, None)
    for _ in range(3):
        pauses = [course.failed(Progress.UNANSWERED, STEP, repeatable=True) for _ in range(3)]
        assert pauses == [0.0, 0.0, None]
        course.follow(response(302))


def test_a_budget_that_is_used_up() -> None:
    course = Course(Redirects(), BUSY, RetryBudget(size=2.0))
    assert course.failed(Progress.UNANSWERED, STEP, repeatable=True) is None
