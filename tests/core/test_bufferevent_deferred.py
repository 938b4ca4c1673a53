"""Deferred callbacks: never from inside a call, merged until the loop gets to them, in libevent's order."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_EOF,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
    bev_bits,
)
from evkit.errors import ConnectError

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
BIG = 4 << 20
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def bev(base: EventBase, pair: Pair) -> Iterator[SocketBufferEvent]:
    bev = SocketBufferEvent(base, pair[0], defer_callbacks=True)
    yield bev
    bev.close()


def listen(bev: BufferEvent) -> list[str]:
    """Note what the callbacks hear."""
    heard: list[str] = []
    bev.set_callbacks(
        read=lambda bev: heard.append(f"read {bev.read()!r}"),
        write=lambda _bev: heard.append("write"),
        event=lambda _bev, what: heard.append(bev_bits(what)),
    )
    return heard


def all_due(bev: SocketBufferEvent) -> None:
    """Make every callback due, in an order that is not the one of delivery."""
    assert bev._event_callback is not None
    assert bev._write_callback is not None
    assert bev._read_callback is not None
    bev._event_callback(bev, BEV_EVENT_READING | BEV_EVENT_EOF)
    bev._write_callback(bev)
    bev._event_callback(bev, BEV_EVENT_CONNECTED)
    bev._read_callback(bev)


def test_order_is_connected_read_write_and_the_rest(base: EventBase, bev: SocketBufferEvent) -> None:
    heard = listen(bev)
    all_due(bev)
    assert heard == []
    base.loop(ONE_PASS)
    assert heard == ["CONNECTED", "read b''", "write", "READING|EOF"]


def test_what_is_due_twice_is_called_once(base: EventBase, bev: SocketBufferEvent) -> None:
    heard = listen(bev)
    all_due(bev)
    all_due(bev)
    base.loop(EVLOOP_NONBLOCK)
    assert heard == ["CONNECTED", "read b''", "write", "READING|EOF"]
    base.loop(EVLOOP_NONBLOCK)
    assert len(heard) == 4


def test_events_are_merged(base: EventBase, bev: SocketBufferEvent) -> None:
    heard = listen(bev)
    bev._call_event(BEV_EVENT_READING | BEV_EVENT_EOF)
    bev._call_event(BEV_EVENT_ERROR)
    base.loop(EVLOOP_NONBLOCK)
    assert heard == ["READING|EOF|ERROR"]


def test_data_and_end_come_through_the_loop(base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
    heard = listen(bev)
    bev.enable(EV_READ)
    pair[1].send(b"last")
    pair[1].shutdown(socket.SHUT_WR)
    base.loop(EVLOOP_NONBLOCK)
    assert heard == ["read b'last'", "READING|EOF"]


def test_no_callback_from_inside_a_call(base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
    heard = listen(bev)
    bev.write(b"x")
    bev.flush_output()
    assert pair[1].recv(9) == b"x"
    assert heard == []
    base.loop(EVLOOP_NONBLOCK)
    assert heard == ["write"]


def test_callbacks_replaced_meanwhile_get_what_is_due(base: EventBase, bev: SocketBufferEvent) -> None:
    old = listen(bev)
    all_due(bev)
    new = listen(bev)
    base.loop(EVLOOP_NONBLOCK)
    assert old == []
    assert len(new) == 4


def test_due_callbacks_may_be_unset(base: EventBase, bev: SocketBufferEvent) -> None:
    listen(bev)
    all_due(bev)
    bev.set_callbacks()
    assert base.loop(EVLOOP_NONBLOCK) is False
    assert not bev.closed


def test_what_becomes_due_in_a_callback_is_called_next_time(
    base: EventBase, bev: SocketBufferEvent, pair: Pair
) -> None:
    writes: list[int] = []

    def on_write(bev: BufferEvent) -> None:
        writes.append(1)
        if len(writes) < 3:
            bev.write(b"x")

    bev.set_callbacks(write=on_write)
    bev.write(b"x")
    base.loop(EVLOOP_NONBLOCK)
    assert len(writes) == 3
    assert pair[1].recv(9) == b"xxx"


def test_close_before_they_run_calls_nobody(base: EventBase, bev: SocketBufferEvent) -> None:
    heard = listen(bev)
    all_due(bev)
    bev.close()
    base.loop(EVLOOP_NONBLOCK)
    assert heard == []


def test_close_in_one_of_them_is_the_last(base: EventBase, bev: SocketBufferEvent) -> None:
    heard = listen(bev)
    bev.set_callbacks(
        read=lambda bev: bev.close(),
        write=lambda _bev: heard.append("write"),
        event=lambda _bev, what: heard.append(bev_bits(what)),
    )
    all_due(bev)
    base.loop(EVLOOP_NONBLOCK)
    assert heard == ["CONNECTED"]


@pytest.mark.parametrize("which", ["read", "write", "event"])
def test_exception_goes_to_the_handler_and_closes(
    base: EventBase, bev: SocketBufferEvent, which: str
) -> None:
    escaped: list[object] = []
    base.exception_handler = lambda _exception, source: escaped.append(source)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    callbacks: dict[str, Callable[..., object]] = {which: fail}
    bev.set_callbacks(**callbacks)
    all_due(bev)
    base.loop(EVLOOP_NONBLOCK)
    assert escaped == [bev]
    assert bev.closed


def test_failing_connect_is_told_late(base: EventBase, tmp_path: Path) -> None:
    bev = SocketBufferEvent(base, defer_callbacks=True)
    heard = listen(bev)
    bev.connect(str(tmp_path / "nobody"))
    assert heard == []
    base.loop(EVLOOP_NONBLOCK)
    assert heard == ["ERROR"]
    assert isinstance(bev.error, ConnectError)
    bev.close()


def test_close_when_drained_is_not_fooled_by_an_old_call(
    base: EventBase, bev: SocketBufferEvent, pair: Pair
) -> None:
    bev.write(b"x")
    bev.flush_output()  # the write callback is due from here on
    bev.write(bytes(BIG))
    bev.close_when_drained()
    base.loop(ONE_PASS)
    assert bev.output
    arrived = 0
    while bev.output:
        arrived += len(pair[1].recv(1 << 20))
        base.loop(EVLOOP_NONBLOCK)
    assert bev.closed
    while piece := pair[1].recv(1 << 20):
        arrived += len(piece)
    assert arrived == BIG + 1


@pytest.mark.parametrize("what", [BEV_EVENT_ERROR, BEV_EVENT_TIMEOUT, BEV_EVENT_WRITING | BEV_EVENT_TIMEOUT])
def test_close_when_drained_ends_with_a_failure_that_is_due(
    base: EventBase, bev: SocketBufferEvent, what: int
) -> None:
    bev.disable(EV_WRITE)
    bev.write(bytes(BIG))
    bev._call_event(what)
    bev.close_when_drained()
    assert not bev.closed
    base.loop(ONE_PASS)
    assert bev.closed


def test_close_when_drained_after_a_connect_that_failed_unheard(base: EventBase, tmp_path: Path) -> None:
    bev = SocketBufferEvent(base, defer_callbacks=True)
    bev.write(b"for nobody")
    bev.connect(str(tmp_path / "nobody"))
    base.call_soon(bev.close_when_drained)  # right behind the failure, and before it is told
    base.loop(EVLOOP_NONBLOCK)
    assert bev.closed


@pytest.mark.parametrize(
    "what",
    [
        BEV_EVENT_READING | BEV_EVENT_TIMEOUT,
        BEV_EVENT_READING | BEV_EVENT_ERROR,
        BEV_EVENT_WRITING | BEV_EVENT_EOF,
    ],
)
def test_close_when_drained_does_not_mind_what_hinders_no_writing(
    base: EventBase, bev: SocketBufferEvent, pair: Pair, what: int
) -> None:
    bev._call_event(what)
    bev.write(bytes(BIG))
    bev.close_when_drained()
    base.loop(ONE_PASS)
    assert not bev.closed
    arrived = 0
    while not bev.closed:
        arrived += len(pair[1].recv(1 << 20))
        base.loop(EVLOOP_NONBLOCK)
    while piece := pair[1].recv(1 << 20):
        arrived += len(piece)
    assert arrived == BIG


def test_many_at_once_wait_for_the_next_pass(base: EventBase) -> None:
    # More than 32 in one pass would keep the loop from polling.
    heard: list[BufferEvent] = []
    connections = [SocketBufferEvent(base, defer_callbacks=True) for _ in range(40)]
    for bev in connections:
        bev.set_callbacks(event=lambda bev, _what: heard.append(bev))

    def all_at_once() -> None:
        for bev in connections:
            bev._call_event(BEV_EVENT_ERROR)

    before_polls: list[int] = []
    base.prepare(lambda _watcher, _timeout: before_polls.append(len(heard)))
    base.call_soon(all_at_once)
    base.dispatch()
    assert before_polls == [0, 33]
    assert heard == connections


def test_they_have_the_middle_priority(base: EventBase) -> None:
    base.priority_init(3)
    bev = SocketBufferEvent(base, defer_callbacks=True)
    assert [entry.level for entry in bev._queue_entries()] == [1]
    bev.set_priority(2)
    assert [entry.level for entry in bev._queue_entries()] == [2]
    bev.close()
