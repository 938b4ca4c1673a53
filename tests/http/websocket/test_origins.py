"""Whose pages may connect."""

import pytest

from evkit.http.websocket.origins import Origins


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        ("http://example.org", "example.org", True),
        ("https://example.org", "example.org", True),
        ("http://Example.ORG", "example.org", True),
        ("http://example.org", "EXAMPLE.org", True),
        ("http://example.org", "example.org:80", True),
        ("https://example.org", "example.org:443", True),
        ("https://example.org:443", "example.org", True),
        ("http://example.org:8080", "example.org:8080", True),
        ("http://[::1]:8080", "[::1]:8080", True),
        ("http://example.org:8080", "example.org", False),
        ("http://example.org", "example.org:8080", False),
        ("https://example.org", "example.org:80", False),
        ("http://example.org.evil.net", "example.org", False),
        ("http://evil.net", "example.org", False),
        ("http://example.org", None, False),
        ("null", "example.org", False),
        ("null", "null", False),
        ("null", "", False),
        ("", "example.org", False),
        ("", "", False),
        ("http://", "", False),
        ("example.org", "example.org", False),
        ("http://example.org/", "example.org", False),
        ("http://user@example.org", "example.org", False),
        ("http://evil.net, http://example.org", "example.org", False),
        ("http://example.org\n", "example.org", False),
    ],
)
def test_the_host_itself(origin: str, host: str | None, may: bool) -> None:
    assert Origins().allow(origin, host) is may


def test_others_by_name() -> None:
    origins = Origins(["https://Example.org", "http://a.test:80", "null"])
    allowed = ["https://example.org", "https://example.org:443", "http://a.test", "null", "http://own"]
    assert [origins.allow(origin, "own") for origin in allowed] == [True] * 5
    others = ["http://example.org", "https://a.test", "https://example.org:8443", "https://b.example.org"]
    assert [origins.allow(origin, "own") for origin in others] == [False] * 4


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "*", "", "https://"])
def test_what_is_no_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="expected an origin"):
        Origins([origin])


def test_one_origin_is_no_list_of_letters() -> None:
    with pytest.raises(TypeError, match="https"):
        Origins("https://example.org")
