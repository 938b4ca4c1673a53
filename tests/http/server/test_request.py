"""`Request` with a connection that only writes down what it is told."""

import pytest

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.server.request import Request
from http_handlers import Door


def make(
    target: str = "/", method: str = "GET", *, minor: int = 1, raw: bytes = b"", host: str = "a"
) -> Request:
    door = Door()
    door.request = Request(method, target, minor, host, 0, True, False, raw)
    door.request.connection = door
    return door.request


def door_of(request: Request) -> Door:
    door = request.connection
    assert isinstance(door, Door)
    return door


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        ("/", "/", "/", ""),
        ("/a/b?c=d&e", "/a/b", "/a/b", "c=d&e"),
        ("/a%20b?c%20d", "/a%20b", "/a b", "c%20d"),
        ("/a+b", "/a+b", "/a+b", ""),
        ("/a?b?c", "/a", "/a", "b?c"),
        ("/?", "/", "/", ""),
        ("//b/", "//b/", "//b/", ""),
        ("/%zz%0", "/%zz%0", "/%zz%0", ""),
        ("/%C3%A9", "/%C3%A9", "/é", ""),
        ("/%ff", "/%ff", "/\udcff", ""),
        ("/%2e%2e/", "/%2e%2e/", "/../", ""),
        ("/a%3fb?c", "/a%3fb", "/a?b", "c"),
        ("*", "*", "*", ""),
        ("http://example.org", "/", "/", ""),
        ("http://example.org/", "/", "/", ""),
        ("http://example.org/a?b", "/a", "/a", "b"),
        ("http://example.org?b", "/", "/", "b"),
        ("http://example.org?b=/c", "/", "/", "b=/c"),
        ("HTTP://EXAMPLE.ORG:80/A", "/A", "/A", ""),
        ("/a?http://b/c", "/a", "/a", "http://b/c"),
        ("example.org:443", "example.org:443", "example.org:443", ""),
    ],
)
def test_the_parts_of_a_target(target: str, raw_path: str, path: str, query: str) -> None:
    request = make(target, "CONNECT" if target == "example.org:443" else "GET")
    assert (request.target, request.raw_path, request.path, request.query) == (target, raw_path, path, query)


def test_what_was_asked() -> None:
    request = make("/x", "PUT", minor=0, raw=b"X-A: 1\r\nx-a: 2\r\n", host="example.org:8080")
    assert (request.method, request.version, request.host) == ("PUT", (1, 0), "example.org:8080")
    assert request.headers.get_all("X-A") == ["1", "2"]
    assert request.body == b""
    assert not request.trailers
    assert not request.expect_continue


@pytest.mark.parametrize("body", [b"x", bytearray(b"x"), memoryview(b"x"), "x"])
def test_a_body_of_each_kind(body: bytes | str) -> None:
    request = make()
    request.send_reply(200, body, [("A", "b")])
    assert door_of(request).calls == [("reply", 200, b"x", [("A", "b")])]


def test_text_goes_out_as_utf_8() -> None:
    request = make()
    request.send_reply(200, "é€")
    assert door_of(request).calls == [("reply", 200, b"\xc3\xa9\xe2\x82\xac", [])]


def test_a_buffer_is_handed_on_itself() -> None:
    request, buffer = make(), Buffer()
    request.send_reply(200, buffer)
    assert door_of(request).calls[0][2] is buffer


@pytest.mark.parametrize("body", [None, 1, ["x"], {"x": "y"}])
def test_what_is_no_body_is_a_type_error(body: bytes) -> None:
    request = make()
    with pytest.raises(TypeError, match="a body is"):
        request.send_reply(200, body)
    assert door_of(request).calls == []


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 1000, -1])
def test_a_final_status_is_from_200_to_999(status: int) -> None:
    request = make()
    with pytest.raises(ValueError, match="final status"):
        request.send_reply(status)
    with pytest.raises(ValueError, match="final status"):
        request.send_reply_start(status)
    assert door_of(request).calls == []


def test_one_request_has_one_reply() -> None:
    request = make()
    request.send_reply(200)
    for again in (request.send_reply, request.send_reply_start, request.send_error):
        with pytest.raises(LocalProtocolError, match="answered before, with 200"):
            again(500)
    assert len(door_of(request).calls) == 1


def test_a_reply_in_pieces() -> None:
    request = make()
    request.send_reply_start(200, [("A", "b")])
    request.send_reply_chunk("é")
    request.send_reply_end()
    assert door_of(request).calls == [("start", 200, [("A", "b")]), ("piece", b"\xc3\xa9"), ("end", [])]


@pytest.mark.parametrize(
    ("message", "text"), [("", b"404 Not Found\n"), ("no such page", b"404 Not Found: no such page\n")]
)
def test_an_error_is_a_line_of_text(message: str, text: bytes) -> None:
    request = make()
    request.send_error(404, message)
    fields = [("Content-Type", "text/plain; charset=utf-8")]
    assert door_of(request).calls == [("reply", 404, text, fields)]


def test_a_request_whose_client_has_gone_takes_a_reply_and_drops_it() -> None:
    request = make()
    door = door_of(request)
    request.connection = None
    assert request.gone
    request.send_reply_start(200)
    request.send_reply_chunk(b"x")
    request.send_reply_end()
    request.receive(lambda *_: None, lambda *_: None)
    assert door.calls == []


def test_a_body_is_received_once() -> None:
    request = make()
    request.receive(lambda *_: None, lambda *_: None)
    with pytest.raises(LocalProtocolError, match="called before"):
        request.receive(lambda *_: None, lambda *_: None)
    assert door_of(request).calls == [("invite",)]


def test_repr_tells_the_state() -> None:
    request = make("/a")
    assert repr(request) == "<Request GET /a unanswered>"
    request.send_reply(204)
    request.connection = None
    assert repr(request) == "<Request GET /a status=204 gone>"
