"""`evkit.http.client.proxy_choice`: which way a request goes, and who reads the proxy's credentials."""

from urllib.request import proxy_bypass_environment

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.client.credentials import Basic
from evkit.http.client.origin import Origin
from evkit.http.client.proxy_choice import Bypass, Proxy, ProxyRules, Route
from evkit.http.uri import Uri

PLAIN = Origin("http", "a.example", 80)
SECURE = Origin("https", "a.example", 443)
PROXY = Proxy(Origin("http", "p.example", 3128), Basic("u", "p"), (("X", "y"),))
TOLD = (("Proxy-Authorization", "Basic dTpw"), ("X", "y"))


def target(route: Route, url: Uri) -> str:
    """What is asked for on this way."""
    return route.prefix(Origin.of(url)) + url.target


def origin(url: str) -> Origin:
    return Origin.of(Uri.parse(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://p:3128", Proxy(Origin("http", "p", 3128))),
        ("http://p:3128/ignored", Proxy(Origin("http", "p", 3128))),
        ("https://p", Proxy(Origin("https", "p", 443))),
        ("p:3128", Proxy(Origin("http", "p", 3128))),
        ("p", Proxy(Origin("http", "p", 80))),
        ("[::1]:3128", Proxy(Origin("http", "[::1]", 3128))),
        ("http://u:p%40@p:1", Proxy(Origin("http", "p", 1), Basic("u", "p@"))),
        ("u:p@p:1", Proxy(Origin("http", "p", 1), Basic("u", "p"))),
    ],
)
def test_a_proxy_at_a_url(url: str, expected: Proxy) -> None:
    assert Proxy.at(url) == expected


def test_credentials_beside_the_url() -> None:
    assert Proxy.at("http://u:p@p:1", Basic("v")).credentials == Basic("v")


@pytest.mark.parametrize(
    "url", ["", "socks5://p:1", "ftp://p", "http://", "http://p:x", "://", "http://u:se cret@p", "http://p:0"]
)
def test_what_is_no_proxy(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        Proxy.at(url)
    assert "cret" not in str(caught.value)


def test_its_password_is_not_shown() -> None:
    shown = repr(Proxy(PROXY.origin, Basic("u", "secret"), (("X-Key", "secret"),)))
    assert "p.example" in shown
    assert "secret" not in shown


def test_straight_on() -> None:
    route = ProxyRules().route(SECURE)
    assert route == Route(SECURE)
    assert target(route, Uri.parse("https://u:p@a.example/b?c#d")) == "/b?c"
    assert route.fields == ()


def test_in_plain_text_through_a_proxy() -> None:
    """RFC 9112 §3.2.2; RFC 9110 §11.7.1."""
    route = ProxyRules(http=PROXY).route(PLAIN)
    assert route == Route(PROXY.origin, PROXY)
    assert target(route, Uri.parse("HTTP://u:p@A.example:80?c#d")) == "http://a.example/?c"
    assert target(route, Uri.parse("http://a.example:81/b")) == "http://a.example:81/b"
    assert route.fields == TOLD


@pytest.mark.parametrize(
    ("rules", "to", "wanted"),
    [(ProxyRules(https=PROXY), SECURE, False), (ProxyRules(http=PROXY), PLAIN, True)],
)
def test_through_a_tunnel(rules: ProxyRules, to: Origin, wanted: bool) -> None:
    """RFC 9110 §9.3.6: the proxy's credentials are in the CONNECT request, and nowhere else."""
    route = rules.route(to, tunnel=wanted)
    assert route == Route(PROXY.origin, PROXY, to)
    assert target(route, Uri.parse(f"{to}/b")) == "/b"
    assert route.fields == ()
    assert route.connect_authority == f"a.example:{to.port}"
    assert PROXY.told == TOLD


def test_connections_are_shared_by_those_who_may() -> None:
    rules = ProxyRules(PROXY, PROXY)
    other = Origin("http", "b.example", 80)
    assert rules.route(PLAIN) == rules.route(other)
    assert hash(rules.route(PLAIN)) == hash(rules.route(other))
    assert rules.route(PLAIN, tunnel=True) != rules.route(other, tunnel=True)
    assert rules.route(SECURE) != rules.route(PLAIN)
    assert ProxyRules(Proxy(PROXY.origin, Basic("v"))).route(PLAIN) != rules.route(PLAIN)
    assert ProxyRules().route(PLAIN) != ProxyRules().route(other)


ONE, TWO = Proxy.at("http://one:1"), Proxy.at("http://two:2")


@pytest.mark.parametrize(
    ("environ", "http", "https"),
    [
        ({}, None, None),
        ({"http_proxy": "http://one:1"}, ONE, None),
        ({"https_proxy": "http://one:1"}, None, ONE),
        ({"HTTP_PROXY": "one:1", "HTTPS_PROXY": "two:2"}, ONE, TWO),
        ({"http_proxy": "one:1", "HTTP_PROXY": "two:2"}, ONE, None),
        ({"http_proxy": "", "HTTP_PROXY": "two:2"}, None, None),
        ({"http_proxy": " one:1 "}, ONE, None),
        ({"http_proxy": " "}, None, None),
        ({"all_proxy": "one:1"}, ONE, ONE),
        ({"ALL_PROXY": "one:1", "https_proxy": "two:2"}, ONE, TWO),
        ({"ALL_PROXY": "one:1", "https_proxy": ""}, ONE, None),
        ({"http_proxy": "one:1", "no_proxy": "a.example"}, None, None),
        ({"http_proxy": "one:1", "NO_PROXY": "a.example"}, None, None),
        ({"http_proxy": "one:1", "no_proxy": "", "NO_PROXY": "a.example"}, ONE, None),
        # httpoxy, CVE-2016-5385
        ({"HTTP_PROXY": "one:1", "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": "one:1", "REQUEST_METHOD": "GET"}, ONE, None),
        ({"HTTPS_PROXY": "one:1", "REQUEST_METHOD": "GET"}, None, ONE),
    ],
)
def test_the_environment(environ: dict[str, str], http: Proxy | None, https: Proxy | None) -> None:
    rules = ProxyRules.from_environment(environ)
    assert rules.route(PLAIN).proxy == http
    assert rules.route(SECURE).proxy == https


@pytest.mark.parametrize("name", ["http_proxy", "https_proxy", "ALL_PROXY"])
def test_a_variable_that_names_no_proxy(name: str) -> None:
    with pytest.raises(ValueError, match="_proxy: expected a URL of http or https, got 'socks5'") as caught:
        ProxyRules.from_environment({name: "socks5://u:secret@p:1"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "covered", "others"),
    [
        (
            "http://a.example/",
            [
                "a.example",
                ".a.example",
                "*.a.example",
                "A.EXAMPLE",
                "example",
                "a.example:80",
                "*",
                "b, a.example",
                "b a.example",
                ",,a.example,",
                "a.example.",
            ],
            [
                "",
                "b.example",
                "xa.example",
                "a.exampl",
                "a.example:81",
                "10.0.0.0/8",
                ".b.a.example",
                "a.examplex",
                "a.*",
            ],
        ),
        (
            "http://b.a.example:81/",
            ["a.example", ".a.example", "*.a.example", "a.example:81", "b.a.example"],
            ["a.example:80", "c.a.example", "ba.example"],
        ),
        ("http://a.example./", ["a.example", "example."], ["b.example"]),
        (
            "http://10.1.2.3/",
            ["10.1.2.3", "10.0.0.0/8", "10.1.2.3/8", "10.1.2.3:80", "10.1.2.0/24"],
            ["10.1.2.4", "1.2.3", ".3", "10.1.2.3:81", "11.0.0.0/8", "10.0.0.0/99", "::/0"],
        ),
        (
            "https://[2001:db8::1]/",
            ["2001:db8::1", "[2001:DB8:0::1]", "[2001:db8::1]:443", "2001:db8::/32"],
            ["[2001:db8::1]:80", "2001:db8::2", "::1", "0.0.0.0/0", "db8::1", "[2001:db8::]/32"],
        ),
        ("http://xn--bcher-kva.example/", ["bücher.example", "xn--bcher-kva.example"], ["bucher.example"]),
    ],
)
def test_where_no_proxy_is_used(url: str, covered: list[str], others: list[str]) -> None:
    assert [text for text in covered if not Bypass(text).covers(origin(url))] == []
    assert [text for text in others if Bypass(text).covers(origin(url))] == []


@pytest.mark.parametrize(
    "text", ["<local>", "a b/c", "[", "]:1", "a:b:c", ":80", "/", "1/2", "@", "a:99999", "\0", "*:80"]
)
def test_what_is_none_of_these_is_passed_over(text: str) -> None:
    assert Bypass(f"{text},d.example").covers(origin("http://d.example"))
    assert not Bypass(text).covers(origin("http://e.example"))


LABELS = st.sampled_from(["a", "b", "ab", "example"])
NAMES = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
ENTRIES = st.builds(
    "{}{}{}".format, st.sampled_from(["", "."]), NAMES, st.sampled_from(["", "", ":80", ":81"])
)


@given(NAMES, st.sampled_from([80, 81]), st.lists(ENTRIES, max_size=3))
def test_names_as_the_standard_library_has_them(host: str, port: int, entries: list[str]) -> None:
    text = ",".join(entries)
    theirs = bool(proxy_bypass_environment(f"{host}:{port}", {"no": text}))
    assert Bypass(text).covers(Origin("http", host, port)) == theirs


@given(st.text(max_size=20))
def test_whatever_stands_there(text: str) -> None:
    assert Bypass(text).covers(PLAIN) in (True, False)


def test_they_show_themselves() -> None:
    assert repr(ProxyRules()) == "<ProxyRules direct>"
    assert repr(ProxyRules(PROXY)) == "<ProxyRules http=http://p.example:3128>"
    assert repr(Bypass("*")) == "<Bypass *>"
    assert "10.0.0.0/8" in repr(Bypass("10.0.0.0/8"))
