"""`TLSBufferEvent`: the handshake and its failures, what flows, and how a session ends."""

import gc
import os
import socket
import ssl
import subprocess
import sys
import weakref
from collections.abc import Iterator
from errno import ECONNRESET
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from below import Below, Ear, turn, until
from certificates import Certificates, make_certificates  # noqa: F401 - a fixture
from evkit.core.base import EventBase
from evkit.core.bufferevent import BufferEvent, SocketBufferEvent
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.bufferevent.tls import TLSBufferEvent
from evkit.core.flags import (
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    BEV_FINISHED,
    BEV_FLUSH,
    EV_READ,
    EV_WRITE,
)
from evkit.core.listener import Listener
from evkit.errors import ConnectError, ConnectionLost, TLSError, TransportTimeout
from evkit.testing import FakeBase, ManualClock, base_with_fakes, chunks

BOTH = EV_READ | EV_WRITE
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
Pair = tuple[socket.socket, socket.socket]


class Ends:
    """A client and a server, and what they hear."""

    def __init__(self, client: TLSBufferEvent, server: TLSBufferEvent) -> None:
        self.base = client.base
        self.client, self.server = client, server
        self.client_ear, self.server_ear = Ear(client), Ear(server)

    def shake(self) -> "Ends":
        """Have both ends connected and reading."""
        turn(self.base)
        assert self.client_ear.take() == self.server_ear.take() == ["CONNECTED"]
        self.client.enable(EV_READ)
        self.server.enable(EV_READ)
        turn(self.base)
        return self

    def close(self) -> None:
        self.client.close()
        self.server.close()
        turn(self.base)


def over(
    client_below: BufferEvent,
    server_below: BufferEvent,
    certificates: Certificates,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> Ends:
    for_client, for_server = certificates.both(version)
    client = TLSBufferEvent(client_below, for_client, server_hostname="localhost")
    return Ends(client, TLSBufferEvent(server_below, for_server, server_side=True))


@pytest.fixture(params=VERSIONS, ids=str)
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    chosen: ssl.TLSVersion = request.param
    return chosen


@pytest.fixture
def ends(fakes: FakeBase, certificates: Certificates, version: ssl.TLSVersion) -> Iterator[Ends]:
    """A client and a server over a pair: no time passes, and no system call is made."""
    ends = over(*PairBufferEvent.pair(fakes.base), certificates, version)
    yield ends
    ends.close()


@pytest.fixture
def wired(fakes: FakeBase, certificates: Certificates, version: ssl.TLSVersion) -> Iterator["Wire"]:
    wire = Wire(fakes.base, certificates, version)
    yield wire
    wire.ends.close()


class Wire:
    """A client and a server, and between them the test, which carries the bytes."""

    def __init__(self, base: EventBase, certificates: Certificates, version: ssl.TLSVersion) -> None:
        self.base = base
        self.client, self.server = Below(base), Below(base)
        self.ends = over(self.client, self.server, certificates, version)

    def carry(self, size: int | None = None, *, rounds: int = 8) -> None:
        """Carry what is there both ways, in pieces of ``size``, until there is no more."""
        for _ in range(rounds):
            turn(self.base)
            for source, target in ((self.client, self.server), (self.server, self.client)):
                while source.sent and target.reads():
                    piece = source.sent[:size]
                    source.sent = source.sent[len(piece) :]
                    target.arrive(piece)

    def shake(self) -> Ends:
        self.carry()
        self.ends.shake()
        self.carry()  # tickets of TLS 1.3
        return self.ends


class TestHandshake:
    def test_each_end_is_connected_once(self, ends: Ends, version: ssl.TLSVersion) -> None:
        ends.shake()
        assert (
            ends.client.ssl_object.version()
            == ends.server.ssl_object.version()
            == str(version.name).replace("_", ".")
        )
        ends.client.write(b"ping")
        turn(ends.base)
        ends.server.write(b"pong")
        turn(ends.base)
        assert ends.client_ear.heard == ["write", "read 4"]
        assert ends.server_ear.heard == ["read 4", "write"]

    def test_over_sockets(
        self, open_descriptors: None, base: EventBase, pair: Pair, certificates: Certificates
    ) -> None:
        data = bytes(range(256)) * 8192
        ends = over(SocketBufferEvent(base, pair[0]), SocketBufferEvent(base, pair[1]), certificates)
        ends.client.enable(EV_READ)
        ends.server.enable(EV_READ)
        ends.client.write(data)
        ends.server.write(data[::-1])
        until(base, lambda: min(len(ends.client_ear.data), len(ends.server_ear.data)) == len(data))
        assert ends.server_ear.data == data
        assert ends.client_ear.data == data[::-1]
        ends.close()

    def test_over_a_filter(self, fakes: FakeBase, certificates: Certificates) -> None:
        below = PairBufferEvent.pair(fakes.base)
        ends = over(FilterBufferEvent(below[0]), FilterBufferEvent(below[1]), certificates).shake()
        ends.client.write(b"x")
        turn(fakes.base)
        assert ends.server_ear.data == b"x"
        ends.close()

    def test_in_another_session(self, fakes: FakeBase, certificates: Certificates) -> None:
        outer = over(*PairBufferEvent.pair(fakes.base), certificates)
        ends = over(outer.client, outer.server, certificates).shake()
        ends.client.write(b"x")
        turn(fakes.base)
        assert ends.server_ear.data == b"x"
        ends.client.close_when_drained()
        turn(fakes.base)
        assert ends.server_ear.heard[-1] == "READING|EOF"
        ends.close()

    def test_what_was_written_before_goes_out_after_it(self, ends: Ends) -> None:
        ends.client.write(b"early")
        ends.server.enable(EV_READ)
        turn(ends.base)
        assert ends.client_ear.heard == ["CONNECTED", "write"]
        assert ends.server_ear.heard == ["CONNECTED", "read 5"]

    def test_goes_on_whatever_is_disabled_and_full(self, ends: Ends) -> None:
        for end in (ends.client, ends.server):
            end.disable(BOTH)
            end.set_watermark(EV_READ, high=1)
        turn(ends.base)
        assert ends.client_ear.heard == ends.server_ear.heard == ["CONNECTED"]
        assert not ends.client.enabled

    def test_nobody_reads_after_it_who_does_not_want_to(self, wired: "Wire") -> None:
        wired.ends.client.error = TLSError("an earlier one", during="connect")
        wired.carry()
        assert wired.ends.client_ear.heard == ["CONNECTED"]  # with no error
        assert not wired.client.reads()

    def test_nothing_is_heard_from_inside_the_constructor(
        self, fakes: FakeBase, certificates: Certificates
    ) -> None:
        below = Below(fakes.base)
        context = certificates.client()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.minimum_version = ssl.TLSVersion.TLSv1_3  # nothing is left
        bev = TLSBufferEvent(below, context, server_hostname="localhost")
        ear = Ear(bev)
        assert (ear.heard, below.sent) == ([], b"")
        turn(fakes.base)
        assert ear.heard == ["ERROR connect: the TLS handshake failed: no protocols available"]
        bev.close()

    def test_sni_alpn_and_certificates_of_both(self, fakes: FakeBase, certificates: Certificates) -> None:
        names: list[str | None] = []
        server, client = certificates.server(), certificates.client("client")
        server.sni_callback = lambda _object, name, _context: names.append(name)
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(certificates.path("ca"))
        server.set_alpn_protocols(["http/1.1"])
        client.set_alpn_protocols(["h2", "http/1.1"])
        below = PairBufferEvent.pair(fakes.base)
        ends = Ends(
            TLSBufferEvent(below[0], client, server_hostname="localhost"),
            TLSBufferEvent(below[1], server, server_side=True),
        ).shake()
        assert names == ["localhost"]
        assert ends.client.ssl_object.selected_alpn_protocol() == "http/1.1"
        shown = ends.server.ssl_object.getpeercert()
        assert shown is not None
        assert (("commonName", "a client"),) in shown["subject"]
        ends.close()

    def test_a_session_is_resumed(self, fakes: FakeBase, certificates: Certificates) -> None:
        server, client = certificates.server(), certificates.client()
        session = None
        for resumed in (False, True):
            below = PairBufferEvent.pair(fakes.base)
            ends = Ends(
                TLSBufferEvent(below[0], client, server_hostname="localhost", session=session),
                TLSBufferEvent(below[1], server, server_side=True),
            ).shake()
            ends.server.write(b"x")
            turn(fakes.base)  # a ticket of TLS 1.3 comes with the data
            assert ends.client.ssl_object.session_reused is resumed
            session = ends.client.ssl_object.session
            ends.close()

    def test_deferred(self, fakes: FakeBase, certificates: Certificates) -> None:
        below = PairBufferEvent.pair(fakes.base)
        ends = Ends(
            TLSBufferEvent(
                below[0], certificates.client(), server_hostname="localhost", defer_callbacks=True
            ),
            TLSBufferEvent(below[1], certificates.server(), server_side=True, defer_callbacks=True),
        ).shake()
        ends.client.write(b"x")
        turn(fakes.base)
        assert ends.server_ear.heard == ["read 1"]
        ends.close()

    @pytest.mark.parametrize("which", ["client", "server"])
    def test_closed_in_the_callback(self, ends: Ends, which: str) -> None:
        bev: TLSBufferEvent = getattr(ends, which)
        bev.set_callbacks(event=lambda bev, _what: bev.close())
        turn(ends.base)
        assert bev.closed

    def test_a_callback_that_fails(self, fakes: FakeBase, ends: Ends) -> None:
        escaped: list[object] = []
        fakes.base.exception_handler = lambda exception, source: escaped.append(source)
        ends.client.set_callbacks(event=lambda bev, _what: bev.read(-1))
        turn(ends.base)
        assert escaped == [ends.client]
        assert ends.client.closed

    def test_repr(self, ends: Ends) -> None:
        assert repr(ends.client) == "<TLSBufferEvent handshaking enabled=WRITE input=0 output=0>"
        ends.shake()
        assert "open" in repr(ends.client)
        ends.client.close()
        assert "closed" in repr(ends.client)


class TestMisuse:
    def test_a_server_needs_a_context(self, fakes: FakeBase) -> None:
        with pytest.raises(ValueError, match="a TLS server needs a context"):
            TLSBufferEvent(Below(fakes.base), server_side=True)

    @pytest.mark.parametrize("name", [None, ""])
    def test_no_name_is_checked_silently(self, fakes: FakeBase, name: str | None) -> None:
        with pytest.raises(ValueError, match="server_hostname is needed"):
            TLSBufferEvent(Below(fakes.base), server_hostname=name)

    @pytest.mark.parametrize("name", [".", "nul\0", "a" * 70])
    def test_no_name_at_all(self, fakes: FakeBase, name: str) -> None:
        with pytest.raises(ValueError, match="no TLS session can be made"):
            TLSBufferEvent(Below(fakes.base), server_hostname=name)

    def test_a_context_for_the_other_side(self, fakes: FakeBase) -> None:
        with pytest.raises(ValueError, match="no TLS session can be made"):
            TLSBufferEvent(Below(fakes.base), ssl.create_default_context(), server_side=True)

    def test_a_time_out_that_is_none(self, fakes: FakeBase) -> None:
        below = Below(fakes.base)
        with pytest.raises(ValueError, match="a time-out is a number of seconds"):
            TLSBufferEvent(below, server_hostname="x", handshake_timeout=-1)
        assert below.callbacks == (None, None, None)

    def test_leaves_the_connection_below_alone(self, fakes: FakeBase) -> None:
        below = Below(fakes.base)
        ear = Ear(below)
        with pytest.raises(ValueError, match="server_hostname"):
            TLSBufferEvent(below)
        assert below.callbacks == (ear.on_read, ear.on_write, ear.on_event)
        assert below.enabled == EV_WRITE

    def test_only_a_socket_connects(self, ends: Ends) -> None:
        with pytest.raises(ValueError, match="only a connection over a socket can connect"):
            ends.client.connect(("127.0.0.1", 1))


class TestConnecting:
    def test_by_address(self, base: EventBase, certificates: Certificates) -> None:
        servers: list[TLSBufferEvent] = []

        def accept(_listener: Listener, sock: socket.socket, _address: object) -> None:
            servers.append(TLSBufferEvent.over_socket(base, sock, certificates.server(), server_side=True))
            Ear(servers[0])
            servers[0].enable(EV_READ)

        listener = Listener.bind(base, accept, ("127.0.0.1", 0))
        client = TLSBufferEvent.over_socket(base, context=certificates.client(), server_hostname="127.0.0.1")
        ear = Ear(client)
        client.write(b"queued beforehand")
        client.connect(("127.0.0.1", listener.port))
        until(base, lambda: servers and len(ear.heard) == 2)
        assert ear.heard == ["CONNECTED", "write"]
        client.close()
        servers[0].close()
        listener.close()

    def test_refused(self, base: EventBase) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
        client = TLSBufferEvent.over_socket(base, server_hostname="localhost")
        heard: list[tuple[int, type]] = []
        client.set_callbacks(event=lambda bev, what: heard.append((what, type(bev.error))))
        client.connect(address)
        until(base, lambda: heard)
        assert heard == [(BEV_EVENT_ERROR, ConnectError)]
        assert "failed" in repr(client)
        client.close()


def refuse(fakes: FakeBase, client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> Ends:
    below = PairBufferEvent.pair(fakes.base)
    ends = Ends(
        TLSBufferEvent(below[0], client, server_hostname=name),
        TLSBufferEvent(below[1], server, server_side=True),
    )
    turn(fakes.base)
    return ends


class TestVerification:
    @pytest.mark.parametrize(
        ("shown", "name", "why"),
        [
            ("self-signed", "localhost", "self-signed certificate"),
            ("expired", "localhost", "certificate has expired"),
            ("server", "elsewhere", "Hostname mismatch, certificate is not valid for 'elsewhere'."),
            ("server", "127.0.0.2", "IP address mismatch, certificate is not valid for '127.0.0.2'."),
        ],
    )
    def test_of_the_server(
        self, fakes: FakeBase, certificates: Certificates, shown: str, name: str, why: str
    ) -> None:
        ends = refuse(fakes, certificates.client(), certificates.server(shown), name)
        assert ends.client_ear.heard == [
            f"ERROR connect: the TLS handshake failed: certificate verify failed: {why}"
        ]
        error = ends.client.error
        assert isinstance(error, TLSError)
        assert error.during == "connect"
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        # The alert reaches the server, though the client's user may have closed.
        [heard] = ends.server_ear.heard
        assert heard.startswith("ERROR connect: the TLS handshake failed: ")
        assert "alert" in heard
        ends.close()

    def test_of_an_authority_that_nobody_knows(self, fakes: FakeBase, certificates: Certificates) -> None:
        ends = refuse(fakes, ssl.create_default_context(), certificates.server())
        assert "certificate verify failed: unable to get local issuer certificate" in ends.client_ear.heard[0]
        ends.close()

    def test_by_default(self, fakes: FakeBase, certificates: Certificates) -> None:
        below = PairBufferEvent.pair(fakes.base)
        server = TLSBufferEvent(below[1], certificates.server(), server_side=True)
        ends = Ends(TLSBufferEvent(below[0], server_hostname="localhost"), server)
        turn(fakes.base)
        assert "certificate verify failed" in ends.client_ear.heard[0]
        ends.close()

    def test_of_a_client_that_shows_nothing(
        self, fakes: FakeBase, certificates: Certificates, version: ssl.TLSVersion
    ) -> None:
        server = certificates.server()
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(certificates.path("ca"))
        server.maximum_version = version
        ends = refuse(fakes, certificates.client(), server)
        assert ends.server_ear.heard == [
            "ERROR connect: the TLS handshake failed: peer did not return a certificate"
        ]
        ends.client.enable(EV_READ)
        turn(fakes.base)
        # In TLS 1.3 the client is done before the server has looked at it.
        what = ends.client_ear.heard[-1]
        assert what.startswith(
            "ERROR connect: " if version == ssl.TLSVersion.TLSv1_2 else "READING|ERROR read: TLS: "
        )
        assert "alert" in what
        ends.close()

    def test_the_alert_goes_out_though_the_user_closes_at_once(
        self, fakes: FakeBase, certificates: Certificates
    ) -> None:
        below = PairBufferEvent.pair(fakes.base)
        client = TLSBufferEvent(below[0], certificates.client(), server_hostname="elsewhere")
        client.set_callbacks(event=lambda bev, _what: bev.close())
        server = TLSBufferEvent(below[1], certificates.server(), server_side=True)
        ear = Ear(server)
        turn(fakes.base)
        assert client.closed
        assert "alert bad certificate" in ear.heard[0]
        server.close()

    def test_nothing_in_common(self, fakes: FakeBase, certificates: Certificates) -> None:
        client, server = certificates.client(), certificates.server()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        server.minimum_version = ssl.TLSVersion.TLSv1_3
        ends = refuse(fakes, client, server)
        assert ends.server_ear.heard == ["ERROR connect: the TLS handshake failed: unsupported protocol"]
        assert "protocol version" in ends.client_ear.heard[0]
        ends.close()


class TestBadHandshakes:
    @pytest.mark.parametrize(
        ("garbage", "why"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", "http request"),
            (b"CONNECT a:443 HTTP/1.1\r\n\r\n", "https proxy request"),
            (b"SSH-2.0-OpenSSH\r\n", "wrong version number"),
            (bytes(40), "wrong version number"),
            (b"\x16\x03\x01\x00\x05hello", "unexpected message"),
        ],
    )
    def test_to_a_server(self, fakes: FakeBase, certificates: Certificates, garbage: bytes, why: str) -> None:
        below = Below(fakes.base)
        bev = TLSBufferEvent(below, certificates.server(), server_side=True)
        ear = Ear(bev)
        turn(fakes.base)
        below.arrive(garbage)
        turn(fakes.base)
        assert ear.heard == [f"ERROR connect: the TLS handshake failed: {why}"]
        assert not below.reads()
        below.arrive_end()
        bev.enable(BOTH)
        bev.write(b"x")
        turn(fakes.base)
        assert len(ear.heard) == 1
        assert not bev.ssl_object.pending()
        bev.close_when_drained()
        bev.close()

    def test_nothing_is_heard_after_it(self, manual_base: EventBase, clock: ManualClock) -> None:
        below = Below(manual_base)
        bev = TLSBufferEvent(below, server_hostname="localhost")
        ear = Ear(bev)
        turn(manual_base)
        below.arrive(b"220 mail.example.org ESMTP\r\n")
        assert len(ear.take()) == 1
        clock.advance(100)
        turn(manual_base)
        below._failed(EV_WRITE, BEV_EVENT_WRITING | BEV_EVENT_ERROR, BrokenPipeError())
        assert ear.heard == []
        bev.close()

    def test_to_a_client(self, fakes: FakeBase) -> None:
        below = Below(fakes.base)
        bev = TLSBufferEvent(below, server_hostname="localhost")
        ear = Ear(bev)
        turn(fakes.base)
        below.arrive(b"220 mail.example.org ESMTP\r\n")
        assert ear.heard == ["ERROR connect: the TLS handshake failed: wrong version number"]
        bev.close()

    def test_an_endless_message(self, fakes: FakeBase, certificates: Certificates) -> None:
        below = Below(fakes.base)
        bev = TLSBufferEvent(below, certificates.server(), server_side=True)
        ear = Ear(bev)
        turn(fakes.base)
        record = b"\x16\x03\x01\x40\x00" + b"\x01\xff\xff\xff" + bytes(0x4000 - 4)
        for _ in range(100):
            if below.reads():
                below.arrive(record)
        assert len(ear.heard) == 1
        assert ear.heard[0].startswith("ERROR connect: the TLS handshake failed: ")
        bev.close()

    @pytest.mark.parametrize("who", ["client", "server"])
    def test_cut_at_every_byte(self, certificates: Certificates, who: str, version: ssl.TLSVersion) -> None:
        cut = 0
        while True:
            with base_with_fakes().base as base:
                wire = Wire(base, certificates, version)
                victim, ear = (
                    (wire.client, wire.ends.client_ear)
                    if who == "client"
                    else (wire.server, wire.ends.server_ear)
                )
                peer = wire.server if who == "client" else wire.client
                left = cut
                for _ in range(6):
                    turn(base)
                    if peer.reads():
                        data, victim.sent = victim.sent, b""
                        if data:
                            peer.arrive(data)
                    data, peer.sent = peer.sent[:left], peer.sent[left:]
                    left -= len(data)
                    if data and victim.reads():
                        victim.arrive(data)
                if ear.heard == ["CONNECTED"]:
                    wire.ends.close()
                    break
                assert ear.heard == []
                victim.arrive_end()
                turn(base)
                assert ear.heard == ["ERROR connect: the peer ended the connection in the TLS handshake"]
                wire.ends.close()
            cut += 1
        assert cut > 100

    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(junk=st.binary(min_size=1, max_size=60), start=st.integers(0, 300))
    def test_junk_in_its_midst(self, certificates: Certificates, junk: bytes, start: int) -> None:
        with base_with_fakes().base as base:
            wire = Wire(base, certificates, ssl.TLSVersion.TLSv1_3)
            turn(base)
            hello = wire.client.sent
            start = min(start, len(hello))
            wire.server.arrive((hello[:start] + junk + hello[start + len(junk) :])[: len(hello) + 60])
            if wire.server.reads():
                wire.server.arrive_end()
            turn(base)
            heard = wire.ends.server_ear.heard
            assert len(heard) == 1
            assert heard[0].startswith("ERROR connect: ")
            wire.ends.close()

    def test_an_error_below(self, fakes: FakeBase, certificates: Certificates) -> None:
        for direction, side in ((EV_READ, BEV_EVENT_READING), (EV_WRITE, BEV_EVENT_WRITING)):
            below = Below(fakes.base)
            bev = TLSBufferEvent(below, certificates.server(), server_side=True)
            ear = Ear(bev)
            turn(fakes.base)
            below._failed(direction, side | BEV_EVENT_ERROR, ConnectionResetError(ECONNRESET, "reset"))
            [heard] = ear.heard
            assert heard.startswith("ERROR ")
            assert isinstance(bev.error, ConnectionLost)
            assert bev.error.errno == ECONNRESET
            bev.close()


class TestHandshakeTimeout:
    @pytest.fixture
    def below(self, manual_base: EventBase) -> Below:
        return Below(manual_base)

    def test_of_a_silent_peer(self, manual_base: EventBase, clock: ManualClock, below: Below) -> None:
        bev = TLSBufferEvent(below, server_hostname="localhost", handshake_timeout=7)
        ear = Ear(bev)
        bev.enable(EV_READ)
        bev.set_timeouts(read=1, write=1)  # for what comes after the handshake
        turn(manual_base)
        clock.advance(6)
        turn(manual_base)
        assert ear.heard == []
        clock.advance(1)
        turn(manual_base)
        assert ear.heard == ["TIMEOUT connect: timed out after 7 s"]
        assert isinstance(bev.error, TransportTimeout)
        assert bev.enabled == 0
        bev.close()

    def test_is_on_by_default_and_ends_with_it(
        self,
        manual_base: EventBase,
        clock: ManualClock,
        certificates: Certificates,
    ) -> None:
        slow = TLSBufferEvent(Below(manual_base), server_hostname="localhost")
        ear = Ear(slow)
        ends = over(*PairBufferEvent.pair(manual_base), certificates).shake()
        clock.advance(60)
        turn(manual_base)
        assert ear.heard == ["TIMEOUT connect: timed out after 60 s"]
        assert ends.client_ear.heard == ends.server_ear.heard == []
        ends.close()
        slow.close()

    def test_begins_when_the_socket_is_connected(self, manual_base: EventBase, clock: ManualClock) -> None:
        bev = TLSBufferEvent.over_socket(manual_base, server_hostname="localhost", handshake_timeout=5)
        ear = Ear(bev)
        turn(manual_base)
        clock.advance(100)
        turn(manual_base)
        assert ear.heard == []
        with socket.create_server(("127.0.0.1", 0)) as server:
            bev.connect(server.getsockname())
            until(manual_base, lambda: "connecting" not in repr(bev.underlying))
            clock.advance(4)
            turn(manual_base)
            assert ear.heard == []
            clock.advance(1)
            turn(manual_base)
        assert ear.heard == ["TIMEOUT connect: timed out after 5 s"]
        bev.close()

    def test_a_time_out_of_the_one_below_comes_up(self, manual_base: EventBase, below: Below) -> None:
        bev = TLSBufferEvent(below, server_hostname="localhost")
        heard: list[int] = []
        bev.set_callbacks(event=lambda _bev, what: heard.append(what))
        below.set_timeouts(write=3)
        below._timed_out(EV_WRITE)
        assert heard == [BEV_EVENT_TIMEOUT]
        bev.close()


def records(wire: bytes) -> list[int]:
    """Return the sizes of the TLS records in what was sent."""
    sizes = []
    while wire:
        sizes.append(int.from_bytes(wire[3:5], "big"))
        wire = wire[5 + sizes[-1] :]
    return sizes


class TestFlowing:
    def test_small_writes_are_one_record_and_large_ones_few(self, wired: Wire) -> None:
        ends = wired.shake()
        for _ in range(1000):
            ends.client.write(b"x")
        turn(wired.base)
        assert len(records(wired.client.sent)) == 1
        wired.client.sent = b""
        wired.client.set_watermark(EV_WRITE, high=1 << 20)
        for size in (5000, 5000, 40000):
            ends.client.output.add_reference(bytes(size))
        turn(wired.base)
        assert len(records(wired.client.sent)) == 4  # 16384, 16384, 16384, and the rest

    def test_a_file(self, wired: Wire, tmp_path: Path) -> None:
        ends = wired.shake()
        content = os.urandom(300_000)
        (tmp_path / "file").write_bytes(content)
        ends.server.write(b"head")
        ends.server.output.add_file(open(tmp_path / "file", "rb"))  # noqa: SIM115 - the buffer's from now on
        ends.server.write(b"tail")
        wired.carry()
        assert ends.client_ear.data == b"head" + content + b"tail"

    def test_a_file_that_shrinks(self, wired: Wire, tmp_path: Path) -> None:
        ends = wired.shake()
        (tmp_path / "file").write_bytes(bytes(100))
        ends.server.output.add_file(open(tmp_path / "file", "rb"))  # noqa: SIM115 - as above
        os.truncate(tmp_path / "file", 10)
        turn(wired.base)
        [heard] = ends.server_ear.heard
        assert heard.startswith("WRITING|ERROR write: [Errno 5] the file was to have 100 bytes")

    def test_high_marks(self, ends: Ends) -> None:
        ends.shake()
        ends.client_ear.takes = False
        ends.client.set_watermark(EV_READ, high=1000)
        data = os.urandom(50_000)
        ends.server.write(data)
        got = b""
        while len(got) < len(data):
            turn(ends.base)
            assert 0 < len(ends.client.input) <= 1000
            got += ends.client.read()
        assert got == data

    def test_disabled_reading_reads_no_more(self, ends: Ends) -> None:
        ends.shake()
        ends.client.disable(EV_READ)
        ends.server.write(b"x")
        turn(ends.base)
        assert ends.client_ear.heard == []
        ends.client.enable(EV_READ)
        turn(ends.base)
        assert ends.client_ear.heard == ["read 1"]

    def test_flush(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"x")
        assert ends.client.flush(BOTH, BEV_FLUSH) is True
        turn(ends.base)
        assert ends.server_ear.data == b"x"

    def test_a_flood_of_tiny_records(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.set_watermark(EV_READ, high=100)
        ends.client_ear.takes = False
        for _ in range(3000):
            ends.server.write(b"x")
            ends.server.flush_output()
        turn(wired.base)
        flood, wired.server.sent = wired.server.sent, b""
        assert len(records(flood)) == 3000
        wired.client.arrive(flood)
        turn(wired.base)
        assert len(ends.client.input) == 100
        assert not wired.client.reads()
        assert ends.client_ear.take() == ["read"]
        ends.client_ear.takes = True
        ends.client.input.clear()
        turn(wired.base)
        assert len(ends.client_ear.data) == 2900

    def test_a_flood_of_empty_records(self, fakes: FakeBase, certificates: Certificates) -> None:
        wire = Wire(fakes.base, certificates, ssl.TLSVersion.TLSv1_3)
        ends = wire.shake()
        wire.client.arrive(
            b"\x14\x03\x03\x00\x01\x01" * 10_000
        )  # change_cipher_spec, which means nothing any more
        turn(fakes.base)
        assert len(ends.client_ear.heard) == 1
        assert ends.client_ear.heard[0].startswith("READING|ERROR read: TLS: ")
        ends.close()

    def test_nobody_who_reads_nothing_is_listened_to(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.room = 0
        # What answers a peer's messages is not the user's to hold back, so reading stops instead.
        wired.client.output.add(bytes(1 << 20))
        ends.client._session._outgoing.write(b"an answer")
        ends.client._push()
        assert not wired.client.reads()
        wired.client.take(None)
        assert wired.client.reads()

    def test_a_write_that_must_wait_for_the_peer(self, wired: Wire) -> None:
        """As in a renegotiation of TLS 1.2; OpenSSL wants the same bytes again."""
        ends = wired.shake()
        real = ends.client.ssl_object
        blocked = Blocked(real)
        ends.client._session.ssl_object = blocked  # type: ignore[assignment]  # all of it that is used
        ends.client.disable(EV_READ)
        ends.client.write(b"abc")
        turn(wired.base)
        assert (blocked.sizes, wired.client.sent) == ([3], b"")
        assert wired.client.reads()  # though the user does not
        ends.client.write(b"def")
        ends.client.close_when_drained()
        turn(wired.base)
        assert (blocked.sizes, ends.client.closed) == ([3], False)
        ends.server.write(b"what it waited for")
        blocked.blocks = False
        wired.carry()
        assert blocked.sizes == [3, 3, 3]
        assert ends.server_ear.data == b"abcdef"
        assert ends.client.closed
        assert ends.server_ear.heard[-1] == "READING|EOF"

    def test_time_outs_begin_after_the_handshake(
        self,
        manual_base: EventBase,
        clock: ManualClock,
        certificates: Certificates,
    ) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates)
        ends.client.set_timeouts(read=5)
        ends.shake()
        clock.advance(5)
        turn(manual_base)
        assert ends.client_ear.heard == ["READING|TIMEOUT read: timed out after 5 s"]
        ends.close()


class Blocked:
    """An ``SSLObject`` whose writes have to wait."""

    def __init__(self, real: ssl.SSLObject) -> None:
        self.real = real
        self.blocks = True
        self.sizes: list[int] = []

    def write(self, data: memoryview) -> int:
        self.sizes.append(len(data))
        if self.blocks:
            raise ssl.SSLWantReadError
        return self.real.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    writes=st.lists(st.binary(max_size=2000), max_size=6),
    size=st.one_of(st.none(), st.integers(1, 3000)),
    high=st.one_of(st.none(), st.integers(1, 3000)),
    version=st.sampled_from(VERSIONS),
)
def test_no_split_changes_what_comes_out(
    certificates: Certificates,
    *,
    writes: list[bytes],
    size: int | None,
    high: int | None,
    version: ssl.TLSVersion,
) -> None:
    with base_with_fakes().base as base:
        wire = Wire(base, certificates, version)
        wire.carry(size)
        ends = wire.ends.shake()
        ends.server.set_watermark(EV_READ, high=high)
        for data in writes:
            ends.client.write(data)
        ends.client.shutdown_write()
        turn(base)
        for piece in chunks(wire.client.sent, size or 1 << 30):
            if wire.server.reads():
                wire.server.arrive(piece)
            turn(base)
        assert ends.server_ear.data == b"".join(writes)
        assert [what for what in ends.server_ear.heard if not what.startswith("read")] == ["READING|EOF"]
        ends.close()


class TestEnds:
    def test_close_notify_is_the_end(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"last")
        ends.client.shutdown_write()
        turn(ends.base)
        assert ends.server_ear.take() == ["read 4", "READING|EOF"]
        assert not ends.server.enabled & EV_READ
        ends.server.write(b"half-closed")
        turn(ends.base)
        assert ends.client_ear.data == b"half-closed"
        ends.server.shutdown_write()
        turn(ends.base)
        assert ends.client_ear.heard[-1] == "READING|EOF"

    def test_nothing_goes_out_after_it(self, ends: Ends) -> None:
        ends.shake()
        ends.client.shutdown_write()
        ends.client.shutdown_write()
        ends.client.write(b"x")
        turn(ends.base)
        assert ends.client_ear.heard == ["WRITING|ERROR write: TLS: protocol is shutdown"]

    def test_it_is_told_again_to_whoever_reads_again(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.client.shutdown_write()
        wired.carry()
        assert ends.server_ear.take() == ["READING|EOF"]
        ends.server.enable(EV_READ)
        wired.server.arrive(b"junk after the end")
        assert ends.server_ear.take() == ["READING|EOF"]
        ends.server.enable(EV_READ)
        wired.server.arrive_end()
        turn(wired.base)
        assert ends.server_ear.take() == ["READING|EOF"]

    def test_with_input_that_nobody_has_read(self, ends: Ends) -> None:
        ends.shake()
        ends.client.set_watermark(EV_READ, high=10)
        ends.client_ear.takes = False
        ends.server.write(bytes(100))
        ends.server.shutdown_write()
        turn(ends.base)
        assert len(ends.client.input) == 10
        ends.client.write(b"answer")
        ends.client.shutdown_write()
        turn(ends.base)
        assert ends.server_ear.data == b"answer"
        assert ends.server_ear.heard[-1] == "READING|EOF"
        assert len(ends.client.input) == 100  # past its mark: OpenSSL would have lost it
        ends.client.input.clear()
        turn(ends.base)
        assert ends.client_ear.heard[-1] == "READING|EOF"

    @pytest.mark.parametrize("dirty", [False, True])
    @pytest.mark.parametrize("cut", [0, 3])
    def test_a_stream_that_is_cut(self, wired: Wire, cut: int, *, dirty: bool) -> None:
        ends = wired.shake()
        ends.client.allow_dirty_shutdown = dirty
        ends.server.write(b"part one")
        ends.server.flush_output()
        ends.server.write(b"part two")
        turn(wired.base)
        wired.client.arrive(wired.server.sent[: len(wired.server.sent) - cut])
        wired.client.arrive_end()
        turn(wired.base)
        assert ends.client_ear.data == (b"part one" if cut else b"part onepart two")
        story = "READING|ERROR read: the stream ended without the peer's close_notify"
        assert ends.client_ear.heard[-1] == ("READING|EOF" if dirty else story)
        assert dirty or isinstance(ends.client.error, TLSError)

    def test_a_reset(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.server.write(b"before it")
        turn(wired.base)
        wired.client.arrive(wired.server.sent)
        wired.client._failed(
            EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError(ECONNRESET, "reset")
        )
        assert ends.client_ear.heard == ["read 9", f"READING|ERROR read: [Errno {ECONNRESET}] reset"]

    def test_a_bad_record(self, wired: Wire) -> None:
        ends = wired.shake()
        ends.server.write(b"good")
        turn(wired.base)
        good = wired.server.sent
        wired.client.arrive(good + good)  # a record that is played again is a forged one
        assert ends.client_ear.heard[0] == "read 4"
        assert ends.client_ear.heard[1:] == ["READING|ERROR read: TLS: decryption failed or bad record mac"]
        assert isinstance(ends.client.error, TLSError)
        assert ends.client.error.during == "read"
        wired.server.arrive(wired.client.sent)  # the alert
        assert "alert" in ends.server_ear.heard[-1]
        ends.client.write(b"x")
        turn(wired.base)
        assert ends.client_ear.heard[-1].startswith("WRITING|ERROR write: TLS: ")
        ends.client.close_when_drained()
        turn(wired.base)
        assert ends.client.closed

    def test_plain_text_after_the_handshake(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.arrive(b"HTTP/1.1 400 Bad Request\r\n")
        assert ends.client_ear.heard == ["READING|ERROR read: TLS: wrong version number"]

    def test_flush_finished(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"x")
        ends.client.flush(EV_WRITE, BEV_FINISHED)
        turn(ends.base)
        assert ends.server_ear.heard == ["read 1", "READING|EOF"]


class TestClosing:
    def test_when_drained_says_goodbye(self, ends: Ends) -> None:
        ends.shake()
        data = os.urandom(500_000)
        ends.client.write(data)
        ends.client.close_when_drained()
        turn(ends.base)
        assert ends.client.closed
        assert ends.server_ear.data == data
        assert ends.server_ear.heard[-1] == "READING|EOF"

    def test_when_drained_in_the_handshake(self, ends: Ends) -> None:
        ends.client.write(b"all that I have to say")
        ends.client.close_when_drained()
        ends.server.enable(EV_READ)
        turn(ends.base)
        assert ends.client.closed
        assert ends.server_ear.data == b"all that I have to say"
        assert "READING|EOF" in ends.server_ear.heard

    def test_close_says_goodbye(self, ends: Ends) -> None:
        ends.shake()
        ends.client.close()
        turn(ends.base)
        assert ends.server_ear.heard == ["READING|EOF"]

    def test_close_does_not_say_that_this_was_all_when_it_was_not(self, ends: Ends) -> None:
        ends.shake()
        ends.client.write(b"x")
        ends.client.close()
        turn(ends.base)
        assert ends.server_ear.heard == [
            "READING|ERROR read: the stream ended without the peer's close_notify"
        ]

    def test_close_in_the_handshake(self, ends: Ends) -> None:
        ends.client.close()
        turn(ends.base)
        assert ends.server_ear.heard == ["ERROR connect: the peer ended the connection in the TLS handshake"]

    def test_goodbye_to_a_peer_that_is_gone(
        self, base: EventBase, pair: Pair, certificates: Certificates
    ) -> None:
        ends = over(SocketBufferEvent(base, pair[0]), SocketBufferEvent(base, pair[1]), certificates).shake()
        pair[1].close()
        ends.client.close()
        assert ends.client_ear.heard == []
        ends.server.close()

    def test_gives_the_plain_connection_back(self, fakes: FakeBase, certificates: Certificates) -> None:
        below = PairBufferEvent.pair(fakes.base)
        plain = Ear(below[0]), Ear(below[1])
        below[0].enable(EV_READ)
        below[1].write(b"220 ready\r\n")
        turn(fakes.base)
        ends = Ends(
            TLSBufferEvent(
                below[0], certificates.client(), server_hostname="localhost", close_underlying=False
            ),
            TLSBufferEvent(below[1], certificates.server(), server_side=True, close_underlying=False),
        ).shake()
        ends.client.shutdown_write()
        ends.server.shutdown_write()
        turn(fakes.base)
        assert ends.client_ear.heard == ends.server_ear.heard == ["READING|EOF"]
        ends.close()
        plain = Ear(below[0]), Ear(below[1])
        below[0].write(b"plain again")
        turn(fakes.base)
        assert plain[1].data == b"plain again"

    def test_leaves_no_cycle(self, fakes: FakeBase, certificates: Certificates) -> None:
        class Seen(TLSBufferEvent):
            __slots__ = ("__weakref__",)

        gc.disable()
        try:
            for refused in (False, True):
                below = PairBufferEvent.pair(fakes.base)
                name = "elsewhere" if refused else "localhost"
                client = Seen(below[0], certificates.client(), server_hostname=name)
                server = Seen(below[1], certificates.server(), server_side=True)
                client.set_callbacks(event=lambda bev, what: bev.read())
                client.enable(EV_READ)
                server.write(b"x")
                turn(fakes.base)
                assert (client.error is not None) is refused
                errors = client.error, server.error  # whoever keeps these keeps nothing else
                gone = weakref.ref(client), weakref.ref(server)
                client.close()
                server.close()
                turn(fakes.base)
                del client, server, below
                assert [ref() for ref in gone] == [None, None]
                assert all(error is None or error.__traceback__ is None for error in errors)
        finally:
            gc.enable()


class TestShutdown:
    def closed(self, bev: TLSBufferEvent) -> list[BufferEvent]:
        closed: list[BufferEvent] = []
        bev.on_close = closed.append
        return closed

    def test_waits_for_the_peer(self, ends: Ends) -> None:
        ends.shake()
        closed = self.closed(ends.client)
        ends.client.write(b"last")
        ends.client.shutdown()
        turn(ends.base)
        assert ends.server_ear.heard == ["read 4", "READING|EOF"]
        ends.server.write(bytes(100_000))  # it is dropped
        turn(ends.base)
        assert closed == []
        assert not ends.client.input
        ends.server.close()
        if not closed:
            turn(ends.base)
        assert closed == [ends.client]
        assert ends.client_ear.heard == []

    def test_that_both_ask_for(self, ends: Ends) -> None:
        ends.shake()
        ends.client.shutdown()
        ends.server.shutdown()
        turn(ends.base)
        assert ends.client.closed
        assert ends.server.closed

    def test_after_the_peers(self, ends: Ends) -> None:
        ends.shake()
        ends.server.shutdown_write()
        turn(ends.base)
        ends.client.write(b"answer")
        ends.client.shutdown()
        turn(ends.base)
        assert ends.client.closed
        assert ends.server_ear.data == b"answer"
        assert ends.server_ear.heard[-1] == "READING|EOF"

    def test_finishes_what_it_has_to_send_though_the_peer_is_done(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.room = 0
        ends.client.write(b"long answer")
        ends.client.shutdown()
        ends.server.shutdown_write()
        wired.carry()
        assert "open" in repr(ends.client)
        wired.client.take(None)
        assert "closed" in repr(ends.client)
        wired.carry()
        assert ends.server_ear.data == b"long answer"

    @pytest.mark.parametrize("how", ["end", "reset", "junk"])
    def test_a_peer_that_says_nothing(self, wired: Wire, how: str) -> None:
        ends = wired.shake()
        ends.client.shutdown()
        turn(wired.base)
        if how == "end":
            wired.client.arrive_end()
        elif how == "reset":
            wired.client._failed(EV_READ, BEV_EVENT_READING | BEV_EVENT_ERROR, ConnectionResetError())
        else:
            wired.client.arrive(b"junk and junk and junk")
        assert ends.client.closed

    def test_time_out(self, manual_base: EventBase, clock: ManualClock, certificates: Certificates) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates).shake()
        ends.client.shutdown(timeout=3)
        turn(manual_base)
        clock.advance(2)
        turn(manual_base)
        assert "open" in repr(ends.client)
        clock.advance(1)
        turn(manual_base)
        assert "closed" in repr(ends.client)
        ends.close()

    def test_without_a_time_out(
        self, manual_base: EventBase, clock: ManualClock, certificates: Certificates
    ) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates).shake()
        ends.client.shutdown(timeout=None)
        clock.advance(1000)
        turn(manual_base)
        assert not ends.client.closed
        ends.close()

    def test_of_a_silent_handshake(self, manual_base: EventBase, clock: ManualClock) -> None:
        bev = TLSBufferEvent(Below(manual_base), server_hostname="localhost")
        bev.shutdown(timeout=3)
        turn(manual_base)
        assert not bev.closed
        clock.advance(3)
        turn(manual_base)
        assert bev.closed

    def test_that_begins_in_the_handshake(
        self, manual_base: EventBase, clock: ManualClock, certificates: Certificates
    ) -> None:
        ends = over(*PairBufferEvent.pair(manual_base), certificates)
        ends.client.write(b"last")
        ends.client.shutdown(timeout=3)
        ends.server.enable(EV_READ)
        turn(manual_base)
        assert ends.server_ear.heard == ["CONNECTED", "read 4", "READING|EOF"]
        assert "open" in repr(ends.client)
        clock.advance(3)
        turn(manual_base)
        assert "closed" in repr(ends.client)
        ends.close()

    def test_more_than_once_and_too_late(self, ends: Ends) -> None:
        ends.shake()
        ends.client.shutdown()
        ends.client.shutdown()
        turn(ends.base)
        ends.server.close()
        turn(ends.base)
        assert ends.client.closed
        ends.client.shutdown()

    def test_of_a_handshake_that_failed(self, fakes: FakeBase) -> None:
        bev = TLSBufferEvent(Below(fakes.base), server_hostname="localhost")
        turn(fakes.base)
        bev.underlying.arrive(b"not TLS at all")  # type: ignore[attr-defined]  # it is a Below
        bev.shutdown()
        assert bev.closed

    def test_nonsense(self, ends: Ends) -> None:
        with pytest.raises(ValueError, match="a time-out is a number of seconds"):
            ends.client.shutdown(timeout=-1)
        assert not ends.client.closed


def test_priority() -> None:
    with base_with_fakes().base as base:
        base.priority_init(2)
        bev = TLSBufferEvent(Below(base), server_hostname="localhost")
        bev.set_priority(0)
        assert [entry.level for entry in bev._queue_entries()] == [0, 0]  # the first step, and the time-out
        bev.close()


@pytest.mark.parametrize("name", ["evkit", "evkit.core.bufferevent"])
def test_ssl_is_not_imported_before_it_is_needed(name: str) -> None:
    code = f"import sys, {name}; print('ssl' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
