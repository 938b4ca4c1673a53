"""`SocketBufferEvent.connect_host`: a look-up and a race behind one connection, and nothing left of either."""

import gc
import socket
import weakref
from collections.abc import Iterator

import pytest

from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.bufferevent.hostname import HostConnect
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_ERROR,
    BEV_EVENT_TIMEOUT,
    EV_READ,
    EVLOOP_NONBLOCK,
    EVLOOP_ONCE,
)
from evkit.core.future import Future
from evkit.core.net import Address
from evkit.core.system_resolver import SystemResolver
from evkit.errors import ConnectError, TransportTimeout
from evkit.testing import ManualClock


class Resolver:
    """Answers when and what the test says."""

    def __init__(self, base: EventBase) -> None:
        self.base = base
        self.asked: list[tuple[str, int, int]] = []
        self.futures: list[Future[list[Address]]] = []
        self.cancelled = 0

    def getaddrinfo(self, host: str, port: int, family: int = 0) -> Future[list[Address]]:
        self.asked.append((host, port, family))
        future: Future[list[Address]] = Future(self.base, self._on_cancel)
        self.futures.append(future)
        return future

    def _on_cancel(self, _future: Future[list[Address]]) -> None:
        self.cancelled += 1


class Connecting:
    """A connection to the host "name", and what its event callback heard."""

    def __init__(self, base: EventBase, **options: int) -> None:
        self.base = base
        self.resolver = Resolver(base)
        self.heard: list[int] = []
        self.bev = SocketBufferEvent(base)
        self.bev.set_callbacks(read=lambda _bev: base.loopbreak(), event=self._on_event)
        self.bev.connect_host("name", 80, resolver=self.resolver, **options)

    def _on_event(self, _bev: object, what: int) -> None:
        self.heard.append(what)
        self.base.loopbreak()

    def answer(self, *addresses: Address) -> None:
        self.resolver.futures[0].set_result(list(addresses))


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def refusing() -> Address:
    """An address where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address: tuple[str, int] = sock.getsockname()
    return address


def test_what_was_written_meanwhile_goes_out_when_connected(
    base: EventBase, listening: socket.socket
) -> None:
    connecting = Connecting(base, family=socket.AF_INET)
    bev = connecting.bev
    bev.enable(EV_READ)
    bev.write(b"hello")
    assert connecting.resolver.asked == [("name", 80, socket.AF_INET)]
    assert "connecting" in repr(bev)
    assert connecting.heard == []
    connecting.answer(listening.getsockname())
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_CONNECTED]
    peer, _ = listening.accept()
    with peer:
        base.loop(2)
        assert peer.recv(100) == b"hello"
        peer.sendall(b"and back")
        base.dispatch()
        assert bev.read() == b"and back"
    bev.close()


def test_it_comes_from_where_it_is_told_to(base: EventBase, listening: socket.socket) -> None:
    connecting = Connecting(base, local=("127.0.0.2", 0))
    assert connecting.resolver.asked == [("name", 80, socket.AF_INET)]
    connecting.answer(listening.getsockname())
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_CONNECTED]
    peer, address = listening.accept()
    with peer:
        assert address[0] == "127.0.0.2"
    connecting.bev.close()


def test_a_local_address_may_have_a_port(
    base: EventBase, listening: socket.socket, refusing: Address
) -> None:
    connecting = Connecting(base, local=refusing)
    connecting.answer(listening.getsockname())
    base.dispatch()
    peer, address = listening.accept()
    peer.close()
    assert address == refusing
    connecting.bev.close()


def test_a_local_address_that_is_none_of_this_machine(base: EventBase, listening: socket.socket) -> None:
    connecting = Connecting(base, local=("192.0.2.1", 0))
    connecting.answer(listening.getsockname())
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_ERROR]
    assert "Cannot assign requested address" in str(connecting.bev.error)
    connecting.bev.close()


def test_addresses_of_another_family_than_the_local_one_fail(
    base: EventBase, listening: socket.socket
) -> None:
    connecting = Connecting(base, local=("127.0.0.1", 0))
    connecting.answer(("::1", 80))
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_ERROR]
    assert "another family" in str(connecting.bev.error)
    connecting.bev.close()


@pytest.mark.parametrize(
    ("local", "family"),
    [("/a/path", socket.AF_UNSPEC), (("a.name", 0), socket.AF_UNSPEC), (("127.0.0.1", 0), socket.AF_INET6)],
)
def test_what_is_no_address_to_connect_from(base: EventBase, local: Address, family: int) -> None:
    bev = SocketBufferEvent(base)
    with pytest.raises(ValueError, match="expected"):
        bev.connect_host("localhost", 80, local=local, family=family)
    bev.close()


def test_address_that_refuses_is_not_the_end(
    base: EventBase, listening: socket.socket, refusing: Address
) -> None:
    connecting = Connecting(base)
    connecting.answer(refusing, listening.getsockname())
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_CONNECTED]
    assert connecting.bev.error is None
    connecting.bev.close()


def test_all_that_refuse_are_told(base: EventBase, refusing: Address) -> None:
    connecting = Connecting(base)
    connecting.answer(refusing)
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_ERROR]
    error = connecting.bev.error
    assert isinstance(error, ConnectError)
    assert error.errno == 111
    assert str(error) == (
        f"connect: [Errno 111] name:80: no address answered (127.0.0.1:{refusing[1]}: Connection refused)"
    )
    connecting.bev.close()


def test_name_that_is_not_found(base: EventBase) -> None:
    connecting = Connecting(base)
    connecting.resolver.futures[0].set_exception(socket.gaierror(-2, "Name or service not known"))
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_ERROR]
    error = connecting.bev.error
    assert isinstance(error, ConnectError)
    assert str(error) == "connect: name:80: [Errno -2] Name or service not known"
    assert isinstance(error.__cause__, socket.gaierror)
    connecting.bev.close()


def test_look_up_that_somebody_cancels(base: EventBase) -> None:
    connecting = Connecting(base)
    connecting.resolver.futures[0].cancel()
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_ERROR]
    assert "cancelled" in str(connecting.bev.error)
    connecting.bev.close()


def test_resolver_that_gives_nothing(base: EventBase) -> None:
    connecting = Connecting(base)
    connecting.answer()
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_ERROR]
    connecting.bev.close()


def test_time_out(refusing: Address) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        filled = [
            socket.socket() for _ in range(3)
        ]  # the backlog is full then, and the next one hears nothing
        for filler in filled:
            filler.setblocking(False)
            filler.connect_ex(silent.getsockname())
        clock = ManualClock()
        with EventBase(clock=clock) as manual:
            bev = SocketBufferEvent(manual)
            heard: list[int] = []
            bev.set_callbacks(event=lambda _bev, what: heard.append(what))
            bev.set_timeouts(write=5)
            resolver = Resolver(manual)
            bev.connect_host("name", 80, resolver=resolver)
            resolver.futures[0].set_result([refusing, silent.getsockname()])
            manual.loop(2)
            clock.advance(5.1)
            manual.loop(2)
            assert heard == [BEV_EVENT_TIMEOUT]
            assert isinstance(bev.error, TransportTimeout)
            port = silent.getsockname()[1]
            assert str(bev.error) == (
                f"connect: name:80: timed out after 5 s (127.0.0.1:{refusing[1]}: Connection refused; "
                f"127.0.0.1:{port}: Connection timed out)"
            )
            bev.close()
        for filler in filled:
            filler.close()


def test_an_error_without_words(base: EventBase) -> None:
    connecting = Connecting(base)
    connecting.resolver.futures[0].set_exception(TimeoutError())
    base.dispatch()
    assert str(connecting.bev.error) == "connect: name:80: TimeoutError"
    connecting.bev.close()


@pytest.mark.parametrize("answer", [None, [80], [("another name", 80)]])
def test_resolver_that_gives_no_addresses(base: EventBase, answer: object) -> None:
    connecting = Connecting(base)
    connecting.resolver.futures[0].set_result(answer)  # type: ignore[arg-type]  # that is what is wrong with it
    base.dispatch()
    assert connecting.heard == [BEV_EVENT_ERROR]
    assert isinstance(connecting.bev.error, ConnectError)
    connecting.bev.close()


def test_repr_tells_how_far_it_is(base: EventBase, listening: socket.socket) -> None:
    resolver = Resolver(base)
    heard: list[object] = []
    host = HostConnect(
        base, resolver, "name", 80, socket.AF_UNSPEC, None, lambda sock, error: heard.append((sock, error))
    )
    assert repr(host) == f"<HostConnect name:80 {resolver.futures[0]!r}>"
    resolver.futures[0].set_result([listening.getsockname()])
    base.loop(EVLOOP_ONCE)
    assert "<HostConnect name:80 <ConnectRace " in repr(host)
    host.cancel()
    host.cancel()
    base.loop(EVLOOP_NONBLOCK)
    assert heard == []


@pytest.mark.parametrize("moment", ["looking up", "connecting"])
@pytest.mark.parametrize("how", ["close", "setfd"])
def test_given_up(
    base: EventBase, listening: socket.socket, open_descriptors: None, moment: str, how: str
) -> None:
    connecting = Connecting(base)
    if moment == "connecting":
        connecting.answer(listening.getsockname())
        base.loop(3)
    if how == "close":
        connecting.bev.close()
    else:
        connecting.bev.setfd(None)
    assert connecting.resolver.cancelled == (moment == "looking up")
    if moment == "looking up":
        connecting.resolver.futures[0].set_result([listening.getsockname()])
    base.loop(2)
    assert BEV_EVENT_ERROR not in connecting.heard
    connecting.bev.close()


def test_nothing_is_left_for_the_collector(base: EventBase, listening: socket.socket) -> None:
    gc.collect()
    gc.disable()
    try:
        connecting = Connecting(base)
        connecting.answer(listening.getsockname())
        base.dispatch()
        connecting.bev.close()
        left = weakref.ref(connecting)
        connecting.resolver.futures.clear()
        del connecting
        assert left() is None
    finally:
        gc.enable()


def test_system_resolver_is_the_base_s_own(base: EventBase, listening: socket.socket) -> None:
    heard: list[int] = []
    for _ in range(2):
        bev = SocketBufferEvent(base)
        bev.set_callbacks(event=lambda _bev, what: (heard.append(what), base.loopbreak()))
        bev.connect_host("localhost", listening.getsockname()[1], family=socket.AF_INET)
        assert isinstance(base.resolver, SystemResolver)
        base.dispatch()
        bev.close()
    assert heard == [BEV_EVENT_CONNECTED] * 2


@pytest.mark.parametrize(("host", "port"), [("", 80), ("name", -1), ("name", 65536), ("a\0b", 80)])
def test_what_can_not_be_looked_up(base: EventBase, host: str, port: int) -> None:
    bev = SocketBufferEvent(base)
    with pytest.raises(ValueError, match="expected"):
        bev.connect_host(host, port)
    assert "new" in repr(bev)
    bev.close()


def test_twice_or_with_a_socket(base: EventBase, listening: socket.socket) -> None:
    connecting = Connecting(base)
    with pytest.raises(ValueError, match="connecting"):
        connecting.bev.connect_host("name", 80)
    connecting.bev.close()
    with pytest.raises(ValueError, match="closed"):
        connecting.bev.connect_host("name", 80)
    left, right = socket.socketpair()
    bev = SocketBufferEvent(base, left)
    with right, pytest.raises(ValueError, match="there is one already"):
        bev.connect_host("name", 80)
    bev.close()
