"""What libevent calls event_core: the loop, buffers, buffered connections, listeners.

Imports the standard library and `evkit.errors`, nothing else. The names below are its face; `evkit` itself exports
them, too.
"""

from evkit.core.base import EventBase
from evkit.core.buffer import (
    EOL,
    EOL_ANY,
    EOL_CRLF,
    EOL_CRLF_STRICT,
    EOL_LF,
    EOL_NUL,
    Buffer,
    BufferCallback,
    BufferInfo,
)
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.config import EventConfig, supported_methods
from evkit.core.event import Deferred, Event
from evkit.core.flags import (
    BASE_IGNORE_ENV,
    BASE_NO_CACHE_TIME,
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    COUNT_ACTIVE,
    COUNT_ADDED,
    COUNT_VIRTUAL,
    EV_CLOSED,
    EV_ET,
    EV_PERSIST,
    EV_READ,
    EV_SIGNAL,
    EV_TIMEOUT,
    EV_WRITE,
    EVLOOP_NO_EXIT_ON_EMPTY,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
    FEATURE_EARLY_CLOSE,
    FEATURE_ET,
    FEATURE_FDS,
    FEATURE_O1,
)
from evkit.core.listener import Listener
from evkit.core.log import LOG_DEBUG, LOG_ERR, LOG_MSG, LOG_WARN, set_fatal_callback, set_log_callback
from evkit.core.timers import CommonTimeout
from evkit.core.watch import Watcher

__all__ = [
    "BASE_IGNORE_ENV",
    "BASE_NO_CACHE_TIME",
    "BEV_EVENT_CONNECTED",
    "BEV_EVENT_EOF",
    "BEV_EVENT_ERROR",
    "BEV_EVENT_READING",
    "BEV_EVENT_TIMEOUT",
    "BEV_EVENT_WRITING",
    "COUNT_ACTIVE",
    "COUNT_ADDED",
    "COUNT_VIRTUAL",
    "EOL",
    "EOL_ANY",
    "EOL_CRLF",
    "EOL_CRLF_STRICT",
    "EOL_LF",
    "EOL_NUL",
    "EVLOOP_NONBLOCK",
    "EVLOOP_NO_EXIT_ON_EMPTY",
    "EVLOOP_ONCE",
    "EV_CLOSED",
    "EV_ET",
    "EV_PERSIST",
    "EV_READ",
    "EV_SIGNAL",
    "EV_TIMEOUT",
    "EV_WRITE",
    "FEATURE_EARLY_CLOSE",
    "FEATURE_ET",
    "FEATURE_FDS",
    "FEATURE_O1",
    "LOG_DEBUG",
    "LOG_ERR",
    "LOG_MSG",
    "LOG_WARN",
    "Buffer",
    "BufferCallback",
    "BufferEvent",
    "BufferInfo",
    "CommonTimeout",
    "Deferred",
    "Event",
    "EventBase",
    "EventConfig",
    "Listener",
    "SocketBufferEvent",
    "Watcher",
    "set_fatal_callback",
    "set_log_callback",
    "supported_methods",
]
