"""`evkit.dns.special_names`: RFC 6761's names by table."""

import pytest

from evkit.dns.names import to_wire
from evkit.dns.special_names import LOOPBACK, special_addresses


@pytest.mark.parametrize("name", ["localhost", "localhost.", "a.localhost", "a.b.localhost"])
def test_localhost_is_the_loopback(name: str) -> None:
    assert special_addresses(to_wire(name)) == LOOPBACK == ("127.0.0.1", "::1")


@pytest.mark.parametrize("name", ["invalid", "a.invalid", "onion", "abc.onion", "www.abc.onion"])
def test_what_does_not_exist(name: str) -> None:
    assert special_addresses(to_wire(name)) == ()


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "example.org",
        "localhost.example",
        "xlocalhost",
        "localhost4",
        "invalid.example",
        "test",
        "a.local",
        r"a\009localhost",  # the bytes of the name are at the end of a longer label
        r"a\007invalid",
        r"a\005onion.example",
    ],
)
def test_other_names_are_asked_for(name: str) -> None:
    assert special_addresses(to_wire(name)) is None
