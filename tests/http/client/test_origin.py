"""`evkit.http.client.origin`: one spelling for each server, and no host that two readers understand in two ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.client.origin import Origin, normal_host, parse_url
from evkit.http.uri import Uri


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("http://example.org", "http", "example.org", 80),
        ("https://example.org", "https", "example.org", 443),
        ("HTTP://EXAMPLE.org:80/x?y#z", "http", "example.org", 80),
        ("https://example.org:80/", "https", "example.org", 80),
        ("http://user:pass@example.org/", "http", "example.org", 80),
        ("http://example.org:/", "http", "example.org", 80),
        ("http://ex%41mple.org/", "http", "example.org", 80),
        ("http://192.0.2.1:8080/", "http", "192.0.2.1", 8080),
        ("http://[::1]/", "http", "[::1]", 80),
        ("http://[2001:DB8:0:0::0001]:81/", "http", "[2001:db8::1]", 81),
        ("http://[::FFFF:192.0.2.1]/", "http", "[::ffff:192.0.2.1]", 80),
        ("http://my_host/", "http", "my_host", 80),
        ("http://example.org./", "http", "example.org.", 80),
        ("http://xn--bcher-kva.example/", "http", "xn--bcher-kva.example", 80),
        ("http://1a/", "http", "1a", 80),
        ("http://1.2.3.example/", "http", "1.2.3.example", 80),
    ],
)
def test_a_url_names_one_origin(url: str, scheme: str, host: str, port: int) -> None:
    origin = Origin.of(Uri.parse(url))
    assert (origin.scheme, origin.host, origin.port) == (scheme, host, port)
    assert Origin(scheme.upper(), host.upper(), port) == origin
    assert len({Origin(scheme.upper(), host.upper(), port), origin}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.example", "https://a.example"),
        ("http://a.example", "http://a.example:8080"),
        ("http://a.example", "http://b.example"),
        ("http://a.example", "http://a.example."),
        ("http://a.example:443", "https://a.example"),
    ],
)
def test_origins_that_differ(one: str, other: str) -> None:
    assert Origin.of(Uri.parse(one)) != Origin.of(Uri.parse(other))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "example.org",
        "/path",
        "//example.org/",
        "http:path",
        "http:///path",
        "http://:80/",
        "http://example.org:0/",
        "ws://example.org/",
        # Hosts that inet_aton understands, and other readers of URLs do not, or not in the same way.
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://1.2.3.256/",
        "http://1.2.3.4.5/",
        "http://example.0x/",
        "http://[v1.x]/",
        # What hides another host, or the end of one.
        "http://example.org%2f.evil.example/",
        "http://example.org%00/",
        "http://example.org%0d%0aX/",
        "http://example.org%40evil.example/",
        "http://example.org%3a81/",
        "http://a%25b/",
        "http://a..b/",
        "http://.a/",
        "http://-a.b/",
        "http://a-.b/",
        "http://a;b/",
        "http://a!b/",
        "http://" + "a" * 64 + ".b/",
        "http://" + "a." * 127 + "b/",
    ],
)
def test_what_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Origin.of(Uri.parse(url))


@pytest.mark.parametrize(
    "host", ["[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1", "[]", "[::1]]", "[1.2.3.4]", "::1"]
)
def test_an_address_that_is_none(host: str) -> None:
    """RFC 6874: a zone means nothing to anybody else, and never goes into ``Host``."""
    with pytest.raises(ValueError, match="expected"):
        normal_host(host)


def test_the_longest_name_is_taken() -> None:
    assert normal_host("a." * 126 + "a") == "a." * 126 + "a"
    assert normal_host("a" * 63 + ".b") == "a" * 63 + ".b"


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        Origin("http", "a", port)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("http://bücher.example/", "xn--bcher-kva.example"),
        ("http://BÜCHER.example/", "xn--bcher-kva.example"),
        ("http://b%C3%BCcher.example/", "xn--bcher-kva.example"),
        ("http://日本語。jp/", "xn--wgv71a119e.jp"),  # the ideographic full stop is one (UTS 46 §2.3)
        ("http://\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.org/", "example.org"),  # full width
        ("http://①②⑦.⓪.⓪.①/", "127.0.0.1"),  # what it connects to is what it is called
    ],
)
def test_names_beyond_ascii(text: str, host: str) -> None:
    assert Origin.of(parse_url(text)).host == host


@pytest.mark.parametrize(
    "text",
    [
        "http://example.org\uff0f.evil.example/",  # a slash, a question mark, an at, a colon by NFKC (CVE-2019-9636)
        "http://example.org\uff1f.evil.example/",
        "http://example.org\uff20evil.example/",
        "http://example.org\uff1a81/",
        "http://example.org\uff052f/",
        "http://\u2100.example/",  # "a/c"
        "http://a\u3002\u3002b/",
        "http://\udcff.example/",
        "http://\u00ad/",  # nothing at all, by nameprep
    ],
)
def test_names_that_hide_something_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Origin.of(parse_url(text))


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("https://faß.de/", "xn--fa-hia.de"),
        ("https://βόλος.example/", "xn--nxasmm1c.example"),
        ("https://i❤.ws/", "xn--i-7iq.ws"),
    ],
)
def test_names_go_where_browsers_go(text: str, host: str) -> None:
    """By UTS 46; IDNA 2003 would go to ``fass.de``, which may be somebody else's."""
    assert Origin.of(parse_url(text)).host == host


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://example.org/a b", None),
        ("http://example.org/\n", None),
        ("http://example.org/\x7f", None),
        ("example.org", None),
        ("/a", None),
        ("http://example.org/ä?ö#ü", "http://example.org/%C3%A4?%C3%B6#%C3%BC"),
        ("http://example.org/100%", "http://example.org/100%25"),
        ("http://example.org/\udcff", "http://example.org/%FF"),
        ("http://example.org/a|b", "http://example.org/a%7Cb"),
        ("http://example.org/\u2028\u00a0", "http://example.org/%E2%80%A8%C2%A0"),
    ],
)
def test_what_a_user_writes_becomes_a_uri(url: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(ValueError, match=r"URI|URL"):
            parse_url(url)
    else:
        assert str(parse_url(url)) == text


def test_a_uri_is_taken_as_it_is() -> None:
    uri = Uri.parse("http://example.org/a")
    assert parse_url(uri) is uri
    with pytest.raises(ValueError, match="URL"):
        parse_url(Uri.parse("a"))


def test_a_password_is_not_shown() -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_url("//user:secret@example.org/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "authority", "address", "server_name", "text"),
    [
        ("http://a.example:80", "a.example", ("a.example", 80), "a.example", "http://a.example"),
        ("https://a.example", "a.example", ("a.example", 443), "a.example", "https://a.example"),
        ("http://a.example:443", "a.example:443", ("a.example", 443), "a.example", "http://a.example:443"),
        ("https://[::1]:80", "[::1]:80", ("::1", 80), "::1", "https://[::1]:80"),
        ("https://a.example.", "a.example.", ("a.example.", 443), "a.example", "https://a.example."),
    ],
)
def test_what_it_is_good_for(
    url: str, authority: str, address: tuple[str, int], server_name: str, text: str
) -> None:
    origin = Origin.of(Uri.parse(url))
    assert origin.authority == authority
    assert origin.address == address
    assert origin.server_name == server_name
    assert str(origin) == text
    assert origin.secure == url.startswith("https")
    assert Origin.of(Uri.parse(text)) == origin


@given(st.text(max_size=30))
def test_whatever_comes_a_host_is_plain_or_refused(text: str) -> None:
    try:
        host = normal_host(text)
    except ValueError:
        return
    assert normal_host(host) == host
    assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.[]:")
    assert host.isascii()
