"""Names whose answer is known without asking anybody, and that no server is to hear of. A decider."""

from typing import Final

from evkit.dns.names import is_subdomain

LOOPBACK: Final = ("127.0.0.1", "::1")
_LOCALHOST: Final = b"\x09localhost\0"
_NOWHERE: Final = (b"\x07invalid\0", b"\x05onion\0")
_SPECIAL: Final = (_LOCALHOST, *_NOWHERE)


def special_addresses(name: bytes) -> tuple[str, ...] | None:
    """Return the addresses of a name that is special.

    Args:
        name: A folded wire name.

    Returns:
        Those of the loopback for ``localhost`` and all below it; none for ``invalid`` and ``onion`` and all below
        them, which don't exist; ``None`` for any other name: ask.

    Source: RFC 6761 §6.3 and §6.4, RFC 7686 §2.
    """
    if not name.endswith(_SPECIAL):
        return None  # at once, as nearly all
    if is_subdomain(name, _LOCALHOST):
        return LOOPBACK
    return () if any(is_subdomain(name, top) for top in _NOWHERE) else None
