"""`Uri` and its kin: RFC 3986's own examples, what is none, and that taking apart and putting together are inverse."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from evkit.http.uri import Uri, parse_query, uri_decode, uri_encode

# RFC 3986 §5.4, with the base http://a/b/c/d;p?q.
RESOLVED = {
    "g:h": "g:h",
    "g": "http://a/b/c/g",
    "./g": "http://a/b/c/g",
    "g/": "http://a/b/c/g/",
    "/g": "http://a/g",
    "//g": "http://g",
    "?y": "http://a/b/c/d;p?y",
    "g?y": "http://a/b/c/g?y",
    "#s": "http://a/b/c/d;p?q#s",
    "g#s": "http://a/b/c/g#s",
    "g?y#s": "http://a/b/c/g?y#s",
    ";x": "http://a/b/c/;x",
    "g;x": "http://a/b/c/g;x",
    "g;x?y#s": "http://a/b/c/g;x?y#s",
    "": "http://a/b/c/d;p?q",
    ".": "http://a/b/c/",
    "./": "http://a/b/c/",
    "..": "http://a/b/",
    "../": "http://a/b/",
    "../g": "http://a/b/g",
    "../..": "http://a/",
    "../../": "http://a/",
    "../../g": "http://a/g",
    "../../../g": "http://a/g",
    "../../../../g": "http://a/g",
    "/./g": "http://a/g",
    "/../g": "http://a/g",
    "g.": "http://a/b/c/g.",
    ".g": "http://a/b/c/.g",
    "g..": "http://a/b/c/g..",
    "..g": "http://a/b/c/..g",
    "./../g": "http://a/b/g",
    "./g/.": "http://a/b/c/g/",
    "g/./h": "http://a/b/c/g/h",
    "g/../h": "http://a/b/c/h",
    "g;x=1/./y": "http://a/b/c/g;x=1/y",
    "g;x=1/../y": "http://a/b/c/y",
    "g?y/./x": "http://a/b/c/g?y/./x",
    "g?y/../x": "http://a/b/c/g?y/../x",
    "g#s/./x": "http://a/b/c/g#s/./x",
    "g#s/../x": "http://a/b/c/g#s/../x",
    "http:g": "http:g",
}

# RFC 3986 §1.1.2, and forms of libevent's own test of its parser.
WHOLE = {
    "ftp://ftp.is.co.za/rfc/rfc1808.txt": Uri("ftp", None, "ftp.is.co.za", None, "/rfc/rfc1808.txt"),
    "ldap://[2001:db8::7]/c=GB?objectClass?one": Uri(
        "ldap", None, "[2001:db8::7]", None, "/c=GB", "objectClass?one"
    ),
    "mailto:John.Doe@example.com": Uri("mailto", path="John.Doe@example.com"),
    "tel:+1-816-555-1212": Uri("tel", path="+1-816-555-1212"),
    "telnet://192.0.2.16:80/": Uri("telnet", None, "192.0.2.16", 80, "/"),
    "urn:oasis:names": Uri("urn", path="oasis:names"),
    "http://www.test.com/?q=t%33est": Uri("http", None, "www.test.com", None, "/", "q=t%33est"),
    "http://user:pass@h:0/a?#": Uri("http", "user:pass", "h", 0, "/a", "", ""),
    "http://[v7.host:x]/": Uri("http", None, "[v7.host:x]", None, "/"),
    "//host": Uri(host="host"),
    "http://": Uri("http", host=""),
    "": Uri(),
    "/a//b": Uri(path="/a//b"),
    "./a:b": Uri(path="./a:b"),
    "?q": Uri(query="q"),
}

WRONG = {
    "http://h:65536/": "port from 0 to 65535, got 65536",
    "http://h:0000080/": "port",
    "http://h:+5/": "port",
    "http://h:1_0/": "port",
    "http://h:\u0661/": "port",
    "//h:80:80/": "after //",
    "http://[::1": "after //",
    "http://[::1]x/": "after //",
    "http://[::g]/": "IPv6",
    "http://[fe80::1%25eth0]/": "IPv6",
    "http://[]/": "IPv6",
    "http://[v1]/": "IPv6",
    "http://a@b@c/": "host",
    "http://\u00fc/": "host",
    "http://h%zz/": "host",
    "http://h%2/": "host",
    "http://h/%": "path",
    "http://h/[x]": "path",
    "http://h/\u00fc": "path",
    "http://h/a\\b": "path",
    "http://h/?a|b": "query",
    "http://h/#a#b": "fragment",
    "1a:b": "scheme",
    "a_b:c": "scheme",
    ":a": "scheme",
    "http://h/a b": "spaces",
    "http://h/\r\nX: y": "control",
    "http://h/\x00": "control",
    "\x7f": "control",
}


@pytest.mark.parametrize(("reference", "expected"), RESOLVED.items())
def test_references_of_rfc_3986(reference: str, expected: str) -> None:
    assert str(Uri.parse("http://a/b/c/d;p?q").resolve(reference)) == expected


@pytest.mark.parametrize(
    ("base", "reference", "expected"),
    [
        ("http://a", "g", "http://a/g"),
        ("http://u@a:80?q#f", "#g", "http://u@a:80?q#g"),
        ("x:a/b", "../..", "x:/"),
        ("x:a", "../g", "x:g"),
        ("http://a/b", Uri(host="c", path="/d/../e"), "http://c/e"),
        ("http://a/b", "https://c/./d", "https://c/d"),
        # Without the dot it would be a host: RFC 3986 §3.3.
        ("x:/a", "..//b", "x:/.//b"),
        ("x:a/b", "..//b//c", "x:/.//b//c"),
        ("x:/.//b", "c", "x:/.//c"),
        ("http://a/b", "..//c", "http://a//c"),
    ],
)
def test_references_in_odd_places(base: str, reference: Uri | str, expected: str) -> None:
    assert str(Uri.parse(base).resolve(reference)) == expected


def test_base_needs_a_scheme() -> None:
    with pytest.raises(ValueError, match="base with a scheme, got '//h'"):
        Uri.parse("//h").resolve("a")


@pytest.mark.parametrize(("text", "uri"), WHOLE.items())
def test_parts(text: str, uri: Uri) -> None:
    assert Uri.parse(text) == uri
    assert str(uri) == text


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Uri.parse(text)


def test_port_that_is_empty_is_missing() -> None:
    assert Uri.parse("http://h:/").port is None


@pytest.mark.parametrize(
    ("text", "target"),
    [("http://h", "/"), ("http://h?q", "/?q"), ("http://h/a%20b?c=d#e", "/a%20b?c=d"), ("http://h/?", "/?")],
)
def test_target(text: str, target: str) -> None:
    assert Uri.parse(text).target == target


class TestNotStrict:
    def test_stray_characters_are_encoded(self) -> None:
        uri = Uri.parse("http://h/\u00fc[1]|%41%zz?a=\u20ac|b#%", strict=False)
        assert str(uri) == "http://h/%C3%BC%5B1%5D%7C%41%25zz?a=%E2%82%AC%7Cb#%25"

    def test_bytes_that_are_no_utf_8_are_encoded_as_they_are(self) -> None:
        assert str(Uri.parse("http://h/\udcff?\udcfe", strict=False)) == "http://h/%FF?%FE"

    @pytest.mark.parametrize(
        "text", ["http://h/\ud800", "http://\u00fc/", "http://h/a b", "http://h/\n", "http://h:x/", "1a:b"]
    )
    def test_what_is_none_all_the_same(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"expected|spaces|surrogates"):
            Uri.parse(text, strict=False)


class TestUnixSockets:
    def test_path_of_the_socket_and_of_the_request(self) -> None:
        text = "http://user@unix:/run/app.sock:/a/b?c"
        uri = Uri.parse(text, unix_socket=True)
        assert uri == Uri("http", "user", path="/a/b", query="c", unix_socket="/run/app.sock")
        assert str(uri) == text
        assert uri.target == "/a/b?c"

    def test_only_where_asked_for(self) -> None:
        assert Uri.parse("http://unix:/run/a:/b").host == "unix"

    def test_second_colon_is_missing(self) -> None:
        with pytest.raises(ValueError, match="unix:/path/of/socket:/path"):
            Uri.parse("http://unix:/run/a", unix_socket=True)

    def test_path_of_the_socket_is_never_mended(self) -> None:
        uri = Uri.parse("http://unix:/run/\xfc%.sock:/\xfc", unix_socket=True, strict=False)
        assert (uri.unix_socket, uri.path) == ("/run/\xfc%.sock", "/%C3%BC")

    @pytest.mark.parametrize(
        "path", ["", "run/a", "/run/a:b", "/run/a?b", "/run/a#b", "/run/a b", "/run/a\n", "/\0"]
    )
    def test_path_of_the_socket_that_would_be_read_as_another(self, path: str) -> None:
        with pytest.raises(ValueError, match="expected the path of a unix socket"):
            Uri("http", unix_socket=path)

    def test_not_beside_a_host(self) -> None:
        with pytest.raises(ValueError, match="not both"):
            Uri("http", host="h", unix_socket="/run/a")


class TestChanging:
    def test_one_part(self) -> None:
        assert str(replace(Uri.parse("http://h/a?b"), port=8080, query=None)) == "http://h:8080/a"

    @pytest.mark.parametrize(
        "change",
        [
            {"port": -1},
            {"port": 80.5},
            {"port": "80"},
            {"host": "a/b"},
            {"host": None, "path": "//x"},
            {"scheme": "a b"},
            {"path": "relative"},
            {"query": "a#b"},
            {"fragment": "#"},
            {"userinfo": "a@b"},
            {"host": None, "userinfo": "u"},
            {"host": None, "port": 1},
            {"host": None, "scheme": None, "path": "a:b"},
        ],
    )
    def test_to_what_is_none_is_refused(self, change: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"expected|needs|cannot|has no|begins"):
            replace(Uri.parse("http://h/a"), **change)


@given(st.text("a:/?#[]@%4 \u00fc.", max_size=20))
def test_what_is_taken_comes_back(text: str) -> None:
    """Any text is refused by a ValueError, or is the same again; but for the colon of a port that is not there."""
    try:
        uri = Uri.parse(text)
    except ValueError:
        return
    assert Uri.parse(str(uri)) == uri
    assert str(uri) == text or uri.host is not None


PART = st.text("a1-._~!,;=%4", max_size=4).filter(lambda text: re.fullmatch("(?:[^%]|%44)*", text))
PATH = st.lists(PART | st.sampled_from([".", "..", "a:b"]), max_size=5).map("/".join)


@st.composite
def uris(draw: st.DrawFn) -> Uri:
    """A URI or a reference, made of parts that go together, or none."""
    host = draw(st.none() | PART | st.sampled_from(["[::1]", "192.0.2.1"]))
    path = draw(PATH)
    if host is not None:
        path = path and f"/{path}"
    query, fragment = draw(st.none() | PART), draw(st.none() | PART)
    parts = {
        "scheme": draw(st.none() | st.just("x")),
        "host": host,
        "path": path,
        "query": query,
        "fragment": fragment,
    }
    if host is not None:
        parts |= {"userinfo": draw(st.none() | PART), "port": draw(st.none() | st.integers(0, 65535))}
    try:
        return Uri(**parts)
    except ValueError:
        reject()


@given(uris())
def test_what_is_put_together_comes_apart(uri: Uri) -> None:
    assert Uri.parse(str(uri)) == uri


def without_dot_segments(path: str) -> str:
    """RFC 3986 §5.2.4, step by step."""
    output = ""
    while path:
        if path.startswith(("../", "./")):
            path = path.partition("/")[2]
        elif path.startswith("/./") or path == "/.":
            path = "/" + path[3:]
        elif path.startswith("/../") or path == "/..":
            path = "/" + path[4:]
            output = output[: max(output.rfind("/"), 0)]
        elif path in (".", ".."):
            path = ""
        else:
            segment = path[: end if (end := path.find("/", 1)) > 0 else len(path)]
            output += segment
            path = path[len(segment) :]
    return output


def resolved(base: Uri, other: Uri) -> str:
    """RFC 3986 §5.2.2 and §5.2.3, as they stand there, and §5.3."""
    authority, query = base.authority, other.query
    if other.scheme is not None or other.authority is not None:
        authority, path = other.authority, without_dot_segments(other.path)
    elif other.path == "":
        path = base.path
        query = base.query if other.query is None else other.query
    elif other.path.startswith("/"):
        path = without_dot_segments(other.path)
    elif base.authority is not None and base.path == "":
        path = without_dot_segments("/" + other.path)
    else:
        path = without_dot_segments(base.path[: base.path.rfind("/") + 1] + other.path)
    result = (base.scheme if other.scheme is None else other.scheme or "") + ":"
    if authority is not None:
        result += "//" + authority
    elif path.startswith("//"):
        result += "/."  # what the RFC forgets
    result += path
    result += "" if query is None else "?" + query
    return result + ("" if other.fragment is None else "#" + other.fragment)


@given(uris(), uris())
def test_any_reference_is_resolved_by_the_book(base: Uri, other: Uri) -> None:
    base = replace(base, scheme="http")
    assert str(base.resolve(other)) == resolved(base, other)
    assert base.resolve(str(other)) == base.resolve(other)


@given(st.text(max_size=30))
def test_what_is_mended_is_strict(text: str) -> None:
    try:
        uri = Uri.parse(text, strict=False)
    except ValueError:
        return
    assert Uri.parse(str(uri)) == uri


@given(st.text("ab./", max_size=12))
def test_nothing_is_left_to_remove(path: str) -> None:
    uri = Uri.parse("http://h/x/y").resolve(Uri(host="i", path=f"/{path}"))
    assert not {".", ".."} & set(uri.path.split("/"))
    assert Uri.parse("http://other/").resolve(uri) == uri


@pytest.mark.parametrize("text", ["%" * 200_000, "a:" * 100_000, "@" * 200_000, "[" * 200_000])
def test_long_nonsense_is_refused(text: str) -> None:
    """In some milliseconds; what backtracks would not come back."""
    with pytest.raises(ValueError, match="expected"):
        Uri.parse(f"//{text}")


def test_many_dots_come_to_an_end() -> None:
    assert str(Uri.parse("http://h/a").resolve("../" * 200_000 + "b")) == "http://h/b"


class TestEncoding:
    def test_everything_but_the_unreserved(self) -> None:
        assert uri_encode("a-._~Z9 /?%+\u00fc\x00") == "a-._~Z9%20%2F%3F%25%2B%C3%BC%00"
        assert uri_encode("a b+", plus=True) == "a+b%2B"
        assert uri_encode(b"\xff ") == "%FF%20"

    def test_half_a_character_is_none(self) -> None:
        with pytest.raises(ValueError, match="surrogates"):
            uri_encode("\ud800")

    def test_decoding(self) -> None:
        assert uri_decode("a%20b+%C3%BC") == "a b+\u00fc"
        assert uri_decode("a+b%2B", plus=True) == "a b+"
        assert uri_decode("%00") == "\x00"

    @pytest.mark.parametrize("text", ["%", "a%4", "%zz", "%+1", "%\u0661\u0661"])
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ValueError, match="two hexadecimal digits after %, got '%"):
            uri_decode(text)
        assert uri_decode(text, strict=False) == text

    @given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")), st.booleans())
    def test_decoding_undoes_encoding(self, text: str, plus: bool) -> None:
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
        assert uri_decode(uri_encode(text, plus=plus), plus=plus) == text


class TestQuery:
    def test_pairs_in_order_decoded(self) -> None:
        assert parse_query("a=1&b=%20x+y&a=2&%C3%BC=") == [
            ("a", "1"),
            ("b", " x y"),
            ("a", "2"),
            ("\u00fc", ""),
        ]

    def test_none(self) -> None:
        assert parse_query("") == []

    @pytest.mark.parametrize("text", ["a", "=b", "a=1&b", "a=%zz", "%=1"])
    def test_strict(self, text: str) -> None:
        with pytest.raises(ValueError, match="expected"):
            parse_query(text)

    def test_not_strict(self) -> None:
        assert parse_query("a&=b&c=%zz&&d=1=2", strict=False) == [("a", ""), ("c", "%zz"), ("d", "1=2")]

    def test_number_is_limited(self) -> None:
        assert len(parse_query("a=&b=", max_pairs=2)) == 2
        with pytest.raises(ValueError, match="at most 2 pairs in a query, got 3"):
            parse_query("a=&b=&c=", max_pairs=2)

    @given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=8))
    def test_parsing_undoes_encoding(self, pairs: list[tuple[str, str]]) -> None:
        pairs = [
            (name.encode("utf-8", "replace").decode(), value.encode("utf-8", "replace").decode())
            for name, value in pairs
        ]
        text = "&".join(
            f"{uri_encode(name, plus=True)}={uri_encode(value, plus=True)}" for name, value in pairs
        )
        assert parse_query(text) == pairs
