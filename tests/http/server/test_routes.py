"""Which handler a target leads to."""

from collections.abc import Iterable
from typing import Any

import pytest

from evkit.http.server.request import Request
from evkit.http.server.routes import Route, Routes, not_found
from http_handlers import Door

PATHS = ("/a", "/with space", "/100%", "/café", "/%61b")


def asked(target: str) -> Request:
    return Request("GET", target, 1, "a", 0, True, False, b"")


def ignore(_request: Request) -> None:
    pass


def routes(*paths: str) -> Routes:
    """Routes of these paths, each with a handler of its own."""
    made = Routes(Route(ignore))
    for path in paths:
        made.add(path, Route(ignore))
    return made


def found(routes: Routes, target: str) -> Route:
    """Look up as a connection does: the target as it stands first, for nearly all are plain."""
    return routes.plain.get(target) or routes.find(asked(target))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a", "/a"),
        ("/a?q=/b", "/a"),
        ("/a?", "/a"),
        ("/%61", "/a"),
        ("http://other/a", "/a"),
        ("http://other/a?q", "/a"),
        ("/with%20space", "/with space"),
        ("/100%25", "/100%"),
        ("/caf%C3%A9", "/café"),
        ("/caf%c3%a9", "/café"),
        ("/%2561b", "/%61b"),  # decoded once
    ],
)
def test_a_target_leads_to_the_route_of_its_path(target: str, path: str) -> None:
    made = routes(*PATHS)
    expected = Route(ignore)
    made.remove(path)
    made.add(path, expected)
    assert found(made, target) is expected


@pytest.mark.parametrize(
    "target",
    [
        "/a/",
        "/A",
        "//a",
        "/",
        "/?q",
        "/a%3F",
        "/%3Fq",
        "/%61b",
        "/ab",
        "*",
        "http://other",
        "http://other?/a",
        "a:1",
        "/%FF",
    ],
)
def test_any_other_target_leads_to_the_general_route(target: str) -> None:
    made = routes(*PATHS)
    assert found(made, target) is made.general


def test_plain_holds_what_needs_no_taking_apart() -> None:
    assert list(routes(*PATHS).plain) == ["/a", "/with space", "/café"]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_has_one_route_until_that_is_removed(path: str) -> None:
    made = routes(path)
    with pytest.raises(ValueError, match="handler already"):
        made.add(path, Route(ignore))
    assert len(made) == 1
    made.remove(path)
    assert (len(made), made.plain) == (0, {})
    with pytest.raises(KeyError):
        made.remove(path)
    made.add(path, Route(ignore))
    assert len(made) == 1


@pytest.mark.parametrize("path", ["", "a", "*", "http://a/", "?/"])
def test_a_path_begins_with_a_slash(path: str) -> None:
    made = routes()
    with pytest.raises(ValueError, match="begins with /"):
        made.add(path, Route(ignore))
    assert len(made) == 0


@pytest.mark.parametrize("path", ["/a?b", "/?", "/a?/"])
@pytest.mark.parametrize("prefix", [False, True])
def test_a_query_chooses_no_handler(path: str, prefix: bool) -> None:
    """Who writes one into a path would wait for requests in vain."""
    made = routes()
    with pytest.raises(ValueError, match=r"no query|ends with /"):
        made.add(path, Route(ignore), prefix=prefix)
    assert len(made) == 0


@pytest.mark.parametrize(
    ("methods", "error", "told"),
    [
        ((), ValueError, "at least one method"),
        ([b"GET"], TypeError, r"expected methods as .*, got b'GET' among them"),
        ([None], TypeError, "got None among them"),
        (["GET", "A B"], ValueError, "token"),
    ],
)
def test_methods_that_are_none(methods: Iterable[Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        Route(ignore, methods=methods)


def test_the_general_route_may_be_replaced() -> None:
    made, second = routes("/a"), Route(ignore)
    made.general = second
    assert found(made, "/b") is second
    assert found(made, "/a") is not second


def test_a_route_takes_whole_bodies_of_any_length_unless_told_otherwise() -> None:
    assert (Route(ignore).stream, Route(ignore).max_body) == (False, None)
    route = Route(ignore, stream=True, max_body=5)
    assert (route.handler, route.stream, route.max_body) == (ignore, True, 5)


def test_not_found_answers_404() -> None:
    request, door = asked("/"), Door()
    request.connection, door.request = door, request
    not_found(request)
    assert [call[:3] for call in door.calls] == [("reply", 404, b"404 Not Found\n")]
