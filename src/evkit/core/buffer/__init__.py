"""Byte buffers as chains of segments: libevent's evbuffer.

`Chain` holds the segments and looks at them; `Buffer` adds what changes them; the other modules are their
parts.
"""

from evkit.core.buffer.buffer import BACK, DEFAULT_MAX_READ, FRONT, NO_LIMIT, Buffer
from evkit.core.buffer.callbacks import BufferCallback, BufferInfo, BufferOwner
from evkit.core.buffer.eol import EOL, EOL_ANY, EOL_CRLF, EOL_CRLF_STRICT, EOL_LF, EOL_NUL

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
]
