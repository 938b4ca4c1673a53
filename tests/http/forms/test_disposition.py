"""`evkit.http.forms.disposition`: the names of a part, without folders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.errors import BadRequest
from evkit.http.forms.disposition import names_of


def refused(status: int) -> "pytest.RaisesExc[BadRequest]":
    return pytest.raises(BadRequest, check=lambda error: error.status == status)


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
        "form-data; name=a; filename*=UTF-8''a%4",
        "form-data; name=a; filename*=UTF-8''%zz",
        "form-data; name=a; filename*=\"UTF-8''\xe4\"",
        "form-data; name=a; filename*=\"UTF-8''\udcff\"",  # a byte that is no UTF-8, as `Part.headers` have it
    ],
)
def test_a_disposition_that_names_nothing(disposition: str) -> None:
    with refused(400):
        names_of(disposition)


@given(st.text("aB./%4z=\\\xe4\u20ac\udcff", max_size=12), st.booleans(), st.booleans())
def test_any_filename_is_one_or_refused(text: str, extended: bool, quoted: bool) -> None:
    value = f"UTF-8''{text}" if extended else text
    value = f'"{value}"' if quoted else value
    try:
        name, filename = names_of(f"form-data; name=a; filename{'*' * extended}={value}")
    except BadRequest:
        return
    assert name == "a"
    assert filename is not None
    assert not set(filename) & set("/\\")
    assert filename not in (".", "..")


@given(
    st.text(min_size=1).filter(
        lambda text: text.isprintable() and not set(text) & set("/\\") and text.strip(".")
    )
)
def test_an_extended_filename_comes_back(filename: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in filename.encode())
    assert names_of(f"form-data; name=a; filename*=UTF-8''{encoded}") == ("a", filename)
