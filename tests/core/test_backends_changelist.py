"""What is told to the system of what changed between two waits, and what is said of what it refuses."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core.backends.changelist import Changelist
from evkit.core.flags import EV_READ, EV_WRITE
from evkit.core.log import LOG_WARN, set_log_callback

FD = 10**6


@pytest.fixture
def lines() -> Iterator[list[tuple[int, str]]]:
    found: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: found.append((severity, message)))
    yield found
    set_log_callback(None)


def after(*changes: tuple[int, int]) -> list[tuple[int, int, int]]:
    changelist = Changelist()
    for old, new in changes:
        changelist.change(FD, old, new)
    filled = bool(changelist)
    taken = changelist.take()
    assert filled is bool(taken)
    assert not changelist
    assert changelist.take() == []
    return taken


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ([(0, EV_READ)], [(FD, 0, EV_READ)]),
        ([(EV_READ, 0)], [(FD, EV_READ, 0)]),
        # A deletion cancels an addition that nobody was told.
        ([(0, EV_READ), (EV_READ, 0)], []),
        ([(0, EV_READ), (EV_READ, 0), (0, EV_WRITE)], [(FD, 0, EV_WRITE)]),
        # An addition after a deletion is told: the number may be another file's.
        ([(EV_READ, 0), (0, EV_READ)], [(FD, EV_READ, EV_READ)]),
        ([(EV_READ, 0), (0, EV_WRITE)], [(FD, EV_READ, EV_WRITE)]),
        # And so is a change that is taken back.
        ([(EV_READ, EV_READ | EV_WRITE), (EV_READ | EV_WRITE, EV_READ)], [(FD, EV_READ, EV_READ)]),
        ([(EV_READ, 0), (0, EV_READ), (EV_READ, 0)], [(FD, EV_READ, 0)]),
    ],
)
def test_one_descriptor(changes: list[tuple[int, int]], taken: list[tuple[int, int, int]]) -> None:
    assert after(*changes) == taken


def test_descriptors_are_apart() -> None:
    changelist = Changelist()
    changelist.change(FD, 0, EV_READ)
    changelist.change(FD + 1, EV_WRITE, 0)
    changelist.change(FD, EV_READ, EV_WRITE)
    assert sorted(changelist.take()) == [(FD, 0, EV_WRITE), (FD + 1, EV_WRITE, 0)]


@given(st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 2), st.integers(0, 7))), max_size=50))
def test_the_system_always_learns_what_is_wanted(steps: list[tuple[int, int] | None]) -> None:
    """``None`` is a wait; at each the system knows what the changes before it amount to, and was never misled."""
    changelist = Changelist()
    wanted = dict.fromkeys(range(3), 0)
    system = dict(wanted)
    for step in [*steps, None]:
        if step is not None:
            changelist.change(step[0], wanted[step[0]], step[1])
            wanted[step[0]] = step[1]
            continue
        for fd, told, new in changelist.take():
            assert told == system[fd]
            system[fd] = new
        assert system == wanted


class TestRefusals:
    def test_are_tried_again_until_forgotten(self, lines: list[tuple[int, str]]) -> None:
        changelist = Changelist()
        changelist.change(FD, 0, EV_READ)
        for _ in range(3):
            assert changelist.take()[0][2] == EV_READ
            changelist.refuse(FD, EV_READ, OSError(1, "no"))
        changelist.change(FD, EV_READ, 0)
        assert [(fd, new) for fd, _, new in changelist.take()] == [(FD, 0)]
        assert changelist.take() == []

    def test_are_logged_once_for_each_change(self, lines: list[tuple[int, str]]) -> None:
        changelist = Changelist()
        for _ in range(2):
            changelist.change(FD, 0, EV_READ)
            for _ in range(3):
                changelist.take()
                changelist.refuse(FD, EV_READ, PermissionError(1, "Operation not permitted"))
        assert [severity for severity, _ in lines] == [LOG_WARN] * 2
        assert f"descriptor {FD} " in lines[0][1]
        assert lines[0][1].endswith("[Errno 1] Operation not permitted")
