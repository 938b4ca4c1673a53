"""Which bases a child process makes anew by itself; what is made anew is in ``test_loop_fork.py``."""

import pytest

from evkit.core.base import EventBase
from evkit.core.config import EventConfig
from evkit.core.fork import reinit_after_fork
from evkit.core.log import LOG_ERR, set_log_callback
from evkit.errors import LoopError
from forking import in_child

Lines = list[tuple[int, str]]


class Half:
    """What can't be made anew."""

    closed = False

    def __init__(self, error: Exception) -> None:
        self.error = error
        reinit_after_fork(self)

    def __repr__(self) -> str:
        return "<Half>"

    def reinit(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error", [OSError(24, "Too many open files"), LoopError("it was handed its backend"), KeyError("odd")]
)
def test_one_that_fails_keeps_no_other_from_it(error: Exception) -> None:
    log: list[str] = []
    lines: Lines = []
    halves = [Half(error), Half(error)]
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    try:
        with EventBase(EventConfig(reinit_after_fork=True)) as base:

            def child() -> str:
                base.call_soon(log.append, "called")
                base.dispatch()
                return f"{log} {lines}"

            answer = in_child(child)
    finally:
        set_log_callback(None)
        for half in halves:
            half.closed = True
    assert answer == f"['called'] {[(LOG_ERR, f'<Half> could not be made anew after a fork: {error}')] * 2}"
    assert lines == []


def test_one_that_nobody_else_needs_is_not_kept() -> None:
    gone = Half(ValueError("never"))
    del gone
    assert in_child(lambda: "quiet") == "quiet"
