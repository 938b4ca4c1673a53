"""What is told of a file of names while it is asked for, and in the end."""

import pytest

from evkit.cli.resolve_progress import Tally
from evkit.cli.resolve_questions import Question
from evkit.cli.resolve_results import Result
from evkit.dns.answer import Answer
from evkit.errors import NameNotFound, ResolveTimeout

QUESTION = Question("a.test", ("A",))
GOOD = Result(QUESTION, (Answer("a.test", "A"),))
NONE = Result(QUESTION, (NameNotFound("a.test", "A"),))
SILENCE = Result(QUESTION, (ResolveTimeout("a.test", "A"),))


def tally(good: int, failed: int, seconds: float, *, passed: int = 0, size: int | None = None) -> Tally:
    made = Tally(100.0)
    made.passed, made.size = passed, size
    for _ in range(good):
        made.add(GOOD)
    for _ in range(failed):
        made.add(NONE)
    made.sample(100.0 + seconds)
    return made


def test_it_counts() -> None:
    made = tally(3, 2, 1.0)
    assert (made.done, made.failed, made.bad) == (5, 2, 0)
    assert repr(made) == "<Tally done=5 failed=2 bad=0>"


def test_it_knows_whether_a_server_was_heard() -> None:
    made = Tally(0.0)
    made.add(SILENCE)
    assert not made.heard
    made.add(NONE)
    made.add(SILENCE)
    assert made.heard


def test_the_line_of_a_file() -> None:
    made = tally(2000, 500, 2.0, passed=25_000, size=100_000)
    told = "2,500 done, 500 failed, 1,250/s, 0:06 left"
    assert made.line(79) == f" 25% [{'#' * 3}{'-' * 10}] {told}"
    assert made.line(200) == f" 25% [{'#' * 7}{'-' * 23}] {told}"
    assert made.line(60) == f" 25% {told}"
    assert made.line(9) == " 25% 2,50"


def test_the_line_of_a_pipe() -> None:
    assert tally(10, 0, 2.0, passed=40).line(79) == "10 done, 0 failed, 5/s"
    assert tally(10, 0, 2.0, passed=40).line(7) == "10 done"


@pytest.mark.parametrize(("passed", "size"), [(0, 100), (0, 0)])
def test_nothing_has_come_yet(passed: int, size: int) -> None:
    assert "left" not in tally(0, 0, 1.0, passed=passed, size=size).line(79)


def test_the_file_has_grown() -> None:
    assert tally(9, 0, 1.0, passed=300, size=100).line(65) == "100% 9 done, 0 failed, 9/s, 0:00 left"


def test_a_line_is_never_wider_than_the_terminal() -> None:
    made = tally(1, 1, 1e-6, passed=1, size=1 << 60)
    made._meter.done = 10**15
    made.failed = 10**15
    for width in (20, 79, 200):
        assert len(made.line(width)) <= width


def test_the_summary() -> None:
    made = tally(2000, 500, 1.0)
    assert made.summary(110.0) == "2,500 done, 500 failed in 0:10, 250/s"
    assert made.summary(100.0) == "2,500 done, 500 failed in 0:00"
    made.bad = 3
    assert made.summary(110.0) == "2,500 done, 500 failed, 3 bad lines in 0:10, 250/s"
    made.bad = 1
    assert made.summary(110.0) == "2,500 done, 500 failed, 1 bad line in 0:10, 250/s"
