"""A reverse proxy between raw clients and a server that the test plays by hand, all on one event base."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evkit.core import EventBase
from evkit.http.relay.handler import ReverseProxy
from evkit.http.server.request import Request
from http_client_aids import TIMEOUTS, Place, Wire, World
from http_server_aids import Client, Site


class Chain:
    """The three.

    Attributes:
        site: The proxy's server, and its clients.
        place: Where the server behind it listens; a test accepts from it.
        proxy: The proxy.
        failures: What `ReverseProxy.on_failed` has heard.
    """

    def __init__(self, site: Site, world: World, proxy: ReverseProxy, place: Place) -> None:
        self.site = site
        self.world = world
        self.proxy = proxy
        self.place = place
        self.failures: list[Exception] = []
        proxy.on_failed = self._failed

    def _failed(self, request: Request, error: Exception) -> None:
        self.failures.append(error)

    def ask(self, data: bytes) -> tuple[Client, Wire, bytes]:
        """Send a request; return the client, the server's end, and the head that has come there."""
        client = self.site.client()
        client.send(data)
        wire = self.place.accept()
        return client, wire, wire.head()


@contextmanager
def chain(
    base: EventBase, *, path: str = "", stream: bool = True, url: str | None = None, **options: Any
) -> Iterator[Chain]:
    """Make one, and prove in the end that nothing is left of it."""
    options.setdefault("timeouts", TIMEOUTS)
    with World(base) as world:
        place = world.place()
        with Site(base=base) as site:
            with ReverseProxy(base, url or place.url + path, **options) as proxy:
                site.server.set_gencb(proxy, stream=stream)
                yield Chain(site, world, proxy, place)
            for wire in world.wires:
                wire.close()


def fields_of(head: bytes) -> dict[str, str]:
    """Return the fields of a head by name in lower case; each may be there once."""
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)
