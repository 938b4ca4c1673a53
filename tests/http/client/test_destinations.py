"""`evkit.http.client.destinations`: what needs no taking apart says the same as what is taken apart."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evkit.http.client.destinations import Destinations
from evkit.http.client.origin import Origin, parse_url
from evkit.http.client.proxy_choice import Proxy, ProxyRules

HOSTS = st.sampled_from(["a", "Example.ORG", "127.0.0.1", "a_b.c-d", "a.", "localhost:8080", "x:443", "x:80"])
REST = st.text("/?&=.~abcXYZ019-_:@!$'()*+,;", max_size=12)
PROXY = Proxy.at("http://proxy:3128")


@given(st.sampled_from(["http", "https"]), HOSTS, st.just("") | st.just("/") | st.just("?"), REST)
@example("http", "a", "/", "/b")
@example("http", "a", "", "")
def test_two_halves_say_what_the_parts_say(scheme: str, host: str, between: str, rest: str) -> None:
    url = f"{scheme}://{host}{between}{rest if between else ''}"
    for rules in (ProxyRules(), ProxyRules(PROXY, PROXY)):
        found = Destinations(rules).find(url)
        assert found is not None
        destination, target = found
        uri = parse_url(url)
        route = rules.route(Origin.of(uri))
        assert target == uri.target
        assert destination.prefix + target == route.prefix(Origin.of(uri)) + uri.target
        assert destination.authority == Origin.of(uri).authority
        assert destination.route == route
        assert (destination.route.fields if destination.proxied else ()) == route.fields


@given(st.text(max_size=30) | st.from_regex(r"https?://[a-z.:@%\[\]#?/ ]{0,12}", fullmatch=True))
def test_whatever_is_found_is_what_the_parts_say(url: str) -> None:
    try:
        found = Destinations(ProxyRules()).find(url)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            Origin.of(parse_url(url))
        return
    if found is not None:
        uri = parse_url(url)
        assert (uri.userinfo, uri.fragment) == (None, None)
        assert found[1] == uri.target
        assert found[0].authority == Origin.of(uri).authority


@pytest.mark.parametrize(
    "url",
    [
        "HTTP://a/",
        "http://u@a/",
        "http://[::1]/",
        "http://a/%41",
        "http://a/#x",
        "http://a/ b",
        "ftp://a/",
        "/x",
    ],
)
def test_what_has_to_be_taken_apart(url: str) -> None:
    assert Destinations(ProxyRules()).find(url) is None


@pytest.mark.parametrize(
    "url", ["http://127.1/", "http://a:0/", "http://a:99999/", "http://-/", "http://.../"]
)
def test_hosts_that_cannot_be(url: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Destinations(ProxyRules()).find(url)


def test_urls_that_begin_alike_share_a_destination() -> None:
    destinations = Destinations(ProxyRules())
    one, two, other = (destinations.find(url) for url in ("http://a/x", "http://a/y?z", "http://b/"))
    assert one is not None
    assert two is not None
    assert other is not None
    assert one[0] is two[0]
    assert one[0] is destinations.of(parse_url("http://A:80/"))
    assert one[0] is not other[0]


def test_a_tunnel_is_another_way() -> None:
    destinations = Destinations(ProxyRules(PROXY, PROXY))
    url = parse_url("http://a/x")
    plain, tunnel = destinations.of(url), destinations.of(url, tunnel=True)
    assert (plain.prefix, tunnel.prefix) == ("http://a", "")
    assert plain.route != tunnel.route


def test_there_are_never_too_many() -> None:
    destinations = Destinations(ProxyRules())
    for number in range(1000):
        destinations.find(f"http://host{number}/")
        destinations.of(parse_url(f"http://other{number}/"))
        assert len(destinations._by_start) <= 256
        assert len(destinations._by_origin) <= 256
