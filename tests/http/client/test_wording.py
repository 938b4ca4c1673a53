"""`evkit.http.client.wording`: what a program says of a request, and what is no word for it."""

import gc
from typing import Any

import pytest

from evkit.errors import LocalProtocolError
from evkit.http.client.credentials import Basic
from evkit.http.client.wording import (
    DEFAULT,
    content_of,
    names_of,
    parse_target,
)
from evkit.http.uri import Uri


@pytest.mark.parametrize(
    ("url", "query", "target"),
    [
        ("http://a.test", None, "/"),
        ("http://a.test/b?c=d", {"e": ["f", "g"]}, "/b?c=d&e=f&e=g"),
        ("http://a.test/b?", {"e": 1}, "/b?e=1"),
        ("http://a.test/b#c", [("e", " ")], "/b?e=+"),
        ("http://a.test/b", iter([]), "/b"),
        (Uri.parse("http://a.test/b"), None, "/b"),
    ],
)
def test_a_target(url: str | Uri, query: Any, target: str) -> None:
    uri, credentials = parse_target(url, query)
    assert (uri.target, uri.fragment, credentials) == (target, None, None)


def test_credentials_in_a_url_are_taken_out_of_it() -> None:
    uri, credentials = parse_target("http://user:se%63ret@a.test/", None)
    assert (str(uri), credentials) == ("http://a.test/", Basic("user", "secret"))


@pytest.mark.parametrize("query", ["a=b", 5, [1]])
def test_what_is_no_query(query: Any) -> None:
    with pytest.raises(TypeError):
        parse_target("http://a.test/", query)


@pytest.mark.parametrize("again", [1, 3])
def test_no_password_is_kept(again: int) -> None:
    """What is known of URLs is known to all clients of a process, and for as long as it runs."""
    for _ in range(again):
        parse_target("http://user:pass%77ord-4711@a.test/x", {"a": "b"})
        parse_target("http://a.test/@b", None)
    words = [
        thing for thing in gc.get_objects() if isinstance(thing, Basic) and thing.password == "password-4711"
    ]
    assert words == []


def test_contents() -> None:
    pairs = [("Content-Type", "text/x")]
    assert content_of((), b"abc", DEFAULT, None) == ((), b"abc")
    assert content_of((), None, None, None) == ([("Content-Type", "application/json")], "null")
    assert content_of(pairs, None, {"a": 1}, None) == (pairs, '{"a": 1}')
    assert content_of(pairs, None, DEFAULT, {"a": "b c"}) == (pairs, "a=b+c")
    with pytest.raises(LocalProtocolError, match="one of"):
        content_of((), b"", None, None)


def test_names() -> None:
    assert names_of([("A", "1"), ("b", "2"), ("a", "3")]) == {"a", "b"}
    with pytest.raises(TypeError):
        names_of([b"a"])  # type: ignore[list-item]  # that is the point
