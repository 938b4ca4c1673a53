"""`DatagramEndpoint` on real sockets: what arrives, what waits, what is refused, and errors that hurt nothing else."""

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evkit.core import datagram, datagram_output
from evkit.core.base import EventBase
from evkit.core.datagram import DatagramEndpoint
from evkit.core.datagram_queue import OVERHEAD
from evkit.core.flags import COUNT_ADDED, EV_READ, EVLOOP_NONBLOCK, EVLOOP_ONCE
from evkit.core.net import Address
from evkit.errors import LoopError, TransportError
from evkit.testing import ManualClock

ONE_PASS = EVLOOP_ONCE | EVLOOP_NONBLOCK
ANY_PORT = ("127.0.0.1", 0)


def ignore(*_: object) -> None:
    pass


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


class Ear:
    """Notes what an endpoint hears."""

    def __init__(self, make: Callable[..., DatagramEndpoint], *args: object, **options: object) -> None:
        self.got: list[tuple[bytes, object]] = []
        self.errors: list[tuple[TransportError, Address | None]] = []
        self.drained = 0
        self.act: Callable[[bytes], object] | None = None
        self.endpoint = make(*args, **options)
        self.base = self.endpoint.base
        self.endpoint.set_callbacks(self.on_receive, self.on_drained, self.on_error)

    def on_receive(self, endpoint: DatagramEndpoint, data: bytes, address: object) -> None:
        assert endpoint is self.endpoint
        self.got.append((data, address))
        if self.act is not None:
            self.act(data)

    def on_drained(self, endpoint: DatagramEndpoint) -> None:
        assert endpoint is self.endpoint
        self.drained += 1

    def on_error(self, endpoint: DatagramEndpoint, error: TransportError, address: Address | None) -> None:
        assert endpoint is self.endpoint
        self.errors.append((error, address))

    @property
    def told(self) -> list[tuple[str, int | None, Address | None]]:
        return [(error.during, error.errno, address) for error, address in self.errors]

    @property
    def data(self) -> list[bytes]:
        return [data for data, _ in self.got]

    def run(self) -> None:
        self.base.loop(EVLOOP_NONBLOCK)


@pytest.fixture
def server(open_descriptors: None, base: EventBase) -> Iterator[Ear]:
    ear = Ear(DatagramEndpoint.bind, base, ANY_PORT)
    yield ear
    ear.endpoint.close()


@pytest.fixture
def client(server: Ear) -> Iterator[Ear]:
    ear = Ear(DatagramEndpoint.connect, server.base, server.endpoint.socket.getsockname())
    yield ear
    ear.endpoint.close()


class Choked:
    """A socket whose system has no room, or fails, as it is told; the rest is the real one's."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.failures: list[OSError | None] = []
        self.always: OSError | None = None

    def _fail(self) -> None:
        failure = self.failures.pop(0) if self.failures else self.always
        if failure is not None:
            raise failure

    def send(self, data: bytes) -> int:
        self._fail()
        return self._sock.send(data)

    def sendto(self, data: bytes, address: Address) -> int:
        self._fail()
        return self._sock.sendto(data, address)

    def recvfrom(self, size: int) -> tuple[bytes, object]:
        self._fail()
        data, address = self._sock.recvfrom(size)
        return data, address

    def __getattr__(self, name: str) -> object:
        return getattr(self._sock, name)


def choke(ear: Ear) -> Choked:
    choked = Choked(ear.endpoint.socket)
    ear.endpoint.socket = choked  # type: ignore[assignment]  # stands in for it
    return choked


class TestPassing:
    def test_there_and_back(self, server: Ear, client: Ear) -> None:
        assert client.endpoint.send(b"ping")
        server.run()
        ((data, address),) = server.got
        assert (data, address) == (b"ping", client.endpoint.socket.getsockname())
        assert server.endpoint.send(b"pong", client.endpoint.socket.getsockname())
        server.run()
        assert client.got == [(b"pong", server.endpoint.socket.getsockname())]

    @pytest.mark.parametrize("data", [b"", b"x", bytearray(b"y"), memoryview(b"z"), bytes(60_000)])
    def test_sizes_and_kinds(self, server: Ear, client: Ear, data: bytes) -> None:
        assert client.endpoint.send(data)
        server.run()
        assert server.data == [bytes(data)]

    @needs_ipv6
    def test_ipv6(self, base: EventBase, open_descriptors: None) -> None:
        server = Ear(DatagramEndpoint.bind, base, ("::1", 0))
        client = Ear(DatagramEndpoint.connect, base, ("::1", server.endpoint.port), random_port=True)
        client.endpoint.send(b"six")
        server.run()
        assert server.data == [b"six"]
        assert server.endpoint.address == f"[::1]:{server.endpoint.port}"
        for ear in (server, client):
            ear.endpoint.close()

    @needs_ipv6
    @pytest.mark.parametrize("only", [False, True])
    def test_ipv4_on_an_ipv6_address(self, base: EventBase, only: bool) -> None:
        server = Ear(DatagramEndpoint.bind, base, ("::", 0), ipv6_only=only)
        client = DatagramEndpoint.connect(base, ("127.0.0.1", server.endpoint.port))
        client.send(b"four")
        server.run()
        assert server.data == ([] if only else [b"four"])
        server.endpoint.close()
        client.close()

    @needs_ipv6
    def test_sender_s_address_with_its_scope_is_where_to_answer(
        self, base: EventBase, open_descriptors: None
    ) -> None:
        server = Ear(DatagramEndpoint.bind, base, ("::1", 0))
        client = Ear(DatagramEndpoint.bind, base, ("::1", 0, 0, 0))
        client.endpoint.send(b"six", ("::1", server.endpoint.port, 0, 0))
        server.run()
        ((_, address),) = server.got
        assert address == ("::1", client.endpoint.port, 0, 0)
        server.endpoint.send(b"back", address)
        server.run()
        assert client.got == [(b"back", ("::1", server.endpoint.port, 0, 0))]
        for ear in (server, client):
            ear.endpoint.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="needs the broadcast address of Linux's loopback")
    def test_broadcast_is_for_who_asks_for_it(self, base: EventBase, open_descriptors: None) -> None:
        server = Ear(DatagramEndpoint.bind, base, ("0.0.0.0", 0))
        client = Ear(DatagramEndpoint.bind, base, ANY_PORT)
        everybody = ("127.255.255.255", server.endpoint.port)
        client.endpoint.send(b"refused", everybody)
        client.endpoint.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, True)
        client.endpoint.send(b"all of you", everybody)
        server.run()
        assert server.data == [b"all of you"]
        assert client.told == [("write", errno.EACCES, everybody)]
        for ear in (server, client):
            ear.endpoint.close()

    def test_connected_hears_its_peer_alone(self, server: Ear, client: Ear) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"forged", client.endpoint.socket.getsockname())
        server.endpoint.send(b"true", client.endpoint.socket.getsockname())
        server.run()
        assert client.data == [b"true"]

    def test_flood_is_taken_in_portions(self, server: Ear, client: Ear) -> None:
        for number in range(datagram_output.PER_EVENT + 3):
            client.endpoint.send(str(number).encode())
        seen: list[int] = []
        near, far = socket.socketpair()
        with near, far:
            near.send(b"x")
            server.base.event(far, EV_READ, lambda _event, _what: seen.append(len(server.got))).add()
            server.base.loop(ONE_PASS)
            assert len(server.got) == datagram_output.PER_EVENT
            assert len(seen) == 1  # others had their turn in the same pass
        server.run()
        assert server.data == [str(number).encode() for number in range(datagram_output.PER_EVENT + 3)]

    def test_callback_that_fails_hurts_no_other_datagram(self, server: Ear, client: Ear) -> None:
        escaped: list[object] = []
        server.base.exception_handler = lambda _exception, source: escaped.append(source)
        server.act = lambda data: 1 // len(data)
        for data in (b"", b"fine"):
            client.endpoint.send(data)
        server.run()
        assert server.data == [b"", b"fine"]
        assert escaped == [server.endpoint]


class TestPausing:
    def test_pause_in_the_callback_stops_at_once(self, server: Ear, client: Ear) -> None:
        server.act = lambda _data: server.endpoint.pause()
        for data in (b"1", b"2"):
            client.endpoint.send(data)
        server.run()
        assert server.data == [b"1"]
        assert "paused" in repr(server.endpoint)
        server.endpoint.resume()
        server.run()
        assert server.data == [b"1", b"2"]

    def test_without_a_callback_datagrams_wait(self, server: Ear, client: Ear) -> None:
        server.endpoint.set_callbacks()
        client.endpoint.send(b"1")
        server.run()
        server.endpoint.set_callbacks(server.on_receive)
        server.run()
        assert server.data == [b"1"]

    def test_close_in_the_callback_stops_at_once(self, server: Ear, client: Ear) -> None:
        server.act = lambda _data: server.endpoint.close()
        for data in (b"1", b"2"):
            client.endpoint.send(data)
        server.run()
        assert server.data == [b"1"]
        server.endpoint.resume()
        server.endpoint.set_callbacks(server.on_receive)


class TestQueue:
    def test_waits_for_room_in_order(self, server: Ear, client: Ear) -> None:
        choked = choke(client)
        choked.failures = [BlockingIOError()]
        assert client.endpoint.send(b"1")
        assert client.endpoint.send(b"2")  # has room, but must not overtake
        assert "queued=2" in repr(client.endpoint)
        server.run()
        assert server.data == [b"1", b"2"]
        assert "queued=0" in repr(client.endpoint)
        assert client.drained == 0  # as nothing was refused

    def test_is_bounded_and_tells_when_it_is_empty(self, server: Ear, client: Ear) -> None:
        choked = choke(client)
        choked.always = BlockingIOError()
        client.endpoint._queue.limit = 3 * (OVERHEAD + 10)
        taken = [client.endpoint.send(bytes(10)) for _ in range(5)]
        assert taken == [True, True, True, False, False]
        choked.always = None
        server.run()
        assert len(server.got) == 3
        assert client.drained == 1
        choked.always = BlockingIOError()
        assert [client.endpoint.send(bytes(10)) for _ in range(3)] == [True, True, True]
        choked.always = None
        server.run()
        assert len(server.got) == 6
        assert client.drained == 1  # as nothing was refused this time

    def test_empty_datagrams_are_bounded_too(self, client: Ear) -> None:
        choke(client).always = BlockingIOError()
        client.endpoint._queue.limit = 10 * OVERHEAD
        assert sum(client.endpoint.send(b"") for _ in range(1000)) == 10

    def test_one_larger_than_the_queue_is_sent_if_there_is_room(self, server: Ear, client: Ear) -> None:
        client.endpoint._queue.limit = 0
        assert client.endpoint.send(bytes(1000))
        server.run()
        assert server.data == [bytes(1000)]

    def test_one_larger_than_the_queue_hears_when_there_is_room(self, server: Ear, client: Ear) -> None:
        """Nothing is in the queue that would go first."""
        choke(client).failures = [BlockingIOError()]
        client.endpoint._queue.limit = 0
        assert client.endpoint.send(bytes(1000)) is False
        server.run()
        assert client.drained == 1
        assert client.endpoint.send(bytes(1000))
        server.run()
        assert server.data == [bytes(1000)]
        assert client.drained == 1

    def test_bytes_may_change_after_send(self, server: Ear, client: Ear) -> None:
        choke(client).failures = [BlockingIOError()]
        data = bytearray(b"before")
        client.endpoint.send(data)
        data[:] = b"after!"
        server.run()
        assert server.data == [b"before"]

    def test_long_queue_is_sent_in_portions(self, server: Ear, client: Ear) -> None:
        choked = choke(client)
        choked.always = BlockingIOError()
        count = datagram_output.PER_EVENT + 2
        for number in range(count):
            client.endpoint.send(str(number).encode())
        choked.always = None
        client.base.loop(ONE_PASS)
        assert len(client.endpoint._queue) == 2
        server.run()
        assert server.data == [str(number).encode() for number in range(count)]

    def test_queue_is_lost_with_close(self, server: Ear, client: Ear) -> None:
        choke(client).always = BlockingIOError()
        client.endpoint.send(b"lost")
        client.endpoint.close()
        assert "closed queued=0" in repr(client.endpoint)
        server.run()
        assert server.got == []

    def test_drained_may_send_and_close(self, server: Ear, client: Ear) -> None:
        choked = choke(client)
        choked.failures = [BlockingIOError()]
        client.endpoint._queue.limit = OVERHEAD + 1

        def on_drained(endpoint: DatagramEndpoint) -> None:
            endpoint.send(b"2")
            endpoint.close()

        client.endpoint.set_callbacks(drained=on_drained)
        assert client.endpoint.send(b"1")
        assert not client.endpoint.send(b"refused")
        server.run()
        assert server.data == [b"1", b"2"]


class TestErrors:
    def test_refused_by_the_peer_is_told_and_the_next_one_sent(
        self, base: EventBase, open_descriptors: None
    ) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as gone:
            gone.bind(ANY_PORT)
            address = gone.getsockname()
        client = Ear(DatagramEndpoint.connect, base, address)
        client.endpoint.send(b"anybody?")
        client.run()
        assert client.told == [("read", errno.ECONNREFUSED, None)]
        server = Ear(DatagramEndpoint.bind, base, address)
        client.endpoint.send(b"now?")
        client.run()
        assert server.data == [b"now?"]
        for ear in (client, server):
            ear.endpoint.close()

    def test_refusal_that_a_send_meets_does_not_cost_its_datagram(
        self, base: EventBase, open_descriptors: None
    ) -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as gone:
            gone.bind(ANY_PORT)
            address = gone.getsockname()
        client = Ear(DatagramEndpoint.connect, base, address)
        client.endpoint.pause()
        client.endpoint.send(b"anybody?")
        server = Ear(DatagramEndpoint.bind, base, address)
        client.endpoint.send(b"now?")
        client.run()
        assert server.data == [b"now?"]
        assert client.told == [("read", errno.ECONNREFUSED, None)]
        for ear in (client, server):
            ear.endpoint.close()

    @pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENOPROTOOPT])
    def test_answer_to_an_earlier_datagram_does_not_cost_this_one(
        self, server: Ear, client: Ear, number: int
    ) -> None:
        choke(client).failures = [OSError(number, "no")]
        client.endpoint.send(b"now?")
        server.run()
        assert server.data == [b"now?"]
        assert client.told == [("read", number, None)]

    def test_error_that_comes_again_is_the_datagram_s_own(self, server: Ear, client: Ear) -> None:
        choke(client).failures = [OSError(errno.ENETUNREACH, "no"), OSError(errno.ENETUNREACH, "no")]
        client.endpoint.send(b"lost")
        server.run()
        assert server.data == []
        assert client.told == [("write", errno.ENETUNREACH, None)]

    @pytest.mark.parametrize("then", [BlockingIOError(), OSError(errno.EPERM, "no")])
    def test_answer_is_told_whatever_becomes_of_the_datagram(
        self, server: Ear, client: Ear, then: OSError
    ) -> None:
        choke(client).failures = [OSError(errno.ECONNREFUSED, "no"), then]
        client.endpoint.send(b"next")
        server.run()
        assert client.told[0] == ("read", errno.ECONNREFUSED, None)
        assert (server.data, client.told[1:]) == (
            ([b"next"], []) if then.errno is None else ([], [("write", errno.EPERM, None)])
        )

    def test_too_long_to_send(self, server: Ear, client: Ear) -> None:
        assert client.endpoint.send(bytes(70_000))
        assert client.errors == []  # not from inside
        client.run()
        assert client.told == [("write", errno.EMSGSIZE, None)]
        to = client.endpoint.socket.getsockname()
        server.endpoint.send(bytes(70_000), to)
        server.run()
        assert server.told == [("write", errno.EMSGSIZE, to)]
        assert str(server.errors[0][0]) == f"write: [Errno {errno.EMSGSIZE}] {os.strerror(errno.EMSGSIZE)}"

    @pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EACCES, errno.EPERM])
    def test_datagram_that_fails_in_the_queue_does_not_stop_it(
        self, server: Ear, client: Ear, number: int
    ) -> None:
        choke(client).failures = [BlockingIOError(), OSError(number, "no")]
        for data in (b"1", b"2"):
            client.endpoint.send(data)
        server.run()
        assert server.data == [b"2"]
        assert client.told == [("write", number, None)]

    def test_longer_than_is_wanted(self, server: Ear, client: Ear) -> None:
        server.endpoint.max_size = 4
        for data in (b"12345", b"1234"):
            client.endpoint.send(data)
        server.run()
        assert server.data == [b"1234"]
        assert server.told == [("read", errno.EMSGSIZE, client.endpoint.socket.getsockname())]
        assert "more than 4 bytes" in str(server.errors[0][0])

    @pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH])
    def test_passing_error_while_receiving(self, server: Ear, client: Ear, number: int) -> None:
        client.endpoint.send(b"after it")
        choke(server).failures = [OSError(number, "no")]
        server.run()
        assert server.data == [b"after it"]
        assert server.told == [("read", number, None)]

    def test_error_that_stays_keeps_no_loop_busy(self, manual_base: EventBase, clock: ManualClock) -> None:
        server = Ear(DatagramEndpoint.bind, manual_base, ANY_PORT)
        client = Ear(DatagramEndpoint.connect, manual_base, server.endpoint.socket.getsockname())
        client.endpoint.send(b"at last")
        choked = choke(server)
        choked.always = OSError(errno.ENOMEM, "no")
        for _ in range(10):
            manual_base.loop(ONE_PASS)
        assert server.told == [("read", errno.ENOMEM, None)]
        choked.always = None
        clock.advance(datagram._PAUSE)
        server.run()
        assert server.data == [b"at last"]
        for ear in (server, client):
            ear.endpoint.close()

    def test_close_during_the_rest_leaves_no_timer(self, manual_base: EventBase) -> None:
        server = Ear(DatagramEndpoint.bind, manual_base, ANY_PORT)
        client = Ear(DatagramEndpoint.connect, manual_base, server.endpoint.socket.getsockname())
        client.endpoint.send(b"x")
        choke(server).always = OSError(errno.ENOMEM, "no")
        server.run()
        for ear in (server, client):
            ear.endpoint.close()
        assert manual_base.num_events(COUNT_ADDED) == 0

    def test_without_a_callback_errors_hurt_nobody(self, server: Ear, client: Ear) -> None:
        client.endpoint.set_callbacks()
        client.endpoint.send(bytes(70_000))
        client.endpoint.send(b"fine")
        server.run()
        assert server.data == [b"fine"]

    def test_error_is_not_told_after_close(self, client: Ear) -> None:
        client.endpoint.send(bytes(70_000))
        client.endpoint.close()
        client.endpoint.set_callbacks(error=client.on_error)
        client.run()
        assert client.errors == []


class TestUnix:
    def test_pair_of_paths(self, base: EventBase, tmp_path: Path, open_descriptors: None) -> None:
        a, b = str(tmp_path / "a"), str(tmp_path / "b")
        left = Ear(DatagramEndpoint.bind, base, a, mode=0o600)
        right = Ear(DatagramEndpoint.bind, base, b)
        assert stat.S_IMODE(os.stat(a).st_mode) == 0o600
        left.endpoint.send(b"hello", b)
        left.run()
        assert right.got == [(b"hello", a)]
        for ear in (left, right):
            ear.endpoint.close()
        assert list(tmp_path.iterdir()) == []

    def test_stale_file_is_replaced_and_one_in_use_kept(self, base: EventBase, tmp_path: Path) -> None:
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
            dead.bind(path)
        endpoint = DatagramEndpoint.bind(base, path)
        with pytest.raises(OSError, match="in use"):
            DatagramEndpoint.bind(base, path)
        endpoint.close()
        assert not os.path.exists(path)

    def test_nobody_there(self, base: EventBase, tmp_path: Path, open_descriptors: None) -> None:
        ear = Ear(DatagramEndpoint.bind, base, str(tmp_path / "a"))
        ear.endpoint.send(b"x", str(tmp_path / "none"))
        ear.run()
        assert ear.told == [("write", errno.ENOENT, str(tmp_path / "none"))]
        ear.endpoint.close()
        with pytest.raises(FileNotFoundError):
            DatagramEndpoint.connect(base, str(tmp_path / "none"))

    def test_receiver_without_room_keeps_no_loop_busy(
        self, manual_base: EventBase, clock: ManualClock, tmp_path: Path
    ) -> None:
        path = str(tmp_path / "slow")
        ear = Ear(DatagramEndpoint.bind, manual_base, str(tmp_path / "a"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as slow:
            slow.bind(path)
            slow.setblocking(False)
            sent = 0
            while not ear.endpoint._queue:
                assert ear.endpoint.send(str(sent).encode(), path)
                sent += 1
            for _ in range(5):
                manual_base.loop(ONE_PASS)
            assert not ear.endpoint._write_event.pending()  # which is always ready
            clock.advance(datagram_output._RETRY)
            ear.run()
            assert ear.endpoint._queue  # tried in vain
            assert slow.recv(9) == b"0"
            clock.advance(datagram_output._RETRY)
            ear.run()
            assert not ear.endpoint._queue
            while not ear.endpoint._queue:
                ear.endpoint.send(b"again", path)
            ear.endpoint.close()
            assert manual_base.num_events(COUNT_ADDED) == 0
            assert [slow.recv(9) for _ in range(1, sent)] == [
                str(number).encode() for number in range(1, sent)
            ]
        ear.endpoint.close()


class TestRefused:
    def test_destination_that_is_missing_or_too_many(self, server: Ear, client: Ear) -> None:
        with pytest.raises(ValueError, match="needs an address"):
            server.endpoint.send(b"x")
        with pytest.raises(ValueError, match="needs none"):
            client.endpoint.send(b"x", server.endpoint.socket.getsockname())

    @pytest.mark.parametrize(
        ("address", "words"),
        [
            (("localhost", 1), "numeric IP address"),
            (("127.0.0.1", 65536), "a port"),
            (("::1", 1), "address of AF_INET"),
            ("/path", "address of AF_INET"),
        ],
    )
    def test_destination_of_the_wrong_kind(self, server: Ear, address: Address, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            server.endpoint.send(b"x", address)

    def test_after_close(self, client: Ear) -> None:
        client.endpoint.close()
        client.endpoint.close()
        with pytest.raises(ValueError, match="closed endpoint"):
            client.endpoint.send(b"x")
        assert "closed" in repr(client.endpoint)

    def test_stream_socket_and_limits(self, base: EventBase) -> None:
        with socket.socket() as sock, pytest.raises(ValueError, match="a datagram socket"):
            DatagramEndpoint(base, sock)
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            for size, queue in ((0, 0), (1, -1)):
                with pytest.raises(ValueError, match="max_size >= 1"):
                    DatagramEndpoint(base, sock, max_size=size, max_queue=queue)

    def test_host_name(self, base: EventBase, open_descriptors: None) -> None:
        for make in (DatagramEndpoint.bind, DatagramEndpoint.connect):
            with pytest.raises(ValueError, match="look the name up first"):
                make(base, ("localhost", 1))

    @pytest.mark.parametrize("make", [DatagramEndpoint.bind, DatagramEndpoint.connect])
    def test_closed_base_leaves_nothing(
        self,
        open_descriptors: None,
        server: Ear,
        tmp_path: Path,
        make: Callable[..., DatagramEndpoint],
    ) -> None:
        path = str(tmp_path / "s")
        address = path if make == DatagramEndpoint.bind else server.endpoint.socket.getsockname()
        with EventBase() as closed:
            pass
        with pytest.raises(LoopError, match="closed event base"):
            make(closed, address, ignore)
        assert not os.path.exists(path)

    def test_port_in_use(self, server: Ear) -> None:
        with pytest.raises(OSError, match="in use") as caught:
            DatagramEndpoint.bind(server.base, server.endpoint.socket.getsockname())
        assert server.endpoint.address in str(caught.value)

    def test_shared_port(self, base: EventBase) -> None:
        first = DatagramEndpoint.bind(base, ANY_PORT, reuseable_port=True)
        second = DatagramEndpoint.bind(base, ("127.0.0.1", first.port), reuseable_port=True)
        assert first.port == second.port
        first.close()
        second.close()

    def test_mode_without_a_file(self, base: EventBase, open_descriptors: None) -> None:
        with pytest.raises(ValueError, match="mode is for"):
            DatagramEndpoint.bind(base, ANY_PORT, mode=0o600)


class TestRandomPort:
    def test_is_what_the_random_source_says(self, server: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
        ports = [server.endpoint.port, 1023, 54321]  # in use, not for us, fine
        monkeypatch.setattr(os, "urandom", lambda size: ports.pop(0).to_bytes(size, "big"))
        client = DatagramEndpoint.connect(server.base, server.endpoint.socket.getsockname(), random_port=True)
        assert client.port == 54321
        client.close()

    def test_system_s_choice_when_all_are_in_use(self, server: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "urandom", lambda size: server.endpoint.port.to_bytes(size, "big"))
        client = DatagramEndpoint.connect(server.base, server.endpoint.socket.getsockname(), random_port=True)
        assert client.port not in (0, server.endpoint.port)
        client.close()


def test_repr(server: Ear, client: Ear) -> None:
    here, there = client.endpoint.address, server.endpoint.address
    assert repr(client.endpoint) == f"<DatagramEndpoint {here} -> {there} open queued=0>"
    assert repr(server.endpoint) == f"<DatagramEndpoint {there} open queued=0>"
