"""UDP sockets to one server: which is taken for a question, how long it is used, and what comes by it."""

import errno
import select
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from dns_aids import no_descriptors
from evkit.core import EventBase
from evkit.core.flags import COUNT_ADDED, EVLOOP_NONBLOCK
from evkit.core.net import Address
from evkit.dns.chance import Chance
from evkit.dns.options import ResolverOptions
from evkit.dns.ports import MAX_PORTS, Port, Ports
from evkit.dns.tries import Try
from http_server_aids import count_descriptors

OPTIONS = ResolverOptions(queries_per_port=4)


class Ear:
    """Who sends from ports, and what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Port, bytes]] = []
        self.errors: list[tuple[Port, int | None]] = []

    def on_datagram(self, port: Port, data: bytes) -> None:
        self.heard.append((port, data))

    def on_port_error(self, port: Port, error: OSError) -> None:
        self.errors.append((port, error.errno))


class Ends:
    """The ports and the server."""

    def __init__(self, base: EventBase, options: ResolverOptions = OPTIONS, host: str = "127.0.0.1") -> None:
        self.base = base
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.server = socket.socket(family, socket.SOCK_DGRAM)
        self.server.bind((host, 0))
        self.server.setblocking(False)
        self.address: Address = (host, self.server.getsockname()[1])
        self.ear = Ear()
        self.ports = Ports(base, self.address, options, Chance(), self.ear)
        self.ids = 0

    def send(self, message: bytes = b"question") -> tuple[Port, Try]:
        """Send a question from whatever port there is."""
        attempt = new_try(self.ids)
        self.ids += 1
        port = self.ports.pick()
        port.send(attempt, message)
        return port, attempt

    def read(self) -> tuple[bytes, Any]:
        assert select.select([self.server], [], [], 5)[0]
        return self.server.recvfrom(65536)

    def settle(self) -> None:
        for _ in range(4):
            self.base.loop(EVLOOP_NONBLOCK)

    def events(self) -> int:
        return self.base.num_events(COUNT_ADDED)

    def close(self) -> None:
        self.server.close()


def new_try(number: int) -> Try:
    attempt = Try(cast(Any, None), cast(Any, None), "udp", b"", 0.0)
    attempt.id = number
    return attempt


@pytest.fixture(name="ends")
def make_ends(base: EventBase) -> Iterator[Ends]:
    before = count_descriptors()
    ends = Ends(base)
    yield ends
    ends.close()
    assert count_descriptors() == before
    assert ends.events() == 0


def withdraw(*tries: Try) -> None:
    for attempt in tries:
        attempt.withdraw()


class TestRoads:
    def test_a_question_goes_and_what_comes_is_handed_on_unread(self, ends: Ends) -> None:
        port, attempt = ends.send(b"\0\1what")
        data, sender = ends.read()
        assert data == b"\0\1what"
        ends.server.sendto(b"anything", sender)
        ends.server.sendto(b"", sender)
        ends.settle()
        assert ends.ear.heard == [(port, b"anything"), (port, b"")]
        assert (attempt.carrier, port.tries) == (port, {0: attempt})
        withdraw(attempt)

    def test_nobody_but_the_server_is_heard(self, ends: Ends) -> None:
        _, attempt = ends.send()
        _, sender = ends.read()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"forged", sender)
        ends.settle()
        assert ends.ear.heard == []
        withdraw(attempt)

    def test_a_datagram_that_is_too_long_shows(self, base: EventBase) -> None:
        ends = Ends(base, replace(OPTIONS, edns_udp_size=600))
        _, attempt = ends.send()
        _, sender = ends.read()
        for size in (600, 700):
            ends.server.sendto(bytes(size), sender)
        ends.settle()
        assert [len(data) for _, data in ends.ear.heard] == [600, 601]
        withdraw(attempt)
        ends.close()

    def test_the_callback_may_withdraw_what_has_come(self, ends: Ends) -> None:
        _, attempt = ends.send()
        _, sender = ends.read()
        ends.server.sendto(b"one", sender)
        ends.server.sendto(b"two", sender)
        ends.ear.on_datagram = lambda port, data: withdraw(*port.tries.values())  # type: ignore[method-assign]
        ends.settle()
        assert (ends.ports.under_way, ends.events()) == (0, 0)
        assert attempt.id == 0

    def test_over_ipv6_with_a_scope(self, base: EventBase) -> None:
        ends = Ends(base, host="::1")
        ends.ports = Ports(
            base, (f"::1%{socket.if_nameindex()[0][0]}", ends.address[1]), OPTIONS, Chance(), ends.ear
        )  # type: ignore[arg-type]  # an address with a port
        try:
            port, attempt = ends.send()
        except OSError as error:
            ends.close()
            pytest.skip(f"no way there: {error}")
        _, sender = ends.read()
        ends.server.sendto(b"reply", sender)
        ends.settle()
        assert ends.ear.heard == [(port, b"reply")]
        withdraw(attempt)
        ends.close()


class TestWhichPort:
    def test_one_more_than_there_are_questions_until_there_are_many(self, base: EventBase) -> None:
        ends = Ends(base, replace(OPTIONS, queries_per_port=1000))
        sent = [ends.send() for _ in range(MAX_PORTS + 40)]
        ports = [port for port, _ in sent]
        assert len(set(ports[:MAX_PORTS])) == MAX_PORTS
        assert set(ports[MAX_PORTS:]) <= set(ports[:MAX_PORTS])
        assert len(set(ports[MAX_PORTS:])) > 5
        names = {port.socket.getsockname() for port in ports}
        assert len(names) == MAX_PORTS
        assert min(number for _, number in names) < 32_768  # the system's own choice begins there
        withdraw(*[attempt for _, attempt in sent])
        assert ends.events() == 0
        ends.close()

    def test_another_one_after_so_many_questions(self, ends: Ends) -> None:
        held = ends.send()
        first, _ = held
        uses = {first: 1}
        for _ in range(40):
            port, attempt = ends.send()
            uses[port] = uses.get(port, 0) + 1
            withdraw(attempt)
        assert max(uses.values()) == 4
        assert len(uses) >= 41 / 4
        withdraw(held[1])

    def test_one_that_has_served_is_closed_with_its_last_question(self, ends: Ends) -> None:
        _, other = ends.send()
        sent = [ends.send() for _ in range(4 * MAX_PORTS)]
        served = next(port for port, _ in sent if port.uses == 4)
        its = list(served.tries.values())
        for attempt in its[:-1]:
            withdraw(attempt)
        assert served.socket.fileno() >= 0
        withdraw(its[-1])
        assert served.socket.fileno() < 0
        assert ends.ports.under_way > 0
        withdraw(other, *[attempt for _, attempt in sent])

    def test_all_are_closed_when_nothing_is_under_way(self, ends: Ends) -> None:
        sent = [ends.send() for _ in range(10)]
        for _, attempt in sent[:-1]:
            withdraw(attempt)
        assert ends.events() > 0
        withdraw(sent[-1][1])
        assert ends.events() == 0
        assert all(port.socket.fileno() < 0 for port, _ in sent)

    def test_fewer_questions_a_port_hold_for_those_that_are_open(self, ends: Ends) -> None:
        ends.ports.configure(replace(OPTIONS, queries_per_port=1000))
        sent = [ends.send() for _ in range(4 * MAX_PORTS)]
        limits = {port: max(port.uses + 1, 2) for port, _ in sent}
        ends.ports.configure(replace(OPTIONS, queries_per_port=2))
        later = [ends.send() for _ in range(4 * MAX_PORTS)]
        assert [port for port, _ in sent + later if port.uses > limits.get(port, 2)] == []
        withdraw(*[attempt for _, attempt in sent + later])


class TestWithdraw:
    def test_again_is_harmless(self, ends: Ends) -> None:
        _, one = ends.send()
        _, other = ends.send()
        withdraw(one, one)
        assert ends.ports.under_way == 1
        withdraw(other)

    def test_leaves_another_one_with_its_number_alone(self, ends: Ends) -> None:
        port, one = ends.send()
        _, keep = ends.send()
        withdraw(one)
        other = new_try(one.id)
        port.send(other, b"again")
        withdraw(one)
        assert port.tries[one.id] is other
        withdraw(other, keep)


class TestFailures:
    def test_that_nobody_is_there_is_told(self, ends: Ends) -> None:
        ends.server.close()
        port, attempt = ends.send()
        ends.settle()
        assert ends.ear.errors == [(port, errno.ECONNREFUSED)]
        withdraw(attempt)

    def test_that_nobody_was_there_is_told_of_all_and_fails_no_later_question(self, base: EventBase) -> None:
        ends = Ends(base, replace(OPTIONS, queries_per_port=1000))
        ends.server.close()
        port, one = ends.send()  # and at once the system knows that it was in vain
        other = new_try(99)
        port.send(other, b"question")
        ends.settle()
        assert ends.ear.errors[0] == (port, errno.ECONNREFUSED)
        assert list(port.tries.values()) == [one, other]
        withdraw(one, other)
        assert ends.events() == 0

    def test_what_the_system_does_not_take_leaves_nothing(self, ends: Ends) -> None:
        with pytest.raises(OSError, match=r"[Mm]essage too long"):
            ends.send(bytes(70_000))
        assert (ends.ports.under_way, ends.events()) == (0, 0)

    def test_what_the_system_does_not_take_costs_no_other_its_port(self, ends: Ends) -> None:
        port, attempt = ends.send()
        for _ in range(20):
            with pytest.raises(OSError, match=r"[Mm]essage too long"):
                ends.send(bytes(70_000))
        _, sender = ends.read()
        ends.server.sendto(b"reply", sender)
        ends.settle()
        assert ends.ear.heard == [(port, b"reply")]
        assert ends.ports.under_way == 1
        withdraw(attempt)

    def test_what_the_system_can_not_send_now_is_lost(self, ends: Ends) -> None:
        port = ends.ports.pick()
        sock, port.socket = port.socket, cast(socket.socket, Full())
        attempt = new_try(7)
        port.send(attempt, b"question")
        port.socket = sock
        assert port.tries == {7: attempt}
        withdraw(attempt)

    def test_out_of_descriptors_there_is_the_port_that_is_open(self, ends: Ends) -> None:
        first = ends.send()
        with no_descriptors():
            sent = [ends.send() for _ in range(2)]
        assert {port for port, _ in sent} == {first[0]}
        withdraw(first[1], *[attempt for _, attempt in sent])

    def test_out_of_descriptors_without_one_it_is_an_error(self, ends: Ends) -> None:
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            ends.send()
        port, attempt = ends.send()
        assert port.uses == 1
        withdraw(attempt)


class Full:
    def send(self, data: bytes) -> int:
        raise BlockingIOError(errno.EAGAIN, f"no room for {len(data)} bytes")


class TestOptions:
    def test_the_address_to_ask_from(self, base: EventBase) -> None:
        ends = Ends(base, replace(OPTIONS, bind_to="127.0.0.2"))
        port, attempt = ends.send()
        assert ends.read()[1][0] == "127.0.0.2"
        assert not port.socket.getblocking()
        withdraw(attempt)
        ends.close()

    def test_an_address_to_ask_from_that_does_not_fit_is_an_error(
        self, base: EventBase, open_descriptors: None
    ) -> None:
        for local in ("::1", "192.0.2.1"):
            ends = Ends(base, replace(OPTIONS, bind_to=local))
            with pytest.raises(OSError, match=r"."):
                ends.ports.pick()
            ends.close()
        assert ends.events() == 0

    def test_the_sizes_of_buffers(self, base: EventBase) -> None:
        ends = Ends(base, replace(OPTIONS, so_rcvbuf=20_000, so_sndbuf=30_000))
        port, attempt = ends.send()
        sizes = [
            port.socket.getsockopt(socket.SOL_SOCKET, each) for each in (socket.SO_RCVBUF, socket.SO_SNDBUF)
        ]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            for option, size in zip((socket.SO_RCVBUF, socket.SO_SNDBUF), (20_000, 30_000), strict=True):
                other.setsockopt(socket.SOL_SOCKET, option, size)
            wanted = [
                other.getsockopt(socket.SOL_SOCKET, each) for each in (socket.SO_RCVBUF, socket.SO_SNDBUF)
            ]
        assert sizes == wanted
        withdraw(attempt)
        ends.close()


def test_show_what_is_open(ends: Ends) -> None:
    assert repr(ends.ports) == "<Ports open=0 under_way=0>"
    port, attempt = ends.send()
    assert repr(ends.ports) == "<Ports open=1 under_way=1>"
    assert repr(port) == f"<Port fd={port.socket.fileno()} under_way=1 uses=1>"
    withdraw(attempt)
