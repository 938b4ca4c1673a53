"""What a stream was made of is freed when it is over, and not left to the collector: there may be many short ones."""

import contextlib
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.core.flags import EVLOOP_NONBLOCK
from evkit.rpc import Call, CallLost, RemoteCallError, Service
from evkit.rpc.connection.connection import Connection
from rpc_aids import connection_to

ALL = frozenset({"meta", "cancel", "stream"})
Scenario = Callable[[EventBase, Connection, Connection], None]


def settle(base: EventBase) -> None:
    for _ in range(6):
        base.loop(EVLOOP_NONBLOCK)


def kept() -> list[str]:
    """Return what there is of streams, calls and connections."""
    names = [
        type(what).__name__ for what in gc.get_objects() if type(what).__module__.startswith("evkit.rpc.")
    ]
    wanted = {
        "Call",
        "Connection",
        "StreamMessages",
        "ServedStream",
        "StreamPending",
        "Stream",
        "Sink",
        "Feeder",
    }
    return sorted(name for name in names if name in wanted)


def make_service() -> Service:
    service = Service()

    @service.method
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    @service.method
    def fail() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    @service.method
    def total(call: Call) -> None:
        call.defer()
        items, seen = call.items, []
        items.set_callbacks(item=lambda _, item: seen.append(item), end=lambda _: call.reply(sum(seen)))

    @service.method
    def push(call: Call, n: int) -> None:
        call.defer()
        for number in range(n):
            call.send(number)
        call.on_ready = lambda: None
        call.reply("over")

    return service


def all_items(base: EventBase, client: Connection, server: Connection) -> None:
    assert list(client.stream("count", 500)) == list(range(500))


def pushed_items(base: EventBase, client: Connection, server: Connection) -> None:
    assert list(client.stream("push", 300)) == list(range(300))


def items_to_callbacks(base: EventBase, client: Connection, server: Connection) -> None:
    seen: list[int] = []
    stream = client.stream("count", 500)
    stream.set_callbacks(item=lambda _, item: seen.append(item), end=lambda _: seen.append(-1))
    while seen[-1:] != [-1]:
        settle(base)


def items_that_are_cancelled(base: EventBase, client: Connection, server: Connection) -> None:
    with client.stream("count", 10**9) as stream:
        assert next(stream) == 0


def items_that_nobody_takes(base: EventBase, client: Connection, server: Connection) -> None:
    stream = client.stream("count", 10**9)
    settle(base)
    assert len(stream)


def an_error(base: EventBase, client: Connection, server: Connection) -> None:
    with pytest.raises(RemoteCallError):
        list(client.stream("fail"))


def an_error_in_another_thread(base: EventBase, client: Connection, server: Connection) -> None:
    streams = [client.stream("fail")]

    def take() -> None:
        with pytest.raises(RemoteCallError):
            list(streams.pop())  # a name of its own would hold it as long as the exception
        base.call_soon_threadsafe(base.loopbreak)

    thread = threading.Thread(target=take)
    thread.start()
    base.dispatch()
    thread.join()


def an_error_in_a_coroutine(base: EventBase, client: Connection, server: Connection) -> None:
    async def take() -> None:
        with pytest.raises(RemoteCallError):
            async for _ in client.stream("fail"):
                pass

    coroutine = take()
    with contextlib.suppress(StopIteration):
        while True:
            coroutine.send(None)
            settle(base)


def sent_items(base: EventBase, client: Connection, server: Connection) -> None:
    assert client.stream("total", items=range(500)).result.result() == sum(range(500))


def sent_items_without_an_end(base: EventBase, client: Connection, server: Connection) -> None:
    stream = client.stream("total", items=True)
    assert stream.sink is not None
    stream.sink.send(1)
    settle(base)


def a_peer_that_knows_no_streams(base: EventBase, client: Connection, server: Connection) -> None:
    client.features = server.features = frozenset()
    assert list(client.stream("count", 5)) == list(range(5))


def a_peer_that_goes(base: EventBase, client: Connection, server: Connection) -> None:
    stream = client.stream("count", 10**9)
    settle(base)
    server.close()
    settle(base)
    assert isinstance(stream.result.exception(), CallLost)


SCENARIOS = [
    all_items,
    pushed_items,
    items_to_callbacks,
    items_that_are_cancelled,
    items_that_nobody_takes,
    an_error,
    an_error_in_another_thread,
    an_error_in_a_coroutine,
    sent_items,
    sent_items_without_an_end,
    a_peer_that_knows_no_streams,
    a_peer_that_goes,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_left(base: EventBase, scenario: Scenario) -> None:
    base.exception_handler = lambda exception, _source: None  # of the handler that fails
    gc.collect()
    gc.disable()
    try:
        before = kept()
        ours, theirs = socket.socketpair()
        client, server = connection_to(base, ours), connection_to(base, theirs, make_service())
        client.features = server.features = ALL
        scenario(base, client, server)
        client.close()
        settle(base)
        assert server.closed
        del client, server
        assert kept() == before
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "scenario", [all_items, pushed_items, an_error, sent_items], ids=lambda it: it.__name__
)
def test_nothing_is_left_while_the_connection_goes_on(base: EventBase, scenario: Scenario) -> None:
    base.exception_handler = lambda exception, _source: None
    ours, theirs = socket.socketpair()
    client, server = connection_to(base, ours), connection_to(base, theirs, make_service())
    client.features = server.features = ALL
    gc.collect()
    gc.disable()
    try:
        scenario(base, client, server)
        settle(base)
        before: list[Any] = kept()
        for _ in range(3):
            scenario(base, client, server)
        settle(base)
        assert kept() == before
    finally:
        gc.enable()
        client.close()
        server.close()
