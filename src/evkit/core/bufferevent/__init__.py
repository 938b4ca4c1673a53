"""Buffered connections: libevent's bufferevents.

`BufferEvent` is what all of them share; each transport is one file.
"""

from evkit.core.bufferevent.common import BufferEvent, EventHandler, Handler
from evkit.core.bufferevent.socket import SocketBufferEvent

__all__ = ["BufferEvent", "EventHandler", "Handler", "SocketBufferEvent"]
