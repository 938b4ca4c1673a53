"""What libevent calls event_core: the loop, buffers, buffered connections, listeners.

Imports the standard library and `evkit.errors`, nothing else. Its face is what is imported below, one name a line;
`evkit` exports the same. ``X as X`` tells type checkers that X is exported. What stands below ``TYPE_CHECKING`` is
imported when it is asked for, since a program pays for what it uses: `_LATER` says where from.
"""

import importlib
import types
import typing

from evkit.core.base import EventBase as EventBase
from evkit.core.buffer import EOL as EOL
from evkit.core.buffer import EOL_ANY as EOL_ANY
from evkit.core.buffer import EOL_CRLF as EOL_CRLF
from evkit.core.buffer import EOL_CRLF_STRICT as EOL_CRLF_STRICT
from evkit.core.buffer import EOL_LF as EOL_LF
from evkit.core.buffer import EOL_NUL as EOL_NUL
from evkit.core.buffer import Buffer as Buffer
from evkit.core.buffer import BufferCallback as BufferCallback
from evkit.core.buffer import BufferInfo as BufferInfo
from evkit.core.buffer import FileAccess as FileAccess
from evkit.core.buffer import FileSegment as FileSegment
from evkit.core.bufferevent import BufferEvent as BufferEvent
from evkit.core.bufferevent import SocketBufferEvent as SocketBufferEvent
from evkit.core.config import EventConfig as EventConfig
from evkit.core.config import supported_methods as supported_methods
from evkit.core.debug import DBG_ALL as DBG_ALL
from evkit.core.debug import DBG_NONE as DBG_NONE
from evkit.core.debug import enable_debug_logging as enable_debug_logging
from evkit.core.debug import enable_debug_mode as enable_debug_mode
from evkit.core.event import Deferred as Deferred
from evkit.core.event import Event as Event
from evkit.core.flags import BASE_EPOLL_DISALLOW_TIMERFD as BASE_EPOLL_DISALLOW_TIMERFD
from evkit.core.flags import BASE_EPOLL_USE_CHANGELIST as BASE_EPOLL_USE_CHANGELIST
from evkit.core.flags import BASE_IGNORE_ENV as BASE_IGNORE_ENV
from evkit.core.flags import BASE_NO_CACHE_TIME as BASE_NO_CACHE_TIME
from evkit.core.flags import BASE_NOLOCK as BASE_NOLOCK
from evkit.core.flags import BASE_PRECISE_TIMER as BASE_PRECISE_TIMER
from evkit.core.flags import BASE_USE_SIGNALFD as BASE_USE_SIGNALFD
from evkit.core.flags import BEV_ERROR as BEV_ERROR
from evkit.core.flags import BEV_EVENT_CONNECTED as BEV_EVENT_CONNECTED
from evkit.core.flags import BEV_EVENT_EOF as BEV_EVENT_EOF
from evkit.core.flags import BEV_EVENT_ERROR as BEV_EVENT_ERROR
from evkit.core.flags import BEV_EVENT_READING as BEV_EVENT_READING
from evkit.core.flags import BEV_EVENT_TIMEOUT as BEV_EVENT_TIMEOUT
from evkit.core.flags import BEV_EVENT_WRITING as BEV_EVENT_WRITING
from evkit.core.flags import BEV_FINISHED as BEV_FINISHED
from evkit.core.flags import BEV_FLUSH as BEV_FLUSH
from evkit.core.flags import BEV_NEED_MORE as BEV_NEED_MORE
from evkit.core.flags import BEV_NORMAL as BEV_NORMAL
from evkit.core.flags import BEV_OK as BEV_OK
from evkit.core.flags import BEV_TRIG_DEFER_CALLBACKS as BEV_TRIG_DEFER_CALLBACKS
from evkit.core.flags import BEV_TRIG_IGNORE_WATERMARKS as BEV_TRIG_IGNORE_WATERMARKS
from evkit.core.flags import COUNT_ACTIVE as COUNT_ACTIVE
from evkit.core.flags import COUNT_ADDED as COUNT_ADDED
from evkit.core.flags import COUNT_VIRTUAL as COUNT_VIRTUAL
from evkit.core.flags import EV_CLOSED as EV_CLOSED
from evkit.core.flags import EV_ET as EV_ET
from evkit.core.flags import EV_FINALIZE as EV_FINALIZE
from evkit.core.flags import EV_PERSIST as EV_PERSIST
from evkit.core.flags import EV_READ as EV_READ
from evkit.core.flags import EV_SIGNAL as EV_SIGNAL
from evkit.core.flags import EV_TIMEOUT as EV_TIMEOUT
from evkit.core.flags import EV_WRITE as EV_WRITE
from evkit.core.flags import EVLOOP_NO_EXIT_ON_EMPTY as EVLOOP_NO_EXIT_ON_EMPTY
from evkit.core.flags import EVLOOP_NONBLOCK as EVLOOP_NONBLOCK
from evkit.core.flags import EVLOOP_ONCE as EVLOOP_ONCE
from evkit.core.flags import FEATURE_EARLY_CLOSE as FEATURE_EARLY_CLOSE
from evkit.core.flags import FEATURE_ET as FEATURE_ET
from evkit.core.flags import FEATURE_FDS as FEATURE_FDS
from evkit.core.flags import FEATURE_O1 as FEATURE_O1
from evkit.core.listener import Listener as Listener
from evkit.core.locks import enable_lock_debugging as enable_lock_debugging
from evkit.core.locks import set_condition_callbacks as set_condition_callbacks
from evkit.core.locks import set_id_callback as set_id_callback
from evkit.core.locks import set_lock_callbacks as set_lock_callbacks
from evkit.core.log import LOG_DEBUG as LOG_DEBUG
from evkit.core.log import LOG_ERR as LOG_ERR
from evkit.core.log import LOG_MSG as LOG_MSG
from evkit.core.log import LOG_WARN as LOG_WARN
from evkit.core.log import set_fatal_callback as set_fatal_callback
from evkit.core.log import set_log_callback as set_log_callback
from evkit.core.memory import set_mem_functions as set_mem_functions
from evkit.core.net import Resolver as Resolver
from evkit.core.timers import CommonTimeout as CommonTimeout
from evkit.core.watch import Watcher as Watcher

if typing.TYPE_CHECKING:
    from evkit.core.base_thread import EventBaseThread as EventBaseThread
    from evkit.core.buffer.locked import LockedBuffer as LockedBuffer
    from evkit.core.bufferevent.filter import Filter as Filter
    from evkit.core.bufferevent.filter import FilterBufferEvent as FilterBufferEvent
    from evkit.core.bufferevent.pair import PairBufferEvent as PairBufferEvent
    from evkit.core.bufferevent.rate_group import RateLimitGroup as RateLimitGroup
    from evkit.core.bufferevent.tls import TLSBufferEvent as TLSBufferEvent
    from evkit.core.capabilities import Features as Features
    from evkit.core.capabilities import features as features
    from evkit.core.datagram import DatagramEndpoint as DatagramEndpoint
    from evkit.core.framed import Framed as Framed
    from evkit.core.framing import Framing as Framing
    from evkit.core.framing import LengthFraming as LengthFraming
    from evkit.core.framing import LineFraming as LineFraming
    from evkit.core.future import Future as Future
    from evkit.core.inherited import InheritedSocket as InheritedSocket
    from evkit.core.inherited import inherited_sockets as inherited_sockets
    from evkit.core.piping import Pipe as Pipe
    from evkit.core.piping import pipe as pipe
    from evkit.core.rate_limit import RATE_LIMIT_MAX as RATE_LIMIT_MAX
    from evkit.core.rate_limit import RateLimit as RateLimit
    from evkit.core.system_resolver import SystemResolver as SystemResolver
    from evkit.core.threads import use_threads as use_threads
else:  # which type checkers must not read: a module with a __getattr__ has every name for them
    _LATER: typing.Final = {
        "base_thread": "EventBaseThread",
        "buffer.locked": "LockedBuffer",
        "bufferevent.filter": "Filter FilterBufferEvent",
        "bufferevent.pair": "PairBufferEvent",
        "bufferevent.rate_group": "RateLimitGroup",
        "bufferevent.tls": "TLSBufferEvent",
        "capabilities": "Features features",
        "datagram": "DatagramEndpoint",
        "framed": "Framed",
        "framing": "Framing LengthFraming LineFraming",
        "future": "Future",
        "inherited": "InheritedSocket inherited_sockets",
        "piping": "Pipe pipe",
        "rate_limit": "RATE_LIMIT_MAX RateLimit",
        "system_resolver": "SystemResolver",
        "threads": "use_threads",
    }
    """Modules and the names that are imported from them when they are asked for."""
    _MODULE_OF: typing.Final = {name: module for module, names in _LATER.items() for name in names.split()}

    def _is_exported(name: str, thing: object) -> bool:
        """Whether it was imported in order to be exported: it is neither somebody's own nor a module."""
        return not (name.startswith("_") or isinstance(thing, types.ModuleType))

    __all__ = [name for name, thing in globals().items() if _is_exported(name, thing)]
    __all__.extend(_MODULE_OF)

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
        thing = globals()[name] = getattr(module, name)
        return thing

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
