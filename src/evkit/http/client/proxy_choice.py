"""Which way a request goes: straight to its origin, in plain text to a proxy, or through a tunnel that a proxy makes.

Decides from rules, or from the environment's variables as curl and Python read them, and says what a proxy is told and
nobody else. It knows nothing of connections.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from evkit.http.client.credentials import Credentials, from_userinfo
from evkit.http.client.origin import Origin, normal_host, parse_url
from evkit.http.kinds import TEXT, Kind, Kinds, check_options

Pair = tuple[str, str]

_AT: Final[Kinds] = {"url": TEXT}
_WITH_PORT: Final = re.compile(r"(\[[^\]]*+\]|[^:]++):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, reached in plain text or over TLS.

    Attributes:
        origin: Where it is.
        credentials: For it.
        fields: More fields for it.
    """

    origin: Origin
    credentials: Credentials | None = None
    fields: tuple[Pair, ...] = field(default=(), repr=False)

    @classmethod
    def at(cls, url: str, credentials: Credentials | None = None) -> "Proxy":
        """Return the proxy at ``http://user:password@host:port``, or of ``https``; ``host:port`` means http.

        Args:
            url: Where it is. Without a port it is 80 or 443; a path means nothing.
            credentials: In place of those in the URL.

        Raises:
            ValueError: It is no such URL; proxies of another kind (``socks5``) are not known.
            TypeError: It is no ``str``.
        """
        check_options(_AT, locals())
        try:
            uri = parse_url(url if "://" in url else f"http://{url}")
        except ValueError:
            # What is wrong is not shown, for a password may be a part of it.
            raise ValueError("expected a proxy as http://user:password@host:port, or of https") from None
        return cls(Origin.of(uri), credentials or from_userinfo(uri))

    @property
    def told(self) -> tuple[Pair, ...]:
        """The fields that this proxy gets, and nobody else. Source: RFC 9110 §11.7.1."""
        if self.credentials is None:
            return self.fields
        return (("Proxy-Authorization", self.credentials.authorization), *self.fields)


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an origin. Requests whose routes are equal may use one connection.

    Attributes:
        hop: Whom to connect to first: the origin or the proxy. Its ``secure`` says whether that connection is TLS.
        proxy: The proxy, if there is one.
        tunnel: The origin at the end of the proxy's tunnel; ``None``: there is no tunnel. Its ``secure`` says whether
            TLS is spoken with the origin, inside.
    """

    hop: Origin
    proxy: Proxy | None = None
    tunnel: Origin | None = None

    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Each request looks its route up.
        object.__setattr__(self, "_hash", hash((self.hop, self.proxy, self.tunnel)))

    def __hash__(self) -> int:
        return self._hash

    def prefix(self, origin: Origin) -> str:
        """Return what stands before path and query in the target of a request to ``origin``, for a proxy to see.

        Source: RFC 9112 §3.2.1, §3.2.2.
        """
        return "" if self.proxy is None or self.tunnel is not None else str(origin)

    @property
    def fields(self) -> tuple[Pair, ...]:
        """What a request that goes this way has for the proxy: nothing where the origin would read it."""
        return () if self.proxy is None or self.tunnel is not None else self.proxy.told

    @property
    def connect_authority(self) -> str:
        """The target of the CONNECT request that makes the tunnel: host and port. Source: RFC 9110 §9.3.6."""
        assert self.tunnel is not None  # nobody asks for it otherwise
        return f"{self.tunnel.host}:{self.tunnel.port}"


_PROXY: Final = Kind("Proxy.at(url), or None", Proxy, type(None))
_RULES: Final[Kinds] = {"http": _PROXY, "https": _PROXY, "bypass": TEXT}


class ProxyRules:
    """Which proxy to use for which origin.

    Args:
        http: For plain requests.
        https: For those over TLS.
        bypass: Where no proxy is used, as in ``no_proxy``: see `Bypass`.

    Raises:
        TypeError: Something is of a wrong type: a URL in place of ``Proxy.at(url)``, for one.
    """

    __slots__ = ("_bypass", "_proxies")

    def __init__(self, http: Proxy | None = None, https: Proxy | None = None, *, bypass: str = "") -> None:
        check_options(_RULES, locals())
        self._proxies = {"http": http, "https": https}
        self._bypass = Bypass(bypass)

    def __repr__(self) -> str:
        used = [f"{scheme}={proxy.origin}" for scheme, proxy in self._proxies.items() if proxy is not None]
        return f"<ProxyRules {' '.join(used) or 'direct'}>"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "ProxyRules":
        """Read ``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in lower case or else in upper case.

        ``HTTP_PROXY`` is not read where ``REQUEST_METHOD`` is set: the client of a CGI program sets it with a field
        called ``Proxy`` (CVE-2016-5385).

        Args:
            environ: ``os.environ``, or any other.

        Raises:
            ValueError: A variable names no proxy of http or https; the message says which. A client that went straight
                to the origin would show itself where its user did not want that.
        """
        both = _variable(environ, "all_proxy")
        http = _variable(environ, "http_proxy", upper="REQUEST_METHOD" not in environ)
        https = _variable(environ, "https_proxy")
        return cls(
            _named_proxy("http_proxy", both if http is None else http),
            _named_proxy("https_proxy", both if https is None else https),
            bypass=_variable(environ, "no_proxy") or "",
        )

    def route(self, origin: Origin, *, tunnel: bool = False) -> Route:
        """Return the way to an origin.

        Args:
            origin: Whom to reach.
            tunnel: Go through a tunnel if there is a proxy, also without TLS: WebSockets need it.
        """
        proxy = self._proxies[origin.scheme]
        if proxy is None or self._bypass.covers(origin):
            return Route(origin)
        return Route(proxy.origin, proxy, origin if tunnel or origin.secure else None)


class Bypass:
    """The origins that no proxy is used for.

    Args:
        text: Separated by commas or spaces: ``example.org`` for it and all below it (``.example.org`` and
            ``*.example.org`` are the same), ``example.org:8080``, ``192.0.2.1``, ``[::1]:80``, ``10.0.0.0/8``, ``*``
            for everything. What is none of these is passed over, as everywhere. Names are not looked up, so networks
            are for addresses in URLs only.

    Source: ``urllib.request.proxy_bypass_environment``, which knows no networks; curl, which does.
    """

    __slots__ = ("_all", "_names", "_networks")

    def __init__(self, text: str) -> None:
        self._all = False
        self._names: list[tuple[str, int | None]] = []
        self._networks: list[tuple[IPv4Network | IPv6Network, int | None]] = []
        for entry in text.replace(",", " ").split():
            self._add(entry)

    def __repr__(self) -> str:
        return f"<Bypass {'*' if self._all else [*self._names, *self._networks]}>"

    def covers(self, origin: Origin) -> bool:
        """Return whether an origin is one of them."""
        if self._all:
            return True
        address = _address(origin.address[0])
        if address is not None:
            return any(address in network for network, port in self._networks if port in (None, origin.port))
        name = f".{origin.host.removesuffix('.')}"
        return any(name.endswith(end) for end, port in self._names if port in (None, origin.port))

    def _add(self, entry: str) -> None:
        if entry == "*":
            self._all = True
            return
        host, port = _split_port(entry)
        try:
            self._networks.append((ip_network(host.strip("[]"), strict=False), port))
            return
        except ValueError:
            pass
        try:
            name = normal_host(host.removeprefix("*").removeprefix("."))
        except ValueError:
            return
        self._names.append((f".{name.removesuffix('.')}", port))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _split_port(entry: str) -> tuple[str, int | None]:
    """Part ``host:port``; an IPv6 address without brackets has no port."""
    match = _WITH_PORT.fullmatch(entry)
    return (entry, None) if match is None else (match[1], int(match[2]))


def _variable(environ: Mapping[str, str], name: str, *, upper: bool = True) -> str | None:
    """Return what a variable says; one that is empty says that there is nothing, one that is missing does not."""
    value = environ.get(name)
    return environ.get(name.upper()) if value is None and upper else value


def _named_proxy(name: str, value: str | None) -> Proxy | None:
    if not value or not value.strip():
        return None
    try:
        return Proxy.at(value.strip())
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
