"""Hostile and odd requests, and what RFC 9110 and 9112 (or evkit's stricter choice) make of each.

The expectations come from the section that each case names and from the rules that `evkit.http.parser.rules` states,
never from a run of the code. A case says which requests are understood, in order, and how the stream ends
after them: in a refusal with a status, in a wait for more bytes, or in nothing left.
"""

from typing import Final, NamedTuple


class Seen(NamedTuple):
    """A request as an engine should understand it."""

    method: str
    target: str
    body: bytes = b""
    host: str | None = "a"
    keep_alive: bool = True
    expect: bool = False
    trailers: tuple[tuple[str, str], ...] = ()


class Case(NamedTuple):
    """Bytes, what becomes of them, and the section that says so."""

    name: str
    section: str
    raw: bytes
    seen: tuple[Seen, ...]
    status: int | None = None  # of the refusal after ``seen``
    waits: bool = False  # whether bytes of an unfinished message are left


ROOT: Final = Seen("GET", "/")
CASES: Final[list[Case]] = []


def _add(case: Case) -> None:
    CASES.append(case)


def _ok(name: str, section: str, raw: bytes, *seen: Seen) -> None:
    _add(Case(name, section, raw, seen or (ROOT,)))


def _bad(name: str, section: str, raw: bytes, status: int = 400, *seen: Seen) -> None:
    _add(Case(name, section, raw, seen, status))


def _wait(name: str, section: str, raw: bytes, *seen: Seen) -> None:
    _add(Case(name, section, raw, seen, waits=True))


def _line(line: bytes) -> bytes:
    """A request with this request line."""
    return line + b"\r\nHost: a\r\n\r\n"


def _get(fields: bytes) -> bytes:
    """A GET of / with Host and these field lines, each with its CRLF."""
    return b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"


def _post(fields: bytes, body: bytes) -> bytes:
    return b"POST /p HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n" + body


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n", body)


def _posted(body: bytes, trailers: tuple[tuple[str, str], ...] = ()) -> Seen:
    return Seen("POST", "/p", body, trailers=trailers)


# -- Request line ------------------------------------------------------------------------------------------------------
_ok("minimal", "9112 §3", _line(b"GET / HTTP/1.1"))
_ok("query", "9112 §3.2.1", _line(b"GET /a?b=c&d HTTP/1.1"), Seen("GET", "/a?b=c&d"))
_ok(
    "visible ASCII in the target",
    "9112 §3.2",
    _line(b"GET /\"<>\\^`{|}'~! HTTP/1.1"),
    Seen("GET", "/\"<>\\^`{|}'~!"),
)
_ok(
    "percent without digits is the handler's",
    "9112 §3.2",
    _line(b"GET /%zz%0 HTTP/1.1"),
    Seen("GET", "/%zz%0"),
)
_ok("double slash", "9112 §3.2.1", _line(b"GET //b/ HTTP/1.1"), Seen("GET", "//b/"))
_ok("one CRLF before", "9112 §2.2", b"\r\n" + _line(b"GET / HTTP/1.1"))
_bad("two CRLF before", "9112 §2.2", b"\r\n\r\n" + _line(b"GET / HTTP/1.1"))
_bad("LF before", "9112 §2.2", b"\n" + _line(b"GET / HTTP/1.1"))
_bad("CR before", "9112 §2.2", b"\r" + _line(b"GET / HTTP/1.1"))
_bad("space before", "9112 §3", b" " + _line(b"GET / HTTP/1.1"))
_bad("tab before", "9112 §3", b"\t" + _line(b"GET / HTTP/1.1"))
_bad("BOM before", "9112 §3", b"\xef\xbb\xbf" + _line(b"GET / HTTP/1.1"))
_bad("two spaces after the method", "9112 §3", _line(b"GET  / HTTP/1.1"))
_bad("tab after the method", "9112 §3", _line(b"GET\t/ HTTP/1.1"))
_bad("two spaces after the target", "9112 §3", _line(b"GET /  HTTP/1.1"))
_bad("tab after the target", "9112 §3", _line(b"GET /\tHTTP/1.1"))
_bad("space after the version", "9112 §3", _line(b"GET / HTTP/1.1 "))
_bad("tab after the version", "9112 §3", _line(b"GET / HTTP/1.1\t"))
_bad("space in the target", "9112 §3.2", _line(b"GET /a b HTTP/1.1"))
_bad("vertical tab for space", "9112 §3", _line(b"GET\x0b/ HTTP/1.1"))
_bad("form feed for space", "9112 §3", _line(b"GET /\x0cHTTP/1.1"))
_bad("0xA0 for space", "9112 §3", _line(b"GET\xa0/ HTTP/1.1"))
_bad("0x85 for CRLF", "9112 §2.2", b"GET / HTTP/1.1\x85Host: a\r\n\r\n")
_bad("no target", "9112 §3", _line(b"GET HTTP/1.1"))
_bad("empty target", "9112 §3", _line(b"GET  HTTP/1.1"))
_bad("method alone", "9112 §3", _line(b"GET"))
_bad("version alone", "9112 §3", _line(b"HTTP/1.1"))
_bad("HTTP/0.9", "9112 §3", b"GET /\r\n")
_bad("HTTP/0.9 with a space", "9112 §3", b"GET / \r\n")
_bad("bare LF after the request line", "9112 §2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n")
_bad("bare CR after the request line", "9112 §2.2", b"GET / HTTP/1.1\rHost: a\r\n\r\n")
_bad("CR CR LF after the request line", "9112 §2.2", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n")
_bad("a status line", "9112 §2.1", b"HTTP/1.1 200 OK\r\nHost: a\r\n\r\n")
_bad("TLS ClientHello", "9112 §3", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
_bad("SSH banner", "9112 §3", b"SSH-2.0-OpenSSH_9.2\r\n")
_bad("SOCKS 5", "9112 §3", b"\x05\x01\x00")
_bad("zeroes", "9112 §3", b"\0\0\0\0")
_bad("HTTP/2 preface", "9113 §3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
_wait("nothing but CRLF", "9112 §2.2", b"\r\n")
_wait("half a method", "9112 §3", b"GE")
_wait("half a version", "9112 §3", b"GET / HTT")
_wait("half a head", "9112 §2.1", b"GET / HTTP/1.1\r\nHost: a\r\nX-")
_wait("head without its empty line", "9112 §2.1", b"GET / HTTP/1.1\r\nHost: a\r\n")
_wait("head without the last LF", "9112 §2.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r")

# -- Method ------------------------------------------------------------------------------------------------------------
_TCHARS: Final = b"!#$%&'*+-.^_`|~09AZaz"
_ok("all kinds of tchar", "9110 §5.6.2", _line(_TCHARS + b" / HTTP/1.1"), Seen(_TCHARS.decode(), "/"))
_ok("lower-case method is another method", "9110 §9.1", _line(b"get / HTTP/1.1"), Seen("get", "/"))
_ok("method of 32 bytes", "9110 §9.1", _line(b"M" * 32 + b" / HTTP/1.1"), Seen("M" * 32, "/"))
_bad("method of 33 bytes", "9112 §3", _line(b"M" * 33 + b" / HTTP/1.1"), 501)
_bad("method without end", "9112 §3", b"M" * 100, 501)
_bad("method with colon", "9110 §9.1", _line(b"GET: / HTTP/1.1"))
_bad("method with slash", "9110 §9.1", _line(b"G/T / HTTP/1.1"))
_bad("method with brackets", "9110 §9.1", _line(b"GE(T) / HTTP/1.1"))
_bad("method in quotes", "9110 §9.1", _line(b'"GET" / HTTP/1.1'))
_bad("method with comma", "9110 §9.1", _line(b"GET,POST / HTTP/1.1"))
_bad("method with 0xB2", "9110 §9.1", _line(b"GE\xb2 / HTTP/1.1"))
_bad("method with NUL", "9110 §9.1", _line(b"GET\0 / HTTP/1.1"))
_bad("method with DEL", "9110 §9.1", _line(b"GET\x7f / HTTP/1.1"))

# -- Version -----------------------------------------------------------------------------------------------------------
_ok("HTTP/1.0 with Host", "9112 §2.3", _line(b"GET / HTTP/1.0"), Seen("GET", "/", keep_alive=False))
_ok(
    "HTTP/1.0 without Host",
    "9112 §3.2",
    b"GET / HTTP/1.0\r\n\r\n",
    Seen("GET", "/", host=None, keep_alive=False),
)
_ok("HTTP/1.2 is served as 1.1", "9110 §2.5", _line(b"GET / HTTP/1.2"))
_ok("HTTP/1.9 is served as 1.1", "9110 §2.5", _line(b"GET / HTTP/1.9"))
_bad("HTTP/1.2 needs Host as well", "9110 §2.5", b"GET / HTTP/1.2\r\n\r\n")
for _version in (b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/0.0"):
    _bad(f"version {_version.decode()}", "9110 §15.6.6", _line(b"GET / " + _version), 505)
for _version in (
    b"http/1.1",
    b"Http/1.1",
    b"HTTP/1",
    b"HTTP/1.",
    b"HTTP/.1",
    b"HTTP/1.10",
    b"HTTP/01.1",
    b"HTTP/1.01",
    b"HTTP/+1.1",
    b"HTTP/1,1",
    b"HTTP/1.x",
    b"HTTP/2",
    b"HTTP 1.1",
    b"HTTP/1.1.",
    b"HTTPS/1.1",
    b"HTP/1.1",
    b"HTTP/1.\xb2",
    b"HTTP/ 1.1",
    b"XHTTP/1.1",
    b"1.1",
    b"ICY/1.1",
):
    _bad(f"version {_version!r}", "9112 §2.3", _line(b"GET / " + _version))

# -- Target ------------------------------------------------------------------------------------------------------------
_ok("asterisk with OPTIONS", "9112 §3.2.4", _line(b"OPTIONS * HTTP/1.1"), Seen("OPTIONS", "*"))
_bad("asterisk with GET", "9112 §3.2.4", _line(b"GET * HTTP/1.1"))
_bad("asterisk with lower-case options", "9112 §3.2.4", _line(b"options * HTTP/1.1"))
_bad("asterisk and more", "9112 §3.2.4", _line(b"OPTIONS ** HTTP/1.1"))
_bad("asterisk and slash", "9112 §3.2.4", _line(b"OPTIONS */ HTTP/1.1"))
_bad("relative target", "9112 §3.2", _line(b"GET index.html HTTP/1.1"))
_bad("query without a path", "9112 §3.2", _line(b"GET ?a HTTP/1.1"))
_bad("dot segment", "9112 §3.2", _line(b"GET ../x HTTP/1.1"))
_bad("backslash for slash", "9112 §3.2", _line(b"GET \\x HTTP/1.1"))
_bad("fragment", "9112 §3.2", _line(b"GET /a#b HTTP/1.1"))
_bad("fragment in absolute-form", "9112 §3.2.2", _line(b"GET http://a/#b HTTP/1.1"))
_bad("NUL in the target", "9112 §3.2", _line(b"GET /a\0b HTTP/1.1"))
_bad("DEL in the target", "9112 §3.2", _line(b"GET /a\x7fb HTTP/1.1"))
_bad("UTF-8 in the target", "9112 §3.2", _line(b"GET /\xc3\xa4 HTTP/1.1"))
_bad("0xA0 in the target", "9112 §3.2", _line(b"GET /\xa0 HTTP/1.1"))
_bad("CR in the target", "9112 §3.2", _line(b"GET /a\rb HTTP/1.1"))
_bad("authority-form with GET", "9112 §3.2.3", _line(b"GET a:80 HTTP/1.1"))
_ok(
    "absolute-form", "9112 §3.2.2", _line(b"GET http://b/c?d HTTP/1.1"), Seen("GET", "http://b/c?d", host="b")
)
_ok(
    "absolute-form with port",
    "9112 §3.2.2",
    _line(b"GET http://b:81/ HTTP/1.1"),
    Seen("GET", "http://b:81/", host="b:81"),
)
_ok(
    "absolute-form, https",
    "9112 §3.2.2",
    _line(b"GET https://b/ HTTP/1.1"),
    Seen("GET", "https://b/", host="b"),
)
_ok(
    "absolute-form, HTTP://",
    "3986 §3.1",
    _line(b"GET HTTP://b/ HTTP/1.1"),
    Seen("GET", "HTTP://b/", host="b"),
)
_ok(
    "absolute-form, no path",
    "9112 §3.2.2",
    _line(b"GET http://b HTTP/1.1"),
    Seen("GET", "http://b", host="b"),
)
_ok(
    "absolute-form, query alone",
    "3986 §3",
    _line(b"GET http://b?c HTTP/1.1"),
    Seen("GET", "http://b?c", host="b"),
)
_ok(
    "absolute-form with OPTIONS",
    "9112 §3.2.4",
    _line(b"OPTIONS http://b HTTP/1.1"),
    Seen("OPTIONS", "http://b", host="b"),
)
_ok(
    "absolute-form, IPv6",
    "3986 §3.2.2",
    _line(b"GET http://[::1]:8/ HTTP/1.1"),
    Seen("GET", "http://[::1]:8/", host="[::1]:8"),
)
_ok(
    "absolute-form, 1.0, no Host",
    "9112 §3.2.2",
    b"GET http://b/ HTTP/1.0\r\n\r\n",
    Seen("GET", "http://b/", host="b", keep_alive=False),
)
_bad("absolute-form without Host", "9112 §3.2", b"GET http://a/ HTTP/1.1\r\n\r\n")
_bad("absolute-form, bad Host", "9112 §3.2", b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n")
_bad("absolute-form, two Hosts", "9112 §3.2", b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")
for _target in (
    b"http:///x",
    b"http://",
    b"http:",
    b"http:/a",
    b"http://:80/",
    b"http://u@a/",
    b"http://u:p@a/",
    b"http://a:b/",
    b"http://a:65536/",
    b"http://[::1/",
    b"http://[::g]/",
    b"http://a\\b/",
    b"http://a,b/",
    b"ftp://a/",
    b"file:///etc/passwd",
    b"javascript:alert(1)",
    b"ws://a/",
    b"://a/",
):
    _bad(f"target {_target.decode()}", "9112 §3.2.2", _line(b"GET " + _target + b" HTTP/1.1"))
_ok("CONNECT", "9112 §3.2.3", _line(b"CONNECT b:443 HTTP/1.1"), Seen("CONNECT", "b:443", host="b:443"))
_ok(
    "CONNECT to IPv6",
    "9112 §3.2.3",
    _line(b"CONNECT [::1]:1 HTTP/1.1"),
    Seen("CONNECT", "[::1]:1", host="[::1]:1"),
)
_ok(
    "CONNECT, port 65535",
    "9110 §9.3.6",
    _line(b"CONNECT b:65535 HTTP/1.1"),
    Seen("CONNECT", "b:65535", host="b:65535"),
)
_ok(
    "CONNECT, Content-Length 0",
    "9110 §9.3.6",
    b"CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\nContent-Length: 0\r\n\r\n",
    Seen("CONNECT", "b:1", host="b:1"),
)
_bad(
    "CONNECT with a length", "9110 §9.3.6", b"CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\nContent-Length: 1\r\n\r\n"
)
_bad(
    "CONNECT with chunks",
    "9110 §9.3.6",
    b"CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\nTransfer-Encoding: chunked\r\n\r\n",
)
for _target in (
    b"b",
    b"443",
    b"b:",
    b":443",
    b"b:0",
    b"b:00",
    b"b:65536",
    b"b:999999",
    b"b:x",
    b"b:+1",
    b"b:-1",
    b"b:80/",
    b"/",
    b"*",
    b"http://b:443/",
    b"u@b:443",
    b"[::1]",
    b"::1:443",
    b"[fe80::1%25eth0]:1",
    b"b:1:2",
    b"b:8_0",
):
    _bad(f"CONNECT {_target.decode()}", "9110 §9.3.6", _line(b"CONNECT " + _target + b" HTTP/1.1"))


# -- Host --------------------------------------------------------------------------------------------------------------
def _host(value: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost:" + value + b"\r\n\r\n"


for _value in (
    b"example.org",
    b"127.0.0.1",
    b"127.0.0.1:8080",
    b"a:80",
    b"a:",
    b"[::1]",
    b"[::1]:80",
    b"[::ffff:1.2.3.4]",
    b"xn--bcher-kva.example",
    b"a_b",
    b"a%20b",
    b"A.B.",
    b"a!$&'()*+;=",
    b"1",
    b"a:65535",
    b"-",
    b"~",
):
    _ok(f"Host {_value.decode()}", "9110 §7.2", _host(b" " + _value), Seen("GET", "/", host=_value.decode()))
_ok("Host empty", "9112 §3.2", _host(b""), Seen("GET", "/", host=""))
_ok("Host blank", "9112 §3.2", _host(b" \t"), Seen("GET", "/", host=""))
_ok("Host with OWS", "9112 §5.1", _host(b"\t a \t"))
_ok("Host without a space", "9112 §5.1", _host(b"a"))
_ok("Host in capitals", "9110 §5.1", b"GET / HTTP/1.1\r\nHOST: a\r\n\r\n")
_ok("Host last", "9110 §5.3", b"GET / HTTP/1.1\r\nX: y\r\nhost: a\r\n\r\n")
_ok("Host of 255 bytes", "3986 §3.2.2", _host(b"h" * 255), Seen("GET", "/", host="h" * 255))
_bad("Host of 300 bytes", "3986 §3.2.2", _host(b"h" * 300))
_bad("no Host", "9112 §3.2", b"GET / HTTP/1.1\r\n\r\n")
_bad("no Host, X-Host", "9112 §3.2", b"GET / HTTP/1.1\r\nX-Host: a\r\n\r\n")
_bad("no Host, Hosts", "9112 §3.2", b"GET / HTTP/1.1\r\nHosts: a\r\n\r\n")
_bad("Host twice, the same", "9112 §3.2", _get(b"Host: a\r\n"))
_bad("Host twice, different", "9112 §3.2", _get(b"Host: b\r\n"))
_bad("Host twice, other case", "9112 §3.2", _get(b"hOsT: a\r\n"))
_bad("Host twice, one empty", "9112 §3.2", _get(b"Host:\r\n"))
_bad("Host twice in 1.0", "9112 §3.2", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n")
_bad("Host invalid in 1.0", "9112 §3.2", b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n")
for _value in (
    b"a b",
    b"a/b",
    b"a?b",
    b"a\\b",
    b"a#b",
    b"u@a",
    b"u:p@a",
    b"http://a",
    b"a:b",
    b"a:80:80",
    b"a:-1",
    b"a:+80",
    b"a:8_0",
    b"a:0x50",
    b"a:65536",
    b"a:999999999999",
    b":80",
    b":",
    b"[::1",
    b"::1",
    b"[::1]x",
    b"[]",
    b"[::g]",
    b"[1.2.3.4]",
    b"[fe80::1%eth0]",
    b"[v1.x]",
    b"[::1]]",
    b"a,b",
    b"a, a",
    b"a\tb",
    b"a%2",
    b"a%zz",
    b"<a>",
    b'"a"',
    b"a|b",
    b"a^b",
    b"{a}",
    b"a`b",
    b"a\xa0",
    b"\x85a",
    b"b\xc3\xbccher",
    b"a:\xb2",
    b"a: 80",
    b"a :80",
):
    _bad(f"Host {_value!r}", "9112 §3.2", _host(b" " + _value))

# -- Fields ------------------------------------------------------------------------------------------------------------
_ok("empty value", "9110 §5.5", _get(b"X:\r\n"))
_ok("value with obs-text", "9110 §5.5", _get(b"X: \x80\xff\r\n"))
_ok("value with colons", "9110 §5.5", _get(b"X: :a: b:\r\n"))
_ok("value with tabs inside", "9110 §5.5", _get(b"X: a\tb \t c\r\n"))
_ok("odd name of tchars", "9110 §5.1", _get(b"!#$%&'*+-.^_`|~: x\r\n"))
_ok("name beginning with a digit", "9110 §5.1", _get(b"1: x\r\n"))
_ok("underscore names are names", "9110 §5.1", _get(b"Content_Length: 5\r\n"))
_bad("space before the colon", "9112 §5.1", _get(b"X : y\r\n"))
_bad("tab before the colon", "9112 §5.1", _get(b"X\t: y\r\n"))
_bad("space before Content-Length's colon", "9112 §5.1", _get(b"Content-Length : 5\r\n"))
_bad("vertical tab before TE's colon", "9112 §5.1", _get(b"Transfer-Encoding\x0b: chunked\r\n"))
_bad("space in a name", "9110 §5.1", _get(b"X Y: z\r\n"))
_bad("empty name", "9110 §5.1", _get(b": z\r\n"))
_bad("no colon", "9112 §5", _get(b"Junk\r\n"))
_bad("space before a name", "9112 §2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n")
_bad("obs-fold with space", "9112 §5.2", _get(b"X: a\r\n b\r\n"))
_bad("obs-fold with tab", "9112 §5.2", _get(b"X: a\r\n\tb\r\n"))
_bad("obs-fold after Transfer-Encoding", "9112 §5.2", _get(b"Transfer-Encoding:\r\n chunked\r\n"))
_bad("obs-fold of spaces", "9112 §5.2", _get(b"X: a\r\n  \r\n"))
for _byte in (0x00, 0x01, 0x08, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F):
    _bad(f"0x{_byte:02x} in a value", "9110 §5.5", _get(b"X: a" + bytes([_byte]) + b"b\r\n"))
for _byte in (0x00, 0x20, 0x22, 0x28, 0x2C, 0x2F, 0x3B, 0x40, 0x5B, 0x7B, 0x7F, 0x80, 0xA0, 0xB2, 0xFF):
    _bad(f"0x{_byte:02x} in a name", "9110 §5.1", _get(b"X" + bytes([_byte]) + b"Y: z\r\n"))
_bad("bare LF after a field", "9112 §2.2", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n")
_bad("bare LF for the empty line", "9112 §2.2", b"GET / HTTP/1.1\r\nHost: a\r\n\n")
_bad("LF alone everywhere", "9112 §2.2", b"GET / HTTP/1.1\nHost: a\n\n")
_bad("bare CR in a value", "9112 §2.2", _get(b"X: a\rb\r\n"))
_bad("bare CR hides a field", "9112 §2.2", _get(b"X: a\rContent-Length: 5\r\n"))
_bad("CR CR LF after a field", "9112 §2.2", _get(b"X: a\r\r\n"))
_bad("LF CR", "9112 §2.2", b"GET / HTTP/1.1\r\nHost: a\n\r\n\r")
_bad("NUL in a name", "9110 §5.5", _get(b"X\0: y\r\n"))

# -- Content-Length ----------------------------------------------------------------------------------------------------
_ok("Content-Length 0", "9112 §6.3", _post(b"Content-Length: 0\r\n", b""), _posted(b""))
_ok("Content-Length 5", "9112 §6.3", _post(b"Content-Length: 5\r\n", b"hello"), _posted(b"hello"))
_ok(
    "Content-Length, leading zeroes",
    "9110 §8.6",
    _post(b"Content-Length: 0005\r\n", b"hello"),
    _posted(b"hello"),
)
_ok("Content-Length, OWS", "9112 §5.1", _post(b"Content-Length:\t 5 \t\r\n", b"hello"), _posted(b"hello"))
_ok("Content-Length, any case", "9110 §5.1", _post(b"cOnTeNt-LeNgTh: 5\r\n", b"hello"), _posted(b"hello"))
_ok("GET with a body", "9110 §9.3.1", _get(b"Content-Length: 2\r\n") + b"xy", Seen("GET", "/", b"xy"))
_ok("POST without a body", "9112 §6.3", _post(b"", b""), _posted(b""))
_ok(
    "body that looks like a request",
    "9112 §6.3",
    _post(b"Content-Length: 18\r\n", b"GET / HTTP/1.1\r\n\r\n"),
    _posted(b"GET / HTTP/1.1\r\n\r\n"),
)
_ok(
    "HTTP/1.0 with a body",
    "9112 §6.3",
    b"POST /p HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
    Seen("POST", "/p", b"hi", host=None, keep_alive=False),
)
_wait("Content-Length, body missing", "9112 §6.3", _post(b"Content-Length: 5\r\n", b"hell"))
_bad(
    "Content-Length twice, the same",
    "9110 §8.6",
    _post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
)
_bad(
    "Content-Length twice, different",
    "9112 §6.3",
    _post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
)
_bad(
    "Content-Length twice, other case",
    "9112 §6.3",
    _post(b"Content-Length: 5\r\ncontent-length: 5\r\n", b"hello"),
)
_bad(
    "Content-Length of 20 digits",
    "9110 §8.6",
    _post(b"Content-Length: 18446744073709551621\r\n", b"hello"),
    413,
)
_bad(
    "Content-Length of 5000 digits", "9110 §8.6", _post(b"Content-Length: " + b"9" * 5000 + b"\r\n", b""), 413
)
for _value in (
    b"+5",
    b"-5",
    b"-0",
    b"5_0",
    b"1_0",
    b"0x5",
    b"0b1",
    b"5.0",
    b"5e0",
    b"5,5",
    b"5, 5",
    b"5 5",
    b"5;",
    b"'5'",
    b'"5"',
    b"",
    b" ",
    b"five",
    b"5\xa0",
    b"\x855",
    b"\xb2",
    b"\xef\xbc\x95",
    b"5a",
    b"5L",
    b"(5)",
    b"5,",
    b",5",
    b"5\t5",
    b"NaN",
):
    _bad(f"Content-Length {_value!r}", "9112 §6.3", _post(b"Content-Length: " + _value + b"\r\n", b"hello"))

# -- Transfer-Encoding -------------------------------------------------------------------------------------------------
_ok("chunked", "9112 §7.1", _chunked(b"5\r\nhello\r\n0\r\n\r\n"), _posted(b"hello"))
for _value in (b"Chunked", b"CHUNKED", b"\tchunked \t", b"chunked"):
    _ok(
        f"Transfer-Encoding {_value!r}",
        "9112 §7",
        _post(b"transfer-encoding:" + _value + b"\r\n", b"0\r\n\r\n"),
        _posted(b""),
    )
for _value in (
    b"gzip, chunked",
    b"identity, chunked",
    b"deflate ,\tchunked",
    b"gzip;q=1, chunked",
    b"x, y, chunked",
):
    _bad(
        f"Transfer-Encoding {_value!r}",
        "9112 §6.1",
        _post(b"Transfer-Encoding: " + _value + b"\r\n", b"0\r\n\r\n"),
        501,
    )
for _value in (
    b"",
    b" ",
    b"identity",
    b"gzip",
    b"chunked, gzip",
    b"chunked, chunked",
    b"chunked, identity",
    b"chunked,",
    b",chunked",
    b"xchunked",
    b"chunkedx",
    b"chunked;q=1",
    b"chunked foo",
    b'"chunked"',
    b"'chunked'",
    b"chun\tked",
    b"\x85chunked",
    b"chunked\xa0",
    b"chunked;",
    b"c\xc4\xb1unked",
    b"cow",
    b"chunk",
    b"gzip,, chunked",
    b"chunked, gzip, chunked",
    b"\xe2\x84\xaachunked",
):
    _bad(
        f"Transfer-Encoding {_value!r}",
        "9112 §6.3",
        _post(b"Transfer-Encoding: " + _value + b"\r\n", b"0\r\n\r\n"),
    )
_bad(
    "two TE lines, chunked twice",
    "9112 §6.1",
    _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
)
_bad(
    "two TE lines, gzip last",
    "9112 §6.3",
    _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", b"0\r\n\r\n"),
)
_bad(
    "two TE lines, chunked last",
    "9112 §6.1",
    _post(b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    501,
)
_bad("TE before CL", "9112 §6.1", _post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"))
_bad("CL before TE", "9112 §6.1", _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"))
_bad("TE and CL 0", "9112 §6.1", _post(b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"0\r\n\r\n"))
_bad(
    "TE and a bad CL",
    "9112 §6.1",
    _post(b"Transfer-Encoding: chunked\r\nContent-Length: x\r\n", b"0\r\n\r\n"),
)
_bad(
    "TE in HTTP/1.0",
    "9112 §6.1",
    b"POST /p HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
)
_bad(
    "TE and CL in HTTP/1.0",
    "9112 §6.1",
    b"POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
)

# -- Chunks ------------------------------------------------------------------------------------------------------------
_ok("two chunks", "9112 §7.1", _chunked(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), _posted(b"abc"))
_ok(
    "hex size, both cases",
    "9112 §7.1",
    _chunked(b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
    _posted(b"0123456789" * 2),
)
_ok("leading zeroes", "9112 §7.1", _chunked(b"0001\r\na\r\n000\r\n\r\n"), _posted(b"a"))
_ok(
    "sixteen digits",
    "9112 §7.1",
    _chunked(b"0000000000000001\r\na\r\n0000000000000000\r\n\r\n"),
    _posted(b"a"),
)
_ok("extension", "9112 §7.1.1", _chunked(b"1;a=b\r\nx\r\n0;c\r\n\r\n"), _posted(b"x"))
_ok("extension, quoted", "9112 §7.1.1", _chunked(b'1;a="b; \\"c"\r\nx\r\n0\r\n\r\n'), _posted(b"x"))
_ok("extension, BWS", "9112 §7.1.1", _chunked(b"1 \t; a = b\r\nx\r\n0\r\n\r\n"), _posted(b"x"))
_ok(
    "data that looks like framing",
    "9112 §7.1",
    _chunked(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    _posted(b"0\r\n\r\n"),
)
_ok(
    "trailers",
    "9112 §7.1.2",
    _chunked(b"1\r\na\r\n0\r\nX-Sum: 1\r\nEmpty:\r\n\r\n"),
    _posted(b"a", (("X-Sum", "1"), ("Empty", ""))),
)
_wait("chunk size missing", "9112 §7.1", _chunked(b""))
_wait("chunk line without LF", "9112 §7.1", _chunked(b"1\r"))
_wait("chunk data missing", "9112 §7.1", _chunked(b"5\r\nhell"))
_wait("chunk end missing", "9112 §7.1", _chunked(b"5\r\nhello"))
_wait("chunk end half", "9112 §7.1", _chunked(b"5\r\nhello\r"))
_wait("last chunk missing", "9112 §7.1", _chunked(b"5\r\nhello\r\n"))
_wait("trailers missing", "9112 §7.1.2", _chunked(b"0\r\n"))
_wait("trailers half", "9112 §7.1.2", _chunked(b"0\r\nX: y\r\n"))
for _value in (
    b"",
    b" 1",
    b"\t1",
    b"+1",
    b"-1",
    b"0x1",
    b"1_0",
    b"1 ",
    b"1\t",
    b"g",
    b"\xb2",
    b"1\xa0",
    b"\x851",
    b"1,",
    b"1.",
    b"1\x0b",
    b"00000000000000001",
    b"fffffffffffffffff",
    b";a",
    b" ;a",
    b"1 2",
    b"1;a\0",
    b"1;a\x7f",
    b"1;a\x01b",
    b"1:a",
    b"0X1",
    b"1h",
    b"1L",
    b"#1",
    b"\0",
):
    _bad(f"chunk size {_value!r}", "9112 §7.1", _chunked(_value + b"\r\nx\r\n0\r\n\r\n"))
_bad("LF after the chunk size", "9112 §7.1", _chunked(b"1\nx\r\n0\r\n\r\n"))
_bad("CR after the chunk size", "9112 §7.1", _chunked(b"1\rx\r\n0\r\n\r\n"))
_bad("CR CR LF after the chunk size", "9112 §7.1", _chunked(b"1\r\r\nx\r\n0\r\n\r\n"))
_bad("LF in an extension", "9112 §7.1.1", _chunked(b"1;a\nx\r\n0\r\n\r\n"))
_bad("CR in an extension", "9112 §7.1.1", _chunked(b"1;a\rb\r\nx\r\n0\r\n\r\n"))
_bad("LF after the data", "9112 §7.1", _chunked(b"1\r\nx\n0\r\n\r\n"))
_bad("CR after the data", "9112 §7.1", _chunked(b"1\r\nx\r0\r\n\r\n"))
_bad("any two bytes after the data", "9112 §7.1", _chunked(b"1\r\nxYZ0\r\n\r\n"))
_bad("data longer than said", "9112 §7.1", _chunked(b"1\r\nxx\r\n0\r\n\r\n"))
_bad("data shorter than said", "9112 §7.1", _chunked(b"3\r\nx\r\n0\r\n\r\n"))
_bad("empty line before the size", "9112 §7.1", _chunked(b"\r\n1\r\nx\r\n0\r\n\r\n"))
_bad("LF after the last chunk", "9112 §7.1", _chunked(b"0\n\r\n"))
_bad("LF for the last line", "9112 §7.1.2", _chunked(b"0\r\n\n"))
_bad("CR for the last line", "9112 §7.1.2", _chunked(b"0\r\n\rX"))
_bad("trailer without colon", "9112 §7.1.2", _chunked(b"0\r\nJunk\r\n\r\n"))
_bad("trailer, space before the colon", "9112 §5.1", _chunked(b"0\r\nX : y\r\n\r\n"))
_bad("trailer, obs-fold", "9112 §5.2", _chunked(b"0\r\nX: y\r\n z\r\n\r\n"))
_bad("trailer, bare LF", "9112 §2.2", _chunked(b"0\r\nX: y\n\r\n"))
_bad("trailer, NUL", "9110 §5.5", _chunked(b"0\r\nX: \0\r\n\r\n"))
_bad("request right after the last chunk", "9112 §7.1.2", _chunked(b"0\r\n" + _line(b"GET / HTTP/1.1")))
for _value in (
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"transfer-encoding: x",
    b"Host: b",
    b"Connection: close",
    b"Expect: x",
):
    _bad(f"trailer {_value.decode()}", "9110 §6.5.1", _chunked(b"0\r\nX: y\r\n" + _value + b"\r\n\r\n"))

# -- Connection --------------------------------------------------------------------------------------------------------
_CLOSED: Final = Seen("GET", "/", keep_alive=False)
for _value in (
    b"close",
    b"Close",
    b"CLOSE",
    b"keep-alive, close",
    b"close, keep-alive",
    b"x, close",
    b",close,",
    b"\tclose\t",
    b"close ,x",
    b"keep-alive,\tclose",
    b"upgrade, close",
):
    _ok(f"Connection {_value!r}", "9112 §9.6", _get(b"Connection: " + _value + b"\r\n"), _CLOSED)
for _value in (
    b"keep-alive",
    b"Keep-Alive",
    b"KEEP-ALIVE",
    b"x",
    b"",
    b", ,",
    b"closed",
    b"not-close",
    b"upgrade",
    b'"close"',
    b"close\xa0",
):
    _ok(f"Connection {_value!r}", "9112 §9.3", _get(b"Connection: " + _value + b"\r\n"))
_ok(
    "Connection lines, close first",
    "9110 §5.3",
    _get(b"Connection: close\r\nConnection: keep-alive\r\n"),
    _CLOSED,
)
_ok(
    "Connection lines, close last",
    "9110 §5.3",
    _get(b"Connection: keep-alive\r\nX: y\r\nconnection: close\r\n"),
    _CLOSED,
)
for _value, _keeps in (
    (b"keep-alive", True),
    (b"Keep-Alive", True),
    (b"x, KEEP-ALIVE", True),
    (b"close, keep-alive", False),
    (b"keep-alive, close", False),
    (b"x", False),
    (b"", False),
    (b"keepalive", False),
):
    _ok(
        f"HTTP/1.0 Connection {_value!r}",
        "9112 §9.3",
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: " + _value + b"\r\n\r\n",
        Seen("GET", "/", keep_alive=_keeps),
    )

# -- Expect ------------------------------------------------------------------------------------------------------------
for _value in (b"100-continue", b"100-Continue", b"100-CONTINUE", b", 100-continue", b"100-continue\t"):
    _ok(
        f"Expect {_value!r}",
        "9110 §10.1.1",
        _post(b"Content-Length: 1\r\nExpect: " + _value + b"\r\n", b"x"),
        Seen("POST", "/p", b"x", expect=True),
    )
_ok(
    "Expect with chunks",
    "9110 §10.1.1",
    _post(b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    Seen("POST", "/p", expect=True),
)
_ok("Expect without a body", "9110 §10.1.1", _get(b"Expect: 100-continue\r\n"))
_ok("Expect of nothing", "9110 §10.1.1", _post(b"Expect:\r\nContent-Length: 1\r\n", b"x"), _posted(b"x"))
for _value in (
    b"x",
    b"100",
    b"100-continue, x",
    b"100-continue;q=1",
    b"100 continue",
    b'"100-continue"',
    b"200-ok",
):
    _bad(
        f"Expect {_value!r}",
        "9110 §10.1.1",
        _post(b"Content-Length: 1\r\nExpect: " + _value + b"\r\n", b"x"),
        417,
    )
_bad("Expect lines, one unknown", "9110 §10.1.1", _get(b"Expect: 100-continue\r\nExpect: x\r\n"), 417)
for _value in (b"100-continue", b"x"):
    _ok(
        f"HTTP/1.0 ignores Expect {_value!r}",
        "9110 §10.1.1",
        b"POST /p HTTP/1.0\r\nHost: a\r\nExpect: " + _value + b"\r\nContent-Length: 1\r\n\r\nx",
        Seen("POST", "/p", b"x", keep_alive=False),
    )

# -- Several requests --------------------------------------------------------------------------------------------------
_GET: Final = _line(b"GET / HTTP/1.1")
_ok("three in a row", "9112 §9.3.2", _GET * 3, ROOT, ROOT, ROOT)
_ok(
    "CRLF after a body",
    "9112 §2.2",
    _post(b"Content-Length: 1\r\n", b"x") + b"\r\n" + _GET,
    _posted(b"x"),
    ROOT,
)
_ok("CRLF after chunks", "9112 §2.2", _chunked(b"1\r\nx\r\n0\r\n\r\n") + b"\r\n" + _GET, _posted(b"x"), ROOT)
_ok(
    "bodies of all kinds",
    "9112 §9.3.2",
    _post(b"Content-Length: 2\r\n", b"ab")
    + _chunked(b"1\r\nc\r\n0\r\nT: v\r\n\r\n")
    + _GET
    + _chunked(b"0\r\n\r\n"),
    _posted(b"ab"),
    _posted(b"c", (("T", "v"),)),
    ROOT,
    _posted(b""),
)
_bad("good, then bad", "9112 §3", _GET + b"\x00", 400, ROOT)
_bad(
    "body longer than said",
    "9112 §6.3",
    _post(b"Content-Length: 2\r\n", b"ab c\r\n\r\n"),
    400,
    _posted(b"ab"),
)
_bad("CRLF CRLF between", "9112 §2.2", _GET + b"\r\n\r\n" + _GET, 400, ROOT)
_wait("good, then half", "9112 §9.3.2", _GET + b"GET /", ROOT)
_bad(
    "smuggling by CL.TE",
    "9112 §6.1",
    _post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + _GET),
)
_bad(
    "smuggling by TE.TE",
    "9112 §6.1",
    _post(b"Transfer-Encoding: chunked\r\nTransfer-encoding: cow\r\n", b"0\r\n\r\n" + _GET),
)
_bad("smuggling by CL.0", "9112 §3", _post(b"Content-Length: 0\r\n", b" X" + _GET), 400, _posted(b""))
