"""`evkit.http.static.names`: which paths name files, and that none of them climbs."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.static.names import split_path


@pytest.mark.parametrize(
    ("raw", "names", "is_folder"),
    [
        ("/", [], True),
        ("/a", [b"a"], False),
        ("/a.txt", [b"a.txt"], False),
        ("/a/", [b"a"], True),
        ("/a/b.c/d", [b"a", b"b.c", b"d"], False),
        ("/a-b/_c/d.e_f", [b"a-b", b"_c", b"d.e_f"], False),
        ("/a%20b", [b"a b"], False),
        ("/%C3%A9%FF", [b"\xc3\xa9\xff"], False),
        ("/%2541", [b"%41"], False),  # decoded once
        ("/a%3Fb%23", [b"a?b#"], False),
        ("/a..", [b"a.."], False),
        ("/a/..;/b", None, False),  # a hidden name, though no climb
        ("/..;", None, False),
        ("/a/.b/c", None, False),
        ("/a/\n", [b"a", b"\n"], False),
        ("/a\\..\\b", [b"a\\..\\b"], False),
        ("/%zz", [b"%zz"], False),
        ("/C:/x", [b"C:", b"x"], False),
        ("/.well-known/acme-challenge/x", [b".well-known", b"acme-challenge", b"x"], False),
    ],
)
def test_paths(raw: str, names: list[bytes] | None, is_folder: bool) -> None:
    expected = None if names is None else (names, is_folder)
    assert split_path(raw, hidden=False) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "", "*", "a", "example.org:80", "//", "//etc/passwd", "/a//b", "/a//", "/..", "/../", "/.", "/a/.", "/a/..",
        "/../../etc/passwd", "/%2e%2e/x", "/%2E%2e", "/.%2e/x", "/%2e", "/..%2f", "/..%2fetc", "/a%2fb", "/%2Fetc",
        "/%2f/x", "/%00", "/a%00.html", "/a/%00/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("hidden", [False, True])
def test_paths_that_name_nothing(raw: str, hidden: bool) -> None:
    assert split_path(raw, hidden=hidden) is None


@pytest.mark.parametrize(
    "raw", ["/.git/config", "/.env", "/a/.b", "/%2egit", "/.well-known2", "/a/.well-known/x"]
)
def test_hidden_names_are_an_option(raw: str) -> None:
    assert split_path(raw, hidden=False) is None
    assert split_path(raw, hidden=True) is not None


NAMES = st.lists(
    st.binary(min_size=1, max_size=8).filter(lambda name: b"/" not in name and b"\0" not in name)
)


@given(NAMES, st.booleans())
def test_a_quoted_path_gives_its_names(names: list[bytes], is_folder: bool) -> None:
    raw = "".join("/" + quote(name, safe="") for name in names) + ("/" if is_folder or not names else "")
    expected = None if {b".", b".."} & set(names) else (names, is_folder or not names)
    assert split_path(raw, hidden=True) == expected


@given(st.text(st.sampled_from("/.%2eEfF05cC\\;a"), max_size=20), st.booleans())
def test_nothing_that_passes_can_climb(path: str, hidden: bool) -> None:
    found = split_path("/" + path, hidden=hidden)
    for name in found[0] if found else []:
        assert name not in (b"", b".", b"..")
        assert b"/" not in name
        assert b"\0" not in name
