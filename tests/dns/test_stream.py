"""The connection to one server: when there is one, what goes over it, and what its end means."""

import errno
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest

from certificates import Certificates
from dns_aids import Connection, TlsConnection, World, no_descriptors
from evkit.core import EventBase
from evkit.core.flags import COUNT_ADDED, EVLOOP_NONBLOCK
from evkit.dns.options import ResolverOptions
from evkit.dns.server_address import ServerAddress
from evkit.dns.stream import MAX_UNDER_WAY, MAX_UNSENT, Stream, default_context
from evkit.dns.tries import Try
from evkit.testing import ManualClock
from http_server_aids import count_descriptors
from patience import PATIENCE

OPTIONS = ResolverOptions()


class Ear:
    """Who asks over the connection, and what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: list[tuple[int, str]] = []
        self.then: Callable[[Try], object] = lambda attempt: attempt

    def on_message(self, stream: Stream, data: bytes) -> None:
        self.heard.append(data)
        attempt = stream.tries.get(data[0])
        if attempt is not None:
            attempt.withdraw()

    def on_lost(self, attempt: Try, why: str) -> None:
        assert attempt.carrier is None
        self.lost.append((attempt.id, why))
        self.then(attempt)


class Ends:
    """The stream, and the server, whose part the test plays."""

    def __init__(
        self, base: EventBase, clock: ManualClock, options: ResolverOptions = OPTIONS, **server: Any
    ) -> None:
        self.base = base
        self.clock = clock
        self.listener = socket.create_server(("127.0.0.1", 0), reuse_port=False)
        self.listener.setblocking(False)
        self.ear = Ear()
        port = self.listener.getsockname()[1]
        address = ServerAddress(
            (server.get("host", "127.0.0.1"), port), server.get("transport", "tcp"), server.get("name")
        )
        self.stream = Stream(base, address, options, server.get("context"), self.ear)
        self.sockets: list[socket.socket] = []

    def ask(self, number: int) -> Try:
        return self.send(new_try(number, self.base.now()), bytes([number % 256]) * 4)

    def send(self, attempt: Try, message: bytes) -> Try:
        self.stream.send(attempt, message)
        return attempt

    def accept(self) -> socket.socket:
        def comes() -> bool:
            try:
                self.sockets.append(self.listener.accept()[0])
            except BlockingIOError:
                return False
            return True

        self.until(comes)
        sock = self.sockets[-1]
        sock.setblocking(False)
        return sock

    def no_connection(self) -> bool:
        self.settle()
        try:
            self.sockets.append(self.listener.accept()[0])
        except BlockingIOError:
            return True
        return False

    def until(self, condition: Callable[[], bool], what: str = "it") -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} has not come"
            self.base.loop(EVLOOP_NONBLOCK)

    def read(self, sock: socket.socket, size: int) -> bytes:
        data = b""

        def whole() -> bool:
            nonlocal data
            try:
                data += sock.recv(size - len(data))
            except BlockingIOError:
                pass
            return len(data) == size

        self.until(whole)
        return data

    def at_end(self, sock: socket.socket) -> bool:
        """Return whether the stream has closed the connection, once all that it sent is read."""
        self.settle()
        try:
            while sock.recv(65536):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            pass
        return True

    def settle(self) -> None:
        for _ in range(6):
            self.base.loop(EVLOOP_NONBLOCK)

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()

    def events(self) -> int:
        return self.base.num_events(COUNT_ADDED)

    def close(self) -> None:
        self.stream.close()
        self.listener.close()
        for sock in self.sockets:
            sock.close()
        self.settle()


def new_try(number: int, began: float) -> Try:
    attempt = Try(cast(Any, None), cast(Any, None), "tcp", b"", began)
    attempt.id = number
    return attempt


def framed(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


MakeEnds = Callable[..., Ends]


@pytest.fixture(name="make")
def make_ends(manual_base: EventBase, clock: ManualClock) -> Iterator[MakeEnds]:
    before = count_descriptors()
    made: list[Ends] = []

    def make(options: ResolverOptions = OPTIONS, **server: Any) -> Ends:
        made.append(Ends(manual_base, clock, options, **server))
        return made[-1]

    yield make
    for ends in made:
        ends.close()
        assert ends.events() == 0
    assert count_descriptors() == before


class TestQuestions:
    def test_make_one_connection_and_follow_each_other(self, make: MakeEnds) -> None:
        ends = make()
        assert ends.no_connection()
        tries = [ends.ask(number) for number in (1, 2)]
        sock = ends.accept()
        tries.append(ends.ask(3))
        assert ends.read(sock, 18) == framed(b"\1\1\1\1") + framed(b"\2\2\2\2") + framed(b"\3\3\3\3")
        assert ends.no_connection()
        assert ends.stream.tries == {attempt.id: attempt for attempt in tries}
        assert all(attempt.carrier is ends.stream for attempt in tries)

    @pytest.mark.parametrize("size", [1, 2, 3, 1000])
    def test_are_answered_in_any_order_and_pieces(self, make: MakeEnds, size: int) -> None:
        ends = make()
        for number in (1, 2):
            ends.ask(number)
        sock = ends.accept()
        data = framed(b"\2two") + framed(b"") + framed(b"\1" * 300)
        ends.ear.on_message = lambda stream, data: ends.ear.heard.append(data)  # type: ignore[method-assign]  # b"" has no id
        for start in range(0, len(data), size):
            sock.sendall(data[start : start + size])
            ends.settle()
        ends.until(lambda: len(ends.ear.heard) == 3)
        assert ends.ear.heard == [b"\2two", b"", b"\1" * 300]

    def test_are_limited(self, make: MakeEnds) -> None:
        ends = make()
        for number in range(MAX_UNDER_WAY):
            ends.ask(number)
        with pytest.raises(OSError, match=f"{MAX_UNDER_WAY} questions") as caught:
            ends.ask(MAX_UNDER_WAY)
        assert caught.value.errno == errno.ENOBUFS  # which is not the server's fault
        ends.stream.tries[0].withdraw()
        ends.ask(0)

    def test_that_are_given_up_do_not_pile_up_before_a_server_that_does_not_read(
        self, make: MakeEnds
    ) -> None:
        ends = make()
        size = 60_000
        for _ in range(MAX_UNSENT // size):
            ends.send(new_try(1, 0.0), bytes(size)).withdraw()
        ends.send(new_try(1, 0.0), bytes(size)).withdraw()
        with pytest.raises(OSError, match="does not read"):
            ends.send(new_try(1, 0.0), b"one more")
        ends.after(OPTIONS.tcp_idle_timeout)
        assert ends.events() == 0


class TestTheConnection:
    def test_is_closed_when_nothing_was_asked_for_a_while(self, make: MakeEnds) -> None:
        ends = make()
        attempt = ends.ask(1)
        sock = ends.accept()
        ends.after(100.0)
        assert not ends.at_end(sock)
        attempt.withdraw()
        attempt.withdraw()
        ends.after(4.9)
        assert not ends.at_end(sock)
        second = ends.ask(2)
        ends.after(100.0)
        assert not ends.at_end(sock)
        second.withdraw()
        ends.after(5.0)
        assert ends.at_end(sock)
        assert ends.events() == 0
        ends.ask(3)
        assert ends.read(ends.accept(), 6) == framed(b"\3\3\3\3")
        assert ends.ear.lost == []

    def test_is_closed_at_once_when_it_shall_not_be_kept(self, make: MakeEnds) -> None:
        ends = make(replace(OPTIONS, tcp_idle_timeout=0))
        attempt = ends.ask(1)
        sock = ends.accept()
        attempt.withdraw()
        assert ends.at_end(sock)
        assert ends.events() == 0

    def test_is_closed_though_it_was_never_made(self, make: MakeEnds) -> None:
        ends = make()
        ends.ask(1).withdraw()
        ends.stream.close()
        ends.stream.close()
        assert ends.events() == 0

    def test_is_closed_when_the_server_is_asked_no_more(self, make: MakeEnds) -> None:
        ends = make()
        ends.ask(1).withdraw()
        sock = ends.accept()
        ends.stream.retire()
        assert ends.at_end(sock)
        assert ends.events() == 0

    def test_is_closed_after_the_last_reply_when_the_server_is_asked_no_more(self, make: MakeEnds) -> None:
        ends = make()
        ends.ask(1)
        sock = ends.accept()
        ends.stream.retire()
        assert not ends.at_end(sock)
        sock.sendall(framed(b"\1 reply"))
        assert ends.at_end(sock)
        assert (ends.ear.heard, ends.events()) == ([b"\1 reply"], 0)

    def test_takes_other_options_for_the_next_one(self, make: MakeEnds) -> None:
        ends = make(replace(OPTIONS, bind_to="127.0.0.2"))
        ends.ask(1)
        assert ends.accept().getpeername()[0] == "127.0.0.2"
        ends.stream.close()
        ends.stream.configure(replace(OPTIONS, bind_to="127.0.0.3"))
        ends.stream.tries.clear()
        ends.ask(2)
        assert ends.accept().getpeername()[0] == "127.0.0.3"

    def test_to_where_there_is_no_way_is_an_error_or_its_end(self, make: MakeEnds) -> None:
        ends = make(replace(OPTIONS, bind_to="127.0.0.2"), host="192.0.2.1")
        try:
            ends.ask(1)
        except OSError:
            assert ends.stream.tries == {}
        else:
            ends.until(lambda: bool(ends.ear.lost))
        assert ends.events() == 0

    @pytest.mark.parametrize("local", ["::1", "192.0.2.1"])
    def test_from_where_there_is_no_way_is_an_error(self, make: MakeEnds, local: str) -> None:
        ends = make(replace(OPTIONS, bind_to=local))
        with pytest.raises(OSError, match=r"."):
            ends.ask(1)
        assert (ends.stream.tries, ends.events()) == ({}, 0)

    def test_out_of_descriptors_is_an_error(self, make: MakeEnds) -> None:
        ends = make()
        with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
            ends.ask(1)
        assert (ends.stream.tries, ends.events()) == ({}, 0)
        ends.ask(1)
        assert ends.read(ends.accept(), 6) == framed(b"\1\1\1\1")


class TestItsEnd:
    @pytest.mark.parametrize(
        ("last", "why"),
        [
            (b"", "connection closed"),
            (b"\0", "within a length"),
            (b"\0\5abc", "within a message"),
        ],
    )
    def test_is_told_to_each_question(self, make: MakeEnds, last: bytes, why: str) -> None:
        ends = make()
        for number in (1, 2, 3):
            ends.ask(number)
        sock = ends.accept()
        ends.read(sock, 18)
        sock.sendall(framed(b"\2 reply") + last)
        sock.close()
        ends.settle()
        assert ends.ear.heard == [b"\2 reply"]
        assert [number for number, _ in ends.ear.lost] == [1, 3]
        assert all(why in each for _, each in ends.ear.lost)
        assert (ends.stream.tries, ends.events()) == ({}, 0)

    def test_is_told_when_nobody_is_there(self, make: MakeEnds) -> None:
        ends = make()
        ends.listener.close()
        ends.ask(1)
        assert ends.ear.lost == []  # not from within
        ends.until(lambda: bool(ends.ear.lost))
        assert "Connection refused" in ends.ear.lost[0][1]
        assert ends.events() == 0

    def test_may_be_answered_by_asking_again(self, make: MakeEnds) -> None:
        ends = make()
        ends.ask(1)
        ends.ask(2)
        ends.ear.then = lambda attempt: ends.ask(attempt.id)
        sock = ends.accept()
        ends.read(sock, 12)
        sock.close()
        assert ends.read(ends.accept(), 12) == framed(b"\1\1\1\1") + framed(b"\2\2\2\2")
        assert [number for number, _ in ends.ear.lost] == [1, 2]
        assert sorted(ends.stream.tries) == [1, 2]

    def test_may_be_answered_by_withdrawing_the_others(self, make: MakeEnds) -> None:
        ends = make()
        tries = [ends.ask(number) for number in (1, 2)]
        sock = ends.accept()
        ends.read(sock, 12)
        again: list[Try] = []

        def ask_and_withdraw(attempt: Try) -> None:
            if not again:
                assert tries[1].carrier is None
                again.append(ends.ask(2))
                tries[1].withdraw()  # which must not take the one that has its number now

        ends.ear.then = ask_and_withdraw
        sock.close()
        ends.until(lambda: bool(again))
        assert ends.stream.tries == {2: again[0]}

    def test_while_nothing_is_under_way_is_told_to_nobody(self, make: MakeEnds) -> None:
        ends = make()
        ends.ask(1).withdraw()
        sock = ends.accept()
        ends.read(sock, 6)
        sock.close()
        ends.settle()
        assert (ends.ear.lost, ends.events()) == ([], 0)
        ends.ask(2)
        assert ends.read(ends.accept(), 6) == framed(b"\2\2\2\2")

    def test_by_hand_is_told_to_nobody(self, make: MakeEnds) -> None:
        ends = make()
        ends.ask(1)
        ends.stream.close()
        ends.settle()
        assert ends.ear.lost == []


class TestDoubt:
    def test_after_silence_ends_the_connection(self, make: MakeEnds) -> None:
        ends = make()
        late, other = ends.ask(1), ends.ask(2)
        sock = ends.accept()
        ends.after(2.0)
        ends.stream.doubt(late)
        assert ends.ear.lost == [(2, "no word from the server")]
        assert late.carrier is other.carrier is None
        assert ends.at_end(sock)

    def test_while_others_are_answered_does_not(self, make: MakeEnds) -> None:
        ends = make()
        late = ends.ask(1)
        ends.ask(2)
        sock = ends.accept()
        ends.clock.advance(1.0)
        sock.sendall(framed(b"\2 reply"))
        ends.settle()
        ends.clock.advance(1.0)
        ends.stream.doubt(late)
        assert not ends.at_end(sock)
        assert ends.stream.tries == {1: late}  # a late reply is one

    def test_of_what_was_withdrawn_or_went_over_another_connection_is_none(self, make: MakeEnds) -> None:
        ends = make()
        gone = ends.ask(1)
        gone.withdraw()
        ends.ask(1)
        sock = ends.accept()
        ends.stream.doubt(gone)
        gone.withdraw()
        assert not ends.at_end(sock)
        assert (len(ends.stream.tries), ends.ear.lost) == (1, [])


class TestTls:
    def ends(self, make: MakeEnds, certificates: Certificates, name: str | None) -> Ends:
        return make(transport="tls", name=name, context=certificates.client())

    def peer(self, ends: Ends, certificates: Certificates) -> TlsConnection:
        connection = Connection(cast(World, ends), ends.accept())
        return TlsConnection(connection, certificates.server())

    @pytest.mark.parametrize("name", [None, "localhost"])
    def test_a_message_is_one_record(
        self, make: MakeEnds, certificates: Certificates, name: str | None
    ) -> None:
        ends = self.ends(make, certificates, name)
        ends.ask(1)
        peer = self.peer(ends, certificates)
        ends.until(lambda: bool(peer.receive()))
        assert peer.records == [framed(b"\1\1\1\1")]
        peer.send(b"\1 reply")
        ends.until(lambda: bool(ends.ear.heard))
        assert (ends.ear.heard, ends.ear.lost) == ([b"\1 reply"], [])

    def test_the_name_is_checked_before_anything_is_said(
        self, make: MakeEnds, certificates: Certificates
    ) -> None:
        ends = self.ends(make, certificates, "dns.example")
        ends.ask(1)
        peer = self.peer(ends, certificates)
        with suppress(ssl.SSLError, ConnectionError):
            ends.until(lambda: peer.receive() != b"" or bool(ends.ear.lost))
        ends.until(lambda: bool(ends.ear.lost))
        assert "Hostname mismatch" in ends.ear.lost[0][1]
        assert peer.records == []

    def test_a_name_that_can_not_be_checked_is_an_error(
        self, make: MakeEnds, certificates: Certificates
    ) -> None:
        ends = self.ends(make, certificates, ".example")
        with pytest.raises(ValueError, match=r"."):
            ends.ask(1)
        assert (ends.stream.tries, ends.events()) == ({}, 0)


def test_the_system_s_certificates_are_trusted_and_read_once() -> None:
    context = default_context()
    assert context is default_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_shows_its_state(make: MakeEnds) -> None:
    ends = make()
    port = ends.listener.getsockname()[1]
    assert repr(ends.stream) == f"<Stream to tcp://127.0.0.1:{port} closed under_way=0>"
    ends.ask(1)
    assert f"<Stream to tcp://127.0.0.1:{port} <Framed open " in repr(ends.stream)
    assert repr(ends.stream).endswith("under_way=1>")
