"""`evkit.http.forms.urlencoded`: forms in one line."""

import pytest

from evkit.http.errors import BadRequest
from evkit.http.forms.urlencoded import parse_form
from evkit.http.server.request import Request

FORM = "application/x-www-form-urlencoded"


def post(fields: bytes = b"", body: bytes = b"") -> Request:
    request = Request("POST", "/", 1, "a", len(body), True, False, fields)
    request.body = body
    return request


def refused(status: int) -> "pytest.RaisesExc[BadRequest]":
    return pytest.raises(BadRequest, check=lambda error: error.status == status)


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (b"", []),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a=%C3%BC+b%26&c=", [("a", "ü b&"), ("c", "")]),
        ("ü=ö".encode(), [("ü", "ö")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
    ],
)
def test_a_form(body: bytes, pairs: list[tuple[str, str]]) -> None:
    assert parse_form(post(f"Content-Type: {FORM}; charset=UTF-8\r\n".encode(), body)) == pairs


@pytest.mark.parametrize("body", [b"a", b"=1", b"a=%zz", b"\xff=1"])
def test_a_malformed_form(body: bytes) -> None:
    with refused(400):
        parse_form(post(f"Content-Type: {FORM}\r\n".encode(), body))


def test_a_form_that_is_not_strict() -> None:
    request = post(f"Content-Type: {FORM}\r\n".encode(), b"a&=1&b=%zz")
    assert parse_form(request, strict=False) == [("a", ""), ("b", "%zz")]


@pytest.mark.parametrize(
    "fields", [b"", b"Content-Type: text/plain\r\n", b"Content-Type: application/json\r\n"]
)
def test_another_type(fields: bytes) -> None:
    with refused(415):
        parse_form(post(fields, b"a=1"))


def test_a_form_of_too_many_fields() -> None:
    request = post(f"Content-Type: {FORM}\r\n".encode(), b"a=1&a=1&a=1")
    assert len(parse_form(request, max_pairs=3)) == 3
    with refused(413):
        parse_form(request, max_pairs=2)
    request.body = b"&" * 1000
    with refused(413):
        parse_form(request)
