"""`SocketBufferEvent` among enemies: peers, systems and resolvers that do their worst. Each ends in one named error.

After every test nothing is left: no descriptor, no event, no call that is due.
"""

import errno
import gc
import os
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from below import Ear, turn, until
from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.flags import (
    COUNT_ACTIVE,
    COUNT_ADDED,
    COUNT_VIRTUAL,
    EV_READ,
    EV_WRITE,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.future import Future
from evkit.core.happy_eyeballs import MAX_ADDRESSES
from evkit.core.net import Address
from evkit.errors import ConnectError, ConnectionLost
from evkit.testing import FakeBase, ManualClock

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
BIG = 4 << 20  # bytes: more than any socket here takes at once
ALL = COUNT_ADDED | COUNT_ACTIVE | COUNT_VIRTUAL
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(autouse=True)
def nothing_left(open_descriptors: None, base: EventBase) -> Iterator[None]:
    yield
    assert base.num_events(ALL) == 0


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def tcp(server: socket.socket) -> Iterator[Pair]:
    """A connected pair of TCP sockets."""
    left = socket.create_connection(server.getsockname())
    right, _ = server.accept()
    right.setblocking(False)
    with left, right:
        yield left, right


@pytest.fixture
def refusing() -> Iterator[Address]:
    """An address where nobody listens, and that nobody can take meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


def reset(sock: socket.socket) -> None:
    """Close with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def flood(sock: socket.socket) -> int:
    """Send until the system takes no more; return how much that was."""
    sent = 0
    try:
        while True:
            sent += sock.send(bytes(65536))
    except BlockingIOError:
        return sent


def next_descriptor() -> int:
    """The number that the next socket will have."""
    free = os.dup(0)
    os.close(free)
    return free


class TestReset:
    def test_before_anybody_has_accepted(self, base: EventBase) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.enable(EV_READ)
        with socket.create_server(("127.0.0.1", 0)) as server:
            bev.connect(server.getsockname())
        until(base, lambda: ear.heard)
        assert ear.take() == ["ERROR connect: [Errno 104] Connection reset by peer"]
        assert isinstance(bev.error, ConnectError)
        turn(base)
        assert ear.heard == []
        bev.close()

    def test_with_data_that_nobody_has_read_yet(self, base: EventBase, tcp: Pair) -> None:
        bev = SocketBufferEvent(base, tcp[0])
        ear = Ear(bev)
        tcp[1].send(b"last words")
        reset(tcp[1])
        bev.enable(EV_READ)
        until(base, lambda: len(ear.heard) == 2)
        assert ear.take() == ["read 10", "READING|ERROR read: [Errno 104] Connection reset by peer"]
        assert ear.data == b"last words"
        bev.close()

    def test_after_it_has_ended_its_half(self, base: EventBase, tcp: Pair) -> None:
        bev = SocketBufferEvent(base, tcp[0])
        ear = Ear(bev)
        bev.enable(EV_READ)
        tcp[1].shutdown(socket.SHUT_WR)
        until(base, lambda: ear.heard)
        assert ear.take() == ["READING|EOF"]
        bev.write(bytes(2 * BIG))
        turn(base)
        assert bev.output
        reset(tcp[1])
        until(base, lambda: ear.heard)
        assert isinstance(bev.error, ConnectionLost)
        assert bev.error.errno in (errno.ECONNRESET, errno.EPIPE)
        assert bev.error.during == "write"
        assert bev.enabled == 0
        bev.close()

    def test_in_both_directions_at_once(self, base: EventBase, tcp: Pair) -> None:
        """Each direction is told once, whichever hears it first."""
        bev = SocketBufferEvent(base, tcp[0])
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.write(bytes(2 * BIG))
        turn(base)
        reset(tcp[1])
        until(base, lambda: not bev.enabled)
        turn(base)
        assert sorted(line.split()[0] for line in ear.heard) in (
            ["READING|ERROR", "WRITING|ERROR"],
            ["READING|EOF", "WRITING|ERROR"],  # the error is told to the first that asks
        )
        bev.close()


class TestPeerThat:
    def test_floods_and_never_reads(self, manual_base: EventBase, clock: ManualClock, tcp: Pair) -> None:
        bev = SocketBufferEvent(manual_base, tcp[0])
        ear = Ear(bev, takes=False)
        bev.set_watermark(EV_READ, high=1000)
        bev.set_timeouts(read=5, write=5)
        bev.enable(EV_READ)
        bev.write(bytes(2 * BIG))
        flood(tcp[1])
        for _ in range(5):
            turn(manual_base)
            flood(tcp[1])
            assert len(bev.input) <= 1000
        heard = ear.take()
        assert set(heard) == {"read"}
        assert len(bev.input) == 1000
        clock.advance(5)
        turn(manual_base)
        assert ear.take() == [
            "WRITING|TIMEOUT write: timed out after 5 s"
        ]  # the mark, not the peer, stops reading
        clock.advance(60)
        turn(manual_base)
        assert ear.heard == []
        bev.close()
        assert manual_base.num_events(ALL) == 0

    def test_sends_out_of_band(self, base: EventBase, tcp: Pair) -> None:
        """Such a byte is no part of the stream; nobody hears of it, and nobody spins."""
        bev = SocketBufferEvent(base, tcp[0])
        ear = Ear(bev)
        asked: list[int] = []
        recv = bev._recv
        bev._recv = lambda size: (asked.append(size), recv(size))[1]
        bev.enable(EV_READ)
        tcp[1].send(b"!", socket.MSG_OOB)
        for _ in range(5):
            base.loop(ONE_PASS)
        assert ear.heard == []
        assert len(asked) <= 1
        tcp[1].send(b"ab")
        tcp[1].send(b"?", socket.MSG_OOB)
        tcp[1].send(b"cd")
        tcp[1].shutdown(socket.SHUT_WR)
        until(base, lambda: "READING|EOF" in ear.heard)
        assert ear.data == b"abcd"
        bev.close()


class TestSystemThat:
    """A backend refuses a descriptor: epoll has a most of watches, and select of numbers."""

    NO = OSError(errno.ENOSPC, "no watch is left")

    def test_refuses_to_wait_for_room(self, fakes: FakeBase, tcp: Pair) -> None:
        bev = SocketBufferEvent(fakes.base, tcp[0])
        ear = Ear(bev)
        fakes.backend.refuse(tcp[0].fileno(), self.NO)
        bev.write(bytes(2 * BIG))
        turn(fakes.base)
        assert ear.take() == ["WRITING|ERROR write: [Errno 28] no watch is left"]
        assert bev.enabled == 0
        fakes.backend.refuse(tcp[0].fileno(), None)
        bev.enable(EV_WRITE)
        turn(fakes.base)
        assert ear.heard == []
        assert fakes.backend.wanted[tcp[0].fileno()] == EV_WRITE
        bev.close()

    def test_refuses_once_and_is_asked_again_in_the_callback(self, fakes: FakeBase, tcp: Pair) -> None:
        bev = SocketBufferEvent(fakes.base, tcp[0])
        fd = tcp[0].fileno()

        def again(_bev: object, _what: int) -> None:
            fakes.backend.refuse(fd, None)
            bev.enable(EV_WRITE)

        bev.set_callbacks(event=again)
        fakes.backend.refuse(fd, self.NO)
        bev.write(bytes(2 * BIG))
        turn(fakes.base)
        assert bev.output
        assert fakes.backend.wanted[fd] == EV_WRITE
        bev.close()

    def test_refuses_to_wait_for_a_connection(self, fakes: FakeBase, server: socket.socket) -> None:
        bev = SocketBufferEvent(fakes.base)
        ear = Ear(bev)
        fakes.backend.refuse(next_descriptor(), self.NO)
        bev.connect(server.getsockname())
        assert ear.heard == []
        turn(fakes.base)
        assert ear.heard == ["ERROR connect: [Errno 28] no watch is left"]
        assert isinstance(bev.error, ConnectError)
        bev.close()

    def test_refuses_to_wait_for_what_a_new_connection_sends(
        self, fakes: FakeBase, server: socket.socket
    ) -> None:
        bev = SocketBufferEvent(fakes.base)
        ear = Ear(bev)
        bev.enable(EV_READ)
        fd = next_descriptor()
        bev.connect(server.getsockname())
        fakes.backend.ready(fd, EV_WRITE)
        fakes.backend.refuse(fd, self.NO)
        turn(fakes.base)
        assert ear.heard == ["ERROR connect: [Errno 28] no watch is left"]
        assert isinstance(bev.error, ConnectError)
        bev.close()


class TestNextAttempt:
    """What failed leaves no socket behind, so that another attempt may follow on the same connection."""

    def failed(self, base: EventBase, address: Address) -> tuple[SocketBufferEvent, Ear]:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect(address)
        until(base, lambda: ear.heard)
        assert ear.take() == ["ERROR connect: [Errno 111] Connection refused"]
        return bev, ear

    def test_after_a_refusal(self, base: EventBase, refusing: Address, server: socket.socket) -> None:
        bev, ear = self.failed(base, refusing)
        assert bev.socket is None
        assert "new" in repr(bev)
        bev.enable(EV_READ | EV_WRITE)
        bev.write(b"second try")
        bev.connect(server.getsockname())
        until(base, lambda: "write" in ear.heard)
        assert ear.heard == ["CONNECTED", "write"]
        with server.accept()[0] as peer:
            assert peer.recv(99) == b"second try"
        bev.close()

    def test_has_the_priority_of_the_connection(self, base: EventBase, server: socket.socket) -> None:
        base.priority_init(3)
        bev = SocketBufferEvent(base)
        bev.set_priority(2)
        bev.connect(server.getsockname())
        assert bev.socket is not None
        fd = bev.socket.fileno()
        assert [event.level for event in base.events() if event.fd == fd] == [2]
        bev.close()

    def test_by_name(self, base: EventBase, refusing: Address, server: socket.socket) -> None:
        bev, ear = self.failed(base, refusing)
        bev.connect_host("name", 80, resolver=Resolver(base, [server.getsockname()]))
        until(base, lambda: ear.heard)
        assert ear.heard == ["CONNECTED"]
        bev.close()

    def test_over_a_socket_that_is_given(self, base: EventBase, refusing: Address, pair: Pair) -> None:
        bev, ear = self.failed(base, refusing)
        bev.replacefd(pair[0])
        bev.enable(EV_WRITE)
        bev.write(b"x")
        turn(base)
        assert ear.heard == ["write"]
        assert pair[1].recv(9) == b"x"
        bev.close()

    def test_in_the_callback(self, base: EventBase, refusing: Address, server: socket.socket) -> None:
        bev = SocketBufferEvent(base)
        tries: list[int] = []

        def again(_bev: object, what: int) -> None:
            tries.append(what)
            if len(tries) < 3:
                bev.connect(refusing if len(tries) < 2 else server.getsockname())

        bev.set_callbacks(event=again)
        bev.connect(refusing)
        until(base, lambda: len(tries) == 3)
        assert bev.error is None
        bev.close()

    def test_of_a_socket_that_is_read_from_already(self, manual_base: EventBase, clock: ManualClock) -> None:
        """Nothing is read while it connects, and no time-out for that counts."""
        with socket.socket() as full, socket.socket() as filler:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            filler.connect(full.getsockname())
            bev = SocketBufferEvent(manual_base, socket.socket())
            ear = Ear(bev)
            bev.set_timeouts(read=1, write=5)
            bev.enable(EV_READ)
            bev.connect(full.getsockname())
            clock.advance(2)
            turn(manual_base)
            assert ear.heard == []
            clock.advance(3)
            turn(manual_base)
            assert ear.heard == ["TIMEOUT connect: timed out after 5 s"]
            bev.close()

    def test_after_a_time_out(
        self, manual_base: EventBase, clock: ManualClock, server: socket.socket
    ) -> None:
        with socket.socket() as full, socket.socket() as filler:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            filler.connect(full.getsockname())
            bev = SocketBufferEvent(manual_base)
            ear = Ear(bev)
            bev.set_timeouts(write=5)
            bev.connect(full.getsockname())
            turn(manual_base)
            clock.advance(5)
            turn(manual_base)
            assert ear.take() == ["TIMEOUT connect: timed out after 5 s"]
            assert bev.socket is None
            bev.connect(server.getsockname())
            until(manual_base, lambda: ear.heard)
            assert ear.heard == ["CONNECTED"]
            bev.close()

    def test_is_not_charged_with_the_failure_of_one_that_was_forgotten(
        self, base: EventBase, server: socket.socket
    ) -> None:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect("/nowhere/at/all")  # fails at once, which is told later
        bev.replacefd(None)
        bev.connect(server.getsockname())
        until(base, lambda: ear.heard)
        assert ear.heard == ["CONNECTED"]
        bev.close()

    @pytest.mark.parametrize("told", [True, False])
    def test_is_freed_without_the_collector_when_there_is_none(self, base: EventBase, told: bool) -> None:
        class Watched(SocketBufferEvent):
            __slots__ = ("__weakref__",)

        gc.collect()
        gc.disable()
        try:
            bev = Watched(base)
            bev.connect("/nowhere/at/all")
            if told:
                turn(base)
            bev.close()
            gone = weakref.ref(bev)
            del bev
            turn(base)
            assert gone() is None
        finally:
            gc.enable()


class TestMisuse:
    def test_address_of_another_family_than_the_socket(self, base: EventBase, pair: Pair) -> None:
        bev = SocketBufferEvent(base, pair[0])
        ear = Ear(bev)
        with pytest.raises(ValueError, match="127"):
            bev.connect(("127.0.0.1", 80))
        bev.write(b"x")  # it is as it was
        turn(base)
        assert pair[1].recv(9) == b"x"
        assert ear.heard == ["write"]
        bev.close()

    def test_closed_socket_changes_nothing(self, base: EventBase, pair: Pair) -> None:
        bev = SocketBufferEvent(base, pair[0])
        closed = socket.socket()
        closed.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            bev.setfd(closed)
        assert bev.socket is pair[0]
        bev.write(b"x")
        turn(base)
        assert pair[1].recv(9) == b"x"
        bev.close()


class Resolver:
    """Answers ``answer``, at once."""

    def __init__(self, base: EventBase, answer: Any) -> None:
        self.base = base
        self.answer = answer
        self.futures: list[Future[list[Address]]] = []

    def getaddrinfo(self, host: str, port: int, family: int = 0) -> Future[list[Address]]:
        future: Future[list[Address]] = Future(self.base)
        self.futures.append(future)
        if isinstance(self.answer, BaseException):
            future.set_exception(self.answer)
        else:
            future.set_result(self.answer)
        return future


class Late(Resolver):
    """Answers when the test says."""

    def getaddrinfo(self, host: str, port: int, family: int = 0) -> Future[list[Address]]:
        future: Future[list[Address]] = Future(self.base)
        self.futures.append(future)
        return future


class Empty(Resolver):
    """Has a size, which is 0, as a cache may have."""

    def __len__(self) -> int:
        return 0


class TestResolverThat:
    def connecting(self, base: EventBase, resolver: Resolver) -> tuple[SocketBufferEvent, Ear]:
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect_host("name", 80, resolver=resolver)
        assert ear.heard == []  # never from inside
        return bev, ear

    @pytest.mark.parametrize(
        "answer",
        [
            [],
            [None],
            [5],
            [{}],
            [()],
            [("127.0.0.1",)],
            [["127.0.0.1", 80]],
            [("127.0.0.1", "80")],
            [("127.0.0.1", 65536)],
            [("127.0.0.1", True)],
            [(b"abcd", 80)],
            [(2130706433, 80)],
            [(None, 80)],
            [("localhost", 80)],
            [("::1", 80, 0)],
            [("::1", 80, 0, [])],
            [("::1", 80, 0, "lo")],
            ["a\0b"],
            None,
            5,
            "127.0.0.1",
            KeyError("no such name"),
            UnicodeError("what a name"),
            OSError("without a number"),
            StopIteration(),
        ],
        ids=repr,
    )
    def test_answers_nonsense(self, base: EventBase, answer: Any) -> None:
        bev, ear = self.connecting(base, Resolver(base, answer))
        until(base, lambda: ear.heard)
        assert len(ear.heard) == 1
        assert ear.heard[0].startswith("ERROR connect: name:80: ")
        assert isinstance(bev.error, ConnectError)
        assert base.num_events(ALL) == 0
        bev.close()

    def test_answers_thousands_of_addresses(self, base: EventBase, refusing: Address) -> None:
        port = refusing[1]
        addresses = [(f"127.0.{n // 250}.{n % 250 + 1}", port) for n in range(5000)]
        bev, ear = self.connecting(base, Resolver(base, addresses))
        until(base, lambda: ear.heard)
        assert isinstance(bev.error, ConnectError)
        assert str(bev.error).count("Connection refused") == MAX_ADDRESSES
        bev.close()

    @pytest.mark.parametrize("how", [ValueError, OSError, RuntimeError, ConnectError])
    def test_raises(self, base: EventBase, server: socket.socket, how: Callable[[str], Exception]) -> None:
        class Raising(Resolver):
            def getaddrinfo(self, host: str, port: int, family: int = 0) -> Future[list[Address]]:
                raise how("no")

        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        with pytest.raises(how, match="no"):  # type: ignore[call-overload]  # each is a class of exceptions
            bev.connect_host("name", 80, resolver=Raising(base, None))
        turn(base)
        assert ear.heard == []
        bev.connect(server.getsockname())
        until(base, lambda: ear.heard)
        assert ear.heard == ["CONNECTED"]
        bev.close()

    def test_answers_at_once(self, base: EventBase, server: socket.socket) -> None:
        bev, ear = self.connecting(base, Resolver(base, [server.getsockname()]))
        until(base, lambda: ear.heard)
        assert ear.heard == ["CONNECTED"]
        assert bev._attempt is None  # all that has looked for the host is let go
        bev.close()

    def test_is_the_base_s_own(self, base: EventBase, server: socket.socket) -> None:
        resolver = base.resolver = Resolver(base, [server.getsockname()])
        bev = SocketBufferEvent(base)
        ear = Ear(bev)
        bev.connect_host("name", 80)
        assert len(resolver.futures) == 1
        until(base, lambda: ear.heard)
        assert ear.heard == ["CONNECTED"]
        bev.close()

    def test_is_empty_is_asked_all_the_same(self, base: EventBase, server: socket.socket) -> None:
        resolver = Empty(base, [server.getsockname()])
        bev, ear = self.connecting(base, resolver)
        assert len(resolver.futures) == 1
        until(base, lambda: ear.heard)
        assert ear.heard == ["CONNECTED"]
        bev.close()

    def test_answers_after_the_end(self, base: EventBase, server: socket.socket) -> None:
        resolver = Late(base, None)
        bev, ear = self.connecting(base, resolver)
        bev.close()
        assert resolver.futures[0].cancelled()
        assert not resolver.futures[0].set_result([server.getsockname()])
        assert not resolver.futures[0].set_exception(OSError("too late"))
        turn(base)
        assert ear.heard == []

    def test_answers_from_another_thread(self, base: EventBase, server: socket.socket) -> None:
        resolver = Late(base, None)
        bev, ear = self.connecting(base, resolver)
        answer = [server.getsockname()]
        thread = threading.Thread(
            target=lambda: base.call_soon_threadsafe(resolver.futures[0].set_result, answer)
        )
        thread.start()
        until(base, lambda: ear.heard)
        thread.join()
        assert ear.heard == ["CONNECTED"]
        bev.close()

    def test_never_answers(self, base: EventBase) -> None:
        resolver = Late(base, None)
        bev, ear = self.connecting(base, resolver)
        turn(base)
        assert ear.heard == []
        bev.write(b"waits")
        turn(base)
        assert bytes(bev.output) == b"waits"
        bev.close()
        assert resolver.futures[0].cancelled()
        turn(base)
