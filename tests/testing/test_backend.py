"""The fake backend: it keeps the contract, follows its script, and takes no time."""

import pytest

from evkit.core.backends import Backend
from evkit.core.event import Event
from evkit.core.flags import EV_CLOSED, EV_ET, EV_READ, EV_WRITE, FEATURE_ET
from evkit.testing import Change, FakeBackend, FakeBase, ManualClock, base_with_fakes

FD = 10**6


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=100.0)


@pytest.fixture
def backend(clock: ManualClock) -> FakeBackend:
    return FakeBackend(clock)


def test_is_a_backend(backend: FakeBackend) -> None:
    contract: Backend = backend
    assert contract.name == "fake"
    assert contract.masks[EV_READ | EV_CLOSED] == EV_READ | EV_CLOSED
    assert FakeBackend(ManualClock(), features=FEATURE_ET).features == FEATURE_ET


class TestChange:
    def test_is_recorded(self, backend: FakeBackend) -> None:
        backend.change(FD, 0, EV_READ)
        backend.change(FD, EV_READ, EV_READ | EV_WRITE)
        assert backend.wanted == {FD: EV_READ | EV_WRITE}
        backend.change(FD, EV_READ | EV_WRITE, 0)
        assert backend.wanted == {}
        assert backend.changes == [
            Change(FD, 0, EV_READ),
            Change(FD, EV_READ, EV_READ | EV_WRITE),
            Change(FD, EV_READ | EV_WRITE, 0),
        ]

    def test_forgetting_what_was_not_wanted_is_harmless(self, backend: FakeBackend) -> None:
        backend.change(FD, EV_READ, 0)
        assert backend.wanted == {}

    def test_may_be_refused(self, backend: FakeBackend) -> None:
        error = PermissionError(1, "no")
        backend.change(FD, 0, EV_READ)
        backend.refuse(FD, error)
        with pytest.raises(PermissionError) as caught:
            backend.change(FD, EV_READ, EV_WRITE)
        assert caught.value is error
        assert backend.wanted == {FD: EV_READ}
        backend.change(FD, EV_READ, 0)  # forgetting never fails
        backend.refuse(FD, None)
        backend.change(FD, 0, EV_READ)
        assert backend.wanted == {FD: EV_READ}


class TestWait:
    def test_without_anything_ready_time_passes(self, backend: FakeBackend, clock: ManualClock) -> None:
        assert backend.wait(2.5) == []
        assert backend.wait(0.0) == []
        assert clock.monotonic() == 102.5
        assert backend.timeouts == [2.5, 0.0]

    def test_for_ever_is_an_error(self, backend: FakeBackend) -> None:
        backend.change(FD, 0, EV_READ)
        with pytest.raises(AssertionError, match=f"wait for ever.*{FD}=READ"):
            backend.wait(None)

    def test_reports_once(self, backend: FakeBackend, clock: ManualClock) -> None:
        backend.change(FD, 0, EV_READ | EV_WRITE)
        backend.ready(FD, EV_READ)
        assert backend.wait(9.0) == [(FD, EV_READ)]
        assert clock.monotonic() == 100.0
        assert backend.wait(9.0) == []

    def test_joins_reports_of_one_descriptor(self, backend: FakeBackend) -> None:
        backend.change(FD, 0, EV_READ | EV_WRITE)
        backend.ready(FD, EV_READ)
        backend.ready(FD, EV_WRITE)
        assert backend.wait(None) == [(FD, EV_READ | EV_WRITE)]

    def test_reports_what_is_wanted_only(self, backend: FakeBackend) -> None:
        backend.change(FD, 0, EV_READ | EV_ET)
        backend.ready(FD, EV_READ | EV_WRITE | EV_ET)
        assert backend.wait(0.0) == [(FD, EV_READ)]

    def test_keeps_a_report_until_somebody_wants_it(self, backend: FakeBackend) -> None:
        backend.ready(FD, EV_READ)
        assert backend.wait(0.0) == []
        backend.change(FD, 0, EV_READ)
        assert backend.wait(0.0) == [(FD, EV_READ)]

    def test_moves_the_clock_to_what_is_ready_later(self, backend: FakeBackend, clock: ManualClock) -> None:
        backend.change(FD, 0, EV_READ)
        backend.change(FD + 1, 0, EV_READ)
        backend.ready(FD, EV_READ, after=5)
        backend.ready(FD + 1, EV_READ, after=3)
        assert backend.wait(2.0) == []
        assert clock.monotonic() == 102.0
        assert backend.wait(None) == [(FD + 1, EV_READ)]
        assert clock.monotonic() == 103.0
        assert backend.wait(10.0) == [(FD, EV_READ)]
        assert clock.monotonic() == 105.0


def test_close_and_words(backend: FakeBackend) -> None:
    backend.change(FD, 0, EV_READ)
    backend.ready(FD, EV_READ)
    assert repr(backend) == f"<FakeBackend open [{FD}=READ] scripted=1>"
    backend.close()
    backend.close()
    assert backend.closed
    assert repr(backend).startswith("<FakeBackend closed")


class TestBaseWithFakes:
    def test_half_an_hour_takes_no_time(self, fakes: FakeBase) -> None:
        log: list[float] = []
        fakes.base.timer(lambda _event, _what: log.append(fakes.clock.monotonic())).add(1800)
        start = fakes.clock.monotonic()
        assert fakes.base.dispatch() is False
        assert log == [start + 1800]
        assert fakes.backend.timeouts == [1800.0]

    def test_tells_the_tests_changes_only(self, fakes: FakeBase) -> None:
        assert fakes.backend.changes == []
        fakes.base.event(FD, EV_READ, lambda _event, _what: None).add()
        assert fakes.backend.changes == [Change(FD, 0, EV_READ)]

    def test_run_calls_each_at_its_time(self, fakes: FakeBase) -> None:
        start = fakes.clock.monotonic()
        log: list[float] = []
        for seconds in (5.0, 2.0, 10.0, 10.5):
            fakes.base.timer(lambda _event, _what: log.append(fakes.clock.monotonic() - start)).add(seconds)
        fakes.run(10)
        assert log == [2.0, 5.0, 10.0]
        assert fakes.clock.monotonic() == start + 10
        fakes.run(0.5)
        assert log == [2.0, 5.0, 10.0, 10.5]

    def test_run_without_time_calls_what_is_due(self, fakes: FakeBase) -> None:
        log: list[int] = []
        fakes.base.call_soon(lambda: fakes.base.call_soon(log.append, 1))
        fakes.base.timer(lambda _event, _what: log.append(2)).add(0.001)
        fakes.run()
        assert log == [1]

    def test_run_with_nothing_to_do(self, fakes: FakeBase) -> None:
        start = fakes.clock.monotonic()
        fakes.run()
        fakes.run(7)
        assert fakes.clock.monotonic() == start + 7

    @pytest.mark.parametrize("how", ["loopbreak", "loopexit", "stop"])
    def test_run_ends_where_the_loop_is_stopped(self, fakes: FakeBase, how: str) -> None:
        start = fakes.clock.monotonic()
        log: list[int] = []
        fakes.base.timer(lambda _event, _what: getattr(fakes.base, how)()).add(3)
        fakes.base.timer(lambda _event, _what: log.append(1)).add(4)
        fakes.run(10)
        assert (log, fakes.clock.monotonic()) == ([], start + 3)
        fakes.run(10)  # nothing is left of the first
        assert (log, fakes.clock.monotonic()) == ([1], start + 13)

    @pytest.mark.parametrize("how", ["loopbreak", "stop"])
    def test_run_leaves_to_the_next_what_a_stop_leaves(self, fakes: FakeBase, how: str) -> None:
        log: list[int] = []

        def leave(_event: Event, _what: int) -> None:
            fakes.base.call_soon(log.append, 1)
            getattr(fakes.base, how)()

        fakes.base.timer(leave).add(3)
        fakes.run(10)
        assert log == []
        fakes.run()
        assert log == [1]

    @pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
    def test_run_goes_forward_only(self, fakes: FakeBase, seconds: float) -> None:
        with pytest.raises(ValueError, match="time-out"):
            fakes.run(seconds)

    def test_is_closed_by_the_caller(self) -> None:
        fakes = base_with_fakes()
        fakes.base.close()
        assert fakes.backend.closed
