"""`evkit.http.client.cookies`: what a jar keeps and gives, by RFC 6265 §5.3 and §5.4 and RFC 6265bis §5.7."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.client.cookie import Cookie
from evkit.http.client.cookies import CookieJar, is_public
from evkit.http.uri import Uri

NOW = 1_000_000.0


def store(jar: CookieJar, url: str, *values: str, now: float = NOW) -> None:
    jar.store(Uri.parse(url), values, now)


def sent(jar: CookieJar, url: str, now: float = NOW) -> str | None:
    return jar.field(Uri.parse(url), now)


def jar_with(url: str, *values: str) -> CookieJar:
    jar = CookieJar()
    store(jar, url, *values)
    return jar


def test_a_cookie_comes_back() -> None:
    jar = jar_with("http://a.example/x", "n=v")
    assert sent(jar, "http://a.example/") == "n=v"
    assert sent(jar, "http://A.EXAMPLE:8080") == "n=v"  # cookies know no ports
    assert sent(jar, "https://a.example/y/z?q") == "n=v"
    assert len(jar) == 1


def test_an_empty_jar() -> None:
    assert sent(CookieJar(), "http://a.example/") is None


@pytest.mark.parametrize(
    ("url", "value", "to", "not_to"),
    [
        # Without Domain for the host alone, with it for all below it.
        ("http://a.example/", "n=v", ["a.example"], ["b.a.example", "example", "ba.example"]),
        (
            "http://a.example/",
            "n=v; Domain=a.example",
            ["a.example", "b.a.example"],
            ["example", "ba.example"],
        ),
        (
            "http://b.a.example/",
            "n=v; Domain=.A.Example",
            ["a.example", "b.a.example", "c.a.example"],
            ["example"],
        ),
        ("http://c.b.a.example/", "n=v; Domain=b.a.example", ["b.a.example", "c.b.a.example"], ["a.example"]),
        ("http://10.1.2.3/", "n=v; Domain=10.1.2.3", ["10.1.2.3"], ["x.example"]),
        ("http://[::1]/", "n=v", ["[::1]", "[0::1]"], ["[::2]"]),
        ("http://localhost/", "n=v; Domain=localhost", ["localhost"], ["a.localhost"]),
        ("http://co.uk/", "n=v; Domain=co.uk", ["co.uk"], ["a.co.uk"]),
        ("http://xn--bcher-kva.example/", "n=v", ["xn--bcher-kva.example"], []),
        ("http://a.example./", "n=v", ["a.example."], ["a.example"]),
    ],
)
def test_whom_it_is_for(url: str, value: str, to: list[str], not_to: list[str]) -> None:
    jar = jar_with(url, value)
    assert [host for host in to if sent(jar, f"http://{host}/") != "n=v"] == []
    assert [host for host in not_to if sent(jar, f"http://{host}/") is not None] == []


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("http://a.example/", "n=v; Domain=b.example"),
        ("http://a.example/", "n=v; Domain=b.a.example"),
        ("http://ba.example/", "n=v; Domain=a.example"),
        ("http://a.example/", "n=v; Domain=xa.example"),
        ("http://10.1.2.3/", "n=v; Domain=2.3"),
        ("http://10.1.2.3/", "n=v; Domain=.3"),
        ("http://a.example/", "n=v; Domain=a.example.evil.example"),
        # Nobody's domains in particular.
        ("http://a.example/", "n=v; Domain=example"),
        ("http://a.example/", "n=v; Domain=.example"),
        ("http://a.co.uk/", "n=v; Domain=co.uk"),
        ("http://a.com.au/", "n=v; Domain=.COM.AU"),
        ("http://a.example./", "n=v; Domain=example."),
        # RFC 6265bis §5.7: Secure cookies come over TLS.
        ("http://a.example/", "n=v; Secure"),
        # Prefixes, whatever their case (§4.1.3).
        ("https://a.example/", "__Secure-n=v"),
        ("https://a.example/", "__secure-n=v; Path=/"),
        ("http://a.example/", "__Secure-n=v; Secure"),
        ("https://a.example/", "__Host-n=v; Path=/"),
        ("https://a.example/", "__Host-n=v; Secure"),
        ("https://a.example/", "__Host-n=v; Secure; Path=/x"),
        ("https://a.example/", "__HOST-n=v; Secure; Path=/; Domain=a.example"),
        ("https://localhost/", "__Host-n=v; Secure; Path=/; Domain=localhost"),
        ("http://a.example/", "nonsense"),
    ],
)
def test_what_is_not_kept(url: str, value: str) -> None:
    assert len(jar_with(url, value)) == 0


@pytest.mark.parametrize(
    "value",
    [
        "__Secure-n=v; Secure",
        "__Secure-n=v; Secure; Domain=a.example",
        "__Host-n=v; Secure; Path=/",
        "__Hostn=v",
    ],
)
def test_prefixes_that_keep_their_promise(value: str) -> None:
    assert len(jar_with("https://a.example/", value)) == 1


def test_secure_cookies_go_over_tls_only() -> None:
    jar = jar_with("https://a.example/", "s=1; Secure", "p=2")
    assert sent(jar, "https://a.example/") == "s=1; p=2"
    assert sent(jar, "http://a.example/") == "p=2"


@pytest.mark.parametrize(
    ("url", "value", "kept"),
    [
        ("http://a.example/", "n=evil", False),
        ("http://b.a.example/", "n=evil; Domain=a.example", False),
        ("http://b.a.example/", "n=evil", False),  # it would be sent beside the secure one of a.example
        ("http://a.example/", "n=evil; Path=/x/y", False),
        ("http://a.example/", "n=; Max-Age=0", False),
        ("http://a.example/", "n=other; Path=/z", True),
        ("http://a.example/", "m=other", True),
        ("http://c.example/", "n=other", True),
        ("https://a.example/", "n=new; Path=/x", True),
    ],
)
def test_http_does_not_touch_secure_cookies(url: str, value: str, kept: bool) -> None:
    """RFC 6265bis §5.7, "leave secure cookies alone"."""
    if "Path" not in value:
        value += "; Path=/x"
    jar = jar_with("https://a.example/", "n=good; Secure; Path=/x; Domain=a.example")
    before = list(jar)
    store(jar, url, value)
    assert (list(jar) != before) == kept


def test_http_does_not_touch_secure_cookies_of_hosts_below() -> None:
    jar = jar_with("https://b.a.example/", "n=good; Secure")
    store(jar, "http://a.example/", "n=evil; Domain=a.example", "m=other; Domain=a.example")
    assert sent(jar, "https://b.a.example/") == "n=good; m=other"


@pytest.mark.parametrize("host", ["10.1.2.3", "localhost", "co.uk"])
def test_what_is_in_no_domain_is_for_itself(host: str) -> None:
    assert [cookie.host_only for cookie in jar_with(f"http://{host}/", f"n=v; Domain={host}")] == [True]


def test_an_outer_path_hides_nothing() -> None:
    jar = jar_with("https://a.example/", "n=good; Secure; Path=/x")
    store(jar, "http://a.example/", "n=other; Path=/")
    assert sent(jar, "https://a.example/x") == "n=good; n=other"


@pytest.mark.parametrize(
    ("url", "value", "to", "not_to"),
    [
        ("http://a.example/x/y", "n=v", ["/x", "/x/", "/x/z", "/x/y/z"], ["/", "/xy", "/z"]),
        ("http://a.example/x/", "n=v", ["/x", "/x/z"], ["/"]),
        ("http://a.example", "n=v", ["", "/", "/x"], []),
        ("http://a.example/z", "n=v; Path=/x/", ["/x/", "/x/y"], ["/x", "/z"]),
        ("http://a.example/z", "n=v; Path=x", ["/z", "/"], []),
    ],
)
def test_where_it_is_for(url: str, value: str, to: list[str], not_to: list[str]) -> None:
    jar = jar_with(url, value)
    assert [path for path in to if sent(jar, f"http://a.example{path}") != "n=v"] == []
    assert [path for path in not_to if sent(jar, f"http://a.example{path}") is not None] == []


def test_the_order() -> None:
    """RFC 6265 §5.4: longer paths first, then who came first, also if it has changed since."""
    jar = jar_with(
        "http://b.a.example/x/y",
        "n=1; Path=/",
        "n=2; Path=/x",
        "m=3; Path=/; Domain=a.example",
        "l=4; Path=/",
    )
    store(jar, "http://b.a.example/", "n=5; Path=/")
    assert sent(jar, "http://b.a.example/x") == "n=2; n=5; m=3; l=4"


def test_a_later_one_takes_its_place() -> None:
    jar = jar_with("http://a.example/", "n=1; Domain=a.example", "n=2")
    assert sent(jar, "http://a.example/") == "n=2"
    assert sent(jar, "http://b.a.example/") is None
    assert len(jar) == 1


def test_time() -> None:
    jar = jar_with("http://a.example/", "n=1; Max-Age=10", "m=2")
    assert sent(jar, "http://a.example/", NOW + 9.9) == "n=1; m=2"
    assert sent(jar, "http://a.example/", NOW + 10) == "m=2"
    store(jar, "http://a.example/", "m=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    assert sent(jar, "http://a.example/", NOW) == "n=1"
    store(jar, "http://a.example/", "n=; Max-Age=-1", "o=; Max-Age=0")
    assert sent(jar, "http://a.example/", NOW) is None
    assert repr(jar) == "<CookieJar 0 cookies of 0 domains>"


# Limits


def test_the_limit_of_a_domain() -> None:
    jar = CookieJar(max_per_domain=3)
    for number in range(3):
        store(jar, "http://a.example/", f"n{number}=; Path=/{number}")
    store(jar, "http://b.example/", "other=")
    assert (
        sent(jar, "http://a.example/0") == "n0="
    )  # now n1 is the one that was not used for the longest time
    store(jar, "http://a.example/", "new=; Path=/new")
    assert sorted(cookie.name for cookie in jar) == ["n0", "n2", "new", "other"]


def test_what_has_expired_goes_first() -> None:
    jar = CookieJar(max_per_domain=2)
    store(jar, "http://a.example/", "old=", "short=; Max-Age=5")
    store(jar, "http://a.example/", "new=", now=NOW + 6)
    assert sorted(cookie.name for cookie in jar) == ["new", "old"]


def test_the_limit_of_all() -> None:
    jar = CookieJar(max_cookies=20)
    for number in range(21):
        store(jar, f"http://a{number}.example/", "n=")
    # A tenth and one make room.
    assert [cookie.domain for cookie in jar] == [f"a{number}.example" for number in range(3, 21)]
    assert repr(jar) == "<CookieJar 18 cookies of 18 domains>"


@pytest.mark.parametrize("kwargs", [{"max_cookies": 0}, {"max_per_domain": 0}])
def test_limits_that_are_none(kwargs: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        CookieJar(**kwargs)


def test_a_jar_for_one() -> None:
    jar = CookieJar(max_cookies=1, max_per_domain=1)
    store(jar, "http://a.example/", "a=", "b=")
    store(jar, "http://b.example/", "c=")
    assert [cookie.name for cookie in jar] == ["c"]


def test_a_response_with_too_many() -> None:
    jar = jar_with("http://a.example/", *(f"n{number}=" for number in range(60)))
    assert len(jar) == 50


def test_a_field_has_a_limit() -> None:
    """Otherwise a site could make every request to its neighbours too long ("cookie bomb")."""
    jar = jar_with(
        "http://a.example/", *(f"n{number}={'x' * 1000}; Domain=a.example" for number in range(20))
    )
    field = sent(jar, "http://a.example/")
    assert field is not None
    assert len(field) <= 8190
    assert field.count(";") == 7
    full = jar_with("http://a.example/", f"a={'x' * 4094}", f"b={'x' * 4091}")
    field = sent(full, "http://a.example/")
    assert field is not None
    assert len(field) <= 8190


# Cookies of one's own, and files


def test_a_cookie_of_ones_own() -> None:
    jar = CookieJar()
    jar.add(Cookie("n", "v", "A.example", host_only=False), NOW)
    assert sent(jar, "http://b.a.example/") == "n=v"
    jar.add(Cookie("n", "v", "a.example", expires=NOW), NOW)
    assert len(jar) == 0


def test_clearing() -> None:
    jar = jar_with("http://a.example/", "n=")
    store(jar, "http://b.example/", "n=", "m=")
    jar.clear("B.example")
    assert [cookie.domain for cookie in jar] == ["a.example"]
    jar.clear("c.example")
    jar.clear()
    assert len(jar) == 0


def test_a_jar_outlives_the_program() -> None:
    jar = jar_with(
        "https://a.example/", "n=1; Max-Age=10; Secure; HttpOnly", "m=2", "o=3; Max-Age=5; Domain=a.example"
    )
    text = jar.dumps(NOW + 5)
    again = CookieJar()
    again.loads(text, NOW + 5)
    assert sent(again, "https://a.example/", NOW + 6) == "n=1"
    again.loads(jar.dumps(NOW, session=True), NOW + 5)
    assert sent(again, "https://a.example/", NOW + 6) == "n=1; m=2"
    assert {cookie for cookie in again if cookie.name == "n"} == {
        cookie for cookie in jar if cookie.name == "n"
    }


def test_a_file_that_is_none_changes_nothing() -> None:
    jar = CookieJar()
    with pytest.raises(ValueError, match="line 2"):
        jar.loads("a.example\tFALSE\t/\tFALSE\t0\tn\tv\nnonsense", NOW)
    assert len(jar) == 0


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("com", True),
        ("localhost", True),
        ("co.uk", True),
        ("com.br", True),
        ("example.com", False),
        ("a.uk", False),
        ("co.com", False),
        ("a.co.uk", False),
    ],
)
def test_domains_that_are_nobodys(domain: str, expected: bool) -> None:
    assert is_public(domain) == expected


def test_a_list_of_ones_own() -> None:
    jar = CookieJar(is_public=lambda domain: domain == "github.io")
    store(jar, "http://a.github.io/", "n=v; Domain=github.io", "m=v; Domain=a.github.io", "o=v; Domain=io")
    assert sorted(cookie.domain for cookie in jar) == ["a.github.io", "io"]


@pytest.mark.parametrize("url", ["/", "ftp://a/", "http:"])
def test_a_url_without_an_origin(url: str) -> None:
    jar = jar_with("http://a.example/", "n=")
    with pytest.raises(ValueError, match="expected"):
        sent(jar, url)
    with pytest.raises(ValueError, match="expected"):
        store(jar, url, "n=")


HOSTS = st.sampled_from(["a.example", "b.a.example", "c.example", "10.0.0.1", "localhost"])
VALUES = st.builds(
    "{}={}{}{}{}".format,
    st.sampled_from(["n", "m", "__Host-n"]),
    st.text(st.characters(max_codepoint=255), max_size=5),
    st.sampled_from(["", "; Domain=a.example", "; Domain=example"]),
    st.sampled_from(["", "; Path=/", "; Path=/x"]),
    st.sampled_from(["", "; Secure", "; Max-Age=0", "; Max-Age=5"]),
)


@given(st.lists(st.tuples(st.sampled_from(["http", "https"]), HOSTS, VALUES, st.integers(0, 9)), max_size=12))
def test_whatever_was_stored(steps: list[tuple[str, str, str, int]]) -> None:
    """No secure cookie goes over http, none to a stranger, none can end a field; limits hold."""
    jar = CookieJar(max_cookies=3, max_per_domain=2)
    for scheme, host, value, later in steps:
        store(jar, f"{scheme}://{host}/x/y", value, now=NOW + later)
        assert len(jar) <= 3
    kept = list(jar)
    for scheme, host in (("http", "a.example"), ("https", "b.a.example"), ("http", "z.example")):
        field = sent(jar, f"{scheme}://{host}/x/y", NOW + 9)
        expected = {
            f"{cookie.name}={cookie.value}"
            for cookie in kept
            if (host == cookie.domain or (not cookie.host_only and host.endswith(f".{cookie.domain}")))
            and (scheme == "https" or not cookie.secure)
            and (cookie.expires is None or cookie.expires > NOW + 9)
        }
        assert set(field.split("; ") if field else ()) == expected
