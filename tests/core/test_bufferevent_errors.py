"""`BufferEvent.error` tells the whole story of what the event callback heard, and keeps no connection alive."""

import gc
import os
import pickle
import socket
import struct
import weakref
from collections.abc import Callable
from errno import ECONNREFUSED, ECONNRESET, EIO, ENOENT, EPIPE
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
)
from evkit.errors import ConnectError, ConnectionLost, TransportError, TransportTimeout
from evkit.testing import ManualClock

BIG = 4 << 20  # bytes: more than any socket here takes at once
Pair = tuple[socket.socket, socket.socket]


class Watched(SocketBufferEvent):
    """A connection that can be seen to go, and notes what it hears and the error that is there then."""

    __slots__ = ("__weakref__", "heard")

    def __init__(self, base: EventBase, sock: socket.socket | None = None, *, defer: bool = False) -> None:
        super().__init__(base, sock, defer_callbacks=defer)
        self.heard: list[tuple[int, TransportError | None]] = []
        self.set_callbacks(event=Watched.note)  # type: ignore[arg-type]  # it is one

    def note(self, what: int) -> None:
        self.heard.append((what, self.error))


def hear(base: EventBase, bev: Watched) -> tuple[int, TransportError | None]:
    """Run until ``bev`` has heard something; fail after ten seconds."""
    base.loop(EVLOOP_NONBLOCK)  # what was written outside the loop is sent before its first wait
    late: list[int] = []
    guard = base.timer(lambda _event, _what: late.append(1))
    guard.add(10)
    while not bev.heard and not late:
        base.loop(EVLOOP_ONCE)
    guard.delete()
    assert not late
    return bev.heard.pop(0)


def reset_connection(base: EventBase) -> tuple[Watched, socket.socket]:
    """Make a connection over TCP, and its peer, which `reset` kills."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    return Watched(base, near), far


def reset(sock: socket.socket) -> None:
    """Close with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.fixture
def closed_port() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address: tuple[str, int] = server.getsockname()
    return address


class TestOnRealSockets:
    def test_connecting_to_nobody(self, base: EventBase, closed_port: tuple[str, int]) -> None:
        bev = Watched(base)
        bev.connect(closed_port)
        what, error = hear(base, bev)
        assert what == BEV_EVENT_ERROR
        assert type(error) is ConnectError
        assert (error.during, error.errno) == ("connect", ECONNREFUSED)
        assert isinstance(error.__cause__, ConnectionRefusedError)
        assert str(error) == f"connect: [Errno {ECONNREFUSED}] {os.strerror(ECONNREFUSED)}"
        bev.close()

    def test_connecting_to_a_path_that_is_not_there(self, base: EventBase, tmp_path: Path) -> None:
        bev = Watched(base)
        bev.connect(str(tmp_path / "nobody"))
        _, error = hear(base, bev)
        assert type(error) is ConnectError
        assert (error.during, error.errno) == ("connect", ENOENT)
        bev.close()

    def test_reading_from_a_connection_that_is_reset(self, base: EventBase) -> None:
        bev, peer = reset_connection(base)
        bev.enable(EV_READ)
        reset(peer)
        what, error = hear(base, bev)
        assert what == BEV_EVENT_READING | BEV_EVENT_ERROR
        assert type(error) is ConnectionLost
        assert (error.during, error.errno) == ("read", ECONNRESET)
        assert isinstance(error.__cause__, ConnectionResetError)
        bev.close()

    def test_writing_to_a_peer_that_is_gone(self, base: EventBase, pair: Pair) -> None:
        bev = Watched(base, pair[0])
        pair[1].close()
        bev.write(b"x")
        what, error = hear(base, bev)
        assert what == BEV_EVENT_WRITING | BEV_EVENT_ERROR
        assert type(error) is ConnectionLost
        assert (error.during, error.errno) == ("write", EPIPE)
        assert isinstance(error.__cause__, BrokenPipeError)
        bev.close()

    def test_writing_from_a_file_that_has_shrunk(self, base: EventBase, pair: Pair, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"content")
        bev = Watched(base, pair[0])
        bev.output.add_file(path.open("rb"))
        os.truncate(path, 0)
        _, error = hear(base, bev)
        assert type(error) is ConnectionLost
        assert (error.during, error.errno) == ("write", EIO)
        bev.close()

    def test_end_of_stream_is_no_error(self, base: EventBase, pair: Pair) -> None:
        bev = Watched(base, pair[0])
        bev.enable(EV_READ)
        pair[1].close()
        assert hear(base, bev) == (BEV_EVENT_READING | BEV_EVENT_EOF, None)
        bev.close()

    def test_success_after_a_failure_is_no_error(self, base: EventBase, tmp_path: Path) -> None:
        path = str(tmp_path / "soon")
        bev = Watched(base)
        bev.connect(path)
        assert hear(base, bev)[0] == BEV_EVENT_ERROR
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            bev.enable(EV_WRITE)
            bev.connect(path)
            assert hear(base, bev) == (BEV_EVENT_CONNECTED, None)
        bev.close()

    def test_deferred_callbacks_find_it_too(self, base: EventBase, pair: Pair) -> None:
        bev = Watched(base, pair[0], defer=True)
        pair[1].close()
        bev.write(b"x")
        _, error = hear(base, bev)
        assert type(error) is ConnectionLost
        bev.close()

    def test_it_can_be_raised_and_pickled(self, base: EventBase, closed_port: tuple[str, int]) -> None:
        bev = Watched(base)
        bev.connect(closed_port)
        _, error = hear(base, bev)
        assert error is not None
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (ConnectError, str(error))
        with pytest.raises(OSError, match=r"^connect: ") as caught:
            raise error
        assert caught.value is error
        bev.close()


class TestTimeouts:
    def test_read(self, manual_base: EventBase, clock: ManualClock, pair: Pair) -> None:
        bev = Watched(manual_base, pair[0])
        bev.set_timeouts(read=2.5, write=9)
        bev.enable(EV_READ)
        clock.advance(2.5)
        manual_base.loop(EVLOOP_NONBLOCK)
        ((what, error),) = bev.heard
        assert what == BEV_EVENT_READING | BEV_EVENT_TIMEOUT
        assert type(error) is TransportTimeout
        assert (error.during, error.errno) == ("read", None)
        assert str(error) == "read: timed out after 2.5 s"
        bev.close()

    def test_end_of_stream_after_one_is_no_error(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev = Watched(manual_base, pair[0])
        bev.set_timeouts(read=5)
        bev.enable(EV_READ)
        clock.advance(5)
        manual_base.loop(EVLOOP_NONBLOCK)
        pair[1].close()
        bev.enable(EV_READ)
        manual_base.loop(EVLOOP_NONBLOCK)
        assert bev.heard[1:] == [(BEV_EVENT_READING | BEV_EVENT_EOF, None)]
        bev.close()

    def test_write(self, manual_base: EventBase, clock: ManualClock, pair: Pair) -> None:
        bev = Watched(manual_base, pair[0])
        bev.set_timeouts(read=9, write=30)
        bev.write(bytes(BIG))
        manual_base.loop(EVLOOP_NONBLOCK)
        clock.advance(30)
        manual_base.loop(EVLOOP_NONBLOCK)
        ((what, error),) = bev.heard
        assert what == BEV_EVENT_WRITING | BEV_EVENT_TIMEOUT
        assert type(error) is TransportTimeout
        assert str(error) == "write: timed out after 30 s"
        bev.close()

    def test_connecting(self, manual_base: EventBase, clock: ManualClock) -> None:
        # A listener with a full backlog never answers.
        with socket.socket() as full, socket.socket() as filler:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            filler.connect(full.getsockname())
            bev = Watched(manual_base)
            bev.set_timeouts(write=5)
            bev.connect(full.getsockname())
            clock.advance(5)
            manual_base.loop(EVLOOP_NONBLOCK)
            ((what, error),) = bev.heard
            assert what == BEV_EVENT_TIMEOUT
            assert type(error) is TransportTimeout
            assert (error.during, str(error)) == ("connect", "connect: timed out after 5 s")
            bev.close()

    def test_limit_that_was_taken_away_when_it_was_due_already(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        bev = Watched(manual_base, pair[0])
        bev.set_timeouts(read=5)
        bev.enable(EV_READ)
        clock.advance(5)
        # This runs before the time-out, which is in the queue already.
        manual_base.call_soon(bev.set_timeouts)
        manual_base.loop(EVLOOP_NONBLOCK)
        ((_, error),) = bev.heard
        assert str(error) == "read: timed out"
        bev.close()


def fail_connecting(base: EventBase, _pair: Pair, path: Path) -> Watched:
    bev = Watched(base)
    bev.connect(str(path / "nobody"))
    return bev


def fail_reading(base: EventBase, _pair: Pair, _path: Path) -> Watched:
    bev, peer = reset_connection(base)
    bev.enable(EV_READ)
    reset(peer)
    return bev


def fail_writing(base: EventBase, pair: Pair, _path: Path) -> Watched:
    bev = Watched(base, pair[0])
    pair[1].close()
    # Written while another exception is handled, which a system error that follows refers to.
    try:
        raise ValueError("of another matter")
    except ValueError:
        bev.write(b"x")
        bev.flush_output()
    return bev


@pytest.mark.parametrize("fail", [fail_connecting, fail_reading, fail_writing])
def test_a_connection_with_an_error_goes_when_it_is_let_go(
    open_descriptors: None,
    base: EventBase,
    pair: Pair,
    tmp_path: Path,
    fail: Callable[[EventBase, Pair, Path], Watched],
) -> None:
    gc.collect()
    gc.disable()
    try:
        bev = fail(base, pair, tmp_path)
        _, error = hear(base, bev)
        assert error is not None
        bev.close()
        gone = weakref.ref(bev)
        del bev
        base.loop(EVLOOP_NONBLOCK)
        assert gone() is None  # though the collector is off, and the error still here
        assert error.__cause__ is not None
    finally:
        gc.enable()


def test_error_of_a_callback_is_none_of_the_connection(base: EventBase, pair: Pair) -> None:
    escaped: list[Exception] = []
    base.exception_handler = lambda exception, _source: escaped.append(exception)
    bev = SocketBufferEvent(base, pair[0])

    def fail(_bev: BufferEvent) -> None:
        raise ZeroDivisionError

    bev.set_callbacks(read=fail)
    bev.enable(EV_READ)
    pair[1].send(b"x")
    base.loop(EVLOOP_NONBLOCK)
    assert [type(exception) for exception in escaped] == [ZeroDivisionError]
    assert bev.error is None
