"""`TcpDoor`: who is let in, and who goes for whom."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dns_server_aids import Kept, Setting, Tcp, answer, query
from evkit import EventBase
from evkit.dns.server import ServerRequest

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


def let_in(setting: Setting, count: int, source: str = "127.0.0.1") -> list[Tcp]:
    """Connect so many clients, one after the other."""
    clients = []
    for _ in range(count):
        before = setting.port.statistics.tcp_connections
        clients.append(setting.tcp(source))
        setting.run(lambda before=before: setting.port.statistics.tcp_connections > before)
    return clients


def test_who_has_been_idle_longest_goes(start: Start) -> None:
    setting = start(max_tcp_connections=3)
    clients = let_in(setting, 3)
    clients[0].ask(query())
    let_in(setting, 1)
    assert [client.is_closed() for client in clients] == [False, True, False]
    assert setting.port.tcp_connections == 3
    assert setting.port.statistics.tcp_turned_away == 1


def test_half_a_query_does_not_count_as_work(start: Start) -> None:
    setting = start(max_tcp_connections=2)
    slow, other = let_in(setting, 2)
    slow.send_raw(b"\x00\x20half")
    other.ask(query())
    let_in(setting, 1)
    assert (slow.is_closed(), other.is_closed()) == (True, False)


def test_who_waits_for_a_reply_stays(start: Start) -> None:
    kept = Kept()
    setting = start(kept, max_tcp_connections=2)
    clients = let_in(setting, 2)
    clients[0].send(query())
    setting.run(lambda: kept.requests)
    (third,) = let_in(setting, 1)
    assert [client.is_closed() for client in clients] == [False, True]
    third.send(query())
    setting.run(lambda: len(kept.requests) == 2)
    fourth = setting.tcp()
    fourth.run(lambda: fourth.ended)  # all have work: the new one goes
    assert setting.port.tcp_connections == 2
    assert kept.closed == []


def test_a_client_has_so_many_connections(start: Start) -> None:
    setting = start(max_tcp_connections_per_client=2)
    clients = let_in(setting, 2)
    more = setting.tcp()
    more.run(lambda: more.ended)
    assert setting.port.statistics.tcp_turned_away == 1
    assert [client.is_closed() for client in clients] == [False, False]
    (other,) = let_in(setting, 1, "127.0.0.2")
    assert len(other.ask(query())) == 1
    clients[0].close()
    setting.run(lambda: setting.port.tcp_connections == 2)
    let_in(setting, 1)


def test_when_it_stops_each_leaves_who_has_his_reply(start: Start) -> None:
    kept = Kept()
    setting = start(kept)
    idle, busy = let_in(setting, 2)
    busy.send(query())
    setting.run(lambda: kept.requests)
    setting.port.stop()
    assert setting.port.listeners[0].closed
    idle.run(lambda: idle.ended)
    assert not busy.is_closed()
    idle.close()
    kept.requests[0].respond()
    assert len(busy.take(1)) == 1
    busy.run(lambda: busy.ended)
    assert not setting.port.closed
    busy.close()
    setting.run(lambda: setting.port.closed)  # the last one's end is the port's


def test_a_crowd_that_comes_and_goes_leaves_nothing(start: Start) -> None:
    setting = start(max_tcp_connections=5)
    for _ in range(4):
        clients = [setting.tcp() for _ in range(10)]
        setting.run(lambda: setting.port.statistics.tcp_turned_away + setting.port.tcp_connections >= 10)
        assert setting.port.tcp_connections <= 5
        for client in clients:
            client.close()
        setting.run(lambda: setting.port.tcp_connections == 0)
        setting.port.statistics.tcp_turned_away = 0
    assert len(setting.port._door._crowd) == 0
