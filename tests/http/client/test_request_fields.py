"""`evkit.http.client.request_fields`: one request comes out, the one that was meant, or an error."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.errors import LocalProtocolError
from evkit.http.client.request_fields import (
    CHUNKED,
    STANDARD,
    RequestFields,
    connect_head,
    declared_length,
)

BARE = RequestFields(())


def head(
    method: str = "GET", target: str = "/", fields: tuple[tuple[str, str], ...] = (), **kwargs: object
) -> bytes:
    return BARE.head(method, target, "a.example", fields, **kwargs)  # type: ignore[arg-type]  # a short hand


@pytest.mark.parametrize(
    ("method", "target", "length", "expected"),
    [
        ("GET", "/", None, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        ("GET", "/a?b=c&d", None, b"GET /a?b=c&d HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        ("OPTIONS", "*", None, b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        ("GET", "http://b/c", None, b"GET http://b/c HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        ("GET", "//x", None, b"GET //x HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        # RFC 9110 §8.6: methods that are about their content say that there is none.
        ("POST", "/", None, b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"),
        ("PUT", "/", None, b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"),
        ("PATCH", "/", None, b"PATCH / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"),
        ("DELETE", "/", None, b"DELETE / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        ("GET", "/", 0, b"GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n"),
        ("GET", "/", 5, b"GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n"),
        ("POST", "/", CHUNKED, b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ],
)
def test_a_head(method: str, target: str, length: int | None, expected: bytes) -> None:
    assert head(method, target, length=length) == expected
    assert head(method, target, length=length) == expected  # and once more, from what is kept


def test_the_order_of_fields() -> None:
    fields = RequestFields([("A", "1"), ("B", "2")])
    assert fields.head("GET", "/", "h:1", [("C", "3"), ("a", "4")], close=True, length=1) == (
        b"GET / HTTP/1.1\r\nHost: h:1\r\nB: 2\r\nC: 3\r\na: 4\r\nContent-Length: 1\r\nConnection: close\r\n\r\n"
    )


def test_what_every_request_says() -> None:
    assert RequestFields().head("GET", "/", "h") == (
        b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: evkit\r\nAccept: */*\r\n\r\n"
    )
    assert b"evkit" not in RequestFields(STANDARD).head("GET", "/", "h", [("user-agent", "x")])


def test_a_range_is_one_of_bytes_as_they_are() -> None:
    fields = RequestFields([("Accept-Encoding", "gzip")])
    assert b"gzip" in fields.head("GET", "/", "h")
    assert b"gzip" not in fields.head("GET", "/", "h", [("range", "bytes=0-1")])
    own = (("Range", "bytes=0-1"), ("Accept-Encoding", "br"))
    assert b"Accept-Encoding: br\r\n" in fields.head("GET", "/", "h", own)


def test_requests_do_not_see_each_others_fields() -> None:
    one, other = head(fields=(("X", "1"),)), head(fields=(("X", "2"),))
    assert b"X: 1\r\n" in one
    assert b"X: 2\r\n" in other
    assert b"X:" not in head()
    assert BARE.head("GET", "/", "b.example", (("X", "1"),)) == one.replace(b"a.example", b"b.example")


def test_what_is_kept_has_a_limit() -> None:
    fields = RequestFields(())
    for number in range(1000):
        assert f"X: {number}\r\n".encode() in fields.head("GET", "/", "h", (("X", str(number)),))
    assert len(fields._known) <= 256


def test_the_callers_host_takes_the_place_of_ours() -> None:
    assert head(fields=(("A", "1"), ("host", "b.example:81"))) == (
        b"GET / HTTP/1.1\r\nHost: b.example:81\r\nA: 1\r\n\r\n"
    )


@pytest.mark.parametrize(
    "host", ["", "a b", "a/b", "a@b", "a:b", "a,b", "[::1", "ä", "a:123456", "a\tb", "*"]
)
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(LocalProtocolError, match="Host"):
        head(fields=(("Host", host),))
    with pytest.raises(LocalProtocolError, match="Host"):
        BARE.head("GET", "/", host)


@pytest.mark.parametrize(
    "method",
    [
        "",
        " ",
        "GET ",
        "G T",
        "GET\r\n",
        "GÉT",
        "GET\0",
        "CONNECT",
        "A" * 33,
        "GET / HTTP/1.1\r\nX:",
        "?\ud800",
        "(",
    ],
)
def test_a_method_that_is_none(method: str) -> None:
    with pytest.raises(LocalProtocolError, match="method"):
        head(method)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "a",
        "*",
        "/ ",
        "/a b",
        "/\r\n",
        "/\n",
        "/ HTTP/1.1\r\nX: y",
        "/\0",
        "/\x7f",
        "/é",
        "/?\ud800",
        "/#a",
        "ftp://a/",
        "a:80",
        "/\t",
        "http:/a",
    ],
)
def test_a_target_that_is_none(target: str) -> None:
    with pytest.raises(LocalProtocolError, match="target"):
        head("GET", target)


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nY: b"), ("X\r\nY", "b"), ("X:", "b"), ("", "b"), ("X", "\0"), ("X", "€"), ("X y", "z")],
)
def test_fields_carry_nothing_else(name: str, value: str) -> None:
    for how in ("fields", "proxy"):
        with pytest.raises(LocalProtocolError, match="header field"):
            head(**{how: ((name, value),)})  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="header field"):
        RequestFields([(name, value)])
    with pytest.raises(LocalProtocolError, match="header field"):
        connect_head("a:1", [(name, value)])


@pytest.mark.parametrize("pair", [("X", 1), ("X",), ["X", "y"], "Xy", ("X", b"y"), ("X", ["y"]), None])
def test_what_is_no_pair(pair: tuple[str, str]) -> None:
    with pytest.raises(TypeError, match="pair"):
        head(fields=(pair,))
    with pytest.raises(TypeError, match="pair"):
        RequestFields([pair])


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Expect",
        "Proxy-Authorization",
        "AUTHORIZATION",
        "Cookie",
    ],
)
def test_what_is_not_for_all_requests(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="one request"):
        RequestFields([(name, "1")])


@pytest.mark.parametrize(
    ("fields", "length", "sent"),
    [
        ((("Content-Length", "5"),), 5, b"Content-Length: 5\r\n"),
        ((("content-length", "0"),), None, b"Content-Length: 0\r\n"),
        ((("Content-Length", "05"),), 5, b"Content-Length: 5\r\n"),
        ((("Transfer-Encoding", "Chunked"),), CHUNKED, b"Transfer-Encoding: chunked\r\n"),
        ((("Expect", "100-Continue"),), 5, b"Expect: 100-continue\r\nContent-Length: 5\r\n"),
        ((("expect", "100-continue"),), CHUNKED, b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"),
    ],
)
def test_the_caller_may_say_what_is_so(fields: tuple[tuple[str, str], ...], length: int, sent: bytes) -> None:
    assert head("POST", fields=fields, length=length) == (
        b"POST / HTTP/1.1\r\nHost: a.example\r\n" + sent + b"\r\n"
    )


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ((("Content-Length", "5"),), 6),
        ((("Content-Length", "5"),), None),
        ((("Content-Length", "5"),), CHUNKED),
        ((("Content-Length", "5"), ("content-length", "5")), 5),
        ((("Content-Length", "5,5"),), 5),
        ((("Content-Length", "+5"),), 5),
        ((("Content-Length", "5 "),), 5),
        ((("Content-Length", "²"),), 2),
        ((("Content-Length", "0x5"),), 5),
        ((("Content-Length", "-1"),), CHUNKED),
        ((("Content-Length", "9" * 5000),), 5),
        ((("Transfer-Encoding", "chunked"),), 5),
        ((("Transfer-Encoding", "chunked"),), None),
        ((("Transfer-Encoding", "gzip, chunked"),), CHUNKED),
        ((("Transfer-Encoding", "identity"),), None),
        ((("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")), CHUNKED),
        ((("Transfer-Encoding", "chunked"), ("Content-Length", "5")), CHUNKED),
        ((("Expect", "100-continue"),), None),
        ((("Expect", "100-continue"),), 0),
        ((("Expect", "200-ok"),), 5),
        ((("Proxy-Authorization", "Basic x"),), None),
        ((("Host", "a"), ("Host", "a")), None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_caller_may_not_contradict(
    method: str, fields: tuple[tuple[str, str], ...], length: int | None
) -> None:
    for _ in range(2):  # also when something of it was kept
        with pytest.raises(LocalProtocolError):
            head(method, fields=fields, length=length)


def test_credentials_that_are_refused_are_not_shown() -> None:
    with pytest.raises(LocalProtocolError, match="proxy") as caught:
        head(fields=(("Proxy-Authorization", "Basic secret"),))
    assert "secret" not in str(caught.value)


def test_cookies_are_one_field() -> None:
    """RFC 6265 §5.4: the caller's and the jar's."""
    fields = (("Cookie", "a=b"), ("X", "y"), ("cookie", "c=d; e=f"))
    assert head(fields=fields) == (
        b"GET / HTTP/1.1\r\nHost: a.example\r\nX: y\r\nCookie: a=b; c=d; e=f\r\n\r\n"
    )


def test_credentials_are_given_once() -> None:
    with pytest.raises(LocalProtocolError, match="one authorization") as caught:
        head(fields=(("Authorization", "Basic secret"), ("authorization", "Bearer secret")))
    assert "secret" not in str(caught.value)


def test_trace_has_no_body() -> None:
    """RFC 9110 §9.3.8."""
    assert head("TRACE")
    for length in (1, CHUNKED):
        with pytest.raises(LocalProtocolError, match="TRACE"):
            head("TRACE", length=length)


def test_what_a_proxy_is_told() -> None:
    told = (("Proxy-Authorization", "Basic x"), ("X", "y"))
    assert head(target="http://a.example/", proxy=told) == (
        b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nProxy-Authorization: Basic x\r\nX: y\r\n\r\n"
    )
    assert b"Proxy" not in head(target="http://a.example/")


@pytest.mark.parametrize("name", ["Host", "Content-Length", "transfer-encoding", "Expect"])
def test_what_a_proxy_is_not_told(name: str) -> None:
    with pytest.raises(LocalProtocolError, match="of its own"):
        head(proxy=((name, "1"),))
    with pytest.raises(LocalProtocolError, match="of its own"):
        connect_head("a:1", [(name, "1")])


def test_a_head_for_a_tunnel() -> None:
    """RFC 9110 §9.3.6."""
    assert connect_head("[::1]:443", [("Proxy-Authorization", "Basic x")]) == (
        b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic x\r\n\r\n"
    )


@pytest.mark.parametrize(
    "authority", ["", "a", "a:", ":1", "a:b", "a:1 HTTP/1.1\r\nX: y", "a:1\n", "http://a:1", "a@b:1", "ä:1"]
)
def test_a_tunnel_to_nowhere(authority: str) -> None:
    with pytest.raises(LocalProtocolError, match="host and a port"):
        connect_head(authority, ())


@pytest.mark.parametrize(
    ("fields", "length"),
    [((), None), ((("X", "5"),), None), ((("CONTENT-length", "5"),), 5), ((("Content-Length", "0"),), 0)],
)
def test_the_length_that_a_caller_declares(fields: tuple[tuple[str, str], ...], length: int | None) -> None:
    assert declared_length(fields) == length


@pytest.mark.parametrize("values", [["x"], ["5", "5"], [""], ["-1"], ["1" * 20], ["5\n"]])
def test_a_length_that_is_none(values: list[str]) -> None:
    with pytest.raises(LocalProtocolError, match=r"(?i)content-length"):
        declared_length([("Content-Length", value) for value in values])


NAMES = st.sampled_from(
    ["X", "Accept", "Content-Length", "Transfer-Encoding", "Expect", "Host", "x y", "Connection"]
) | st.text(max_size=5)
VALUES = st.sampled_from(["1", "5", "chunked", "100-continue", "a.example", "close"]) | st.text(max_size=8)


@given(
    st.sampled_from(["GET", "POST", "HEAD"]) | st.text(max_size=5),
    st.sampled_from(["/", "/a?b", "*", "http://a/"]) | st.text(max_size=8),
    st.lists(st.tuples(NAMES, VALUES), max_size=3),
    st.sampled_from([None, 0, 1, 5, CHUNKED]),
)
def test_what_comes_out_is_one_request(
    method: str, target: str, fields: list[tuple[str, str]], length: int | None
) -> None:
    """h11 reads what was meant, and has nothing left over."""
    try:
        raw = BARE.head(method, target, "a.example", fields, length=length)
    except LocalProtocolError:
        return
    peer = h11.Connection(h11.SERVER)
    peer.receive_data(raw)
    request = peer.next_event()
    assert isinstance(request, h11.Request)
    assert request.method == method.encode()
    assert request.target == target.encode()
    body = 0 if length is None else length
    framing = [pair for pair in request.headers if pair[0] in (b"content-length", b"transfer-encoding")]
    if body == CHUNKED:
        assert framing == [(b"transfer-encoding", b"chunked")]
    elif framing:
        assert framing == [(b"content-length", b"%d" % body)]
    else:
        assert body == 0
    asked = sorted(name.lower().encode() for name, _ in fields)  # no cookies among them, which become one
    ours = {b"host", b"content-length", b"transfer-encoding"}
    assert [name for name in sorted(name for name, _ in request.headers) if name not in ours] == [
        name for name in asked if name not in ours
    ]
    left, _ = peer.trailing_data
    assert left == b""
