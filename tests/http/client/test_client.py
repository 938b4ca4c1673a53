"""`evkit.http.client.client`: every option of a request and of a client, and what goes out and comes back for it."""

import asyncio
import gzip
import io
import json
import math
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from evkit.core import EventBase, SocketBufferEvent
from evkit.errors import LocalProtocolError
from evkit.http import (
    Basic,
    Bearer,
    Client,
    ClientTimeouts,
    CookieJar,
    Limits,
    Redirects,
    Retries,
    StatusError,
    Uri,
)
from evkit.http.errors import BadResponse, ContentTooLarge, RedirectError
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from http_client_aids import Wire, World, in_chunks, reply
from http_server_aids import served


@pytest.fixture(name="world")
def make_world() -> Iterator[World]:
    with World() as world:
        yield world


def sent(world: World, future: Any, body: int = 0) -> tuple[bytes, dict[str, list[str]], bytes]:
    """Return the request line, the fields and the body that went out to the only place, and answer."""
    place = world.places[-1]
    wire = place.accept() if place.waiting() else world.wires[-1]
    line, *fields = wire.head().rstrip(b"\r\n").decode("latin-1").split("\r\n")
    found: dict[str, list[str]] = {}
    for field in fields:
        name, value = field.split(": ", 1)
        found.setdefault(name, []).append(value)
    content = wire.body(body) if body else b""
    wire.send(reply(b"answer"))
    assert world.result(future).body == b"answer"
    assert not wire.rest
    return line.encode(), found, content


# Against a real server, on every backend


def echo(request: Request) -> None:
    fields = [("X-Method", request.method), ("X-Target", request.target)]
    request.send_reply(200, request.body or b"", fields)


def test_a_client_and_a_server_on_one_base(base: EventBase) -> None:
    server = Server(base)
    server.set_gencb(echo)
    listener = server.bind("127.0.0.1", 0)
    with Client(base) as client:
        response = client.post(f"http://{listener.address}/path?a=b", b"hello").result(10)
        assert response.status == 200
        assert response.body == b"hello"
        assert response.headers["X-Method"] == "POST"
        assert response.headers["X-Target"] == "/path?a=b"
    server.close()


@pytest.mark.parametrize("engine", ["native", "h11"])
def test_each_method(engine: str) -> None:
    with (
        served(lambda server: server.set_gencb(echo)) as there,
        EventBase() as base,
        Client(base, engine=engine) as client,
    ):
        for method in ("get", "head", "options", "delete", "post", "put", "patch"):
            response = getattr(client, method)(f"{there.url}/x").result(10)
            assert (response.status, response.headers["X-Method"]) == (200, method.upper())
            assert response.method == method.upper()
        assert client.request("PROPFIND", f"{there.url}/x", b"<a/>").result(10).body == b"<a/>"


def test_from_another_thread_and_by_callback(base: EventBase) -> None:
    with served(lambda server: server.set_gencb(echo)) as there, Client(base) as client:
        heard: list[int] = []
        futures = [client.get(there.url) for _ in range(3)]
        for future in futures:
            future.add_done_callback(lambda future: heard.append(future.result().status))
        waited: list[int] = []
        thread = threading.Thread(target=lambda: waited.append(futures[0].result(20).status))
        thread.start()
        while thread.is_alive() or len(heard) < 3:
            base.loop(0x01 | 0x02)  # EVLOOP_ONCE | EVLOOP_NONBLOCK
        thread.join()
        assert (heard, waited) == ([200] * 3, [200])


# The URL


@pytest.mark.parametrize(
    ("url", "target", "host"),
    [
        ("http://a.test:{}", "/", "a.test:{}"),
        ("http://A.test:{}/Path/", "/Path/", "a.test:{}"),
        ("http://a.test:{}?q", "/?q", "a.test:{}"),
        ("http://a.test:{}/a%2fb?x=%20#fragment", "/a%2fb?x=%20", "a.test:{}"),
        ("http://a.test:{}/ä?ö", "/%C3%A4?%C3%B6", "a.test:{}"),
        ("http://user:pw@a.test:{}/", "/", "a.test:{}"),
    ],
)
def test_urls(world: World, url: str, target: str, host: str) -> None:
    place = world.place()
    line, fields, _ = sent(world, world.get(url.format(place.port)))
    assert line == f"GET {target} HTTP/1.1".encode()
    assert fields["Host"] == [host.format(place.port)]


def test_a_url_as_uri(world: World) -> None:
    place = world.place()
    line, _, _ = sent(world, world.get(Uri.parse(place.url + "/a")))
    assert line == b"GET /a HTTP/1.1"


@pytest.mark.parametrize(
    "url",
    ["", "a.test/", "/path", "ftp://a.test/", "http://", "http:///path", "http://a.test:99999/", "http://a.test:0/",
     "http://a b/", "http://[::1/", "http://1.2.3/", "http://a.test:x/", "http://" + "a" * 300 + "/"],
)  # fmt: skip
def test_what_is_no_url(world: World, url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        world.client.get(url)


@pytest.mark.parametrize("evil", ["\r\n", "\n", "\0", " HTTP/1.1\r\nX: y\r\n\r\n", "\x7f", "\ud800"])
@pytest.mark.parametrize(
    "where", ["http://a.test/{}", "http://a.test/?{}", "http://a{}.test/", "http://u{}@a.test/"]
)
def test_nothing_can_be_smuggled_in_by_a_url(world: World, where: str, evil: str) -> None:
    place = world.place()
    url = where.format(evil).replace("a.test/", f"a.test:{place.port}/")
    try:
        future = world.get(url)
    except ValueError:
        return
    if not place.waiting():
        world.error(future)
        return
    wire = place.accept()
    head = wire.head()
    assert head.count(b"\r\n\r\n") == 1
    assert head.count(b"HTTP/1.1") <= 2
    assert evil.encode("utf-8", "surrogatepass") not in head.replace(b"\r\n", b"")
    assert all(line[:1].isalpha() for line in head.split(b"\r\n")[:-2])
    assert wire.rest == b""
    wire.send(reply())
    world.result(future)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"a": "b c", "d": 5}, [("a", "b c"), ("d", "5")]),
        ([("a", 1), ("a", 2)], [("a", "1"), ("a", "2")]),
        ({"a": [1, "ä"]}, [("a", "1"), ("a", "ä")]),
        ({"a": "&=\r\n?#"}, [("a", "&=\r\n?#")]),
    ],
)
@pytest.mark.parametrize("before", ["", "?x=y"])
def test_query(world: World, query: Any, expected: list[tuple[str, str]], before: str) -> None:
    place = world.place()
    line, _, _ = sent(world, world.get(f"{place.url}/p{before}", query=query))
    target = line.split(b" ")[1].decode()
    assert target.startswith("/p?")
    assert parse_qsl(target.partition("?")[2]) == [*([("x", "y")] if before else []), *expected]


@pytest.mark.parametrize("query", [{}, [], None])
def test_no_query(world: World, query: Any) -> None:
    place = world.place()
    line, _, _ = sent(world, world.get(f"{place.url}/p", query=query))
    assert line == b"GET /p HTTP/1.1"


# The fields


def test_standard_fields(world: World) -> None:
    world.place()
    _, fields, _ = sent(world, world.get(world.places[0].url))
    assert fields["User-Agent"] == ["evkit"]
    assert fields["Accept"] == ["*/*"]
    assert fields["Accept-Encoding"][0].startswith("gzip, deflate")
    assert "Content-Length" not in fields
    assert "Connection" not in fields


@pytest.mark.parametrize("kind", [list, tuple, dict, iter])
def test_fields_of_a_request(world: World, kind: Callable[[Any], Any]) -> None:
    """Also with a body, for whose length they are asked, too."""
    place = world.place()
    fields = kind([("X-A", "1"), ("accept", "text/plain"), ("Content-Length", "3")])
    _, found, body = sent(world, world.ask("POST", place.url, iter([b"abc"]), headers=fields), 3)
    assert found["X-A"] == ["1"]
    assert found["accept"] == ["text/plain"]
    assert "Accept" not in found
    assert found["Content-Length"] == ["3"]
    assert body == b"abc"


def test_fields_of_a_client() -> None:
    with World(headers=[("User-Agent", "mine"), ("X-Key", "k")]) as world:
        world.place()
        _, found, _ = sent(world, world.get(world.places[0].url))
        assert (found["User-Agent"], found["X-Key"], found["Accept"]) == (["mine"], ["k"], ["*/*"])
        _, found, _ = sent(world, world.get(world.places[0].url, headers={"x-key": "other"}))
        assert found["x-key"] == ["other"]
        assert "X-Key" not in found


@pytest.mark.parametrize(
    "pair",
    [("X", "a\r\nY: b"), ("X\r\nY", "a"), ("X", "a\0"), ("", "a"), ("X:", "a"), ("X", "a\n"), ("X", "€")],
)
def test_nothing_can_be_smuggled_in_by_a_field(world: World, pair: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError):
        world.client.get("http://a.test/", headers=[pair])
    with pytest.raises(LocalProtocolError), EventBase() as base:
        Client(base, headers=[pair])
    assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize(
    "fields",
    [
        [("Transfer-Encoding", "gzip")],
        [("Content-Length", "5")],
        [("Content-Length", "-1")],
        [("Content-Length", "3"), ("Content-Length", "3")],
        [("Transfer-Encoding", "chunked")],
        [("Expect", "magic")],
        [("Host", "a b")],
        [("Host", "a"), ("Host", "b")],
        [("Proxy-Authorization", "secret")],
    ],
)
def test_fields_that_contradict_the_body(world: World, fields: list[tuple[str, str]]) -> None:
    with pytest.raises(LocalProtocolError):
        world.client.post("http://a.test/", b"abc", headers=fields)


@pytest.mark.parametrize("headers", [[("a", 5)], ["ab"], [b"a"], 5, [("a", "b", "c")]])
def test_fields_that_are_none(world: World, headers: Any) -> None:
    with pytest.raises(TypeError):
        world.client.get("http://a.test/", headers=headers)


@pytest.mark.parametrize("method", ["", "GET ", "GE T", "GET\r\n", "CONNECT", "G" * 100, "Gät"])
def test_what_is_no_method(world: World, method: str) -> None:
    with pytest.raises(LocalProtocolError):
        world.client.request(method, "http://a.test/")


# The body


@pytest.mark.parametrize(
    ("body", "size"),
    [(b"hello", 5), ("ä", 2), (bytearray(b"x"), 1), (memoryview(b"xy"), 2), (io.BytesIO(b"abc"), -1)],
)
def test_bodies(world: World, body: Any, size: int) -> None:
    place = world.place()
    expected = {-1: b"3\r\nabc\r\n0\r\n\r\n"}.get(size) or (
        body.encode() if isinstance(body, str) else bytes(body)
    )
    _, found, came = sent(world, world.ask("POST", place.url, body), len(expected))
    assert came == expected
    if size < 0:
        assert found["Transfer-Encoding"] == ["chunked"]
    else:
        assert found["Content-Length"] == [str(size)]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_no_body(world: World, method: str) -> None:
    place = world.place()
    _, found, _ = sent(world, world.ask(method, place.url))
    assert found["Content-Length"] == ["0"]


def test_a_file(world: World, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    place = world.place()
    with open(path, "rb") as file:
        file.seek(4)
        _, found, came = sent(world, world.ask("PUT", place.url, file), 6)
    assert (found["Content-Length"], came) == (["6"], b"456789")


@pytest.mark.parametrize("value", [None, {"a": [1, "ä"]}, "text", 0, False])
def test_json(world: World, value: Any) -> None:
    place = world.place()
    expected = json.dumps(value).encode()
    _, found, came = sent(world, world.ask("POST", place.url, json=value), len(expected))
    assert json.loads(came) == value
    assert found["Content-Type"] == ["application/json"]


def test_json_of_another_type(world: World) -> None:
    place = world.place()
    fields = [("content-type", "application/problem+json")]
    _, found, _ = sent(world, world.ask("POST", place.url, json={}, headers=fields), 2)
    assert found["content-type"] == ["application/problem+json"]
    assert "Content-Type" not in found


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"])
def test_what_is_no_json(world: World, value: Any) -> None:
    with pytest.raises(TypeError, match="JSON"):
        world.client.post("http://a.test/", json=value)


def test_form(world: World) -> None:
    place = world.place()
    form = {"a": "b c", "d": ["1", "2"], "e": "ä&="}
    expected = b"a=b+c&d=1&d=2&e=%C3%A4%26%3D"
    _, found, came = sent(world, world.ask("POST", place.url, form=form), len(expected))
    assert came == expected
    assert found["Content-Type"] == ["application/x-www-form-urlencoded"]


@pytest.mark.parametrize(
    "options", [{"json": 1, "form": {}}, {"body": b"", "json": None}, {"body": b"a", "form": {"a": "b"}}]
)
def test_two_bodies(world: World, options: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="one of"):
        world.client.request("POST", "http://a.test/", **options)


def test_expect_without_a_body(world: World) -> None:
    with pytest.raises(LocalProtocolError, match="Expect"):
        world.client.get("http://a.test/", expect=True)


def test_trace_has_no_body(world: World) -> None:
    with pytest.raises(LocalProtocolError, match="TRACE"):
        world.client.request("TRACE", "http://a.test/", b"abc")


# Credentials


def authorization(world: World, url: str, **options: Any) -> list[str] | None:
    _, found, _ = sent(world, world.get(url, **options))
    return found.get("Authorization")


def test_credentials() -> None:
    with World(auth=Basic("user", "pässword")) as world:
        place = world.place()
        assert authorization(world, place.url) == ["Basic dXNlcjpww6Rzc3dvcmQ="]
        assert authorization(world, place.url, auth=Bearer("abc")) == ["Bearer abc"]
        assert authorization(world, f"http://other:x%20y@127.0.0.1:{place.port}/") == ["Basic b3RoZXI6eCB5"]
        assert authorization(world, place.url, headers=[("Authorization", "Own x")]) == ["Own x"]


def test_no_credentials(world: World) -> None:
    place = world.place()
    assert authorization(world, place.url) is None


# Redirects


def moved(world: World, wire: Wire, location: str, status: int = 302, *fields: str) -> None:
    wire.head()
    wire.send(reply(b"moved", f"Location: {location}", *fields, status=status))


def test_redirects_are_followed(world: World) -> None:
    place = world.place()
    future = world.get(place.url + "/1#part")
    wire = place.accept()
    moved(world, wire, "/2")
    moved(world, wire, "3?q")
    assert wire.answer(b"there") == b"GET /3?q HTTP/1.1"
    response = world.result(future)
    assert response.body == b"there"
    assert response.url == f"{place.url}/3?q"
    assert [(each.status, each.url) for each in response.history] == [
        (302, f"{place.url}/1"),
        (302, f"{place.url}/2"),
    ]
    assert [len(each.history) for each in response.history] == [0, 1]


def test_redirects_that_are_not_wanted(world: World) -> None:
    place = world.place()
    future = world.get(place.url, follow=False)
    moved(world, place.accept(), "/2")
    response = world.result(future)
    assert (response.status, response.body, response.headers["Location"]) == (302, b"moved", "/2")


@pytest.mark.parametrize(
    ("status", "method", "after"),
    [(301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (303, "PUT", "GET"), (307, "POST", "POST"),
     (308, "PUT", "PUT"), (301, "PUT", "PUT"), (303, "HEAD", "HEAD")],
)  # fmt: skip
def test_methods_and_bodies_of_redirects(world: World, status: int, method: str, after: str) -> None:
    place = world.place()
    body = None if method == "HEAD" else b"hello"
    future = world.ask(method, place.url, body)
    wire = place.accept()
    wire.head()
    wire.body(5 if body else 0)
    wire.send(reply(b"" if method == "HEAD" else b"moved", "Location: /2", status=status))
    head = wire.head()
    assert head.startswith(f"{after} /2 HTTP/1.1\r\n".encode())
    assert (b"Content-Length: 5\r\n" in head) == (body is not None and after == method)
    if body is not None and after == method:
        assert wire.body(5) == b"hello"
    wire.send(reply())
    assert world.result(future).method == after


def test_a_body_that_can_t_be_sent_again(world: World) -> None:
    place = world.place()
    future = world.ask("POST", place.url, iter([b"abc"]))
    wire = place.accept()
    wire.head()
    wire.body(len(b"3\r\nabc\r\n0\r\n\r\n"))
    wire.send(reply(b"", "Location: /2", status=307))
    assert isinstance(world.error(future), RedirectError)


def test_secrets_stay_with_their_origin() -> None:
    """Whether they come from the client, from the request, or from the URL, and also on the way back."""
    secret = [("X-Api-Key", "k"), ("Cookie", "own=1"), ("X-Plain", "p")]
    with World(
        auth=Basic("user", "password"), redirects=Redirects(secrets=["X-Api-Key"]), cookies=CookieJar()
    ) as world:
        place, other = world.place(), world.place()
        future = world.get(place.named("a.test"), headers=secret)
        wire = place.accept()
        head = wire.head()
        assert b"Authorization: Basic " in head
        assert b"X-Api-Key: k" in head
        wire.send(reply(b"", f"Location: {other.named('a.test')}/x", "Set-Cookie: sid=5", status=302))
        wire = other.accept()
        head = wire.head()
        for gone in (b"Authorization", b"X-Api-Key", b"own=1"):
            assert gone not in head
        assert b"X-Plain: p" in head
        wire.send(reply(b"", f"Location: {place.named('b.test')}/y", status=302))
        wire = place.accept()
        head = wire.head()
        for gone in (b"Authorization", b"X-Api-Key", b"Cookie"):
            assert gone not in head
        wire.send(reply())
        world.result(future)


def test_a_url_with_a_password_keeps_it_to_its_origin(world: World) -> None:
    place = world.place()
    future = world.get(place.named("user:pw@a.test"))
    wire = place.accept()
    assert b"Authorization: Basic " in wire.head()
    wire.send(reply(b"", f"Location: {place.named('b.test')}", status=302))
    wire = place.accept()
    head = wire.head()
    assert b"Authorization" not in head
    assert b"Referer" not in head
    wire.send(reply())
    assert "pw" not in repr(world.result(future).history)


@pytest.mark.parametrize(
    ("location", "limit"),
    [("/", 10), ("{}/%d", 3), ("ftp://a.test/", 10), ("http://", 10), ("http://a b/", 10)],
)
def test_redirects_that_are_refused(location: str, limit: int) -> None:
    with World(redirects=Redirects(limit=limit)) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        for number in range(20):
            if future.done():
                break
            target = location.format(place.url) % number if "%d" in location else location.format(place.url)
            moved(world, wire, target)
        assert isinstance(world.error(future), RedirectError)
        assert future.exception(0).status == 302  # type: ignore[union-attr]  # just seen


@pytest.mark.parametrize("size", [65536, 65537, 500_000])
@pytest.mark.parametrize("chunked", [True, False])
def test_the_body_of_a_redirect_is_skipped_or_cut(world: World, size: int, chunked: bool) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    body = bytes(size)
    raw = (
        in_chunks(
            *[body[at : at + 5000] for at in range(0, size, 5000)], fields=("Location: /2",), status=302
        )
        if chunked
        else reply(body, "Location: /2", status=302)
    )
    try:
        wire.send(raw)
    except ConnectionError:
        assert size > 65536
    kept = size <= 65536
    if not kept:
        wire = place.accept()
    assert wire.answer(b"there") == b"GET /2 HTTP/1.1"
    assert world.result(future).body == b"there"


# Retries


def stale(world: World, method: str, body: Any = None) -> tuple[Any, Any]:
    """Ask on a connection that the server resets at the same time."""
    place = world.place()
    first = world.get(place.url)
    wire = place.accept()
    wire.answer()
    world.result(first)
    future = world.ask(method, place.url, body)
    wire.head()
    wire.reset()
    return place, future


@pytest.mark.parametrize(
    ("method", "body"), [("GET", None), ("HEAD", None), ("PUT", b"abc"), ("PUT", [b"abc"]), ("DELETE", None)]
)
def test_a_stale_connection(world: World, method: str, body: Any) -> None:
    place, future = stale(world, method, body)
    wire = place.accept()
    assert wire.head().startswith(method.encode())
    if body is not None:
        assert b"abc" in wire.body(3 if isinstance(body, bytes) else 13)
    wire.send(reply())
    assert world.result(future).status == 200


@pytest.mark.parametrize(("method", "body"), [("POST", b"abc"), ("PATCH", b"abc"), ("PUT", iter([b"abc"]))])
def test_a_stale_connection_and_what_must_not_be_repeated(world: World, method: str, body: Any) -> None:
    place, future = stale(world, method, body)
    world.error(future)
    assert not place.waiting()


def test_a_stale_connection_is_tried_again_once(world: World) -> None:
    place, future = stale(world, "GET")
    place.accept().reset()
    world.error(future)
    assert not place.waiting()


def test_a_part_of_an_answer_is_never_asked_for_again() -> None:
    with World(retries=Retries(5, unanswered=True, backoff=0.0)) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.head()
        wire.send(reply(b"abc")[:-1])
        wire.reset()
        world.error(future)
        assert not place.waiting()


def test_busy_servers_are_asked_again() -> None:
    """On the same connection, which has done nothing wrong."""
    with World(retries=Retries(3, statuses=[503], backoff=0.0)) as world:
        place = world.place()
        future = world.ask("PUT", place.url, b"abc")
        wire = place.accept()
        for _ in range(2):
            wire.head()
            assert wire.body(3) == b"abc"
            wire.send(reply(b"busy", "Retry-After: 2", status=503))
            world.wait(1.9)
            assert wire.silent()
            world.wait(0.2)
        wire.head()
        assert wire.body(3) == b"abc"
        wire.send(reply(b"still busy", status=503))
        response = world.result(future)
        assert (response.status, response.body) == (503, b"still busy")


def test_errors_say_what_was_tried() -> None:
    with World(retries=Retries(2, unanswered=True, backoff=0.0)) as world:
        place = world.place()
        future = world.get(f"http://user:secret@127.0.0.1:{place.port}/1?q=secret")
        moved(world, place.accept(), "/2")
        world.wires[-1].head()
        world.wires[-1].reset()
        for _ in range(5):
            if place.waiting():
                place.accept().reset()
        error = world.error(future)
        (note,) = error.__notes__
        assert note.startswith(f"GET http://127.0.0.1:{place.port}/2, attempt ")
        assert note.endswith(", after 1 redirects")


# Cookies


def test_cookies_are_kept() -> None:
    jar = CookieJar()
    with World(cookies=jar) as world:
        place = world.place()
        first = world.get(place.named("a.test") + "/")
        wire = place.accept()
        wire.answer(
            b"", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/", "Set-Cookie: gone=1; Max-Age=0"
        )
        world.result(first)
        second = world.get(place.named("a.test"), headers=[("X-A", "b")])
        head = wire.head()
        assert b"Cookie: a=1; b=2\r\n" in head
        wire.send(reply())
        world.result(second)
        other = world.get(place.named("b.test"))
        wire = place.accept()
        assert b"Cookie" not in wire.head()
        wire.send(reply())
        world.result(other)


def test_cookies_of_a_redirect_go_along() -> None:
    with World(cookies=CookieJar()) as world:
        place = world.place()
        future = world.get(place.named("a.test"))
        wire = place.accept()
        moved(world, wire, "/", 302, "Set-Cookie: seen=1")
        assert b"Cookie: seen=1\r\n" in wire.head()
        wire.send(reply())
        world.result(future)


def test_no_cookies_without_a_jar(world: World) -> None:
    place = world.place()
    first = world.get(place.url)
    wire = place.accept()
    wire.answer(b"", "Set-Cookie: a=1")
    world.result(first)
    second = world.get(place.url)
    assert b"Cookie" not in wire.head()
    wire.send(reply())
    world.result(second)


# What comes back


@pytest.mark.parametrize(
    "raw", [reply(bytes(11)), in_chunks(bytes(6), bytes(5)), b"HTTP/1.1 200 R\r\n\r\n" + bytes(11)]
)
def test_max_body(raw: bytes) -> None:
    with World(max_body=10) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.head()
        wire.send(raw)
        assert isinstance(world.error(future), ContentTooLarge)
        assert wire.closed()


@pytest.mark.parametrize("raw", [reply(bytes(10)), in_chunks(bytes(6), bytes(4))])
def test_max_body_is_just_allowed(raw: bytes) -> None:
    with World(max_body=10) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.head()
        wire.send(raw)
        assert world.result(future).body == bytes(10)


def coded(content: bytes, chunked: bool = False) -> bytes:
    data = gzip.compress(content)
    if chunked:
        return in_chunks(data[:5], data[5:], fields=("Content-Encoding: gzip",))
    return reply(data, "Content-Encoding: gzip")


@pytest.mark.parametrize("chunked", [True, False])
def test_content_is_decoded(world: World, chunked: bool) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    wire.head()
    wire.send(coded(b"hello" * 1000, chunked))
    assert world.result(future).body == b"hello" * 1000


@pytest.mark.parametrize("chunked", [True, False])
def test_max_body_counts_what_is_decoded(chunked: bool) -> None:
    with World(max_body=1000) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.head()
        wire.send(coded(bytes(1001), chunked))
        assert isinstance(world.error(future), ContentTooLarge)
        noise = random.Random(5).randbytes(1000)  # its gzip is longer than 1000
        future = world.get(place.url)
        wire = place.accept() if place.waiting() else wire
        wire.head()
        wire.send(coded(noise, chunked))
        assert world.result(future).body == noise


def test_content_that_is_not_to_be_decoded() -> None:
    with World(decode=False) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        assert b"Accept-Encoding" not in wire.head()
        wire.send(coded(b"hello"))
        assert gzip.decompress(world.result(future).body) == b"hello"


def test_the_answer_to_head_is_not_decoded(world: World) -> None:
    place = world.place()
    future = world.ask("HEAD", place.url)
    wire = place.accept()
    wire.head()
    wire.send(b"HTTP/1.1 200 R\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n")
    assert world.result(future).status == 200


def test_limits() -> None:
    with World(limits=Limits(max_head=100)) as world:
        place = world.place()
        future = world.get(place.url)
        wire = place.accept()
        wire.head()
        wire.send(reply(b"", "X: " + "y" * 100))
        assert isinstance(world.error(future), BadResponse)


def test_statuses_are_no_errors_until_asked(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    place.accept().answer(b"nothing here", status=404)
    response = world.result(future)
    assert not response.ok
    with pytest.raises(StatusError):
        response.raise_for_status()


# Streams


def test_a_stream_waits_for_who_receives(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.head()
    wire.send(reply(bytes(64 << 20))[:200])
    response = world.result(future)
    assert (response.status, response.body) == (200, b"")
    sent = 0
    idle = 0
    while idle < 100:
        try:
            sent += wire.socket.send(bytes(1 << 20))
            idle = 0
        except BlockingIOError:
            idle += 1
        world.turn()
    assert sent < 32 << 20  # what the system's buffers hold
    response.close()
    assert wire.closed()
    assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("gzipped", [True, False])
def test_save(world: World, tmp_path: Path, gzipped: bool) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    content = bytes(range(256)) * 4000
    wire.head()
    sending = [coded(content) if gzipped else reply(content)]
    response_head, _, rest = sending[0].partition(b"\r\n\r\n")
    wire.send(response_head + b"\r\n\r\n")
    response = world.result(future)
    with open(tmp_path / "saved", "wb") as file:
        saved = world.watched(response.save(file))
        wire.send(rest)
        assert world.result(saved) == len(content)
    assert (tmp_path / "saved").read_bytes() == content
    assert world.pool == "1 connections, 1 free, 0 waiting"


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_stream_without_a_body_holds_nothing(world: World, method: str) -> None:
    place = world.place()
    future = world.ask(method, place.url, stream=True)
    place.accept().answer(b"")
    response = world.result(future)
    assert world.pool == "1 connections, 1 free, 0 waiting"
    assert world.result(response.read()) == b""


def test_a_stream_that_breaks_off(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    wire.head()
    wire.send(reply(b"hello")[:-1])
    response = world.result(future)
    got = world.watched(response.read())
    world.settle()
    wire.close()
    error = world.error(got)
    assert isinstance(error, BadResponse)
    assert error.__notes__ == [f"GET {place.url}/"]


def test_a_stream_follows_redirects(world: World) -> None:
    place = world.place()
    future = world.get(place.url, stream=True)
    wire = place.accept()
    moved(world, wire, "/2")
    wire.answer(b"there")
    assert world.result(world.result(future).read()) == b"there"


# The client's own end


def test_a_closed_client(world: World) -> None:
    world.client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        world.client.get("http://a.test/")
    with pytest.raises(LocalProtocolError, match="closed"):
        world.client.upgrade("http://a.test/", [], lambda response, bev: None)
    assert repr(world.client) == "<Client closed>"


def test_cancelling(world: World) -> None:
    place = world.place()
    future = world.get(place.url)
    wire = place.accept()
    assert future.cancel()
    assert wire.closed()
    with pytest.raises(asyncio.CancelledError):
        future.result(0)


@pytest.mark.parametrize("timeout", [-1.0, math.nan, math.inf])
def test_a_timeout_that_is_none(world: World, timeout: float) -> None:
    with pytest.raises(ValueError, match=r"time-out|timeout|seconds"):
        world.client.get("http://a.test/", timeout=timeout)
    assert world.pool == "0 connections, 0 free, 0 waiting"


@pytest.mark.parametrize("timeout", ["soon", object()])
def test_a_timeout_of_another_type(world: World, timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        world.client.get("http://a.test/", timeout=timeout)


@pytest.mark.parametrize("method", [b"GET", None])
def test_a_method_of_another_type(world: World, method: Any) -> None:
    with pytest.raises(TypeError, match="method"):
        world.client.request(method, "http://a.test/")


@pytest.mark.parametrize("url", [b"http://a.test/", None, 5])
def test_a_url_of_another_type(world: World, url: Any) -> None:
    for ask in (world.client.get, world.client.post):
        with pytest.raises(TypeError, match="URL"):
            ask(url)


def test_a_url_with_a_unix_socket(world: World) -> None:
    with pytest.raises(ValueError, match="unix="):
        world.client.get(Uri.parse("http://unix:/run/a.sock:/", unix_socket=True))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:sec ret@a.test/",
        "http://user:sec/ret@a.test/",
        "http://user:sec[ret@a.test/",
        "http://user:x@secret@a.test/",
        "http://user:sec@ret:99999/",
    ],
)
def test_what_is_wrong_with_a_password_is_not_shown(world: World, url: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a URL") as caught:
        world.client.get(url)
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


@pytest.mark.parametrize("auth", [("user", "secret"), "Bearer secret"])
def test_credentials_of_another_type(world: World, auth: Any) -> None:
    with pytest.raises(TypeError, match=r"Basic\(") as caught:
        world.client.get("http://a.test/", auth=auth)
    assert "secret" not in str(caught.value)


def test_credentials_that_fail(world: World) -> None:
    class Token:
        @property
        def authorization(self) -> str:
            return self.missing  # type: ignore[attr-defined,no-any-return]  # that is the point

    with pytest.raises(AttributeError, match="missing"):
        world.client.get("http://a.test/", auth=Token())


@pytest.mark.parametrize(
    "pair", [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Proxy-Authorization", "secret")]
)
def test_fields_that_no_client_can_have(base: EventBase, pair: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Client(base, headers=[pair])
    assert "secret" not in str(caught.value)


def test_a_bufferevent_of_one_s_own(base: EventBase) -> None:
    made: list[SocketBufferEvent] = []

    def make(base: EventBase) -> SocketBufferEvent:
        made.append(SocketBufferEvent(base))
        return made[-1]

    with (
        served(lambda server: server.set_gencb(echo)) as there,
        Client(base, make_bufferevent=make, timeouts=ClientTimeouts(total=None)) as client,
    ):
        assert client.get(there.url).result(10).status == 200
        assert len(made) == 1
