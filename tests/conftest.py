"""Fixtures for whatever runs on an event base: one per backend, and one in whose world nothing is real."""

import compileall
import gc
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import evkit
from certificates import make_certificates  # noqa: F401 - a fixture; made once, since it is named once
from dns_peers import (  # noqa: F401 - as above
    make_bind,
    make_dnsmasq,
    make_knot,
    make_nsd,
    make_polardns,
    make_testns,
    make_unbound,
    name_server,
)
from evkit.core.base import EventBase
from evkit.core.config import EventConfig, supported_methods
from evkit.core.flags import BASE_IGNORE_ENV
from evkit.testing import FakeBase, ManualClock, base_with_fakes
from evrpc_peers import make_evrpc_peer, make_libevent  # noqa: F401 - as above
from rpc_peers import (  # noqa: F401 - as above
    make_aio_peer,
    make_go_peer,
    make_lua_peer,
    make_neovim,
    make_pynvim_client,
)

# A busy machine is no defect: no example is too slow to count.
settings.register_profile("evkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("evkit")


def pytest_sessionstart() -> None:
    """Let the hundreds of programs that are started begin soon.

    With ``PYTHONDONTWRITEBYTECODE`` each would compile evkit anew; and the allocator that ``-X dev`` brings finds
    faults of C only, of which there is none here, for a third of the time.
    """
    compileall.compile_dir(Path(evkit.__file__).parent, quiet=2)
    os.environ.setdefault("PYTHONMALLOC", "pymalloc")


def pytest_collection_finish() -> None:
    """Leave the thousands of tests themselves out of each later collection of garbage: none of them goes."""
    gc.collect()
    gc.freeze()


def raise_escaped(escaped: list[Exception]) -> None:
    """Let an assertion that failed inside a callback fail its test."""
    if escaped:
        raise escaped[0]


@pytest.fixture(params=supported_methods())
def method(request: pytest.FixtureRequest) -> str:
    """The name of each backend in turn."""
    name: str = request.param
    return name


@pytest.fixture
def config(method: str) -> Callable[..., EventConfig]:
    """Make a configuration with that backend and further wishes."""
    avoid = [name for name in supported_methods() if name != method]

    def make(flags: int = 0, **limits: Any) -> EventConfig:
        return EventConfig(avoid=avoid, flags=flags | BASE_IGNORE_ENV, **limits)

    return make


@pytest.fixture
def base(config: Callable[..., EventConfig]) -> Iterator[EventBase]:
    """An event base on each backend; what escapes from a callback fails the test, unless it sets its own handler."""
    escaped: list[Exception] = []
    with EventBase(config()) as base:
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield base
    raise_escaped(escaped)


@pytest.fixture
def clock() -> ManualClock:
    """The clock of `manual_base`."""
    return ManualClock()


@pytest.fixture
def manual_base(config: Callable[..., EventConfig], clock: ManualClock) -> Iterator[EventBase]:
    """As `base`, with time that the test moves: a wait would be a real one, so run it with ``EVLOOP_NONBLOCK``."""
    escaped: list[Exception] = []
    with EventBase(config(), clock=clock) as base:
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield base
    raise_escaped(escaped)


@pytest.fixture
def fakes() -> Iterator[FakeBase]:
    """A base on a fake backend, which moves its manual clock by itself and waits for nothing."""
    escaped: list[Exception] = []
    fakes = base_with_fakes()
    with fakes.base as base:
        base.exception_handler = lambda exception, _source: escaped.append(exception)
        yield fakes
    raise_escaped(escaped)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets that do not block."""
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    with left, right:
        yield left, right


@pytest.fixture
def open_descriptors() -> Iterator[None]:
    """Fail the test if it leaves a descriptor open. Ask for it before what opens them."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    before = set(os.listdir("/proc/self/fd"))
    yield
    left = set(os.listdir("/proc/self/fd"))
    assert len(left) == len(before)
