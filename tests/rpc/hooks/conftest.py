"""A connection with hooks, and the peer at its other end, which the test plays."""

import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.rpc import Service
from evkit.rpc.hooks.connection import HookedConnection
from evkit.rpc.hooks.hooks import Hooks
from rpc_aids import connection_to


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def build(hooks: Hooks, log: list[str]) -> Callable[..., Any]:
    """Make a connection with the hooks that there are by then, to a peer that knows these extensions."""

    def build(
        base: EventBase,
        sock: socket.socket,
        service: Service | None = None,
        features: frozenset[str] = frozenset(),
        **how: Any,
    ) -> Any:
        connection = connection_to(
            base, sock, service, connection_type=partial(HookedConnection, hooks), **how
        )
        connection.features = features
        return connection

    return build


@pytest.fixture
def service(service: Service) -> Service:
    service.register(lambda a, b: a + b, "add")
    service.register(lambda what: what, "echo")
    return service
