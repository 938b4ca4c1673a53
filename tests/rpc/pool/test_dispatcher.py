"""How the calls of a pool that wait get to its members, and what they tell each other."""

from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any

import pytest

from evkit.rpc import Backoff, CallTimeout, ClientClosed, RetryBudget, RPCError
from evkit.rpc.connection.pending import FuturePending
from evkit.rpc.pool.dispatcher import PoolDispatcher
from evkit.rpc.pool.retries import RetryRule
from evkit.testing import FakeBase
from rpc_pool_aids import answer


class FakeMembers:
    """So many calls can be had; a member is a number."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.asked = 0
        self.closed = False
        self.why = OSError("nobody there")
        self.on_free: Callable[[], object] = lambda: None
        self.heard: list[tuple[Any, ...]] = []

    def pick(self, avoid: Collection[int]) -> int | None:
        self.asked += 1
        return self.room if self.room > 0 and not avoid else None

    def close(self) -> None:
        self.closed = True

    def unusable(self, member: int) -> None:
        self.heard.append(("unusable", member))

    def ended(self, member: int, error: RPCError | None, *, probe: bool) -> None:
        self.heard.append(("ended", member, error, probe))

    def dropped(self, member: int, *, probe: bool) -> None:
        self.heard.append(("dropped", member, probe))

    def free(self, room: int = 1) -> None:
        """Have room for so many."""
        self.room = room
        self.on_free()


class FakeCall:
    """Takes room, or does what the test says."""

    def __init__(self, members: FakeMembers, went: list[Any], name: Any, action: Any = None) -> None:
        self._members = members
        self._went = went
        self.name = name
        self.action: Callable[[FakeCall], object] | None = action
        self.pending = SimpleNamespace(owner=self)
        self.ends: list[RPCError | None] = []

    def go_to(self, member: int) -> None:
        self._went.append(self.name)
        if self.action is None:
            self._members.room -= 1
        else:
            self.action(self)

    def finish(self, error: RPCError | None) -> None:
        self.pending.owner = None
        self.ends.append(error)
        if self.action is not None:
            self.action(self)


class Desk:
    """A dispatcher, and all that is round it."""

    def __init__(self, fakes: FakeBase, max_queue: int | None = None) -> None:
        self.fakes = fakes
        self.members = FakeMembers()
        self.went: list[Any] = []
        self.budget = RetryBudget(0.0, 0.2, 10.0)  # two
        rule = RetryRule(1, Backoff(1.0, jitter=0.0), self.budget)
        self.dispatcher = PoolDispatcher(fakes.base, self.members, rule, max_queue)  # type: ignore[arg-type]  # a fake

    def call(self, name: Any, action: Any = None) -> Any:
        """Have a call wait."""
        call: Any = FakeCall(self.members, self.went, name, action)
        self.dispatcher.wait(call)
        return call

    def run(self, seconds: float = 0.0) -> None:
        self.fakes.run(seconds)


@pytest.fixture(name="desk")
def make_desk(fakes: FakeBase) -> Desk:
    return Desk(fakes)


# Calls that wait


def test_those_that_wait_go_when_there_is_room_the_oldest_first(desk: Desk) -> None:
    for name in "abc":
        desk.call(name)
    desk.run()
    assert desk.went == []
    desk.members.free(2)
    assert desk.went == []  # not from within what has made the room
    desk.run()
    assert desk.went == ["a", "b"]
    desk.members.free()
    desk.run()
    assert desk.went == ["a", "b", "c"]
    assert len(desk.dispatcher.waiting) == 0


def test_one_that_is_free_is_looked_for_as_often_as_calls_go(desk: Desk) -> None:
    for number in range(1000):
        desk.call(number)
    desk.members.free(3)
    desk.run()
    assert desk.went == [0, 1, 2]
    assert desk.members.asked == 4


def test_where_nobody_waits_nobody_is_looked_for(desk: Desk) -> None:
    desk.members.free()
    desk.run()
    assert desk.members.asked == 0


def test_one_that_comes_back_is_not_tried_again_at_once(desk: Desk) -> None:
    def come_back(call: FakeCall) -> None:
        desk.dispatcher.wait(call)  # type: ignore[arg-type]  # a fake

    desk.call("a", come_back)
    desk.call("b", come_back)
    desk.members.free()
    desk.run()
    assert desk.went == ["a", "b"]
    assert desk.dispatcher.waiting.queued == 2
    desk.members.free()
    desk.run()
    assert desk.went == ["a", "b", "a", "b"]


def test_one_that_ends_others_keeps_them_from_going(desk: Desk) -> None:
    def end_others(call: FakeCall) -> None:
        for one in others:
            desk.dispatcher.forget(one)

    desk.call("a", end_others)
    others = [desk.call(name) for name in "bc"]
    desk.members.free(5)
    desk.run()
    assert desk.went == ["a"]


def test_one_that_closes_the_pool_is_the_last_to_go(desk: Desk) -> None:
    desk.call("a", lambda call: desk.dispatcher.close())
    other = desk.call("b")
    desk.members.free(5)
    desk.run()
    assert desk.went == ["a"]
    assert [str(error) for error in other.ends] == ["the pool was closed"]


def test_one_that_pauses_does_not_go(desk: Desk) -> None:
    call = desk.call("a")
    desk.dispatcher.forget(call)
    desk.dispatcher.rest(call)
    desk.members.free()
    desk.run()
    assert desk.went == []
    assert len(desk.dispatcher.waiting) == 1


def test_a_new_call_does_not_overtake_those_that_wait(desk: Desk) -> None:
    desk.members.room = 3
    assert desk.dispatcher.pick_first() == 3
    desk.call("a")
    assert desk.dispatcher.pick_first() is None
    assert desk.dispatcher.pick(()) == 3
    assert desk.dispatcher.pick([3]) is None


def test_the_queue_has_an_end(fakes: FakeBase) -> None:
    with pytest.raises(ValueError, match="expected max_queue as a number"):
        Desk(fakes, -1)
    assert repr(Desk(fakes, 7).dispatcher.waiting) == "<WaitingCalls queue=0 of 7 resting=0>"


# The end


def test_closing_ends_all_that_wait(desk: Desk) -> None:
    queued = desk.call("a")
    resting = desk.call("b")
    desk.dispatcher.forget(resting)
    desk.dispatcher.rest(resting)
    desk.dispatcher.close()
    desk.dispatcher.close()
    assert desk.members.closed
    assert desk.dispatcher.closed
    for call in (queued, resting):
        (error,) = call.ends
        assert isinstance(error, ClientClosed)


def test_one_that_was_cancelled_meanwhile_is_not_ended(desk: Desk) -> None:
    def cancel(call: FakeCall) -> None:
        other.pending.owner = None

    desk.call("a", cancel)
    other = desk.call("b")
    desk.dispatcher.close()
    assert other.ends == []


def test_nothing_goes_after_the_end(desk: Desk) -> None:
    desk.call("a")
    desk.members.free()
    desk.dispatcher.close()
    desk.members.free()
    desk.run()
    assert desk.went == []
    assert desk.members.asked == 0


# What they tell each other


def test_repeats_and_copies_cost_budget(desk: Desk) -> None:
    assert desk.dispatcher.pause(1) is None
    assert desk.dispatcher.pause(0) == 1.0
    assert desk.dispatcher.may_copy()
    assert not desk.dispatcher.may_copy()
    desk.run(11.0)
    assert desk.dispatcher.may_copy()


def test_what_a_call_tells_is_passed_on(desk: Desk) -> None:
    dispatcher: Any = desk.dispatcher
    error = CallTimeout("add", 1.0)
    dispatcher.unusable(7)
    dispatcher.ended(7, error, probe=True)
    dispatcher.dropped(7, probe=True)
    assert desk.members.heard == [("unusable", 7), ("ended", 7, error, True), ("dropped", 7, True)]
    assert dispatcher.why is desk.members.why


def handed_over(desk: Desk) -> FuturePending:
    pending = FuturePending(desk.fakes.base, "add", None, None)
    dispatcher: Any = desk.dispatcher
    dispatcher.handed_over(pending, 7)
    return pending


@pytest.mark.parametrize("error", [None, RPCError("wrong")])
def test_what_became_of_a_stream_is_told(desk: Desk, error: RPCError | None) -> None:
    pending = handed_over(desk)
    answer(pending, None, error)
    desk.run()
    assert desk.members.heard == [("ended", 7, error, False)]
    assert pending.future.exception() is error


def test_that_a_stream_took_long_is_nobodys_fault(desk: Desk) -> None:
    pending = handed_over(desk)
    answer(pending, None, CallTimeout("add", 1.0))
    desk.run()
    assert desk.members.heard == [("dropped", 7, False)]
    assert isinstance(pending.future.exception(), CallTimeout)


def test_a_stream_that_was_cancelled_is_no_answer(desk: Desk) -> None:
    handed_over(desk).future.cancel()
    desk.run()
    assert desk.members.heard == [("dropped", 7, False)]


def test_it_shows_its_state(desk: Desk) -> None:
    shown = repr(desk.dispatcher)
    assert shown == f"<PoolDispatcher open {desk.members!r} {desk.dispatcher.waiting!r}>"
    desk.dispatcher.close()
    assert repr(desk.dispatcher).startswith("<PoolDispatcher closed ")
