"""A buffered connection's two ends: what a connect that fails leaves behind, and what still goes out at the end."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.flags import (
    BEV_EVENT_EOF,
    BEV_EVENT_READING,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.testing import FakeBase

BIG = 4 << 20  # bytes: more than any socket here takes at once
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def bev(base: EventBase, pair: Pair) -> Iterator[SocketBufferEvent]:
    """A connection whose peer is ``pair[1]``."""
    bev = SocketBufferEvent(base, pair[0])
    yield bev
    bev.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def take_all(base: EventBase, peer: socket.socket) -> bytes:
    """Turn and read until the end of the stream; fail if it does not come."""
    data = bytearray()
    for _ in range(10_000):
        base.loop(EVLOOP_NONBLOCK)
        try:
            piece = peer.recv(1 << 20)
        except BlockingIOError:
            continue
        if not piece:
            return bytes(data)
        data += piece
    raise AssertionError(f"the stream did not end after {len(data)} bytes")


class TestShutdownWrite:
    @pytest.mark.parametrize("size", [3, BIG])
    def test_comes_after_what_was_written(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair, size: int
    ) -> None:
        bev.write(b"x" * size)
        bev.shutdown_write()
        assert take_all(base, pair[1]) == b"x" * size

    def test_in_a_callback(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        def answer(bev: SocketBufferEvent) -> None:
            bev.write(b"bye")
            bev.shutdown_write()

        bev.set_callbacks(read=answer)  # type: ignore[arg-type]  # it is one over a socket
        bev.enable(EV_READ)
        pair[1].send(b"hello")
        assert take_all(base, pair[1]) == b"bye"

    def test_reading_goes_on(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.enable(EV_READ)
        bev.write(b"bye")
        bev.shutdown_write()
        assert take_all(base, pair[1]) == b"bye"
        pair[1].send(b"thanks")
        base.loop(EVLOOP_NONBLOCK)
        assert bev.read() == b"thanks"
        assert not bev.closed

    def test_waits_for_writing_to_be_enabled(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        bev.disable(EV_WRITE)
        bev.write(b"bye")
        bev.shutdown_write()
        base.loop(EVLOOP_NONBLOCK)
        with pytest.raises(BlockingIOError):
            pair[1].recv(9)
        bev.enable(EV_WRITE)
        assert take_all(base, pair[1]) == b"bye"

    def test_what_the_write_callback_adds_goes_out_too(
        self, base: EventBase, bev: SocketBufferEvent, pair: Pair
    ) -> None:
        more = [b"three", b"two"]
        bev.set_callbacks(write=lambda bev: bev.write(more.pop()) if more else None)
        bev.write(b"one")
        bev.shutdown_write()
        assert take_all(base, pair[1]) == b"onetwothree"

    @pytest.mark.parametrize("data", [b"", b"bye"])
    def test_while_connecting(self, base: EventBase, server: socket.socket, data: bytes) -> None:
        bev = SocketBufferEvent(base)
        bev.connect(server.getsockname())
        bev.write(data)
        bev.shutdown_write()
        peer, _ = server.accept()
        with peer:
            peer.setblocking(False)
            assert take_all(base, peer) == data
        bev.close()

    def test_is_harmless_after_close(self, base: EventBase, bev: SocketBufferEvent, pair: Pair) -> None:
        bev.write(b"lost")
        bev.shutdown_write()
        bev.close()
        bev.shutdown_write()
        assert take_all(base, pair[1]) == b""


@pytest.mark.parametrize("what", [BEV_EVENT_READING | BEV_EVENT_EOF, 0])
def test_close_when_drained_sends_all_though_an_older_event_is_due(
    base: EventBase, pair: Pair, what: int
) -> None:
    bev = SocketBufferEvent(base, pair[0], defer_callbacks=True)
    bev.set_callbacks(event=lambda _bev, _what: None)
    if what:
        assert bev._event_callback is not None
        bev._event_callback(bev, what)  # due from here on
    bev.write(b"x" * BIG)
    bev.close_when_drained()
    assert len(take_all(base, pair[1])) == BIG
    assert bev.closed


class TestConnecting:
    @pytest.mark.parametrize(
        "address",
        [
            ("127.0.0.1", 65536),
            ("127.0.0.1", -1),
            ("127.0.0.1", "80"),
            ("127.0.0.1", None),
            ("127.0.0.1", 80, 0, 0, 0),
            ("127.0.0.1",),
            (),
            (1, 80),
        ],
    )
    def test_to_what_is_no_address_leaves_nothing_behind(
        self, open_descriptors: None, base: EventBase, server: socket.socket, address: Any
    ) -> None:
        bev = SocketBufferEvent(base)
        with pytest.raises(ValueError):  # noqa: PT011 - the message is the next test's
            bev.connect(address)
        assert bev.socket is None
        heard: list[int] = []
        bev.set_callbacks(event=lambda _bev, what: heard.append(what))
        bev.write(b"x")
        bev.connect(server.getsockname())
        peer, _ = server.accept()
        with peer:
            peer.setblocking(False)
            bev.shutdown_write()
            assert take_all(base, peer) == b"x"
        bev.close()

    def test_the_error_names_the_port(self, base: EventBase) -> None:
        with pytest.raises(ValueError, match="65536"):
            SocketBufferEvent(base).connect(("127.0.0.1", 65536))

    def test_twice_at_once_is_a_mistake(self, base: EventBase, server: socket.socket) -> None:
        bev = SocketBufferEvent(base)
        bev.connect(server.getsockname())
        first = bev.socket
        with pytest.raises(ValueError, match="connecting"):
            bev.connect(server.getsockname())
        assert bev.socket is first
        bev.close()

    def test_refused_leaves_nothing_enabled(self, base: EventBase, server: socket.socket) -> None:
        address = server.getsockname()
        server.close()
        bev = SocketBufferEvent(base)
        enabled: list[int] = []
        bev.set_callbacks(event=lambda bev, _what: enabled.append(bev.enabled))
        bev.enable(EV_READ | EV_WRITE)
        bev.connect(address)
        while not enabled:
            base.loop(EVLOOP_ONCE)
        assert enabled == [0]
        bev.close()

    def test_outgoing_bytes_do_not_wait_for_company(self, base: EventBase, server: socket.socket) -> None:
        bev = SocketBufferEvent(base)
        bev.connect(server.getsockname())
        assert bev.socket is not None
        assert bev.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        bev.close()


@pytest.mark.parametrize("size", [0, -1])
def test_reading_nothing_at_a_time_would_look_like_the_end(fakes: FakeBase, size: int) -> None:
    bev = SocketBufferEvent(fakes.base)
    before = bev.max_single_read
    with pytest.raises(ValueError, match="max_single_read"):
        bev.max_single_read = size
    assert bev.max_single_read == before
