"""What `Listener` accepts and when, how it lives through a lack of descriptors, and what it leaves behind."""

import errno
import gc
import os
import resource
import select
import socket
import stat
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evkit.core import listener as module
from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.flags import COUNT_ADDED, EV_READ, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.listener import Listener
from evkit.core.log import LOG_WARN, set_log_callback
from evkit.core.net import bound_socket
from evkit.testing import FakeBase, ManualClock

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
ANY_PORT = ("127.0.0.1", 0)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


HAS_IPV6 = has_ipv6()


def select_writable(sock: socket.socket) -> bool:
    return bool(select.select([], [sock], [], 0)[1])


class Door:
    """A callback that keeps what it is given, on a listener of a free port."""

    def __init__(
        self, base: EventBase, act: Callable[[Listener], object] | None = None, **options: bool
    ) -> None:
        self.sockets: list[socket.socket] = []
        self.addresses: list[object] = []
        self.act = act
        self.listener = Listener.bind(base, self.on_accept, ANY_PORT, **options)
        self.clients: list[socket.socket] = []

    def on_accept(self, listener: Listener, sock: socket.socket, address: object) -> None:
        assert listener is self.listener
        self.sockets.append(sock)
        self.addresses.append(address)
        if self.act is not None:
            self.act(listener)

    def knock(self, count: int = 1) -> None:
        for _ in range(count):
            self.clients.append(socket.create_connection(self.listener.socket.getsockname()))

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.close()
        for sock in self.sockets + self.clients:
            sock.close()


@contextmanager
def no_descriptors() -> Iterator[Callable[[], None]]:
    """Let the process have no further descriptor, until the function given is called."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)

    def restore() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield restore
    finally:
        restore()


@pytest.fixture
def log() -> Iterator[list[tuple[int, str]]]:
    lines: list[tuple[int, str]] = []
    set_log_callback(lambda severity, message: lines.append((severity, message)))
    yield lines
    set_log_callback(None)


class TestAccepting:
    def test_callback_gets_listener_socket_and_address(self, base: EventBase, open_descriptors: None) -> None:
        with Door(base) as door:
            door.knock()
            base.loop(EVLOOP_ONCE)
            (sock,), (client,) = door.sockets, door.clients
            assert door.addresses == [client.getsockname()]
            client.send(b"hi")
            assert sock.recv(9) == b"hi"

    def test_all_that_wait_are_accepted_in_one_pass(self, base: EventBase) -> None:
        with Door(base) as door:
            door.knock(3)
            base.loop(ONE_PASS)
            assert door.addresses == [client.getsockname() for client in door.clients]

    def test_socket_does_not_block_and_is_not_inherited(self, base: EventBase) -> None:
        with Door(base) as door:
            door.knock()
            base.loop(ONE_PASS)
            assert door.sockets[0].gettimeout() == 0.0
            assert not door.sockets[0].get_inheritable()
            assert not os.get_blocking(door.listener.socket.fileno())

    def test_leave_blocking(self, base: EventBase) -> None:
        accepted: list[socket.socket] = []
        listener = Listener(
            base,
            lambda _listener, sock, _address: accepted.append(sock),
            bound_socket(ANY_PORT),
            leave_blocking=True,
        )
        with socket.create_connection(listener.socket.getsockname()):
            base.loop(ONE_PASS)
        listener.close()
        with accepted[0] as sock:
            assert sock.getblocking()
            assert os.get_blocking(sock.fileno())

    def test_no_delay_is_inherited(self, base: EventBase) -> None:
        with Door(base) as door:
            door.knock()
            base.loop(ONE_PASS)
            assert door.sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_socket_that_listens_already(self, base: EventBase) -> None:
        accepted: list[socket.socket] = []
        listener = Listener(
            base,
            lambda _listener, sock, _address: accepted.append(sock),
            socket.create_server(ANY_PORT),
            backlog=None,
        )
        with socket.create_connection(listener.socket.getsockname()) as client:
            base.loop(ONE_PASS)
            listener.close()
            with accepted[0] as sock:
                assert sock.getpeername() == client.getsockname()

    def test_flood_is_taken_in_portions(
        self, base: EventBase, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        flood = module._ACCEPTS_PER_EVENT + 5
        with Door(base) as door:
            door.knock(flood)
            pair[1].send(b"x")
            seen: list[int] = []
            base.event(pair[0], EV_READ, lambda _event, _what: seen.append(len(door.sockets))).add()
            base.loop(ONE_PASS)
            assert len(door.sockets) == module._ACCEPTS_PER_EVENT
            assert len(seen) == 1  # others had their turn in the same pass
            base.loop(ONE_PASS)
            assert len(door.sockets) == flood


class TestEnabling:
    def test_disabled_accepts_after_enable(self, base: EventBase) -> None:
        with Door(base, disabled=True) as door:
            door.knock()
            base.loop(EVLOOP_NONBLOCK)
            assert not door.sockets
            assert not door.listener.enabled
            door.listener.enable()
            assert door.listener.enabled
            base.loop(EVLOOP_NONBLOCK)
            assert len(door.sockets) == 1

    def test_disabled_keeps_no_loop_alive(self, base: EventBase) -> None:
        with Door(base) as door:
            door.listener.disable()
            assert base.dispatch() is False

    def test_disable_in_the_callback_stops_at_once(self, base: EventBase) -> None:
        with Door(base, Listener.disable) as door:
            door.knock(3)
            base.loop(EVLOOP_NONBLOCK)
            assert len(door.sockets) == 1
            door.act = None
            door.listener.enable()
            base.loop(EVLOOP_NONBLOCK)
            assert len(door.sockets) == 3

    def test_close_in_the_callback_stops_at_once(self, base: EventBase) -> None:
        with Door(base, Listener.close) as door:
            door.knock(3)
            base.loop(EVLOOP_NONBLOCK)
            assert len(door.sockets) == 1
            assert door.listener.closed

    def test_without_a_callback_connections_wait(self, base: EventBase) -> None:
        with Door(base) as door:
            door.listener.set_callback(None)
            door.knock()
            base.loop(EVLOOP_NONBLOCK)
            assert not door.sockets
            door.listener.set_callback(door.on_accept)
            base.loop(EVLOOP_NONBLOCK)
            assert len(door.sockets) == 1

    def test_callback_taken_away_in_the_callback(self, base: EventBase) -> None:
        with Door(base, lambda listener: listener.set_callback(None)) as door:
            door.knock(2)
            base.loop(EVLOOP_NONBLOCK)
            assert len(door.sockets) == 1

    def test_enable_after_close_does_nothing(self, base: EventBase) -> None:
        with Door(base) as door:
            door.listener.close()
            door.listener.enable()
            assert base.dispatch() is False


class TestCallbackFails:
    def test_connection_is_closed_and_the_next_one_accepted(
        self, base: EventBase, open_descriptors: None
    ) -> None:
        escaped: list[tuple[type, object]] = []
        base.exception_handler = lambda exception, source: escaped.append((type(exception), source))

        def act(_listener: Listener) -> None:
            if len(door.sockets) == 1:
                raise ZeroDivisionError

        with Door(base, act) as door:
            door.knock(2)
            base.loop(EVLOOP_NONBLOCK)
            assert escaped == [(ZeroDivisionError, door.listener)]
            assert door.clients[0].recv(1) == b""
            door.clients[1].send(b"hi")
            assert door.sockets[1].recv(9) == b"hi"

    def test_descriptor_of_a_half_made_connection_serves_the_next_one(self, base: EventBase) -> None:
        base.exception_handler = lambda _exception, _source: None
        connections: list[SocketBufferEvent] = []
        heard: list[bytes] = []

        def on_accept(_listener: Listener, sock: socket.socket, _address: object) -> None:
            bev = SocketBufferEvent(base, sock)
            bev.set_callbacks(read=lambda bev: heard.append(bev.read()))
            bev.enable(EV_READ)
            connections.append(bev)
            if len(connections) == 1:
                raise ZeroDivisionError

        with Door(base) as door:
            door.listener.set_callback(on_accept)
            door.knock(2)
            for client in door.clients:
                client.send(b"hi")
            base.loop(EVLOOP_NONBLOCK)
            assert connections[1].socket is not None  # its descriptor is the one that was just closed
            assert heard == [b"hi"]
        for bev in connections:
            bev.close()


class TestOutOfDescriptors:
    def run_dry(self, base: EventBase, clock: ManualClock, door: Door) -> int:
        """Fail to accept; return how many passes of ten were busy."""
        busy = 0
        with no_descriptors() as restore:
            for _ in range(10):
                base.loop(ONE_PASS)
                busy += bool(door.listener._event.pending())
            assert "paused" in repr(door.listener)
            clock.advance(module._PAUSE)
            base.loop(EVLOOP_NONBLOCK)  # tries again, in vain
            assert not door.sockets
            restore()
        clock.advance(module._PAUSE)
        base.loop(EVLOOP_NONBLOCK)
        base.loop(EVLOOP_NONBLOCK)
        return busy

    def test_pauses_says_so_once_and_comes_back(
        self, manual_base: EventBase, clock: ManualClock, log: list[tuple[int, str]]
    ) -> None:
        with Door(manual_base) as door:
            door.knock(2)
            assert self.run_dry(manual_base, clock, door) == 0
            assert len(door.sockets) == 2
            ((severity, line),) = log
            assert severity == LOG_WARN
            assert door.listener.address in line
            assert os.strerror(errno.EMFILE) in line

    def test_says_so_again_the_next_time(
        self, manual_base: EventBase, clock: ManualClock, log: list[tuple[int, str]]
    ) -> None:
        with Door(manual_base) as door:
            for round_ in (1, 2):
                for sock in door.sockets:
                    sock.close()
                door.sockets.clear()
                door.knock()
                self.run_dry(manual_base, clock, door)
                assert len(log) == round_

    def test_error_callback_hears_each_failure_instead(
        self, manual_base: EventBase, clock: ManualClock, log: list[tuple[int, str]]
    ) -> None:
        heard: list[tuple[object, int | None]] = []
        with Door(manual_base) as door:
            door.listener.error_callback = lambda listener, error: heard.append((listener, error.errno))
            door.knock()
            self.run_dry(manual_base, clock, door)
            assert heard == [(door.listener, errno.EMFILE)] * 2
            assert len(door.sockets) == 1
        assert not log

    @pytest.mark.parametrize("number", [errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPERM])
    def test_other_lacks_pause_it_too(self, manual_base: EventBase, clock: ManualClock, number: int) -> None:
        heard: list[int | None] = []

        class Lacking(socket.socket):
            def accept(self) -> tuple[socket.socket, object]:
                if not heard:
                    raise OSError(number, os.strerror(number))
                return super().accept()

        with Lacking() as sock:
            sock.bind(ANY_PORT)
            accepted: list[socket.socket] = []
            listener = Listener(manual_base, lambda _listener, sock, _address: accepted.append(sock), sock)
            listener.error_callback = lambda _listener, error: heard.append(error.errno)
            with socket.create_connection(sock.getsockname()):
                for _ in range(5):
                    manual_base.loop(ONE_PASS)
                assert heard == [number]
                assert accepted == []
                clock.advance(module._PAUSE)
                manual_base.loop(EVLOOP_NONBLOCK)
                assert len(accepted) == 1
            accepted[0].close()
            listener.close()

    def test_error_callback_may_fail(self, manual_base: EventBase, clock: ManualClock) -> None:
        escaped: list[object] = []
        manual_base.exception_handler = lambda _exception, source: escaped.append(source)

        def fail(_listener: Listener, _error: OSError) -> None:
            raise ZeroDivisionError

        with Door(manual_base) as door:
            door.listener.error_callback = fail
            door.knock()
            self.run_dry(manual_base, clock, door)
            assert escaped == [door.listener] * 2
            assert len(door.sockets) == 1

    def test_error_callback_may_close(self, manual_base: EventBase, clock: ManualClock) -> None:
        with Door(manual_base) as door:
            door.listener.error_callback = lambda listener, _error: listener.close()
            door.knock()
            with no_descriptors():
                manual_base.loop(EVLOOP_NONBLOCK)
            assert door.listener.closed
            assert manual_base.dispatch() is False  # nothing is left to try again

    def test_disabled_while_paused_stays_disabled(self, manual_base: EventBase, clock: ManualClock) -> None:
        with Door(manual_base) as door:
            door.listener.error_callback = lambda listener, _error: listener.disable()
            door.knock()
            with no_descriptors():
                manual_base.loop(EVLOOP_NONBLOCK)
            clock.advance(module._PAUSE)
            manual_base.loop(EVLOOP_NONBLOCK)
            assert not door.sockets

    @pytest.mark.parametrize("error_callback", ["None", "lambda listener, error: 1 / 0"])
    def test_program_that_has_never_logged_lives_through_it(self, error_callback: str) -> None:
        # The modules that put a failure into words are imported late, and importing takes a descriptor.
        program = _PROGRAM.replace("ERROR_CALLBACK", error_callback)
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
        )
        assert result.stdout == "accepted\n", result.stderr
        assert (
            os.strerror(errno.EMFILE) if error_callback == "None" else "ZeroDivisionError"
        ) in result.stderr


_PROGRAM = """
import os, resource, socket
from evkit.core.base import EventBase
from evkit.core.listener import Listener

def accepted(listener, sock, address):
    sock.close()
    base.loopbreak()
    print("accepted")

with EventBase() as base:
    listener = Listener.bind(base, accepted, ("127.0.0.1", 0))
    listener.error_callback = ERROR_CALLBACK
    client = socket.create_connection(listener.socket.getsockname())
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    base.timer(lambda event, what: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))).add(0.05)
    base.dispatch()
    listener.close()
"""


@pytest.mark.parametrize("name", sorted(set(vars(errno)) & {"ENONET", "EPROTO", "EHOSTDOWN", "ENETDOWN"}))
def test_system_that_has_no_such_error(name: str) -> None:
    """macOS has no ENONET; names that a system lacks must not keep evkit from being imported there."""
    program = f"import errno; del errno.{name}; import evkit.core.listener; print('imported')"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.stdout == "imported\n", result.stderr


class TestBinding:
    def test_port_in_use(self, base: EventBase, open_descriptors: None) -> None:
        with Door(base) as door, pytest.raises(OSError, match="in use") as caught:
            Listener.bind(base, None, door.listener.socket.getsockname())
        assert caught.value.errno == errno.EADDRINUSE

    def test_backend_that_refuses_the_socket_leaves_no_descriptor(
        self, fakes: FakeBase, tmp_path: Path, open_descriptors: None
    ) -> None:
        free = os.dup(0)
        os.close(free)
        fakes.backend.refuse(free, OSError(errno.ENOSPC, "no watch is left"))
        with pytest.raises(OSError, match="no watch is left"):
            Listener.bind(fakes.base, print, str(tmp_path / "s"))
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("backlog", [1 << 31, 1 << 80])
    def test_backlog_that_is_no_c_int_is_refused(
        self, base: EventBase, backlog: int, open_descriptors: None
    ) -> None:
        with pytest.raises(ValueError, match="backlog must be >= 1 and <= 2147483647"):
            Listener.bind(base, None, ANY_PORT, backlog=backlog)

    def test_callback_that_cannot_be_called(self, base: EventBase, open_descriptors: None) -> None:
        with pytest.raises(TypeError, match="must be callable"):
            Listener.bind(base, 5, ANY_PORT)  # type: ignore[arg-type]  # what is refused
        listener = Listener.bind(base, None, ANY_PORT)
        with pytest.raises(TypeError, match="must be callable"):
            listener.set_callback("no")  # type: ignore[arg-type]  # as above
        listener.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")
    def test_abstract_name(self, base: EventBase, open_descriptors: None) -> None:
        name = f"\0evkit test {os.getpid()}"
        accepted: list[socket.socket] = []
        listener = Listener.bind(base, lambda _listener, sock, _address: accepted.append(sock), name)
        assert listener.address == f"unix:@{name[1:]}"
        with pytest.raises(OSError, match="in use"):
            Listener.bind(base, None, name)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(name)
            base.loop(ONE_PASS)
            client.send(b"hi")
            assert accepted[0].recv(9) == b"hi"
        accepted[0].close()
        listener.close()
        Listener.bind(base, None, name).close()  # it went with the socket

    @pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
    def test_ipv6(self, base: EventBase) -> None:
        listener = Listener.bind(base, None, ("::1", 0), ipv6_only=True)
        assert listener.address == f"[::1]:{listener.socket.getsockname()[1]}"
        listener.close()

    @pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
    @pytest.mark.parametrize("only", [False, True])
    def test_ipv4_on_an_ipv6_address(self, base: EventBase, only: bool) -> None:
        accepted: list[socket.socket] = []
        listener = Listener.bind(
            base, lambda _listener, sock, _address: accepted.append(sock), ("::", 0), ipv6_only=only
        )
        with socket.socket() as client:
            refused = client.connect_ex(("127.0.0.1", listener.port))
            base.loop(ONE_PASS)
            assert refused == (errno.ECONNREFUSED if only else 0)
            if not only:
                assert accepted[0].getpeername()[:2] == ("::ffff:127.0.0.1", client.getsockname()[1])
        for sock in accepted:
            sock.close()
        listener.close()

    def test_deferred_accept_waits_for_the_first_bytes(self, base: EventBase) -> None:
        if not hasattr(socket, "TCP_DEFER_ACCEPT"):
            pytest.skip("this system can't")
        with Door(base, deferred_accept=True) as door:
            door.knock()
            base.loop(EVLOOP_NONBLOCK)
            assert not door.sockets
            door.clients[0].send(b"hi")
            base.loop(EVLOOP_ONCE)
            assert door.sockets[0].recv(9) == b"hi"

    def test_two_on_one_port(self, base: EventBase) -> None:
        with Door(base, reuseable_port=True) as first:
            address = first.listener.socket.getsockname()
            second = Listener.bind(base, first.on_accept, address, reuseable_port=True)
            assert second.port == first.listener.port
            second.close()

    def test_options_reach_the_listener(self, base: EventBase) -> None:
        with bound_socket(ANY_PORT) as other:
            address = other.getsockname()
        listener = Listener.bind(base, None, address, keepalive=60, leave_blocking=True, close_on_free=False)
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert listener._leave_blocking
        listener.close()
        with listener.socket as sock:
            assert sock.fileno() >= 0

    @pytest.mark.parametrize("backlog", [0, -1])
    def test_backlog_below_one_is_refused(
        self, base: EventBase, backlog: int, open_descriptors: None
    ) -> None:
        with pytest.raises(ValueError, match="backlog must be >= 1 and"):
            Listener.bind(base, None, ANY_PORT, backlog=backlog)

    def test_backlog_is_the_number_that_may_wait(self, base: EventBase) -> None:
        listener = Listener.bind(base, None, ANY_PORT, backlog=1)
        waiting = []
        for _ in range(8):
            client = socket.socket()
            client.setblocking(False)
            waiting.append(client)
            client.connect_ex(listener.socket.getsockname())
        unconnected = [client for client in waiting if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)]
        connected = [client for client in waiting if select_writable(client)]
        assert len(connected) < len(waiting)
        assert unconnected == []
        for client in waiting:
            client.close()
        listener.close()

    def test_socket_that_accepts_nothing_is_refused(self, base: EventBase) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            with pytest.raises(ValueError, match="accepts connections"):
                Listener(base, None, sock)
            assert sock.fileno() >= 0  # the caller's still
        with bound_socket(ANY_PORT) as sock, pytest.raises(ValueError, match="listens already"):
            Listener(base, None, sock, backlog=None)

    def test_mode_of_a_unix_socket(self, base: EventBase, tmp_path: Path) -> None:
        listener = Listener.bind(base, None, str(tmp_path / "s"), mode=0o660)
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
        listener.close()

    def test_file_of_a_socket_that_was_given_listening_is_left(self, base: EventBase, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with bound_socket(str(path)) as others:  # those of a service manager, say
            given = others.dup()
            Listener(base, None, given, backlog=None).close()
            assert given.fileno() == -1
            assert path.exists()
            others.setblocking(False)
            with pytest.raises(BlockingIOError):
                others.accept()  # nobody has knocked to find out

    def test_unix_socket_is_served_and_its_file_removed(
        self, base: EventBase, tmp_path: Path, open_descriptors: None
    ) -> None:
        path = str(tmp_path / "s")
        accepted: list[socket.socket] = []
        listener = Listener.bind(base, lambda _listener, sock, _address: accepted.append(sock), path)
        assert listener.address == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            base.loop(ONE_PASS)
            client.send(b"hi")
            assert accepted[0].recv(9) == b"hi"
        accepted[0].close()
        listener.close()
        assert not os.path.exists(path)

    def test_stale_file_is_replaced_and_a_foreign_one_kept(self, base: EventBase, tmp_path: Path) -> None:
        stale, foreign = tmp_path / "stale", tmp_path / "foreign"
        bound_socket(str(stale)).close()
        Listener.bind(base, None, str(stale)).close()
        assert not stale.exists()
        foreign.write_text("precious")
        with pytest.raises(OSError, match="in use"):
            Listener.bind(base, None, str(foreign))
        assert foreign.read_text() == "precious"


class TestAcceptingWhatWaits:
    def test_is_done_at_once(self, base: EventBase) -> None:
        with Door(base) as door:
            door.knock(3)
            door.listener.accept_waiting()
            assert len(door.sockets) == 3
            door.listener.accept_waiting()
            assert len(door.sockets) == 3
            door.listener.close()
            for client in door.clients:
                client.setblocking(False)
                with pytest.raises(BlockingIOError):  # and it is no end
                    client.recv(1)

    @pytest.mark.parametrize("how", ["disable", "close"])
    def test_is_done_by_one_that_accepts(self, base: EventBase, how: str) -> None:
        with Door(base) as door:
            door.knock()
            getattr(door.listener, how)()
            door.listener.accept_waiting()
            assert door.sockets == []

    def test_ends_where_the_callback_closes(self, base: EventBase) -> None:
        with Door(base, Listener.close) as door:
            door.knock(3)
            door.listener.accept_waiting()
            assert len(door.sockets) == 1


class TestClosing:
    def test_second_close_does_nothing(self, base: EventBase) -> None:
        listener = Listener.bind(base, None, ANY_PORT)
        listener.close()
        listener.close()
        assert listener.socket.fileno() == -1

    def test_socket_may_be_kept(self, base: EventBase) -> None:
        with bound_socket(ANY_PORT) as sock:
            Listener(base, None, sock, close_on_free=False).close()
            assert sock.fileno() >= 0

    def test_is_let_go_without_a_collector(self, base: EventBase) -> None:
        class Owner:
            def on_accept(self, *_: object) -> None: ...

        gc.collect()
        gc.disable()
        try:
            owner = Owner()
            gone = weakref.ref(owner)
            listener = Listener.bind(base, owner.on_accept, ANY_PORT)
            listener.close()
            del listener, owner
            assert gone() is None
        finally:
            gc.enable()

    @pytest.mark.parametrize("act", [Listener.close, Listener.disable])
    def test_in_a_callback_that_then_fails(
        self, base: EventBase, act: Callable[[Listener], object], open_descriptors: None
    ) -> None:
        escaped: list[object] = []
        base.exception_handler = lambda _exception, source: escaped.append(source)

        def fail(listener: Listener) -> None:
            act(listener)
            raise ZeroDivisionError

        with Door(base, fail) as door:
            door.knock(3)
            base.loop(EVLOOP_NONBLOCK)
            assert escaped == [door.listener]
            assert [sock.fileno() for sock in door.sockets] == [-1]
            assert base.num_events(COUNT_ADDED) == 0

    def test_port_is_free_at_once(self, base: EventBase) -> None:
        with Door(base) as door:
            address = door.listener.socket.getsockname()
            door.listener.close()
            Listener.bind(base, None, address).close()


def test_repr_tells_address_and_state(base: EventBase) -> None:
    listener = Listener.bind(base, lambda *_: None, ANY_PORT)
    address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    assert repr(listener) == f"<Listener {address} enabled>"
    listener.disable()
    assert repr(listener) == f"<Listener {address} disabled>"
    listener.close()
    assert repr(listener) == f"<Listener {address} closed>"


class Losing(socket.socket):
    """A listening socket that hands on an error before each connection."""

    number = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.number, number = 0, self.number
        if number:
            raise OSError(number, os.strerror(number))
        self.number = self.next_number
        return super().accept()

    next_number = 0


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.ENETDOWN, errno.EINTR])
def test_connection_that_was_lost_meanwhile_is_passed_over(
    base: EventBase, log: list[tuple[int, str]], number: int
) -> None:
    accepted: list[socket.socket] = []
    with Losing() as sock:
        sock.number = sock.next_number = number
        sock.bind(ANY_PORT)
        listener = Listener(base, lambda _listener, sock, _address: accepted.append(sock), sock)
        clients = [socket.create_connection(sock.getsockname()) for _ in range(3)]
        base.loop(EVLOOP_NONBLOCK)
        assert len(accepted) == 3
        assert repr(listener).endswith(" enabled>")
        assert log == []
        listener.close()
        for client in clients + accepted:
            client.close()
