"""Clients behind proxies: the PROXY header before HTTP or TLS, forwarded fields, and whom the server believes."""

import socket
import ssl

import pytest

from certificates import Certificates
from evkit.http.proxies.forwarded import Proxies
from evkit.http.proxies.proxy_protocol import ProxyHeader, make_proxy_header
from evkit.http.server.patience import Timeouts
from evkit.http.server.request import Request
from evkit.testing import ManualClock
from http_server_aids import Client, Site, both_engines, get
from patience import PATIENCE

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n"
BLOCK = make_proxy_header(ProxyHeader(("2001:db8::7", 4711), ("2001:db8::1", 80)), 2, checksum=True)
LOCAL = make_proxy_header(ProxyHeader(None, None, local=True), 2)
TRUSTED = Proxies(["127.0.0.1"])


def tell(asked: Request) -> None:
    asked.send_reply(200, f"{asked.peer} {asked.client} {asked.url}")


class Proxied(Site):
    """A site that is reached through a proxy, which the test is."""

    def __init__(self, engine: str = "native", **options: object) -> None:
        options.setdefault("proxies", TRUSTED)
        super().__init__(engine, **options)  # type: ignore[arg-type]  # passed on
        self.server.set_gencb(tell)
        self.proxied_port = self.server.bind("127.0.0.1", 0, proxy_protocol=True).port

    def through(self) -> Client:
        return self.client(port=self.proxied_port)


@both_engines
class TestHeader:
    @pytest.mark.parametrize(("header", "peer"), [(LINE, "192.0.2.7:4711"), (BLOCK, "[2001:db8::7]:4711")])
    def test_names_the_client(self, engine: str, header: bytes, peer: str) -> None:
        with Proxied(engine) as site:
            client = site.through()
            for sent in (header + get("/a"), get("/b")):
                told = client.ask(sent).body.decode().split()
                assert told[:2] == [peer, peer]

    @pytest.mark.parametrize("header", [LINE, BLOCK])
    def test_comes_in_pieces(self, engine: str, header: bytes) -> None:
        with Proxied(engine) as site:
            client = site.through()
            for byte in header + get():
                client.send(bytes([byte]))
            assert client.reply().status == 200

    def test_of_the_proxy_itself(self, engine: str) -> None:
        with Proxied(engine) as site:
            client = site.through()
            host, port = client.socket.getsockname()
            assert client.ask(LOCAL + get()).body.startswith(f"{host}:{port} ".encode())

    def test_with_pipelined_requests_behind_it(self, engine: str) -> None:
        with Proxied(engine) as site:
            client = site.through()
            client.send(LINE + get() * 3000)
            for _ in range(3000):
                assert client.reply().status == 200

    @pytest.mark.parametrize(
        "nonsense",
        [get(), b"PROXY TCP4 1.2.3.4\r\n" + get(), b"\x16\x03\x01" + bytes(50), b"\r\n\r\n\x00" + bytes(99)],
    )
    def test_that_is_none_ends_the_connection_without_a_word(self, engine: str, nonsense: bytes) -> None:
        with Proxied(engine) as site:
            client = site.through()
            client.send(nonsense)
            try:
                assert client.rest() == b""
            except ConnectionResetError:
                pass
            assert site.refused == [400]
            site.until(lambda: not site.server._reception.arrivals, "the end")
            assert site.client().ask(get()).status == 200


class TestEnds:
    @pytest.mark.parametrize("leave", ["finish", "reset"])
    def test_client_leaves_before_it(self, leave: str) -> None:
        with Proxied() as site:
            client = site.through()
            client.send(LINE[:9])
            getattr(client, leave)()
            site.until(lambda: not site.server._reception.arrivals, "the end")
            assert site.refused == ([400] if leave == "finish" else [])

    def test_it_takes_too_long(self) -> None:
        clock = ManualClock()
        with Proxied(clock=clock, timeouts=Timeouts(handshake=5, first_byte=60)) as site:
            client = site.through()
            client.send(LINE[:9])
            clock.advance(4.9)
            assert client.silence()
            clock.advance(0.2)
            assert client.rest() == b""
            assert site.refused == [400]

    @pytest.mark.parametrize("drain", [0.0, 5.0])
    def test_server_stops_while_it_is_on_its_way(self, drain: float) -> None:
        clock = ManualClock()
        with Proxied(clock=clock) as site:
            told: list[bool] = []
            client, silent = site.through(), site.through()
            site.until(lambda: len(site.server._reception.arrivals) == 2, "two arrivals")
            if not drain:
                client.socket.send(LINE + get())
            site.server.stop(None, lambda: told.append(True), drain=drain)
            clock.advance(drain * 0.9)
            site.settle()
            reply = client.ask(LINE + get() if drain else b"")
            assert (reply.status, reply.get("connection")) == (200, "close")
            client.finish()
            assert client.rest() == b""
            assert told == [True] * (not drain)
            clock.advance(drain * 0.2)
            assert silent.rest() == b""
            assert told == [True]
            assert site.refused == []

    def test_server_stops_no_later_than_it_is_told_to(self) -> None:
        clock = ManualClock()
        with Proxied(clock=clock, timeouts=Timeouts(handshake=None)) as site:
            told: list[bool] = []
            client = site.through()
            site.until(lambda: site.server._reception.arrivals, "an arrival")
            site.server.stop(1.0, lambda: told.append(True), drain=5.0)
            clock.advance(0.9)
            assert client.silence()
            clock.advance(0.2)
            assert client.rest() == b""
            assert told == [True]

    def test_server_stops_when_it_has_taken_its_time_already(self) -> None:
        clock = ManualClock()
        with Proxied(clock=clock, timeouts=Timeouts(handshake=5)) as site:
            client = site.through()
            site.until(lambda: site.server._reception.arrivals, "an arrival")
            clock.advance(4.0)
            site.server.stop(None, drain=5.0)
            clock.advance(1.1)
            assert client.rest() == b""

    def test_server_stops(self) -> None:
        with Proxied() as site:
            client = site.through()
            client.send(LINE[:9])
            site.server.close()
            assert not site.server._reception.arrivals
            assert client.rest() == b""

    def test_they_count_as_clients(self) -> None:
        with Proxied(max_connections=2) as site:
            first, second = site.through(), site.through()
            first.send(LINE[:9])
            second.send(LINE + get())
            assert second.reply().status == 200
            assert site.client().reply().status == 503

    def test_client_counts_by_its_own_address(self) -> None:
        with Proxied(max_connections_per_address=1) as site:
            first, second, third = site.through(), site.through(), site.through()
            assert first.ask(LINE + get()).status == 200
            assert second.ask(BLOCK + get()).status == 200
            third.send(LINE.replace(b"4711", b"4712") + get())
            try:
                assert third.rest() == b""
            except ConnectionResetError:
                pass
            assert site.refused == [503]
            first.close()
            site.connected(1)
            assert site.through().ask(LINE + get()).status == 200


class TestTrust:
    def test_stranger_is_no_proxy(self) -> None:
        with Proxied(proxies=Proxies(["192.0.2.1"])) as site:
            client = site.through()
            client.send(LINE + get())
            try:
                assert client.rest() == b""
            except ConnectionResetError:
                pass
            assert site.refused == [403]

    def test_it_must_be_said_who_is_one(self) -> None:
        with Site() as site, pytest.raises(ValueError, match="needs Server\\(proxies=…\\)"):
            site.server.bind("127.0.0.1", 0, proxy_protocol=True)

    def test_without_it_a_header_is_no_request(self) -> None:
        with Site(proxies=TRUSTED) as site:
            assert site.client().ask(LINE + get()).status == 400


class TestForwarded:
    def test_fields_of_a_trusted_proxy(self) -> None:
        with Proxied() as site:
            reply = site.client().ask(
                get("/a?b", "X-Forwarded-For: 203.0.113.9, 192.0.2.8", "X-Forwarded-Proto: https")
            )
            assert reply.body.decode().split()[1:] == ["192.0.2.8", "https://a/a?b"]

    def test_host_that_a_proxy_vouches_for(self) -> None:
        with Proxied(proxies=Proxies(["127.0.0.1"], fields="forwarded")) as site:
            reply = site.client().ask(
                get("/", 'Forwarded: for="[2001:db8::9]:1";proto=https;host=example.org')
            )
            assert reply.body.decode().split()[1:] == ["[2001:db8::9]:1", "https://example.org/"]

    def test_fields_of_others_mean_nothing(self) -> None:
        with Proxied(proxies=Proxies(["192.0.2.1"])) as site:
            client = site.client()
            me = "{}:{}".format(*client.socket.getsockname())
            reply = client.ask(get("/", "X-Forwarded-For: 192.0.2.8", "X-Forwarded-Proto: https"))
            assert reply.body.decode().split() == [me, me, "http://a/"]

    def test_behind_a_proxy_header_the_client_is_no_proxy(self) -> None:
        with Proxied() as site:
            reply = site.through().ask(LINE + get("/", "X-Forwarded-For: 203.0.113.9"))
            assert reply.body.decode().split()[1] == "192.0.2.7:4711"


class TestUrl:
    @pytest.mark.parametrize(
        ("sent", "url"),
        [
            (get("/a?b=c"), "http://a/a?b=c"),
            (b"GET http://h:80/x HTTP/1.1\r\nHost: other\r\n\r\n", "http://h:80/x"),
            (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "http://h"),
            (b"GET /x HTTP/1.0\r\n\r\n", "http:///x"),
        ],
    )
    def test_of_each_form(self, sent: bytes, url: str) -> None:
        with Site() as site:
            site.server.set_gencb(lambda asked: asked.send_reply(200, asked.url))
            assert site.client().ask(sent).body.decode() == url

    def test_of_connect(self) -> None:
        urls: list[str] = []
        with Site() as site:
            site.server.set_gencb(lambda asked: urls.append(asked.url))
            site.client().send(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n")
            assert urls == ["h:443"]


def test_header_before_tls(certificates: Certificates) -> None:
    with Site(proxies=TRUSTED) as site:
        site.server.set_gencb(tell)
        listener = site.server.bind("127.0.0.1", 0, proxy_protocol=True, tls=certificates.server())
        with socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE) as raw:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = certificates.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
            raw.setblocking(False)
            sent = bytearray(LINE)  # with the first bytes of the handshake right behind it

            def exchange() -> None:
                nonlocal sent
                sent += outgoing.read()
                if sent:
                    del sent[: raw.send(sent)]
                site.turn()
                try:
                    incoming.write(raw.recv(65536))
                except BlockingIOError:
                    pass

            def attempt(step: object, *arguments: object) -> object:
                found: list[object] = []

                def done() -> bool:
                    try:
                        found.append(step(*arguments))  # type: ignore[operator]
                    except ssl.SSLWantReadError:
                        exchange()
                    return bool(found)

                site.until(done, "TLS")
                return found[0]

            attempt(client.do_handshake)
            client.write(get("/x"))
            reply = attempt(client.read, 65536)
            assert isinstance(reply, bytes)
            assert reply.endswith(b"192.0.2.7:4711 192.0.2.7:4711 https://a/x")
