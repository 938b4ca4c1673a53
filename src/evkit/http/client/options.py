"""What a program may say when it makes a `Client` and when it asks for something, and what stands for what it does not
say.

A decider over types and values; it sends nothing. What a request says of its URL and its content is read in `wording`.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Final, TypeVar

from evkit.core import EventBase
from evkit.http.client.cookies import CookieJar
from evkit.http.client.credentials import Basic, Bearer
from evkit.http.client.decoding import accept_encoding
from evkit.http.client.proxy_choice import Proxy, ProxyRules
from evkit.http.client.redirects import Redirects
from evkit.http.client.request_fields import STANDARD, RequestFields
from evkit.http.client.retries import Retries, RetryBudget
from evkit.http.client.timeouts import ClientTimeouts
from evkit.http.client.wording import DEFAULT, Default, names_of
from evkit.http.kinds import (
    COUNT,
    COUNT_OR_NONE,
    FLAG,
    FUNCTION,
    FUNCTION_OR_NONE,
    NUMBER_OR_NONE,
    TEXT,
    Kind,
    Kinds,
    having,
)
from evkit.http.parser import Limits

T = TypeVar("T")


def _is_context(value: object) -> bool:
    # Who has a context has loaded the module, which takes its time; nobody else needs it for this.
    ssl = sys.modules.get("ssl")
    return ssl is not None and isinstance(value, ssl.SSLContext)


def _is_pairs(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


_NONE: Final = type(None)
_AUTH: Final = having(
    "authorization", "credentials: Basic(user, password) or Bearer(token), or None", Basic, Bearer, _NONE
)
_HEADERS: Final = Kind("pairs of str, or a mapping", tuple, list, dict, fits=_is_pairs)
_PAIRS: Final = Kind("pairs, or a mapping, or None", _NONE, dict, list, fits=_is_pairs)

CLIENT_OPTIONS: Final[Kinds] = {
    "base": Kind("an EventBase", EventBase),
    "headers": _HEADERS,
    "timeouts": Kind("ClientTimeouts(…), or None", ClientTimeouts, _NONE),
    "redirects": Kind("Redirects(…), or None", Redirects, _NONE),
    "retries": Kind("Retries(…), or None", Retries, _NONE),
    "budget": Kind("RetryBudget(…), or None", RetryBudget, _NONE, Default),
    "proxies": Kind("ProxyRules(…), the URL of a proxy, or None", ProxyRules, str, _NONE),
    "cookies": Kind("CookieJar(…), or None", CookieJar, _NONE),
    "auth": _AUTH,
    "tls": Kind("an ssl.SSLContext, or None", _NONE, fits=_is_context),
    "resolver": having("getaddrinfo", "a resolver, with getaddrinfo(), or None", _NONE),
    "family": COUNT,
    "local": Kind("an address to connect from, (ip, port), or None", tuple, _NONE),
    "unix": Kind("the path of a unix socket as str, or None", str, _NONE),
    "max_connections": COUNT,
    "max_per_host": COUNT,
    "idle": NUMBER_OR_NONE,
    "max_body": COUNT_OR_NONE,
    "limits": Kind("Limits(…)", Limits),
    "decode": FLAG,
    "engine": TEXT,
    "make_bufferevent": FUNCTION,
}
"""Of `Client`."""

_TIMEOUT: Final = Kind("a number of seconds, or None", int, float, _NONE, Default)
REQUEST_OPTIONS: Final[Kinds] = {
    "method": TEXT,
    "headers": _HEADERS,
    "query": _PAIRS,
    "form": _PAIRS,
    "auth": _AUTH,
    "stream": FLAG,
    "follow": FLAG,
    "expect": FLAG,
    "timeout": _TIMEOUT,
    "on_interim": FUNCTION_OR_NONE,
}
"""Of `Client.request`; its other arguments are looked at more closely."""
UPGRADE_OPTIONS: Final[Kinds] = {
    "headers": Kind(
        "pairs of str, a mapping, or a function that returns them",
        fits=lambda value: callable(value) or _is_pairs(value),
    ),
    "opened": FUNCTION,
    "auth": _AUTH,
    "timeout": _TIMEOUT,
}
"""Of `Client.upgrade`; likewise."""


def fields_for(headers: Sequence[tuple[str, str]], *, decode: bool) -> RequestFields:
    """Return what is said where the program has nothing to say of it.

    Args:
        headers: The client's own, which travel with each request.
        decode: Whether compressed bodies are welcome.

    Raises:
        LocalProtocolError: A field of its own can't be sent with every request: told now, and not with the first.
        TypeError: One is no pair of ``str``.
    """
    names = names_of(headers)
    standard = [*STANDARD, ("Accept-Encoding", accept_encoding())] if decode else [*STANDARD]
    fields = RequestFields([pair for pair in standard if pair[0].lower() not in names])
    fields.head("GET", "/", "localhost", headers)
    return fields


def budget_for(budget: RetryBudget | Default | None) -> RetryBudget | None:
    """Return how many retries there may be; ``None``: any number."""
    return RetryBudget() if budget is DEFAULT else budget


def rules_for(proxies: ProxyRules | str | None) -> ProxyRules:
    """Return which proxy is used for what.

    Raises:
        ValueError: It is the URL of no proxy.
    """
    if isinstance(proxies, str):
        proxy = Proxy.at(proxies)
        return ProxyRules(proxy, proxy)
    return proxies or ProxyRules()
