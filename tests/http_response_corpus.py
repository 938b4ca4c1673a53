"""Hostile and odd responses, and what RFC 9110 and 9112 (or evkit's stricter choice) make of each.

The expectations come from the section that each case names and from the rules that `evkit.http.parser.response_rules`
states, never from a run of the code. A case says which requests are answered, which responses are understood, in
order, and how the stream ends after them: in a refusal, in a wait for more bytes, or with bytes that no response
claims.
"""

from typing import Final, NamedTuple


class Seen(NamedTuple):
    """A response as an engine should understand it."""

    status: int
    reason: str = "OK"
    body: bytes = b""
    minor: int = 1
    keep_alive: bool = True
    trailers: tuple[tuple[str, str], ...] = ()


class Case(NamedTuple):
    """Bytes, what becomes of them, and the section that says so."""

    name: str
    section: str
    raw: bytes
    seen: tuple[Seen, ...]
    methods: tuple[str, ...] = ("GET",)  # of the requests that are answered
    ends: bool = False  # whether the server closes behind the bytes
    refused: bool = False  # after ``seen``
    waits: bool = False  # whether a response is due, or unfinished, after ``seen``
    left: bytes = b""  # what stays behind the last response


OK: Final = Seen(200)
CLOSED: Final = Seen(200, keep_alive=False)
CASES: Final[list[Case]] = []


def _add(case: Case) -> None:
    CASES.append(case)


def _ok(
    name: str,
    section: str,
    raw: bytes,
    *seen: Seen,
    methods: tuple[str, ...] = ("GET",),
    ends: bool = False,
    left: bytes = b"",
) -> None:
    _add(Case(name, section, raw, seen or (OK,), methods, ends, left=left))


def _bad(
    name: str,
    section: str,
    raw: bytes,
    *seen: Seen,
    methods: tuple[str, ...] = ("GET",),
    ends: bool = False,
) -> None:
    _add(Case(name, section, raw, seen, methods, ends, refused=True))


def _wait(
    name: str,
    section: str,
    raw: bytes,
    *seen: Seen,
    methods: tuple[str, ...] = ("GET",),
    ends: bool = False,
) -> None:
    _add(Case(name, section, raw, seen, methods, ends, waits=True))


def _line(line: bytes) -> bytes:
    """A response without a body with this status line."""
    return line + b"\r\nContent-Length: 0\r\n\r\n"


def _empty(fields: bytes) -> bytes:
    """A response without a body with these field lines, each with its CRLF."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n"


def _with(fields: bytes, body: bytes = b"", line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A response with these field lines alone."""
    return line + b"\r\n" + fields + b"\r\n" + body


def _chunked(body: bytes) -> bytes:
    return _with(b"Transfer-Encoding: chunked\r\n", body)


HELLO: Final = _with(b"Content-Length: 5\r\n", b"hello")
SEEN_HELLO: Final = Seen(200, body=b"hello")
TWO: Final = ("GET", "GET")

# -- Status line -------------------------------------------------------------------------------------------------------
_ok("minimal", "9112 §4", _line(b"HTTP/1.1 200 OK"))
_ok("empty reason", "9112 §4", _line(b"HTTP/1.1 200 "), Seen(200, ""))
_ok("no reason and no space", "evkit: servers do", _line(b"HTTP/1.1 200"), Seen(200, ""))
_ok("reason of words", "9112 §4", _line(b"HTTP/1.1 404 Not Found"), Seen(404, "Not Found"))
_ok("reason with a tab", "9112 §4", _line(b"HTTP/1.1 200 a\tb"), Seen(200, "a\tb"))
_ok("reason that begins with a space", "9112 §4", _line(b"HTTP/1.1 200  OK"), Seen(200, " OK"))
_ok("reason that ends with a space", "9112 §4", _line(b"HTTP/1.1 200 OK "), Seen(200, "OK "))
_ok(
    "reason in ISO-8859-1",
    "9112 §4",
    _line(b"HTTP/1.1 404 Pas trouv\xe9\x85\xa0"),
    Seen(404, "Pas trouvé\x85\xa0"),
)
_ok("reason of digits", "9112 §4", _line(b"HTTP/1.1 200 404"), Seen(200, "404"))
_ok("reason that looks like a field", "9112 §4", _line(b"HTTP/1.1 200 A: b"), Seen(200, "A: b"))
for _status in (200, 226, 299, 300, 418, 499, 599, 600, 999):
    _ok(f"status {_status}", "9110 §15", _line(b"HTTP/1.1 %d x" % _status), Seen(_status, "x"))
for _minor in range(1, 10):
    _ok(f"HTTP/1.{_minor}", "9110 §2.5", _line(b"HTTP/1.%d 200 OK" % _minor))
_ok("HTTP/1.0", "9112 §9.3", _line(b"HTTP/1.0 200 OK"), Seen(200, minor=0, keep_alive=False))

for _name, _version in (
    ("HTTP/2.0", b"HTTP/2.0"),
    ("HTTP/2", b"HTTP/2"),
    ("HTTP/3.1", b"HTTP/3.1"),
    ("HTTP/0.9", b"HTTP/0.9"),
    ("HTTP/0.1", b"HTTP/0.1"),
    ("HTTP/1", b"HTTP/1"),
    ("HTTP/1.", b"HTTP/1."),
    ("HTTP/.1", b"HTTP/.1"),
    ("HTTP/1.10", b"HTTP/1.10"),
    ("HTTP/01.1", b"HTTP/01.1"),
    ("HTTP/1,1", b"HTTP/1,1"),
    ("HTTP/1.x", b"HTTP/1.x"),
    ("HTTP/1.+1", b"HTTP/1.+1"),
    ("HTTP/1. 1", b"HTTP/1. 1"),
    ("HTTP/1.\xb2", b"HTTP/1.\xb2"),
    ("http/1.1", b"http/1.1"),
    ("Http/1.1", b"Http/1.1"),
    ("HTTP-1.1", b"HTTP-1.1"),
    ("HTTP 1.1", b"HTTP 1.1"),
    ("HTTPS/1.1", b"HTTPS/1.1"),
    ("HTTP/ 1.1", b"HTTP/ 1.1"),
    ("no version", b""),
    ("ICY", b"ICY"),
    ("RTSP/1.0", b"RTSP/1.0"),
    ("SIP/2.0", b"SIP/2.0"),
):
    _bad(f"version {_name}", "9112 §2.3", _line(_version + b" 200 OK"))
for _name, _status_bytes in (
    ("of two digits", b"20"),
    ("of one digit", b"2"),
    ("of four digits", b"2000"),
    ("000", b"000"),
    ("099", b"099"),
    ("with a plus", b"+20"),
    ("with a minus", b"-20"),
    ("with an underscore", b"2_0"),
    ("in hex", b"0xc"),
    ("of letters", b"OK!"),
    ("with a letter", b"2O0"),
    ("with a superscript", b"20\xb2"),
    ("of Arabic digits", "٢٠٠".encode()),
    ("with a point", b"200.1"),
    ("with a comma", b"200,OK"),
    ("joined to the reason", b"200OK"),
    ("after two spaces", b" 200"),
    ("after a tab", b"\t200"),
    ("before a tab", b"200\tOK"),
    ("missing", b""),
):
    _bad(f"status {_name}", "9112 §4", _line(b"HTTP/1.1 " + _status_bytes + b" OK"))
_bad("version alone", "9112 §4", _line(b"HTTP/1.1"))
_bad("version and space alone", "9112 §4", _line(b"HTTP/1.1 "))
_bad("tab after the version", "9112 §4", _line(b"HTTP/1.1\t200 OK"))
_bad("vertical tab after the version", "9112 §4", _line(b"HTTP/1.1\x0b200 OK"))
_bad("0xA0 after the version", "9112 §4", _line(b"HTTP/1.1\xa0200 OK"))
for _name, _byte in (
    ("NUL", b"\0"),
    ("BEL", b"\x07"),
    ("vertical tab", b"\x0b"),
    ("form feed", b"\x0c"),
    ("ESC", b"\x1b"),
    ("DEL", b"\x7f"),
    ("bare LF", b"\n"),
    ("bare CR", b"\r"),
):
    _bad(f"{_name} in the reason", "9112 §4", _line(b"HTTP/1.1 200 O" + _byte + b"K"))
_bad("bare LF after the status line", "9112 §2.2", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n")
_bad("bare LF after the status", "9112 §2.2", b"HTTP/1.1 200\nContent-Length: 0\r\n\r\n")
_bad("bare CR after the status line", "9112 §2.2", b"HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n")
_bad("bare CR after the status", "9112 §2.2", b"HTTP/1.1 200\rContent-Length: 0\r\n\r\n")
_bad("CR CR LF after the status line", "9112 §2.2", b"HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n")
_bad("LF alone", "9112 §2.2", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n")

# -- Before the status line --------------------------------------------------------------------------------------------
_BEFORE: Final = (
    ("CRLF", b"\r\n"),
    ("two CRLF", b"\r\n\r\n"),
    ("LF", b"\n"),
    ("CR", b"\r"),
    ("space", b" "),
    ("tab", b"\t"),
    ("NUL", b"\0"),
    ("BOM", b"\xef\xbb\xbf"),
    ("junk", b"junk"),
    ("a field", b"A: b\r\n"),
    ("an end of chunks", b"0\r\n\r\n"),
)
for _name, _junk in _BEFORE:
    _bad(f"{_name} before", "9112 §2.2 is for servers", _junk + HELLO)
    _bad(f"{_name} between", "9112 §6.3, end", HELLO + _junk + HELLO, SEEN_HELLO, methods=TWO)
_bad("a page of HTTP/0.9", "9112 §4", b"<html>hello</html>")
_bad("a request", "9112 §2.1", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
_bad("SSH", "9112 §4", b"SSH-2.0-OpenSSH_9.2p1\r\n")
_bad("SMTP", "9112 §4", b"220 mail.example ESMTP\r\n")
_bad("a TLS alert", "9112 §4", b"\x15\x03\x03\x00\x02\x02\x28")
_bad("HTTP/2 settings", "9113 §3.4", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00")
_bad("a PROXY header", "9112 §4", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1\r\n" + HELLO)

# -- Fields ------------------------------------------------------------------------------------------------------------
_ok("field of any token", "9110 §5.6.2", _empty(b"!#$%&'*+-.^_`|~09azAZ: b\r\n"))
_ok("field without space", "9112 §5", _empty(b"A:b\r\n"))
_ok("field with blanks around", "9112 §5", _empty(b"A: \t b \t \r\n"))
_ok("empty field", "9110 §5.5", _empty(b"A:\r\nB: \r\n"))
_ok("field with a tab", "9110 §5.5", _empty(b"A: b\tc\r\n"))
_ok("field with obs-text", "9110 §5.5", _empty(b"A: \x80\x85\xa0\xff\r\n"))
_ok("field with colons", "9110 §5.5", _empty(b"A: b:c\r\n"))
_ok("field that is said twice", "9110 §5.3", _empty(b"Set-Cookie: a\r\nSet-Cookie: b\r\n"))
_ok("field that only begins as one that rules", "9112 §6", _empty(b"Content-Length-X: 7\r\n"))
_ok("field that only ends as one that rules", "9112 §6", _empty(b"X-Content-Length: 7\r\n"))
_ok("value that looks like one that rules", "9112 §6", _empty(b"X: Transfer-Encoding: chunked\r\n"))
for _name, _fields in (
    ("without a colon", b"A\r\n"),
    ("of blanks", b" \r\n"),
    ("without a name", b": b\r\n"),
    ("with a space before the colon", b"A : b\r\n"),
    ("with a tab before the colon", b"A\t: b\r\n"),
    ("with a NUL before the colon", b"A\0: b\r\n"),
    ("that begins with a space", b" A: b\r\n"),
    ("that begins with a tab", b"\tA: b\r\n"),
    ("with a space in its name", b"A B: c\r\n"),
    ("with a slash in its name", b"A/B: c\r\n"),
    ("with a parenthesis in its name", b"A(B: c\r\n"),
    ("with a quote in its name", b'A"B: c\r\n'),
    ("with obs-text in its name", b"\xc3\x84: c\r\n"),
    ("with a DEL in its name", b"A\x7f: c\r\n"),
    ("with NUL in its value", b"A: b\0c\r\n"),
    ("with SOH in its value", b"A: b\x01c\r\n"),
    ("with BS in its value", b"A: b\x08c\r\n"),
    ("with a vertical tab in its value", b"A: b\x0bc\r\n"),
    ("with a form feed in its value", b"A: b\x0cc\r\n"),
    ("with ESC in its value", b"A: b\x1bc\r\n"),
    ("with DEL in its value", b"A: b\x7fc\r\n"),
    ("with a bare CR in its value", b"A: b\rc\r\n"),
    ("with a bare LF in its value", b"A: b\nc: d\r\n"),
    ("that ends in a bare LF", b"A: b\n"),
    ("that ends in CR CR LF", b"A: b\r\r\n"),
    ("that ends in LF CR", b"A: b\n\r"),
    ("folded with a space", b"A: b\r\n c\r\n"),
    ("folded with a tab", b"A: b\r\n\tc\r\n"),
    ("folded with nothing", b"A: b\r\n \r\n"),
    ("folded to hide a length", b"A: b\r\n Content-Length: 9\r\n"),
):
    _bad(f"field {_name}", "9112 §5", _empty(_fields))
_bad("fold of the status line", "9112 §5.2", b"HTTP/1.1 200 OK\r\n more\r\nContent-Length: 0\r\n\r\n")
_bad("head that ends in LF LF", "9112 §2.2", b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\n")
_bad("head that ends in CRLF LF", "9112 §2.2", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n")
_bad("head that ends in CRLF CR", "9112 §2.2", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\rx")

# -- Content-Length ----------------------------------------------------------------------------------------------------
_ok("length", "9112 §6.2", HELLO, SEEN_HELLO)
_ok("length in any case", "9110 §5.1", _with(b"cONTENT-lENGTH: 5\r\n", b"hello"), SEEN_HELLO)
_ok("length without a space", "9112 §5", _with(b"Content-Length:5\r\n", b"hello"), SEEN_HELLO)
_ok("length with blanks", "9112 §5.1", _with(b"Content-Length: \t5\t \r\n", b"hello"), SEEN_HELLO)
_ok("length with zeros", "9110 §8.6", _with(b"Content-Length: 0005\r\n", b"hello"), SEEN_HELLO)
_ok("what follows a length", "9112 §6.3", HELLO + b"more", SEEN_HELLO, left=b"more")
_ok("a response after a response", "9112 §9.3.2", HELLO + HELLO, SEEN_HELLO, SEEN_HELLO, methods=TWO)
_ok(
    "a body of line ends",
    "9112 §6.2",
    _with(b"Content-Length: 4\r\n", b"\r\n\r\n"),
    Seen(200, body=b"\r\n\r\n"),
)
_wait("less than its length", "9112 §6.3", HELLO[:-1])
_wait("a length of nineteen digits", "9110 §8.6", _with(b"Content-Length: 9999999999999999999\r\n", b"x"))
for _name, _value in (
    ("with a minus", b"-1"),
    ("with a plus", b"+5"),
    ("minus zero", b"-0"),
    ("in hex", b"0x5"),
    ("in octal", b"0o5"),
    ("hex digit", b"a"),
    ("with an underscore", b"1_0"),
    ("with a point", b"5.0"),
    ("with an exponent", b"5e0"),
    ("empty", b""),
    ("of blanks", b" \t "),
    ("with a space within", b"5 5"),
    ("list of equals", b"5, 5"),
    ("list of equals without a space", b"5,5"),
    ("list of others", b"5, 6"),
    ("list with an empty element", b"5,"),
    ("list that begins empty", b",5"),
    ("with a parameter", b"5;x=y"),
    ("in quotes", b'"5"'),
    ("superscript", b"\xb2"),
    ("in UTF-8 superscript", "⁵".encode()),
    ("in Arabic digits", b"\xd9\xa5"),
    ("with 0x85 around", b"\x855\x85"),
    ("with 0xA0 around", b"\xa05\xa0"),
    ("with a unit", b"5b"),
    ("chunked", b"chunked"),
    ("of twenty digits", b"1" * 20),
    ("of zeros past twenty", b"0" * 20 + b"5"),
    ("of 2 to the 64th and 5", b"18446744073709551621"),
    ("that int() is slow with", b"1" * 5000),
):
    _bad(f"length {_name}", "9112 §6.3", _with(b"Content-Length: " + _value + b"\r\n", b"hello"))
for _name, _fields in (
    ("equal", b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    ("different", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    ("in different cases", b"Content-Length: 5\r\ncontent-length: 6\r\n"),
    ("with a field between", b"Content-Length: 5\r\nA: b\r\nContent-Length: 5\r\n"),
    ("one of them empty", b"Content-Length:\r\nContent-Length: 5\r\n"),
    ("of zero", b"Content-Length: 0\r\nContent-Length: 0\r\n"),
    ("with Connection", b"Content-Length: 5\r\nConnection: close\r\nContent-Length: 5\r\n"),
):
    _bad(f"two lengths {_name}", "9112 §6.3", _with(_fields, b"hello"))
_bad("a length with a space before the colon", "9112 §5.1", _with(b"Content-Length : 5\r\n", b"hello"))

# -- Transfer-Encoding -------------------------------------------------------------------------------------------------
_CHUNKS: Final = b"5\r\nhello\r\n0\r\n\r\n"
_ok("chunked", "9112 §7.1", _chunked(_CHUNKS), SEEN_HELLO)
_ok("chunked in any case", "9112 §7", _with(b"tRANSFER-eNCODING: cHUNKED\r\n", _CHUNKS), SEEN_HELLO)
_ok("chunked with blanks", "9112 §5.1", _with(b"Transfer-Encoding: \tchunked \t\r\n", _CHUNKS), SEEN_HELLO)
_ok("a response after chunks", "9112 §9.3.2", _chunked(_CHUNKS) + HELLO, SEEN_HELLO, SEEN_HELLO, methods=TWO)
for _name, _fields in (
    ("after a length", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("before a length", b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    ("with a length of zero", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
    ("with a length that is none", b"Content-Length: x\r\nTransfer-Encoding: chunked\r\n"),
    ("of gzip", b"Transfer-Encoding: gzip\r\n"),
    ("of identity", b"Transfer-Encoding: identity\r\n"),
    ("of gzip and chunked", b"Transfer-Encoding: gzip, chunked\r\n"),
    ("of gzip and chunked in two lines", b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
    ("of chunked and gzip", b"Transfer-Encoding: chunked, gzip\r\n"),
    ("of chunked and identity", b"Transfer-Encoding: chunked, identity\r\n"),
    ("of chunked twice", b"Transfer-Encoding: chunked, chunked\r\n"),
    ("of chunked in two lines", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("of nothing", b"Transfer-Encoding:\r\n"),
    ("of nothing and chunked", b"Transfer-Encoding: , chunked\r\n"),
    ("of chunked and nothing", b"Transfer-Encoding: chunked,\r\n"),
    ("of chunked and an empty line", b"Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"),
    ("with a parameter", b"Transfer-Encoding: chunked;q=1\r\n"),
    ("in quotes", b'Transfer-Encoding: "chunked"\r\n'),
    ("with a letter more", b"Transfer-Encoding: xchunked\r\n"),
    ("with a dot", b"Transfer-Encoding: chunked.\r\n"),
    ("with 0x85 before", b"Transfer-Encoding: \x85chunked\r\n"),
    ("with 0xA0 behind", b"Transfer-Encoding: chunked\xa0\r\n"),
    ("with a vertical tab before", b"Transfer-Encoding: \x0bchunked\r\n"),
    ("with a NUL behind", b"Transfer-Encoding: chunked\0\r\n"),
    ("folded", b"Transfer-Encoding:\r\n chunked\r\n"),
    ("with a space before the colon", b"Transfer-Encoding : chunked\r\n"),
):
    _bad(f"coding {_name}", "9112 §6.1", _with(_fields, _CHUNKS))
_bad(
    "coding in HTTP/1.0",
    "9112 §6.1",
    _with(b"Transfer-Encoding: chunked\r\n", _CHUNKS, b"HTTP/1.0 200 OK"),
)

# -- Chunks ------------------------------------------------------------------------------------------------------------
_ok("no chunk but the last", "9112 §7.1", _chunked(b"0\r\n\r\n"))
_ok("last chunk of many zeros", "9112 §7.1", _chunked(b"0000\r\n\r\n"))
_ok("chunks", "9112 §7.1", _chunked(b"2\r\nhe\r\n03\r\nllo\r\n0\r\n\r\n"), SEEN_HELLO)
_ok(
    "chunk in upper case",
    "9112 §7.1",
    _chunked(b"A\r\n0123456789\r\n0\r\n\r\n"),
    Seen(200, body=b"0123456789"),
)
_ok(
    "chunk in lower case",
    "9112 §7.1",
    _chunked(b"a\r\n0123456789\r\n0\r\n\r\n"),
    Seen(200, body=b"0123456789"),
)
_ok("chunk of sixteen digits", "evkit: 64 bits", _chunked(b"0" * 15 + b"5\r\nhello\r\n0\r\n\r\n"), SEEN_HELLO)
_ok("chunk extension", "9112 §7.1.1", _chunked(b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n"), SEEN_HELLO)
_ok("chunk extension in quotes", "9112 §7.1.1", _chunked(b'5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n'), SEEN_HELLO)
_ok("blank before a chunk extension", "9112 §7.1.1", _chunked(b"5 ;a\r\nhello\r\n0\r\n\r\n"), SEEN_HELLO)
_ok("chunk of line ends", "9112 §7.1", _chunked(b"4\r\n\r\n\r\n\r\n0\r\n\r\n"), Seen(200, body=b"\r\n\r\n"))
_ok(
    "trailers",
    "9112 §7.1.2",
    _chunked(b"0\r\nA: b\r\nC:d \r\n\r\n"),
    Seen(200, trailers=(("A", "b"), ("C", "d"))),
)
_wait("chunks without the last", "9112 §7.1", _chunked(b"5\r\nhello\r\n"))
_wait("last chunk without an end", "9112 §7.1", _chunked(b"5\r\nhello\r\n0\r\n"))
_wait("trailers without an end", "9112 §7.1.2", _chunked(b"0\r\nA: b\r\n"))
_wait("a chunk that never ends", "9112 §7.1", _chunked(b"ffffffffffffffff\r\nhello"))
for _name, _size in (
    ("of seventeen digits", b"0" * 16 + b"5"),
    ("with 0x", b"0x5"),
    ("with a plus", b"+5"),
    ("with a minus", b"-5"),
    ("with an underscore", b"0_5"),
    ("after a space", b" 5"),
    ("after a tab", b"\t5"),
    ("before a space", b"5 "),
    ("before a tab", b"5\t"),
    ("before a NUL", b"5\0"),
    ("empty", b""),
    ("of a letter past f", b"g"),
    ("with h behind", b"5h"),
    ("of an extension alone", b";a"),
    ("superscript", b"\xb5"),
    ("with a NUL in its extension", b"5;\0"),
    ("with a bare CR in its extension", b"5;a\rb"),
    ("with a bare LF in its extension", b"5;a\nb"),
    ("with DEL in its extension", b"5;\x7f"),
    ("with a comma", b"5,5"),
    ("in quotes", b'"5"'),
    ("with a point", b"5.0"),
):
    _bad(f"chunk size {_name}", "9112 §7.1", _chunked(_size + b"\r\nhello\r\n0\r\n\r\n"))
for _name, _chunks in (
    ("size that ends in LF", b"5\nhello\r\n0\r\n\r\n"),
    ("size that ends in CR", b"5\rhello\r\n0\r\n\r\n"),
    ("data that ends in LF", b"5\r\nhello\n0\r\n\r\n"),
    ("data that ends in two other bytes", b"5\r\nhelloXX0\r\n\r\n"),
    ("data that ends in CR and another byte", b"5\r\nhello\rX0\r\n\r\n"),
    ("data that is longer than its size", b"4\r\nhello\r\n0\r\n\r\n"),
    ("data that is shorter than its size", b"6\r\nhello\r\n0\r\n\r\n"),
    ("data without a line end", b"5\r\nhello0\r\n\r\n"),
    ("last chunk that ends in LF", b"0\n\r\n"),
    ("end that is LF", b"0\r\n\n"),
    ("end that is CR and another byte", b"0\r\n\rX"),
    ("trailer without a colon", b"0\r\nA\r\n\r\n"),
    ("trailer that is folded", b"0\r\nA: b\r\n c\r\n\r\n"),
    ("trailer with NUL", b"0\r\nA: \0\r\n\r\n"),
    ("trailer that ends in LF", b"0\r\nA: b\n\r\n"),
    ("trailer with a space before the colon", b"0\r\nA : b\r\n\r\n"),
    ("trailer Content-Length", b"0\r\nContent-Length: 5\r\n\r\n"),
    ("trailer Transfer-Encoding", b"0\r\ntransfer-encoding: chunked\r\n\r\n"),
    ("trailer Connection", b"0\r\nConnection: close\r\n\r\n"),
    ("next response as a trailer", b"0\r\n" + HELLO),
):
    _bad(f"chunk: {_name}", "9112 §7.1", _chunked(_chunks))

# -- Until close -------------------------------------------------------------------------------------------------------
_ok("no length", "9112 §6.3", _with(b"", b"hello"), Seen(200, body=b"hello", keep_alive=False), ends=True)
_ok("no length and no body", "9112 §6.3", _with(b""), CLOSED, ends=True)
_ok(
    "no length in HTTP/1.0",
    "9112 §6.3",
    _with(b"", b"hello", b"HTTP/1.0 200 OK"),
    Seen(200, body=b"hello", minor=0, keep_alive=False),
    ends=True,
)
_ok("no length and keep-alive", "9112 §9.3", _with(b"Connection: keep-alive\r\n"), CLOSED, ends=True)
_ok("no length and close", "9112 §9.3", _with(b"Connection: close\r\n"), CLOSED, ends=True)
_ok(
    "what looks like a response in a body until close",
    "9112 §6.3",
    _with(b"", HELLO),
    Seen(200, body=HELLO, keep_alive=False),
    methods=TWO,
    ends=True,
)
_wait("no length and no end", "9112 §6.3", _with(b"", b"hello"))
_wait("no length, no body and no end", "9112 §6.3", _with(b""))

# -- Ends too soon -----------------------------------------------------------------------------------------------------
_wait("nothing", "9112 §8", b"")
_wait("nothing and the end", "9112 §8", b"", ends=True)
_wait("an interim response and the end", "9110 §15.2", b"HTTP/1.1 100 C\r\n\r\n", Seen(100, "C"), ends=True)
_wait("a response too few", "9112 §9.3.2", HELLO, SEEN_HELLO, methods=TWO, ends=True)
_ok("the end after a response", "9112 §9.6", HELLO, SEEN_HELLO, ends=True)
for _cut in (1, 5, 9, 12, 13, 15, 16, 17, 20, 33, 34, 35, 36, 37):
    _bad(f"end after {_cut} bytes of a head", "9112 §8", HELLO[:_cut], ends=True)
for _cut in (0, 1, 4):
    _bad(f"end after {_cut} of 5 bytes", "9112 §8", HELLO[: len(HELLO) - 5 + _cut], ends=True)
for _cut in range(len(_CHUNKS)):
    _bad(f"end after {_cut} bytes of chunks", "9112 §8", _chunked(_CHUNKS[:_cut]), ends=True)
_bad("end within a second head", "9112 §8", HELLO + b"HTTP/1.1 2", SEEN_HELLO, methods=TWO, ends=True)
_bad("end within trailers", "9112 §8", _chunked(b"0\r\nA: b\r\n"), ends=True)

# -- No body, whatever the fields say ----------------------------------------------------------------------------------
_LYING: Final = (
    ("nothing", b""),
    ("a length", b"Content-Length: 5\r\n"),
    ("a length of zero", b"Content-Length: 0\r\n"),
    ("a coding", b"Transfer-Encoding: chunked\r\n"),
    ("both", b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("two lengths", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    ("no number", b"Content-Length: x\r\n"),
    ("another coding", b"Transfer-Encoding: gzip\r\n"),
)
for _name, _fields in _LYING:
    _ok(f"HEAD and {_name}", "9112 §6.3", _with(_fields), methods=("HEAD",))
    _ok(
        f"204 and {_name}",
        "9112 §6.3",
        _with(_fields, line=b"HTTP/1.1 204 No"),
        Seen(204, "No"),
        methods=("PUT",),
    )
    _ok(f"304 and {_name}", "9112 §6.3", _with(_fields, line=b"HTTP/1.1 304 No"), Seen(304, "No"))
    _ok(
        f"100 and {_name}",
        "9112 §6.3",
        _with(_fields, line=b"HTTP/1.1 100 Go") + HELLO,
        Seen(100, "Go"),
        SEEN_HELLO,
    )
    _ok(f"CONNECT and {_name}", "9110 §9.3.6", _with(_fields, b"SSH"), methods=("CONNECT",), left=b"SSH")
    _ok(
        f"101 and {_name}",
        "9110 §15.2.2",
        _with(_fields, b"\x81\x00", b"HTTP/1.1 101 Up"),
        Seen(101, "Up"),
        left=b"\x81\x00",
    )
_ok(
    "204 that closes",
    "9112 §9.3",
    _with(b"Connection: close\r\n", line=b"HTTP/1.1 204 OK"),
    Seen(204, keep_alive=False),
)
_ok(
    "HEAD then GET",
    "9112 §6.3",
    _with(b"Content-Length: 5\r\n") + HELLO,
    OK,
    SEEN_HELLO,
    methods=("HEAD", "GET"),
)
_ok("method in lower case", "9110 §9.1", HELLO, SEEN_HELLO, methods=("head",))
_ok(
    "404 to HEAD",
    "9112 §6.3",
    _with(b"Content-Length: 5\r\n", line=b"HTTP/1.1 404 OK"),
    Seen(404),
    methods=("HEAD",),
)
for _status in (200, 201, 299):
    _ok(
        f"{_status} to CONNECT",
        "9110 §9.3.6",
        _with(b"Content-Length: 2\r\n", b"hi", b"HTTP/1.1 %d OK" % _status),
        Seen(_status),
        methods=("CONNECT",),
        left=b"hi",
    )
for _status in (300, 403, 407, 502):
    _ok(
        f"{_status} to CONNECT",
        "9110 §9.3.6",
        _with(b"Content-Length: 2\r\n", b"hi", b"HTTP/1.1 %d OK" % _status),
        Seen(_status, body=b"hi"),
        methods=("CONNECT",),
    )
for _status in (203, 205, 206, 303, 305, 400):
    _ok(
        f"{_status} has a body",
        "9112 §6.3",
        _with(b"Content-Length: 2\r\n", b"hi", b"HTTP/1.1 %d OK" % _status),
        Seen(_status, body=b"hi"),
    )
_bad(
    "body after 204 all the same",
    "9112 §6.3",
    _with(b"Content-Length: 5\r\n", b"hello", b"HTTP/1.1 204 OK") + HELLO,
    Seen(204),
    methods=TWO,
)
_bad("body to HEAD all the same", "9112 §6.3", HELLO + HELLO, OK, methods=("HEAD", "GET"))
_bad(
    "a length that is too short",
    "9112 §6.3",
    _with(b"Content-Length: 4\r\n", b"hello") + HELLO,
    Seen(200, body=b"hell"),
    methods=TWO,
)
_bad(
    "a length that is too long",
    "9112 §6.3",
    _with(b"Content-Length: 999\r\n", b"hello"),
    methods=TWO,
    ends=True,
)

# -- Interim responses -------------------------------------------------------------------------------------------------
for _status in (100, 102, 103, 104, 199):
    _ok(
        f"interim {_status}",
        "9110 §15.2",
        b"HTTP/1.1 %d Wait\r\nLink: </a>\r\n\r\n" % _status + HELLO,
        Seen(_status, "Wait"),
        SEEN_HELLO,
    )
_ok(
    "interim responses",
    "9110 §15.2",
    b"HTTP/1.1 100 A\r\n\r\nHTTP/1.1 103 B\r\n\r\n" + HELLO,
    Seen(100, "A"),
    Seen(103, "B"),
    SEEN_HELLO,
)
_ok(
    "interim response to HEAD",
    "9110 §15.2",
    b"HTTP/1.1 103 B\r\n\r\n" + _with(b"Content-Length: 5\r\n"),
    Seen(103, "B"),
    OK,
    methods=("HEAD",),
)
_ok(
    "interim response that closes",
    "9112 §9.6",
    b"HTTP/1.1 100 A\r\nConnection: close\r\n\r\n" + HELLO,
    Seen(100, "A", keep_alive=False),
    SEEN_HELLO,
)
_wait("an interim response alone", "9110 §15.2", b"HTTP/1.1 100 A\r\n\r\n", Seen(100, "A"))
_bad("junk after an interim response", "9112 §4", b"HTTP/1.1 100 A\r\n\r\n\r\n" + HELLO, Seen(100, "A"))
_bad("a bad field in an interim response", "9112 §5", b"HTTP/1.1 100 A\r\nB : c\r\n\r\n" + HELLO)
_bad(
    "end within the second interim response",
    "9112 §8",
    b"HTTP/1.1 100 A\r\n\r\nHTTP",
    Seen(100, "A"),
    ends=True,
)

# -- Connection --------------------------------------------------------------------------------------------------------
for _name, _fields, _keep in (
    ("close", b"Connection: close\r\n", False),
    ("CLOSE", b"cONNECTION: CLOSE\r\n", False),
    ("close with blanks", b"Connection: \t close\t\r\n", False),
    ("close in a list", b"Connection: a, close,b\r\n", False),
    ("close in the second line", b"Connection: keep-alive\r\nConnection: close\r\n", False),
    ("close in the first line", b"Connection: close\r\nConnection: keep-alive\r\n", False),
    ("close and keep-alive", b"Connection: close, keep-alive\r\n", False),
    ("keep-alive", b"Connection: keep-alive\r\n", True),
    ("Keep-Alive", b"Connection: Keep-Alive\r\nKeep-Alive: timeout=5\r\n", True),
    ("nothing", b"Connection:\r\n", True),
    ("another option", b"Connection: closed\r\n", True),
    ("upgrade", b"Connection: upgrade\r\nUpgrade: h2c\r\n", True),
    ("0xA0 and close", b"Connection: \xa0close\r\n", True),
    ("of the proxy", b"Proxy-Connection: close\r\n", True),
):
    _ok(f"connection {_name}", "9112 §9.3", _empty(_fields), Seen(200, keep_alive=_keep))
_ok(
    "connection keep-alive in HTTP/1.0",
    "9112 §9.3",
    _with(b"Content-Length: 5\r\nConnection: keep-alive\r\n", b"hello", b"HTTP/1.0 200 OK"),
    Seen(200, body=b"hello", minor=0),
)
_ok(
    "connection of another option in HTTP/1.0",
    "9112 §9.3",
    _with(b"Content-Length: 0\r\nConnection: x\r\n", line=b"HTTP/1.0 200 OK"),
    Seen(200, minor=0, keep_alive=False),
)
_ok(
    "no length and keep-alive in HTTP/1.0",
    "9112 §9.3",
    _with(b"Connection: keep-alive\r\n", b"hi", b"HTTP/1.0 200 OK"),
    Seen(200, body=b"hi", minor=0, keep_alive=False),
    ends=True,
)
