"""Whom a URL names: scheme, host and port in one spelling, so that two of them can be compared.

Decides what host a client is willing to look up, connect to, verify and name in ``Host``. It knows nothing of paths,
of name resolution, of proxies, or of connections.
"""

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final
from urllib.parse import quote

from evkit.http.errors import quote as show
from evkit.http.host_names import ascii_name
from evkit.http.uri import Uri, uri_decode

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAX_NAME: Final = 253
"""Characters of a name without its final dot, as long as DNS can carry (RFC 1035 §3.1)."""

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?+"
"""Letters, digits and hyphens; and the underscore, which inner names have all the same."""
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*+\.?+")
_NUMBER: Final = re.compile(r"[0-9]++|0x[0-9a-f]*+")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]++")


@dataclass(frozen=True, slots=True)
class Origin:
    """A server as a URL names it. Two are equal if and only if they name the same.

    Attributes:
        scheme: ``"http"`` or ``"https"``.
        host: A name in lower case and ASCII, an IPv4 address, or ``"[::1]"`` with its brackets.
        port: 1 to 65535.

    Raises:
        ValueError: Another scheme, or nothing that can be a host or a port. IPv4 addresses are taken with four decimal
            numbers only: what ``127.1``, ``0x7f.0.0.1`` or ``017700000001`` mean depends on who reads them.

    Source: RFC 6454 §4; RFC 9110 §4.2.3, §4.3.
    """

    scheme: str
    host: str
    port: int

    def __post_init__(self) -> None:
        scheme = self.scheme.lower()
        if scheme not in DEFAULT_PORTS:
            raise ValueError(f"expected a URL of http or https, got {show(self.scheme)}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"expected a port from 1 to 65535, got {self.port}")
        object.__setattr__(self, "scheme", scheme)
        object.__setattr__(self, "host", normal_host(self.host))

    @classmethod
    def of(cls, url: Uri) -> "Origin":
        """Return the origin of an absolute URL; its user, path, query and fragment do not count.

        Raises:
            ValueError: It is no URL of http or https with a host.
        """
        if url.scheme is None or url.host is None:
            raise ValueError("expected a URL as http://host/path, got one without a scheme or a host")
        port = DEFAULT_PORTS.get(url.scheme.lower(), 1) if url.port is None else url.port
        return cls(url.scheme, url.host, port)

    @property
    def secure(self) -> bool:
        """Whether its connections use TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The value of ``Host``: the port is left out where it is the scheme's own. Source: RFC 9110 §7.2."""
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port, as a resolver and ``connect`` take them."""
        return self.host.strip("[]"), self.port

    @property
    def server_name(self) -> str:
        """What the certificate must name: no brackets, and no final dot. Source: RFC 6066 §3."""
        return self.host.strip("[]").removesuffix(".")

    def __str__(self) -> str:
        """Write it as a URL without a path: ``https://example.org``. Source: RFC 6454 §6.2."""
        return f"{self.scheme}://{self.authority}"


def parse_url(url: str | Uri) -> Uri:
    """Return what a user gives as a URL, as an absolute URI; characters beyond ASCII are percent-encoded as UTF-8.

    Raises:
        ValueError: It has no scheme or no host, or is malformed. Whether the host can be one, `Origin.of` says.

    Source: RFC 3987 §3.1.
    """
    if isinstance(url, str):
        url = Uri.parse(_NOT_ASCII.sub(_percent_encoded, url), strict=False)
    if url.scheme is None or not url.host:
        raise ValueError(f"expected a URL as http://host/path, got {show(str(replace(url, userinfo=None)))}")
    return url


def _percent_encoded(match: re.Match[str]) -> str:
    # A lone surrogate is a byte of a file name or of an argument that was no UTF-8.
    return quote(match[0], errors="surrogateescape")


def normal_host(host: str) -> str:
    """Return a host in the one spelling that evkit compares, sends and looks up.

    Args:
        host: As in a URL: percent-encoded or not, in Unicode or not, IPv6 addresses in brackets.

    Raises:
        ValueError: It can be no host.

    Source: RFC 3986 §6.2.2; `ascii_name` for names beyond ASCII, whatever full-width letters they hide.
    """
    if host.startswith("["):
        return _normal_literal(host)
    name = ascii_name(uri_decode(host) if "%" in host else host).lower()
    if _NAME.fullmatch(name) is None or len(name.removesuffix(".")) > _MAX_NAME:
        raise ValueError(f"expected the name or the address of a host, got {show(host)}")
    if _NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]):
        try:
            IPv4Address(name)
        except AddressValueError:
            raise ValueError(f"expected an IPv4 address of four decimal numbers, got {show(host)}") from None
    return name


def _normal_literal(host: str) -> str:
    try:
        if not host.endswith("]") or "%" in host:
            raise AddressValueError("expected [address]")
        address = IPv6Address(host[1:-1])
    except AddressValueError:
        raise ValueError(f"expected an IPv6 address in brackets, got {show(host)}") from None
    # RFC 5952 §5. Python itself writes it so from 3.13 on.
    return f"[{address}]" if address.ipv4_mapped is None else f"[::ffff:{address.ipv4_mapped}]"
