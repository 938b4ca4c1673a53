"""Where requests go: what a URL says of that, worked out once for all URLs that begin alike.

Most URLs need no taking apart: a pattern knows their two halves, of which the first names a `Destination` and the
second is what is asked for there. It decides by the rules of `parse_url` and `Origin`, and knows nothing of
connections.
"""

import re
from typing import Final

from evkit.http.client.origin import Origin, parse_url
from evkit.http.client.proxy_choice import ProxyRules
from evkit.http.uri import Uri

_KNOWN: Final = 256
"""Destinations to keep, of each kind."""

# Of what RFC 3986 has no objections to, and `Uri` no word to change: no user, no percent-encoding, no brackets. Each
# run ends before a character that it has not, so it is linear.
_PLAIN: Final = re.compile(
    r"(https?+://[A-Za-z0-9._-]++(?::[0-9]{1,5}+)?+)"
    r"((?:/[A-Za-z0-9._~!$&'()*+,;=:@/-]*+)?+(?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*+)?+)"
)


class Destination:
    """An origin, and the way there.

    Attributes:
        route: The way.
        authority: The value of ``Host``.
        prefix: Of what is asked for, before the path: nothing, or for a proxy in the plain the origin.
        proxied: Whether a proxy reads the request itself, with the route's fields for it. They are made anew for each
            request, as credentials may expire.
    """

    __slots__ = ("authority", "prefix", "proxied", "route")

    def __init__(self, origin: Origin, rules: ProxyRules, *, tunnel: bool) -> None:
        self.route = route = rules.route(origin, tunnel=tunnel)
        self.authority = origin.authority
        self.prefix = route.prefix(origin)
        self.proxied = bool(self.prefix)

    def __repr__(self) -> str:
        return f"<Destination {self.authority} by {self.route}>"


class Destinations:
    """The destinations of a client.

    Args:
        rules: Which proxy is used for what.
    """

    __slots__ = ("_by_origin", "_by_start", "_rules")

    def __init__(self, rules: ProxyRules) -> None:
        self._rules = rules
        self._by_start: dict[str, Destination] = {}
        self._by_origin: dict[tuple[Origin, bool], Destination] = {}

    def find(self, url: str) -> tuple[Destination, str] | None:
        """Return where a URL leads, and its path and query; ``None``: it has to be taken apart for that.

        Raises:
            ValueError: There can't be such a host.
        """
        match = _PLAIN.fullmatch(url)
        if match is None:
            return None
        start, rest = match.groups()
        found = self._by_start.get(start)
        if found is None:
            if len(self._by_start) >= _KNOWN:
                self._by_start.clear()
            found = self._by_start[start] = self.of(parse_url(start))
        return found, rest if rest[:1] == "/" else f"/{rest}"

    def of(self, url: Uri, *, tunnel: bool = False) -> Destination:
        """Return where a URL leads.

        Args:
            url: It.
            tunnel: As for `ProxyRules.route`.

        Raises:
            ValueError: There can't be such a host.
        """
        key = Origin.of(url), tunnel
        found = self._by_origin.get(key)
        if found is None:
            if len(self._by_origin) >= _KNOWN:
                self._by_origin.clear()
            found = self._by_origin[key] = Destination(key[0], self._rules, tunnel=tunnel)
        return found
