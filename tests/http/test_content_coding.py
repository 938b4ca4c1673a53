"""`evkit.http.content_coding`: what `Accept-Encoding` asks for, what is worth a coding, what a coded reply says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import LocalProtocolError
from evkit.http.content_coding import (
    TYPES,
    VARY,
    MediaTypes,
    acceptable,
    codable,
    coded,
    revalidated,
    said,
    varying,
    weak,
    whole,
)

OFFERED = ("br", "zstd", "gzip")
WORTH = MediaTypes(TYPES)


# Accept-Encoding


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("gzip", ["gzip"]),
        ("GZip", ["gzip"]),
        ("x-gzip", ["gzip"]),
        ("gzip, deflate, br, zstd", ["br", "zstd", "gzip"]),
        ("gzip;q=1.0, br;q=0.9", ["gzip", "br"]),
        ("br;q=0.001,gzip;q=0.002,zstd;q=0.001", ["gzip", "br", "zstd"]),
        ("gzip ; q=0.5\t,\tbr;Q=0.50", ["br", "gzip"]),
        ("gzip;q=1.000", ["gzip"]),
        ("gzip;q=1.", ["gzip"]),
        (" ,, gzip , ,", ["gzip"]),
        ("*", ["br", "zstd", "gzip"]),
        ("*;q=0.1, gzip", ["gzip", "br", "zstd"]),
        ("*, br;q=0", ["zstd", "gzip"]),
        ("gzip, *;q=0", ["gzip"]),
        ("gzip;q=0.5", ["gzip"]),  # of bytes without a coding nothing is said, but they are welcome the least
        ("gzip;q=0.5, identity", []),
        ("gzip;q=0.5, identity;q=0.5", ["gzip"]),
        ("gzip;q=0.4, identity;q=0.5, br;q=0.6", ["br"]),
        ("gzip;q=0.1, *;q=0.5", ["br", "zstd"]),  # the asterisk has identity, too
        ("identity;q=0, gzip;q=0.001", ["gzip"]),
        ("identity", []),
        ("deflate, compress", []),
        ("gzip;q=0", []),
        ("gzip;q=0.000", []),
        ("gzip, gzip;q=0", []),
        ("gzip;q=0, gzip", []),
        ("*;q=0", []),
        ("", []),
        (" ", []),
        (",", []),
    ],
)
def test_what_a_client_accepts(value: str, expected: list[str]) -> None:
    assert acceptable([value], OFFERED) == expected


def test_fields_are_one_list() -> None:
    assert acceptable(["br;q=0.5", "gzip"], OFFERED) == ["gzip", "br"]


def test_no_field_asks_for_nothing() -> None:
    assert acceptable([], OFFERED) == []


@pytest.mark.parametrize(
    "value",
    [
        "gzip br", "gzip;q", "gzip;q=", "gzip;q=2", "gzip;q=1.1", "gzip;q=1.001", "gzip;q=0.0001", "gzip;q=.5",
        "gzip;q=+1", "gzip;q=-0", "gzip;q=0,5", "gzip;q=1e0", "gzip;q = 1", "gzip;q=\u0661", "gzip;q=nan", "gzip;q=00",
        "gzip;level=9", "gzip;q=1;level=9", "gzip;q=1;", ";q=1", "gzip/1", '"gzip"', "gzip\x0b", "\xa0gzip", "(gzip)",
        "gzip, @", "@, gzip", "gzip;;q=1", "gzip,;q=1",
    ],
)  # fmt: skip
def test_a_malformed_list_is_none(value: str) -> None:
    assert acceptable([value], OFFERED) == []


def test_what_is_malformed_in_one_field_spoils_the_others() -> None:
    assert acceptable(["gzip", "br;q=x"], OFFERED) == []


WEIGHTS = st.integers(0, 1000)


@given(st.dictionaries(st.sampled_from(["br", "zstd", "gzip", "identity", "*", "other"]), WEIGHTS))
def test_against_a_model(weights: dict[str, int]) -> None:
    value = ", ".join(f"{name};q={weight // 1000}.{weight % 1000:03}" for name, weight in weights.items())
    found = acceptable([value], OFFERED)
    rest = weights.get("*", 0)
    weight_of = {name: weights.get(name, rest) for name in OFFERED}
    bar = max(weights.get("identity", rest), 1)
    assert set(found) == {name for name in OFFERED if weight_of[name] >= bar}
    assert found == sorted(found, key=lambda name: (-weight_of[name], OFFERED.index(name)))


# Types


@pytest.mark.parametrize(
    "content_type",
    [
        "text/html", "text/html; charset=utf-8", "TEXT/CSS", "text/event-stream", "text/plain ;charset=x",
        "application/json", "application/ld+json;profile=x", "image/svg+xml", "application/xhtml+xml",
        "application/wasm", "text/javascript", "application/javascript", "application/manifest+json",
        "Application/JSON ; a=b",
    ],
)  # fmt: skip
def test_types_that_compress_well(content_type: str) -> None:
    assert content_type in WORTH


@pytest.mark.parametrize(
    "content_type",
    [
        "", "text", "text/", "image/png", "image/webp", "video/mp4", "application/gzip", "application/octet-stream",
        "application/epub+zip", "multipart/byteranges; boundary=json", "application/x; a=text/html", "font/woff2",
        "*+json", "+json", "application/json+", "x-text/html", "application/json/x",
    ],
)  # fmt: skip
def test_types_that_do_not(content_type: str) -> None:
    assert content_type not in MediaTypes(["text/html", "text/css", "*+json", "*+xml", "application/json"])
    assert content_type not in WORTH


def test_types_of_ones_own() -> None:
    types = MediaTypes(["Application/X", "image/*"])
    assert "application/x" in types
    assert "IMAGE/PNG" in types
    assert "text/html" not in types


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "text",
        "text/",
        "/html",
        "*+",
        "*",
        "text/html; a=b",
        "a/b/c",
        "a b/c",
        "text/html,text/css",
        "t\xe4xt/html",
        # which would be taken, and no type be in them
        "*/*",
        "*/html",
        "text/*+xml",
        "text/x*",
        "*+*",
    ],
)
def test_what_is_no_type(pattern: str) -> None:
    with pytest.raises(ValueError, match="media type"):
        MediaTypes([pattern])


def test_one_string_is_not_several_types() -> None:
    with pytest.raises(TypeError, match="several"):
        MediaTypes("text/html")


# Replies


def test_said() -> None:
    assert said([("Vary", "A"), ("X", "1"), ("vary", "B")]) == {"vary": "A, B", "x": "1"}


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ([("X", "a\r\nY: b")], LocalProtocolError, "expected a header field"),
        ([("X:", "a")], LocalProtocolError, "expected a header field"),
        ([("X", 1)], TypeError, "a header field is"),
        ([(1, "X")], TypeError, "a header field is"),
        ([["X", "1"]], TypeError, "headers are pairs"),
        ([("X",)], TypeError, "headers are pairs"),
        (["ab"], TypeError, "headers are pairs"),
    ],
)
def test_what_is_no_field(fields: list[tuple[str, str]], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        said(fields)


HTML = ("Content-Type", "text/html")


@pytest.mark.parametrize(
    ("method", "status", "fields", "expected"),
    [
        ("GET", 200, [HTML], True),
        ("HEAD", 200, [HTML], True),
        ("POST", 201, [HTML], True),
        ("POST", 202, [HTML], True),
        ("GET", 203, [HTML], True),
        ("GET", 206, [HTML], True),
        ("GET", 200, [HTML, ("Cache-Control", "max-age=1")], True),
        ("GET", 200, [HTML, ("Cache-Control", "max-age=1, No-Transform")], False),
        ("GET", 200, [HTML, ("Cache-Control", "no-transform"), ("cache-control", "private")], False),
        ("GET", 200, [HTML, ("Content-Encoding", "br")], False),
        ("GET", 200, [HTML, ("content-encoding", "identity")], False),
        ("GET", 200, [HTML, ("Repr-Digest", "sha-256=:YQ==:")], False),
        ("GET", 200, [HTML, ("Content-Digest", "sha-256=:YQ==:")], False),
        ("GET", 200, [HTML, ("Transfer-Encoding", "chunked")], False),
        ("GET", 200, [("Content-Type", "image/png")], False),
        ("GET", 200, [], False),
        ("GET", 204, [HTML], False),
        ("GET", 205, [HTML], False),
        ("GET", 226, [HTML], False),
        ("GET", 301, [HTML], False),
        ("GET", 404, [HTML], False),
        ("GET", 500, [HTML], False),
        ("CONNECT", 200, [HTML], False),
    ],
)
def test_which_replies_might_be_coded(
    method: str, status: int, fields: list[tuple[str, str]], *, expected: bool
) -> None:
    assert codable(method, status, said(fields), WORTH) is expected


def test_a_stretch_of_something_is_not_whole() -> None:
    assert whole(200, said([HTML]))
    assert not whole(206, said([HTML]))
    assert not whole(200, said([HTML, ("Content-Range", "bytes 0-1/2")]))


def test_vary() -> None:
    assert varying([HTML]) == [HTML, VARY]
    assert varying([("Vary", "Cookie")]) == [("Vary", "Cookie"), VARY]


@pytest.mark.parametrize("value", ["Accept-Encoding", "Cookie ,accept-ENCODING", "*", "Cookie, *"])
def test_vary_that_was_said_before(value: str) -> None:
    assert varying([("Vary", value)]) == [("Vary", value)]


def test_other_fields_say_nothing_of_vary() -> None:
    fields = [("Access-Control-Allow-Origin", "*"), ("X-Copy", "Accept-Encoding")]
    assert varying(fields) == [*fields, VARY]


def test_the_fields_of_a_coded_reply() -> None:
    fields = [HTML, ("etag", '"x"'), ("Content-length", "5"), ("ACCEPT-RANGES", "bytes"), ("X", '"y"')]
    assert coded(fields, "gzip") == [
        HTML,
        ("etag", 'W/"x"'),
        ("X", '"y"'),
        ("Content-Encoding", "gzip"),
        VARY,
    ]


@pytest.mark.parametrize(
    ("tag", "expected"), [('"x"', 'W/"x"'), ('W/"x"', 'W/"x"'), ('""', 'W/""'), ("x", "x"), ("", "")]
)
def test_weak_tags(tag: str, expected: str) -> None:
    assert weak(tag) == expected


@pytest.mark.parametrize(
    ("known", "tag"),
    [
        (['W/"x"'], 'W/"x"'),
        (['"a"', 'W/"b", W/"x"'], 'W/"x"'),
        (['"x"'], '"x"'),
        (['W/"xx"'], '"x"'),
        (["*"], '"x"'),
        ([], '"x"'),
    ],
)
def test_a_304_has_the_tag_that_the_client_has(known: list[str], tag: str) -> None:
    assert revalidated([("ETag", '"x"'), ("X", "1")], known) == [("ETag", tag), ("X", "1"), VARY]
