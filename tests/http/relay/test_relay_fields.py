"""What of a message is passed on, and what is said of where it came from: by values alone."""

import pytest

from evkit.http.headers import Headers
from evkit.http.proxies.forwarded import Kind, ProxiedClient, Proxies
from evkit.http.relay.fields import (
    Pair,
    address_of,
    asks_for_upgrade,
    end_to_end,
    hops_left,
    leads_out,
    of_interim,
    of_request,
    origin_of,
    via,
    was_here,
)
from evkit.http.server.request import Request

KEPT = [("Accept", "*/*"), ("X-A", "1"), ("x-a", "2"), ("Trailer", "X-Sum"), ("TE-Like", "3")]


def request(
    *fields: Pair, method: str = "GET", minor: int = 1, host: str | None = "a.test", length: int = 0
) -> Request:
    raw = "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
    made = Request(method, "/", minor, host, length, True, False, raw)
    made.peer = "192.0.2.1:4711"
    return made


class TestEndToEnd:
    def test_what_is_for_the_end_of_the_line_stays_as_it_is(self) -> None:
        assert end_to_end(KEPT) == KEPT
        assert end_to_end(Headers(KEPT)) == KEPT
        assert end_to_end({"X-A": "1", "TE": "trailers"}) == [("X-A", "1")]
        assert end_to_end(()) == []

    @pytest.mark.parametrize(
        "name",
        [
            "Connection",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authentication-Info",
            "Proxy-Authorization",
            "Proxy-Connection",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
        ],
    )
    def test_what_is_of_one_connection_is_left_out(self, name: str) -> None:
        for spelt in (name, name.lower(), name.upper()):
            assert end_to_end([("A", "1"), (spelt, "x"), ("B", "2")]) == [("A", "1"), ("B", "2")]

    def test_what_connection_names_is_left_out_wherever_it_stands(self) -> None:
        pairs = [
            ("X-A", "1"),
            ("Connection", "close, x-a\t,"),
            ("connection", " X-B"),
            ("X-B", "2"),
            ("C", "3"),
        ]
        assert end_to_end(pairs) == [("C", "3")]


class TestRequests:
    def test_what_is_said_anew_and_what_is_claimed_is_left_out(self) -> None:
        claims = [
            "Forwarded",
            "X-Forwarded-For",
            "x-forwarded-port",
            "X_Forwarded_Proto",
            "X-Real-IP",
            "x_real_ip",
        ]
        anew = ["Content-Length", "Expect", "Host", "Max-Forwards", "Trailer"]
        pairs = [("Accept", "*/*"), *((name, "1") for name in claims + anew), ("X-Forward", "2")]
        assert of_request(Headers(pairs)) == [("Accept", "*/*"), ("X-Forward", "2")]

    def test_an_interim_response_has_no_length_and_date(self) -> None:
        pairs = [("Link", "</a>"), ("Date", "x"), ("Content-Length", "0"), ("Connection", "close")]
        assert of_interim(Headers(pairs)) == [("Link", "</a>")]


class TestOrigin:
    @pytest.mark.parametrize(
        ("client", "address"),
        [
            ("192.0.2.1:4711", "192.0.2.1"),
            ("192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[fe80::1%eth0]:4711", "fe80::1"),
            ("unix:", "unknown"),
            ("unix:/run/a.sock", "unknown"),
            ("unknown", "unknown"),
            ("unknown:80", "unknown"),
            ("_hidden", "_hidden"),
            ("", "unknown"),
        ],
    )
    def test_addresses(self, client: str, address: str) -> None:
        assert address_of(client) == address

    def test_by_x_forwarded(self) -> None:
        told = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http")]
        assert origin_of(request(), "x-forwarded") == [*told, ("X-Forwarded-Host", "a.test")]
        assert origin_of(request(host=None), "x-forwarded") == told
        assert origin_of(request(host=""), "x-forwarded") == told

    @pytest.mark.parametrize(
        ("peer", "host", "value"),
        [
            ("192.0.2.1:1", "a.test:80", 'for=192.0.2.1;host="a.test:80";proto=http'),
            ("[2001:db8::1]:1", None, 'for="[2001:db8::1]";proto=http'),
            ("unix:", None, "for=unknown;proto=http"),
        ],
    )
    def test_by_forwarded(self, peer: str, host: str | None, value: str) -> None:
        asked = request(host=host)
        asked.peer = peer
        assert origin_of(asked, "forwarded") == [("Forwarded", value)]

    def test_not_at_all(self) -> None:
        assert origin_of(request(), None) == []

    def test_what_a_trusted_proxy_has_told_is_told_on(self) -> None:
        asked = request()
        asked.proxied = ProxiedClient("[2001:db8::9]:80", "https", "b.test")
        assert origin_of(asked, "x-forwarded") == [
            ("X-Forwarded-For", "2001:db8::9"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "b.test"),
        ]
        asked.proxied = ProxiedClient("203.0.113.9")
        assert origin_of(asked, "x-forwarded")[2] == ("X-Forwarded-Host", "a.test")

    @pytest.mark.parametrize("kind", ["x-forwarded", "forwarded"])
    @pytest.mark.parametrize("peer", ["192.0.2.1:1", "[2001:db8::1]:1"])
    def test_a_server_behind_reads_it(self, kind: Kind, peer: str) -> None:
        asked = request()
        asked.peer = peer
        found = Proxies(["127.0.0.1"], fields=kind, host=True).client_of(
            "127.0.0.1:2", Headers(origin_of(asked, kind))
        )
        assert found == ProxiedClient(peer.removesuffix(":1"), "http", "a.test")


class TestCircles:
    def test_who_was_here(self) -> None:
        assert via(0, "me") == ("Via", "1.0 me")
        headers = Headers([("Via", "1.1 one, 1.0 me (a comment)"), ("via", "HTTP/1.1 two:80")])
        assert [was_here(headers, name) for name in ("one", "me", "two:80")] == [True, True, True]
        assert [was_here(headers, name) for name in ("on", "1.1", "(a", "me2")] == [False] * 4
        assert not was_here(Headers([("Via", ",, 1.1")]), "1.1")
        assert was_here(Headers([via(1, "me")]), "me")

    @pytest.mark.parametrize(
        ("told", "left"),
        [("0", 0), ("7", 7), ("", None), ("-1", None), ("x", None), ("\xb2", None), ("1" * 11, None)],
    )
    def test_hops(self, told: str, left: int | None) -> None:
        headers = Headers([("Max-Forwards", told)])
        assert hops_left("OPTIONS", headers) == left
        assert hops_left("GET", headers) is None

    def test_no_hops_told(self) -> None:
        assert hops_left("OPTIONS", Headers()) is None


class TestUpgrades:
    @pytest.mark.parametrize(
        ("connection", "protocols", "asked"),
        [
            ("Upgrade", "websocket", "websocket"),
            ("keep-alive, UPGRADE", "a/1, b", "a/1, b"),
            ("Upgrade, HTTP2-Settings", "h2c", None),
            ("Upgrade", "H2C, websocket,", "websocket"),
            ("Upgrade", "", None),
            ("keep-alive", "websocket", None),
        ],
    )
    def test_what_is_asked_for(self, connection: str, protocols: str, asked: str | None) -> None:
        assert asks_for_upgrade(request(("Connection", connection), ("Upgrade", protocols))) == asked

    def test_who_can_ask(self) -> None:
        fields = ("Connection", "upgrade"), ("Upgrade", "websocket")
        assert asks_for_upgrade(request(*fields)) == "websocket"
        assert asks_for_upgrade(request(*fields, method="POST")) is None
        assert asks_for_upgrade(request(*fields, minor=0)) is None
        assert asks_for_upgrade(request(*fields, length=1)) is None


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("/", False),
        ("/a..b/...", False),
        ("/..", True),
        ("/a/../b", True),
        ("/a\\..\\b", True),
        ("/a/.", False),
    ],
)
def test_paths_that_lead_out(path: str, out: bool) -> None:
    assert leads_out(path) is out
