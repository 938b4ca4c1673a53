"""The backends of this platform, in the order in which libevent prefers them.

Which of them a base gets is decided in `evkit.core.config`.
"""

import select as system
from typing import Final

from evkit.core.backends.contract import IO_BITS, Backend, MaskTable
from evkit.core.backends.epoll import EpollBackend
from evkit.core.backends.poll import PollBackend
from evkit.core.backends.select import SelectBackend

__all__ = ["BACKENDS", "IO_BITS", "Backend", "EpollBackend", "MaskTable", "PollBackend", "SelectBackend"]

_ORDER: Final[tuple[type[EpollBackend] | type[PollBackend] | type[SelectBackend], ...]] = (
    EpollBackend,
    PollBackend,
    SelectBackend,
)
BACKENDS: Final = tuple(backend for backend in _ORDER if hasattr(system, backend.name))
