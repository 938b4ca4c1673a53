"""`TLSBufferEvent`: the handshake, its failures and its time-out."""

import socket
import ssl
import subprocess
import sys
from errno import ECONNRESET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from below import Below, Ear, turn, until
from certificates import Certificates
from evkit.core.base import EventBase
from evkit.core.bufferevent import SocketBufferEvent
from evkit.core.bufferevent.filter import FilterBufferEvent
from evkit.core.bufferevent.pair import PairBufferEvent
from evkit.core.bufferevent.tls import TLSBufferEvent
from evkit.core.flags import (
    BEV_EVENT_CONNECTED,
    BEV_EVENT_ERROR,
    BEV_EVENT_READING,
    BEV_EVENT_TIMEOUT,
    BEV_EVENT_WRITING,
    EV_READ,
    EV_WRITE,
)
from evkit.core.future import Future
from evkit.core.listener import Listener
from evkit.core.net import Address
from evkit.errors import ConnectError, ConnectionLost, TLSError, TransportTimeout
from evkit.testing import FakeBase, ManualClock, base_with_fakes
from tls_ends import (  # noqa: F401 - fixtures
    BOTH,
    Ends,
    Pair,
    Wire,
    make_ends,
    make_version,
    make_wired,
    over,
)


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

    def test_closed_before_it(self, fakes: FakeBase) -> None:
        below = Below(fakes.base)
        bev = TLSBufferEvent(below, server_hostname="localhost", close_underlying=False)
        bev.close()
        assert "closed" in repr(bev)
        below.input.feed(b"the plain connection's")
        bev.enable(BOTH)
        turn(fakes.base)
        assert (below.sent, below.read()) == (b"", b"the plain connection's")
        below.close()

    def test_a_callback_that_fails(self, fakes: FakeBase, ends: Ends) -> None:
        escaped: list[object] = []
        fakes.base.exception_handler = lambda exception, source: escaped.append(source)
        ends.client.set_callbacks(event=lambda bev, _what: bev.read(-1))
        turn(ends.base)
        assert escaped == [ends.client]
        assert ends.client.closed

    def test_a_callback_below_that_fails(self, fakes: FakeBase) -> None:
        escaped: list[object] = []
        fakes.base.exception_handler = lambda exception, source: escaped.append(source)
        below = Below(fakes.base)
        bev = TLSBufferEvent(below, server_hostname="localhost")
        below.output.add_callback(lambda buffer, _info: buffer.readln(-1))
        turn(fakes.base)
        assert escaped[0] is bev
        assert bev.closed
        assert below.closed

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
        with pytest.raises(ValueError, match="only a connection over a socket can connect"):
            ends.client.connect_host("localhost", 1)


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

    def test_by_name(self, base: EventBase, certificates: Certificates) -> None:
        class Knows:
            def getaddrinfo(self, host: str, port: int, family: int = 0) -> Future[list[Address]]:
                asked.append((host, port, family))
                future: Future[list[Address]] = Future(base)
                future.set_result([server.getsockname()])
                return future

        asked: list[tuple[str, int, int]] = []
        client = TLSBufferEvent.over_socket(base, context=certificates.client(), server_hostname="localhost")
        ear = Ear(client)
        with socket.create_server(("127.0.0.1", 0)) as server:
            client.connect_host("a name", 443, resolver=Knows(), family=socket.AF_INET)
            until(base, lambda: "connecting" not in repr(client.underlying))
            accepted, _ = server.accept()
            peer = TLSBufferEvent.over_socket(base, accepted, certificates.server(), server_side=True)
            until(base, lambda: ear.heard)
        assert asked == [("a name", 443, socket.AF_INET)]
        assert ear.heard == ["CONNECTED"]
        client.close()
        peer.close()

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

    def test_an_error_below_without_a_story(self, fakes: FakeBase) -> None:
        below = Below(fakes.base)
        bev = TLSBufferEvent(below, server_hostname="localhost")
        ear = Ear(bev)
        below.trigger_event(BEV_EVENT_ERROR)
        assert ear.heard == ["ERROR connect: the peer ended the connection in the TLS handshake"]
        bev.close()

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


class TestBelow:
    """What happens below when the handshake is done is told as ever."""

    def test_silence(self, wired: Wire) -> None:
        ends = wired.shake()
        wired.client._timed_out(EV_WRITE)
        assert ends.client_ear.heard == ["WRITING|TIMEOUT write: timed out"]
        ends.server.write(b"x")
        wired.carry()
        assert ends.client_ear.data == b"x"

    def test_a_second_connection(self, fakes: FakeBase, wired: Wire) -> None:
        ends = wired.shake()
        wired.client.trigger_event(BEV_EVENT_CONNECTED)
        fakes.clock.advance(1000)
        turn(wired.base)
        assert "open" in repr(ends.client)
        assert ends.client_ear.heard == []


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

    def test_none_at_all(self, manual_base: EventBase, clock: ManualClock, below: Below) -> None:
        bev = TLSBufferEvent(below, server_hostname="localhost", handshake_timeout=None)
        ear = Ear(bev)
        turn(manual_base)
        clock.advance(1e6)
        turn(manual_base)
        assert ear.heard == []
        bev.close()

    def test_silence_below_is_the_end_of_it(
        self, manual_base: EventBase, clock: ManualClock, pair: Pair
    ) -> None:
        below = SocketBufferEvent(manual_base, pair[0])
        below.set_timeouts(read=5)
        bev = TLSBufferEvent(below, server_hostname="localhost")
        ear = Ear(bev)
        turn(manual_base)
        clock.advance(5)
        turn(manual_base)
        assert ear.heard == ["TIMEOUT read: timed out after 5 s"]
        assert "failed" in repr(bev)
        bev.close()

    def test_a_time_out_of_the_one_below_comes_up(self, manual_base: EventBase, below: Below) -> None:
        bev = TLSBufferEvent(below, server_hostname="localhost")
        heard: list[int] = []
        bev.set_callbacks(event=lambda _bev, what: heard.append(what))
        below.set_timeouts(write=3)
        below._timed_out(EV_WRITE)
        assert heard == [BEV_EVENT_TIMEOUT]
        bev.close()


def test_priority() -> None:
    with base_with_fakes().base as base:
        base.priority_init(2)
        below = Below(base)
        below.set_priority(0)
        bev = TLSBufferEvent(below, server_hostname="localhost")
        assert [entry.level for entry in bev._queue_entries()] == [0, 0]  # the first step, and the time-out
        bev.set_priority(1)
        assert [entry.level for entry in bev._queue_entries()] == [1, 1]
        bev.close()
        assert bev._queue_entries() == []


@pytest.mark.parametrize("name", ["evkit", "evkit.core.bufferevent"])
def test_ssl_is_not_imported_before_it_is_needed(name: str) -> None:
    code = f"import sys, {name}; print('ssl' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
