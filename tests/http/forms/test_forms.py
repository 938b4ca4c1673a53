"""`evkit.http.forms.forms`: what may stand in the fields of a form, and that no name of a file is a path or a trap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import LocalProtocolError
from evkit.http.errors import BadRequest
from evkit.http.forms.forms import (
    MAX_FILENAME,
    boundary_of,
    content_type,
    names_of,
    parse_form,
    safe_filename,
    split_value,
)
from evkit.http.parser import CHUNKED
from evkit.http.server.request import Request

FORM = "application/x-www-form-urlencoded"


def post(fields: bytes = b"", body: bytes = b"", length: int | None = None) -> Request:
    request = Request("POST", "/", 1, "a", len(body) if length is None else length, True, False, fields)
    request.body = body
    return request


def refused(status: int) -> "pytest.RaisesExc[BadRequest]":
    return pytest.raises(BadRequest, check=lambda error: error.status == status)


# Values with parameters

VALUES = {
    "text/plain": ("text/plain", {}),
    " Text/Plain ; Charset=UTF-8 ": ("text/plain", {"charset": "UTF-8"}),
    'form-data; name="a b"; filename=c.txt': ("form-data", {"name": "a b", "filename": "c.txt"}),
    'form-data;name="a;b=\\"c\\"";;': ("form-data", {"name": 'a;b="c"'}),
    'form-data; name=""': ("form-data", {"name": ""}),
    # Only quotes and backslashes are escaped: this is how browsers spell a path of Windows, or any odd name.
    r'form-data; filename="C:\new\file.txt"': ("form-data", {"filename": r"C:\new\file.txt"}),
    r'form-data; filename="\\\\host\"s"': ("form-data", {"filename": r"\\host" + '"s'}),
    'form-data; name="ü"': ("form-data", {"name": "ü"}),
}


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_taken_apart(value: str) -> None:
    assert split_value(value) == VALUES[value]


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";",
        "; name=a",
        "a b",
        "text/",
        "text/plain, text/html",
        "a; name",
        "a; name=",
        "a; =b",
        'a; name="b',
        'a; name="b\\"',
        'a; name="b"c',
        "a; name =b",
        "a; name= b",
        'a; name="b" filename="c"',
        "a; näme=b",
        "a; name=a; NAME=b",
        "a; name=a; name=a",
    ],
)
def test_a_value_that_is_malformed_or_ambiguous_is_refused(value: str) -> None:
    with refused(400):
        split_value(value)


@pytest.mark.parametrize(
    "value",
    [
        "a" + ";" * 100_000 + "=",
        'a; b="' + "\\" * 100_000,
        "a; b=" + "c" * 100_000 + "@",
        "a" + " " * 100_000 + "b",
    ],
)
def test_long_values_take_linear_time(value: str) -> None:
    """What is quadratic takes minutes here, and the guard of the test run ends it."""
    with refused(400) as told:
        split_value(value)
    assert len(str(told.value)) < 200


# Content types


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


# Names


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ("name=a", ("a", None)),
        ('name=""', ("", None)),
        ('name="a"; filename=""', ("a", "")),
        ('name="a%22b%0D%0A"; filename="%22%25"', ('a"b%0D%0A', '"%25')),
        ("name=a; filename*=UTF-8''%e2%82%ac.txt", ("a", "€.txt")),
        ("name*=utf-8'en'a%20b", ("a b", None)),
        # Who checked the form on its way may know only one of the two: the plain one, which RFC 7578 knows.
        ("name=a; filename=b.txt; filename*=utf-8''evil.php", ("a", "b.txt")),
        ("name=a; filename*0=b", ("a", None)),
        ('name=a; filename="../../etc/passwd"', ("a", "passwd")),
        (r'name=a; filename="C:\Users\me\b.txt"', ("a", "b.txt")),
        ('name=a; filename="folder/"', ("a", "")),
        ('name=a; filename=".."', ("a", "")),
        ('name=a; filename="x/."', ("a", "")),
        ("name=a; filename*=UTF-8''..%2f..%5cb", ("a", "b")),
        ("name=a; other=b", ("a", None)),
    ],
)
def test_the_names_of_a_part(parameters: str, names: tuple[str, str | None]) -> None:
    assert names_of(f"form-data; {parameters}") == names


@pytest.mark.parametrize(
    "disposition",
    [
        "",
        "form-data",
        "attachment; name=a",
        "form-data; filename=a",
        "form-data; name=a; name=b",
        "form-data; name=a; filename*=''b",
        "form-data; name=a; filename*=UTF-8'b",
        "form-data; name=a; filename*=iso-8859-1''%e4",
        "form-data; name=a; filename*=UTF-8''%e4",
        "form-data; name=a; filename*=UTF-8''a%0d%0ab",
        "form-data; name=a; filename*=UTF-8''a%00.png",
    ],
)
def test_a_disposition_that_names_nothing(disposition: str) -> None:
    with refused(400):
        names_of(disposition)


SAFE = {
    "photo.jpg": "photo.jpg",
    "My résumé (1).pdf": "My résumé (1).pdf",
    "": "unnamed",
    "..": "unnamed",
    " . ": "unnamed",
    ".htaccess": "htaccess",
    "-rf": "rf",
    "../../etc/passwd": "_.._etc_passwd",
    "a\\b:c|d": "a_b_c_d",
    "a\0b\r\n": "a_b__",
    "a.txt. .": "a.txt",
    "NUL": "_NUL",
    "con.txt": "_con.txt",
    "com1 .log": "_com1 .log",
    "console": "console",
    "gpj\u202eexe.scr": "gpj_exe.scr",
    "a\udcffb": "a_b",
    "e\u0301": "é",
}


@pytest.mark.parametrize("name", SAFE)
def test_a_safe_filename(name: str) -> None:
    assert safe_filename(name) == SAFE[name]


@pytest.mark.parametrize(
    ("name", "length", "suffix"),
    [
        ("x" * 300 + ".tar", 255, "x.tar"),
        ("€" * 100 + ".png", 83 * 3 + 4, "€.png"),
        ("€" * 100 + ".é", 255, "€.é"),
        ("x" * 300, 255, "xx"),
        ("x." + "y" * 300, 255, "yy"),
        ("x" * 254 + " " + "y" * 40, 254, "xx"),
    ],
)
def test_a_long_filename_keeps_its_suffix(name: str, length: int, suffix: str) -> None:
    short = safe_filename(name)
    assert len(short.encode()) == length
    assert short.endswith(suffix)


@given(st.text(st.characters() | st.sampled_from(' ./\\-:\0\udc80con1"'), max_size=300))
def test_every_safe_filename_is_safe(name: str) -> None:
    safe = safe_filename(name)
    assert 0 < len(safe.encode()) <= MAX_FILENAME
    assert not set(safe) & set('/\\\0:<>"|?*\n\r')
    assert safe[0] not in ".- "
    assert safe[-1] not in ". "
    assert safe_filename(safe) == safe


# Urlencoded forms


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


def test_a_form_whose_body_was_not_read_is_not_empty() -> None:
    fields = f"Content-Type: {FORM}\r\n".encode()
    with pytest.raises(LocalProtocolError, match="stream=True"):
        parse_form(post(fields, length=5))
    assert parse_form(post(fields, length=CHUNKED)) == []
