"""`evkit.http.client.deadlines`: everybody is told on time, once, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from evkit.core import EVLOOP_NONBLOCK, EVLOOP_ONCE, EventBase
from evkit.core.flags import COUNT_ADDED
from evkit.http.client.deadlines import Deadline, Deadlines
from evkit.testing import FakeBackend, ManualClock

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK


class Waiter:
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.told: list[float] = []

    def on_total(self) -> None:
        self.told.append(self._clock.monotonic())


def test_the_first_is_told_first() -> None:
    clock = ManualClock()
    with EventBase(clock=clock, backend=FakeBackend(clock)) as base:
        deadlines = Deadlines(base, 10.0)
        start = clock.monotonic()
        waiters = []
        for _ in range(3):
            waiters.append(Waiter(clock))
            deadlines.begin(waiters[-1])
            clock.advance(2)
        deadlines.end(waiters[1])
        assert base.dispatch() is False  # nothing is left to wait for
        assert [waiter.told for waiter in waiters] == [[start + 10], [], [start + 14]]
        deadlines.close()


def test_no_timer_runs_while_nobody_waits() -> None:
    with EventBase() as base:
        deadlines = Deadlines(base, 10.0)
        waiter = Waiter(ManualClock())
        for _ in range(2):
            assert base.num_events(COUNT_ADDED) == 0
            deadlines.begin(waiter)
            assert base.num_events(COUNT_ADDED) == 1
            deadlines.end(waiter)
            deadlines.end(waiter)
        assert base.num_events(COUNT_ADDED) == 0
        deadlines.begin(waiter)
        deadlines.close()
        assert base.num_events(COUNT_ADDED) == 0
        assert repr(deadlines) == "<Deadlines of 10 s for 0>"


def test_who_is_told_may_end_others_and_begin_anew() -> None:
    clock = ManualClock()
    with EventBase(clock=clock, backend=FakeBackend(clock)) as base:
        deadlines = Deadlines(base, 5.0)
        other = Waiter(clock)
        told: list[float] = []

        class Ends:
            def on_total(self) -> None:
                told.append(clock.monotonic())
                deadlines.end(other)
                if len(told) == 1:
                    deadlines.begin(self)

        start = clock.monotonic()
        deadlines.begin(Ends())
        deadlines.begin(other)
        base.dispatch()
        assert told == [start + 5, start + 10]
        assert other.told == []
        deadlines.close()


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["begin", "end", "wait"])), max_size=40))
def test_any_order(steps: list[tuple[int, str]]) -> None:
    """Against a model that watches each by itself."""
    clock = ManualClock()
    with EventBase(clock=clock, backend=FakeBackend(clock)) as base:
        deadlines = Deadlines(base, 3.0)
        waiters = [Waiter(clock) for _ in range(5)]
        due: dict[int, float] = {}
        told: list[list[float]] = [[] for _ in waiters]
        for number, step in steps:
            if step == "begin" and number not in due:
                deadlines.begin(waiters[number])
                due[number] = clock.monotonic() + 3.0
            elif step == "end":
                deadlines.end(waiters[number])
                due.pop(number, None)
            elif step == "wait":
                clock.advance(1)
                base.loop(ONE_PASS)
                for late in [key for key, at in due.items() if at <= clock.monotonic()]:
                    del due[late]
                    told[late].append(clock.monotonic())
            assert [waiter.told for waiter in waiters] == told
        deadlines.close()


def test_one_alone() -> None:
    clock = ManualClock()
    with EventBase(clock=clock, backend=FakeBackend(clock)) as base:
        limit = Deadline(base, 5.0)
        waiter = Waiter(clock)
        start = clock.monotonic()
        limit.end(waiter)  # harmless
        limit.begin(waiter)
        assert repr(limit) == "<Deadline of 5 s running>"
        assert base.dispatch() is False
        assert waiter.told == [start + 5]
        assert repr(limit) == "<Deadline of 5 s over>"
        limit.begin(waiter)
        limit.end(waiter)
        assert base.num_events(COUNT_ADDED) == 0
        assert waiter.told == [start + 5]
