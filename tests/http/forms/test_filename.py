"""`evkit.http.forms.filename`: no name of a file is a path or a trap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.forms.filename import MAX_FILENAME, safe_filename

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
        ("x" * 255, 255, "xx"),
        ("x" * 256, 255, "xx"),
        ("x" * 251 + ".png", 255, "x.png"),
        ("x" * 252 + ".png", 255, "x.png"),
        ("x" * 300 + "." + "y" * 20, 255, "x." + "y" * 20),
        ("x" * 251 + "." + "y" * 21, 255, "x.yyy"),
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
