"""`evkit.http.forms.parameters`: values are taken apart in one way, or refused."""

import pytest

from evkit.http.errors import BadRequest
from evkit.http.forms.parameters import split_value


def refused(status: int) -> "pytest.RaisesExc[BadRequest]":
    return pytest.raises(BadRequest, check=lambda error: error.status == status)


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
