"""IP addresses as text: whether it is one, and the usual way to write it. A decider; names are not looked up."""

import socket


def usual_form(address: str) -> str | None:
    """Return an address as it is usually written, so that equal ones are equal text; ``None`` if it is none.

    Args:
        address: Of four numbers, or IPv6, with a scope such as ``%eth0`` or without.

    Source: inet_pton(3), RFC 5952; RFC 4007 §11 for the scope.
    """
    plain, percent, scope = address.partition("%")
    if percent and (":" not in plain or not _is_scope(scope)):
        return None
    family = socket.AF_INET6 if ":" in plain else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, plain)) + percent + scope
    except (OSError, ValueError):
        return None


def _is_scope(scope: str) -> bool:
    # What else stands beside an address in writing can't be a part of it.
    return scope.isascii() and scope.isprintable() and not set(scope) & set(" %/[]:#") and bool(scope)
