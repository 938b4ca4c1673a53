"""The head of a request, as bytes that can carry nothing else than one request.

Decides what goes into the request line and the fields, in what order, and which of the caller's fields are refused. It
knows nothing of URLs beyond a target and an authority that it is given, of bodies beyond their length, or of
connections.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from evkit.errors import LocalProtocolError
from evkit.http.errors import quote
from evkit.http.fields import Fields, as_pairs, check_pair, encode_line
from evkit.http.parser.grammar import MAX_METHOD, TARGET, TCHAR

Pair = tuple[str, str]

CHUNKED: Final = -1
"""In place of a body's length: it is sent in chunks. The parsers have the same."""
STANDARD: Final = (("User-Agent", "evkit"), ("Accept", "*/*"))
"""Fields of every request that does not have its own."""

_KNOWN: Final = 256
"""Blocks of field lines to keep encoded: most requests of a client differ in their target only."""
_LENGTH: Final = re.compile(r"[0-9]{1,19}")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._\-]++)(?::[0-9]{1,5})?+")
_HOST_AND_PORT: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._\-]++):[0-9]{1,5}")
_REQUEST_LINE: Final = re.compile(
    rb"(?!CONNECT )(?:%b{1,%d}+ (?:https?+:/)?+/%b*+|OPTIONS \*) HTTP/1\.1\r\n" % (TCHAR, MAX_METHOD, TARGET)
)
_WITH_CONTENT: Final = frozenset({"PATCH", "POST", "PUT"})
_RULED: Final = frozenset({"content-length", "expect", "host", "proxy-authorization", "transfer-encoding"})
"""Fields that decide where a request ends and who reads it."""
_ONCE: Final = _RULED | {"authorization"}
_SECRET: Final = frozenset({"authorization", "cookie"})
"""Fields that must not go wherever a redirect leads: with all requests they would."""


class _Block:
    """The field lines that do not depend on the body, and what the caller has said of it in them."""

    __slots__ = ("chunked", "expects", "length", "lines", "plain")

    def __init__(self, lines: bytes, ruled: dict[str, str]) -> None:
        self.lines = lines
        self.length = _length(ruled["content-length"]) if "content-length" in ruled else None
        self.chunked = _only(ruled, "transfer-encoding", "chunked")
        self.expects = _only(ruled, "expect", "100-continue")
        self.plain = self.length is None and not self.chunked and not self.expects


class RequestFields:
    """The fields that all requests of one client have in common.

    Args:
        fields: Those of every request. What a request brings itself takes the place of all of that name here;
            ``Accept-Encoding`` is left out of requests for a ``Range``, which is one of coded bytes otherwise.

    Raises:
        LocalProtocolError: One is no valid field, or one that only a request can have: ``Host``, ``Content-Length``,
            ``Transfer-Encoding``, ``Expect``, ``Proxy-Authorization``; or a secret, ``Authorization`` or ``Cookie``,
            which would go wherever a redirect leads.
        TypeError: One is no pair of ``str``.
    """

    __slots__ = ("_common", "_known")

    def __init__(self, fields: Fields = STANDARD) -> None:
        self._common: list[tuple[str, bytes]] = []
        self._known: dict[object, _Block] = {}
        for name, _, line in _encoded(as_pairs(fields)):
            if name in _RULED or name in _SECRET:
                raise LocalProtocolError(f"{name} belongs to one request, not to all")
            self._common.append((name, line))

    def __repr__(self) -> str:
        return f"<RequestFields {', '.join(name for name, _ in self._common)}>"

    def head(
        self,
        method: str,
        target: str,
        authority: str,
        fields: Sequence[Pair] = (),
        *,
        length: int | None = None,
        close: bool = False,
        proxy: Sequence[Pair] = (),
    ) -> bytes:
        """Return the head of a request, with the empty line at its end.

        Args:
            method: ``"GET"``; methods differ in case. CONNECT is refused: see `connect_head`.
            target: ``"/path?query"``; ``"*"`` with OPTIONS; ``"http://host/path"`` for a proxy.
            authority: The value of ``Host``, unless the caller has one.
            fields: The caller's; a tuple is the quickest.
            length: Of the body in bytes, `CHUNKED`, or ``None``: there is none.
            close: Say that the connection ends after this request.
            proxy: Fields for the proxy that this request goes to in plain text.

        Raises:
            LocalProtocolError: Something would not come out as one request, or contradicts ``length``.
            TypeError: One of the fields is no pair of ``str``.

        Source: RFC 9112 §3, §6; RFC 9110 §7.2 (``Host`` first), §8.6.
        """
        line = _request_line(method, target)
        key = (authority, tuple(fields), tuple(proxy))
        try:
            block = self._known[key]
        except (KeyError, TypeError):  # what can't be a part of a key is no pair of str, and is told so
            block = self._build(*key)
            self._keep(key, block)
        if length is None and block.plain and method not in _WITH_CONTENT:
            framing = b""
        else:
            framing = _framing(method, length, block)
        return line + block.lines + framing + (b"Connection: close\r\n\r\n" if close else b"\r\n")

    def _keep(self, key: object, block: _Block) -> None:
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[key] = block

    def _build(self, authority: str, fields: tuple[Pair, ...], proxy: tuple[Pair, ...]) -> _Block:
        """Encode what depends neither on the target nor on the body."""
        said = _Said()
        for name, value, line in _encoded(fields):
            said.take(name, value, line)
        common = [line for name, line in self._common if name not in said.names]
        host = _host_line(said.ruled.get("host", authority))
        return _Block(b"".join((host, *common, *said.rest(), *_proxy_lines(proxy))), said.ruled)


class _Said:
    """What a caller's fields say.

    Attributes:
        names: Of all of them, and of those that must not be added to them.
        ruled: Those that are looked at more closely.
    """

    __slots__ = ("_cookies", "_lines", "names", "ruled")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.ruled: dict[str, str] = {}
        self._lines: list[bytes] = []
        self._cookies: list[str] = []

    def take(self, name: str, value: str, line: bytes) -> None:
        """Add a field.

        Raises:
            LocalProtocolError: There can be only one of that name, or none.
        """
        if name == "proxy-authorization":
            raise LocalProtocolError(
                f"the origin would read {name}: give a proxy's credentials with the proxy"
            )
        if name in _ONCE and name in self.names:
            raise LocalProtocolError(f"expected one {name}, got two")
        self.names.add(name)
        if name in _RULED:
            self.ruled[name] = value
        elif name == "cookie":
            self._cookies.append(value)
        else:
            self._lines.append(line)
        if name == "range":
            self.names.add("accept-encoding")

    def rest(self) -> Iterator[bytes]:
        """Yield the lines of what is not looked at, and of what is sent as it is."""
        yield from self._lines
        if self._cookies:  # the caller's and the jar's: RFC 6265 §5.4 has room for one field
            yield encode_line("Cookie", "; ".join(self._cookies))
        if "expect" in self.ruled:
            yield b"Expect: 100-continue\r\n"


def _encoded(fields: Iterable[Pair]) -> Iterator[tuple[str, str, bytes]]:
    """Yield each name in lower case, value, and line."""
    for pair in fields:
        check_pair(pair)
        yield pair[0].lower(), pair[1], encode_line(*pair)


def _request_line(method: str, target: str) -> bytes:
    line = f"{method} {target} HTTP/1.1\r\n".encode("ascii", "replace")
    if _REQUEST_LINE.fullmatch(line) is None or not (method.isascii() and target.isascii()):
        raise LocalProtocolError(
            f"expected a method and a target of visible ASCII, got {quote(method)} and {quote(target)}"
        )
    return line


def _host_line(host: str) -> bytes:
    if _HOST.fullmatch(host) is None:
        raise LocalProtocolError(f"expected Host as host:port, got {quote(host)}")
    return encode_line("Host", host)


def _length(value: str) -> int:
    if _LENGTH.fullmatch(value) is None:
        raise LocalProtocolError(f"expected Content-Length as a number of bytes, got {quote(value)}")
    return int(value)


def _only(ruled: dict[str, str], name: str, value: str) -> bool:
    """Return whether a field is there, with the one value that it may have."""
    if ruled.get(name, value).lower() != value:
        raise LocalProtocolError(f"expected {name} as {value}, got {quote(ruled[name])}")
    return name in ruled


def _framing(method: str, length: int | None, block: _Block) -> bytes:
    """Return the field that says where the body ends.

    Source: RFC 9112 §6.1, §6.2; RFC 9110 §8.6: a method that is about its content says that there is none; §9.3.8 for
    TRACE, §10.1.1 for ``Expect``.
    """
    size = 0 if length is None else length
    if block.length not in (None, size) or (block.chunked and size != CHUNKED):
        raise LocalProtocolError(f"the fields contradict the length of the body, {length}")
    if block.expects and size == 0:
        raise LocalProtocolError("Expect: 100-continue needs a body to wait with")
    if method == "TRACE" and size != 0:
        raise LocalProtocolError("TRACE has no body")
    if size == CHUNKED:
        return b"Transfer-Encoding: chunked\r\n"
    return b"Content-Length: %d\r\n" % size


def connect_head(authority: str, fields: Iterable[Pair]) -> bytes:
    """Return the head of a request for a tunnel through a proxy.

    Args:
        authority: Host and port, both.
        fields: For the proxy alone: see `evkit.http.client.proxy_choice`.

    Raises:
        LocalProtocolError: The authority has no port, or one of the fields is none, or about a body.
        TypeError: One of the fields is no pair of ``str``.

    Source: RFC 9110 §9.3.6; RFC 9112 §3.2.3.
    """
    if _HOST_AND_PORT.fullmatch(authority) is None:
        raise LocalProtocolError(f"expected a host and a port, got {quote(authority)}")
    line = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode("ascii")
    return b"".join((line, *_proxy_lines(fields), b"\r\n"))


def _proxy_lines(fields: Iterable[Pair]) -> list[bytes]:
    lines = []
    for name, value, line in _encoded(fields):
        if name in _RULED and name != "proxy-authorization":
            raise LocalProtocolError(f"a proxy gets no {name} of its own, got {quote(value)}")
        lines.append(line)
    return lines


def declared_length(fields: Iterable[Pair]) -> int | None:
    """Return the ``Content-Length`` that a caller gives with a body whose length only he knows; ``None``: he does not.

    Raises:
        LocalProtocolError: It is no length, or there are several.
    """
    values = [value for name, value in fields if name.lower() == "content-length"]
    if len(values) > 1:
        raise LocalProtocolError(f"expected one content-length, got {len(values)}")
    return _length(values[0]) if values else None
