"""Byte buffers as chains of segments: libevent's evbuffer.

`Chain` holds the segments and looks at them; `Flow` is what a transport does with them; `Guard` limits what a user may
do, `Intake` is how he adds, and `Buffer` the rest of what he does; `evkit.core.buffer.locked` does it for several
threads, and is imported by who needs it. The other modules are their parts.
"""

from evkit.core.buffer.buffer import DEFAULT_MAX_READ, Buffer
from evkit.core.buffer.callbacks import BufferCallback, BufferInfo, BufferOwner, Scheduler
from evkit.core.buffer.eol import EOL, EOL_ANY, EOL_CRLF, EOL_CRLF_STRICT, EOL_LF, EOL_NUL
from evkit.core.buffer.file_segment import FileAccess, FileSegment
from evkit.core.buffer.flow import NO_LIMIT, Flow
from evkit.core.buffer.guard import BACK, FRONT

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
    "FileAccess",
    "FileSegment",
    "Flow",
    "Scheduler",
]
