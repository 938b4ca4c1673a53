"""`evkit.http.client.response`: what a program reads of an answer."""

import codecs
import encodings.aliases
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.core import Buffer
from evkit.errors import LocalProtocolError
from evkit.http.client.origin import parse_url
from evkit.http.client.redirects import Step
from evkit.http.client.response import Response
from evkit.http.errors import StatusError
from evkit.http.parser import ResponseHead, make_response_engine


def response(body: bytes = b"", *fields: str, status: int = 200, url: str = "http://a.test/") -> Response:
    head = make_response_engine("native")
    source = Buffer()
    source.add("\r\n".join([f"HTTP/1.1 {status} Some Reason", *fields, "", ""]).encode("latin-1"))
    parsed = head.read_head(source, "GET")
    assert parsed is not None
    made = Response(parsed, Step("GET", parse_url(url)), ())
    made.body = body
    return made


def text(body: bytes, content_type: str | None) -> str:
    return response(body, *([] if content_type is None else [f"Content-Type: {content_type}"])).text


def test_what_the_head_says() -> None:
    found = response(b"abc", "X-Name: a", "x-name: b", status=404)
    assert (found.status, found.reason, found.version, found.method) == (404, "Some Reason", (1, 1), "GET")
    assert found.headers.get_all("X-Name") == ["a", "b"]
    assert found.body == b"abc"
    assert found.trailers == ()
    assert found.history == ()


def test_http_1_0() -> None:
    assert Response(
        ResponseHead(200, "", 0, 0, False, b""), Step("GET", parse_url("http://a/")), ()
    ).version == (1, 0)


def test_the_url_has_no_secrets_and_no_fragment() -> None:
    found = response(url="http://user:password@a.test:8080/path?query=1#fragment")
    assert found.url == "http://a.test:8080/path?query=1"
    assert "password" not in repr(found)


def test_repr() -> None:
    assert repr(response(b"abc", status=404)) == "<Response 404 GET http://a.test/ 3 bytes>"


@pytest.mark.parametrize(
    ("status", "ok"), [(200, True), (304, True), (399, True), (400, False), (503, False)]
)
def test_ok(status: int, ok: bool) -> None:
    found = response(status=status)
    assert found.ok is ok
    if ok:
        found.raise_for_status()
        return
    with pytest.raises(StatusError, match=f"{status} Some Reason for GET http://a.test/") as caught:
        found.raise_for_status()
    assert caught.value.response is found


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (None, "ä€".encode(), "ä€"),
        ("text/plain", "ä€".encode(), "ä€"),
        ("text/plain; charset=iso-8859-1", b"\xe4", "ä"),
        ('text/plain; format=flowed; CHARSET = "ISO-8859-1"', b"\xe4", "ä"),
        ("text/plain;charset=utf-16le", "ä".encode("utf-16-le"), "ä"),
        ("text/plain; charset=koi8-r", "жж".encode("koi8-r"), "жж"),
        ("text/plain; charset=no-such-charset", "ä".encode(), "ä"),
        ("text/plain; charset=", "ä".encode(), "ä"),
        ("text/plain; charset=" + "x" * 5000, "ä".encode(), "ä"),
        ("text/plain; charset=hex", b"ff", "ff"),
        ("text/plain; charset=rot13", b"abc", "abc"),
        ("text/plain; charset=unicode_escape", rb"\x41", r"\x41"),
        ("text/plain; charset=idna", b"a..b", "a..b"),
        ("text/plain; charset=undefined", b"abc", "abc"),
        ("text/plain", b"a\xffb", "a�b"),
        ("text/plain; charset=ascii", b"a\xffb", "a�b"),
    ],
)
def test_text(content_type: str | None, body: bytes, expected: str) -> None:
    assert text(body, content_type) == expected


CHARSETS = sorted(
    {*encodings.aliases.aliases.values(), *encodings.aliases.aliases, "idna", "palmos", "undefined"}
)


@given(st.sampled_from(CHARSETS), st.binary(max_size=50))
def test_text_is_text_whatever_came(charset: str, body: bytes) -> None:
    """No charset that Python knows, and no bytes, make it raise."""
    assert isinstance(text(body, f"text/plain; charset={charset}"), str)


def test_all_of_python_s_charsets_were_tried() -> None:
    assert len(CHARSETS) > 300
    assert all(codecs.lookup(charset) for charset in ("utf-8", "cp437"))


@pytest.mark.parametrize("value", [None, {"a": [1, 2.5, "ä€"]}, "x", []])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json(value: Any, coding: str) -> None:
    """RFC 8259 wants UTF-8; Python's module knows the others by their first bytes."""
    assert response(json.dumps(value, ensure_ascii=False).encode(coding)).json() == value


@pytest.mark.parametrize(
    "body", [b"", b"{", b"abc", b"\xff", b"[" * 200_000, b'{"a":' * 200_000, b"9" * 100_000, b"[1]x"]
)
def test_what_is_no_json_is_a_value_error(body: bytes) -> None:
    """Also what is nested so deeply that Python's module gives up, and numbers that it does not take."""
    with pytest.raises(ValueError, match=r".") as caught:
        response(body).json()
    assert not isinstance(caught.value, RecursionError)


@pytest.mark.parametrize("call", ["receive", "read", "save", "pause", "resume"])
def test_what_was_received_whole_is_not_received_again(call: str) -> None:
    arguments: dict[str, tuple[Any, ...]] = {"receive": (print, print), "save": (print,)}
    with pytest.raises(LocalProtocolError, match="stream=True"):
        getattr(response(), call)(*arguments.get(call, ()))


def test_close_is_harmless() -> None:
    found = response(b"abc")
    found.close()
    assert found.body == b"abc"
