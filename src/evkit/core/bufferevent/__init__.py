"""Buffered connections: libevent's bufferevents.

`BufferEvent` is what all of them share, `SocketBufferEvent` the one that every program has; each of the others is one
file, imported by who needs it.
"""

from evkit.core.bufferevent.common import BufferEvent, EventHandler, Handler
from evkit.core.bufferevent.socket import SocketBufferEvent

__all__ = ["BufferEvent", "EventHandler", "Handler", "SocketBufferEvent"]
