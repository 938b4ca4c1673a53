"""Where evkit's words go."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evkit.core.log import (
    LOG_DEBUG,
    LOG_ERR,
    LOG_MSG,
    LOG_WARN,
    exception_lines,
    fatal,
    log,
    set_fatal_callback,
    set_log_callback,
)
from evkit.errors import LoopError


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    set_log_callback(None)
    set_fatal_callback(None)


def test_severities_are_libevents() -> None:
    assert (LOG_DEBUG, LOG_MSG, LOG_WARN, LOG_ERR) == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("severity", "level"),
    [
        (LOG_DEBUG, logging.DEBUG),
        (LOG_MSG, logging.INFO),
        (LOG_WARN, logging.WARNING),
        (LOG_ERR, logging.ERROR),
    ],
)
def test_default_is_pythons_logging(caplog: pytest.LogCaptureFixture, severity: int, level: int) -> None:
    with caplog.at_level(logging.DEBUG, "evkit"):
        log(severity, "100% as it is: %s %d")
    assert caplog.record_tuples == [("evkit", level, "100% as it is: %s %d")]


def test_callback_takes_over_until_it_is_taken_away(caplog: pytest.LogCaptureFixture) -> None:
    lines: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    log(LOG_WARN, "mine")
    set_log_callback(None)
    log(LOG_WARN, "logging's")
    assert lines == [(LOG_WARN, "mine")]
    assert caplog.messages == ["logging's"]


@pytest.mark.parametrize("choose", [set_log_callback, set_fatal_callback])
def test_what_can_not_be_called_is_refused_at_once(choose: Callable[[Any], None]) -> None:
    with pytest.raises(TypeError, match="must be callable, got 3"):
        choose(3)


def test_fatal_logs_calls_and_raises() -> None:
    log_lines: list[tuple[int, str]] = []
    fatal_lines: list[str] = []
    cause = OSError("why")
    set_log_callback(lambda severity, message: log_lines.append((severity, message)))
    set_fatal_callback(fatal_lines.append)
    with pytest.raises(LoopError, match=r"^it is over$") as caught:
        fatal("it is over", cause)
    assert caught.value.__cause__ is cause
    assert log_lines == [(LOG_ERR, "it is over")]
    assert fatal_lines == ["it is over"]


def test_fatal_callback_may_raise_something_of_its_own() -> None:
    def leave(message: str) -> None:
        raise SystemExit(message)

    set_log_callback(lambda _severity, _message: None)
    set_fatal_callback(leave)
    with pytest.raises(SystemExit, match="it is over"):
        fatal("it is over")
    set_fatal_callback(None)
    with pytest.raises(LoopError):
        fatal("it is over")


def test_lines_of_an_exception_are_those_of_its_traceback_or_of_the_one_given() -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose") as info:
        fail()
    exception, where = info.value, info.tb
    assert "in fail\n" in exception_lines(exception)
    assert exception_lines(exception).endswith("ValueError: on purpose\n")
    exception = exception.with_traceback(None)
    assert "in fail\n" not in exception_lines(exception)
    assert "in fail\n" in exception_lines(exception, where)
