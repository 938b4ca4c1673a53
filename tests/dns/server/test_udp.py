"""`UdpChannel` on real sockets: replies go to who has asked, floods and forged senders hurt nobody."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import dns.flags
import dns.message
import pytest

from dns_server_aids import HOST, Kept, Setting, answer, code_of, counts, query
from evkit import EVLOOP_NONBLOCK, EventBase
from evkit.core.datagram import DatagramEndpoint
from evkit.dns.server import ServerLimits, ServerPort, ServerRequest, ServerStatistics
from evkit.dns.server.service import Service
from evkit.dns.server.udp import UdpChannel

Start = Callable[..., Setting]


@pytest.fixture
def start(open_descriptors: None, base: EventBase) -> Iterator[Start]:
    settings: list[Setting] = []

    def make(handler: Callable[[ServerRequest], object] = answer, **limits: Any) -> Setting:
        settings.append(Setting(base, handler, **limits))
        return settings[-1]

    yield make
    for setting in settings:
        setting.close()


def test_each_client_gets_its_reply(start: Start) -> None:
    setting = start()
    clients = [setting.udp() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(query(f"host{number}.example.org"))
    for _ in range(5):
        setting.base.loop(EVLOOP_NONBLOCK)
    for number, client in enumerate(clients):
        reply = client.take()
        assert reply is not None
        assert str(dns.message.from_wire(reply).question[0].name) == f"host{number}.example.org."
        assert client.take() is None
    assert setting.port.statistics.replies == 3


def test_who_asks_is_told(start: Start) -> None:
    kept = Kept()
    setting = start(kept)
    client = setting.udp()
    client.ask(query())
    (request,) = kept.requests
    assert request.address == client.sock.getsockname()
    assert request.peer == f"{HOST}:{client.sock.getsockname()[1]}"
    assert request.transport == "udp"


def test_the_reply_may_come_later_and_out_of_order(start: Start) -> None:
    kept = Kept()
    setting = start(kept)
    client = setting.udp()
    for number in range(2):
        assert client.ask(query(f"host{number}.example.org")) is None
    for request in reversed(kept.requests):
        assert request.respond()
    assert setting.port.waiting == 0
    names = [dns.message.from_wire(client.take() or b"").question[0].name.to_text() for _ in range(2)]
    assert names == ["host1.example.org.", "host0.example.org."]


def test_a_long_answer_is_cut(start: Start) -> None:
    def handler(request: ServerRequest) -> None:
        request.add_a_reply([f"192.0.2.{number}" for number in range(200)], 60)
        request.respond()

    client = start(handler).udp()
    for data, size in ((query(), 512), (query(use_edns=0, payload=4096), 1232)):
        reply = client.ask(data)
        assert reply is not None
        assert size - 16 < len(reply) <= size
        assert dns.message.from_wire(reply).flags & dns.flags.TC


def test_garbage_is_answered_with_no_more_than_it_is(start: Start) -> None:
    setting = start()
    client = setting.udp()
    for size in range(1, 300, 7):
        data = os.urandom(size)
        reply = client.ask(data)
        assert len(reply or b"") <= max(12, len(data))
    assert client.ask(b"") is None
    assert client.ask(query()) is not None


def test_what_can_not_be_read_is_answered_with_so_much(start: Start) -> None:
    setting = start()
    client = setting.udp()
    assert client.ask(query() + b"x") == b"\x12\x34\x81\x01" + bytes(8)
    assert client.ask(b"\x12\x34\x28\x00" + bytes(8)) == b"\x12\x34\xa8\x04" + bytes(8)
    assert (setting.port.statistics.refused, setting.port.statistics.replies) == (2, 2)


def test_a_flood_does_no_harm(start: Start) -> None:
    kept = Kept()
    setting = start(kept, max_waiting_per_client=10)
    flood = setting.udp()
    for _ in range(20):
        for _ in range(10):
            flood.send(query())
        setting.base.loop(EVLOOP_NONBLOCK)
    assert setting.port.waiting == 10
    assert setting.port.statistics.turned_away == 190
    other = setting.udp("127.0.0.2")
    other.ask(query())
    kept.requests[-1].respond()
    assert other.take() is not None
    assert len(kept.requests) == 11


def test_a_handler_that_raises(start: Start) -> None:
    def handler(request: ServerRequest) -> None:
        raise LookupError("on purpose")

    setting = start(handler)
    escaped: list[BaseException] = []
    setting.base.exception_handler = lambda exception, source: escaped.append(exception)
    client = setting.udp()
    reply = client.ask(query())
    assert reply is not None
    assert code_of(reply) == 2
    assert client.take() is None
    assert [str(exception) for exception in escaped] == ["on purpose"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_handler_that_closes_the_port(start: Start, when: str) -> None:
    sent: list[bool] = []

    def handler(request: ServerRequest) -> None:
        if when == "before":
            setting.port.close()
        sent.append(request.respond())
        setting.port.close()

    setting = start(handler)
    client = setting.udp()
    client.send(query())
    reply = client.ask(query())
    assert sent == [when == "after"]
    assert (reply is not None) == (when == "after")
    assert setting.port.closed


class Deaf:
    """A channel under test whose socket is told what to do."""

    def __init__(self, base: EventBase, handler: Callable[[ServerRequest], object] = answer) -> None:
        self.statistics = ServerStatistics()
        self.service = Service(base, handler, ServerLimits(), self.statistics, lambda: None)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((HOST, 0))
        self.channel = UdpChannel(self.service, sock)

    def hear(self, data: bytes, address: object) -> None:
        self.channel._on_receive(self.channel.endpoint, data, cast(Any, address))


@pytest.fixture
def deaf(open_descriptors: None, base: EventBase) -> Iterator[Deaf]:
    deaf = Deaf(base)
    yield deaf
    deaf.channel.endpoint.close()
    deaf.service.close()


@pytest.mark.parametrize("address", [("192.0.2.1", 0), None, ""])
def test_nobody_that_could_be_answered(deaf: Deaf, address: object) -> None:
    deaf.hear(query(), address)
    deaf.hear(b"\0" * 12, address)
    assert (deaf.statistics.ignored, deaf.statistics.queries, deaf.statistics.refused) == (2, 0, 0)


def test_a_way_that_the_system_refuses(deaf: Deaf) -> None:
    errors: list[int | None] = []
    deaf.channel.endpoint.set_callbacks(
        deaf.channel._on_receive, None, lambda endpoint, error, address: errors.append(error.errno)
    )
    deaf.hear(query(), ("255.255.255.255", 53))  # broadcasting was not asked for
    deaf.service.base.loop(EVLOOP_NONBLOCK)
    assert errors == [errno.EACCES]
    assert not deaf.channel.endpoint.closed


def test_no_room_in_the_system(deaf: Deaf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatagramEndpoint, "send", lambda self, data, address: False)
    deaf.hear(query(), (HOST, 9))
    assert (deaf.statistics.unsent, deaf.statistics.replies) == (1, 0)


@pytest.mark.parametrize("kind", ["connected", "stream"])
def test_a_socket_that_is_not_for_it(base: EventBase, kind: str) -> None:
    deaf_service = Service(base, answer, ServerLimits(), ServerStatistics(), lambda: None)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM) as sock:
        if kind == "connected":
            sock.connect((HOST, 9))
        with pytest.raises(ValueError, match="expected a"):
            UdpChannel(deaf_service, sock)
        assert sock.fileno() >= 0


def test_a_unix_socket(open_descriptors: None, base: EventBase, tmp_path: Path) -> None:
    port = ServerPort(base, answer)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless,
    ):
        server.bind(str(tmp_path / "server"))
        client.bind(str(tmp_path / "client"))
        port.add_socket(server)
        for sock in (nameless, client):
            sock.connect(str(tmp_path / "server"))
            sock.send(query())
        for _ in range(5):
            base.loop(EVLOOP_NONBLOCK)
        client.setblocking(False)
        assert counts(client.recv(512))[1] == 1
        assert port.statistics.ignored == 1
        port.close()


def test_ipv6(open_descriptors: None, base: EventBase) -> None:
    port = ServerPort(base, answer)
    try:
        number = port.listen("::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.connect(("::1", number))
        client.send(query())
        for _ in range(5):
            base.loop(EVLOOP_NONBLOCK)
        client.setblocking(False)
        assert counts(client.recv(512))[1] == 1
    port.close()
