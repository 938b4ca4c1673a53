"""Buffered connections: libevent's bufferevents.

`BufferEvent` is what all of them share; each transport is one file. `evkit.core.bufferevent.tls` is imported where it
is asked for, since OpenSSL takes its time to load.
"""

from evkit.core.bufferevent.common import BufferEvent, EventHandler, Handler
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.bufferevent.rate_group import RateLimitGroup
from evkit.core.bufferevent.socket import SocketBufferEvent

__all__ = [
    "BufferEvent",
    "EventHandler",
    "FilterBufferEvent",
    "Handler",
    "PairBufferEvent",
    "RateLimitGroup",
    "SocketBufferEvent",
]
