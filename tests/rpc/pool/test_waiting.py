"""Calls that no server has."""

import tracemalloc

import pytest

from evkit.rpc import Overloaded
from evkit.rpc.pool.waiting import WaitingCalls


def taken(waiting: WaitingCalls[str]) -> list[str | None]:
    return [waiting.take() for _ in range(waiting.queued)]


def test_the_oldest_goes_first() -> None:
    waiting: WaitingCalls[str] = WaitingCalls(None)
    for call in "abc":
        waiting.add(call)
    waiting.add("a")  # which waits already
    assert (len(waiting), waiting.queued) == (3, 3)
    assert taken(waiting) == ["a", "b", "c"]
    assert waiting.take() is None


def test_one_that_pauses_is_not_taken() -> None:
    waiting: WaitingCalls[str] = WaitingCalls(None)
    waiting.rest("a")
    waiting.add("b")
    assert (len(waiting), waiting.queued) == (2, 1)
    assert taken(waiting) == ["b"]
    assert waiting.all() == ["a"]


def test_one_can_be_let_go_of_wherever_it_is() -> None:
    waiting: WaitingCalls[str] = WaitingCalls(None)
    waiting.add("a")
    waiting.rest("b")
    waiting.add("c")
    for call in "abx":
        waiting.discard(call)
    assert waiting.all() == ["c"]


def test_all_are_told_in_their_order() -> None:
    waiting: WaitingCalls[str] = WaitingCalls(None)
    waiting.rest("x")
    for call in "ab":
        waiting.add(call)
    assert waiting.all() == ["a", "b", "x"]


def test_there_is_room_for_so_many() -> None:
    waiting: WaitingCalls[str] = WaitingCalls(2)
    for call in "ab":
        waiting.rest(call)  # which takes no room
        waiting.check_room()
        waiting.add(call + call)
    with pytest.raises(Overloaded, match=r"^2 calls wait for a server, as many as may$"):
        waiting.check_room()
    waiting.add("one that came back")
    assert waiting.queued == 3


def test_there_may_be_room_for_none_or_any() -> None:
    none: WaitingCalls[int] = WaitingCalls(0)
    with pytest.raises(Overloaded):
        none.check_room()
    unlimited: WaitingCalls[int] = WaitingCalls(None)
    for number in range(20_000):
        unlimited.check_room()
        unlimited.add(number)


@pytest.mark.parametrize("most", [-1, 1.0, True])
def test_a_number_of_calls_is_a_number(most: int) -> None:
    with pytest.raises(ValueError, match="expected max_queue as a number >= 0"):
        WaitingCalls(most)


def test_to_take_one_moves_no_other() -> None:
    """A copy of all that wait, for each that goes, made many of them very slow."""
    waiting: WaitingCalls[int] = WaitingCalls(None)
    for number in range(10_000):
        waiting.add(number)
    tracemalloc.start()
    try:
        assert waiting.take() == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1000  # bytes; of ten thousand pointers it would be ten times that


def test_it_shows_its_state() -> None:
    waiting: WaitingCalls[str] = WaitingCalls(5)
    waiting.add("a")
    waiting.rest("b")
    waiting.rest("c")
    assert repr(waiting) == "<WaitingCalls queue=1 of 5 resting=2>"
