"""A pool and its servers, on each backend."""

from collections.abc import Iterator

import pytest

from evkit.core import EventBase
from evkit.testing import ManualClock
from rpc_pool_aids import World


@pytest.fixture(name="world")
def make_world(manual_base: EventBase, clock: ManualClock) -> Iterator[World]:
    world = World(manual_base, clock)
    yield world
    world.close()
