"""The bits of libevent's headers, under their own names and with their own values.

They are plain ints and not ``enum.IntFlag``: an ``|`` of two enum members costs more than a good share of one trip
through the loop. `event_bits` and its kin put them into words for ``repr``.
"""

from typing import Final

# What an event waits for, and what happened to it (event2/event.h).
EV_TIMEOUT: Final = 0x01
EV_READ: Final = 0x02
EV_WRITE: Final = 0x04
EV_SIGNAL: Final = 0x08
EV_PERSIST: Final = 0x10
EV_ET: Final = 0x20
EV_FINALIZE: Final = 0x40
EV_CLOSED: Final = 0x80

# How long a call of EventBase.loop goes on.
EVLOOP_ONCE: Final = 0x01
EVLOOP_NONBLOCK: Final = 0x02
EVLOOP_NO_EXIT_ON_EMPTY: Final = 0x04

# What a backend can do.
FEATURE_ET: Final = 0x01
FEATURE_O1: Final = 0x02
FEATURE_FDS: Final = 0x04
FEATURE_EARLY_CLOSE: Final = 0x08

# Options of an EventBase (EventConfig.flags). libevent's STARTUP_IOCP (0x04) is for Windows alone.
BASE_NOLOCK: Final = 0x01
BASE_IGNORE_ENV: Final = 0x02
BASE_NO_CACHE_TIME: Final = 0x08
BASE_EPOLL_USE_CHANGELIST: Final = 0x10
BASE_PRECISE_TIMER: Final = 0x20  # no effect: Python's monotonic clock is the precise one, always
BASE_EPOLL_DISALLOW_TIMERFD: Final = 0x40  # no effect: the wait itself is told its time-out, no timerfd
BASE_USE_SIGNALFD: Final = 0x80  # no effect: signals come by Python's own wake-up descriptor

# What EventBase.num_events counts.
COUNT_ACTIVE: Final = 0x01
COUNT_VIRTUAL: Final = 0x02
COUNT_ADDED: Final = 0x04

# What happened to a buffered connection (event2/bufferevent.h).
BEV_EVENT_READING: Final = 0x01
BEV_EVENT_WRITING: Final = 0x02
BEV_EVENT_EOF: Final = 0x10
BEV_EVENT_ERROR: Final = 0x20
BEV_EVENT_TIMEOUT: Final = 0x40
BEV_EVENT_CONNECTED: Final = 0x80

# How much a flush of a buffered connection is to push (BufferEvent.flush, and what filters are told).
BEV_NORMAL: Final = 0
BEV_FLUSH: Final = 1
BEV_FINISHED: Final = 2

# What a filter answers (FilterBufferEvent).
BEV_OK: Final = 0
BEV_NEED_MORE: Final = 1
BEV_ERROR: Final = 2

# Options of BufferEvent.trigger and trigger_event.
BEV_TRIG_DEFER_CALLBACKS: Final = 0x04
BEV_TRIG_IGNORE_WATERMARKS: Final = 0x10000

_EVENT_NAMES: Final = (
    (EV_TIMEOUT, "TIMEOUT"),
    (EV_READ, "READ"),
    (EV_WRITE, "WRITE"),
    (EV_SIGNAL, "SIGNAL"),
    (EV_PERSIST, "PERSIST"),
    (EV_ET, "ET"),
    (EV_FINALIZE, "FINALIZE"),
    (EV_CLOSED, "CLOSED"),
)
_BEV_NAMES: Final = (
    (BEV_EVENT_READING, "READING"),
    (BEV_EVENT_WRITING, "WRITING"),
    (BEV_EVENT_EOF, "EOF"),
    (BEV_EVENT_ERROR, "ERROR"),
    (BEV_EVENT_TIMEOUT, "TIMEOUT"),
    (BEV_EVENT_CONNECTED, "CONNECTED"),
)
_FEATURE_NAMES: Final = (
    (FEATURE_ET, "ET"),
    (FEATURE_O1, "O1"),
    (FEATURE_FDS, "FDS"),
    (FEATURE_EARLY_CLOSE, "EARLY_CLOSE"),
)


def _words(bits: int, names: tuple[tuple[int, str], ...]) -> str:
    return "|".join(name for bit, name in names if bits & bit) or "0"


def event_bits(bits: int) -> str:
    """Spell an ``EV_…`` mask: ``"READ|PERSIST"``; ``"0"`` for none."""
    return _words(bits, _EVENT_NAMES)


def bev_bits(bits: int) -> str:
    """Spell a ``BEV_EVENT_…`` mask: ``"READING|EOF"``; ``"0"`` for none."""
    return _words(bits, _BEV_NAMES)


def feature_bits(bits: int) -> str:
    """Spell a ``FEATURE_…`` mask: ``"ET|O1"``; ``"0"`` for none."""
    return _words(bits, _FEATURE_NAMES)
