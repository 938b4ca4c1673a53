"""`evkit.http.client.patience`: each wait has its own time, whatever was before it, and one timer does for all."""

from collections.abc import Iterator

import pytest

from evkit.core import EV_READ, BufferEvent, EventBase, PairBufferEvent
from evkit.core.config import EventConfig
from evkit.core.flags import BASE_IGNORE_ENV, BEV_EVENT_TIMEOUT, BEV_EVENT_WRITING, EVLOOP_NONBLOCK
from evkit.http.client.patience import Patience
from evkit.http.client.timeouts import ClientTimeouts
from evkit.testing import ManualClock

TIMEOUTS = ClientTimeouts(head=40.0, body=50.0, write=30.0)


class Setting:
    """A connection that asks its patience as often as its read time-out says, and hears what it says."""

    def __init__(
        self, base: EventBase, timeouts: ClientTimeouts = TIMEOUTS, idle: float | None = 60.0
    ) -> None:
        self.base = base
        self.bev, self.other = PairBufferEvent.pair(base)
        self.over_at: list[float] = []
        self.looks = 0
        self.patience = Patience(self.bev, timeouts, idle)
        self.bev.set_callbacks(event=self.on_event)
        self.bev.enable(EV_READ)
        self.now = 0.0

    def on_event(self, bev: BufferEvent, what: int) -> None:
        assert what & BEV_EVENT_TIMEOUT
        self.looks += 1
        if self.patience.is_over():
            self.over_at.append(self.now)

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.base.clock.advance(1.0)  # type: ignore[attr-defined]  # it is one that is moved by hand
            self.now += 1
            self.base.loop(EVLOOP_NONBLOCK)

    def close(self) -> None:
        self.bev.close()
        self.other.close()


@pytest.fixture(name="base")
def make_base() -> Iterator[EventBase]:
    with EventBase(EventConfig(flags=BASE_IGNORE_ENV), clock=ManualClock()) as base:
        yield base


@pytest.mark.parametrize("limit", [40.0, 50.0, 60.0, 300.0, 1.0])
def test_a_wait_is_over_in_time(base: EventBase, limit: float) -> None:
    setting = Setting(base, ClientTimeouts(head=1.0, body=50.0))
    setting.patience.wait(limit)
    setting.pass_time(400)
    assert setting.over_at == [limit]
    setting.close()


def test_another_wait_begins_anew(base: EventBase) -> None:
    setting = Setting(base)
    setting.patience.wait(60.0)
    setting.pass_time(30)
    setting.patience.wait(40.0)
    setting.pass_time(30)
    setting.patience.wait(50.0)
    setting.pass_time(49)
    assert setting.over_at == []
    setting.pass_time(1)
    assert setting.over_at == [110.0]
    setting.close()


def test_for_ever(base: EventBase) -> None:
    setting = Setting(base)
    setting.patience.wait(None)
    setting.pass_time(1000)
    assert setting.over_at == []
    assert 0 < setting.looks < 30
    setting.close()


def test_without_any_limit_nothing_is_looked_at(base: EventBase) -> None:
    setting = Setting(base, ClientTimeouts(head=None, body=None, write=None), None)
    setting.patience.wait(None)
    setting.pass_time(1000)
    assert setting.looks == 0
    assert (setting.bev.read_timeout, setting.bev.write_timeout) == (None, None)
    setting.close()


def test_the_time_out_of_writing_stays(base: EventBase) -> None:
    setting = Setting(base)
    setting.patience.wait(45.0)
    setting.pass_time(42)
    assert setting.looks == 1
    assert setting.bev.write_timeout == 30.0
    setting.close()


@pytest.mark.parametrize("head", [7.0, 29.0])
def test_to_look_does_not_make_writing_begin_anew(base: EventBase, head: float) -> None:
    setting = Setting(base, ClientTimeouts(head=head, body=50.0, write=30.0))
    ended: list[float] = []

    def on_event(bev: BufferEvent, what: int) -> None:
        if what & BEV_EVENT_WRITING:
            ended.append(setting.now)
        else:
            setting.on_event(bev, what)

    setting.bev.set_callbacks(event=on_event)
    setting.patience.wait(None)
    setting.bev.write(b"which nobody takes")
    base.loop(EVLOOP_NONBLOCK)
    setting.pass_time(100)
    assert setting.looks >= 100 // head
    assert ended == [30.0]
    setting.close()
