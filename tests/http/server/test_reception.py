"""How clients come in: over TLS, over unix sockets, a few of each address, by a program's own buffered connection."""

import http.client
import shutil
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest

from certificates import Certificates
from evkit import EventBase, SocketBufferEvent
from evkit.core.net import Address, bound_socket
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from evkit.http.tls.certificates import Certificates as ServerCertificates
from evkit.testing import ManualClock
from http_handlers import MIB, echo
from http_server_aids import ENGINES, Client, Site, get, request, served


def application(server: Server) -> None:
    def who(asked: Request) -> None:
        told = asked.ssl_object
        assert told is not None
        certificate = told.getpeercert()
        name = certificate["subject"][-1][0][1] if certificate else "nobody"
        asked.send_reply(200, f"{told.version()} {name}")

    server.set_cb("/who", who)
    server.set_cb("/large", lambda asked: asked.send_reply(200, bytes(5 * MIB)))
    server.set_cb("/count", lambda asked: asked.send_reply(200, str(len(asked.body))), max_body=None)


def ask(client: http.client.HTTPConnection, target: str) -> http.client.HTTPResponse:
    client.request("GET", target)
    return client.getresponse()


class TestTLS:
    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_client_of_the_standard_library(
        self, certificates: Certificates, engine: str, version: ssl.TLSVersion
    ) -> None:
        ours, theirs = certificates.both(version)
        with served(application, engine, tls=theirs) as site:
            client = http.client.HTTPSConnection(*site.address, context=ours, timeout=20)
            for _ in range(3):
                client.request("GET", "/who")
                assert client.getresponse().read().decode() == f"{version.name.replace('_', '.')} nobody"
            client.request("GET", "/large")
            assert client.getresponse().read() == bytes(5 * MIB)
            client.request("POST", "/count", bytes(5 * MIB))
            assert client.getresponse().read() == str(5 * MIB).encode()
            client.close()

    def test_client_shows_a_certificate(self, certificates: Certificates) -> None:
        context = certificates.server()
        context.load_verify_locations(certificates.path("ca"))
        context.verify_mode = ssl.CERT_REQUIRED
        with served(application, tls=context) as site:
            known = certificates.client("client")
            client = http.client.HTTPSConnection(*site.address, context=known, timeout=20)
            client.request("GET", "/who")
            assert client.getresponse().read().endswith(b" a client")
            client.close()
            unknown = http.client.HTTPSConnection(*site.address, context=certificates.client(), timeout=20)
            with pytest.raises((ssl.SSLError, ConnectionError)):  # 1.3: the client hears of it when it reads
                ask(unknown, "/who")
            unknown.close()
            client.request("GET", "/who")
            assert client.getresponse().status == 200
            client.close()

    def test_certificates_that_are_loaded_anew(self, certificates: Certificates, tmp_path: Path) -> None:
        def cert_of(port: int) -> bytes:
            context = ssl.create_default_context(cafile=certificates.path("ca"))
            with (
                socket.create_connection(("127.0.0.1", port), timeout=20) as sock,
                context.wrap_socket(sock, server_hostname="localhost") as client,
            ):
                shown = client.getpeercert(binary_form=True)
                assert shown is not None
                return shown

        file = tmp_path / "cert.pem"
        shutil.copy(certificates.path("server"), file)
        certificates.signed("server-2", "localhost", "DNS:localhost")
        ours = ServerCertificates(str(file))
        with served(application, tls=ours) as site:
            first = cert_of(site.address[1])
            shutil.copy(certificates.path("server-2"), file)
            assert cert_of(site.address[1]) == first
            ours.reload()
            assert cert_of(site.address[1]) != first

    def test_what_is_no_handshake_costs_its_own_connection_only(self, certificates: Certificates) -> None:
        with served(application, tls=certificates.server()) as site:
            for nonsense in (get(), b"\x16\x03\x01\xff\xff" + bytes(100), b"\x00" * 1000, b"\x16\x03"):
                with socket.create_connection(site.address, timeout=20) as sock:
                    sock.sendall(nonsense)
                    sock.shutdown(socket.SHUT_WR)
                    try:
                        assert b"HTTP/" not in sock.recv(1 << 16)
                    except ConnectionResetError:
                        pass
            ours = certificates.client()
            client = http.client.HTTPSConnection(*site.address, context=ours, timeout=20)
            client.request("GET", "/who")
            assert client.getresponse().status == 200
            client.close()

    def test_handshake_that_stalls(self, certificates: Certificates) -> None:
        clock = ManualClock()
        with Site(clock=clock, timeouts=Timeouts(handshake=5, first_byte=60)) as site:
            listener = site.server.bind("127.0.0.1", 0, tls=certificates.server())
            client = site.client(port=listener.port)
            client.send(b"\x16\x03\x01")
            clock.advance(4.9)
            assert client.silence()
            clock.advance(0.2)
            site.connected(0)

    def test_stopping_lets_go_of_a_handshake(self, certificates: Certificates) -> None:
        with Site() as site:
            listener = site.server.bind("127.0.0.1", 0, tls=certificates.server())
            site.client(port=listener.port).send(b"\x16\x03\x01")
            site.connected(1)
            site.server.close()
            site.connected(0)

    def test_context_of_a_client_is_refused_when_listening_begins(self) -> None:
        with Site() as site, pytest.raises(ValueError, match="context"):
            site.server.bind("127.0.0.1", 0, tls=ssl.create_default_context())


class TestUnix:
    def test_mode(self, tmp_path: Path) -> None:
        with Site() as site:
            path = tmp_path / "socket"
            site.server.bind_unix(str(path), mode=0o660)
            assert stat.S_IMODE(path.stat().st_mode) == 0o660

    def test_nothing_is_left_of_one_that_is_refused(self, tmp_path: Path) -> None:
        with Site() as site:
            path = tmp_path / "socket"
            for wrong in ({"tls": ssl.create_default_context()}, {"proxy_protocol": True}):
                with pytest.raises(ValueError, match=r"context|proxies"):
                    site.server.bind_unix(str(path), **wrong)
                assert not path.exists()
            assert len(site.server.listeners) == 1

    @pytest.mark.parametrize("shared", [False, True])
    def test_whose_the_file_of_a_given_socket_is(self, tmp_path: Path, shared: bool) -> None:
        """Trying whether others listen on it would be a connection to them, and start a service of systemd's."""
        path = tmp_path / "socket"
        with Site() as site, socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))
            if shared:
                sock.listen()
            with sock.dup() as theirs:
                site.server.accept(sock, backlog=None if shared else 5)
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
                    client.sendall(get("/", "Connection: close"))
                    site.connected(1)
                    client.setblocking(False)
                    assert Client(site, client).rest().startswith(b"HTTP/1.1 404 ")
                site.connected(0)
                if not shared:
                    theirs.close()
                site.server.close()
                if shared:
                    theirs.setblocking(False)
                    with pytest.raises(BlockingIOError):  # nobody has knocked
                        theirs.accept()
        assert path.exists() is shared

    def test_socket_that_does_not_listen_yet_needs_a_backlog(self) -> None:
        with Site() as site, socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            with pytest.raises(ValueError, match="listens already"):
                site.server.accept(sock, backlog=None)
            assert sock.fileno() == -1
            assert len(site.server.listeners) == 1


class TestHosts:
    @pytest.mark.parametrize("others", [0, 1, 2])
    def test_port_of_the_systems_choice_that_another_address_has_not(
        self, monkeypatch: pytest.MonkeyPatch, others: int
    ) -> None:
        """The first address gets a port that is taken on the second one, so many times."""
        addresses: list[Address] = [("127.0.0.1", 0), ("127.0.0.2", 0)]
        monkeypatch.setattr("evkit.core.binding.passive_addresses", lambda _host, _port: addresses)
        taken: list[socket.socket] = []

        def bound(address: Address, **options: bool) -> socket.socket:
            if address[0] == "127.0.0.2" and len(taken) < others:
                taken.append(socket.create_server((str(address[0]), int(address[1]))))
            return bound_socket(address, **options)

        monkeypatch.setattr("evkit.core.binding.bound_socket", bound)
        with Site() as site:
            first = site.server.bind("both", 0)
            site.server.close()
            assert len(taken) == others
            for sock in taken:
                assert sock.getsockname()[1] != first.port
                sock.close()

    def test_port_that_is_in_use_is_an_error_at_once(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, Site() as site:
            port = taken.getsockname()[1]
            with pytest.raises(OSError, match=rf"in use: '127.0.0.1:{port}'"):
                site.server.bind("127.0.0.1", port)
            assert len(site.server.listeners) == 1

    def test_name_that_nobody_has_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr("socket.getaddrinfo", fail)
        with EventBase() as base:
            server = Server(base)
            with pytest.raises(socket.gaierror, match=r"not known: 'nobody\.test'") as caught:
                server.bind("nobody.test", 80)
            assert caught.value.errno == socket.EAI_NONAME

    @pytest.mark.parametrize("wrong", ["server.pem", 5, True])
    def test_tls_that_is_none(self, tmp_path: Path, wrong: Any) -> None:
        told = rf"tls must be Certificates\(…\) or the ssl.SSLContext of a server, got {wrong!r}"
        with EventBase() as base:
            server = Server(base)
            with pytest.raises(TypeError, match=told):
                server.bind("127.0.0.1", 0, tls=wrong)
            with pytest.raises(TypeError, match=told):
                server.bind_unix(str(tmp_path / "socket"), tls=wrong)
            assert server.listeners == []


class TestCrowds:
    def test_one_more_of_an_address_is_told_503(self) -> None:
        with Site(max_connections_per_address=2) as site:
            site.server.set_gencb(echo)
            first, second = site.client(), site.client()
            assert first.ask(get()).status == second.ask(get()).status == 200
            third = site.client()
            reply = third.reply()
            assert (reply.status, reply.get("connection")) == (503, "close")
            assert b"from this address" in reply.body
            assert third.rest() == b""
            assert site.refused == [503]
            first.close()
            site.connected(1)
            site.serves()

    def test_number_must_make_sense(self) -> None:
        with EventBase() as base:
            for wrong in ({"max_connections_per_address": 0}, {"max_requests": 0}, {"max_connections": -1}):
                with pytest.raises(ValueError, match=r"max_\w+ must be >= \d or None, got (0|-1)"):
                    Server(base, **wrong)
                text: dict[str, Any] = dict.fromkeys(wrong, "5")
                with pytest.raises(ValueError, match=r"max_\w+ must be >= \d or None, got '5'"):
                    Server(base, **text)
            server = Server(base)
            with pytest.raises(ValueError, match="max_connections must be >= 0"):
                server.max_connections = -1

    def test_one_for_whom_tls_fails_counts_no_more(
        self, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("no")

        with Site(max_connections_per_address=1) as site:
            listener = site.server.bind("127.0.0.1", 0, tls=certificates.server())
            with monkeypatch.context() as patched:
                patched.setattr("evkit.core.TLSBufferEvent", fail)
                client = site.client(port=listener.port)
                assert client.rest() == b""
            assert [str(exception) for exception in site.take_escaped()] == ["no"]
            site.serves()


class TestOwnBufferedConnections:
    def test_are_served(self) -> None:
        made: list[SocketBufferEvent] = []

        def make(base: EventBase, sock: socket.socket) -> SocketBufferEvent:
            made.append(SocketBufferEvent(base, sock))
            return made[-1]

        with Site() as site:
            site.server.set_gencb(echo)
            site.server.make_bufferevent = make
            assert site.client().ask(request("POST", "/", body=b"x")).body == b"POST / x"
            assert [connection.bev for connection in site.server.connections] == made

    def test_stand_below_tls(self, certificates: Certificates) -> None:
        made: list[SocketBufferEvent] = []

        def set_up(server: Server) -> None:
            application(server)

            def make(base: EventBase, sock: socket.socket) -> SocketBufferEvent:
                made.append(SocketBufferEvent(base, sock))
                return made[-1]

            server.make_bufferevent = make

        with served(set_up, tls=certificates.server()) as site:
            client = http.client.HTTPSConnection(*site.address, context=certificates.client(), timeout=20)
            client.request("GET", "/who")
            assert client.getresponse().status == 200
            client.close()
        assert len(made) == 1

    def test_one_that_can_not_be_made(self) -> None:
        def make(base: EventBase, sock: socket.socket) -> SocketBufferEvent:
            raise RuntimeError("no")

        with Site(max_connections_per_address=1) as site:
            site.server.set_gencb(echo)
            site.server.make_bufferevent = make
            client = site.client()
            assert client.rest() == b""
            assert [str(exception) for exception in site.take_escaped()] == ["no"]
            site.server.make_bufferevent = None
            site.serves()
