"""Run the tests of a module twice: on plain event bases, and on bases that lock, with locks that check their use.

A module imports `plain_and_locked`; it is used by itself.
"""

import pytest

from evkit.core.locked import LockedEventBase
from evkit.core.locks import LOCKING
from evkit.core.setup import SETUP


def lock_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what `use_threads` and `enable_lock_debugging` do, for one test."""
    monkeypatch.setattr(LOCKING, "base_type", LockedEventBase)
    monkeypatch.setattr(LOCKING, "checks", True)


@pytest.fixture
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process, as if nothing had been made or chosen yet; what the test chooses is forgotten after it."""
    monkeypatch.setattr(SETUP, "first_use", None)
    for name in LOCKING.__slots__:
        monkeypatch.setattr(LOCKING, name, getattr(LOCKING, name))


@pytest.fixture(autouse=True, params=["plain", "locked"])
def plain_and_locked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "locked":
        lock_everything(monkeypatch)
