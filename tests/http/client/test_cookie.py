"""`evkit.http.client.cookie`: what can be a cookie, and whom it is for."""

from http.cookiejar import user_domain_match

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.client.cookie import Cookie, below, domains_of, folder_of, is_address, within


@pytest.mark.parametrize(
    ("host", "domain", "expected"),
    [
        # RFC 6265 §5.1.3
        ("a.example", "a.example", True),
        ("b.a.example", "a.example", True),
        ("c.b.a.example", "a.example", True),
        ("ba.example", "a.example", False),
        ("example", "a.example", False),
        ("a.example", "b.a.example", False),
        ("a.example", "", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "2.3", False),
        ("10.1.2.3", "3", False),
        ("[::1]", "[::1]", True),
    ],
)
def test_hosts_in_domains(host: str, domain: str, expected: bool) -> None:
    assert within(host, domain) == expected


LABELS = st.lists(st.sampled_from(["a", "b", "ab", "example"]), min_size=1, max_size=4)


@given(LABELS, LABELS)
def test_hosts_in_domains_as_the_standard_library_has_them(one: list[str], other: list[str]) -> None:
    host, domain = ".".join(one), ".".join(other)
    assert within(host, domain) == (host == domain or user_domain_match(host, f".{domain}"))
    assert within(host, domain) == (domain in domains_of(host))


def test_the_domains_of_a_host() -> None:
    assert domains_of("c.b.a") == ["c.b.a", "b.a", "a"]
    assert domains_of("10.1.2.3") == ["10.1.2.3"]
    assert domains_of("[2001:db8::1]") == ["[2001:db8::1]"]
    assert domains_of("localhost") == ["localhost"]


@pytest.mark.parametrize(
    ("host", "expected"), [("1.2.3.4", True), ("[::1]", True), ("a.b4", False), ("a", False)]
)
def test_addresses(host: str, expected: bool) -> None:
    assert is_address(host) == expected


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        # RFC 6265 §5.1.4
        ("/", "/", True),
        ("/a", "/", True),
        ("/a", "/a", True),
        ("/a/", "/a", True),
        ("/a/b", "/a", True),
        ("/a/b", "/a/", True),
        ("/a", "/a/", False),
        ("/ab", "/a", False),
        ("/", "/a", False),
        ("*", "/", False),
    ],
)
def test_paths_in_folders(path: str, folder: str, expected: bool) -> None:
    assert below(path, folder) == expected


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("", "/"),
        ("/", "/"),
        ("/a", "/"),
        ("/a/", "/a"),
        ("/a/b", "/a"),
        ("/a/b/c", "/a/b"),
        ("a", "/"),
        ("//", "/"),
    ],
)
def test_the_folder_of_a_path(path: str, folder: str) -> None:
    assert folder_of(path) == folder


def test_a_cookie_of_ones_own() -> None:
    cookie = Cookie("a", "b", "Bücher.Example", "/c")
    assert cookie.domain == "xn--bcher-kva.example"
    assert cookie.host_only
    assert cookie == Cookie("a", "b", "xn--bcher-kva.example", "/c")
    assert Cookie("a", "x" * 4095, "d").value == "x" * 4095


@pytest.mark.parametrize(
    ("name", "value", "domain", "path"),
    [
        ("", "b", "d", "/"),
        ("a=", "b", "d", "/"),
        ("a;", "b", "d", "/"),
        (" a", "b", "d", "/"),
        ("a\t", "b", "d", "/"),
        ("a\r\nX", "b", "d", "/"),
        ("a", "b; c=d", "d", "/"),
        ("a", "b\r\nX: y", "d", "/"),
        ("a", "b\n", "d", "/"),
        ("a", "\0", "d", "/"),
        ("a", "b ", "d", "/"),
        ("a", "\tb", "d", "/"),
        ("a", "€", "d", "/"),
        ("a", "\ud800", "d", "/"),
        ("a", "x" * 4096, "d", "/"),
        ("a", "b", "", "/"),
        ("a", "b", "d e", "/"),
        ("a", "b", ".d", "/"),
        ("a", "b", "d\n", "/"),
        ("a", "b", "d", ""),
        ("a", "b", "d", "c"),
        ("a", "b", "d", "/c;d"),
        ("a", "b", "d", "/\n"),
    ],
)
def test_what_can_be_none(name: str, value: str, domain: str, path: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Cookie(name, value, domain, path)


def test_values_are_not_shown() -> None:
    assert "secret" not in repr(Cookie("a", "secret", "d"))
    with pytest.raises(ValueError, match="value") as caught:
        Cookie("a", "secret\n", "d")
    assert "secret" not in str(caught.value)
