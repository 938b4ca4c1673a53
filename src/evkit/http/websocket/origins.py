"""Which pages may open a WebSocket: browsers tell the origin, and do not ask before they connect.

A decider over text. Without this check any page could talk to a server with the cookies of whoever looks at it.
"""

import re
from collections.abc import Iterable
from typing import Final

_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.\-]*+)://([^/?#@\s]++)")
_PORTS: Final = {"http": ":80", "https": ":443"}


class Origins:
    """Origins that may.

    Args:
        others: Beside the server's own host, as ``"https://example.org"``; ``"null"`` for pages without one.

    Raises:
        ValueError: One is no origin.
        TypeError: ``others`` is one ``str``.

    Source: RFC 6455 §4.2.2, §10.2; RFC 6454 §6.2.
    """

    __slots__ = ("_others",)

    def __init__(self, others: Iterable[str] = ()) -> None:
        if isinstance(others, str):
            raise TypeError(f"expected origins, got the str {others!r}")
        self._others = frozenset(map(_normal, others))

    def allow(self, origin: str, host: str | None) -> bool:
        """Return whether a page may.

        Args:
            origin: Where the page is from, as its browser tells.
            host: Whom it asked, as ``example.org:8080``. The scheme is left out of account: a proxy may speak TLS.
        """
        try:
            told = _normal(origin)
        except ValueError:
            return False
        if told in self._others:
            return True
        scheme, _, authority = told.partition("://")
        return bool(authority) and host is not None and authority == _without_default(scheme, host.lower())


def _normal(origin: str) -> str:
    lower = origin.lower()
    if lower == "null":
        return lower
    match = _ORIGIN.fullmatch(lower)
    if match is None:
        raise ValueError(f"expected an origin such as 'https://example.org', got {origin!r}")
    return f"{match[1]}://{_without_default(match[1], match[2])}"


def _without_default(scheme: str, authority: str) -> str:
    return authority.removesuffix(_PORTS.get(scheme, " "))
