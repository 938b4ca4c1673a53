"""The rules of `evkit serve --workers`: who is started, told to go and killed, and when. No process is made."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.cli.supervision import (
    FIRST_DELAY,
    LAST_WORDS,
    LONGEST_DELAY,
    MARGIN,
    STEADY,
    Action,
    Do,
    Supervision,
)

GRACE = 10.0


class World:
    """Starts processes that don't exist, numbered from 1, and does nothing else by itself.

    Attributes:
        rules: Under test.
        now: The time.
        said: All lines.
        orders: What processes were told to do, as pairs of order and process.
        slots: Of each process.
    """

    def __init__(self, count: int, *, grace: float | None = GRACE, max_age: float | None = None) -> None:
        self.rules = Supervision(count, grace=grace, max_age=max_age)
        self.now = 1000.0
        self.said: list[str] = []
        self.orders: list[tuple[Do, int]] = []
        self.slots: dict[int, int] = {}
        self.turn()

    def turn(self) -> list[int]:
        """Do what is to be done; return the processes that were started."""
        started = []
        while actions := self.rules.decide(self.now):
            for action in actions:
                if action.do is Do.START:
                    started.append(self._start(action.number))
                elif action.do is Do.SAY:
                    self.said.append(action.text.removeprefix("evkit: "))
                else:
                    self.orders.append((action.do, action.number))
        assert self.rules.wait(self.now) != 0.0, "it would never sleep"
        return started

    def _start(self, slot: int) -> int:
        pid = len(self.slots) + 1
        self.slots[pid] = slot
        self.rules.started(slot, pid)
        return pid

    def later(self, seconds: float) -> list[int]:
        self.now += seconds
        return self.turn()

    def ready(self, *pids: int) -> list[int]:
        for pid in pids:
            self.rules.ready(pid, self.now)
        return self.turn()

    def dies(self, pid: int, code: int = 0) -> list[int]:
        self.rules.exited(pid, code, self.now)
        return self.turn()

    def reload(self) -> list[int]:
        self.rules.reload(self.now)
        return self.turn()

    def stop(self, signum: int = signal.SIGTERM) -> None:
        self.rules.stop(signum, self.now)
        self.turn()

    def take_orders(self) -> list[tuple[Do, int]]:
        orders, self.orders = self.orders, []
        return orders

    def take_said(self) -> list[str]:
        said, self.said = self.said, []
        return said


@pytest.fixture
def two() -> World:
    """Two workers that have served for long: processes 1 and 2."""
    world = World(2)
    assert world.ready(1) == [2]
    assert world.ready(2) == []
    assert world.take_said() == ["all 2 workers are ready"]
    world.later(STEADY)
    return world


def test_the_first_worker_comes_before_the_others() -> None:
    world = World(3)
    assert world.slots == {1: 0}
    assert world.rules.wait(world.now) is None
    assert not world.rules.up
    assert world.ready(1) == [2, 3]
    assert world.rules.up
    assert world.slots == {1: 0, 2: 1, 3: 2}
    assert world.said == []
    world.ready(3)
    assert world.said == []
    world.ready(2)
    assert world.said == ["all 3 workers are ready"]


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (1, 1, "ended with status 1"),
        (2, 2, "ended with status 2"),
        (0, 1, "ended with status 0"),
        (-9, 1, "was killed by SIGKILL"),
        (-40, 1, "was killed by signal 40"),
    ],
)
def test_if_the_first_does_not_come_up_nothing_is_served(code: int, status: int, words: str) -> None:
    world = World(2)
    assert world.dies(1, code) == []
    assert world.said == [f"no worker came up: worker 1 {words} before it was ready"]
    assert world.rules.status == status


def test_if_the_first_can_not_be_started_nothing_is_served() -> None:
    rules = Supervision(2, grace=GRACE)
    assert rules.decide(0) == [Action(Do.START, 0)]
    rules.not_started(0, "no memory", 0)
    assert rules.decide(0) == [
        Action(Do.SAY, text="evkit: no worker came up: a worker can't be started (no memory)")
    ]
    assert rules.status == 1


def test_one_that_has_served_for_long_is_replaced_at_once(two: World) -> None:
    assert two.dies(2, -9) == [3]
    assert two.slots[3] == 1
    assert two.take_said() == ["worker 2 was killed by SIGKILL; another one is started"]
    two.ready(3)
    assert two.take_said() == ["all 2 workers are ready"]


def test_one_that_ends_at_once_is_replaced_after_a_while_that_grows(two: World) -> None:
    two.dies(2, -9)
    delays = []
    for pid in range(3, 13):
        two.ready(pid)
        assert two.dies(pid, 3) == []
        delay = two.rules.wait(two.now)
        assert delay is not None
        assert two.later(delay * 0.99) == []
        assert two.later(delay * 0.02) == [pid + 1]
        delays.append(delay)
    assert delays[0] == pytest.approx(FIRST_DELAY)
    assert delays[1] == pytest.approx(2 * FIRST_DELAY)
    assert delays[-1] == pytest.approx(LONGEST_DELAY)
    assert "worker 3 ended with status 3; another one is started in 0.1 s" in two.said
    two.ready(13)
    two.later(STEADY)
    assert two.dies(13, 3) == [14], "what went well for long is forgiven"


def test_one_that_does_not_come_up_again_is_tried_later(two: World) -> None:
    two.dies(2, -9)
    two.take_said()
    assert two.dies(3, 1) == []
    assert two.take_said() == ["worker 3 ended with status 1 before it was ready; the next try is in 0.1 s"]
    assert two.later(0.11) == [4]
    assert two.dies(4, 1) == []
    assert two.take_said() == ["worker 4 ended with status 1 before it was ready; the next try is in 0.2 s"]
    assert two.rules.status is None


def test_many_failures_are_no_overflow(two: World) -> None:
    two.dies(2, -9)
    for pid in range(3, 3000):
        two.dies(pid, 1)
        two.later(LONGEST_DELAY)
    assert two.rules.wait(two.now) is None


def test_one_that_can_not_be_started_is_tried_later(two: World) -> None:
    two.rules.exited(2, -9, two.now)
    start = two.rules.decide(two.now)[-1]
    assert start == Action(Do.START, 1)
    two.rules.not_started(1, "no memory", two.now)
    assert two.turn() == []
    assert two.said[-1] == "a worker can't be started (no memory); the next try is in 0.1 s"
    assert two.later(0.11) == [3]


def test_a_reload_replaces_one_after_the_other(two: World) -> None:
    assert two.reload() == [3]
    assert two.slots[3] == 0
    assert two.take_orders() == []
    assert two.ready(3) == [4], "the next one comes when this one serves"
    assert two.take_orders() == [(Do.DRAIN, 1)]
    assert two.ready(4) == []
    assert two.take_orders() == [(Do.DRAIN, 2)]
    assert two.take_said() == [
        "reloading: each worker goes on until its successor is ready",
        "worker 3 takes over from 1",
        "worker 4 takes over from 2",
        "all 2 workers are ready",
    ]
    assert two.dies(1) == []
    assert two.dies(2) == []
    assert two.take_said() == []
    assert two.rules.wait(two.now) is None


def test_a_reload_that_fails_leaves_the_old_ones(two: World) -> None:
    two.reload()
    two.take_said()
    assert two.dies(3, 1) == []
    assert two.later(1000) == []
    assert two.orders == []
    assert two.take_said() == [
        "reload given up, the old workers go on: worker 3 ended with status 1 before it was ready"
    ]
    assert two.reload() == [4], "the next one is another try"
    two.ready(4)
    two.ready(5)
    assert two.take_said()[-1] == "all 2 workers are ready"


def test_a_reload_begins_again_while_one_is_under_way(two: World) -> None:
    two.reload()
    assert two.reload() == [4], "3 may have read the old code"
    assert two.take_orders() == [(Do.STOP, 3)]
    two.rules.ready(3, two.now)  # was on its way
    assert two.dies(3, -15) == []
    assert two.take_said()[2:] == []
    two.ready(4)
    two.ready(5)
    assert two.take_orders() == [(Do.DRAIN, 1), (Do.DRAIN, 2)]


def test_a_reload_tries_at_once_what_was_postponed(two: World) -> None:
    two.dies(2, -9)
    for pid in range(3, 10):
        two.dies(pid, 1)
        two.later(two.rules.wait(two.now) or 0)
    two.dies(10, 1)
    assert two.reload() == [11, 12], "one instead of the dead one, and one that replaces"


def test_a_reload_before_the_first_is_ready() -> None:
    world = World(2)
    assert world.reload() == [2]
    assert world.take_orders() == [(Do.STOP, 1)]
    assert world.dies(1, -15) == []
    assert world.ready(2) == [3]


def test_a_crash_during_a_reload_does_not_end_it(two: World) -> None:
    two.reload()
    assert two.dies(2, -11) == [4]
    two.ready(3)
    two.ready(4)
    assert two.take_said()[-1] == "all 2 workers are ready"
    assert two.later(1000) == []


def test_if_who_is_to_be_replaced_dies_the_successor_serves(two: World) -> None:
    two.reload()
    assert two.dies(1, -11) == [4], "nobody is replaced any more by 3, so the other one may be by 4"
    assert two.ready(3) == []
    assert two.take_orders() == []


def test_one_that_has_served_enough_goes_on_until_another_is_ready(two: World) -> None:
    two.rules.weary(2)
    assert two.turn() == [3]
    assert two.orders == []
    two.rules.weary(1)
    assert two.turn() == [], "one at a time"
    assert two.ready(3) == [4]
    assert two.take_orders() == [(Do.DRAIN, 2)]
    two.ready(4)
    assert two.take_orders() == [(Do.DRAIN, 1)]
    assert two.take_said() == ["worker 3 takes over from 2", "worker 4 takes over from 1"]


def test_one_that_has_served_enough_goes_on_while_no_other_comes_up(two: World) -> None:
    two.rules.weary(2)
    two.turn()
    assert two.dies(3, 1) == []
    assert two.take_said() == ["worker 3 ended with status 1 before it was ready; the next try is in 0.1 s"]
    assert two.later(0.11) == [4]
    two.ready(4)
    assert two.take_orders() == [(Do.DRAIN, 2)]
    assert two.take_said() == ["worker 4 takes over from 2", "all 2 workers are ready"]


@pytest.mark.parametrize("code", [0, 1])
def test_what_fails_after_a_reload_is_tried_again(two: World, code: int) -> None:
    two.reload()
    if code:
        two.dies(3, code)
        worker = 1
    else:
        two.ready(3)
        two.ready(4)
        worker = 3
    two.rules.weary(worker)
    (successor,) = two.turn()
    two.take_said()
    two.dies(successor, 1)
    (line,) = two.take_said()
    assert line.endswith("; the next try is in 0.1 s")


def test_a_reload_that_fails_does_not_forget_who_has_served_enough(two: World) -> None:
    two.rules.weary(1)
    two.turn()
    two.reload()
    two.dies(3, -15)
    assert two.dies(4, 1) == [5]
    assert two.slots[5] == 0


def test_an_old_one_is_replaced() -> None:
    world = World(2, max_age=60.0)
    world.ready(1)
    world.later(10)
    world.ready(2)
    assert world.rules.wait(world.now) == pytest.approx(50)
    assert world.later(50) == [3]
    assert world.ready(3) == []
    assert world.take_orders() == [(Do.DRAIN, 1)]
    assert world.rules.wait(world.now) == pytest.approx(10)


def test_an_old_one_goes_on_while_no_other_comes_up() -> None:
    world = World(1, max_age=60.0)
    world.ready(1)
    assert world.later(60) == [2]
    assert world.dies(2, 1) == []
    assert world.rules.wait(world.now) == pytest.approx(FIRST_DELAY)
    assert world.later(0.11) == [3]
    assert world.orders == []


def test_one_that_was_told_to_stop_by_somebody_is_replaced_at_once(two: World) -> None:
    two.rules.leaving(2, two.now)
    assert two.turn() == [3]
    assert two.slots[3] == 1
    assert two.take_said() == ["worker 2 was told to stop; another one is started"]
    two.rules.leaving(2, two.now)
    assert two.turn() == []
    two.ready(3)
    assert two.take_said() == ["all 2 workers are ready"]
    two.later(GRACE + MARGIN)
    assert two.take_orders() == [(Do.KILL, 2)]
    assert two.dies(2, -9) == []


def test_whoever_does_not_stop_is_killed(two: World) -> None:
    two.reload()
    two.ready(3)
    two.take_orders()
    two.later(GRACE + MARGIN - 1)
    assert two.orders == []
    two.later(1)
    assert two.take_orders() == [(Do.KILL, 1)]
    assert two.take_said()[-1] == "worker 1 does not stop; it is killed"
    two.later(1000)
    assert two.orders == [], "once"
    two.dies(1, -9)
    assert two.take_said() == []


def test_without_an_end_of_the_grace_nobody_is_killed() -> None:
    world = World(1, grace=None)
    world.ready(1)
    assert world.take_said() == ["the worker is ready"]
    world.stop()
    assert world.take_said() == [
        "stopping; replies under way have all the time they need (once more stops at once)"
    ]
    assert world.rules.wait(world.now) is None


def test_one_that_dies_before_it_has_finished_is_told_of(two: World) -> None:
    two.reload()
    two.ready(3)
    two.take_said()
    two.dies(1, -11)
    assert two.take_said() == ["worker 1 was killed by SIGSEGV before it had finished its replies"]


def test_a_signal_stops_all(two: World) -> None:
    two.stop()
    assert two.take_said() == ["stopping; replies under way have 10 s (once more stops at once)"]
    assert two.take_orders() == [(Do.STOP, 1), (Do.STOP, 2)]
    two.dies(1)
    assert two.rules.status is None
    assert two.dies(2) == []
    assert two.rules.status == 0
    assert two.said == []


def test_a_signal_stops_who_starts_and_who_drains(two: World) -> None:
    two.reload()
    two.ready(3)
    two.take_orders()
    two.stop()
    assert two.take_orders() == [(Do.STOP, 1), (Do.STOP, 2), (Do.STOP, 3), (Do.STOP, 4)]
    two.take_said()
    two.reload()
    two.rules.leaving(3, two.now)
    assert two.turn() == []
    two.dies(4, -15)
    for pid in (1, 2, 3):
        two.dies(pid)
    assert two.take_said() == []
    assert two.rules.status == 0


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_stops_all_at_once(two: World, signum: int, status: int) -> None:
    two.stop()
    two.take_orders()
    two.stop(signum)
    assert two.take_orders() == [(Do.CUT, 1), (Do.CUT, 2)]
    two.dies(1, 131)
    two.later(LAST_WORDS)
    assert two.take_orders() == [(Do.KILL, 2)]
    two.stop(signum)
    assert two.take_orders() == []
    two.dies(2, -9)
    assert two.rules.status == status


def test_a_signal_before_anything_came_up() -> None:
    world = World(2)
    world.stop()
    assert world.take_orders() == [(Do.STOP, 1)]
    assert world.dies(1, -15) == []
    assert world.rules.status == 0
    assert len(world.said) == 1


def test_states_are_shown(two: World) -> None:
    two.rules.weary(2)
    two.turn()
    assert repr(two.rules) == (
        "<Supervision running workers=[<Worker 1 ready>, <Worker 2 ready>, <Worker 3 starting>]>"
    )
    two.stop()
    two.dies(1)
    two.dies(3)
    assert repr(two.rules) == "<Supervision ending workers=[<Worker 2 STOP>]>"
    two.dies(2)
    assert repr(two.rules) == "<Supervision over workers=[]>"


STEPS = ("ready", "dies", "weary", "leaving", "reload", "later", "stop")


def step_of_one(world: World, step: str, pid: int, code: int) -> None:
    """Let something happen to a worker, if it can."""
    rules = world.rules
    serves = rules.workers[pid].ready_at is not None
    if step == "dies":
        world.dies(pid, code)
    elif step == "ready" and not serves:
        world.ready(pid)
    elif step == "weary" and serves:
        rules.weary(pid)
        world.turn()
    elif step == "leaving" and serves:
        rules.leaving(pid, world.now)
        world.turn()


def step_of_all(world: World, step: str, number: int) -> None:
    if step == "later":
        world.later(number * 3.0)
    elif step == "reload":
        world.reload()
    elif number == 0:
        world.stop()


@given(
    st.integers(1, 3),
    st.sampled_from([None, 30.0]),
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=60),
)
def test_whatever_happens_it_stays_in_order(
    count: int, max_age: float | None, steps: list[tuple[str, int]]
) -> None:
    """Never many more workers than were asked for, no busy loop (see `World.turn`), and it can be ended."""
    world = World(count, max_age=max_age)
    for step, number in steps:
        pids = sorted(world.rules.workers)
        if step in ("later", "reload", "stop"):
            step_of_all(world, step, number)
        elif pids:
            step_of_one(world, step, pids[number % len(pids)], number - 1)
        at_work = [worker for worker in world.rules.workers.values() if worker.order is None]
        assert len(at_work) <= count + 1
        if world.rules.status is not None:
            assert not world.rules.workers
            return
    world.stop()
    world.later(GRACE + MARGIN)
    for pid in tuple(world.rules.workers):
        assert (Do.KILL, pid) in world.orders
        world.dies(pid, -9)
    assert world.rules.status is not None
