"""A connection, or a half of one, and the peer at its other end, which the test plays."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.core.log import set_log_callback
from evkit.rpc import Service
from rpc_aids import Make, Peer, Town, connection_to


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def build() -> Callable[..., Any]:
    """Make what a test file covers, by the arguments of `connection_to`."""
    return connection_to


@pytest.fixture
def make(
    manual_base: EventBase, service: Service, build: Callable[..., Any], open_descriptors: None
) -> Iterator[Make]:
    """Make one and the peer at its other end. At the end nothing is left of any."""
    made: list[tuple[Any, Peer]] = []

    def connect(**how: Any) -> tuple[Any, Peer]:
        ours, theirs = socket.socketpair()
        made.append((build(manual_base, ours, service, **how), Peer(manual_base, theirs)))
        return made[-1]

    yield connect
    for connection, peer in made:
        peer.close()
        connection.close()
        assert connection.session.serving == {}
        assert connection.session.calls == {}
    assert [event for event in manual_base.events() if not event.internal] == []


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    set_log_callback(lambda _severity, line: lines.append(line))
    yield lines
    set_log_callback(None)


@pytest.fixture
def escaped(manual_base: EventBase) -> list[BaseException]:
    """What escapes from callbacks, which is not to fail the test."""
    found: list[BaseException] = []
    manual_base.exception_handler = lambda exception, _source: found.append(exception)
    return found


@pytest.fixture
def town(manual_base: EventBase, open_descriptors: None) -> Iterator[Town]:
    """Servers and clients on one base. At the end nothing is left of any."""
    town = Town(manual_base)
    yield town
    town.close()
    assert [event for event in manual_base.events() if not event.internal] == []
