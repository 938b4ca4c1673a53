"""libevent's values, and masks in words."""

import pytest

from evkit.core import flags
from evkit.core.flags import bev_bits, event_bits, feature_bits

# From the documentation of event2/event.h and event2/bufferevent.h.
LIBEVENT = {
    "EV_TIMEOUT": 0x01,
    "EV_READ": 0x02,
    "EV_WRITE": 0x04,
    "EV_SIGNAL": 0x08,
    "EV_PERSIST": 0x10,
    "EV_ET": 0x20,
    "EV_FINALIZE": 0x40,
    "EV_CLOSED": 0x80,
    "EVLOOP_ONCE": 0x01,
    "EVLOOP_NONBLOCK": 0x02,
    "EVLOOP_NO_EXIT_ON_EMPTY": 0x04,
    "FEATURE_ET": 0x01,
    "FEATURE_O1": 0x02,
    "FEATURE_FDS": 0x04,
    "FEATURE_EARLY_CLOSE": 0x08,
    "BASE_NOLOCK": 0x01,
    "BASE_IGNORE_ENV": 0x02,
    "BASE_NO_CACHE_TIME": 0x08,
    "BASE_EPOLL_USE_CHANGELIST": 0x10,
    "BASE_PRECISE_TIMER": 0x20,
    "BASE_EPOLL_DISALLOW_TIMERFD": 0x40,
    "BASE_USE_SIGNALFD": 0x80,
    "COUNT_ACTIVE": 1,
    "COUNT_VIRTUAL": 2,
    "COUNT_ADDED": 4,
    "BEV_EVENT_READING": 0x01,
    "BEV_EVENT_WRITING": 0x02,
    "BEV_EVENT_EOF": 0x10,
    "BEV_EVENT_ERROR": 0x20,
    "BEV_EVENT_TIMEOUT": 0x40,
    "BEV_EVENT_CONNECTED": 0x80,
    "BEV_NORMAL": 0,
    "BEV_FLUSH": 1,
    "BEV_FINISHED": 2,
    "BEV_OK": 0,
    "BEV_NEED_MORE": 1,
    "BEV_ERROR": 2,
    "BEV_TRIG_DEFER_CALLBACKS": 0x04,
    "BEV_TRIG_IGNORE_WATERMARKS": 0x10000,
}


@pytest.mark.parametrize(("name", "value"), LIBEVENT.items())
def test_values_are_libevents(name: str, value: int) -> None:
    assert getattr(flags, name) == value


def test_every_flag_is_one_that_libevent_has() -> None:
    assert {name for name in vars(flags) if name.isupper() and not name.startswith("_")} == set(LIBEVENT)


def test_flags_are_plain_ints() -> None:
    assert {type(getattr(flags, name)) for name in LIBEVENT} == {int}


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, "0"),
        (0x02, "READ"),
        (0x12, "READ|PERSIST"),
        (0xFF, "TIMEOUT|READ|WRITE|SIGNAL|PERSIST|ET|FINALIZE|CLOSED"),
    ],
)
def test_event_bits(bits: int, words: str) -> None:
    assert event_bits(bits) == words


@pytest.mark.parametrize(
    ("bits", "words"),
    [(0, "0"), (0x11, "READING|EOF"), (0xF3, "READING|WRITING|EOF|ERROR|TIMEOUT|CONNECTED")],
)
def test_bev_bits(bits: int, words: str) -> None:
    assert bev_bits(bits) == words


@pytest.mark.parametrize(("bits", "words"), [(0, "0"), (0x05, "ET|FDS"), (0x0F, "ET|O1|FDS|EARLY_CLOSE")])
def test_feature_bits(bits: int, words: str) -> None:
    assert feature_bits(bits) == words
