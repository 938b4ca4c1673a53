"""What of a message is passed on, and what is said of where it came from.

A decider over header fields: which are for the next in line alone, which a client must not be believed, and what is
told in their place. It knows nothing of connections, of bodies, or of what a field that is passed on means.
"""

from typing import Final

from evkit.http.fields import Fields, as_pairs
from evkit.http.headers import Headers
from evkit.http.proxies.forwarded import Kind
from evkit.http.server.request import Request

Pair = tuple[str, str]

_OF_CONNECTIONS: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110 §7.6.1; and what is between a client and its own proxy (§11.7)."""
_SAID_ANEW: Final = frozenset({"content-length", "expect", "host", "max-forwards", "trailer"})
"""Of a request: whoever sends it on says these himself, or has nothing to say of them. Trailers end here."""
_OF_INTERIM: Final = frozenset({"content-length", "date"})
"""Have no place in an interim reply, and mean nothing there."""
_CLAIMS: Final = frozenset({"forwarded", "x-real-ip"})
_CLAIM: Final = "x-forwarded-"
"""Fields by which any client could claim to be another; all that begin so, too."""
_UNKNOWN: Final = "unknown"
"""A client without an address. Source: RFC 7239 §6.2."""
_MAX_HOPS: Final = 10
"""Digits of a number of hops that are read: more is no number that anybody means."""


def end_to_end(headers: Fields) -> list[Pair]:
    """Return the fields that are for whoever is at the end of the line, in their order.

    Left out are those of one connection, as ``Transfer-Encoding``, and those that ``Connection`` names.

    Args:
        headers: Of a message that is passed on: `Headers`, pairs or a mapping.

    Source: RFC 9110 §7.6.1.
    """
    pairs = as_pairs(headers)
    options = ",".join(value for name, value in pairs if name.lower() == "connection")
    named = set(_listed(options.lower()))
    return [pair for pair in pairs if (name := pair[0].lower()) not in _OF_CONNECTIONS and name not in named]


def of_request(headers: Headers) -> list[Pair]:
    """Return what of a request's fields is passed on as it is."""
    return [
        (name, value)
        for name, value in end_to_end(headers)
        if (lower := name.lower()) not in _SAID_ANEW and not _is_claim(lower)
    ]


def of_interim(headers: Headers) -> list[Pair]:
    """Return what of an interim response's fields is passed on."""
    return [pair for pair in end_to_end(headers) if pair[0].lower() not in _OF_INTERIM]


def _is_claim(name: str) -> bool:
    # Programs that see fields as variables of an environment take the one character for the other.
    name = name.replace("_", "-")
    return name in _CLAIMS or name.startswith(_CLAIM)


def origin_of(request: Request, kind: Kind | None) -> list[Pair]:
    """Tell who has sent a request, and how: what the server itself knows, and not what the client says.

    Args:
        request: The request.
        kind: By which fields; ``None``: by none.

    Source: RFC 7239 §4 to §6.
    """
    address, scheme = address_of(request.client), request.scheme
    host = (request.proxied and request.proxied.host) or request.host
    if kind == "x-forwarded":
        told = [("X-Forwarded-For", address), ("X-Forwarded-Proto", scheme)]
        return [*told, ("X-Forwarded-Host", host)] if host else told
    if kind is None:
        return []
    node = f'"[{address}]"' if ":" in address else address
    return [("Forwarded", f"for={node}" + (f';host="{host}"' if host else "") + f";proto={scheme}")]


def address_of(client: str) -> str:
    """Return a client's address without port, brackets and scope; ``"unknown"``: it has none.

    Args:
        client: As `Request.client`.
    """
    if client.startswith("["):
        return client[1:].partition("]")[0].partition("%")[0]
    address = client.partition(":")[0]
    return _UNKNOWN if address in ("", "unix") else address


def via(minor: int, name: str) -> Pair:
    """Return the field by which whoever passes a message on says so; it stands behind those of others.

    Args:
        minor: Of the version in which the message came.
        name: Who passes it on: a token.

    Source: RFC 9110 §7.6.3.
    """
    return "Via", f"1.{minor} {name}"


def was_here(headers: Headers, name: str) -> bool:
    """Return whether ``name`` has passed a message on before: it goes in a circle."""
    entries = (entry.split() for value in headers.get_all("Via") for entry in value.split(","))
    return any(words[1:2] == [name] for words in entries)


def hops_left(method: str, headers: Headers) -> int | None:
    """Return how often a request may be passed on; ``None``: nothing is said.

    Source: RFC 9110 §7.6.2, which has it for ``OPTIONS``, and for ``TRACE``, which is never passed on.
    """
    told = headers.get("Max-Forwards") if method == "OPTIONS" else None
    if told is None or not (told.isascii() and told.isdigit() and len(told) <= _MAX_HOPS):
        return None
    return int(told)


def asks_for_upgrade(request: Request) -> str | None:
    """Return the protocols that a client would rather speak; ``None``: none of which it is passed on.

    HTTP/2 is left out: it would carry requests that nobody here sees.

    Source: RFC 9110 §7.8.
    """
    options = ",".join(request.headers.get_all("Connection")).lower()
    if (
        request.method != "GET"
        or request.body_length
        or not request.minor
        or "upgrade" not in _listed(options)
    ):
        return None
    protocols = _listed(",".join(request.headers.get_all("Upgrade")))
    return ", ".join(name for name in protocols if name.lower() != "h2c") or None


def _listed(text: str) -> list[str]:
    return [entry for part in text.split(",") if (entry := part.strip(" \t"))]


def leads_out(path: str) -> bool:
    """Return whether a path has segments that lead upwards, out of the folder that it is put below.

    Args:
        path: Decoded.
    """
    return ".." in path.replace("\\", "/").split("/")
