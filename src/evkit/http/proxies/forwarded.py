"""Who the client is behind trusted proxies, by what they say in header fields.

Decides whom to believe. A proxy adds its word at the end of the list that came to it, so all that is certain is found
from the end: what the peer says, if it is trusted; then what the node says that the peer names, if that is trusted;
and so on. The first node that is not trusted is the client. What stands before its entry the client may have made up,
so that is never looked at, and cannot break what stands behind it: texts are read backwards.

It never fails for what a client sent, and knows nothing of connections.
"""

import re
import socket
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from itertools import islice
from typing import Final, Literal, NamedTuple

from evkit.http.errors import BadRequest
from evkit.http.headers import Headers
from evkit.http.parser.rules import check_host

Kind = Literal["forwarded", "x-forwarded"]
Scheme = Literal["http", "https"]

MAX_ENTRIES: Final = 100
"""Entries of a list that are looked at: as many proxies in a row are a loop."""

_UNIX: Final = "unix:"
_MAX_PORT: Final = 65535
_IPV4: Final = 0xFFFF << 32
"""::ffff:0:0/96. IPv4 addresses are compared as IPv6 ones, since that is how a dual-stack socket shows them."""
_NO_ADDRESS: Final = -1

_WANTED: Final = {
    "forwarded": frozenset({"forwarded"}),
    "x-forwarded": frozenset({"x-forwarded-for", "x-forwarded-proto"}),
}
_WANTED_HOST: Final = frozenset({"x-forwarded-host", "x-forwarded-port"})
# Traefik writes ws and wss when a WebSocket is asked for.
_SCHEMES: Final[dict[str, Scheme]] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, None: None}

# RFC 7239 §6. Of obfuscated ports nothing can be known.
_NODE: Final = re.compile(
    r"(?:(unknown|_[A-Za-z0-9._\-]++)|\[([0-9A-Fa-f:.]++)\]|([0-9.]++))(?::(?:([0-9]{1,5})|_[A-Za-z0-9._\-]++))?+",
    re.IGNORECASE | re.ASCII,
)
_PORT: Final = re.compile(r"[0-9]{1,5}")

# RFC 7239 §4, to be matched against reversed text. The quotes of a quoted-string are those with an even number of
# backslashes before them, which come after them here. Whatever is within is taken with the backslashes before it.
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"  # noqa: S105 - RFC 9110's word
_QUOTED: Final = r'"(?:\\\\)*+(?:[^"\\]\\*+|"\\(?:\\\\)*+)*+"'
_PAIR: Final = re.compile(rf"({_QUOTED}|{_TOKEN})=({_TOKEN})")
_ONE: Final = rf"(?:(?:{_QUOTED}|{_TOKEN})={_TOKEN})?+"
_ELEMENT: Final = re.compile(rf"[ \t]*+({_ONE}(?:[ \t]*+;[ \t]*+{_ONE})*+)[ \t]*+(?:,|\Z)")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class ProxiedClient(NamedTuple):
    """Who asks, and how it asked the outermost trusted proxy, as far as that is told.

    Attributes:
        address: As `Request.peer`, but without a port where none is told: ``"192.0.2.1"``, ``"[2001:db8::1]:4711"``.
            Or what a proxy says in place of an address: ``"unknown"``, or a name that begins with ``_``.
        scheme: ``"http"`` or ``"https"``; ``None`` where nothing is told.
        host: Host and port that it asked for, as `Request.host`; ``None`` where nothing is told.
    """

    address: str
    scheme: Scheme | None = None
    host: str | None = None


class _Node(NamedTuple):
    text: str
    number: int


class Proxies:
    """The proxies that are believed, and which fields they set.

    A proxy must set, or remove, each field that is read here, whatever its client sent. Otherwise any client may claim
    what it likes. So read the one kind that yours sets; the other is ignored.

    ``X-Real-IP`` is never read. It has no list, so that it cannot be told whose word it is, and whoever sets it can
    set ``X-Forwarded-For``.
    """

    __slots__ = ("_networks", "_unix", "_wanted")

    def __init__(
        self,
        trusted: Iterable[str],
        *,
        fields: Kind = "x-forwarded",
        host: bool = False,
    ) -> None:
        """Say whom to believe, and what.

        Args:
            trusted: Addresses, networks as ``"10.0.0.0/8"``, and ``"unix:"`` for all that connect by a unix socket.
                ``"::/0"`` includes IPv4.
            fields: ``"forwarded"``: RFC 7239's field. ``"x-forwarded"``: ``X-Forwarded-For`` and ``-Proto``.
            host: With ``"x-forwarded"``, also read ``X-Forwarded-Host`` and ``-Port``. Many proxies hand these on as
                they came from the client. (In RFC 7239's field the host is the proxy's own word, and read always.)

        Raises:
            ValueError: One of ``trusted`` is no address and no network, or has bits set behind its prefix; or all of
                it is one text; or there is no such kind of fields.
        """
        if fields not in _WANTED:
            raise ValueError(f'expected fields="forwarded" or "x-forwarded", got {fields!r}')
        if isinstance(trusted, str):
            raise ValueError(f"expected a list of addresses and networks, got the text {trusted!r}")
        listed = list(trusted)
        self._unix = _UNIX in listed
        self._networks = [_network(text) for text in listed if text != _UNIX]
        self._wanted = _WANTED[fields] | (_WANTED_HOST if host and fields == "x-forwarded" else frozenset())

    def __repr__(self) -> str:
        unix = " unix:" if self._unix else ""
        return f"<Proxies {len(self._networks)} networks{unix} by {', '.join(sorted(self._wanted))}>"

    def trusts(self, peer: str) -> bool:
        """Tell whether a peer is one of the proxies; it stays so for the whole connection.

        Args:
            peer: As `Request.peer`: ``"192.0.2.1:51234"``, ``"[::1]:51234"``, ``"unix:"``.
        """
        if peer.startswith(_UNIX):
            return self._unix
        host = peer[1:].partition("]")[0] if peer.startswith("[") else peer.partition(":")[0]
        return self._knows(_number(host.partition("%")[0]))

    def client_of(self, peer: str, headers: Headers) -> ProxiedClient:
        """Tell who sent a request.

        Args:
            peer: Who sent it to us, as `Request.peer`.
            headers: The request's.

        Returns:
            The peer itself, without scheme and host, if it is not trusted or says nothing. Otherwise the last node in
            the list that is not trusted; or where all are, or an entry is malformed or the hundredth, the last one that
            was reached.

        Source: RFC 7239 §4 to §6, §8.1. Beyond it, spaces around ``;`` are taken.
        """
        if not self.trusts(peer):
            return ProxiedClient(peer)
        told = {name: ",".join(values) for name in self._wanted if (values := headers.get_all(name))}
        if not told:
            return ProxiedClient(peer)
        if "forwarded" in told:
            return self._by_forwarded(peer, told["forwarded"])
        return self._by_x_forwarded(peer, told)

    def _by_forwarded(self, peer: str, text: str) -> ProxiedClient:
        client = ProxiedClient(peer)
        for element in islice(_elements(text), MAX_ENTRIES):
            node = _node(element["for"]) if "for" in element else _Node(client.address, _NO_ADDRESS)
            if node is None:
                break
            client = ProxiedClient(node.text, _scheme(element.get("proto")), _host(element.get("host")))
            if not self._knows(node.number):
                break
        return client

    def _by_x_forwarded(self, peer: str, told: dict[str, str]) -> ProxiedClient:
        address = peer
        for entry in islice(_entries(told.get("x-forwarded-for", "")), MAX_ENTRIES):
            node = _node(f"[{entry}]" if entry.count(":") > 1 and entry[0] != "[" else entry)
            if node is None:
                break
            address = node.text
            if not self._knows(node.number):
                break
        scheme = _scheme(_last(told.get("x-forwarded-proto")))
        host = _host(_last(told.get("x-forwarded-host")))
        return ProxiedClient(address, scheme, _with_port(host, scheme, _last(told.get("x-forwarded-port"))))

    def _knows(self, number: int) -> bool:
        if number != _NO_ADDRESS:
            for mask, network in self._networks:
                if number & mask == network:
                    return True
        return False


def _network(text: str) -> tuple[int, int]:
    """Return the mask and the address of a network, both as of IPv6."""
    try:
        # ip_network would take numbers and bytes, too.
        if not isinstance(text, str) or "%" in text:  # type: ignore[redundant-expr]  # users may not look at types
            raise ValueError("neither a number nor a scope is known here")
        network = ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"expected an address, a network such as 10.0.0.0/8, or unix:, got {text!r}: {error}"
        ) from error
    number, mask = int(network.network_address), int(network.netmask)
    if network.version == 4:
        number, mask = number | _IPV4, mask | ~0xFFFFFFFF
    return mask, number


def _number(host: str) -> int:
    """Return an address as a number of IPv6; `_NO_ADDRESS` for what is none."""
    try:
        if ":" in host:
            return int.from_bytes(socket.inet_pton(socket.AF_INET6, host), "big")
        return _IPV4 | int.from_bytes(socket.inet_pton(socket.AF_INET, host), "big")
    except (OSError, ValueError):
        return _NO_ADDRESS


def _node(text: str) -> _Node | None:
    """Read RFC 7239's ``node``; ``None`` for what is none. One address gives one text, however it was written."""
    match = _NODE.fullmatch(text)
    if match is None or int(match[4] or 0) > _MAX_PORT:
        return None
    port = f":{int(match[4])}" if match[4] else ""
    if match[1]:
        return _Node((match[1] if match[1][0] == "_" else "unknown") + port, _NO_ADDRESS)
    number = _number(match[2] or match[3])
    if number == _NO_ADDRESS or (match[2] and ":" not in match[2]):
        return None
    # An IPv4 address has one form only that the system takes.
    return _Node((_written(number) if match[2] else match[3]) + port, number)


def _written(number: int) -> str:
    """Write an address; as IPv4 where it is one in the clothes of IPv6."""
    if number & ~0xFFFFFFFF == _IPV4:
        return socket.inet_ntop(socket.AF_INET, (number & 0xFFFFFFFF).to_bytes(4, "big"))
    return f"[{socket.inet_ntop(socket.AF_INET6, number.to_bytes(16, 'big'))}]"


def _elements(text: str) -> Iterator[dict[str, str]]:
    """Yield the parameters of each element of a Forwarded field, from the last; stops at what is none."""
    turned = text[::-1]
    at = 0
    while at < len(turned):
        match = _ELEMENT.match(turned, at)
        if match is None:
            return
        pairs = _PAIR.findall(match[1])
        element = {name[::-1].lower(): _unquote(value[::-1]) for value, name in pairs}
        if len(element) < len(pairs):
            return  # RFC 7239 §4: each parameter once
        if element:
            yield element
        at = match.end()


def _unquote(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') else value


def _entries(text: str) -> Iterator[str]:
    """Yield the entries of a list without quotes, from the last; leaves out empty ones (RFC 9110 §5.6.1)."""
    end = len(text)
    while end >= 0:
        begin = text.rfind(",", 0, end) + 1
        entry = text[begin:end].strip(" \t")
        if entry:
            yield entry
        end = begin - 1


def _last(text: str | None) -> str | None:
    """Return the last entry of a list. Those before it the client may have sent to a proxy that only appends."""
    return None if text is None else text.rpartition(",")[2].strip(" \t")


def _scheme(text: str | None) -> Scheme | None:
    return None if text is None else _SCHEMES.get(text.lower())


def _host(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return check_host(text.encode("latin-1")) or None
    except (BadRequest, UnicodeEncodeError):
        return None


def _with_port(host: str | None, scheme: Scheme | None, port: str | None) -> str | None:
    """Add a port to a host that has none, unless it is the scheme's own or no port."""
    if host is None or port is None or ":" in host.rpartition("]")[2] or not _PORT.fullmatch(port):
        return host
    number = int(port)
    return f"{host}:{number}" if 0 < number <= _MAX_PORT and number != _DEFAULT_PORTS[scheme] else host
