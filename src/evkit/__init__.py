"""evkit: libevent's design in Python.

The face of the core: event base, buffers, buffered connections, listeners, and the exceptions. `evkit.http` and its
siblings are imported by name. Importing this package imports no third-party package.

The list of names is `evkit.core`'s. Here stand only the exceptions, which are below the core.
"""

import typing

from evkit import core
from evkit.errors import ConnectError as ConnectError
from evkit.errors import ConnectionLost as ConnectionLost
from evkit.errors import EvkitError as EvkitError
from evkit.errors import FrozenBufferError as FrozenBufferError
from evkit.errors import LocalProtocolError as LocalProtocolError
from evkit.errors import LoopError as LoopError
from evkit.errors import NameNotFound as NameNotFound
from evkit.errors import NoBackendError as NoBackendError
from evkit.errors import NoData as NoData
from evkit.errors import ProtocolError as ProtocolError
from evkit.errors import RemoteProtocolError as RemoteProtocolError
from evkit.errors import ResolveCancelled as ResolveCancelled
from evkit.errors import ResolveError as ResolveError
from evkit.errors import ResolveTimeout as ResolveTimeout
from evkit.errors import ServerFailure as ServerFailure
from evkit.errors import TLSError as TLSError
from evkit.errors import TransportError as TransportError
from evkit.errors import TransportTimeout as TransportTimeout

__version__ = "0.1.0"

if typing.TYPE_CHECKING:
    from evkit.core import *  # noqa: F403 - what type checkers read in place of what follows
else:
    __all__ = [name for name, thing in globals().items() if isinstance(thing, type)]
    __all__ += ["__version__"]
    __all__ += core.__all__

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        thing = globals()[name] = getattr(core, name)
        return thing

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
