"""`evkit.http.client.options`: what is of a wrong type is told when it is given, in one way, with nothing begun."""

import inspect
import socket
import ssl
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.cookiejar import CookieJar as OtherJar
from typing import Any

import pytest

from evkit.core import EventBase
from evkit.http import Client, CookieJar, Proxy, ProxyRules, Redirects, Retries, RetryBudget
from evkit.http.client.body_stream import BodyStream
from evkit.http.client.credentials import Basic, Bearer
from evkit.http.client.options import CLIENT_OPTIONS, REQUEST_OPTIONS, UPGRADE_OPTIONS
from evkit.http.client.timeouts import ClientTimeouts
from http_client_aids import World


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


WRONG: dict[str, list[Any]] = {
    "headers": [None, 5, "a: b"],
    "timeouts": [5, 0, False, {"total": 5}],
    "redirects": [False, 3],
    "retries": [0, 3, True],
    "budget": [5, True],
    "proxies": [{"http": "http://user:secret@a"}, Proxy.at("http://a"), False],
    "cookies": [True, {}, OtherJar()],
    "auth": [("user", "secret"), "Bearer secret", Basic],
    "tls": [True, False, "secret.pem", ssl],
    "resolver": [5, "127.0.0.1", socket.getaddrinfo],
    "family": ["ipv4", None, True],
    "local": ["192.0.2.1", 5, ["192.0.2.1", 0]],
    "unix": [b"/run/app.sock", 5],
    "max_connections": ["5", 5.0, None, True],
    "max_per_host": ["5", None],
    "idle": ["5", True],
    "max_body": ["5", 5.0],
    "limits": [5, None],
    "decode": [1, None, "gzip"],
    "engine": [5, None, b"native"],
    "make_bufferevent": [None, 5],
}


def cases(wrong: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(name, value) for name, values in wrong.items() for value in values if value is not Basic]


@pytest.mark.parametrize(("name", "value"), cases(WRONG))
def test_of_a_client(base: EventBase, name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^expected {name} as .*, got {type(value).__name__}$") as caught:
        Client(base, **{name: value})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("base", [None, 5, EventBase])
def test_what_is_no_base(base: Any) -> None:
    with pytest.raises(TypeError, match=r"^expected base as an EventBase, got "):
        Client(base)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"family": 99}, "AF_INET6"),
        ({"family": socket.AF_UNIX}, "AF_INET6"),
        ({"local": ("example.org", 0)}, "IP address"),
        ({"local": ("192.0.2.1",)}, "expected"),
        ({"local": ("192.0.2.1", 0), "family": socket.AF_INET6}, "family asked for"),
        ({"local": ("192.0.2.1", 0), "unix": "/run/app.sock"}, "connect from"),
        ({"unix": ""}, "unix socket"),
        ({"max_connections": 0}, "1 or more"),
        ({"max_per_host": -1}, "1 or more"),
        ({"max_body": -1}, "-1"),
        ({"idle": -1.0}, "-1"),
        ({"engine": "none"}, "engines"),
        ({"proxies": "socks5://a"}, "http or https"),
        ({"tls": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, "PROTOCOL_TLS_SERVER"),
    ],
)
def test_values_of_a_client(base: EventBase, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Client(base, **options)


@pytest.mark.parametrize(
    "options",
    [
        {
            "headers": {},
            "timeouts": None,
            "redirects": None,
            "retries": None,
            "budget": None,
            "proxies": None,
        },
        {"headers": [("A", "b")], "budget": RetryBudget(), "proxies": ProxyRules(), "cookies": CookieJar()},
        {"headers": (pair for pair in [("A", "b")]), "auth": Bearer("token"), "family": socket.AF_INET},
        {"tls": ssl.create_default_context(), "local": ("127.0.0.1", 0), "idle": None, "max_body": None},
        {"tls": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "idle": 5, "unix": "/run/app.sock"},
    ],
)
def test_what_is_right(base: EventBase, options: dict[str, Any]) -> None:
    with Client(base, **options) as client:
        assert repr(client) == "<Client <Pool 0 connections, 0 free, 0 waiting>>"


REQUEST: dict[str, list[Any]] = {
    "method": [b"GET", None],
    "headers": [None, 5, "a: b"],
    "query": ["a=b", 5],
    "form": ["a=b", 5],
    "auth": [("user", "secret"), "Bearer secret"],
    "stream": [1, None],
    "follow": [5, None],
    "expect": ["yes"],
    "timeout": ["5", True],
    "on_interim": [5, "print"],
}
OPENED: dict[str, list[Any]] = {
    "headers": [None, 5],
    "opened": [None, 5],
    "auth": ["secret"],
    "timeout": ["5"],
}


@pytest.mark.parametrize(("name", "value"), cases(REQUEST))
def test_of_a_request(world: World, name: str, value: Any) -> None:
    options = {"method": "POST", "url": "http://a.test/", name: value}
    with pytest.raises(TypeError, match=f"^expected {name} as .*, got {type(value).__name__}$"):
        world.client.request(**options)
    assert world.names.asked == []


@pytest.mark.parametrize(("name", "value"), cases(OPENED))
def test_of_an_upgrade(world: World, name: str, value: Any) -> None:
    options = {"url": "http://a.test/", "headers": [], "opened": print, name: value}
    with pytest.raises(TypeError, match=f"^expected {name} as .*, got {type(value).__name__}$"):
        world.client.upgrade(**options)
    assert world.names.asked == []


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda response: response.receive(5, print), "on_data as a function"),
        (lambda response: response.receive(print, None), "on_end as a function"),
        (lambda response: response.save("name"), "file as a file that is open for writing"),
    ],
)
def test_of_a_body_in_pieces(world: World, ask: Callable[[Any], object], told: str) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    place.accept().answer(b"abc")
    response = world.result(future)
    with pytest.raises(TypeError, match=f"^expected {told}"):
        ask(response)
    assert world.result(world.watched(response.read())) == b"abc"  # it can still be received


@pytest.mark.parametrize(
    ("function", "kinds", "elsewhere"),
    [
        (Client.__init__, CLIENT_OPTIONS, {"self"}),
        (Client.request, REQUEST_OPTIONS, {"self", "url", "body", "json"}),
        (Client.upgrade, UPGRADE_OPTIONS, {"self", "url"}),
    ],
)
def test_no_option_is_forgotten(function: Callable[..., Any], kinds: Any, elsewhere: set[str]) -> None:
    assert set(inspect.signature(function).parameters) == set(kinds) | elsewhere


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ClientTimeouts(connect="5"), "connect as a number"),  # type: ignore[arg-type]  # the point
        (lambda: ClientTimeouts(total=True), "total as a number"),
        (lambda: Redirects(limit="3"), "limit as an int"),  # type: ignore[arg-type]  # the point
        (lambda: Redirects(downgrade=None), "downgrade as True"),  # type: ignore[arg-type]  # the point
        (lambda: Redirects(secrets="X-Key"), "secrets as several"),
        (lambda: Retries("3"), "attempts as an int"),  # type: ignore[arg-type]  # the point
        (lambda: Retries(backoff="1"), "backoff as a number"),  # type: ignore[arg-type]  # the point
        (lambda: Retries(methods="GET"), "methods as several"),
        (lambda: Retries(statuses=503), "statuses as several"),  # type: ignore[arg-type]  # the point
        (lambda: Retries(statuses={"503"}), "statuses as several"),  # type: ignore[arg-type]  # the point
        (lambda: RetryBudget("20"), "size as a number"),  # type: ignore[arg-type]  # the point
        (lambda: CookieJar(is_public=5), "is_public as a function"),  # type: ignore[arg-type]  # the point
        (lambda: CookieJar(max_cookies="5"), "max_cookies as an int"),  # type: ignore[arg-type]  # the point
        (lambda: Basic(5), "user as a str"),  # type: ignore[arg-type]  # the point
        (lambda: Basic("user", b"hush"), "password as a str"),  # type: ignore[arg-type]  # the point
        (lambda: Bearer(b"hush"), "token as a str"),  # type: ignore[arg-type]  # the point
        (lambda: ProxyRules("http://a"), "http as Proxy.at"),  # type: ignore[arg-type]  # the point
        (lambda: ProxyRules(bypass=["a"]), "bypass as a str"),  # type: ignore[arg-type]  # the point
        (lambda: Proxy.at(b"http://a"), "url as a str"),  # type: ignore[arg-type]  # the point
        (lambda: BodyStream("5"), "length as an int"),  # type: ignore[arg-type]  # the point
        (lambda: BodyStream().send("a", 5), "drained as a function"),  # type: ignore[arg-type]  # the point
    ],
)
def test_of_what_options_are_made_of(make: Callable[[], object], told: str) -> None:
    with pytest.raises(TypeError, match=f"^expected {told}") as caught:
        make()
    assert "hush" not in str(caught.value)


def test_statuses_with_names() -> None:
    assert Retries(statuses=[HTTPStatus.SERVICE_UNAVAILABLE]).statuses == {503}
