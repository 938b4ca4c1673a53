"""`evkit.http.static.content_types`: what a name tells, on every machine the same."""

import mimetypes

import pytest

from evkit.http.static.content_types import UNKNOWN, ContentTypes


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"index.html", "text/html; charset=utf-8"),
        (b"INDEX.HTM", "text/html; charset=utf-8"),
        (b"a.css", "text/css; charset=utf-8"),
        (b"a.js", "text/javascript; charset=utf-8"),
        (b"a.mjs", "text/javascript; charset=utf-8"),
        (b"a.json", "application/json"),
        (b"a.svg", "image/svg+xml"),
        (b"a.wasm", "application/wasm"),
        (b"a.woff2", "font/woff2"),
        (b"a.avif", "image/avif"),
        (b"a.webp", "image/webp"),
        (b"README.md", "text/markdown; charset=utf-8"),
        (b"a.txt", "text/plain; charset=utf-8"),
        (b"a.tar.gz", "application/gzip"),
        (b"a.tar", "application/x-tar"),  # by mimetypes
        (b"a.css.unknown", UNKNOWN),
        (b"Makefile", UNKNOWN),
        (b".html", UNKNOWN),  # a hidden file called html
        (b"a.", UNKNOWN),
        (b"a.\xff\xe9", UNKNOWN),
    ],
)
def test_types(name: bytes, kind: str) -> None:
    assert ContentTypes().of(name) == kind


def test_your_types_win_and_are_taken_as_they_are() -> None:
    types = ContentTypes({".html": "text/html; charset=iso-8859-1", ".foo": "text/x-foo"})
    assert types.of(b"a.html") == "text/html; charset=iso-8859-1"
    assert types.of(b"a.FOO") == "text/x-foo"
    assert types.of(b"a.css") == "text/css; charset=utf-8"


@pytest.mark.parametrize("end", ["html", ".HTML", ""])
def test_what_is_no_end_of_a_name(end: str) -> None:
    with pytest.raises(ValueError, match="end of a name"):
        ContentTypes({end: "text/plain"})


def test_the_machine_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mimetypes.types_map, ".css", "application/x-pointplus")  # as some registries have it
    monkeypatch.setitem(mimetypes.types_map, ".qqq", "application/x-qqq")
    assert ContentTypes().of(b"a.css") == "text/css; charset=utf-8"
    assert ContentTypes().of(b"a.qqq") == UNKNOWN
