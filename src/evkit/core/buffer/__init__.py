"""Byte buffers as chains of segments: libevent's evbuffer.

`Chain` holds the segments and looks at them; `Flow` is what a transport does with them; `Buffer` adds what a user does;
the other modules are their parts.
"""

from evkit.core.buffer.buffer import BACK, DEFAULT_MAX_READ, FRONT, Buffer
from evkit.core.buffer.callbacks import BufferCallback, BufferInfo, BufferOwner
from evkit.core.buffer.eol import EOL, EOL_ANY, EOL_CRLF, EOL_CRLF_STRICT, EOL_LF, EOL_NUL
from evkit.core.buffer.flow import NO_LIMIT, Flow

__all__ = [
    "BACK",
    "DEFAULT_MAX_READ",
    "EOL",
    "EOL_ANY",
    "EOL_CRLF",
    "EOL_CRLF_STRICT",
    "EOL_LF",
    "EOL_NUL",
    "FRONT",
    "NO_LIMIT",
    "Buffer",
    "BufferCallback",
    "BufferInfo",
    "BufferOwner",
    "Flow",
]
