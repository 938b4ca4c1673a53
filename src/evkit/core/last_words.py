"""Whether a connection that can't be written to any more may still have something to read.

What whoever joins or cuts streams asks before it gives a connection up. A peer that answers early and is gone, as a
server that refuses an upload, makes the next write fail, while its answer waits in the system. The end of a pair can
also tell in order that it reads no more.
"""

from evkit.core.bufferevent.common import BufferEvent
from evkit.core.flags import BEV_EVENT_EOF, BEV_EVENT_ERROR, BEV_EVENT_READING, BEV_EVENT_WRITING


def may_have_last_words(bev: BufferEvent, what: int) -> bool:
    """Return whether ``what``, which the event callback of ``bev`` hears, leaves reading to come to its own end.

    It does where the peer takes nothing more: reading then brings what it has said, and its end. Any other failure of
    writing is this side's, or tells that nothing moves any more. Where callbacks are deferred, ``what`` may tell of
    both directions: reading is over then, too.
    """
    if not what & BEV_EVENT_WRITING or what & BEV_EVENT_READING:
        return False
    if not what & BEV_EVENT_ERROR:
        return bool(what & BEV_EVENT_EOF)
    return bev.error is not None and isinstance(bev.error.__cause__, BrokenPipeError | ConnectionResetError)
