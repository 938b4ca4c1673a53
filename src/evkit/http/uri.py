"""URIs: taken apart and checked, changed, resolved and put together; percent-encoding; query strings.

It decides by RFC 3986 alone what is a URI, and refuses the rest; what WHATWG's URL parser would mend is told to whoever
wrote it. It knows nothing of schemes' own rules, of name resolution, or of requests. What a client sends as the target
of a request is judged elsewhere (`evkit.http.parser`).
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Self
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from evkit.http.errors import quote as show

_UNRESERVED: Final = r"A-Za-z0-9._~\-"
_SUB_DELIMS: Final = r"!$&'()*+,;="
_PCHAR: Final = rf"{_UNRESERVED}{_SUB_DELIMS}:@%"
_MAX_PORT: Final = 65535
_PORTS: Final = range(_MAX_PORT + 1)
_UNIX: Final = "unix:"

# Every class leaves out the character that ends its run, and every part but the path may be missing: RFC 3986,
# appendix B. It takes any text; what the parts may hold is asked after that.
_PARTS: Final = re.compile(
    r"(?:([^:/?#]*+):)?+(?://([^/?#]*+))?+([^?#]*+)(?:\?([^#]*+))?+(?:#(.*+))?+", re.DOTALL
)
_AUTHORITY: Final = re.compile(r"(?:([^@]*+)@)?+(\[[^\]]*+\]|[^:]*+)(?::([^:]*+))?+")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_GRAMMAR: Final = {
    "scheme": re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+"),
    "userinfo": re.compile(rf"[{_UNRESERVED}{_SUB_DELIMS}:%]*+"),
    "host": re.compile(rf"[{_UNRESERVED}{_SUB_DELIMS}%]*+"),
    "path": re.compile(rf"[{_PCHAR}/]*+"),
    "query": re.compile(rf"[{_PCHAR}/?]*+"),
    "fragment": re.compile(rf"[{_PCHAR}/?]*+"),
}
_SOCKET: Final = re.compile(r"/[^:?#\x00-\x20\x7f]*+")  # and what would end it in a text
_FUTURE_ADDRESS: Final = re.compile(rf"[vV][0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB_DELIMS}:]+")


@dataclass(frozen=True, slots=True)
class Uri:
    """A URI or a relative reference, in its parts.

    What is missing is ``None``, which is not the same as empty: ``http://host?`` has a query. The parts are as they
    stand in the text, percent-encoding and all. ``dataclasses.replace(uri, port=8080)`` makes another; it is checked
    like the first.

    Attributes:
        scheme: ``"http"``, as written; schemes compare without regard to case.
        userinfo: What stands before the ``@``.
        host: A name, an IPv4 address, or ``"[::1]"`` with its brackets.
        port: 0 to 65535; ``None`` also for ``host:``.
        path: May be empty, never missing.
        query: What stands after the ``?``.
        fragment: What stands after the ``#``.
        unix_socket: The path of a socket, ``"/run/app.sock"``, in place of host and port; see `parse`.

    Raises:
        ValueError: A part holds what it may not hold, or the parts do not go together.

    Source: ``struct evhttp_uri``; RFC 3986.
    """

    scheme: str | None = None
    userinfo: str | None = None
    host: str | None = None
    port: int | None = None
    path: str = ""
    query: str | None = None
    fragment: str | None = None
    unix_socket: str | None = None

    def __post_init__(self) -> None:
        for name, grammar in _GRAMMAR.items():
            text = getattr(self, name)
            if text is not None:
                _check_part(name, text, grammar)
        if self.port is not None and self.port not in _PORTS:
            raise ValueError(f"expected a port from 0 to {_MAX_PORT}, got {self.port!r}")
        if self.unix_socket is not None and not _SOCKET.fullmatch(self.unix_socket):
            raise ValueError(f"expected the path of a unix socket from / on, got {show(self.unix_socket)}")
        self._check_together()

    @classmethod
    def parse(cls, text: str, *, strict: bool = True, unix_socket: bool = False) -> Self:
        """Take a URI or a relative reference apart.

        Args:
            text: The URI.
            strict: Refuse in path, query and fragment what RFC 3986 has no place for. Otherwise such characters are
                percent-encoded, as by `uri_encode`, stray ``%`` among them. Control characters and spaces are refused
                always.
            unix_socket: Understand ``http://unix:/run/app.sock:/path``. The path of the socket is taken as it is.

        Raises:
            ValueError: It is none; says which part is wrong.

        Source: ``evhttp_uri_parse_with_flags``, which keeps stray characters as they are.
        """
        if control := _CONTROL.search(text):
            raise ValueError(
                f"a URI has no spaces and control characters, got {control[0]!r} in {show(text)}"
            )
        match = _PARTS.fullmatch(text)
        assert match is not None  # it takes any text
        scheme, authority, path, query, fragment = match.groups()
        userinfo, host, port = (None, None, None) if authority is None else _split_authority(authority)
        sock = None
        if unix_socket and authority is not None and authority.rpartition("@")[2] == _UNIX:
            host = None
            sock, colon, path = path.partition(":")
            if not colon:
                raise ValueError(f"expected http://unix:/path/of/socket:/path, got {show(text)}")
        if not strict:
            path, query, fragment = (part and _mend(part) for part in (path, query, fragment))
        return cls(scheme, userinfo, host, port, path, query, fragment, sock)

    def __str__(self) -> str:
        """Put the parts together. Source: ``evhttp_uri_join``."""
        scheme = "" if self.scheme is None else f"{self.scheme}:"
        authority = "" if (text := self.authority) is None else f"//{text}"
        query = "" if self.query is None else f"?{self.query}"
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        return f"{scheme}{authority}{self.path}{query}{fragment}"

    @property
    def authority(self) -> str | None:
        """``userinfo@host:port``, what there is of it; ``None`` without a host."""
        userinfo = "" if self.userinfo is None else f"{self.userinfo}@"
        if self.unix_socket is not None:
            return f"{userinfo}{_UNIX}{self.unix_socket}:"
        if self.host is None:
            return None
        return f"{userinfo}{self.host}" + ("" if self.port is None else f":{self.port}")

    @property
    def target(self) -> str:
        """Path and query as a request asks for them: ``/`` where there is no path (RFC 9112 §3.2.1)."""
        return (self.path or "/") + ("" if self.query is None else f"?{self.query}")

    def resolve(self, reference: "Uri | str") -> "Uri":
        """Return what ``reference`` means where this is the base, as a browser follows a link.

        Raises:
            ValueError: This has no scheme, or ``reference`` is no URI.

        Source: RFC 3986 §5.2. Where a path without a host would begin with ``//``, ``/.`` goes before it. libevent has
            no such function; its ``evhttp_uri_join`` is ``str(uri)``.
        """
        if self.scheme is None:
            raise ValueError(f"expected a base with a scheme, got {show(str(self))}")
        other = Uri.parse(reference) if isinstance(reference, str) else reference
        place = self if other.authority is None and other.scheme is None else other
        query = other.query
        if place is self and not other.path:
            path = self.path
            query = self.query if query is None else query
        else:
            whole = place is other or other.path.startswith("/")
            path = _remove_dot_segments(other.path if whole else self._merge(other.path))
        if place.authority is None and path.startswith("//"):
            path = f"/.{path}"  # RFC 3986 §3.3: the first segment would be a host
        return Uri(
            scheme=other.scheme or self.scheme,
            userinfo=place.userinfo,
            host=place.host,
            port=place.port,
            path=path,
            query=query,
            fragment=other.fragment,
            unix_socket=place.unix_socket,
        )

    def _merge(self, path: str) -> str:
        """Source: RFC 3986 §5.2.3."""
        if self.authority is not None and not self.path:
            return f"/{path}"
        return self.path[: self.path.rfind("/") + 1] + path

    def _check_together(self) -> None:
        path = self.path
        if self.unix_socket is not None and (self.host is not None or self.port is not None):
            raise ValueError("a URI has a host or a unix socket, not both")
        if self.authority is None:
            if self.userinfo is not None or self.port is not None:
                raise ValueError("a URI with a user or a port needs a host")
            if path.startswith("//"):
                raise ValueError(f"without a host a path cannot begin with //, got {show(path)}")
            if self.scheme is None and ":" in path.partition("/")[0]:
                raise ValueError(f"a relative path has no : in its first segment, got {show(path)}")
        elif path and not path.startswith("/"):
            raise ValueError(f"after a host a path begins with /, got {show(path)}")


def _check_part(name: str, text: str, grammar: re.Pattern[str]) -> None:
    if name == "host" and text.startswith("["):
        _check_literal(text)
    elif not grammar.fullmatch(text) or _BAD_PERCENT.search(text):
        raise ValueError(
            f"expected the {name} of a URI, percent-encoded where it needs to be, got {show(text)}"
        )


def _check_literal(host: str) -> None:
    """Source: RFC 3986 §3.2.2, ``IP-literal``; zones (RFC 6874) mean nothing to anybody else."""
    address = host[1:-1]
    if host.endswith("]") and _FUTURE_ADDRESS.fullmatch(address):
        return
    try:
        if not host.endswith("]") or "%" in address:
            raise AddressValueError("expected [address]")
        IPv6Address(address)
    except AddressValueError as error:
        raise ValueError(f"expected an IPv6 address in brackets, got {show(host)}") from error


def _split_authority(authority: str) -> tuple[str | None, str, int | None]:
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise ValueError(f"expected user@host:port after //, got {show(authority)}")
    userinfo, host, port = match.groups()
    if not port:
        return userinfo, host, None
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(_MAX_PORT))):
        raise ValueError(f"expected a port from 0 to {_MAX_PORT}, got {show(port)}")
    return userinfo, host, int(port)


def _mend(part: str) -> str:
    """Percent-encode what no part of a URI may hold."""
    return quote(_BAD_PERCENT.sub("%25", part), safe="!$&'()*+,;=:@/?%", errors="surrogateescape")


def _remove_dot_segments(path: str) -> str:
    """Source: RFC 3986 §5.2.4; here segment by segment, which gives the same."""
    absolute = path.startswith("/")
    segments = path[absolute:].split("/")
    kept: list[str] = []
    for segment in segments:
        if segment == ".." and kept:
            kept.pop()
            absolute = absolute or not kept
        elif segment not in (".", ".."):
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" * absolute + "/".join(kept)


def uri_encode(text: str | bytes, *, plus: bool = False) -> str:
    """Percent-encode all but letters, digits and ``-._~``.

    Args:
        text: ``str`` is encoded as UTF-8. Surrogates that stand for other bytes, as in file names, become these.
        plus: Make ``+`` of a space, as in a query, in place of ``%20``.

    Raises:
        ValueError: There is another surrogate in it.

    Source: ``evhttp_uriencode``.
    """
    encode = quote_plus if plus else quote
    if isinstance(text, bytes):
        return encode(text, safe="")
    return encode(text, safe="", errors="surrogateescape")


def uri_decode(text: str, *, plus: bool = False, strict: bool = True) -> str:
    """Undo percent-encoding.

    Args:
        text: Encoded text. What it encodes is taken as UTF-8; other bytes become surrogates, as in file names.
        plus: Make a space of ``+``, as in a query.
        strict: Refuse a ``%`` without two digits; otherwise it stays as it is.

    Raises:
        ValueError: See ``strict``.

    Source: ``evhttp_uridecode``, which is never strict.
    """
    if strict and (bad := _BAD_PERCENT.search(text)):
        raise ValueError(f"expected two hexadecimal digits after %, got {show(text[bad.start() :])}")
    return (unquote_plus if plus else unquote)(text, errors="surrogateescape")


def parse_query(text: str, *, strict: bool = True, max_pairs: int = 1000) -> list[tuple[str, str]]:
    """Take a query string apart, ``name=value&name=value``, in order; ``dict()`` of it keeps the last of each name.

    Args:
        text: The query, without ``?``; also the body of a form (``application/x-www-form-urlencoded``).
        strict: Refuse pairs without ``=`` or without a name, and malformed ``%``. Otherwise a value that is missing is
            empty, pairs without a name are left out, and malformed ``%`` stay.
        max_pairs: Most pairs.

    Raises:
        ValueError: See ``strict`` and ``max_pairs``.

    Source: ``evhttp_parse_query_str_flags``, which leaves names encoded.
    """
    parts = [part for part in text.split("&") if part] if text else []
    if len(parts) > max_pairs:
        raise ValueError(f"expected at most {max_pairs} pairs in a query, got {len(parts)}")
    pairs = []
    for part in parts:
        name, equals, value = part.partition("=")
        if name and (equals or not strict):
            pairs.append(
                (uri_decode(name, plus=True, strict=strict), uri_decode(value, plus=True, strict=strict))
            )
        elif strict:
            raise ValueError(f"expected name=value in a query, got {show(part)}")
    return pairs
