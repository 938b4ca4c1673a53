"""`evkit.rpc.connection.pending`: what a call is, wherever it waits."""

from typing import Any

import pytest

from evkit.core import EventBase
from evkit.rpc.connection.pending import DEFAULT, FuturePending, Pending
from evkit.rpc.errors import CallLost
from evkit.testing import ManualClock


class Keeper:
    """Has calls, and writes down what becomes of them."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def abandon(self, pending: Pending) -> None:
        self.told.append(("abandon", pending))

    def late(self, pending: Pending, seconds: float) -> None:
        self.told.append(("late", pending, seconds))


@pytest.fixture
def told() -> list[Pending]:
    return []


def kept(told: list[Pending]) -> tuple[Pending, Keeper]:
    pending, keeper = Pending("m", told.append), Keeper()
    pending.owner = keeper
    return pending, keeper


def test_cancel_tells_the_owner_once_and_nobody_else(told: list[Pending]) -> None:
    pending, keeper = kept(told)
    pending.cancel()
    pending.cancel()
    assert keeper.told == [("abandon", pending)]
    assert told == []


def test_its_own_time(manual_base: EventBase, clock: ManualClock, told: list[Pending]) -> None:
    pending, keeper = kept(told)
    pending.limit(manual_base, 2.0)
    assert pending.deadline == manual_base.now() + 2.0
    clock.advance(1.9)
    manual_base.loop(2)
    assert keeper.told == []
    clock.advance(0.2)
    manual_base.loop(2)
    assert keeper.told == [("late", pending, 2.0)]
    pending.detach()
    assert pending.timer is None


def test_who_fails_it_ends_it(manual_base: EventBase, told: list[Pending]) -> None:
    pending, keeper = kept(told)
    pending.limit(manual_base, 2.0)
    error = CallLost("m", sent=True)
    pending.fail(manual_base, error)
    assert (told, pending.error, pending.owner, pending.timer) == ([pending], error, None, None)
    assert keeper.told == []


def test_what_escapes_from_done_goes_to_the_base(manual_base: EventBase) -> None:
    escaped: list[BaseException] = []
    manual_base.exception_handler = lambda exception, _source: escaped.append(exception)
    pending = Pending("m", lambda _: 1 // 0)  # type: ignore[arg-type, return-value]  # it never returns
    pending.fail(manual_base, CallLost("m", sent=True))
    assert [type(exception) for exception in escaped] == [ZeroDivisionError]


def test_cancelling_the_future_cancels_the_call(manual_base: EventBase) -> None:
    pending, keeper = FuturePending(manual_base, "m", DEFAULT, None), Keeper()
    pending.owner = keeper
    assert pending.future.cancel()
    assert keeper.told == [("abandon", pending)]


@pytest.mark.parametrize("name", ["deadline_ms", "credit", "items"])
def test_metadata_has_no_names_of_the_protocols_own(told: list[Pending], name: str) -> None:
    with pytest.raises(ValueError, match=f"expected other names in metadata than {name},"):
        Pending("m", told.append, DEFAULT, {"mine": 1, name: 5})
    assert Pending("m", told.append, DEFAULT, {"mine": 1}).metadata == {"mine": 1}


@pytest.mark.parametrize(
    ("change", "state"),
    [("", "over"), ("owner", "pending"), ("error", "failed CallLost")],
)
def test_it_tells_its_state(told: list[Pending], change: str, state: str) -> None:
    pending = Pending("m", told.append)
    if change == "owner":
        pending.owner = Keeper()
    elif change == "error":
        pending.error = CallLost("m", sent=False)
    assert repr(pending).startswith(f"<Pending m #0 {state}")
