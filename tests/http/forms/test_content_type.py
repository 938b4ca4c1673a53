"""`evkit.http.forms.content_type`: which form it is, and no boundary that is none."""

import pytest

from evkit.http.errors import BadRequest
from evkit.http.forms.content_type import boundary_of, content_type
from evkit.http.server.request import Request


def post(fields: bytes) -> Request:
    return Request("POST", "/", 1, "a", 0, True, False, fields)


def refused(status: int) -> "pytest.RaisesExc[BadRequest]":
    return pytest.raises(BadRequest, check=lambda error: error.status == status)


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        (b"", ""),
        (b"content-type: a/b\r\n", "a/b"),
        (b"Content-Type: a/b\r\nContent-Encoding: Identity\r\n", "a/b"),
    ],
)
def test_the_content_type_of_a_request(fields: bytes, value: str) -> None:
    assert content_type(post(fields)) == value


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Content-Type: a/b\r\nContent-Type: a/b\r\n", 400),
        (b"Content-Type: a/b\r\nContent-Encoding: gzip\r\n", 415),
        (b"Content-Encoding: identity\r\nContent-Encoding: br\r\n", 415),
    ],
)
def test_a_content_type_that_does_not_tell(fields: bytes, status: int) -> None:
    with refused(status):
        content_type(post(fields))


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        ("multipart/form-data; boundary=a", b"a"),
        ("Multipart/Form-Data;BOUNDARY=----WebKitFormBoundaryx9", b"----WebKitFormBoundaryx9"),
        ('multipart/form-data; charset=utf-8; boundary="\'()+_,-./:=? a"', b"'()+_,-./:=? a"),
        ("multipart/form-data; boundary=" + "a" * 70, b"a" * 70),
    ],
)
def test_a_boundary(value: str, boundary: bytes) -> None:
    assert boundary_of(value) == boundary


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("", 415),
        ("multipart/mixed; boundary=a", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data2; boundary=a", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary", 400),
        ('multipart/form-data; boundary=""', 400),
        ('multipart/form-data; boundary="a "', 400),
        ('multipart/form-data; boundary="a\xe4"', 400),
        ('multipart/form-data; boundary="a\tb"', 400),
        ('multipart/form-data; boundary="a\n"', 400),
        ('multipart/form-data; boundary="a\\\\"', 400),
        ("multipart/form-data; boundary=a; boundary=b", 400),
        ("multipart/form-data; boundary=" + "a" * 71, 400),
    ],
)
def test_no_boundary(value: str, status: int) -> None:
    with refused(status):
        boundary_of(value)
