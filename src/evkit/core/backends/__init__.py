"""The backends of this platform, in the order in which libevent prefers them.

Which of them a base gets is decided in `evkit.core.config`.
"""

import select as system
from typing import Final

from evkit.core.backends.contract import IO_BITS, Backend, MaskTable
from evkit.core.backends.epoll import EpollBackend
from evkit.core.backends.epoll_changelist import EpollChangelistBackend
from evkit.core.backends.kqueue import KqueueBackend
from evkit.core.backends.poll import PollBackend
from evkit.core.backends.select import SelectBackend

__all__ = [
    "BACKENDS",
    "IO_BITS",
    "Backend",
    "EpollBackend",
    "EpollChangelistBackend",
    "KqueueBackend",
    "MaskTable",
    "PollBackend",
    "SelectBackend",
]

_BackendClass = type[KqueueBackend] | type[EpollBackend] | type[PollBackend] | type[SelectBackend]

# libevent's ``eventops``, of which evport and devpoll (Solaris) and Windows' own are missing here.
_ORDER: Final[tuple[_BackendClass, ...]] = (KqueueBackend, EpollBackend, PollBackend, SelectBackend)
BACKENDS: Final = tuple(backend for backend in _ORDER if hasattr(system, backend.name))
