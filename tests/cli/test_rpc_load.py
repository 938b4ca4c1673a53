"""The same call again and again: how many are under way, and when it ends."""

import socket
from collections.abc import Iterator

import pytest

from evkit.cli.errors import FAILED
from evkit.cli.rpc_line import SILENT
from evkit.cli.rpc_load import Load
from evkit.core import EventBase
from evkit.rpc import CallLost, Connection, Overloaded
from rpc_aids import Peer, connection_to


@pytest.fixture
def base() -> Iterator[EventBase]:
    with EventBase() as base:
        yield base


@pytest.fixture
def ends(base: EventBase) -> Iterator[tuple[Connection, Peer]]:
    near, far = socket.socketpair()
    connection = connection_to(base, near, timeout=None)
    peer = Peer(base, far)
    yield connection, peer
    connection.close()
    peer.close()


class Clock:
    """Goes on by a microsecond whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1000
        return self.now


def begun(connection: Connection, total: int, concurrency: int) -> Load:
    """Begin, and let the test run the loop."""
    load = Load(connection, "echo", ["x"], total, concurrency, Clock())
    load.start()
    return load


def test_never_more_at_a_time_than_asked_for(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    load = begun(connection, 5, 2)
    assert repr(load) == "<Load to_go=3 in_flight=2>"
    assert peer.heard() == [[0, 1, "echo", ["x"]], [0, 2, "echo", ["x"]]]
    peer.send([1, 2, None, "x"])
    assert [request[1] for request in peer.heard()] == [3]
    peer.send([1, 1, None, "x"], [1, 3, "no", None])
    assert [request[1] for request in peer.heard()] == [4, 5]
    peer.send([1, 5, None, "x"], [1, 4, None, "x"])
    assert peer.heard() == []
    load.wait()
    assert (load.report.done, load.report.failed, load.status) == (5, 1, FAILED)
    assert load.report.errors == {"echo: no": 1}
    assert (
        load.report.latencies.percentile(100) == 4e-6
    )  # the first, from the first look at the clock to the fifth
    assert load.lost is None


def test_all_is_well(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    load = begun(connection, 1, 100)
    peer.send([1, 1, None, None])
    load.wait()
    assert (load.report.done, load.status) == (1, 0)


def test_a_lost_connection_ends_it(ends: tuple[Connection, Peer]) -> None:
    connection, peer = ends
    load = begun(connection, 1000, 3)
    peer.send([1, 1, None, "x"])
    peer.close()
    load.wait()
    assert isinstance(load.lost, CallLost)
    assert (load.report.done, load.report.failed, load.status) == (4, 3, SILENT)


def test_nobody_answers(base: EventBase, ends: tuple[Connection, Peer]) -> None:
    connection, _peer = ends
    connection.timeout = 0.0
    load = Load(connection, "echo", [], 3, 2)
    load.start()
    load.wait()
    assert (load.report.failed, load.report.latencies.count, load.status) == (3, 0, SILENT)
    assert load.lost is None
    assert base is connection.base


def test_a_peer_that_does_not_read_is_not_sent_more(ends: tuple[Connection, Peer]) -> None:
    """What is begun meanwhile is less than was asked for, and all of it is done in the end."""
    connection, peer = ends
    load = Load(connection, "echo", ["x" * (1 << 20)], 40, 40)
    load.start()
    peer.settle()
    answered = 0
    while answered < 40:
        requests = peer.heard()
        assert requests
        answered += len(requests)
        peer.send(*([1, request[1], None, None] for request in requests))
    load.wait()
    assert (load.report.done, load.report.failed) == (40, 0)


def test_a_peer_that_never_reads_is_given_up(
    ends: tuple[Connection, Peer], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, _peer = ends

    def refuse(*_: object, **__: object) -> None:
        raise Overloaded("the peer does not read")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "begin", refuse)
        load = Load(connection, "echo", [], 3, 2)
        load.start()
        load.wait()
    assert isinstance(load.lost, Overloaded)
    assert (load.report.done, load.status) == (0, SILENT)
