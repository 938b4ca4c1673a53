"""`Site`: which host's handlers answer, by pattern and alias."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.server.request import Request
from evkit.http.server.site import Site


def asked(host: str | None, target: str = "/") -> Request:
    return Request("GET", target, 1, host, 0, True, False, b"")


def ignore(_request: Request) -> None:
    pass


def tree() -> dict[str, Site]:
    """A site with two hosts, of which one has hosts of its own."""
    root = Site(None)
    org = root.add_virtual_host("*.example.org")
    return {
        "root": root,
        "com": root.add_virtual_host("example.com"),
        "org": org,
        "www": org.add_virtual_host("www.*"),
        "api": org.add_virtual_host("api.*.org"),
    }


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, "root"),
        ("elsewhere", "root"),
        ("127.0.0.1:80", "root"),
        ("[::1]", "root"),
        ("[::1]:80", "root"),
        ("example.com", "com"),
        ("EXAMPLE.com:8080", "com"),
        ("example.com.", "com"),
        ("www.example.com", "root"),
        ("a.example.org", "org"),
        ("example.org", "root"),
        (".example.org", "org"),
        ("www.example.org", "www"),
        ("api.v2.example.org", "api"),
        ("api.example.org", "api"),
        ("example.org.evil", "root"),
    ],
)
def test_pattern(host: str | None, expected: str) -> None:
    sites = tree()
    for _ in range(2):  # the second time from memory
        assert sites["root"].for_host(host) is sites[expected]


def test_first_pattern_that_matches_wins() -> None:
    root = Site(None)
    first, _ = root.add_virtual_host("a*"), root.add_virtual_host("ab*")
    assert root.for_host("abc") is first


def test_alias_goes_before_all_patterns_wherever_it_is() -> None:
    sites = tree()
    sites["api"].add_alias("Example.COM")
    assert sites["root"].for_host("example.com:80") is sites["api"]
    with pytest.raises(ValueError, match="is an alias already"):
        sites["api"].add_alias("example.com")
    sites["api"].remove_alias("EXAMPLE.com")
    assert sites["root"].for_host("example.com:80") is sites["com"]
    with pytest.raises(KeyError):
        sites["api"].remove_alias("example.com")


def test_what_is_removed_is_found_no_more() -> None:
    sites = tree()
    assert sites["root"].for_host("www.example.org") is sites["www"]
    sites["org"].remove_virtual_host("WWW.*")
    assert sites["root"].for_host("www.example.org") is sites["org"]
    sites["root"].remove_virtual_host("*.example.org")
    assert sites["root"].for_host("www.example.org") is sites["root"]
    with pytest.raises(KeyError):
        sites["root"].remove_virtual_host("*.example.org")
    sites["org"].add_virtual_host("*")  # of a site on its own, which must not touch the one that it was in
    assert sites["root"].for_host("www.example.org") is sites["root"]


def test_pattern_is_given_once() -> None:
    root = Site(None)
    root.add_virtual_host("a.*")
    with pytest.raises(ValueError, match="there is a virtual host for"):
        root.add_virtual_host("A.*.")


def test_handlers_are_not_inherited() -> None:
    root = Site(None)
    host = root.add_virtual_host("a")
    root.set_cb("/", ignore)
    assert root.find(asked("b")).handler is ignore
    assert root.find(asked("a")).handler is not ignore
    host.set_cb("/", ignore)
    assert root.find(asked("a")).handler is ignore


def test_limit_of_bodies_is_inherited() -> None:
    root = Site(5)
    assert root.add_virtual_host("a").routes.general.max_body == 5


def test_names_that_clients_make_up_are_not_kept_for_ever() -> None:
    sites = tree()
    root = sites["root"]
    for number in range(2000):
        root.for_host(f"{number}.example.org")
    assert len(root._chosen) <= 256
    assert root.for_host("1.example.org") is sites["org"]


@given(st.text("ab*.", max_size=8).filter(lambda text: text not in ("", ".")), st.text("ab.", max_size=10))
def test_star_stands_for_anything(pattern: str, name: str) -> None:
    """As in a regular expression, which has another way to go about it."""
    root = Site(None)
    host = root.add_virtual_host(pattern)
    parts = pattern.removesuffix(".").split("*")
    expected = re.fullmatch(".*".join(map(re.escape, parts)), name.removesuffix("."))
    assert root.for_host(name) is (host if expected else root)


def test_many_stars_cost_little() -> None:
    root = Site(None)
    root.add_virtual_host("*a" * 60 + "*b")
    assert root.for_host("a" * 250) is root
