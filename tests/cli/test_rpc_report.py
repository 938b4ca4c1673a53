"""What is told of very many calls, meanwhile and in the end."""

import pytest

from evkit.cli.rpc_report import Report
from evkit.rpc import CallLost, CallTimeout, RemoteCallError

REFUSED = RemoteCallError("add", "no", "no", code=-5)


def report(good: int, *errors: Exception, total: int = 100) -> Report:
    made = Report(50.0, total)
    for _ in range(good):
        made.answered(1_000_000, None)
    for error in errors:
        made.answered(2_000_000, error)
    made.sample(52.0)
    return made


def test_the_line() -> None:
    assert repr(report(38, REFUSED, REFUSED)) == "<Report done=40 failed=2>"
    assert report(38, REFUSED, REFUSED).line(60) == " 40% 40 done, 2 failed, 20/s, 0:03 left"


def test_nothing_was_done() -> None:
    made = Report(50.0, 100)
    assert made.lines(51.0) == ["0 done, 0 failed in 0:01, 0/s"]
    assert made.facts(50.0)["rate"] is None


def test_all_there_is_to_tell() -> None:
    made = report(98, REFUSED, CallTimeout("add", 1.5))
    assert made.lines(60.0) == [
        "100 done, 2 failed in 0:10, 10/s",
        "time of an answer: min 1 ms, p50 1 ms, p90 1 ms, p99 2 ms, max 2 ms",
        "1 failed: add: [-5] no",
        "1 failed: add: no answer in 1.5 s",
    ]
    assert made.facts(60.0) == {
        "calls": 100,
        "failed": 2,
        "seconds": 10.0,
        "rate": 10.0,
        "latency": {
            "min": 0.001,
            "p50": pytest.approx(0.001, rel=0.01),
            "p90": pytest.approx(0.001, rel=0.01),
        }
        | {"p99": 0.002, "max": 0.002},
        "errors": {"add: [-5] no": 1, "add: no answer in 1.5 s": 1},
    }


def test_what_was_never_answered_took_no_time() -> None:
    made = report(0, CallTimeout("add", 1.5), CallLost("add", sent=True))
    assert made.latencies.count == 0
    assert len(made.lines(60.0)) == 3
    assert made.facts(60.0)["latency"] == dict.fromkeys(["min", "p50", "p90", "p99", "max"])


def test_errors_that_are_all_different_take_no_room() -> None:
    errors = [RemoteCallError("add", "", f"number {number}{'x' * 5000}\x1b") for number in range(1000)]
    made = report(0, *errors)
    assert len(made.errors) == 21
    assert made.errors["others"] == 980
    assert sum(made.errors.values()) == 1000
    assert max(map(len, made.errors)) == 200
    assert all(line.isprintable() for line in made.lines(60.0))
