"""What evkit finds on this platform, for programs that choose by it or show it.

A look round without consequences: nothing is opened, nothing is loaded that is not asked for. Which backend a base
gets is decided in `evkit.core.config`; what that base can do, its own ``features`` tell.
"""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from evkit.core.backends import BACKENDS


@dataclass(frozen=True, slots=True)
class Features:
    """What `features` found.

    Attributes:
        backends: Names of the backends that there are, the preferred one first, to their ``FEATURE_…`` bits. That a
            backend is there is no promise that it works: a sandbox may forbid it.
        clock: The system's function behind the clock of event bases, as Python names it.
        clock_resolution: The smallest step of that clock, in seconds.
        eventfd: Whether the system has ``eventfd`` and Python knows it. For information: a base wakes by a pair of
            sockets everywhere, see `evkit.core.evthread`.
        sendfile: Whether files can be sent without reading them.
        unix_sockets: Whether there are sockets with a path for an address.
        ipv6: Whether Python was built with IPv6; the network may still lack it.
        reuse_port: Whether several sockets can listen on one port (``SO_REUSEPORT``).
    """

    backends: Mapping[str, int]
    clock: str
    clock_resolution: float
    eventfd: bool
    sendfile: bool
    unix_sockets: bool
    ipv6: bool
    reuse_port: bool

    @property
    def tls(self) -> str | None:
        """Name and version of the TLS library; ``None`` where Python has none.

        Asking loads ``ssl``, which costs some ten milliseconds; `features` alone does not.
        """
        try:
            import ssl
        except ImportError:
            return None
        return ssl.OPENSSL_VERSION


def features() -> Features:
    """Return what this platform has.

    Source: ``event_get_supported_methods`` and the ``EVENT__HAVE_…`` macros of ``event2/event-config.h``, which tell
    what libevent was built with; here it is what Python was built with.
    """
    clock = time.get_clock_info("monotonic")
    return Features(
        backends=MappingProxyType({backend.name: backend.features for backend in BACKENDS}),
        clock=clock.implementation,
        clock_resolution=clock.resolution,
        eventfd=hasattr(os, "eventfd"),
        sendfile=hasattr(os, "sendfile"),
        unix_sockets=hasattr(socket, "AF_UNIX"),
        ipv6=socket.has_ipv6,
        reuse_port=hasattr(socket, "SO_REUSEPORT"),
    )
