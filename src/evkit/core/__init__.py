"""What libevent calls event_core: the loop, buffers, buffered connections, listeners.

Imports the standard library and `evkit.errors`, nothing else. The names below are its face; `evkit` itself exports
them, too. Those in `_LATER` are imported when they are asked for: a program pays for what it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

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
    FileAccess,
    FileSegment,
)
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.config import EventConfig, supported_methods
from evkit.core.debug import DBG_ALL, DBG_NONE, enable_debug_logging, enable_debug_mode
from evkit.core.event import Deferred, Event
from evkit.core.flags import (
    BASE_EPOLL_DISALLOW_TIMERFD,
    BASE_EPOLL_USE_CHANGELIST,
    BASE_IGNORE_ENV,
    BASE_NO_CACHE_TIME,
    BASE_NOLOCK,
    BASE_PRECISE_TIMER,
    BASE_USE_SIGNALFD,
    BEV_ERROR,
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    BEV_FLUSH,
    BEV_NEED_MORE,
    BEV_NORMAL,
    BEV_OK,
    BEV_TRIG_DEFER_CALLBACKS,
    BEV_TRIG_IGNORE_WATERMARKS,
    COUNT_ACTIVE,
    COUNT_ADDED,
    COUNT_VIRTUAL,
    EV_CLOSED,
    EV_ET,
    EV_FINALIZE,
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
from evkit.core.locks import (
    enable_lock_debugging,
    set_condition_callbacks,
    set_id_callback,
    set_lock_callbacks,
)
from evkit.core.log import LOG_DEBUG, LOG_ERR, LOG_MSG, LOG_WARN, set_fatal_callback, set_log_callback
from evkit.core.memory import set_mem_functions
from evkit.core.net import Resolver
from evkit.core.timers import CommonTimeout
from evkit.core.watch import Watcher

if TYPE_CHECKING:
    from evkit.core.base_thread import EventBaseThread
    from evkit.core.buffer.locked import LockedBuffer
    from evkit.core.bufferevent.filter import FilterBufferEvent
    from evkit.core.bufferevent.pair import PairBufferEvent
    from evkit.core.bufferevent.rate_group import RateLimitGroup
    from evkit.core.bufferevent.tls import TLSBufferEvent
    from evkit.core.capabilities import Features, features
    from evkit.core.datagram import DatagramEndpoint
    from evkit.core.framed import Framed
    from evkit.core.framing import Framing, LengthFraming, LineFraming
    from evkit.core.future import Future
    from evkit.core.inherited import InheritedSocket, inherited_sockets
    from evkit.core.piping import Pipe, pipe
    from evkit.core.rate_limit import RateLimit
    from evkit.core.system_resolver import SystemResolver
    from evkit.core.threads import use_threads

_LATER: Final = {
    "DatagramEndpoint": "datagram",
    "EventBaseThread": "base_thread",
    "Features": "capabilities",
    "FilterBufferEvent": "bufferevent.filter",
    "Framed": "framed",
    "Framing": "framing",
    "Future": "future",
    "InheritedSocket": "inherited",
    "LengthFraming": "framing",
    "LineFraming": "framing",
    "LockedBuffer": "buffer.locked",
    "PairBufferEvent": "bufferevent.pair",
    "Pipe": "piping",
    "RateLimit": "rate_limit",
    "RateLimitGroup": "bufferevent.rate_group",
    "SystemResolver": "system_resolver",
    "TLSBufferEvent": "bufferevent.tls",
    "features": "capabilities",
    "inherited_sockets": "inherited",
    "pipe": "piping",
    "use_threads": "threads",
}
"""Names to the modules that have them."""

__all__ = [
    "BASE_EPOLL_DISALLOW_TIMERFD",
    "BASE_EPOLL_USE_CHANGELIST",
    "BASE_IGNORE_ENV",
    "BASE_NOLOCK",
    "BASE_NO_CACHE_TIME",
    "BASE_PRECISE_TIMER",
    "BASE_USE_SIGNALFD",
    "BEV_ERROR",
    "BEV_EVENT_CONNECTED",
    "BEV_EVENT_EOF",
    "BEV_EVENT_ERROR",
    "BEV_EVENT_READING",
    "BEV_EVENT_TIMEOUT",
    "BEV_EVENT_WRITING",
    "BEV_FINISHED",
    "BEV_FLUSH",
    "BEV_NEED_MORE",
    "BEV_NORMAL",
    "BEV_OK",
    "BEV_TRIG_DEFER_CALLBACKS",
    "BEV_TRIG_IGNORE_WATERMARKS",
    "COUNT_ACTIVE",
    "COUNT_ADDED",
    "COUNT_VIRTUAL",
    "DBG_ALL",
    "DBG_NONE",
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
    "EV_FINALIZE",
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
    "DatagramEndpoint",
    "Deferred",
    "Event",
    "EventBase",
    "EventBaseThread",
    "EventConfig",
    "Features",
    "FileAccess",
    "FileSegment",
    "FilterBufferEvent",
    "Framed",
    "Framing",
    "Future",
    "InheritedSocket",
    "LengthFraming",
    "LineFraming",
    "Listener",
    "LockedBuffer",
    "PairBufferEvent",
    "Pipe",
    "RateLimit",
    "RateLimitGroup",
    "Resolver",
    "SocketBufferEvent",
    "SystemResolver",
    "TLSBufferEvent",
    "Watcher",
    "enable_debug_logging",
    "enable_debug_mode",
    "enable_lock_debugging",
    "features",
    "inherited_sockets",
    "pipe",
    "set_condition_callbacks",
    "set_fatal_callback",
    "set_id_callback",
    "set_lock_callbacks",
    "set_log_callback",
    "set_mem_functions",
    "supported_methods",
    "use_threads",
]


def __getattr__(name: str) -> object:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return thing
