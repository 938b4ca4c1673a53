"""What comes too late is refused, by the first thing that was made."""

import pytest

from evkit.core.base import EventBase
from evkit.core.setup import SETUP, Setup
from evkit.errors import LoopError


def test_in_time() -> None:
    Setup().require_unused("use_threads()")


def test_too_late_names_the_call_and_what_came_first() -> None:
    setup = Setup()
    setup.use("Buffer")
    setup.use("EventBase")
    with pytest.raises(
        LoopError, match=r"use_threads\(\) comes too late: .* before the first Buffer is made"
    ):
        setup.require_unused("use_threads()")


def test_an_event_base_is_a_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SETUP, "first_use", None)
    with EventBase():
        assert SETUP.first_use == "EventBase"
